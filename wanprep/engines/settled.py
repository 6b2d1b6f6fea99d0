"""Loaded last by the server that workers come from: all that it holds lives as long as it does, so that no worker's
collector need look it over, which would make a copy of every page for each of them."""

import gc

gc.freeze()
