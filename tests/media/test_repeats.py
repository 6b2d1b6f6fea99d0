"""Repeated pictures are known: how many of a source's frames, and how many of a plan's slots, show nothing new."""

from fractions import Fraction

import numpy as np
import pytest

from wanprep.media.probe import probe
from wanprep.media.read import open_video
from wanprep.signals.analysis import analyse
from wanprep.signals.quality import clip_scores
from wanprep.stages.fps import duplicated, frame_plan

# name -> (rate, which picture frame k shows, share of frames equal to the one before)
SOURCES = {
    "every picture new": (Fraction(24), lambda k: k, 0),
    "animation on twos": (Fraction(24), lambda k: k // 2, 1 / 2),
    "animation on threes": (Fraction(24), lambda k: k // 3, 2 / 3),
    "film at 29.97 with every fourth picture repeated": (Fraction(30000, 1001), lambda k: k * 4 // 5, 1 / 5),
    "film at 59.94 with 3:2 repeats": (Fraction(60000, 1001), lambda k: k * 2 // 5, 3 / 5),
}


@pytest.mark.parametrize("crf", ["4", "23"])
@pytest.mark.parametrize("name", SOURCES)
def test_repeated_source_pictures_are_in_the_scores(name, crf, tmp_path, footage):
    rate, shown, share = SOURCES[name]
    count = round(rate * 3)

    def picture(number, width, height):
        return footage.numbered(shown(number), width, height)

    options = {"crf": crf, "preset": "veryfast", "g": "48"}
    path = footage.make_video(tmp_path / "a.mp4", frames=count, rate=rate, picture=picture, options=options)
    found = probe(path)
    with open_video(path, found) as reader:
        signals = analyse(reader.frames(), time_base=found.time_base, width=found.width, height=found.height)
    distinct = len({shown(k) for k in range(count)})
    true = (count - distinct) / (count - 1)
    assert true == pytest.approx(share, abs=0.02)
    # Compression makes some repeats look new (a keyframe among them), never the other way round.
    assert true - (0.06 if crf == "23" else 0.02) <= clip_scores(signals, 0, count)["duplicate_rate"] <= true + 1e-6


@pytest.mark.parametrize(("rate", "repeats"), [(Fraction(10), 12), (Fraction(25, 2), 7), (Fraction(24), 0)])
def test_slots_of_a_slow_source_that_repeat_a_frame_are_counted(rate, repeats):
    count = int(rate * 2)
    base = 1 / rate
    plan = frame_plan(np.arange(count), 0, count, base, 16)
    assert len(plan) == -(-count * base * 16 // 1)
    assert duplicated(plan) == len(plan) - len(set(plan.tolist())) == repeats
