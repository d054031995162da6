"""Units: what is copied together, what travels with them, and what does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from basics.spans import Span
from basics.times import DAY
from config import parse_config
from copying.distribution.unit import (
    FEWEST,
    Copied,
    Unit,
    first_units,
    opened,
    packed,
    rest_of,
    where,
    without_secrets,
)
from copying.late import Lateness
from copying.results import MeasurementResult
from copying.small_measurements import MOST, GroupProgress
from copying.task import Copy, Target
from copying.windows import Window
from influx.influxql import Location, Policy
from influx.written import Written
from settings.keys import Job

POLICY = Policy("autogen", 0, DAY, is_default=True)
ENVIRON = {"PW": "s3cret", "HOOK": "s3cret"}


def job(options: str = "", url: str = "http://b:8086") -> Job:
    """A job with everything that holds secrets."""
    return parse_config(
        "source: {url: 'http://a:8086', user: u, password: '${PW}'}\n"
        f"destination: {{url: '{url}', user: u, password: '${{PW}}'}}\n"
        "measurements: {specific: {'cpu*': {fields: {include: [v]}}}}\n"
        "options: {backup_mode: incremental, distribute: 'tls://s:8786', ping_url: 'https://s3cret.example',\n"
        "  notify: {urls: ['json://s3cret']}, hooks: {before: 'echo ${HOOK}'},\n"
        f"  loki: {{enabled: true, url: 'http://loki', tags: {{a: s3cret}}}}{options}}}\n",
        ENVIRON,
        "job.yaml",
    )


def copies(count: int, types: tuple[str, ...] = ("float",)) -> tuple[Copy, ...]:
    """So many measurements of a policy."""
    there = {f"m{n}": {"v": ("float",)} for n in range(count)}
    target = Target("copied", POLICY, POLICY, (Span(0, DAY),), (), there, source_types=there)
    return tuple(
        Copy(Location("db", "autogen", f"m{n}"), target, {"v": types}, (), starts={"v": 5}) for n in range(count)
    )


def unit(*chosen: Copy, **changed: object) -> Unit:
    """All of them as one."""
    made = Unit("run", without_secrets(job()), Path("job.yaml"), 7, Path("quarantine"), chosen)
    return replace(made, **changed)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("count", "workers", "sizes"),
    [
        (1, 1, [1]),
        (2, 8, [2]),
        (FEWEST, 8, [FEWEST]),
        (50, 2, [25, 25]),
        (25, 2, [13, 12]),
        (250, 1, [MOST, MOST, 50]),
        (30, 0, [30]),
    ],
)
def test_small_measurements_go_together_and_all_workers_get_some(
    count: int, workers: int, sizes: list[int]
) -> None:
    """But not so few that it is not worth it."""
    units = list(first_units(unit(*copies(count)), workers))
    assert [len(part.copies) for part in units] == sizes
    assert all(part.together for part in units) == (count > 1)
    assert len({part.key for part in units}) == len(units)


def test_what_needs_care_goes_alone() -> None:
    """Late data, and fields of several types."""
    late, plain, more = copies(3)
    (mixed,) = copies(1, ("float", "integer"))
    mixed = replace(mixed, source=Location("db", "autogen", "mixed"))
    whole = unit(late, plain, more, mixed, lateness={late.source: Lateness(extra=3)})
    together, *rest = first_units(whole, 1)
    assert [copy.source.measurement for copy in together.copies] == ["m1", "m2"]
    assert [part.sources for part in rest] == [(late.source,), (mixed.source,)]
    assert [part.lateness for part in rest] == [{late.source: Lateness(extra=3)}, {}]


def test_means_are_never_together() -> None:
    """They are computed by the server, measurement by measurement."""
    means = without_secrets(job().model_copy(update={"source": job().source.model_copy(update={"group_by": 60})}))
    assert [part.together for part in first_units(unit(*copies(3), job=means), 1)] == [False] * 3


def test_one_that_is_not_small_goes_on_alone_from_where_it_is_acknowledged() -> None:
    """The others are done."""
    (together,) = first_units(unit(*copies(3)), 1)
    left = {together.sources[1]: GroupProgress(Written(4), 100)}
    (alone,) = rest_of(together, left)
    assert (alone.sources, alone.together, alone.copies[0].starts) == ((together.sources[1],), False, {"v": 100})
    assert alone.key != together.key


def test_a_unit_knows_nothing_of_the_other_measurements() -> None:
    """Of a policy with thousands, each of thousands of units would name all."""
    first, *_ = copies(100)
    lateness = {first.source: Lateness((Window(first, Span(0, 1), {}, {}),))}
    (part,) = first_units(unit(first, lateness=lateness), 1)
    (copy,), (window,) = part.copies, part.lateness[first.source].windows
    for target in (copy.target, window.copy.target):
        assert (dict(target.written_types), dict(target.source_types)) == ({"m0": {"v": ("float",)}}, {})
    assert copy.written_types == first.written_types


def test_no_secret_travels() -> None:
    """And what does is the same at its end."""
    sent = packed(unit(*copies(2)))
    assert b"s3cret" not in sent
    assert b"${PW}" in sent
    assert opened(sent) == unit(*copies(2))


def test_the_same_work_of_a_run_is_one_task_and_that_of_another_run_another() -> None:
    """Of another run it may be planned otherwise: what became of it is none of this one's."""
    first, second = copies(2)
    assert unit(first).key == unit(first).key
    assert len({unit(first).key, unit(second).key, unit(first, run="other").key}) == 3


def test_a_lease_outlasts_a_request() -> None:
    """It may take a time limit to connect, and one to be answered."""
    patient = unit(*copies(1), job=job(", timeout_client: 100"))
    assert patient.request_limit == 200
    assert patient.lease > 200
    assert patient.leases == ("influxdb-backup b:8086 copied.autogen.m0, 215 s",)


def test_a_measurement_has_the_same_lease_in_every_unit() -> None:
    """Of every run, together with others or alone."""
    whole = unit(*copies(3), run="other")
    (together,) = first_units(whole, 1)
    assert together.leases[1:2] == unit(copies(3)[1]).leases


@pytest.mark.parametrize(
    ("url", "name"),
    [("http://b:8086", "b:8086"), ("https://b/prefix", "b:443"), ("http://[::1]:8086", "[::1]:8086")],
)
def test_a_server_is_named_by_host_and_port(url: str, name: str) -> None:
    """As dask worker takes it on its command line."""
    assert where(job(url=url).destination) == name


def test_what_became_of_units_adds_up() -> None:
    """The newest points, too."""
    one, other = (copy.source for copy in copies(2))
    first = Copied({one: MeasurementResult("one")}, {one: 5, other: 9}, (1, 2))
    second = Copied({other: MeasurementResult("other")}, {one: 7}, (10, 20), ("careful",))
    both = first + second
    assert (set(both.results), dict(both.newest)) == ({one, other}, {one: 7, other: 9})
    assert (both.counted, both.warnings) == ((11, 22), ("careful",))
