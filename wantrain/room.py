"""Whether a model can be loaded beside what runs already: bytes of its weights against bytes that are free.

Only a lower bound is asked for: a pipeline that cannot even hold its weights certainly fails, and in main memory it may
take the training process with it.
"""

from __future__ import annotations

import math
from pathlib import Path

from wanprep.models.check import part_folder, weight_files
from wanprep.models.tensorfile import read_header
from wantrain.base import base_parts

PARTS = ("transformer", "transformer_2", "text", "vae")
ITEM = {"fp32": 4, "bf16": 2, "fp16": 2}


def shortage(pipeline: Path, dtype: str, device: str) -> str:
    """What is lacking for a pipeline, in words with the numbers; "" when nothing is known to be.

    pipeline: its folder, or its parts one by one (`wantrain.base`).
    """
    named = base_parts(pipeline)
    places = {part: named.get(part, pipeline) for part in PARTS}
    places = {part: path if path.is_file() else part_folder(path, part) for part, path in places.items()}
    sizes = {
        part: weight_bytes(path, 4 if part == "vae" else ITEM[dtype]) for part, path in places.items() if path.exists()
    }
    whole, free = sum(sizes.values()), free_host_bytes()
    if free is not None and whole > free:
        return (
            f"its weights take {whole / 1e9:.1f} GB of main memory and {free / 1e9:.1f} GB are free; "
            "leave previews out (previews.prompts) and sample a checkpoint after the run"
        )
    if device.startswith("cuda"):
        import torch

        largest, free = max(sizes.values(), default=0), torch.cuda.mem_get_info(device)[0]
        if largest > free:
            return (
                f"its largest part takes {largest / 1e9:.1f} GB and {device} has {free / 1e9:.1f} GB free; set "
                'previews.device to another GPU, or to "cpu"'
            )
    return ""


def weight_bytes(folder: Path, itemsize: int) -> int:
    """Bytes of a model's weights once loaded with `itemsize` bytes a number; from the files' headers alone.

    folder: a part's folder, or its single file.
    """
    files = [folder] if folder.is_file() else weight_files(folder)
    return itemsize * sum(math.prod(entry.shape) for path in files for entry in read_header(path).entries.values())


def free_host_bytes() -> int | None:
    """Main memory that a new process can take without swapping; None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)
