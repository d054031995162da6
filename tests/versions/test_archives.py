"""Archives of other versions: source to archive to new server, bit by bit; unsigned integers, too."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.integration.archives import Archived
from tests.integration.harness import Pair, snapshot
from tests.integration.test_archive import assert_drawn_points_come_back, assert_kept_and_restored
from tests.integration.test_exactness import CASES
from tests.integration.test_round_trip import examples
from tests.support.servers import InfluxServer
from tests.versions.test_unsigned import CHANGING, LINES, UNSIGNED

VERSIONS = ("1.6", "1.7.11", "1.8.10", "1.12.4")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("index", ["inmem", "tsi1"])
def test_nasty_cases_and_other_types_come_back(version: str, index: str, tmp_path: Path) -> None:
    """What this version keeps of them; the source's own sums prove the files."""
    settings = {"data.index-version": index}
    with (
        InfluxServer.start("source", version=version, settings=settings) as source,
        InfluxServer.start("destination", version=version, settings=settings) as destination,
    ):
        archived = Archived(Pair(source, destination, "db", tmp_path))
        names = [f"db_{number}" for number in range(len(CASES))]
        for name, (content, _) in zip(names, CASES.values(), strict=True):
            source.create_database(name)
            source.write(content, name)
        archived.taken({"source": {"databases": [{"name": name} for name in names]}})
        assert archived.json("archive", "verify", "--source")["changed_parts"] == 0
        archived.main("restore", "--from", "archive", "--yes", "--verify", "full", "--to", destination.url)
        for name in names:
            assert len(snapshot(source, name)) > 0
            assert_kept_and_restored(archived, name)


@pytest.mark.parametrize("version", VERSIONS)
@examples(8)
@given(data=st.data())
def test_random_points_come_back(
    version: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever this version can keep."""
    with (
        InfluxServer.start("source", version=version) as source,
        InfluxServer.start("destination", version=version) as destination,
    ):
        pair = Pair(source, destination, "drawn", tmp_path_factory.mktemp("drawn"))
        assert_drawn_points_come_back(data, Archived(pair))


@pytest.mark.parametrize("lines", [LINES, CHANGING], ids=["unsigned", "unsigned in some shards"])
def test_unsigned_integers_come_back(lines: str, tmp_path: Path) -> None:
    """As what they are: in the files, and at a server that holds them."""
    with (
        InfluxServer.start("source", version=UNSIGNED) as source,
        InfluxServer.start("destination", version=UNSIGNED) as destination,
    ):
        archived = Archived(Pair(source, destination, "db", tmp_path))
        archived.pair.write(lines)
        archived.taken()
        archived.assert_restored("--verify", "full")
        assert_kept_and_restored(archived, archived.pair.database)
        kinds = [s.query('SHOW FIELD KEYS ON "db"') for s in (source, destination)]
        assert kinds[0] == kinds[1]
        assert "unsigned" in str(kinds)
        archived.taken()
