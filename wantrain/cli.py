"""The command line. Results on stdout, everything else on stderr; nothing heavy is imported before it is needed.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 something is missing on this machine, 128 + n stopped by signal n (130:
Ctrl-C), with everything saved.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wanprep.stage import Missing, UsageError

if TYPE_CHECKING:
    from wanprep.cached import CachedDataset
    from wantrain.config import TrainConfig

RUN_EXAMPLES = """
\b
Examples:
  wantrain run pipelines/train-default.toml --dataset my-set --set run.name=my-style
  wantrain run train.toml --set high.lr=2e-4 --set high.rank=32
  wantrain run train.toml --dry-run          what would be trained, without loading a model
  wantrain run train.toml                    the same command again goes on where it was stopped

Settings: command line (--set) > environment (WANTRAIN_HIGH__LR=2e-4) > CONFIG > defaults.
"""

SAMPLE_EXAMPLES = """
\b
Examples:
  wantrain sample --run runs/my-style "a cat on a roof" --out cat.mp4
  wantrain sample --run runs/my-style --strength 0 "a cat on a roof" --out base.mp4
  wantrain sample --family wan2.2-t2v-a14b --lora my_high_noise.safetensors --lora my_low_noise.safetensors "a cat"
"""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="wanprep", prog_name="wantrain")
def main() -> None:
    """Train LoRAs of Wan video models on a set prepared by wanprep."""


@main.command(epilog=RUN_EXAMPLES)
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option("--dataset", metavar="DIR", help="Folder made by wanprep.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Override one setting, as high.lr=2e-4.")
@click.option("--out", metavar="DIR", help="Folder for runs. [default: runs]")
@click.option("--resume", "mode", flag_value="resume", help="Only go on with a run that is there.")
@click.option("--fresh", "mode", flag_value="fresh", help="Begin again; an earlier run is moved aside.")
@click.option("--accept-changes", is_flag=True, help="Go on although settings or data changed since the run began.")
@click.option("--dry-run", is_flag=True, help="Show what would be trained and stop.")
@click.option("--json", "as_json", is_flag=True, help="Result as JSON on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.option("-v", "--verbose", is_flag=True, help="A line for every step.")
def run(
    config: Path | None, dataset: str | None, assignments: tuple[str, ...], out: str | None, mode: str | None,
    accept_changes: bool, dry_run: bool, as_json: bool, quiet: bool, verbose: bool,
) -> None:  # fmt: skip
    """Train, or go on training. CONFIG is a TOML file; without one the defaults are used."""
    from wantrain.config import load_config

    with _exit_codes():
        extra = [f"{key}={json.dumps(value)}" for key, value in (("dataset", dataset), ("run.out", out)) if value]
        settings = load_config(config, [*assignments, *extra], os.environ)
        cached = _open_dataset(settings)
        if dry_run:
            _print_plan(settings, cached, as_json=as_json)
            return
        again = ["wantrain", "run", *([str(config)] if config else [])]
        again += [part for a in (*assignments, *extra) for part in ("--set", a)]
        verbosity = 0 if quiet else 2 if verbose else 1
        _train(settings, cached, mode or "auto", accept_changes, verbosity, as_json, shlex.join(again))


def _open_dataset(settings: TrainConfig) -> CachedDataset:
    from wanprep.dataset import open_cached  # type: ignore[attr-defined]

    cached = open_cached(Path(settings.dataset).expanduser())
    if cached.family.name != settings.family:
        raise UsageError(
            f"{settings.dataset} was cached for {cached.family.name}, the run is for {settings.family}; "
            f"use --set family={cached.family.name}, or run `wanprep cache` for {settings.family}"
        )
    return cached


def _train(
    settings: TrainConfig, cached: CachedDataset, mode: Any, accept: bool, verbosity: int, as_json: bool, again: str
) -> None:
    from wanprep.models.find import require_weights
    from wanprep.models.load import load_transformer, pick_device
    from wantrain.experts import COMPONENTS
    from wantrain.progress import Progress
    from wantrain.train import train

    family = settings.model_family
    override = Path(settings.weights) if settings.weights else None
    folders = {name: require_weights(family, COMPONENTS[name], override=override) for name in settings.stages}
    device = pick_device(settings.run.device)
    automatic = "bf16" if device.startswith("cuda") else "fp32"
    dtype = automatic if settings.run.dtype == "auto" else settings.run.dtype

    def load(expert: str, where: str) -> Any:
        return load_transformer(family, expert, folders[expert], dtype, where)

    with _stop_on_signals() as caught:
        result = train(
            settings, cached, load, device=device, mode=mode, accept_changes=accept,
            stop=lambda: bool(caught), progress=Progress(verbosity),
        )  # fmt: skip
    if as_json:
        loras = {name: str(path) for name, path in result.loras.items()}
        click.echo(json.dumps({
            "run": str(result.folder), "loras": loras, "steps": result.steps, "held_out": result.held_out,
            "interrupted": result.interrupted,
        }))  # fmt: skip
    else:
        for path in result.loras.values():
            click.echo(path)
    if result.interrupted:
        click.echo(f"stopped and saved. Go on with: {again}", err=True)
        sys.exit(128 + (caught[0] if caught else signal.SIGINT))


def _print_plan(settings: TrainConfig, cached: CachedDataset, *, as_json: bool) -> None:
    from wantrain.plan import plan, plan_lines

    planned = plan(settings, cached)
    click.echo(json.dumps(planned) if as_json else "\n".join(plan_lines(planned)))


@main.command(epilog=SAMPLE_EXAMPLES)
@click.argument("prompt")
@click.option("--run", "run_folder", type=click.Path(path_type=Path), help="Folder of a run: its family and LoRAs.")
@click.option("--lora", "loras", multiple=True, metavar="FILE[:STRENGTH]", help="A LoRA file; may be repeated.")
@click.option("--strength", default=1.0, show_default=True, help="For LoRAs that name none.")
@click.option("--family", "family_name", help="Needed without --run.")
@click.option("--weights", type=click.Path(path_type=Path), help="Folder of the base model.")
@click.option("--out", default="sample.mp4", show_default=True, type=click.Path(path_type=Path))
@click.option("--negative", default="", help="Negative prompt.")
@click.option("--size", default="832x480", show_default=True, metavar="WxH")
@click.option("--frames", default=81, show_default=True, help="4n+1.")
@click.option("--steps", default=25, show_default=True)
@click.option("--guidance", default=3.5, show_default=True)
@click.option("--shift", type=float, help="flow_shift of the sampler. [default: the family's]")
@click.option("--seed", default=42, show_default=True)
@click.option("--device", default="auto", show_default=True)
def sample(
    prompt: str, run_folder: Path | None, loras: tuple[str, ...], strength: float, family_name: str | None,
    weights: Path | None, out: Path, negative: str, size: str, frames: int, steps: int, guidance: float,
    shift: float | None, seed: int, device: str,
) -> None:  # fmt: skip
    """Make a video of PROMPT with the LoRAs of a run, or with any LoRA files."""
    with _exit_codes():
        from diffusers.utils import logging as diffusers_logging
        from transformers.utils import logging as transformers_logging

        from wanprep.families import family
        from wanprep.media.write import write_mp4
        from wanprep.models.find import require_weights
        from wanprep.models.load import pick_device
        from wantrain.sample import Request, add_loras, load_pipeline, lora_use, sample_video

        width, height = _parse_size(size)
        named, files = _run_files(run_folder) if run_folder else (None, [])
        chosen = family_name or named
        if chosen is None:
            raise UsageError("say which model to use: --run FOLDER or --family NAME")
        model = family(chosen)
        uses = [lora_use(path, model, strength) for path in files]
        uses += [lora_use(*_parse_lora(text, model, strength)) for text in loras]
        try:
            request = Request(
                prompt=prompt, negative=negative, width=width, height=height, frames=frames, steps=steps,
                guidance=guidance, shift=shift, seed=seed,
            )  # fmt: skip
        except ValueError as error:
            raise UsageError(str(error)) from error
        place = pick_device(device)
        diffusers_logging.disable_progress_bar()
        transformers_logging.disable_progress_bar()
        folder = require_weights(model, "transformer", override=weights)
        pipe = load_pipeline(model, folder, dtype="bf16" if place.startswith("cuda") else "fp32", device=place)
        add_loras(pipe, uses)
        pictures = sample_video(pipe, model, request)
        write_mp4(out, pictures, width=width, height=height, rate=model.fps)
        click.echo(out)


def _parse_size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit()):
        raise UsageError(f"--size {text!r}: expected WIDTHxHEIGHT, as 832x480")
    return int(width), int(height)


def _parse_lora(text: str, model: Any, strength: float) -> tuple[Path, Any, float]:
    name, colon, number = text.rpartition(":")
    try:
        return (Path(name), model, float(number)) if colon else (Path(text), model, strength)
    except ValueError:  # a colon in the file's name
        return Path(text), model, strength


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


@contextmanager
def _stop_on_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM instead of dying of them; a second one acts as usual."""
    caught: list[int] = []

    def remember(number: int, frame: Any) -> None:
        caught.append(number)
        signal.signal(number, before[number])
        click.echo("stopping after this step; once more to stop at once", err=True)

    before: dict[int, Any] = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        signal.signal(number, remember)
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _exit_codes() -> Iterator[None]:
    from wanprep.cached import Damaged

    try:
        yield
    except UsageError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except Missing as error:
        click.echo(f"missing: {error}", err=True)
        sys.exit(3)
    except (Damaged, ArithmeticError) as error:
        click.echo(f"failed: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        click.echo("stopped; the last saved state is intact", err=True)
        sys.exit(130)


if __name__ == "__main__":
    main()
