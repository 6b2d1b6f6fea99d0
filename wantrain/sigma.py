"""Which sigma an expert trains on: four distributions, cut to its interval, leant, and spread evenly over time.

The expert is chosen first, then sigma inside its interval by the inverse of the cumulative distribution cut at the
interval's ends: exactly the distribution that rejection would give, with no draw wasted. Uniform numbers u become
sigma = s·u/(1+(s−1)·u) for a flow shift s (Esser et al. 2024, "Scaling Rectified Flow Transformers", section 5.3.2), or
sigmoid(mean + std·normal), the logit-normal of its section 3.1. A shift of the latter is the same as adding ln s to its
mean, so it has no setting of its own.

Draw number n of an expert is a function of its seed and n alone: each window of draws visits every one of its equal
shares of the distribution once, in a random order. So a resumed run needs no memory of earlier draws, and the histogram
of a whole run can be shown before it begins.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wanprep.ids import key_of

if TYPE_CHECKING:
    import torch

Interval = tuple[float, float]  # sigma in [lower, upper)


def expert_interval(expert: str, boundary: float | None) -> Interval:
    """The half-open sigma interval [lower, upper) of an expert: high [boundary,1), low [0,boundary), single [0,1)."""
    if expert == "single":
        return 0.0, 1.0
    if expert not in ("high", "low"):
        raise ValueError(f"unknown expert {expert!r}: high, low or single")
    if boundary is None or not 0 < boundary < 1:
        raise ValueError(f"expert {expert!r} needs a boundary between 0 and 1, got {boundary!r}")
    return (boundary, 1.0) if expert == "high" else (0.0, boundary)


def shift_sigma(u: torch.Tensor | float, shift: float) -> torch.Tensor | float:
    """σ = s·u/(1+(s−1)·u), a rising map of [0,1] onto itself; shift 1 is the identity."""
    return shift * u / (1 + (shift - 1) * u)


def u_boundary(sigma: float, shift: float) -> float:
    """The u whose shifted sigma is `sigma`: σ/(s−(s−1)σ)."""
    return sigma / (shift - (shift - 1) * sigma)


@dataclass(frozen=True, kw_only=True)
class Sigmas:
    """The training sigmas of one expert. Fields as in `SamplingConfig`; `interval` is the expert's."""

    method: str
    interval: Interval
    shift: float = 1.0
    mean: float = 0.0
    std: float = 1.0
    bias: float = 0.0
    window: int = 1

    def __post_init__(self) -> None:
        lower, upper = self.interval
        if not 0 <= lower < upper <= 1:
            raise ValueError(f"interval must satisfy 0 <= lower < upper <= 1, got {self.interval}")
        if self.shift <= 0:
            raise ValueError(f"shift must be above 0, got {self.shift}")
        if self.mass < 1e-6:
            raise ValueError(
                f"method {self.method!r} (mean {self.mean:g}, std {self.std:g}) draws almost no sigma in "
                f"{lower:g}–{upper:g}; choose another mean or a larger std"
            )

    @property
    def _uniform(self) -> bool:
        return self.method in ("shift", "linear")

    @property
    def _shift(self) -> float:
        return self.shift if self.method == "shift" else 1.0

    def _mean(self) -> float:
        return self.mean if self.method == "logit_normal" else 0.0

    def _tails(self, sigma: float) -> tuple[float, float]:
        """Shares below and above `sigma` in the uncut distribution; each exact where it is small."""
        if self._uniform:
            u = u_boundary(sigma, self._shift)
            return u, 1 - u
        if sigma in (0.0, 1.0):
            return sigma, 1 - sigma
        z = (math.log(sigma / (1 - sigma)) - self._mean()) / self.std
        return 0.5 * math.erfc(-z / math.sqrt(2)), 0.5 * math.erfc(z / math.sqrt(2))

    def below(self, sigma: float) -> float:
        """Share of the uncut distribution below `sigma`."""
        return self._tails(sigma)[0]

    @property
    def mass(self) -> float:
        """Share of the uncut distribution inside the interval."""
        (below_lower, above_lower), (below_upper, above_upper) = (self._tails(end) for end in self.interval)
        return max(below_upper - below_lower, above_lower - above_upper)

    def at(self, quantile: torch.Tensor) -> torch.Tensor:
        """Quantiles in [0,1) -> sigma float64 inside the interval, the smallest sigma first.

        Rounding may carry a sigma across an end of the interval by one unit in the last place, hence the clamp: a sigma
        on the wrong side would train an expert on steps it never runs.
        """
        import torch

        lower, upper = self.interval
        q = quantile.double()
        exponent = 1 + 2 * abs(self.bias)  # 3 at bias 1: the cube of AI Toolkit
        q = q**exponent if self.bias < 0 else 1 - (1 - q) ** exponent
        (below_lower, above_lower), (below_upper, above_upper) = (self._tails(end) for end in self.interval)
        if self._uniform:
            sigma = shift_sigma(below_lower + (below_upper - below_lower) * q, self._shift)
        else:
            rising = below_lower + (below_upper - below_lower) * q
            falling = above_lower + (above_upper - above_lower) * q
            # The smaller tail is the exact one.
            z = torch.where(rising <= 0.5, torch.special.ndtri(rising), -torch.special.ndtri(falling))
            sigma = torch.sigmoid(self._mean() + self.std * z)
        below = torch.nextafter(torch.tensor(upper, dtype=torch.float64), torch.tensor(0.0, dtype=torch.float64))
        return torch.as_tensor(sigma).clamp(lower, below.item())

    def draws(self, seed: int, first: int, count: int) -> torch.Tensor:
        """Draws number `first` to `first + count − 1` of the endless sequence of `seed`: float64 [count]."""
        import torch

        windows = range(first // self.window, (first + count - 1) // self.window + 1) if count else range(0)
        quantiles = [_strata(seed, number, self.window) for number in windows]
        start = first - first // self.window * self.window
        everything = torch.cat(quantiles) if quantiles else torch.empty(0, dtype=torch.float64)
        return self.at(everything[start : start + count])

    def middles(self, count: int) -> list[float]:
        """The middle sigmas of `count` equal shares of the distribution: fixed questions that cover the interval."""
        import torch

        return self.at((torch.arange(count, dtype=torch.float64) + 0.5) / count).tolist()

    def edges(self, bins: int) -> list[float]:
        lower, upper = self.interval
        return [lower + (upper - lower) * i / bins for i in range(bins + 1)]


def _strata(seed: int, number: int, window: int) -> torch.Tensor:
    """One number in each of `window` equal parts of [0,1), in random order; a function of its arguments alone."""
    import torch

    generator = torch.Generator().manual_seed(int(key_of(seed=seed, window=number)[:15], 16))
    order = torch.randperm(window, generator=generator)
    return (order + torch.rand(window, generator=generator, dtype=torch.float64)) / window


def histogram(values: Sequence[float], edges: Sequence[float]) -> list[int]:
    """How many values fall into each [edge, next edge)."""
    import bisect

    counts = [0] * (len(edges) - 1)
    for value in values:
        counts[min(max(bisect.bisect_right(edges, value) - 1, 0), len(counts) - 1)] += 1
    return counts


def sparkline(counts: Sequence[int]) -> str:
    """Counts as eight heights of block characters."""
    most = max(counts, default=0) or 1
    return "".join("▁▂▃▄▅▆▇█"[math.ceil(7 * count / most)] for count in counts)
