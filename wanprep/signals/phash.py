"""Near-duplicates: the same footage again, re-encoded, rescaled, cropped a little, brightened, mirrored or shortened.

A clip leaves a signature: a 64-bit hash of the coarse shape of each thumbnail (two a second), and four very small
pictures a second. Two clips are the same footage when, at one offset, their hashes agree *and* what changes over time
changes alike. The second test does what hashes cannot: two takes from one camera position hash alike (measured: 4 of
64 bits apart, correlation of changes 0.0; a re-encoded copy has 0.99).

Hash: signs of the lowest 8 x 8 DCT coefficients of a 32 x 32 picture (pHash, Zauner 2010), with the sign in place of
the comparison with the median, so that mirroring is an exclusive or with MIRROR and needs no second hash.
Shape legend: M thumbnails, h x w their size, Q small pictures of P pixels.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

VERSION = 1
SIDE, LOW = 32, 8  # DCT size, coefficients kept a side
SMALL = (8, 6)  # columns, rows of the very small pictures
SMALL_RATE = 4  # of them a second
LONGEST = 120  # seconds: a longer clip is judged by its first two minutes
FLAT = 4.0  # levels of deviation below which a picture has no shape to compare
STILL = 0.7  # levels: where less than this changes over time there is no change to compare
ALIKE = 0.8  # correlation of changes: copies have 0.9 and more, other moments of the same shot mostly below 0.6
ALIKE_STILL = 0.95  # correlation of pictures in which nothing changes
CHUNKS = 4  # 16-bit pieces of a hash, one of which must agree exactly for a pair to be looked at
NEIGHBOURS = 6  # of equal pieces how many of those with the nearest hash are looked at
PER_CLIP = 10  # hashes of a clip that look for its like
NEAR = 14  # bits that two hashes with an equal piece may differ by
MOST = 20_000  # pairs that are looked at; beyond, those with the most hashes in common
COVERED = 0.8  # of a clip must be found in the other

# Bit 8·v + u is coefficient (u across, v down): mirroring negates those of odd u. Bit 0 is the mean, always set.
MIRROR = np.uint64(sum(1 << (8 * v + u) for v in range(8) for u in range(8) if u % 2))


@dataclass(frozen=True, kw_only=True)
class Signature:
    """hashes: uint64[M], two a second. small: uint8[Q, P], SMALL_RATE a second from the clip's first frame on."""

    hashes: np.ndarray
    small: np.ndarray


@dataclass(frozen=True, kw_only=True)
class Match:
    """How well two clips agree at their best offset. distance: differing bits of the hashes, 0..1. change:
    correlation of what changes over time, -1..1; where nothing does in either (moving is False), of their mean
    pictures. mirrored: one is the other's mirror image."""

    distance: float
    change: float
    moving: bool
    mirrored: bool

    def same(self, threshold: float) -> bool:
        """Whether they show the same footage. threshold: of distance; half of it where nothing moves, because one
        picture says less than many."""
        if self.moving:
            return self.distance <= threshold and self.change >= ALIKE
        return self.distance <= threshold / 2 and self.change >= ALIKE_STILL


