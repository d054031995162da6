"""Throwaway InfluxDB servers in containers, and the choice between them and local ones.

    with start_server("source") as server:      # what $INFLUX_SERVERS says: auto (default), containers, local
        server.query("SHOW DATABASES")

`auto` means containers where a Docker engine answers and has the image ($INFLUXDB_IMAGE) already, else local
influxd, and so where $INFLUXD or $INFLUXD_VERSION chooses one; `containers` pulls the image if need be.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.servers import (
    DEFAULTS,
    InfluxdFailed,
    InfluxdMissing,
    InfluxServer,
    ServerError,
    Settings,
    find_influxd,
    told_version,
)

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

DEFAULT_IMAGE = "influxdb:1.8.10"
CHOICES = ("auto", "containers", "local")
DATA = "/var/lib/influxdb"
STOP_SECONDS = 10


def start_server(name: str, environ: Mapping[str, str] = os.environ) -> InfluxServer:
    """A running server of the kind that $INFLUX_SERVERS asks for.

    Raises ServerError, which says what is missing, when there is none.
    """
    kind = environ.get("INFLUX_SERVERS") or "auto"
    if kind not in CHOICES:
        raise ServerError(f"INFLUX_SERVERS={kind}: expected one of {', '.join(CHOICES)}")
    if kind == "local" or (kind == "auto" and _is_chosen(environ)):
        return InfluxServer.start(name)
    if kind == "containers":
        return ContainerServer.start(name)
    problem = image_problem(image_name(environ))
    if not problem:
        return ContainerServer.start(name)
    try:
        return InfluxServer.start(name)
    except InfluxdMissing as error:
        raise InfluxdMissing(f"neither containers nor a local server: {problem}; {error}") from error


def _is_chosen(environ: Mapping[str, str]) -> bool:
    return bool(environ.get("INFLUXD") or environ.get("INFLUXD_VERSION"))


def chosen_server(environ: Mapping[str, str] = os.environ) -> str:
    """What `start_server` and all other servers of this session are, in words: never an error."""
    try:
        program = find_influxd(environ)
        local = f"{told_version(program)} ({program})"
    except ServerError as error:
        local = f"none: {error}"
    kind = environ.get("INFLUX_SERVERS") or "auto"
    if kind == "containers" or (
        kind == "auto" and not _is_chosen(environ) and not image_problem(image_name(environ))
    ):
        return f"containers of {image_name(environ)}; servers of a test's own: {local}"
    return local


def image_name(environ: Mapping[str, str] = os.environ) -> str:
    """The image of the servers."""
    return environ.get("INFLUXDB_IMAGE") or DEFAULT_IMAGE


def image_problem(image: str) -> str:
    """Why no container of the image can be started without a download; '' when one can."""
    try:
        subprocess.run(["docker", "image", "inspect", image], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        return "docker is not installed"
    except subprocess.CalledProcessError as error:
        return f"docker: {str(error.stderr).strip()}"
    return ""


def environment(settings: Settings) -> dict[str, str]:
    """Settings of influxd, by dotted keys, as the variables that override its configuration file."""
    return {f"INFLUXDB_{_variable(key)}": _text(value) for key, value in settings.items()}


def _variable(key: str) -> str:
    return key.replace(".", "_").replace("-", "_").upper()


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class ContainerServer(InfluxServer):
    """An InfluxServer in a container: the same port and data for life, a new container at each start."""

    def __init__(self, name: str, *, settings: Settings, network: str = "") -> None:
        """Nothing is started yet: use `ContainerServer.start`."""
        super().__init__(name, Path(tempfile.mkdtemp(prefix="influxdb-")), keep=False, settings=settings)
        self.network = network
        self.volume = f"influxdb-test-{uuid.uuid4().hex}"
        self._container: DockerContainer | None = None

    @classmethod
    def start(
        cls,
        name: str,
        *,
        directory: Path | None = None,
        settings: Settings | None = None,
        version: str = "",
        network: str = "",
    ) -> ContainerServer:
        """A running, empty server; other containers of the network reach it as `name`, on port 8086.

        Raises InfluxdFailed.
        """
        if directory is not None or version:
            raise ServerError("the data of a container are in a volume, and its image decides the version")
        server = cls(name, settings=settings or {}, network=network)
        atexit.register(server.close)
        try:
            server._start_on_free_ports()
        except BaseException:
            server.close()
            raise
        return server

    @property
    def running(self) -> bool:
        """Whether the container lives (a paused one does)."""
        return self._status() in ("running", "paused")

    @property
    def pid(self) -> int:
        """The process id of influxd, as the host sees it."""
        return int(self._living_container().attrs["State"]["Pid"])

    def log_tail(self, lines: int = 20) -> str:
        """The last lines that the server printed."""
        return "\n".join(self._new_log().splitlines()[-lines:]) or "(no log)"

    def stop(self) -> None:
        """Ask it to end (SIGTERM), and kill it when it does not within ten seconds. The data stays."""
        if self._container is None or self._owner != os.getpid():
            return
        if self._status() == "paused":
            self.resume()
        if self.running:
            self._living_container().stop(timeout=STOP_SECONDS)
        self._remove_container()

    def kill(self) -> None:
        """End it like a power cut (SIGKILL). The data stays."""
        self._living_container().kill()
        self._remove_container()

    def pause(self) -> None:
        """Freeze it: connections are accepted, and nothing answers."""
        self._living_container().pause()

    def resume(self) -> None:
        """End a pause."""
        self._living_container().unpause()

    def close(self) -> None:
        """Stop it and remove its data."""
        if self._owner != os.getpid():
            return
        atexit.unregister(self.close)
        super().close()
        subprocess.run(["docker", "volume", "rm", "--force", self.volume], check=False, capture_output=True)

    def __enter__(self) -> ContainerServer:
        return self

    def __repr__(self) -> str:
        return f"<ContainerServer {self.name} {self.url}>"

    # ---- how it is done

    def _launch(self) -> None:
        from docker.errors import DockerException  # type: ignore[import-untyped]
        from testcontainers.core.config import testcontainers_config

        testcontainers_config.ryuk_disabled = True  # its reaper is one more image; `close` cleans up
        self._log_start = 0
        try:
            self._container = self._new_container()
            self._container.start()
        except DockerException as error:
            raise InfluxdFailed(f"a container of {image_name()} for {self.name}: {error}") from error
        try:
            self._wait_until_ready()
        except ServerError:
            self.stop()
            raise
        if self.user:
            self._create_admin()

    def _new_container(self) -> DockerContainer:
        from testcontainers.core.container import DockerContainer

        container = DockerContainer(image_name()).with_bind_ports(8086, self.port)
        container = container.with_envs(**environment(self._all_settings()))
        container = container.with_volume_mapping(self.volume, DATA, "rw")
        return container.with_kwargs(**self._network_options())

    def _network_options(self) -> dict[str, Any]:
        if not self.network:
            return {}
        from docker.types import EndpointConfig  # type: ignore[import-untyped]

        aliases = EndpointConfig("1.41", aliases=[self.name])
        return {"network": self.network, "networking_config": {self.network: aliases}}

    def _all_settings(self) -> Settings:
        own: Settings = {"meta.dir": f"{DATA}/meta", "data.dir": f"{DATA}/data", "data.wal-dir": f"{DATA}/wal"}
        return {**DEFAULTS, **own, **self.settings}

    def _is_unsigned(self) -> bool:
        return False  # no image is built so

    def _status(self) -> str:
        if self._container is None:
            return ""
        wrapped = self._container.get_wrapped_container()
        wrapped.reload()
        return str(wrapped.status)

    def _living_container(self) -> Any:  # noqa: ANN401 -- the docker package has no types
        if self._container is None or not self.running:
            raise InfluxdFailed(f"the server {self.name} is not running")
        return self._container.get_wrapped_container()

    def _remove_container(self) -> None:
        if self._container is not None:
            self._container.stop()
            self._container = None

    def _new_log(self) -> str:
        if self._container is None:
            return ""
        return b"".join(self._container.get_logs()).decode("utf-8", "replace")
