"""Train the second network of marks (wanprep/signals/second_look.py).

    python tests/benchmarks/second_look_material.py footage.npz
    python tests/benchmarks/train_second_look.py footage.npz --out second_look.safetensors --seconds 560 --workers 15
    python tests/benchmarks/train_second_look.py footage.npz --start second_look.safetensors --out ... --seconds 385

Processes go on making shots and marks; a GPU puts the ones over the others, so that each shot is seen under many marks,
and computes what the network is shown (`maps`, the same as second_look.maps). Not reproducible to the bit, so the
weights are kept in the repository (560 s from random ones, then 385, 520 and 540 s; docs/measured/marks.md).
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as fn
from second_look_material import COUNT, SIZE, Maker
from torch import nn

from wanprep.signals import marks, second_look

WIDE = 32, 64, 96  # of its first three layers
SHOTS, MARKS = {"cuda": (80_000, 40_000), "cpu": (800, 400)}, 8  # at hand: 0.5 and 0.1 MB each; marks for 16 shots
BATCH, OFTEN, FEW = 96, 30, {"cuda": 1000, "cpu": 64}  # times that a shot is shown, about; how many there must be first
RATE, AGAIN = 2e-3, 1e-3  # from random weights; from others
MARKED, TWICE = 0.55, 0.1  # share of shots under a mark; of these, under two
PASSING, PACE = 0.6, 0.3  # share of strips whose words pass; the most from one picture to the next, of the width
SEEN, FAINT, HEAVY = 0.12, 3.0, 6.0  # alpha of a mark's pixels; levels it must change to count; weight of its places
NONE, MARK, HIDDEN = 0, 1, 2  # what a place shows: nothing, a mark, one that changes nothing visible


class Network(nn.Module):
    """The layers that second_look.py computes with numpy: 518,146 numbers."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c = WIDE
        self.a = nn.Conv2d(13, a, 5, stride=2, padding=2)
        self.b, self.c = nn.Conv2d(a, b, 3, padding=1), nn.Conv2d(b, c, 3, stride=2, padding=1)
        self.r = nn.ModuleList(nn.Conv2d(c, c, 3, padding=reach, dilation=reach) for reach in second_look.REACH)
        self.g, self.o, self.bias = nn.Linear(2 * c, c), nn.Conv2d(c, 1, 1), nn.Parameter(torch.zeros(1))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Places, and shots, by `maps`."""
        y = self.c(self.b(self.a(x).relu()).relu()).relu()
        for k, layer in enumerate(self.r):
            z = layer(y) + y
            if k == 1:
                whole = torch.cat([y.float().mean((2, 3)), y.float().amax((2, 3))], 1)
                z = z + self.g(whole.to(y.dtype))[:, :, None, None]
            y = z.relu()
        places = self.o(y)[:, 0].float()
        return places, places.flatten(1).topk(second_look.MOST)[0].mean(1) + self.bias


def gradients(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Across and down, levels a pixel, of [..., h, w]: `marks.gradients`."""
    across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], device=x.device) / 4
    padded = fn.pad(x.flatten(0, -3)[:, None], (1, 1, 1, 1), mode="replicate")
    both = fn.conv2d(padded, torch.stack([across, across.T])[:, None]).unflatten(0, x.shape[:-2])
    return both.select(-3, 0), both.select(-3, 1)


