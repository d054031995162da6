"""An object store by its library: one in memory, one in a folder, and one that breaks every connection."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from copying.archive import buckets
from copying.archive.buckets import Bucket
from copying.archive.errors import AlreadyThere, NotThere, StoreFailed
from copying.archive.places import open_store
from tests.support.servers import free_port


def test_an_object_is_created_once_read_listed_and_removed() -> None:
    """Like a file."""
    bucket = open_store("memory:///")
    assert isinstance(bucket, Bucket)
    for number in range(3):
        bucket.create(f"data/{number}", b"one")
    bucket.create("other", b"x")
    with pytest.raises(AlreadyThere, match="archive memory:///: data/1 is there already"):
        bucket.create("data/1", b"two")
    assert bucket.read("data/1") == b"one"
    bucket.refresh("data/1", b"three")
    found = sorted(bucket.list("data/"), key=lambda stored: stored.key)
    assert [(stored.key, stored.size) for stored in found] == [("data/0", 3), ("data/1", 5), ("data/2", 3)]
    assert all(0 <= time.time_ns() - stored.written < 3600 * 10**9 for stored in found)
    bucket.delete("data/1")
    bucket.delete("data/1")
    assert [stored.key for stored in bucket.list("data/")] == ["data/0", "data/2"]
    with pytest.raises(NotThere, match="archive memory:///: data/1 is not there"):
        bucket.read("data/1")


def test_what_a_store_does_not_do_is_said_once(tmp_path: Path) -> None:
    """With the object and what it was asked to do."""
    bucket = Bucket(f"file://{tmp_path}")
    bucket.create("a", b"one")
    for failing in (bucket.create, bucket.refresh):
        with pytest.raises(StoreFailed, match=f"archive file://{tmp_path}: cannot write a/b: "):
            failing("a/b", b"x")
    with pytest.raises(StoreFailed, match=f"archive file://{tmp_path}/none: "):
        Bucket(f"file://{tmp_path}/none")


@contextmanager
def breaking(port: int) -> Iterator[list[int]]:
    """A server that takes each request, and resets its connection before it answers; when each of them came."""
    came: list[int] = []
    with socket.create_server(("127.0.0.1", port)) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(1 << 16)
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    came.append(time.monotonic_ns())

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield came
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def test_a_write_whose_connection_broke_is_made_again_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library repeats no write that may have been carried out; ours can be, for it is made once."""
    port = free_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    for name in ("REGION", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "any")
    monkeypatch.setattr(buckets, "PATIENCE", timedelta(seconds=1))
    monkeypatch.setattr(buckets, "PAUSE", 0.05)
    with breaking(port) as came:
        with pytest.raises(StoreFailed, match=f"cannot write data/x: http://127.0.0.1:{port}: "):
            Bucket("s3://bucket").create("data/x", b"one")
        assert len(came) > 2
