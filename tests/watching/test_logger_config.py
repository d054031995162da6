"""Logs: one line per message wherever it goes; no log destination ever stops or delays a backup."""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import logger_config
from basics.text import SEVERAL_LINES
from config import ConfigError, Problem
from logger_config import LogDirectoryError, set_console, setup_logging
from settings.keys import LogRotation, Loki
from tests.support import waiting
from watching import loki

log = logging.getLogger("backup")
ROOT = Path(__file__).parents[2]
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG  |INFO   |WARNING|ERROR  ) \[[^]]+\] .+")
NO_ROTATION = LogRotation(enabled=False)
HELD = 300.0
"""For how many seconds a Loki that hangs keeps a request, if nobody releases it."""


# ---------------------------------------------------------------- a Loki that keeps to its documentation


@dataclass(frozen=True)
class Entry:
    """One line as Loki got it."""

    labels: dict[str, str]
    time: int
    text: str


@dataclass
class Recorder:
    """A server on loopback that answers pushes, and writes down what it got and what was wrong with it."""

    port: int = 0
    status: int = 204
    body: bytes = b""
    seconds: float = 0.0
    hanging: bool = False
    ordered: bool = True
    accepts: Callable[[Entry], bool] = lambda _entry: True
    entries: list[Entry] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    requests: int = 0
    first_failing: int = 0
    released: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.latest: dict[str, int] = {}
        self.server = _Server(("127.0.0.1", self.port), _Handler)
        self.server.recorder = self
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """End it: connections are refused from now on."""
        self.released.set()
        self.server.shutdown()
        self.server.hang_up()
        self.server.server_close()
        self.thread.join()

    @property
    def loki(self) -> Loki:
        """The configuration that leads to it."""
        return loki_at(self.port)

    @property
    def texts(self) -> list[str]:
        """What the lines say."""
        return [entry.text for entry in self.entries]

    def answer(self, method: str, path: str, content_type: str, body: bytes) -> tuple[int, bytes]:
        """Check a request against the documentation, and keep its lines if that is what is wanted."""
        self.requests += 1
        if self.hanging:
            self.released.wait(HELD)
        time.sleep(self.seconds)
        if self.requests <= self.first_failing:
            return 503, b""
        if self.status != 204:
            return self.status, self.body
        try:
            if (method, path, content_type) != ("POST", "/loki/api/v1/push", "application/json"):
                raise ValueError(f"{method} {path} {content_type}")
            entries = read_push(json.loads(body))
            for entry in entries:
                self._check_order(entry)
        except (ValueError, TypeError, KeyError) as error:
            self.problems.append(repr(error))
            return 400, str(error).encode()
        if not all(map(self.accepts, entries)):
            return 400, b"entry too far behind"
        self.entries += entries
        return 204, b""

    def _check_order(self, entry: Entry) -> None:
        stream = json.dumps(entry.labels, sort_keys=True)
        if self.ordered and entry.time < self.latest.get(stream, 0):
            raise ValueError(f"out of order: {entry}")
        self.latest[stream] = entry.time


def read_push(body: dict[str, list[dict[str, object]]]) -> list[Entry]:
    """The lines of a push. Raises ValueError, TypeError or KeyError for what Loki does not document."""
    entries = []
    if body.keys() != {"streams"} or not body["streams"]:
        raise ValueError(f"keys {list(body)}")
    for stream in body["streams"]:
        labels, values = stream["stream"], stream["values"]
        if stream.keys() != {"stream", "values"} or not isinstance(labels, dict) or not isinstance(values, list):
            raise ValueError(f"stream {stream}")
        if not 1 <= len(labels) <= 15 or not values:
            raise ValueError(f"{len(labels)} labels, {len(values)} values")
        for name, value in labels.items():
            if not re.fullmatch("[a-zA-Z_][a-zA-Z0-9_]*", name) or not isinstance(value, str) or not value:
                raise ValueError(f"label {name}={value!r}")
        for stamp, text in values:
            if not isinstance(stamp, str) or not re.fullmatch("[0-9]{19}", stamp) or not isinstance(text, str):
                raise ValueError(f"value {stamp!r}, {text!r}")
            entries.append(Entry(labels, int(stamp), text))
    return entries


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    recorder: Recorder

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._connections: list[socket.socket] = []
        super().__init__(address, handler)

    def get_request(self) -> tuple[socket.socket, object]:
        """Remember each connection."""
        connection, address = super().get_request()
        self._connections.append(connection)
        return connection, address

    def hang_up(self) -> None:
        """End them all; a process that ends does that."""
        for connection in self._connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        """Any push."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        recorder = self.server.recorder
        status, text = recorder.answer(self.command, self.path, self.headers["Content-Type"], body)
        try:
            self.send_response(status)
            if status != 204:
                self.send_header("Content-Length", str(len(text)))
                self.send_header("Location", "/login")  # of a proxy that redirects
            self.end_headers()
            self.wfile.write(text)
        except OSError:
            self.close_connection = True  # the client no longer waits

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
        """Nothing."""


def loki_at(port: int, **tags: str) -> Loki:
    """A configuration."""
    return Loki(enabled=True, url="http://127.0.0.1", port=port, tags=tags)


@pytest.fixture
def server() -> Iterator[Recorder]:
    """A Loki that works."""
    recorder = Recorder()
    yield recorder
    recorder.stop()


@pytest.fixture(autouse=True)
def _own_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A root logger that is as before afterwards, and a Loki queue that is tried again at once."""
    monkeypatch.setattr(loki, "LOKI_RETRY", 0.05)
    monkeypatch.setattr(loki, "LOKI_LONGEST_RETRY", 0.1)
    root = logging.getLogger()
    levels = {name: logging.getLogger(name).level for name in ("", *logger_config.OTHERS)}
    yield
    monkeypatch.setattr(loki, "LOKI_FLUSH", 0.1)
    for handler in own_handlers():
        root.removeHandler(handler)
        if not isinstance(handler, logging.FileHandler) or handler.stream is not None:
            handler.close()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def own_handlers() -> list[logging.Handler]:
    """The handlers that `setup_logging` added to the root logger."""
    return [h for h in logging.getLogger().handlers if type(h).__module__ in ("logger_config", "watching.loki")]


