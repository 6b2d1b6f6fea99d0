"""Do captions fit what is seen? Cosines of an image-text model between a clip's captions and its pictures. Pure.

Two questions: does one window of a clip fit the caption clearly worse than the clip's other windows (something happens
there that the caption, said of the whole, does not cover), and does a whole clip fit its caption clearly worse than the
other clips of the set fit theirs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wanprep.captioners.several import parsed
from wanprep.ids import key_of
from wanprep.signals import looks

if TYPE_CHECKING:
    from wanprep.pipeline import Pipeline
    from wanprep.stages.looks import LooksConfig

VERSION = 1
DEPARTS = "window_departs"  # flag: a window shows something else than the caption says
AGREES_LITTLE = "agrees_little"  # flag: the clip fits its caption worse than others fit theirs
Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class CheckConfig:
    """`[caption.check]`. windows: compare captions with pictures, by the model of [filter.looks].

    fps, max_frames: pictures of each clip. drop: cosine by which a window lies below the median of the clip's other
    windows, to be flagged. deviations: robust standard deviations below the set's median agreement, to be flagged.
    """

    windows: bool = True
    fps: float = 4.0
    max_frames: int = 64
    drop: float = 0.04
    deviations: float = 3.5

    def __post_init__(self) -> None:
        if self.fps <= 0 or self.max_frames < 1:
            raise ValueError(f"check.fps and check.max_frames must be above 0, got {self.fps} and {self.max_frames}")
        if not 0 < self.drop <= 2:
            raise ValueError(f"check.drop is a difference of cosines above 0 and at most 2, got {self.drop}")
        if self.deviations <= 0:
            raise ValueError(f"check.deviations must be above 0, got {self.deviations}")


@dataclass(frozen=True, kw_only=True)
class Window:
    """One stretch of a clip that samples show. cosine: mean of its pictures with the caption; drop: see CheckConfig."""

    clip_id: str
    start: int
    frames: int
    views: tuple[str, ...]
    cosine: float
    drop: float


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """One clip. cosine: mean of all its pictures; deviations: below the set's median, None where too few are known."""

    clip_id: str
    cosine: float
    deviations: float | None
    windows: tuple[Window, ...]


def captions_of(clip: Row) -> list[str]:
    """Every caption of a clip, the first one first."""
    return [clip["caption"] or "", *(row["text"] for row in parsed(clip["more_captions"]))]


def about(digest: str, captions: Sequence[str], model: LooksConfig, config: CheckConfig) -> str:
    """By this a clip finds its cosines again. digest: of its media file."""
    held = {"model": model.model, "weights": model.weights, "precision": model.precision}
    frames = {"fps": config.fps, "max_frames": config.max_frames}
    return key_of(stage="agreement", version=VERSION, media=digest, captions=list(captions), **held, **frames)


def largest_media(samples: Iterable[Row]) -> dict[str, str]:
    """clip_id -> digest of its largest file."""
    found: dict[str, tuple[int, str]] = {}
    for sample in samples:
        if sample["media_digest"]:
            area = sample["width"] * sample["height"]
            found[sample["clip_id"]] = max(found.get(sample["clip_id"], (0, "")), (area, sample["media_digest"]))
    return {clip_id: digest for clip_id, (_, digest) in found.items()}


def agreements(
    clips: Sequence[Row], samples: Sequence[Row], rows: Iterable[Row], pipeline: Pipeline
) -> list[Agreement]:
    """What is known of today's captions and files, in the clips' order. rows: table `agreement`, later ones win.

    The best of several captions counts for each picture: one of them is drawn at a time, all must be wrong to depart.
    """
    measured = {row["about"]: json.loads(row["cosines"]) for row in rows if row["outcome"] == "done"}
    if not measured:
        return []
    digests = largest_media(samples)
    windows: dict[str, dict[tuple[int, int], set[str]]] = {}
    for s in samples:
        if s["state"] == "ok" and not s["flip"]:
            windows.setdefault(s["clip_id"], {}).setdefault((s["start"], s["frames"]), set()).add(s["view"])
    model, config = pipeline.filter.looks, pipeline.caption.check
    found = []
    for clip in clips:
        digest = digests.get(clip["clip_id"])
        if clip["state"] != "keep" or digest is None:
            continue
        known = measured.get(about(digest, captions_of(clip), model, config))
        if known:
            found.append(_agreement(clip["clip_id"], known, windows.get(clip["clip_id"], {})))
    below = looks.deviations(np.array([one.cosine for one in found], np.float64))
    return [_with_deviations(one, value) for one, value in zip(found, below.tolist())]


def _agreement(clip_id: str, known: Mapping[str, Any], windows: Mapping[tuple[int, int], set[str]]) -> Agreement:
    best = np.max(np.asarray(known["cosines"], np.float64), axis=0)  # [captions, pictures] -> [pictures]
    spans = sorted(windows)
    means = looks.window_means(best.tolist(), known["indices"], spans)
    made = tuple(
        Window(clip_id=clip_id, start=start, frames=frames, views=tuple(sorted(windows[start, frames])),
               cosine=round(mean, 4), drop=round(drop, 4))
        for (start, frames), mean, drop in zip(spans, means, looks.drops(means))
    )  # fmt: skip
    return Agreement(clip_id=clip_id, cosine=round(float(best.mean()), 4), deviations=None, windows=made)


def _with_deviations(one: Agreement, value: float) -> Agreement:
    known = None if np.isnan(value) else round(value, 2)
    return Agreement(clip_id=one.clip_id, cosine=one.cosine, deviations=known, windows=one.windows)


def flags_of(one: Agreement, config: CheckConfig) -> tuple[str, ...]:
    """DEPARTS and AGREES_LITTLE, where they hold."""
    departs = any(window.drop >= config.drop for window in one.windows)
    little = one.deviations is not None and one.deviations >= config.deviations
    return (*((DEPARTS,) if departs else ()), *((AGREES_LITTLE,) if little else ()))


def flag_captions(clips: list[dict[str, Any]], samples: Sequence[Row], rows: Iterable[Row], pipeline: Pipeline) -> None:
    """Add the flags to the clips (in place)."""
    by_clip = {clip["clip_id"]: clip for clip in clips}
    for one in agreements(clips, samples, rows, pipeline):
        by_clip[one.clip_id]["caption_flags"] += flags_of(one, pipeline.caption.check)
