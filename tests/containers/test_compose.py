"""The Compose file: valid, complete, and running with images of our own.

Loki and Grafana run only where their images can be had; here, their configuration is checked as far as it can be
without them.
"""

import json
import os
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from config import Config
from tests.containers.harness import BASE_IMAGE, HARDENED, attempt, docker, wait_until
from tests.integration.harness import ROOT, write_job
from tests.support.containers import image_name
from tests.support.reader import difference, read_database
from tests.support.servers import free_port

FILE = ROOT / "docker-compose.yml"
COMPOSE = ROOT / "deploy" / "compose"
MONITORING = ROOT / "deploy" / "monitoring"
DASHBOARDS = COMPOSE / "grafana" / "dashboards"
PROVISIONING = COMPOSE / "grafana" / "provisioning"
DEMO_JOB = COMPOSE / "demo-config" / "demo.yaml"
COMMAND = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
LABELS = {"job", "level", "logger"}
"""What the tool adds to the tags of a job."""


def compose(*arguments: str, environ: dict[str, str] | None = None, directory: Path = ROOT) -> str:
    """What Compose prints in a folder with the file in it; a command that fails fails the test."""
    command = [*COMMAND, "--project-directory", str(directory), "--file", str(directory / FILE.name)]
    variables = {"PATH": os.environ["PATH"], "HOME": str(Path.home())} | (environ or {})
    done = subprocess.run(
        [*command, *arguments], env=variables, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """All services, as Compose understands the file."""
    text = compose("--profile", "demo", "config")
    found: dict[str, Any] = yaml.safe_load(text)["services"]
    return found


# ---------------------------------------------------------------- the file


def test_only_the_backup_itself_starts_without_a_profile(services: dict[str, Any]) -> None:
    """Everything else is the demo."""
    assert [name for name, service in services.items() if "profiles" not in service] == ["backup"]
    assert all(service.get("profiles", ["demo"]) == ["demo"] for service in services.values())


def test_every_image_has_a_pinned_tag_and_can_be_replaced() -> None:
    """A variable with a default that names a release."""
    text = FILE.read_text()
    images = re.findall(r"^ *(?:image|BASE_IMAGE): (.*)$", text, re.MULTILINE)
    assert len(images) == 7
    for image in images:
        assert re.fullmatch(r"\$\{[A-Z_]+_IMAGE:-[a-z/-]+:v?\d+\.\d+\.\d+[a-z-]*\}", image), image


def test_only_the_backups_logs_have_a_volume_with_a_name() -> None:
    """Compose 1.29 makes every named volume, even of services that it does not start."""
    assert list(yaml.safe_load(FILE.read_text())["volumes"]) == ["logs"]


def test_the_backup_is_confined(services: dict[str, Any]) -> None:
    """Read-only, without privileges, with its jobs read-only and its logs on a volume."""
    backup = services["backup"]
    assert backup["read_only"]
    assert backup["cap_drop"] == ["ALL"]
    assert backup["security_opt"] == ["no-new-privileges:true"]
    assert backup["tmpfs"] == ["/tmp"]  # noqa: S108 -- in the container
    assert backup["restart"] == "unless-stopped"
    assert backup["stop_grace_period"] == "15s"
    assert backup["ports"]
    assert all("127.0.0.1" in str(port) for service in services.values() for port in service.get("ports", []))
    mounts = [mount if isinstance(mount, str) else short(mount) for mount in backup["volumes"]]
    assert [mount.replace(str(ROOT), ".") for mount in mounts] == ["./config:/config:ro", "logs:/logs:rw"]
    assert {"--read-only", "--cap-drop", "--tmpfs", "--security-opt"} < set(HARDENED)


def short(mount: dict[str, Any]) -> str:
    """A mount in the long form, which Compose v2 prints, in the short one."""
    return f"{mount['source']}:{mount['target']}:{'ro' if mount.get('read_only') else 'rw'}"


def test_everything_that_is_mounted_from_here_exists(services: dict[str, Any]) -> None:
    """Docker would make an empty folder in its place, and say nothing."""
    mounts = [mount for service in services.values() for mount in service.get("volumes", [])]
    named = [mount for mount in mounts if (isinstance(mount, str) and ":" in mount) or "source" in mount]
    sources = [mount.split(":")[0] if isinstance(mount, str) else mount["source"] for mount in named]
    files = [Path(source) for source in sources if "/" in source]
    assert len(files) > 5
    assert not [file for file in files if not file.exists()]


# ---------------------------------------------------------------- Loki and Grafana, as configuration


def target(services: dict[str, Any], name: str, source: Path) -> str:
    """Where a service finds a file or folder of ours."""
    for mount in services[name]["volumes"]:
        text = mount if isinstance(mount, str) else short(mount) if "source" in mount else ""
        if text.split(":")[0] == str(source):
            return str(text.split(":")[1])
    raise AssertionError(f"{source} is not mounted in {name}")


def test_loki_reads_its_configuration_and_listens_where_the_job_pushes(services: dict[str, Any]) -> None:
    """One port in all places, and all paths on its volume."""
    file = COMPOSE / "loki" / "loki.yaml"
    assert services["loki"]["command"] == [f"-config.file={target(services, 'loki', file)}"]
    loki = yaml.safe_load(file.read_text())
    job = Config(DEMO_JOB).job.options.loki
    assert job.enabled
    assert job.push_url == f"http://loki:{loki['server']['http_listen_port']}/loki/api/v1/push"
    folders = [loki["common"]["path_prefix"], *loki["common"]["storage"]["filesystem"].values()]
    assert all(folder.startswith("/loki") for folder in folders)


def test_grafana_finds_its_data_sources_where_the_services_are(services: dict[str, Any]) -> None:
    """Each address is a service of the file, with the port on which it listens."""
    assert target(services, "grafana", PROVISIONING) == "/etc/grafana/provisioning"
    listed = yaml.safe_load((PROVISIONING / "datasources" / "demo.yaml").read_text())["datasources"]
    assert {source["uid"]: source["url"] for source in listed} == {
        "loki": "http://loki:3100",
        "prometheus": "http://prometheus:9090",
        "source": "http://demo-source:8086",
        "destination": "http://demo-destination:8086",
    }
    job = Config(DEMO_JOB).job
    influxdb = [source for source in listed if source["type"] == "influxdb"]
    assert {source["url"] for source in influxdb} == {job.source.url, job.destination.url}
    databases = [source["jsonData"]["dbName"] for source in influxdb]
    assert databases == [job.source.databases[0].name, job.source.databases[0].destination]


def test_grafana_finds_the_dashboard_and_shows_it_first(services: dict[str, Any]) -> None:
    """The provider's path is where the dashboards are mounted."""
    provider = yaml.safe_load((PROVISIONING / "dashboards" / "demo.yaml").read_text())["providers"][0]
    mounted = target(services, "grafana", DASHBOARDS)
    assert provider["options"]["path"] == mounted
    home = services["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.startswith(mounted + "/")
    assert (DASHBOARDS / Path(home).name).is_file()


def test_grafana_finds_the_dashboard_of_the_metrics_too(services: dict[str, Any]) -> None:
    """It is not in the same folder: it is for everybody, not for the demo."""
    providers = yaml.safe_load((PROVISIONING / "dashboards" / "demo.yaml").read_text())["providers"]
    (path,) = (p["options"]["path"] for p in providers if p["name"] == "metrics")
    assert target(services, "grafana", MONITORING / "dashboard.json") == f"{path}/dashboard.json"


def test_prometheus_asks_the_daemon_where_it_answers_and_knows_the_alerts(services: dict[str, Any]) -> None:
    """The port is that of the image; the files are where Prometheus looks for them."""
    file = COMPOSE / "prometheus" / "prometheus.yml"
    assert f"--config.file={target(services, 'prometheus', file)}" in services["prometheus"]["command"]
    config = yaml.safe_load(file.read_text())
    assert config["rule_files"] == [target(services, "prometheus", MONITORING / "alerts.yml")]
    ((address,),) = (found["targets"] for found in config["scrape_configs"][0]["static_configs"])
    host, port = address.split(":")
    assert host in services
    assert f"BACKUP_HTTP=0.0.0.0:{port}" in (ROOT / "Dockerfile").read_text()


def dashboard_targets() -> list[dict[str, Any]]:
    """The queries of all panels, and the one of the variable."""
    dashboard = json.loads((DASHBOARDS / "backup.json").read_text())
    variables = [v["query"] | {"datasource": v["datasource"]} for v in dashboard["templating"]["list"]]
    return [query for panel in dashboard["panels"] for query in panel["targets"]] + variables


def test_the_dashboard_asks_only_for_data_sources_and_labels_that_exist() -> None:
    """The labels are the job's tags and those that the log handler adds; levels are Python's, in lower case."""
    queries = dashboard_targets()
    assert {query["datasource"]["uid"] for query in queries} == {"loki", "source", "destination"}
    expressions = [query.get("expr") or query.get("stream", "") for query in queries]
    matchers = re.findall(r'(\w+)(=~?)"([^"]*)"', " ".join(expressions))
    tags = dict(Config(DEMO_JOB).job.options.loki.tags)
    assert {label for label, _, _ in matchers} <= {*tags, *LABELS}
    assert {value for label, _, value in matchers if label == "app"} == {tags["app"]}
    levels = {level for label, _, value in matchers if label == "level" for level in value.split("|")}
    assert levels == {"warning", "error", "critical"}
    assert {query["label"] for query in queries if "label" in query} == {"job"}


# ---------------------------------------------------------------- the demo, running


@pytest.fixture
def demo(image: str) -> Iterator[dict[str, str]]:
    """The demo without Loki and Grafana, with images of our own; removed at the end with its volumes."""
    environ = {
        "COMPOSE_PROJECT_NAME": f"demo{os.getpid()}",
        "BACKUP_IMAGE": image,
        "BASE_IMAGE": BASE_IMAGE,
        "INFLUXDB_IMAGE": image_name(),
        "DEMO_SOURCE_PORT": str(free_port()),
        "DEMO_DESTINATION_PORT": str(free_port()),
        "DEMO_BACKUP_PORT": str(free_port()),
    }
    try:
        compose("--profile", "demo", "up", "--detach", "--no-build", "demo-backup", "demo-feed", environ=environ)
        yield environ
    finally:
        compose("--profile", "demo", "down", "--volumes", "--timeout", "10", environ=environ)


def test_the_demo_copies_its_data_without_loki(demo: dict[str, str]) -> None:
    """A week of samples arrives, and what comes later follows within a minute; the absent Loki stops nothing."""
    source, destination = (f"http://127.0.0.1:{demo[f'DEMO_{side}_PORT']}" for side in ("SOURCE", "DESTINATION"))
    (container,) = compose("--profile", "demo", "ps", "--quiet", "demo-backup", environ=demo).split()
    wait_until(lambda: has_database(destination, "demo_backup"), lambda: logs_of(container))
    time.sleep(12)  # one more point of the feed, at least
    compose("--profile", "demo", "stop", "--timeout", "5", "demo-feed", environ=demo)
    expected = read_database(source, "demo")
    assert len(expected) > 60_000

    def different() -> str:
        return difference(expected, read_database(destination, "demo_backup"), names=("source", "destination"))

    wait_until(lambda: not different(), lambda: different() + logs_of(container)[-4000:])
    assert "The only job is fine" in page_of(demo["DEMO_BACKUP_PORT"])


def page_of(port: str) -> str:
    """The status page, as the host sees it."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
        return str(answer.read().decode())


def has_database(url: str, name: str) -> bool:
    """Whether the server has the database."""
    with urllib.request.urlopen(f"{url}/query?q=SHOW+DATABASES", timeout=60) as answer:  # noqa: S310 -- loopback
        return f'["{name}"]' in answer.read().decode()


@pytest.fixture
def alone(image: str, tmp_path: Path) -> Iterator[Path]:
    """A folder with the Compose file and an empty `config`, as one has it who uses the image only."""
    shutil.copy(FILE, tmp_path)
    (tmp_path / "config").mkdir(mode=0o755)
    (tmp_path / ".env").write_text(
        f"COMPOSE_PROJECT_NAME=alone{os.getpid()}\nBACKUP_IMAGE={image}\nBACKUP_PORT={free_port()}\n"
    )
    try:
        yield tmp_path
    finally:
        compose("down", "--volumes", "--timeout", "10", directory=tmp_path)


def test_the_backup_alone_comes_up_with_a_job_and_goes_down_in_order(alone: Path) -> None:
    """One container, which waits for servers that are not there, and ends with exit code 0."""
    job: dict[str, Any] = {"source": {"url": "http://127.0.0.1:1"}, "destination": {"url": "http://127.0.0.1:2"}}
    schedule = {"schedule": "* * * * *", "run_on_start": True}
    job["options"] = {"backup_mode": "incremental", "incremental": schedule, "log_directory": "/logs"}
    write_job(alone / "config", job, "waiting")
    compose("up", "--detach", "--no-build", directory=alone)
    (container,) = compose("ps", "--quiet", directory=alone).split()
    wait_until(lambda: "waiting" in logs_of(container), lambda: logs_of(container))
    assert docker("exec", container, "cat", "/logs/waiting/waiting.log")
    project = re.search(r"alone\d+", (alone / ".env").read_text())
    assert project
    volumes = docker("volume", "ls", "--quiet", "--filter", f"name={project[0]}_")
    assert volumes == f"{project[0]}_logs", "a volume of the demo was made"
    compose("stop", directory=alone)
    assert docker("inspect", "--format", "{{.State.ExitCode}}", container) == "0"


def test_the_backup_alone_says_what_it_needs_when_there_is_no_job(alone: Path) -> None:
    """It is started again and again until there is one, and says so each time."""
    compose("up", "--detach", "--no-build", directory=alone)
    (container,) = compose("ps", "--quiet", directory=alone).split()
    wait_until(lambda: logs_of(container).count("no job in /config") > 1, lambda: logs_of(container))


def logs_of(container: str) -> str:
    """What a container printed."""
    printed = attempt("logs", container)
    return printed.stdout + printed.stderr
