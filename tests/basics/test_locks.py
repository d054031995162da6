"""Locks on files: one alone, or many."""

from pathlib import Path

from basics.locks import FileLock


def test_many_share_what_one_holds_alone(tmp_path: Path) -> None:
    """And whoever lets it go makes room."""
    file = tmp_path / "new" / "lock"
    with FileLock(file) as one, FileLock(file) as other:
        assert one.share()
        assert other.share()
        assert not other.take()
        assert other.share()
        one.release()
        assert other.take()
        assert not one.share()
        with FileLock(file) as third:
            assert not third.take()
    with FileLock(file) as again:
        assert again.take()


def test_where_no_file_can_be_made_nobody_is_kept_out(tmp_path: Path) -> None:
    """A backup must not end for that."""
    (tmp_path / "file").write_text("")
    with FileLock(tmp_path / "file" / "lock") as lock:
        assert lock.share()
        assert lock.take()
