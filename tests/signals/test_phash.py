"""Signatures of clips: copies are recognised, other footage and other takes are not."""

import cv2
import numpy as np
import pytest

from wanprep.signals import phash


def canvas(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return cv2.resize(rng.uniform(0, 255, (24, 48)).astype(np.float32), (640, 360), interpolation=cv2.INTER_CUBIC)


def footage(seed: int, n: int = 48, walk: int | None = None) -> np.ndarray:
    """uint8[n, 144, 256] at 24 fps: a fixed camera and a disc that wanders as `walk` says."""
    rng = np.random.default_rng([7, seed if walk is None else walk])
    back = canvas(seed)[100:244, 100:356]
    path = np.array([128, 72]) + np.cumsum(rng.normal(0, 3, (n, 2)), axis=0)
    out = np.clip(np.repeat(back[None], n, axis=0), 0, 255).astype(np.uint8)
    for frame, (x, y) in zip(out, path):
        cv2.circle(frame, (int(x) % 256, int(y) % 144), 30, 255 if back.mean() < 128 else 0, -1)
    return out


def signature(frames: np.ndarray, first: int = 0) -> bytes:
    """As the filter stage makes it of one clip, beginning `first` frames into its source."""
    thumbs = np.stack([cv2.resize(f, (256, 144)) for f in frames[-first % 12 :: 12]])
    tiny = np.stack([cv2.resize(f, (16, 12), interpolation=cv2.INTER_AREA) for f in frames])
    return phash.clip_signature(np.repeat(thumbs[..., None], 3, axis=-1), tiny, np.arange(len(frames)) / 24)


def match(a: np.ndarray, b: np.ndarray, first: int = 0) -> phash.Match:
    found = phash.match(phash.parse(signature(a)), phash.parse(signature(b, first)))
    assert found
    return found


def test_mirror_mask_is_the_hash_of_the_mirrored_picture():
    squares = np.random.default_rng(0).uniform(0, 255, (20, 32, 32))
    assert np.array_equal(phash.hash_pictures(squares[:, :, ::-1]), phash.hash_pictures(squares) ^ phash.MIRROR)


def copies(frames: np.ndarray) -> dict[str, np.ndarray]:
    noisy = frames + np.random.default_rng(1).normal(0, 6, frames.shape)
    return {
        "half size": np.stack([cv2.resize(f, (128, 72), interpolation=cv2.INTER_AREA) for f in frames]),
        "noise": np.clip(noisy, 0, 255).astype(np.uint8),
        "brighter": np.clip(frames * 1.15 + 5, 0, 255).astype(np.uint8),
        "cropped": np.ascontiguousarray(frames[:, 3:-3, 5:-5]),
        "letterboxed": np.pad(frames, ((0, 0), (24, 24), (0, 0))),
        "mirrored": np.ascontiguousarray(frames[:, :, ::-1]),
    }


@pytest.mark.parametrize("kind", copies(footage(0, 2)))
def test_copies_are_the_same(kind):
    for seed in range(4):
        found = match(footage(seed), copies(footage(seed))[kind])
        assert found.same(0.18), (seed, found)
        assert found.mirrored == (kind == "mirrored")


@pytest.mark.parametrize("first", [0, 7, 24])
def test_a_part_is_found_in_the_whole(first):
    frames = footage(3, n=96)
    assert match(frames, frames[first : first + 60], first).same(0.18)


def test_another_take_from_the_same_camera_is_not_the_same():
    for seed in range(6):
        found = match(footage(seed, walk=100 + seed), footage(seed, walk=200 + seed))
        assert not found.same(0.18), found
    alike = [match(footage(s, walk=100 + s), footage(s, walk=200 + s)).distance for s in range(6)]
    assert min(alike) < 0.15  # by hashes alone some would be


def test_other_footage_is_not_the_same():
    clips = [footage(seed) for seed in range(10)]
    assert not any(match(a, b).same(0.18) for k, a in enumerate(clips) for b in clips[:k])


def test_still_footage_needs_a_closer_likeness():
    a = np.repeat(footage(1)[:1], 48, axis=0)
    assert match(a, a).same(0.18)
    assert not match(a, a).moving
    assert not match(a, np.repeat(footage(2)[:1], 48, axis=0)).same(0.18)


def test_flat_or_no_pictures_have_no_signature():
    grey = np.full((24, 144, 256), 90, np.uint8)
    assert signature(grey) == b""
    assert phash.clip_signature(np.zeros((0, 144, 256, 3), np.uint8), grey, np.arange(24) / 24) == b""


def test_one_picture_has_one():
    still = footage(5, 1)
    assert len(phash.parse(signature(still)).hashes) == 1
    assert match(still, still).same(0.18)


def test_foreign_bytes_are_refused():
    with pytest.raises(ValueError, match="run filter again"):
        phash.parse(b"\x63abc")
    with pytest.raises(ValueError, match="run filter again"):
        phash.parse(b"")


def test_candidates_hold_every_copy_and_few_others():
    frames = [footage(seed) for seed in range(40)]
    made = [phash.parse(signature(f)) for f in frames]
    made += [phash.parse(signature(copies(frames[k])[kind])) for k, kind in enumerate(copies(frames[0]))]
    pairs = set(map(tuple, phash.candidates([one.hashes for one in made]).tolist()))
    assert {(k, 40 + k) for k in range(6)} <= pairs
    assert len(pairs) < 46 * 45 / 2 / 4
    assert phash.candidates([]).shape == (0, 2)


def test_a_fixed_camera_does_not_make_candidates_of_all_pairs():
    rng = np.random.default_rng(0)
    one = rng.integers(0, 2**63, 8, dtype=np.uint64)
    assert len(phash.candidates([one] * 2000)) < 2000 * 8 * phash.NEIGHBOURS * 8