def wait_until(happens: Callable[[], object]) -> None:
    """Give something in another thread its time."""
    waiting.wait_until(happens, "it", pause=0.01)


class Stderr:
    """All that went to standard error up to now."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self._text = ""

    @property
    def lines(self) -> list[str]:
        """Its lines."""
        self._text += self._capsys.readouterr().err
        return self._text.splitlines()

    def about(self, text: str) -> list[str]:
        """Those of its lines in which the text occurs."""
        return [line for line in self.lines if text in line]


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str]) -> Stderr:
    """What an operator sees."""
    return Stderr(capsys)


# ---------------------------------------------------------------- console


def test_a_line_has_the_time_in_utc_the_level_the_job_and_the_message(stderr: Stderr) -> None:
    """That is all, and the same in the console and in the file."""
    setup_logging("prod")
    record = logging.makeLogRecord({"msg": "copied %d points", "args": (7,), "levelno": 20, "levelname": "INFO"})
    record.created, record.msecs = 1_767_225_600.25, 250.0
    logging.getLogger().handle(record)
    assert stderr.lines == ["2026-01-01T00:00:00.250Z INFO    [prod] copied 7 points"]


def test_setting_up_again_changes_and_does_not_double(stderr: Stderr, server: Recorder, tmp_path: Path) -> None:
    """Whatever it was set up for before: each line comes once, and only where it now belongs."""
    for job in ("a", "b", "c"):
        setup_logging(job, directory=tmp_path, rotation=LogRotation(), loki=server.loki)
    assert len(own_handlers()) == 3
    log.info("once")
    assert stderr.about("once") == [line for line in stderr.lines if "[c]" in line]
    wait_until(lambda: server.entries)
    assert server.texts == ["once"]
    assert [f.stat().st_size > 0 for f in sorted(tmp_path.glob("*/*.log"))] == [False, False, True]
    setup_logging("d")
    assert [type(h).__name__ for h in own_handlers()] == ["_Console"]
    assert not [t for t in threading.enumerate() if t.name == "loki"]


def test_handlers_of_others_stay(stderr: Stderr) -> None:
    """Only our own are replaced."""
    other = logging.NullHandler()
    logging.getLogger().addHandler(other)
    setup_logging("a")
    setup_logging("b")
    assert other in logging.getLogger().handlers
    logging.getLogger().removeHandler(other)
    assert stderr.lines == []


@pytest.mark.parametrize("character", ["\n", "\r", "\x1b", "\x00", "\x85", "\u2028", "\u202e"])
def test_a_message_cannot_forge_a_second_line(character: str, stderr: Stderr, tmp_path: Path) -> None:
    """Names that servers send are shown with their control characters escaped, in the console and in files."""
    setup_logging("a", directory=tmp_path)
    log.warning("measurement %s", f"x{character}2026-01-01T00:00:00.000Z INFO    [a] all is well")
    (line,) = stderr.lines
    assert character not in line
    assert LINE.fullmatch(line)
    assert (tmp_path / "a/a.log").read_text() == line + "\n"


def test_a_text_of_several_lines_keeps_them_and_each_is_plain(stderr: Stderr) -> None:
    """The problems of a file stand one below the other, below one time."""
    setup_logging("main")
    problem = ConfigError(
        "a.yaml", [Problem("x", "bad\x1b[2J"), Problem("y", "2026-01-01T00:00:00Z\nERROR forged")]
    )
    logging.getLogger().error("%s", problem, extra=SEVERAL_LINES)
    first, *below = stderr.lines
    assert first.endswith("ERROR   [main] a.yaml: 2 problems")
    assert below == ["  x: bad\\x1b[2J", "  y: 2026-01-01T00:00:00Z\\nERROR forged"]


def test_a_text_of_several_lines_is_one_object_of_json(stderr: Stderr) -> None:
    """Whose message holds the line ends."""
    setup_logging("main", log_format="json")
    logging.getLogger().error("%s", "a.yaml: 1 problem\n  x: bad", extra=SEVERAL_LINES)
    (line,) = stderr.lines
    assert json.loads(line)["message"] == "a.yaml: 1 problem\n  x: bad"


def test_an_exceptions_text_cannot_forge_a_line(stderr: Stderr) -> None:
    """Tracebacks keep their lines, but none of them begins where ours begin."""
    setup_logging("a")
    try:
        raise ValueError("x\n2026-01-01T00:00:00.000Z INFO    [a] all is well\x1b[2J")
    except ValueError:
        log.exception("failed")
    first, *rest = stderr.lines
    assert LINE.fullmatch(first)
    assert all(line.startswith("    ") and line.isprintable() for line in rest)
    assert "    2026-01-01T00:00:00.000Z INFO    [a] all is well\\x1b[2J" in rest


@pytest.mark.parametrize("job", ["100%", "%(message)s", "{job}", "a\nb", "日本"])
def test_a_jobs_name_is_only_a_name(job: str, stderr: Stderr, tmp_path: Path) -> None:
    """No character of it is a part of the format."""
    setup_logging(job, directory=tmp_path)
    log.info("hello")
    shown = job.replace("\n", "\\n")
    assert [line.split(" INFO    ")[1] for line in stderr.lines] == [f"[{shown}] hello"]
    assert (tmp_path / job / f"{job}.log").exists()


def test_the_level_is_as_configured_and_other_packages_are_quiet(stderr: Stderr) -> None:
    """Even at DEBUG: their connections and wake-ups are not the backup's story."""
    setup_logging("a", "DEBUG")
    log.debug("ours")
    logging.getLogger("urllib3.connectionpool").warning("theirs")
    logging.getLogger("apscheduler.executors.default").info("theirs")
    logging.getLogger("apscheduler.executors.default").warning("theirs, but it matters")
    assert [line.split("[a] ")[1] for line in stderr.lines] == ["ours", "theirs, but it matters"]
    setup_logging("a", "ERROR")
    log.warning("too small")
    assert len(stderr.lines) == 2


