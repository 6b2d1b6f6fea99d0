"""`wantrain bench`: seconds a training step on this machine, for the fast path, its parts, and the plain reference.

No weights and no data are needed: the whole architecture with random numbers takes the same time. Everything of one
table runs in one process on one model, the reference first, so that a claim is a ratio of two neighbours.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from wanprep.stage import Missing, UsageError

if TYPE_CHECKING:
    from wanprep.families import Family
    from wantrain.fast import Plan
    from wantrain.fast_measure import Shape, Timing

SHAPES = ("384x208x45", "512x512x41", "832x480x81")
REFERENCE = "reference"
# What each case changes in the plan; every optimisation alone.
CASES: dict[str, dict[str, Any]] = {
    "fast": {},
    "keep-inputs": {"keep": "inputs"},
    "keep-attention": {"keep": "attention"},
    "keep-linears": {"keep": "linears"},
    "inductor": {"kernels": "inductor"},
    "eager": {"kernels": "eager"},
    "unfused": {"fused": False},
    "apart": {"beside": False},
    "first-gradient": {"first": True},
    "flash": {"attention": "flash"},
    "plain": {"base": "plain"},
    "fp8": {"base": "fp8"},
    "fp8-twice": {"base": "fp8_twice"},
    "fp8-inputs": {"base": "fp8", "keep": "inputs"},
    "fp8-attention": {"base": "fp8", "keep": "attention"},
}
EXAMPLES = """
\b
Examples:
  wantrain bench                                    the three usual shapes
  wantrain bench --against reference                the same with plain diffusers + peft beside it
  wantrain bench --shape 384x208x45 --case fast --case eager --case apart
  wantrain bench --parity --layers 3                gradients against float32

Cases: """ + ", ".join(CASES)  # fmt: skip


@click.command(epilog=EXAMPLES)
@click.option("--family", "family_name", default="wan2.2-t2v-a14b", show_default=True)
@click.option("--shape", "shapes", multiple=True, metavar="WxHxF", help="A bucket; may be repeated.")
@click.option("--case", "cases", multiple=True, metavar="NAME", help="What to time; may be repeated. [default: fast]")
@click.option("--run", "runs", multiple=True, metavar="NAME", help="Time a whole run of both experts; may be repeated.")
@click.option("--turn", default=10, show_default=True, metavar="STEPS", help="Of --run: steps until the other's turn.")
@click.option("--against", type=click.Choice([REFERENCE]), help="Time this first and print ratios.")
@click.option("--rank", default=32, show_default=True)
@click.option("--layers", type=int, help="A shorter model. [default: the family's]")
@click.option("--warmups", default=5, show_default=True)
@click.option("--steps", default=20, show_default=True)
@click.option("--limit", default=60.0, show_default=True, metavar="SECONDS", help="Fewer steps where they take longer.")
@click.option("--budget", type=float, metavar="GIB", help="For activations. [default: what is free]")
@click.option("--host", default=0.0, metavar="GIB", help="Pinned host memory for kept tensors.")
@click.option("--cap", type=float, metavar="GIB", help="Let this process have no more of the GPU.")
@click.option("--parity", is_flag=True, help="Compare gradients with float32 instead of timing (default 3 layers).")
@click.option("--profile", is_flag=True, help="List the kernels that take the time of one step.")
@click.option("--json", "as_json", is_flag=True, help="Rows as JSON on stdout.")
def bench(
    family_name: str, shapes: tuple[str, ...], cases: tuple[str, ...], runs: tuple[str, ...], turn: int,
    against: str | None, rank: int, layers: int | None, warmups: int, steps: int, limit: float,
    budget: float | None, host: float, cap: float | None, parity: bool, profile: bool, as_json: bool,
) -> None:  # fmt: skip
    """Time training steps on this machine's GPU, with random weights."""
    try:
        if min(rank, warmups, steps, layers or 1) < 1:
            raise UsageError(f"rank {rank}, warmups {warmups}, steps {steps}, layers {layers}: all must be at least 1")
        if unknown := [case for case in cases if case not in CASES]:
            raise UsageError(f"unknown case {unknown[0]!r}; cases are {', '.join(CASES)}")
        _need_gpu(cap)
        family, chosen = _sizes(family_name, shapes or SHAPES)
        plan = _plan(budget, host)
        if runs:
            rows, text = _whole_runs(family, chosen, runs, {"rank": rank, "steps": steps, "switch_every": turn})
        elif parity:
            rows = [_parity_row(family, shape, plan, cases or ("fast",), layers or 3, rank) for shape in chosen]
            text = "\n".join(_parity_line(row) for row in rows)
        else:
            names = [*([REFERENCE] if against else []), *(cases or ("fast",))]
            rows = _timed(family, chosen, names, plan, rank, layers, (warmups, steps, limit), profile)
            text = table(rows)
    except UsageError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
    except Missing as error:
        click.echo(f"missing: {error}", err=True)
        sys.exit(3)
    click.echo(json.dumps({"machine": machine(), "rows": rows}) if as_json else f"{machine_line()}\n{text}")


