"""Fixtures on a real Docker engine.

These tests are collected only with CONTAINER_TESTS=1, which `make containers` sets: they need root, an engine and
the images of tests/support/images.sh. Then a missing engine or image is a failure, never a skip.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers.harness import BACKUP_IMAGE, BASE_IMAGE, Field, docker
from tests.integration.harness import ROOT
from tests.support.containers import ContainerServer, image_name, image_problem

if os.environ.get("CONTAINER_TESTS") != "1":
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture(scope="session", autouse=True)
def images() -> None:
    """The images that no test makes are here."""
    for image in (image_name(), BASE_IMAGE):
        assert not (problem := image_problem(image)), f"{problem}\nsudo tests/support/images.sh makes the images"


@pytest.fixture(scope="session")
def image() -> str:
    """The image of the tool, built by the Dockerfile from what is here now."""
    build = ["docker", "build", "--network", "host", "--build-arg", f"BASE_IMAGE={BASE_IMAGE}"]
    made = subprocess.run(
        [*build, "--tag", BACKUP_IMAGE, "."], cwd=ROOT, capture_output=True, text=True, timeout=900, check=False
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return BACKUP_IMAGE


@pytest.fixture
def field(image: str, tmp_path: Path) -> Iterator[Field]:
    """A network with two servers on it, a volume for logs, and a folder for jobs."""
    network = docker("network", "create", f"backup-{os.getpid()}-{tmp_path.name}")
    volume = docker("volume", "create")
    try:
        with (
            ContainerServer.start("source", network=network_name(network)) as source,
            ContainerServer.start("destination", network=network_name(network)) as destination,
        ):
            yield Field(image, network, volume, source, destination, tmp_path)
    finally:
        docker("network", "rm", network)
        docker("volume", "rm", "--force", volume)


def network_name(network: str) -> str:
    """The name of a network, of which `docker network create` prints the id."""
    return docker("network", "inspect", "--format", "{{.Name}}", network)
