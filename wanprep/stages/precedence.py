"""Which of several clips of the same footage goes before the others, and why. Pure.

First what a person did, then what the picture can be used for, then which was here first, then how well it is coded;
paths break ties only. Scores count where they differ by more than a step, so that their noise decides nothing; a larger
picture is looked at before any of them. A criterion that is not known of all who are equal so far is passed over: not
to know wins and loses nothing. A film that comes later changes nothing among those that were here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

SIZE_STEP = 0.5  # octaves of area: 19 % of a side
CODING_STEP = 3.0  # of H.264's quantiser: half an octave of the step that it stands for
LOOKS_COARSE = 34.0  # H.264's quantiser: as blocks look at crf 33; coding a clip at crf 16 to 24 moves it by 1 to 3
SHARPNESS_STEP = 0.25  # octaves of sharpness; coding a clip at crf 16 to 24 moves it by up to 0.08
LENGTH_STEP = 0.1  # octaves of duration: 7 %

# How much a person said of a clip, least first.
FOLDER_TEXT, OWN_TEXT, TOUCHED, TYPED = 1, 2, 3, 4
SAID = {
    FOLDER_TEXT: "a text for its folder captions it",
    OWN_TEXT: "a text lies beside its film",
    TOUCHED: "its caption was emptied by hand, or cannot be read",
    TYPED: "its caption was written by hand",
}
OUTDID = "though this one has the better picture"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What speaks for a clip beside its scores.

    words: a person's, 0 or one of SAID. views: how many views it fills. width, height: of its picture after bars, in
    pixels. since: with which listing of sources its film came, 0 for the first.
    """

    words: int = 0
    views: int = 0
    width: int = 0
    height: int = 0
    since: int = 0


@dataclass(frozen=True, kw_only=True)
class Rival:
    """One of the clips of the same footage. kept: by hand. quantiser: as its stream says, or as it looks if that is
    worse; coded: as its stream says; these, sharpness and seconds are None where not known. place: what orders it when
    all else is equal, by path and start."""

    claim: Claim
    kept: bool = False
    quantiser: float | None = None
    coded: float | None = None
    sharpness: float | None = None
    seconds: float | None = None
    place: tuple[str, float, str]

    @property
    def size(self) -> str:
        return f"{self.claim.width}x{self.claim.height}"

    @property
    def coarseness(self) -> float | None:
        """On the quantiser's scale. Below LOOKS_COARSE the look of copies tells them apart by chance alone."""
        looks = self.quantiser is not None and self.quantiser > LOOKS_COARSE
        return self.quantiser if looks else self.coded

    @property
    def area(self) -> int:
        return self.claim.width * self.claim.height


def _octaves(value: float | None) -> float | None:
    """None where there is nothing to measure."""
    return math.log2(value) if value and value > 0 else None


@dataclass(frozen=True)
class Criterion:
    """better: of two the one with the larger value, if it is larger by more than `step`. why: in words, of the better
    one and the other."""

    better: Callable[[Rival], float | None]
    why: Callable[[Rival, Rival], str]
    step: float = 0.0


def _larger(one: Rival, other: Rival) -> str:
    return f"its picture is larger: {one.size}, not {other.size}"


def _fills(one: Rival, other: Rival) -> str:
    sizes = f" ({one.size}, not {other.size})" if one.size != other.size else ""
    return f"it fills {one.claim.views} of the views, not {other.claim.views}{sizes}"


def _size(rival: Rival) -> float:
    """In whole steps: sizes of clips that have nothing to do with each other are compared, too."""
    return round((_octaves(rival.area) or 0) / SIZE_STEP)


