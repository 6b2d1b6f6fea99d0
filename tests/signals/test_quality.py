"""Quality numbers on made-up pictures: each fault is found, and what only looks like it is not."""

import math
from dataclasses import replace
from fractions import Fraction

import cv2
import numpy as np
import pytest

from wanprep.signals import blur, light, motion
from wanprep.signals.blur import focus
from wanprep.signals.quality import (
    FIELDS,
    QualityMeter,
    clip_camera,
    clip_scores,
    despite_chance,
    in_focus,
    merged,
    repeats,
    throughout,
)
from wanprep.signals.store import Signals
from wanprep.stages.filter import REGISTRY

H, W = 270, 480
LIT = ("luma_mean", "red", "blue")  # what another meter says of each frame


def texture(seed: int, height: int = H * 2, width: int = W * 2) -> np.ndarray:
    """uint8 luma: noise at several scales under hard-edged shapes."""
    rng = np.random.default_rng(seed)
    image = np.full((height, width), rng.uniform(80, 140), np.float32)
    for cells, gain in ((4, 30), (12, 20), (60, 12)):
        noise = rng.normal(0, gain, (cells, cells * 2)).astype(np.float32)
        image += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    image = np.clip(image, 0, 255).astype(np.uint8)
    for _ in range(60):
        x, y, r = int(rng.integers(width)), int(rng.integers(height)), int(rng.integers(4, 40))
        cv2.rectangle(image, (x, y), (x + r, y + r // 2 + 2), int(rng.integers(0, 255)), -1)
    return image


def camera(canvas: np.ndarray, path_px: np.ndarray, zoom: np.ndarray | None = None) -> np.ndarray:
    """uint8[N, H, W]: the canvas seen by a camera at path_px (x right, y down) from its middle."""
    out = []
    for k, (x, y) in enumerate(path_px):
        scale = 1.0 if zoom is None else 1 / zoom[k]
        centre = np.array([canvas.shape[1] / 2 + x, canvas.shape[0] / 2 + y])
        matrix = np.array([[scale, 0, centre[0] - scale * W / 2], [0, scale, centre[1] - scale * H / 2]])
        out.append(cv2.warpAffine(canvas, matrix, (W, H), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP))
    return np.stack(out)


def signals_of(frames: np.ndarray, fps: float = 24.0) -> Signals:
    """What the analysis would store of these luma frames, as far as quality is concerned."""
    size = (256, 2 * round(128 * frames.shape[1] / frames.shape[2]))
    meter = QualityMeter(*size)
    rows, due = [], 0.0
    for k, frame in enumerate(frames):
        small = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
        middle = frame if k / fps >= due - 1e-9 else None
        due += 0.25 * (middle is not None)
        lit = dict.fromkeys(LIT, float(small.mean()))
        rows.append(meter.feed(k / fps, small) | lit | (focus(middle) if middle is not None else {}))
    none = np.zeros((0, 2), np.uint8)
    pts = np.round(np.arange(len(frames)) * 90000 / fps).astype(np.int64)
    return Signals(
        time_base=Fraction(1, 90000), width=2, height=2, pts=pts, last_duration=0,
        frame={name: np.array([r[name] for r in rows], np.float32) for name in (*FIELDS, *LIT)},
        sampled=np.zeros(0, np.int32), thumbs=np.zeros((0, 2, 2, 3), np.uint8), row_p97=none, col_p97=none,
        extra={"tiny": np.stack([cv2.resize(f, (16, 12), interpolation=cv2.INTER_AREA) for f in frames])},
    )  # fmt: skip


def scores(frames: np.ndarray, fps: float = 24.0) -> dict[str, float]:
    return clip_scores(signals_of(frames, fps), 0, len(frames))


def bad(name: str, value: float) -> bool:
    entry = REGISTRY[name]
    return value > entry.threshold if entry.bad == "above" else value < entry.threshold


def still(seed: int = 1, n: int = 48) -> np.ndarray:
    return camera(texture(seed), np.zeros((n, 2)))


def pan(n: int = 48, speed_px: float = 2.0, seed: int = 1) -> np.ndarray:
    return camera(texture(seed), np.arange(n)[:, None] * (speed_px, 0.0))


def shaky(fps: float, rms_px: float, pan_px_s: float = 0.0, seconds: float = 2.0) -> np.ndarray:
    t = np.arange(int(seconds * fps)) / fps
    sway = np.stack([np.sin(2 * np.pi * (f * t + p)) for f, p in ((4.1, 0.1), (6.3, 0.6))])
    path = np.stack([sway[0] + 0.7 * sway[1], 0.6 * sway[0] - sway[1]], axis=1)
    path *= rms_px / path.std(axis=0)
    path[:, 0] += pan_px_s * t
    return camera(texture(3), path)


# --- the meter ------------------------------------------------------------------------------------------------------


def test_first_frame_has_no_pair_and_every_field_is_there():
    meter = QualityMeter(256, 144)
    row = meter.feed(0.0, np.zeros((144, 256), np.uint8)) | focus(np.zeros((360, 640), np.uint8))
    assert set(row) == set(FIELDS)
    assert all(math.isnan(row[name]) for name in ("frame_diff", "step_s", "cam_dx", "light_jump", "change"))
    assert row["luma"] == 0
    assert math.isnan(row["sharpness"])
    assert math.isnan(row["smear"])


def test_meter_refuses_another_size():
    with pytest.raises(ValueError, match=r"\(144, 256\)"):
        QualityMeter(256, 144).feed(0.0, np.zeros((140, 256), np.uint8))


def test_two_meters_that_share_the_camera_say_what_one_says():
    frames = shaky(24, 1.0)

    def numbers(share: tuple[int, int]) -> dict[str, np.ndarray]:
        meter = QualityMeter(frames.shape[2], frames.shape[1], share)
        rows = [meter.feed(k / 24, frame) for k, frame in enumerate(frames)]
        return {name: np.array([row[name] for row in rows], np.float32) for name in FIELDS}

    one, other = numbers((0, 2)), numbers((1, 2))
    both, alone = dict(merged(one, other)), numbers((0, 1))
    for name in FIELDS:
        assert np.array_equal(both[name], alone[name], equal_nan=True), name
    steps = [int(np.isfinite(part["step_s"]).sum()) for part in (one, other, alone)]
    assert steps[0] == steps[1] + steps[2] % 2
    assert steps[0] + steps[1] == steps[2]
    assert np.isnan(other["frame_diff"]).all()


@pytest.mark.parametrize(("fps", "steps"), [(10, 1), (16, 1), (20, 1), (24, 2), (25, 2), (30, 2), (50, 3), (60, 3)])
def test_motion_is_measured_about_sixteen_times_a_second(fps, steps):
    step_s = signals_of(still(n=2 * fps), fps).frame["step_s"]
    assert np.allclose(step_s[np.isfinite(step_s)], steps / fps, atol=1e-4)


def test_clip_scores_refuse_a_range_outside_the_source():
    with pytest.raises(ValueError, match=r"\[5, 99\)"):
        clip_scores(signals_of(still(n=10)), 5, 99)


def test_scores_of_a_clip_do_not_reach_over_its_cuts():
    bright = np.clip(still(5).astype(int) * 2, 0, 255).astype(np.uint8)
    joined = signals_of(np.concatenate([still(4), bright, still(6)]))
    alone = scores(bright)
    inside = clip_scores(joined, 48, 96)
    for name in ("shake", "light_jump", "motion", "frozen", "duplicate_rate"):
        assert inside[name] == pytest.approx(alone[name], abs=1e-6), name
    assert inside["duplicate_rate"] == 1.0 > clip_scores(joined, 0, 96)["duplicate_rate"]  # the cut is there


def test_a_clip_of_one_frame_knows_only_what_one_frame_shows():
    found = scores(still(n=1))
    assert not bad("blur", found["sharpness"])
    assert all(math.isnan(found[name]) for name in ("shake", "light_jump", "motion", "frozen", "duplicate_rate"))


# --- blur -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_defocus_is_blur_and_shallow_focus_is_not(seed):
    sharp = still(seed, 1)[0]
    soft = cv2.GaussianBlur(sharp, (0, 0), 2.0)
    shallow = sharp.copy()
    shallow[:, : W // 2] = cv2.GaussianBlur(sharp, (0, 0), 4.0)[:, : W // 2]
    assert not bad("blur", blur.sharpness(sharp))
    assert not bad("blur", blur.sharpness(shallow))
    assert bad("blur", blur.sharpness(soft))


def test_dark_and_flat_pictures_are_not_blur():
    assert not bad("blur", blur.sharpness((still(2, 1)[0] * 0.25).astype(np.uint8)))
    cel = np.full((H, W), 120, np.uint8)
    cv2.circle(cel, (200, 120), 60, 200, -1)
    assert not bad("blur", blur.sharpness(cel))
    assert not bad("motion_blur", blur.smear(cel))
    assert math.isnan(blur.sharpness(np.full((H, W), 90, np.uint8)))
    assert math.isnan(blur.smear(np.full((H, W), 90, np.uint8)))


@pytest.mark.parametrize("gain", [1.0, 0.3, 0.2, 0.15])
@pytest.mark.parametrize("seed", range(3))
def test_blur_does_not_depend_on_exposure(gain, seed):
    sharp = still(seed, 1)[0]
    rng = np.random.default_rng(seed)

    def seen(picture: np.ndarray) -> np.ndarray:
        """Under that light, with what fine coding leaves: errors of about a level."""
        return np.clip(np.round(picture * gain + rng.normal(0, 0.8, picture.shape)), 0, 255).astype(np.uint8)

    assert not bad("blur", blur.sharpness(seen(sharp)))
    for sigma in (2.0, 3.0):
        assert bad("blur", blur.sharpness(seen(cv2.GaussianBlur(sharp, (0, 0), sigma))))


@pytest.mark.parametrize(("levels", "sigma"), [(4, 1.5), (4, 2.0), (4, 3.0), (8, 2.0)])
def test_grain_neither_hides_blur_nor_is_taken_for_it(levels, sigma):
    sharp = still(1, 1)[0]
    grain = np.random.default_rng(0).normal(0, levels, sharp.shape)
    grainy, soft = (
        np.clip(picture + grain, 0, 255).astype(np.uint8) for picture in (sharp, cv2.GaussianBlur(sharp, (0, 0), sigma))
    )
    assert not bad("blur", blur.sharpness(grainy))
    assert bad("blur", blur.sharpness(soft))


@pytest.mark.parametrize("seed", range(4))
def test_grain_does_not_hide_blur_of_low_contrast_either(seed):
    sharp = 120 + 0.3 * (still(seed, 1)[0].astype(np.float32) - 120)
    grain = np.random.default_rng(seed).normal(0, 4, sharp.shape)
    grainy, soft = (
        np.clip(picture + grain, 0, 255).astype(np.uint8) for picture in (sharp, cv2.GaussianBlur(sharp, (0, 0), 2.0))
    )
    assert not bad("blur", blur.sharpness(grainy))
    assert bad("blur", blur.sharpness(soft))


@pytest.mark.parametrize("seed", range(4))
def test_where_a_few_edges_are_sharper_than_most_the_picture_is_soft_but_in_focus(seed):
    sharp = still(seed, 1)[0]
    nearly, soft = (cv2.GaussianBlur(sharp, (0, 0), sigma) for sigma in (0.6, 1.25))
    places = np.random.default_rng(seed).random((12, 20)) < 0.04
    parts = cv2.resize(places.astype(np.uint8), (W, H), interpolation=cv2.INTER_NEAREST).astype(bool)
    assert not bad("blur", blur.sharpness(np.where(parts, nearly, soft)))
    assert bad("blur", blur.sharpness(soft))


@pytest.mark.parametrize("seed", range(3))
def test_fine_texture_out_of_focus_is_no_sharper_than_soft_edges(seed):
    """Foliage, gravel, a crowd: its Laplacian is 1.6 times that of edges as soft."""
    texture = np.random.default_rng(seed).normal(0, 1, (H, W)).astype(np.float32)

    def seen(sigma: float, gain: float) -> np.ndarray:
        soft = cv2.GaussianBlur(texture, (0, 0), sigma)
        return np.clip(120 + gain * soft / soft.std(), 0, 255).astype(np.uint8)

    assert not bad("blur", blur.sharpness(seen(0.7, 40)))
    assert bad("blur", blur.sharpness(seen(1.3, 40)))


def test_a_few_sharp_letters_on_a_flat_page_are_sharp():
    page = np.full((H, W), 120, np.uint8)
    cv2.putText(page, "a b", (200, 140), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 220, 2)
    assert 0 < np.mean(page != 120) < 0.005
    assert not bad("blur", blur.sharpness(page))


def test_a_clip_that_is_out_of_focus_for_half_its_time_is_blurred_and_one_look_is_not_enough():
    sharp = still(0, n=72)
    soft = np.stack([cv2.GaussianBlur(f, (0, 0), 3.0) for f in sharp])
    assert bad("blur", scores(np.concatenate([sharp[:36], soft[36:]]))["sharpness"])
    assert not bad("blur", scores(np.concatenate([sharp[:66], soft[66:]]))["sharpness"])
    assert not bad("blur", scores(np.concatenate([sharp[:12], soft[:3]]))["sharpness"])  # three looks, one of them soft


def test_softer_pictures_now_and_then_do_not_blur_a_clip_but_half_of_them_far_out_of_focus_do():
    nan = math.nan
    uneven = np.array([0.13, 0.116, 0.128, 0.115, 0.127, nan])  # every second picture coded softly
    assert in_focus(uneven) == pytest.approx(0.127)
    assert in_focus(np.full(5, 0.12)) == pytest.approx(0.12)
    assert in_focus(np.array([0.2, 0.2, 0.2, 0.05, 0.05])) == pytest.approx(0.055)
    assert in_focus(np.array([0.2, 0.05, nan, 0.2])) == 0.2  # of few looks the middle one
    assert math.isnan(in_focus(np.array([nan, nan])))


@pytest.mark.parametrize("pitch", [4, 6, 8])
def test_checks_all_over_a_picture_are_not_noise(pitch):
    """More than half of its pixels lie at edges, so the median pixel is no measure of noise."""
    row, column = np.indices((H, W))
    checks = np.where((row // pitch + column // pitch) % 2, 205, 75).astype(np.float32)
    grain = np.random.default_rng(3).normal(0, 2, checks.shape)
    seen = np.clip(checks + grain, 0, 255).astype(np.uint8)
    assert not bad("blur", blur.sharpness(seen))
    if pitch > 4:  # of smaller ones nothing is left
        assert bad(
            "blur", blur.sharpness(np.clip(cv2.GaussianBlur(checks, (0, 0), 2) + grain, 0, 255).astype(np.uint8))
        )


def test_what_shows_throughout_is_what_most_looks_agree_on():
    nan = math.nan
    assert throughout(np.array([50.0, 50.0, 20.0, 20.0, 50.0])) == 20.0  # a fence that fits the grid now and then
    assert throughout(np.array([40.0, 41.0, 39.0, 42.0])) == pytest.approx(39.75)
    assert throughout(np.array([50.0, 30.0, 45.0])) == 37.5
    assert throughout(np.array([nan, nan, 50.0, 48.0])) == 48.5
    assert math.isnan(throughout(np.array([nan, nan, nan, 50.0])))
    assert math.isnan(throughout(np.array([])))


def test_the_fewer_looks_the_less_a_hidden_coding_is_believed():
    one, two, five, nine = (despite_chance(np.full(n, 40.0)) for n in (1, 2, 5, 9))
    assert [one, two] == pytest.approx([36.4, 38.65])
    assert five == nine == 40.0
    assert despite_chance(np.array([math.nan, 40.0, 40.0])) == two  # what says nothing is no look
    assert math.isnan(despite_chance(np.full(3, math.nan)))
    assert math.isnan(despite_chance(np.array([math.nan, math.nan, math.nan, 50.0])))


def test_a_hidden_coding_is_judged_by_the_mean_of_looks():
    assert despite_chance(np.array([30.0, 45.0, 40.0, 35.0, 40.0])) == 38.0


def test_motion_blur_is_the_same_number_in_every_direction():
    """A smear as long in pixels, of a picture turned with it."""
    canvas = texture(4, 1200, 1600)  # so large that no turn shows its border
    found = []
    for degrees in (0, 45, 90, 135):
        centre = (canvas.shape[1] / 2, canvas.shape[0] / 2)
        smeared = cv2.blur(canvas, (19, 1)).astype(np.uint8)
        matrix = cv2.getRotationMatrix2D(centre, degrees, 0.5)
        matrix[:, 2] += np.array([W / 2 - centre[0], H / 2 - centre[1]])
        found.append(blur.smear(cv2.warpAffine(smeared, matrix, (W, H), flags=cv2.INTER_AREA)))
    assert max(found) < 1.25 * min(found), found
    assert all(bad("motion_blur", value) for value in found), found


@pytest.mark.parametrize("direction", ["horizontal", "vertical", "diagonal"])
@pytest.mark.parametrize("seed", range(3))
def test_motion_blur_is_found_in_every_direction(direction, seed):
    sharp = still(seed, 1)[0]
    kernel = np.zeros((13, 13), np.float32)
    kernel[{"horizontal": np.s_[6, :], "vertical": np.s_[:, 6], "diagonal": np.diag_indices(13)}[direction]] = 1 / 13
    assert not bad("motion_blur", blur.smear(sharp))
    assert bad("motion_blur", blur.smear(cv2.filter2D(sharp, -1, kernel)))


def test_pixels_are_counted_without_black_bars():
    def coded(height: int, width: int, lit: int) -> dict[str, float]:
        signals = signals_of(still(n=48))
        columns = np.where(np.arange(width) < lit, 200, 20).astype(np.uint8)
        signals.frame["quantiser"][:] = 40.0
        about = {"width": width, "height": height, "sampled": np.array([0, 24], np.int32)}
        lines = {"row_p97": np.full((2, height), 200, np.uint8), "col_p97": np.stack([columns, columns])}
        return clip_scores(replace(signals, thumbs=np.zeros((2, 12, 16, 3), np.uint8), **about, **lines), 0, 48)

    assert coded(1080, 1920, 1920)["lit"] == 1080 * 1920
    assert coded(1080, 1920, 608)["lit"] == 1080 * 608
    assert coded(1080, 1920, 608)["quantiser"] == coded(1080, 1920, 608)["coded"] == 40.0


def test_one_smeared_object_is_not_motion_blur_of_the_clip():
    picture = still(2, 1)[0]
    picture[60:160, 100:260] = cv2.blur(picture, (15, 1))[60:160, 100:260]
    assert not bad("motion_blur", blur.smear(picture))


# --- camera ---------------------------------------------------------------------------------------------------------


def test_camera_step_measures_shift_zoom_and_roll():
    before = cv2.resize(still(3, 1)[0], (256, 144), interpolation=cv2.INTER_AREA)
    angle, zoom, shift = 0.01, 1.02, (2.5, -1.5)
    c, s = zoom * math.cos(angle), zoom * math.sin(angle)
    centre = np.array([127.5, 71.5])
    turn = np.array([[c, -s], [s, c]])
    matrix = np.column_stack([turn, centre + shift - turn @ centre])
    step = motion.camera_step(before, cv2.warpAffine(before, matrix, (256, 144), borderMode=cv2.BORDER_REFLECT))
    assert (step.dx, step.dy) == pytest.approx((2.5 / 256, -1.5 / 256), abs=0.0004)
    assert step.rot == pytest.approx(angle, abs=0.001)
    assert step.scale == pytest.approx(math.log(zoom), abs=0.001)
    assert step.fit > 0.7


def test_camera_step_of_nothing_is_unknown():
    step = motion.camera_step(np.zeros((144, 256), np.uint8), np.zeros((144, 256), np.uint8))
    assert math.isnan(step.dx)
    assert step.matrix is None


@pytest.mark.parametrize("fps", [24, 30, 60])
def test_hand_shake_is_found_and_pans_are_not(fps):
    for speed in (0.0, 0.03, 0.15, 0.5):  # widths a second
        assert scores(pan(int(1.5 * fps), speed * W / fps), fps)["shake"] == 0.0, speed
    assert bad("shake", scores(shaky(fps, 0.003 * W), fps)["shake"])
    assert bad("shake", scores(shaky(fps, 0.003 * W, pan_px_s=0.04 * W), fps)["shake"])


def test_one_swing_of_the_camera_is_not_shake():
    t = np.arange(72) / 24
    swing = camera(texture(3), np.stack([60 * np.sin(2 * np.pi * 0.33 * t), 0 * t], axis=1))
    assert not bad("shake", scores(swing)["shake"])


def test_shake_of_a_very_short_clip_is_unknown():
    assert math.isnan(scores(shaky(24, 2.0)[:8])["shake"])


def test_resampling_keeps_the_path_and_marks_what_is_unknown():
    seconds = np.arange(1, 49) / 24
    steps = np.tile([0.001, 0.0], (48, 1))
    resampled, rate = motion.velocities(seconds, np.full(48, 1 / 24), steps)
    assert rate == 16
    assert resampled.sum(axis=0) == pytest.approx([0.048, 0.0], abs=1e-9)
    steps[20] = np.nan
    holed, _ = motion.velocities(seconds, np.full(48, 1 / 24), steps)
    assert 1 <= np.isnan(holed[:, 0]).sum() <= 3
    slow, rate = motion.velocities(np.arange(1, 11) / 10, np.full(10, 0.1), steps[:10])
    assert (len(slow), rate) == (10, pytest.approx(10))


@pytest.mark.parametrize(
    ("per_second", "words"),
    [
        ((0.2, 0, 0, 0), "pan left"),  # the picture moves right
        ((-0.04, 0, 0, 0), "slow pan right"),
        ((0, -0.8, 0, 0), "fast tilt down"),
        ((0, 0, 0, 0.5), "zoom in"),
        ((0, 0, 0, -0.5), "zoom out"),
        ((0, 0, 0.5, 0), "moving camera"),
        ((0.001, 0, 0, 0), "static camera"),
    ],
)
def test_camera_movement_in_words(per_second, words):
    assert motion.camera_motion(np.tile(per_second, (30, 1)) / 16)[0] == words


def test_camera_movement_from_pictures():
    assert clip_camera(signals_of(pan(48, 4.0)), 0, 48)[0] == "pan right"
    assert clip_camera(signals_of(still()), 0, 48)[0] == "static camera"
    zoomed = camera(texture(3), np.zeros((48, 2)), zoom=np.exp(0.3 * np.arange(48) / 24))
    assert clip_camera(signals_of(zoomed), 0, 48)[0] == "zoom in"
    assert clip_camera(signals_of(shaky(24, 3.0)), 0, 48)[0] == "moving camera"
    assert clip_camera(signals_of(still(n=2)), 0, 2) == (None, pytest.approx(math.nan, nan_ok=True))


# --- light, stillness -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gain", [0.85, 1.15, 1.3])
def test_exposure_step_is_measured_even_in_a_pan(gain):
    frames = pan(24).astype(np.float32) * 0.7
    frames[12:] *= gain
    found = scores(frames.astype(np.uint8))["light_jump"]
    assert bad("light_jump", found)
    assert found == pytest.approx(abs(math.log(gain)), rel=0.25)


def test_moving_things_and_slow_light_are_no_jump():
    frames = still(n=48)
    for k, frame in enumerate(frames):
        cv2.circle(frame, (40 + 8 * k, 130), 50, 250, -1)
    assert not bad("light_jump", scores(frames)["light_jump"])
    dimming = (still(n=48) * np.linspace(1, 0.6, 48)[:, None, None]).astype(np.uint8)
    assert not bad("light_jump", scores(dimming)["light_jump"])


def test_light_jump_between_unrelated_pictures_is_unknown():
    a, b = (cv2.resize(texture(seed), (256, 144)) for seed in (1, 2))
    found = light.light_jump(a, b)
    assert math.isnan(found) or found < 0.086


def test_static_means_that_nothing_moves():
    noise = np.random.default_rng(0).normal(0, 2, (48, H, W))
    frames = np.clip(still() + noise, 0, 255).astype(np.uint8)
    assert bad("static", scores(frames)["motion"])
    for k, frame in enumerate(frames):  # a ball of 1 % of the width
        cv2.circle(frame, (100 + 3 * k, 100), 9, 255, -1)
    assert not bad("static", scores(frames)["motion"])
    assert not bad("static", scores(pan())["motion"])


def test_frozen_and_repeated_frames_are_counted():
    frames = pan(48)
    assert scores(frames)["duplicate_rate"] == 0
    frames[10:36] = frames[10]
    found = scores(frames)
    assert found["frozen"] == pytest.approx(26 / 48)  # the last one is shown, too
    assert bad("frozen", found["frozen"])
    assert found["duplicate_rate"] == pytest.approx(25 / 47)
    on_twos = scores(np.repeat(pan(24, 4.0), 2, axis=0))
    assert on_twos["duplicate_rate"] == pytest.approx(24 / 47)
    assert on_twos["frozen"] == 0


def test_a_camera_that_trembles_in_place_is_static_however_long_and_a_slow_pan_is_not():
    rng = np.random.default_rng(4)
    for seconds in (2, 10):
        place = rng.normal(0, 0.001, (16 * seconds, 4))
        name, _ = motion.camera_motion(np.diff(place, axis=0))
        assert name == "static camera"
        drift = np.zeros((16 * seconds, 4))
        drift[:, 0] = -0.02 / 16
        assert motion.camera_motion(drift)[0] == "slow pan right"


def test_repeats_that_were_coded_anew_are_repeats_and_noise_of_a_still_scene_is_none():
    grain = np.random.default_rng(2).uniform(3, 6, 60)
    thrice = np.where(np.arange(60) % 3 == 0, 30.0, grain)
    assert repeats(thrice).mean() == pytest.approx(2 / 3, abs=0.04)  # what ends the clip is not known to be one
    assert not repeats(grain).any()  # noise
    gestures = grain.copy()
    gestures[[10, 11, 30, 31]] = 60.0  # 18 frames apart
    assert not repeats(gestures).any()
    assert not repeats(np.tile([40.0, 16.0, 9.0, 22.0], 15)).any()  # uneven motion
