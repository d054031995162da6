"""What a configuration file may hold: every key with its type, its default and its meaning, written once."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationInfo, field_validator

from basics.patterns import NamePattern, is_selected
from basics.times import DAY, MINUTE
from settings.cron import CronExpression
from settings.kinds import (
    ARCHIVE,
    CLOCK,
    COMMAND,
    CRON,
    DURATION,
    DURATION_OR_ZERO,
    END_TIME,
    EXISTING_FILE,
    FLAG,
    NAME,
    NOTIFICATION_URL,
    PATH,
    PATTERN,
    PERCENT,
    PING_URL,
    SCHEDULER,
    SECRET,
    TEXT,
    TIME,
    TIMEZONE,
    URL,
    URL_OR_HOST,
    USER,
    Section,
    as_databases,
    as_list,
    as_measurement_sections,
    as_secrets,
    as_tags,
    choice,
    is_unset,
    number,
    url_host,
    url_port,
    whole,
    yaml_fields,
)

_DAY_IN_SECONDS: Final = 86_400
_MANY_DAYS: Final = 100_000

Patterns = Annotated[tuple[Annotated[NamePattern, PATTERN], ...], BeforeValidator(as_list)]
FieldType = Literal["numeric", "float", "integer", "unsigned", "string", "boolean"]
Occasion = Literal["failure", "warning", "recovery", "success"]
Occasions = Annotated[
    tuple[Annotated[Occasion, choice(*get_args(Occasion))], ...],
    BeforeValidator(as_list),
]
Command = Annotated[tuple[str, ...], COMMAND]
MetadataKind = Literal["policies", "queries", "users", "grants", "subscriptions"]
LogFormat = Literal["text", "json"]


class Server(Section):
    """How to reach an InfluxDB server."""

    tls: Annotated[bool | None, FLAG] = Field(None, alias="ssl", description="Use TLS; empty: as the URL says")
    url: Annotated[str, URL] = Field(
        description="Address of the server, http:// or https://; a path prefix is kept",
        examples=["http://influxdb:8086"],
    )
    user: Annotated[str, USER] = Field("", description="User for basic authentication; empty: none")
    password: Annotated[SecretStr, SECRET] = Field(
        SecretStr(""), description="Password of the user; better a reference such as ${SOURCE_PASSWORD}"
    )
    password_file: Annotated[Path | None, PATH] = Field(
        None, description="File that holds the password (a Docker secret), instead of password"
    )
    verify_ssl: Annotated[bool, FLAG] = Field(default=True, description="Verify the server's TLS certificate")
    ca_file: Annotated[Path | None, EXISTING_FILE] = Field(
        None, description="File of the certificate authority (PEM) that signed the server's certificate"
    )

    @field_validator("url", mode="after")
    @classmethod
    def _use_tls(cls, url: str, info: ValidationInfo) -> str:
        return "https" + url.removeprefix("http") if info.data.get("tls") and url.startswith("http:") else url

    @property
    def ssl(self) -> bool:
        """Whether TLS is used."""
        return self.url.startswith("https:")

    @property
    def host(self) -> str:
        """The host of the URL; an IPv6 address without its brackets."""
        return url_host(self.url)

    @property
    def port(self) -> int:
        """The port of the URL, or its scheme's own: 80, 443."""
        return url_port(self.url)

    @property
    def path(self) -> str:
        """The path prefix of the URL: '' or '/prefix'."""
        return urlsplit(self.url).path


class DatabaseMapping(Section):
    """One database to copy."""

    name: Annotated[str, NAME] = Field(description="Name of the database in the source", examples=["telegraf"])
    destination: Annotated[str, TEXT] = Field(
        "",
        validate_default=True,
        description="Its name in the destination, before prefix and suffix; empty: the same",
    )

    @field_validator("destination", mode="after")
    @classmethod
    def _same_name_if_empty(cls, destination: str, info: ValidationInfo) -> str:
        return destination or str(info.data.get("name", ""))


