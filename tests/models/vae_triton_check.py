"""The encoder's Triton kernels in Triton's interpreter, on the CPU, against diffusers; run by test_vae_fast.py.

A program of its own because TRITON_INTERPRET counts when triton is imported.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["TRITON_INTERPRET"] = "1"
sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parents[1])]

import torch  # noqa: E402
from tinyvae import FIVE, WAN, make, pixels, theirs  # noqa: E402

from wanprep.models import vae_triton  # noqa: E402
from wanprep.models.vae_fast import FastEncoder  # noqa: E402
from wanprep.models.vae_plan import Plan  # noqa: E402

torch.set_num_threads(1)
vae_triton.config_for = lambda channels, outputs: {"M": 128, "N": 16, "K": 16, "warps": 4, "stages": 3}
for name, size in (("2.1", WAN), ("5b", FIVE)):
    vae = make(size)
    frames = pixels(9, 16, 32)
    wanted = theirs(vae, frames)
    for own in (False, True):  # cuDNN's place is taken by torch here
        vae_triton.available = lambda own=own: own
        found = FastEncoder(vae, kernels="triton")(frames, Plan(stretch=4, strips=2, rest=4))
        error = (found - wanted).norm() / wanted.norm()
        assert error < 1e-5, (name, own, error)
print("agree")
