"""Filter: signals of a clip -> scores (measured once), scores of all clips -> keep, reject with reasons, unknown.

A filter is one field of FilterConfig: its score, unit, meaning and source stand there beside its default threshold.
Scores never contain a threshold, so deciding again (`stages.judge`) costs no decode; a score that cannot be known is
None, never a made-up number, and does not reject.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from wanprep.stages.looks import LooksConfig

# Measured of frames in the one decode, between the bars that were seen then, before a crop was known.
OF_FRAMES = ("blur", "motion_blur", "shake", "static", "light_jump", "frozen", "compression", "noise", "luma", "camera")


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Settings of one filter.

    threshold: in the filter's unit; NaN (or leaving it out) means the filter's own default.
    worst: share of the clips, 0..1, to reject at the bad end even within the threshold; for small hand-picked sets.
    """

    enabled: bool = True
    threshold: float = math.nan
    worst: float = 0.0

    def __post_init__(self) -> None:
        if math.isinf(self.threshold):
            raise ValueError("threshold must be a number; to switch a filter off set enabled = false")
        if not 0.0 <= self.worst < 1.0:
            raise ValueError(f"worst must be a share from 0 to below 1, got {self.worst}")


@dataclass(frozen=True, kw_only=True)
class Filter:
    """What one filter judges. score: name of the measured value; bad: on which side of the threshold a clip is bad;
    still: whether it says anything about a still picture; optional: it needs an image-text model (`stages.looks`).
    least, most: the range of the score, where it has an end; a threshold beyond it would be a filter without effect."""

    name: str = ""
    score: str
    unit: str
    meaning: str
    source: str
    bad: Literal["above", "below"]
    threshold: float
    still: bool = False
    optional: bool = False
    least: float = -math.inf
    most: float = math.inf


def _about(**facts: Any) -> dict[str, Filter]:
    return {"filter": Filter(**facts)}


