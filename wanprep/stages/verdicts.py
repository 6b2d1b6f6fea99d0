"""Verdicts on all clips together, one column a score. Judging compares whole columns; what one clip got is put together
only where somebody asks for it. Pure.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

if TYPE_CHECKING:
    from wanprep.stages.filter import Filter, Rule

SAID = ("", "keep", "reject", "unknown", "off")
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
    """One score of every clip, as in Verdict.scores. said: "" for a clip of which the score says nothing."""

    name: str
    values: Sequence[Any]
    said: Sequence[str]
    threshold: float | None = None


def info(name: str, values: Sequence[Any]) -> Column:
    """A score that no filter judges; None where there is none."""
    return Column(name=name, values=values, said=["" if value is None else "info" for value in values])


def judged(values: np.ndarray, still: np.ndarray, entry: Filter, rule: Rule) -> Column:
    """What a filter says of each clip; "" where it does not apply. values: float, NaN = unknown; still: pictures."""
    badness = values if entry.bad == "above" else -values
    limit = rule.threshold if entry.bad == "above" else -rule.threshold
    known = np.isfinite(values) & (entry.still | ~still)
    bad = known & (badness > limit)
    order = np.flatnonzero(known)[np.argsort(-badness[known], kind="stable")]
    bad[order[: math.floor(rule.worst * len(order) + 1e-9)]] = True
    said = np.where(known, np.where(bad, SAID.index("reject"), SAID.index("keep")), SAID.index("unknown"))
    if not rule.enabled:
        said[:] = SAID.index("off")
        said[~known & entry.optional] = SAID.index("")
    said[still & (not entry.still)] = SAID.index("")
    words = np.array(SAID, object)[said].tolist()  # each word once: tens of thousands are told apart by them
    plain = values.tolist()
    if np.isnan(values).any():
        plain = [None if math.isnan(value) else value for value in plain]
    return Column(name=entry.name, values=plain, said=words, threshold=rule.threshold)


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The scores of all clips. columns: by them reasons are ordered."""

    clip_ids: Sequence[str]
    columns: Sequence[Column]

    def names(self, said: str) -> list[list[str]]:
        """Of each clip the scores whose verdict this is."""
        found: list[list[str]] = [[] for _ in self.clip_ids]
        for column in self.columns:
            if said in column.said:
                for names in compress(found, map(said.__eq__, column.said)):  # few of many
                    names.append(column.name)
        return found

    def texts(self) -> list[str]:
        """Of each clip `Verdict.scores` as JSON, by name."""
        columns = sorted(self.columns, key=lambda column: column.name)
        form = functools.cache(lambda said: _form(columns, said))  # few clips are told apart by their verdicts
        told = zip(*(column.said for column in columns))
        return [form(said) % values for said, values in zip(told, zip(*(_json_of_each(c.values) for c in columns)))]

    def verdicts(self) -> list[Verdict]:
        """In order of clip_ids."""
        scores: list[dict[str, Score]] = [{} for _ in self.clip_ids]
        for column in self.columns:
            for mine, value, said in zip(scores, column.values, column.said):
                if said:
                    mine[column.name] = (value, column.threshold, said)
        return [
            Verdict(clip_id=clip_id, state="reject" if reasons else "keep", reasons=tuple(reasons), scores=mine)
            for clip_id, reasons, mine in zip(self.clip_ids, self.names("reject"), scores)
        ]


def _form(columns: Sequence[Column], said: Sequence[str]) -> str:
    """JSON of the scores of clips of which this is said, with a place for the value of each column."""
    text, comma = "", ""
    for column, verdict in zip(columns, said):
        name, limit, last = (json.dumps(part).replace("%", "%%") for part in (column.name, column.threshold, verdict))
        text += f"{comma}{name}: [%s, {limit}, {last}]" if verdict else "%.0s"  # a place that shows nothing
        comma = ", " if verdict else comma
    return f"{{{text}}}"


def _json_of_each(values: Sequence[Any]) -> Sequence[str]:
    kinds = set(map(type, values)) - {type(None)}
    if kinds <= {float}:  # all of them in one call, which is far quicker
        return json.dumps(values)[1:-1].split(", ")
    if kinds <= {str}:  # words, few of them
        texts = {value: json.dumps(value) for value in set(values)}
        return [texts[value] for value in values]
    return ["null" if value is None else json.dumps(value) for value in values]
