"""The exactness tests, the corpus and the random one, on every trip."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.integration.harness import Pair
from tests.integration.test_exactness import *  # noqa: F403 -- the same tests, with the servers of this folder
from tests.integration.test_reads import test_numbers_are_read_as_csv_at_once
from tests.integration.test_round_trip import assert_arrives, examples
from tests.support.servers import InfluxServer

__all__ = ["test_numbers_are_read_as_csv_at_once"]

_numbers = itertools.count()


@examples(15)
@given(data=st.data())
def test_random_points_arrive_unchanged(
    data: st.DataObject,
    source: InfluxServer,
    destination: InfluxServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Whatever InfluxDB can keep is copied exactly."""
    name = f"trip_{next(_numbers)}"
    assert_arrives(data, Pair(source, destination, name, tmp_path_factory.mktemp("trip")))
