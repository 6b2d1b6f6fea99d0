"""The process that makes previews: `python -m wantrain.preview_worker FOLDER`, with FOLDER/job.json saying what.

It ends when its standard input closes, so that it never outlives the training process, and offers itself to the kernel
first when memory runs out. `preview.json` is written last: a folder that has one is complete.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
import traceback
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from wanprep.config import from_table
from wanprep.families import family
from wanprep.ids import write_atomic
from wantrain.prompts import Prompt

ORPHANED = 4  # exit code: the training process is gone
STILL = 480  # pixels that the picture standing for a video is wide, at most


@dataclass(frozen=True, kw_only=True)
class Job:
    """One preview: every prompt once, with these LoRAs.

    steps: expert -> step of its LoRA (0: the base model). loras: expert -> its file. threads: of the CPU, 0 for all.
    key: what the videos depend on, as a digest.
    """

    run: str
    family: str
    weights: str
    dtype: str
    device: str
    key: str
    steps: dict[str, int]
    prompts: tuple[Prompt, ...]
    loras: dict[str, str] = field(default_factory=dict)
    columns: int = 6
    threads: int = 0


def label(steps: dict[str, int]) -> str:
    """ "high 250 · low 250", "step 250" with one expert, "base model" at 0."""
    if not any(steps.values()):
        return "base model"
    return " · ".join(f"{'step' if name == 'single' else name} {step}" for name, step in steps.items())


def main(folder: Path) -> int:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _be_modest()
    job = from_table(Job, json.loads((folder / "job.json").read_text(encoding="utf-8")))
    began = time.monotonic()
    pipe, uses = _prepare(job)
    _say(f"loaded {job.family} and {len(uses)} LoRAs in {time.monotonic() - began:.1f} s")
    items, rows = _make(job, folder, pipe, uses)
    from wantrain.sheets import contact_sheet, jpeg

    sheet = contact_sheet(rows, title=f"{job.run}: {label(job.steps)}", columns=job.columns)
    write_atomic(folder / "sheet.jpg", jpeg(sheet))
    failed = sum("error" in item for item in items)
    record = {
        "key": job.key, "steps": job.steps, "items": items, "sheet": "sheet.jpg", "failed": failed,
        "volatile": {"seconds": round(time.monotonic() - began, 1)},
    }  # fmt: skip
    write_atomic(folder / "preview.json", (json.dumps(record, indent=1) + "\n").encode())
    _say(f"{len(items) - failed} of {len(items)} made in {time.monotonic() - began:.1f} s")
    return 1 if failed else 0


def _prepare(job: Job) -> tuple[Any, list[Any]]:
    import torch
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    from wantrain.sample import LoraUse, add_loras, load_pipeline

    if job.threads:
        torch.set_num_threads(job.threads)
    diffusers_logging.disable_progress_bar()
    transformers_logging.disable_progress_bar()
    pipe = load_pipeline(family(job.family), Path(job.weights), dtype=job.dtype, device=job.device)
    uses = [LoraUse(path=Path(path), expert=expert) for expert, path in job.loras.items()]
    add_loras(pipe, uses)
    return pipe, uses


def _make(job: Job, folder: Path, pipe: Any, uses: list[Any]) -> tuple[list[dict[str, Any]], list[Any]]:
    """Every prompt's video and still; one that fails is noted and the others are made."""
    from wanprep.media.film import write_film
    from wantrain.sample import sample_video, set_strengths
    from wantrain.sheets import SheetRow, jpeg, thumbnail

    model, items, rows = family(job.family), [], []
    for number, prompt in enumerate(job.prompts, 1):
        name, began = f"{number:02d}-{slug(prompt.name or prompt.prompt)}", time.monotonic()
        item: dict[str, Any] = {"name": prompt.name or prompt.prompt, "prompt": asdict(prompt)}
        strengths = {use.expert: prompt.strength_of(use.expert) for use in uses}
        frames = None
        try:
            set_strengths(pipe, [replace(use, strength=strengths[use.expert]) for use in uses])
            frames = sample_video(pipe, model, prompt.request(model))
            write_film(folder / f"{name}.mp4", frames, rate=model.fps)
            write_atomic(folder / f"{name}.jpg", jpeg(thumbnail(frames[len(frames) // 2], STILL)))
            item |= {"video": f"{name}.mp4", "still": f"{name}.jpg"}
        except Exception as error:
            _say(traceback.format_exc())
            item["error"] = f"{type(error).__name__}: {error}"
        item["volatile"] = {"seconds": round(time.monotonic() - began, 1)}
        _say(f"{number} of {len(job.prompts)}: {name} in {item['volatile']['seconds']} s")
        told = [f"seed {prompt.seed}", *(f"{expert} x{value:g}" for expert, value in strengths.items() if value != 1)]
        rows.append(SheetRow(title=prompt.name or prompt.prompt, detail=", ".join(told), frames=frames))
        items.append(item)
    return items, rows


def slug(text: str) -> str:
    """A short plain file name: letters, digits and dashes."""
    words = "".join(c if c.isascii() and c.isalnum() else " " for c in text.lower()).split()
    return "-".join(words)[:32].strip("-") or "prompt"


def _end_with_parent() -> None:
    """The parent holds the other end of standard input and writes nothing to it: reading returns when it is gone."""
    with contextlib.suppress(OSError, ValueError):
        while os.read(0, 4096):
            pass
    os._exit(ORPHANED)


def _be_modest() -> None:
    """Training goes first: for the processor, and for memory when there is too little of it."""
    with contextlib.suppress(OSError, AttributeError):
        os.nice(10)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
