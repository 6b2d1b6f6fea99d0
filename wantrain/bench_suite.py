"""Check lists for `wantrain bench --suite`: everything that only a GPU can tell, one command, most important first.

gpu-check   one card, 8 minutes: the GPU tests; idle share; both experts with the idle one in each place; a guest and a
            real preview on the card that trains; a loss curve; Python's share of a step.
two-gpus    two cards, 4 minutes: batches shared, an expert on each, and whether losses agree.

A part that cannot begin in time is left out and said to be. On a CPU (`--device cpu` with a tiny `--width`) the same
code runs, so that nothing but kernels is new on the card.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wantrain.bench_runs import PLACES, curve_lines, curve_of, gpus_line, gpus_of, line, run_of

if TYPE_CHECKING:
    from wantrain.fast_model import Shape
    from wantrain.fast_run import Job

Row = dict[str, Any]
MINUTES = {"gpu-check": 8.0, "two-gpus": 4.0}
TESTS = Path(__file__).parents[1] / "tests" / "wantrain"
GUEST_GIB = 20.0


@dataclass(frozen=True)
class Part:
    """seconds: what it is expected to take on an H100. run: -> its row, and what to say."""

    name: str
    seconds: float
    run: Callable[[], tuple[Row, str]]


def parts_of(suite: str, job: Job, *, curve: int, curve_shape: Shape, guest: float, places: str) -> list[Part]:
    """The parts of a suite. job: sizes, device and effort of its runs; places: "fp8-" or "", before a place's name."""
    if suite == "two-gpus":
        return [Part("two GPUs", 150, lambda: _two(job))]
    gpu = job.device.startswith("cuda")
    quiet = replace(job, stages=job.experts[:1], turn=job.steps, trace=True)
    pinned = f"{places}pinned"
    shorter = replace(job, shape=curve_shape, steps=curve, lr=1e-4, cut=replace(job.cut, layers=min(8, _layers(job))))
    return [
        Part("GPU tests", 75, _gpu_tests),
        Part("idle share", 35, lambda: _run(quiet, pinned)),
        *(Part(f"idle expert: {place}", 45, lambda p=place: _run(job, f"{places}{p}")) for place in PLACES),  # type: ignore[misc]
        Part("guest", 50, lambda: _run(replace(job, guest=guest if gpu else 0.01), pinned)),
        Part("preview", 45, lambda: _preview(job.device)),
        Part("curve", 100, lambda: _curve(shorter)),
        Part("Python", 15, lambda: _python(job)),
    ]


def run_parts(parts: list[Part], minutes: float, tell: Callable[[str], None]) -> Iterator[Row]:
    """Rows of the parts, in order. One that fails is a row with `error`; the others go on."""
    began = time.monotonic()
    for part in parts:
        left = minutes * 60 - (time.monotonic() - began)
        if left < part.seconds:
            row: Row = {"part": part.name, "skipped": f"{left:.0f} s are left, about {part.seconds:.0f} are needed"}
            tell(f"--- {part.name}: skipped, {row['skipped']}")
            yield row
            continue
        at = time.monotonic()
        try:
            row, text = part.run()
        except Exception as error:  # a check list ends with all of its lines
            row, text = {"error": repr(error)[:300]}, f"failed: {error!r}"
        row = {"part": part.name, "took": round(time.monotonic() - at, 1)} | row
        tell(f"--- {part.name} ({row['took']:.0f} s)\n{text}")
        yield row


def failed(row: Row) -> bool:
    """Whether a part, or anything in it, has an error."""
    inner = [value for value in row.values() if isinstance(value, dict)] + row.get("rows", [])
    return "error" in row or "guest_error" in row or bool(row.get("exit")) or any("error" in one for one in inner)


def verdict(rows: list[Row]) -> str:
    """One line on a whole suite."""
    bad = [row["part"] for row in rows if failed(row)]
    missing = [row["part"] for row in rows if "skipped" in row]
    text = f"{len(rows) - len(bad) - len(missing)} of {len(rows)} parts done"
    text += f"; failed: {', '.join(bad)}" if bad else ""
    return text + (f"; left out: {', '.join(missing)}" if missing else "")


def _layers(job: Job) -> int:
    return job.cut.of(job.model).layers


