"""Names that InfluxDB cannot keep: the rule in Python and the one that InfluxQL is asked with are the same."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from influx import storable


@settings(derandomize=True, database=None, deadline=None, max_examples=2000)
@given(st.text(alphabet="\\\n#!~ax", max_size=8))
def test_the_regex_finds_the_tag_values_that_cannot_be_kept(value: str) -> None:
    """Go's `$` is the very end of a text, as Python's `\\Z` is."""
    regex = storable.TAG_VALUE_REGEX.replace("$", r"\Z")
    assert bool(re.search(regex, value)) == (storable.tag_value_problem(value) is not None)
