"""The sections of a training file that say what is measured, kept and shown while a run goes on.

As in `sections.py`, a value that cannot work is refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from wantrain.sections import require, require_device


@dataclass(frozen=True, kw_only=True)
class ValidationConfig:
    """Held-out loss. share: of the samples, never trained on (0: none). every: steps.

    samples, sigmas: size of the question, at most `samples` held-out ones at each of `sigmas` sigmas. trained: as many
    samples that are trained on get the same questions, to tell learning from memorising (0: none).
    """

    share: float = 0.1
    every: int = 250
    samples: int = 8
    sigmas: int = 4
    trained: int = 4

    def __post_init__(self) -> None:
        require(0 <= self.share < 1, f"share = {self.share} must be at least 0 and below 1")
        for name in ("every", "samples", "sigmas"):
            require(getattr(self, name) >= 1, f"{name} = {getattr(self, name)} must be at least 1")
        require(self.trained >= 0, f"trained = {self.trained} must not be negative")


@dataclass(frozen=True, kw_only=True)
class SaveConfig:
    """every: steps between saved states and LoRA files. keep, keep_best: the last, and the best, LoRAs kept of each."""

    every: int = 250
    keep: int = 6
    keep_best: int = 2

    def __post_init__(self) -> None:
        require(self.every >= 1, f"every = {self.every} must be at least 1")
        require(self.keep >= 0, f"keep = {self.keep} must not be negative")
        require(self.keep_best >= 0, f"keep_best = {self.keep_best} must not be negative")


@dataclass(frozen=True, kw_only=True)
class PreviewsConfig:
    """Videos of the same prompts at checkpoints, made by a process of their own.

    prompts: file of prompts (`prompts.py`); none: no previews. every: steps, a multiple of save.every; 0: at every
    checkpoint. at_start: the base model's videos first. device: "auto" is another GPU where there is one, else the one
    that trains (then training waits meanwhile), else the CPU. queue: previews that may wait for the one being made.
    minutes: longest that one may take. at_end: "wait" for the last ones, or "stop" them. columns: frames of each video
    on the contact sheet.
    """

    prompts: str | None = None
    every: int = 0
    at_start: bool = True
    device: str = "auto"
    queue: int = 1
    minutes: float = 120.0
    at_end: Literal["wait", "stop"] = "wait"
    columns: int = 6

    def __post_init__(self) -> None:
        for name in ("every", "queue"):
            require(getattr(self, name) >= 0, f"{name} = {getattr(self, name)} must not be negative")
        require(self.minutes > 0, f"minutes = {self.minutes} must be above 0")
        require(1 <= self.columns <= 40, f"columns = {self.columns} must be between 1 and 40")
        require_device("device = ", self.device)