@pytest.fixture
def console() -> Iterator[None]:
    """Whatever a test does with the console ends with it."""
    yield
    set_console(least=logging.NOTSET)


@pytest.mark.usefixtures("console")
def test_the_console_may_show_less_than_the_file(stderr: Stderr, tmp_path: Path) -> None:
    """For `--quiet`; before and after the logging of a job is set up."""
    setup_logging("a")
    set_console(least=logging.WARNING)
    log.info("one")
    setup_logging("a", directory=tmp_path)
    log.info("two")
    log.warning("three")
    assert [line.split()[-1] for line in stderr.lines] == ["three"]
    assert [line.split()[-1] for line in (tmp_path / "a" / "a.log").read_text().splitlines()] == ["two", "three"]


@pytest.mark.usefixtures("console")
def test_lines_may_have_another_way_to_the_terminal(stderr: Stderr) -> None:
    """Whole, with time and job; where that way is closed they come to standard error."""
    routed: list[str] = []

    def route(text: str) -> None:
        if text.endswith("closed"):
            raise BlockingIOError
        routed.append(text)

    setup_logging("a")
    set_console(route=route)
    log.info("open")
    log.info("closed")
    set_console()
    log.info("over")
    (line,) = routed
    assert line.endswith("[a] open")
    assert [line.split()[-1] for line in stderr.lines] == ["closed", "over"]


