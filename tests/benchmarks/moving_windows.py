"""Windows that something moves through, of random examples, to train the network of wanprep/signals/moving.py with."""

from __future__ import annotations

import mmap
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from mark_examples import Clip
from moving_examples import Moving
from train_marks import half_of

from wanprep.signals import moving, speeds

FACTS = 8
STEPS = 32.0  # to 1, in which maps are kept
SHAPE = (8, moving.HEIGHT + 2 * moving.MARGIN[0], moving.WIDTH + 2 * moving.MARGIN[1])
CLEAR = (0.12, 0.45)  # share of the mark that a window holds still: below it shows none, above it shows it
SHOW, SHOW_NONE = 3, 3  # windows of one example that are kept; one more without a mark is taken at random


@dataclass(frozen=True, kw_only=True)
class Windows:
    """maps: int8[N, *SHAPE]. facts: float32[N, FACTS]. share: float32[N], of a mark. clip: int64[N], in order."""

    maps: np.ndarray
    facts: np.ndarray
    share: np.ndarray
    clip: np.ndarray


def held_share(track: moving.Track, target_Nhw: np.ndarray) -> float:
    """How much of a mark (or of 60 of its pixels) is at one and the same place of the window in all its pictures, on
    average: a window that a mark merely passes through shows none."""
    middle = len(target_Nhw) // 2
    seen = {t: target_Nhw[t, y : y + moving.HEIGHT, x : x + moving.WIDTH] for t, (y, x, _) in track.items()}
    whole = min(float(target_Nhw[middle].sum()), 60.0)
    if whole < 3 or len(seen) < 2:
        return 0.0
    near = (cv2.dilate(part, np.ones((3, 3), np.uint8)) for t, part in seen.items() if t != middle)
    return float(np.mean([np.minimum(part, seen[middle]).sum() for part in near])) / whole


def windows(examples: Moving) -> list[tuple[np.ndarray, tuple[float, ...], float]]:
    """Of one example: (maps, facts, share of a mark in it) of what is found to move over it, as far as it is kept."""
    rng = examples.rng
    thumbs, target = examples.shown(int(rng.choice([3, 4, 5, 5, 5, 6, 8])))
    first = max(0, (len(thumbs) - moving.MOST) // 2)
    thumbs, target = thumbs[first : first + moving.MOST], target[first : first + moving.MOST]
    found = [(held_share(f.track, target), f) for f in moving.things(speeds.soft_edges(list(thumbs)))]
    show = sorted((pair for pair in found if pair[0] > CLEAR[1]), key=lambda pair: -pair[0])[:SHOW]
    none = [pair for pair in found if pair[0] < CLEAR[0]]
    halfway = [pair for pair in found if CLEAR[0] <= pair[0] <= CLEAR[1]]
    rest, around = none[SHOW_NONE:], moving.room(list(thumbs))
    kept = (show or halfway[:1]) + none[:SHOW_NONE] + ([rest[int(rng.integers(len(rest)))]] if rest else [])
    return [
        (np.clip(np.rint(moving.held(around, f.track) * STEPS), -127, 127).astype(np.int8), f.facts, share)
        for share, f in kept
    ]


def drawn(room: np.ndarray, examples: Moving, until: float, queue: Any, who: tuple[int, int]) -> None:
    """Fill room (int8[N, *SHAPE], shared) until it is full or late; a process of its own."""
    cv2.setNumThreads(1)
    facts: list[tuple[float, ...]] = []
    shares: list[float] = []
    clips: list[int] = []
    number = 0
    while time.time() < until and len(facts) + moving.JUDGED <= len(room):
        for maps, fact, share in windows(examples):
            room[len(facts)] = maps
            facts.append(fact)
            shares.append(share)
            clips.append(number)
        number += 1
    about = np.array(facts, np.float32).reshape(-1, FACTS), np.array(shares, np.float32), np.array(clips, np.int64)
    queue.put((who, about, number))


def draw(
    clips: Sequence[Clip], words: Sequence[np.ndarray], seconds: float, workers: int, most: int
) -> list[list[Windows]]:
    """Of both halves of the sources, what each worker drew; at most `most` windows a half."""
    half, context = half_of(clip[0] for clip in clips), multiprocessing.get_context("fork")
    queue, rooms, each = context.Queue(), {}, max(1, workers // 2)
    until = time.time() + seconds
    for side in (0, 1):
        mine = [clip for clip in clips if half[clip[0]] == side]
        for k in range(each):
            size = most // each
            shared = np.frombuffer(mmap.mmap(-1, size * int(np.prod(SHAPE))), np.int8).reshape(size, *SHAPE)
            rooms[side, k] = shared
            work = (shared, Moving(mine, words, 1000 * side + k), until, queue, (side, k))
            context.Process(target=drawn, args=work, daemon=True).start()
    out: list[list[Windows]] = [[], []]
    total = 0
    for _ in rooms:
        (side, k), (facts, shares, which), count = queue.get(timeout=seconds + 120)
        if len(facts):
            out[side].append(Windows(maps=rooms[side, k][: len(facts)], facts=facts, share=shares, clip=which))
        total += count
    print(f"{total} examples, {[sum(len(w.facts) for w in side) for side in out]} windows", flush=True)
    return out
