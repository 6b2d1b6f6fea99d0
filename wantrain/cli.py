"""The command line: `run` and `plan`. Results on stdout, everything else on stderr.

Nothing heavy is imported before it is needed.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 something is missing on this machine, 128 + n stopped by signal n (130:
Ctrl-C), with everything saved.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wanprep.stage import UsageError
from wantrain.exits import exit_codes, tell
from wantrain.heard import Heard, saves_noted, stops_noted
from wantrain.outputs import require_writable

if TYPE_CHECKING:
    from wanprep.cached import CachedDataset
    from wantrain.config import TrainConfig
    from wantrain.train import TrainResult

RUN_EXAMPLES = """
\b
Examples:
  wantrain run pipelines/train-default.toml --dataset my-set \\
      --set run.name=my-style
  wantrain run train.toml --set high.lr=2e-4 --set high.rank=32
  wantrain run train.toml --dry-run    what would be trained; loads no model
  wantrain run train.toml              again: goes on where it was stopped

Settings: command line (--set) > environment (WANTRAIN_HIGH__LR=2e-4) > CONFIG > defaults.
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
@click.option("--resume", is_flag=True, help="Only go on with a run that is there.")
@click.option("--fresh", is_flag=True, help="Begin again; an earlier run is moved aside.")
@click.option("--accept-changes", is_flag=True, help="Go on although settings or data changed since the run began.")
@click.option("--dry-run", is_flag=True, help="Show what would be trained and stop.")
@click.option("--json", "as_json", is_flag=True, help="Result as JSON on stdout.")
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
@click.option("-v", "--verbose", is_flag=True, help="A line for every step.")
def run(
    config: Path | None, dataset: str | None, assignments: tuple[str, ...], out: str | None, resume: bool,
    fresh: bool, accept_changes: bool, dry_run: bool, as_json: bool, quiet: bool, verbose: bool,
) -> None:  # fmt: skip
    """Train, or go on training. CONFIG is a TOML file; without one the defaults are used.

    \b
    While it runs: Ctrl-C saves and stops, and so does a terminal that closes;
    kill -USR1 PID, or touch RUN/save-now, makes a checkpoint at once.
    """
    with exit_codes(), saves_noted() as heard:
        if resume and fresh:
            raise UsageError("--resume goes on with a run, --fresh begins again: give one of them")
        mode = "resume" if resume else "fresh" if fresh else "auto"
        settings, extra = _settings(config, assignments, dataset, out)
        require_writable(settings.folder / "run.json")
        if dry_run:
            _print_plan(settings, mode=mode, accept=accept_changes, as_json=as_json)
            return
        cached = _open_dataset(settings, settings.dataset)
        world = os.environ.get("WORLD_SIZE", "1")
        start = ["wantrain"] if world == "1" else ["torchrun", "--nproc-per-node", world, "-m", "wantrain.cli"]
        again = [*start, "run", *([str(config)] if config else [])]
        again += [part for a in (*assignments, *extra) for part in ("--set", a)]
        verbosity = 0 if quiet else 2 if verbose else 1
        _train(settings, cached, heard, mode, accept_changes, verbosity, as_json, shlex.join(again))


@main.command()
@click.argument("config", required=False, type=click.Path(path_type=Path))
@click.option("--dataset", metavar="DIR", help="Folder made by wanprep.")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Override one setting, as high.lr=2e-4.")
@click.option("--json", "as_json", is_flag=True, help="Result as JSON on stdout.")
def plan(config: Path | None, dataset: str | None, assignments: tuple[str, ...], as_json: bool) -> None:
    """What `run` would do: samples, steps, sigmas, and warnings with their source. Loads no model.

    What `run` would refuse is said after it, and makes the exit code. Weights
    and cached samples may still be missing.
    """
    with exit_codes():
        settings, _ = _settings(config, assignments, dataset, None)
        _print_plan(settings, as_json=as_json)


def _settings(
    config: Path | None, assignments: tuple[str, ...], dataset: str | None, out: str | None
) -> tuple[TrainConfig, Sequence[str]]:
    """The configuration, and what --dataset and --out are as assignments."""
    from wanprep.layers import Assignment
    from wantrain.config import load_config

    given = (("dataset", "--dataset", dataset), ("run.out", "--out", out))
    for key, name, value in given:
        twice = [one for one in assignments if value and one.partition("=")[0].strip() == key]
        if twice:
            raise UsageError(f"{name} {value} and --set {twice[0]} say the same setting twice; give one of them")
    extra = [Assignment(f"{key}={json.dumps(value)}", f"{name} {value}") for key, name, value in given if value]
    return load_config(config, [*assignments, *extra], os.environ), extra


def _open_dataset(settings: TrainConfig, folder: str) -> CachedDataset:
    """UsageError, with the first command that helps, for a dataset that cannot be trained on."""
    found = _open(settings, folder)
    if not found.empty_text:
        raise UsageError(f"{folder} has no cached samples; run {found.first}")
    return found


def _open_aside(settings: TrainConfig) -> CachedDataset | None:
    """The regularisation set, None without one. UsageError as `_open_dataset`."""
    if settings.regularisation.dataset is None:
        return None
    try:
        return _open_dataset(settings, settings.regularisation.dataset)
    except UsageError as error:
        raise UsageError(f"regularisation.dataset: {error}") from error


