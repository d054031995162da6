"""What `make` looks for before it does anything: all that is missing is told at once, or installed by root."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("sh", "sort", "head", "sed", "cut", "basename")
"""What the script itself uses, and every system has."""


class Machine:
    """A machine with these programs and no others; `calls` is what was asked of those that change it."""

    def __init__(self, folder: Path, *, user: int) -> None:
        self._folder = folder / "bin"
        self._folder.mkdir()
        self._log = folder / "calls"
        for name in TOOLS:
            program = shutil.which(name)
            assert program, name
            (self._folder / name).symlink_to(program)
        self.add("id", f"echo {user}")
        self.add("python3", "case $* in *ensurepip*) exit 1 ;; esac")

    def add(self, name: str, script: str) -> None:
        """One program more, or another one of that name."""
        program = self._folder / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    def add_changing(self, *names: str) -> None:
        """Programs that change the machine: they only write down what was asked of them."""
        for name in names:
            self.add(name, f'echo "{name} $*" >>{self._log}')

    @property
    def calls(self) -> list[str]:
        """In their order."""
        return self._log.read_text().splitlines()

    def prepare(self, purpose: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """What becomes of `demo/prepare.sh`."""
        return subprocess.run(
            ["sh", "demo/prepare.sh", "python3", purpose],
            cwd=ROOT,
            env={"PATH": str(self._folder), "USUAL_PLACES": "/nonexistent", **environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


@pytest.fixture
def bare(tmp_path: Path) -> Machine:
    """An ordinary user's, with Python and without its module venv."""
    return Machine(tmp_path, user=1000)


def packages(said: str) -> list[str]:
    """Those of the one command; an AssertionError where there is not exactly one."""
    (command,) = [line.strip() for line in said.splitlines() if "apt-get install" in line]
    begin = "apt-get install --yes --no-install-recommends "
    assert command.startswith(begin)
    return command.removeprefix(begin).split()


def test_an_ordinary_user_is_told_everything_in_one_command(bare: Machine) -> None:
    """With what each is for, and how to end the services that Debian starts."""
    done = bare.prepare("demo")
    assert done.returncode == 1
    assert packages(done.stderr) == ["python3-venv", "influxdb"]
    assert "Python's module venv; influxd, that is InfluxDB 1.x" in done.stderr
    assert "systemctl disable --now influxdb" in done.stderr
    done = bare.prepare("tests")
    assert packages(done.stderr)[:5] == [
        "python3-venv",
        "influxdb",
        "systemd",
        "chromium-headless-shell",
        "prometheus",
    ]
    assert "systemctl disable --now influxdb prometheus" in done.stderr


def test_programs_that_are_named_are_not_missed(bare: Machine) -> None:
    """INFLUXD and CHROMIUM; with INFLUXD_VERSION influxd is built."""
    bare.add("python3", "exit 0")
    assert bare.prepare("demo", INFLUXD="/opt/influxd").returncode == 0
    assert bare.prepare("demo", INFLUXD_VERSION="1.8.10").returncode == 0
    assert "influxdb" not in packages(bare.prepare("tests", INFLUXD="/opt/influxd").stderr)
    assert "chromium-headless-shell" not in packages(bare.prepare("tests", CHROMIUM="/opt/chromium").stderr)
    bare.add("chromium", "exit 0")
    assert "chromium-headless-shell" not in packages(bare.prepare("tests").stderr)


def test_what_builds_other_versions_is_looked_for_before_anything_is_built(bare: Machine) -> None:
    """Where Debian's Go is too old, the message says where another one comes from; so with cargo."""
    found = packages(bare.prepare("versions").stderr)
    assert found[-5:] == ["golang-go", "cargo", "gcc", "libc6-dev", "pkg-config"]
    old = 'case $2 in golang-go) echo "  Candidate: 2:1.19~1" ;; *) echo "  Candidate: 0.66.0" ;; esac'
    bare.add("apt-cache", old)
    done = bare.prepare("versions")
    found = packages(done.stderr)
    assert found[0] == "--target-release"
    assert found[1].endswith("-backports")
    assert found[-5:] == ["golang-go", "cargo-web", "gcc", "libc6-dev", "pkg-config"]
    assert f"{found[1]} main >/etc/apt/sources.list.d/" in done.stderr
    assert "Go 1.21 or newer; cargo 1.70 or newer; a C compiler" in done.stderr


def test_a_go_or_cargo_that_is_too_old_is_missing(bare: Machine) -> None:
    """By their versions; newer ones are taken."""
    bare.add("go", "echo go1.19.8")
    bare.add("cargo", "echo cargo 1.63.0 '(fd9c4297c 2022-07-01)'")
    assert {"golang-go", "cargo"} < set(packages(bare.prepare("versions").stderr))
    bare.add("go", "echo go1.26.1")
    bare.add("cargo", "echo cargo 1.85.1")
    assert not {"golang-go", "cargo"} & set(packages(bare.prepare("versions").stderr))


def test_containers_need_root_and_an_engine(bare: Machine) -> None:
    """All of it at once."""
    done = bare.prepare("containers")
    assert packages(done.stderr)[-3:] == ["docker.io", "docker-compose", "mmdebstrap"]
    assert "have to be run by root" in done.stderr


def test_a_python_that_is_too_old_is_named(bare: Machine) -> None:
    """No package helps there."""
    bare.add("python3", "case $* in --version) echo Python 3.9.2 ;; *version_info*) exit 1 ;; esac")
    done = bare.prepare("demo")
    assert done.returncode == 1
    assert "python3 is Python 3.9.2, and 3.11 or newer is needed" in done.stderr


def test_root_gets_it_installed_and_no_service_goes_on(tmp_path: Path) -> None:
    """One apt-get; what Debian starts with the packages is stopped, and not started again."""
    machine = Machine(tmp_path, user=0)
    machine.add_changing("apt-get", "systemctl", "rm")
    machine.add("find", "")
    done = machine.prepare("tests", CHROMIUM="/opt/chromium")
    assert done.returncode == 0, done.stderr
    update, install, remove, *services = machine.calls
    assert remove.startswith("rm -rf /var/lib/apt/lists/")
    assert update.startswith("apt-get update")
    assert install.startswith(
        "apt-get install --yes --no-install-recommends python3-venv influxdb systemd prometheus"
    )
    for name in ("influxdb", "prometheus"):
        assert {f"systemctl disable {name}", f"systemctl stop {name}"} < set(services)
    assert "Missing: Python's module venv; influxd" in done.stdout


def test_what_is_there_is_not_installed_and_its_service_is_left_alone(tmp_path: Path) -> None:
    """An InfluxDB that was there before is somebody's."""
    machine = Machine(tmp_path, user=0)
    machine.add_changing("apt-get", "systemctl", "rm")
    machine.add("influxd", "exit 0")
    machine.add("find", "echo /var/lib/apt/lists/debian_main_Packages")  # these were there before, too
    assert machine.prepare("demo").returncode == 0
    assert [call for call in machine.calls if "influxdb" in call] == []
    assert len(machine.calls) == 2
