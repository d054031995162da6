"""The plain manifests and the chart on a real API server: rolled out, changed, removed, and mistakes refused."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from commands.jobs import Jobs
from commands.shard import parse_shard
from tests.cluster.harness import CHART, EXAMPLE, MANIFESTS, NAME, Cluster, Namespace, Object

PLAIN = MANIFESTS / f"{NAME}.yaml"
SELECTOR = f"app.kubernetes.io/name={NAME}"


def documents(text: str) -> list[Object]:
    """The objects of a manifest."""
    return [found for found in yaml.safe_load_all(text) if found]


def pod_of_the_manifest() -> Object:
    """What the StatefulSet makes its pods of, below `spec`."""
    (stateful,) = (found for found in documents(PLAIN.read_text()) if found["kind"] == "StatefulSet")
    found: Object = stateful["spec"]["template"]["spec"]
    return found


@pytest.fixture
def rolled_out(namespace: Namespace) -> Namespace:
    """With the plain manifests in it."""
    namespace.kubectl("apply", "--filename", str(PLAIN))
    namespace.roll_out()
    return namespace


# ---------------------------------------------------------------- the plain manifests


def test_the_plain_manifests_are_rolled_out(rolled_out: Namespace) -> None:
    """A pod for each shard, on a node and ready, each with a volume of its own."""
    assert rolled_out.one("statefulset")["status"]["readyReplicas"] == 3
    assert [pod["metadata"]["name"] for pod in rolled_out.objects("pod")] == [f"{NAME}-{n}" for n in range(3)]
    claims = rolled_out.objects("persistentvolumeclaim")
    assert [claim["status"]["phase"] for claim in claims] == ["Bound"] * 3


def test_the_pods_take_all_jobs_each_its_part(rolled_out: Namespace, tmp_path: Path) -> None:
    """By the number that the cluster gave them, from the Secret as it has it."""
    (secret,) = rolled_out.objects("secret", SELECTOR)
    for name, content in secret["data"].items():
        (tmp_path / name).write_bytes(base64.b64decode(content))
    assert rolled_out.shards() == ["0/3", "1/3", "2/3"]
    taken = []
    for shard in rolled_out.shards():
        jobs = Jobs([tmp_path], parse_shard(shard))
        jobs.load()
        assert jobs.invalid == {}
        taken += [job.name for job in jobs.own]
    assert sorted(taken) == ["edge-1", "edge-2"]


def test_the_service_and_the_network_policy_mean_each_pod(rolled_out: Namespace) -> None:
    """The endpoints are those of the pods, on the daemon's port, which the policy calls by the same name."""
    pods = rolled_out.objects("pod")
    expected = sorted(pod["status"]["podIP"] for pod in pods)

    def addresses() -> list[str]:
        ends = (end for part in rolled_out.objects("endpointslice", SELECTOR) for end in part["endpoints"] or ())
        return sorted(address for end in ends for address in end["addresses"])

    rolled_out.cluster.wait_until(lambda: addresses() == expected, "the endpoints of the service")
    assert rolled_out.one("endpointslice")["ports"] == [{"name": "http", "port": 8186, "protocol": "TCP"}]
    policy = rolled_out.one("networkpolicy")["spec"]
    selector = ",".join(f"{key}={value}" for key, value in policy["podSelector"]["matchLabels"].items())
    found = rolled_out.objects("pod", selector)
    assert [pod["metadata"]["uid"] for pod in found] == [pod["metadata"]["uid"] for pod in pods]
    assert policy["ingress"][0]["ports"] == [{"port": "http", "protocol": "TCP"}]


def test_one_pod_at_a_time_may_be_taken_away(rolled_out: Namespace) -> None:
    """The second only when the first is back."""

    def one_may_go() -> bool:
        return bool(rolled_out.one("poddisruptionbudget").get("status", {}).get("disruptionsAllowed") == 1)

    rolled_out.cluster.wait_until(one_may_go, "the budget")
    with rolled_out.cluster.closed_node():
        assert rolled_out.evict(f"{NAME}-0") == ""
        assert "violate the pod's disruption budget" in rolled_out.evict(f"{NAME}-1")
    rolled_out.roll_out()
    rolled_out.cluster.wait_until(one_may_go, "the budget")
    assert rolled_out.evict(f"{NAME}-1") == ""


# ---------------------------------------------------------------- the chart


def release(namespace: Namespace, verb: str, *settings: str) -> None:
    """Install or upgrade the chart with the example's values and these, and wait until it is rolled out."""
    sets = [f"--set={setting}" for setting in settings]
    namespace.helm(verb, NAME, str(CHART), "--values", str(EXAMPLE), *sets, "--wait", "--timeout=5m")


