"""What is left of cuts, steps and spans once others are known: the small rules between the parts of `shots.find_shots`.

All pure. Legend: T float32[N, P] (`Pictures`), P luma values (0..255) of each frame's tiny picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wanprep.signals.flashes import is_flash
from wanprep.signals.gradual import Mix
from wanprep.signals.jumps import blends
from wanprep.signals.mixing import rms
from wanprep.signals.odd import Odd
from wanprep.signals.pictures import Pictures
from wanprep.signals.shotlist import Transition
from wanprep.signals.steps import Step
from wanprep.signals.veils import veiled
from wanprep.signals.wipes import Sweep

HIDDEN = ("dissolve", "wipe")  # kinds of which a part may be found where a fast move hides a cut
MIN_BLEND = 10.0  # RMS luma difference by which a frame of two shots must differ from a frame of either


def is_light(T: Pictures, sweep: Sweep, longest: int) -> bool:
    """Whether the largest step of what may lie between two shots is light alone, of at most `longest` frames."""
    low = max(0, sweep.first - 1)
    at = low + 1 + int(np.argmax(rms(np.diff(T[low : sweep.last + 2], axis=0))))
    return is_flash(T, at - 1, at, longest)


def clear_of(transitions: list[Transition], n: int, room: int = 0) -> np.ndarray:
    """bool[n]: frames in no transition, nor within `room` frames of one."""
    free = np.ones(n, bool)
    for t in transitions:
        free[max(0, t.first - room) : t.last + 1 + room] = False
    return free


def unexplained(cuts: list[int], transitions: list[Transition], odd: list[Odd], n: int) -> np.ndarray:
    """bool[n]: frames that no cut is beside of, nor a transition, and that are not odd."""
    free = clear_of(transitions, n, 1)
    for cut in cuts:
        free[cut - 1 : cut + 1] = False
    for o in odd:
        free[o.first : o.last + 1] = False
    return free


def risen(cuts: list[int], steps: list[Step], least: float) -> tuple[list[int], list[Transition], list[int]]:
    """The cuts with the steps that are ones after all, of log-odds from `least` on; frames of both shots at such; and
    the other steps, which are doubtful."""
    sure = [step for step in steps if step.odds >= least]
    cuts = sorted({*cuts, *(step.at for step in sure if not step.mixed)})
    mixed = [Transition(kind="dissolve", first=step.at - 1, last=step.at - 1) for step in sure if step.mixed]
    return cuts, mixed, [step.at for step in steps if step.odds < least]


def split_blends(T: Pictures, cuts: list[int], transitions: list[Transition]) -> tuple[list[int], list[Transition]]:
    """Cuts of which one frame shows both shots become a transition of that frame; the others stay cuts."""
    free = clear_of(transitions, len(T))
    left, found = [], []
    for cut in cuts:
        near = [i for i in (cut - 1, cut) if 0 < i < len(T) - 1 and free[i - 1 : i + 2].all()]
        beyond = blends(Pictures(T[near[0] - 1 : near[-1] + 2]), MIN_BLEND) + near[0] - 1 if near else np.zeros(0, int)
        if mixed := [int(i) for i in beyond if i in near]:
            found.append(Transition(kind="dissolve", first=mixed[0], last=mixed[0]))
        else:
            left.append(cut)
    return left, found


def beside(spans: list[tuple[int, int]], cuts: list[int], transitions: list[Transition], n: int) -> list[Transition]:
    """Doubtful spans (first, last) as far as no transition or other span covers them and no cut divides them."""
    free, at = clear_of(transitions, n), np.zeros(n + 1, bool)
    at[cuts] = True
    found = []
    for first, last in sorted(spans, key=lambda span: span[0] - span[1]):
        if free[first : last + 1].all() and not at[first : last + 2].any():
            free[first : last + 1] = False
            found.append(Transition(kind="doubtful", first=first, last=last))
    return sorted(found, key=lambda t: t.first)


def smears(edges: np.ndarray, cuts: list[int], spans: list[Transition], fps: float) -> list[Transition]:
    """What hides cuts and ways between shots (`veils.py`), as far as no other span covers it and no cut divides it."""
    joins = [(cut - 1, cut) for cut in cuts] + [(t.first - 1, t.last + 1) for t in spans if t.kind in HIDDEN]
    free, found = clear_of(spans, len(edges)), []
    for first, last in veiled(edges, joins, fps):
        if free[first : last + 1].all() and not any(first < cut <= last for cut in cuts):
            free[first : last + 1] = False
            found.append(Transition(kind="odd", first=first, last=last))
    return found


def isolated_jumps(T: Pictures, frames: Sequence[int] | np.ndarray, times: float) -> list[int]:
    """Those of `frames` whose step from the frame before exceeds the steps on both sides `times` times."""
    at = np.array([i for i in frames if i > 0], np.int64)
    if not len(at):
        return []
    step = rms(T[at] - T[at - 1])
    before = rms(T[at - 1] - T[np.maximum(at - 2, 0)])
    after = rms(T[np.minimum(at + 1, len(T) - 1)] - T[at])
    return [int(i) for i in at[step >= times * np.maximum(before, after)]]


def outside_mixes(cuts: list[int], mixes: list[Mix], T: Pictures) -> list[int]:
    """Cuts that are not part of a transition: inside one, or a small step at its very edge."""
    kept = []
    for cut in cuts:
        step = float(rms(T[cut] - T[cut - 1]))
        near = [m for m in mixes if m.first - 1 <= cut <= m.last + 2]
        if not any(m.first <= cut <= m.last + 1 or step < 0.25 * m.change for m in near):
            kept.append(cut)
    return kept


def drop_flashes(cuts: list[int], mixes: list[Mix], T: Pictures, longest: int) -> tuple[list[int], list[Mix]]:
    """Remove events during which the picture was only washed out by light, for at most `longest` frames."""
    kept = [c for c in cuts if not is_flash(T, c - 1, c, longest)]
    return kept, [m for m in mixes if not is_flash(T, m.first - 1, m.last + 1, longest)]
