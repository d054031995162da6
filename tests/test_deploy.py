"""What `deploy/` holds for hosts: the unit for systemd, with the files beside it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from configparser import ConfigParser
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
import yaml

from commands.jobs import Jobs, default_paths
from commands.shard import parse_shard
from main import parse_arguments
from watching.state import State
from watching.web.site import answer

ROOT = Path(__file__).parents[1]
SYSTEMD = ROOT / "deploy" / "systemd"
UNIT, ENVIRONMENT, COMMAND = (SYSTEMD / f"influxdb-backup{end}" for end in (".service", ".env", ".sh"))
PYTHON = "/opt/influxdb-backup/.venv/bin/python"
FOLDERS = ("/etc/influxdb-backup", "/var/lib/influxdb-backup", "/var/log/influxdb-backup", "/run/influxdb-backup")


@pytest.fixture(scope="module")
def service() -> dict[str, list[str]]:
    """The settings of the unit's section Service; a setting may be given more than once."""
    section = UNIT.read_text().split("[Service]\n")[1].split("\n[")[0]
    found: dict[str, list[str]] = {}
    for line in section.splitlines():
        if line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def environment() -> dict[str, str]:
    """What the environment file sets as it is shipped."""
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string("[all]\n" + ENVIRONMENT.read_text())
    return dict(parser["all"])


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    """Every setting is known to it, and every value understood; the program is the one at hand."""
    program = shutil.which("systemd-analyze")
    assert program, "systemd-analyze is missing: install systemd (Debian: apt-get install systemd)"
    copy = tmp_path / UNIT.name
    text = UNIT.read_text()
    assert PYTHON in text
    copy.write_text(text.replace(PYTHON, sys.executable))
    done = subprocess.run([program, "verify", "--man=no", str(copy)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_service_is_confined(service: dict[str, list[str]]) -> None:
    """A user of its own, a read-only system, no way to more rights; started again after a failure."""
    assert service["User"] == service["Group"] == ["influxdb-backup"]
    assert service["ProtectSystem"] == ["strict"]
    assert service["CapabilityBoundingSet"] == [""]
    for name in ("NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "PrivateUsers"):
        assert service[name] == ["yes"]
    assert service["Restart"] == ["on-failure"]
    assert "-HUP" in service["ExecReload"][0]


def test_the_service_does_not_forbid_what_the_libraries_need(service: dict[str, list[str]]) -> None:
    """Polars asks the processor what it can do by code that it makes, and cannot start where that is forbidden."""
    assert "MemoryDenyWriteExecute" not in service


def test_the_service_has_more_time_to_stop_than_the_daemon_takes(service: dict[str, list[str]]) -> None:
    """Which is 10 seconds; after it systemd would kill what is left."""
    (seconds,) = service["TimeoutStopSec"]
    assert int(seconds) > 10


def test_the_service_may_write_to_every_folder_that_it_is_told_to_use(service: dict[str, list[str]]) -> None:
    """The folders that systemd makes for it are those of the environment file; the jobs it only reads."""
    kinds = ("Configuration", "State", "Logs", "Runtime")
    assert [service[f"{kind}Directory"] for kind in kinds] == [["influxdb-backup"]] * 4
    assert service["EnvironmentFile"] == ["/etc/influxdb-backup/environment"]
    paths = [value for value in environment().values() if value.startswith("/")]
    assert len(paths) == 4
    assert all(path.startswith(FOLDERS) for path in paths)


def test_the_environment_file_serves_only_this_machine() -> None:
    """The status page has no login."""
    assert environment()["BACKUP_HTTP"] == "127.0.0.1:8186"


def test_the_service_and_the_command_start_the_same_program(service: dict[str, list[str]]) -> None:
    """With the same environment; what the unit gives it as arguments, it understands."""
    python, program, *arguments = service["ExecStart"][0].split()
    assert (python, program) == (PYTHON, "/opt/influxdb-backup/main.py")
    parsed = parse_arguments(arguments)
    assert parsed.command == "run"
    assert (parsed.config or default_paths(environment())) == [Path("/etc/influxdb-backup")]
    assert f"{python} {program}" in COMMAND.read_text()
    assert service["EnvironmentFile"][0] in COMMAND.read_text()


def test_the_command_is_a_script_that_a_shell_understands() -> None:
    """And a program, so that it can be copied as it is."""
    subprocess.run(["sh", "-n", str(COMMAND)], check=True)
    assert COMMAND.stat().st_mode & 0o111


# --- Kubernetes --------------------------------------------------------------------------------------

MANIFEST = ROOT / "deploy" / "kubernetes" / "manifests" / "influxdb-backup.yaml"
"""What the chart makes of its example; `make kubernetes` proves that it is."""


def kind(name: str) -> dict[str, Any]:
    """The one object of this kind."""
    (found,) = (d for d in yaml.safe_load_all(MANIFEST.read_text()) if d and d["kind"] == name)
    return dict(found)


def test_the_jobs_of_the_manifest_can_run_and_none_writes_what_another_does(tmp_path: Path) -> None:
    """As the pod sees them in /config; each shard takes its part, and they are all taken."""
    files = kind("Secret")["stringData"]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    count = kind("StatefulSet")["spec"]["replicas"]
    taken = []
    for number in range(count):
        jobs = Jobs([tmp_path], parse_shard(f"{number}/{count}"))
        jobs.load()
        assert jobs.invalid == {}
        taken += [job.name for job in jobs.own]
    assert sorted(taken) == [Path(name).stem for name in sorted(files) if name != "_defaults.yaml"]


def test_the_pods_are_confined_and_know_their_number() -> None:
    """As many as each is told; asked where the daemon answers; nothing but two folders can be written to."""
    stateful = kind("StatefulSet")["spec"]
    pod = stateful["template"]["spec"]
    (container,) = pod["containers"]
    environment = {variable["name"]: variable for variable in container["env"]}
    assert environment["BACKUP_SHARD"]["value"] == f"$(POD_INDEX)/{stateful['replicas']}"
    field = environment["POD_INDEX"]["valueFrom"]["fieldRef"]["fieldPath"]
    assert field == "metadata.labels['apps.kubernetes.io/pod-index']"
    assert [variable["name"] for variable in container["env"]].index("POD_INDEX") == 0
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert {m["mountPath"] for m in container["volumeMounts"] if not m.get("readOnly")} == {"/logs", "/tmp"}  # noqa: S108
    image = (ROOT / "Dockerfile").read_text()
    (port,) = container["ports"]
    assert f"EXPOSE {port['containerPort']}" in image
    assert f"USER {pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" in image
    paths = {container[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert all(answer(path, State(shard="0/1"), 0).status == HTTPStatus.OK for path in paths)
    assert paths == {"/healthz", "/livez"}
