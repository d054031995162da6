"""The marker of a restore, who else may be at it, and what a second command makes of it; in this process."""

from __future__ import annotations

import json
import os
import signal
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from basics.locks import FileLock
from config import Config
from copying import quarantine
from copying.restore.marker import Marker, described, in_folder
from main import main
from tests.integration.daemon import running, wait_until
from tests.integration.harness import MONDAY, WEEK, Pair, snapshot, write_job
from tests.support.proxy import Exchange, Proxy, forward, only, respond
from tests.support.servers import InfluxServer, free_port
from watching.web.client import NoDaemon, ask
from watching.web.server import Address, parse_address

pytestmark = pytest.mark.usefixtures("signals")


class Restores:
    """Restores the pair's job, and reads what is said."""

    def __init__(self, pair: Pair, said: pytest.CaptureFixture[str]) -> None:
        self.pair, self._said = pair, said
        self.sections: dict[str, Any] = {}

    @property
    def job(self) -> Path:
        """Its file."""
        return write_job(self.pair.directory, self.pair.config(self.sections))

    def __call__(self, *arguments: str, code: int) -> dict[str, Any]:
        """What comes of `restore --yes` and these, as a document; it has to end with this code."""
        self._said.readouterr()
        ended = main(["restore", "--config", str(self.job), "--yes", "--json", *arguments])
        said = self._said.readouterr()
        assert ended == code, said
        found: dict[str, Any] = json.loads(said.out)
        return found

    def refused(self, *arguments: str) -> str:
        """Why a restore does not begin."""
        return str(self(*arguments, code=2))

    @property
    def markers(self) -> list[Marker]:
        """What tells that a restore is not complete."""
        return list(in_folder(self.pair.directory / "quarantine" / ".restoring"))


@pytest.fixture
def restore(pair: Pair, capfd: pytest.CaptureFixture[str]) -> Restores:
    """With what the pair's job says."""
    return Restores(pair, capfd)


def values(server: InfluxServer, database: str, measurement: bytes) -> list[str]:
    """Those of a measurement, by their times."""
    points = snapshot(server, database).points
    return [str(points[key][1]) for key in sorted(points, key=lambda key: key[4]) if key[1] == measurement]


def half_lost(pair: Pair) -> None:
    """Of `m` only the first point is at the source, and that is wrong; what is there of `n` refuses the rest."""
    pair.write("\n".join(f"{name} v={i} {MONDAY + i * WEEK}" for name in "mn" for i in range(5)))
    assert pair.backup().failures == ()
    pair.source.query(f'DROP DATABASE "{pair.database}"; CREATE DATABASE "{pair.database}"')
    pair.source.write(f'm v=-1 {MONDAY}\nn v="text" {MONDAY + 1}', pair.database)


def heal(pair: Pair) -> None:
    """What refuses `n` is gone."""
    pair.source.query("DROP MEASUREMENT n", db=pair.database)


# ---------------------------------------------------------------- the marker


def test_a_restore_that_failed_leaves_a_marker_that_says_how_far_it_came(pair: Pair, restore: Restores) -> None:
    """However short it was; and each command counts anew."""
    half_lost(pair)
    begun = set[int]()
    for _ in range(2):
        restore("--existing", "overwrite", "--verify", "none", code=1)
        (marker,) = restore.markers
        begun.add(marker.begun)
        assert (marker.job, marker.target, marker.existing) == ("job", pair.source.url, "overwrite")
        assert (marker.values, marker.pid) == (10, os.getpid())
        assert f"{marker.written} values written, {marker.written * 10} %" in described(marker, marker.begun)
    assert (marker.written, len(begun)) == (4, 1)


def test_what_one_command_has_overwritten_the_next_does_not_write_again(pair: Pair, restore: Restores) -> None:
    """It goes on where the first one came to, measurement by measurement."""
    half_lost(pair)
    first = restore("--existing", "overwrite", "--verify", "none", code=1)
    assert (first["result"], first["written"]["points"]) == ("failed", 9)
    heal(pair)
    again = restore("--existing", "overwrite", code=0)
    assert (again["result"], again["written"]["points"], again["different"]) == ("restored", 5, 0)
    assert values(pair.source, pair.database, b"m") == ["0.0", "1.0", "2.0", "3.0", "4.0"]
    assert restore.markers == []


