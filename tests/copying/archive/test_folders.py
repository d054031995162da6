"""A folder as a store: what is created stays as it is, and only where there was nothing."""

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from copying.archive.errors import AlreadyThere, NotThere, StoreFailed
from copying.archive.folders import Folder


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """An archive that is not made yet."""
    return Folder(tmp_path / "archive")


def test_an_object_is_created_read_listed_and_removed(folder: Folder, tmp_path: Path) -> None:
    """Folders that are empty go with it; nothing is left beside it."""
    folder.create("data/a/x", b"one")
    folder.create("data/b", b"two")
    assert folder.read("data/a/x") == b"one"
    assert sorted((s.key, s.size) for s in folder.list("data/")) == [("data/a/x", 3), ("data/b", 3)]
    assert list(folder.list("none/")) == []
    folder.delete("data/a/x")
    folder.delete("data/a/x")
    assert [p.name for p in (tmp_path / "archive" / "data").iterdir()] == ["b"]
    with pytest.raises(NotThere, match="data/a/x is not there"):
        folder.read("data/a/x")


def test_an_archive_whose_last_object_goes_is_still_there(folder: Folder, tmp_path: Path) -> None:
    """Or it would be taken for a mount that is missing; folders that hold something stay as well."""
    folder.create("data/a/x", b"one")
    folder.create("data/a/y", b"two")
    folder.delete("data/a/x")
    assert [stored.key for stored in folder.list("data/")] == ["data/a/y"]
    folder.delete("data/a/y")
    assert list((tmp_path / "archive").iterdir()) == []


def test_where_a_file_system_has_no_links_files_are_renamed(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is left beside them."""

    def link(*_: object) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    folder.create("d/x", b"one")
    with pytest.raises(AlreadyThere):
        folder.create("d/x", b"two")
    assert folder.read("d/x") == b"one"
    assert len(list((tmp_path / "archive" / "d").iterdir())) == 1


def test_whoever_was_faster_is_not_overwritten(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else made it after this one had looked whether it is there."""
    folder.create("d/x", b"one")
    monkeypatch.setattr(Path, "exists", lambda _: False)
    with pytest.raises(AlreadyThere, match="d/x is there already"):
        folder.create("d/x", b"two")
    assert folder.read("d/x") == b"one"
    assert len(list((tmp_path / "archive" / "d").iterdir())) == 1


def test_what_goes_while_it_is_listed_hides_nothing(folder: Folder, tmp_path: Path) -> None:
    """A file that was removed after its name was read: here one whose name leads nowhere."""
    folder.create("data/a", b"one")
    folder.create("data/c", b"two")
    (tmp_path / "archive" / "data" / "b").symlink_to(tmp_path / "nowhere")
    assert [stored.key for stored in folder.list("data/")] == ["data/a", "data/c"]


def test_no_file_stays_open(folder: Folder) -> None:
    """A snapshot has very many of them."""
    folder.create("first/x", b"one")
    before = len([*Path("/proc/self/fd").iterdir()])
    for number in range(20):
        folder.create(f"data/{number}/x", b"one")
    assert len([*Path("/proc/self/fd").iterdir()]) < before + 20


def test_nothing_is_overwritten(folder: Folder) -> None:
    """Whoever is second is told so."""
    folder.create("x", b"one")
    with pytest.raises(AlreadyThere):
        folder.create("x", b"two")
    assert folder.read("x") == b"one"


def test_of_many_writers_one_wins(folder: Folder) -> None:
    """All at once."""
    results: list[str] = []

    def write(number: int) -> None:
        try:
            folder.create("d/x", str(number).encode() * 1000)
            results.append(str(number))
        except AlreadyThere:
            results.append("late")

    threads = [threading.Thread(target=write, args=(number,)) for number in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = [result for result in results if result != "late"]
    assert folder.read("d/x") == winner.encode() * 1000
    assert len(list(folder.list("d/"))) == 1


def test_an_object_that_is_refreshed_counts_as_new(folder: Folder, tmp_path: Path) -> None:
    """Prune looks at that."""
    folder.create("x/y", b"1")
    os.utime(tmp_path / "archive" / "x" / "y", (0, 0))
    folder.refresh("x/y", b"1")
    (stored,) = folder.list("x/")
    assert stored.written > 10**18


def test_a_folder_whose_parent_is_missing_is_no_place(tmp_path: Path) -> None:
    """A disk that is not mounted must not be taken for an empty archive."""
    with pytest.raises(StoreFailed, match="create it, or mount it"):
        Folder(tmp_path / "mount" / "archive").create("x", b"1")
    assert not (tmp_path / "mount").exists()


def test_errors_of_the_system_name_the_object(tmp_path: Path) -> None:
    """A file stands where a folder should be."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreFailed, match=r"cannot write x: Not a directory"):
        Folder(tmp_path / "file").create("x", b"1")


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path) -> None:
    """By a limit for the size of files: the error names the object."""
    code = (
        "import resource, signal, sys\n"
        "from copying.archive.folders import Folder\n"
        "from copying.archive.errors import StoreFailed\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "try:\n    Folder(sys.argv[1]).create('d/x', b'1' * 5000)\n"
        "except StoreFailed as error:\n    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a")],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert "cannot write d/x: File too large" in done.stdout
    assert list((tmp_path / "a" / "d").iterdir()) == []


def test_an_object_is_on_the_disk_before_it_has_its_name(tmp_path: Path) -> None:
    """File, link, folder: as the system sees it."""
    code = "import sys; from copying.archive.folders import Folder; Folder(sys.argv[1]).create('d/x', b'12345')"
    script = (
        "import os, sys\n"
        "for name in ('fsync', 'link'):\n"
        "    def spy(*a, _real=getattr(os, name), _name=name, **k):\n"
        "        print(_name); return _real(*a, **k)\n"
        "    setattr(os, name, spy)\n" + code
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a")],
        capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3],
    )  # fmt: skip
    assert done.stdout.split() == ["fsync", "fsync", "fsync", "link", "fsync"]  # two folders, the file, its name
