"""The tool is killed, or asked to stop, in the middle of a copy: on every trip."""

from tests.faults.test_kills import *  # noqa: F403 -- the same tests, with the servers of this folder
