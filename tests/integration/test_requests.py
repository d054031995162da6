"""What requests are made of the points of a page, where the destination holds a field with another type."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from basics.spans import Span
from config import parse_config
from copying.requests import Reached, Request, Requests
from copying.task import Copy, Target
from copying.unfinished import Unfinished
from influx import frames, pages
from influx.errors import Unreachable
from influx.frames import Frame
from influx.influxql import Location, Policy
from influx.pages import Page
from influx_client import InfluxClient
from settings.keys import Server
from tests.integration.harness import DAY, MONDAY, WEEK, Pair, endpoint
from tests.support.servers import InfluxServer

GROUPS = (Span(MONDAY, MONDAY + DAY), Span(MONDAY + DAY, MONDAY + 2 * DAY))
WEEKLY = Policy("autogen", 0, WEEK, is_default=True)


def client(server: InfluxServer) -> InfluxClient:
    """Of the destination."""
    return InfluxClient(Server.model_validate(endpoint(server)), "destination", retries=0)


def requests(destination: InfluxClient, directory: Path) -> Requests:
    """Those of a job, in a run that is much later."""
    text = "source: {url: 'http://a:8086'}\ndestination: {url: 'http://b:8086'}\n"
    job = parse_config(f"{text}options: {{backup_mode: incremental}}\n", {}, "job.yaml")
    return Requests(job, destination, MONDAY + 100 * WEEK, Unfinished(directory / "marks"))


def daily(pair: Pair) -> Copy:
    """The destination has a shard group for each of two days, with another type in the first; now it has weeks."""
    name = pair.database
    pair.destination.query(f'CREATE DATABASE "{name}" WITH DURATION INF SHARD DURATION 1d NAME "autogen"')
    pair.destination.write(f"m v=1i {MONDAY}\nm v=1.5 {MONDAY + DAY}", name)
    pair.destination.query(f'ALTER RETENTION POLICY "autogen" ON "{name}" SHARD DURATION 7d')
    types = {"v": ("float", "integer"), "w": ("float",)}
    target = Target(name, WEEKLY, WEEKLY, (), GROUPS, {"m": types})
    return Copy(Location(name, "autogen", "m"), target, {"v": ("float",), "w": ("float",)}, ())


def frame(*times: int) -> Frame:
    """Two numbers at each of these times."""
    return frames.to_frame([(time, 1.5, 2.5) for time in times], ["v", "w"], [])


def test_a_field_in_conflict_goes_alone_in_its_shard_group_and_with_the_others_elsewhere(
    pair: Pair, tmp_path: Path
) -> None:
    """The groups that there are count, whatever the policy says today. Each type is asked for once."""
    copy, there = daily(pair), client(pair.destination)
    made = requests(there, tmp_path)
    asked = [there.questions]
    for _ in range(2):
        items = list(made.of_frame(copy, frame(MONDAY + 7, MONDAY + DAY + 7, MONDAY + WEEK)))
        bodies = [item[0] for item in items if isinstance(item, tuple)]
        assert [(body.points, sorted(body.fields)) for body in bodies] == [
            (1, ["w"]),
            (1, ["v"]),
            (1, ["v", "w"]),
            (1, ["v", "w"]),
        ]
        assert all(stretch is None for _, stretch in (item for item in items if isinstance(item, tuple)))
        asked.append(there.questions)
    first, second, third = asked
    assert (second - first, third - second) == (3, 0)
    there.close()


@pytest.mark.parametrize("is_free", [False, True])
def test_no_request_goes_across_the_edge_of_a_shard_group(
    is_free: bool, pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever a block of rows ends that is encoded at a time; each point goes once, and in its order."""
    monkeypatch.setattr(pages, "BLOCK_CELLS", 15)
    copy, there = daily(pair), client(pair.destination)
    copy = replace(copy, target=replace(copy.target, written_types={}, groups=()))
    made = requests(there, tmp_path)
    if is_free:
        marks = Unfinished(tmp_path / "marks")
        marks.begin([copy])
        made = requests(there, tmp_path)
    times = [MONDAY + n * DAY // 4 for n in range(16)]
    items = list(made.of_frame(copy, frame(*times)))
    sent = [item for item in items if isinstance(item, tuple)]
    texts = [body.text.decode().split() for body, _ in sent]
    found = [[int(word) for word in text if word.isdigit()] for text in texts]
    assert [time for part in found for time in part] == times
    groups = [{min((time - MONDAY) // DAY, 2) for time in part} for part in found]
    assert {len(group) for group in groups} == {1}
    assert {stretch is None for _, stretch in sent} == {not is_free}
    assert len({stretch for _, stretch in sent}) == (3 if is_free else 1)
    there.close()


def test_an_error_on_the_way_names_the_range_of_its_page(pair: Pair, tmp_path: Path) -> None:
    """As when the destination does not answer what type it has."""
    copy = daily(pair)
    with InfluxServer.start("gone") as server:
        there = client(server)
    page = Page((frame(MONDAY + 7),), Span(MONDAY, MONDAY + DAY))
    with pytest.raises(Unreachable) as raised:
        list(requests(there, tmp_path).of(copy, [page]))
    assert str(raised.value).startswith("[2024-01-01T00:00:00Z, 2024-01-02T00:00:00Z): destination ")


def test_how_far_a_page_goes_stands_behind_its_points(pair: Pair, tmp_path: Path) -> None:
    """Of a share of the series, only as far as all shares have come."""
    copy, there = daily(pair), client(pair.destination)
    span = Span(MONDAY + DAY, MONDAY + 2 * DAY)
    for floor, ends in ((None, [span.start + 9, span.start + 9, span.end]), (MONDAY + 3, [MONDAY + 3] * 3)):
        page = Page((frame(span.start + 5, span.start + 9),), span, floor=floor)
        items = list(requests(there, tmp_path).of(copy, [page]))
        (sent,) = [item for item in items if isinstance(item, Request)]
        marks = [item for item in items if isinstance(item, Reached)]
        assert (sent.span, sent.body.points) == (span, 2)
        assert [mark.position for mark in marks] == ends
        assert [mark.newest for mark in marks] == [span.start + 9, span.start + 9, None]
        assert items.index(sent) < items.index(marks[0])
    there.close()
