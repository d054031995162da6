"""Which fields of a measurement are copied, by the rules of the job and by their types. Pure."""

from collections.abc import Mapping

from basics.patterns import is_selected
from basics.text import printable
from copying.task import Copy
from influx import influxql
from influx.errors import QueryRefused
from settings.keys import FieldRules, Job, MeasurementRules

NUMERIC = ("float", "integer", "unsigned")


def field_rules(rules: MeasurementRules, measurement: str) -> FieldRules:
    """Those for the fields of a measurement."""
    key = rules.rules_key(measurement)
    return FieldRules() if key is None else rules.specific[key].fields


def get_fields_to_backup(types: Mapping[str, tuple[str, ...]], rules: FieldRules) -> dict[str, tuple[str, ...]]:
    """The fields that the rules select, with their types: by name first, then by type."""
    allowed = allowed_types(rules)
    return {
        name: kinds
        for name, kinds in types.items()
        if is_selected(name, rules.include, rules.exclude) and allowed.intersection(kinds)
    }


def wanted_fields(
    job: Job, found: Mapping[str, Mapping[str, tuple[str, ...]]]
) -> dict[str, dict[str, tuple[str, ...]]]:
    """Of these measurements those that the job wants, with the fields that it wants."""
    return {
        measurement: get_fields_to_backup(types, field_rules(job.measurements, measurement))
        for measurement, types in found.items()
        if job.wants(measurement)
    }


def allowed_types(rules: FieldRules) -> frozenset[str]:
    """The field types that the rules let through."""
    if not rules.types:
        return frozenset({"float", "integer", "string", "boolean", "unsigned"})
    numeric = NUMERIC if "numeric" in rules.types else ()
    return frozenset({*rules.types, *numeric} - {"numeric"})


def fits(copy: Copy, types: Mapping[str, str]) -> bool:
    """Whether none of these types of fields can be in conflict with one at the destination."""
    there = copy.written_types
    return not copy.is_mixed and all(
        theirs == ours for name, ours in types.items() for theirs in there.get(name, ())
    )


def split_for_downsampling(types: Mapping[str, tuple[str, ...]], rules: FieldRules) -> tuple[list[str], list[str]]:
    """The fields to average, and those of which the last value of a window stands for it.

    Raises QueryRefused for a field whose values of one window cannot be seen together: one that is not only a
    number and has several types, or one whose name only a regex can select. And for one of several types of which
    some are not wanted: a mean is one of all numbers.
    """
    allowed = allowed_types(rules)
    averaged: list[str] = []
    latest: list[str] = []
    for name, kinds in types.items():
        numbers = all(kind in NUMERIC for kind in kinds)
        are_wanted = allowed.issuperset(kinds)
        if not influxql.is_quotable(name) or (len(kinds) > 1 and not (numbers and are_wanted)):
            some = (
                "" if are_wanted else f", of which fields.types wants {' and '.join(sorted(allowed & {*kinds}))}"
            )
            remedy = "" if are_wanted else "want all of its types, "
            raise QueryRefused(
                f"field {printable(name)!r} ({' and '.join(kinds)} in different shards{some}) cannot be "
                f"downsampled exactly; exclude it, {remedy}or copy without source.group_by"
            )
        (averaged if numbers else latest).append(name)
    return averaged, latest
