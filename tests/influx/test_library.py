"""The library `influxdb` over our transport: what its calls ask for."""

import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgpack
import pytest
import requests

from basics.stopping import StopRequest
from basics.times import HOUR
from influx.influxql import Policy
from influx.library import Library
from influx.listener import SilentRequests
from influx.transport import Transport
from settings.keys import Server
from tests.influx.test_influxql import WEEK, influx_duration

ROOT = Path(__file__).parents[2]
URL = "http://127.0.0.1:1"


class Recorder(Transport):
    """Asks nobody: it keeps the statement, and answers that there is nothing."""

    def query(self, params: Mapping[str, Any], method: str) -> requests.Response:  # noqa: ARG002
        """An empty answer."""
        self.statement = params["q"]
        response = requests.Response()
        response.status_code = 200
        response._content = msgpack.packb({"results": [{"statement_id": 0}]})
        return response


def recorder(url: str = URL) -> Recorder:
    """In place of the server with that address."""
    return Recorder(
        Server.model_validate({"url": url}),
        "source",
        timeout=1,
        retries=0,
        retry_delay=0,
        threads=1,
        stopping=StopRequest(),
        listener=SilentRequests(),
    )


def statement(call: Callable[[Library], object]) -> str:
    """What a call asks for."""
    transport = recorder()
    call(Library(transport))
    return str(transport.statement)


@pytest.mark.parametrize("is_there", [False, True])
def test_the_class_that_needs_pandas_is_left_to_others(is_there: bool) -> None:
    """It takes half a second and 60 MB to read; whoever has it, or wants it afterwards, has the real one."""
    name = "influxdb.dataframe_client"
    there = f"sys.modules['{name}'] = there = types.SimpleNamespace(DataFrameClient=5)" if is_there else ""
    kept = f"sys.modules['{name}'] is there" if is_there else f"'{name}' not in sys.modules"
    text = f"import sys, types; {there}\nimport influx.library\nassert {kept} and 'pandas' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("url", "whole"),
    [
        ("http://influx", "http://influx:80"),
        ("https://influx/proxied", "https://influx:443/proxied"),
        ("http://influx:8087", "http://influx:8087"),
        ("http://[::1]:8086", "http://[::1]:8086"),
    ],
)
def test_an_address_without_a_port_has_that_of_its_scheme(url: str, whole: str) -> None:
    """As everywhere else, and not InfluxDB's usual one."""
    assert Library(recorder(url))._baseurl == whole


def test_the_policies_of_a_database_are_asked_by_its_quoted_name() -> None:
    """A database name may hold quotes."""
    assert statement(lambda library: library.policies('a"b')) == r'SHOW RETENTION POLICIES ON "a\"b"'


@pytest.mark.parametrize(
    ("policy", "ending"),
    [
        (Policy("p", 0, WEEK, is_default=False), "DURATION 0s REPLICATION 1 SHARD DURATION 604800s"),
        (Policy("p", 0, WEEK, is_default=True), "DURATION 0s REPLICATION 1 SHARD DURATION 604800s DEFAULT"),
        (Policy("p", HOUR, HOUR, is_default=False), "DURATION 3600s REPLICATION 1 SHARD DURATION 3600s"),
    ],
)
def test_a_policy_is_created_with_its_durations_and_default_flag(policy: Policy, ending: str) -> None:
    """`0s` keeps points for ever."""
    assert (
        statement(lambda library: library.create_policy("d b", policy))
        == 'CREATE RETENTION POLICY "p" ON "d b" ' + ending
    )


def test_a_policy_of_a_fraction_of_a_second_keeps_it() -> None:
    """The server accepts milliseconds in a policy; a copy that keeps points a little less would lose some."""
    duration = HOUR + 1_000_000
    text = statement(lambda library: library.create_policy("d", Policy("p", duration, HOUR, is_default=False)))
    match = re.search(r"DURATION (\S+) REPLICATION", text)
    assert match
    assert influx_duration(match[1]) == duration
