"""Faults on purpose: break something, then compare source and destination exactly."""
