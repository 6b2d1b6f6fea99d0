"""Blocks of codecs and noise, on made-up pictures and on real encoders."""

import math

import cv2
import numpy as np
import pytest

from wanprep.signals import coarse, hidden
from wanprep.signals.compression import LEVEL, UNSMOOTHED, blockiness, noise_sigma, quantiser, traces


def picture(seed: int = 0, height: int = 360, width: int = 640) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = rng.uniform(30, 220, (height // 12, width // 12)).astype(np.float32)
    image = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(image + rng.normal(0, 1.5, image.shape), 0, 255).astype(np.uint8)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)


def encoded(image: np.ndarray, *options: str) -> np.ndarray:
    """The last of eight equal frames after an encoder."""
    import subprocess

    import imageio_ffmpeg

    height, width = image.shape
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error"]
    size = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{width}x{height}", "-r", "24"]
    made = [*program, *size, "-i", "-", "-pix_fmt", "yuv420p", *options, "-f", "matroska", "-"]
    coded = subprocess.run(made, input=image.tobytes() * 8, capture_output=True, check=True).stdout
    back = [*program, "-i", "-", "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    raw = subprocess.run(back, input=coded, capture_output=True, check=True).stdout
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width)[-1]


def test_clean_pictures_have_no_grid():
    assert max(blockiness(picture(seed)) for seed in range(6)) < 0.03


@pytest.mark.parametrize(
    "options",
    [("-c:v", "libx264", "-crf", "46"), ("-c:v", "mpeg4", "-q:v", "28")],
    ids=["x264", "mpeg4"],
)
def test_low_bitrates_leave_one(options):
    for seed in range(3):
        assert blockiness(encoded(picture(seed), *options)) > 0.04


def test_the_lower_the_quality_the_more():
    found = [blockiness(jpeg(picture(), quality)) for quality in (95, 50, 20, 8)]
    assert found == sorted(found)
    assert found[-1] > 0.04


def test_where_the_grid_begins_does_not_matter():
    coded = jpeg(picture(), 10)
    shifted = np.ascontiguousarray(coded[5:, 3:])
    assert blockiness(shifted) == pytest.approx(blockiness(coded), rel=0.15)


def test_a_scaled_picture_has_lost_its_grid():
    """Written down because it is what this number cannot do."""
    coded = jpeg(picture(), 10)
    assert blockiness(cv2.resize(coded, (500, 282), interpolation=cv2.INTER_AREA)) < 0.035


def test_flat_areas_with_some_writing_are_not_blocks():
    card = np.full((360, 640), 245, np.uint8)
    cv2.putText(card, "COMING SOON", (120, 190), cv2.FONT_HERSHEY_SIMPLEX, 2, 30, 3, cv2.LINE_AA)
    assert not blockiness(card) > 0.035


def test_a_grid_that_nobody_can_see_counts_for_little():
    """Steps of one level at every eighth line of a white page, as codecs leave them."""
    page = np.full((360, 640), 254, np.uint8)
    page[4::8, ::6] -= 1
    page[::6, 4::8] -= 1
    assert blockiness(page) < 0.03
    assert blockiness(np.where(page == 253, 246, page).astype(np.uint8)) > 0.06


def test_a_picture_enlarged_by_three_halves_has_no_blocks():
    """Its lines alternate between sharp and soft, which goes into 16 as well as blocks do."""
    small = picture(5, 240, 432)
    for how in (cv2.INTER_LINEAR, cv2.INTER_CUBIC):
        assert blockiness(cv2.resize(small, (648, 360), interpolation=how)) < 0.03
    for width, height in ((640, 360), (1280, 720)):
        large = picture(6, height * 3 // 2, width * 3 // 2)
        assert blockiness(cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA)) < 0.035


def test_pixels_enlarged_to_squares_are_no_blocks():
    small = picture(5, 90, 160)
    large = cv2.resize(small, (640, 360), interpolation=cv2.INTER_NEAREST)
    assert math.isnan(blockiness(encoded(large, "-c:v", "libx264", "-crf", "18")))
    assert blockiness(encoded(picture(5), "-c:v", "mpeg4", "-q:v", "24")) > 0.04  # blocks of 8 x 8 still are


def test_blocks_are_not_looked_for_where_they_always_show():
    assert math.isnan(traces(jpeg(picture(), 20), smoothed=False)["blockiness"])


def test_blocks_are_not_looked_for_in_what_is_drawn_to_the_grid(monkeypatch):
    coarse = encoded(picture(5), "-c:v", "mpeg4", "-q:v", "24")
    assert traces(coarse, noise=False)["blockiness"] > 0.04
    monkeypatch.setattr(hidden, "look", lambda luma: hidden.Look(math.nan, True))
    assert math.isnan(traces(coarse, noise=False)["blockiness"])


def test_what_a_finer_coding_hides_is_looked_for_where_the_last_one_can_be_told(monkeypatch):
    asked = []
    monkeypatch.setattr(coarse, "odds", lambda rows: asked.append(dict(zip(coarse.NAMES, rows[0]))) or np.zeros(1))
    said = coarse.AT - coarse.STEEP * coarse.LIMIT
    for leaves in (0.0, 2.0):
        assert traces(picture(), said=17.0, leaves=leaves, noise=False)["hidden"] == pytest.approx(said)
    assert [(it["said"], it["hevc"]) for it in asked] == [(17.0, 0.0), (17.0, 1.0)]
    assert asked[0]["uneven"] == pytest.approx(math.log(blockiness(picture())))
    assert math.isnan(traces(picture(), noise=False)["hidden"])
    bare = traces(picture(), smoothed=False, said=17.0, leaves=0.0, noise=False)  # must say more
    assert bare["hidden"] == pytest.approx(said - UNSMOOTHED)
    assert math.isnan(bare["blockiness"])
    assert asked[2] == pytest.approx(asked[0], nan_ok=True)
    monkeypatch.setattr(hidden, "look", lambda luma: hidden.Look(math.nan, True))
    assert math.isnan(traces(picture(), leaves=0.0, noise=False)["hidden"])
    assert len(asked) == 3


def test_the_worse_of_looks_and_stream_counts():
    assert quantiser(LEVEL, math.nan, 20.0) == pytest.approx(37.0)  # encoded anew, finely, after it was damaged
    assert quantiser(0.01, 41.0, 20.0) == 41.0  # the same, when no blocks show
    assert quantiser(2 * LEVEL, 25.0, 20.0) == 25.0  # what looks at all traces knows of blocks
    assert quantiser(0.01, 25.0, 44.0) == 44.0  # damage that left no grid
    grids = [quantiser(blockiness, math.nan, math.nan) for blockiness in (0.01, 0.03, 0.12)]
    assert grids == sorted(set(grids))
    assert quantiser(math.nan, math.nan, 25.0) == 25.0
    assert quantiser(0.0, -3.0, math.nan) == 0.0
    assert quantiser(9.0, 70.0, math.nan) == 51.0
    assert math.isnan(quantiser(math.nan, math.nan, math.nan))


@pytest.mark.parametrize("sigma", [1.0, 3.0, 6.0, 10.0])
def test_noise_is_found_as_it_was_added(sigma):
    rng = np.random.default_rng(1)
    image = cv2.GaussianBlur(picture().astype(np.float32), (0, 0), 4)
    image = np.clip(image + rng.normal(0, sigma, image.shape), 0, 255).astype(np.uint8)
    assert noise_sigma(image) == pytest.approx(sigma, rel=0.15, abs=0.15)


def test_texture_is_not_noise():
    edges = np.zeros((360, 640), np.uint8) + 60
    for x in range(0, 640, 16):
        edges[:, x : x + 8] = 180
    assert noise_sigma(edges) < 1.5


def test_what_cannot_be_known_is_nan():
    assert math.isnan(noise_sigma(np.zeros((360, 640), np.uint8)))
    assert math.isnan(blockiness(np.zeros((20, 20), np.uint8)))
    assert traces(np.zeros((12, 9), np.uint8)).keys() == {"blockiness", "hidden", "noise"}
