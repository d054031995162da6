"""What a comparison found: exit codes, the table, JSON, and stretches of time that differ."""

from typing import Any

import pytest

from basics.spans import Span
from basics.times import END_OF_TIME, MIN_TIME, SECOND
from checking.verdict import (
    Difference,
    JobVerdict,
    Verdict,
    as_event,
    as_json,
    conclusion,
    exit_code,
    repaired,
    table,
    unchecked,
)
from checking.verify import MOST, join, stretches
from copying.mismatches import Mismatch

ALL = Span(MIN_TIME, 1_700_000_000 * SECOND)
EQUAL = Verdict("db.autogen.mem", 1000, 1000, 3, 3)
DIFFERENT = Verdict(
    "db.autogen.c\x1bpu",
    1000,
    999,
    2,
    3,
    (Difference(Span(0, SECOND), ("v", "w"), missing=2, extra=1, different=7),),
)
TOLD = Verdict("db.autogen.t", 5, 5, 1, 1, problems=("db.autogen.t: counting cannot tell",))


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([JobVerdict("a", ALL, measurements=(EQUAL,))], 0),
        ([JobVerdict("a", ALL, measurements=(EQUAL, DIFFERENT))], 1),
        ([JobVerdict("a", ALL, measurements=(EQUAL, TOLD))], 2),
        ([JobVerdict("a", ALL, measurements=(DIFFERENT,)), unchecked("b", "down")], 1),
        ([JobVerdict("a", ALL, measurements=(EQUAL,)), unchecked("b", "down")], 2),
        ([], 2),
    ],
)
def test_exit_codes(verdicts: list[JobVerdict], code: int) -> None:
    """Equal only when everything was compared; a difference outweighs what was not."""
    assert exit_code(verdicts) == code


def test_the_table_shows_numbers_differences_and_what_was_not_checked() -> None:
    """Names of the server's stay on their line; what is equal is one line for all."""
    verdict = JobVerdict("job", ALL, "every value", (EQUAL, DIFFERENT, TOLD), ("too late",), 1.25)
    text = table(verdict)
    assert text.splitlines() == [
        "job: every value from beginning to 2023-11-14T22:13:20Z, 1.2 s",
        "  measurement         source  destination  missing  extra  different  windows  result",
        "  db.autogen.c\\x1bpu   1,000          999        2      1          7      2/3  DIFFERENT",
        "  db.autogen.t             5            5        0      0          0        1  NOT CHECKED",
        "  1 of 3 measurements equal",
        "  db.autogen.c\\x1bpu [1970-01-01T00:00:00Z, 1970-01-01T00:00:01Z): "
        "2 missing, 1 extra, 7 different (v, w)",
        "  NOT CHECKED: too late",
        "  NOT CHECKED: db.autogen.t: counting cannot tell",
        "  DIFFERENT: 2 values missing, 1 extra, 7 different (6 of 7 windows compared)",
    ]


def test_of_very_many_differences_the_first_are_shown_and_the_others_counted() -> None:
    """JSON has them all."""
    many = tuple(Difference(Span(n * SECOND, (n + 1) * SECOND), ("v",), missing=1) for n in range(25))
    for count, more in ((20, []), (21, ["1 more stretch"]), (25, ["5 more stretches"])):
        job = JobVerdict("job", ALL, measurements=(Verdict("m", 99, 0, 1, 1, many[:count]),))
        lines = table(job).splitlines()
        assert sum(line.startswith("  m [") for line in lines) == 20
        told = [line for line in lines if " more stretch" in line]
        assert told == [f"  m and {text} of time in which both sides differ" for text in more]
        found: Any = as_json([job])
        assert len(found["jobs"][0]["measurements"][0]["differences"]) == count


def test_all_measurements_are_listed_for_who_wants_them() -> None:
    """With the numbers of each; JSON has them anyway."""
    verdict = JobVerdict("job", ALL, measurements=(EQUAL, DIFFERENT, TOLD))
    lines = table(verdict, verbose=True).splitlines()
    assert lines[2] == "  db.autogen.mem       1,000        1,000        0      0          0        3  equal"
    assert not any("of 3 measurements" in line for line in lines)
    assert len(as_json([verdict])["jobs"][0]["measurements"]) == 3


