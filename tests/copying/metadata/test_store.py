"""Saved metadata on the disk: a version for each content, none of which is ever changed."""

import hashlib
import json
from pathlib import Path

import pytest

from basics.times import SECOND
from copying.metadata import snapshot, statements, store
from copying.metadata.snapshot import SavedMetadata
from influx.entries import ContinuousQuery, Grant, Subscription, User
from influx.influxql import Policy

NOW = 1_790_000_000 * SECOND
HOUR = 3600 * SECOND
QUERY = ContinuousQuery("q", "CREATE CONTINUOUS QUERY q ON db BEGIN SELECT mean(v) INTO db.p.m FROM db.p.n END")
NAME = "a'\"\\\n\U0001f600\udcff"
WHOLE = SavedMetadata(
    "db",
    (Policy("p", 0, 24 * HOUR, is_default=True), Policy(NAME, 361_800 * SECOND, HOUR + 1, is_default=False)),
    (QUERY,),
    (User(NAME, is_admin=False), User("boss", is_admin=True)),
    (Grant(NAME, "db", "READ"),),
    (Subscription("p", NAME, "ALL", ("http://one:1", "udp://two:2")),),
)


def files(folder: Path) -> dict[str, bytes]:
    """All that is there."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_everything_comes_back(tmp_path: Path) -> None:
    """Names with quotes, newlines and stray bytes, and durations to the nanosecond."""
    store.save(tmp_path, "job", WHOLE, NOW)
    assert store.load(tmp_path, "job", "db") == WHOLE


def test_the_same_content_is_one_version_and_another_one_a_new_one(tmp_path: Path) -> None:
    """What was saved before stays as it was; content that comes back is a version again."""
    other = SavedMetadata("db", WHOLE.policies, ())
    folder = store.directory_of(tmp_path, "job", "db")
    assert store.newest_file(folder) is None
    saved = [store.save(tmp_path, "job", content, NOW) for content in (WHOLE, WHOLE, other, other)]
    before = files(tmp_path)
    saved.append(store.save(tmp_path, "job", WHOLE, NOW - 5 * SECOND))
    assert [version.is_new for version in saved] == [True, False, True, False, True]
    assert [version.file.name[:21] for version in saved] == [
        "0001-20260921T141320Z",
        "0001-20260921T141320Z",
        "0002-20260921T141320Z",
        "0002-20260921T141320Z",
        "0003-20260921T141315Z",
    ]
    assert before.items() < files(tmp_path).items()
    assert len(files(tmp_path)) == 6
    assert store.newest_file(folder) == saved[-1].file
    assert store.load(tmp_path, "job", "db") == WHOLE


def test_what_the_newest_version_lacks_comes_from_an_older_one(tmp_path: Path) -> None:
    """A right that was taken away does not hide what was saved before."""
    store.save(tmp_path, "job", WHOLE, NOW)
    store.save(tmp_path, "job", SavedMetadata("db", (), None, (User("new", is_admin=False),)), NOW)
    assert store.load(tmp_path, "job", "db") == SavedMetadata(
        "db", (), (QUERY,), (User("new", is_admin=False),), WHOLE.grants, WHOLE.subscriptions
    )


def test_jobs_and_databases_are_apart_whatever_they_are_called(tmp_path: Path) -> None:
    """No name leads out of the directory."""
    names = ["db", "..", "a/b", "a.b", "x" * 300, "x" * 299 + "y", "\udcff"]
    for name in names:
        store.save(tmp_path / "metadata", "job", SavedMetadata(name, queries=(QUERY,)), NOW)
    for name in names:
        assert store.load(tmp_path / "metadata", "job", name).database == name
    assert len(list((tmp_path / "metadata" / "job").iterdir())) == len(names)
    assert [path.name for path in tmp_path.iterdir()] == ["metadata"]


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    """Names of users and addresses of subscriptions are nobody else's business."""
    file = store.save(tmp_path, "job", WHOLE, NOW).file
    assert {path.stat().st_mode & 0o777 for path in file.parent.iterdir()} == {0o600}


def test_a_damaged_version_is_named_and_a_run_saves_another_one(tmp_path: Path) -> None:
    """It is never taken for what was saved."""
    file = store.save(tmp_path, "job", WHOLE, NOW).file
    file.write_bytes(file.read_bytes().replace(b"READ", b"ALL "))
    with pytest.raises(store.Damaged, match=file.name):
        store.load(tmp_path, "job", "db")
    assert store.save(tmp_path, "job", WHOLE, NOW).is_new
    assert store.load(tmp_path, "job", "db") == WHOLE


@pytest.mark.parametrize("number", [0, 2])
def test_a_version_of_another_program_is_named(number: int, tmp_path: Path) -> None:
    """Though it is whole; it is not passed over for an older one."""
    older = store.save(tmp_path, "job", WHOLE, NOW).file
    content = older.read_bytes().replace(b'"format": 1', b'"format": %d' % number)
    later = older.with_name(f"0002-20260921T141320Z-{hashlib.sha256(content).hexdigest()[:12]}.json")
    later.write_bytes(content)
    with pytest.raises(store.Damaged, match=f"{later.name}: it has the format {number}"):
        store.load(tmp_path, "job", "db")


