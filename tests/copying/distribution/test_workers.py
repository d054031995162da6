"""Which workers may carry out units, and what is said where none may."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from copying.distribution import preload, version
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


# ---------------------------------------------------------------- a worker of ours


def test_a_worker_says_which_program_it_holds_and_where_it_may_write(caplog: pytest.LogCaptureFixture) -> None:
    """Before it is known to anybody."""
    caplog.set_level(logging.INFO)
    ours = version.resource()
    for servers, told in ((["b:8086"], "b:8086"), ([], "nobody")):
        total, available = dict.fromkeys(servers, 1.0), dict.fromkeys(servers, 1.0)
        state = SimpleNamespace(nthreads=1, total_resources=total, available_resources=available)
        preload.dask_setup(SimpleNamespace(state=state))
        assert total == available == {**dict.fromkeys(servers, 1.0), ours: 1.0}
        assert caplog.messages[-1] == f"{ours}, and may write to: {told}"


@pytest.mark.parametrize("threads", [2, 0])
def test_a_worker_with_several_threads_is_of_no_use(threads: int) -> None:
    """Each unit needs the whole process; the message says how to start several."""
    with pytest.raises(ValueError, match=f"it has {threads} threads: start it with --nthreads 1"):
        preload.dask_setup(SimpleNamespace(state=SimpleNamespace(nthreads=threads)))


def test_a_program_is_another_one_with_any_of_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their contents and their names; whatever else lies there does not count, nor does where it lies."""
    found = []
    for number, file in enumerate((None, "backup.py", "copying/deep/a.py", "influx/new.py", "influx/notes.txt")):
        root = tmp_path / str(number)
        (root / "copying" / "deep").mkdir(parents=True)
        (root / "influx").mkdir()
        for part in (*(part for part in version.PARTS if part.endswith(".py")), "copying/deep/a.py"):
            (root / part).write_text("same")
        if file:
            (root / file).write_text("other")
        for part in ("basics", "settings"):
            (root / part).mkdir()
            (root / part / "a.py").write_text("same")
        monkeypatch.setattr(version, "ROOT", root)
        (root / "influx" / "a.py").write_text("same")
        found.append(version.version.__wrapped__())
    assert len(set(found)) == 4
    assert found[4] == found[0]
    assert {len(text) for text in found} == {12}
    monkeypatch.undo()
    assert version.resource() == f"influxdb-backup, source {version.version.__wrapped__()}"
    assert version.version() is version.version()
