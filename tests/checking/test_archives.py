"""What came of looking at an archive, for the exit code, for people and for the daemon."""

from __future__ import annotations

import pytest

from checking.archives import Proof, as_event, unproved
from copying.archive.errors import ArchiveError, Damaged, NotThere, StoreFailed


@pytest.mark.parametrize(
    ("proof", "code", "word", "result", "detail"),
    [
        (Proof("a", snapshots=1), 0, "whole", "whole", ""),
        (Proof("a", damages=["x", "y"]), 1, "DAMAGED", "damaged", "x\ny"),
        (Proof("a", problems=["z"]), 2, "NOT CHECKED", "could not check", "z"),
        (Proof("a", damages=["x"], problems=["z"]), 1, "DAMAGED", "damaged", "x\nz"),
    ],
)
def test_damage_outweighs_what_could_not_be_looked_at(
    proof: Proof, code: int, word: str, result: str, detail: str
) -> None:
    """Everywhere in the same way."""
    event = as_event(proof, 7)
    assert (proof.code, proof.word) == (code, word)
    assert (event.job, event.at, event.result, event.detail) == ("a", 7, result, detail)


def test_the_daemon_hears_all_numbers() -> None:
    """Each in its place."""
    event = as_event(Proof("a", snapshots=1, files=2, of=3, bytes=4, points=5, seconds=6.0), 7)
    numbers = (event.snapshots, event.files, event.of, event.bytes, event.points, event.seconds)
    assert numbers == (1, 2, 3, 4, 5, 6.0)
    assert not event.is_complete


@pytest.mark.parametrize(
    ("error", "code"), [(Damaged("x"), 1), (NotThere("x"), 1), (StoreFailed("x"), 2), (ArchiveError("x"), 2)]
)
def test_an_archive_that_cannot_be_opened_is_damaged_only_where_something_is_missing(
    error: ArchiveError, code: int
) -> None:
    """A store that does not answer proves nothing."""
    assert unproved("a", error).code == code