def test_what_was_cut_off_is_no_version(tmp_path: Path) -> None:
    """Neither statements without their document, nor files that are on their way."""
    file = store.save(tmp_path, "job", WHOLE, NOW).file
    file.unlink()
    (file.parent / f".{file.name}.1.new").write_bytes(b"{")
    with pytest.raises(store.NothingSaved, match="no metadata of db is saved"):
        store.load(tmp_path, "job", "db")
    assert store.save(tmp_path, "job", WHOLE, NOW).file == file


def test_a_document_of_a_later_format_is_not_guessed_at() -> None:
    """Its number says so."""
    document = json.loads(snapshot.as_bytes(WHOLE)) | {"format": 2}
    with pytest.raises(snapshot.Unreadable, match="format 2"):
        snapshot.from_bytes(json.dumps(document).encode())


@pytest.mark.parametrize(
    "changed",
    [
        "{",
        "7",
        "[]",
        "{}",
        {"database": None, "policies": 7},
        {"queries": ["text"]},
        {"policies": [{"name": "p", "duration": "often", "shard_duration": "1h", "default": True}]},
        {"policies": [{"name": "p", "duration": 7, "shard_duration": "1h", "default": True}]},
        {"users": {"name": "u"}},
        {"subscriptions": [{"policy": "p"}]},
    ],
)
def test_a_document_that_is_none_of_ours_is_refused(changed: str | dict[str, object]) -> None:
    """Whatever it is."""
    document = json.loads(snapshot.as_bytes(WHOLE))
    text = changed if isinstance(changed, str) else json.dumps(document | changed)
    with pytest.raises(snapshot.Unreadable, match="it is no saved metadata"):
        snapshot.from_bytes(text.encode())


def test_the_document_is_the_same_in_every_version_of_the_program() -> None:
    """Another form of the same contents would be another version of it in each database of each job."""
    document = (
        '{\n  "format": 1,\n  "database": "d\\udcff",\n'
        '  "policies": [\n    {\n      "name": "p",\n      "duration": "86400s",\n'
        '      "shard_duration": "3600s",\n'
        '      "default": true\n    }\n  ],\n  "queries": null,\n  "users": [],\n  "grants": null,\n'
        '  "subscriptions": null\n}\n'
    )
    saved = SavedMetadata("d\udcff", (Policy("p", 24 * HOUR, HOUR, is_default=True),), users=())
    assert snapshot.as_bytes(saved).decode() == document
    assert snapshot.from_bytes(document.encode()) == saved


def test_how_many_there_are_is_said_in_words() -> None:
    """One, or several."""
    said = [snapshot.amount(kind, number) for kind in ("policies", "queries", "users") for number in (1, 2, 0)]
    assert said == [
        *("1 retention policy", "2 retention policies", "0 retention policies"),
        *("1 continuous query", "2 continuous queries", "0 continuous queries"),
        *("1 user", "2 users", "0 users"),
    ]
    assert snapshot.amount("grants", 1200) == "1,200 grants"


def test_the_statements_say_what_was_not_saved() -> None:
    """A database without a default policy of its own gets that of the server."""
    policies = (Policy("a", 0, HOUR, is_default=False),)
    lines = statements.script(SavedMetadata("d\n", policies, (), None, None, ())).splitlines()
    assert lines[0].startswith("-- Database d\\n, without its points. ")
    assert lines[2:] == [
        "-- Not saved: users, grants.",
        'CREATE DATABASE "d\\n";',
        'CREATE RETENTION POLICY "a" ON "d\\n" DURATION 0s REPLICATION 1 SHARD DURATION 3600s;',
    ]


def test_the_statements_say_the_same_and_no_password() -> None:
    """Each in one line, and users as comments: nobody knows their passwords."""
    lines = statements.script(WHOLE).splitlines()
    assert [line.split(" ")[:3] for line in lines[2:]] == [
        ["CREATE", "DATABASE", '"db"'],
        ["CREATE", "RETENTION", "POLICY"],
        ["CREATE", "CONTINUOUS", "QUERY"],
        ["CREATE", "SUBSCRIPTION", lines[5].split(" ")[2]],
        ["--", "No", "server"],
        ["--", "CREATE", "USER"],
        ["--", "CREATE", "USER"],
        ["GRANT", "READ", "ON"],
    ]


@pytest.mark.parametrize(
    ("configured", "quarantines", "logs", "expected"),
    [
        ("m", "q", "l", "m"),
        (None, "q", "l", "q/metadata"),
        (None, None, "l", "l/metadata"),
        (None, None, None, "e/metadata"),
    ],
)
def test_the_directory_is_beside_the_quarantine(
    configured: str | None, quarantines: str | None, logs: str | None, expected: str
) -> None:
    """Which is on the volume of a container."""
    one, two, three = (Path(path) if path else None for path in (configured, quarantines, logs))
    assert store.choose_directory(one, two, three, {"BACKUP_QUARANTINE_DIR": "e"}) == Path(expected)
