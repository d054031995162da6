"""Throwaway InfluxDB servers: real `influxd` processes on free loopback ports.

    with InfluxServer.start("source") as server:
        server.create_database("db")
        server.write("cpu,host=a value=1.5 1000", "db")
        server.query("SELECT * FROM cpu", db="db")

Exceptions:

    ServerError
    ├── InfluxdMissing   no influxd on this machine
    ├── InfluxdFailed    influxd did not come up, or did not answer
    └── RequestFailed    it answered, with an error: `.status`, `.message`
"""

from __future__ import annotations

import atexit
import base64
import ctypes
import functools
import json
import os
import random
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import weakref
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import msgpack

Settings = Mapping[str, str | int | bool]

ADMIN = ("admin", "admin's pass:word")
"""The user that a server with `http.auth-enabled` gets, with all privileges."""

SYSTEM_FOLDERS = ("/usr/bin", "/usr/sbin")
CACHE = Path(__file__).parents[2] / ".cache" / "influxd"
"""Where `make influxd VERSION=...` puts the programs, each in a folder that is named after its version."""

VERSIONS = tuple(Path(__file__).with_name("influxd_versions").read_text().split())
"""The versions that `make test-versions` runs on."""

UNSIGNED = "-uint64"
"""What the name of a version ends with that is built with that tag, and so can hold unsigned integers."""

START_SECONDS = 300.0
"""Only a server that hangs takes so long."""

STOP_SECONDS = 10.0

FREEING = 10.0
"""Every so many seconds a server frees the caches of idle shards. Of what a new shard takes then some can be lost,
though it is acknowledged: docs/performance.md, "Points that InfluxDB acknowledges and loses"."""

FREEING_SECONDS = 0.25
"""That takes less."""

REQUEST_SECONDS, REQUEST_SPEED = 0.1, 3_000_000
"""A request takes less than so long, and as long as it takes at so many bytes a second."""

OPENED = re.compile(r'^ts=(\S+) .*msg="Open store \(end\)"', re.MULTILINE)
"""The line of influxd's log with the time from which on it frees caches."""

PORT_ATTEMPTS = 8

DEFAULTS: Settings = {
    "reporting-disabled": True,
    "logging.suppress-logo": True,
    "http.log-enabled": False,
    "http.suppress-write-log": True,
    "monitor.store-enabled": False,
    "subscriber.enabled": False,
    "continuous_queries.log-enabled": False,
    "data.query-log-enabled": False,
    "data.max-series-per-database": 0,
    "data.max-values-per-tag": 0,
}


class ServerError(RuntimeError):
    """Something is wrong with a throwaway server."""


class InfluxdMissing(ServerError):
    """There is no influxd on this machine."""


class InfluxdFailed(ServerError):
    """influxd did not start, or did not answer."""


class RequestFailed(ServerError):
    """The server answered with an error; `status` is the HTTP status (200 for a statement's error)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"HTTP {status}: {message}")
        self.status = status
        self.message = message


class _PortTaken(InfluxdFailed):
    """Somebody else took the port between our choice and influxd's start."""


def find_influxd(environ: Mapping[str, str] = os.environ, version: str = "") -> Path:
    """The influxd to run: of this version, else `$INFLUXD`, else of `$INFLUXD_VERSION`, else any.

    That is the first on PATH, in /usr/bin, in /usr/sbin. Raises InfluxdMissing, which says what to install.
    """
    named = environ.get("INFLUXD")
    if named and not version:
        found = shutil.which(named, path=environ.get("PATH", ""))
        if found is None:
            raise InfluxdMissing(f"INFLUXD={named} is not a program that can be run")
        return Path(found)
    wanted = version or environ.get("INFLUXD_VERSION")
    if wanted:
        program = CACHE / wanted / "influxd"
        if not os.access(program, os.X_OK):
            raise InfluxdMissing(f"there is no influxd {wanted} in {CACHE}: run make influxd VERSION={wanted}")
        return program
    folders = [environ.get("PATH", ""), *SYSTEM_FOLDERS]
    found = shutil.which("influxd", path=os.pathsep.join(folder for folder in folders if folder))
    if found is None:
        raise InfluxdMissing(
            "influxd was not found on PATH, in /usr/bin or in /usr/sbin: install InfluxDB 1.x"
            " (on Debian: apt-get install influxdb), or set INFLUXD to the program"
        )
    return Path(found)


