"""Restores on every trip: between versions whose answers, indexes and line protocol are not the same."""

from tests.integration.test_restore import (
    test_a_database_that_was_dropped_comes_back_to_its_source,
    test_fill_brings_the_opposite_half_of_a_series_and_changes_nothing,
    test_names_that_hurt,
    test_the_default_policy_is_set_at_the_end_of_a_whole_restore,
)

__all__ = [
    "test_a_database_that_was_dropped_comes_back_to_its_source",
    "test_fill_brings_the_opposite_half_of_a_series_and_changes_nothing",
    "test_names_that_hurt",
    "test_the_default_policy_is_set_at_the_end_of_a_whole_restore",
]