def test_what_was_passed_over_when_a_restore_filled_is_overwritten_afterwards(
    pair: Pair, restore: Restores
) -> None:
    """How far the first command came says nothing of values that it kept."""
    half_lost(pair)
    assert restore("--existing", "fill", code=1)["different"] == 1
    assert values(pair.source, pair.database, b"m") == ["-1.0", "1.0", "2.0", "3.0", "4.0"]
    heal(pair)
    restore("--existing", "overwrite", code=0)
    assert values(pair.source, pair.database, b"m") == ["0.0", "1.0", "2.0", "3.0", "4.0"]


def test_a_restore_that_nobody_would_know_of_does_not_begin(pair: Pair, restore: Restores) -> None:
    """Its marker cannot be written."""
    half_lost(pair)
    folder = pair.directory / "quarantine" / ".restoring"
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("")
    before = snapshot(pair.source, pair.database)
    said = restore.refused("--existing", "overwrite")
    assert f"{folder}/job." in said
    assert "cannot be written, and nobody would know of this: " in said
    assert snapshot(pair.source, pair.database) == before


@pytest.mark.parametrize("verify", ["quick", "full"])
def test_a_stop_while_both_sides_are_compared_is_no_verdict(verify: str, pair: Pair, restore: Restores) -> None:
    """All points are there, which nobody can know; the same command compares them."""
    pair.write("\n".join(f"m v={i} {MONDAY + i * WEEK}" for i in range(5)))
    assert pair.backup().failures == ()
    pair.source.drop_database(pair.database)
    main_thread = threading.main_thread().ident
    assert main_thread

    def stop(exchange: Exchange) -> None:
        signal.pthread_kill(main_thread, signal.SIGTERM)
        forward(exchange)

    with Proxy(pair.destination.url) as proxy:
        proxy.inject(only(lambda text: "sum(" in text, stop), "query")
        restore.sections = {"destination": {"url": proxy.url}}
        found = restore("--verify", verify, code=1)
        assert (found["result"], found["verification"], found["written"]["points"]) == ("stopped", None, 5)
        assert len(restore.markers) == 1
        assert restore("--verify", verify, code=0)["verification"]["result"] == "equal"
    assert restore.markers == []


def test_databases_that_the_backup_lacks_are_said_unless_others_are_asked_for(
    pair: Pair, restore: Restores
) -> None:
    """Each is in the plan, and the others come back."""
    pair.write(f"m v=1 {MONDAY}")
    assert pair.backup().failures == ()
    pair.source.drop_database(pair.database)
    restore.sections = {"source": {"databases": [{"name": pair.database}, {"name": "no such"}]}}
    note = "database no such of the job is not in the backup"
    assert note in str(restore("--dry-run", code=0)["plan"]["notes"])
    assert note not in str(restore("--dry-run", "--database", pair.database, code=0)["plan"]["notes"])
    assert restore(code=0)["result"] == "restored"


def test_a_restore_that_was_begun_needs_no_word_about_what_is_there(pair: Pair, restore: Restores) -> None:
    """What it brought before is what the target holds; that is compared, and the rest is brought."""
    pair.write("\n".join(f"{name} v={i} {MONDAY + i * WEEK}" for name in "mn" for i in range(5)))
    assert pair.backup().failures == ()
    pair.source.query(f'DROP DATABASE "{pair.database}"; CREATE DATABASE "{pair.database}"')
    with Proxy(pair.source.url) as proxy:
        refuse = respond(400, b'{"error":"partial write: no"}', "application/json")
        proxy.inject(only(lambda text: "n v=" in text, refuse), "write", count=None)
        restore.sections = {"source": {"url": proxy.url}}
        first = restore(code=1)
        proxy.heal()
        assert (first["result"], first["missing"]) == ("different", 5)
        assert len(restore.markers) == 1
        again = restore(code=0)
        assert (first["plan"]["goes_on"], again["plan"]["goes_on"]) == (False, True)
        assert (again["result"], again["written"]["points"]) == ("restored", 5)
    assert restore.markers == []
    assert values(pair.source, pair.database, b"n") == ["0.0", "1.0", "2.0", "3.0", "4.0"]


