"""Captioners: one backend a file, one line in `registry.py`."""
