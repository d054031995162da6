"""The texts that users write in YAML, read as values."""

import datetime as dt
import pickle

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given
from hypothesis import strategies as st

from basics.humanize import counted
from basics.patterns import NamePattern, is_selected, matches_any, parse_pattern
from basics.times import (
    DAY,
    HOUR,
    MAX_TIME,
    MIN_TIME,
    format_duration,
    format_time,
    parse_duration,
    parse_end,
    parse_time,
)
from settings.cron import parse_cron

INT64 = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (0, "point", "0 points"),
        (1, "point", "1 point"),
        (2, "measurement", "2 measurements"),
        (1_440, "value", "1,440 values"),
        (1, "stretch", "1 stretch"),
        (3, "stretch", "3 stretches"),
        (1, "policy", "1 policy"),
        (2, "policy", "2 policies"),
        (2, "day", "2 days"),
    ],
)
def test_words_agree_with_their_number(number: int, noun: str, text: str) -> None:
    """Everywhere, by one helper."""
    assert counted(number, noun) == text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("0s", 0),
        ("1ns", 1),
        ("7us", 7_000),
        ("250ms", 250_000_000),
        ("30s", 30_000_000_000),
        ("15m", 900_000_000_000),
        ("6h", 6 * HOUR),
        ("30d", 30 * DAY),
        ("2w", 14 * DAY),
        ("6M", 180 * DAY),
        ("1y", 365 * DAY),
        ("1h30m", 5_400_000_000_000),
        ("1y6M2w3d4h5m6s7ms8us9ns", parse_duration("562d") + 14_706_007_008_009),
        (" 5m ", 300_000_000_000),
        ("9223372036854775807ns", 2**63 - 1),
        ("007m", 420_000_000_000),
    ],
)
def test_a_duration_is_read_as_nanoseconds(text: str, expected: int) -> None:
    """Every unit means what the documentation says, alone and combined; M is months, m minutes."""
    assert parse_duration(text) == expected


NO_DURATIONS = [
    *[
        "5",
        "m",
        "-5m",
        "+5m",
        "1.5h",
        "5min",
        "5H",
        "5D",
        "30m1h",
        "5m5m",
        "5mm",
        "5m,",
        "1e3s",
        "0x5s",
        "None",
        "5µ",
        "\u0665m",
        "9223372036854775808ns",
        "293y",
    ],
    *("", " ", "5 m", "1h 30m", "5m\n6", "9" * 5000 + "d"),
]


@pytest.mark.parametrize("text", NO_DURATIONS)
def test_what_is_not_a_duration_is_an_error(text: str) -> None:
    """Nothing is guessed: a wrong unit, order, sign, or size is refused."""
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("ns", "expected"),
    [(0, "0s"), (DAY, "1d"), (90 * 60 * 10**9, "1h30m"), (14 * DAY, "14d"), (1_000_001, "1ms1ns"), (-HOUR, "-1h")],
)
def test_a_duration_is_written_for_people(ns: int, expected: str) -> None:
    """Units that are zero are left out."""
    assert format_duration(ns) == expected


@given(st.integers(0, 2**63 - 1))
def test_every_duration_survives_writing_and_reading(ns: int) -> None:
    """Nothing is lost on the way through text."""
    assert parse_duration(format_duration(ns)) == ns


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01", 0),
        ("1970-01-01T00:00:00Z", 0),
        ("1970-01-01 00:00:01", 1_000_000_000),
        ("1970-01-01t00:00:01z", 1_000_000_000),
        ("1970-01-01T00:01", 60_000_000_000),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T01:00:00 +0100", 0),
        ("1969-12-31T18:30:00-05:30", 0),
        ("1970-01-01T00:00:00.1Z", 100_000_000),
        ("1970-01-01T00:00:00.000000001Z", 1),
        ("1969-12-31T23:59:59.999999999Z", -1),
        ("2026-01-31T23:59:59.123456789Z", 1_769_903_999_123_456_789),
        ("2024-02-29", 1_709_164_800_000_000_000),
        ("1677-09-21T00:12:43.145224194Z", MIN_TIME),
        ("2262-04-11T23:47:16.854775806Z", MAX_TIME),
        ("2262-04-12T01:47:16.854775806+02:00", MAX_TIME),
    ],
)
def test_a_time_is_read_to_the_nanosecond(text: str, expected: int) -> None:
    """Dates, both separators, offsets and nine decimals are exact over all the years InfluxDB knows."""
    assert parse_time(text) == expected


