"""Heavy libraries that are loaded when something of them is first used: a run that copies nothing needs none."""

import threading
from importlib import import_module
from typing import Any


class Later:
    """Stands for a module until something of it is used. Safe to use from several threads."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 -- whatever the module holds
        value = self.__dict__[name] = getattr(import_module(self._name), name)
        return value


def load_soon(*names: str) -> None:
    """Load modules in another thread, while this one waits for servers."""
    threading.Thread(target=lambda: [import_module(name) for name in names], daemon=True).start()
