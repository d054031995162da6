"""The configuration: what a file may hold, and what each mistake in it is answered with."""

import json
import pickle
import random
import re
import subprocess
import sys
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import SecretStr, ValidationError

from basics.patterns import NamePattern
from basics.times import DAY, HOUR, SECOND
from config import Config, ConfigError, Job, Problem, load_config, parse_config, schema
from settings.cautions import cautions
from settings.cron import parse_cron
from settings.held_secrets import held_secret
from settings.yaml_reader import read_yaml

ROOT = Path(__file__).parents[2]
TEMPLATE = (ROOT / "config" / "backup.template.yaml").read_text(encoding="utf-8")
SECRET = "hunter2-Geheim"

MINIMAL = """
source: {url: http://a:8086}
destination: {url: http://b:8086}
options: {backup_mode: incremental}
"""

COMPLETE = """
global: {network: monitoring}
source:
  url: HTTPS://Influx.Example.COM/prefix/
  user: reader
  password: "${SOURCE_PASSWORD}"
  ssl: true
  verify_ssl: false
  ca_file:
  databases:
    - {name: telegraf, destination: telegraf_copy}
    - name: sensors
  prefix: "pre_"
  suffix: _suf
  group_by: 5m
destination:
  url: http://b
measurements:
  include: [cpu, disk*, "/^win_/"]
  exclude: [diskless]
  specific:
    disk.io:
      fields: {include: [read*], exclude: [reads_merged], types: [numeric, string]}
    cpu:
options:
  backup_mode: range
  range: {start_date: 2026-01-01, end_date: "2026-01-02T00:00:00.000000001Z"}
  incremental:
    schedule: "0 3 * * 1-5"
    timezone: Europe/Berlin
    run_on_start: yes
    fallback_days: 1.5
    obsolete_threshold: 6M
    lookback: 0
  field_obsolete_threshold: 1y
  retries: ${RETRIES:-7}
  retry_delay: 0.5
  timeout_client: 60
  initial_connection_retry_delay: 10
  days_of_pagination: 7
  parallel_workers: 8
  log_level: DEBUG
  log_format: json
  log_directory: /var/log/backup
  log_rotation: {enabled: false, when: midnight, interval: 2, backup_count: 0}
  loki: {enabled: true, url: http://loki/, port: 3200, tags: {job: backup, site: "7"}}
  notify: {urls: [json://hook/x, "jsons://${HOOK:-h}/y"], on: [failure, success]}
  ping_url: https://hc.example.com/ping/x?create=1
"""


def parse(text: str, **environ: str) -> Job:
    """The job of a text, in an environment of these variables only."""
    return parse_config(text, environ, "config/prod.yaml")


def problems(text: str, **environ: str) -> list[str]:
    """All that is wrong with a text, one line each."""
    with pytest.raises(ConfigError) as caught:
        parse(text, **environ)
    return [str(problem) for problem in caught.value.problems]


def changed(**sections: str) -> str:
    """The smallest file, with lines added to its sections (`options_range` is a section of options)."""
    lines: dict[str, str] = {
        "source": "  url: http://a:8086",
        "destination": "  url: http://b:8086",
        "options": "  backup_mode: incremental",
    }
    for section, text in sections.items():
        lines[section] = "\n".join([*lines.get(section, "").splitlines(), *(f"  {x}" for x in text.splitlines())])
    return "\n".join(f"{section}:\n{text}" for section, text in lines.items())


# --- What a good file becomes ------------------------------------------------------------------------


def test_a_minimal_file_gets_the_documented_defaults() -> None:
    """Only the two URLs and the mode are required."""
    job = parse(MINIMAL)
    options, incremental = job.options, job.options.incremental
    assert (job.name, job.source.url, job.destination.url) == ("prod", "http://a:8086", "http://b:8086")
    assert (job.source.user, job.source.password, job.source.verify_ssl) == ("", SecretStr(""), True)
    assert (job.source.databases, job.source.prefix, job.source.suffix, job.source.group_by) == ((), "", "", None)
    assert (job.measurements.include, job.measurements.exclude, dict(job.measurements.specific)) == ((), (), {})
    assert (options.range, options.retries, options.retry_delay, options.timeout_client) == (None, 3, 5, 20)
    assert (options.initial_connection_retry_delay, options.days_of_pagination) == (60, None)
    assert (options.parallel_workers, options.log_level, options.log_directory) == (4, "INFO", None)
    assert (incremental.schedule, incremental.timezone, incremental.run_on_start) == (None, ZoneInfo("UTC"), False)
    assert (incremental.fallback_days, incremental.obsolete_threshold, incremental.lookback) == (None, None, DAY)
    assert incremental.jitter == 0
    assert (options.field_obsolete_threshold, options.max_lag, options.allow_empty) == (None, None, False)
    rotation, loki = options.log_rotation, options.loki
    assert (rotation.enabled, rotation.when, rotation.interval, rotation.backup_count) == (True, "D", 1, 7)
    assert (loki.enabled, loki.url, loki.port, dict(loki.tags), loki.push_url) == (False, None, 3100, {}, "")
    assert (options.log_format, options.ping_url) == ("text", SecretStr(""))
    assert (options.notify.urls, options.notify.on) == ((), ("failure", "warning", "recovery"))


def test_a_complete_file_becomes_typed_values() -> None:
    """Each key of the reference arrives as the value it stands for."""
    job = parse(COMPLETE, SOURCE_PASSWORD=SECRET)
    source, options = job.source, job.options
    assert source.url == "https://influx.example.com/prefix"
    assert (source.ssl, source.host, source.port, source.path) == (True, "influx.example.com", 443, "/prefix")
    assert (source.password.get_secret_value(), source.verify_ssl, source.group_by) == (
        SECRET,
        False,
        5 * HOUR // 60,
    )
    assert (job.destination.ssl, job.destination.port, job.destination.path) == (False, 80, "")
    assert job.measurements.include == (NamePattern("cpu"), NamePattern("disk*"), NamePattern("/^win_/"))
    fields = job.measurements.specific["disk.io"].fields
    assert (fields.include, fields.exclude) == ((NamePattern("read*"),), (NamePattern("reads_merged"),))
    assert (fields.types, job.measurements.specific["cpu"].fields.types) == (("numeric", "string"), ())
    assert options.range is not None
    assert options.range.end - options.range.start == DAY + 1
    assert options.incremental.schedule == parse_cron("0 3 * * 1-5")
    assert (options.incremental.timezone, options.incremental.run_on_start) == (ZoneInfo("Europe/Berlin"), True)
    assert (options.incremental.fallback_days, options.incremental.lookback) == (1.5, 0)
    assert (options.incremental.obsolete_threshold, options.field_obsolete_threshold) == (180 * DAY, 365 * DAY)
    assert (options.retries, options.log_format, options.log_directory) == (7, "json", Path("/var/log/backup"))
    assert dict(options.loki.tags) == {"job": "backup", "site": "7"}
    assert options.loki.push_url == "http://loki:3200/loki/api/v1/push"
    assert [url.get_secret_value() for url in options.notify.urls] == ["json://hook/x", "jsons://h/y"]
    assert options.notify.on == ("failure", "success")
    assert options.ping_url.get_secret_value() == "https://hc.example.com/ping/x?create=1"


def test_the_destination_name_has_prefix_and_suffix_exactly_once() -> None:
    """A mapped name replaces the database's own; one that is not listed keeps its own."""
    source = parse(COMPLETE, SOURCE_PASSWORD="").source
    names = [source.destination_name(name) for name in ("telegraf", "sensors", "other")]
    assert names == ["pre_telegraf_copy_suf", "pre_sensors_suf", "pre_other_suf"]
    assert [(d.name, d.destination) for d in source.databases] == [
        ("telegraf", "telegraf_copy"),
        ("sensors", "sensors"),
    ]


def test_a_range_is_there_only_in_range_mode() -> None:
    """Dates left over in an incremental job are checked, but cannot be applied by mistake."""
    text = changed(options="range: {start_date: 2026-01-01, end_date: 2026-01-02}")
    assert parse(text).options.range is None
    assert parse(text.replace("incremental", "range")).options.range is not None


def test_a_job_cannot_be_changed() -> None:
    """Neither a value nor what is inside of a mapping."""
    job = parse(COMPLETE, SOURCE_PASSWORD=SECRET)
    with pytest.raises(ValidationError):
        job.options.retries = 9  # type: ignore[misc]
    with pytest.raises(TypeError):
        job.options.loki.tags["a"] = "b"  # type: ignore[index]


NOT_SET = """
source:
  url: http://a:8086
  user:
  password: ""
  password_file: ""
  ssl: ~
  verify_ssl: ""
  ca_file: ""
  databases:
  prefix:
  group_by: ""
destination: {url: http://b:8086, ssl: "", databases_: }
measurements:
options:
  backup_mode: incremental
  range: {start_date: "", end_date: }
  incremental: {schedule: "", timezone: , fallback_days: "", obsolete_threshold: "", lookback: null}
  retries: ${UNSET:-}
  timeout_client: ${UNSET:-null}
  days_of_pagination: ""
  log_level: ""
  log_rotation: ""
  loki: {enabled: "", url: "", port: "", tags: }
global:
""".replace(", databases_: ", "")


