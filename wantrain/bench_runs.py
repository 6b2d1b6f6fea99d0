"""Whole runs for `wantrain bench`, each in processes of its own so that its memory is its own, and what they told.

`--run` and `--places` train both experts in turns; `--curve` trains the same steps three ways; `--gpus` trains beside
each other and together. All of it is the real `train()` (fast_run.py).
"""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from wanprep.engines.children import PYTHON, environment

if TYPE_CHECKING:
    from wantrain.fast_run import Job

GIB = 2**30
# What a case sets in [compute]. Capped ones show that it fits, not how fast a smaller card is.
RUNS: dict[str, dict[str, Any]] = {
    "gpu": {"idle": "gpu"},
    "pinned": {"idle": "pinned"},
    "disk": {"idle": "disk"},
    "fp8-gpu": {"base": "fp8", "idle": "gpu"},
    "fp8-pinned": {"base": "fp8", "idle": "pinned"},
    "fp8-disk": {"base": "fp8", "idle": "disk"},
    "fp8-22.5": {"base": "fp8", "idle": "pinned", "cap": 22.5},
    "fp8-15.5": {"base": "fp8", "idle": "pinned", "cap": 15.5},
    "fp8-22.5-ram": {"base": "fp8", "idle": "pinned", "cap": 22.5, "ram": 24.0},
    "fp8-22.5-host": {"base": "fp8", "idle": "pinned", "cap": 22.5, "activations": 16.0},
    "nf4-10.5": {"base": "nf4", "idle": "pinned", "cap": 10.5},
    "bf16-22.5": {"idle": "pinned", "cap": 22.5},
}
PLACES = ("gpu", "pinned", "disk")
CURVES: dict[str, dict[str, Any]] = {
    "reference": {"path": "reference"},
    "fast": {"path": "fast"},
    "fp8": {"path": "fast", "base": "fp8"},
}
PATIENCE = 540.0  # seconds for one run


