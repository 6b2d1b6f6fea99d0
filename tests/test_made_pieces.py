"""Made-up things to train the networks of marks with, and pictures of the benchmark that are asked as frames are."""

from __future__ import annotations

import sys
from fractions import Fraction
from pathlib import Path

import numpy as np

from wanprep.signals.analysis import analyse

sys.path.insert(0, str(Path(__file__).parent / "benchmarks"))  # as its scripts run
from bench_quality import Still
from made_pieces import SIDE, thing
from train_marks import half_of


def test_a_made_up_thing_lies_before_a_transparent_ground() -> None:
    ground = np.random.default_rng(1).integers(0, 255, (288, 512, 3), np.uint8)
    for seed in range(8):
        picture = thing(np.random.default_rng(seed), [ground])
        assert picture.shape == (SIDE, SIDE, 4)
        assert 0.005 < (picture[..., 3] > 127).mean() < 0.9
        assert (picture[0, 0, 3], picture[-1, -1, 3]) == (0, 0)


def test_a_real_file_in_colour_is_in_the_half_of_its_clips() -> None:
    half = half_of(["videos/bikes_640x272_25fps", "videos/frog_handheld_480p_30fps", "photos/new"])
    assert half["videos/bikes_640x272_25fps"] == half["bikes_640x272_25fps.mp4"]
    assert half["videos/frog_handheld_480p_30fps"] == half["frog_handheld_480p_30fps.mp4"]
    assert half["videos/bikes_640x272_25fps"] != half["videos/frog_handheld_480p_30fps"]


def test_a_picture_of_the_benchmark_is_asked_between_its_bars() -> None:
    rng = np.random.default_rng(2)
    pictures = []
    for k in range(50):
        luma = np.full((360, 640), 16, np.uint8)
        luma[50:-50] = rng.integers(40, 220, (26, 64), np.uint8).repeat(10, 0).repeat(10, 1)
        pictures.append(Still(luma, k * 3600, 3600, (20.0, True, 0.5)))
    signals = analyse(pictures, time_base=Fraction(1, 90000), width=640, height=360)
    assert len(signals.thumbs) == 4
