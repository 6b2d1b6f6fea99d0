"""How the fast VAE encoder cuts its work to the memory there is, and how much each cut takes. Numbers only, no torch.

Two cuts, and neither changes a value. In time, a clip comes in stretches: every convolution is causal and remembers
the frames it needs. In space, the levels with the most pixels run strip by strip: all they do is local, so a strip that
is given enough of its neighbours' rows yields its own rows as the whole picture would, with no seam to blend. What is
below them (the attention looks at whole frames) has an eighth of the numbers and runs in stretches only.

Legend: rows, columns: of the first level, which are pixels, or patches of pixels where the VAE has them; cells: rows
of what the large levels hand over, four rows each. config: the VAE's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

LARGE = 2  # levels that run in strips: three quarters of the arithmetic, nearly all of the memory
CELL = 2**LARGE
LEAST_CELLS = 4  # of a strip; with its neighbours' rows it is three times as high
STRETCH_PIXELS = 3_200_000  # longer stretches were no faster on an H100 and cost 1 kB a pixel
LIBRARIES = 1 << 29  # what cuDNN and cuBLAS take, and gaps between tensors


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a clip is cut. stretch: frames at a time at the large levels; strips: of these, side by side from top to
    bottom; rest: frames at a time below them. Both counts of frames are multiples of 4, the first stretch has one more.
    """

    stretch: int
    strips: int
    rest: int

    def __post_init__(self) -> None:
        for name in ("stretch", "rest"):
            if (value := getattr(self, name)) < 4 or value % 4:
                raise ValueError(f"{name} is {value}; it must be a multiple of 4 frames")
        if self.strips < 1:
            raise ValueError(f"strips is {self.strips}; at least one is needed")


@dataclass(frozen=True, kw_only=True)
class Strip:
    """Cells [first, last) of the result; computed from cells [top, bottom)."""

    first: int
    last: int
    top: int
    bottom: int


