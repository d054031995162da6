"""Archives in an object store: the same as in a folder, on a real store that speaks S3."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from copying.archive.buckets import Bucket
from copying.archive.errors import AlreadyThere, NotThere, StoreFailed
from tests.integration.archives import Archived
from tests.integration.harness import MONDAY, WEEK, Pair
from tests.integration.test_archive import hourly
from tests.support.versitygw import BUCKET, ObjectStore, object_store


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """A store, and its keys in the environment."""
    with object_store(tmp_path) as found:
        for name, value in found.environ.items():
            monkeypatch.setenv(name, value)
        yield found


class InBucket(Archived):
    """An archive in the bucket, and the folder that the store keeps it in."""

    def __init__(self, pair: Pair, store: ObjectStore) -> None:
        super().__init__(pair)
        self.folder = store.objects / "a" / "b"
        self.place = f"s3://{BUCKET}/a/b"


@pytest.fixture
def archived(pair: Pair, store: ObjectStore) -> InBucket:
    """The pair's source with an archive in the bucket."""
    return InBucket(pair, store)


@pytest.mark.usefixtures("store")
def test_an_object_is_created_once_read_listed_and_removed() -> None:
    """Like a file."""
    bucket = Bucket(f"s3://{BUCKET}/some/prefix")
    bucket.create("data/x", b"one")
    with pytest.raises(AlreadyThere):
        bucket.create("data/x", b"two")
    assert bucket.read("data/x") == b"one"
    bucket.refresh("data/x", b"one")
    (stored,) = bucket.list("data/")
    assert (stored.key, stored.size) == ("data/x", 3)
    assert stored.written > 10**18
    bucket.delete("data/x")
    bucket.delete("data/x")
    assert list(bucket.list("data/")) == []
    with pytest.raises(NotThere, match="data/x is not there"):
        bucket.read("data/x")


@pytest.mark.usefixtures("store")
def test_a_bucket_that_is_missing_and_wrong_keys_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the object and what the store says."""
    with pytest.raises(StoreFailed, match="there is no such bucket; create it"):
        Bucket("s3://nobucket/none").create("none/x", b"1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StoreFailed, match="cannot write x"):
        Bucket(f"s3://{BUCKET}/p").create("x", b"1")


def test_snapshots_restores_and_prunes_as_in_a_folder(archived: InBucket) -> None:
    """Two snapshots, of which the second takes over what nobody wrote to."""
    archived.pair.write(hourly())
    archived.taken()
    archived.pair.write(f"cpu,host=late v=1 {MONDAY + WEEK + 5}")
    result = archived.run()
    assert result.snapshot
    assert (result.failures, result.snapshot.new_files) == ((), 1)
    assert archived.json("archive", "verify")["result"] == "whole"
    archived.assert_restored()
    archived.job({"archive": {"keep": {"last": 1}, "grace": "1ns"}})
    done = archived.json("archive", "prune", "--yes")
    assert (len(done["removed"]), done["files"]) == (1, 1)
    assert len(archived.json("archive", "list")["snapshots"]) == 1


def test_an_object_that_is_lost_is_named_and_written_again(archived: InBucket) -> None:
    """The run goes on."""
    archived.pair.write(hourly())
    archived.taken()
    lost = archived.files()[0]
    lost.unlink()
    proof = archived.json("archive", "verify", code=1)
    assert lost.name in json.dumps(proof["damages"])
    result = archived.run()
    assert result.failures == ()
    assert [text for text in result.cautions if lost.name in text]
    assert archived.json("archive", "verify")["result"] == "whole"


def test_a_store_that_is_gone_fails_the_run_and_the_next_one_goes_on(
    archived: InBucket, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is published."""
    from datetime import timedelta

    from copying.archive import buckets

    monkeypatch.setattr(buckets, "PATIENCE", timedelta(seconds=2))
    archived.pair.write(hourly())
    store.stop()
    (failure,) = archived.run().failures
    assert f"archive s3://{BUCKET}/a/b: cannot read archive.json" in failure
    store.start()
    archived.taken()
    archived.assert_restored()
