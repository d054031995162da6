"""What proves that a backup is one: the commands `check`, `verify` and `repair`.

Begin with `verify`; `preflight` is what `check` does.
"""