def test_a_broken_console_stops_nothing(stderr: Stderr, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The file still gets the lines, and there is no traceback for each that the console does not take."""
    with suppress(OSError), Path("/dev/full").open("w") as full:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", full)
            setup_logging("a", directory=tmp_path)
        log.info("one")
        log.info("two")
    assert len((tmp_path / "a/a.log").read_text().splitlines()) == 2
    assert stderr.lines == []


# ---------------------------------------------------------------- file


@pytest.mark.parametrize("rotation", [None, NO_ROTATION, LogRotation()])
def test_the_file_holds_what_the_console_shows(
    rotation: LogRotation | None, stderr: Stderr, tmp_path: Path
) -> None:
    """In <directory>/<job>/<job>.log, whose folders are made, in UTF-8."""
    setup_logging("prod", directory=tmp_path / "deep" / "logs", rotation=rotation)
    log.info("naïve 🙂 日本")
    log.error("surrogate \udc80")
    file = tmp_path / "deep/logs/prod/prod.log"
    assert file.read_text(encoding="utf-8").splitlines() == stderr.lines
    assert "🙂 日本" in stderr.lines[0]


def test_a_file_goes_on_where_the_last_process_ended(stderr: Stderr, tmp_path: Path) -> None:
    """Nothing is overwritten, and a line that a power cut left unfinished does not swallow the next."""
    (tmp_path / "a").mkdir()
    file = tmp_path / "a/a.log"
    file.write_text("earlier\nunfini")
    setup_logging("a", directory=tmp_path)
    log.info("later")
    setup_logging("a", directory=tmp_path)
    log.info("latest")
    assert file.read_text().splitlines() == ["earlier", "unfini", *stderr.lines]


def test_a_file_is_rotated_and_only_as_many_old_ones_stay_as_configured(tmp_path: Path) -> None:
    """A new file each second, in real time; the old ones are named by their time in UTC."""
    setup_logging("a", directory=tmp_path, rotation=LogRotation(when="S", interval=1, backup_count=2))
    seen: set[str] = set()
    count = 0
    while len(seen) < 5:  # four old ones, of which two stay, and the present one
        log.info("line %d", count)
        seen.update(file.name for file in (tmp_path / "a").iterdir())
        count += 1
        time.sleep(0.05)
    old = sorted(f.name for f in (tmp_path / "a").iterdir())
    assert len(old) == 3
    assert old[0] == "a.log"
    assert all(re.fullmatch(r"a\.log\.\d{4}-\d\d-\d\d_\d\d-\d\d-\d\d", name) for name in old[1:])
    assert old[1][6:16] in {time.strftime("%Y-%m-%d", time.gmtime(time.time() - s)) for s in (0, 10)}
    kept = "".join((tmp_path / "a" / name).read_text() for name in [*old[1:], old[0]]).splitlines()
    numbers = [int(line.rpartition(" ")[2]) for line in kept]
    assert numbers == list(range(numbers[0], count))


def test_all_old_files_stay_with_a_count_of_zero(tmp_path: Path) -> None:
    """The meaning that TimedRotatingFileHandler gives it."""
    setup_logging("a", directory=tmp_path, rotation=LogRotation(when="S", interval=1, backup_count=0))
    for number in range(4):
        log.info("line %d", number)
        time.sleep(1.05)
    assert len(list((tmp_path / "a").iterdir())) >= 4


def test_a_file_is_not_rotated_when_rotation_is_off(tmp_path: Path) -> None:
    """Whatever the interval says."""
    rotation = LogRotation(enabled=False, when="S", interval=1)
    setup_logging("a", directory=tmp_path, rotation=rotation)
    log.info("one")
    time.sleep(2.1)
    log.info("two")
    assert [f.name for f in (tmp_path / "a").iterdir()] == ["a.log"]
    assert len((tmp_path / "a/a.log").read_text().splitlines()) == 2


def test_the_configured_rotation_reaches_the_handler(tmp_path: Path) -> None:
    """Unit, interval and count as in the file, midnight in UTC."""
    rotation = LogRotation(when="W6", interval=2, backup_count=5)
    setup_logging("a", directory=tmp_path, rotation=rotation)
    handler = own_handlers()[1]
    assert vars(handler) | {"when": "W6", "dayOfWeek": 6, "backupCount": 5, "utc": True} == vars(handler)
    assert vars(handler)["interval"] == 2 * 7 * 86_400


def test_a_file_that_cannot_be_rotated_grows_on(
    stderr: Stderr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one warning; when renaming works again, rotation does too."""
    attempts = []

    def refuse(*names: object) -> None:
        attempts.append(names)
        raise PermissionError(13, "Permission denied")

    setup_logging("a", directory=tmp_path, rotation=LogRotation(when="S", interval=1))
    begun = time.monotonic()
    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refuse)
        for number in range(30):
            log.info("line %d", number)
            time.sleep(0.1)
    assert 2 <= len(attempts) <= 2 + time.monotonic() - begun
    assert len(stderr.about("cannot rotate")) == 1
    assert sorted((tmp_path / "a/a.log").read_text().splitlines()) == sorted(stderr.lines)
    time.sleep(1)
    log.info("rotated")
    assert len(list((tmp_path / "a").iterdir())) == 2
    assert len((tmp_path / "a/a.log").read_text().splitlines()) == 1


@pytest.mark.parametrize("blocked", ["logs", "logs/prod", "logs/prod/prod.log"])
def test_an_unusable_directory_is_an_error_that_says_what_to_do(
    blocked: str, stderr: Stderr, tmp_path: Path
) -> None:
    """Before anything is copied: which directory, why, and the remedy. The console works."""
    path = tmp_path / blocked
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir() if blocked.endswith(".log") else path.write_text("a file")
    with pytest.raises(LogDirectoryError) as caught:
        setup_logging("prod", directory=tmp_path / "logs")
    message = str(caught.value)
    assert f"log directory {tmp_path / 'logs'}: cannot write {path}" in message
    assert re.search(r"\((Not a directory|File exists|Is a directory)\)", message)
    assert "options.log_directory" in message
    log.info("still here")
    assert len(stderr.about("still here")) == 1


@pytest.mark.parametrize("rotation", [NO_ROTATION, LogRotation()])
def test_a_directory_without_permission_is_an_error(rotation: LogRotation, tmp_path: Path) -> None:
    """The message names the user who would need it."""
    tmp_path.chmod(0o555)
    me = os.geteuid()
    if me == 0:
        os.seteuid(65534)  # no permission stops root
    try:
        with pytest.raises(LogDirectoryError, match=r"Permission denied.*user \d+ may write"):
            setup_logging("prod", directory=tmp_path, rotation=rotation)
    finally:
        os.seteuid(me)
        tmp_path.chmod(0o755)