def test_null_and_empty_mean_not_set() -> None:
    """A key or a section without a value is as good as one that is left out."""
    assert parse(NOT_SET) == parse(MINIMAL)


@pytest.mark.parametrize("value", ["", "''", "~", "null", "${EMPTY}", "'${EMPTY}'", "${EMPTY:-}"])
def test_a_required_key_without_a_value_is_missing(value: str) -> None:
    """An address that is forgotten in the file or in the environment is not taken for an empty one."""
    text = MINIMAL.replace("{url: http://a:8086}", f"\n  url: {value}")
    assert problems(text, EMPTY="") == ["source.url: missing; add it, for example http://influxdb:8086"]


@pytest.mark.parametrize(
    "text", ["{}", "source:\ndestination:\noptions:\n", "source: {}\nmeasurements: {include: []}"]
)
def test_every_required_key_that_is_missing_is_named(text: str) -> None:
    """Also where its whole section is missing or empty."""
    assert [line.partition(":")[0] for line in problems(text)] == [
        "source.url",
        "options.backup_mode",
        "destination.url",
    ]


@pytest.mark.parametrize(
    ("url", "extra", "expected"),
    [
        ("http://h:8086/", "", "http://h:8086"),
        ("HTTP://H:8086//", "", "http://h:8086"),
        ("http://h/a/b/", "", "http://h/a/b"),
        ("http://h", "ssl: true", "https://h"),
        ("http://h:8086", "ssl: true", "https://h:8086"),
        ("https://h", "ssl: true", "https://h"),
        ("https://h", "", "https://h"),
        ("http://h", "ssl: false", "http://h"),
        ("http://[::1]:8086/x", "", "http://[::1]:8086/x"),
        ("http://127.0.0.1", "", "http://127.0.0.1"),
        ("http://my_host-1.local", "", "http://my_host-1.local"),
    ],
)
def test_a_url_is_normalised(url: str, extra: str, expected: str) -> None:
    """Case, slashes and TLS have one form each, so that servers can be compared."""
    text = changed(source=extra).replace("http://a:8086", f"'{url}'")
    assert parse(text).source.url == expected


def test_a_url_without_a_port_has_its_schemes() -> None:
    """80 and 443, as for every URL; InfluxDB's 8086 has to be written."""
    job = parse(
        "source: {url: 'http://[::1]'}\ndestination: {url: https://b}\noptions: {backup_mode: incremental}"
    )
    assert (job.source.host, job.source.port, job.destination.port) == ("::1", 80, 443)


# --- References to the environment -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "environ", "expected"),
    [
        ("${V}", {"V": "text"}, "text"),
        ("a${V}b${V}", {"V": "-"}, "a-b-"),
        ("${V:-default}", {}, "default"),
        ("${V:-default}", {"V": ""}, "default"),
        ("${V:-default}", {"V": "x"}, "x"),
        ("${V:-a:-b}", {}, "a:-b"),
        ("'${V}'", {"V": "7"}, "7"),
        ("${V}", {"V": "007"}, "007"),
        ("${V}", {"V": "true"}, "true"),
        ("${V}", {"V": "1e5"}, "1e5"),
        ("${V}", {"V": "9" * 5000}, "9" * 5000),
        ("${V}", {"V": "null"}, "null"),
        ("${V}", {"V": "a: b"}, "a: b"),
        ("${V}", {"V": "[a, *b, !c, # d"}, "[a, *b, !c, # d"),
        ("${V}", {"V": "${W}"}, "${W}"),
        ("$${V}", {}, "${V}"),
        ("$$${V}", {}, "$${V}"),
        ("$V", {"V": "x"}, "$V"),
        ("$", {}, "$"),
        ("'$${V}${V}'", {"V": "x"}, "${V}x"),
        ("|-\n    two\n    ${V}", {"V": "lines"}, "two\nlines"),
    ],
)
def test_a_reference_is_replaced_by_text_that_is_never_read_as_yaml(
    value: str, environ: dict[str, str], expected: str
) -> None:
    """A password of digits stays a text, and no content of a variable can change the structure of the file."""
    job = parse(changed(source=f"prefix: {value}\npassword: {value}"), **environ)
    assert (job.source.prefix, job.source.password.get_secret_value()) == (expected, expected)


def test_an_unquoted_reference_becomes_a_number_or_a_boolean_where_one_is_expected() -> None:
    """The environment holds only texts; their type is found after the replacement."""
    text = changed(source="verify_ssl: ${VERIFY}", options="retries: ${RETRIES}\nretry_delay: ${A:-1}.${B:-5}")
    job = parse(text, VERIFY="false", RETRIES="5")
    assert (job.source.verify_ssl, job.options.retries, job.options.retry_delay) == (False, 5, 1.5)


def test_a_quoted_reference_stays_a_text() -> None:
    """Quotes mean text, with a reference inside or without."""
    assert problems(changed(options="retries: '${RETRIES}'"), RETRIES="5") == [
        "options.retries: expected a whole number, got '5'; remove the quotes"
    ]


def test_all_missing_variables_are_named_with_their_keys() -> None:
    """In one go, also inside of lists, and only once each: the value itself is not complained about, too."""
    text = changed(source="password: ${ONE}\ndatabases: ['${TWO}']", options="retries: ${THREE}\nretires: ${FOUR}")
    found = problems(text)
    assert [line.partition(";")[0] for line in found] == [
        "source.password: environment variable ONE is not set",
        "source.databases[0]: environment variable TWO is not set",
        "options.retries: environment variable THREE is not set",
        "options.retires: environment variable FOUR is not set",
        "options.retires: unknown key",
    ]


@pytest.mark.parametrize(
    "reference", ["${", "${}", "${1A}", "${A", "${A-b}", "${A:b}", "${A b}", "${ A}", "${A:?x}"]
)
def test_a_malformed_reference_is_a_problem(reference: str) -> None:
    """It is neither kept nor guessed at."""
    [line] = problems(changed(source=f"user: '{reference}'"), A="x")
    assert line.startswith("source.user: a malformed reference to an environment variable; write ${NAME}")


def test_keys_are_not_replaced() -> None:
    """References are for values only."""
    assert problems(changed(options="'${KEY}': 3"), KEY="retries")[0].startswith("options.${KEY")


def test_a_variable_that_is_not_unicode_is_a_problem() -> None:
    """Bytes that no terminal and no server could take are refused at once."""
    assert "not valid Unicode" in problems(changed(source="user: ${V}"), V="\udcff")[0]


# --- Every wrong key ---------------------------------------------------------------------------------