@dataclass(frozen=True, kw_only=True)
class FilterConfig:
    """One rule a filter; a new filter is one more field here, and its score in `scoring.measure_clip`.

    max_reject_share_warning: warn when one filter alone rejects more than this share of the clips.
    """

    blur: Rule = field(default=Rule(), metadata=_about(
        score="sharpness", bad="below", threshold=0.125, still=True, unit="1/px at 360p", least=0,
        meaning="even the sharpest edges are soft: out of focus, or upscaled",
        source="2nd derivative along the gradient at the steepest edges, less its noise / P99.8 Sobel (bench_quality)",
    ))  # fmt: skip
    motion_blur: Rule = field(default=Rule(), metadata=_about(
        score="smear", bad="above", threshold=2.0, still=True, unit="ratio", least=0,
        meaning="edges are smeared along one direction",
        source="Crété et al. 2007 by tiles / edge contrast over 8 px, calibrated by bench_quality",
    ))  # fmt: skip
    shake: Rule = field(default=Rule(), metadata=_about(
        score="shake", bad="above", threshold=0.08, unit="widths of the picture in ten seconds", least=0,
        meaning="the camera keeps turning back, far or often; a pan never does",
        source="Lucas-Kanade and a similarity transform, calibrated by bench_quality",
    ))  # fmt: skip
    static: Rule = field(default=Rule(), metadata=_about(
        score="motion", bad="below", threshold=0.002, unit="share of the picture", least=0, most=1,
        meaning="hardly anything moves: less of the picture than this changes by 8/255 within half a second",
        source="frame differencing of 3x3 means at 256 px",
    ))  # fmt: skip
    light_jump: Rule = field(default=Rule(), metadata=_about(
        score="light_jump", bad="above", threshold=0.086, unit="|ln| of exposure", least=0,
        meaning="the exposure or the white balance jumps (0.14 is 15 %), or light flickers or rolls in bands",
        source="median log ratio where local correlation > 0.9; means against their course; a wave of the lines' light",
    ))  # fmt: skip
    frozen: Rule = field(default=Rule(), metadata=_about(
        score="frozen", bad="above", threshold=0.45, unit="share of the clip, 0..1", least=0, most=1,
        meaning="for so much of the clip, in stretches of 0.8 s and more, the picture stands still to the frame",
        source="3x3 means: no change by 8/255 in half a second, and most frames within 2/255 of the one before",
    ))  # fmt: skip
    overlay: Rule = field(default=Rule(), metadata=_about(
        score="overlay", bad="above", threshold=0.5, still=True, unit="confidence, 0..1", least=0, most=1,
        meaning="a watermark, logo or text was drawn over the clip",
        source="edges that scenes of a source share (signals/overlay.py), and what stands still and looks drawn in a "
        "clip (signals/marks.py)",
    ))  # fmt: skip
    compression: Rule = field(default=Rule(), metadata=_about(
        score="quantiser", bad="above", threshold=37.0, still=True, unit="H.264's quantiser, 0..51", least=0, most=51,
        meaning="coded so coarsely that fine detail is gone or blocks show (about x264 crf 38)",
        source="quantiser of the stream (media/quantiser.py), or traces of a coding grid, weighed by a small network "
        "(signals/coarse.py, train_coarse), where those look worse",
    ))  # fmt: skip
    noise: Rule = field(default=Rule(enabled=False), metadata=_about(
        score="noise", bad="above", threshold=8.0, still=True, unit="standard deviation in levels of 255", least=0,
        most=255,
        meaning="sensor noise or film grain; often wanted, so off",
        source="Immerkær 1996 in the smoothest third of the picture (signals/compression.py)",
    ))  # fmt: skip
    text_card: Rule = field(default=Rule(), metadata=_about(
        score="card", bad="above", threshold=0.7, still=True, unit="share of the picture", least=0, most=1,
        meaning="a title or text card: flat background with lettering and nothing else",
        source="lines of lettering in thumbnails (signals/cards.py), calibrated by bench_quality",
    ))  # fmt: skip
    screen: Rule = field(default=Rule(), metadata=_about(
        score="screen", bad="above", threshold=0.93, still=True, unit="confidence, 0..1", least=0, most=1,
        meaning="a computer screen, a page of print or a test card: level areas, straight edges and small print",
        source="a network of one hidden layer on shares of thumbnails (signals/screens.py, train_screens)",
    ))  # fmt: skip
    duplicate: Rule = field(default=Rule(), metadata=_about(
        score="repeat", bad="below", threshold=0.18, still=True, unit="share of differing bits, 0..1", least=0, most=1,
        meaning="shows the same footage as a clip that is kept; also mirrored, cropped, brightened, shortened",
        source="pHash of two pictures a second, and the same changes over time (signals/phash.py)",
    ))  # fmt: skip
    aesthetic: Rule = field(default=Rule(enabled=False), metadata=_about(
        score="aesthetic", bad="below", threshold=4.5, still=True, optional=True, unit="points, about 1..10",
        meaning="people would rate its pictures low",
        source="LAION's aesthetic predictor on CLIP embeddings, mean of the pictures (stages/looks.py)",
    ))  # fmt: skip
    nsfw: Rule = field(default=Rule(enabled=False), metadata=_about(
        score="nsfw", bad="above", threshold=0.5, still=True, optional=True, unit="probability, 0..1", least=0, most=1,
        meaning="one of its pictures looks sexually explicit to the model",
        source="LAION's detector where its head is there, else zero-shot prompts (stages/looks.py), worst picture",
    ))  # fmt: skip
    identity: Rule = field(default=Rule(enabled=False), metadata=_about(
        score="deviations", bad="above", threshold=3.5, still=True, optional=True, unit="robust standard deviations",
        meaning="shows something else than the set does, or than the reference pictures; for sets of one subject",
        source="cosine to the set's geometric median, its MAD (Iglewicz & Hoaglin 1993; signals/looks.py)",
    ))  # fmt: skip
    looks: LooksConfig = field(default_factory=LooksConfig)
    max_reject_share_warning: float = 0.4

    def __post_init__(self) -> None:
        if not 0.0 < self.max_reject_share_warning <= 1.0:
            raise ValueError(f"max_reject_share_warning must be in (0, 1], got {self.max_reject_share_warning}")
        for entry in _entries(self):
            rule = getattr(self, entry.name)
            if math.isnan(rule.threshold):
                object.__setattr__(self, entry.name, replace(rule, threshold=entry.threshold))
            elif not entry.least <= rule.threshold <= entry.most:
                raise ValueError(_outside(entry, rule.threshold))


def _outside(entry: Filter, threshold: float) -> str:
    ends = f"from {entry.least:g} to {entry.most:g}" if math.isfinite(entry.most) else f"{entry.least:g} or more"
    return (
        f"{entry.name}.threshold = {threshold:g} is outside the range of its score, {ends} ({entry.score}, "
        f"{entry.unit}); to switch the filter off set filter.{entry.name}.enabled = false"
    )


def _entries(config: type[FilterConfig] | FilterConfig) -> list[Filter]:
    found = [(f.name, f.metadata.get("filter")) for f in fields(config)]
    return [replace(entry, name=name) for name, entry in found if entry]


REGISTRY: Mapping[str, Filter] = {entry.name: entry for entry in _entries(FilterConfig)}
OPTIONAL = tuple(name for name, entry in REGISTRY.items() if entry.optional)


def measured_elsewhere(part: Sequence[int]) -> str:
    """What people are told of a clip with a `measured_part`."""
    x, y, width, height = part
    return f"{', '.join(OF_FRAMES)} are of {width}x{height} at ({x}, {y}), not what the clip shows"


def share_warnings(reasons: Sequence[Sequence[str]], config: FilterConfig) -> list[str]:
    """One line for each filter that alone rejects more clips than `max_reject_share_warning`.

    reasons: of each clip the filters that reject it.
    """
    counts = Counter(name for names in reasons for name in names)
    lines = []
    for name, entry in REGISTRY.items():
        share = counts[name] / max(1, len(reasons))
        if share > config.max_reject_share_warning:
            threshold = getattr(config, name).threshold
            lines.append(
                f"{name} rejects {share:.0%} of {len(reasons)} clips ({entry.score} {entry.bad} {threshold:g}); "
                f"look at some of them, then set filter.{name}.threshold or filter.{name}.enabled"
            )
    return lines