class Source(Server):
    """Where to copy from, and which databases."""

    databases: Annotated[tuple[DatabaseMapping, ...], BeforeValidator(as_databases)] = Field(
        (), description="Databases to copy, each a name, or name and destination; empty: all but _internal"
    )
    prefix: Annotated[str, TEXT] = Field("", description="Put before each name in the destination")
    suffix: Annotated[str, TEXT] = Field("", description="Put after each name in the destination")
    group_by: Annotated[int | None, DURATION] = Field(
        None, description="Downsample in transit to one point per window, such as 5m; empty: an exact copy"
    )

    def destination_name(self, database: str) -> str:
        """The name in the destination of a source database: prefix, mapped or own name, suffix."""
        mapped = {mapping.name: mapping.destination for mapping in self.databases}
        return f"{self.prefix}{mapped.get(database, database)}{self.suffix}"


class Destination(Server):
    """Where to copy to: a server, an archive, or both."""

    url: Annotated[str, URL] = Field(
        "",
        description="Address of the server, http:// or https://; a path prefix is kept; empty: only an archive",
        examples=["http://influxdb:8086"],
    )
    archive: Annotated[str, ARCHIVE] = Field(
        "",
        description="Where to keep snapshots in Parquet: a folder, s3://bucket/prefix, gs://, az://; empty: none",
        examples=["/backups/influx"],
    )

    @property
    def where(self) -> str:
        """The server, or else the archive, for people."""
        return self.url or self.archive


class FieldRules(Section):
    """Which fields of a measurement to copy."""

    include: Patterns = Field((), description="Names, globs or /regexes/ to copy; empty: all")
    exclude: Patterns = Field((), description="Names, globs or /regexes/ to leave out of those")
    types: Annotated[
        tuple[Annotated[FieldType, choice(*get_args(FieldType))], ...],
        BeforeValidator(as_list),
    ] = Field((), description="Types to copy; numeric is float, integer and unsigned; empty: all")


class SpecificMeasurement(Section):
    """Rules of one measurement, or of several."""

    fields: FieldRules = Field(description="Which of its fields to copy")


class MeasurementRules(Section):
    """Which measurements to copy."""

    include: Patterns = Field((), description="Names, globs or /regexes/ to copy; empty: all")
    exclude: Patterns = Field((), description="Names, globs or /regexes/ to leave out of those")
    specific: Annotated[
        Mapping[str, SpecificMeasurement],
        BeforeValidator(as_measurement_sections),
        AfterValidator(MappingProxyType),
    ] = Field(
        default_factory=dict, validate_default=True, description="Rules by measurement: name, glob or /regex/"
    )

    def rules_key(self, measurement: str) -> str | None:
        """The key of `specific` that holds for a measurement: its exact name, else the first pattern of it."""
        if measurement in self.specific:
            return measurement
        return next((key for key in self.specific if NamePattern(key).matches(measurement)), None)


class RangeOptions(Section):
    """The half-open range of time to copy in range mode; epoch nanoseconds."""

    start: Annotated[int, TIME] = Field(
        alias="start_date",
        examples=["2026-01-01"],
        description="First time to copy: RFC 3339 date or time, up to nine decimals; without an offset UTC",
    )
    end: Annotated[int, END_TIME] = Field(
        alias="end_date", examples=["2026-02-01"], description="Where to stop: the first time not to copy"
    )


class IncrementalOptions(Section):
    """When incremental mode runs, and where it starts."""

    schedule: Annotated[CronExpression | None, CRON] = Field(
        None, description="When to run: cron with 5 fields in the standard meaning; empty: once, then exit"
    )
    timezone: Annotated[ZoneInfo, TIMEZONE] = Field(ZoneInfo("UTC"), description="IANA time zone of the schedule")
    run_on_start: Annotated[bool, FLAG] = Field(
        default=False, description="Also run at once when the daemon starts"
    )
    jitter: Annotated[int, DURATION_OR_ZERO] = Field(
        0, description="Put each time off by up to this long, always the same for a job: spreads equal schedules"
    )
    fallback_days: Annotated[float | None, number(0, _MANY_DAYS, unit="days", above=True)] = Field(
        None,
        description="A measurement that is empty in the destination starts this many days back; "
        "empty: at its first point in the source",
    )
    obsolete_threshold: Annotated[int | None, DURATION] = Field(
        None,
        description="Skip a measurement whose newest point in the destination is older than this "
        "and that has nothing newer in the source; empty: never",
    )
    lookback: Annotated[int, DURATION_OR_ZERO] = Field(
        DAY, description="How far back points are looked for that arrived late in the source; 0: not at all"
    )