def test_many_equal_measurements_are_one_line() -> None:
    """And those that a sample left out are counted beside them."""
    left_out = Verdict("db.autogen.m", windows=0, of=4)
    assert table(JobVerdict("job", ALL, measurements=(EQUAL,) * 25, seconds=1)).splitlines()[1:] == [
        "  25 of 25 measurements equal",
        "  equal: 25,000 values",
    ]
    assert table(JobVerdict("job", ALL, measurements=(EQUAL, left_out))).splitlines()[1:] == [
        "  1 of 2 measurements equal, 1 left out",
        "  equal: 1,000 values (3 of 7 windows compared)",
    ]


def test_problems_of_a_file_stand_below_one_another() -> None:
    """As in the log."""
    problem = "a.yaml: 2 problems\n  x: bad\n  y: bad"
    assert table(unchecked("a", problem)).splitlines()[1:] == [
        "  NOT CHECKED: a.yaml: 2 problems",
        "    x: bad",
        "    y: bad",
        "  NOT CHECKED at all",
    ]


def test_nothing_to_compare_is_not_followed_by_no_difference_found() -> None:
    """Where nothing was looked at, nothing can be said of it."""
    text = table(JobVerdict("job", ALL, problems=("nothing to compare",)))
    assert text.splitlines()[1:] == ["  NOT CHECKED: nothing to compare", "  NOT CHECKED at all"]
    part = JobVerdict("job", ALL, measurements=(EQUAL,), problems=("database x: gone",))
    assert conclusion(part) == "NOT CHECKED in full: no difference found in what was compared"


@pytest.mark.parametrize(
    ("done", "left", "text"),
    [
        (216_001, Difference(Span(0, 1), ("v",), extra=1), "repaired 216,001 values; 1 extra value stays"),
        (1, None, "repaired 1 value"),
        (5, Difference(Span(0, 1), ("v",), extra=2), "repaired 5 values; 2 extra values stay"),
        (0, Difference(Span(0, 1), ("v",), missing=1), "repaired 0 values; 1 value still missing or different"),
        (0, Difference(Span(0, 1), ("v",), 2, 0, 3), "repaired 0 values; 5 values still missing or different"),
    ],
)
def test_a_repair_ends_with_what_it_did(done: int, left: Difference | None, text: str) -> None:
    """Values brought or corrected, what could not be, and what only the destination has."""
    before = JobVerdict("j\nob", ALL, measurements=(DIFFERENT,))
    after = JobVerdict(
        "j\nob", ALL, measurements=(Verdict("m", differences=(left,) if left else ()),), repaired=done
    )
    assert repaired(before, after) == f"j\\nob: {text}"
    bound = Verdict("m", differences=(Difference(Span(0, 1), ("v",), missing=1, at_least=True),))
    least = repaired(JobVerdict("j", ALL, measurements=(bound,)), JobVerdict("j", ALL, repaired=9))
    assert least == "j: repaired at least 9 values"


def test_nothing_compared_is_not_equal() -> None:
    """The words never say more than what was done."""
    nothing = Verdict("db.autogen.m", of=4)
    assert nothing.word == "left out"
    assert (
        conclusion(JobVerdict("job", ALL, measurements=(nothing,))) == "equal: 0 values (0 of 4 windows compared)"
    )
    assert "equal" not in conclusion(unchecked("job", "down"))
    part = Verdict("db.autogen.m", 5, 5, 1, 4)
    assert conclusion(JobVerdict("job", ALL, measurements=(part,))) == "equal: 5 values (1 of 4 windows compared)"


def test_json_has_everything() -> None:
    """Result by result; times as text."""
    found = as_json([JobVerdict("job", Span(MIN_TIME, END_OF_TIME), measurements=(EQUAL, DIFFERENT))])
    assert found["result"] == "different"
    assert (found["jobs"][0]["start"], found["jobs"][0]["end"]) == ("beginning", "end")
    assert found["jobs"][0]["measurements"][1]["differences"] == [
        {
            "start": "1970-01-01T00:00:00Z",
            "end": "1970-01-01T00:00:01Z",
            "fields": ["v", "w"],
            "missing": 2,
            "extra": 1,
            "different": 7,
            "at_least": False,
        }
    ]


