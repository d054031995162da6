"""`source.group_by`: one point per complete window, series and field."""

import random
import time

import pytest

from tests.integration.harness import DAY, HOUR, MONDAY, WEEK, Pair
from tests.integration.test_late_data import run_at
from tests.support.reader import exact

MINUTE = 60_000_000_000
WINDOW = {"source": {"group_by": "5m"}}


def load(pair: Pair, begin: int, minutes: int, hosts: str = "ab") -> None:
    """A point a minute and host, of all four types; some values are missing."""
    pair.write(
        "\n".join(
            f'cpu,host={h} f={i}.25,i={i}i,s="s{i}",b={"true" if i % 2 else "false"} {begin + i * MINUTE}'
            for i in range(minutes)
            for h in hosts
        )
    )


def values(pair: Pair, host: bytes, field: bytes) -> dict[int, object]:
    """Time -> value of one series and field in the destination."""
    return {
        at[4]: value for at, value in pair.found().points.items() if (b"host", host) in at[2] and at[3] == field
    }


def test_numbers_are_averaged_and_other_types_keep_their_last_value(pair: Pair) -> None:
    """Means are floats, also of integers; strings and booleans keep theirs."""
    load(pair, MONDAY, 20)
    assert pair.backup(WINDOW).failures == ()
    starts = [MONDAY + w * 5 * MINUTE for w in range(4)]
    assert values(pair, b"a", b"f") == {t: exact(5 * w + 2.25) for w, t in enumerate(starts)}
    assert values(pair, b"b", b"i") == {t: exact(5 * w + 2.0) for w, t in enumerate(starts)}
    assert values(pair, b"a", b"s") == {t: exact(f"s{5 * w + 4}") for w, t in enumerate(starts)}
    assert values(pair, b"a", b"b") == {t: exact(bool((5 * w + 4) % 2)) for w, t in enumerate(starts)}


@pytest.mark.parametrize(
    ("types", "fields"), [(["integer"], {b"i"}), (["integer", "string"], {b"i", b"s"}), (["float"], {b"f"})]
)
def test_rules_choose_fields_by_the_types_of_the_source(types: list[str], fields: set[bytes], pair: Pair) -> None:
    """Not by those of their means."""
    load(pair, MONDAY, 20)
    rules = {"measurements": {"specific": {"cpu": {"fields": {"types": types}}}}}
    result = pair.backup({**WINDOW, **rules})
    assert (result.failures, result.cautions) == ((), ())
    assert {at[3] for at in pair.found().points} == fields


def test_only_complete_windows_are_copied_and_the_next_run_goes_on(pair: Pair) -> None:
    """The window that is still open waits for the next run; windows in between are not lost."""
    now = time.time_ns()
    begin = now - now % (5 * MINUTE) - 30 * MINUTE
    load(pair, begin, 60)
    assert pair.backup(WINDOW).failures == ()
    windows = values(pair, b"a", b"f")
    end = time.time_ns()
    assert begin in windows
    assert max(windows) + 5 * MINUTE <= end
    assert 6 <= len(windows) <= 7
    assert pair.backup(WINDOW).failures == ()
    assert windows.items() <= values(pair, b"a", b"f").items()


def test_windows_without_points_stay_empty_and_gaps_are_no_problem(pair: Pair) -> None:
    """No fill; ranges without shards are passed over."""
    load(pair, MONDAY, 10)
    load(pair, MONDAY + 20 * WEEK + MINUTE, 9)
    assert pair.backup(WINDOW).failures == ()
    found = values(pair, b"a", b"i")
    later = MONDAY + 20 * WEEK
    assert found == {
        MONDAY: exact(2.0),
        MONDAY + 5 * MINUTE: exact(7.0),
        later: exact(1.5),
        later + 5 * MINUTE: exact(6.0),
    }