PERSON = (
    Criterion(lambda r: r.kept, lambda one, _: "it was kept by hand"),
    Criterion(lambda r: r.claim.words, lambda one, _: SAID[one.claim.words]),
)
USE = (
    Criterion(lambda r: r.claim.views, _fills),
    Criterion(_size, _larger),
)
WORTH = (*PERSON, *USE)  # known of every clip; what these say, a longer clip does not make up for
AGE = Criterion(lambda r: -r.claim.since, lambda one, _: "it was in the set before")
FINE = (
    Criterion(
        lambda r: None if r.coarseness is None else -r.coarseness,
        lambda one, other: f"it is coded more finely: quantiser {one.coarseness:.3g}, not {other.coarseness:.3g}",
        CODING_STEP,
    ),
    Criterion(
        lambda r: _octaves(r.sharpness),
        lambda one, other: f"it is sharper: {one.sharpness:.3g}, not {other.sharpness:.3g}",
        SHARPNESS_STEP,
    ),
    Criterion(
        lambda r: _octaves(r.seconds),
        lambda one, other: f"it is longer: {one.seconds:.2f} s, not {other.seconds:.2f} s",
        LENGTH_STEP,
    ),
    Criterion(lambda r: r.area, _larger),
)


@dataclass(frozen=True, kw_only=True)
class Order:
    """clips: by index, those first that go before others. worth: of each clip, less is better; only what is worth as
    much or more stands for a part of itself."""

    clips: Sequence[int]
    worth: Mapping[int, int]


def ordered(groups: Iterable[Sequence[int]], rivals: Mapping[int, Rival]) -> Order:
    """The order of clips by index. groups: of clips that might show the same; who is in one matters only for what is
    not known of all of it. Neither the order of groups nor that within them matters."""
    group_of = {clip: number for number, group in enumerate(groups) for clip in group}
    worth = {clip: tuple(-(c.better(rivals[clip]) or 0) for c in WORTH) for clip in group_of}
    steps = {key: number for number, key in enumerate(sorted(set(worth.values())))}
    found: list[int] = []

    def equal(clip: int) -> tuple[int, float]:
        return steps[worth[clip]], -(AGE.better(rivals[clip]) or 0)

    for _, clips in groupby(sorted(group_of, key=equal), key=equal):
        of_group: dict[int, list[int]] = {}
        for clip in sorted(clips, key=lambda clip: rivals[clip].place):
            of_group.setdefault(group_of[clip], []).append(clip)
        for group in of_group.values():
            found += _refined(group, rivals, FINE)
    return Order(clips=found, worth={clip: steps[key] for clip, key in worth.items()})


def _refined(clips: list[int], rivals: Mapping[int, Rival], criteria: Sequence[Criterion]) -> list[int]:
    """Clips that come in the order of their places, by the criteria: those within a step of the best first, then those
    within a step of the best of the rest."""
    if len(clips) < 2 or not criteria:
        return clips
    values = {clip: criteria[0].better(rivals[clip]) for clip in clips}
    known = {clip: value for clip, value in values.items() if value is not None}
    found: list[int] = []
    while len(known) == len(clips) - len(found) > 0:
        least = max(known.values()) - criteria[0].step
        found += _refined([clip for clip in clips if known.get(clip, -math.inf) >= least], rivals, criteria[1:])
        known = {clip: value for clip, value in known.items() if value < least}
    return found or _refined(clips, rivals, criteria[1:])


def why(one: Rival, other: Rival) -> str:
    """Why the one goes before the other, in words; where a person's words outdid a picture that is better, that too."""
    criteria = (*WORTH, AGE, *FINE)
    won = next((c for c in criteria if _beats(c, one, other, c.step)), None)
    won = won or next((c for c in FINE if _beats(c, one, other) and one.place > other.place), None)
    if won is None:
        same = one.place[0] == other.place[0]
        return "it comes first in their film" if same else "all else is equal, and its path comes first"
    said = won.why(one, other)
    if won in PERSON and any(_beats(criterion, other, one) for criterion in USE):
        use = [f"{rival.size}, {rival.claim.views} of the views" for rival in (other, one)]
        said += f", {OUTDID} ({use[0]}; not {use[1]})"
    return said


def _beats(criterion: Criterion, one: Rival, other: Rival, step: float = 0.0) -> bool:
    a, b = criterion.better(one), criterion.better(other)
    return a is not None and b is not None and a > b + step
