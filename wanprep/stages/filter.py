"""Filter: signals of a clip -> scores (measured once), scores of all clips -> keep, reject with reasons, unknown.

A filter is one field of FilterConfig: its score, unit, meaning and source stand there beside its default threshold.
Scores never contain a threshold, so deciding again costs no decode; a score that cannot be known is None, never a
made-up number, and does not reject.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

import numpy as np

from wanprep.signals import cards, marks, overlay, phash, quality
from wanprep.signals.store import Signals
from wanprep.stages import colour
from wanprep.stages.looks import LooksConfig, with_identity
from wanprep.stages.overlays import overlays
from wanprep.stages.repeats import repeats

MAX_THUMBS = 24  # of one clip that overlay evidence is made of
ROUND = 6  # digits kept of a score
Score = tuple[Any, float | None, str]  # value, threshold, verdict: see Verdict


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
    still: whether it says anything about a still picture; optional: it needs an image-text model (`stages.looks`)."""

    name: str = ""
    score: str
    unit: str
    meaning: str
    source: str
    bad: Literal["above", "below"]
    threshold: float
    still: bool = False
    optional: bool = False


def _about(**facts: Any) -> dict[str, Filter]:
    return {"filter": Filter(**facts)}


@dataclass(frozen=True, kw_only=True)
class FilterConfig:
    """One rule a filter; a new filter is one more field here, and its score in `measure_clip`.

    max_reject_share_warning: warn when one filter alone rejects more than this share of the clips.
    """

    blur: Rule = field(default=Rule(), metadata=_about(
        score="sharpness", bad="below", threshold=0.125, still=True, unit="1/px at 360p",
        meaning="even the sharpest edges are soft: out of focus, or upscaled",
        source="P99.8 |Laplacian| / P99.8 Sobel, calibrated by bench_quality",
    ))  # fmt: skip
    motion_blur: Rule = field(default=Rule(), metadata=_about(
        score="smear", bad="above", threshold=2.0, still=True, unit="ratio",
        meaning="edges are smeared along one direction",
        source="Crété et al. 2007 by tiles / edge contrast over 8 px, calibrated by bench_quality",
    ))  # fmt: skip
    shake: Rule = field(default=Rule(), metadata=_about(
        score="shake", bad="above", threshold=0.07, unit="turns a step at 16 a second",
        meaning="the camera keeps turning back; a pan never does",
        source="Lucas-Kanade and a similarity transform, calibrated by bench_quality",
    ))  # fmt: skip
    static: Rule = field(default=Rule(), metadata=_about(
        score="motion", bad="below", threshold=0.002, unit="share of the picture",
        meaning="hardly anything moves: less of the picture than this changes by 8/255 within half a second",
        source="frame differencing of 3x3 means at 256 px",
    ))  # fmt: skip
    light_jump: Rule = field(default=Rule(), metadata=_about(
        score="light_jump", bad="above", threshold=0.086, unit="|ln| of exposure",
        meaning="the exposure jumps between two frames (0.14 is 15 %)",
        source="median log ratio where local correlation > 0.9, quartiles alike, camera motion removed",
    ))  # fmt: skip
    frozen: Rule = field(default=Rule(enabled=False), metadata=_about(
        score="frozen_s", bad="above", threshold=1.0, unit="s",
        meaning="a run of equal frames is longer than this; animation holds frames on purpose",
        source="largest difference of 3x3 means <= 2/255",
    ))  # fmt: skip
    overlay: Rule = field(default=Rule(), metadata=_about(
        score="overlay", bad="above", threshold=0.5, still=True, unit="confidence, 0..1",
        meaning="a watermark, logo or text was drawn over the clip",
        source="edges that scenes of a source share (signals/overlay.py), and what stands still and looks drawn in a "
        "clip (signals/marks.py)",
    ))  # fmt: skip
    compression: Rule = field(default=Rule(), metadata=_about(
        score="blockiness", bad="above", threshold=0.14, still=True, unit="spread / mean over the 16 x 16 grid",
        meaning="blocks of a low bitrate show (about H.264 crf 44); not found once the picture has been scaled",
        source="small differences by their place in the coding grid (signals/compression.py)",
    ))  # fmt: skip
    noise: Rule = field(default=Rule(enabled=False), metadata=_about(
        score="noise", bad="above", threshold=8.0, still=True, unit="standard deviation in levels of 255",
        meaning="sensor noise or film grain; often wanted, so off",
        source="Immerkær 1996 in the smoothest third of the picture (signals/compression.py)",
    ))  # fmt: skip
    text_card: Rule = field(default=Rule(), metadata=_about(
        score="card", bad="above", threshold=0.7, still=True, unit="share of the picture",
        meaning="a title or text card: flat background with lettering and nothing else",
        source="lines of lettering in thumbnails (signals/cards.py), calibrated by bench_quality",
    ))  # fmt: skip
    duplicate: Rule = field(default=Rule(), metadata=_about(
        score="repeat", bad="below", threshold=0.18, still=True, unit="share of differing bits, 0..1",
        meaning="shows the same footage as a clip that is kept; also mirrored, cropped, brightened, shortened",
        source="pHash of two pictures a second, and the same changes over time (signals/phash.py)",
    ))  # fmt: skip
    aesthetic: Rule = field(default=Rule(enabled=False), metadata=_about(
        score="aesthetic", bad="below", threshold=4.5, still=True, optional=True, unit="points, about 1..10",
        meaning="people would rate its pictures low",
        source="LAION's aesthetic predictor on CLIP embeddings, mean of the pictures (stages/looks.py)",
    ))  # fmt: skip
    nsfw: Rule = field(default=Rule(enabled=False), metadata=_about(
        score="nsfw", bad="above", threshold=0.5, still=True, optional=True, unit="probability, 0..1",
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


def _entries(config: type[FilterConfig] | FilterConfig) -> list[Filter]:
    found = [(f.name, f.metadata.get("filter")) for f in fields(config)]
    return [replace(entry, name=name) for name, entry in found if entry]


REGISTRY: Mapping[str, Filter] = {entry.name: entry for entry in _entries(FilterConfig)}
OPTIONAL = tuple(name for name, entry in REGISTRY.items() if entry.optional)


def measure_clip(signals: Signals, i0: int, i1: int) -> dict[str, Any]:
    """Scores of the clip made of frames i0..i1-1: plain numbers (None = cannot be known), `camera` in words or None,
    `colour`: see `stages.colour`, `evidence`: bytes for pooling overlays, `signature`: bytes for finding repeats."""
    inside = np.flatnonzero((signals.sampled >= i0) & (signals.sampled < i1))[: 2 * phash.LONGEST]
    thumbs = signals.thumbs[inside]
    signature = b""
    if "tiny" in signals.extra:
        signature = phash.clip_signature(thumbs, signals.extra["tiny"][i0:i1], signals.seconds()[i0:i1])
    if len(thumbs) > MAX_THUMBS:
        thumbs = thumbs[np.linspace(0, len(thumbs) - 1, MAX_THUMBS).astype(int)]
    camera, speed = quality.clip_camera(signals, i0, i1)
    places = marks.places(thumbs)
    mark, mark_box = marks.judged(places)
    numbers = {**quality.clip_scores(signals, i0, i1), "camera_speed": speed, "card": cards.card(thumbs), "mark": mark}
    return {
        **{name: round(value, ROUND) if math.isfinite(value) else None for name, value in numbers.items()},
        "camera": camera,
        "mark_box": mark_box,
        "colour": colour.measure(thumbs),
        "evidence": overlay.clip_evidence(thumbs, places),
        "signature": signature,
    }


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Decision on one clip. state: keep or reject (a clip whose filters are all unknown is kept).

    reasons: names of the filters that reject. scores: name -> (value, threshold, verdict), verdict one of keep,
    reject, unknown, off, and info for what no filter judges; value None = unknown, threshold None = none.
    """

    clip_id: str
    state: Literal["keep", "reject"]
    reasons: tuple[str, ...]
    scores: Mapping[str, Score]


def decide(
    rows: Sequence[Mapping[str, Any]], config: FilterConfig, pools: MutableMapping[str, overlay.Pooled] | None = None
) -> list[Verdict]:
    """Judge all clips together, in order of clip_id. Pure.

    rows: `measure_clip`'s scores and clip_id, source_id, group; optionally kind ("image": only what stills show), and
    path, start_s, end_s: by these the first of several repeats is chosen and named; scores_key, where `pools` is given.
    embedding (bytes of float16) and what `stages.looks` scored: for the optional filters.
    pools: what overlay evidence said before, by keys.pool; what is found out now is added to it.
    """
    rows = with_identity(sorted(rows, key=lambda row: row["clip_id"]))
    pooled, boxes = overlays(rows, config.overlay.threshold, pools)
    still = np.array([row.get("kind") == "image" for row in rows], bool)
    columns = {}
    for name, entry in REGISTRY.items():
        if name == "duplicate":
            continue
        values = pooled if name == "overlay" else _column(rows, entry.score)
        columns[name] = (values.tolist(), _judge(values, still, entry, getattr(config, name)))
    infos = ("duplicate_rate", "luma", "camera", "camera_speed", "likeness")
    table: list[dict[str, Score]] = []
    for i, row in enumerate(rows):
        scores: dict[str, Score] = {}
        for name, (values, said) in columns.items():
            if said[i]:
                value = None if math.isnan(values[i]) else values[i]
                scores[name] = (value, getattr(config, name).threshold, said[i])
        scores |= {name: (row[name], None, "info") for name in infos if row.get(name) is not None}
        if boxes[i]:
            scores["overlay_box"] = (boxes[i], None, "info")
        table.append(scores)
    _find_repeats(rows, table, config.duplicate)
    return [_verdict(row["clip_id"], scores) for row, scores in zip(rows, table)]


def _verdict(clip_id: str, scores: Mapping[str, Score]) -> Verdict:
    reasons = tuple(name for name, score in scores.items() if score[2] == "reject")
    return Verdict(clip_id=clip_id, state="reject" if reasons else "keep", reasons=reasons, scores=scores)


def _find_repeats(rows: Sequence[Mapping[str, Any]], table: Sequence[dict[str, Score]], rule: Rule) -> None:
    """Add the verdict `duplicate` to the scores of each clip (in place), and what a repeat repeats.

    Only clips that no other filter rejects stand for their repeats: a blurred copy never replaces a good one.
    """
    order = sorted(range(len(rows)), key=lambda i: (rows[i].get("path", ""), rows[i].get("start_s") or 0.0, i))
    for kind in ("video", "image"):
        mine = [i for i in order if rows[i].get("kind", "video") == kind]
        # A clip that only its looks speak against still stands for its repeats: they look the same.
        good = [i for i in mine if not any(s[2] == "reject" for name, s in table[i].items() if name not in OPTIONAL)]
        good = [i for i in good if rows[i].get("signature") is not None]
        signatures = [rows[i]["signature"] for i in good]
        found = repeats(signatures, rule.threshold) if rule.enabled else {}
        for k, i in enumerate(good):
            said = "off" if not rule.enabled else "keep" if signatures[k] else "unknown"
            table[i]["duplicate"] = (None, rule.threshold, said)
            if k in found:
                table[i]["duplicate"] = (round(found[k].distance, ROUND), rule.threshold, "reject")
                table[i]["duplicate_of"] = (_span(rows[good[found[k].of]], found[k].mirrored), None, "info")


def _span(row: Mapping[str, Any], mirrored: bool) -> str:
    text = row["clip_id"]
    if row.get("start_s") is not None:
        text += f" ({row['path']} {row['start_s']:.2f}-{row['end_s']:.2f} s)"
    return text + (", mirrored" if mirrored else "")


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> np.ndarray:
    values = (row.get(name) for row in rows)
    return np.array([math.nan if value is None else value for value in values], np.float64)


def _judge(values: np.ndarray, still: np.ndarray, entry: Filter, rule: Rule) -> list[str]:
    """keep, reject, unknown or off per clip; "" where the filter does not apply."""
    badness = values if entry.bad == "above" else -values
    limit = rule.threshold if entry.bad == "above" else -rule.threshold
    known = np.isfinite(values) & (entry.still | ~still)
    bad = known & (badness > limit)
    order = np.flatnonzero(known)[np.argsort(-badness[known], kind="stable")]
    bad[order[: math.floor(rule.worst * len(order) + 1e-9)]] = True
    said = np.where(known, np.where(bad, "reject", "keep"), "unknown")
    if not rule.enabled:
        said[:] = "off"
        said[~known & entry.optional] = ""
    said[still & (not entry.still)] = ""
    return said.tolist()


def share_warnings(verdicts: Sequence[Verdict], config: FilterConfig) -> list[str]:
    """One line for each filter that alone rejects more clips than `max_reject_share_warning`."""
    lines = []
    for name, entry in REGISTRY.items():
        share = sum(name in verdict.reasons for verdict in verdicts) / max(1, len(verdicts))
        if share > config.max_reject_share_warning:
            threshold = getattr(config, name).threshold
            lines.append(
                f"{name} rejects {share:.0%} of {len(verdicts)} clips ({entry.score} {entry.bad} {threshold:g}); "
                f"look at some of them, then set filter.{name}.threshold or filter.{name}.enabled"
            )
    return lines
