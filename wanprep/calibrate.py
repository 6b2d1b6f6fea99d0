"""`wanprep calibrate`: thresholds fitted to a user's own keep and drop labels, and the errors they leave.

A drop with a reason must be rejected by that filter; one without by any. The fit goes over the filters in turn, each
time to the threshold with the fewest errors, nearest to the present one among equals, until nothing gets better. Then
the whole dataset is decided with it: a keep that turns out to repeat a kept clip is given up, since no threshold frees
it, and a change without which no more labels are contradicted is taken back. The dataset is not written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from wanprep.labels import Bad, Label, Pair, Row, find_clips, load_labels, sift, why_lost
from wanprep.stage import UsageError
from wanprep.stages.filter import REGISTRY, FilterConfig
from wanprep.thresholds import FEW, fit

ROUNDS = 5
EXPLAINED = 1 / 3  # share of the contradicted labels that settings must mend, or they explain hardly anything
Decide = Callable[[FilterConfig], dict[str, Row]]  # clip_id -> row as decided, scores decoded


def settings(before: FilterConfig, after: FilterConfig) -> dict[str, dict[str, Any]]:
    """{filter: {setting: value}} of what differs."""
    found: dict[str, dict[str, Any]] = {}
    for name in REGISTRY:
        old, new = getattr(before, name), getattr(after, name)
        for key in ("enabled", "threshold"):
            if getattr(old, key) != getattr(new, key):
                found.setdefault(name, {})[key] = getattr(new, key)
    return found


def against(clip: Row) -> list[str]:
    """The filters that reject a clip, whatever a person decided of it by hand."""
    return [name for name, (_, _, said) in clip["scores"].items() if said == "reject"]


def mistakes(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """Labels that the filters' verdicts on their clips (rows as decided) contradict."""
    wrong = []
    for label, clip in pairs:
        reasons = against(clip)
        right = not reasons if label.keep else bool(reasons) and label.reason in ("", *reasons)
        if not right:
            said = "keep" if label.keep else f"drop {label.reason}".strip()
            wrong.append({"line": label.line, "label": said, **_where(clip), "reasons": reasons})
    return wrong


def _where(clip: Row) -> dict[str, Any]:
    return {name: clip[name] for name in ("clip_id", "path", "start_s", "end_s")}


def improved(pairs: Sequence[Pair], config: FilterConfig, clips: Sequence[Row], decide: Decide) -> FilterConfig:
    """Settings that contradict fewer of the labels than `config` does, without a change that is not needed for it;
    `config` itself where there are none. clips: the dataset as `config` decides it."""

    def wrong(decided: Mapping[str, Row]) -> int:
        return len(mistakes([(label, decided[clip["clip_id"]]) for label, clip in pairs]))

    fitted, least, lost = config, len(mistakes(pairs)), set[str]()
    for _ in range(ROUNDS):
        fitted = fit([pair for pair in pairs if pair[0].reason != "duplicate"], config, clips, lost)
        then = decide(fitted)
        kept = {clip["clip_id"] for label, clip in pairs if label.keep}
        repeats = {clip_id for clip_id in kept - lost if "duplicate" in against(then[clip_id])}
        if not repeats:
            break
        lost |= repeats
    before, least, going = least, wrong(decide(fitted)), fitted != config
    while going:
        going = False
        for name in settings(config, fitted):
            without = replace(fitted, **{name: getattr(config, name)})
            if (count := wrong(decide(without))) <= least:
                fitted, least, going = without, count, True
                break
    return fitted if least < before else config


def _usable(labels: Sequence[Label], clips: Sequence[Row]) -> tuple[list[Pair], list[Bad]]:
    """(labels that thresholds can be fitted to, with their clips; the others, with the cause)."""
    pairs, lost = find_clips(labels, clips)
    found, left = [], [(label.line, why_lost(label, clips)) for label in lost]
    for label, clip in pairs:
        cause = ""
        if not label.keep and label.reason and label.reason not in REGISTRY:
            cause = f"no filter is called {label.reason!r}"
        elif clip["state"] == "pending":
            cause = f"clip {clip['clip_id'][:8]} is not scored yet; run wanprep filter"
        elif not clip["scores"]:
            cause = f"clip {clip['clip_id'][:8]} was never scored: it is {', '.join(clip['reasons'])}"
        if cause:
            left.append((label.line, cause))
        else:
            found.append((label, clip))
    return found, left