def clip_signature(
    thumbs_MhwC: np.ndarray, tiny_NHW: np.ndarray, seconds_N: np.ndarray, part: tuple[slice, slice] | None = None
) -> bytes:
    """Signature of one clip, 210 bytes a second; b"" when there is nothing to compare (no thumbnail, or flat).

    thumbs_MhwC: uint8 BGR, two a second. tiny_NHW: uint8 luma of every frame, a few pixels wide; seconds_N its times.
    part: rows and columns of the thumbnails between black bars, where there are known ones; others are left out too, so
    that a letterboxed copy is recognised.
    """
    import cv2

    grays = [cv2.cvtColor(thumb, cv2.COLOR_BGR2GRAY) for thumb in itertools.islice(thumbs_MhwC, 2 * LONGEST)]
    if not grays or np.median([gray[part or ...].std() for gray in grays]) < FLAT:
        return b""
    if part is None:
        top, bottom, left, right = _picture(np.max(np.stack(grays), axis=0))
    else:
        top, bottom, left, right = part[0].start, part[0].stop, part[1].start, part[1].stop
    inside = [gray[top:bottom, left:right] for gray in grays]
    squares = np.stack([cv2.resize(gray, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for gray in inside])
    due = np.arange(0.0, min(LONGEST, seconds_N[-1] - seconds_N[0]) + 1e-6, 1 / SMALL_RATE) + seconds_N[0]
    nearest = np.searchsorted(seconds_N[:-1] / 2 + seconds_N[1:] / 2, due)
    # Of every pixel of the small picture the middle third, so that the bars' edges need not fall on whole rows.
    scale = np.array([tiny_NHW.shape[2] / grays[0].shape[1], tiny_NHW.shape[1] / grays[0].shape[0]])
    step = np.array([right - left, bottom - top]) * scale / SMALL
    corner = np.array([left, top]) * scale + step / 2 - 0.5
    matrix = np.array([[step[0], 0, corner[0]], [0, step[1], corner[1]]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    small = [
        cv2.warpAffine(tiny_NHW[k], matrix, SMALL, flags=flags, borderMode=cv2.BORDER_REPLICATE).ravel()
        for k in nearest
    ]
    head = bytes([VERSION]) + len(grays).to_bytes(2, "little")
    return head + hash_pictures(squares).astype("<u8").tobytes() + np.stack(small).tobytes()


def parse(signature: bytes) -> Signature:
    """The inverse of `clip_signature`; ValueError for bytes of another version."""
    hashes = hashes_in(signature)
    small = np.frombuffer(signature, np.uint8, offset=3 + 8 * len(hashes))
    return Signature(hashes=hashes, small=small.reshape(-1, SMALL[0] * SMALL[1]))


def hashes_in(signature: bytes) -> np.ndarray:
    """`Signature.hashes` alone, in half of the time."""
    if len(signature) < 3 or signature[0] != VERSION:
        raise ValueError(f"signature starts with {signature[:1]!r}, wanted version {VERSION}; run filter again")
    return np.frombuffer(signature, "<u8", int.from_bytes(signature[1:3], "little"), offset=3)


def _picture(brightest_hw: np.ndarray) -> tuple[int, int, int, int]:
    """(top, bottom, left, right) of the part inside black bars, if it is at least half the picture each way."""
    edges: list[int] = []
    for axis, length in ((1, brightest_hw.shape[0]), (0, brightest_hw.shape[1])):
        lit = np.flatnonzero(brightest_hw.max(axis=axis) > 24)
        whole = not len(lit) or lit[-1] + 1 - lit[0] < length / 2
        edges += (0, length) if whole else (int(lit[0]), int(lit[-1]) + 1)
    return edges[0], edges[1], edges[2], edges[3]


@functools.cache
def _basis() -> np.ndarray:
    """float64[LOW, SIDE]: the lowest rows of the DCT-II."""
    k, x = np.arange(LOW)[:, None], np.arange(SIDE)[None]
    return np.cos(np.pi * k * (2 * x + 1) / (2 * SIDE))


def hash_pictures(squares_MSS: np.ndarray) -> np.ndarray:
    """uint64[M] of float or uint8[M, SIDE, SIDE]."""
    coefficients = np.einsum("vy,myx,ux->mvu", _basis(), squares_MSS.astype(np.float64), _basis(), optimize=True)
    bits = (coefficients > 0).reshape(len(squares_MSS), -1)
    return np.packbits(bits, axis=1, bitorder="little").view("<u8").ravel()


def match(a: Signature, b: Signature, within: float = 1.0) -> Match | None:
    """Compare two clips at every offset at which most of the shorter is covered, both ways round; None when their
    hashes are further apart than `within`."""
    least = max(1, int(np.ceil(COVERED * min(len(a.hashes), len(b.hashes)) - 1e-9)))
    best = (2.0, 0, False)
    for mirrored in (False, True):
        other = b.hashes ^ MIRROR if mirrored else b.hashes
        apart_AB = np.bitwise_count(a.hashes[:, None] ^ other[None]) / 64
        for offset in range(least - len(b.hashes), len(a.hashes) - least + 1):
            best = min(best, (float(np.diagonal(apart_AB, -offset).mean()), offset, mirrored))
    distance, offset, mirrored = best
    if distance > within:
        return None
    # Thumbnails stand on the source's half seconds, the small pictures on the clip's own quarters.
    around = range(2 * offset - 2, 2 * offset + 3)
    change, moving = max(_change(a.small, b.small, offset, mirrored) for offset in around)
    return Match(distance=distance, change=change, moving=moving, mirrored=mirrored)


def _change(a_QP: np.ndarray, b_QP: np.ndarray, offset: int, mirrored: bool) -> tuple[float, bool]:
    """(Match.change, Match.moving) of the small pictures, b's delayed by `offset` of them."""
    first, last = max(0, offset), min(len(a_QP), len(b_QP) + offset)
    if last - first < max(1.0, COVERED * min(len(a_QP), len(b_QP)) - 2):
        return -1.0, True
    x = a_QP[first:last].astype(np.float32).reshape(-1, SMALL[1], SMALL[0])
    y = b_QP[first - offset : last - offset].astype(np.float32).reshape(-1, SMALL[1], SMALL[0])
    y = y[:, :, ::-1] if mirrored else y
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    x, y = x - mean_x, y - mean_y
    moving = bool(max(np.square(x).mean(), np.square(y).mean()) >= STILL**2)
    if not moving:
        x, y = mean_x - mean_x.mean(), mean_y - mean_y.mean()
    return float((x * y).mean() / np.sqrt(max(np.square(x).mean() * np.square(y).mean(), 1e-6))), moving


def candidates(hashes: Sequence[np.ndarray]) -> np.ndarray:
    """int64[K, 2]: pairs of clips (i < j) worth comparing, also mirrored: some piece of some hash is equal. hashes: of
    each clip, as in its signature.

    Of many clips with equal pieces (a fixed camera) only those next to each other in the order of their hashes, so
    the work grows with the number of clips and not with its square.
    """
    owner, plain = _looking(hashes)
    owner, both = np.concatenate([owner, owner]), np.concatenate([plain, plain ^ MIRROR])
    found = [np.zeros(0, np.int64)]
    for chunk in range(CHUNKS):
        turned = (both << np.uint64(16 * chunk)) | (both >> np.uint64((64 - 16 * chunk) % 64))
        order = _stable_order(turned)
        piece, who, whole = (turned[order] >> np.uint64(48)).astype(np.uint16), owner[order], both[order]
        for step in range(1, NEIGHBOURS + 1):
            near = np.flatnonzero(piece[step:] == piece[:-step])
            near = near[np.bitwise_count(whole[near + step] ^ whole[near]) <= NEAR]
            one, two = who[near + step], who[near]
            pairs = np.minimum(one, two) * len(hashes) + np.maximum(one, two)
            found.append(pairs[one != two])
    pairs, votes = np.unique(np.concatenate(found), return_counts=True)
    if len(pairs) > MOST:
        pairs = np.sort(pairs[np.argsort(-votes, kind="stable")[:MOST]])
    return np.stack(np.divmod(pairs, len(hashes)), axis=1)


def _looking(hashes: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The hashes that look for their like, PER_CLIP of each clip, spread over it: (int64 clip, uint64 hash) of each."""
    counts = np.array([len(own) for own in hashes], np.int64)
    starts = np.cumsum(counts) - counts
    picked = np.zeros(counts.sum(), bool)
    for count in {*counts.tolist()} - {0}:
        spread = np.linspace(0, count - 1, min(PER_CLIP, count)).astype(int)
        picked[starts[counts == count][:, None] + spread] = True
    return np.repeat(np.arange(len(counts)), counts)[picked], np.concatenate([np.zeros(0, np.uint64), *hashes])[picked]


def _stable_order(values: np.ndarray) -> np.ndarray:
    """What argsort(kind="stable") gives, in a third of its time: only equal values are put in their order after."""
    order = np.argsort(values)
    ranked = values[order]
    equal = np.concatenate([[False], ranked[1:] == ranked[:-1], [False]])
    places = np.flatnonzero(equal[1:] | equal[:-1])
    order[places] = order[places][np.lexsort((order[places], ranked[places]))]
    return order