class LogRotation(Section):
    """Rotation of the log file, in the meaning of Python's TimedRotatingFileHandler."""

    enabled: Annotated[bool, FLAG] = Field(default=True, description="Start a new log file from time to time")
    when: Annotated[str, choice("S", "M", "H", "D", "midnight", *(f"W{day}" for day in range(7)))] = Field(
        "D", description="Unit of the interval: S, M, H, D, midnight, or W0 (Monday) to W6 (Sunday)"
    )
    interval: Annotated[int, whole(1, _MANY_DAYS)] = Field(1, description="Units until the next new file")
    backup_count: Annotated[int, whole(0, _MANY_DAYS)] = Field(7, description="Old files to keep; 0: all")


class Loki(Section):
    """Where to push log lines to; Loki being down never slows or stops a backup."""

    enabled: Annotated[bool, FLAG] = Field(default=False, description="Push log lines to Grafana Loki")
    url: Annotated[str | None, URL_OR_HOST] = Field(
        None, description="Address of Loki, such as http://loki; a bare host is http:// it"
    )
    port: Annotated[int, whole(1, 65_535)] = Field(3100, description="Port of Loki, where the URL names none")
    tags: Annotated[
        Mapping[str, Annotated[str, TEXT]], BeforeValidator(as_tags), AfterValidator(MappingProxyType)
    ] = Field(default_factory=dict, validate_default=True, description="Labels of each log line")

    @property
    def push_url(self) -> str:
        """The URL of Loki's push interface; '' where no URL is set."""
        parts = urlsplit(self.url or "")
        netloc = parts.netloc if parts.port else f"{parts.netloc}:{self.port}"
        path = parts.path + "/loki/api/v1/push"
        return parts._replace(netloc=netloc, path=path).geturl() if self.url else ""


class Notify(Section):
    """Whom to tell when the state of the job changes; services that are down never slow or stop a backup."""

    urls: Annotated[tuple[Annotated[SecretStr, NOTIFICATION_URL], ...], BeforeValidator(as_secrets)] = Field(
        (),
        description="Apprise URLs such as slack://, mailtos://, jsons://; better references: ${SLACK_URL}",
    )
    on: Occasions = Field(
        ("failure", "warning", "recovery"),
        description="failure: it begins to fail; warning: a run succeeds, but warns; recovery: it is fine again; "
        "success: each run that succeeds",
    )
    when: Occasions = Field((), description="The same as on, under a name that no program writes as true")
    daily: Annotated[dt.time | None, CLOCK] = Field(
        None,
        description="When these URLs get one digest of all jobs a day, such as 07:00, in the time zone of the "
        "runs; empty: never",
    )

    @property
    def occasions(self) -> tuple[Occasion, ...]:
        """What to tell of."""
        return self.when or self.on


class Hooks(Section):
    """Commands of the user's around each run: without a shell, their output in the log."""

    before: Command = Field((), description="Command before each run: a text, or a list of words; failing, no run")
    after: Command = Field((), description="Command after each run, whatever came of it")
    on_failure: Command = Field((), description="Command after a run that failed, before the one after each run")
    time_limit: Annotated[int, DURATION] = Field(
        5 * MINUTE, description="How long each of them may take; it is ended then, and counts as failed"
    )


