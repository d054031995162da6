"""A plugin of pytest: what notices a mistake need not say more than that, and no endless loop holds it up.

A random example that fails is enough, nobody asks for the smallest one. A test may take some times as long as it
takes without a mistake.
"""

import json
from pathlib import Path

import pytest
from hypothesis import Phase, settings

from tests.mutants.noticing import LEAST, SECONDS, SLOWER

ROOT = Path(__file__).parents[2]


def pytest_configure() -> None:
    """Before the tests are read, which take their settings from these."""
    settings.register_profile("mutants", phases=[Phase.explicit, Phase.generate])
    settings.load_profile("mutants")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each test gets its own limit."""
    seconds = json.loads((ROOT / SECONDS).read_text())
    for item in items:
        took = seconds.get(item.nodeid.partition("[")[0], 0.0)
        item.add_marker(pytest.mark.timeout(LEAST + SLOWER * took))
