"""A dataset that is prepared but not cached yet, for a plan: what fits a card and how long it takes is known from the
samples of the manifest, before the weights are downloaded that encode them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wanprep.cached import Example
from wanprep.families import Family
from wanprep.stage import UsageError


@dataclass(frozen=True, kw_only=True)
class Uncached:
    """Stands for a `CachedDataset` in a plan. first: the commands that cache it, for people. empty_text: has none."""

    root: Path
    family: Family
    samples: tuple[Example, ...]
    first: str
    pending: int = 0
    empty_text: tuple[str, ...] = ()


def open_uncached(root: Path) -> Uncached | None:
    """The good samples of a dataset of which none is cached; None for any other folder. UsageError when it has none."""
    from wanprep.scan import MARKER

    if not (root / MARKER).is_file():
        return None
    from wanprep.dataset import Dataset

    dataset = Dataset.open(root)
    rows = [row for row in dataset.manifest.read("samples").to_dicts() if row["state"] == "ok"]
    if any(row["cache_state"] == "cached" for row in rows):
        return None
    if not rows:
        raise UsageError(f"{root} has no sample to train on yet; `wanprep status --out {root}` says what to do next")
    clips = dataset.manifest.read("clips").select("clip_id", "start_s", "end_s")
    spans = {clip_id: (start, end) for clip_id, start, end in clips.iter_rows()}
    own = dataset.pipeline.caption
    class_path = "to be cached" if own.trigger and own.class_word else ""
    samples = [_sample(row, *spans[row["clip_id"]], class_path) for row in rows]
    return Uncached(
        root=root, family=dataset.pipeline.model, samples=tuple(sorted(samples, key=lambda s: s.sample_id)),
        first=_first_commands(dataset.pipeline.model, root, dataset.pipeline.cache.weights, rows),
    )  # fmt: skip


def _sample(row: Mapping[str, Any], start_s: float, end_s: float, class_path: str) -> Example:
    names = ("sample_id", "clip_id", "source_id", "group", "view", "width", "height", "frames", "repeats")
    return Example(**{name: row[name] for name in names}, start_s=start_s, end_s=end_s, class_path=class_path)


def _first_commands(family: Family, root: Path, weights: str, rows: Sequence[Mapping[str, Any]]) -> str:
    from wanprep.models.find import find_weights
    from wanprep.stages.cache import encoders_of

    mute = any(row["caption"] is None for row in rows)
    here = weights != "auto" or all(find_weights(family, part) for part in encoders_of(family))
    commands = [
        *([f"`wanprep caption --out {root}`"] if mute else []),
        *([] if here else [f"`wanprep fetch {family.name}`"]),
        f"`wanprep cache --out {root}`",
    ]
    return ", then ".join(commands)
