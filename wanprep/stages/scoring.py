"""Signals of a clip -> its scores: the measuring half of `stages.filter`."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from wanprep.signals import brief, cards, content, counters, framing, marks, moving, overlay, phash, quality, screens
from wanprep.signals.bars import BarRules, Crop
from wanprep.signals.store import Signals
from wanprep.stages import colour

MAX_THUMBS = 24  # of one clip that overlay evidence is made of
ROUND = 6  # digits kept of a score


def bars_of(signals: Signals) -> Callable[[int, int], Crop]:
    """What tells the picture between the bars of frames start..end-1; asked for once a source. By the default rules, so
    that what is scored does not hang on settings of `split`."""
    return framing.crops(signals, BarRules())


def measure_clip(signals: Signals, i0: int, i1: int, bars: Callable[[int, int], Crop] | None = None) -> dict[str, Any]:
    """Scores of the clip made of frames i0..i1-1: plain numbers (None = cannot be known), `camera` in words or None,
    `colour`: see `stages.colour`, `evidence`: bytes for pooling overlays, `map_rows`: the height of its map or 0,
    `signature`: bytes for finding repeats, `content`: bytes that place a crop."""
    inside = np.flatnonzero((signals.sampled >= i0) & (signals.sampled < i1))[: 2 * phash.LONGEST]
    thumbs = signals.thumbs[inside]
    crop = (bars or bars_of(signals))(i0, i1)
    part = framing.of_small(crop, signals.width, signals.height, signals.thumbs.shape[1:3])
    signature = b""
    if "tiny" in signals.extra:
        signature = phash.clip_signature(thumbs, signals.extra["tiny"][i0:i1], signals.seconds()[i0:i1], part)
    where, subject = content.clip_content(signals, i0, i1, part)
    drawings = moving.find(thumbs)
    if len(thumbs) > MAX_THUMBS:
        thumbs = thumbs[np.linspace(0, len(thumbs) - 1, MAX_THUMBS).astype(int)]
    camera, speed = quality.clip_camera(signals, i0, i1)
    places = marks.places(thumbs)
    mark, mark_box = marks.judged(places)
    mark += counters.WORTH if counters.counts(thumbs, places) else 0.0
    passing, passing_box = brief.brief(thumbs)
    evidence = overlay.clip_evidence(thumbs, places, drawings)
    pictures = thumbs if part is None else thumbs[:, *part]
    numbers = {
        **quality.clip_scores(signals, i0, i1),
        "camera_speed": speed,
        "subject_motion": subject,
        "card": cards.card(pictures),
        "screen": screens.screen(pictures),
        "mark": mark,
        "brief_mark": passing,
        "moving_mark": drawings[0].odds if drawings else math.nan,
    }
    return {
        **{name: round(value, ROUND) if math.isfinite(value) else None for name, value in numbers.items()},
        "camera": camera,
        "mark_box": mark_box,
        "brief_box": passing_box,
        "moving_box": drawings[0].box if drawings else None,
        "colour": colour.measure(thumbs),
        "evidence": evidence,
        "map_rows": overlay.map_rows(evidence) if evidence else 0,
        "signature": signature,
        "content": where,
    }
