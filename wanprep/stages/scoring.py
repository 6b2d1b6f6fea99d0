"""Signals of a clip -> its scores: the measuring half of `stages.filter`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from wanprep.signals import (
    barred,
    brief,
    cards,
    content,
    counters,
    drawn,
    framing,
    marks,
    moving,
    overlay,
    phash,
    quality,
    screens,
    second_look,
    titles,
)
from wanprep.signals.bars import BarRules, Crop
from wanprep.signals.store import Signals
from wanprep.stages import colour

MAX_THUMBS = 24  # of one clip that overlay evidence is made of
ROUND = 6  # digits kept of a score
NEAR = 2  # lines of a thumbnail by which bars may lie beside the crop's edge


def measure_clip(signals: Signals, i0: int, i1: int, crop: Crop | None = None) -> dict[str, Any]:
    """Scores of the clip made of frames i0..i1-1: plain numbers (None = cannot be known), `camera` in words or None,
    `colour`: see `stages.colour`, `evidence`: bytes for pooling overlays, `map_rows`: the height of its map or 0,
    `signature`: bytes for finding repeats, `content`: bytes that place a crop, `measured_part`: see `elsewhere`.

    crop: the part of the picture that the clip shows; None: what is between the bars that default rules find. Boxes are
    in fractions of it.
    """
    inside = np.flatnonzero((signals.sampled >= i0) & (signals.sampled < i1))[: 2 * phash.LONGEST]
    whole, shape = signals.thumbs[inside], signals.thumbs.shape[1:3]
    crop = crop or framing.crops(signals, BarRules())(i0, i1)
    part = framing.of_small(crop, signals.width, signals.height, shape)
    bars = barred.usual(marks.lumas(_some(whole)))
    signature = b""
    if "tiny" in signals.extra:
        signature = phash.clip_signature(whole, signals.extra["tiny"][i0:i1], signals.seconds(i0, i1), part)
    picture = framing.between(part, bars, shape)
    where, subject = content.clip_content(signals, i0, i1, picture)
    thumbs = whole if part is None else np.ascontiguousarray(whole[:, *part])
    drawings = moving.find(thumbs)
    thumbs = _some(thumbs)
    places = marks.places(thumbs)
    mark, mark_box = marks.judged(places)
    mark += counters.WORTH if counters.counts(thumbs, places) else 0.0
    passing, passing_box = brief.brief(thumbs)
    title, title_box = titles.title(thumbs)
    card = cards.card(thumbs)
    shown = screens.evidence(thumbs) if screens.enough(thumbs) else None
    second, second_box = second_look.mark(thumbs) if second_look.asked(mark, title, card) else (math.nan, None)
    camera, speed = quality.clip_camera(signals, i0, i1)
    evidence = overlay.clip_evidence(thumbs, places, drawings)
    numbers = {
        **quality.clip_scores(signals, i0, i1, crop, picture),
        "camera_speed": speed,
        "subject_motion": subject,
        "card": card,
        "screen": screens.screen(thumbs, shown),
        "drawn": math.nan if shown is None else drawn.drawn(shown),
        "mark": mark,
        "second_mark": second,
        "brief_mark": passing,
        "title_mark": title,
        "moving_mark": drawings[0].odds if drawings else math.nan,
    }
    return {
        **{name: round(value, ROUND) if math.isfinite(value) else None for name, value in numbers.items()},
        "camera": camera,
        "measured_part": elsewhere(signals, crop, bars) if len(whole) else None,
        "mark_box": second_box or mark_box,
        "brief_box": passing_box,
        "title_box": title_box,
        "moving_box": drawings[0].box if drawings else None,
        "colour": colour.measure(thumbs),
        "evidence": evidence,
        "map_rows": overlay.map_rows(evidence) if evidence else 0,
        "signature": signature,
        "content": where,
    }


def _some(thumbs: np.ndarray) -> np.ndarray:
    count = len(thumbs)
    return thumbs if count <= MAX_THUMBS else thumbs[np.linspace(0, count - 1, MAX_THUMBS).astype(int)]


def elsewhere(signals: Signals, crop: Crop, bars: barred.Bars) -> Crop | None:
    """The part of the picture, in display pixels, that the numbers of frames are of, where it is not what the clip
    shows: these were measured between the bars that small pictures show, before any crop was known."""
    height, width = signals.thumbs.shape[1:3]
    across, down = signals.width / width, signals.height / height
    left, right = round(bars.left * across), round((width - bars.right) * across)
    top, bottom = round(bars.top * down), round((height - bars.bottom) * down)
    x, y, w, h = crop
    apart = abs(left - x) / across, abs(right - x - w) / across, abs(top - y) / down, abs(bottom - y - h) / down
    return None if max(apart) <= NEAR else (left, top, right - left, bottom - top)
