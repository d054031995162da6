"""The checks between the keys of a configuration whose single values are sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from basics.times import format_time
from basics.urls import same_host
from settings.keys import Destination, File, Loki, Notify, Options, Server, Source
from settings.kinds import shown


@dataclass(frozen=True)
class Conflict:
    """A problem between keys; not worth reporting while one of the keys it depends on has its own problem."""

    path: str
    message: str
    depends: tuple[str, ...]


def conflicts(file: File) -> Iterator[Conflict]:
    """Every problem between keys of the file."""
    yield from _range_conflicts(file.options)
    yield from _tls_conflicts("source", file.source)
    yield from _tls_conflicts("destination", file.destination)
    yield from _database_conflicts(file.source)
    yield from _copies_onto_itself(file.source, file.destination)
    yield from _archive_conflicts(file)
    yield from _distribute_conflicts(file)
    yield from _loki_conflicts(file.options.loki)
    yield from _verify_conflicts(file)
    yield from _drill_conflicts(file)
    yield from _notify_conflicts(file.options.notify)


def _range_conflicts(options: Options) -> Iterator[Conflict]:
    limits = options.range
    if options.backup_mode == "range" and limits is None:
        for key in ("start_date", "end_date"):
            message, depends = "missing; backup_mode range needs it", ("options.backup_mode", "options.range")
            yield Conflict(f"options.range.{key}", message, depends)
    if limits is not None and limits.end <= limits.start:
        message = f"{format_time(limits.end)} is not after start_date, {format_time(limits.start)}; swap them?"
        yield Conflict("options.range.end_date", message, ("options.range",))


def _verify_conflicts(file: File) -> Iterator[Conflict]:
    if file.options.verify.schedule is None:
        return
    depends = ("options.verify", "options.incremental", "source.group_by")
    if file.options.incremental.schedule is None:
        message = "needs options.incremental.schedule: a job that runs once is compared with main.py verify"
        yield Conflict("options.verify.schedule", message, depends)
    if file.source.group_by:
        message = "means cannot be compared with the points they stand for; remove it, or source.group_by"
        yield Conflict("options.verify.schedule", message, depends)


def _drill_conflicts(file: File) -> Iterator[Conflict]:
    if file.options.drill.schedule is None:
        return
    depends = ("options.drill", "options.incremental", "destination.url", "destination.archive")
    if file.options.incremental.schedule is None:
        message = "needs options.incremental.schedule: of a job that runs once main.py drill rehearses the restore"
        yield Conflict("options.drill.schedule", message, depends)
    if not file.destination.url and not file.options.drill.to:
        message = (
            "missing; the only destination is an archive, so say which server a drill may write scratch databases "
            "to, for example http://influxdb-spare:8086"
        )
        yield Conflict("options.drill.to", message, depends)


def _distribute_conflicts(file: File) -> Iterator[Conflict]:
    if file.options.distribute and file.destination.archive and not file.destination.url:
        message = "there is only an archive, which the daemon writes by itself; remove it, or add destination.url"
        yield Conflict("options.distribute", message, ("options.distribute", "destination"))


def _tls_conflicts(name: str, server: Server) -> Iterator[Conflict]:
    if server.tls is False and server.ssl:
        message = "false, but the URL begins with https://; write http://, or remove ssl"
        yield Conflict(f"{name}.ssl", message, (f"{name}.ssl", f"{name}.url"))


def _database_conflicts(source: Source) -> Iterator[Conflict]:
    """Two entries for one database, and two databases for one destination."""
    first: dict[str, int] = {}
    first_into: dict[str, int] = {}
    for index, mapping in enumerate(source.databases):
        into = source.destination_name(mapping.name)
        depends, entry = ("source.databases",), f"source.databases[{index}]"
        same, same_into = first.setdefault(mapping.name, index), first_into.setdefault(into, index)
        if same != index:
            message = f"{shown(mapping.name)} is given twice, also as source.databases[{same}]; keep one"
            yield Conflict(f"{entry}.name", message, depends)
        elif same_into != index:
            message = f"{shown(into)} is also the destination of source.databases[{same_into}]"
            yield Conflict(f"{entry}.destination", f"{message}; choose another", depends)


def _archive_conflicts(file: File) -> Iterator[Conflict]:
    """No destination at all, and what an archive has no use for: it holds points as they are."""
    where = ("destination.url", "destination.archive")
    if not file.destination.where:
        message = "missing; add it, for example http://influxdb:8086, or destination.archive"
        yield Conflict("destination.url", message, where)
    if not file.destination.archive:
        return
    if file.source.group_by is not None:
        message = "an archive holds points as they are; remove it, or destination.archive"
        yield Conflict("source.group_by", message, ("source.group_by", *where))
    if file.options.backup_mode == "range":
        message = "a snapshot holds all that there is; write incremental, or remove destination.archive"
        yield Conflict("options.backup_mode", message, ("options.backup_mode", *where))
    if file.destination.url:
        return
    times = file.options.incremental
    if file.options.verify.schedule is not None and file.options.verify.full:
        message = "there is only an archive, whose files are always read whole; remove it"
        yield Conflict("options.verify.full", message, ("options.verify", *where))
    useless = {
        "options.incremental.fallback_days": times.fallback_days,
        "options.incremental.obsolete_threshold": times.obsolete_threshold,
        "options.field_obsolete_threshold": file.options.field_obsolete_threshold,
    }
    for path, value in useless.items():
        if value is not None:
            yield Conflict(path, "a snapshot holds all that there is; remove it", (path, *where))


def _copies_onto_itself(source: Source, destination: Destination) -> Iterator[Conflict]:
    if not destination.url:
        return
    addresses = [(same_host(server.host), server.port, server.path) for server in (source, destination)]
    if addresses[0] != addresses[1]:
        return
    servers = ("source.url", "source.ssl", "destination.url", "destination.ssl")
    depends = (*servers, "source.databases", "source.prefix", "source.suffix")
    for path, message in onto_itself(source):
        yield Conflict(path, message, depends)


def onto_itself(source: Source) -> Iterator[tuple[str, str]]:
    """What would be copied onto itself if the destination were the same server: the key, and what is wrong."""
    remedy = "choose another destination, prefix or suffix, or correct a URL"
    if not source.databases:
        message = "the same server as the source: each run would copy all databases, and then the copies too"
        yield "destination.url", f"{message}; name the databases, or correct a URL"
    for index, mapping in enumerate(source.databases):
        if source.destination_name(mapping.name) == mapping.name:
            message = f"{shown(mapping.name)} would be copied onto itself, on the same server; {remedy}"
            yield f"source.databases[{index}].destination", message


def _loki_conflicts(loki: Loki) -> Iterator[Conflict]:
    depends = ("options.loki",)
    if not loki.enabled:
        return
    if loki.url is None:
        yield Conflict("options.loki.url", "missing; loki.enabled needs it, for example http://loki", depends)
    port = urlsplit(loki.url or "").port
    if port is not None and "port" in loki.model_fields_set and port != loki.port:
        message = f"{loki.port}, but the URL names port {port}; remove one of them"
        yield Conflict("options.loki.port", message, depends)


def _notify_conflicts(notify: Notify) -> Iterator[Conflict]:
    if notify.when and "on" in notify.model_fields_set:
        yield Conflict("options.notify.when", "given together with on; keep one of them", ("options.notify",))
