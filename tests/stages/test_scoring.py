"""What is scored is the part of the picture that the clip shows, whatever lies outside of its crop."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from footage import Shown, make_video
from movies import wanprep

from wanprep.signals import barred, content, framing, quality
from wanprep.signals.analysis import analyse
from wanprep.signals.barred import NONE, Bars
from wanprep.signals.store import Signals
from wanprep.stages.filter import FilterConfig
from wanprep.stages.judge import decide
from wanprep.stages.scoring import measure_clip

FPS, N = 25, 60
H, W = 288, 512
Paint = Callable[[np.ndarray, int], None]
LETTERBOX, PILLARS = (48, 48, 0, 0), (0, 0, 88, 88)


def panned(frame: int, seed: int = 1) -> np.ndarray:
    """uint8[H, W, 3]: the view of a camera that pans over soft shapes."""
    rng = np.random.default_rng(seed)
    wide = cv2.resize(rng.uniform(30, 220, (12, 40, 3)).astype(np.float32), (2 * W, H), interpolation=cv2.INTER_CUBIC)
    wide += cv2.resize(rng.normal(0, 10, (72, 256, 1)).astype(np.float32), (2 * W, H))[..., None]
    return np.clip(wide[:, 3 * frame : 3 * frame + W], 0, 255).astype(np.uint8)


def flat(frame: int) -> np.ndarray:
    return np.full((H, W, 3), 40 + frame % 3, np.uint8)


def film(bars: Sequence[int] = (0, 0, 0, 0), paint: Paint | None = None, scene: Any = panned) -> tuple[Signals, Any]:
    """Signals of a scene between bars (rows above and below, columns left and right), with what is painted over the
    whole frame, and the crop that leaves the scene."""
    frames = []
    for k in range(N):
        picture = cv2.copyMakeBorder(scene(k), *bars, cv2.BORDER_CONSTANT)
        if paint:
            paint(picture, k)
        frames.append(Shown(k, picture))
    height, width = H + bars[0] + bars[1], W + bars[2] + bars[3]
    return analyse(iter(frames), time_base=Fraction(1, FPS), width=width, height=height), (bars[2], bars[0], W, H)


def write(picture: np.ndarray, text: str, x: int, y: int, size: float = 0.9) -> None:
    cv2.putText(picture, text, (x, y), cv2.FONT_HERSHEY_DUPLEX, size, (255, 255, 255), 2, cv2.LINE_AA)


def logo(picture: np.ndarray, frame: int) -> None:
    """In the upper bar, or at the head of the left one."""
    if picture.shape[0] > H:
        write(picture, "NINE TV", 350, 32)
    else:
        write(picture, "NINE", 6, 50)


def subtitle(picture: np.ndarray, frame: int) -> None:
    if frame % 40 > 9:
        write(picture, "What did you say to them?", 60, picture.shape[0] - 14)


def verdict(scores: dict[str, Any], name: str) -> str:
    return decide([{"clip_id": "a", "source_id": "s", "group": "g", **scores}], FilterConfig())[0].scores[name][2]


MARKS = ("mark", "brief_mark", "title_mark", "moving_mark", "card", "screen")


def said(found: dict[str, Any]) -> list[float]:
    return [np.nan if found[name] is None else found[name] for name in MARKS]


@pytest.mark.parametrize(("bars", "paint"), [(LETTERBOX, logo), (LETTERBOX, subtitle), (PILLARS, logo)])
def test_what_is_drawn_on_a_bar_is_cropped_away_with_it(bars, paint):
    bare, crop = film(bars)
    drawn, _ = film(bars, paint)
    own, found = measure_clip(bare, 0, N, crop), measure_clip(drawn, 0, N, crop)
    assert said(found) == pytest.approx(said(own), rel=0.01, abs=0.05, nan_ok=True)
    for name in ("subject_motion", "colour"):
        assert found[name] == pytest.approx(own[name], rel=0.02, abs=0.02), name
    assert verdict(found, "overlay") != "reject"


def test_what_is_drawn_on_a_bar_convicts_a_clip_that_shows_the_bar():
    signals, crop = film(LETTERBOX, logo)
    whole = (0, 0, signals.width, signals.height)
    assert verdict(measure_clip(signals, 0, N, whole), "overlay") == "reject"
    assert verdict(measure_clip(signals, 0, N, crop), "overlay") != "reject"
    assert verdict(measure_clip(film(LETTERBOX)[0], 0, N, whole), "overlay") != "reject"  # nor do bars by themselves


@pytest.mark.parametrize("bars", [LETTERBOX, PILLARS, (40, 40, 80, 80)])
def test_a_mark_beside_a_bar_is_found_as_without_bars(bars):
    def marked(frame: int) -> np.ndarray:
        picture = panned(frame)
        write(picture, "www.sample.org", 300, H - 8, 0.7)
        return picture

    plain = measure_clip(*(film(scene=marked)[0], 0, N))
    signals, crop = film(bars, scene=marked)
    found = measure_clip(signals, 0, N, crop)
    assert verdict(plain, "overlay") == verdict(found, "overlay") == "reject"
    left, top, right, bottom = found["mark_box"]
    assert np.array([left, top, right, bottom]) == pytest.approx(plain["mark_box"], abs=0.08)  # of the clip's picture


def test_subtitles_below_a_plain_picture_are_no_title_card():
    signals, crop = film(LETTERBOX, subtitle, flat)
    assert measure_clip(signals, 0, N, crop)["card"] == 0.0
    assert measure_clip(signals, 0, N, (0, 0, signals.width, signals.height))["card"] > 0.5


def test_a_crop_by_hand_leaves_out_what_is_drawn_in_the_rest():
    def marked(frame: int) -> np.ndarray:
        picture = panned(frame)
        write(picture, "NINE TV", 360, 40)
        return picture

    signals, _ = film(scene=marked)
    assert verdict(measure_clip(signals, 0, N, (0, 0, W, H)), "overlay") == "reject"
    assert verdict(measure_clip(signals, 0, N, (0, 60, W, H - 60)), "overlay") != "reject"


def test_a_clip_without_bars_has_the_scores_of_the_whole_picture():
    signals, crop = film()
    assert crop == (0, 0, signals.width, signals.height)
    assert measure_clip(signals, 0, N) == measure_clip(signals, 0, N, crop)


def test_numbers_of_another_part_than_the_clip_shows_are_told():
    signals, crop = film(LETTERBOX)
    assert measure_clip(signals, 0, N, crop)["measured_part"] is None
    assert measure_clip(signals, 0, N)["measured_part"] is None
    told = measure_clip(signals, 0, N, (0, 0, signals.width, signals.height))["measured_part"]
    assert np.array(told) == pytest.approx(crop, abs=4)
    plain, whole = film()
    assert measure_clip(plain, 0, N, whole)["measured_part"] is None
    assert measure_clip(plain, 0, N, (0, 40, W, H - 80))["measured_part"] == whole


def test_lettering_on_a_bar_adds_no_pixels_to_the_picture():
    def line(picture: np.ndarray, frame: int) -> None:
        write(picture, "WWWWWWWWWWWWWWWWWWWWWWWWWWW", 0, 40, 1.2)

    signals, crop = film(LETTERBOX, line)
    assert measure_clip(signals, 0, N, crop)["lit"] == H * W
    assert measure_clip(signals, 0, N, (0, 0, W, H + 96))["lit"] > H * W


@pytest.mark.parametrize("bars", [LETTERBOX, PILLARS, (60, 60, 80, 80)])
def test_light_is_that_of_the_picture_between_bars(bars):
    """Another picture is no jump of light; bars, which stay, make the two alike."""

    def replaced(frame: int) -> np.ndarray:
        return panned(frame) if frame < 30 else (0.6 * panned(frame, seed=5)).astype(np.uint8)

    def brighter(frame: int) -> np.ndarray:
        return np.clip(panned(frame) * (1.2 if frame >= 30 else 1.0), 0, 255).astype(np.uint8)

    signals, crop = film(bars, scene=replaced)
    assert measure_clip(film(scene=replaced)[0], 0, N)["light_jump"] < 0.01
    assert measure_clip(signals, 0, N, crop)["light_jump"] < 0.01
    assert quality.clip_scores(signals, 0, N)["light_jump"] > 0.3
    own = measure_clip(film(scene=brighter)[0], 0, N)["light_jump"]
    assert own == pytest.approx(np.log(1.2), abs=0.02)
    assert measure_clip(film(bars, scene=brighter)[0], 0, N)["light_jump"] == pytest.approx(own, rel=0.15)


def test_bars_that_a_crop_leaves_are_left_out_where_motion_is_measured():
    bars, part = Bars(20, 20, 0, 0), (slice(10, 130), slice(0, 256))
    assert framing.between(part, NONE, (144, 256)) is part
    assert framing.between(None, bars, (144, 256)) == (slice(22, 122), slice(0, 256))
    assert framing.between(part, bars, (144, 256)) == (slice(22, 122), slice(0, 256))
    below = (slice(110, 144), slice(0, 256))
    assert framing.between(below, bars, (144, 256)) == below  # hardly anything would be left


def test_lettering_on_a_bar_is_no_content():
    picture = cv2.copyMakeBorder(panned(0), 48, 48, 0, 0, cv2.BORDER_CONSTANT)
    for x in range(0, W, 40):
        write(picture, "W", x, H + 80, 1.2)
    thumb = cv2.resize(picture, (256, 192), interpolation=cv2.INTER_AREA)
    assert content.inside_bars([thumb])[80:].any()
    assert not content.inside_bars([thumb], (slice(25, 167), slice(0, 256)))[84:].any()
    assert content.inside_bars([thumb], (slice(25, 167), slice(0, 256)))[14:82].all()


def test_bars_are_those_of_most_pictures():
    shown = [cv2.cvtColor(cv2.copyMakeBorder(panned(k), 48, 48, 0, 0, 0), cv2.COLOR_BGR2GRAY) for k in range(5)]
    small = [cv2.resize(picture, (256, 192), interpolation=cv2.INTER_AREA) for picture in shown]
    assert barred.usual(small) == Bars(24, 24, 0, 0)
    assert barred.usual([np.full((192, 256), 90, np.uint8), *small]) == Bars(24, 24, 0, 0)
    assert barred.usual([]) == NONE


def test_settings_of_bars_say_what_is_scored(tmp_path: Path) -> None:
    pictures = []
    for k in range(N):
        pictures.append(cv2.copyMakeBorder(panned(k), 48, 48, 0, 0, cv2.BORDER_CONSTANT))
        logo(pictures[-1], k)
    make_video(
        tmp_path / "film.mp4", frames=N, rate=FPS, size=(W, H + 96), picture=lambda k, w, h: pictures[k][..., ::-1]
    )

    def scored(*options: str) -> dict[str, Any]:
        return json.loads(wanprep("score", str(tmp_path / "film.mp4"), *options, "--json").stdout)[0]["clips"][0]

    cropped, whole = scored(), scored("--set", "split.crop_bars=false")
    assert (cropped["crop"], whole["crop"]) == ([0, 48, W, H], [0, 0, W, H + 96])
    assert "overlay" not in cropped["reasons"]
    assert "overlay" in whole["reasons"]
    assert "measured_part" not in cropped["scores"]
    assert np.array(whole["scores"]["measured_part"]["value"]) == pytest.approx([0, 48, W, H], abs=4)
    assert scored("--set", "split.bars.min_pixels=60")["crop"] == whole["crop"]
    text = wanprep("score", str(tmp_path / "film.mp4"), "--set", "split.crop_bars=false").stdout
    assert "not what the clip shows" in text
    assert "not what the clip shows" not in wanprep("score", str(tmp_path / "film.mp4")).stdout


def test_another_crop_is_scored_anew_of_what_is_kept(tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    for name, bars in (("barred", 48), ("plain", 0)):
        pictures = [cv2.copyMakeBorder(panned(k), bars, bars, 0, 0, cv2.BORDER_CONSTANT) for k in range(30)]
        size = {"frames": 30, "rate": FPS, "size": (W, H + 2 * bars)}
        make_video(tmp_path / "films" / f"{name}.mp4", picture=lambda k, w, h, shown=pictures: shown[k], **size)

    def done(*settings: str) -> tuple[int, int]:
        """Sources decoded, and clips scored."""
        where = [
            "--out",
            str(tmp_path / "set"),
            *(part for setting in settings for part in ("--set", setting)),
            "--json",
        ]
        split = json.loads(wanprep("split", *where).stdout)["steps"]["split"]["done"]
        wanprep("fps", *where)
        return split, json.loads(wanprep("filter", *where).stdout)["steps"]["filter"]["done"]

    wanprep("run", str(tmp_path / "films"), "--out", str(tmp_path / "set"), "--set", "family=tiny", "--limit", "0")
    assert done() == (2, 2)
    assert done() == (0, 0)
    assert done("split.bars.dark=40") == (0, 0)  # the same crops
    assert done("split.bars.dark=40", "split.crop_bars=false") == (0, 1)
    assert done("split.crop_bars=true") == (0, 0)  # scored before