def _sizes(family_name: str, shapes: tuple[str, ...]) -> tuple[Family, list[Shape]]:
    from wanprep.costs import transformer_of
    from wanprep.families import FAMILIES, family
    from wantrain.fast_measure import shape_of

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


def _need_gpu(cap: float | None) -> None:
    # Before torch is loaded: without it, what blocks keep in one step leaves holes that the next cannot use.
    os.environ.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    import torch

    if not torch.cuda.is_available():
        raise Missing("a CUDA device", "wantrain bench times GPU kernels; run it where `nvidia-smi` lists a card")
    if cap is not None:
        torch.cuda.set_per_process_memory_fraction(cap * 2**30 / torch.cuda.get_device_properties(0).total_memory)


def _plan(budget: float | None, host: float) -> Plan:
    from wantrain.fast import Plan

    try:
        return Plan(budget=None if budget is None else budget * 2**30, host=host * 2**30)
    except ValueError as error:
        raise UsageError(str(error)) from error


def _timed(
    family: Family, shapes: list[Shape], names: list[str], plan: Plan, rank: int, layers: int | None,
    effort: tuple[int, int, float], profile: bool,
) -> list[dict[str, Any]]:  # fmt: skip
    """A row for each case and shape. Out of memory is a row too: that is what one wants to know."""
    import torch

    from wantrain import fast, fast_measure
    from wantrain.bench_profile import kernels

    warmups, steps, limit = effort

    model, base = None, None
    rows: list[dict[str, Any]] = []
    for name in names:
        own = replace(plan, **CASES.get(name, {}))
        if model is None or own.base != base:
            model, base = None, own.base
            torch.cuda.empty_cache()
            model = _built(family, layers, rank, own, plain=base == "packed")
        if name == REFERENCE:
            fast_measure.into_reference(model)
        else:
            fast.install(model, own)
        for shape in shapes:
            row: dict[str, Any] = {"case": name, "shape": shape.name, "tokens": shape.tokens}
            step = fast_measure.stepper(model, fast_measure.batch_of(family, shape, model, "cuda"))
            try:
                timing = fast_measure.measure(step, warmups=warmups, steps=steps, limit=limit)
                row |= _row(family, shape, timing, layers) | {"kept": _kept(model, shape)}
                if profile:
                    click.echo(kernels(step), err=True)
            except torch.cuda.OutOfMemoryError as error:
                row["error"] = ". ".join(str(error).split(". ")[:3])
            model.zero_grad(set_to_none=True)
            click.echo(line(row, rows), err=True)
            rows.append(row)
            del step
        if name == REFERENCE:
            fast_measure.out_of_reference(model)
    return rows


def _whole_runs(
    family: Family, shapes: list[Shape], names: tuple[str, ...], more: dict[str, Any]
) -> tuple[list[dict[str, Any]], str]:
    from wantrain import fast_run

    if unknown := [name for name in names if name not in fast_run.RUNS]:
        raise UsageError(f"unknown run {unknown[0]!r}; runs are {', '.join(fast_run.RUNS)}")
    rows: list[dict[str, Any]] = []
    for name, shape in itertools.product(names, shapes):
        row = {"case": name, "shape": shape.name} | fast_run.apart(name, family, shape, **more)
        click.echo(fast_run.line(row) + (f"\n{row['trace']}" if "trace" in row else ""), err=True)
        rows.append(row)
    return rows, "\n".join([fast_run.HEADER, *map(fast_run.line, rows)])