def middle(x: torch.Tensor) -> torch.Tensor:
    ordered = x.sort(1)[0]
    return (ordered[:, (x.shape[1] - 1) // 2] + ordered[:, x.shape[1] // 2]) / 2


def maps(x: torch.Tensor) -> torch.Tensor:
    """float[B, 13, h, w]: `second_look.maps` of float[B, M, h, w, 3] BGR."""
    luma = torch.floor(0.114 * x[..., 0] + 0.587 * x[..., 1] + 0.299 * x[..., 2] + 0.5)
    across, down = gradients(luma)
    kept_x, kept_y = middle(across), middle(down)
    limit = marks.BOLD * torch.sqrt(kept_x * kept_x + kept_y * kept_y) + marks.FAINT
    for plane in x.unbind(-1):
        mean_x, mean_y = gradients(plane.mean(1))
        asked = ((mean_x * mean_x + mean_y * mean_y) > limit * limit).flatten(1).any(1)[:, None, None]
        its_x, its_y = gradients(plane)
        lasting_x, lasting_y = middle(its_x), middle(its_y)
        strength = torch.sqrt(lasting_x * lasting_x + lasting_y * lasting_y)
        bold = (strength > limit) & asked
        across, down = torch.where(bold[:, None], its_x, across), torch.where(bold[:, None], its_y, down)
        kept_x, kept_y = torch.where(bold, lasting_x, kept_x), torch.where(bold, lasting_y, kept_y)
        limit = torch.where(bold, strength, limit)
    energy = kept_x * kept_x + kept_y * kept_y
    strength = torch.sqrt(energy)
    moving = torch.sqrt((across - kept_x[:, None]) ** 2 + (down - kept_y[:, None]) ** 2).mean(1)
    least = (across * kept_x[:, None] + down * kept_y[:, None]).amin(1)
    soft = fn.avg_pool2d(fn.pad(luma, (4, 4, 4, 4), mode="reflect"), 9, 1)
    spread = torch.sqrt(((soft - soft.mean(1, keepdim=True)) ** 2).mean(1))
    return torch.stack([
        2 * kept_x / (strength + 4), 2 * kept_y / (strength + 4), 4 * strength / (strength + moving + 1) - 2,
        torch.log(moving + 0.3) - 1, torch.log(spread + 0.3) - 1.5, middle(luma) / 64 - 2,
        torch.log(strength + 0.3) - 1, 2 * (least / (energy + 16)).clamp(-1, 1),
        *(middle(plane) / 64 - 2 for plane in x.unbind(-1)),
        torch.log(luma.amax(1) - luma.amin(1) + 1) - 1.5, luma[:, luma.shape[1] // 2] / 64 - 2,
    ], 1)  # fmt: skip


def chance(count: int, share: float, device: str) -> torch.Tensor:
    """bool[count, 1, 1, 1, 1]."""
    return torch.rand(count, 1, 1, 1, 1, device=device) < share


def batch(shots: torch.Tensor, marked: torch.Tensor, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """(maps, uint8[B, h/4, w/4] target) of random shots under random marks or none."""
    count = int(np.random.default_rng().choice([3, 4, 5, 5, 5]))
    which = torch.randperm(COUNT)[:count].sort()[0].to(device)
    x = shots[torch.randint(len(shots), (BATCH,), device=device)][:, which].float()
    x = torch.where(chance(BATCH, 0.5, device), x.flip(3), x)
    other = chance(BATCH, 0.3, device)
    gain, offset = torch.rand(2, BATCH, 1, 1, 1, 1, device=device)
    x = torch.where(other, x * (0.55 + 0.7 * gain) + 50 * offset - 25, x).clamp(0, 255)
    x = torch.where(chance(BATCH, 0.1, device), x.flip(4), x)
    before, cover = x, torch.zeros(BATCH, *shots.shape[2:4], device=device)
    bears = chance(BATCH, MARKED, device)
    for put in (bears, bears & chance(BATCH, TWICE, device)):
        mark = marked[torch.randint(len(marked), (BATCH,), device=device)].float()
        mark = torch.where(chance(BATCH, 0.1, device)[:, 0], mark.flip(2), mark) * put[:, 0]
        passing = passed(mark, count, device)
        x = x * (1 - passing[..., 3:] / 255) + passing[..., :3]
        cover = torch.maximum(cover, passing[..., 3].amin(1) / 255)
    change = (x - before).abs().amax(-1).mean(1)
    x = x + torch.randn_like(x) * torch.rand(BATCH, 1, 1, 1, 1, device=device)
    seen = (cover > SEEN).float()
    share = fn.avg_pool2d(seen, 4)
    changed = fn.avg_pool2d(change * seen, 4) / share.clamp(min=1e-3)
    target = torch.where(share > 0.04, torch.where(changed < FAINT, HIDDEN, MARK), NONE)
    return maps(x.round().clamp(0, 255)), target


def passed(mark: torch.Tensor, count: int, device: str) -> torch.Tensor:
    """Marks [B, h, w, 4] in so many pictures [B, M, h, w, 4]: strips from side to side pass or stay
    (frames around the picture are taken for some), all else stays."""
    strips = (mark[..., 3].amin(2) > 0).any(1) & (torch.rand(len(mark), device=device) < PASSING)
    pace = (2 * torch.rand(len(mark), device=device) - 1) * PACE * mark.shape[2] * strips
    steps = (torch.arange(count, device=device) * pace[:, None]).long()
    columns = (torch.arange(mark.shape[2], device=device) - steps[..., None]) % mark.shape[2]
    return (
        mark[:, None]
        .expand(-1, count, -1, -1, -1)
        .gather(3, columns[:, :, None, :, None].expand(-1, -1, mark.shape[1], -1, 4))
    )


def loss_of(places: torch.Tensor, shots: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Of places, and of shots that clearly show a mark or none."""
    marked, hidden = target == MARK, target == HIDDEN
    seen = marked.flatten(1).sum(1)
    each = fn.binary_cross_entropy_with_logits(places, marked.float(), reduction="none")
    counts = (seen >= second_look.MOST // 2) | ((seen == 0) & ~hidden.flatten(1).any(1))
    whole = fn.binary_cross_entropy_with_logits(shots.float(), (seen > 0).float(), reduction="none")
    heavy = torch.where(marked, HEAVY, 1.0) * ~hidden
    return 2 * (each * heavy).mean() + (whole * counts).sum() / counts.sum().clamp(min=1)


def produce(queue: Any, footage: Path, seed: int) -> None:
    """16 shots and MARKS marks, again and again; a process of its own."""
    cv2.setNumThreads(1)
    maker = Maker(footage, seed)
    while True:
        queue.put((np.stack([maker.shot() for _ in range(16)]), np.stack([maker.mark() for _ in range(MARKS)])))


class Store:
    """The last of what came, on a device."""

    def __init__(self, size: int, device: str, *shape: int) -> None:
        self.kept, self.came = torch.zeros((size, *shape), dtype=torch.uint8, device=device), 0

    def add(self, new: np.ndarray) -> None:
        at = torch.arange(self.came, self.came + len(new), device=self.kept.device) % len(self.kept)
        self.kept[at] = torch.from_numpy(new).to(self.kept.device)
        self.came += len(new)

    def all(self) -> torch.Tensor:
        return self.kept[: self.came]


def fit(net: Network, queue: Any, device: str, seconds: float, highest: float) -> dict[str, torch.Tensor]:
    """The mean of its weights over the last few hundred steps; the rate goes up, then down to nothing."""
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=1e-2)
    mean = {name: value.clone() for name, value in net.state_dict().items()}
    shots, marked = (
        Store(size, device, *shape, SIZE[1], SIZE[0], depth)
        for size, shape, depth in zip(SHOTS[device], ((COUNT,), ()), (3, 4))
    )
    begun, step, done = 0.0, 0, 0.0
    while done < 1.0:
        while shots.came < FEW[device] or not queue.empty():
            new, more = queue.get()
            shots.add(new)
            marked.add(more)
        begun = begun or time.time()
        done = min(1.0, (time.time() - begun) / seconds)
        if step * BATCH > OFTEN * shots.came:
            time.sleep(0.005)
            continue
        with torch.no_grad():
            shown, target = batch(shots.all(), marked.all(), device)
        with torch.autocast(device, torch.bfloat16):
            says = net(shown.contiguous(memory_format=torch.channels_last))
        loss = loss_of(*says, target)
        for group in optimizer.param_groups:
            group["lr"] = highest * min(done / 0.04 + 0.02, 0.5 + 0.5 * np.cos(np.pi * done))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimizer.step()
        torch._foreach_lerp_(list(mean.values()), list(net.state_dict().values()), 0.003)
        if (step := step + 1) % 500 == 1:
            print(f"  {step}, {shots.came} shots: {float(loss.detach()):.3f} ({done:.2f})", flush=True)
    return mean


def main() -> int:
    from safetensors.torch import load_file, save_file

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("footage", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--start", type=Path, help="weights to go on from")
    parser.add_argument("--seconds", type=float, default=560)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=100)
    options = parser.parse_args()
    context = multiprocessing.get_context("fork")  # before the device is asked for anything
    queue = context.Queue(16)
    for k in range(options.workers):
        context.Process(target=produce, args=(queue, options.footage, options.seed + k), daemon=True).start()
    device, net = "cuda" if torch.cuda.is_available() else "cpu", Network()
    if options.start:
        net.load_state_dict({name: value.float() for name, value in load_file(options.start).items()})
    net = net.to(device, memory_format=torch.channels_last)
    mean = fit(net, queue, device, options.seconds, AGAIN if options.start else RATE)
    save_file({name: value.half().cpu().contiguous() for name, value in mean.items()}, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
