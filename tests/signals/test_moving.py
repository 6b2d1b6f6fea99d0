"""Marks that move: what moves as one is found and followed; scenes that share a drawing tell a mark from a car."""

import itertools
import math

import cv2
import numpy as np
import pytest

from wanprep.signals import moving, overlay, recurring, speeds, strays

H, W = 144, 256


def scene(seed: int, n: int = 6) -> np.ndarray:
    """uint8[n, H, W, 3] thumbnails of one shot under a slow pan."""
    rng = np.random.default_rng(seed)
    canvas = np.full((H * 2, W * 2), rng.uniform(60, 160), np.float32)
    for cells, gain in ((3, 40), (10, 30), (40, 15)):
        noise = rng.normal(0, gain, (cells, cells * 2)).astype(np.float32)
        canvas += cv2.resize(noise, (W * 2, H * 2), interpolation=cv2.INTER_CUBIC)
    for _ in range(30):
        x, y, r = int(rng.integers(W * 2)), int(rng.integers(H * 2)), int(rng.integers(6, 60))
        cv2.rectangle(canvas, (x, y), (x + r, y + r // 2), float(rng.uniform(0, 255)), -1)
    views = [canvas[40 + 2 * k : 40 + 2 * k + H, 30 + 5 * k : 30 + 5 * k + W] for k in range(n)]
    return np.repeat(np.clip(np.stack(views), 0, 255).astype(np.uint8)[..., None], 3, axis=-1)


def drifting(thumbs: np.ndarray, text: str, start: tuple[int, int], step: tuple[int, int]) -> np.ndarray:
    """With a white word that moves by `step` pixels (across, down) a picture."""
    out = thumbs.copy()
    for k, picture in enumerate(out):
        at = start[0] + step[0] * k, start[1] + step[1] * k
        cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, (255, 255, 255), 1, cv2.LINE_AA)
    return out


def passing(thumbs: np.ndarray, kind: str, start: tuple[int, int], step: tuple[int, int]) -> np.ndarray:
    """With a thing of the scene that moves so."""
    out = thumbs.copy()
    for k, picture in enumerate(out):
        x, y = start[0] + step[0] * k, start[1] + step[1] * k
        if kind == "ball":
            cv2.circle(picture, (x, y), 15, (30, 40, 50), -1)
        elif kind == "lorry":
            cv2.rectangle(picture, (x, y - 12), (x + 46, y + 12), (200, 190, 180), -1)
            cv2.rectangle(picture, (x + 34, y - 9), (x + 43, y), (40, 40, 40), -1)
        else:
            cv2.fillPoly(picture, [np.array([[x, y + 14], [x + 22, y - 16], [x + 38, y + 10]])], (70, 90, 80))
    return out


WAYS = [((20, 40), (14, 9)), ((150, 110), (-12, -8)), ((90, 30), (9, 13)), ((30, 120), (16, -11))]


def pooled(clips: list[np.ndarray]) -> overlay.Pooled:
    return overlay.pool([overlay.clip_evidence(clip, None, moving.find(clip)) for clip in clips])


@pytest.mark.parametrize(("start", "step"), WAYS)
def test_a_word_that_drifts_is_among_what_moves_and_where_it_is(start, step):
    clip = drifting(scene(3), "studio", start, step)
    x, y = start[0] + 25 + 3 * step[0], start[1] - 5 + 3 * step[1]  # its middle in the picture amid the clip
    assert any(
        left <= x / W <= right and top <= y / H <= bottom
        for left, top, right, bottom in (drawing.box for drawing in moving.find(clip))
    )


def followed(clip: np.ndarray, start: tuple[int, int], step: tuple[int, int]) -> bool:
    """Whether something is followed that is where a word was drawn so, and goes its way."""
    x, y = start[0] + 25 + 3 * step[0], start[1] - 5 + 3 * step[1]
    for found in moving.things(speeds.soft_edges([picture[..., 0] for picture in clip])):
        top, left, _ = found.track[3]
        ways = [(found.track[k + 1][1] - found.track[k][1], found.track[k + 1][0] - found.track[k][0])
                for k in found.track if k + 1 in found.track]  # fmt: skip
        if top <= y <= top + moving.HEIGHT and left <= x <= left + moving.WIDTH and step in ways:
            return True
    return False


def test_two_words_at_one_pace_are_both_among_what_moves():
    step, starts = (13, 6), ((15, 30), (120, 100))
    clip = scene(4)
    for start in starts:
        clip = drifting(clip, "studio", start, step)
    assert all(followed(clip, start, step) for start in starts)
    assert not followed(scene(4), starts[0], step)


def test_what_moves_is_told_once_and_no_more_of_it_than_is_judged():
    clip = drifting(scene(3), "studio", *WAYS[0])
    found = moving.things(speeds.soft_edges([picture[..., 0] for picture in clip]))
    assert 0 < len(found) <= moving.JUDGED + strays.FOLLOWED
    for one, other in itertools.combinations(found, 2):
        shared = one.track.keys() & other.track.keys()
        assert any(one.track[t][:2] != other.track[t][:2] for t in shared)


def test_the_same_word_on_its_way_over_three_scenes_is_a_mark_and_what_passes_in_each_is_none():
    scenes = [scene(seed) for seed in (1, 2, 3)]
    same = pooled([drifting(clip, "studio", *way) for clip, way in zip(scenes, WAYS)])
    assert same.scenes == 3
    assert min(same.moves) > 0.05
    others = [passing(clip, kind, *way) for clip, kind, way in zip(scenes, ("ball", "lorry", "sail"), WAYS)]
    assert not max(pooled(others).moves) > 0
    assert not max(pooled(scenes).moves) > 0


def test_what_two_of_three_scenes_share_convicts_where_it_looks_drawn_and_a_lorry_does_not():
    third = passing(scene(3), "ball", *WAYS[2])
    for make, about, convicts in ((drifting, "studio", True), (passing, "lorry", False)):
        clips = [make(scene(seed), about, *way) for seed, way in zip((1, 2), WAYS)]
        assert (max(pooled([*clips, third]).moves) > 0) == convicts


def test_a_clip_that_misses_the_mark_of_most_scenes_counts_with_them():
    clips = [drifting(scene(seed), "studio", *way) for seed, way in zip((1, 2, 3, 4), WAYS)]
    assert min(pooled([*clips, scene(5)]).moves) > 0


def test_nothing_is_found_in_clips_that_are_short_flat_or_still():
    clip = drifting(scene(1), "studio", *WAYS[0])
    assert moving.find(clip[:2]) == []
    assert moving.find(clip[:, :50]) == []
    assert moving.find(np.repeat(clip[:1], 5, axis=0)) == []
    assert moving.find(np.zeros((5, H, W, 3), np.uint8)) == []


def crawling(thumbs: np.ndarray, step: int, cover: float) -> np.ndarray:
    """With a long faint line of small print that goes sideways and comes in again."""
    line = np.zeros((H, W), np.uint8)
    cv2.putText(line, "Copyright 2013 Somebody. All Rights", (30, 136), cv2.FONT_HERSHEY_SIMPLEX, 0.3, 255.0, 1)
    rolled = np.stack([np.roll(line * (cover / 255), step * k, axis=1) for k in range(len(thumbs))])[..., None]
    return (thumbs * (1 - rolled) + 255 * rolled).astype(np.uint8)


def test_a_faint_ticker_is_followed_at_its_pace_through_pictures_that_hardly_show_it():
    for seed in (1, 2, 3):
        clip = crawling(scene(seed), -20, 0.25)
        found = moving.ticker(speeds.soft_edges([picture[..., 0] for picture in clip]))
        assert found is not None
        steps = {b[1] - a[1] for a, b in itertools.pairwise(at for _, at in sorted(found.track.items()))}
        assert steps <= {-21, -20, -19}
        assert len(found.track) >= 4
        top = found.track[3][0]
        assert top <= 128 <= top + moving.HEIGHT
        assert moving.ticker(speeds.soft_edges([picture[..., 0] for picture in scene(seed)])) is None
        assert moving.find(clip)[0].odds > moving.find(scene(seed))[0].odds


def test_what_is_short_and_goes_sideways_is_no_ticker(monkeypatch):
    """A bird before a sky that stays: as clear a pace as print has, at one place of its rows."""
    still = np.repeat(scene(1)[:1], 6, axis=0)
    for k, picture in enumerate(still):
        wings = np.array([[40 + 14 * k, 66], [47 + 14 * k, 61 + 3 * (k % 2)], [54 + 14 * k, 66]])
        cv2.polylines(picture, [wings], False, (250, 250, 250), 2, cv2.LINE_AA)
    parts = speeds.soft_edges([picture[..., 0] for picture in still])
    assert moving.ticker(parts) is None
    monkeypatch.setattr(moving, "WIDE", 0.0)
    assert moving.ticker(parts) is not None  # but for how narrow it is, it would be one


def jumping(thumbs: np.ndarray, when: int) -> np.ndarray:
    """With a logo that is in one corner before that picture, and in another from it on."""
    out = thumbs.copy()
    for k, picture in enumerate(out):
        x, y = (228, 20) if k < when else (20, 122)
        cv2.circle(picture, (x, y), 9, (255, 255, 255), 2, cv2.LINE_AA)
        cv2.line(picture, (x - 4, y), (x + 4, y), (255, 255, 255), 2)
    return out


@pytest.mark.parametrize(("count", "when"), [(5, 1), (5, 3), (6, 4), (20, 3), (20, 17)])
def test_a_logo_that_jumps_anywhere_in_the_clip_is_a_mark_and_where_it_is(count, when):
    found = moving.find(jumping(scene(2, count), when))[0]
    assert found.odds > 4.6  # overlays.SURE
    assert found.odds == found.look + moving.JUMPS
    left, top, right, bottom = found.box
    middle = np.linspace(0, count - 1, min(count, moving.MOST)).astype(int)[min(count, moving.MOST) // 2]
    x, y = (228, 20) if middle < when else (20, 122)
    assert left <= x / W <= right
    assert top <= y / H <= bottom
    assert min(found.box) >= 0
    assert max(found.box) <= 1
    assert all(drawing.odds < 4.6 for drawing in moving.find(scene(2, count)))


def test_drawings_are_kept_to_a_step_of_seven_the_likeliest_first():
    drawings = moving.find(drifting(scene(1), "studio", *WAYS[0]))
    assert [d.odds for d in drawings] == sorted((d.odds for d in drawings), reverse=True)
    data = recurring.packed(drawings * 4)
    assert len(data) == recurring.MOST * recurring.BYTES
    kept = recurring.unpacked(np.frombuffer(data, np.uint8))
    first = sorted(drawings * 4, key=lambda d: -d.look)  # whatever the way they move is worth
    odds = np.clip([d.look for d in first[: recurring.MOST]], -16, 15.875)  # a byte of eighths
    np.testing.assert_allclose(kept.odds, odds, atol=0.07)
    np.testing.assert_allclose(kept.edges[0] / recurring.STEPS, first[0].edges, atol=0.072)


def test_below_three_scenes_with_drawings_nothing_is_known():
    nothing = recurring.unpacked(np.zeros(0, np.uint8))
    data = recurring.packed(moving.find(drifting(scene(1), "studio", *WAYS[0])))
    one = recurring.unpacked(np.frombuffer(data, np.uint8))
    assert all(math.isnan(value) for value in recurring.common([one, one, nothing], [0, 1, 2]))


def test_the_pooled_evidence_survives_as_text():
    found = pooled([drifting(scene(seed), "studio", *way) for seed, way in zip((1, 2, 3), WAYS)])
    assert repr(overlay.from_json(overlay.to_json(found))) == repr(found)  # as text, because NaN is not NaN
    assert found.moves[0] > 0
