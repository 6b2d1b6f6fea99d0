"""The frame truth: what was planned from true timestamps is what lies in the mp4, frame by frame."""

from fractions import Fraction

import numpy as np
import pytest
from footage import write_mp4

from wanprep.media.probe import probe
from wanprep.media.read import open_video
from wanprep.media.write import psnr
from wanprep.stages.fps import duplicated, frame_plan

RATES = {
    "23.976": Fraction(24000, 1001),
    "24": Fraction(24),
    "25": Fraction(25),
    "29.97": Fraction(30000, 1001),
    "50": Fraction(50),
    "59.94": Fraction(60000, 1001),
    "60": Fraction(60),
    "12.5": Fraction(25, 2),
}


def _plan_and_write(path, out, start=None, end=None):
    found = probe(path)
    with open_video(path, found) as reader:
        frames = list(reader.frames())
        pts = np.array([f.pts for f in frames])
        start = frames[0].pts if start is None else start
        end = frames[-1].pts + frames[-1].duration if end is None else end
        plan = frame_plan(pts, start, end, found.time_base, 16)
        planned = [frames[i].rgb(found.width, found.height) for i in plan]
    written = write_mp4(out, planned, width=found.width, height=found.height, rate=16)
    return found, pts, plan, planned, written


def _check(out, plan, planned, written, footage):
    made = probe(out)
    assert made.pix_fmt == "yuv444p10le"
    assert (made.matrix, made.colour_range, made.transfer) == ("bt709", "limited", "bt709")
    with open_video(out, made) as reader:
        shown = [(f.pts * made.time_base, f.rgb(made.width, made.height)) for f in reader.frames()]
    assert [t for t, _ in shown] == [Fraction(k, 16) for k in range(len(plan))]
    assert [footage.read_number(rgb) for _, rgb in shown] == plan.tolist()
    worst = min(psnr(rgb, wanted) for (_, rgb), wanted in zip(shown, planned, strict=True))
    assert worst >= 45
    assert written.psnr_min == pytest.approx(worst)
    assert written.frames == len(plan)


@pytest.mark.parametrize("name", RATES)
def test_every_frame_of_the_mp4_is_the_planned_source_frame(name, tmp_path, footage):
    rate = RATES[name]
    seconds = 2
    count = round(seconds * rate)
    path = footage.make_video(tmp_path / "a.mp4", frames=count, rate=rate)
    _found, pts, plan, planned, written = _plan_and_write(path, tmp_path / "out.mp4")
    assert len(pts) == count
    assert len(plan) == -(-count * 16 * rate.denominator // rate.numerator)  # ceil(count/rate*16)
    assert duplicated(plan) == (0 if rate >= 16 else pytest.approx(len(plan) * (1 - float(rate) / 16), abs=1))
    _check(tmp_path / "out.mp4", plan, planned, written, footage)


def test_vfr_source_keeps_its_timing(tmp_path, footage):
    generator = np.random.default_rng(7)
    steps = generator.choice([33, 34, 66, 67, 100, 250], 40)
    pts = np.concatenate([[0], np.cumsum(steps)])
    path = footage.make_video(tmp_path / "vfr.mkv", pts=pts.tolist(), time_base=Fraction(1, 1000), rate=30)
    _, read, plan, planned, written = _plan_and_write(path, tmp_path / "out.mp4", end=int(pts[-1]) + 33)
    assert (read == pts).all()
    # Negative control: taking every n-th frame, or counting frames by a rate, gives another plan.
    assert plan.tolist() != np.linspace(0, len(pts) - 1, len(plan)).round().astype(int).tolist()
    _check(tmp_path / "out.mp4", plan, planned, written, footage)


def test_a_span_in_the_middle(tmp_path, footage):
    path = footage.make_video(tmp_path / "a.mp4", frames=96, rate=Fraction(24000, 1001))
    found = probe(path)
    with open_video(path, found) as reader:
        everything = [f.pts for f in reader.frames()]
        start, end = everything[41], everything[77]
        span = list(reader.frames(start, end))
        assert [f.pts for f in span] == everything[41:77]
        assert [footage.read_number(f.rgb(192, 108)) for f in span] == list(range(41, 77))
        plan = frame_plan(np.array([f.pts for f in span]), start, end, found.time_base, 16)
    assert len(plan) == 25  # ceil(36 frames / 23.976 * 16)
    assert plan[0] == 0