def apart(job: Job, world: int = 1) -> list[dict[str, Any]]:
    """`timed_run` of a job in `world` processes. -> the row of each, or one row with `error`."""
    asked = json.dumps(asdict(job))
    base = environment()
    base.setdefault("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    if job.device == "cpu":
        base.setdefault("OMP_NUM_THREADS", "1")  # tiny products on several threads wait for one another
    if world > 1:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        base |= {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        base.setdefault("OMP_NUM_THREADS", "1")  # as torchrun does
    with contextlib.ExitStack() as stack:
        ends = [tuple(stack.enter_context(tempfile.TemporaryFile("w+")) for _ in range(2)) for _ in range(world)]
        processes = [
            subprocess.Popen(
                [*PYTHON, "-m", "wantrain.bench_runs", asked], stdout=out, stderr=said,
                env=base | ({"RANK": str(rank), "LOCAL_RANK": str(rank)} if world > 1 else {}),
            )
            for rank, (out, said) in enumerate(ends)
        ]  # fmt: skip
        if not _ended_well(processes):
            return [_failure(processes, [said for _, said in ends])]
        for out, _ in ends:
            out.seek(0)
        return [json.loads(out.read().splitlines()[-1]) for out, _ in ends]


def _ended_well(processes: list[subprocess.Popen[bytes]]) -> bool:
    """Wait for all; when one fails, or all take too long, the others are ended: they would wait for it for hours."""
    deadline = time.monotonic() + PATIENCE
    try:
        while any(process.poll() is None for process in processes):
            if any(process.poll() for process in processes) or time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return not any(process.returncode for process in processes)
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
                process.wait()


def _failure(processes: list[subprocess.Popen[bytes]], said: list[Any]) -> dict[str, Any]:
    """What the first one that failed by itself said last."""
    order = sorted(range(len(processes)), key=lambda n: processes[n].returncode < 0)
    said[order[0]].seek(0)
    lines = [line for line in said[order[0]].read().splitlines() if line.strip()]
    lines = lines or [f"exit code {processes[order[0]].returncode} (after {PATIENCE:.0f} s at most)"]
    return {"error": lines[-1][:300], "trace": "\n".join(lines[-12:])}


def run_of(job: Job, name: str) -> dict[str, Any]:
    """A row of RUNS."""
    compute = RUNS[name] | ({} if job.device.startswith("cuda") else {"path": "fast"})
    return {"case": name, "shape": job.shape.name} | apart(replace(job, compute=compute))[0]


# --- loss curves ---


def curve_of(job: Job) -> dict[str, Any]:
    """The loss of every step by each way of CURVES: same weights, samples, sigmas and noise. -> way -> what `deviation`
    tells of it, and the losses; `error` where a way failed.
    """
    found: dict[str, Any] = {"shape": job.shape.name, "layers": job.cut.of(job.model).layers}
    one = replace(job, stages=job.experts[:1], curve=True, turn=max(job.turn, 3))
    for way, compute in CURVES.items():
        row = apart(replace(one, compute=compute))[0]
        if "error" in row:
            found[way] = {"error": row["error"]}
            continue
        (losses,) = row["losses"].values()
        found[way] = {"losses": losses, "median": row["median"], "said": row["said"]}
        if way != "reference" and "losses" in found["reference"]:
            found[way] |= deviation(losses, found["reference"]["losses"])
    return found


def deviation(found: list[float], wanted: list[float], tail: int = 50) -> dict[str, float]:
    """How far a curve is off another: largest and mean relative difference of a step, and of the means of the last
    `tail` steps. ValueError when they differ in length.
    """
    if len(found) != len(wanted) or not found:
        raise ValueError(f"curves of {len(found)} and {len(wanted)} steps")
    off = [abs(a / b - 1) for a, b in zip(found, wanted)]
    ends = [sum(curve[-tail:]) / len(curve[-tail:]) for curve in (found, wanted)]
    return {"largest": max(off), "mean": sum(off) / len(off), "end": abs(ends[0] / ends[1] - 1)}


def curve_lines(found: Mapping[str, Any]) -> list[str]:
    lines = [f"loss curves, {found['shape']}, {found['layers']} layers:"]
    for way in CURVES:
        own = found[way]
        if "error" in own:
            lines.append(f"  {way:10}{own['error']}")
            continue
        losses = own["losses"]
        count = min(50, len(losses))
        text = f"  {way:10}{len(losses)} steps, first {count} {sum(losses[:count]) / count:.5f}, "
        text += f"last {count} {sum(losses[-count:]) / count:.5f}, {own['median']:.3f} s/step"
        if "largest" in own:
            text += f"; off by {own['largest']:.2e} at most, {own['mean']:.2e} on average, {own['end']:.2e} at the end"
        lines.append(text)
    return lines


# --- several GPUs ---


def gpus_of(job: Job, world: int) -> dict[str, Any]:
    """Throughput on one GPU, with an expert on each of two, and with a step's batches shared by `world`.

    parallel: experts' steps a second together over those of one GPU. shared: seconds of a step of `world` batches on
    one GPU over those on `world`; efficiency: that by `world`. loss_off: largest relative difference of a step's loss
    between the two.
    """
    one = replace(job, stages=job.experts[:1], accumulate=world, curve=True)
    alone, together = apart(one)[0], apart(one, world)
    found: dict[str, Any] = {"shape": job.shape.name, "world": world}
    rows = [alone, *together]
    beside: list[dict[str, Any]] = []
    if len(job.experts) == world:
        beside = apart(replace(job, schedule="parallel", curve=True), world)
    if failed := [row for row in [*rows, *beside] if "error" in row]:
        return found | failed[0]
    each = alone["median"] / world
    shared = alone["median"] / together[0]["median"]
    found |= {"alone": each, "shared": shared, "efficiency": shared / world}
    (ours,), (theirs,) = together[0]["losses"].values(), alone["losses"].values()
    found["loss_off"] = deviation(ours, theirs)["largest"]
    if beside:
        found["parallel"] = each * sum(1 / row["median"] for row in beside)
    return found


def gpus_line(found: Mapping[str, Any]) -> str:
    head = f"{found['world']} GPUs, {found['shape']}: "
    if "error" in found:
        return head + found["error"]
    text = f"one GPU {found['alone']:.3f} s a batch; batches shared {found['shared']:.2f} times as fast "
    text += f"(efficiency {found['efficiency']:.1%}, loss off by {found['loss_off']:.1e} at most)"
    beside = f"; an expert on each {found['parallel']:.2f} times" if "parallel" in found else ""
    return head + text + beside


# --- rows as text ---

HEADER = (
    f"{'run':15}{'shape':12}{'s/step':>8}{'low':>8}{'high':>8}{'switch':>8}{'share':>7}{'GiB':>8}{'resvd':>7}"
    f"{'RAM':>7}{'whole':>7}  what was said"
)


def line(row: Mapping[str, Any]) -> str:
    """One row as text."""
    head = f"{row['case']:15}{row['shape']:12}"
    if "error" in row:
        return f"{head}{row['error']}"
    switch = f"{row['switch']:8.3f}{row['share']:7.1%}" if "switch" in row else f"{'':15}"
    text = (
        f"{head}{row['median']:8.3f}{row['low']:8.3f}{row['high']:8.3f}{switch}{row['allocated'] / GIB:8.1f}"
        f"{row['reserved'] / GIB:7.1f}{row['rss'] / GIB:7.1f}{row['whole']:7.0f}  {row['said']}"
    )
    if "idle" in row:
        text += (
            f"\n  GPU idle {row['idle']:.2%} between first and last of {row['kernels']} kernels; waiting for the host "
            f"{row['waiting']:.2%}, longest {row['longest'] * 1000:.1f} ms"
        )
    if "pause" in row:
        text += (
            f"\n  a guest on the card: pause {row['pause']:.1f} s = experts put away {row['put_away']:.1f}, guest "
            f"{row['guest']:.1f} ({row['guest_free'] / GIB:.1f} GiB were free for it), back {row['brought_back']:.1f}"
        )
    return text + (f"\n  the guest failed: {row['guest_error']}" if "guest_error" in row else "")


def _job(table: Mapping[str, Any]) -> Job:
    from wantrain.fast_model import Cut, Shape
    from wantrain.fast_run import Job

    more = {"shape": Shape(**table["shape"]), "cut": Cut(**table["cut"]), "stages": tuple(table["stages"])}
    return Job(**(dict(table) | more))


if __name__ == "__main__":
    from wantrain.fast_run import timed_run

    print(json.dumps(timed_run(_job(json.loads(sys.argv[1])))))  # noqa: T201
