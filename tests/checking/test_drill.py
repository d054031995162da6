"""How a job is drilled, by its file and by what is asked for."""

from __future__ import annotations

import random

import pytest

from basics.spans import Span
from checking.drill import How, NoDrill, planned, stretch
from config import parse_config
from copying.restore.asked import EVER
from settings.keys import Job

GROUPS = [Span(n * 10, n * 10 + 10) for n in (5, 0, 1, 3, 4, 3)]


def job(destination: str, drill: str = "{}") -> Job:
    """A job with this destination."""
    options = f"{{backup_mode: incremental, drill: {drill}}}"
    return parse_config(
        f"source: {{url: 'http://live'}}\ndestination: {destination}\noptions: {options}", {}, "job.yaml"
    )


def test_an_archive_comes_before_the_server_beside_it() -> None:
    """The server that the job writes to gets the scratch databases, unless the file or somebody says another."""
    both = job("{url: 'http://mirror', archive: /a}", "{sample: 20%}")
    assert planned(both) == How("http://mirror", archive=True, share=0.2)
    assert planned(both, origin="server") == How("http://mirror", archive=False, share=0.2)
    assert planned(both, to="http://x:1", share=1.0) == How("http://x:1", archive=True, share=1.0)
    assert planned(job("{url: 'http://mirror'}", "{to: 'http://spare'}")).url == "http://spare"


def test_no_drill_is_at_the_source_unless_somebody_says_so() -> None:
    """People work there."""
    with pytest.raises(NoDrill, match="say which server may get scratch databases"):
        planned(job("{archive: /a}"))
    assert planned(job("{archive: /a}", "{to: 'http://live'}")).url == "http://live"


@pytest.mark.parametrize(
    ("origin", "destination"), [("archive", "{url: 'http://m'}"), ("server", "{archive: /a}")]
)
def test_what_the_job_does_not_have_cannot_be_drilled(origin: str, destination: str) -> None:
    """It is said which key is missing."""
    with pytest.raises(NoDrill, match=f"--from {origin}: the job names no destination"):
        planned(job(destination), origin=origin, to="http://x")


@pytest.mark.parametrize(
    ("share", "begin", "expected"),
    [
        (1.0, 0, EVER),
        (0.4, 0, Span(0, 20)),
        (0.4, 1, Span(10, 40)),
        (0.4, 3, Span(40, 60)),
        (0.01, 4, Span(50, 60)),
    ],
)
def test_a_share_is_a_stretch_of_shard_groups_at_least_one(share: float, begin: int, expected: Span) -> None:
    """Those that policies have in common count once; gaps between them are no time."""
    assert stretch(GROUPS, share, lambda _: begin) == expected


def test_every_group_is_chosen_some_time() -> None:
    """The first and the last, too."""
    random.seed(1)
    found = {stretch(GROUPS, 0.2) for _ in range(200)}
    assert found == set(GROUPS)
    assert stretch([], 0.2) == EVER
