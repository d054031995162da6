"""The pair of servers as one fixture."""

from tests.integration.conftest import pair

__all__ = ["pair"]
