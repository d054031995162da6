"""Which workers may carry out units, and what is said where none may."""

from __future__ import annotations

from copying.distribution.workers import Worker, known_workers, obstacle, refused, suited

SERVER, OURS, OTHERS = "b:8086", "influxdb-backup, source aaa", "influxdb-backup, source bbb"
SCHEDULER = "tls://s:8786"
GOOD = Worker("good", frozenset({SERVER, OURS}))
ELSEWHERE = Worker("elsewhere", frozenset({"c:8086", OURS}))
OTHER = Worker("other", frozenset({SERVER, OTHERS}))
STRANGE = Worker("strange", frozenset({SERVER}))


def test_only_those_that_hold_this_program_and_may_write_there() -> None:
    """One is enough."""
    everybody = (ELSEWHERE, OTHER, STRANGE, GOOD)
    assert suited(everybody, SERVER, OURS) == (GOOD,)
    assert obstacle(everybody, SCHEDULER, SERVER, OURS) == ""


def test_others_are_refused_by_name() -> None:
    """With what to do; those of other servers are none of this job's business."""
    sentences = refused((ELSEWHERE, OTHER, STRANGE, GOOD), SERVER, OURS)
    assert sentences == (
        "worker other gets nothing: it holds the source code bbb, and the daemon aaa; let both have the same, and "
        "start it again",
        "worker strange gets nothing: it does not say which program it holds; start it with --preload "
        "copying.distribution.preload",
    )
    assert obstacle((OTHER, STRANGE), SCHEDULER, SERVER, OURS) == (
        f"{SCHEDULER} has no worker with this program: {'; '.join(sentences)}"
    )


def test_what_is_missing_is_said_with_the_command() -> None:
    """No worker at all, or none for this server."""
    command = 'dask worker tls://s:8786 --nthreads 1 --resources "b:8086=1" --preload copying.distribution.preload'
    assert obstacle((), SCHEDULER, SERVER, OURS) == f"{SCHEDULER} has no workers; start some: {command}"
    assert obstacle((ELSEWHERE,), SCHEDULER, SERVER, OURS) == (
        f'none of the 1 workers of {SCHEDULER} has the resource "b:8086", so none may write to that server; start '
        f"some that do: {command}"
    )


def test_what_a_scheduler_tells() -> None:
    """A worker that nobody has named is its address."""
    told = {
        "tls://h:1": {"name": "tls://h:1", "resources": {SERVER: 1.0, "gone": 0}},
        "tls://h:2": {"name": "w2", "resources": {}},
    }
    assert known_workers(told) == (
        Worker("tls://h:1", frozenset({SERVER})),
        Worker("w2 at tls://h:2", frozenset()),
    )
