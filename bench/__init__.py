"""Measurements; nothing here is asserted but equality."""
