"""The commands of `main.py`, one module for each: its options, its help, what it calls.

Begin with `interface`; `run` is the example to follow.
"""
