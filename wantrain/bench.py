"""`wantrain bench`: seconds a training step on this machine, for the fast path, its parts, and the plain reference.

No weights and no data are needed: the whole architecture with random numbers takes the same time. Everything of one
table runs in one process on one model, the reference first, so that a claim is a ratio of two neighbours.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from wanprep.stage import Missing, UsageError
from wantrain import bench_runs, bench_suite, bench_table
from wantrain.bench_table import CASES, REFERENCE

if TYPE_CHECKING:
    from wanprep.families import Family
    from wantrain.fast import Plan
    from wantrain.fast_model import Cut, Shape
    from wantrain.fast_run import Job

SHAPES = ("384x208x45", "512x512x41", "832x480x81")
CURVE_SHAPE, CURVE_STEPS = "256x144x33", 500
EXAMPLES = """
\b
Examples:
  wantrain bench                           the three usual shapes
  wantrain bench --against reference       the same, beside diffusers + peft
  wantrain bench --shape 384x208x45 --case fast --case eager --case apart
  wantrain bench --parity --layers 3       gradients against float32
  wantrain bench --places fp8              the idle expert in each place
  wantrain bench --run fp8-pinned --idle   share of time that the GPU waits
  wantrain bench --run fp8-pinned --guest 20  pauses while others need 20 GiB
  wantrain bench --curve 500               losses over the reference's
  wantrain bench --gpus 2                  throughput of two GPUs over one
  wantrain bench --suite gpu-check         all of it in 8 minutes on one card
  wantrain bench --suite two-gpus          ... in 4 minutes on two

Cases: """ + ", ".join(CASES) + """

Runs: """ + ", ".join(bench_runs.RUNS)  # fmt: skip


@click.command(epilog=EXAMPLES)
@click.option("--family", "family_name", default="wan2.2-t2v-a14b", show_default=True)
@click.option("--shape", "shapes", multiple=True, metavar="WxHxF", help="A bucket; may be repeated.")
@click.option("--case", "cases", multiple=True, metavar="NAME", help="What to time; may be repeated. [default: fast]")
@click.option("--run", "runs", multiple=True, metavar="NAME", help="Time a whole run of both experts; may be repeated.")
@click.option("--places", type=click.Choice(["bf16", "fp8"]), help="--run with the idle expert in each place.")
@click.option("--turn", default=10, show_default=True, metavar="STEPS", help="Of runs: steps until the other's turn.")
@click.option("--idle", is_flag=True, help="Of --run: trace the second half; the share of time that no kernel runs.")
@click.option("--guest", type=float, metavar="GIB", help="Of --run: training pauses for a process that wants so much.")
@click.option("--curve", type=int, metavar="STEPS", help=f"Compare loss curves (8 layers, {CURVE_SHAPE}).")
@click.option("--gpus", type=int, metavar="NUMBER", help="Throughput of several GPUs over one.")
@click.option("--suite", type=click.Choice(list(bench_suite.MINUTES)), help="A check list.")
@click.option("--minutes", type=float, help="Of --suite: parts that cannot begin in time are left out.")
@click.option("--against", type=click.Choice([REFERENCE]), help="Time this first and print ratios.")
@click.option("--rank", default=32, show_default=True)
@click.option("--layers", type=int, help="A shorter model. [default: the family's]")
@click.option("--width", type=int, help="A narrower model. [default: the family's]")
@click.option("--warmups", default=5, show_default=True)
@click.option("--steps", default=20, show_default=True)
@click.option("--limit", default=60.0, show_default=True, metavar="SECONDS", help="Fewer steps where they take longer.")
@click.option("--budget", type=float, metavar="GIB", help="For activations. [default: what is free]")
@click.option("--host", default=0.0, metavar="GIB", help="Pinned host memory for kept tensors.")
@click.option("--cap", type=float, metavar="GIB", help="Let this process have no more of the GPU.")
@click.option("--parity", is_flag=True, help="Compare gradients with float32 instead of timing (default 3 layers).")
@click.option("--text-tokens", type=int, help="Of the caption; the rest of 512 is padding.  [default: no padding]")
@click.option("--profile", is_flag=True, help="List the kernels that take the time of one step.")
@click.option("--device", type=click.Choice(["cuda", "cpu"]), default="cuda", show_default=True,
              help="cpu tries the programs at a tiny --width; its times mean nothing.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Rows as JSON on stdout.")
def bench(**given: Any) -> None:
    """Time training steps on this machine's GPU, with random weights."""
    try:
        rows, text = _asked_for(given)
    except UsageError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except Missing as error:
        click.echo(f"missing: {error}", err=True)
        sys.exit(3)
    found = {"machine": bench_table.machine(), "rows": rows}
    click.echo(json.dumps(found) if given["as_json"] else f"{bench_table.machine_line()}\n{text}")
    if given["suite"] and any(bench_suite.failed(row) for row in rows):
        sys.exit(1)


