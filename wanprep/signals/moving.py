"""Marks that move over a clip: a logo that drifts or crosses the picture, a ticker, a name that bounces off the edges.

A mark moves as one, on a way of its own, and looks drawn. What moves as one is found by correlating the edges of
thumbnails with those of the next (signals/speeds.py): whitened, so that a few sharp letters outweigh a whole soft
scene, and less those that stay or move as their surroundings do. Each place found is followed through the clip, held
still, and judged by a small convolutional network (38,000 weights beside this file, trained by
tests/benchmarks/train_moving.py, run with numpy). Rows that go sideways at a pace of their own (a ticker) and what is
at one place first and at another then (signals/hops.py) are judged so, too, and need look drawn less surely: hardly
anything else does that. What cars and people in one clip can pass for, the scenes of a
source tell apart: see signals/recurring.py, for which the drawing itself is kept.

Shape legend: N thumbnails, h x w their size, C maps, H x W a window.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from wanprep.signals import hops, marks, speeds, strips
from wanprep.signals.strays import strays
from wanprep.signals.trails import HEIGHT, WIDTH, Found, Track, followed, same, taken

WEIGHTS = Path(__file__).with_name("moving.safetensors")
MARGIN = (12, 16)  # around it, for the network
MOST = 6  # thumbnails, from the middle of the clip
PLACES = 2  # where something moves at one speed
FOLLOWED, JUDGED = 14, 8  # of these, the strongest; of those, the likeliest
FIRST = (0.7, 0.2, -5.3, 1.7, -3.5, 4.6, 0.9, 0.0)  # log-odds by their facts, a logistic regression
JUMPS, TICKS = 2.5, 3.4  # log-odds that these ways of moving are worth by themselves
STRIP = 8.0  # the same of print on a strip, besides: whatever the network says, which saw none
USUAL = 0.9  # what is said of the speed of a jump
CLEAR = 4.0  # rows that go sideways less clearly are no ticker (a quarter of unmarked clips have clearer ones)
THERE = 3.2  # the same of rows on a strip
MOST_OF, WIDE = 0.8, 0.2  # so much of what agrees in rows of print is spread over such a share of the width, at least
ALONG = 0.25  # agreement of the rest of the picture with a speed that is the scene's own


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Something that moves over a clip as one. odds: log-odds that it is a mark. look: by its look alone. box: where it
    is in the middle of the clip. edges: float32[2, HEIGHT, WIDTH], its soft gradient, across and down, -1..1."""

    odds: float
    look: float
    box: marks.Box
    edges: np.ndarray


@dataclass(frozen=True, kw_only=True)
class _Place:
    """A window of the middle picture, by its upper left corner. strength: how well it agrees along speed, which is as
    `speeds` says. agreement_hw: of the whole picture."""

    y: int
    x: int
    strength: float
    speed: speeds.Speed
    agreement_hw: np.ndarray