def test_json_has_the_numbers_of_a_job_and_of_each_measurement() -> None:
    """And what kept it from being compared; a bound is told as one."""
    bound = Difference(Span(0, 1), ("v",), missing=3, at_least=True)
    measurement = Verdict("m", 9, 6, 2, 3, (bound,), ("m: no answer",))
    job = JobVerdict("a", ALL, "every value", (measurement,), ("late",), 1.23456, ("a note",), repaired=5)
    (found,) = as_json([job])["jobs"]
    (part,) = found.pop("measurements")
    assert found == {
        "job": "a",
        "result": "different",
        "start": "beginning",
        "end": "2023-11-14T22:13:20Z",
        "how": "every value",
        "seconds": 1.235,
        "not_checked": ["late", "m: no answer"],
        "notes": ["a note"],
        "repaired": 5,
    }
    (difference,) = part.pop("differences")
    assert (difference["missing"], difference["at_least"]) == (3, True)
    assert part == {
        "measurement": "m",
        "result": "different",
        "values": {"source": 9, "destination": 6},
        "windows": {"compared": 2, "all": 3},
        "missing": 3,
        "extra": 0,
        "different": 0,
    }
    lines = table(job).splitlines()
    assert "  m [1970-01-01T00:00:00Z, 1970-01-01T00:00:00.000000001Z): at least 3 missing (v)" in lines
    assert lines[-2:] == [
        "  note: a note",
        "  DIFFERENT: at least 3 values missing, 0 extra, 0 different (2 of 3 windows compared)",
    ]
    assert not as_event(job, 7).is_complete
    assert as_event(JobVerdict("a", ALL, measurements=(EQUAL, EQUAL)), 7).is_complete


@pytest.mark.parametrize(("count", "shown"), [(1, "a"), (5, "a, b, c, d, e"), (6, "a, b, c, d, e, ...")])
def test_of_very_many_fields_the_first_are_shown(count: int, shown: str) -> None:
    """Their number says nothing that the sums do not."""
    found = Difference(Span(0, 1), tuple("abcdef"[:count]), extra=1)
    text = table(JobVerdict("a", ALL, measurements=(Verdict("m", 1, 2, 1, 1, (found,)),)))
    assert f"): 1 extra ({shown})\n" in text


def test_values_without_an_equal_point_between_them_are_one_stretch() -> None:
    """However far apart in time."""
    found = stretches(
        [
            Mismatch(5, "v", "missing"),
            Mismatch(5, "w", "missing", is_next=True),
            Mismatch(900, "v", "different", is_next=True),
            Mismatch(1000, "v", "extra"),
        ]
    )
    assert list(found) == [
        Difference(Span(5, 901), ("v", "w"), missing=2, different=1),
        Difference(Span(1000, 1001), ("v",), extra=1),
    ]
    assert list(stretches([])) == []


def test_stretches_that_touch_are_joined_and_their_number_is_bounded() -> None:
    """Nothing is dropped: what is too many is added to the last."""
    touching = [Difference(Span(i, i + 1), ("v",), missing=1) for i in range(10)]
    assert join(touching) == [Difference(Span(0, 10), ("v",), missing=10)]
    apart = join(Difference(Span(2 * i, 2 * i + 1), ("v",), missing=1) for i in range(MOST + 500))
    assert len(apart) == MOST
    assert sum(d.missing for d in apart) == MOST + 500
    assert apart[-1].span.end == 2 * (MOST + 500) - 1


def test_the_daemon_hears_whether_it_differs_or_could_not_be_checked() -> None:
    """With the numbers, and every reason."""
    found = as_event(JobVerdict("a", ALL, measurements=(EQUAL, DIFFERENT), seconds=2.5), 7)
    assert (found.job, found.at, found.result, found.how, found.seconds) == (
        "a",
        7,
        "differs",
        "fingerprints",
        2.5,
    )
    assert (found.missing, found.extra, found.different) == (2, 1, 7)
    assert as_event(JobVerdict("a", ALL, measurements=(EQUAL,)), 7).result == "equal"
    told = as_event(JobVerdict("a", ALL, measurements=(EQUAL, TOLD)), 7)
    assert told.result == "could not check"
    assert told.detail.endswith("counting cannot tell")
    assert as_event(unchecked("b", "down"), 7).detail.endswith("down")
