"""What a restore is asked for, and under which names."""

import pytest

from basics.spans import Span
from config import parse_config
from copying.restore.asked import EVER, Asked, Mapped, UnknownName, absent, chosen, originals
from copying.restore.turned import from_archive, turned_round
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
    assert Asked(metadata=frozenset()).kinds == frozenset()
    for part in (Asked(policies=("raw",)), Asked(span=Span(EVER.start, 0)), Asked(span=Span(0, EVER.end))):
        assert (part.is_part, part.kinds) == (True, frozenset())
    assert not Asked(databases=("db:new",), existing="fill").is_part


def test_a_name_is_new_where_the_database_never_had_it() -> None:
    """Not where the backup calls it otherwise."""
    assert [mapped.is_renamed for mapped in chosen({"a": "p_a"}, ("a", "a:b"))] == [False, True]


def test_a_database_that_is_asked_for_twice_is_restored_once() -> None:
    """And nothing at all is there where the backup holds none."""
    assert len(chosen({"a": "a", "b": "b"}, ("b", "b", "a"))) == 2
    with pytest.raises(UnknownName, match="holds no database of this job, or none that this user may see"):
        chosen({}, ())


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


def test_the_job_turned_round_asks_for_what_is_restored_and_nothing_else() -> None:
    """It may be empty, old, and kept nowhere; limits of the job's own runs are none of it."""
    there = job("databases: [{name: a}], user: u, password: p", rules="{exclude: [x]}")
    limited = {"field_obsolete_threshold": 5, "max_lag": 5, "metadata": ("users",)}
    there = there.model_copy(update={"options": there.options.model_copy(update=limited)})
    turned = turned_round(there, there.source, chosen({"a": "p", "b": "b"}, ()), (), (), Span(5, 9))
    options = turned.options
    assert options.range is not None
    assert (options.backup_mode, options.range.start, options.range.end) == ("range", 5, 9)
    assert (options.field_obsolete_threshold, options.max_lag, options.metadata) == (None, None, ())
    assert (options.allow_empty, options.incremental.lookback, turned.restores) == (True, 0, True)
    assert [(d.name, d.destination) for d in turned.source.databases] == [("p", "a"), ("b", "b")]
    assert (turned.destination.user, turned.destination.password) == ("u", there.source.password)
    assert (turned.policies, turned.only) == ((), ())
    assert [m for m in ("cpu", "x") if turned.wants(m)] == ["cpu"]


def test_a_snapshot_has_the_names_of_the_source() -> None:
    """Whatever a server gets them as."""
    there = job("prefix: p_, suffix: _s, databases: [{name: a, destination: x}, {name: b}]")
    found = from_archive(there, "/archive")
    assert originals(found, ["a", "p_x_s", "b"]) == {"a": "a", "b": "b"}
    assert (found.destination.url, found.source.url, found.name) == ("/archive", "http://a:8086", there.name)
    assert originals(from_archive(job("prefix: p_"), "/archive"), ["a", "p_b"]) == {"a": "a", "p_b": "p_b"}
