"""Which checkpoint to use, worked out from the measurements alone; and whether a run began to memorise its set.

The lowest held-out loss of a handful of questions is partly luck. Every checkpoint answered the same questions (those
that did not are not compared), so two are compared question by question: the earliest one that is not worse than the
best by more than a standard error of their paired difference is recommended (the one-standard-error rule of Breiman et
al. 1984, "Classification and Regression Trees", section 3.4.3). Earlier means less memorised and more flexible in use.

Memorising is told by Prechelt's generalisation loss (1998, "Early Stopping – But When?"): how far the
held-out loss stands above its lowest so far, as a share. It is said when that share is above 2 % and beyond chance (a
standard error of the paired difference, as above) while samples that are trained on still improve.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

Row = TypeVar("Row", bound=Mapping[str, Any])
NOTHING = 0.0005  # a smaller change against the base is none: it is what shows as 0.0 %
MEMORISING = 0.02  # generalisation loss; Prechelt compares 1, 2, 3 and 5 %
SOURCE = "Prechelt 1998"


@dataclass(frozen=True, kw_only=True)
class Ranked:
    """One checkpoint in the table.

    loss: held out; change: against step 0, as a share; gap: see `gaps`; memorised: made after memorising began.
    """

    step: int
    file: str
    loss: float | None
    change: float | None
    gap: float | None
    memorised: bool = False


@dataclass(frozen=True, kw_only=True)
class Overfit:
    """Memorising. step: of the lowest held-out loss; rise: how far the newest stands above it, as a share."""

    step: int
    rise: float

    @property
    def sentence(self) -> str:
        return (
            f"the set is being memorised from step {self.step} on: held-out loss {self.rise:.1%} above its lowest "
            f"while trained-on samples still improve ({MEMORISING:.0%} is the limit, {SOURCE})"
        )


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """rows: all checkpoints, best first. recommended: one of them, or None. reason: why, in a sentence."""

    rows: tuple[Ranked, ...]
    recommended: Ranked | None
    reason: str
    overfit_from: int | None


def judge(checkpoints: Sequence[Mapping[str, Any]], held_out: Sequence[Mapping[str, Any]]) -> Verdict:
    """checkpoints: {step, file}; held_out: the measurements of the same expert, in order of step."""
    measured = {row["step"]: row for row in comparable(held_out)}
    start, spread, overfit = measured.get(0), gaps(held_out), overfitting(held_out)
    rows = []
    for checkpoint in checkpoints:
        row = measured.get(checkpoint["step"])
        loss = row["loss"] if row else None
        change = None if loss is None or start is None else loss / start["loss"] - 1
        rows.append(
            Ranked(
                step=checkpoint["step"], file=checkpoint["file"], loss=loss, change=change,
                gap=spread.get(checkpoint["step"]),
                memorised=overfit is not None and checkpoint["step"] > overfit.step,
            )
        )  # fmt: skip
    since = None if overfit is None else overfit.step
    ranked = sorted((row for row in rows if row.loss is not None), key=lambda row: (row.loss, row.step))
    unmeasured = sorted((row for row in rows if row.loss is None), key=lambda row: -row.step)
    everything = (*ranked, *unmeasured)
    if not ranked:
        why = "none has answered the present held-out questions" if held_out else "nothing was held out"
        reason = f"{why}, so none can be told from another: look at samples of several" if rows else ""
        last = unmeasured[0] if unmeasured else None
        return Verdict(rows=everything, recommended=last, reason=reason, overfit_from=None)
    best = measured[ranked[0].step]
    if start is not None and _not_worse(start, best):
        reason = "no checkpoint answers held-out questions better than the base model: "
        memorised = "the set is only being memorised; use more clips, fewer steps or a lower rank"
        reason += memorised if overfit is not None else "train longer, or with a larger lr"
        return Verdict(rows=everything, recommended=None, reason=reason, overfit_from=since)
    if start is not None and best["loss"] > (1 - NOTHING) * start["loss"]:
        reason = f"no checkpoint is as much as {NOTHING:.2%} better than the base model on held-out questions: nothing "
        reason += "to speak of was learned; train longer, or with a larger lr (and look at warmup)"
        return Verdict(rows=everything, recommended=None, reason=reason, overfit_from=since)
    chosen = min((r for r in ranked if _not_worse(measured[r.step], best)), key=lambda row: row.step)
    reason = _reason(chosen, ranked[0], overfit)
    others = sorted(row.step for row in unmeasured if any(old["step"] == row.step for old in held_out))
    if others:
        reason += f"; of step {', '.join(map(str, others))} only answers to other questions are known: not compared"
    return Verdict(rows=everything, recommended=chosen, reason=reason, overfit_from=since)


def _reason(chosen: Ranked, best: Ranked, overfit: Overfit | None) -> str:
    if chosen == best:
        text = f"lowest held-out loss ({chosen.loss:.4f}"
    else:
        text = (
            f"earliest within a standard error of the best, of step {best.step} ({chosen.loss:.4f} to {best.loss:.4f}"
        )
    text += ")" if chosen.change is None else f", {chosen.change:+.1%} against the base)"
    return text + (f"; {overfit.sentence}" if overfit is not None else "")


def _not_worse(row: Mapping[str, Any], best: Mapping[str, Any]) -> bool:
    """Whether `row`'s loss exceeds `best`'s by at most one standard error of the paired difference."""
    differences = [a - b for a, b in zip(row["losses"], best["losses"], strict=True)]
    mean = sum(differences) / len(differences)
    if mean <= 0:
        return True
    if len(differences) < 2:
        return False
    variance = sum((d - mean) ** 2 for d in differences) / (len(differences) - 1)
    return mean <= math.sqrt(variance / len(differences))


def comparable(held_out: Sequence[Row]) -> list[Row]:
    """Of an expert's measurements in the order they were made, those with the newest one's questions, by step."""
    if not held_out:
        return []
    newest = _questions(held_out[-1])
    found = {row["step"]: row for row in held_out if _questions(row) == newest}
    return [found[step] for step in sorted(found)]


def _questions(row: Mapping[str, Any]) -> tuple[str | None, int]:
    return row.get("questions"), len(row.get("losses", ()))


def gaps(held_out: Sequence[Mapping[str, Any]]) -> dict[int, float]:
    """step -> how far the loss on trained samples has fallen below the held-out loss, both as shares of their start.

    0 at step 0; a growing gap means that what is learned holds for the trained samples only.
    """
    rows = _both(held_out)
    if not rows or rows[0]["step"] != 0:
        return {}
    start = rows[0]
    return {row["step"]: row["loss"] / start["loss"] - row["trained"] / start["trained"] for row in rows}


def _both(held_out: Sequence[Row]) -> list[Row]:
    """Of the comparable measurements those that answered the same questions on trained-on samples, too."""
    rows = [row for row in comparable(held_out) if row.get("trained") is not None]
    return [row for row in rows if row.get("trained_questions") == held_out[-1].get("trained_questions")]


def overfitting(held_out: Sequence[Mapping[str, Any]]) -> Overfit | None:
    """Whether the newest measurement says that the set is being memorised, by the rule on top of this file."""
    rows = _both(held_out)
    if len(rows) < 2:
        return None
    best = min(rows, key=lambda row: (row["loss"], row["step"]))
    last = rows[-1]
    rise = last["loss"] / best["loss"] - 1 if best["loss"] > 0 else 0.0
    real = rise > MEMORISING and not _not_worse(last, best)
    return Overfit(step=best["step"], rise=rise) if real and last["trained"] < best["trained"] else None


def table_lines(expert: str, verdict: Verdict) -> list[str]:
    """The table for people, the recommended one marked."""
    lines = [f"{expert}: step  held-out   change      gap  file"]
    for row in verdict.rows:
        loss = "–" if row.loss is None else f"{row.loss:.4f}"
        change = "–" if row.change is None else f"{row.change:+.1%}"
        gap = "–" if row.gap is None else f"{row.gap:+.1%}"
        mark = "→" if row == verdict.recommended else " "
        gap += "!" if row.memorised else " "
        lines.append(f"{mark} {row.step:>{len(expert) + 4}}  {loss:>8}  {change:>7}  {gap:>8} {row.file}")
    chosen = f"recommended: {verdict.recommended.file} – " if verdict.recommended else ""
    return [*lines, f"  {chosen}{verdict.reason}"] if verdict.rows else lines
