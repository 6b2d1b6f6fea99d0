"""The key of every measurement, in one place: exactly what a result depends on, and never a threshold.

The one exception is `shots` and `plans`, which remember decisions that are worth remembering (they read every frame's
numbers); what they depend on includes the settings of `[split]` and the family's rate. Latents and embeddings have
their keys in `stages.cache`, captions in `stages.caption`.

Keys that deciding asks for by the ten thousand (`signals`, `clip`, `scores`, `pool`, media) write the canonical JSON of
`ids.key_of` as one text, names in their order; `wanprep.keyed` makes whole columns of them.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wanprep import ids
from wanprep.config import to_table

# Raise a version when a change of code changes what is measured.
ANALYSIS_VERSION = 37
PLANS_VERSION = 2
SHOTS_VERSION = 24
SCORES_VERSION = 52
MEDIA_VERSION = 6

CLIP_LENGTH = 16
CLIP = '{"end_pts":%s,"source_id":%s,"start_pts":%s}'
SCORES = '{"crop":%s,"frames":[%s,%s],"signals":%s,"stage":"scores","version":%s}'
MEDIA = (
    '{"bars":%s,%s"crop":%s,"end_pts":%s,"rate":%s,"size":[%s,%s],'
    '"source_id":%s,"stage":"media","start_pts":%s,"version":%s}'
)


def signals(source_id: str) -> str:
    return _signals(source_id, ANALYSIS_VERSION)


@functools.lru_cache(maxsize=1 << 17)  # asked for by every stage
def _signals(source_id: str, version: int) -> str:
    return ids.key_between(_signals_ends(version), source_id)


@functools.lru_cache(maxsize=8)
def _signals_ends(version: int) -> ids.Ends:
    return ids.key_ends("source_id", stage="signals", version=version)


def shots(signals_digest: str, split: Any) -> str:
    return ids.key_between(shots_ends(split), signals_digest)


def shots_ends(split: Any) -> ids.Ends:
    """`shots` of all sources has these ends (`keyed.between`): the settings are not looked at again for each."""
    return _shots_ends(split, SHOTS_VERSION)


@functools.lru_cache(maxsize=8)
def _shots_ends(split: Any, version: int) -> ids.Ends:
    return ids.key_ends("signals", stage="shots", version=version, split=to_table(split))


def plans(shots_key: str, rate: int) -> str:
    return ids.key_between(plans_ends(rate), shots_key)


def plans_ends(rate: int) -> ids.Ends:
    """As `shots_ends`."""
    return _plans_ends(rate, PLANS_VERSION)


@functools.lru_cache(maxsize=8)  # asked for once a source, as `shots` is
def _plans_ends(rate: int, version: int) -> ids.Ends:
    return ids.key_ends("shots", stage="plans", version=version, rate=rate)


def clip(source_id: str, start_pts: int, end_pts: int) -> str:
    """Identity of a clip: the span, whatever the detector settings that found it. Short, because it names files."""
    return ids.digest_text(CLIP % (end_pts, ids.canonical_text(source_id), start_pts))[:CLIP_LENGTH]


def scores(signals_key: str, start_frame: int, end_frame: int, x: int, y: int, width: int, height: int) -> str:
    """x, y, width, height: of the clip's crop, the part of the picture that is scored."""
    owner, crop = ids.canonical_text(signals_key), f"[{x},{y},{width},{height}]"
    return ids.digest_text(SCORES % (crop, start_frame, end_frame, owner, SCORES_VERSION))


def pool(scores_keys: Sequence[str]) -> str:
    """Of what several clips say of an overlay together. The rule itself is part of the key, by its source text: it is
    pure, and a memory of it that outlives a change of it would be wrong without a sign."""
    rule, scores = ids.canonical_text(_overlay_rule()), ",".join(map(ids.canonical_text, scores_keys))
    return ids.digest_text(f'{{"rule":{rule},"scores":[{scores}],"stage":"pool"}}')


@functools.cache
def _overlay_rule() -> str:
    from wanprep.signals import marks, overlay, recurring, scenes

    return " ".join(ids.digest_file(Path(str(module.__file__))) for module in (overlay, marks, recurring, scenes))


def match(one: str, other: str, threshold: float) -> str:
    """Of how alike two clips are, by their scores' keys. The rule is part of it, as in `pool`."""
    return ids.key_of(stage="match", rule=_match_rule(), scores=[one, other], threshold=threshold)


@functools.cache
def _match_rule() -> str:
    from wanprep.signals import phash

    return ids.digest_file(Path(phash.__file__))