def test_a_window_longer_than_a_shard_group_is_whole(pair: Pair) -> None:
    """Windows are never cut at the edges of shards."""
    load(pair, MONDAY - 50 * MINUTE, 100, hosts="a")
    assert pair.backup({"source": {"group_by": "30d"}}).failures == ()
    found = values(pair, b"a", b"i")
    assert list(found.values()) == [exact(49.5)]


def test_a_range_downsamples_only_its_own_windows(pair: Pair) -> None:
    """Range mode and windows together."""
    load(pair, MONDAY, 60)
    dates = {"start_date": "2024-01-01T00:10:00Z", "end_date": "2024-01-01T00:30:00Z"}
    assert pair.backup({**WINDOW, "options": {"backup_mode": "range", "range": dates}}).failures == ()
    assert set(values(pair, b"a", b"f")) == {MONDAY + m * MINUTE for m in (10, 15, 20, 25)}


def test_a_field_that_is_a_number_here_and_text_there_is_named(pair: Pair) -> None:
    """Such a field has no mean; the run fails with its name instead of dropping rows."""
    pair.write(f'm v=1 {MONDAY}\nm v="x" {MONDAY + WEEK}\nfine v=1 {MONDAY}\ncr f\rx=1,g=2 {MONDAY}')
    failures = pair.backup(WINDOW).failures
    assert len(failures) == 2
    assert "'f\\\\rx'" in failures[0]
    assert "'v'" in failures[1]
    assert "exclude it" in failures[1]
    assert {at[1] for at in pair.found().points} == {b"fine"}


@pytest.mark.parametrize("name", ["t ag", "k\\ey", "clé"])
def test_tags_of_any_name_survive_grouping(name: str, pair: Pair) -> None:
    """Tags arrive with their names and values; a tag that a series lacks stays missing."""
    escaped = name.replace(" ", "\\ ")
    pair.write(f"m,{escaped}=x v=1 {MONDAY}\nm,other=y v=3 {MONDAY}")
    assert pair.backup(WINDOW).failures == ()
    assert {at[2] for at in pair.found().points} == {((name.encode(), b"x"),), ((b"other", b"y"),)}


def test_the_mean_of_big_integers_is_right(pair: Pair) -> None:
    """InfluxDB sums integers in 64 bits: their mean is taken as that of floats."""
    numbers = [1_795_000_000_000_000_000 + i for i in range(30)]
    pair.write("\n".join(f"m n={n}i {MONDAY + i * MINUTE}" for i, n in enumerate(numbers)))
    assert pair.backup({"source": {"group_by": "1h"}}).failures == ()
    (mean,) = (value for at, value in pair.found().points.items())
    assert mean == exact(sum(map(float, numbers)) / 30)


def _mixed(pair: Pair) -> None:
    """A field that is an integer in one shard group and a float in the next, and one that is plain."""
    lines = [f"m v={i}i {MONDAY - (10 - i) * HOUR}" for i in range(10)]
    pair.write("\n".join([*lines, *(f"m v={i}.5 {MONDAY + i * HOUR}" for i in range(10)), f"other v=1i {MONDAY}"]))


def test_the_mean_of_a_field_that_is_an_integer_here_and_a_float_there_is_right(pair: Pair) -> None:
    """Also of a window that reaches across the edge of their shard groups."""
    _mixed(pair)
    assert pair.backup({"source": {"group_by": "7h"}}).failures == ()
    found = {at[4]: value for at, value in pair.found().points.items() if at[1] == b"m"}
    points = {MONDAY - (10 - i) * HOUR: float(i) for i in range(10)} | {
        MONDAY + i * HOUR: i + 0.5 for i in range(10)
    }
    windows: dict[int, list[float]] = {}
    for at, value in points.items():
        windows.setdefault(at - at % (7 * HOUR), []).append(value)
    assert any(start < MONDAY < start + 7 * HOUR for start in windows)
    assert found == {start: exact(sum(inside) / len(inside)) for start, inside in windows.items()}