def told_version(program: Path) -> str:
    """What an influxd says of its version: `1.6.7~rc0`. Raises InfluxdFailed where it says none."""
    try:
        done = subprocess.run([program, "version"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise InfluxdFailed(f"{program} version: {error}") from error
    found = re.search(r"InfluxDB v?(\S+)", done.stdout)
    if not found:
        raise InfluxdFailed(f"{program} version: {done.stdout!r}")
    return found[1]


def config_text(settings: Settings) -> str:
    """A configuration file of influxd: `http.auth-enabled` is the key `auth-enabled` of section `[http]`."""
    sections: dict[str, list[str]] = {}
    for dotted, value in settings.items():
        section, _, key = dotted.rpartition(".")
        sections.setdefault(section, []).append(f"{key} = {_toml(value)}")
    return "\n".join(
        "\n".join([f"[{section}]"] * bool(section) + lines) + "\n" for section, lines in sorted(sections.items())
    )


def _toml(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def free_port() -> int:
    """A loopback port that nobody listens on now.

    Below the range that the system gives to outgoing connections, so that a stopped server finds its port
    free when it comes back.
    """
    choice = random.SystemRandom()
    for _ in range(200):
        port = choice.randrange(15_000, 32_000)
        if _is_free(port):
            return port
    raise InfluxdFailed("no free loopback port between 15000 and 32000")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def death_signal() -> Callable[[], None] | None:
    """What a child runs before influxd, so that it never outlives this process, however that one ends.

    The kernel sends the signal when the *thread* that started the child ends: only for the main thread is
    that the end of the process.
    """
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return None
    libc = ctypes.CDLL(None, use_errno=True)  # loaded here: the child, just forked, must do next to nothing
    set_death_signal, kill = 1, int(signal.SIGKILL)

    def in_child() -> None:
        libc.prctl(set_death_signal, kill, 0, 0, 0)

    return in_child


_running: weakref.WeakSet[InfluxServer] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for server in list(_running):
        server.close()


class InfluxServer:
    """One influxd with its own port, directory and log; stopped, and its directory removed, by `close()`."""

    def __init__(self, name: str, directory: Path, *, keep: bool, settings: Settings, version: str = "") -> None:
        """Nothing is started yet: use `InfluxServer.start`."""
        self.name = name
        self.version = version
        self.directory = directory.resolve()
        self.log = self.directory / "influxd.log"
        self.settings: dict[str, str | int | bool] = dict(settings)
        self.port = 0
        self._rpc_port = 0
        self._keep = keep
        self._owner = os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        self._log_start = 0
        self._opened = 0.0

    @classmethod
    def start(
        cls, name: str, *, directory: Path | None = None, settings: Settings | None = None, version: str = ""
    ) -> InfluxServer:
        """A running server, empty unless `directory` holds data already; `find_influxd` chooses the program.

        `settings` are influxd's, by dotted keys: `{"http.auth-enabled": True}`; that one also makes the
        administrator `server.user`, whom the methods of this class then use.
        A given `directory` is kept at the end; without one, a temporary one is removed.
        Raises InfluxdMissing, or InfluxdFailed with the end of the server's log.
        """
        find_influxd(version=version)
        keep = directory is not None
        home = directory or Path(tempfile.mkdtemp(prefix=f"influxd-{name}-"))
        home.mkdir(parents=True, exist_ok=True)
        server = cls(name, home, keep=keep, settings=settings or {}, version=version)
        _running.add(server)
        try:
            server._start_on_free_ports()
        except BaseException:
            server.close()
            raise
        return server

    # ---- where it is

    @property
    def url(self) -> str:
        """`http://127.0.0.1:port`, or https."""
        scheme = "https" if self.settings.get("http.https-enabled") else "http"
        return f"{scheme}://127.0.0.1:{self.port}"

    @property
    def rpc_address(self) -> str:
        """Where `influxd backup` and `influxd restore` find it."""
        return f"127.0.0.1:{self._rpc_port}"

    @property
    def met_version(self) -> str:
        """The version that the running server tells at /ping; `-uint64` is added for a build with that tag.

        Of the tag it tells nothing: there the folder of the program does, as `make influxd` names it.
        """
        with _opener().open(f"{self.url}/ping", timeout=10.0) as response:
            told = str(response.headers["X-Influxdb-Version"])
        return told + UNSIGNED * self._is_unsigned()

    def _is_unsigned(self) -> bool:
        return find_influxd(version=self.version).parent.name.endswith(UNSIGNED)

    @property
    def user(self) -> str:
        """The administrator's name; empty while the server asks for none."""
        return ADMIN[0] if self.settings.get("http.auth-enabled") else ""

    @property
    def password(self) -> str:
        """The administrator's password; empty while the server asks for none."""
        return ADMIN[1] if self.settings.get("http.auth-enabled") else ""

    @property
    def running(self) -> bool:
        """Whether the process lives (a paused one does)."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        return self._living().pid

    def log_tail(self, lines: int = 20) -> str:
        """The last lines that the server printed."""
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    # ---- its life

    def stop(self) -> None:
        """Ask it to end (SIGTERM), and kill it when it does not within ten seconds. The data stays."""
        if self._process is None or self._owner != os.getpid():
            return
        if self.running:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End it like a power cut (SIGKILL). The data stays."""
        process = self._living()
        process.kill()
        process.wait()
        self._process = None

    def pause(self) -> None:
        """Freeze it (SIGSTOP): connections are accepted by the kernel, and nothing answers."""
        process = self._living()
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)  # all its threads have stopped, not just soon

    def resume(self) -> None:
        """End a pause (SIGCONT)."""
        self._living().send_signal(signal.SIGCONT)

    def restart(self, settings: Settings | None = None) -> None:
        """Stop it if it runs and start it on the same port and data, with other settings if given."""
        self.stop()
        if settings is not None:
            self.settings = dict(settings)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return self._launch()
            except _PortTaken:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def close(self) -> None:
        """Stop it and remove its directory, unless the directory was given."""
        if self._owner != os.getpid():
            return
        self.stop()
        _running.discard(self)
        if not self._keep:
            shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> InfluxServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<InfluxServer {self.name} {self.url}>"

    # ---- talking to it

    def query(self, statement: str, *, timeout: float = 120.0, **params: str | int) -> list[dict[str, Any]]:
        """The results, one for each statement; times are integer nanoseconds.

        Bytes that are not UTF-8 come as surrogate escapes. `params` are request parameters: `db`, `rp`,
        or `u` and `p` to ask as somebody else than the administrator.
        Raises RequestFailed for a refused request and for the error of any statement.
        """
        form = urllib.parse.urlencode({"epoch": "ns", **params, "q": statement}).encode()
        headers = {"Accept": "application/x-msgpack", "Content-Type": "application/x-www-form-urlencoded"}
        status, body = self._request("/query", form, headers, signed="u" not in params, timeout=timeout)
        if status != 200:
            raise RequestFailed(status, _error_text(body))
        answer = msgpack.unpackb(body, raw=False, unicode_errors="surrogateescape", strict_map_key=False)
        results: list[dict[str, Any]] = answer.get("results", [])
        for part in [answer, *results]:
            if "error" in part:
                raise RequestFailed(status, str(part["error"]))
        return results

    def rows(self, statement: str, *, timeout: float = 120.0, **params: str | int) -> list[list[Any]]:
        """The rows of all series of all results of a query."""
        results = self.query(statement, timeout=timeout, **params)
        return [row for result in results for series in result.get("series", []) for row in series["values"]]

    def records(self, statement: str) -> list[dict[str, Any]]:
        """The rows of all series of all results of a query, by the names of their columns."""
        return [
            dict(zip(series["columns"], row, strict=True))
            for result in self.query(statement)
            for series in result.get("series", [])
            for row in series["values"]
        ]

    def write(self, lines: bytes | str, db: str, rp: str | None = None, *, timeout: float = 120.0) -> None:
        """Write line protocol with nanosecond times, when the server surely keeps it.

        Raises RequestFailed on any answer but 204.
        """
        self.keep_clear_of_freeing(len(lines))
        params = {"db": db, "precision": "ns"} | ({} if rp is None else {"rp": rp})
        body = lines.encode("utf-8", "surrogateescape") if isinstance(lines, str) else lines
        headers = {"Content-Type": "application/octet-stream"}
        path = "/write?" + urllib.parse.urlencode(params)
        status, answer = self._request(path, body, headers, signed=True, timeout=timeout)
        if status != 204:
            raise RequestFailed(status, _error_text(answer))

    def keep_clear_of_freeing(self, size: int = 0) -> None:
        """Wait until a request of so many bytes does not meet it."""
        time.sleep(until_clear(time.time() - self._opened, REQUEST_SECONDS + size / REQUEST_SPEED))

    def create_database(self, name: str) -> None:
        """Create a database, with InfluxDB's own default policy `autogen`."""
        self.query(f"CREATE DATABASE {quoted(name)}")

    def drop_database(self, name: str) -> None:
        """Drop a database, or do nothing when there is none of that name."""
        self.query(f"DROP DATABASE {quoted(name)}")

    # ---- how it is done

    def _living(self) -> subprocess.Popen[bytes]:
        if self._process is None or not self.running:
            raise InfluxdFailed(f"the server {self.name} is not running")
        return self._process

    def _start_on_free_ports(self) -> None:
        for _ in range(PORT_ATTEMPTS):
            self.port, self._rpc_port = free_port(), free_port()
            try:
                return self._launch()
            except _PortTaken:
                continue
        raise InfluxdFailed(f"influxd {self.name}: every one of {PORT_ATTEMPTS} ports was taken by somebody else")

    def _launch(self) -> None:
        """Start the process and wait until it answers."""
        path = self.directory / "influxd.conf"
        path.write_text(config_text(self._all_settings()))
        environ = {key: value for key, value in os.environ.items() if not key.startswith("INFLUXDB_")}
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(find_influxd(version=self.version)), "-config", str(path)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                env=environ,
                start_new_session=True,  # Ctrl-C is for the tests, which then stop the server in order
                preexec_fn=death_signal(),  # noqa: PLW1509 - calls nothing but prctl, from the main thread only
            )
        try:
            self._wait_until_ready()
        except ServerError:
            self.stop()
            raise
        if self.user:
            self._create_admin()

    def _all_settings(self) -> Settings:
        own: Settings = {
            "bind-address": f"127.0.0.1:{self._rpc_port}",
            "http.bind-address": f"127.0.0.1:{self.port}",
            "meta.dir": str(self.directory / "meta"),
            "data.dir": str(self.directory / "data"),
            "data.wal-dir": str(self.directory / "wal"),
        }
        return {**DEFAULTS, **own, **self.settings}

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._is_ready():
            if not self.running:
                raise self._failure(f"ended with exit code {self._process and self._process.returncode}")
            if time.monotonic() > deadline:
                raise self._failure(f"did not answer on {self.url}/ping within {START_SECONDS:g} seconds")
            time.sleep(0.02)
        opened = OPENED.search(self._new_log())
        if opened is None:
            raise self._failure("did not log when it opened its store")
        self._opened = datetime.fromisoformat(opened[1]).timestamp()

    def _is_ready(self) -> bool:
        """Whether *this* process answers: its own log says that it listens, so no stranger has its port."""
        if "Listening on HTTP" not in self._new_log():
            return False
        try:
            status, _ = self._request("/ping", None, {}, signed=False, timeout=5.0)
        except InfluxdFailed:
            return False
        return status in (200, 204, 401)

    def _new_log(self) -> str:
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            return log.read().decode("utf-8", "replace")

    def _failure(self, what: str) -> InfluxdFailed:
        kind = _PortTaken if "address already in use" in self._new_log() else InfluxdFailed
        return kind(f"influxd {self.name} {what}; the end of its log:\n{self.log_tail()}")

    def _create_admin(self) -> None:
        password = ADMIN[1].replace("\\", "\\\\").replace("'", "\\'")
        self.query(f"CREATE USER {quoted(ADMIN[0])} WITH PASSWORD '{password}' WITH ALL PRIVILEGES")

    def _request(
        self, path: str, body: bytes | None, headers: Mapping[str, str], *, signed: bool, timeout: float
    ) -> tuple[int, bytes]:
        url = self.url + path  # always http or https
        request = urllib.request.Request(url, data=body, headers=dict(headers))  # noqa: S310
        if signed and self.user:
            token = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            request.add_header("Authorization", f"Basic {token}")
        try:
            with _opener().open(request, timeout=timeout) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read()
        except OSError as error:
            raise InfluxdFailed(f"{self.name}: {self.url}{path.partition('?')[0]}: {error}") from error


@functools.cache
def _opener() -> urllib.request.OpenerDirector:
    """Straight to the server: no proxy of the environment, any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )


def _error_text(body: bytes) -> str:
    """The message of an error answer, which is JSON or msgpack by the request's wish, or nothing at all."""
    for decode in (_from_json, _from_msgpack):
        message = decode(body)
        if message is not None:
            return message
    return body.decode("utf-8", "replace").strip()


def _from_json(body: bytes) -> str | None:
    try:
        answer = json.loads(body)
    except ValueError:
        return None
    return str(answer["error"]) if isinstance(answer, dict) and "error" in answer else None


def _from_msgpack(body: bytes) -> str | None:
    try:
        answer = msgpack.unpackb(body, raw=False, unicode_errors="replace")
    except (ValueError, msgpack.UnpackException):
        return None
    return str(answer["error"]) if isinstance(answer, dict) and "error" in answer else None


def until_clear(open_for: float, takes: float) -> float:
    """How long to wait with what takes so long, so that it does not meet the freeing of caches; all in seconds."""
    before = min(takes, FREEING / 2)
    since = (open_for + before) % FREEING
    return max(0.0, before + FREEING_SECONDS - since)


def quoted(name: str) -> str:
    """A name as an InfluxQL identifier."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
