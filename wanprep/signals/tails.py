"""Where a fade really ends: the last frames before the full picture are nearly it, and a ramp may have slowed down.

While a picture P fades from or to a tone c, every frame is c + g · (P − c): only the gain g changes, all one way.
Beyond the proved part of a fade, frames still belong to it as long as that goes on.
Legend: T float32[N, P] (`Pictures`), one row of P luma values (0..255) a frame. Pure: arrays and numbers in, spans out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from wanprep.signals.gradual import Mix
from wanprep.signals.mixing import EPS, cosine, likeness, rms
from wanprep.signals.pictures import Pictures

LAG = 3  # frames over which a gain is compared: flicker and held drawings hide it from one to the next
GAIN = 0.97  # over so many frames a fade changes the picture at least by this factor
ALIKE, DIM = 0.55, 5.0  # and the picture, seen from the tone, stays the same otherwise, where it is not too dim to tell
HOLD = 48  # frames of the bare tone between two halves
LEAST = 3  # frames of a fade that is found as the other half of a proved one
CONTRAST = 6.0  # luma deviation that it ends with
FAINT, SAME = 0.4, 0.9  # contrast of a picture nearest to the tone, as a share, and how like it is to the full one


def complete(T: Pictures, mixes: list[Mix], walls: Sequence[int], longest: int) -> list[Mix]:
    """The mixes with every fade as long as it lasts, and with the other half of a dip that was not found by itself.

    walls: first frames after cuts, which nothing is stretched over. longest: frames that a fade may have.
    """
    out: list[Mix] = []
    n = len(T)
    for index, mix in enumerate(mixes):
        low = max([0, *(w for w in walls if w <= mix.first)])
        low = max(low, out[-1].last + 1) if out else low
        high = min([len(T), *(w for w in walls if w > mix.last)])
        high = min(high, mixes[index + 1].first) if index + 1 < len(mixes) else high
        if mix.kind == "dissolve" and (halves := _halves(T, mix, low, high)):
            out += halves
        elif mix.kind == "fade_in":
            last = _end(T, float(T[mix.first].mean()), mix.last, min(high, mix.first + longest) - 1)
            flat = mix.first + int(np.argmin(T[mix.first : mix.first + _part(mix)].std(-1)))
            other = n - 1 - _other(T.backwards(), n - 1 - flat, n - 1 - low)
            before = _half(T, mix, other, mix.first - 1, "fade_out") or _halves(T, mix, low, high)[:-1]
            out += [*before, replace(mix, last=last)]
        elif mix.kind == "fade_out":
            stop = n - 1 - max(low, mix.last - longest)
            first = n - 1 - _end(T.backwards(), float(T[mix.last].mean()), n - 1 - mix.first, stop)
            flat = mix.last - int(np.argmin(T[mix.last - _part(mix) + 1 : mix.last + 1][::-1].std(-1)))
            other = _other(T, flat, high - 1)
            after = _half(T, mix, mix.last + 1, other, "fade_in") or _halves(T, mix, low, high)[1:]
            out += [replace(mix, first=first), *after]
        else:
            out.append(mix)
    return out


def _halves(T: Pictures, mix: Mix, low: int, high: int) -> list[Mix]:
    """Both halves of a dip whose tone shows in no frame, of which one was found, perhaps as a dissolve: it ends with a
    faint picture of its own shot. Empty where it is none, or the other half is not there."""
    n = len(T)
    if mix.first > low and _faint(T[mix.last], T[mix.first - 1]):
        last = _end(T, _tone(T[mix.last], T[mix.first - 1]), mix.last + 1, high - 1)
        other = _half(T, mix, mix.last + 1, last, "fade_in")
        return [replace(mix, kind="fade_out"), *other] if other else []
    if mix.last + 1 < high and _faint(T[mix.first], T[mix.last + 1]):
        first = n - 1 - _end(T.backwards(), _tone(T[mix.first], T[mix.last + 1]), n - mix.first, n - 1 - low)
        other = _half(T, mix, first, mix.first - 1, "fade_out")
        return [*other, replace(mix, kind="fade_in")] if other else []
    return []


def _faint(dim: np.ndarray, full: np.ndarray) -> bool:
    """Whether a picture is another one with far less contrast."""
    return bool(dim.std() <= FAINT * full.std() and likeness(dim, full) >= SAME)


def _tone(dim: np.ndarray, full: np.ndarray) -> float:
    """What a picture fades to that is `full`, and later `dim`."""
    gain = float(dim.std() / (full.std() + EPS))
    return float(dim.mean() - gain * full.mean()) / (1 - gain)


def _part(mix: Mix) -> int:
    """Frames at the flat end of a fade among which the flattest is: the next fade may have begun."""
    return 1 + (mix.last - mix.first + 1) // 4


def _half(T: Pictures, mix: Mix, first: int, last: int, kind: str) -> list[Mix]:
    full = last if kind == "fade_in" else first
    flat = last - first + 1 < LEAST or T[full].std() < CONTRAST
    return [] if flat else [replace(mix, kind=kind, first=first, last=last, change=float(rms(T[last] - T[first])))]


def _other(T: Pictures, flat: int, stop: int) -> int:
    """Last frame of the fade that comes out of the tone reached at frame `flat`, after at most HOLD frames of it;
    `flat` itself when there is none."""
    start = flat
    while start < min(stop, flat + HOLD) and T[start + 1].std() < CONTRAST / 2:
        start += 1
    last = _end(T, float(T[start].mean()), start, stop)
    return last if last > start else flat


def _end(T: Pictures, tone: float, start: int, stop: int) -> int:
    """Last frame from `start` on, at most `stop`, at which the picture still comes out of a tone (mean luma)."""
    at = start
    while at < stop:
        later = min(at + LAG, len(T) - 1, stop)
        now, then = T[at] - tone, T[later] - tone
        gain = float(rms(now) / (rms(then) + EPS))  # the picture may move meanwhile
        lost = GAIN ** ((later - at) / LAG)
        visible = float(rms(now)) >= DIM
        if gain > lost or (visible and float(cosine(now, then)) < ALIKE):
            break
        at += 1
    return max(start, at - 1) if at < stop else at