def find(thumbs_MhwC: np.ndarray, weights: marks.Weights | None = None) -> list[Drawing]:
    """Things that move over uint8[M, h, w, 3] BGR thumbnails of one clip, in order, the likeliest mark first.

    None without three thumbnails of some size. weights: others than the shipped ones, see `marks.load`.
    """
    if len(thumbs_MhwC) < 3 or thumbs_MhwC.shape[1] * marks.WIDTH < 2 * HEIGHT * thumbs_MhwC.shape[2]:
        return []
    first = max(0, (len(thumbs_MhwC) - MOST) // 2)
    spread = np.linspace(0, len(thumbs_MhwC) - 1, min(MOST, len(thumbs_MhwC))).astype(int)  # a jump may be anywhere
    w = weights or _shipped()
    out = _on_the_move(marks.lumas(thumbs_MhwC[first : first + MOST]), w)
    out += _jumping(marks.lumas(thumbs_MhwC[spread]), w)
    return sorted(out, key=lambda drawing: -drawing.odds)


def _on_the_move(thumbs_Nhw: Sequence[np.ndarray], w: marks.Weights) -> list[Drawing]:
    parts, around = speeds.soft_edges(thumbs_Nhw), room(thumbs_Nhw)
    told = [(found, 0.0) for found in things(parts)]
    told += [(found, TICKS) for found in [ticker(parts)] if found]
    if grounds := strips.strips(thumbs_Nhw):
        told += [(found, TICKS + STRIP) for found in [ticker(parts, grounds)] if found]
    out = []
    for found, more in told:
        shown = ([part[t, i : i + HEIGHT, j : j + WIDTH] for t, (i, j, _) in found.track.items()] for part in parts)
        look = _judged(held(around, found.track), found.facts, w)
        out.append(
            Drawing(
                odds=look + more,
                look=look,
                box=_box(found.track[len(thumbs_Nhw) // 2], thumbs_Nhw[0].shape),
                edges=np.stack([marks.middle(seen) for seen in shown]),
            )
        )
    return out


def _jumping(thumbs_Nhw: Sequence[np.ndarray], w: marks.Weights) -> list[Drawing]:
    out = []
    found = hops.hops(thumbs_Nhw)
    around = room(thumbs_Nhw) if found else []
    for hop in found:
        facts = (
            math.log(max(hop.peak, 1.0)), math.log(max(hop.strength, 1.0)), float(np.mean(hop.again)),
            min(hop.again), 0.0, hop.share, 1.0, USUAL,
        )  # fmt: skip
        look = _judged(held(around, dict(enumerate(hop.places))), facts, w)
        out.append(
            Drawing(
                odds=look + JUMPS,
                look=look,
                box=_box(hop.places[len(thumbs_Nhw) // 2], thumbs_Nhw[0].shape),
                edges=hop.edges,
            )
        )
    return out


def _box(place: Sequence[float], shape: Sequence[int]) -> marks.Box:
    (y, x), (height, width) = place[:2], shape
    left, top, right, bottom = x / width, y / height, (x + WIDTH) / width, (y + HEIGHT) / height
    return round(max(left, 0), 3), round(max(top, 0), 3), round(min(right, 1), 3), round(min(bottom, 1), 3)


def things(parts: np.ndarray) -> list[Found]:
    """What moves as one and not with its surroundings, and how: what goes straight on, the likeliest first, and what
    strays, less what is told already."""
    waves = speeds.evened(parts)
    straight = _straight(parts, waves)
    more = (found for found in strays(parts, waves) if not any(same(found.track, s.track) for s in straight))
    return straight + sorted(more, key=_likely)


def _straight(parts: np.ndarray, waves: np.ndarray) -> list[Found]:
    """The strongest FOLLOWED of PLACES places a speed are followed through the clip, and the likeliest JUDGED told."""
    energy_hw = _energy(parts)
    out: list[Found] = []
    for place in sorted(_places(parts, waves), key=lambda place: -place.strength)[:FOLLOWED]:
        track = followed(parts, place.y, place.x, place.speed[:2])
        if len(track) < 2 or any(same(track, found.track) for found in out):
            continue
        facts = _facts(place, track, energy_hw, parts.shape[1])
        if facts[4] <= ALONG:
            out.append(Found(track=track, facts=facts))
    return sorted(out, key=_likely)[:JUDGED]


def _likely(found: Found) -> float:
    return -float(np.dot(FIRST, found.facts))


def ticker(parts: np.ndarray, grounds: Sequence[strips.Strip] = ()) -> Found | None:
    """The clearest part of rows that go sideways at one pace, followed at that pace whether it is seen or not: small
    print that is hardly seen in any picture is where it must be in all of them. None where hardly any rows go so, or
    only a short part of them. grounds: it must be print on one."""
    import cv2

    row, speed = speeds.band(parts, grounds)
    if speed[2] < (THERE if grounds else CLEAR):
        return None
    agreement_hw = speeds.agreement(parts, *speed[:2])
    if grounds:
        ground = next(g for g in grounds if g[0] < row < g[1])
        on_it = float(agreement_hw[ground[0] : ground[1]].sum())
        if 2 * on_it < float(agreement_hw.sum()) or not strips.printed(parts, ground):  # or a whole world scrolls
            return None
    if _spread(agreement_hw[max(0, row - speeds.BAND // 2) : row + speeds.BAND // 2 + 1]) < WIDE:
        return None  # a bird, a car, somebody's feet
    near_hw = cv2.boxFilter(agreement_hw, -1, (48, speeds.BAND), normalize=False, borderType=cv2.BORDER_CONSTANT)
    column = int(near_hw[row].argmax())
    height, width = agreement_hw.shape
    y, x = min(max(row - HEIGHT // 2, 0), height - HEIGHT), min(max(column - WIDTH // 2, 0), width - WIDTH)
    strength = float(near_hw[row, column])
    place = _Place(y=y, x=x, strength=strength, speed=speed, agreement_hw=agreement_hw)
    track = followed(parts, y, x, speed[:2], steady=True)
    return Found(track=track, facts=_facts(place, track, _energy(parts), parts.shape[1])) if len(track) > 1 else None


def _spread(rows_kw: np.ndarray) -> float:
    """Share of the columns of some rows that hold MOST_OF of what agrees in them: the fullest."""
    fullest = np.sort(np.maximum(rows_kw.sum(axis=0), 0.0))[::-1].cumsum()
    return float(np.searchsorted(fullest, MOST_OF * fullest[-1]) + 1) / len(fullest)


def _energy(parts: np.ndarray) -> np.ndarray:
    return np.einsum("pnhw,pnhw->hw", parts, parts) * ((parts.shape[1] - 1) / parts.shape[1])


def _facts(place: _Place, track: Track, energy_hw: np.ndarray, n: int) -> tuple[float, ...]:
    y, x, (dy, dx, peak) = place.y, place.x, place.speed
    around = slice(max(0, y - 8), y + HEIGHT + 8), slice(max(0, x - 12), x + WIDTH + 12)
    rest = float(place.agreement_hw.sum() - place.agreement_hw[around].sum())
    along = rest / (float(energy_hw.sum()) - float(energy_hw[around].sum()) + 1.0)
    inside = float(place.agreement_hw[y : y + HEIGHT, x : x + WIDTH].sum())
    share = inside / max(1.0, float(np.maximum(place.agreement_hw, 0.0).sum()))
    again = [alike for t, (_, _, alike) in track.items() if t != n // 2]
    return (
        math.log(max(peak, 1.0)), math.log(max(place.strength / (n - 1), 1.0)), float(np.mean(again)),
        min(again), along, share, len(track) / n, math.log1p(math.hypot(dy, dx)) / 3,
    )  # fmt: skip


def _places(parts: np.ndarray, waves: np.ndarray) -> list[_Place]:
    import cv2

    out = []
    for speed in speeds.speeds(waves):
        agreement_hw = speeds.agreement(parts, *speed[:2])
        near_hw = cv2.boxFilter(agreement_hw, -1, (48, 24), normalize=False, borderType=cv2.BORDER_CONSTANT)
        for _ in range(PLACES):
            y, x, strength = taken(near_hw)
            out.append(_Place(y=y, x=x, strength=strength, speed=speed, agreement_hw=agreement_hw))
    return out


def room(thumbs_Nhw: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Pictures with the margins that `held` wants."""
    import cv2

    down, across = (margin + out for margin, out in zip(MARGIN, hops.OUTSIDE))
    return [cv2.copyMakeBorder(t, down, down, across, across, cv2.BORDER_REFLECT_101) for t in thumbs_Nhw]


def held(room_Nhw: Sequence[np.ndarray], places: Mapping[int, Sequence[float]]) -> np.ndarray:
    """float32[C, H, W]: maps of the pictures as if the thing stood still, with a margin. places: row and column of its
    window in some of them."""
    still = []
    for t, (y, x, *_) in sorted(places.items()):
        top, left = y + hops.OUTSIDE[0], x + hops.OUTSIDE[1]
        still.append(room_Nhw[t][top : top + HEIGHT + 2 * MARGIN[0], left : left + WIDTH + 2 * MARGIN[1]])
    return marks.maps(still)


def _judged(maps_CHW: np.ndarray, facts: Sequence[float], w: marks.Weights) -> float:
    y = marks.conv(maps_CHW, w, "a", stride=2)
    y = marks.conv(y, w, "b", stride=2)
    y = marks.conv(y, w, "c")
    y = np.maximum(marks.conv(y, w, "d", dilation=2, relu=False) + y, 0.0)
    y = np.maximum(marks.conv(y, w, "e", dilation=4, relu=False) + y, 0.0)
    scaled = (np.array(facts, np.float32) - w["mean"]) / w["spread"]
    whole = np.concatenate([y[:, 3:-3, 4:-4].mean(axis=(1, 2)), y.max(axis=(1, 2)), scaled])
    hidden = np.maximum(w["g.weight"] @ whole + w["g.bias"], 0.0)
    return float(w["o.weight"][0] @ hidden + w["o.bias"][0])


@functools.cache
def _shipped() -> marks.Weights:
    return marks.load(WEIGHTS)
