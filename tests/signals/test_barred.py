"""Between black bars the same footage has the same numbers and verdicts; what only looks like bars changes nothing."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from footage import Shown, make_video
from movies import wanprep

from wanprep.media.quantiser import Blocks
from wanprep.signals import barred, framing, quality
from wanprep.signals.analysis import analyse
from wanprep.signals.barred import NONE, Bars, BarWatch
from wanprep.signals.store import Signals
from wanprep.stages.scoring import measure_clip

FPS, N = 25, 60
H, W = 300, 704
# Kinds of bars around a picture of W x H: rows above and below, columns left and right, luma.
KINDS = {
    "1.85": (8, 8, 0, 0, 0),
    "2.35": (48, 48, 0, 0, 0),
    "2.76": (70, 70, 0, 0, 0),
    "tall frame": (320, 320, 0, 0, 0),
    "pillars": (0, 0, 94, 94, 0),
    "both": (40, 40, 90, 90, 0),
    "uneven": (46, 50, 0, 0, 0),
    "very uneven": (30, 66, 0, 0, 0),
    "not quite black": (48, 48, 0, 0, 20),
}


def filmed(shake: float = 0.01, fine: float = 3.0, contrast: float = 45.0) -> Iterator[np.ndarray]:
    """uint8[H, W, 3] frames of a shaken camera (by widths) that pans over noise; a disc moves before it. fine: pixels.
    contrast: levels."""
    noise = np.random.default_rng(1).normal(size=(2 * H, 2 * W)).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), fine)
    scene = np.clip(115 + contrast * noise / noise.std(), 0, 255).astype(np.float32)
    for k in range(N):
        t = k / FPS
        x, y = W * (0.1 * t + shake * math.sin(2 * math.pi * 2.5 * t)), H / 2 + W * shake * math.sin(11 * t)
        picture = cv2.getRectSubPix(scene, (W, H), (W / 2 + 60 + x, H / 2 + y))
        cv2.circle(picture, (80 + 4 * k, 160), 40, 115 + 2 * contrast, -1)
        yield np.repeat(picture.astype(np.uint8)[..., None], 3, 2)


def with_bars(frame: np.ndarray, kind: str, text: bool = False) -> np.ndarray:
    top, bottom, left, right, level = KINDS[kind]
    out = cv2.copyMakeBorder(frame, top, bottom, left, right, cv2.BORDER_CONSTANT, value=(level,) * 3)
    if text:
        for x in range(200, 480, 18):
            out[-30:-16, x : x + 9] = 235
    return out


def signals(pictures: Iterator[np.ndarray]) -> Signals:
    frames = [Shown(k, picture) for k, picture in enumerate(pictures)]
    height, width = frames[0]._picture.shape[:2]
    return analyse(iter(frames), time_base=Fraction(1, FPS), width=width, height=height)


@pytest.fixture(scope="module")
def bare() -> dict[str, object]:
    return measure_clip(signals(filmed()), 0, N)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "very uneven"])
def test_scores_are_those_of_the_picture_between_its_bars(bare, kind):
    found = measure_clip(signals(with_bars(picture, kind) for picture in filmed()), 0, N)
    assert found["camera"] == bare["camera"]
    for name in ("sharpness", "shake", "motion", "luma", "noise", "smear", "camera_speed"):
        assert found[name] == pytest.approx(bare[name], rel=0.15), name
    assert found["subject_motion"] == pytest.approx(bare["subject_motion"], abs=0.03)
    assert found["screen"] == pytest.approx(bare["screen"], abs=0.2)


def soft(kind: str) -> dict[str, float]:
    """Of a picture whose own edges are fainter than those of its bars."""
    shown = filmed(fine=5.0, contrast=10.0)
    return quality.clip_scores(signals(with_bars(p, kind) if kind else p for p in shown), 0, N)


def test_the_camera_clings_to_the_edges_of_bars_that_are_not_left_out(monkeypatch):
    own, between = soft(""), soft("2.35")
    monkeypatch.setattr(BarWatch, "feed", lambda self, luma: NONE)
    clung = soft("2.35")
    assert between["shake"] == pytest.approx(own["shake"], rel=0.15)
    assert not clung["shake"] > 0.5 * own["shake"]  # NaN: nothing was found


@pytest.mark.parametrize(("kind", "text"), [("very uneven", False), ("2.35", True)])
def test_the_camera_does_not_cling_to_bars_nor_to_lettering_on_them(bare, kind, text):
    shown = (with_bars(picture, kind, text and k % 40 > 9) for k, picture in enumerate(filmed()))
    found = quality.clip_scores(signals(shown), 0, N)
    assert found["shake"] == pytest.approx(bare["shake"], rel=0.15)


def small(picture: np.ndarray) -> np.ndarray:
    size = 256, round(256 * picture.shape[0] / picture.shape[1])
    return cv2.resize(picture[..., 0], size, interpolation=cv2.INTER_AREA)


@pytest.mark.parametrize("kind", KINDS)
def test_bars_are_found_to_a_line_from_the_first_picture_on(kind):
    watch = BarWatch()
    shown = with_bars(next(filmed()), kind)
    found = watch.feed(small(shown))
    assert np.array(found) * shown.shape[1] / 256 == pytest.approx(KINDS[kind][:4], abs=shown.shape[1] / 256)


def test_known_bars_stay_in_the_dark_and_go_with_the_next_shot():
    watch = BarWatch()
    first = next(filmed())
    known = watch.feed(small(with_bars(first, "2.35")))
    assert known != NONE
    assert watch.feed(np.zeros((144, 256), np.uint8)) == known
    assert watch.feed(small(with_bars(first // 12, "2.35"))) == known
    assert watch.feed(small(cv2.resize(first, (704, 396)))) == NONE


def night(frame: np.ndarray) -> np.ndarray:
    """A black sky that ends in roofs, and a floor that fades to black."""
    out = cv2.resize(frame, (704, 396)).copy()
    for k in range(16):
        out[: 60 + 37 * k % 50, 44 * k : 44 * (k + 1)] = 3
    out[-90:] = (out[-90:] * np.linspace(1, 0, 90)[:, None, None] ** 2).astype(np.uint8)
    return out


def one_side(frame: np.ndarray) -> np.ndarray:
    out = cv2.resize(frame, (704, 396)).copy()
    out[-60:] = 2
    return out


def vignette(frame: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[-1:1:396j, -1:1:704j]
    return (cv2.resize(frame, (704, 396)) * np.clip(1.2 - np.hypot(x, y), 0, 1)[..., None]).astype(np.uint8)


def lettering(frame: np.ndarray) -> np.ndarray:
    out = np.zeros((396, 704, 3), np.uint8)
    cv2.putText(out, "THE END", (180, 220), cv2.FONT_HERSHEY_DUPLEX, 3, (230,) * 3, 5)
    return out


@pytest.mark.parametrize("looks", [night, one_side, vignette, lettering])
def test_what_only_looks_like_bars_changes_no_number(looks, monkeypatch):
    found = signals(looks(picture) for picture in filmed())
    monkeypatch.setattr(BarWatch, "feed", lambda self, luma: NONE)
    whole = signals(looks(picture) for picture in filmed())
    for name, values in found.frame.items():
        assert np.array_equal(values, whole.frame[name], equal_nan=True), name


def test_a_part_of_another_size_begins_on_the_coders_grid_between_the_bars():
    rows, columns = Bars(40, 40, 0, 0).scaled((144, 256), (1080, 1920), 16)
    assert (rows, columns) == (slice(320, 752), slice(0, 1920))
    assert rows.start >= 40 * 7.5
    assert rows.stop <= 1080 - 40 * 7.5
    assert NONE.scaled((144, 256), (1080, 1920), 16) == (slice(0, 1080), slice(0, 1920))


def test_a_crop_in_small_pictures_leaves_out_lines_with_a_bar_in_them():
    assert framing.of_small((0, 0, 704, 396), 704, 396, (144, 256)) is None
    rows, columns = framing.of_small((0, 48, 704, 300), 704, 396, (144, 256))
    assert 48 * 144 / 396 <= rows.start <= 48 * 144 / 396 + 2
    assert 348 * 144 / 396 - 2 <= rows.stop <= 348 * 144 / 396
    assert columns == slice(0, 256)


def test_pictures_of_which_one_has_bars_are_compared_between_them():
    assert barred.common(NONE, Bars(3, 4, 0, 0)) == barred.common(Bars(3, 4, 0, 0), NONE) == Bars(3, 4, 0, 0)


def test_blocks_of_bars_do_not_say_how_coarsely_the_picture_was_quantised():
    blocks = np.array([(x, y, 16, 16, 8 if 32 <= y < 64 else -20) for y in range(0, 96, 16) for x in range(0, 64, 16)])
    told = Blocks(1, 8, 30.0, blocks)
    assert told.coded((0, 32, 64, 64)).quantiser == 38.0
    assert told.coded().quantiser == pytest.approx(30 + (8 - 40) / 3)
    assert told.coded((0, 0, 1, 1)).quantiser == 30.0  # no block's middle: what is said of the picture


def test_copies_between_bars_get_the_same_verdicts_and_are_repeats(tmp_path: Path) -> None:
    pictures = list(filmed(shake=0.0))
    for name, kind in (("plain", ""), ("letterbox", "2.35"), ("tall", "tall frame")):
        shown = [with_bars(picture, kind) if kind else picture for picture in pictures]
        size = shown[0].shape[1] // 2 * 2, shown[0].shape[0] // 2 * 2
        make_video(
            tmp_path / f"{name}.mp4",
            frames=N,
            rate=FPS,
            size=size,
            picture=lambda k, w, h, shown=shown: shown[k][:h, :w],
        )
    files = [str(tmp_path / f"{name}.mp4") for name in ("plain", "letterbox", "tall")]
    clips = [
        entry["clips"][0]
        for entry in json.loads(wanprep("score", *files, "--set", "filter.motion_blur.enabled=false", "--json").stdout)
    ]
    assert [clip["crop"] for clip in clips] == [[0, 0, W, H], [0, 48, W, H], [0, 320, W, H]]
    repeats = [clip for clip in clips if "duplicate" in clip["reasons"]]
    assert len(repeats) == 2
    own = [[reason for reason in clip["reasons"] if reason != "duplicate"] for clip in clips]
    assert own[0] == own[1] == own[2]
    for name in ("blur", "shake", "static"):
        values = [clip["scores"][name]["value"] for clip in clips]
        assert values == pytest.approx([values[0]] * 3, rel=0.15, abs=0.004), name