class VerifyOptions(Section):
    """When the daemon compares both sides by itself, beside the runs."""

    schedule: Annotated[CronExpression | None, CRON] = Field(
        None, description="When: cron with 5 fields, in the time zone of the runs; empty: only main.py verify does"
    )
    full: Annotated[bool, FLAG] = Field(default=False, description="Every value instead of fingerprints")
    sample: Annotated[float, PERCENT] = Field(
        100.0, description="Which share of the windows, chosen at random each time, such as 5%"
    )


class DrillOptions(Section):
    """When the daemon rehearses a restore by itself, and where."""

    schedule: Annotated[CronExpression | None, CRON] = Field(
        None, description="When: cron with 5 fields, in the time zone of the runs; empty: only main.py drill does"
    )
    sample: Annotated[float, PERCENT] = Field(
        100.0, description="Which share of the time, a stretch chosen at random each time, such as 5%"
    )
    to: Annotated[str, URL] = Field(
        "",
        description="Server that gets the scratch databases, best a spare one; empty: the destination's",
        examples=["http://influxdb-spare:8086"],
    )


class Options(Section):
    """How to copy."""

    backup_mode: Annotated[Literal["incremental", "range"], choice("incremental", "range")] = Field(
        description="incremental: what is new since the last run; range: all between two dates",
        examples=["incremental"],
    )
    range: RangeOptions | None = Field(None, description="The range of time that range mode copies")
    incremental: IncrementalOptions = Field(description="When incremental mode runs, and where it starts")
    field_obsolete_threshold: Annotated[int | None, DURATION] = Field(
        None,
        description="Skip a field whose newest point in the destination is older than this "
        "and that has nothing newer in the source; empty: never",
    )
    retries: Annotated[int, whole(0, 1000)] = Field(3, description="How often a failed request is tried again")
    retry_delay: Annotated[float, number(0, _DAY_IN_SECONDS, unit="seconds")] = Field(
        5.0, description="Seconds before the first retry; doubles up to 60 s"
    )
    timeout_client: Annotated[float, number(0, _DAY_IN_SECONDS, unit="seconds", above=True)] = Field(
        20.0, description="Seconds without a byte received until a request has failed"
    )
    initial_connection_retry_delay: Annotated[float, number(0, _DAY_IN_SECONDS, unit="seconds")] = Field(
        60.0, description="Seconds until a daemon tries again to reach its servers at the start"
    )
    days_of_pagination: Annotated[float | None, number(0, _MANY_DAYS, unit="days", above=True)] = Field(
        None, description="Longest range of time of one query, in days; empty: chosen, and adapted"
    )
    max_lag: Annotated[int | None, DURATION] = Field(
        None,
        description="Warn when the newest point of a database at the source itself is older; empty: never",
    )
    allow_empty: Annotated[bool, FLAG] = Field(
        default=False, description="Let a run succeed that finds no database, or no measurement at all"
    )
    parallel_workers: Annotated[int, whole(1, 64)] = Field(
        4, description="Measurements copied at the same time inside this job"
    )
    distribute: Annotated[str, SCHEDULER] = Field(
        "",
        description="Address of Dask's scheduler, tls:// or tcp://, whose workers copy the measurements; empty: "
        "this machine does",
        examples=["tls://scheduler:8786"],
    )
    log_level: Annotated[str, choice("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")] = Field(
        "INFO", description="Least severe messages to log"
    )
    log_format: Annotated[LogFormat, choice(*get_args(LogFormat))] = Field(
        "text", description="Lines of console and file: text, or one JSON object each"
    )
    log_directory: Annotated[Path | None, PATH] = Field(
        None, description="Log to <log_directory>/<job>/<job>.log, too; empty: console only"
    )
    log_rotation: LogRotation = Field(description="Rotation of the log file")
    quarantine_directory: Annotated[Path | None, PATH] = Field(
        None,
        description="Keep points that the destination refuses in <quarantine_directory>/<job>/; "
        "empty: log_directory, else $BACKUP_QUARANTINE_DIR, else quarantine in the working directory",
    )
    metadata: Annotated[
        tuple[Annotated[MetadataKind, choice(*get_args(MetadataKind))], ...], BeforeValidator(as_list)
    ] = Field(
        ("policies", "queries"),
        description="What each run saves of a database besides points: policies (retention policies), queries "
        "(continuous ones), users (no passwords), grants, subscriptions; []: nothing",
    )
    metadata_directory: Annotated[Path | None, PATH] = Field(
        None,
        description="Save them in <metadata_directory>/<job>/<database>/; "
        "empty: metadata, in the directory that holds the quarantine",
    )
    loki: Loki = Field(description="Log lines to Grafana Loki")
    verify: VerifyOptions = Field(description="When the daemon compares both sides by itself")
    drill: DrillOptions = Field(description="When the daemon rehearses a restore by itself, and where")
    notify: Notify = Field(description="Messages when the job begins to fail, and when it is fine again")
    hooks: Hooks = Field(description="Commands to run before and after each run")
    ping_url: Annotated[SecretStr, PING_URL] = Field(
        SecretStr(""),
        description="Check to ping as healthchecks.io has it: with /start, as it is after a success, with /fail",
    )

    @field_validator("range", mode="before")
    @classmethod
    def _no_range_if_nothing_in_it_is_set(cls, value: object) -> object:
        keys = yaml_fields(RangeOptions)
        empty = isinstance(value, dict) and all(key in keys and is_unset(value[key], keys[key]) for key in value)
        return None if empty else value


