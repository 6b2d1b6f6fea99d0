"""`wantrain sample`: a video of a prompt, with LoRAs or without."""

from __future__ import annotations

import contextlib
import json
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wanprep.stage import UsageError
from wantrain.exits import exit_codes

if TYPE_CHECKING:
    from wanprep.families import Family
    from wantrain.sample import Request

SAMPLE_EXAMPLES = """
\b
Examples:
  wantrain sample --run runs/my-style "a cat on a roof" --out cat.mp4
  wantrain sample --run runs/my-style --strength 0 "a cat on a roof" \\
      --out base.mp4
  wantrain sample --family wan2.2-t2v-a14b --lora my_high_noise.safetensors \\
      --lora my_low_noise.safetensors "a cat"
"""


LORA_HELP = (
    "A LoRA under any names that `convert` reads; may be repeated. EXPERT: high or low, where its name tells not."
)


@click.command(epilog=SAMPLE_EXAMPLES)
@click.argument("prompt")
@click.option("--run", "run_folder", type=click.Path(path_type=Path), help="Folder of a run: its family and LoRAs.")
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
    prompt: str, run_folder: Path | None, loras: tuple[str, ...], strength: float, family_name: str | None,
    weights: Path | None, out: Path, negative: str, first_frame: Path | None, size: str, frames: int, steps: int,
    guidance: float, shift: float | None, seed: int, device: str, force: bool,
) -> None:  # fmt: skip
    """Make a video of PROMPT with the LoRAs of a run, or with any LoRA files."""
    with exit_codes():
        from diffusers.utils import logging as diffusers_logging
        from transformers.utils import logging as transformers_logging

        from wanprep.families import family
        from wanprep.media.film import write_film
        from wanprep.models.load import pick_device
        from wantrain.base import whole_base
        from wantrain.lora_file import mixed_up
        from wantrain.sample import add_loras, load_pipeline, lora_use, sample_video

        _check_place(out, force, device)
        width, height = _parse_size(size)
        named, files = _run_files(run_folder) if run_folder else (None, [])
        chosen = family_name or named
        if chosen is None:
            raise UsageError("say which model to use: --run FOLDER or --family NAME")
        model = family(chosen)
        uses = [lora_use(path, model, strength) for path in files]
        uses += [lora_use(family=model, **_parse_lora(text, strength)) for text in loras]
        for use in uses:
            if (sentence := mixed_up(use.path, use.expert)) is not None:
                click.echo(f"warning: {sentence}", err=True)
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
    from wantrain.sections import require_device

    if out.suffix.lower() != ".mp4":
        raise UsageError(f"--out {out}: videos are written as .mp4; name it {out.with_suffix('.mp4').name}")
    if out.is_dir():
        raise UsageError(f"--out {out} is a folder; name a file in it")
    if out.exists() and not force:
        raise UsageError(f"{out} is there already; name another --out, or replace it with --force")
    try:
        require_device("--device ", device)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _request(model: Family, **asked: Any) -> Request:
    """The request, checked. UsageError in the options' words."""
    from wantrain.sample import Request, as_typed, check_request

    try:
        request = Request(**asked)
        check_request(request, model)
    except (ValueError, UsageError) as error:
        options = {field.name: f"--{field.name.replace('_', '-')}" for field in fields(Request)}
        raise UsageError(as_typed(str(error), options)) from error
    return request


def _parse_size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise UsageError(f"--size {text!r}: expected WIDTHxHEIGHT, as 832x480")
    return int(width), int(height)


def _parse_lora(text: str, strength: float) -> dict[str, Any]:
    """What `lora_use` is asked: path, strength, and the expert where it is named."""
    from wantrain.lora import SUFFIXES

    label, equals, rest = text.partition("=")
    expert, text = (label, rest) if equals and label in SUFFIXES else (None, text)
    name, colon, number = text.rpartition(":")
    if colon and not Path(text).exists():  # a colon may be part of the file's name
        with contextlib.suppress(ValueError):
            text, strength = name, float(number)
    return {"path": Path(text), "strength": strength, "expert": expert}


def _run_files(folder: Path) -> tuple[str, list[Path]]:
    """The family and the final LoRA files of a run folder."""
    path = folder / "run.json"
    if not path.is_file():
        raise UsageError(f"{folder} is not a run (it has no run.json)")
    entries = json.loads(path.read_text(encoding="utf-8"))["experts"].values()
    files = [folder / entry["lora"] for entry in entries if "lora" in entry]
    if not files:
        raise UsageError(f"{folder} has no finished LoRA; finish it, or name one of {folder / 'loras'} with --lora")
    return next(iter(entries))["matters"]["family"], files
