"""A cluster on loopback of the programs that `tests/support/programs.sh cluster` builds.

etcd, the API server, the controllers and the scheduler are those of every cluster. The node is kwok's, which says
of each pod that it is ready: no container runs, no image is pulled, no volume is mounted, no packet is filtered.
"""

import json
import os
import re
import secrets
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.certificates import Authority, Certificate
from tests.support.servers import free_port
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
CHART, MANIFESTS, EXAMPLE = (
    ROOT / "deploy" / "kubernetes" / name for name in ("chart", "manifests", "values.example.yaml")
)
PROGRAMS, HELM = ROOT / ".cache" / "cluster", ROOT / ".cache" / "kubernetes" / "helm"
NAME = "influxdb-backup"
VOLUMES = 24
"""As many claims as all tests make; nobody makes volumes here as they are asked for."""

Object = dict[str, Any]


@dataclass(frozen=True)
class Cluster:
    """One that runs; commands find it by `environment`."""

    directory: Path
    environment: Mapping[str, str]

    def attempt(self, program: Path, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        """One command, whatever becomes of it."""
        return subprocess.run(
            [str(program), *arguments],
            input=text,
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=self.directory,
            timeout=600,
            check=False,
        )

    def run(self, program: Path, *arguments: str, text: str = "") -> str:
        """What it prints. One that fails fails the test, and so does one that warns."""
        done = self.attempt(program, *arguments, text=text)
        assert done.returncode == 0, f"{program.name} {' '.join(arguments)}: {done.stderr}"
        assert "warning" not in done.stderr.lower(), f"{program.name} {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def kubectl(self, *arguments: str, text: str = "") -> str:
        """What kubectl prints."""
        return self.run(PROGRAMS / "kubectl", *arguments, text=text)

    def apply(self, *objects: Object) -> None:
        """Make them, or change those that are there."""
        self.kubectl("apply", "--filename", "-", text=yaml.safe_dump_all(objects))

    def restricted_namespace(self, name: str) -> "Namespace":
        """Make one that refuses pods below the standard `restricted`, and warns of what would make some."""
        labels = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        namespace = Namespace(self, name)
        self.wait_until(lambda: namespace.objects("serviceaccount"), f"the account of pods in {name}")
        return namespace

    @contextmanager
    def operator_kinds(self) -> Iterator[None]:
        """With the kind ServiceMonitor, of which the operator itself is not needed."""
        definition = str(PROGRAMS / "servicemonitors.yaml")
        self.kubectl("create", "--filename", definition)
        try:
            self.kubectl("wait", "--for=condition=Established", "--timeout=300s", "--filename", definition)
            yield
        finally:
            self.kubectl("delete", "--wait", "--filename", definition)

    @contextmanager
    def closed_node(self) -> Iterator[None]:
        """While no pod is given to the node, as before it is taken down."""
        self.kubectl("cordon", "node")
        try:
            yield
        finally:
            self.kubectl("uncordon", "node")

    def wait_until(self, condition: Callable[[], object], what: str) -> None:
        """Until it holds; where it never does, the logs of the programs are named."""
        wait_until(condition, f"{what}; the logs are in {self.directory}", pause=0.2)


@dataclass(frozen=True)
class Namespace:
    """One namespace of the cluster."""

    cluster: Cluster
    name: str

    def kubectl(self, *arguments: str, text: str = "") -> str:
        """What kubectl prints, asked about this namespace."""
        return self.cluster.kubectl("--namespace", self.name, *arguments, text=text)

    def apply(self, *objects: Object) -> None:
        """Make them in this namespace, or change those that are there."""
        self.kubectl("apply", "--filename", "-", text=yaml.safe_dump_all(objects))

    def helm(self, *arguments: str) -> str:
        """What helm prints."""
        return self.cluster.run(HELM, "--namespace", self.name, *arguments)

    def refusal(self, *objects: Object | None) -> str:
        """What the API server says against them, or warns of; '' when it would take them all. None is made."""
        options = ("apply", "--namespace", self.name, "--dry-run=server", "--filename", "-")
        done = self.cluster.attempt(PROGRAMS / "kubectl", *options, text=yaml.safe_dump_all(objects))
        assert done.returncode == 0 or done.stderr, done
        return done.stderr

    def objects(self, kinds: str, selector: str = "") -> list[Object]:
        """Those of these kinds, by name."""
        found = json.loads(self.kubectl("get", kinds, "--selector", selector, "--output", "json"))["items"]
        return sorted(found, key=lambda item: str(item["metadata"]["name"]))

    def one(self, kind: str) -> Object:
        """The only one of a kind."""
        (found,) = self.objects(kind)
        return found

    def roll_out(self) -> None:
        """Wait until all pods of the StatefulSet are as it says, and ready."""
        self.kubectl("rollout", "status", f"statefulset/{NAME}", "--timeout=300s")

    def shards(self) -> list[str]:
        """What each pod of the StatefulSet is told."""
        return [told(pod)["BACKUP_SHARD"] for pod in self.objects("pod")]

    def evict(self, pod: str) -> str:
        """Ask for a pod to go, as `kubectl drain` does; what is said against it, or ''."""
        eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": pod}}
        path = f"/api/v1/namespaces/{self.name}/pods/{pod}/eviction"
        options = ("create", "--raw", path, "--filename", "-")
        return self.cluster.attempt(PROGRAMS / "kubectl", *options, text=json.dumps(eviction)).stderr


def told(pod: Object) -> dict[str, str]:
    """What a pod's container is told by name: as on a node, each may refer to those before it by `$(NAME)`."""
    known: dict[str, str] = {}
    for variable in pod["spec"]["containers"][0]["env"]:
        if "valueFrom" in variable:
            path = re.fullmatch(
                r"metadata\.(labels|annotations)\['(.+)'\]", variable["valueFrom"]["fieldRef"]["fieldPath"]
            )
            assert path, variable
            known[variable["name"]] = pod["metadata"][path[1]][path[2]]
        else:
            value = variable.get("value", "")
            known[variable["name"]] = re.sub(r"\$\((\w+)\)", lambda name: known.get(name[1], name[0]), value)
    return known


@contextmanager
def running_cluster(directory: Path) -> Iterator[Cluster]:
    """Start it, with one node and some volumes; all of it is gone afterwards."""
    programs = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok", "kubectl")
    for program in (HELM, *(PROGRAMS / name for name in programs)):
        assert os.access(program, os.X_OK), f"there is no {program}: run make cluster"
    authority, port, store = Authority(directory), free_port(), free_port()
    accounts = authority.issue("accounts")
    kubeconfig = _kubeconfig(directory, authority.certificate, port)
    cluster = Cluster(directory, {**_environment(directory), "KUBECONFIG": str(kubeconfig)})
    as_client = (f"--kubeconfig={kubeconfig}", "--leader-elect=false", "--secure-port=0")
    signing = (f"--service-account-private-key-file={accounts.key}", f"--root-ca-file={authority.certificate}")
    with ExitStack() as stack:
        stack.enter_context(_running(directory, "etcd", *_store_options(directory, store)))
        serving = _api_options(directory, port, store, authority.issue("server"), accounts)
        api = stack.enter_context(_running(directory, "kube-apiserver", *serving))
        cluster.wait_until(lambda: _is_ready(cluster, api), "the API server")
        stack.enter_context(_running(directory, "kube-controller-manager", *as_client, *signing))
        stack.enter_context(_running(directory, "kube-scheduler", *as_client))
        stack.enter_context(_running(directory, "kwok", as_client[0], "--manage-all-nodes=true"))
        cluster.apply({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node"}})
        cluster.apply(*(_volume(f"volume-{number}") for number in range(VOLUMES)))
        yield cluster


@contextmanager
def _running(directory: Path, name: str, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    """One program, which writes its log into the folder; ended at the end."""
    with (directory / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            [str(PROGRAMS / name), *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=directory,
            env=_environment(directory),
        )
    try:
        yield process
    finally:
        process.kill()  # what it holds is thrown away
        process.wait()


def _environment(directory: Path) -> dict[str, str]:
    """No settings or caches of whoever runs the tests."""
    return {"HOME": str(directory), "PATH": os.environ["PATH"]}


def _is_ready(cluster: Cluster, api: subprocess.Popen[bytes]) -> bool:
    assert api.poll() is None, (cluster.directory / "kube-apiserver.log").read_text()[-3000:]
    return cluster.attempt(PROGRAMS / "kubectl", "get", "--raw", "/readyz").returncode == 0


def _kubeconfig(directory: Path, authority: Path, port: int) -> Path:
    """How clients find the API server; all of them may do anything there."""
    token = secrets.token_hex(16)
    (directory / "tokens.csv").write_text(f"{token},admin,admin,system:masters\n")
    server = {"server": f"https://127.0.0.1:{port}", "certificate-authority": str(authority)}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": server}],
        "users": [{"name": "admin", "user": {"token": token}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "admin"}}],
        "current-context": "here",
    }
    path = directory / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o600)
    return path


def _store_options(directory: Path, port: int) -> tuple[str, ...]:
    own, peers = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{free_port()}"
    return (
        f"--data-dir={directory / 'etcd'}",
        f"--listen-client-urls={own}",
        f"--advertise-client-urls={own}",
        f"--listen-peer-urls={peers}",
        f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=default={peers}",
        "--unsafe-no-fsync",
    )


def _api_options(
    directory: Path, port: int, store: int, server: Certificate, accounts: Certificate
) -> tuple[str, ...]:
    return (
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        "--endpoint-reconciler-type=none",  # an address of loopback is none that a cluster may have
        f"--secure-port={port}",
        f"--tls-cert-file={server.certificate}",
        f"--tls-private-key-file={server.key}",
        f"--etcd-servers=http://127.0.0.1:{store}",
        f"--token-auth-file={directory / 'tokens.csv'}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={accounts.certificate}",
        f"--service-account-signing-key-file={accounts.key}",
    )


def _volume(name: str) -> Object:
    """One that fits a claim; nothing is ever written there."""
    spec = {"capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "hostPath": {"path": "/nowhere"}}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}, "spec": spec}
