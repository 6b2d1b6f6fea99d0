"""Pictures that were held are found whatever their coding made of them; what lives, or is drawn on twos, is not."""

import io
import math

import av
import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wanprep.signals.frozen import LEAST_S, frozen_share
from wanprep.signals.quality import FIELDS, QualityMeter, repeats

FPS = 24
SIZE = (256, 144)


def living(n: int) -> np.ndarray:
    """uint8[n, 144, 256]: a textured picture that goes by, with a camera's noise."""
    rng = np.random.default_rng(1)
    wide = cv2.resize(rng.uniform(40, 210, (18, 60)).astype(np.float32), (600, SIZE[1]), interpolation=cv2.INTER_CUBIC)
    out = [wide[:, 2 * k : 2 * k + SIZE[0]] + rng.normal(0, 6, SIZE[::-1]) for k in range(n)]
    return np.clip(out, 0, 255).astype(np.uint8)


def held(n: int, first: int, end: int) -> np.ndarray:
    """Living, but that frames first..end-1 show what `first` does."""
    frames = living(n)
    frames[first:end] = frames[first]
    return frames


def coded(frames: np.ndarray, codec: str, **options: str) -> np.ndarray:
    """What a decoder makes of them."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as output:
        stream = output.add_stream(codec, rate=FPS, options=options)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(np.stack([frame] * 3, axis=-1), format="rgb24")
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    file.seek(0)
    with av.open(file) as opened:
        return np.stack([f.to_ndarray(format="gray") for f in opened.decode(video=0)])


def measured(frames: np.ndarray, seconds: np.ndarray | None = None) -> tuple[float, np.ndarray]:
    """Share that is frozen, and which frames repeat the one before."""
    seconds = np.arange(len(frames)) / FPS if seconds is None else seconds
    meter = QualityMeter(*SIZE)
    rows = [meter.feed(float(s), frame) for s, frame in zip(seconds, frames, strict=True)]
    numbers = {name: np.array([row[name] for row in rows]) for name in FIELDS}
    equal = np.concatenate([[False], repeats(numbers["frame_diff"][1:])])
    return frozen_share(seconds, equal, numbers["change"], numbers["change_s"]), equal


CODINGS = {
    "mpeg2video": {"flags": "+qscale", "global_quality": "590", "g": "12"},  # q 5
    "mpeg4": {"flags": "+qscale", "global_quality": "708", "g": "12"},
    "libx264": {"crf": "30", "g": "24", "preset": "veryfast"},
}


@pytest.mark.parametrize("codec", CODINGS)
def test_a_held_picture_is_found_whatever_the_coding(codec):
    found, equal = measured(coded(held(72, 20, 64), codec, **CODINGS[codec]))
    assert 0.48 < found <= 44 / 72  # the first copies are still being coded more finely
    if codec == "mpeg2video":  # runs of equal frames alone break up at each key frame
        longest = max(len(run) for run in "".join("x" if e else " " for e in equal).split())
        assert longest < 20
    assert measured(coded(living(72), codec, **CODINGS[codec]))[0] == 0


def test_a_still_scene_before_a_living_camera_is_not_frozen_and_a_still_of_it_is():
    noise = np.random.default_rng(3).normal(0, 6, (48, *SIZE[::-1]))
    scene = np.clip(living(1) + noise, 0, 255).astype(np.uint8)
    assert measured(scene)[0] == 0
    assert measured(np.repeat(scene[:1], 48, axis=0))[0] == 1


def test_drawings_on_twos_and_short_poses_are_not_frozen():
    assert measured(np.repeat(living(36), 2, axis=0))[0] == 0
    short, long = (round(FPS * LEAST_S) + more for more in (-3, 3))
    assert measured(held(72, 20, 20 + short))[0] == 0
    assert measured(held(72, 20, 20 + long))[0] == pytest.approx(long / 72, abs=0.03)


@pytest.mark.parametrize("rate", [12.5, 24, 29.97, 60])
def test_a_hold_lasts_until_the_next_picture_is_shown(rate):
    """Of such a stretch the last frame is shown too; counted to its beginning, it would be a frame short."""
    count = math.ceil(rate * LEAST_S - 1e-9)
    n = round(rate * 2)
    frames = np.concatenate(
        [living(n)[: n // 2], np.repeat(living(n)[n // 2 : n // 2 + 1], count, axis=0), living(n)[-9:]]
    )
    seconds = np.round(np.arange(len(frames)) / rate, 3)  # as Matroska and WebM store them
    assert measured(frames, seconds)[0] == pytest.approx(count / len(frames), abs=0.01)
    one_less = np.delete(np.arange(len(frames)), n // 2 + 1)
    assert measured(frames[one_less], seconds[:-1])[0] == 0


def test_a_clip_that_stops_and_goes_is_frozen():
    frames = living(96)
    for first in range(0, 96, 29):  # 24 of 29 frames
        frames[first : first + 24] = frames[first]
    assert measured(frames)[0] > 0.7


def test_a_frame_that_is_shown_for_long_is_held():
    seconds = np.arange(48) / FPS
    seconds[24:] += 2.0
    assert measured(living(48), seconds)[0] == pytest.approx((2 + 1 / FPS) / (seconds[-1] + 1 / FPS), abs=0.01)


def test_one_frame_says_nothing():
    one = np.zeros(1)
    assert math.isnan(frozen_share(one, one.astype(bool), one, one))


@given(st.data())
def test_it_is_a_share_and_more_repeats_never_make_it_less(data):
    n = data.draw(st.integers(2, 40))
    draw = lambda least, most: np.array(data.draw(st.lists(st.floats(least, most), min_size=n, max_size=n)))  # noqa: E731
    seconds = np.cumsum(draw(0.01, 0.8))
    change = np.where(draw(0, 1) < 0.5, 0.0, draw(0, 0.01))
    change[draw(0, 1) < 0.3] = np.nan
    some, more = draw(0, 1) < 0.5, draw(0, 1) < 0.5
    back = draw(0.25, 1.0)
    found = frozen_share(seconds, some, change, back)
    assert 0 <= found <= 1 + 1e-9
    assert found <= frozen_share(seconds, some | more, change, back) + 1e-9
