"""What a plan takes, counted tensor by tensor, and which is chosen; strips and stretches yield what the whole does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tinyvae import FIVE, WAN, make, pixels
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from wanprep.models.vae_fast import FastEncoder
from wanprep.models.vae_plan import LIBRARIES, Plan, peak_bytes

torch.set_num_threads(2)
FULL: dict[str, Any] = {"num_res_blocks": 2, "dim_mult": [1, 2, 4, 4], "temperal_downsample": [False, True, True]}
WAN_FULL = type("Config", (), FULL | {"base_dim": 96, "patch_size": None, "in_channels": 3})()
FIVE_FULL = type("Config", (), FULL | {"base_dim": 160, "patch_size": 2, "in_channels": 12})()
GIB = 2**30


class Counted(TorchDispatchMode):
    """Bytes of all tensors that are alive, looked at after every operation; those that were there before count not."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = {t.untyped_storage()._cdata for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)}
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and (storage := tensor.untyped_storage())._cdata not in before:
                self.alive[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.alive = {key: kept for key, kept in self.alive.items() if not kept[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self.alive.values()))
        return out


def counted(encoder: FastEncoder, shown: torch.Tensor, plan: Plan, **more: Any) -> int:
    with Counted() as mode:
        encoder(shown, plan, **more)
    return mode.peak + shown.nbytes


@pytest.mark.parametrize("size", [WAN, FIVE], ids=["2.1", "5b"])
@pytest.mark.parametrize(
    ("frames", "plan"),
    [
        (21, Plan(stretch=16, strips=1, rest=20)),
        (21, Plan(stretch=8, strips=1, rest=4)),
        (21, Plan(stretch=4, strips=1, rest=4)),
        (21, Plan(stretch=4, strips=4, rest=4)),
        (13, Plan(stretch=4, strips=3, rest=12)),
        (1, Plan(stretch=4, strips=1, rest=4)),
    ],
)
def test_memory_is_planned_as_counted(size: dict[str, Any], frames: int, plan: Plan) -> None:
    """Neither less than is taken nor much more."""
    patch = size.get("patch_size") or 1
    vae = make(size | {"num_res_blocks": 2, "base_dim": 16})
    shown = pixels(frames, 64 * patch, 32 * patch)
    planned = peak_bytes(vae.config, 32 * patch, 64 * patch, frames, plan, kernels="torch", size=4) - LIBRARIES
    taken = counted(FastEncoder(vae), shown, plan)
    print(f"{taken / planned:.3f}")
    assert taken <= planned <= 1.3 * taken
