"""What a write brought about: how it adds up, and what is short."""

import pytest

from influx.written import PutAside, Refusal, Written


def test_what_was_put_aside_adds_up_by_its_file() -> None:
    """The first answer stays; what was new, and what was written again, is counted as well."""
    one = Written(put_aside=(PutAside("a", "first", 2, 1), PutAside("b", "other", 5)), repeated=3)
    two = Written(put_aside=(PutAside("a", "second", 10, 20),), repeated=4)
    both = one + two
    assert both.put_aside == (PutAside("a", "first", 12, 21), PutAside("b", "other", 5, 0))
    assert (both.repeated, both.quarantined, both.newly_quarantined) == (7, 17, 21)
    assert (Written().quarantined, Written().newly_quarantined) == (0, 0)


@pytest.mark.parametrize(
    ("written", "is_short"),
    [
        (Written(1, 2, 3), False),
        (Written(repeated=1), False),
        (Written(expired=1), True),
        (Written(refusals=(Refusal("a", "r", 1),)), True),
        (Written(put_aside=(PutAside("a", "x", 1),)), True),
    ],
)
def test_what_is_not_at_the_destination_is_short(written: Written, is_short: bool) -> None:
    """Whatever the reason."""
    assert written.is_short is is_short


def test_nothing_was_written_at_first() -> None:
    """Every count begins at 0."""
    assert Written() == Written(0, 0, 0, 0, (), (), 0)
    assert PutAside("a", "x", 1).new == 0