def stretch_frames(height: int, width: int) -> int:
    """Frames of a stretch for pictures of so many pixels, where memory does not count: a multiple of 4."""
    return max(4, STRETCH_PIXELS // (height * width) // 4 * 4)


def spans(frames: int, stretch: int) -> Iterator[tuple[int, int]]:
    """The stretches [start, end) of so many frames."""
    end = 0
    while end < frames:
        start, end = end, min(frames, end + stretch + (end == 0))
        yield start, end


def halo(config: Any) -> tuple[int, int]:
    """Cells that a strip needs above and below itself.

    A convolution at a cut edge makes one more row wrong. Going down, row r is made of rows 2r to 2r+2, and the row
    beyond the lower edge is taken for zero.
    """
    above = below = 1  # conv_in
    for _ in range(LARGE):
        above, below = above + 2 * config.num_res_blocks, below + 2 * config.num_res_blocks
        above, below = (above + 1) // 2, below // 2 + 1
    return above, below


def reach(config: Any) -> int:
    """Frames before its own that a frame of the large levels' result depends on."""
    frames, rate = 2, 1
    for index in range(LARGE):
        frames += 4 * config.num_res_blocks * rate
        if config.temperal_downsample[index]:
            frames, rate = frames + 2 * rate, 2 * rate
    return frames


def handed(config: Any, frames: int) -> int:
    """Frames that the large levels hand over for the first `frames` of a clip: 0, or one and those of 4n more."""
    return 0 if frames == 0 else (frames - 1) // 2 ** sum(config.temperal_downsample[:LARGE]) + 1


def strips(config: Any, rows: int, count: int) -> list[Strip]:
    """`count` strips of like height."""
    cells = rows // CELL
    above, below = halo(config)
    bounds = [k * cells // count for k in range(count + 1)]
    return [Strip(first=a, last=b, top=max(0, a - above), bottom=min(cells, b + below)) for a, b in pairwise(bounds)]


def usual(width: int, height: int, frames: int) -> Plan:
    """Where memory does not count."""
    whole = max(4, frames - 1)
    return Plan(stretch=min(whole, stretch_frames(height, width)), strips=1, rest=whole)


def choose(config: Any, width: int, height: int, frames: int, free: int, *, kernels: str = "triton") -> Plan | None:
    """The least slow plan that takes at most `free` bytes, None where there is none.

    Strips do some rows twice, stretches nothing: so as few strips as possible, and with those the longest stretches.
    """
    wanted = usual(width, height, frames)
    rows = height // (config.patch_size or 1)
    rests = [wanted.rest, *(n for n in (64, 32, 16, 8, 4) if n < wanted.rest)]
    cuts = (
        (count, stretch)
        for count in range(1, max(1, rows // CELL // LEAST_CELLS) + 1)
        for stretch in range(wanted.stretch, 0, -4)
    )
    fixed = _fixed(config, width, height, frames)
    large = ((n, s) for n, s in cuts if fixed + _large(config, width, height, frames, n, s, kernels) <= free)
    small = (n for n in rests if fixed + _small(config, width, height, frames, n, kernels) <= free)
    cut, rest = next(large, None), next(small, None)
    return None if cut is None or rest is None else Plan(strips=cut[0], stretch=cut[1], rest=rest)


def least(config: Any, width: int, height: int) -> Plan:
    """The plan that takes least."""
    rows = height // (config.patch_size or 1)
    return Plan(stretch=4, strips=max(1, rows // CELL // LEAST_CELLS), rest=4)


def peak_bytes(
    config: Any, width: int, height: int, frames: int, plan: Plan, *, kernels: str = "triton", size: int = 2
) -> int:
    """Memory that encoding a clip takes beside the weights. size: bytes of a number."""
    large = _large(config, width, height, frames, plan.strips, plan.stretch, kernels, size)
    small = _small(config, width, height, frames, plan.rest, kernels, size)
    return _fixed(config, width, height, frames, size) + max(large, small)


def _fixed(config: Any, width: int, height: int, frames: int, size: int = 2) -> int:
    """The frames, what the large levels hand over, and libraries."""
    pixels = width * height // (config.patch_size or 1) ** 2
    joined = handed(config, frames) * pixels // CELL**2 * channels(config)[LARGE] * size
    return joined + 3 * width * height * frames + LIBRARIES


def _large(
    config: Any, width: int, height: int, frames: int, count: int, stretch: int, kernels: str, size: int = 2
) -> int:
    """The large levels' activations, with the frames they remember from stretch to stretch."""
    patch = config.patch_size or 1
    high = max(s.bottom - s.top for s in strips(config, height // patch, count)) * CELL
    area = [(high // 2**level + 2) * (width // patch // 2**level + 2) * size for level in range(LARGE)]
    kept = [_remembered(config, level) * area[level] for level in range(LARGE)]
    kept[0] += 2 * area[0] * _filled(config.in_channels)
    if frames <= stretch + 1:
        return _working(frames, kernels, size) * area[0] * channels(config)[1]
    first = _working(stretch + 1, kernels, size) * area[0] * channels(config)[1] + kept[0]
    return max(first, first + kept[1] - _working(1, kernels, size, more=0) * area[0] * channels(config)[1])


def _small(config: Any, width: int, height: int, frames: int, rest: int, kernels: str, size: int = 2) -> int:
    """The same for what is below, whose first level is much the largest."""
    pixels = width * height // (config.patch_size or 1) ** 2
    area = pixels // CELL**2 * size
    now = handed(config, min(frames, rest + 1))
    work = _working(now, kernels, size) * area * channels(config)[LARGE + 1]
    if frames <= rest + 1:
        return work
    below = (4 * config.num_res_blocks + 10) * channels(config)[LARGE + 2] * area // 4  # two levels' convolutions
    return work + _remembered(config, LARGE) * area + below


def _working(frames: int, kernels: str, size: int, more: int = 2) -> int:
    """Frames' worth of activations in the middle of a block: a sum's two parts, the sum, a convolution's input with
    `more` frames; and a copy in float32 where plain formulas make the sum."""
    return 4 * frames + more + (0 if kernels == "triton" else 4 * frames // size)


def _remembered(config: Any, level: int) -> int:
    """Channels that the convolutions of a level's blocks remember, two frames each."""
    before, own = channels(config)[level : level + 2]
    return 2 * (_filled(before) + (2 * config.num_res_blocks - 1) * _filled(own))


def channels(config: Any) -> list[int]:
    """Of the first convolution's result and of each level's."""
    return [config.base_dim * m for m in (1, *config.dim_mult)]


def _filled(channels: int) -> int:
    return channels + -channels % 8