NO_TIMES = [
    "2026",
    "2026-1-1",
    "2026-01-32",
    "2026-02-29",
    "2026-13-01",
    "0000-01-01",
    "2026-01-01Z",
    "20260101",
    "01.02.2026",
    "now()",
    "-2026-01-01",
    "2026-01-01T24:00:00Z",
    "2026-01-01T00:60:00Z",
    "2026-01-01T00:00:60Z",
    "2026-01-01T00:00:00+24:00",
    "2026-01-01T00:00:00+00:60",
    "2026-01-01T00:00:00.Z",
    "2026-01-01T00:00:00.1234567890Z",
    "1677-09-21T00:12:43.145224193Z",
    "2262-04-11T23:47:16.854775807Z",
    "9999-12-31",
    "\uff12026-01-01",
    "1700000000000000000",
    "2026-01-01T00:00:00UTC",
]


@pytest.mark.parametrize("text", [*NO_TIMES, "", "2026-01-01T00:00:00Z\nx", "2026-01-01T00:00:00 UTC"])
def test_what_is_not_a_time_is_an_error(text: str) -> None:
    """Days that do not exist, a tenth decimal and times InfluxDB cannot store are refused, not rounded."""
    with pytest.raises(ValueError, match=r"time|date|decimals|InfluxDB"):
        parse_time(text)


def test_a_range_may_end_after_the_last_nanosecond() -> None:
    """The end is exclusive: one more than the last time of a point, and no more."""
    assert parse_end("2262-04-11T23:47:16.854775807Z") == MAX_TIME + 1
    with pytest.raises(ValueError, match=r"outside of what InfluxDB can store .*854775807Z"):
        parse_end("2262-04-11T23:47:16.854775808Z")


@given(st.integers(MIN_TIME, MAX_TIME))
def test_every_time_survives_writing_and_reading(ns: int) -> None:
    """No nanosecond is lost on the way through text."""
    assert parse_time(format_time(ns)) == ns


@given(INT64)
def test_a_written_time_is_the_calendars(ns: int) -> None:
    """The seconds agree with Python's own calendar, for every 64-bit number."""
    expected = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=ns // 10**9)
    assert format_time(ns).rstrip("Z").partition(".")[0] == expected.strftime("%Y-%m-%dT%H:%M:%S")


