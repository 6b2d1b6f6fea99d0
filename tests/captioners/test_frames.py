"""Which frames are looked at, at which size, and at what times they are shown."""

from pathlib import Path

import numpy as np
import pytest
from footage import numbered, read_number, write_mp4

from wanprep.captioners.base import CaptionRequest, Media, Sampling
from wanprep.captioners.frames import Frames, fitted, look, resized, sample_indices
from wanprep.ids import digest_file
from wanprep.stage import Damaged


@pytest.mark.parametrize(
    ("total", "rate", "fps", "limit", "wanted"),
    [
        (80, 16, 2.0, 16, (4, 12, 20, 28, 36, 44, 52, 60, 68, 76)),  # 5 s: 10 frames, in the middles of tenths
        (1, 16, 2.0, 16, (0,)),  # a still
        (2, 16, 2.0, 16, (0, 1)),  # never one of a clip
        (5, 16, 2.0, 16, (1, 3)),
        (160, 16, 2.0, 4, (20, 60, 100, 140)),  # the limit spreads
        (48, 16, 1.0, 16, (12, 36)),  # 3 would be odd
        (80, 16, 2.0, 1, (40,)),
    ],
)
def test_frames_are_the_middles_of_equal_parts(total, rate, fps, limit, wanted):
    assert sample_indices(total, rate, fps, limit) == wanted


def test_frames_are_in_order_inside_the_clip_and_all_different():
    for total in range(1, 130):
        for fps, limit in ((0.3, 16), (2.0, 16), (30.0, 7), (100.0, 200)):
            found = sample_indices(total, 16, fps, limit)
            assert list(found) == sorted(set(found))
            assert 0 <= found[0] <= found[-1] < total
            assert len(found) <= limit
            assert len(found) % 2 == 0 or len(found) == 1
    with pytest.raises(ValueError, match="1 frame or more"):
        sample_indices(0, 16, 2.0, 16)


def test_sizes_fit_the_pixels_and_the_multiple_and_keep_the_shape():
    assert fitted(1280, 720, 200_704, 28) == (588, 336)
    assert fitted(640, 360, 10**9) == (640, 360)
    assert fitted(20, 20, 10**9, 28) == (28, 28)
    for width, height in ((1920, 800), (800, 1920), (512, 512), (3000, 64)):
        for multiple in (1, 28, 32):
            wide, high = fitted(width, height, 200_704, multiple)
            assert wide * high <= 200_704
            assert wide % multiple == high % multiple == 0
            assert wide / high == pytest.approx(width / height, rel=0.15) or min(wide, high) == multiple


def test_resizing_keeps_the_picture():
    frames = np.stack([numbered(5, 128, 64)])
    assert read_number(resized(frames, 96, 48)[0]) == 5
    assert resized(frames, 128, 64) is frames


def request(path: Path | None, kind="mp4", frames=40):
    media = None
    if path:
        media = Media(path=path, digest=digest_file(path), kind=kind, rate=16, frames=frames)
    span = {"start_s": 0.0, "end_s": 2.5}
    return CaptionRequest(clip_id="c1", source_path=Path("m.mp4"), source_rel="m.mp4", group="m", media=media, **span)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):

    path = tmp_path_factory.mktemp("clip") / "c1.mp4"
    write_mp4(path, (numbered(n, 192, 96) for n in range(40)), width=192, height=96, rate=16)
    return path


def test_the_frames_looked_at_are_those_and_their_times_are_true(clip):
    seen = look(request(clip), Frames(fps=2.0, max_frames=6), 28)
    assert [read_number(frame) for frame in seen.frames] == list(seen.indices) == [5, 15, 25, 35][: len(seen.indices)]
    assert seen.frames.shape == (4, 84, 196, 3)
    assert seen.seconds == tuple(index / 16 for index in seen.indices)
    middle = look(request(clip), Frames(), middle=True)
    assert (middle.still, middle.indices, read_number(middle.frames[0])) == (True, (20,), 20)


def test_what_is_not_the_clip_that_was_written_is_not_looked_at(clip, tmp_path):
    with pytest.raises(RuntimeError, match="wanprep bucket"):
        look(request(None), Frames())
    asked = request(clip)
    other = tmp_path / "c1.mp4"
    other.write_bytes(clip.read_bytes()[:-100])
    with pytest.raises(Damaged, match="digest"):
        look(CaptionRequest(**{**vars(asked), "media": Media(**{**vars(asked.media), "path": other})}), Frames())
    with pytest.raises(Damaged, match="holds"):
        look(request(clip, frames=90), Frames())
    with pytest.raises(ValueError, match="not a clip"):
        Media(path=clip, digest="", kind="gif", rate=16, frames=1)


@pytest.mark.parametrize("values", [{"fps": 0}, {"max_frames": 0}, {"max_pixels": 10}])
def test_settings_are_checked(values):
    with pytest.raises(ValueError, match=next(iter(values))):
        Frames(**values)


def test_another_attempt_draws_other_words_and_is_never_greedy():
    first = Sampling(seed=3)
    assert first.attempt(0) is first
    assert (first.attempt(2).seed, first.attempt(2).temperature) == (5, 0.7)
    assert Sampling(temperature=1.2).attempt(1).temperature == 1.2
    for values in ({"max_new_tokens": 0}, {"temperature": -1}, {"top_p": 0}):
        with pytest.raises(ValueError, match=next(iter(values))):
            Sampling(**values)