def test_a_read_only_file_system_is_an_error() -> None:
    """Also for root, whom no permission stops: /proc takes no folders."""
    with pytest.raises(LogDirectoryError, match="log directory /proc/nowhere: cannot write /proc/nowhere"):
        setup_logging("prod", directory=Path("/proc/nowhere"))


def test_a_folder_that_takes_no_new_files_cannot_rotate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is noticed at the start, although the existing file can be written; without rotation that is enough."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    setup_logging("prod", directory=tmp_path, rotation=NO_ROTATION)
    with pytest.raises(LogDirectoryError, match=r"cannot write .*prod \(Permission denied\)"):
        setup_logging("prod", directory=tmp_path, rotation=LogRotation())


@pytest.mark.parametrize("job", ["..", ".", "", "../../etc", "a/b", "/etc", "a\\b", "a\0b", "x" * 300])
def test_a_jobs_name_cannot_leave_the_directory(job: str, tmp_path: Path) -> None:
    """It would write elsewhere, or over another job's file."""
    directory = tmp_path / "logs"
    with pytest.raises(LogDirectoryError, match=re.escape(f"log directory {directory}: ")):
        setup_logging(job, directory=directory)
    assert [f for f in tmp_path.rglob("*") if f.is_file()] == []


@pytest.mark.parametrize("rotation", [NO_ROTATION, LogRotation(when="S", interval=1)])
def test_a_full_disk_costs_one_warning_and_the_file_comes_back(
    rotation: LogRotation, stderr: Stderr, tmp_path: Path
) -> None:
    """Logging goes on in the console, without a traceback; later one line says how much is missing."""
    (tmp_path / "a").mkdir()
    file = tmp_path / "a/a.log"
    file.symlink_to("/dev/full")
    setup_logging("a", directory=tmp_path, rotation=rotation)
    for number in range(100):
        log.info("line %d", number)
    assert len(stderr.about("line ")) == 100
    (warning,) = stderr.about("cannot write")
    assert f"cannot write {file} (No space left on device)" in warning
    assert all(map(LINE.fullmatch, stderr.lines))
    file.unlink()
    log.info("room again")
    assert len(stderr.about("101 lines are missing from it")) == 1
    log.info("and on")
    assert file.read_text().splitlines() == stderr.lines[-3:]


