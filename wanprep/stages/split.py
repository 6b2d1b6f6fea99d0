"""Split: one analysis decode per source, then shots as clips, from stored numbers only.

`analyse_source` is the costly half and knows no threshold. `split` is the pure half: transitions are trimmed off,
long shots divided, black bars found. Every frame ends up in exactly one clip or transition, and clips that are too
short or black are there as rejected, never dropped.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wanprep.signals import framing
from wanprep.signals.bars import BarRules, Crop
from wanprep.signals.rules import ShotRules
from wanprep.signals.store import Signals
from wanprep.stages.lone import joins_nothing
from wanprep.stages.margins import dividing, give_margins, inner, margins_of, too_short
from wanprep.stages.trim import TrimRules, trim

if TYPE_CHECKING:
    from wanprep.media.probe import Probe
    from wanprep.signals.shotlist import ShotList, Transition

SPLIT_REASONS = {  # of clips that are rejected here, and what they say
    "too_short": "shorter than split.min_seconds",
    "black": "nothing but black",
    "idle": "a head or tail in which nothing happens ([split.trim])",
    "maybe_mixed": "two shots may mix in it",
    "only_transition": "no more than a transition was found in its source (one shot? split.shots.detect = false)",
}


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """[split]. min_seconds: shorter clips are rejected as too_short. max_seconds: longer shots are divided into equal
    parts. margin: frames given up on each side of a dissolve or fade, where mixing is too weak to be measured;
    margin_share: so many more, as a share of its length; margin_seconds: both together at most, where that is more
    than margin. All three times what each end of it needs (signals/ends.py), but at least margin.
    crop_bars: leave black bars out of the clips. shots, bars: detection thresholds. trim: idle heads and tails cut off
    (`idle`), for motion sets.
    """

    min_seconds: float = 1.0
    max_seconds: float | None = None
    margin: int = 2
    margin_share: float = 0.3
    margin_seconds: float = 0.25
    crop_bars: bool = True
    shots: ShotRules = field(default_factory=ShotRules)
    bars: BarRules = field(default_factory=BarRules)
    trim: TrimRules = field(default_factory=TrimRules)

    def __post_init__(self) -> None:
        if self.min_seconds < 0:
            raise ValueError(f"min_seconds must not be negative, not {self.min_seconds}")
        if self.max_seconds is not None and (self.max_seconds <= 0 or self.max_seconds < 2 * self.min_seconds):
            # Parts of a divided shot are at least half as long as the limit, so that none becomes too short.
            remedy = "raise max_seconds or lower min_seconds"
            raise ValueError(
                f"max_seconds must be at least twice min_seconds ({self.min_seconds}), not {self.max_seconds}; {remedy}"
            )
        if self.margin < 0:
            raise ValueError(f"margin must not be negative, not {self.margin} frames")
        if self.margin_seconds < 0:
            raise ValueError(f"margin_seconds must not be negative, not {self.margin_seconds}")
        if not 0 <= self.margin_share <= 1:
            raise ValueError(f"margin_share is a share between 0 and 1, not {self.margin_share}")


def meanings(reasons: Iterable[str]) -> list[str]:
    """Sentences on those of the reasons that are of this stage."""
    return [SPLIT_REASONS[reason] for reason in reasons if reason in SPLIT_REASONS]


@dataclass(frozen=True, kw_only=True)
class ClipSpan:
    """Frames start_frame..end_frame−1 of a source, shown from start_pts until just before end_pts.

    crop: (x, y, width, height) in display pixels. state: ok | rejected. reason: "" or one of
    SPLIT_REASONS.
    """

    start_pts: int
    end_pts: int
    start_frame: int
    end_frame: int
    crop: Crop
    state: str = "ok"
    reason: str = ""


def measure_source(
    path: Path, *, threads: int = 1, folder: Path | None = None
) -> tuple[Signals, Probe, dict[str, int]]:
    """Decode `path` once: its signals, what the probe saw, and how many frames were dropped or got other times.

    Raises as `analyse_source` does; leaves nothing behind. folder: see `analyse`.
    """
    from wanprep.media.probe import probe
    from wanprep.media.read import open_video
    from wanprep.signals.analysis import analyse

    facts = probe(path)
    with open_video(path, facts, threads=threads) as reader:
        size = {"width": facts.width, "height": facts.height, "expected": _expected(facts)}
        signals = analyse(reader.frames(), time_base=facts.time_base, threads=threads, folder=folder, **size)
        counted = reader.counts()
        places = {int(i) for i in np.searchsorted(signals.pts, reader.holes)} - {0, len(signals.pts)}
        signals = replace(signals, holes=tuple(sorted(places)))
        left_out = "pictures" if reader.reshaped else "encrypted pictures" if reader.encrypted else "damaged pictures"
        missing = _damage(signals, left_out)
        return replace(signals, truncated="; ".join(filter(None, (missing, reader.truncated)))), facts, counted


def _expected(facts: Probe) -> int:
    """About how many frames there are if the header is right; 0 when it does not say. Not for counting."""
    return int((facts.header_duration_s or 0) * (facts.header_rate or 0))


def _damage(signals: Signals, what: str) -> str:
    """What people are told of holes, at most three of them by their times; "" when there are none."""
    if not signals.holes:
        return ""
    begin, tick = int(signals.pts[0]), float(signals.time_base)
    gaps = [((signals.end_of(i) - begin) * tick, (int(signals.pts[i]) - begin) * tick) for i in signals.holes]
    places = ", ".join(f"{a:.2f}-{b:.2f} s" for a, b in gaps[:3]) + (", ..." if len(gaps) > 3 else "")
    return f"{what} left out at {places} ({sum(b - a for a, b in gaps):.2f} s in all)"


def analyse_source(path: Path, out: Path, *, threads: int = 1) -> dict[str, Any]:
    """Decode `path` once, write its signals to `out` atomically, return the row of facts.

    threads: decoder threads. Reject when the bytes are at fault; OSError and others when the machine is. A stream
    that breaks midway keeps its decoded part and says why in `truncated`.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    signals, facts, counted = measure_source(path, threads=threads, folder=out.parent)
    digest = signals.save(out)
    return {
        "digest": digest,
        "bytes": out.stat().st_size,
        "kind": facts.kind,
        "time_base": str(signals.time_base),
        "n_frames": len(signals.pts),
        "first_pts": int(signals.pts[0]),
        "last_pts": int(signals.pts[-1]),
        "last_duration": int(signals.last_duration),
        "width": signals.width,
        "height": signals.height,
        "truncated": signals.truncated,
        "facts": json.dumps(asdict(facts) | counted, default=str, sort_keys=True),
    }