def _run(job: Job, name: str) -> tuple[Row, str]:
    row = run_of(job, name)
    return row, line(row) + (f"\n{row['trace']}" if "trace" in row else "")


def _two(job: Job) -> tuple[Row, str]:
    row = gpus_of(job, 2)
    return row, gpus_line(row) + (f"\n{row['trace']}" if "trace" in row else "")


def _curve(job: Job) -> tuple[Row, str]:
    row = curve_of(job)
    return row, "\n".join(curve_lines(row))


def _gpu_tests() -> tuple[Row, str]:
    """The tests marked `gpu`, those of the trainer: they need a checkout."""
    if not TESTS.is_dir():
        return {"skipped": "no tests here"}, "skipped: this is an installed package, its tests are in the repository"
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-q", "-p", "no:cacheprovider", str(TESTS)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=TESTS.parents[1])
    last = [text for text in done.stdout.splitlines() if text.strip()][-1:]
    # 5: there are none, or all of them are left out without a card.
    row: Row = {"exit": done.returncode if done.returncode != 5 else 0, "said": "".join(last)}
    return row, "".join(last) if done.returncode == 0 else done.stdout[-3000:]


def _python(job: Job) -> tuple[Row, str]:
    """Steps of all blocks at a width where kernels take next to nothing: what is left is Python's time to queue them.

    The `host` column of a full-size table cannot tell, since CUDA takes about a thousand kernels ahead and then makes
    Python wait.
    """
    from wantrain.bench_table import Effort, table, timed
    from wantrain.fast import Plan
    from wantrain.fast_model import Cut, shape_of

    narrow = Cut(layers=_layers(job), width=128)
    shape = shape_of(job.model, 4 * job.model.grid, 4 * job.model.grid, 5)
    rows = timed(
        job.model, [shape], ["fast", "fp8"], Plan(), rank=job.rank, cut=narrow, device=job.device,
        effort=Effort(limit=5.0), tell=lambda _: None,
    )  # fmt: skip
    return {"rows": rows}, table(rows)


def _preview(device: str) -> tuple[Row, str]:
    """The tiny family trained with real previews: its pipeline on the same device, by a process of its own."""
    import torch

    from wanprep.config import from_table
    from wanprep.families import family
    from wanprep.models.find import require_weights
    from wanprep.models.load import load_transformer
    from wantrain.config import TrainConfig
    from wantrain.fast_model import Shape
    from wantrain.fast_run import Heard, dataset_of
    from wantrain.preview_setup import prepare
    from wantrain.strips import complete
    from wantrain.train import train

    tiny = family("tiny")
    with tempfile.TemporaryDirectory() as name:
        folder, heard = Path(name), Heard("preview")
        prompts = folder / "prompts.toml"
        prompts.write_text('steps = 2\n[[prompt]]\nprompt = "a cat"\nwidth = 64\nheight = 64\nframes = 5\n')
        own = {"steps": 4, "rank": 4}
        config = from_table(TrainConfig, {
            "family": "tiny", "high": own, "low": own, "run": {"out": name, "name": "previewed", "device": device},
            "compute": {"path": "reference"}, "experts": {"switch_every": 2}, "save": {"every": 2},
            "validation": {"share": 0.0},
            "previews": {"prompts": str(prompts), "device": device, "at_start": False, "queue": 4, "minutes": 2.0},
        })  # fmt: skip
        previews = prepare(config, device, "fp32")
        assert previews is not None
        began = time.monotonic()
        train(
            config, dataset_of(folder, tiny, Shape(width=64, height=64, frames=5, tokens=32)),
            lambda expert, where: load_transformer(tiny, expert, require_weights(tiny, "transformer"), "fp32", where),
            base=dict.fromkeys(("high", "low"), "tiny"), device=device, observers=[heard, previews],
        )  # fmt: skip
        made = complete(folder / "previewed")
        good = [record for _, record in made if not any("error" in item for item in record["items"])]
        row: Row = {"made": len(good), "waits": previews.setup.waits, "seconds": round(time.monotonic() - began, 1)}
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    row["said"] = heard.said
    if len(good) < 2:
        row["error"] = f"{len(good)} of 2 previews were made"
    text = f"{len(good)} previews made on {device}, training {'waits' if row['waits'] else 'goes on'} meanwhile"
    return row, "\n".join([text, *heard.said])