def test_passwords_come_from_a_file_or_into_one(pair: Pair, restore: Restores, tmp_path: Path) -> None:
    """One that cannot be read, or lacks a user, lets nothing begin; none is told where nobody came back."""
    user, given = f"u_{pair.database}", tmp_path / "given"
    pair.write(f"m v=1 {MONDAY}")
    pair.source.query(f"CREATE USER \"{user}\" WITH PASSWORD 'x'")
    restore.sections = {"options": {"metadata": ["policies", "users"]}}
    assert pair.backup(restore.sections).failures == ()
    pair.source.query(f'DROP USER "{user}"')
    kinds = ("--metadata", "policies,users")
    with InfluxServer.start("new") as new:
        target = ("--to", new.url, *kinds, "--passwords", str(given))
        assert "cannot be read" in restore.refused(*target)
        given.write_text(f"somebody: x\n{user}: secret\n")
        assert [pair.database] not in new.rows("SHOW DATABASES")
        done = restore(*target, code=0)
        assert (done["result"], done["passwords"]) == ("restored", None)
        assert [name for name, _ in new.rows("SHOW USERS")] == [user]
        new.query(f'DROP USER "{user}"')
        told = restore("--to", new.url, *kinds, "--existing", "fill", code=0)["passwords"]
        assert user in Path(told).read_text()
        assert restore("--to", new.url, "--existing", "fill", code=0)["passwords"] is None


# ---------------------------------------------------------------- who else is at it


def test_a_job_that_runs_keeps_others_from_filling_its_source_by_any_name(pair: Pair, restore: Restores) -> None:
    """Under another name it does no harm: the job does not read that."""
    half_lost(pair)
    config = Config(restore.job)
    elsewhere = pair.source.url.replace("127.0.0.1", "0.0.0.0")  # noqa: S104 -- the same server
    with FileLock(quarantine.lock_file(config.job, os.environ)) as lock:
        assert lock.share()
        for url in (pair.source.url, elsewhere):
            for more in ((), ("--dry-run",)):
                said = restore.refused("--existing", "fill", "--to", url, *more)
                assert "job 'job' runs now (main.py, or the daemon): it would copy the half-restored" in said
        new = f"{pair.database}_new"
        restore("--database", f"{pair.database}:{new}", code=0)
        assert len(values(pair.source, new, b"m")) == 5
        pair.source.drop_database(new)


def test_a_plan_keeps_no_run_waiting(pair: Pair, restore: Restores) -> None:
    """Only a restore that may begin holds the job's lock."""
    pair.write(f"m v=1 {MONDAY}")
    assert pair.backup().failures == ()
    pair.source.drop_database(pair.database)
    config = Config(restore.job)
    taken: list[bool] = []

    def take(exchange: Exchange) -> None:
        with FileLock(quarantine.lock_file(config.job, os.environ)) as lock:
            taken.append(lock.share())
        forward(exchange)

    with Proxy(pair.destination.url) as proxy:
        proxy.inject(only(lambda text: "LIMIT" in text, take), "query", count=None)
        restore.sections = {"destination": {"url": proxy.url}}
        assert restore("--dry-run", code=0)["result"] == "planned"
        assert taken
        assert all(taken)
        taken.clear()
        restore(code=0)
        assert taken
        assert not any(taken)


def _shows_next_run(page: Address) -> bool:
    """Its log tells of it a moment earlier."""
    with suppress(NoDaemon):
        return any(job["next_run"] for job in ask(page)["jobs"])
    return False


def test_a_daemon_elsewhere_that_runs_the_job_is_asked(
    pair: Pair, restore: Restores, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In another container, say: it holds no lock that is seen here."""
    half_lost(pair)
    times = {"options": {"incremental": {"schedule": "0 3 * * *"}}}
    elsewhere = {"options": {**times["options"], "quarantine_directory": str(tmp_path / "elsewhere")}}
    write_job(tmp_path / "jobs", pair.config(elsewhere))
    address = f"127.0.0.1:{free_port()}"
    with running(tmp_path / "jobs", tmp_path, "--http", address) as daemon:
        daemon.wait_for("next run")
        page = parse_address(address)
        wait_until(lambda: _shows_next_run(page), "the next run on the page", daemon)
        monkeypatch.setenv("BACKUP_HTTP", address)
        said = restore.refused("--existing", "fill")
        assert f"the daemon at http://{address} runs job 'job': it would copy the half-restored" in said
        restore.sections = {"destination": {"url": pair.destination.url.replace("127.0.0.1", "localhost")}}
        assert "daemon" not in str(restore("--existing", "fill", "--dry-run", code=0))
        monkeypatch.setenv("BACKUP_HTTP", "no address")
        restore.sections = {}
        heal(pair)
        restore("--existing", "overwrite", code=0)