class Keep(Section):
    """Which snapshots of an archive stay when it is pruned; the newest one always does."""

    last: Annotated[int, whole(0, _MANY_DAYS)] = Field(0, description="So many of the newest snapshots")
    daily: Annotated[int, whole(0, _MANY_DAYS)] = Field(0, description="The newest of each of so many days (UTC)")
    weekly: Annotated[int, whole(0, _MANY_DAYS)] = Field(0, description="The newest of each of so many ISO weeks")
    monthly: Annotated[int, whole(0, _MANY_DAYS)] = Field(0, description="The newest of each of so many months")
    yearly: Annotated[int, whole(0, _MANY_DAYS)] = Field(0, description="The newest of each of so many years")

    @property
    def says_nothing(self) -> bool:
        """Whether no number is given."""
        return not (self.last or self.daily or self.weekly or self.monthly or self.yearly)


class Archive(Section):
    """How the archive is kept."""

    keep: Keep = Field(description="Which snapshots stay when it is pruned")
    grace: Annotated[int, DURATION] = Field(
        DAY, description="Files that no snapshot names stay so long: a run may be about to name them"
    )


class GlobalOptions(Section):
    """Keys of older files that no longer mean anything."""

    network: Annotated[str, TEXT] = Field("", description="Accepted and ignored (older files have it)")


class Sections(Section):
    """What both a file and a job consist of."""

    source: Source = Field(description="The server to copy from")
    destination: Destination = Field(description="The server to copy to, the archive, or both")
    measurements: MeasurementRules = Field(description="Which measurements to copy")
    options: Options = Field(description="How to copy")
    archive: Archive = Field(description="How destination.archive is kept")


class File(Sections):
    """The sections of a configuration file."""

    global_: GlobalOptions = Field(alias="global", description="Keys of older files, ignored")


class Job(Sections):
    """One backup job: all that its file says, checked."""

    name: str = Field(description="Name of the file without its suffix")
    inherited: tuple[str, ...] = Field((), description="Keys whose values come from what all jobs share")
    references: Mapping[str, str] = Field(
        default_factory=dict, description="Section of a server -> what its password is made of: ${NAME}"
    )
    policies: tuple[str, ...] = Field((), description="Retention policies that are meant; empty: all")
    only: Patterns = Field(
        (), description="Of the measurements that the rules select those that are meant; empty: all"
    )
    restores: bool = Field(default=False, description="Whether it brings a backup back")

    def wants(self, measurement: str) -> bool:
        """Whether the rules select a measurement, and it is meant."""
        rules = self.measurements
        return is_selected(measurement, rules.include, rules.exclude) and is_selected(measurement, self.only, ())
