"""Archives in an object store: the same as in a folder, on a real store that speaks S3."""

import json
import random
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from basics.stopping import StopRequest
from checking.archives import Proof, verified
from config import Config
from copying.archive import buckets, manifest
from copying.archive.buckets import Bucket
from copying.archive.errors import AlreadyThere, NotThere
from main import main
from tests.faults.harness import lines
from tests.integration.archives import Archived
from tests.integration.harness import MONDAY, WEEK, Pair, run_main, snapshot
from tests.integration.test_archive import hourly
from tests.support.archive_reader import read_snapshot
from tests.support.proxy import Action, Proxy, before, delay, reset_request, reset_response, respond
from tests.support.reader import difference
from tests.support.servers import InfluxServer
from tests.support.versitygw import BUCKET, ObjectStore, object_store

PLACE = f"s3://{BUCKET}/a/b"
NOTHING = "; nothing is published, and the next run goes on"
KEYS = "; correct the keys in the environment, or what they allow"


@pytest.fixture(scope="module")
def source() -> Iterator[InfluxServer]:
    """One version: what differs between versions never reaches the store."""
    with InfluxServer.start("source", version="1.8.10") as server:
        yield server


@pytest.fixture(scope="module")
def destination() -> Iterator[InfluxServer]:
    """The server that is restored to."""
    with InfluxServer.start("destination", version="1.8.10") as server:
        yield server


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
        self.place = PLACE

    def write_many(self) -> None:
        """Points that make 21 files: seven shard groups of an hour, three measurements."""
        pair = self.pair
        pair.source.query(f'CREATE DATABASE "{pair.database}" WITH SHARD DURATION 1h')
        pair.write(lines(420))

    def proof(self) -> Proof:
        """Of all that is there."""
        config = Config(self.pair.directory / "job.yaml")
        return verified(config, 1.0, with_source=False, stopping=StopRequest())

    def failure(self) -> str:
        """Why a run fails, which has one reason and publishes nothing."""
        before_ = self.snapshots()
        (found,) = self.run().failures
        assert self.snapshots() == before_
        return found

    def assert_equal(self) -> None:
        """The newest snapshot holds what the source does, by a reader of its own; and the tool says so."""
        held = read_snapshot(self.folder, self.snapshots()[-1], self.pair.database)
        assert not difference(snapshot(self.pair.source, self.pair.database), held, names=("source", "archive"))
        assert self.proof().word == "whole"


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


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        (
            "AWS_SECRET_ACCESS_KEY",
            "wrong",
            "403 Forbidden, SignatureDoesNotMatch: The request signature we calculated does not match the "
            f"signature you provided. Check your key and signing method{KEYS}",
        ),
        (
            "AWS_ACCESS_KEY_ID",
            "nobody",
            f"404 Not Found, XAdminUserNotFound: No user exists with the provided access key ID{KEYS}",
        ),
    ],
)
def test_wrong_keys_are_named(
    variable: str, value: str, said: str, archived: InBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what the store says; nothing is published, and with the right ones the next run goes on."""
    archived.pair.write(hourly())
    with monkeypatch.context() as wrong:
        wrong.setenv(variable, value)
        assert archived.failure() == f"archive {PLACE}: cannot read archive.json: {said}{NOTHING}"
        shown = archived.json("archive", "verify", code=2)
        assert shown["problem"] == f"archive {PLACE}: cannot read archive.json: {said}"
    archived.taken()
    archived.assert_equal()


def test_a_bucket_that_is_missing_is_named(archived: InBucket) -> None:
    """Nobody makes it by the way."""
    archived.pair.write(hourly())
    archived.place = "s3://nobucket/a"
    said = "archive s3://nobucket/a: cannot read archive.json: there is no such bucket; create it"
    assert archived.failure() == f"{said}{NOTHING}"
    assert archived.json("archive", "list", code=2)["problem"] == said


def test_files_that_are_lost_cut_or_changed_are_named_and_written_again(archived: InBucket) -> None:
    """Lost and cut ones the next run sees in the list of the store; changed ones `verify` and `restore` see."""
    archived.pair.write(hourly())
    archived.taken()
    lost, cut, changed = archived.files()
    names = [f"archive {PLACE}: {path.relative_to(archived.folder)}" for path in (lost, cut, changed)]
    whole, content = cut.stat().st_size, changed.read_bytes()
    lost.unlink()
    cut.write_bytes(cut.read_bytes()[:-1])
    changed.write_bytes(content[:50] + bytes([content[50] ^ 1]) + content[51:])
    checksum = (
        "bytes do not have the checksum that its name is; delete it, and the next run writes what it held again, "
        "if the source"
    )
    assert archived.json("archive", "verify", code=1)["damages"] == [
        f"{names[0]} is missing",
        f"{names[1]} is damaged: its {whole - 1:,} {checksum} still has it",
        f"{names[2]} is damaged: its {len(content):,} {checksum} still has it",
    ]
    refused = archived.main("restore", "--from", "archive", "--yes", "--to", archived.pair.destination.url, code=2)
    assert names[0] in refused.stderr
    result = archived.run()
    assert result.failures == ()
    assert {
        f"{names[0]} is missing; what it held is read again",
        f"{names[1]} has {whole - 1:,} bytes, not {whole:,}; it is written again",
    } <= {*result.cautions}  # the changed one is seen, too, if chance looks at its shard group
    changed.unlink()
    archived.taken()
    archived.assert_equal()
    archived.assert_restored()


def test_a_newer_format_is_refused_and_left_alone(archived: InBucket) -> None:
    """Another version of this tool has written it: a snapshot, or all of the archive."""
    archived.pair.write(hourly(weeks=1))
    archived.taken()
    for kind, file in (("snapshot", archived.snapshots()[0]), ("archive", archived.folder / "archive.json")):
        body = json.loads(file.read_bytes())[kind]
        file.write_bytes(manifest.sealed(kind, {**body, "format": 2}))
        said = f"{file.relative_to(archived.folder)} has format 2, and this version knows 1: update this tool"
        assert archived.failure() == f"archive {PLACE}: {said}"


def test_a_clock_that_goes_backwards_publishes_nothing(archived: InBucket) -> None:
    """Its snapshot would not be the newest one."""
    archived.pair.write(hourly(weeks=1))
    name = archived.taken()
    (file,) = archived.snapshots()
    file.rename(file.with_name(f"2126{name[4:]}.json"))
    said = f"archive {PLACE}: snapshots/job/2126{name[4:]}.json was taken at a later time than this machine shows"
    assert re.fullmatch(rf"{re.escape(said)} \(.*Z\): correct the clock; nothing is published", archived.failure())


def test_two_writers_cannot_hurt_each_other(archived: InBucket) -> None:
    """Both publish, of the same files."""
    archived.write_many()
    job = archived.job()
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: run_main("run", "--once", "--config", job), range(2)))
    assert [each.returncode for each in done] == [0, 0], done
    assert (len(archived.snapshots()), len(archived.files())) == (2, 21)
    archived.assert_equal()


# ---------------------------------------------------------------- a store in trouble


@pytest.fixture
def proxy(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Between the tool and the store."""
    with Proxy(store.environ["AWS_ENDPOINT_URL"]) as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL", found.url)
        yield found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests are given up soon."""
    monkeypatch.setattr(buckets, "PATIENCE", timedelta(seconds=1))


@pytest.mark.parametrize(
    "act",
    [
        respond(500, b"<Error><Code>InternalError</Code></Error>"),
        respond(503, b"<Error><Code>SlowDown</Code></Error>", carried_out=True),
        reset_request(0.5),
        reset_response(0),
    ],
    ids=["error", "error after it was done", "reset on the way", "reset after it was done"],
)
def test_a_store_that_fails_a_twentieth_of_its_requests_costs_time_only(
    act: Action, archived: InBucket, proxy: Proxy
) -> None:
    """Taking, verifying, restoring and pruning; it is all there, and once."""
    archived.write_many()
    fault = proxy.inject(act, count=None, share=0.05, seed=random.Random(5).randrange(2**32))
    archived.taken()
    archived.pair.write(f"m0,host=late v=1 {MONDAY + 5}")
    result = archived.run()
    assert result.snapshot
    assert (result.failures, result.cautions, result.snapshot.new_files) == ((), (), 1)
    archived.assert_equal()
    archived.assert_restored()
    archived.job({"archive": {"keep": {"last": 1}, "grace": "1ns"}})
    archived.main("archive", "prune", "--yes")
    assert (len(archived.snapshots()), len(archived.files())) == (1, 21)
    archived.assert_equal()
    assert fault.injected > 3


def test_a_slow_store_is_waited_for(archived: InBucket, proxy: Proxy) -> None:
    """A fifth of a second each way."""
    archived.pair.write(hourly())
    proxy.inject(delay(0.2, 0.2), count=None)
    archived.taken()
    archived.assert_equal()
    archived.assert_restored()


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("number", [1, 9, 40])
def test_a_store_that_is_gone_while_a_snapshot_is_taken(
    number: int, archived: InBucket, store: ObjectStore, proxy: Proxy
) -> None:
    """The run ends soon, names what it could not do, and publishes nothing; the next one goes on."""
    archived.write_many()
    proxy.inject(before(store.stop), first=number)
    begun = time.monotonic()
    said = archived.failure()
    assert re.fullmatch(rf"archive {PLACE}: cannot (read|write) \S+\.(json|parquet): .+{NOTHING}", said), said
    assert time.monotonic() - begun < 60, "each file has waited for the store"
    store.start()
    proxy.heal()
    archived.taken()
    archived.assert_equal()


@pytest.mark.usefixtures("impatient")
def test_a_store_that_is_gone_while_it_is_verified(archived: InBucket, store: ObjectStore, proxy: Proxy) -> None:
    """What was found so far is told, and that the rest was not looked at."""
    archived.write_many()
    archived.taken()
    first, *_ = archived.files()
    first.write_bytes(b"x" * first.stat().st_size)
    proxy.inject(before(store.stop), first=9)
    proof = archived.proof()
    assert (proof.word, proof.code, len(proof.damages)) == ("DAMAGED", 1, 1)
    (problem,) = proof.problems
    assert re.fullmatch(
        rf"archive {PLACE}: cannot read data/\S+\.parquet: .+; {proof.of - proof.files} files not looked at",
        problem,
    )
    assert 0 < proof.files < proof.of == 21


@pytest.mark.usefixtures("impatient")
def test_a_store_that_is_gone_while_it_is_restored(archived: InBucket, store: ObjectStore, proxy: Proxy) -> None:
    """Some points are there; the same command brings the others when the store is back."""
    archived.write_many()
    archived.taken()
    job, target = archived.pair.directory / "job.yaml", archived.pair.destination
    proxy.inject(before(store.stop), first=3 + 21 + 9)  # about, snapshots, one of them, all files, some files
    assert main(["restore", "--from", "archive", "--yes", "--to", target.url, "--config", str(job)]) == 1
    store.start()
    proxy.heal()
    archived.assert_restored("--existing", "fill")


def test_an_answer_that_is_no_list_is_no_reason_to_remove_anything(archived: InBucket, proxy: Proxy) -> None:
    """A login page looks like an empty list: then no snapshot needs any file."""
    archived.pair.write(hourly())
    archived.taken()
    archived.job({"archive": {"keep": {"last": 1}, "grace": "1ns"}})
    proxy.inject(respond(200, b"<html>Please log in.</html>"), BUCKET, first=1)  # requests to the bucket are lists
    said = archived.main("archive", "prune", "--yes", code=2).stdout
    assert f"FAILED job: archive {PLACE} holds no snapshot of job 'job'; nothing is removed" in said
    archived.assert_equal()