def _built(family: Family, layers: int | None, rank: int, plan: Plan, *, plain: bool) -> Any:
    import torch

    from wantrain import fast, fast_measure

    if plain:
        return fast_measure.build(family, layers=layers, rank=rank, device="cuda", dtype=torch.bfloat16)
    hollow = fast_measure.build_hollow(family, layers=layers, rank=rank, device="cuda", dtype=torch.bfloat16)
    fast.install(hollow.model, plan, fill=hollow.fill)
    return hollow.model


def _row(family: Family, shape: Shape, timing: Timing, layers: int | None) -> dict[str, Any]:
    import torch

    from wantrain.fast_measure import mfu

    share = mfu(family, shape, timing.median, layers, torch.cuda.get_device_name())
    return asdict(timing) | {"mfu": share}


def _kept(model: Any, shape: Shape) -> str:
    from wantrain.fast import fast_of

    found = fast_of(model)
    return str(found.buckets.get((shape.tokens, 1), "")) if found else "block inputs"


def _parity_row(
    family: Family, shape: Shape, plan: Plan, cases: tuple[str, ...], layers: int, rank: int
) -> dict[str, Any]:
    from wantrain.fast_measure import parity

    plans = {case: replace(plan, **CASES[case]) for case in cases}
    found = parity(family, shape, plans, layers=layers, rank=rank, device="cuda")
    return {"shape": shape.name, "layers": layers, **found}


def _parity_line(row: dict[str, Any]) -> str:
    text = f"{row['shape']} {row['layers']} layers, LoRA gradients against float32:"
    for kind in (name for name in row if name not in ("shape", "layers")):
        whole, lowest, loss = row[kind]
        text += f"\n  {kind:10} cosine {whole:.6f}, lowest of a tensor {lowest:.6f}, loss off by {loss:.1e}"
    return text


def machine() -> dict[str, Any]:
    """What the numbers depend on. Clocks as found; this program changes none."""
    from importlib.metadata import version

    import torch

    found: dict[str, Any] = {name: version(name) for name in ("diffusers", "peft")}
    found |= {"torch": torch.__version__, "cuda": torch.version.cuda, "gpu": torch.cuda.get_device_name()}
    found |= {"cudnn": torch.backends.cudnn.version(), "memory_gib": torch.cuda.mem_get_info()[1] / 2**30}
    try:
        found["sm_mhz"], found["celsius"] = torch.cuda.clock_rate(), torch.cuda.temperature()
    except Exception:  # needs NVML's Python package, which is not ours
        found["sm_mhz"] = found["celsius"] = None
    return found


def machine_line() -> str:
    found = machine()
    return ", ".join(f"{k} {v:.1f}" if isinstance(v, float) else f"{k} {v}" for k, v in found.items() if v is not None)


HEADER = (
    f"{'case':15}{'shape':12}{'s/step':>8}{'low':>8}{'high':>8}{'wall':>8}{'host':>7}{'GiB':>7}{'resvd':>7}{'MFU':>6}"
    f"{'first':>7}{'times':>7}  kept"
)


def line(row: dict[str, Any], earlier: list[dict[str, Any]]) -> str:
    """One row as text; `times` is how much faster than the reference at the same shape."""
    head = f"{row['case']:15}{row['shape']:12}"
    if "error" in row:
        return f"{head}{row['error']}"
    base = [r["median"] for r in earlier if r["case"] == REFERENCE and r["shape"] == row["shape"] and "median" in r]
    times = f"{base[0] / row['median']:7.2f}" if base else f"{'':7}"
    share = f"{row['mfu']:6.1%}" if row["mfu"] is not None else f"{'':6}"
    return (
        f"{head}{row['median']:8.3f}{row['low']:8.3f}{row['high']:8.3f}{row['wall']:8.3f}{row['host']:7.3f}"
        f"{row['allocated'] / 2**30:7.1f}{row['reserved'] / 2**30:7.1f}{share}{row['start']:7.1f}{times}  {row['kept']}"
    )


def table(rows: list[dict[str, Any]]) -> str:
    return "\n".join([HEADER, *(line(row, rows[:number]) for number, row in enumerate(rows))])


if __name__ == "__main__":
    bench()
