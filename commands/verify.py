"""`main.py verify`: whether both servers of each job hold the same."""

from commands.comparison import OPTIONS, compare
from commands.interface import USAGE, Command

VERIFY = Command(
    "verify",
    "compare both servers of each job: counts, or every value with --full",
    OPTIONS,
    compare,
    on_bug=USAGE,
)
