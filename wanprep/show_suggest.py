"""Showing proposed views: a table of what they cost, and the TOML to paste."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import click

from wanprep import families
from wanprep.stage import UsageError
from wanprep.stages.fps import slots_of
from wanprep.suggest import RESERVE_GIB, suggest
from wanprep.tables import console, counted, print_json, table

if TYPE_CHECKING:
    from wanprep.dataset import Dataset


def show_suggestion(
    dataset: Dataset, as_json: bool, vram: float, weights: Any, rank: int, batch_size: int, family: str | None
) -> None:
    from wanprep.joins import clip_infos

    model = families.family(family) if family else dataset.pipeline.model
    clips = [_at_rate(clip, model.fps) for clip in dataset.manifest.read("clips").to_dicts()]
    mute = [clip for clip in clips if clip["state"] == "keep" and clip["reasons"]]  # their samples would be rejected
    left = {clip["clip_id"] for clip in mute}
    infos = clip_infos([clip for clip in clips if clip["clip_id"] not in left], dataset.measured())
    without = _without_caption(mute)
    if mute and not infos:
        raise UsageError(f"there are no clips to make views for: {without}")
    found = suggest(infos, model, vram, weights=weights, rank=rank, batch=batch_size)
    if as_json:
        print_json(found.to_json())
        return
    out = console()
    idle = ", idle expert off the card" if len(model.experts) > 1 else ""
    out.print(
        f"{model.name}, {vram:g} GiB: {found.weights} weights and a rank {rank} LoRA leave room for "
        f"{found.max_tokens:,} tokens a sample (batch {batch_size}, full checkpointing{idle})."
    )
    drawn = table("view", ">size", ">frames", ">clips", ">missed", ">samples", ">tokens", ">TFLOP", ">GiB")
    for p in found.views:
        size = f"{p.view.size[0]}x{p.view.size[1]}"
        counts = (p.view.frames[0], p.clips, p.missed, p.samples, f"{p.tokens:,}", f"{p.tflop:.0f}")
        drawn.add_row(p.view.name, size, *map(str, counts), f"{p.peak_gib:.1f}")
    out.print(drawn)
    if mute:
        out.print(f"not counted: {without}")
    for reason in found.reasons:
        out.print(f"not proposed: {reason}")
    out.print(
        f"TFLOP: one forward of one sample. GiB: estimated peak, {RESERVE_GIB:g} of it in reserve; within 4 % of what "
        "was measured for 14B in bf16 and fp8, not measured otherwise. missed: clips too short or too small."
    )
    out.print("For a pipeline file:\n")
    click.echo(found.toml, nl=False)


def _at_rate(clip: Mapping[str, Any], rate: int) -> Mapping[str, Any]:
    """The clip with as many frames as it has at this rate, which another family than the dataset's may have."""
    if clip["kind"] == "image" or clip["n_frames"] is None:
        return clip
    span = clip["start_pts"], clip["end_pts"], Fraction(clip["time_base"])
    return {**clip, "n_frames": slots_of(*span, rate)}


def _without_caption(mute: Sequence[Mapping[str, Any]]) -> str:
    reasons = ", ".join(sorted({clip["reasons"][0] for clip in mute}))
    return f"{counted(len(mute), 'kept clip')} without a caption that can be used ({reasons})"
