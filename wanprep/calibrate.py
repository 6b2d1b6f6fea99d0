"""`wanprep calibrate`: thresholds fitted to a user's own keep and drop labels, and the errors they leave.

Labels are a CSV with a header: `label` (keep | drop), and `clip_id` (or its start), or `path` and `time` (a second of
the source inside the clip); optionally `reason`, a filter's name, on drops. A drop with a reason must be rejected by
that filter; one without by any. The fit goes over the filters in turn, each time to the threshold with the fewest
errors, nearest to the present one among equals, until nothing gets better. The dataset is not written.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wanprep.stage import UsageError
from wanprep.stages.filter import REGISTRY, FilterConfig

Row = Mapping[str, Any]
FITTED = tuple(name for name in REGISTRY if name != "duplicate")  # repeats are no matter of degree
ROUNDS = 5
FEW = 5  # drops of one filter, below which its threshold is little more than a guess


@dataclass(frozen=True, kw_only=True)
class Label:
    """What a person said of one clip. line: of the file, for messages. reason: "" or what is wrong with it."""

    line: int
    keep: bool
    clip_id: str = ""
    path: str = ""
    time: float = math.nan
    reason: str = ""


def read_labels(text: str, where: str) -> list[Label]:
    """Parse the CSV; UsageError that names the line, the value and the remedy."""
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    names = set(reader.fieldnames or ())
    if "label" not in names or not ({"clip_id"} <= names or {"path", "time"} <= names):
        found = ", ".join(reader.fieldnames or ()) or "nothing"
        raise UsageError(
            f"{where}: the first line must name label and clip_id, or label, path and time; it has {found}"
        )
    return [_label(row, reader.line_num, where) for row in reader]


def _label(row: Mapping[str, str | None], line: int, where: str) -> Label:
    cells = {name: (value or "").strip() for name, value in row.items() if isinstance(name, str)}
    said = cells["label"].lower()
    if said not in ("keep", "drop"):
        raise UsageError(f"{where}, line {line}: label is {cells['label']!r}; it must be keep or drop")
    clip_id, path, reason = cells.get("clip_id", ""), cells.get("path", ""), cells.get("reason", "")
    try:
        time = float(cells.get("time") or "nan")
    except ValueError:
        raise UsageError(f"{where}, line {line}: time is {cells['time']!r}; it must be seconds, as 12.5") from None
    if not clip_id and (not path or math.isnan(time)):
        raise UsageError(f"{where}, line {line}: names no clip; give clip_id, or path and time")
    return Label(line=line, keep=said == "keep", clip_id=clip_id, path=path, time=time, reason=reason)


def find_clips(labels: Sequence[Label], clips: Sequence[Row]) -> tuple[list[tuple[Label, Row]], list[Label]]:
    """(labels with the clip each means, labels that mean none or several)."""
    found, lost = [], []
    for label in labels:
        if label.clip_id:
            fits = [clip for clip in clips if clip["clip_id"].startswith(label.clip_id)]
        else:
            fits = [
                clip for clip in clips
                if clip["start_s"] <= label.time < clip["end_s"]
                and (clip["path"] == label.path or clip["path"].endswith("/" + label.path))
            ]  # fmt: skip
        if len(fits) == 1:
            found.append((label, fits[0]))
        else:
            lost.append(label)
    return found, lost


@dataclass(frozen=True, kw_only=True)
class _Table:
    """The labelled clips, F filters x N clips. values: float[F, N], higher is worse, NaN unknown. keep: bool[N].
    wanted: bool[F, N], the filters that could rightly reject a drop."""

    values: np.ndarray
    keep: np.ndarray
    wanted: np.ndarray

    def errors(self, limits_F: np.ndarray) -> np.ndarray:
        """bool[N]: clips to keep that some filter rejects, and drops that no right filter does."""
        with np.errstate(invalid="ignore"):
            said_FN = self.values > limits_F[:, None]
        return np.where(self.keep, said_FN.any(axis=0), ~(said_FN & self.wanted).any(axis=0))


def fit(pairs: Sequence[tuple[Label, Row]], config: FilterConfig) -> FilterConfig:
    """Thresholds with the fewest errors on labelled clips (rows with `scores` decoded); see the module. A filter that
    is off takes part, and is switched on, only where some drop names it."""
    asked = {label.reason for label, _ in pairs if not label.keep}
    names = [name for name in FITTED if getattr(config, name).enabled or name in asked]
    table = _table(pairs, names)
    present = np.array([_sign(name) * getattr(config, name).threshold for name in names])
    limits = present.copy()
    for _ in range(ROUNDS):
        before = limits.copy()
        for f in range(len(names)):
            limits[f] = _best(table, limits, f, float(present[f]))
        limits = _let_go(table, limits)
        if (limits == before).all():
            break
    fitted = {}
    for name, limit, was in zip(names, limits.tolist(), present.tolist()):
        rule = getattr(config, name)
        if limit != was or not rule.enabled:
            fitted[name] = dataclasses.replace(rule, enabled=True, threshold=_rounded(name, limit, was))
    return dataclasses.replace(config, **fitted)


def _sign(name: str) -> float:
    return 1.0 if REGISTRY[name].bad == "above" else -1.0


def _table(pairs: Sequence[tuple[Label, Row]], names: Sequence[str]) -> _Table:
    values = [
        [_sign(name) * _value(clip, name) for _, clip in pairs]
        for name in names
    ]  # fmt: skip
    wanted = [[not label.keep and label.reason in ("", name) for label, _ in pairs] for name in names]
    shape = (len(names), len(pairs))
    return _Table(
        values=np.array(values, float).reshape(shape),
        keep=np.array([label.keep for label, _ in pairs], bool),
        wanted=np.array(wanted, bool).reshape(shape),
    )


def _value(clip: Row, name: str) -> float:
    value = clip["scores"].get(name, (None,))[0]
    return math.nan if value is None else float(value)


def _best(table: _Table, limits_F: np.ndarray, f: int, present: float) -> float:
    """The limit of filter f with the fewest errors, the others as they are; nearest to the present one among equals.

    Candidates lie in the middle between two values that occur, so that neither clip sits on the threshold.
    """
    values = np.unique(table.values[f][np.isfinite(table.values[f])])
    candidates = [present, float(limits_F[f])]
    if len(values):
        edge = max(float(np.ptp(values)) * 0.05, 1e-6)
        candidates += [float(values[0]) - edge, *((values[1:] + values[:-1]) / 2).tolist(), float(values[-1]) + edge]
    trial = limits_F.copy()
    scored = []
    for limit in candidates:
        trial[f] = limit
        scored.append((int(table.errors(trial).sum()), abs(limit - present), limit))
    return min(scored)[2]


def _let_go(table: _Table, limits_F: np.ndarray) -> np.ndarray:
    """Loosen all the filters together that reject a clip to keep, where that leaves fewer errors: one at a time would
    not help a clip that two of them reject."""
    for clip in np.flatnonzero(table.errors(limits_F) & table.keep):
        own = table.values[:, clip]
        trial = limits_F.copy()
        for f in np.flatnonzero(own > limits_F):
            higher = table.values[f][table.values[f] > own[f]]
            trial[f] = (own[f] + higher.min()) / 2 if len(higher) else own[f] + 0.05 * abs(own[f])
        if table.errors(trial).sum() < table.errors(limits_F).sum():
            limits_F = trial
    return limits_F


def _rounded(name: str, limit: float, present: float) -> float:
    """Four digits are plenty; an unchanged threshold stays as it was written."""
    return _sign(name) * (present if limit == present else float(f"{limit:.4g}"))


def settings(before: FilterConfig, after: FilterConfig) -> dict[str, dict[str, Any]]:
    """{filter: {setting: value}} of what differs."""
    found: dict[str, dict[str, Any]] = {}
    for name in REGISTRY:
        old, new = getattr(before, name), getattr(after, name)
        for key in ("enabled", "threshold"):
            if getattr(old, key) != getattr(new, key):
                found.setdefault(name, {})[key] = getattr(new, key)
    return found


def mistakes(pairs: Sequence[tuple[Label, Row]]) -> list[dict[str, Any]]:
    """Labels that the decisions on their clips (rows as decided) contradict."""
    wrong = []
    for label, clip in pairs:
        dropped = clip["state"] == "rejected"
        right = not dropped if label.keep else dropped and (label.reason in ("", *clip["reasons"]))
        if not right:
            names = ("clip_id", "path", "start_s", "end_s", "reasons")
            said = "keep" if label.keep else f"drop {label.reason}".strip()
            wrong.append({"line": label.line, "label": said} | {name: clip[name] for name in names})
    return wrong


def calibrate(dataset: Any, file: Path) -> dict[str, Any]:
    """Fit the thresholds of an opened dataset to the labels in `file`; nothing is written.

    Returns {"labels", "used", "lost": [line], "foreign": {reason: labels}, "before": [error], "after": [error],
    "settings", "few": {filter: drops}}. Both lists of errors are those of real decisions about the whole dataset.
    """
    from wanprep.preview import preview

    try:
        labels = read_labels(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {file}: {error}") from error

    def decided() -> list[dict[str, Any]]:
        rows = preview(dataset).manifest.read("clips").to_dicts()
        return [{**row, "scores": json.loads(row["scores"])} for row in rows]

    pairs, lost = find_clips(labels, decided())
    pairs = [(label, clip) for label, clip in pairs if clip["state"] != "pending"]
    foreign = {label.reason for label, _ in pairs if label.reason and label.reason not in REGISTRY}
    usable = [(label, clip) for label, clip in pairs if clip["scores"] and label.reason not in foreign]
    if not usable:
        raise UsageError(f"none of the {len(labels)} labels in {file} is of a scored clip; `wanprep clips` lists them")
    config = dataset.pipeline.filter
    fitted = fit([pair for pair in usable if pair[0].reason != "duplicate"], config)
    dataset.pipeline = dataclasses.replace(dataset.pipeline, filter=fitted)
    again, _ = find_clips([label for label, _ in usable], decided())
    changes = settings(config, fitted)
    drops = {name: sum(label.reason == name for label, _ in usable) for name in changes}
    return {
        "labels": len(labels), "used": len(usable), "lost": [label.line for label in lost],
        "foreign": {name: sum(label.reason == name for label, _ in pairs) for name in sorted(foreign)},
        "before": mistakes(usable), "after": mistakes(again), "settings": changes,
        "few": {name: count for name, count in drops.items() if count < FEW},
    }  # fmt: skip


def show_calibration(dataset: Any, file: Path, as_json: bool) -> None:
    """Fit, and say what to paste; on stdout."""
    from wanprep.config import dump_toml
    from wanprep.stats_render import plain
    from wanprep.tables import console, counted, print_json, print_rows

    found = calibrate(dataset, file)
    if as_json:
        print_json(found)
        return
    out = console()
    out.print(
        f"{found['used']} of {counted(found['labels'], 'label')} used; {len(found['before'])} contradicted before, "
        f"{len(found['after'])} after the fit."
    )
    if found["lost"]:
        out.print(f"lines that name no clip, or several: {', '.join(map(str, found['lost']))}")
    for reason, count in found["foreign"].items():
        out.print(f"no filter is called {reason}: {counted(count, 'label')} left out (filters: {', '.join(REGISTRY)})")
    drawn = []
    for wrong in found["after"]:
        seconds = f"{wrong['start_s']:.2f}-{wrong['end_s']:.2f}"
        where = (wrong["clip_id"][:8], plain(wrong["path"]), seconds)
        drawn.append((str(wrong["line"]), wrong["label"], *where, ", ".join(wrong["reasons"])))
    if drawn:
        out.print("still contradicted:")
        print_rows((">line", "label", "clip", "~source", ">seconds", "rejected for"), drawn)
    if not found["settings"]:
        out.print("The thresholds are the best for these labels already.")
        return
    for name, count in found["few"].items():
        out.print(f"{name}: only {counted(count, 'label')} named it; look at more clips before you trust its threshold")
    flags = [f"--set filter.{n}.{k}={str(v).lower()}" for n, keys in found["settings"].items() for k, v in keys.items()]
    out.print("Look first: wanprep filter --preview", " ".join(flags), soft_wrap=True)
    out.print("\nFor the pipeline file:\n")
    out.print(dump_toml({"filter": found["settings"]}), markup=False)
