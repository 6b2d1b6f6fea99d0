"""Which of the kept clips show pictures twice, a stutter that a model learns: from a source slower than the family's
rate, or one that repeats its own pictures so often that fewer new ones are left (animation on twos; not film at 60).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from wanprep.stats_model import RepeatStats

MUCH = 0.1  # share of a clip's frames: an occasional one is no stutter


def repeats_of(clips: Iterable[Mapping[str, Any]]) -> RepeatStats:
    """clips: kept ones that move: n_frames and, where known, duplicated, start_frame, end_frame, scores (JSON text)."""
    counts = [(_repeated(row), row["n_frames"]) for row in clips]
    much = [(count, length) for count, length in counts if count >= MUCH * length]
    return RepeatStats(
        clips=len(much), repeated=sum(count for count, _ in much), frames=sum(length for _, length in much)
    )


def _repeated(row: Mapping[str, Any]) -> int:
    """Frames of the clip at the family's rate that show nothing new, at least."""
    share, *_ = json.loads(row.get("scores") or "{}").get("duplicate_rate", (None,))
    doubled = row["n_frames"] - (row["end_frame"] - row["start_frame"]) * (1 - share) if share else 0
    return max(row.get("duplicated") or 0, round(doubled))
