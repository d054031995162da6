"""A backup goes where its file says: no redirect, proxy, netrc or certificate of the environment changes that."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from main import run_worker
from tests.integration.harness import MONDAY, Pair, endpoint, job_config, run_main, write_job
from tests.soak.loki import Loki
from tests.support.certificates import Authority
from tests.support.servers import InfluxServer
from tests.support.web import http_server, page

LINES = f"m v=1 {MONDAY}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A private authority."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secured(authority: Authority) -> Iterator[InfluxServer]:
    """A server with TLS and a password, and a database on it."""
    settings = {**authority.issue("secured").settings, "http.auth-enabled": True}
    with InfluxServer.start("secured", settings=settings) as server:
        server.create_database("kept")
        server.write(LINES, "kept")
        yield server


def misleading(directory: Path, proxy: str, certificates: Path, server: InfluxServer) -> Mapping[str, str]:
    """An environment in which requests would take the proxy, trust the authority and know the password."""
    netrc = directory / ".netrc"
    netrc.write_text(f"""machine 127.0.0.1 login {server.user} password "{server.password}"\n""")
    netrc.chmod(0o600)
    names = [f"{scheme}_proxy" for scheme in ("http", "https", "all")]
    proxies = dict.fromkeys([*names, *map(str.upper, names)], proxy)
    bundles = dict.fromkeys(("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE"), str(certificates))
    kept = {name: value for name, value in os.environ.items() if name.lower() != "no_proxy"}
    return {**kept, **proxies, **bundles, "HOME": str(directory), "NETRC": str(netrc)}


def test_proxies_certificates_and_passwords_of_the_environment_are_ignored(
    secured: InfluxServer, authority: Authority, pair: Pair
) -> None:
    """What the file names is used; what it does not name is refused, though the environment would allow it."""
    asked: list[str] = []
    loki, jobs = Loki(), pair.directory / "jobs"
    named = {**endpoint(secured), "ca_file": str(authority.certificate)}
    no_ca, no_user = endpoint(secured), {"url": secured.url, "ca_file": named["ca_file"]}
    names = {"named": named, "no_ca": no_ca, "no_user": no_user}
    options = {"retries": 0, "loki": loki.options}
    for name, source in names.items():
        config = job_config(secured, pair.destination, {"kept": f"{pair.database}_{name}"}, {"options": options})
        config["source"] = source | {"databases": config["source"]["databases"]}
        write_job(jobs, config, name)
    with http_server(page(200, {}, b"proxy", requests=asked)) as proxy:
        environ = misleading(pair.directory, proxy, authority.certificate, secured)
        done = run_main("--config", jobs, environ=environ)
        checked = run_main("check", "--config", jobs / "named.yaml", environ=environ)
    results = {line.split()[0]: line.split()[-1] for line in done.stdout.splitlines() if line.split()[0] in names}
    assert results == {"named": "ok", "no_ca": "FAILED", "no_user": "FAILED"}
    assert "set ca_file" in next(line for line in done.stdout.splitlines() if "FAILED no_ca" in line)
    assert "HTTP 401" in next(line for line in done.stdout.splitlines() if "FAILED no_user" in line)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert asked == []
    assert any("run ended" in text for text in loki.texts)
    assert not any("authorization" in request.lower() for request in loki.requests)
    assert pair.destination.rows("SELECT v FROM m", db=f"{pair.database}_named") == [[MONDAY, 1.0]]
    pair.destination.drop_database(f"{pair.database}_named")


def test_certificates_of_the_environment_cannot_break_what_the_file_names(
    secured: InfluxServer, authority: Authority, pair: Pair
) -> None:
    """A bundle that is not there is not missed."""
    environ = misleading(pair.directory, "http://127.0.0.1:1", pair.directory / "nowhere.pem", secured)
    config = job_config(secured, pair.destination, {"kept": pair.database})
    config["source"]["ca_file"] = str(authority.certificate)
    done = run_main("--config", write_job(pair.directory, config), environ=environ)
    assert done.returncode == 0, done.stdout + done.stderr
    assert pair.destination.rows("SELECT v FROM m", db=pair.database) == [[MONDAY, 1.0]]


@pytest.mark.parametrize("side", ["source", "destination"])
@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_a_redirect_is_refused_and_not_followed(status: int, side: str, pair: Pair) -> None:
    """Neither a query nor a point nor a password goes to where the server points."""
    pair.write(LINES)
    asked: list[str] = []
    with (
        http_server(page(204, {"X-Influxdb-Version": "1.6.7"}, requests=asked)) as target,
        http_server(page(status, {"Location": f"{target}/query"})) as url,
    ):
        config = pair.config({side: {"url": url, "user": "u", "password": "hush-hush"}, "options": {"retries": 0}})
        (failure,) = run_worker(write_job(pair.directory, config)).failures
    assert f"{side} {url}: ping: the server redirects to {target}/query; put the final address into url" in failure
    assert asked == []


@pytest.mark.parametrize(
    "target", ["", "http://[", "http://é\\ x", "//u:secret@x/", "javascript:x", "/", "x" * 20_000]
)
def test_a_strange_target_of_a_redirect_is_no_bug(target: str, pair: Pair) -> None:
    """It is shown shortened, and without what may be credentials."""
    with http_server(page(302, {"Location": target})) as url:
        config = pair.config({"source": {"url": url}, "options": {"retries": 0}})
        (failure,) = run_worker(write_job(pair.directory, config)).failures
    assert "the server redirects to " in failure
    assert "secret" not in failure
    assert len(failure) < 500
