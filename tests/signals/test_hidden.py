"""What coarse coding leaves under a finer one, on made-up pictures and a real encoder."""

from __future__ import annotations

import math
import subprocess

import cv2
import imageio_ffmpeg
import numpy as np
import pytest

from wanprep.media.probe import probe
from wanprep.media.read import open_video
from wanprep.signals import hidden
from wanprep.signals.quality import throughout

SIZE = (360, 640)
FINE = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "18")


def frames(seed: int = 0, count: int = 10) -> np.ndarray:
    """uint8[count, 360, 640]: texture at several scales under a slow pan, with a little noise."""
    rng = np.random.default_rng(seed)
    height, width = SIZE
    scene = np.full((height, width + 80), 120.0, np.float32)
    for cells, gain in ((5, 30.0), (13, 22.0), (37, 15.0), (101, 9.0)):
        grid = rng.normal(0, gain, (cells, 2 * cells)).astype(np.float32)
        scene += cv2.resize(grid, (width + 80, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(12):
        x, y, r = int(rng.integers(width)), int(rng.integers(height)), int(rng.integers(10, 60))
        cv2.circle(scene, (x, y), r, float(rng.uniform(20, 230)), -1, cv2.LINE_AA)
    views = np.stack([scene[:, k : k + width] for k in range(count)])
    return np.clip(views + rng.normal(0, 1.5, views.shape), 0, 255).astype(np.uint8)


def recoded(views: np.ndarray, *options: str) -> np.ndarray:
    """The frames through an encoder and back."""
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-threads", "1"]
    raw = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{views.shape[2]}x{views.shape[1]}"]
    made = [*program, *raw, "-r", "24", "-i", "-", "-pix_fmt", "yuv420p", *options, "-f", "matroska", "-"]
    coded = subprocess.run(made, input=views.tobytes(), capture_output=True, check=True).stdout
    back = [*program, "-i", "-", "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    found = subprocess.run(back, input=coded, capture_output=True, check=True).stdout
    return np.frombuffer(found, np.uint8).reshape(-1, *views.shape[1:])


def looked(views: np.ndarray) -> float:
    return throughout(np.array([hidden.look(np.ascontiguousarray(view)).quantiser for view in views[1::2]]))


def coarsely(crf: int) -> tuple[str, ...]:
    return *FINE[:-1], str(crf)


@pytest.mark.parametrize("seed", [0, 1])
def test_a_fine_coding_does_not_hide_a_coarse_one(seed):
    views = frames(seed)
    assert looked(recoded(recoded(views, *coarsely(44)), *FINE)) > 38
    assert looked(recoded(views, *FINE)) < 34
    assert looked(views) < 35


def test_the_coarser_the_more():
    views = frames(2)
    found = [looked(recoded(recoded(views, *coarsely(crf)), *FINE)) for crf in (20, 38, 44)]
    assert found == sorted(found)
    assert found[0] < 34


@pytest.mark.parametrize("times", [1.5, 2, 3, 4])
def test_enlarged_pictures_are_not_coarse(times):
    """Their lines repeat by 2, 3 or 4, all of which but one goes into the grid. It is asked of what was coded."""
    small = np.ascontiguousarray(frames(3)[:, : round(360 / times), : round(640 / times)])
    large = np.stack([cv2.resize(view, (640, 360), interpolation=cv2.INTER_CUBIC) for view in small])
    assert looked(recoded(large, *FINE)) < 37


def test_neither_noise_nor_motion_blur_is_coarse():
    views = frames(4)
    noise = np.random.default_rng(0).normal(0, 6, views.shape)
    assert looked(np.clip(views + noise, 0, 255).astype(np.uint8)) < 37
    assert looked(np.stack([cv2.blur(view, (9, 1)) for view in views])) < 37


def test_bars_at_every_block_count_for_little_in_one_direction():
    """Windows or a fence: a coder leaves traces across and down."""
    fence = frames(5)[0].astype(np.float32)
    fence[:, 15::16] *= np.random.default_rng(0).choice([0.7, 1.3], 40)
    assert hidden.look(fence.clip(0, 255).astype(np.uint8)).quantiser < 37


@pytest.mark.parametrize("seed", [1, 9])
def test_black_bars_that_end_at_a_block_are_no_traces(monkeypatch, seed):
    """Those of 4:3 in 16:9 do: 80 of 640 pixels, 160 of 1280, 240 of 1920."""
    views = np.maximum(frames(seed), 80)
    views[:, :, :80] = views[:, :, -80:] = 16
    fine, coarse = recoded(views, *FINE), recoded(recoded(views, *coarsely(44)), *FINE)
    assert looked(fine) < 30
    assert looked(coarse) > 37
    counted = looked(fine)
    monkeypatch.setattr(hidden, "OWN", 255)
    assert looked(fine) > counted + 2  # it is the steps of the bars that would count


def test_what_lies_unlike_on_both_sides_of_block_edges_is_believed_less():
    alike, lopsided = (hidden.together(8.0, 6.0, 0.05, by) for by in (0.05, 0.25))
    assert alike == pytest.approx(0.25 * 6.0 + 0.75 * 6.0)
    assert lopsided == pytest.approx(alike - 2.0)
    row, column = np.indices(SIZE)
    tiles = np.where((column % 16 > 2) & (row % 16 > 3), frames(7), frames(7) // 2)
    coded = recoded(tiles.astype(np.uint8), *FINE)[2]
    assert hidden.look(coded).drawn
    assert math.isnan(hidden.look(coded).quantiser)
    coarse = recoded(recoded(frames(1), *coarsely(44)), *FINE)
    assert not any(hidden.look(np.ascontiguousarray(view)).drawn for view in coarse)


@pytest.mark.parametrize("pitch", [8, 16])
def test_nothing_is_said_of_checks_and_bricks_drawn_to_the_grid(pitch):
    views = frames(7)
    row, column = np.indices(SIZE) // pitch
    checks = np.where((row + column) % 2, views, views // 3).astype(np.uint8)
    y, x = np.indices(SIZE)
    joints = (y % pitch < 2) | ((x + row % 2 * pitch) % (2 * pitch) < 2)
    bricks = np.where(joints, 200, views // 2 + 30).astype(np.uint8)
    for drawn in (checks, bricks):
        assert not looked(recoded(drawn, *FINE)) > 37


@pytest.mark.parametrize("resized", [cv2.INTER_NEAREST, cv2.INTER_CUBIC])
def test_sharp_pictures_enlarged_by_two_are_not_coarse(resized):
    rng = np.random.default_rng(8)
    small = np.clip(frames(8)[:, :180, :320] + rng.normal(0, 12, (10, 180, 320)), 0, 255).astype(np.uint8)
    large = np.stack([cv2.resize(view, (640, 360), interpolation=resized) for view in small])
    assert not looked(recoded(large, *FINE)) > 37


@pytest.mark.parametrize("corner", [(12, 2), (6, 10)])
def test_a_grid_is_found_where_it_was_cropped_after_a_coarse_coding(monkeypatch, corner):
    views, (top, left) = frames(0), corner
    cropped = recoded(views, *coarsely(46))[:, top : top - 16, left : left - 16]
    coarse = recoded(np.ascontiguousarray(cropped), *FINE)
    assert looked(coarse) > 38
    assert not looked(recoded(np.ascontiguousarray(views[:, top : top - 16, left : left - 16]), *FINE)) > 34
    monkeypatch.setattr(hidden, "MOVED", math.inf)
    assert not looked(coarse) > 34  # seen from the corner it is lopsided, or nothing


def test_nothing_is_said_of_flat_and_of_tiny_pictures():
    assert math.isnan(hidden.look(np.full(SIZE, 90, np.uint8)).quantiser)
    for height, width in ((3, 200), (200, 3), (20, 20)):
        noise = np.random.default_rng(0).integers(0, 255, (height, width))
        assert math.isnan(hidden.look(noise.astype(np.uint8)).quantiser)


def test_lines_beyond_the_most_are_left_out_evenly():
    wide = cv2.resize(frames(6)[0], (1920, 1080), interpolation=cv2.INTER_CUBIC)
    there = hidden._counts(wide)[0]
    assert there.sum() < 1920 * hidden.MOST_LINES / hidden.BAND


@pytest.mark.parametrize(("codec", "known"), [("libx264", True), ("libx265", True), ("libvpx-vp9", False)])
def test_it_is_asked_of_streams_that_leave_few_traces_themselves(tmp_path, codec, known):
    path = tmp_path / "x.mkv"
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "gray"]
    size = ["-s", "640x360", "-r", "24", "-i", "-", "-pix_fmt", "yuv420p", "-c:v", codec, "-crf", "20"]
    calm = ["-x265-params", "log-level=none"] if codec == "libx265" else []
    subprocess.run([*program, *size, *calm, str(path)], input=frames(count=4).tobytes(), check=True)
    with open_video(path, probe(path)) as video:
        assert math.isfinite(next(video.frames()).coded().leaves) is known
