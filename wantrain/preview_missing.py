"""Which previews a finished run should have, told by its files: so that those that are missing can be made later.

Only what was kept can be shown: a checkpoint that was removed since (save.keep) has no preview any more, and one that
was asked for between two planned ones is not looked for, since nothing says what the other expert was at.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

Loras = dict[str, tuple[int, Path]]  # expert -> (step, file)


def planned(
    checkpoints: Mapping[str, Mapping[int, Path]], totals: Mapping[str, int], every: int, *,
    at_start: bool, together: bool,
) -> list[Loras]:  # fmt: skip
    """What each preview shows, in order of training; an expert that is left out is the base model.

    checkpoints: expert -> step -> a file that is there. totals: expert -> its steps, in the order of training. every:
    as `previews.every`. at_start: the base model's, too. together: experts take turns; else one follows the other.
    """
    found: list[Loras] = [{}] if at_start else []
    if together:
        for step in sorted({step for made in checkpoints.values() for step in made}):
            if step % (every or 1) and step not in totals.values():
                continue
            steps = {name: min(step, total) for name, total in totals.items()}
            if all(steps[name] in checkpoints.get(name, {}) for name in steps):
                found.append({name: (own, checkpoints[name][own]) for name, own in steps.items()})
        return found
    before: Loras = {}
    for name, total in totals.items():
        made = checkpoints.get(name, {})
        for step in sorted(made):
            if step % (every or 1) == 0 or step == total:
                found.append({**before, name: (step, made[step])})
        if total not in made:
            break  # without its end nothing that came after can be shown as it was
        before[name] = (total, made[total])
    return found
