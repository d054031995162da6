"""What an archive does with the files that are handed to it."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from copying.archive import parquet
from copying.archive.contents import Archive
from copying.archive.errors import Damaged
from copying.archive.folders import Folder
from copying.archive.manifest import DataFile
from tests.copying.archive.samples import points

KEY = "data/db/p/0_1/m/x.parquet"


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """One that is just made."""
    archive = Archive(Folder(tmp_path / "archive"))
    archive.begin("job", time.time_ns())
    return archive


def a_file() -> tuple[DataFile, bytes]:
    """A file, and what is said of it."""
    frame = parquet.sort_by_series(points(10))
    content = parquet.encode(frame)
    return parquet.described(frame, content), content


def test_a_file_that_is_written_again_counts_as_new(archive: Archive, tmp_path: Path) -> None:
    """No snapshot names it yet, and one that prunes must not take it for forgotten."""
    file, content = a_file()
    archive.put(KEY, file, content)
    path = tmp_path / "archive" / KEY
    os.utime(path, (1, 1))
    archive.put(KEY, file, content)
    assert time.time() - path.stat().st_mtime < 3600
    assert archive.warnings == []


def test_a_damaged_file_is_written_again(archive: Archive, tmp_path: Path) -> None:
    """And that is told."""
    file, content = a_file()
    archive.put(KEY, file, content)
    path = tmp_path / "archive" / KEY
    path.write_bytes(content[:-1] + b"x")
    with pytest.raises(Damaged, match="is damaged"):
        archive.read(KEY, file)
    archive.put(KEY, file, content)
    assert archive.read(KEY, file) == content
    assert len(archive.warnings) == 1
    assert archive.warnings[0].endswith("; it is written again")


def test_the_size_of_an_archive_counts_what_was_there_and_what_was_written(archive: Archive) -> None:
    """Each file once."""
    file, content = a_file()
    assert archive.size == 0
    for _ in range(2):
        archive.put(KEY, file, content)
    assert archive.size == len(content)
    archive.begin("job", time.time_ns())
    assert archive.size == len(content)


def test_a_file_that_is_not_there_or_of_another_size_is_told(archive: Archive) -> None:
    """Either is read again."""
    file, content = a_file()
    assert not archive.has(KEY, file.bytes)
    archive.put(KEY, file, content)
    assert archive.has(KEY, file.bytes)
    assert not archive.has(KEY, file.bytes + 1)
    assert [warning.rpartition("; ")[2] for warning in archive.warnings] == [
        "what it held is read again",
        "it is written again",
    ]
