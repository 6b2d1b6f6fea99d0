"""wanprep: turn a folder of movies into a training set for Wan video models."""

__version__ = "0.1.0"
