"""Tests of what a cluster copies that need neither server nor cluster."""
