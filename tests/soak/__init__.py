"""A daemon under random faults for a long time; not part of the test suite: `python -m tests.soak.run`."""