@pytest.mark.parametrize(
    ("ns", "expected"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (1_500_000_000, "1970-01-01T00:00:01.5Z"),
        (-(2**63), "1677-09-21T00:12:43.145224192Z"),
        (2**63 - 1, "2262-04-11T23:47:16.854775807Z"),
    ],
)
def test_a_time_is_written_with_the_decimals_it_needs(ns: int, expected: str) -> None:
    """Whole seconds have no decimals, and none is rounded away."""
    assert format_time(ns) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("* * * * *", ("*", "*", "*", "*", "*")),
        ("0 3 * * *", ("0", "3", "*", "*", "*")),
        ("*/15 */6 */2 */3 *", ("*/15", "*/6", "*/2", "*/3", "*")),
        ("05 03 01 01 *", ("5", "3", "1", "1", "*")),
        ("0,30 1-5,8 1-31/10 JAN-mar,dec *", ("0,30", "1-5,8", "1-31/10", "1-3,12", "*")),
        ("5/20 * * * *", ("5-59/20", "*", "*", "*", "*")),
        ("0 0 * * 0", ("0", "0", "*", "*", "sun")),
        ("0 0 * * 7", ("0", "0", "*", "*", "sun")),
        ("0 0 * * 1", ("0", "0", "*", "*", "mon")),
        ("0 0 * * 1-5", ("0", "0", "*", "*", "mon,tue,wed,thu,fri")),
        ("0 0 * * MON-Fri", ("0", "0", "*", "*", "mon,tue,wed,thu,fri")),
        ("0 0 * * 5-7", ("0", "0", "*", "*", "sun,fri,sat")),
        ("0 0 * * sat-sun", ("0", "0", "*", "*", "sun,sat")),
        ("0 0 * * sun-tue", ("0", "0", "*", "*", "sun,mon,tue")),
        ("0 0 * * */2", ("0", "0", "*", "*", "sun,tue,thu,sat")),
        ("0 0 * * 0-7", ("0", "0", "*", "*", "sun,mon,tue,wed,thu,fri,sat")),
        ("0 0 * * 6,0,6", ("0", "0", "*", "*", "sun,sat")),
        ("  0\t0  29 2 * ", ("0", "0", "29", "2", "*")),
        ("0 0 31 2 mon", ("0", "0", "31", "2", "mon")),
        ("0 0 30,31 2,4 *", ("0", "0", "30,31", "2,4", "*")),
    ],
)
def test_a_cron_expression_has_its_standard_meaning(text: str, expected: tuple[str, ...]) -> None:
    """Weekdays become names, so that APScheduler, which counts from Monday, cannot shift them by a day."""
    cron = parse_cron(text)
    assert (cron.minute, cron.hour, cron.day, cron.month, cron.day_of_week) == expected
    assert cron.text == text.strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 0 1 * mon", True),
        ("0 0 1-31 * 0-7", True),
        ("0 0 1 * *", False),
        ("0 0 * * mon", False),
        ("0 0 */2 * mon", False),
        ("0 0 1 * */2", False),
        ("0 0 * * *", False),
    ],
)
def test_day_and_weekday_are_alternatives_where_both_are_restricted(text: str, expected: bool) -> None:
    """As in cron: `1 * mon` runs on every first and on every Monday; a field that starts with * does not count."""
    assert parse_cron(text).either_day is expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected 5 fields .* got 0"),
        ("* * * *", "expected 5 fields .* got 4"),
        ("0 * * * * *", "expected 5 fields .* got 6"),
        ("@reboot", "expected 5 fields, or one of @hourly, @daily"),
        ("60 * * * *", "minute: '60' .*0 to 59"),
        ("-1 * * * *", "minute"),
        ("* 24 * * *", "hour: '24' .*0 to 23"),
        ("* * 0 * *", "day: '0' .*1 to 31"),
        ("* * 32 * *", "day: '32'"),
        ("* * * 0 *", "month: '0' .*1 to 12 or jan to dec"),
        ("* * * 13 *", "month: '13'"),
        ("* * * january *", "month: 'january'"),
        ("* * * * 8", "day_of_week: '8' .*0 to 7 or sun to sat"),
        ("* * * * monday", "day_of_week: 'monday'"),
        ("mon * * * *", "minute: 'mon'"),
        ("5-1 * * * *", "minute: '5-1' ends before it starts"),
        ("* * * * fri-mon", "day_of_week: 'fri-mon' ends before it starts"),
        ("1,,2 * * * *", "minute: ''"),
        ("1- * * * *", "minute: '1-'"),
        ("*/0 * * * *", "minute: '\\*/0' has a step"),
        ("*/60 * * * *", "minute: '\\*/60' has a step outside of 1 to 59"),
        ("5-5/2 * * * *", "minute: '5-5/2' has a step"),
        ("*5 * * * *", "minute"),
        ("1.5 * * * *", "minute"),
        ("* * L * *", "day: 'l'"),
        ("* * ? * *", r"day: '\?'"),
        ("* * * * 5#3", "day_of_week: '5#3'"),
        ("\u0663 * * * *", "minute"),
        ("99999999999 * * * *", "minute"),
        ("0 0 31 2 *", "never runs"),
        ("0 0 30,31 feb *", "never runs"),
        ("0 0 31 2,4,6,9,11 *", "never runs"),
        ("0 0 31 2 */2", "never runs"),
    ],
)
def test_a_wrong_cron_expression_names_the_field_and_its_range(text: str, message: str) -> None:
    """Whoever mistyped a schedule is told where, and what would be allowed."""
    with pytest.raises(ValueError, match=message):
        parse_cron(text)


CRON_FIELDS = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 7)]


