"""The key of every measurement, in one place: exactly what a result depends on, and never a threshold.

The one exception is `shots` and `plans`, which remember decisions that are worth remembering (they read every frame's
numbers); what they depend on includes the settings of `[split]` and the family's rate. Latents and embeddings have
their keys in `stages.cache`, captions in `stages.caption`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from wanprep import ids
from wanprep.config import to_table

# Raise a version when a change of code changes what is measured.
ANALYSIS_VERSION = 14
PLANS_VERSION = 2
SHOTS_VERSION = 7
SCORES_VERSION = 11
MEDIA_VERSION = 4


@functools.lru_cache(maxsize=1 << 17)  # asked for by every stage
def signals(source_id: str) -> str:
    return _signals_under(ANALYSIS_VERSION)(source_id)


@functools.lru_cache(maxsize=8)
def _signals_under(version: int) -> Callable[[str], str]:
    return ids.key_maker("source_id", stage="signals", version=version)


def shots(signals_digest: str, split: Any) -> str:
    return _shots_under(split, SHOTS_VERSION)(signals_digest)


@functools.lru_cache(maxsize=8)  # asked for once a source
def _shots_under(split: Any, version: int) -> Callable[[str], str]:
    return ids.key_maker("signals", stage="shots", version=version, split=to_table(split))


def plans(shots_key: str, rate: int) -> str:
    return _plans_at(rate, PLANS_VERSION)(shots_key)


@functools.lru_cache(maxsize=8)  # asked for once a source, as `shots` is
def _plans_at(rate: int, version: int) -> Callable[[str], str]:
    return ids.key_maker("shots", stage="plans", version=version, rate=rate)


def clip(source_id: str, start_pts: int, end_pts: int) -> str:
    """Identity of a clip: the span, whatever the detector settings that found it. Short, because it names files."""
    return _clip(source_id, end_pts, start_pts)[:16]


_clip = ids.key_maker("source_id", start_pts=ids.WHOLE, end_pts=ids.WHOLE)


@functools.lru_cache(maxsize=1 << 17)  # asked for several times in each deciding of a whole table
def scores(signals_key: str, start_frame: int, end_frame: int) -> str:
    return _scores_under(SCORES_VERSION)(signals_key, start_frame, end_frame)


@functools.lru_cache(maxsize=8)
def _scores_under(version: int) -> Callable[..., str]:
    return ids.key_maker("signals", stage="scores", version=version, frames=[ids.WHOLE, ids.WHOLE])


def pool(scores_keys: Sequence[str]) -> str:
    """Of what several clips say of an overlay together. The rule itself is part of the key, by its source text: it is
    pure, and a memory of it that outlives a change of it would be wrong without a sign."""
    return ids.key_of(stage="pool", rule=_overlay_rule(), scores=list(scores_keys))


@functools.cache
def _overlay_rule() -> str:
    from wanprep.signals import marks, overlay

    return " ".join(ids.digest_file(Path(str(module.__file__))) for module in (overlay, marks))


def match(one: str, other: str, threshold: float) -> str:
    """Of how alike two clips are, by their scores' keys. The rule is part of it, as in `pool`."""
    return ids.key_of(stage="match", rule=_match_rule(), scores=[one, other], threshold=threshold)


@functools.cache
def _match_rule() -> str:
    from wanprep.signals import phash

    return ids.digest_file(Path(phash.__file__))


def media(
    clip_row: Mapping[str, Any], size: tuple[int, int], crop: Sequence[int], rate: int, colour: Sequence[float] | None
) -> str:
    bars, span, source_id = clip_row["crop"], (clip_row["start_pts"], clip_row["end_pts"]), clip_row["source_id"]
    if colour is None:
        return _media_at(rate, MEDIA_VERSION)(source_id, *bars, *crop, span[1], *size, span[0])
    return ids.key_of(source_id=source_id, **_of_media(rate, bars, crop, size, span), colour=list(colour))


@functools.lru_cache(maxsize=8)
def _media_at(rate: int, version: int) -> Callable[..., str]:
    box = [ids.WHOLE] * 4
    return ids.key_maker("source_id", **_of_media(rate, box, box, box[:2], box[:2]))


def _of_media(
    rate: int, bars: Sequence[int], crop: Sequence[int], size: Sequence[int], span: Sequence[int]
) -> dict[str, Any]:
    fixed = {"stage": "media", "version": MEDIA_VERSION, "rate": rate}
    return fixed | {"start_pts": span[0], "end_pts": span[1], "bars": bars, "crop": crop, "size": size}