WRONG = [
    ("source", "url: 7", "source.url", "given twice"),
    ("source", "user: 7", "source.user", "expected a text, got 7; put it in quotes"),
    ("source", "user: true", "source.user", "expected a text, got true; put it in quotes"),
    ("source", "user: 2026-01-01x\nuser: a", "source.user", "given twice, on lines 3 and 4"),
    ("source", "user: 'a:b'", "source.user", "cannot hold a colon"),
    ("source", "user: {a: b}", "source.user", "expected a text, got a section"),
    ("source", "password: 7", "source.password", "put it in quotes"),
    ("source", "password_file: 7", "source.password_file", "expected a path, got 7"),
    ("source", "password_file: /nowhere/at/all", "source.password_file", "No such file"),
    ("source", 'password_file: "a\\0b"', "source.password_file", "remove the control characters"),
    ("source", "password_file: /", "source.password_file", "Is a directory"),
    ("source", "ssl: 1", "source.ssl", "expected true or false, got 1"),
    ("source", "verify_ssl: 'false'", "source.verify_ssl", "got 'false'; remove the quotes"),
    ("source", "ca_file: /nowhere/ca.pem", "source.ca_file", "there is no file '/nowhere/ca.pem'"),
    ("source", "ca_file: [a]", "source.ca_file", "expected a path, got a list"),
    ("source", "databases: {name: a}", "source.databases", "expected a list of databases, got a section"),
    ("source", "databases: [a, 7]", "source.databases[1].name", "expected a non-empty text, got 7; put it in"),
    (
        "source",
        "databases: [{name: 7}]",
        "source.databases[0].name",
        "expected a non-empty text, got 7; put it in",
    ),
    (
        "source",
        "databases: [{destination: b}]",
        "source.databases[0].name",
        "missing; add it, for example telegraf",
    ),
    (
        "source",
        "databases: [{name: a, destination: 7}]",
        "source.databases[0].destination",
        "expected a text, got 7",
    ),
    ("source", "databases: [null]", "source.databases[0]", "expected a section"),
    ("source", "prefix: 1.5", "source.prefix", "expected a text, got 1.5"),
    ("source", "suffix: no", "source.suffix", "expected a text, got false; put it in quotes"),
    ("source", "group_by: 5", "source.group_by", "got 5; add a unit"),
    ("source", "group_by: 5min", "source.group_by", "'5min' is not a duration"),
    ("source", "group_by: 0s", "source.group_by", "expected a duration above 0"),
    ("source", "group_by: true", "source.group_by", "expected a duration, got true"),
    ("destination", "prefix: x", "destination.prefix", "unknown key; did you mean source.prefix?"),
    ("destination", "databases: []", "destination.databases", "unknown key; did you mean source.databases?"),
    ("destination", "pasword: x", "destination.pasword", "unknown key; did you mean destination.password?"),
    ("measurements", "include: cpu", "measurements.include", "expected a list, got 'cpu'; write [a, b]"),
    ("measurements", "include: [7]", "measurements.include[0]", "expected a name, a glob or a /regex/, got 7"),
    ("measurements", "include: [null]", "measurements.include[0]", "got null"),
    ("measurements", "exclude: ['/(/']", "measurements.exclude[0]", "not a valid regular expression"),
    ("measurements", "exclude: ['']", "measurements.exclude[0]", "must not be empty"),
    ("measurements", "specific: [a]", "measurements.specific", "expected names with a section below each"),
    ("measurements", "specific: {a.b: 1}", "measurements.specific.a.b", "expected a section"),
    ("measurements", "specific: {'/(/': {}}", "measurements.specific", "is not a valid regular expression"),
    ("options", "max_lag: 0", "options.max_lag", "0"),
    (
        "measurements",
        "specific: {m: {feilds: }}",
        "measurements.specific.m.feilds",
        "did you mean measurements.spec",
    ),
    ("measurements", "specific: {m: {include: }}", "measurements.specific.m.include", "unknown key"),
    ("measurements", "specific: {m: {fields: [a]}}", "measurements.specific.m.fields", "expected a section"),
    ("measurements", "specific: {m: {fields: {include: a}}}", "measurements.specific.m.fields.include", "a list"),
    (
        "measurements",
        "specific: {m: {fields: {exclude: [7]}}}",
        "measurements.specific.m.fields.exclude[0]",
        "got 7",
    ),
    (
        "measurements",
        "specific: {m: {fields: {types: [int]}}}",
        "measurements.specific.m.fields.types[0]",
        "got 'int'",
    ),
    ("options", "backup_mod: range", "options.backup_mod", "unknown key; did you mean options.backup_mode?"),
    ("options", "range: {start_date: x, end_date: 2026-01-01}", "options.range.start_date", "'x' is not a time"),
    (
        "options",
        "range: {start_date: 2026, end_date: 2026-01-01}",
        "options.range.start_date",
        "expected a date or time, got 2026",
    ),
    (
        "options",
        "range: {start_date: 2026-01-01}",
        "options.range.end_date",
        "missing; add it, for example 2026-02-01",
    ),
    (
        "options",
        "range: {start: , start_date: 2026-01-01, end_date: 2026-01-02}",
        "options.range.start",
        "start_date?",
    ),
    ("options", "incremental: 5", "options.incremental", "expected a section of keys"),
    ("options", "incremental: {schedule: '60 * * * *'}", "options.incremental.schedule", "minute: '60'"),
    ("options", "incremental: {schedule: 5}", "options.incremental.schedule", "expected a cron expression, got 5"),
    ("options", "incremental: {schedule: '0 0 31 2 *'}", "options.incremental.schedule", "never runs"),
    (
        "options",
        "incremental: {timezone: Europe/Berln}",
        "options.incremental.timezone",
        "did you mean Europe/Berlin?",
    ),
    ("options", "incremental: {timezone: ../etc}", "options.incremental.timezone", "unknown time zone"),
    ("options", "incremental: {timezone: Europe}", "options.incremental.timezone", "unknown time zone"),
    ("options", "incremental: {timezone: 1}", "options.incremental.timezone", "got 1"),
    ("options", "incremental: {run_on_start: 1}", "options.incremental.run_on_start", "expected true or false"),
    ("options", "incremental: {jitter: -1m}", "options.incremental.jitter", "a duration"),
    ("options", "incremental: {fallback_days: 0}", "options.incremental.fallback_days", "a number above 0"),
    ("options", "incremental: {fallback_days: .nan}", "options.incremental.fallback_days", "a number, got .nan"),
    ("options", "incremental: {fallback_days: .inf}", "options.incremental.fallback_days", "got .inf"),
    (
        "options",
        "incremental: {obsolete_threshold: 6X}",
        "options.incremental.obsolete_threshold",
        "'6X' is not a d",
    ),
    ("options", "incremental: {lookback: 1}", "options.incremental.lookback", "add a unit"),
    ("options", "incremental: {lookback: -1d}", "options.incremental.lookback", "'-1d' is not a duration"),
    ("options", "field_obsolete_threshold: 30", "options.field_obsolete_threshold", "add a unit"),
    ("options", "schedule: '* * * * *'", "options.schedule", "did you mean options.incremental.schedule?"),
    ("options", "shedule: '* * * * *'", "options.shedule", "did you mean options.incremental.schedule?"),
    ("options", "retires: 3", "options.retires", "unknown key; did you mean options.retries?"),
    ("options", "retries: -1", "options.retries", "from 0 to 1000, got -1"),
    ("options", "retries: 1.0", "options.retries", "expected a whole number, got 1.0"),
    ("options", "retries: true", "options.retries", "expected a whole number, got true"),
    ("options", "retries: '3'", "options.retries", "got '3'; remove the quotes"),
    ("options", "retries: 99999999999999999999", "options.retries", "too large"),
    ("options", f"retries: {'9' * 5000}", "options.retries", "too large"),
    ("options", f"retries: 0x{'f' * 5000}", "options.retries", "too large"),
    ("options", "retry_delay: -0.1", "options.retry_delay", "from 0 to 86400, got -0.1"),
    ("options", "retry_delay: 5s", "options.retry_delay", "expected a number, got '5s'"),
    ("options", "timeout_client: 0", "options.timeout_client", "above 0"),
    ("options", "timeout_client: .inf", "options.timeout_client", "got .inf"),
    ("options", "timeout: 5", "options.timeout", "did you mean options.timeout_client?"),
    (
        "options",
        "initial_connection_retry_delay: x",
        "options.initial_connection_retry_delay",
        "expected a number",
    ),
    ("options", "days_of_pagination: 0", "options.days_of_pagination", "above 0"),
    ("options", "parallel_workers: 0", "options.parallel_workers", "from 1 to 64, got 0"),
    ("options", "parallel_workers: 65", "options.parallel_workers", "from 1 to 64, got 65"),
    ("options", "log_level: info", "options.log_level", "did you mean INFO?"),
    ("options", "log_level: 10", "options.log_level", "expected one of DEBUG, INFO"),
    ("options", "notify: x://y", "options.notify", "expected a section of keys"),
    ("options", "notify: {urls: x}", "options.notify.urls", "expected a list, got another value (not shown)"),
    ("options", "notify: {urls: [7]}", "options.notify.urls[0]", "expected an Apprise URL, got another value"),
    ("options", "notify: {urls: [nonsense]}", "options.notify.urls[0]", "not an Apprise URL (it is not shown)"),
    (
        "options",
        "notify: {urls: ['slak://a']}",
        "options.notify.urls[0]",
        "unknown Apprise scheme slak://; did you",
    ),
    ("options", "notify: {urls: ['slack://a']}", "options.notify.urls[0]", "not a complete slack:// URL"),
    ("options", "notify: {urls: ['https://a']}", "options.notify.urls[0]", "for a webhook write jsons://"),
    (
        "options",
        "notify: {urls: ['json://a', 'zz://b']}",
        "options.notify.urls[1]",
        "unknown Apprise scheme zz://",
    ),
    ("options", "notify: {on: failure}", "options.notify.on", "expected a list"),
    ("options", "notify: {on: [failed]}", "options.notify.on[0]", "got 'failed'; did you mean failure?"),
    ("options", "notify: {url: [json://a]}", "options.notify.url", "did you mean options.notify.urls?"),
    ("options", "ping_url: hc-ping.com/x", "options.ping_url", "(it is not shown); write it as https://hc-ping"),
    ("options", "ping_url: ftp://h/x", "options.ping_url", "not the http:// or https:// URL of a check"),
    ("options", "ping_url: 'https://'", "options.ping_url", "not the http:// or https:// URL of a check"),
    ("options", "ping_url: 'http://h:x/y'", "options.ping_url", "not the http:// or https:// URL of a check"),
    ("options", "ping_url: 'https://h/x y'", "options.ping_url", "not the http:// or https:// URL of a check"),
    ("options", "ping_url: 'https://h/x#y'", "options.ping_url", "not the http:// or https:// URL of a check"),
    ("options", "ping_url: https://h/x/fail", "options.ping_url", "ends with /fail, which is put after it anyway"),
    ("options", "ping_url: 7", "options.ping_url", "expected the URL of a check, got another value (not shown)"),
    ("options", "ping_url: [https://h/x]", "options.ping_url", "got another value (not shown)"),
    ("options", "log_format: JSON", "options.log_format", "did you mean json?"),
    ("options", "log_directory: 7", "options.log_directory", "expected a path"),
    ("options", 'log_directory: "a\\nb"', "options.log_directory", "control characters"),
    ("options", "log_rotation: {enabled: 1}", "options.log_rotation.enabled", "true or false"),
    ("options", "log_rotation: {when: daily}", "options.log_rotation.when", "expected one of S, M, H, D"),
    ("options", "log_rotation: {interval: 0}", "options.log_rotation.interval", "from 1"),
    ("options", "log_rotation: {backup_count: -1}", "options.log_rotation.backup_count", "from 0"),
    (
        "options",
        "log_rotation: {backupcount: 1}",
        "options.log_rotation.backupcount",
        "options.log_rotation.backup_co",
    ),
    (
        "options",
        "verify: {schedule: '0 5 * * *'}",
        "options.verify.schedule",
        "needs options.incremental.schedule",
    ),
    ("options", "verify: {sample: 5}", "options.verify.sample", "expected a share such as 5%"),
    ("options", "verify: {sample: 0%}", "options.verify.sample", "write it as 5%"),
    ("options", "verify: {sample: 1.0.0%}", "options.verify.sample", "write it as 5%"),
    ("options", "verify: {sample: 101%}", "options.verify.sample", "write it as 5%"),
    (
        "options",
        "drill: {schedule: '0 5 * * *'}",
        "options.drill.schedule",
        "needs options.incremental.schedule",
    ),
    ("options", "drill: {schedule: '0 5 * *'}", "options.drill.schedule", "expected 5 fields"),
    ("options", "drill: {sample: 5}", "options.drill.sample", "expected a share such as 5%"),
    ("options", "drill: {to: 'lo ki'}", "options.drill.to", "expected a URL"),
    ("options", "loki: {enabled: 1}", "options.loki.enabled", "true or false"),
    ("options", "loki: {enabled: true}", "options.loki.url", "missing; loki.enabled needs it"),
    ("options", "loki: {enabled: true, url: 'lo ki'}", "options.loki.url", "expected a URL"),
    ("options", "loki: {enabled: true, url: loki, port: 0}", "options.loki.port", "from 1 to 65535"),
    ("options", "loki: {enabled: true, url: 'http://l:1', port: 2}", "options.loki.port", "the URL names port 1"),
    ("options", "loki: {tags: [a]}", "options.loki.tags", "a name and a text"),
    ("options", "loki: {tags: {a: 1}}", "options.loki.tags.a", "expected a text, got 1"),
    ("options", "loki: {tags: {a: }}", "options.loki.tags.a", "got null"),
    ("options", "loki: {enabled: true, url: l, tags: {a-b: x}}", "options.loki.tags", "'a-b' is not a name of a"),
    ("global", "network: 7", "global.network", "expected a text"),
    ("global", "netwrk: x", "global.netwrk", "did you mean global.network?"),
    ("globl", "network: x", "globl", "unknown key; did you mean global?"),
    ("name", "a: b", "name", "unknown key"),
    ("source", "port: 8086", "source.port", "the server is one key, source.url: http://host:8086"),
    ("destination", "host: h", "destination.host", "the server is one key, destination.url: http://host:8086"),
    ("source", "username: u", "source.username", "did you mean source.user?"),
    ("source", "database: d", "source.database", "did you mean source.databases?"),
    ("source", "tags: {a: b}", "source.tags", "unknown key; known here: ssl, url"),
    ("options", "backup_schedule: x", "options.backup_schedule", "are options.incremental.schedule"),
    ("options", "timezone: UTC", "options.timezone", "did you mean options.incremental.timezone?"),
    ("options", "log_file: x.log", "options.log_file", "in the folder that options.log_directory names"),
    ("logging", "level: x", "logging", "what is logged belongs into options: log_level, log_format"),
    ("schedule", "a: b", "schedule", "did you mean options.incremental.schedule?"),
    ("cron", "a: b", "cron", "the times to run are options.incremental.schedule"),
    ("retries", "a: b", "retries", "did you mean options.retries?"),
    ("options", "retry-delay: 3", "options.retry-delay", "did you mean options.retry_delay?"),
    ("options", "notify: {true: [failure]}", "options.notify.true", "write as true: put it in quotes, 'on', or"),
    ("options", "notify: {when: [no]}", "options.notify.when[0]", "expected one of failure, warning"),
    ("options", "notify: {on: [failure], when: [failure]}", "options.notify.when", "together with on; keep one"),
    ("source", "user: 0123", "source.user", "expected a text, got 0123; put it in quotes"),
    ("source", "user: 1_000", "source.user", "got 1_000; put it in quotes"),
    ("source", "user: 12:30", "source.user", "got 12:30; put it in quotes"),
    ("options", "retries: 1_000_000", "options.retries", "from 0 to 1000, got 1_000_000"),
    ("options", "retries: 3.0", "options.retries", "expected a whole number, got 3.0; write 3"),
    ("options", "timeout_client: 20s", "options.timeout_client", "got '20s'; write 20, which means seconds"),
    ("options", "retry_delay: 1m30s", "options.retry_delay", "got '1m30s'; write 90, which means seconds"),
    ("options", "days_of_pagination: 2w", "options.days_of_pagination", "got '2w'; write 14, which means days"),
    ("options", "hooks: {before: 7}", "options.hooks.before", "expected a command, or a list of its words, got 7"),
    ("options", "hooks: {before: [a, 7]}", "options.hooks.before", "expected a non-empty text, got 7; put it in"),
    ("options", 'hooks: {after: "it\'s"}', "options.hooks.after", "close the quotes, or write a list of words"),
    ("options", "hooks: {time_limit: 0s}", "options.hooks.time_limit", "expected a duration above 0"),
    ("options", "incremental: {schedule: '@reboot'}", "options.incremental.schedule", "or one of @hourly, @daily"),
    ("output", "a: b", "output", "known here: source, destination, measurements, options, archive, global"),
]