def test_a_folder_that_disappears_stops_nothing(stderr: Stderr, tmp_path: Path) -> None:
    """Opening the file again fails then, which must not reach whoever logs."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a/a.log").symlink_to("/dev/full")
    setup_logging("a", directory=tmp_path)
    log.info("one")
    (tmp_path / "a/a.log").unlink()
    (tmp_path / "a").rmdir()
    log.info("two")
    log.info("three")
    assert len(stderr.about("cannot write")) == 1
    assert all(map(LINE.fullmatch, stderr.lines))
    (tmp_path / "a").mkdir()
    log.info("four")
    assert len(stderr.about("4 lines are missing")) == 1


# ---------------------------------------------------------------- JSON


def test_a_json_line_has_time_level_job_logger_and_message(stderr: Stderr) -> None:
    """That is all; the time is the one of a text line."""
    setup_logging("prod", log_format="json")
    record = logging.makeLogRecord(
        {"name": "backup", "msg": "copied %d points", "args": (7,), "levelno": 20, "levelname": "INFO"}
    )
    record.created, record.msecs = 1_767_225_600.25, 250.0
    logging.getLogger().handle(record)
    assert [json.loads(line) for line in stderr.lines] == [
        {
            "time": "2026-01-01T00:00:00.250Z",
            "level": "info",
            "job": "prod",
            "logger": "backup",
            "message": "copied 7 points",
        }
    ]


@pytest.mark.parametrize(
    "text", ['"quotes" \\', "a\nb\r\u2028c\x85d", "\x00\x1b[31m", "é 日本 \U0001f600", "\udc80"]
)
def test_whatever_a_message_holds_it_is_one_line_of_json_and_arrives_whole(
    text: str, stderr: Stderr, tmp_path: Path
) -> None:
    """In the console and in the file, which then hold the same; a lone surrogate, too."""
    setup_logging('pr"od%s', directory=tmp_path, log_format="json")
    log.warning("name %s", text)
    (line,) = stderr.lines
    assert json.loads(line)["message"] == f"name {text}"
    assert json.loads(line)["job"] == 'pr"od%s'
    assert (tmp_path / 'pr"od%s' / 'pr"od%s.log').read_text() == line + "\n"


def test_a_traceback_is_a_part_of_its_json_line(stderr: Stderr) -> None:
    """With its own line ends inside the text."""
    setup_logging("prod", log_format="json")
    try:
        raise ValueError("one\ntwo")
    except ValueError:
        log.exception("it broke")
    (line,) = stderr.lines
    found = json.loads(line)
    assert (found["level"], found["message"]) == ("error", "it broke")
    assert found["traceback"].startswith("Traceback (most recent call last):\n")
    assert found["traceback"].endswith("ValueError: one\ntwo")


def test_loki_gets_plain_text_whatever_the_format(server: Recorder) -> None:
    """Its lines have level, job and logger as labels already."""
    setup_logging("prod", loki=server.loki, log_format="json")
    log.info("copied %d points", 7)
    wait_until(lambda: server.entries)
    assert server.texts == ["copied 7 points"]


# ---------------------------------------------------------------- Loki


def test_lines_reach_loki_with_few_labels_and_their_own_time(server: Recorder) -> None:
    """The tags, job, level and logger; nothing that grows without bound."""
    setup_logging("prod", loki=loki_at(server.port, site="home", empty=""))
    before = time.time_ns()
    log.warning("one", extra={"tags": {"point": "17"}})
    logging.getLogger("influx_client").info("two")
    after = time.time_ns()
    wait_until(lambda: len(server.entries) == 2)
    labels = {"site": "home", "job": "prod"}
    assert [e.labels for e in server.entries] == [
        labels | {"level": "warning", "logger": "backup"},
        labels | {"level": "info", "logger": "influx_client"},
    ]
    assert all(before - 1000 <= e.time <= after + 1000 for e in server.entries)
    assert server.texts == ["one", "two"]
    assert server.problems == []


def test_a_line_is_stamped_when_it_is_logged_not_when_it_is_sent(server: Recorder) -> None:
    """Loki may be seconds behind."""
    server.seconds = 0.3
    setup_logging("a", loki=server.loki)
    begun = time.time_ns()
    for number in range(3):
        log.info("line %d", number)
    logged = time.time_ns()
    wait_until(lambda: len(server.entries) == 3)
    assert time.time_ns() - begun > 2.5 * 10**8
    assert all(begun - 1000 <= e.time <= logged + 1000 for e in server.entries)


def test_emoji_quotes_and_tracebacks_survive(server: Recorder) -> None:
    """A traceback is one entry with its lines; control characters of a message are escaped as everywhere."""
    setup_logging("a", loki=server.loki)
    log.info('🙂 "quoted" \\ back\nslash \udc80')
    try:
        raise ValueError("🙂\nnext")
    except ValueError:
        log.exception("failed")
    wait_until(lambda: len(server.entries) == 2)
    assert server.texts[0] == '🙂 "quoted" \\ back\\nslash \\udc80'
    assert server.texts[1].startswith("failed\n    Traceback (most recent call last):\n")
    assert server.texts[1].endswith("ValueError: 🙂\n    next")
    assert server.problems == []


def test_a_configured_job_label_wins_and_level_and_logger_do_not_change(server: Recorder) -> None:
    """Who names a job in the tags means it."""
    setup_logging("prod", loki=loki_at(server.port, job="backups", level="x", logger="y"))
    log.info("one")
    wait_until(lambda: server.entries)
    assert server.entries[0].labels == {"job": "backups", "level": "info", "logger": "backup"}


def test_more_tags_than_loki_takes_are_left_out_and_named(server: Recorder, stderr: Stderr) -> None:
    """Otherwise Loki would refuse every single line."""
    setup_logging("prod", loki=loki_at(server.port, **{f"tag_{n:02}": "x" for n in range(20)}))
    log.info("one")
    wait_until(lambda: server.entries)
    assert len(server.entries[0].labels) == 15
    assert len(stderr.about("left out: tag_12, tag_13, ")) == 1


def test_all_lines_arrive_once_and_in_order(server: Recorder) -> None:
    """In many requests, from several threads, each stream's times rising."""
    setup_logging("a", loki=server.loki)

    def work(worker: int) -> None:
        for number in range(500):
            log.info("%d %d", worker, number)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wait_until(lambda: len(server.entries) >= 2000)
    for worker in range(4):
        own = [int(text.split()[1]) for text in server.texts if text.startswith(f"{worker} ")]
        assert own == list(range(500))
    times = [e.time for e in server.entries]
    assert times == sorted(set(times))
    assert server.problems == []
    assert server.requests < 500