def split(
    signals: Signals, config: SplitConfig, found: ShotList | None = None
) -> tuple[list[ClipSpan], list[Transition]]:
    """Clips and transitions of a source: each frame belongs to exactly one of them. Pure. found: what `shots_of` says,
    where that is known.

    Spans that may be a transition are clips rejected as `maybe_mixed`, margins included: a person may keep them. So are
    transitions that leave nothing of their source, as `only_transition`: no source is without a clip.
    """
    n = len(signals.pts)
    step = _step(signals)
    found = found or shots_of(signals, config)
    black = [t for t in found.transitions if t.kind == "black"]
    owner = np.full(n, -1)
    mixes = [t for t in found.transitions if t.kind != "black"]
    found = replace(found, doubtful=tuple(dividing(signals, found, config, step)))
    mixes += found.doubtful
    for index, t in enumerate(mixes):
        owner[t.first : t.last + 1] = index
    shots = [part for start, end in found.shots() for part in _without_holes(start, end, signals.holes)]
    margins = margins_of(signals, found, mixes, config, step)
    for start, end in shots:
        give_margins(owner, start, end, margins)
    trimmed = [inner(owner, start, end) for start, end in shots]
    parts = [part for start, end in trimmed if start < end for part in divide(signals, start, end, config.max_seconds)]
    kept = [trim(signals, start, end, config.trim, min_seconds=config.min_seconds) for start, end in parts]
    whole = 0, 0, signals.width, signals.height
    crop = framing.crops(signals, config.bars) if config.crop_bars else lambda start, end: whole
    clips = [_clip(signals, start, end, config, crop) for start, end, _ in kept]
    clips += [_clip(signals, start, end, config, crop, "idle") for *_, spans in kept for start, end in spans]
    clips += [_clip(signals, t.first, t.last + 1, config, crop, "black") for t in black]
    spans = [
        replace(t, first=int(frames[0]), last=int(frames[-1]))
        for index, t in enumerate(mixes)
        if len(frames := np.flatnonzero(owner == index))
    ]
    doubtful = [t for t in spans if t.kind == "doubtful"]
    clips += [_clip(signals, t.first, t.last + 1, config, crop, "maybe_mixed") for t in doubtful]
    spans = [t for t in spans if t.kind != "doubtful"]
    if not clips:
        return [_clip(signals, t.first, t.last + 1, config, crop, "only_transition") for t in spans], []
    return sorted(clips, key=lambda clip: clip.start_frame), spans


def shots_of(signals: Signals, config: SplitConfig) -> ShotList:
    """What `find_shots` finds, without a lone transition that joins nothing."""
    from wanprep.signals.shots import find_shots

    found = find_shots(signals, config.shots)
    return replace(found, transitions=()) if joins_nothing(signals, found, config, _step(signals)) else found


def _step(signals: Signals) -> float:
    """Seconds from frame to frame."""
    return float(np.median(np.diff(signals.pts)) * signals.time_base) if len(signals.pts) > 1 else 1.0


def _without_holes(start: int, end: int, holes: Sequence[int]) -> list[tuple[int, int]]:
    """[start, end) in parts between which pictures are missing."""
    edges = [start, *(hole for hole in holes if start < hole < end), end]
    return list(itertools.pairwise(edges))


def divide(signals: Signals, start: int, end: int, max_seconds: float | None) -> list[tuple[int, int]]:
    """[start, end) in the fewest parts of equal duration none of which is longer than max_seconds (or one frame)."""
    if max_seconds is None:
        return [(start, end)]
    limit = Fraction(str(max_seconds)) / signals.time_base
    times = np.append(signals.pts[start:end], signals.end_of(end))
    whole = int(times[-1] - times[0])
    for count in range(max(1, -(-whole // limit)), end - start):
        targets = [int(times[0]) + -(-whole * j // count) for j in range(1, count)]
        edges = [0, *np.searchsorted(times, targets).tolist(), end - start]
        if len(set(edges)) == count + 1 and np.diff(times[edges]).max() <= limit:
            return [(start + a, start + b) for a, b in itertools.pairwise(edges)]
    return [(i, i + 1) for i in range(start, end)]


def _clip(
    signals: Signals, start: int, end: int, config: SplitConfig, crop: Callable[[int, int], Crop], reason: str = ""
) -> ClipSpan:
    first, last = int(signals.pts[start]), signals.end_of(end)
    # The one frame of a whole file is a still: it has no duration to be too short. What is left of a film is none.
    still = len(signals.pts) == 1 and not signals.truncated
    if not reason and not still and too_short(signals, start, end, config):
        reason = "too_short"
    return ClipSpan(
        start_pts=first,
        end_pts=last,
        start_frame=start,
        end_frame=end,
        crop=crop(start, end),
        state="rejected" if reason else "ok",
        reason=reason,
    )
