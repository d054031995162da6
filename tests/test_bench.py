"""The pure parts of the measurements: what is copied, and what is told of it. How long it takes is not tested."""

import re
from collections.abc import Callable

import pytest

from bench import data
from bench.cases import AGAIN, COPY, INTO, TARGETS, into_statements
from bench.data import DataSet
from bench.peers import PEERS
from bench.report import Record, Results, Target, case_table, from_json, ratios, target_table, to_json
from bench.run import USUAL

SETS: dict[str, Callable[[float], DataSet]] = {
    "devops": data.devops,
    "text": data.text,
    "sparse": data.sparse,
    "series": data.series,
    "many": data.many,
    "many in one": lambda scale: data.many(scale, one=True),
    "wide": data.wide,
    "gaps": data.gaps,
    "gaps closed": lambda scale: data.gaps(scale, dense=True),
    "thin": data.thin,
    "thin in one": lambda scale: data.thin(scale, dense=True),
    "mixed": data.mixed,
    "years": data.years,
}
SMALL = 0.003
FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|[-+.\de]+i?|true|false)', re.DOTALL)
LINE = re.compile(rf"(\S+) ({FIELD.pattern}(?:,{FIELD.pattern})*) (\d+)", re.DOTALL)


def _fields(line: str) -> dict[str, str]:
    found = LINE.fullmatch(line)
    assert found, line
    return dict(FIELD.findall(found[2]))


def _kind(value: str) -> str:
    if value.startswith('"'):
        return "string"
    if value in ("true", "false"):
        return "boolean"
    return "integer" if value.endswith("i") else "float"


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_what_it_says(name: str) -> None:
    """So many rows, no two of the same series and time, each with so many fields of one type per window."""
    rows = SETS[name](SMALL)
    lines = list(rows.lines())
    assert len(lines) == rows.rows
    assert len({(line.split(" ", 1)[0], line.rsplit(" ", 1)[1]) for line in lines}) == rows.rows
    kinds: dict[tuple[int, str], set[str]] = {}
    for line in lines:
        fields = _fields(line)
        assert len(fields) == rows.fields
        window = sum(int(line.rsplit(" ", 1)[1]) >= begin for begin, _ in rows.windows)
        for field, value in fields.items():
            kinds.setdefault((window, field), set()).add(_kind(value))
    assert all(len(found) == 1 for found in kinds.values())
    assert rows.values == sum(len(_fields(line)) for line in lines)


@pytest.mark.parametrize("name", SETS)
def test_a_set_is_the_same_every_time(name: str) -> None:
    """And its batches are its lines."""
    rows = SETS[name](SMALL)
    assert list(rows.batches()) == list(SETS[name](SMALL).batches())
    assert b"\n".join(rows.batches()).decode() == "\n".join(rows.lines())


def test_batches_have_a_bound() -> None:
    """The last one has the rest."""
    rows = data.devops(0.05)
    assert [batch.count(b"\n") + 1 for batch in rows.batches()] == [10_000, 10_000, 1_600]


@pytest.mark.parametrize(
    ("one", "other"), [("many", "many in one"), ("gaps", "gaps closed"), ("thin", "thin in one")]
)
def test_the_other_shape_holds_the_same_fields(one: str, other: str) -> None:
    """Row by row; only series and times differ."""
    a, b = SETS[one](SMALL), SETS[other](SMALL)
    assert [_fields(line) for line in a.lines()] == [_fields(line) for line in b.lines()]


def test_types_change_between_the_windows_of_mixed() -> None:
    """Four types in four weeks."""
    rows = data.mixed(SMALL)
    kinds = {}
    for line in rows.lines():
        time = int(line.rsplit(" ", 1)[1])
        window = next(window for window in rows.windows if window[0] <= time < window[1])
        kinds[window] = _kind(_fields(line)["any"])
    assert set(kinds.values()) == {"float", "integer", "string", "boolean"}


def test_select_into_has_a_statement_for_each_measurement_and_window() -> None:
    """With quoted names."""
    assert list(into_statements(data.devops(SMALL), ['a"b'])) == [
        'SELECT *::field INTO "reference".autogen."a\\"b" FROM "devops".autogen."a\\"b" GROUP BY *'
    ]
    windows = list(into_statements(data.mixed(SMALL), ["mixed"]))
    assert len(windows) == 4
    assert "WHERE time >= 1704067200000000000 AND time < 1704672000000000000 GROUP BY *" in windows[0]


# ---- what is told


def _record(arm: str, *seconds: float, case: str = "devops", size: float = 1, **more: float) -> Record:
    return Record(case, size, arm, 1000, 10_000, tuple({"seconds": number, **more} for number in seconds))


def test_a_ratio_is_of_the_same_turn() -> None:
    """A machine that gets slower does not change it."""
    copy, into = _record(COPY, 1, 2, 30), _record(INTO, 2, 4, 60)
    assert ratios(copy, into) == [0.5, 0.5, 0.5]
    assert Results([copy, into], {}).ratio("devops", COPY, INTO) == 0.5


def test_the_table_shows_median_lowest_and_highest() -> None:
    """Columns that no arm has are left out."""
    shown = case_table([_record(COPY, 1, 2, 4, cpu=0.005, peak=250e6), _record(INTO, 4, 4, 4)])
    head, copy, into = shown.splitlines()
    assert "PSS" not in head
    assert "2.00 (1.00-4.00)" in copy
    assert "0.50 (0.25-1.00)" in copy
    assert "5,000 (2,500-10,000)" in copy
    assert "0.50" in copy
    assert "250" in copy
    assert into.split()[:5] == ["x", "1", "SELECT", "INTO", "1,000"]


@pytest.mark.parametrize(
    ("value", "at_least", "word"),
    [(1.0, False, "met"), (1.1, False, "MISSED"), (1.1, True, "met"), (0.9, True, "MISSED")],
)
def test_a_target_is_met_or_missed(value: float, at_least: bool, word: str) -> None:
    """The limit itself is met."""
    verdict = Target("a ratio", 1.0, lambda _: value, at_least=at_least).verdict(Results([], {}))
    assert verdict.word == word
    assert word in target_table([verdict])


def test_without_results_no_target_is_met_or_missed() -> None:
    """None of them fails either."""
    assert {target.verdict(Results([], {})).word for target in TARGETS} == {"not measured"}


def test_what_nothing_new_costs_is_counted_in_requests() -> None:
    """Reads and writes."""
    record = _record(AGAIN, 3, case="many", queries=60, writes=30)
    found = {target.text: target.verdict(Results([record], {})) for target in TARGETS}
    assert found["many, nothing new: HTTP requests"].value == 90
    assert found["many, nothing new: seconds"].value == 3
    assert found["many: wall time / (1.3 x one measurement + 2 ms for each)"].word == "not measured"


def test_results_survive_as_json() -> None:
    """Record by record."""
    results = Results([_record(COPY, 1, 2, queries=3), _record(INTO, 2, 3)], {"cores": 2})
    assert from_json(to_json(results, [target.verdict(results) for target in TARGETS])) == results


def test_cases_have_names_of_their_own() -> None:
    """The command line chooses by them."""
    assert len({case.name for case in (*USUAL, PEERS)}) == len(USUAL) + 1
