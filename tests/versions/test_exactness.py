"""The exactness tests, the corpus and the random one, on every trip."""

from tests.integration.test_exactness import *  # noqa: F403 -- the same tests, with the servers of this folder
from tests.integration.test_round_trip import *  # noqa: F403
