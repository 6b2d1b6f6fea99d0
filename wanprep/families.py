"""The model families, in one table: nothing else in the code knows 16 fps, 81 frames or 16 channels.

Numbers are those of the official configurations: `wan/configs/*.py` of Wan-Video/Wan2.1 and Wan2.2 (sample_fps,
frame_num, vae_stride, patch_size, boundary, sample_shift) and the `config.json` files of the `Wan-AI/*-Diffusers`
repositories.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wanprep.near import did_you_mean
from wanprep.stage import UsageError

Task = Literal["t2v", "i2v", "ti2v"]


@dataclass(frozen=True, kw_only=True)
class Family:
    """One model family.

    fps: frames a second the model was trained on. max_frames: longest usual window (4n+1).
    z: latent channels. spatial_stride, temporal_stride: pixels and frames per latent cell.
    grid: width and height are multiples of this (spatial stride x patch size).
    experts: ("high", "low") or ("single",). boundary: sigma at and above which `high` works; None for one expert.
    flow_shift: inference default of s in sigma = s·u/(1+(s−1)·u).
    clip_embeds: the transformer also takes CLIP image embeddings (Wan 2.1 I2V).
    """

    name: str
    fps: int
    max_frames: int
    z: int
    spatial_stride: int
    grid: int
    experts: tuple[str, ...]
    boundary: float | None
    flow_shift: float
    task: Task
    temporal_stride: int = 4
    clip_embeds: bool = False
    text_dim: int = 4096
    text_len: int = 512
    hub_id: str | None = None

    @property
    def caution(self) -> str:
        """What must be said wherever the family is used; empty for real ones."""
        if self.hub_id:
            return ""
        return f"family {self.name}: random weights, for the demo and for tests; nothing to train a real model on"

    def latent_frames(self, frames: int) -> int:
        """Latent frames of a window of `frames` (4n+1) frames; ValueError otherwise."""
        if frames < 1 or (frames - 1) % self.temporal_stride:
            raise ValueError(f"{frames} frames is not {self.temporal_stride}n+1")
        return (frames - 1) // self.temporal_stride + 1

    def tokens(self, width: int, height: int, frames: int) -> int:
        """Transformer tokens of a bucket in pixels and frames."""
        return self.latent_frames(frames) * (width // self.grid) * (height // self.grid)


_TWO = ("high", "low")
_ONE = ("single",)
_FIVE_B = {"fps": 24, "max_frames": 121, "z": 48, "spatial_stride": 16, "grid": 32}


def _wan(name: str, experts: tuple[str, ...], boundary: float | None, shift: float, task: Task, hub: str, **more):  # type: ignore[no-untyped-def]
    base = {"fps": 16, "max_frames": 81, "z": 16, "spatial_stride": 8, "grid": 16} | more
    return Family(
        name=name,
        experts=experts,
        boundary=boundary,
        flow_shift=shift,
        task=task,
        hub_id=f"Wan-AI/{hub}-Diffusers",
        **base,
    )


FAMILIES: dict[str, Family] = {
    f.name: f
    for f in (
        _wan("wan2.1-t2v-1.3b", _ONE, None, 5.0, "t2v", "Wan2.1-T2V-1.3B"),
        _wan("wan2.1-t2v-14b", _ONE, None, 5.0, "t2v", "Wan2.1-T2V-14B"),
        _wan("wan2.1-i2v-14b", _ONE, None, 5.0, "i2v", "Wan2.1-I2V-14B-480P", clip_embeds=True),
        _wan("wan2.2-t2v-a14b", _TWO, 0.875, 12.0, "t2v", "Wan2.2-T2V-A14B"),
        _wan("wan2.2-i2v-a14b", _TWO, 0.900, 5.0, "i2v", "Wan2.2-I2V-A14B"),
        _wan("wan2.2-ti2v-5b", _ONE, None, 5.0, "ti2v", "Wan2.2-TI2V-5B", **_FIVE_B),
        # Random weights of the real classes, a few MB, built locally: for the demo and for tests.
        Family(
            name="tiny", fps=16, max_frames=81, z=16, spatial_stride=8, grid=16, experts=_TWO, boundary=0.875,
            flow_shift=5.0, task="t2v", text_dim=32,
        ),
    )
}  # fmt: skip


def family(name: str) -> Family:
    """The family called `name`; UsageError with the nearest name otherwise."""
    if name in FAMILIES:
        return FAMILIES[name]
    raise UsageError(f"unknown family {name!r}{did_you_mean(name, FAMILIES, 0.5)}; known: {', '.join(FAMILIES)}")