@pytest.mark.usefixtures("operator_kinds")
def test_helm_installs_upgrades_and_uninstalls(namespace: Namespace) -> None:
    """Changed jobs are new pods; another number of shards is told to all; in the end only the volumes stay."""
    release(namespace, "install", "serviceMonitor.enabled=true")
    before = {pod["metadata"]["uid"] for pod in namespace.objects("pod")}
    assert namespace.shards() == ["0/3", "1/3", "2/3"]
    assert namespace.one("servicemonitor")["spec"]["endpoints"][0]["port"] == "http"

    release(namespace, "upgrade", "jobs.edge-3.source.url=http://edge-3.example.org:8086")
    after = {pod["metadata"]["uid"] for pod in namespace.objects("pod")}
    assert len(after) == 3
    assert not after & before
    (secret,) = namespace.objects("secret", SELECTOR)
    assert "edge-3.yaml" in secret["data"]
    assert namespace.objects("servicemonitor") == []

    namespace.kubectl("scale", "statefulset", NAME, "--replicas=0")  # as NOTES.txt says
    namespace.cluster.wait_until(lambda: not namespace.objects("pod"), "all pods to be gone")
    release(namespace, "upgrade", "shards=2")
    assert namespace.shards() == ["0/2", "1/2"]

    namespace.helm("uninstall", NAME, "--wait", "--timeout=5m")
    kinds = "statefulset,pod,service,configmap,secret,networkpolicy,poddisruptionbudget"
    namespace.cluster.wait_until(lambda: not namespace.objects(kinds, SELECTOR), "all of it to be gone")
    assert len(namespace.objects("persistentvolumeclaim")) == 3


@pytest.mark.parametrize(
    "settings",
    [
        "jobsIn=ConfigMap,shards=12,passwords=logins,maxRuns=4,maxRunsPerServer=2",
        "env.BACKUP_PUBLIC_URL=https://backups.example.org,storage.className=fast,networkPolicy.enabled=false",
        "existingJobs=mine,nodeSelector.disk=ssd,podAnnotations.team=db,readiness=/livez",
    ],
)
def test_other_values_make_what_the_api_server_takes(namespace: Namespace, settings: str) -> None:
    """Without a warning."""
    values = ("--values", str(EXAMPLE), "--set", settings)
    made = documents(namespace.helm("template", NAME, str(CHART), "--validate", *values))
    assert "StatefulSet" in [found["kind"] for found in made]
    assert namespace.refusal(*made) == ""


def test_a_service_monitor_is_taken_only_where_its_kind_is_known(cluster: Cluster, namespace: Namespace) -> None:
    """Without the operator of Prometheus it is refused by name; nothing else depends on it."""
    monitor = documents((MANIFESTS / "servicemonitor.yaml").read_text())
    assert 'no matches for kind "ServiceMonitor"' in namespace.refusal(*monitor)
    with cluster.operator_kinds():
        assert namespace.refusal(*monitor) == ""


# ---------------------------------------------------------------- an Indexed Job

NUMBER = {
    "name": "JOB_COMPLETION_INDEX",
    "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['batch.kubernetes.io/job-completion-index']"}},
}
SHARD = {"name": "BACKUP_SHARD", "value": "$(JOB_COMPLETION_INDEX)/3"}


@pytest.mark.parametrize(
    ("variables", "shards"),
    [([NUMBER, SHARD], ["0/3", "1/3", "2/3"]), ([SHARD], ["$(JOB_COMPLETION_INDEX)/3"] * 3)],
)
def test_an_indexed_job_knows_its_shard_where_the_number_is_named_before_it(
    namespace: Namespace, variables: list[Object], shards: list[str]
) -> None:
    """Kubernetes itself adds the number behind all others, where no other variable can refer to it."""
    pod = pod_of_the_manifest()
    container = {key: pod["containers"][0][key] for key in ("name", "image", "securityContext")}
    spec = {
        "securityContext": pod["securityContext"],
        "restartPolicy": "Never",
        "containers": [{**container, "env": variables}],
    }
    job = {"completionMode": "Indexed", "completions": 3, "parallelism": 3, "template": {"spec": spec}}
    namespace.apply({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "once"}, "spec": job})
    namespace.kubectl("wait", "--for=condition=Complete", "--timeout=300s", "job/once")
    assert sorted(namespace.shards()) == shards


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("readOnlyRootFilesystem:", "readOnlyRoot:", "unknown field"),
        ("maxUnavailable: 1", "maxUnavailable: -1", "must be greater than or equal to 0"),
        ("{name: logs, mountPath", "{name: log, mountPath", 'Not found: "log"'),
        ("defaultMode: 0440", "defaultMode: 4440", "must be a number between 0 and 0777"),
        (
            "Parallel\n  selector:\n    matchLabels:\n",
            "Parallel\n  selector:\n    matchLabels:\n      a: b\n",
            "selector",
        ),
    ],
)
def test_a_mistake_in_the_manifests_is_refused(namespace: Namespace, right: str, wrong: str, said: str) -> None:
    """Else all that is taken would prove nothing; a schema could know the first one only."""
    text = PLAIN.read_text()
    assert text.count(right) == 1
    assert namespace.refusal(*documents(text)) == ""
    assert said in namespace.refusal(*documents(text.replace(right, wrong)))


@pytest.mark.parametrize(
    ("pod_has", "container_has"),
    [
        ({"securityContext": {}}, {}),
        ({"hostNetwork": True}, {}),
        ({}, {"allowPrivilegeEscalation": True}),
        ({}, {"capabilities": {"drop": ["ALL"], "add": ["SYS_ADMIN"]}}),
        ({}, {"capabilities": {}}),
    ],
)
def test_a_pod_with_more_rights_is_refused(
    namespace: Namespace, pod_has: Mapping[str, Any], container_has: Mapping[str, Any]
) -> None:
    """The namespace takes ours because it needs none of them, not because it takes all."""
    spec = pod_of_the_manifest()
    spec["volumes"].append({"name": "logs", "emptyDir": {}})
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": spec}
    assert namespace.refusal(pod) == ""
    spec.update(pod_has)
    spec["containers"][0]["securityContext"].update(container_has)
    assert 'violates PodSecurity "restricted' in namespace.refusal(pod)
