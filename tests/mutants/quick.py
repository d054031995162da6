"""A plugin of pytest: a random example that fails is enough, nobody asks for the smallest one."""

from hypothesis import Phase, settings


def pytest_configure() -> None:
    """Before the tests are read, which take their settings from these."""
    settings.register_profile("mutants", phases=[Phase.explicit, Phase.generate])
    settings.load_profile("mutants")
