"""Judge: scores of all clips -> of each keep, reject with reasons, or unknown; by the settings of `stages.filter`.

Pure, and by whole columns: ten thousand clips are judged in a tenth of a second.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from wanprep.by_hand import DROP, KEEP
from wanprep.signals import overlay
from wanprep.stages.copies import Claims, nothing_claimed, repeated
from wanprep.stages.filter import OPTIONAL, REGISTRY, FilterConfig
from wanprep.stages.looks import with_identity
from wanprep.stages.overlays import Apart, overlays
from wanprep.stages.repeats import Matches
from wanprep.stages.scored import scored
from wanprep.stages.trained import USUAL, Sizes, scaled
from wanprep.stages.verdicts import Judged, Verdict, info, judged

Pools = MutableMapping[str, overlay.Pooled]
# Shown beside what filters judge.
INFOS = ("duplicate_rate", "luma", "camera", "camera_speed", "subject_motion", "drawn", "likeness", "measured_part")


def decide(rows: Sequence[Mapping[str, Any]], config: FilterConfig, *memories: Any) -> list[Verdict]:
    """The verdicts of `judge` on rows of scores, clip by clip."""
    return judge(scored(rows), config, *memories).verdicts()


def judge(
    rows: pl.DataFrame,
    config: FilterConfig,
    pools: Pools | None = None,
    matches: Matches | None = None,
    apart: Apart = dict,
    claims: Claims = nothing_claimed,
    trained: Sizes = USUAL,
) -> Judged:
    """Judge all clips together, in order of clip_id.

    rows: as `scored` makes them of the scores of `scoring.measure_clip` and clip_id, source_id, group; optionally kind
    ("image": only what stills show), and path, start_s, end_s: by these repeats are named, and ordered where all else
    is equal; scores_key, beside a memory.
    embedding (bytes of float16) and what `stages.looks` scored: for the optional filters. by_hand: keep or drop, what
    a person said: one to keep stands for its repeats before all others, one to drop for none.
    pools, matches: what overlay evidence said before, by keys.pool, and what comparing clips said, by keys.match; what
    is found out now is added to them. apart: evidence that rows do not hold, see `overlays`. claims: what else speaks
    for clips that repeat each other, see `copies`. trained: see `trained`; compression counts as it shows at that size.
    """
    rows = with_identity(rows.sort("clip_id", maintain_order=True))
    pooled, boxes = overlays(rows, config.overlay.threshold, pools, apart)
    still = (rows["kind"] == "image").fill_null(False).to_numpy()
    shown = scaled(rows["quantiser"].to_numpy(), rows["lit"].to_numpy(), np.where(still, *trained[::-1]))
    computed = {"overlay": pooled, "quantiser": shown}
    made = []
    for name, entry in REGISTRY.items():
        if name != "duplicate":
            values = computed[entry.score] if entry.score in computed else rows[entry.score].to_numpy()
            made.append(judged(values, still, entry, getattr(config, name)))
    against = [column.says("reject") for column in made if column.name not in OPTIONAL]
    made += [info(name, rows[name]) for name in INFOS]
    made.append(info("overlay_box", boxes))
    # What a person says of a clip wins over every filter.
    hand = rows["by_hand"].fill_null("").to_numpy()
    bad = (hand == DROP) | ((hand != KEEP) & np.logical_or.reduce(against))
    made += repeated(rows, bad, config.duplicate, matches, claims)
    return Judged(clip_ids=rows["clip_id"].to_list(), columns=made)