@pytest.mark.parametrize(("section", "line", "key", "message"), WRONG, ids=[f"{w[2]}-{w[1][:30]}" for w in WRONG])
def test_each_wrong_key_is_named_with_its_value_and_the_remedy(
    section: str, line: str, key: str, message: str
) -> None:
    """One mistake is one line, which begins with the dotted key."""
    [problem] = problems(changed(**{section: line}))
    assert problem.startswith(f"{key}: ")
    assert message in problem


@pytest.mark.parametrize(
    ("value", "names"),
    [
        ("telegraf", ["telegraf"]),
        ("'7'", ["7"]),
        ("${DATABASE}", ["7"]),
        ("[telegraf, sensors]", ["telegraf", "sensors"]),
        ("[telegraf, {name: sensors}]", ["telegraf", "sensors"]),
        ('["${DATABASE}", telegraf]', ["7", "telegraf"]),
    ],
)
def test_a_plain_text_is_the_name_of_a_database(value: str, names: list[str]) -> None:
    """Alone or in a list, beside databases with another name at the destination."""
    source = parse(changed(source=f"databases: {value}"), DATABASE="7").source
    assert [mapping.name for mapping in source.databases] == names
    assert [source.destination_name(name) for name in names] == names
    if "$" not in value:
        assert VALIDATOR.is_valid(read_yaml(changed(source=f"databases: {value}"), {}).data)


@pytest.mark.parametrize(
    ("nickname", "text"),
    [
        ("@hourly", "0 * * * *"),
        ("@daily", "0 0 * * *"),
        ("@Midnight ", "0 0 * * *"),
        ("@weekly", "0 0 * * 0"),
        ("@monthly", "0 0 1 * *"),
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 1 *"),
    ],
)
def test_the_nicknames_of_cron_mean_what_they_mean_there(nickname: str, text: str) -> None:
    """And stand in the status as they were written."""
    schedule = parse(changed(options=f"incremental: {{schedule: '{nickname}'}}")).options.incremental.schedule
    assert schedule == replace(parse_cron(text), text=nickname.strip())


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("/bin/mount /backup", ("/bin/mount", "/backup")),
        ("sh -c 'echo $HOME > /x'", ("sh", "-c", "echo $HOME > /x")),
        ("[sh, -c, \"echo 'a b'\"]", ("sh", "-c", "echo 'a b'")),
        ("", ()),
        ("[]", ()),
    ],
)
def test_a_command_is_a_text_or_a_list_of_words(value: str, words: tuple[str, ...]) -> None:
    """Divided as a shell would, which does nothing else."""
    assert parse(changed(options=f"hooks: {{before: {value}}}")).options.hooks.before == words
    assert parse(MINIMAL).options.hooks.time_limit == 300 * SECOND


def test_when_is_another_name_of_on() -> None:
    """For programs that write YAML and make true of `on`."""
    assert parse(changed(options="notify: {when: [success]}")).options.notify.occasions == ("success",)
    assert parse(changed(options="notify: {on: [success]}")).options.notify.occasions == ("success",)
    assert parse(MINIMAL).options.notify.occasions == ("failure", "warning", "recovery")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (f"{SECRET}\n", "ends with a line end"),
        (f"{SECRET}\r\n", "ends with a line end"),
        (f'"{SECRET}"', "has quotes around its text"),
        (f"'{SECRET}'", "has quotes around its text"),
    ],
)
def test_a_variable_that_holds_more_than_its_text_is_named_and_not_shown(value: str, told: str) -> None:
    """A file of variables keeps quotes, and `echo` a line end: no server would take such a password."""
    [problem] = problems(changed(source="password: ${SOURCE_PASSWORD}"), SOURCE_PASSWORD=value)
    assert problem.startswith("source.password: environment variable SOURCE_PASSWORD ")
    assert told in problem
    assert SECRET not in problem


@pytest.mark.parametrize("value", ['"', "it's", "'a' or 'b'", '"a', "a\nb"])
def test_quotes_and_lines_inside_of_a_variable_are_its_text(value: str) -> None:
    """Only what surrounds all of it is none."""
    assert parse(changed(source="password: ${P}"), P=value).source.password.get_secret_value() == value


