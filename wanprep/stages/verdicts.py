"""Verdicts on all clips together, one column a score. Judging compares whole columns; what one clip got is put together
only where somebody asks for it. Pure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

if TYPE_CHECKING:
    from wanprep.stages.filter import Filter, Rule

SAID = ("", "keep", "reject", "unknown", "off", "info")
Score = tuple[Any, float | None, str]  # value, threshold, verdict: see Verdict


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


@dataclass(frozen=True, kw_only=True)
class Column:
    """One score of every clip, as in Verdict.scores. values: float, text or a list of numbers, null = unknown. said:
    places in SAID; that of "" for a clip of which the score says nothing."""

    name: str
    values: pl.Series
    said: np.ndarray
    threshold: float | None = None

    def says(self, verdict: str) -> np.ndarray:
        """bool[N]: of which clips it says this."""
        return self.said == SAID.index(verdict)


def info(name: str, values: pl.Series) -> Column:
    """A score that no filter judges; null where there is none."""
    return Column(name=name, values=values, said=np.where(values.is_null(), SAID.index(""), SAID.index("info")))


def judged(values: np.ndarray, still: np.ndarray, entry: Filter, rule: Rule) -> Column:
    """What a filter says of each clip; "" where it does not apply. values: float, NaN = unknown; still: pictures."""
    badness = values if entry.bad == "above" else -values
    limit = rule.threshold if entry.bad == "above" else -rule.threshold
    known = np.isfinite(values) & (entry.still | ~still)
    bad = known & (badness > limit)
    if worst := math.floor(rule.worst * int(known.sum()) + 1e-9):
        bad[np.flatnonzero(known)[np.argsort(-badness[known], kind="stable")[:worst]]] = True
    said = np.where(known, np.where(bad, SAID.index("reject"), SAID.index("keep")), SAID.index("unknown"))
    if not rule.enabled:
        said[:] = SAID.index("off")
        said[~known & entry.optional] = SAID.index("")
    said[still & (not entry.still)] = SAID.index("")
    return Column(name=entry.name, values=pl.Series(values).fill_nan(None), said=said, threshold=rule.threshold)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The scores of all clips. columns: by them reasons are ordered."""

    clip_ids: Sequence[str]
    columns: Sequence[Column]

    def names(self, verdict: str) -> list[list[str]]:
        """Of each clip the scores of which this is said."""
        found: list[list[str]] = [[] for _ in self.clip_ids]
        for column in self.columns:
            for clip in np.flatnonzero(column.says(verdict)).tolist():  # few of many
                found[clip].append(column.name)
        return found

    def texts(self) -> pl.Series:
        """Of each clip `Verdict.scores` as JSON, by name."""
        parts = [_json_of_each(column) for column in sorted(self.columns, key=lambda column: column.name)]
        if not parts:
            return pl.Series(["{}"] * len(self.clip_ids), dtype=pl.String)
        text = pl.concat_str(parts, separator=", ", ignore_nulls=True)
        return pl.select(pl.concat_str(pl.lit("{"), text, pl.lit("}"))).to_series()

    def verdicts(self) -> list[Verdict]:
        """In order of clip_ids."""
        scores: list[dict[str, Score]] = [{} for _ in self.clip_ids]
        for column in self.columns:
            for mine, value, said in zip(scores, column.values.to_list(), column.said.tolist()):
                if SAID[said]:
                    mine[column.name] = (value, column.threshold, SAID[said])
        return [
            Verdict(clip_id=clip_id, state="reject" if reasons else "keep", reasons=tuple(reasons), scores=mine)
            for clip_id, reasons, mine in zip(self.clip_ids, self.names("reject"), scores)
        ]


def _json_of_each(column: Column) -> pl.Expr:
    """Of each clip `"name": [value, threshold, "verdict"]`; null where the score says nothing."""
    name, limit = json.dumps(column.name), json.dumps(column.threshold)
    ends = pl.Series([f", {limit}, {json.dumps(said)}]" if said else None for said in SAID], dtype=pl.String)
    value = _json_of_values(column.values).fill_null("null")
    return pl.concat_str(pl.lit(f"{name}: ["), value, ends.gather(column.said))


def _json_of_values(values: pl.Series) -> pl.Series:
    if values.dtype == pl.String:  # words, few of them
        words = values.drop_nulls().unique().to_list()
        return values.replace_strict(words, [json.dumps(word) for word in words], return_dtype=pl.String)
    if isinstance(values.dtype, pl.List):
        numbers = values.cast(pl.List(pl.String)).list.join(", ")
        return pl.select(pl.format("[{}]", numbers)).to_series()
    return values.cast(pl.String)
