"""What a restore is asked for, and under which names."""

import pytest

from config import parse_config
from copying.restore.asked import EVER, Asked, Mapped, UnknownName, absent, chosen, originals
from copying.restore.turned import turned_round
from settings.keys import Job

OPTIONS = "{backup_mode: incremental, incremental: {fallback_days: 3}}"
SERVERS = f"destination: {{url: http://backup:8086}}\noptions: {OPTIONS}\n"


def job(source: str, rules: str = "{}") -> Job:
    """A job with this source."""
    return parse_config(
        f"source: {{url: http://a:8086, {source}}}\nmeasurements: {rules}\n{SERVERS}", {}, "job.yaml"
    )


def test_names_are_mapped_back_without_the_source() -> None:
    """By the job's list, or by prefix and suffix."""
    listed = job("prefix: p_, databases: [{name: a}, {name: b, destination: x}, {name: lost}]")
    known = originals(listed, ["p_a", "p_x", "other"])
    assert known == {"a": "p_a", "b": "p_x"}
    assert absent(listed, known) == ["lost"]
    assert originals(job("prefix: p_, suffix: _s"), ["p_a_s", "p__s", "a", "p_b"]) == {"a": "p_a_s"}
    assert originals(job("prefix: ''"), ["a", "b"]) == {"a": "a", "b": "b"}


def test_new_names_and_names_with_colons() -> None:
    """A name that is known is taken as it is."""
    known = {"a": "p_a", "a:b": "p_a:b"}
    assert chosen(known, ()) == (Mapped("p_a", "a", "a"), Mapped("p_a:b", "a:b", "a:b"))
    assert chosen(known, ["a:b", "a:c", "a:b:c:d"]) == (
        Mapped("p_a:b", "a:b", "a:b"),
        Mapped("p_a", "a", "c"),
        Mapped("p_a:b", "a:b", "c:d"),
    )
    for unknown in ("b", "b:a", "a:"):
        with pytest.raises(UnknownName, match="it holds: a, a:b"):
            chosen(known, [unknown])


def test_a_part_brings_nothing_but_points_unless_asked() -> None:
    """Nobody who restores a measurement wants to find continuous queries that he dropped."""
    assert Asked().kinds == {"policies", "queries"}
    assert Asked(measurements=("cpu",)).kinds == frozenset()
    assert Asked(measurements=("cpu",), metadata=frozenset({"users"})).kinds == {"users"}


def test_the_job_turned_round_reads_everything() -> None:
    """No threshold, fallback or rule for fields leaves out what the backup holds; rules for measurements stay."""
    there = job(
        "databases: [{name: a}], group_by: 5m", "{include: [c*], specific: {cpu: {fields: {include: [x]}}}}"
    )
    turned = turned_round(there, there.source, chosen({"a": "p"}, ["a:n"]), ("raw",), ("cpu", "m*"), EVER)
    assert (turned.source.url, turned.destination.url) == ("http://backup:8086", "http://a:8086")
    assert turned.source.destination_name("p") == "n"
    assert (turned.source.group_by, turned.options.incremental.fallback_days) == (None, None)
    assert turned.measurements.specific == {}
    assert [m for m in ("cpu", "cx", "mem") if turned.wants(m)] == ["cpu"]
    assert turned.name != there.name