@pytest.mark.parametrize(
    "line",
    [
        *("options:\n  incremental:\n    schedule: * 3 * * *", "options: {incremental: {schedule: * 3 * * *}}"),
        *("measurements: {include: [*]}", "measurements:\n  include: *", "measurements:\n  exclude: [*cpu]"),
    ],
)
def test_an_asterisk_without_quotes_is_explained(line: str) -> None:
    """YAML takes it for a reference to something else."""
    [problem] = problems(line)
    assert "a text that starts with * needs quotes" in problem


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (changed(source="user: $USER"), ["source.user: $USER is taken as it stands; write ${USER} for"]),
        (changed(source="databases: [$DB]"), ["source.databases[0]: $DB is taken as it stands; write ${DB} for"]),
        (changed(source="password: $SECRET"), ["source.password: begins with $ and is taken as it stands"]),
        (changed(destination="password: hunter2 #Geheim"), ["destination.password: ends before ' #', where a"]),
        (changed(source="password: ${P:-x} #b\nuser: a #b"), []),
        (changed(source="password: hunter2   # never logged\nuser: $a"), []),
        (changed(source="password: 'hunter2 #Geheim'"), []),
        (TEMPLATE, []),
        ("a: [", []),
    ],
)
def test_what_is_most_likely_not_meant_is_told(text: str, told: list[str]) -> None:
    """It stays valid, and no password is shown."""
    found = cautions(text.encode())
    assert len(found) == len(told)
    for caution, begin in zip(found, told, strict=True):
        assert caution.startswith(begin)
        assert "SECRET" not in caution
        assert "hunter2" not in caution


def test_a_problem_is_one_line_whatever_the_file_is_called() -> None:
    """Names of files may hold line ends, too."""
    with pytest.raises(ConfigError) as caught:
        parse_config("a: 1\n'b\n  c': 2", {}, "x\nERROR y.yaml")
    lines = str(caught.value).splitlines()
    assert len(lines) == 1 + len(caught.value.problems)
    assert lines[0].startswith("x\\nERROR y.yaml: ")


SWITCHED_OFF = [
    "loki: {enabled: false, url: loki, port: 3100}",
    "loki: {url: loki, port: 3100}",
    "loki: {enabled: '', url: 'no URL at all?', port: 0, tags: {a-b: x}}",
    "loki: {enabled: false, url: 'http://l:1', port: 2}",
    "log_rotation: {enabled: false, when: never, interval: 0, backup_count: -1}",
]


@pytest.mark.parametrize("line", SWITCHED_OFF)
def test_what_is_switched_off_is_not_validated_beyond_its_type(line: str) -> None:
    """Older files hold such values, which mean nothing there."""
    options = parse(changed(options=line)).options
    assert not (options.loki.enabled and options.log_rotation.enabled)
    assert options.loki.url in (None, "http://loki", "http://l:1")


@pytest.mark.parametrize("value", ["url: 7", "url: [a]", "port: abc", "tags: [a]", "tags: {a: 1}", "no_such: 1"])
def test_a_wrong_type_is_a_problem_even_where_it_is_switched_off(value: str) -> None:
    """Then the file was not written for this program."""
    [problem] = problems(changed(options=f"loki: {{enabled: false, {value}}}"))
    assert problem.startswith("options.loki.")


@pytest.mark.parametrize(
    ("url", "push"),
    [("loki", "http://loki:3100"), ("loki.lan:99/x", "http://loki.lan:99/x"), ("HTTPS://l", "https://l:3100")],
)
def test_a_bare_host_of_loki_is_one_of_http(url: str, push: str) -> None:
    """As the template of older versions has it."""
    loki = parse(changed(options=f"loki: {{enabled: true, url: '{url}'}}")).options.loki
    assert loki.push_url == f"{push}/loki/api/v1/push"


WRONG_URLS = [
    "localhost:8086",
    "h",
    "ftp://h",
    "http://",
    "http:///x",
    "http://h:0",
    "http://h:65536",
    "http://h:x",
    "http://h:",
    "http://h\\x",
    "http://[::1",
    "http://[zz]",
    "http://h/?db=x",
    "http://h/#x",
    "http://h?",
    "//h",
    "http://a,b",
    "http://h:\uff18\uff10",
    "http:h",
]


@pytest.mark.parametrize("url", [*WRONG_URLS, "http://h 8086", "http://h\u0000"])
def test_a_wrong_url_is_a_problem(url: str) -> None:
    """Everything but http(s)://host[:port][/prefix] is refused before anything connects."""
    [problem] = problems(MINIMAL.replace("http://a:8086", json.dumps(url)))
    assert problem.startswith("source.url: expected a URL")


def test_all_problems_of_a_file_are_reported_at_once() -> None:
    """Wrong types, unknown keys, missing variables and conflicts between keys come in one error, one line each."""
    text = changed(
        source="databases: [{name: 7}]\ngroup_by: 5\nprefix: ${NOPE}",
        destination="ssl: 1",
        options="retires: 3\nrange: {start_date: 2026-01-02, end_date: 2026-01-01}\nloki: {enabled: true}",
    )
    with pytest.raises(ConfigError) as caught:
        parse(text)
    lines = str(caught.value).splitlines()
    assert lines[0] == "config/prod.yaml: 7 problems"
    assert "  source.databases[0].name: expected a non-empty text, got 7; put it in quotes" in lines
    assert [line.partition(": ")[0].strip() for line in lines[1:]] == [
        "source.prefix",
        "source.databases[0].name",
        "source.group_by",
        "destination.ssl",
        "options.retires",
        "options.range.end_date",
        "options.loki.url",
    ]
    assert Problem("options.loki.url", "missing; loki.enabled needs it, for example http://loki") in (
        caught.value.problems
    )


def test_an_error_survives_the_way_between_processes() -> None:
    """Whoever validates in another process gets the same problems."""
    error = ConfigError("a.yaml", [Problem("options", "bad")])
    assert str(pickle.loads(pickle.dumps(error))) == "a.yaml: 1 problem\n  options: bad"  # noqa: S301


# --- Checks between keys -----------------------------------------------------------------------------

ARCHIVES = [
    ("archive: /backups/influx", "/backups/influx"),
    ("archive: relative", "relative"),
    ("archive: S3://bucket/a/b/", "s3://bucket/a/b"),
    ("archive: gs://bucket", "gs://bucket"),
    ("archive: az://container/x", "az://container/x"),
]


@pytest.mark.parametrize(("line", "place"), ARCHIVES)
def test_an_archive_stands_instead_of_a_server_or_beside_it(line: str, place: str) -> None:
    """Its place is a folder, or a bucket with a prefix."""
    alone = parse(MINIMAL.replace("url: http://b:8086", line)).destination
    assert (alone.url, alone.archive, alone.where) == ("", place, place)
    both = parse(changed(destination=line)).destination
    assert (both.url, both.archive, both.where) == ("http://b:8086", place, "http://b:8086")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("archive: s3://key:secret@bucket/x", "must not hold credentials"),
        ("archive: ftp://bucket/x", "expected a folder"),
        ("archive: s3://", "expected a folder"),
        ("archive: 'a\tb'", "remove control characters"),
        ("archive: 7", "expected a folder"),
    ],
)
def test_a_place_that_no_archive_can_have_is_refused(line: str, message: str) -> None:
    """By its key."""
    [problem] = problems(changed(destination=line))
    assert problem.startswith("destination.archive: ")
    assert message in problem


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"source": "group_by: 5m"}, "source.group_by"),
        ({"options": "range: {start_date: 2024-01-01, end_date: 2024-02-01}\nbackup_mode: range"}, ""),
        ({"options": "incremental: {fallback_days: 3}"}, "options.incremental.fallback_days"),
        ({"options": "incremental: {obsolete_threshold: 3d}"}, "options.incremental.obsolete_threshold"),
        ({"options": "field_obsolete_threshold: 3d"}, "options.field_obsolete_threshold"),
    ],
)
def test_what_an_archive_has_no_use_for_is_refused(changes: dict[str, str], key: str) -> None:
    """A snapshot holds all that there is, as it is."""
    text = changed(**changes).replace("url: http://b:8086", "archive: /backups")
    if key:
        [problem] = problems(text)
        assert problem.startswith(f"{key}: ")
    else:
        assert any(line.startswith("options.backup_mode: ") for line in problems(text))


SAME = [
    ("http://h:8086", "http://h:8086", "", True),
    ("http://h:8086", "http://H:8086/", "", True),
    ("http://h", "http://h:80", "", True),
    ("https://h", "https://h:443", "", True),
    ("https://h:8086", "http://h:8086", "", True),
    ("http://h/a", "http://h/a/", "", True),
    ("http://h/a", "http://h/b", "", False),
    ("http://h:8086", "http://h:8087", "", False),
    ("http://h", "https://h", "", False),
    ("http://localhost:1", "http://127.0.0.1:1", "", True),
    ("http://localhost:1", "http://[::1]:1", "", True),
    ("http://localhost:1", "http://127.0.0.1:2", "", False),
    ("http://h", "http://h", "prefix: a_", True),
    ("http://h", "http://h", "suffix: _a", True),
    ("http://h", "http://h", "databases: [{name: a}]", True),
    ("http://h", "http://h", "databases: [{name: a, destination: a}]", True),
    ("http://h", "http://h", "databases: [{name: a, destination: b}]", False),
    ("http://h", "http://h", "databases: [{name: a}]\nprefix: x", False),
    ("http://h", "http://h", "databases: [{name: xa, destination: a}]\nprefix: x", True),
]


