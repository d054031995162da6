"""A cluster for the whole session, and a namespace for each test.

These tests are collected only with CLUSTER_TESTS=1, which `make cluster` sets: the programs take minutes to build.
Then a program that is missing is a failure, never a skip.
"""

import itertools
import os
from collections.abc import Iterator

import pytest

from tests.cluster.harness import Cluster, Namespace, running_cluster

if os.environ.get("CLUSTER_TESTS") != "1":
    collect_ignore_glob = ["test_*.py"]

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One that answers, with a node."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found


@pytest.fixture
def namespace(cluster: Cluster) -> Namespace:
    """An empty one that takes no pod with more rights than it needs."""
    return cluster.restricted_namespace(f"backup-{next(_numbers)}")


@pytest.fixture
def operator_kinds(cluster: Cluster) -> Iterator[None]:
    """The kind ServiceMonitor, as the operator of Prometheus defines it."""
    with cluster.operator_kinds():
        yield