@pytest.mark.parametrize("type_", ["integer", "float"])
def test_a_mean_of_types_of_which_some_are_not_wanted_is_refused(type_: str, pair: Pair) -> None:
    """The server cannot leave them out; by name, and the other measurements are copied."""
    _mixed(pair)
    rules = {"measurements": {"specific": {"m": {"fields": {"types": [type_]}}}}}
    result = pair.backup({"source": {"group_by": "7h"}, **rules})
    (failure,) = result.failures
    assert "m" in failure
    assert f"field 'v' (float and integer in different shards, of which fields.types wants {type_})" in failure
    assert {at[1] for at in pair.found().points} == {b"other"}
    rules["measurements"]["specific"]["m"]["fields"]["types"] = ["numeric"]
    assert pair.backup({"source": {"group_by": "7h"}, **rules}).failures == ()


@pytest.mark.parametrize("lookback", ["1d", 0])
@pytest.mark.parametrize("mode", ["incremental", "range"])
def test_a_right_mean_is_not_replaced_by_that_of_a_part(mode: str, lookback: str | int, pair: Pair) -> None:
    """Windows that are there stay as they are once the source may have given up a part of their points."""
    now = time.time_ns()
    begin = now - now % (6 * HOUR) - 12 * HOUR
    policy = 'WITH DURATION 48h SHARD DURATION 1h NAME "autogen"'
    pair.source.query(f'CREATE DATABASE "{pair.database}" {policy}')
    pair.destination.query(f'CREATE DATABASE "{pair.database}" WITH NAME "autogen"')
    pair.write("\n".join(f"m,h={h} v={i} {begin + i * HOUR}" for i in range(6) for h in "ab"))
    options = {"backup_mode": mode, "incremental": {"lookback": lookback}}
    if mode == "range":
        options["range"] = {"start_date": _rfc(begin - DAY), "end_date": _rfc(begin + DAY)}
    sections = {"source": {"group_by": "6h"}, "options": options}
    assert run_at(pair, now, sections).failures == ()
    assert values_of(pair) == {begin: exact(2.5)}
    groups = pair.source.records("SHOW SHARD GROUPS")
    for group in sorted(g["start_time"] for g in groups if g["database"] == pair.database)[:3]:
        shards = pair.source.records("SHOW SHARDS")
        (shard,) = (s["id"] for s in shards if s["database"] == pair.database and s["start_time"] == group)
        pair.source.query(f"DROP SHARD {shard}")  # as the policy does when its time has come
    later = begin + 3 * HOUR + 48 * HOUR + MINUTE
    pair.write(f"m,h=a v=7 {begin + 6 * HOUR}")
    assert run_at(pair, later, sections).failures == ()
    assert values_of(pair) == {begin: exact(2.5), begin + 6 * HOUR: exact(7.0)}


def values_of(pair: Pair) -> dict[int, object]:
    """Time -> value of series a."""
    return {at[4]: value for at, value in pair.found().points.items() if (b"h", b"a") in at[2]}


def _rfc(moment: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment // 10**9))


def test_a_window_whose_answer_is_very_large_is_copied(pair: Pair) -> None:
    """A window cannot be divided: whatever its size, it is asked for once more, and as a whole; alone at once."""
    text = random.Random(5).randbytes
    tags = [",".join(f"t{t}={text(30).hex()}" for t in range(10)) for _ in range(45_000)]
    for first in range(0, len(tags), 5000):
        pair.write("\n".join(f"m,{tag} v=1 {MONDAY}" for tag in tags[first : first + 5000]))
    one = {"backup_mode": "range", "range": {"start_date": _rfc(MONDAY), "end_date": _rfc(MONDAY + HOUR)}}
    for options in ({}, one):
        sections = {"source": {"group_by": "1h"}, "options": {**options, "timeout_client": 300}}
        assert pair.backup(sections).failures == ()
        assert pair.destination.rows("SELECT count(v) FROM m", db=pair.database) == [[0, 45_000]]
        pair.destination.drop_database(pair.database)
