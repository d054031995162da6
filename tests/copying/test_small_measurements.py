"""Which measurements are copied together with others."""

from dataclasses import replace

import pytest

from basics.times import DAY
from copying.small_measurements import may_be_grouped
from copying.task import Copy, Target
from influx.influxql import Location, Policy
from influx.written import Refusal

POLICY = Policy("p", 0, DAY, is_default=True)
PLAIN = Copy(
    Location("db", "p", "m"),
    Target("db", POLICY, POLICY, (), (), {}),
    {"v": ("float",), "w": ("string",)},
    ("t", "u"),
)


def test_plain_measurements_go_together() -> None:
    """Also one that has no tag."""
    assert may_be_grouped(PLAIN)
    assert may_be_grouped(replace(PLAIN, tags=()))


@pytest.mark.parametrize(
    "copy",
    [
        replace(PLAIN, target=replace(PLAIN.target, groups=None)),
        replace(PLAIN, types={"v": ("float", "integer")}),
        replace(PLAIN, refusals=(Refusal("field 'x'", "cannot be kept", 5),)),
        replace(PLAIN, source=Location("db", "p", "a\rb")),
        replace(PLAIN, types={"v": ("float",), "a\rb": ("float",)}),
        replace(PLAIN, tags=("t", "a\rb")),
        replace(PLAIN, types={"v": ("float",), "\tx": ("float",)}),
    ],
    ids=["groups unseen", "types", "refused", "measurement", "field", "tag", "company"],
)
def test_what_needs_care_goes_alone(copy: Copy) -> None:
    """For one reason at a time."""
    assert not may_be_grouped(copy)
