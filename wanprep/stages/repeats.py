"""Which clips show the same footage again, and which of them stays. Pure; the comparing is in signals/phash.py."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from wanprep import keys
from wanprep.signals import phash
from wanprep.stages.precedence import Order

ROUNDS = 10  # at most; two are usual
Matches = MutableMapping[str, phash.Match | None]  # by keys.match
Compare = Callable[[int, int], phash.Match | None]
Rank = Callable[[Sequence[Sequence[int]]], Order]
EQUAL = 0.8  # of the longer clip's length: then the one with precedence stays, whichever is longer


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """of: index of the clip that stays. distance: differing bits of the hashes, 0..1. mirrored: see phash.Match.
    part: it is a part of that clip."""

    of: int
    distance: float
    mirrored: bool
    part: bool = False


@dataclass(frozen=True)
class Known:
    """What comparing clips said before, and of each signature the key of the scores it came with."""

    matches: Matches
    names: Sequence[str]


def to_json(match: phash.Match | None) -> str:
    """As text, exact; `from_json` is the inverse."""
    return json.dumps(match and asdict(match))


def from_json(text: str) -> phash.Match | None:
    values = json.loads(text)
    return values and phash.Match(**values)


def repeats(
    signatures: Sequence[bytes], threshold: float, known: Known | None = None, rank: Rank | None = None
) -> dict[int, Repeat]:
    """Clips that repeat another, by index.

    Of clips about equally long the one with precedence stays; a clip that is only a part of another goes, even if it
    has precedence, for nothing is lost with it: unless it is worth more (`precedence.WORTH`), then both stay. Compared
    is only with clips that stay, so that a chain of small changes never makes one of two different clips go. 10,000
    clips: about 0.2 s.

    known: what is compared now is added to its matches. rank: from groups of clips that might show the same, by index,
    their precedence; None: as they come, all worth the same.
    """
    hashes = {i: phash.hashes_in(signature) for i, signature in enumerate(signatures) if signature}

    def matched(one: int, other: int) -> phash.Match | None:
        return phash.match(phash.parse(signatures[one]), phash.parse(signatures[other]), threshold)

    def compare(one: int, other: int) -> phash.Match | None:
        a, b = sorted((one, other))  # whichever goes before the other
        if known is None:
            return matched(a, b)
        key = keys.match(known.names[a], known.names[b], threshold)
        if key not in known.matches:
            known.matches[key] = matched(a, b)
        return known.matches[key]

    gone: dict[int, Repeat] = {}
    order = _order(hashes, rank)
    staying: Sequence[int] = order.clips
    for _ in range(ROUNDS):
        before = len(gone)
        staying = _round(hashes, staying, threshold, compare, gone, order.worth)
        if len(gone) == before:
            break
    return {clip: _stays(repeat, gone) for clip, repeat in gone.items()}


def _order(hashes: Mapping[int, np.ndarray], rank: Rank | None) -> Order:
    """Of the clips that anything is near to; of a large set, in which not every pair is looked for, of all."""
    clips = list(hashes)
    if rank is None:
        return Order(clips=clips, worth={})
    pairs = phash.candidates(list(hashes.values())).tolist()
    groups = _groups((clips[i], clips[j]) for i, j in pairs)
    if len(pairs) >= phash.MOST:
        groups += [[clip] for clip in hashes.keys() - {clip for group in groups for clip in group}]
    return rank(groups)


def _groups(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    """What hangs together by pairs."""
    of: dict[int, list[int]] = {}
    for one, other in pairs:
        a, b = of.setdefault(one, [one]), of.setdefault(other, [other])
        if a is not b:
            small, large = sorted((a, b), key=len)
            large += small
            of.update(dict.fromkeys(small, large))
    return list({id(group): group for group in of.values()}.values())


def _round(
    hashes: Mapping[int, np.ndarray],
    clips: Sequence[int],
    threshold: float,
    compare: Compare,
    gone: dict[int, Repeat],
    worth: Mapping[int, int],
) -> list[int]:
    """Find repeats among `clips` (in the order of precedence), adding them to `gone`; returns those that stay and had
    anything near.

    Of a large set not every pair is looked for: what stays of it is found through what goes, or in the next round.
    """
    near: dict[int, set[int]] = {}
    pairs = phash.candidates([hashes[clip] for clip in clips]).tolist()
    for i, j in pairs:
        near.setdefault(clips[i], set()).add(clips[j])
        near.setdefault(clips[j], set()).add(clips[i])
    length = {clip: len(hashes[clip]) for clip in near}
    place = {clip: number for number, clip in enumerate(clips)}.__getitem__

    def drop(clip: int, other: int, part: bool) -> bool:
        match = compare(clip, other)
        if match and match.same(threshold):
            gone[clip] = Repeat(of=other, distance=match.distance, mirrored=match.mirrored, part=part)
        return clip in gone

    for clip in sorted(near, key=place):
        others = {gone[o].of if o in gone else o for o in near[clip] if place(o) < place(clip)}
        alike = (o for o in sorted(others, key=place) if _about(length[o], length[clip]))
        any(drop(clip, o, False) for o in alike)
    limit = EQUAL * max(length.values(), default=0)  # from here on a clip is no part of a longer one
    for clip in sorted((i for i in near if length[i] < limit), key=lambda i: (-length[i], place(i))):
        if clip not in gone:
            others = {gone[o].of if o in gone else o for o in near[clip]} - gone.keys()
            whole = (o for o in others if length[clip] < EQUAL * length[o] and worth.get(o, 0) <= worth.get(clip, 0))
            any(drop(clip, o, True) for o in sorted(whole, key=place))
    left = near if len(pairs) < phash.MOST else clips
    return [clip for clip in sorted(left, key=place) if clip not in gone]


def _about(one: int, other: int) -> bool:
    """Are these lengths about equal?"""
    return min(one, other) >= EQUAL * max(one, other)


def _stays(repeat: Repeat, gone: dict[int, Repeat]) -> Repeat:
    """What repeats a clip that goes repeats the one that stays in its place."""
    while repeat.of in gone:
        other = gone[repeat.of]
        mirrored, part = repeat.mirrored != other.mirrored, repeat.part or other.part
        repeat = replace(repeat, of=other.of, mirrored=mirrored, part=part)
    return repeat
