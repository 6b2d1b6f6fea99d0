"""Watermarks, logos and burned-in text: marks that stay in place while the scenes of a source change.

By its edges one clip cannot tell a logo from a static object (AUC 0.72-0.79 measured), several shots together can: each
clip leaves a small map of the edges that persisted in it, and the maps of different scenes agree by chance alone,
except where something was drawn over all of them. Clips of the same scene count once, so a fixed camera never looks
like a mark; with fewer than MIN_SCENES scenes the answer is unknown, never clean.

The network's opinion of each place (signals/marks.py) is pooled beside the edges: its mistakes are at other places in
every scene, a mark is not. At three scenes that says more than the edges, and both together most. Beside both, what
moves over the clips is kept, for marks that do not stay (signals/recurring.py).

Shape legend: M thumbnails, h x w their size, N clips, H x W the map (WIDTH wide), C = 2 gradient components, I x J
places.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from wanprep.signals import marks, moving, recurring
from wanprep.signals.scenes import SCENE, distinct_scenes

WIDTH = 128
HEAD = 8  # bytes: version, rows of the map, size of the places, drawings
MIN_SCENES = 3
MAX_CLIPS = 32  # of one pool that are looked at; more changes nothing but the time
PART = 256  # clips whose own edges are compared with these at once: a folder may hold tens of thousands
VERSION = 3
MARGIN = 3  # map pixels at the edges of the frame where codecs and scanners leave lines
TOP = 60  # map pixels a mark must cover: 0.65 % of a 16:9 frame
SOFT = 6.0  # gradient levels a pixel at which an edge counts half
CHANCE = 0.8  # over the number of scenes: what the best places of unmarked sources reach (97th percentile, measured)
PLACE_STEPS = 8.0  # quantisation of the log-odds of a place: eighths, -16 to 16 in a byte
STEPS = 7.0  # quantisation of one component to -7..7, so that a pixel is one byte


@dataclass(frozen=True, kw_only=True)
class Pooled:
    """What the clips of one source or group say together.

    score: agreement of persistent edges between scenes beyond chance, 0 (none) to 1; NaN below MIN_SCENES scenes.
    scenes: distinct scenes used. values: per clip, score weighed by how far the clip itself shows the mark; NaN like
    score. looks: per clip, log-odds of the places that speak for a mark in all scenes, half of them the clip's own;
    NaN like score and where the network saw nothing. moves: per clip, what `recurring.common` says. box: (left, top,
    right, bottom) in fractions of the frame, of the mark or, where score is 0, of those places; None without either.
    """

    score: float
    scenes: int
    box: marks.Box | None
    values: tuple[float, ...]
    looks: tuple[float, ...]
    moves: tuple[float, ...]


def to_json(pooled: Pooled) -> str:
    """As text, exact; `from_json` is the inverse."""
    return json.dumps(asdict(pooled))


def from_json(text: str) -> Pooled:
    values = json.loads(text)
    box = values["box"] and tuple(values["box"])
    return Pooled(**values | {"box": box} | {name: tuple(values[name]) for name in ("values", "looks", "moves")})


def clip_evidence(
    thumbs_MhwC: np.ndarray, places_IJ: np.ndarray | None = None, drawings: Sequence[moving.Drawing] = ()
) -> bytes:
    """Map of the persistent edges of one clip, about 13 kB, from uint8[M, h, w, 3] BGR thumbnails; b"" for none.

    places_IJ, drawings: what `marks.places` and `moving.find` say of them, kept beside.

    Signed gradients, so that edges of two scenes cancel where a mark's add up; the temporal median leaves what stayed.
    The strongest pixel of each 2 x 2 block is kept instead of the mean: thin letters survive halving that way.
    """
    import cv2

    count, height, width = thumbs_MhwC.shape[:3]
    if count == 0 or height < 8 or width < 8:
        return b""
    rows = max(8, round(height * WIDTH / width))
    size = (2 * WIDTH, 2 * rows)
    grays = [cv2.cvtColor(thumb, cv2.COLOR_BGR2GRAY) for thumb in thumbs_MhwC]
    if (width, height) != size:
        grays = [cv2.resize(gray, size, interpolation=cv2.INTER_AREA) for gray in grays]
    gradients = [[cv2.Sobel(g, cv2.CV_32F, *order) / 4 for g in grays] for order in ((1, 0), (0, 1))]
    persistent_Chw = np.stack([marks.middle(g) for g in gradients])
    strongest_CHW = _strongest(persistent_Chw)
    soft_CHW = strongest_CHW / (np.hypot(*strongest_CHW) + SOFT)
    nibbles_CHW = np.rint(soft_CHW * STEPS).astype(np.int8) + 8
    packed_HW = ((nibbles_CHW[0] << 4) | nibbles_CHW[1]).astype(np.uint8)
    brightest = np.max(np.stack(grays), axis=0)
    dark_HW = cv2.resize(brightest, (WIDTH, rows), interpolation=cv2.INTER_AREA) < 48
    usual = marks.middle([gray.astype(np.float32) for gray in grays]).astype(np.uint8)
    scene = cv2.resize(usual, SCENE, interpolation=cv2.INTER_AREA)
    places = np.zeros((0, 0), np.int8)
    if places_IJ is not None:
        places = np.clip(np.rint(places_IJ * PLACE_STEPS), -128, 127).astype(np.int8)
    drawn = recurring.packed(drawings)
    sizes = b"".join(size.to_bytes(2, "little") for size in (rows, *places.shape))
    parts = (packed_HW, np.packbits(dark_HW), places)
    head = bytes([VERSION]) + sizes + bytes([len(drawn) // recurring.BYTES])
    return head + b"".join(part.tobytes() for part in parts) + drawn + scene.tobytes()


def _strongest(values_Chw: np.ndarray) -> np.ndarray:
    """[C, h/2, w/2]: of each 2 x 2 block the vector of the longest gradient."""
    c, h, w = values_Chw.shape
    blocks = values_Chw.reshape(c, h // 2, 2, w // 2, 2).transpose(0, 1, 3, 2, 4).reshape(c, h // 2, w // 2, 4)
    best = np.argmax((blocks**2).sum(axis=0), axis=-1)
    return np.take_along_axis(blocks, best[None, ..., None], axis=-1)[..., 0]


@dataclass(frozen=True, kw_only=True)
class _Map:
    packed: np.ndarray  # uint8[rows, WIDTH]
    dark_bits: np.ndarray
    places: np.ndarray  # int8[I, J], [0, 0] where the network saw nothing
    drawn: np.ndarray
    scene: np.ndarray


def map_rows(evidence: bytes) -> int:
    """Height of the map; clips of different heights cannot be pooled. ValueError for bytes of another version."""
    if len(evidence) < HEAD or evidence[0] != VERSION:
        raise ValueError(f"overlay evidence starts with {evidence[:1]!r}, wanted version {VERSION}; run filter again")
    return int.from_bytes(evidence[1:3], "little")


def _parse(evidence: bytes) -> _Map:
    rows, shape = map_rows(evidence), (int.from_bytes(evidence[3:5], "little"), int.from_bytes(evidence[5:7], "little"))
    data = np.frombuffer(evidence, np.uint8, offset=HEAD)
    bits = rows * WIDTH
    places = bits + rows * WIDTH // 8
    drawn = places + shape[0] * shape[1]
    scene = drawn + evidence[7] * recurring.BYTES
    return _Map(
        packed=data[:bits].reshape(rows, WIDTH),
        dark_bits=data[bits:places],
        places=data[places:drawn].view(np.int8).reshape(shape),
        drawn=data[drawn:scene],
        scene=data[scene:],
    )


def _unpack(packed: np.ndarray) -> np.ndarray:
    """int8[2, ...] gradient components in -7..7."""
    return np.stack([(packed >> 4).astype(np.int8), (packed & 15).astype(np.int8)]) - np.int8(8)


def pool(evidences: Sequence[bytes]) -> Pooled:
    """Look for one mark over clips of one source (or group) whose maps have the same height.

    At each place the mean, over pairs of scenes, of the dot product of their soft edges: unbiased, zero for unrelated
    scenes whatever their number. The score is that of the TOP best places, less what the best places of so many
    unmarked scenes reach by chance. ValueError when heights differ.
    """
    if len({map_rows(e) for e in evidences}) > 1:
        raise ValueError("overlay maps of different heights cannot be pooled; pool them by map_rows first")
    last = len(evidences) - 1
    chosen: list[int] = np.unique(np.linspace(0, last, MAX_CLIPS).astype(int)).tolist() if evidences else []
    everything = [_parse(e) for e in evidences]
    maps = [everything[i] for i in chosen]
    dead_HW = _dead(maps) if maps else np.zeros((0, 0), bool)
    kept = distinct_scenes(np.stack([m.scene for m in maps]), dead_HW) if maps else []
    if len(kept) < MIN_SCENES:
        unknown = (math.nan,) * len(evidences)
        return Pooled(score=math.nan, scenes=len(kept), box=None, values=unknown, looks=unknown, moves=unknown)
    scenes = [chosen[i] for i in kept]
    looks, look_box = marks.common([m.places / np.float32(PLACE_STEPS) for m in everything], scenes)
    moves = recurring.common([recurring.unpacked(m.drawn) for m in everything], scenes)
    edges_CNHW = _unpack(np.stack([maps[i].packed for i in kept]))
    edges_CNHW[:, :, dead_HW] = 0
    smooth_HW, best = _top(_agreement(edges_CNHW))
    score = best - CHANCE / len(kept)
    if score > 0.0:
        score = min(score, best - 1.2 * _misaligned(edges_CNHW))
    if score <= 0.0:
        none = (0.0,) * len(evidences)
        return Pooled(score=0.0, scenes=len(kept), box=look_box, values=none, looks=looks, moves=moves)
    mark_HW = smooth_HW >= 0.5 * best
    in_pool = {chosen[i]: n for n, i in enumerate(kept)}
    return Pooled(
        score=score,
        scenes=len(kept),
        box=_box(mark_HW, smooth_HW),
        values=_values(evidences, edges_CNHW, mark_HW, score, in_pool),
        looks=looks,
        moves=moves,
    )


def _agreement(edges_CNHW: np.ndarray) -> np.ndarray:
    """float32[H, W]: mean dot product of the vectors of two different scenes = (|sum|² − sum of |.|²) / (n(n−1))."""
    n = edges_CNHW.shape[1]
    sums_CHW = edges_CNHW.sum(axis=1, dtype=np.int16).astype(np.float32)
    squares_HW = np.square(edges_CNHW, dtype=np.int8).sum(axis=(0, 1), dtype=np.int16).astype(np.float32)
    dots_HW = np.square(sums_CHW).sum(axis=0) - squares_HW
    return dots_HW / (n * (n - 1) * STEPS**2)


def _misaligned(edges_CNHW: np.ndarray) -> float:
    """What the best places reach when the maps are shifted against each other, so that no mark can agree.

    Scenes full of large soft shapes agree by chance more than others; this measures it on the scenes at hand.
    """
    _, n, height, width = edges_CNHW.shape
    best = 0.0
    for turn in (1, 2, 3, 4):
        shifts = [(k * (height // 5 + 3 * turn), k * (width // 7 + 11 * turn)) for k in range(n)]
        rolled = np.stack([np.roll(edges_CNHW[:, k], shift, axis=(1, 2)) for k, shift in enumerate(shifts)], axis=1)
        best = max(best, _top(_agreement(rolled))[1])
    return best


def _dead(maps: list[_Map]) -> np.ndarray:
    """bool[H, W]: frame edges, and bars or rounded corners (always dark in all clips and touching the edge)."""
    import cv2

    rows = maps[0].packed.shape[0]
    bits = np.bitwise_and.reduce(np.stack([m.dark_bits for m in maps]))
    dead = np.zeros((rows, WIDTH), bool)
    if bits.any():
        dark = np.pad(np.unpackbits(bits).reshape(rows, WIDTH), 1, constant_values=1)
        labels = cv2.connectedComponents(dark, connectivity=4)[1]
        outside = (labels == labels[0, 0])[1:-1, 1:-1].astype(np.uint8)
        dead = cv2.dilate(outside, np.ones((5, 5), np.uint8)) > 0
    dead[:MARGIN] = dead[-MARGIN:] = True
    dead[:, :MARGIN] = dead[:, -MARGIN:] = True
    return dead


def _top(agreement_HW: np.ndarray) -> tuple[np.ndarray, float]:
    """Agreement over 5 x 5 pixels, and the mean of its TOP best places (0 when they disagree)."""
    import cv2

    smooth_HW = cv2.blur(np.maximum(agreement_HW, 0.0), (5, 5))
    best = np.partition(smooth_HW.ravel(), -TOP)[-TOP:]
    return smooth_HW, float(best.mean())


def _box(mark_HW: np.ndarray, smooth_HW: np.ndarray) -> marks.Box:
    """Bounding box, in fractions of the frame, of the patches that matter (a quarter of the largest or more)."""
    import cv2

    joined = cv2.dilate(mark_HW.astype(np.uint8), np.ones((3, 9), np.uint8))  # letters of one line
    count, labels = cv2.connectedComponents(joined, connectivity=8)
    mass = np.bincount(labels.ravel(), weights=np.where(mark_HW, smooth_HW, 0).ravel(), minlength=count)
    mass[0] = 0.0
    return marks.box_around(mark_HW & (mass >= 0.25 * mass.max())[labels])


def _values(
    evidences: Sequence[bytes], edges_CNHW: np.ndarray, mark_HW: np.ndarray, score: float, in_pool: dict[int, int]
) -> tuple[float, ...]:
    """Score of each clip: full when its own edges follow the mean of the others' at half strength or more."""
    rows, columns = np.nonzero(mark_HW)
    pooled_CNQ = edges_CNHW[:, :, rows, columns].astype(np.float32)
    n = pooled_CNQ.shape[1]
    where = HEAD + rows * WIDTH + columns
    total_CQ = pooled_CNQ.sum(axis=1)
    values: list[float] = []
    for start in range(0, len(evidences), PART):
        part = evidences[start : start + PART]
        own_CKQ = _unpack(np.stack([np.frombuffer(e, np.uint8)[where] for e in part])).astype(np.float32)
        own = np.array([k in in_pool for k in range(start, start + len(part))])
        others_CKQ = (total_CQ[:, None] - own_CKQ * own[None, :, None]) / (n - own[None, :, None])
        shown = (own_CKQ * others_CKQ).sum(axis=(0, 2)) / np.maximum(np.square(others_CKQ).sum(axis=(0, 2)), 1e-6)
        values += (score * np.clip(2.0 * shown, 0.0, 1.0)).tolist()
    return tuple(values)
