"""What a look at a cluster shows before a run, and what is said where there is none."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from copying.distribution import cluster
from copying.distribution.cluster import Sight, look_at
from copying.distribution.obstacles import DistributedMissing, NoCluster
from tests.copying.distribution.played import SCHEDULER, Dask, Future, worker
from tests.copying.distribution.test_units import job


def test_a_look_shows_who_can_copy_and_who_gets_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves no connection behind."""
    dask = Dask(lambda _, unit: Future(value=unit))
    dask.workers["tcp://2"] = worker("w2", source="influxdb-backup, source other")
    dask.workers["tcp://3"] = worker("w3", server="c:8086")
    monkeypatch.setattr(cluster, "_client", lambda _: dask)
    sight = look_at(job())
    assert (sight.obstacle, sight.suited) == ("", ("w1 at tcp://1",))
    assert [text.partition(":")[0] for text in sight.refused] == ["worker w2 at tcp"]
    assert dask.status == "closed"
    del dask.workers["tcp://1"]
    assert look_at(job()) == Sight(
        f"{SCHEDULER} has no worker with this program: {sight.refused[0]}", (), sight.refused
    )


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (OSError("one line\nand more"), "one line"),
        (TimeoutError(), "TimeoutError"),
        (ValueError("unknown address"), "unknown address"),
        (TypeError("no address"), "no address"),
        (RuntimeError("no certificate"), "no certificate"),
    ],
)
def test_a_scheduler_that_cannot_be_reached_is_no_cluster(
    error: Exception, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which may be there later. What to say of certificates is said where they are needed."""
    import distributed

    def fail(*_: object, timeout: float, set_as_default: bool, **__: object) -> None:
        assert (timeout, set_as_default) == (cluster.CONNECTING, False)
        raise error

    monkeypatch.setattr(distributed, "Client", fail)
    plain = job().model_copy(update={"options": job().options.model_copy(update={"distribute": "tcp://s:1"})})
    for asking, scheduler, more in (
        (job(), SCHEDULER, "; the certificates are named by DASK_"),
        (plain, "tcp://s:1", ""),
    ):
        with pytest.raises(NoCluster) as raised:
            look_at(asking)
        text = f"Dask's scheduler {scheduler} does not answer: {words}{more}"
        assert str(raised.value).startswith(text) if more else str(raised.value) == text
        assert raised.value.retryable


def test_a_scheduler_that_answers_no_more_is_no_cluster_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason is the innermost one; no connection is left behind."""
    error = OSError("outside")
    error.__cause__ = ValueError("the cause")
    dask: Any = Dask(lambda _, unit: Future(value=unit))

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(dask, "sync", fail)
    monkeypatch.setattr(cluster, "_client", lambda _: dask)
    with pytest.raises(NoCluster) as raised:
        look_at(job())
    assert str(raised.value) == f"Dask's scheduler {SCHEDULER} does not answer: the cause"
    assert dask.status == "closed"


def test_a_package_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the command that brings it. To wait for it makes no sense."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(DistributedMissing, match="pip install -r copying/distribution/requirements") as raised:
        look_at(job())
    assert not raised.value.retryable
