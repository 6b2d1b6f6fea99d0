"""Who looks on at a run of the command line: what shows progress first, since the last one ends first."""

from __future__ import annotations

from wantrain.board import Board
from wantrain.config import TrainConfig
from wantrain.observe import Observer
from wantrain.preview_setup import prepare
from wantrain.progress import shown


def observers_for(config: TrainConfig, verbosity: int, device: str, dtype: str) -> list[Observer]:
    """device, dtype: of the training. Raises what `preview_setup.prepare` raises, before anything is loaded."""
    observers = [shown(verbosity)]
    if config.run.tensorboard:
        observers.append(Board())
    previews = prepare(config, device, dtype)
    if previews is not None:
        observers.append(previews)
    return observers
