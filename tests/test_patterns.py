"""Patterns that are compiled when they are first used."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from wanprep.patterns import later


def test_a_later_pattern_is_the_compiled_one():
    found = later(r"(?P<a>x+)|y", re.IGNORECASE)
    assert found.sub("-", "aXXby") == "a-b-"
    assert found.match("xx")["a"] == "xx"
    assert found.pattern == r"(?P<a>x+)|y"
    assert [m.group() for m in found.finditer("XyX")] == ["X", "y", "X"]


def test_a_wrong_pattern_fails_when_it_is_used():
    wrong = later("(")
    with pytest.raises(re.error):
        wrong.search("")


def test_deciding_loads_nothing_that_measuring_needs():
    """What is loaded to decide anew, which takes less than a second in all."""
    needs = "wanprep.cli, wanprep.report, wanprep.run, wanprep.decide, wanprep.dataset"
    say = "print(*(name for name in sys.modules if name in sys.argv))"
    code = f"import sys, {needs}; {say}"
    slow = ["av", "cv2", "torch", "ssl", "http.client", "multiprocessing", "tarfile", "rich.console", "scenedetect"]
    ours = ["wanprep.signals.shots", "wanprep.stages.scoring", "wanprep.captioners.http", "wanprep.stats_model"]
    asked = [sys.executable, "-c", code, *slow, *ours, "polars"]
    done = subprocess.run(asked, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["polars"]