def test_a_clock_that_is_set_back_is_believed(server: Recorder) -> None:
    """Small steps back, as between threads, are evened out: Loki takes equal times of equal lines for one."""
    server.ordered = False
    setup_logging("a", loki=server.loki)
    start = 1_767_225_600.0
    for created in (start, start, start - 0.001, start - 3600, start):
        record = log.makeRecord("backup", logging.INFO, __file__, 1, "same", (), None)
        record.created = created
        log.handle(record)
    wait_until(lambda: len(server.entries) == 5)
    assert [e.time - int(start) * 10**9 for e in server.entries] == [0, 1, 2, -3600 * 10**9, 0]
    assert server.problems == []


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request to Loki may last for as long as one is held: whoever waits for it waits for minutes."""
    monkeypatch.setattr(loki, "LOKI_TIMEOUT", 2 * HELD)


@pytest.mark.usefixtures("patient")
def test_a_hanging_loki_never_delays_and_the_queue_is_bounded(server: Recorder, stderr: Stderr) -> None:
    """10,000 lines go by while it holds one request; half of them wait, the others are counted as dropped."""
    server.hanging = True
    setup_logging("a", loki=server.loki)
    begun = time.monotonic()
    for number in range(10_000):
        log.debug("not logged")
        log.info("line %d", number)
    assert time.monotonic() - begun < HELD / 2  # nearly all of it the console's
    assert len(stderr.about("line ")) == 10_000
    server.hanging = False
    server.released.set()
    wait_until(lambda: stderr.about("takes log lines again"))
    assert len(server.entries) == loki.LOKI_QUEUE
    assert server.texts == [f"line {n}" for n in range(5000)]
    assert len(stderr.about("again; 5000 were dropped")) == 1


@pytest.mark.usefixtures("patient")
def test_putting_10000_lines_before_a_hanging_loki_takes_no_time(server: Recorder) -> None:
    """The queue alone, without the console's share."""
    server.hanging = True
    setup_logging("a", loki=server.loki)
    handler = own_handlers()[1]
    record = logging.makeLogRecord({"msg": "x" * 100, "levelno": 20, "levelname": "INFO", "name": "backup"})
    begun, computing = time.monotonic(), time.thread_time()
    for _ in range(10_000):
        handler.handle(record)
    assert time.thread_time() - computing < 4
    assert time.monotonic() - begun < HELD / 2


def test_a_very_long_line_is_cut_for_loki(server: Recorder) -> None:
    """So that the queue's memory is bounded, and a request stays below Loki's limit."""
    setup_logging("a", loki=server.loki)
    log.info("x" * 100_000)
    wait_until(lambda: server.entries)
    assert server.texts == ["x" * loki.LOKI_LINE]


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (500, b"", "HTTP 500"),
        (429, b"rate\nlimit", r"HTTP 429: rate\nlimit"),
        (404, b"", "HTTP 404"),
        (301, b"", "HTTP 301"),
    ],
)
def test_a_refusing_loki_costs_one_warning_and_one_line_when_it_takes_lines_again(
    status: int, body: bytes, reason: str, server: Recorder, stderr: Stderr
) -> None:
    """Nothing is lost as long as the queue has room, and nothing comes twice or out of order."""
    server.status, server.body = status, body
    setup_logging("a", loki=server.loki)
    for number in range(500):
        log.info("line %d", number)
    wait_until(lambda: server.requests >= 6)
    (warning,) = stderr.about("Loki")
    assert f"http://127.0.0.1:{server.port}/loki/api/v1/push does not take log lines ({reason})" in warning
    assert stderr.about("again") == []
    server.status = 204
    wait_until(lambda: stderr.about("takes log lines again; 0 were dropped"))
    assert len(stderr.about("Loki")) == 2
    assert server.texts == [f"line {n}" for n in range(500)]
    assert all(map(LINE.fullmatch, stderr.lines))