@pytest.mark.parametrize(("source", "destination", "extra", "same"), SAME)
def test_a_database_is_never_copied_onto_itself(source: str, destination: str, extra: str, same: bool) -> None:
    """The same server in any spelling is found out, unless the names differ."""
    text = changed(source=extra).replace("http://a:8086", source).replace("http://b:8086", f"'{destination}'")
    if same:
        [problem] = problems(text)
        assert "onto" in problem or "the copies too" in problem
        assert "choose another destination" in problem or "name the databases" in problem
    else:
        assert parse(text)


@pytest.mark.parametrize(
    ("line", "key", "message"),
    [
        ("databases: [{name: a}, {name: a, destination: b}]", "source.databases[1].name", "'a' is given twice"),
        (
            "databases: [{name: a}, {name: b, destination: a}]",
            "source.databases[1].destination",
            "'a' is also the",
        ),
        ("databases: [{name: a, destination: x}, {name: x}]", "source.databases[1].destination", "databases[0]"),
    ],
)
def test_two_databases_never_share_a_destination(line: str, key: str, message: str) -> None:
    """Their points would mix, and nobody could tell them apart again."""
    [problem] = problems(changed(source=line))
    assert problem.startswith(key)
    assert message in problem


@pytest.mark.parametrize(
    ("limits", "keys"),
    [
        ("", ["options.range.start_date", "options.range.end_date"]),
        ("range:", ["options.range.start_date", "options.range.end_date"]),
        ("range: {start_date: 2026-01-01}", ["options.range.end_date"]),
        ("range: {start_date: 2026-01-01, end_date: 2026-01-01}", ["options.range.end_date"]),
        ("range: {start_date: 2026-01-02, end_date: 2026-01-01}", ["options.range.end_date"]),
        ("range: {start_date: 2026-01-01T00:00+01:00, end_date: 2025-12-31T23:00Z}", ["options.range.end_date"]),
        ("range: {start_date: nope, end_date: 2026-01-01}", ["options.range.start_date"]),
        ("rnage: {start_date: 2026-01-01, end_date: 2026-01-02}", ["options.rnage", "options.range.start_date",
                                                                   "options.range.end_date"]),
    ],
)  # fmt: skip
def test_range_mode_needs_a_start_before_its_end(limits: str, keys: list[str]) -> None:
    """The range is half-open, so an end equal to the start would copy nothing."""
    text = changed(options=limits).replace("backup_mode: incremental", "backup_mode: range")
    assert [line.partition(":")[0] for line in problems(text)] == keys


def test_https_without_ssl_is_a_contradiction() -> None:
    """One of the two is wrong, and only the user knows which."""
    [problem] = problems(MINIMAL.replace("{url: http://a:8086}", "{url: https://a, ssl: false}"))
    assert problem.startswith("source.ssl: false, but the URL begins with https://")


# --- YAML --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("---\n", "the file is empty"),
        ("[]", "expected a section of keys, got a list"),
        ("just text", "expected a section of keys, got a single value"),
        ("a: b\n---\na: b", "line 2: a second document"),
        ("a: b: c", "line 1, column 5: not well-formed YAML; check the indentation, and quote"),
        ("a: 'b", "a quote is not closed"),
        ("a: [b", "not well-formed YAML"),
        ("a:\n\tb: c", "line 2, column 1: not well-formed YAML"),
        ("a: @b", "needs quotes"),
        ("a: *b", "a text that starts with * needs quotes"),
        ('a: "\\q"', "a backslash in double quotes must be doubled"),
        ('a: "\\UFFFFFFFF"', "not well-formed YAML"),
        ("a: \x00", "line 1, column 4: a character that YAML does not allow"),
        ("source: !!python/object:os.system {}", "line 1: the tag !!python/object:os.system is not supported"),
        ("source: !secret x", "line 1: a tag is not supported"),
        ("source: !!binary aGk=", "the tag !!binary is not supported"),
        ("options: {retries: !!int x}", "options.retries: line 1: not a valid int"),
        ("options: {retries: !!int ''}", "options.retries: line 1: not a valid int"),
        ('source: {user: "\\ud800"}', "source.user: line 1: holds what is not valid Unicode"),
        ("? [a]\n: b", "line 1: a key must be a text"),
        ("a: &x [*x]", "line 1: its aliases nest more than 32 levels deep"),
        ("a: &x {<<: *x}", "line 1: its aliases nest more than 32 levels deep"),
        ("a: {<<: 7}", "a: line 1: << takes an alias of a section"),
        ("[" * 100_000, "nested more than 32 levels deep"),
        ("{a: " * 33, "nested more than 32 levels deep"),
        ("[" + "a," * 10_001 + "]", "more than 10000 values"),
        ("#" * (1024 * 1024 + 1), "larger than 1024 KiB"),
        ("%YAML 1." + "9" * 5000 + "\n---\na: b", "not well-formed YAML"),
        ("retries: 1\nretries: 2", "retries: given twice, on lines 1 and 2; keep one"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_one_small_plain_document_is_refused(text: str, message: str) -> None:
    """With the line, and without a traceback, whatever was pasted."""
    assert message in "\n".join(problems(text))


def test_aliases_cannot_blow_up_a_file() -> None:
    """The limit counts what they expand to."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert "aliases expand to more than 10000 values" in problems("\n".join(lines))[0]


def test_sections_can_be_shared_with_anchors() -> None:
    """`<<` merges keys in, and a key of the section's own wins."""
    text = """
source: &server {url: http://a, user: u, password: p}
destination: {<<: *server, url: http://b}
options: {backup_mode: incremental}
"""
    job = parse(text)
    assert (job.destination.url, job.destination.user) == ("http://b", "u")


def test_names_that_look_like_other_types_stay_names() -> None:
    """A measurement called 7, on or null needs no quotes where it is a key."""
    job = parse(changed(measurements="specific: {7: , on: , null: , 2026-01-01: , 'a: b': }"))
    assert list(job.measurements.specific) == ["7", "on", "null", "2026-01-01", "a: b"]


@pytest.mark.parametrize("content", [b"\xff\xfea\x00", b"a: \xe4\xf6", MINIMAL.encode("utf-16")])
def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path, content: bytes) -> None:
    """The message says which encoding is expected."""
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match="not encoded in UTF-8"):
        load_config(tmp_path / "a.yaml", {})


@pytest.mark.parametrize(
    ("name", "message"), [("none.yaml", "No such file"), (".", "Is a directory"), ("a\0", "not a ")]
)
def test_a_file_that_cannot_be_read_is_a_config_error(tmp_path: Path, name: str, message: str) -> None:
    """Whoever handles ConfigError has handled everything."""
    with pytest.raises(ConfigError, match=message):
        load_config(tmp_path / name, {})


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    """Windows editors write one."""
    (tmp_path / "my.job.yaml").write_text(MINIMAL, encoding="utf-8-sig")
    assert load_config(tmp_path / "my.job.yaml", {}).name == "my.job"


# --- Passwords ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "expected"),
    [("pw\n", "pw"), ("pw\r\n", "pw"), ("pw", "pw"), (" p w \n\n", " p w \n"), ("7\n", "7")],
)
def test_a_password_file_is_read_without_its_last_line_end(tmp_path: Path, content: str, expected: str) -> None:
    """Editors and `echo` add one; everything else belongs to the password."""
    (tmp_path / "secret").write_bytes(content.encode())
    job = parse(changed(source=f"password_file: {tmp_path}/secret", destination="password_file: ${DIR}/secret"),
                DIR=str(tmp_path))  # fmt: skip
    assert job.source.password.get_secret_value() == job.destination.password.get_secret_value() == expected


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"x" * 100_000])
def test_a_useless_password_file_is_a_problem(tmp_path: Path, content: bytes) -> None:
    """An empty password is a mistake, not a password."""
    (tmp_path / "secret").write_bytes(content)
    [problem] = problems(changed(source=f"password_file: {tmp_path}/secret"))
    assert problem.startswith("source.password_file: ")


def test_password_and_password_file_exclude_each_other(tmp_path: Path) -> None:
    """Which of the two is meant cannot be known."""
    (tmp_path / "secret").write_text(SECRET)
    assert problems(changed(source=f"password: {SECRET}\npassword_file: {tmp_path}/secret")) == [
        "source.password_file: given together with password; keep one of them"
    ]


