"""Train the small network of wanprep/signals/moving.py, which tells marks that move from cars, people and the like.

    python tests/benchmarks/mark_material.py material.npz
    python tests/benchmarks/moving_material.py material.npz moving.npz
    python tests/benchmarks/train_moving.py moving.npz --out folder [--draw 200] [--fit 600] [--workers 2]

Three networks, as in train_marks.py: one for each half of the sources, which the benchmark judges the other half by,
and one of everything, which is shipped. Examples are drawn in processes for `--draw` seconds, then each network is
trained for `--fit` seconds, from the present weights unless `--anew`, on a GPU if there is one. Not reproducible to
the bit, so the weights are kept in the repository.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from moving_material import unpack
from moving_windows import CLEAR, FACTS, STEPS, Windows, draw
from train_marks import half_of

from wanprep.signals import moving

CHANNELS, HIDDEN = (16, 32, 32), 32
RATE, GENTLY, BATCH = 1.5e-3, 5e-4, 192  # from random weights; from the present ones


def network() -> Any:
    """The layers that `moving` computes with numpy."""
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            a, b, c = CHANNELS
            self.a = nn.Conv2d(8, a, 5, stride=2, padding=2)
            self.b = nn.Conv2d(a, b, 3, stride=2, padding=1)
            self.c = nn.Conv2d(b, c, 3, padding=1)
            self.d = nn.Conv2d(c, c, 3, padding=2, dilation=2)
            self.e = nn.Conv2d(c, c, 3, padding=4, dilation=4)
            self.g = nn.Linear(2 * c + FACTS, HIDDEN)
            self.o = nn.Linear(HIDDEN, 1)

        def forward(self, x: Any, facts: Any) -> Any:
            y = self.c(self.b(self.a(x).relu()).relu()).relu()
            y = (self.d(y) + y).relu()
            y = (self.e(y) + y).relu()
            whole = torch.cat([y[:, :, 3:-3, 4:-4].float().mean((2, 3)), y.float().amax((2, 3)), facts], 1)
            return self.o(self.g(whole).relu())[:, 0].float()

    return Net()


class Data:
    """Windows on the device, and which clips they are of."""

    def __init__(self, parts: Sequence[Windows], maps: Sequence[Any]) -> None:
        """maps: of each part, on the device."""
        import torch

        self.maps, device = list(maps), maps[0].device
        found = self.found = list(parts)
        self.facts = torch.from_numpy(np.concatenate([part.facts for part in found])).to(device)
        self.share = torch.from_numpy(np.concatenate([part.share for part in found])).to(device)
        starts = np.cumsum([0, *(len(part.facts) for part in found)])
        self.parts = list(zip(starts[:-1].tolist(), starts[1:].tolist()))
        shift = np.cumsum([0, *(part.clip[-1] + 1 for part in found)])
        clip = np.concatenate([part.clip + s for part, s in zip(found, shift)])
        first = np.flatnonzero(np.diff(clip, prepend=-1))
        self.spans = np.stack([first, np.append(first[1:], len(clip))], axis=1)

    def batch(self, chosen: np.ndarray) -> tuple[Any, Any, Any, Any]:
        """(maps, facts, shares, which of the chosen clips) of the windows of some clips, sorted by their part."""
        import torch

        spans = self.spans[np.sort(chosen)]
        rows = np.concatenate([np.arange(a, b) for a, b in spans])
        whose = np.repeat(np.arange(len(spans)), spans[:, 1] - spans[:, 0])
        device = self.facts.device
        maps = [
            part[torch.from_numpy(mine - a).to(device)]
            for part, (a, b) in zip(self.maps, self.parts)
            if len(mine := rows[(rows >= a) & (rows < b)])
        ]
        where = torch.from_numpy(rows).to(device)
        return torch.cat(maps).float() / STEPS, self.facts[where], self.share[where], torch.from_numpy(whose).to(device)


def varied(x: Any) -> Any:
    """Mirrored, upside down, and in other tones."""
    import torch

    if torch.rand(1) < 0.5:
        x = x.flip(3)
        x[:, 0] *= -1  # the gradient across
    if torch.rand(1) < 0.5:
        x = x.flip(2)
        x[:, 1] *= -1
    tones = torch.rand(2, len(x), 1, 1, device=x.device)
    x[:, 5] = x[:, 5] * (0.7 + 0.6 * tones[0]) + 0.8 * (tones[1] - 0.5) * 1.7
    return x


def loss_of(odds: Any, share: Any, whose: Any) -> Any:
    """Of windows that clearly show a mark or none, and of the likeliest window of each clip."""
    import torch
    import torch.nn.functional as fn

    shows, clear = share > CLEAR[1], (share > CLEAR[1]) | (share < CLEAR[0])
    twice = torch.tensor(2.0, device=odds.device)
    each = fn.binary_cross_entropy_with_logits(odds, shows.float(), pos_weight=twice, reduction="none")
    count = int(whose[-1]) + 1
    lowest = torch.full((count,), -30.0, device=odds.device)
    best = lowest.scatter_reduce(0, whose, torch.where(clear, odds, -30.0), "amax")
    marked = torch.zeros(count, device=odds.device).scatter_reduce(0, whose, shows.float(), "amax")
    halfway = torch.zeros(count, device=odds.device).scatter_reduce(0, whose, (~clear).float(), "amax")
    counts = (best > -29) & ((marked > 0) | (halfway == 0))
    return each[clear].mean() + 0.7 * fn.binary_cross_entropy_with_logits(best[counts], marked[counts])


def fit(data: Data, seconds: float, start: Path | None = None, back: float = 0.0) -> dict[str, Any]:
    """Weights, averaged over the last few hundred steps. start: weights to go on from. back: their share in the new."""
    import torch
    from safetensors.torch import load_file

    torch.manual_seed(0)
    rng, device, net = np.random.default_rng(0), data.facts.device, network()
    mean, spread = data.facts.mean(0), data.facts.std(0) + 1e-3
    old = {name: value.float().to(device) for name, value in load_file(start).items()} if start else {}
    if start:
        mean, spread = old.pop("mean"), old.pop("spread")
        net.load_state_dict(old)
    net = net.to(device, memory_format=torch.channels_last)
    highest = GENTLY if start else RATE
    optimizer = torch.optim.AdamW(net.parameters(), lr=highest, weight_decay=3e-3)
    kept = {name: value.clone() for name, value in net.state_dict().items()}
    clips = max(8, BATCH * len(data.spans) // len(data.facts))
    begun, total, step, done = time.time(), 0.0, 0, 0.0
    while done < 1.0:
        done = min(1.0, (time.time() - begun) / seconds)
        for group in optimizer.param_groups:  # up, then down to nothing
            group["lr"] = highest * min(done / 0.05 + 0.02, 0.5 + 0.5 * np.cos(np.pi * done))
        maps, facts, share, whose = data.batch(rng.integers(0, len(data.spans), clips))
        with torch.autocast(device.type, torch.bfloat16):
            odds = net(varied(maps).contiguous(memory_format=torch.channels_last), (facts - mean) / spread)
        loss = loss_of(odds, share, whose)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimizer.step()
        with torch.no_grad():
            for name, value in net.state_dict().items():
                kept[name].lerp_(value, 0.003)
        total, step = total + float(loss.detach()), step + 1
        if step % 200 == 0:
            print(f"  {step}: {total / 200:.3f} ({done:.2f})", flush=True)
            total = 0.0
    print(f"  {step} steps, {step * clips / len(data.spans):.1f} times each clip", flush=True)
    kept = {name: torch.lerp(value.float(), old.get(name, value.float()), back) for name, value in kept.items()}
    found = kept | {"mean": mean, "spread": spread}
    return {name: value.half().cpu().contiguous(memory_format=torch.contiguous_format) for name, value in found.items()}


def try_on(weights: dict[str, Any], data: Data) -> None:
    """Clips that the network never saw: do the windows with a mark stand out?"""
    import torch

    net, own = network().to(data.facts.device).eval(), {name: value.float() for name, value in weights.items()}
    mean, spread = (own.pop(name).to(data.facts.device) for name in ("mean", "spread"))
    net.load_state_dict(own)
    best: dict[bool, list[float]] = {True: [], False: []}
    with torch.no_grad():
        for chosen in np.array_split(np.arange(min(1000, len(data.spans))), 20):
            maps, facts, share, whose = data.batch(chosen)
            odds = net(maps, (facts - mean) / spread)
            for k in range(len(chosen)):
                best[bool((share[whose == k] > CLEAR[1]).any())].append(float(odds[whose == k].max()))
    bad, good = np.array(best[True]), np.array(best[False])
    if len(bad) and len(good):
        limit, ranks = float(np.quantile(good, 0.97)), np.mean(bad[:, None] > good)
        print(f"  unseen: AUC {ranks:.4f}, found at 3 % wrong {np.mean(bad > limit):.3f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("material", type=Path)
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--draw", type=float, default=200, help="seconds")
    parser.add_argument("--fit", type=float, default=600, help="seconds of each network")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--most", type=int, default=60_000, help="windows of each half, 43 kB of memory each")
    parser.add_argument("--back", type=float, default=0.0, help="share of the present weights in the new ones")
    parser.add_argument("--anew", action="store_true", help="from random weights")
    options = parser.parse_args()
    clips, words = unpack(options.material)
    sides = draw(clips, words, options.draw, options.workers, options.most)
    import torch
    from safetensors.torch import save_file

    half, device = half_of(clip[0] for clip in clips), "cuda" if torch.cuda.is_available() else "cpu"
    halves = [Data(side, [torch.from_numpy(part.maps).to(device) for part in side]) for side in sides]
    both = Data(halves[0].found + halves[1].found, halves[0].maps + halves[1].maps)
    for which in ("0", "1", "all"):
        everything = which == "all"
        print("everything" if everything else f"without {which}", flush=True)
        present = moving.WEIGHTS if everything else Path(__file__).with_name(f"moving-without-{which}.safetensors")
        weights = fit(
            both if everything else halves[1 - int(which)], options.fit, None if options.anew else present, options.back
        )
        seen = sorted({clip[0] for clip in clips if str(half[clip[0]]) != which})
        save_file(weights, options.out / present.name, {"sources": json.dumps(seen)})
        if not everything:
            try_on(weights, halves[int(which)])


if __name__ == "__main__":
    main()
