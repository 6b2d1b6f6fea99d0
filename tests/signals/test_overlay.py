"""Marks that stay while scenes change are found; bars, fixed cameras and few scenes are no reason to convict."""

import math

import cv2
import numpy as np
import pytest

from wanprep.signals import overlay

H, W = 144, 256
THRESHOLD = 0.04  # of agreement: what counts as a mark by itself
PLACES = {"corner": (200, 24), "bottom": (90, 134), "centre": (95, 78)}


def scene(seed: int, n: int = 6, moves: bool = True) -> np.ndarray:
    """uint8[n, H, W, 3] thumbnails of one shot: the camera drifts, or stands still before a moving ball."""
    rng = np.random.default_rng(seed)
    canvas = np.full((H * 2, W * 2, 3), rng.uniform(40, 200, 3), np.float32)
    for cells, gain in ((3, 40), (10, 30), (40, 15)):
        noise = rng.normal(0, gain, (cells, cells * 2, 3)).astype(np.float32)
        canvas += cv2.resize(noise, (W * 2, H * 2), interpolation=cv2.INTER_CUBIC)
    for _ in range(40):
        x, y, r = int(rng.integers(W * 2)), int(rng.integers(H * 2)), int(rng.integers(6, 60))
        cv2.rectangle(canvas, (x, y), (x + r, y + r // 2), rng.uniform(0, 255, 3).tolist(), -1)
    out = []
    for k in range(n):
        x, y = (W // 2 + 7 * k, H // 2 + 3 * k) if moves else (W // 2, H // 2)
        view = np.clip(canvas[y : y + H, x : x + W], 0, 255).astype(np.uint8).copy()
        if not moves:
            cv2.circle(view, (30 + 30 * k, 70), 25, (200, 30, 30), -1)
        out.append(view)
    return np.stack(out)


def marked(thumbs: np.ndarray, place: str, alpha: float) -> np.ndarray:
    cover = np.zeros((H, W), np.uint8)
    cv2.putText(cover, "studio.tv", PLACES[place], cv2.FONT_HERSHEY_SIMPLEX, 0.4, 255, 1, cv2.LINE_AA)
    share = alpha * cover[None, ..., None] / 255
    return (thumbs * (1 - share) + 255 * share).astype(np.uint8)


def pooled(clips: list[np.ndarray]) -> overlay.Pooled:
    return overlay.pool([overlay.clip_evidence(clip) for clip in clips])


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("alpha", "scenes"), [(1.0, 3), (0.5, 4), (0.3, 5)])
@pytest.mark.parametrize("moves", [True, False])
def test_a_mark_over_several_scenes_is_found_with_its_place(place, alpha, scenes, moves):
    clips = [scene(seed, moves=moves) for seed in range(scenes)]
    clean = pooled(clips)
    found = pooled([marked(clip, place, alpha) for clip in clips])
    assert (found.scenes, clean.scenes) == (scenes, scenes)
    assert clean.score <= THRESHOLD < found.score
    assert min(found.values) > THRESHOLD
    x, y = PLACES[place][0] + 28, PLACES[place][1] - 4  # about the middle of the letters
    left, top, right, bottom = found.box
    assert left <= x / W <= right
    assert top <= y / H <= bottom
    assert (right - left) * (bottom - top) < 0.1


@pytest.mark.parametrize("scenes", [3, 4, 6, 10, 20])
def test_unmarked_sources_are_clean(scenes):
    for moves in (True, False):
        for trial in range(4):
            found = pooled([scene(100 * trial + k, moves=moves) for k in range(scenes)])
            assert found.score <= THRESHOLD


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_scenes_are_unknown_and_never_clean(count):
    found = pooled([marked(scene(k), "centre", 1.0) for k in range(count)])
    assert math.isnan(found.score)
    assert len(found.values) == count
    assert all(math.isnan(v) for v in found.values)
    assert found.box is None


def test_a_fixed_camera_is_one_scene_however_many_clips():
    base = scene(7, moves=False)
    rng = np.random.default_rng(0)
    clips = [
        np.clip(np.roll(base, k, axis=0) + rng.normal(0, 3, base.shape), 0, 255).astype(np.uint8) for k in range(8)
    ]
    found = pooled(clips)
    assert found.scenes == 1
    assert math.isnan(found.score)


def test_two_cameras_in_turn_are_two_scenes():
    assert pooled([scene(k % 2, moves=False) for k in range(8)]).scenes == 2


def test_bars_rounded_corners_and_frame_edges_are_no_overlay():
    clips = []
    for k in range(5):
        clip = scene(k)
        clip[:, :18] = clip[:, -18:] = 0
        clip[:, :, :6] = clip[:, :, -6:] = 10
        gate = np.zeros((H, W), np.uint8)
        cv2.ellipse(gate, (W // 2, H // 2), (W // 2, H // 2 + 30), 0, 0, 360, 1, -1)
        clips.append(clip * gate[None, ..., None])
    clean = pooled(clips)
    assert clean.scenes == 5
    assert clean.score <= THRESHOLD
    assert pooled([marked(c, "centre", 0.5) for c in clips]).score > THRESHOLD  # and a mark inside still is


def test_clips_of_a_marked_source_without_the_mark_are_let_go():
    bare = [1, 5]
    clips = [scene(k) if k in bare else marked(scene(k), "corner", 0.8) for k in range(10)]
    found = pooled(clips)
    assert all(found.values[k] <= THRESHOLD for k in bare)
    assert all(found.values[k] > THRESHOLD for k in range(10) if k not in bare)


def test_more_clips_than_are_looked_at_are_all_judged():
    clips = [marked(scene(k, n=3), "corner", 0.8) for k in range(overlay.MAX_CLIPS + 8)]
    found = pooled(clips)
    assert found.scenes <= overlay.MAX_CLIPS
    assert len(found.values) == len(clips)
    assert min(found.values) > THRESHOLD


def test_clips_are_judged_part_by_part_as_all_at_once(monkeypatch):
    """Of a folder of tens of thousands of clips, numbers of all pixels of the mark at once would be gigabytes."""
    clips = [marked(scene(s), "corner", 0.8) if s % 3 else scene(s) for s in range(10)]
    evidences = [overlay.clip_evidence(clip) for clip in clips]
    at_once = overlay.pool(evidences)
    assert len(set(at_once.values)) > 2
    monkeypatch.setattr(overlay, "PART", 3)
    assert overlay.pool(evidences) == at_once


def test_evidence_is_small_and_the_same_for_the_same_clip():
    clip = scene(1)
    evidence = overlay.clip_evidence(clip)
    assert evidence == overlay.clip_evidence(clip.copy())
    assert len(evidence) < 12_000
    assert len(overlay.clip_evidence(clip, np.zeros((36, 64), np.float32))) == len(evidence) + 36 * 64
    assert overlay.map_rows(evidence) == 72


def test_any_shape_gives_evidence():
    for height, width in ((106, 256), (454, 256), (16, 256), (143, 255)):
        clip = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
        evidence = overlay.clip_evidence(clip)
        assert overlay.pool([evidence]).scenes == 1


def test_no_thumbnails_give_no_evidence():
    assert overlay.clip_evidence(np.zeros((0, H, W, 3), np.uint8)) == b""


def test_unlike_maps_and_foreign_bytes_are_refused():
    wide = overlay.clip_evidence(scene(1)[:, :100])
    with pytest.raises(ValueError, match="heights"):
        overlay.pool([overlay.clip_evidence(scene(1)), wide])
    with pytest.raises(ValueError, match="version"):
        overlay.pool([b"\x07abc"])