def calibrate(dataset: Any, file: Path) -> dict[str, Any]:
    """Fit the thresholds of an opened dataset to the labels in `file`; nothing is written.

    Returns {"labels", "used", "unusable": [{line, cause}], "repeated": [line], "torn": [clip with the lines of either
    side], "before": [error], "after": [error], "weak": whether the settings mend too little to be believed, "settings",
    "off": [filter], "few": {filter: labels that a change rests on}, "none_left": whether the settings reject every
    clip, "newly_kept", "newly_dropped": [clip]}. Errors and clips are those of real decisions about the whole dataset.
    """
    from wanprep.decide import judged_clips

    labels, bad = load_labels(file)
    measured, config = dataset.measured(), dataset.pipeline.filter

    def decide(trial: FilterConfig) -> dict[str, Row]:
        rows = judged_clips(measured, replace(dataset.pipeline, filter=trial))
        return {row["clip_id"]: {**row, "scores": json.loads(row["scores"] or "{}")} for row in rows}

    now = decide(config)
    usable, left = _usable(labels, list(now.values()))
    left = sorted(left + bad)
    if not usable:
        causes = "; ".join(f"line {line}: {cause}" for line, cause in left[:3])
        raise UsageError(f"none of the {len(left)} labels in {file} can be used ({causes or 'it has none'})")
    sifted = sift(usable)
    if not sifted.pairs:
        _, own = sifted.torn[0]
        lines = " and ".join(str(label.line) for label in own[:2])
        raise UsageError(f"the labels in {file} say both keep and drop of each clip, the first in lines {lines}")
    fitted = improved(sifted.pairs, config, list(now.values()), decide)
    then = decide(fitted)
    again = [(label, then[clip["clip_id"]]) for label, clip in sifted.pairs]
    before, after = mistakes(sifted.pairs), mistakes(again)
    changes = settings(config, fitted)
    mended = {name: _mended(name, sifted.pairs, again) for name in changes}
    off = [name for name in changes if not getattr(fitted, name).enabled]
    return {
        "labels": len(labels) + len(bad), "used": len(sifted.pairs),
        "repeated": [label.line for label in sifted.repeated],
        "unusable": [{"line": line, "cause": cause} for line, cause in left],
        "torn": [_torn(clip, own) for clip, own in sifted.torn],
        "before": before, "after": after, "settings": changes, "off": off,
        "weak": bool(changes) and len(before) - len(after) < EXPLAINED * len(before),
        "few": {name: count for name, count in mended.items() if count < FEW},
        "none_left": bool(changes) and any(map(_free, now.values())) and not any(map(_free, then.values())),
        "newly_kept": _turned(now, then), "newly_dropped": _turned(then, now),
    }  # fmt: skip


def _mended(name: str, before: Sequence[Pair], after: Sequence[Pair]) -> int:
    """How many labels are obeyed that were not before, on clips of which filter `name` says something else."""
    return sum(
        (name in against(old[1])) != (name in against(new[1])) and bool(mistakes([old])) and not mistakes([new])
        for old, new in zip(before, after, strict=True)
    )


def _torn(clip: Row, labels: Sequence[Label]) -> dict[str, Any]:
    keep, drop = ([label.line for label in labels if label.keep is side] for side in (True, False))
    return {**_where(clip), "keep": keep, "drop": drop}


def _free(clip: Row) -> bool:
    """Whether it was scored and no filter speaks against it."""
    return bool(clip["scores"]) and not against(clip)


def _turned(before: Mapping[str, Row], after: Mapping[str, Row]) -> list[dict[str, Any]]:
    """Clips that filters reject before and not after, with what speaks against them before."""
    turned = [clip for name, clip in before.items() if against(clip) and not against(after[name])]
    return [{**_where(clip), "reasons": against(clip)} for clip in turned]
