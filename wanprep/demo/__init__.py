"""A small movie made by code, with its truth written down: what `make demo` runs on."""