def _asked_for(given: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """Rows, and the same for people. UsageError for wrong arguments, Missing without a card."""
    numbers = {name: given[name] for name in ("rank", "warmups", "steps", "turn", "layers", "curve")}
    if bad := [f"{name} = {value}" for name, value in numbers.items() if value is not None and value < 1]:
        raise UsageError(f"{', '.join(bad)}: at least 1 is needed")
    if unknown := [case for case in given["cases"] if case not in CASES]:
        raise UsageError(f"unknown case {unknown[0]!r}; cases are {', '.join(CASES)}")
    if unknown := [name for name in given["runs"] if name not in bench_runs.RUNS]:
        raise UsageError(f"unknown run {unknown[0]!r}; runs are {', '.join(bench_runs.RUNS)}")
    _need_gpu(given["device"], given["cap"], given["gpus"] or (2 if given["suite"] == "two-gpus" else 1))
    short = given["curve"] and not given["suite"]
    family, chosen = _sizes(given["family_name"], given["shapes"] or ((CURVE_SHAPE,) if short else SHAPES))
    cut, plan = _cut(given), _plan(given["budget"], given["host"])
    job = _job(given, family, chosen[0], cut)
    if given["suite"]:
        return _suite(given, job)
    if given["gpus"]:
        rows = [bench_runs.gpus_of(replace(job, shape=shape), given["gpus"]) for shape in chosen]
        return rows, "\n".join(map(bench_runs.gpus_line, rows))
    if given["curve"]:
        eight = replace(cut, layers=cut.layers or 8)
        curve = replace(job, cut=eight, steps=given["curve"], lr=1e-4)
        rows = [bench_runs.curve_of(replace(curve, shape=shape)) for shape in chosen]
        return rows, "\n".join(text for row in rows for text in bench_runs.curve_lines(row))
    if given["runs"] or given["places"]:
        before = "fp8-" if given["places"] == "fp8" else ""
        places = [f"{before}{place}" for place in bench_runs.PLACES] if given["places"] else []
        return _whole_runs(job, chosen, [*given["runs"], *places])
    more: dict[str, Any] = {"rank": given["rank"], "device": given["device"]}
    if given["parity"]:
        more["cut"] = replace(cut, layers=cut.layers or 3)
        rows = [bench_table.parity_row(family, shape, plan, given["cases"] or ("fast",), **more) for shape in chosen]
        return rows, "\n".join(map(bench_table.parity_line, rows))
    names = [*([REFERENCE] if given["against"] else []), *(given["cases"] or ("fast",))]
    asked = ("warmups", "steps", "limit", "profile", "text_tokens")
    effort = bench_table.Effort(**{name: given[name] for name in asked})
    rows = bench_table.timed(family, chosen, names, plan, cut=cut, effort=effort, tell=_tell, **more)
    return rows, bench_table.table(rows)


def _tell(text: str) -> None:
    click.echo(text, err=True)


def _sizes(family_name: str, shapes: tuple[str, ...]) -> tuple[Family, list[Shape]]:
    from wanprep.costs import transformer_of
    from wanprep.families import FAMILIES, family
    from wantrain.fast_model import shape_of

    if family_name not in FAMILIES:
        raise UsageError(f"unknown family {family_name!r}; families are {', '.join(FAMILIES)}")
    found = family(family_name)
    try:
        transformer_of(found)
        return found, [shape_of(found, *_parse(text)) for text in shapes]
    except ValueError as error:
        raise UsageError(str(error)) from error


def _parse(text: str) -> tuple[int, int, int]:
    parts = text.lower().split("x")
    if len(parts) != 3 or not all(part.isdigit() for part in parts):
        raise UsageError(f"--shape {text!r}: expected WIDTHxHEIGHTxFRAMES, as 832x480x81")
    width, height, frames = map(int, parts)
    return width, height, frames


def _need_gpu(device: str, cap: float | None, count: int = 1) -> None:
    if device == "cpu":
        return
    # Before torch is loaded: without it, what blocks keep in one step leaves holes that the next cannot use.
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if there < count:
        what = "a CUDA device" if count == 1 else f"{count} CUDA devices ({there} are here)"
        raise Missing(what, "wantrain bench times GPU kernels; run it where `nvidia-smi` lists a card")
    if cap is not None:
        torch.cuda.set_per_process_memory_fraction(cap * 2**30 / torch.cuda.get_device_properties(0).total_memory)


def _cut(given: dict[str, Any]) -> Cut:
    from wantrain.fast_model import Cut

    try:
        return Cut(layers=given["layers"], width=given["width"])
    except ValueError as error:
        raise UsageError(str(error)) from error


def _plan(budget: float | None, host: float) -> Plan:
    from wantrain.fast import Plan

    try:
        return Plan(budget=None if budget is None else budget * 2**30, host=host * 2**30)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _job(given: dict[str, Any], family: Family, shape: Shape, cut: Cut) -> Job:
    from wantrain.fast_run import Job

    asked = {name: given[name] for name in ("rank", "steps", "turn", "device", "guest")}
    return Job(family=family.name, shape=shape, cut=cut, trace=given["idle"], **asked)


def _whole_runs(job: Job, shapes: list[Shape], names: list[str]) -> tuple[list[dict[str, Any]], str]:
    rows: list[dict[str, Any]] = []
    for name, shape in itertools.product(names, shapes):
        rows.append(row := bench_runs.run_of(replace(job, shape=shape), name))
        _tell(bench_runs.line(row) + (f"\n{row['trace']}" if "trace" in row else ""))
    return rows, "\n".join([bench_runs.HEADER, *map(bench_runs.line, rows)])


def _suite(given: dict[str, Any], job: Job) -> tuple[list[dict[str, Any]], str]:
    own = given["shapes"][:1] or (CURVE_SHAPE,)
    parts = bench_suite.parts_of(
        given["suite"], job, curve=given["curve"] or CURVE_STEPS, curve_shape=_sizes(job.family, own)[1][0],
        guest=given["guest"] or bench_suite.GUEST_GIB, places="" if given["places"] == "bf16" else "fp8-",
    )  # fmt: skip
    rows = list(bench_suite.run_parts(parts, given["minutes"] or bench_suite.MINUTES[given["suite"]], _tell))
    return rows, bench_suite.verdict(rows)


if __name__ == "__main__":
    bench()
