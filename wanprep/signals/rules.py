"""Thresholds of finding shots, `[split.shots]`: applied to stored numbers, so changing one decodes nothing.

Apart from the code that they steer, which need not be loaded to read a pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class GradualRules:
    """When a span of frames counts as a transition.

    max_seconds: longest transition looked for. min_odds: log-odds that a dissolve must reach (see mixing.py); from
    max_doubt on it is doubtful: no transition, but nothing to make a clip of either.
    min_change: RMS luma difference (0..255) of the ends of a dissolve; fades need min_fade. max_likeness: highest
    correlation of the two end pictures (−1..1); above it the picture merely changed its light. max_kept: largest
    share of the picture that may stay. For fades, max_residual, max_residual_peak: mean and highest distance from the
    mixing model as shares of the change. min_dip: least contrast dip as a share of the predicted one. max_step:
    largest share of the change between two frames; more is a hard cut. max_outside: change just outside as a share of
    the change inside; motion goes on outside, a transition stops. flat: luma deviation (0..255) below which a picture
    is flat. scan_odds, scan_doubt: as min_odds and max_doubt, of what is found by trying every span (dissolves.py).
    """

    max_seconds: float = 3.0
    min_odds: float = 1.5
    max_doubt: float = -0.75
    scan_odds: float = 1.5
    scan_doubt: float = -2.0
    min_change: float = 10.0
    min_fade: float = 10.0
    max_likeness: float = 0.85
    max_residual: float = 0.22
    max_residual_peak: float = 0.45
    min_dip: float = 0.5
    max_dip: float = 1.6
    max_step: float = 0.6
    max_outside: float = 0.75
    max_kept: float = 0.4
    flat: float = 6.0

    def __post_init__(self) -> None:
        if self.max_seconds <= 0:
            raise ValueError(f"max_seconds must be positive, not {self.max_seconds}")
        for name in ("max_likeness", "max_residual", "max_residual_peak", "max_step"):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(f"{name} must be in (0, 1], not {getattr(self, name)}")
        for name in ("min_change", "min_fade", "max_outside"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class WipeRules:
    """When a span of frames counts as a wipe; enabled: whether one is looked for.

    min_odds: log-odds that one must reach; from max_doubt on it is doubtful, and no part of a clip. min_change: RMS
    luma difference (0..255) of its ends. max_likeness: their correlation. max_between: mean distance of a picture in
    the middle from the nearer one of the ends, as a share of their difference. scan_odds, scan_doubt: as min_odds and
    max_doubt, of what is found by trying every span (crossings.py).
    """

    enabled: bool = True
    min_odds: float = 0.3
    max_doubt: float = -1.0
    min_change: float = 18.0
    max_likeness: float = 0.6
    max_between: float = 0.3
    scan_odds: float = 3.0
    scan_doubt: float = 0.0

    def __post_init__(self) -> None:
        if self.min_change <= 0 or not 0 < self.max_between <= 0.5:
            raise ValueError(
                "need min_change > 0 and max_between in (0, 0.5], "
                f"not min_change={self.min_change}, max_between={self.max_between}"
            )


@dataclass(frozen=True, kw_only=True)
class ShotRules:
    """Thresholds of hard cuts; applied to stored numbers, so changing one decodes nothing.

    detect: False takes each source as one shot, for clips that were cut before.
    min_odds: log-odds of a cut that a step must reach (see jumps.py; higher: fewer cuts, 0: even odds). scan_odds: the
    same of all other steps that stand out (steps.py); from max_doubt on such a one is doubtful: no cut, but no clip
    holds it either.
    min_step: RMS luma difference (0..255) a cut shows at least. max_likeness: correlation (−1..1) of the pictures
    before and after, above which only light, noise or compression changed.
    isolation: a cut that exceeds the steps around it so many times is one that no transition spans.
    flash_seconds: a bright event no longer than this with the same picture before and after is a flash, not a cut.
    dip_seconds: longest pause between a fade out and a fade in that still makes them one dip.
    doubt_seconds: longest span that is left out of the clips because it may be a transition.
    """

    detect: bool = True
    min_odds: float = 0.0
    scan_odds: float = 1.0
    max_doubt: float = -2.0
    min_step: float = 3.0
    max_likeness: float = 0.95
    isolation: float = 3.0
    flash_seconds: float = 1.0
    dip_seconds: float = 0.5
    doubt_seconds: float = 1.5
    gradual: GradualRules = field(default_factory=GradualRules)
    wipes: WipeRules = field(default_factory=WipeRules)

    def __post_init__(self) -> None:
        if not 0 < self.max_likeness <= 1:
            raise ValueError(f"max_likeness must be in (0, 1], not {self.max_likeness}")
        for name in ("isolation", "min_step", "flash_seconds", "dip_seconds", "doubt_seconds"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)}")