def _open(settings: TrainConfig, folder: str) -> Any:
    """The cached dataset, or what stands for one (`Uncached`) where nothing is cached yet. UsageError for any other."""
    from wanprep.dataset import open_cached
    from wantrain.uncached import open_uncached

    root = Path(folder).expanduser()
    try:
        found: Any = open_cached(root)
    except UsageError:
        found = open_uncached(root)
        if found is None:
            raise
    if found.family.name != settings.family:
        raise UsageError(
            f"{folder} was made for {found.family.name}, the run is for {settings.family}; "
            f"use --set family={found.family.name}, or run `wanprep cache` for {settings.family}"
        )
    return found


def _train(
    settings: TrainConfig, cached: CachedDataset, heard: Heard, mode: Any, accept: bool, verbosity: int, as_json: bool,
    again: str,
) -> None:  # fmt: skip
    # Before torch is loaded: without it, what blocks keep in one step leaves holes that the next cannot use.
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    from wanprep.models.find import require_weights
    from wanprep.models.lazy import open_transformer
    from wanprep.models.load import load_transformer, pick_device
    from wantrain.base import base_ids
    from wantrain.experts import COMPONENTS
    from wantrain.parallel import joined, team_of
    from wantrain.train import train
    from wantrain.watch import observers_for

    family = settings.model_family
    if family.caution and verbosity and os.environ.get("RANK", "0") == "0":
        click.echo(family.caution, err=True)
    override = Path(settings.weights) if settings.weights else None
    folders = {name: require_weights(family, COMPONENTS[name], override=override) for name in settings.stages}
    device = pick_device(settings.run.device)
    automatic = "bf16" if device.startswith("cuda") else "fp32"
    dtype = automatic if settings.run.dtype == "auto" else settings.run.dtype

    def load(expert: str, where: str) -> Any:
        return load_transformer(family, expert, folders[expert], dtype, where)

    def open_blocks(expert: str, where: str) -> Any:
        return open_transformer(family, expert, folders[expert], dtype, where)

    with stops_noted(heard), joined(device) as (rank, world, own):
        verbosity = verbosity if rank == 0 else 0
        result = train(
            settings, cached, load, open_model=open_blocks, device=own, mode=mode, accept_changes=accept,
            base=base_ids(folders),
            regular=_open_aside(settings),
            stop=lambda: bool(heard.stop), save_now=heard.save_now,
            observers=observers_for(settings, verbosity, own, dtype), team=team_of(settings, rank, world),
        )  # fmt: skip
    if rank == 0:
        _print_result(result, verbosity, as_json=as_json)
    if result.interrupted:
        if rank == 0:
            click.echo(f"stopped and saved. Go on with: {again}", err=True)
        sys.exit(128 + (heard.stop[0] if heard.stop else signal.SIGINT))


def _print_result(result: TrainResult, verbosity: int, *, as_json: bool) -> None:
    from wantrain.ranking import table_lines

    if verbosity:
        for name, verdict in result.verdicts.items():
            if verdict.rows:  # none before an expert's first checkpoint
                click.echo("\n".join(table_lines(name, verdict)), err=True)
    if as_json:
        loras = {name: str(path) for name, path in result.loras.items()}
        best = {n: v.recommended for n, v in result.verdicts.items()}
        click.echo(json.dumps({
            "run": str(result.folder), "loras": loras, "steps": result.steps, "held_out": result.held_out,
            "recommended": {n: str(result.folder / one.file) for n, one in best.items() if one},
            "interrupted": result.interrupted,
        }))  # fmt: skip
    else:
        for path in result.loras.values():
            click.echo(path)


def _print_plan(settings: TrainConfig, *, mode: Any = "auto", accept: bool = False, as_json: bool) -> None:
    """The plan, then what `run` would refuse, with the exit code of the first."""
    from wantrain.foresee import foreseen, refusals, standing
    from wantrain.plan import plan, plan_lines
    from wantrain.preview_setup import check, warnings
    from wantrain.ready import cards_here, check_caches

    cached = _open(settings, settings.dataset)
    parts, aside = foreseen(settings, cached, lambda: _open_aside(settings), mode=mode)
    there = [*([cached] if cached.empty_text else []), *([aside.dataset] if aside else [])]
    caches = check_caches(*there) if there else ""
    if not cached.empty_text:
        told = f"no sample is cached whole yet: this is told by those of the manifest. Before `run`: {cached.first}"
        caches = "\n".join([told, *([f"regularisation set: {caches}"] if caches else [])])
    prompts = check(settings)
    planned = plan(settings, cached, cards_here(), parts, aside) | {"caches": caches}
    planned["warnings"] += warnings(prompts, settings.model_family)
    planned["previews"] = [prompt.name or prompt.prompt for prompt in prompts]
    refused = refusals(settings, cached, lambda: _open_aside(settings), mode=mode, accept=accept)
    planned["refused"] = [str(error) for error in refused]
    planned["standing"] = [] if refused else standing(settings, cached, parts, mode=mode)
    lines = [*planned["standing"], *plan_lines(planned), caches]
    many = f"{len(prompts)} prompt{'s' if len(prompts) > 1 else ''}"
    lines += [f"previews: {many} of {settings.previews.prompts}"] if prompts else []
    click.echo(json.dumps(planned) if as_json else "\n".join(lines))
    codes = [tell(error) for error in refused]
    if codes:
        sys.exit(codes[0])


def _add_commands() -> None:
    """The commands that only read: each module registers its own."""
    from wantrain import bench, cli_files, cli_sample

    main.add_command(cli_sample.sample)
    main.add_command(cli_files.report)
    main.add_command(cli_files.convert)
    main.add_command(bench.bench)


_add_commands()


if __name__ == "__main__":
    main()
