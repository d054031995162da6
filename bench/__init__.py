"""Measurements; nothing here is asserted but equality. `python -m bench.run` runs them."""
