"""Single steps for `wantrain bench`: the cases, their rows, and the table of them."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wanprep.families import Family
    from wantrain.fast import Plan
    from wantrain.fast_model import Cut, Shape

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
    "nf4": {"base": "nf4"},
}


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How steps are timed; fewer of them where they take more than `limit` seconds. profile: list kernels, too.

    text_tokens: of the caption; None: as many as there is room for.
    """

    warmups: int = 5
    steps: int = 20
    limit: float = 60.0
    profile: bool = False
    text_tokens: int | None = None


def timed(
    family: Family, shapes: list[Shape], names: list[str], plan: Plan, *, rank: int, cut: Cut, device: str,
    effort: Effort, tell: Callable[[str], None],
) -> list[dict[str, Any]]:  # fmt: skip
    """A row for each case and shape, all on one model. Out of memory is a row too: that is what one wants to know."""
    import torch

    from wantrain import fast, fast_measure
    from wantrain.bench_profile import kernels
    from wantrain.fast_model import batch_of, stepper

    gpu = device.startswith("cuda")
    model, base = None, None
    rows: list[dict[str, Any]] = []
    for name in names:
        own = replace(plan, **CASES.get(name, {}))
        if model is None or own.base != base:
            model, base = None, own.base
            gc.collect()  # of a model that was, blocks and autograd's functions point at one another
            if gpu:
                torch.cuda.empty_cache()
            model = _built(family, cut, rank, own, device, plain=base == "packed")
        if name == REFERENCE:
            fast_measure.into_reference(model, compiled=gpu)
        else:
            fast.install(model, own)
        for shape in shapes:
            row: dict[str, Any] = {"case": name, "shape": shape.name, "tokens": shape.tokens}
            step = stepper(model, batch_of(family, shape, model, device, text_tokens=effort.text_tokens))
            try:
                timing = fast_measure.measure(
                    step, warmups=effort.warmups, steps=effort.steps, limit=effort.limit, device=device
                )
                card = torch.cuda.get_device_name() if gpu else "cpu"
                row |= asdict(timing) | {"mfu": fast_measure.mfu(family, shape, timing.median, cut, card)}
                row["kept"] = _kept(model, shape)
                if effort.profile and gpu:
                    tell(kernels(step))
            except torch.cuda.OutOfMemoryError as error:
                row["error"] = ". ".join(str(error).split(". ")[:3])
            model.zero_grad(set_to_none=True)
            tell(line(row, rows))
            rows.append(row)
            del step
        if name == REFERENCE:
            fast_measure.out_of_reference(model)
    return rows


def _built(family: Family, cut: Cut, rank: int, plan: Plan, device: str, *, plain: bool) -> Any:
    import torch

    from wantrain import fast
    from wantrain.fast_model import build, build_hollow

    if plain:
        return build(family, cut=cut, rank=rank, device=device, dtype=torch.bfloat16)
    hollow = build_hollow(family, cut=cut, rank=rank, device=device, dtype=torch.bfloat16)
    fast.install(hollow.model, plan, fill=hollow.fill)
    return hollow.model


def _kept(model: Any, shape: Shape) -> str:
    from wantrain.fast import fast_of

    found = fast_of(model)
    return str(found.buckets.get((shape.tokens, 1), "")) if found else "block inputs"


def parity_row(
    family: Family, shape: Shape, plan: Plan, cases: tuple[str, ...], *, cut: Cut, rank: int, device: str
) -> dict[str, Any]:
    from wantrain.fast_measure import parity

    plans = {case: replace(plan, **CASES[case]) for case in cases}
    found = parity(family, shape, plans, cut=cut, rank=rank, device=device)
    return {"shape": shape.name, "layers": cut.of(family).layers, **found}


def parity_line(row: dict[str, Any]) -> str:
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
    found["torch"] = torch.__version__
    if not torch.cuda.is_available():
        return found | {"device": "cpu"}
    found |= {"cuda": torch.version.cuda, "gpu": torch.cuda.get_device_name(), "cards": torch.cuda.device_count()}
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