@st.composite
def cron_texts(draw: st.DrawFn) -> str:
    """Expressions of all forms, most of them valid."""

    def part(low: int, high: int) -> str:
        first, last, step = draw(st.integers(low, high)), draw(st.integers(low, high)), draw(st.integers(1, 30))
        first, last = sorted((first, last))
        return draw(st.sampled_from(["*", f"*/{step}", f"{first}", f"{first}-{last}", f"{first}-{last}/{step}"]))

    fields = [",".join(part(*limits) for _ in range(draw(st.integers(1, 2)))) for limits in CRON_FIELDS]
    return " ".join(fields)


@given(cron_texts())
def test_apscheduler_takes_every_expression_that_is_accepted(text: str) -> None:
    """What passes the check of a file cannot fail later, when the schedule is made."""
    try:
        cron = parse_cron(text)
    except ValueError:
        return
    CronTrigger(
        minute=cron.minute,
        hour=cron.hour,
        day=cron.day,
        month=cron.month,
        day_of_week=cron.day_of_week,
        timezone="UTC",
    )


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("cpu", "cpu", True),
        ("cpu", "CPU", False),
        ("cpu", "cpu0", False),
        ("disk*", "diskio", True),
        ("disk*", "disk", True),
        ("disk*", "Disk", False),
        ("disk*", "mydisk", False),
        ("*disk", "diskio", False),
        ("?x", "abx", False),
        ("*", "", True),
        ("*", "two\nlines", True),
        ("cpu?", "cpu1", True),
        ("cpu?", "cpu12", False),
        ("[ab]x", "bx", True),
        ("[!ab]x", "bx", False),
        ("[ab]x", "[ab]x", True),
        ("what?", "what?", True),
        ("a.b", "aXb", False),
        ("a.*", "a.b.c", True),
        ("a.*", "axb", False),
        ("/cpu/", "my_cpu_0", True),
        ("/^cpu$/", "cpu0", False),
        ("/^(a|b)$/", "b", True),
        ("/(?i)CPU/", "cpu", True),
        (r"/a\/b/", "a/b", True),
        ("/var/log", "/var/log", True),
        ("/var/log", "x/var/logx", False),
        ("/", "/", True),
        ("[", "[", True),
        ("größe*", "größe_m²", True),
    ],
)
def test_a_pattern_is_a_name_a_glob_or_a_regular_expression(pattern: str, name: str, expected: bool) -> None:
    """Case matters, a regex may match anywhere, and a name equal to the text always matches."""
    assert parse_pattern(pattern).matches(name) is expected


@pytest.mark.parametrize(
    "text",
    ["", "//", "/(/", "/[/", "/a{2,1}/", "/[[:alpha:]]/", "/*/", "/a{99999999999999}/", "/" + "(" * 9000 + "/"],
)
def test_a_wrong_pattern_is_an_error(text: str) -> None:
    """Empty patterns, malformed regexes and ones that Python would read differently are refused at once."""
    with pytest.raises(ValueError, match=r"pattern|regular expression"):
        parse_pattern(text)


def test_patterns_are_values() -> None:
    """Equal by their text, usable in sets, and able to travel to another process."""
    pattern = parse_pattern("/^a/")
    assert {pattern, NamePattern("/^a/")} == {pickle.loads(pickle.dumps(pattern))}  # noqa: S301


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ([], [], ["cpu", "disk", "diskio", "mem"]),
        (["disk*"], [], ["disk", "diskio"]),
        ([], ["io*", "i*"], ["cpu", "disk", "diskio", "mem"]),
        (["disk*", "cpu"], ["diskio"], ["cpu", "disk"]),
        ([], ["/i/"], ["cpu", "mem"]),
        (["cpu"], ["cpu"], []),
        (["nothing"], [], []),
    ],
)
def test_include_comes_first_and_exclude_has_the_last_word(
    include: list[str], exclude: list[str], expected: list[str]
) -> None:
    """An empty include means everything; an exclude takes away from what was included."""
    wanted, unwanted = [parse_pattern(text) for text in include], [parse_pattern(text) for text in exclude]
    names = ["cpu", "disk", "diskio", "mem"]
    assert [name for name in names if is_selected(name, wanted, iter(unwanted))] == expected
    assert not matches_any("cpu", [])