LEAKS = [
    "source: {url: http://a, password: PW, retires: 1}",
    "source: {url: http://a, password: [PW]}",
    "source: {url: http://a, password: {PW: PW}}",
    "source: {url: http://a, password: {PW: 1, PW: 2}}",
    "source: {url: http://a, password: {x: ${NOPE}, PW: !x}}",
    "source: {url: http://a, password: 1PW, password: 2PW}",
    "source: {url: http://a, password:PW}",
    "source: {url: http://a, password=PW: x}",
    "source: {url: http://a, password: !PW x}",
    "source: {url: http://a, password: !x PW}",
    "source: {url: http://a, password: *PW}",
    "source: {url: http://a, password: &PW x, password: &PW y}",
    "source: {url: http://a, password: @PW}",
    "source: {url: http://a, password: 'PW}",
    'source: {url: http://a, password: "PW\\q"}',
    "source: {url: http://a, password: %PW: [}",
    "source:\n  url: http://a\n  password: PW: x",
    "source:\n  url: http://a\n   password: PW",
    "source:\n  url: http://a\n  password PW\n  user: x",
    "source:\n  password: |\n PW\n",
    "source: 'password: PW'",
    "source: password=PW",
    "- PW",
    "PW",
    "source: {url: 'http://user:PW@host'}",
    "source: {url: 'http://PW@host'}",
    "source: {url: 'user:PW@host'}",
    "source: {url: 'htp://user:PW@host'}",
    "source: {url: 'http://user:PW/x@host'}",
    "source: {url: 'http://user:PW?@host'}",
    "source: {url: 'http://user:PW @host:x'}",
    "source: {url: 'http://host/?u=a&p=PW'}",
    "source: {url: 'http://host:x/?u=a&p=PW'}",
    "source: {url: 'http://[PW'}",
    "source: {url: 'http://user:PW'}",
    "source: {url: 'http://user:PW@[host'}",
    "source: {url: 'http://user:PW℀@host'}",
    "options: {loki: {enabled: true, url: 'http://user:PW@host'}}",
    "options: {retries: 'http://user:PW@host'}",
    "options: {incremental: {schedule: 'http://user:PW@host'}}",
    "source: {user: 'me:PW'}",
    "source: {url: http://a, password: '${PW', user: 7}",
    "source: {url: http://a, password: '${SECRET}', user: 7}",
    "source: {url: http://a, password: ${SECRET}, user: 7}",
    "source: {url: ${URL}, user: 7}",
    "source: {password_file: PWFILE, user: 7, ssl: PWFILE}",
    *(
        f"options: {{notify: {{urls: {urls}}}}}"
        for urls in (
            "PW",
            "[PW]",
            "['slak://PW']",
            "['slack://PW']",
            "['mailto://PW']",
            "['https://h/PW']",
            "{PW: 1}",
            "[[PW]]",
            "['slak://${SECRET}']",
            "['${SECRET}']",
            "[slak://${SECRET}]",
            "'${SECRET}'",
            "[{slack: //PW}]",
        )
    ),
    *(
        f"options: {{ping_url: {url}}}"
        for url in (
            "PW",
            "[PW]",
            "{PW: 1}",
            "'ftp://h/PW'",
            "'https://h:x/PW'",
            "'https://h/PW/fail'",
            "'${SECRET}'",
        )
    ),
    "options: {notify: ['slack://PW'], ping_url: ['https://PW']}",
    "options: {notify: 'slack://PW', ping_url: 'https://h/PW#'}",
]


@pytest.mark.parametrize("text", LEAKS)
def test_no_message_and_no_traceback_shows_a_password(tmp_path: Path, text: str) -> None:
    """Whatever is wrong on its line or around it, and wherever it came from."""
    (tmp_path / "secret").write_text(SECRET)
    text = text.replace("PWFILE", str(tmp_path / "secret")).replace("PW", SECRET)
    with pytest.raises(ConfigError) as caught:
        parse(text, SECRET=SECRET, URL=f"http://u:{SECRET}@h")
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value) + str(caught.value.problems)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    # The frames of a traceback quote this file's lines, which name the constant, never its value.
    assert SECRET not in shown


def test_a_notification_url_that_is_empty_is_not_set() -> None:
    """So that a variable can turn it off."""
    job = parse(changed(options="notify: {urls: ['${A:-}', '', ~, json://b]}\nping_url: ${B:-}"))
    assert [url.get_secret_value() for url in job.options.notify.urls] == ["json://b"]
    assert job.options.ping_url.get_secret_value() == ""


def test_a_job_shows_no_notification_url() -> None:
    """Neither in its repr nor as text."""
    job = parse(changed(options="notify: {urls: ['json://h/${P}']}\nping_url: https://h/${P}"), P=SECRET)
    assert job.options.notify.urls[0].get_secret_value() == f"json://h/{SECRET}"
    assert SECRET not in f"{job} {job!r} {job.options.notify} {job.options.ping_url!r} {job.options.notify.urls}"


@pytest.mark.parametrize(
    ("lines", "held"),
    [
        ("notify: {urls: [json://literal]}", "a notification URL"),
        ("notify: {urls: json://literal}", "a notification URL"),
        ("ping_url: https://h/literal", "a notification URL"),
        ("ping_url: ${X:-https://h/literal}", "a notification URL"),
        ("ping_url: '${X:-https://h/literal}'", "a notification URL"),
        ("notify: {urls: ['${X}', 'json://${X}', 'json://h/${X}']}\nping_url: https://h/${X}", ""),
        ("notify: {on: [failure]}\nping_url: ''", ""),
    ],
)
def test_a_file_that_holds_a_notification_url_is_known(lines: str, held: str) -> None:
    """What a variable brings, if only in part, is elsewhere."""
    assert held_secret(changed(options=lines).encode()) == held
    assert held_secret(changed(source="password: x", options=lines).encode()) == "a password"


def test_apprise_is_loaded_only_for_a_file_that_notifies(tmp_path: Path) -> None:
    """It is heavy: neither the command line nor a job without notifications pays for it."""
    code = (
        "import pathlib, sys; from commands.jobs import load_jobs; "
        "load_jobs([pathlib.Path(sys.argv[1])]); print('apprise' in sys.modules)"
    )
    for line, loaded in (("retries: 1", "False"), ("notify: {urls: [json://h]}", "True")):
        (tmp_path / "job.yaml").write_text(changed(options=line))
        command = [sys.executable, "-c", code, str(tmp_path / "job.yaml")]
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        assert done.stdout.strip() == loaded


def test_a_job_shows_no_password(tmp_path: Path) -> None:
    """Neither in its repr nor as text nor by its dotted key, however the password was given."""
    (tmp_path / "secret").write_text(SECRET)
    text = changed(source="user: u\npassword: ${P}", destination=f"password_file: {tmp_path}/secret")
    path = tmp_path / "job.yaml"
    path.write_text(text)
    config = Config(path, {"P": SECRET})
    assert config.job.source.password.get_secret_value() == SECRET
    assert config.job.destination.password.get_secret_value() == SECRET
    shown = [config, config.job, config.job.source, config.get("source.password"), config.get("destination")]
    assert SECRET not in "".join(f"{value} {value!r}" for value in shown)


# --- Dotted access -----------------------------------------------------------------------------------


@pytest.fixture
def complete(tmp_path: Path) -> Config:
    """A file that sets every key."""
    (tmp_path / "job.yaml").write_text(COMPLETE)
    return Config(tmp_path / "job.yaml", {"SOURCE_PASSWORD": SECRET})


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("options.retries", 7),
        ("options.range.start_date", 1_767_225_600_000_000_000),
        ("options.incremental.schedule", parse_cron("0 3 * * 1-5")),
        ("options.incremental.lookback", 0),
        ("options.log_rotation.enabled", False),
        ("options.loki.tags.job", "backup"),
        ("source.url", "https://influx.example.com/prefix"),
        ("source.ssl", True),
        ("source.password", SecretStr(SECRET)),
        ("destination.ssl", False),
        ("destination.user", ""),
        ("measurements.specific.disk.io.fields.include", (NamePattern("read*"),)),
        ("measurements.specific.cpu.fields.types", ()),
        ("source.ca_file", "default"),
        ("options.range.start", "default"),
        ("options.retires", "default"),
        ("options.retries.more", "default"),
        ("measurements.specific.disk", "default"),
        ("nothing.at.all", "default"),
        ("options.", "default"),
        (".", "default"),
        ("name", "default"),
    ],
)
def test_get_finds_a_value_by_its_key_in_the_file(complete: Config, key: str, expected: object) -> None:
    """Typed, also below a measurement with dots in its name; what is not set gives the default."""
    assert complete.get(key, default="default") == expected


def test_config_knows_its_file(complete: Config) -> None:
    """For messages, and for the process that runs the job."""
    assert complete.path.name == "job.yaml"
    assert complete.job.name == "job"
    assert complete.get("options") is complete.job.options


# --- Schema and template -----------------------------------------------------------------------------

SERVER_KEYS = ["url", "user", "password", "password_file", "ssl", "verify_ssl", "ca_file"]
KEYS = [
    *(f"source.{key}" for key in SERVER_KEYS),
    *(f"destination.{key}" for key in (*SERVER_KEYS, "archive")),
    "source.databases[].name",
    "source.databases[].destination",
    "source.prefix",
    "source.suffix",
    "source.group_by",
    "measurements.include",
    "measurements.exclude",
    "measurements.specific.*.fields.include",
    "measurements.specific.*.fields.exclude",
    "measurements.specific.*.fields.types",
    "options.backup_mode",
    "options.range.start_date",
    "options.range.end_date",
    "options.incremental.schedule",
    "options.incremental.timezone",
    "options.incremental.run_on_start",
    "options.incremental.jitter",
    "options.incremental.fallback_days",
    "options.incremental.obsolete_threshold",
    "options.incremental.lookback",
    "options.field_obsolete_threshold",
    "options.retries",
    "options.retry_delay",
    "options.timeout_client",
    "options.initial_connection_retry_delay",
    "options.days_of_pagination",
    "options.max_lag",
    "options.allow_empty",
    "options.distribute",
    "options.parallel_workers",
    "options.log_level",
    "options.log_format",
    "options.log_directory",
    *(f"options.log_rotation.{key}" for key in ("enabled", "when", "interval", "backup_count")),
    "options.quarantine_directory",
    "options.metadata",
    "options.metadata_directory",
    *(f"options.loki.{key}" for key in ("enabled", "url", "port", "tags")),
    *(f"options.verify.{key}" for key in ("schedule", "full", "sample")),
    *(f"options.drill.{key}" for key in ("schedule", "sample", "to")),
    "options.notify.urls",
    "options.notify.on",
    "options.notify.when",
    "options.notify.daily",
    *(f"options.hooks.{key}" for key in ("before", "after", "on_failure", "time_limit")),
    "options.ping_url",
    *(f"archive.keep.{key}" for key in ("last", "daily", "weekly", "monthly", "yearly")),
    "archive.grace",
    "global.network",
]
VALIDATOR = Draft202012Validator(schema())
SHARED_VALIDATOR = Draft202012Validator(schema(shared=True))


