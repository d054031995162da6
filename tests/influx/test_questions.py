"""How statements are divided into requests."""

from basics.spans import Span
from influx import counting, influxql
from influx.counting import Count
from influx.influxql import Location
from influx.questions import QUESTION_BYTES, STATEMENTS, length, packed


def test_requests_are_bounded_by_statements_and_by_bytes() -> None:
    """Nothing is lost, and the order stays; what is too long for a request goes alone."""
    assert [len(part) for part in packed(["x"] * (2 * STATEMENTS + 1), str)] == [STATEMENTS, STATEMENTS, 1]
    texts = ["a" * 400_000, "b" * 400_000, "c" * 400_000, '"' * 400_000, "d"]
    parts = list(packed(texts, str))
    assert [[text[0] for text in part] for part in parts] == [["a", "b"], ["c"], ['"'], ["d"]]
    assert list(packed([], str)) == []
    half = "a" * (QUESTION_BYTES // 2)
    assert [len(part) for part in packed([half, half, "b", half, half], str)] == [2, 2, 1]


def test_the_length_is_that_of_a_form() -> None:
    """What stands in a form as %22 counts as three bytes, stray bytes too."""
    assert length('a"b c') == len("a%22b+c")
    assert length("\udcff") == len("%FF")


def test_a_question_about_very_many_fields_is_divided_into_statements() -> None:
    """None is longer than a request, and each field is in one of them."""
    names = [f"{'n' * 200}{i}" for i in range(20_000)]
    count = Count(Location("d", "p", "m"), dict.fromkeys(names, ("float",)), Span(0, 9))
    found = list(counting.statements(count))
    assert len(found) > 1
    assert all(length(statement.text) <= QUESTION_BYTES + 1000 for statement in found)
    assert [column[0] for statement in found for column in statement.columns] == names
    assert influxql.quote(names[-1]) in found[-1].text
