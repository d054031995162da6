"""Tests of main.py and commands/."""