def schema_keys(node: object, path: str = "") -> set[str]:
    """The dotted keys below a part of the schema; [] for an item of a list, * for a name of the user's."""
    if not isinstance(node, dict):
        return set()
    parts = [node, *node.get("anyOf", [])]
    found: set[str] = set()
    for part in parts:
        for key, inner in part.get("properties", {}).items():
            found |= schema_keys(inner, f"{path}.{key}")
        if isinstance(part.get("items"), dict):
            found |= schema_keys(part["items"], f"{path}[]") - {f"{path}[]".lstrip(".")}
        if isinstance(part.get("additionalProperties"), dict):
            found |= schema_keys(part["additionalProperties"], f"{path}.*") - {f"{path}.*".lstrip(".")}
    return found or {path.lstrip(".")}


def template_keys(value: object, path: str = "") -> set[str]:
    """The dotted keys of the template, in the same notation."""
    if isinstance(value, Mapping) and value:
        names = [(("*" if path == ".measurements.specific" else key), inner) for key, inner in value.items()]
        return set().union(*(template_keys(inner, f"{path}.{name}") for name, inner in names))
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return set().union(*(template_keys(item, f"{path}[]") for item in value))
    return {path.lstrip(".")}


def with_examples(text: str) -> str:
    """The template with its commented examples in use."""
    return re.sub(r"(?m)^(\s*)#(?! \S|$)", r"\1", text)


def test_the_schema_has_exactly_the_keys_of_the_reference() -> None:
    """What is documented can be completed by an editor, and nothing else."""
    assert schema_keys(schema()) == set(KEYS)


def test_the_template_has_exactly_the_keys_of_the_reference() -> None:
    """Whoever copies it sees every choice there is."""
    assert template_keys(read_yaml(with_examples(TEMPLATE), {}).data) == set(KEYS)


def test_the_schema_file_is_current() -> None:
    """Refresh them with: make schema"""
    for name, current in (("schema.json", schema()), ("shared.schema.json", schema(shared=True))):
        stored = (ROOT / "config" / name).read_text(encoding="utf-8")
        assert stored == json.dumps(current, indent=2, ensure_ascii=False) + "\n"


def test_the_template_loads_as_it_is_and_equals_the_defaults() -> None:
    """A copy of it is a valid job, and deleting a line that is not needed changes nothing."""
    template = parse(TEMPLATE)
    minimal = parse(MINIMAL.replace("a:", "influxdb-source:").replace("b:", "influxdb-backup:"))
    assert template == minimal
    assert TEMPLATE.splitlines()[0] == "# yaml-language-server: $schema=./schema.json"
    assert parse(with_examples(TEMPLATE)).source.destination_name("telegraf") == "telegraf_copy"


def test_every_key_of_the_schema_has_a_description() -> None:
    """Editors show it while the key is written."""

    def described(node: dict[str, object]) -> bool:
        properties = node.get("properties", {})
        assert isinstance(properties, dict)
        return all(inner.get("description") and described(inner) for inner in properties.values())

    Draft202012Validator.check_schema(schema())
    assert described(schema())


@pytest.mark.parametrize("text", [TEMPLATE, with_examples(TEMPLATE), MINIMAL, COMPLETE, NOT_SET])
def test_the_schema_accepts_what_loads(text: str) -> None:
    """No editor underlines a good file."""
    with_literal_references = read_yaml(text.replace("${", "$${"), {}).data
    data = json.loads(json.dumps(with_literal_references, default=lambda value: value.text))
    assert [error.message for error in VALIDATOR.iter_errors(data)] == []
    assert SHARED_VALIDATOR.is_valid(data)


@pytest.mark.parametrize(
    "text",
    [
        *("{}", "source: 7", MINIMAL + "x: 1", MINIMAL.replace("incremental", "other")),
        *(MINIMAL.replace("http", "ftp"), changed(options="retries: '3'"), changed(options="retries: -1")),
        *(changed(source="group_by: 5"), changed(source="user: 7"), changed(source="databases: [{nam: a}]")),
        changed(measurements="include: cpu"),
    ],
)
def test_the_schema_refuses_what_is_wrong(text: str) -> None:
    """An editor underlines what the tool would refuse."""
    assert not VALIDATOR.is_valid(read_yaml(text, {}).data)


def test_what_jobs_share_has_a_schema_of_its_own() -> None:
    """No key is required, in a section neither; what is wrong is wrong there, too."""
    for good in ("{}", "destination: {url: 'http://b:8086'}", "options: {retries: 3}"):
        assert SHARED_VALIDATOR.is_valid(read_yaml(good, {}).data), good
    for bad in (
        "x: 1",
        "options: {retries: -1}",
        "source: {databases: [{nam: a}]}",
        "options: {backup_mode: other}",
    ):
        assert not SHARED_VALIDATOR.is_valid(read_yaml(bad, {}).data), bad


@pytest.mark.parametrize(
    ("text", "expected"), [('"07:00"', (7, 0)), ("07:00", (7, 0)), ("12:30", (12, 30)), ("7:05", (7, 5))]
)
def test_a_time_of_day_may_be_written_without_quotes(text: str, expected: tuple[int, int]) -> None:
    """YAML takes some of them for numbers."""
    daily = parse(changed(options=f"notify: {{daily: {text}}}")).options.notify.daily
    assert daily is not None
    assert (daily.hour, daily.minute) == expected


@pytest.mark.parametrize("text", ["24:00", "7", "07:60", "'0 7 * * *'", "[7]"])
def test_what_is_no_time_of_day_is_refused(text: str) -> None:
    """With how to write it."""
    with pytest.raises(ConfigError, match='write it as "07:00"'):
        parse(changed(options=f"notify: {{daily: {text}}}"))


# --- Anything at all ---------------------------------------------------------------------------------


def outcome(text: str, **environ: str) -> tuple[Job | None, ConfigError | None]:
    """The job or the error; any other exception is a failed test."""
    try:
        return parse(text, **environ), None
    except ConfigError as error:
        return None, error


def mutated(text: str, chance: random.Random) -> str:
    """The text with one to six small accidents."""
    pieces = [
        ":",
        " ",
        "\n",
        "\t",
        "'",
        '"',
        "{",
        "}",
        "[",
        "]",
        "- ",
        "#",
        "&a ",
        "*a ",
        "!x ",
        "${",
        "$",
        "|",
        ">",
    ]
    pieces += [
        "\\",
        "0",
        "-1",
        "null",
        "true",
        "1e400",
        "<<: ",
        "é",
        "\u2028",
        "\x07",
        "%",
        "@",
        "---\n",
        "2026-01-01",
    ]
    for _ in range(chance.randint(1, 6)):
        start = chance.randrange(len(text) + 1)
        end = min(len(text), start + chance.choice([0, 0, 1, 1, 3, 20]))
        lines = text.splitlines(keepends=True) or [""]
        replacement = chance.choice([*pieces, chance.choice(lines), ""])
        text = text[:start] + replacement + text[end:]
    return text


@pytest.mark.parametrize("seed", range(40))
def test_a_damaged_file_is_a_job_or_a_config_error(seed: int) -> None:
    """Never another exception, whatever an editor or a merge has done to it."""
    chance = random.Random(seed)
    for _ in range(15):
        text = mutated(chance.choice([COMPLETE, TEMPLATE, MINIMAL]), chance)
        job, error = outcome(text, SOURCE_PASSWORD=SECRET)
        assert job or (error and error.problems)
        assert SECRET not in f"{job!r} {error}"


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(key=st.sampled_from([key for key in KEYS if "[" not in key and "*" not in key]), value=VALUES)
def test_any_value_at_any_key_is_a_job_or_a_config_error(key: str, value: object) -> None:
    """JSON is YAML, so every value can be tried everywhere."""
    data: dict[str, dict[str, object]] = {
        "source": {"url": "http://a"},
        "destination": {"url": "http://b"},
        "options": {"backup_mode": "incremental"},
    }
    section: dict[str, object] = dict(data)
    *parents, last = key.split(".")
    root = section
    for parent in parents:
        inner = section.setdefault(parent, {})
        assert isinstance(inner, dict)
        section = inner
    section[last] = value
    job, error = outcome(json.dumps(root))
    assert job or (error and error.problems)
