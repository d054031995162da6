"""What the Dockerfile makes of a base image."""

import json
import re

import yaml

from tests.containers.harness import UID, Field, attempt, docker, in_image
from tests.integration.harness import ROOT
from tests.test_architecture import PACKAGES


def test_the_image_runs_as_a_numbered_user(image: str) -> None:
    """Its owner is the same everywhere, and it is not root."""
    assert in_image(image, "id -u; id -g").split() == [UID, UID]


def test_the_image_holds_no_build_tools(image: str) -> None:
    """No compiler, no make, no pip beside the tool's packages."""
    assert not in_image(image, "command -v gcc cc make; ls /opt/venv/bin | grep pip; true")


def test_the_image_holds_the_program_and_nothing_else(image: str) -> None:
    """No jobs with their passwords, no tests, no history."""
    modules = {file.name for file in ROOT.glob("*.py")}
    assert set(in_image(image, "ls -A /app").split()) == modules | {"requirements.txt", "__pycache__", *PACKAGES}
    found = in_image(image, f"cd /app && find {' '.join(PACKAGES)} -type f ! -name '*.pyc'")
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*") if file.is_file()]
    assert set(found.split()) == {str(file.relative_to(ROOT)) for file in files if file.suffix != ".pyc"}


def test_nothing_of_the_program_can_be_changed_by_its_user(image: str) -> None:
    """Only the logs and /tmp are writable."""
    assert not in_image(image, "find /app /opt /config -writable ! -type l")
    assert not in_image(image, "touch /logs/file && rm /logs/file")


def test_every_module_is_compiled(image: str) -> None:
    """A read-only container could not do it at each start again."""
    script = """
        import importlib.util, pathlib
        files = [*pathlib.Path("/app").glob("*.py"), *pathlib.Path("/opt/venv/lib").rglob("polars/*/*.py")]
        caches = [pathlib.Path(importlib.util.cache_from_source(str(file))) for file in files]
        print(len(files), [str(cache) for cache in caches if not cache.exists()])
    """
    program = "\n".join(line.strip() for line in script.splitlines())
    number, missing = docker("run", "--rm", "--entrypoint", "python", image, "-c", program).split(" ", 1)
    assert int(number) > 20
    assert missing == "[]"


def test_the_image_holds_no_package_that_no_backup_needs(image: str) -> None:
    """Those for tests, plots and data frames."""
    packages = in_image(image, "ls /opt/venv/lib/python3*/site-packages").split()
    assert {"polars", "pyarrow", "obstore"} < set(packages)
    assert not {"pandas", "matplotlib", "pytest"} & set(packages)


def test_the_image_says_how_to_stop_it_and_how_to_ask_for_its_health(image: str) -> None:
    """The engine needs no options for it."""
    config = json.loads(docker("inspect", "--format", "{{json .Config}}", image))
    assert config["StopSignal"] == "SIGTERM"
    assert config["Entrypoint"] == ["python", "main.py"]
    assert config["Healthcheck"]["Test"] == ["CMD", "python", "main.py", "health"]
    assert set(config["Volumes"]) == {"/logs"}


def test_the_base_image_is_pinned_to_a_patch_release_in_one_version() -> None:
    """The Dockerfile and Compose build on the same one."""
    default = re.search(
        r"^ARG BASE_IMAGE=(python:3\.11\.\d+-slim-bookworm)$", (ROOT / "Dockerfile").read_text(), re.M
    )
    assert default
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    assert compose["x-backup"]["build"]["args"]["BASE_IMAGE"] == f"${{BASE_IMAGE:-{default[1]}}}"


def test_without_a_mounted_folder_the_message_says_how_to_mount_one(image: str) -> None:
    """Exit code 2, and the option to add."""
    done = attempt("run", "--rm", image)
    assert done.returncode == 2
    assert re.search(r"(-v|--volume) \S*:/config", done.stderr), done.stderr


def test_an_invalid_job_is_named_and_fails_the_run(field: Field) -> None:
    """Exit code 1: the file was found, its content is wrong."""
    folder = field.job({"backup_mode": "sometimes"})
    done = field.run(folder, "run", "--once")
    assert done.returncode == 1
    assert "options.backup_mode" in done.stderr


def test_a_job_runs_once_in_a_read_only_container(field: Field) -> None:
    """Every value arrives, and the log is on the volume."""
    field.write("\n".join(f'm,host=h{i % 3} value={i},text="x{i}" {10**18 + i * 10**9}' for i in range(5_000)))
    done = field.run(field.job(), "run", "--once")
    assert done.returncode == 0, done.stderr
    assert not field.difference()
    assert field.read_logs()


def test_a_log_folder_that_is_not_writable_is_a_clear_error(field: Field) -> None:
    """Before anything is copied."""
    field.write("m value=1 1000000000000000000")
    done = field.run(field.job({"log_directory": "/config"}), "run", "--once")
    assert done.returncode == 1
    assert "/config" in done.stderr
    assert not field.count(field.destination)
