"""`wantrain sample`: a video of a prompt, with LoRAs or without."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wanprep.stage import UsageError
from wantrain.exits import exit_codes

if TYPE_CHECKING:
    from wanprep.families import Family
    from wantrain.sample import LoraUse, Request

SAMPLE_EXAMPLES = """
\b
Examples:
  wantrain sample --run runs/my-style "a cat on a roof" --out cat.mp4
  wantrain sample --run runs/my-style --strength 0 "a cat on a roof" \\
      --out base.mp4
  wantrain sample --run runs/my-style --step 1500 "a cat on a roof"
  wantrain sample --family wan2.2-t2v-a14b --lora my_high_noise.safetensors \\
      --lora my_low_noise.safetensors "a cat"
"""


LORA_HELP = (
    "A LoRA under any names that `convert` reads; may be repeated. EXPERT: high or low, where its name tells not. It "
    "takes the place of the run's LoRA of that expert; several of one expert add up."
)


@click.command(epilog=SAMPLE_EXAMPLES)
@click.argument("prompt")
@click.option("--run", "run_folder", type=click.Path(path_type=Path), help="Folder of a run: its family and LoRAs.")
@click.option("--step", type=click.IntRange(min=0), help="The run's checkpoint of this step. [default: its end]")
@click.option("--lora", "loras", multiple=True, metavar="[EXPERT=]FILE[:STRENGTH]", help=LORA_HELP)
@click.option("--strength", default=1.0, show_default=True, help="For LoRAs that name none.")
@click.option("--family", "family_name", help="Needed without --run.")
@click.option("--weights", type=click.Path(path_type=Path), help="Base model: diffusers folder or ComfyUI's files.")
@click.option("--out", default="sample.mp4", show_default=True, type=click.Path(path_type=Path), help="An .mp4 file.")
@click.option("--force", is_flag=True, help="Replace the file at --out.")
@click.option("--negative", default="", help="Negative prompt.")
@click.option("--first-frame", type=click.Path(path_type=Path), help="Picture to go on from (image to video).")
@click.option("--size", default="832x480", show_default=True, metavar="WxH")
@click.option("--frames", default=81, show_default=True, help="4n+1.")
@click.option("--steps", default=25, show_default=True)
@click.option("--guidance", default=3.5, show_default=True)
@click.option("--shift", type=float, help="flow_shift of the sampler. [default: the family's]")
@click.option("--seed", default=42, show_default=True)
@click.option("--device", default="auto", show_default=True)
def sample(
    prompt: str, run_folder: Path | None, step: int | None, loras: tuple[str, ...], strength: float,
    family_name: str | None, weights: Path | None, out: Path, negative: str, first_frame: Path | None, size: str,
    frames: int, steps: int, guidance: float, shift: float | None, seed: int, device: str, force: bool,
) -> None:  # fmt: skip
    """Make a video of PROMPT with the LoRAs of a run, or with any LoRA files."""
    with exit_codes():
        from diffusers.utils import logging as diffusers_logging
        from transformers.utils import logging as transformers_logging

        from wanprep.media.film import write_film
        from wanprep.models.load import pick_device
        from wantrain.base import whole_base
        from wantrain.sample import add_loras, load_pipeline, sample_video

        _check_place(out, force, device)
        if not math.isfinite(strength):
            raise UsageError(f"--strength = {strength} must be a finite number")
        width, height = _parse_size(size)
        model, uses = _chosen(run_folder, step, loras, strength, family_name)
        request = _request(
            model, prompt=prompt, negative=negative, width=width, height=height, frames=frames, steps=steps,
            guidance=guidance, shift=shift, seed=seed, first_frame=first_frame,
        )  # fmt: skip
        place = pick_device(device)
        diffusers_logging.disable_progress_bar()
        transformers_logging.disable_progress_bar()
        pipe = load_pipeline(
            model, whole_base(model, weights), dtype="bf16" if place.startswith("cuda") else "fp32", device=place
        )
        add_loras(pipe, uses)
        pictures = sample_video(pipe, model, request)
        write_film(out, pictures, rate=model.fps)
        click.echo(out)


def _check_place(out: Path, force: bool, device: str) -> None:
    """What is wrong with --out or --device, before anything is loaded."""
    from wantrain.outputs import require_writable
    from wantrain.sections import require_device

    if out.suffix.lower() != ".mp4":
        raise UsageError(f"--out {out}: videos are written as .mp4; name it {out.with_suffix('.mp4').name}")
    require_writable(out)
    if out.exists() and not force:
        raise UsageError(f"{out} is there already; name another --out, or replace it with --force")
    try:
        require_device("--device ", device)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _request(model: Family, **asked: Any) -> Request:
    """The request, checked. UsageError in the options' words, and warnings."""
    from wantrain.sample import Request, as_typed, cautions, check_request

    options = {field.name: f"--{field.name.replace('_', '-')}" for field in fields(Request)}
    try:
        request = Request(**asked)
        check_request(request, model)
    except (ValueError, UsageError) as error:
        raise UsageError(as_typed(str(error), options)) from error
    for sentence in cautions(request, model):
        click.echo(f"warning: {as_typed(sentence, options)}", err=True)
    return request


def _chosen(
    folder: Path | None, step: int | None, loras: Sequence[str], strength: float, family_name: str | None
) -> tuple[Family, list[LoraUse]]:
    """The family, and every LoRA with its expert: those of --lora, and the run's for the experts that have none."""
    from wanprep.families import family
    from wantrain.lora_file import mixed_up
    from wantrain.run_loras import pick, read_run
    from wantrain.sample import lora_use

    if step is not None and folder is None:
        raise UsageError(f"--step {step} is a run's; name it with --run FOLDER")
    run = read_run(folder) if folder else None
    name = family_name or (run.family if run else None)
    if name is None:
        raise UsageError("say which model to use: --run FOLDER or --family NAME")
    model = family(name)
    named = [lora_use(family=model, **_parse_lora(text, strength)) for text in loras]
    files, lines = pick(run, step, {use.expert for use in named}) if run else ({}, [])
    uses = [*(lora_use(path, model, strength, expert) for expert, path in files.items()), *named]
    for expert in model.experts:
        own = [str(use.path) for use in named if use.expert == expert]
        if own and run and expert in run.checkpoints:
            lines.append(f"{expert}: {', '.join(own)} instead of the run's")
        if len(own) > 1:
            lines.append(f"{expert}: {len(own)} LoRAs add up: {', '.join(own)}")
    for line in lines:
        click.echo(line, err=True)
    for use in uses:
        if (sentence := mixed_up(use.path, use.expert)) is not None:
            click.echo(f"warning: {sentence}", err=True)
    return model, uses


def _parse_size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise UsageError(f"--size {text!r}: expected WIDTHxHEIGHT, as 832x480")
    return int(width), int(height)


def _parse_lora(text: str, strength: float) -> dict[str, Any]:
    """What `lora_use` is asked: path, strength, and the expert where it is named. UsageError for nan and inf."""
    from wantrain.lora import SUFFIXES

    given = text
    label, equals, rest = text.partition("=")
    expert, text = (label, rest) if equals and label in SUFFIXES else (None, text)
    name, colon, number = text.rpartition(":")
    if colon and not Path(text).exists():  # a colon may be part of the file's name
        with contextlib.suppress(ValueError):
            text, strength = name, float(number)
    if not math.isfinite(strength):
        raise UsageError(f"--lora {given}: the strength {strength} must be a finite number")
    return {"path": Path(text), "strength": strength, "expert": expert}