def test_an_absent_loki_is_found_when_it_comes(
    stderr: Stderr, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Connection refused: one warning, in the file too; what did not fit is counted."""
    monkeypatch.setattr(loki, "LOKI_QUEUE", 300)
    gone = Recorder()
    gone.stop()
    setup_logging("a", "DEBUG", directory=tmp_path, loki=gone.loki)
    for number in range(1000):
        log.info("line %d", number)
    wait_until(lambda: stderr.about("does not take log lines"))
    time.sleep(0.5)
    assert "(Connection refused)" in stderr.about("Loki")[0].replace("[Errno 111] ", "")
    assert len(stderr.lines) == 1001
    back = Recorder(gone.port)
    wait_until(lambda: stderr.about("takes log lines again; 700 were dropped"))
    wait_until(lambda: sorted((tmp_path / "a/a.log").read_text().splitlines()) == sorted(stderr.lines))
    assert len(stderr.lines) == 1002
    assert back.texts == [f"line {n}" for n in range(300)]
    log.info("on it goes")
    wait_until(lambda: len(back.entries) > 300)
    time.sleep(0.1)
    assert back.texts[-1] == "on it goes"
    assert len(stderr.about("Loki")) == 2
    assert back.problems == []
    back.stop()


@pytest.mark.usefixtures("patient")
def test_a_slow_loki_costs_one_warning(server: Recorder, stderr: Stderr, monkeypatch: pytest.MonkeyPatch) -> None:
    """It never fails, but takes less than is logged: said once, and once how many lines that cost."""
    monkeypatch.setattr(loki, "LOKI_QUEUE", 1000)
    server.hanging = True
    setup_logging("a", loki=server.loki)
    for number in range(5000):
        log.info("line %d", number)
    server.hanging = False
    server.released.set()
    wait_until(lambda: stderr.about("takes log lines again"))
    (first, second) = stderr.about("Loki")
    assert "(too slow)" in first
    dropped = int(second.rpartition(";")[2].split()[0])
    assert len(server.entries) + dropped == 5000


def test_a_loki_that_does_not_answer_costs_one_warning(
    server: Recorder, stderr: Stderr, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request ends after its timeout."""
    monkeypatch.setattr(loki, "LOKI_TIMEOUT", 0.1)
    server.hanging = True
    setup_logging("a", loki=server.loki)
    log.info("one")
    wait_until(lambda: server.requests >= 4)
    assert len(stderr.about("does not take log lines (timed out)")) == 1
    assert len(stderr.lines) == 2


def test_lines_that_loki_never_takes_do_not_block_the_others(server: Recorder, stderr: Stderr) -> None:
    """A refusal for good (too old, too long) costs those lines; they are counted."""
    server.accepts = lambda entry: entry.text != "bad"
    setup_logging("a", loki=server.loki)
    log.info("bad")
    wait_until(lambda: stderr.about("does not take log lines (HTTP 400: entry too far behind)"))
    log.info("good")
    wait_until(lambda: stderr.about("takes log lines again; 1 were dropped"))
    assert server.texts == ["good"]


def test_a_lost_connection_is_made_anew_without_a_word(server: Recorder, stderr: Stderr) -> None:
    """A proxy that closes idle connections is no failure of Loki."""
    setup_logging("a", loki=server.loki)
    log.info("one")
    wait_until(lambda: server.entries)
    server.server.hang_up()
    log.info("two")
    wait_until(lambda: len(server.entries) == 2)
    assert stderr.about("Loki") == []


def test_one_failed_request_is_repeated_without_a_word(server: Recorder, stderr: Stderr) -> None:
    """At once; only the second failure is told."""
    server.first_failing = 1
    setup_logging("a", loki=server.loki)
    log.info("one")
    wait_until(lambda: server.entries)
    assert server.requests == 2
    assert stderr.about("Loki") == []


def test_loki_does_not_get_what_getting_it_there_causes(server: Recorder, stderr: Stderr) -> None:
    """Even where the HTTP library logs everything."""
    setup_logging("a", "DEBUG", loki=server.loki)
    logging.getLogger("urllib3").setLevel(logging.DEBUG)
    log.info("one")
    wait_until(lambda: stderr.about("urllib3") or stderr.about("HTTP/1.1"))
    time.sleep(0.3)
    assert server.texts == ["one"]
    assert server.requests == 1


def test_setting_up_again_flushes_first(server: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of the job before it are not lost."""
    monkeypatch.setattr(loki, "LOKI_FLUSH", 60.0)  # however busy the machine is
    server.seconds = 0.05
    setup_logging("a", loki=server.loki)
    for number in range(300):
        log.info("line %d", number)
    setup_logging("b")
    assert len(server.entries) == 300


def test_setting_up_again_does_not_wait_for_a_hanging_loki(
    server: Recorder, stderr: Stderr, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time for that is bounded, and what it cost is said."""
    monkeypatch.setattr(loki, "LOKI_FLUSH", 0.3)
    server.hanging = True
    setup_logging("a", loki=server.loki)
    log.info("one")
    begun = time.monotonic()
    setup_logging("b")
    assert time.monotonic() - begun < HELD / 2
    assert len(stderr.about("1 log lines did not reach Loki")) == 1


def test_closing_during_an_outage_is_quick_and_silent(stderr: Stderr, monkeypatch: pytest.MonkeyPatch) -> None:
    """The warning has been given; one last attempt is made."""
    monkeypatch.setattr(loki, "LOKI_FLUSH", HELD)
    gone = Recorder()
    gone.stop()
    setup_logging("a", loki=gone.loki)
    log.info("one")
    wait_until(lambda: stderr.about("does not take log lines"))
    begun = time.monotonic()
    setup_logging("b")
    assert time.monotonic() - begun < HELD / 2
    assert len(stderr.about("Loki")) == 1


def test_loki_that_is_not_enabled_gets_nothing(server: Recorder) -> None:
    """Whatever else is configured."""
    setup_logging("a", loki=Loki(enabled=False, url="http://127.0.0.1", port=server.port))
    log.info("one")
    assert [type(h).__name__ for h in own_handlers()] == ["_Console"]
    time.sleep(0.1)
    assert server.requests == 0


SCRIPT = """
import logging, multiprocessing, sys
from settings.keys import Loki
from logger_config import setup_logging

def work(port):
    setup_logging("a", loki=Loki(enabled=True, url="http://127.0.0.1", port=port))
    for number in range(int(sys.argv[2])):
        logging.getLogger("backup").info("line %d", number)

if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=work, args=(int(sys.argv[1]),))
    process.start()
    process.join()
    raise SystemExit(process.exitcode)
"""


@pytest.mark.parametrize(("hanging", "arriving"), [(False, 1000), (True, 0)])
def test_a_process_that_ends_flushes_within_a_bounded_time(
    hanging: bool, arriving: int, server: Recorder, tmp_path: Path
) -> None:
    """A worker process that is done: its last lines reach Loki, or it ends without them after two seconds."""
    server.hanging = hanging
    (tmp_path / "worker.py").write_text(SCRIPT)
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "worker.py", str(server.port), "1000"],
        cwd=tmp_path,
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert len(server.entries) == arriving
    assert ("1000 log lines did not reach Loki" in done.stderr) is hanging
    assert "Traceback" not in done.stderr
    assert all(map(LINE.fullmatch, done.stderr.splitlines()))
