"""Views for the clips that are there and the card that is there: as large and as long as memory allows.

What people who train at the limit do by hand: a sharp view of short windows for the look, a smaller one of long
windows for the motion, stills as they come, each as large as one training step of the model leaves room for, in the
shape of the footage, and no larger than the footage itself. Pure; every proposal is checked against the clips by the
same code that makes the samples, and one that would yield none is not made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, get_args

from wanprep import config, costs
from wanprep.families import FAMILIES, Family
from wanprep.stage import UsageError
from wanprep.stages.bucket import ClipInfo, buckets_of
from wanprep.stages.samples import samples_of
from wanprep.stages.windows import View, snap_down
from wanprep.toml_text import dump_toml

RESERVE_GIB = 1.0  # CUDA context, fragmentation, a screen
ENOUGH_TOKENS = 8_000  # the most exact weights that leave this much are taken: 832x480 in 17 frames has 7,800
SERVED = 0.75  # share of the clips that a view should fit, in length and size
SHARP_FRAMES = (17, 9, 5, 1)
MOTION_AREA = 384 * 208  # footage is not made smaller, less shows no motion worth learning; fewer frames instead
NATIVE_AREA = {"wan2.1-t2v-1.3b": 832 * 480, "wan2.2-ti2v-5b": 1280 * 704}
STILL_AREA = 1024 * 1024
SMALL_MIN_AREA = 0.5  # a clip too small for a view still gets a bucket of at least half its area


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """One view, and what it would cost. clips: that yield samples; missed: that do not.

    tokens, tflop: of the largest sample (tflop: one forward of one expert). peak_gib: of a training step on it, reserve
    included.
    """

    view: View
    samples: int
    clips: int
    missed: int
    tokens: int
    tflop: float
    peak_gib: float


@dataclass(frozen=True, kw_only=True)
class Suggestion:
    """weights: precision of the resident expert. max_tokens: that fit. reasons: why a view is not proposed."""

    family: str
    vram_gib: float
    weights: costs.Weights
    rank: int
    batch: int
    max_tokens: int
    views: tuple[Proposal, ...]
    reasons: tuple[str, ...]

    @property
    def toml(self) -> str:
        """The `[[views]]` tables, ready for a pipeline file."""
        return dump_toml({"views": [_table(proposal.view) for proposal in self.views]}) if self.views else ""

    def to_json(self) -> dict[str, Any]:
        views = [asdict(p) | {"view": _table(p.view)} for p in self.views]
        return asdict(self) | {"views": views, "reasons": list(self.reasons), "toml": self.toml}


def _table(view: View) -> dict[str, Any]:
    """Settings that differ from the defaults."""
    defaults = config.to_table(View(name="x", resolution=16, frames=(1,)))
    stays = ("name", "resolution", "frames")
    return {k: v for k, v in config.to_table(view).items() if k in stays or defaults.get(k) != v}


def suggest(
    clips: Sequence[ClipInfo],
    family: Family,
    vram_gib: float,
    *,
    weights: costs.Weights | None = None,
    rank: int = 16,
    batch: int = 1,
) -> Suggestion:
    """Views for these clips. weights None: the most exact precision that leaves room for ENOUGH_TOKENS.

    UsageError when there are no clips, the family has no cost model, or nothing fits.
    """
    if not clips:
        raise UsageError("there are no kept clips to make views for; run wanprep filter, or see wanprep clips")
    if not math.isfinite(vram_gib):
        raise UsageError(f"the card's memory must be a number of GiB, not {vram_gib}")
    if family.name not in costs.TRANSFORMERS:
        raise UsageError(f"family {family.name!r} has no cost model; give one with --family")
    chosen, most = _room(family, (vram_gib - RESERVE_GIB) * costs.GIB, weights, rank, batch)
    if most < 1:
        alone = _room(family, (vram_gib - RESERVE_GIB) * costs.GIB, weights, rank, 1)[1]
        if alone:
            raise UsageError(
                f"{vram_gib:g} GiB hold no batch of {batch:,} samples of {family.name}; "
                f"with --batch-size 1 there is room for {alone:,} tokens a sample"
            )
        raise UsageError(_too_large(family, vram_gib, _precisions(weights)[-1], rank))
    found: list[Proposal] = []
    reasons: list[str] = []
    videos = [clip for clip in clips if not clip.is_image]
    stills = [clip for clip in clips if clip.is_image]
    for name, members in (("stills", stills), ("sharp", videos), ("motion", videos)):
        made = _MAKERS[name](members, family, most) if members else "there are no such clips"
        proposal = _check(made, clips, family, chosen, rank, batch) if isinstance(made, View) else made
        if isinstance(proposal, Proposal):
            found.append(proposal)
        else:
            reasons.append(f"{name}: {proposal}")
    made_of: dict[str, Any] = {"weights": chosen, "rank": rank, "batch": batch, "max_tokens": most}
    views = tuple(_without_twins(found, reasons))
    return Suggestion(family=family.name, vram_gib=vram_gib, views=views, reasons=tuple(reasons), **made_of)


def _too_large(family: Family, vram_gib: float, weights: costs.Weights, rank: int) -> str:
    """Why nothing fits, and what would: only what the numbers say does."""

    def least(name: str, precision: costs.Weights, lora: int) -> float:
        return costs.training_memory(FAMILIES[name], 1, weights=precision, rank=lora).total / costs.GIB + RESERVE_GIB

    smallest = get_args(costs.Weights)[-1]
    others = [name for name in costs.TRANSFORMERS if name != family.name and least(name, smallest, rank) < vram_gib]
    ways = [f"--weights {smallest}"] if weights != smallest and least(family.name, smallest, rank) < vram_gib else []
    ways += ["--rank 4"] if rank > 4 and least(family.name, weights, 4) < vram_gib else []
    ways += [f"--family {name} (from {least(name, smallest, rank):.1f} GiB in {smallest})" for name in others[:2]]
    return (
        f"{vram_gib:g} GiB do not hold one expert of {family.name} and a rank {rank} LoRA: that takes "
        f"{least(family.name, weights, rank):.1f} GiB in {weights} before the first frame; "
        + (f"what fits: {', or '.join(ways)}" if ways else "no family fits, in any precision")
    )


def _precisions(weights: costs.Weights | None) -> tuple[costs.Weights, ...]:
    return (weights,) if weights else get_args(costs.Weights)


def _room(
    family: Family, budget: float, weights: costs.Weights | None, rank: int, batch: int
) -> tuple[costs.Weights, int]:
    rooms = [(w, costs.max_tokens(family, budget, weights=w, rank=rank, batch=batch)) for w in _precisions(weights)]
    return next((room for room in rooms if room[1] >= ENOUGH_TOKENS), rooms[-1])


def _low(values: Sequence[float], share: float = SERVED) -> float:
    """What at least `share` of the values reach."""
    ordered = sorted(values, reverse=True)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _size(clips: Sequence[ClipInfo], family: Family, cells: int, largest: int) -> tuple[int, int] | None:
    """The largest size on the grid in the clips' usual shape, of at most `cells` tokens a latent frame."""
    aspects = sorted(clip.width / clip.height for clip in clips)
    aspect = aspects[len(aspects) // 2]
    area = min(cells * family.grid**2, largest, int(_low([clip.width * clip.height for clip in clips])))
    if area < family.grid**2:
        return None
    return min(buckets_of(area, family.grid), key=lambda s: (abs(math.log(s[0] / s[1] / aspect)), -s[0] * s[1]))


def _native(family: Family) -> int:
    return NATIVE_AREA.get(family.name, 1280 * 720)


def _stills(clips: Sequence[ClipInfo], family: Family, most: int) -> View | str:
    size = _size(clips, family, most, STILL_AREA)
    if size is None:
        return "not even one cell of the grid fits"
    return View(name="stills", media="image", resolution=size, frames=(1,), min_area=SMALL_MIN_AREA)


def _sharp(clips: Sequence[ClipInfo], family: Family, most: int) -> View | str:
    reach = _low([clip.n_frames for clip in clips])
    frames = next(count for count in SHARP_FRAMES if count <= reach or count == 1)
    size = _size(clips, family, most // family.latent_frames(frames), _native(family))
    if size is None:
        return f"not even one cell of the grid fits in {frames} frames"
    return View(name="sharp", resolution=size, frames=(frames,), min_area=SMALL_MIN_AREA)


def _motion(clips: Sequence[ClipInfo], family: Family, most: int) -> View | str:
    """The longest window that most clips hold, at the largest size that is left. Footage that is small itself is taken
    as it is: what is not worth it is to make it smaller for the sake of length."""
    longest = snap_down(min(family.max_frames, int(_low([clip.n_frames for clip in clips]))))
    if longest <= SHARP_FRAMES[0]:
        return f"most clips hold no more than {longest} frames; the sharp view takes those"
    whole = _size(clips, family, _native(family), _native(family))  # with memory for any
    least = 0.9 * min(MOTION_AREA, whole[0] * whole[1]) if whole else math.inf
    for frames in range(longest, SHARP_FRAMES[0], -4):
        size = _size(clips, family, most // family.latent_frames(frames), _native(family))
        if size and size[0] * size[1] >= least:
            break
    else:
        if whole is None:
            return "most clips are smaller than one cell of the grid"
        return f"there is no room for more than {SHARP_FRAMES[0]} frames in a size that shows motion, {_about(least)}"
    typical = sorted(clip.n_frames for clip in clips)[len(clips) // 2]
    more: dict[str, Any] = {"mode": "uniform", "samples": 2} if typical >= 1.5 * frames else {}
    return View(name="motion", resolution=size, frames=(frames,), min_area=SMALL_MIN_AREA, **more)


def _about(area: float) -> str:
    """An area in pixels as people know it: a size in 16:9."""
    width = math.sqrt(area * 16 / 9)
    return f"about {width:.0f}x{width * 9 / 16:.0f}"


_MAKERS = {"stills": _stills, "sharp": _sharp, "motion": _motion}


def _check(
    view: View, clips: Sequence[ClipInfo], family: Family, weights: costs.Weights, rank: int, batch: int
) -> Proposal | str:
    """What the clips really make of a view; a reason when that is nothing."""
    takes = [clip for clip in clips if view.takes(is_image=clip.is_image)]
    rows = [row for row in samples_of(takes, [view], family) if row["state"] == "ok"]
    if not rows:
        return f"no clip fits {view.size[0]}x{view.size[1]} in {view.frames[0]} frames"
    served = len({row["clip_id"] for row in rows})
    tokens = max(row["tokens"] for row in rows)
    memory = costs.training_memory(family, tokens, weights=weights, rank=rank, batch=batch)
    return Proposal(
        view=view,
        samples=len(rows),
        clips=served,
        missed=len(takes) - served,
        tokens=tokens,
        tflop=costs.forward_tflop(family, tokens),
        peak_gib=memory.total / costs.GIB + RESERVE_GIB,
    )


def _without_twins(found: Sequence[Proposal], reasons: list[str]) -> list[Proposal]:
    """A sharp view hardly larger than the motion view shows nothing that one does not."""
    by_name = {proposal.view.name: proposal for proposal in found}
    sharp, motion = by_name.get("sharp"), by_name.get("motion")
    if sharp and motion and sharp.missed >= motion.missed:
        areas = [p.view.size[0] * p.view.size[1] for p in (sharp, motion)]
        if areas[0] < 1.2 * areas[1]:
            reasons.append("sharp: hardly larger than the motion view, which has the same footage")
            return [proposal for proposal in found if proposal is not sharp]
    return list(found)
