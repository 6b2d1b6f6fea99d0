"""Known faults put into good footage, and innocent changes that must not be taken for faults.

Frames are luma, uint8[N, h, w], about 360 px high; `seconds` their times. Everything is a function of its Generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from coders import CODECS, FINELY, SVT_AV1, TWICE, X264, X265, again, dim, encoded, enlarged, recoded
from degrade import (
    bands,
    defocus,
    gained,
    held,
    lost_focus,
    motion_blur,
    noisy,
    panned,
    shake,
    shallow,
    step,
    swings,
    turned,
)
from handheld import dashboard, filled, orbit, sweep
from rushes import KINDS


@dataclass(frozen=True, kw_only=True)
class Fault:
    """name: for the report. filter: the filter that must reject it, or that must not (innocent)."""

    name: str
    filter: str
    apply: Callable[[np.ndarray, np.ndarray, np.random.Generator], Any]  # frames, or what `encoded` makes of them
    innocent: bool = False


def faults() -> list[Fault]:
    """Every fault and innocent change of the benchmark."""
    out = [Fault(name=f"defocus {s} px", filter="blur", apply=lambda f, t, r, s=s: defocus(f, s)) for s in (1, 1.5, 2)]
    for length in (9, 15):
        for way in ("horizontal", "vertical", "diagonal"):
            smear = lambda f, t, r, n=length, w=way: motion_blur(f, n, w)  # noqa: E731
            out.append(Fault(name=f"motion blur {length} px {way}", filter="motion_blur", apply=smear))
    for length, degrees in ((9, 45), (9, 22.5), (15, 30), (17, 45)):
        smear = lambda f, t, r, n=length, a=degrees: motion_blur(f, n, a)  # noqa: E731
        out.append(Fault(name=f"motion blur {length} px at {degrees} deg", filter="motion_blur", apply=smear))
    for rms in (0.0015, 0.003, 0.006):
        for sway in ("tremor", "walk", "sway", "white"):
            move = lambda f, t, r, a=rms, s=sway: shake(f, t, r, a, s)  # noqa: E731
            out.append(Fault(name=f"shake {rms:.2%} {sway}", filter="shake", apply=move))

    def fault(name: str, filter_name: str, apply: Callable[..., np.ndarray], innocent: bool = False) -> None:
        out.append(Fault(name=name, filter=filter_name, apply=apply, innocent=innocent))

    for gain, sigma in ((0.3, 1.5), (0.3, 2), (0.3, 3), (0.15, 2)):
        fault(f"defocus {sigma} px, light {gain}", "blur", lambda f, t, r, g=gain, s=sigma: dim(f, g, s))
    for grain in (4, 8):
        fault(f"defocus 2 px, grain {grain}", "blur", lambda f, t, r, g=grain: noisy(defocus(f, 2), r, g))
    fault("second half out of focus", "blur", lambda f, t, r: lost_focus(f, 3))
    fault("shake 0.30% tremor in a pan", "shake", lambda f, t, r: shake(f, t, r, 3e-3, "tremor", 0.04))
    for rms in (0.003, 0.006):
        fault(f"shake {rms:.2%} slow", "shake", lambda f, t, r, a=rms: shake(f, t, r, a, "slow"))
    swing = lambda t, r: swings(t, r, (3.1, 5.7))[:, 0]  # noqa: E731
    for degrees, part in ((0.15, 0.003), (0.4, 0.008)):  # move the picture's edge about as far
        roll = lambda f, t, r, a=degrees: turned(f, np.radians(a) * swing(t, r), 0 * t)  # noqa: E731
        fault(f"roll of {degrees} degrees", "shake", roll)
        fault(f"zoom of {part:.1%}", "shake", lambda f, t, r, a=part: turned(f, 0 * t, a * swing(t, r)))
    fault("slow roll", "shake", lambda f, t, r: turned(f, 0.05 * t, 0 * t), innocent=True)
    fault("slow zoom", "shake", lambda f, t, r: turned(f, 0 * t, 0.08 * t), innocent=True)
    for by in (0.15, 0.3, -0.15):
        fault(f"exposure {by:+.0%}", "light_jump", lambda f, t, r, by=by: step(f, by))
    for pace, by in ((0.3, -0.2), (0.5, 0.3), (0.5, -0.3)):
        jump = lambda f, t, r, p=pace, by=by: step(panned(f, t, r, p), by)  # noqa: E731
        fault(f"exposure {by:+.0%}, pan of {pace}", "light_jump", jump)
    odd = lambda f: np.arange(len(f)) % 2  # noqa: E731
    for by in (0.1, 0.2):
        fault(f"every second frame {by:+.0%}", "light_jump", lambda f, t, r, by=by: gained(f, 1 + by * odd(f)))
    one = lambda f: np.arange(len(f)) == len(f) // 4 * 2 + 1  # noqa: E731
    fault("one frame +60 %", "light_jump", lambda f, t, r: gained(f, 1 + 0.6 * one(f)))
    for pace in (0.3, 0.5):
        fault(f"pan of {pace}", "light_jump", lambda f, t, r, p=pace: panned(f, t, r, p), innocent=True)
    for name, options in CODECS.items():
        fault(name, "compression", lambda f, t, r, o=options: encoded(f, *o))
    twice = lambda f, t, r: encoded(recoded(f, *X264, "38"), *X264, "18")  # noqa: E731
    fault("x264 crf 38, then crf 18", "compression", twice)
    for sigma in (3, 6, 10):
        fault(f"noise {sigma}", "noise", lambda f, t, r, s=sigma: noisy(f, r, s))
    fault("frozen throughout", "static", lambda f, t, r: np.repeat(f[:1], len(f), axis=0))
    fault("frozen for 60 %", "frozen", lambda f, t, r: held(f, 0.6))
    coarse = lambda f, t, r: encoded(held(f, 0.6), "-c:v", "mpeg2video", "-q:v", "6", "-g", "12")  # noqa: E731
    fault("frozen for 60 %, MPEG-2", "frozen", coarse)
    fault("held for 35 %", "frozen", lambda f, t, r: held(f, 0.35), innocent=True)
    for name in ("blur", "motion_blur"):
        fault("shallow focus", name, lambda f, t, r: shallow(f), innocent=True)
        fault("four times darker", name, lambda f, t, r: gained(f, np.full(len(f), 0.25)), innocent=True)
        fault("light 0.3", name, lambda f, t, r: dim(f, 0.3), innocent=True)
        fault("grain 5", name, lambda f, t, r: noisy(f, r, 5), innocent=True)
    fault("x264 crf 23", "compression", lambda f, t, r: encoded(f, "-c:v", "libx264", "-crf", "23"), innocent=True)
    fault("mpeg4 q 4", "compression", lambda f, t, r: encoded(f, "-c:v", "mpeg4", "-q:v", "4"), innocent=True)
    fault("noise 6", "compression", lambda f, t, r: noisy(f, r, 6), innocent=True)
    fault("slow pan", "shake", lambda f, t, r: shake(f, t, r, 0.0, "white", 0.03), innocent=True)
    fault("fast pan", "shake", lambda f, t, r: shake(f, t, r, 0.0, "white", 0.10), innocent=True)
    fault("+30 % over the clip", "light_jump", lambda f, t, r: gained(f, np.linspace(1, 1.3, len(f))), innocent=True)
    for codec, options, fine, coarse in (("x265", X265, 28, 40), ("svt-av1", SVT_AV1, 45, 63)):
        for crf in (fine, coarse):
            code = lambda f, t, r, o=options, c=crf: encoded(f, *o, str(c))  # noqa: E731
            fault(f"{codec} crf {crf}", "compression", code, innocent=crf == fine)
    return [*out, *rolling(), *rushing(), *hidden(), *meant()]


def rolling() -> list[Fault]:
    """Bands of light; a camera that tilts has none."""
    made = [(0.03, 2.2, 4.0), (0.05, 1.5, 4.0), (0.05, 3.0, -5.0), (0.05, 2.2, 10.0), (0.1, 2.6, 4.0)]
    out = []
    for swing, count, hz in made:
        roll = lambda f, t, r, a=swing, n=count, v=hz: bands(f, t, a, n, v)  # noqa: E731
        out.append(Fault(name=f"{count} bands of {swing:.0%} at {hz:+g} Hz", filter="light_jump", apply=roll))
    roll = lambda f, t, r: bands(panned(f, t, r, 0.3), t, 0.05, 2.2, 4.0)  # noqa: E731
    out.append(Fault(name="2.2 bands of 5% at +4 Hz, pan of 0.3", filter="light_jump", apply=roll))
    tilt = lambda f, t, r: panned(f.transpose(0, 2, 1), t, r, 0.5).transpose(0, 2, 1).copy()  # noqa: E731
    return [*out, Fault(name="tilt of 0.5 heights", filter="light_jump", apply=tilt, innocent=True)]


def rushing() -> list[Fault]:
    """What changes the light of a picture quickly without a jump, and steps of exposure in the midst of it."""
    out = []
    for kind, make in KINDS.items():
        out.append(Fault(name=kind, filter="light_jump", apply=make, innocent=True))
        jump = lambda f, t, r, m=make: step(m(f, t, r), -0.2)  # noqa: E731
        out.append(Fault(name=f"{kind}, exposure -20%", filter="light_jump", apply=jump))
    return out


def hidden() -> list[Fault]:
    """What a fine coding hides of a coarse one, and what it has nothing to hide of."""
    out = []
    for which, innocent in ((TWICE, False), (FINELY, True)):
        for name, codings in which.items():
            code = lambda f, t, r, o=codings: again(f, *o)  # noqa: E731
            out.append(Fault(name=name, filter="compression", apply=code, innocent=innocent))
    for times in (1.5, 2):
        enlarge = lambda f, t, r, n=times: encoded(enlarged(f, n), *X264, "18")  # noqa: E731
        out.append(Fault(name=f"enlarged {times} times, crf 18", filter="compression", apply=enlarge, innocent=True))
    return out


def meant() -> list[Fault]:
    """Moves that hands mean, and what moves before a camera that does not shake."""
    made = [(f"{move.__name__} by hand, {rms:.1%}", move, rms) for move in (orbit, sweep) for rms in (1e-3, 2e-3)]
    made += [("somebody fills the picture", filled, 1e-3), ("out of a car", dashboard, 6e-3)]
    return [
        Fault(name=name, filter="shake", apply=lambda f, t, r, m=move, a=rms: m(f, t, r, a), innocent=True)
        for name, move, rms in made
    ]
