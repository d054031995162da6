"""Which jobs would write the same measurements."""

import pytest

from config import parse_config
from settings.overlaps import find_overlaps, find_rivals


def job(name: str, source: str = "", rest: str = "", url: str = "http://b:8086"):  # type: ignore[no-untyped-def]  # noqa: ANN201
    """A job that differs from others in what it writes."""
    text = (
        f"source: {{url: 'http://a:8086'{', ' + source if source else ''}}}\n"
        f"destination: {{url: '{url}'}}\noptions: {{backup_mode: incremental}}\n{rest}"
    )
    return parse_config(text, {}, f"{name}.yaml")


ONE = "databases: [{name: x}]"

CASES = [
    ("the same database", job("p", ONE), job("q", ONE), True),
    ("another database", job("p", ONE), job("q", "databases: [{name: y}]"), False),
    ("mapped onto it", job("p", ONE), job("q", "databases: [{name: y, destination: x}]"), True),
    ("another server", job("p", ONE), job("q", ONE, url="http://c:8086"), False),
    ("the server in other letters", job("p", ONE), job("q", ONE, url="http://B:8086/"), True),
    ("all databases beside one", job("p"), job("q", ONE), True),
    ("all with a prefix beside one", job("p", "prefix: a_"), job("q", ONE), False),
    (
        "all with a prefix beside one that has it",
        job("p", "prefix: x_"),
        job("q", "databases: [{name: x_y}]"),
        True,
    ),
    ("all beside all", job("p"), job("q"), True),
    ("all with different prefixes", job("p", "prefix: a_"), job("q", "prefix: b_"), False),
    ("all with prefixes of which one begins the other", job("p", "prefix: a"), job("q", "prefix: ab"), True),
    ("all with different suffixes", job("p", "suffix: _a"), job("q", "suffix: _b"), False),
    (
        "different measurements",
        job("p", ONE, "measurements: {include: [cpu]}"),
        job("q", ONE, "measurements: {include: [mem, disk*]}"),
        False,
    ),
    (
        "a measurement that a glob of the other takes",
        job("p", ONE, "measurements: {include: [disk_io]}"),
        job("q", ONE, "measurements: {include: [mem, disk*]}"),
        True,
    ),
    (
        "globs of which one begins another",
        job("p", ONE, "measurements: {include: ['disk*', cpu]}"),
        job("q", ONE, "measurements: {include: ['mem*', 'd?']}"),
        True,
    ),
    (
        "globs of which none begins another",
        job("p", ONE, "measurements: {include: ['disk*', cpu]}"),
        job("q", ONE, "measurements: {include: ['mem*', 'net?']}"),
        False,
    ),
    (
        "loopback by another name",
        job("p", ONE, url="http://localhost:1"),
        job("q", ONE, url="http://127.0.0.1:1"),
        True,
    ),
    (
        "what one includes the other excludes",
        job("p", ONE, "measurements: {include: ['/^win/', 'disk*']}"),
        job("q", ONE, "measurements: {exclude: ['disk*', '/^win/']}"),
        False,
    ),
    (
        "only half of it is excluded",
        job("p", ONE, "measurements: {include: ['/^win/', 'disk*']}"),
        job("q", ONE, "measurements: {exclude: ['disk*']}"),
        True,
    ),
]


@pytest.mark.parametrize(("_case", "one", "other", "meet"), CASES, ids=[case[0] for case in CASES])
def test_two_writers_of_one_measurement_are_found(_case: str, one, other, meet: bool) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
    """Whichever comes first; both are named, each with the other."""
    for jobs in ([one, other], [other, one]):
        found = find_overlaps(jobs)
        assert set(found) == ({"p", "q"} if meet else set())
        if meet:
            assert "'q' also writes" in found["p"]
            assert "'p' also writes" in found["q"]


def test_a_third_job_is_not_drawn_in() -> None:
    """Only those that overlap."""
    jobs = [job("p", ONE), job("q", ONE), job("r", "databases: [{name: z}]")]
    assert set(find_overlaps(jobs)) == {"p", "q"}


def test_jobs_that_would_overlap_if_two_names_were_one_server_are_rivals() -> None:
    """Only those: not the same address, which is refused at once, not other measurements, not the job itself."""
    one = job("p", ONE)
    others = [
        job("q", ONE, url="http://c:8086"),
        job("r", "databases: [{name: y}]", url="http://c:8086"),
        job("s", ONE),
        job("t", "prefix: x", url="http://d:8086"),
    ]
    assert [(rival.job, rival.database) for rival in find_rivals(one, [one, *others])] == [("q", "database 'x'")]
    assert find_rivals(job("p", ONE, "measurements: {include: [cpu]}"),
                       [job("q", ONE, "measurements: {exclude: [cpu]}", url="http://c:8086")]) == ()  # fmt: skip
