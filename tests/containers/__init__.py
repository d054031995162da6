"""Tests of the image, the daemon in its container, and the Compose file."""
