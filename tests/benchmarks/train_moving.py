"""Train the small network of wanprep/signals/moving.py, which tells marks that move from cars, people and the like.

    python tests/benchmarks/mark_material.py material.npz
    python tests/benchmarks/moving_material.py material.npz moving.npz
    python tests/benchmarks/train_moving.py moving.npz --out folder [--draw 200] [--fit 600] [--workers 2] [--anew]

Three networks, as in train_marks.py: one for each half of the sources, which the benchmark judges the other half by,
and one of everything, which is shipped. Examples are drawn in processes for `--draw` seconds, then each network is
trained for `--fit` seconds, from the present weights unless `--anew`, on a GPU if there is one. Not reproducible to
the bit, so the weights are kept in the repository.
"""

from __future__ import annotations

import argparse
import json
import mmap
import multiprocessing
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mark_examples import Clip
from moving_examples import Moving
from moving_material import unpack
from train_marks import half_of

from wanprep.signals import moving

FACTS, HIDDEN = 8, 16
CHANNELS = (12, 20, 24)
STEPS = 32.0  # to 1, in which maps are kept
SHAPE = (8, moving.HEIGHT + 2 * moving.MARGIN[0], moving.WIDTH + 2 * moving.MARGIN[1])
CLEAR = (0.12, 0.5)  # share of the mark in a window below which it shows none, and above which it shows it
RATE, BATCH = 1.5e-3, 192


@dataclass(frozen=True, kw_only=True)
class Windows:
    """maps: int8[N, *SHAPE]. facts: float32[N, FACTS]. share: float32[N], of a mark. clip: int64[N], in order."""

    maps: np.ndarray
    facts: np.ndarray
    share: np.ndarray
    clip: np.ndarray


def windows(examples: Moving) -> list[tuple[np.ndarray, tuple[float, ...], float]]:
    """Of one example: what is found to move over it, as (maps, facts, share of a mark in it)."""
    thumbs, target = examples.shown(int(examples.rng.choice([3, 4, 5, 5, 6, 8])))
    first = max(0, (len(thumbs) - moving.MOST) // 2)
    thumbs, target = thumbs[first : first + moving.MOST], target[first : first + moving.MOST]
    out = []
    for found in moving.things(moving.soft_edges(list(thumbs))):
        shares = [
            target[t, y : y + moving.HEIGHT, x : x + moving.WIDTH].sum() / max(1e-3, min(target[t].sum(), 60.0))
            for t, (y, x, _) in found.track.items()
            if target[t].sum() > 3
        ]
        maps = np.clip(np.rint(moving.held(list(thumbs), found.track) * STEPS), -127, 127).astype(np.int8)
        out.append((maps, found.facts, float(np.mean(shares)) if shares else 0.0))
    return out


def drawn(room: np.ndarray, examples: Moving, until: float, queue: Any, who: tuple[int, int]) -> None:
    """Fill room (int8[N, *SHAPE], shared) until it is full or late; a process of its own."""
    import cv2

    cv2.setNumThreads(1)
    facts, shares, clips, number = [], [], [], 0
    while time.time() < until and len(facts) + moving.JUDGED <= len(room):
        for maps, fact, share in windows(examples):
            room[len(facts)] = maps
            facts.append(fact)
            shares.append(share)
            clips.append(number)
        number += 1
    about = np.array(facts, np.float32).reshape(-1, FACTS), np.array(shares, np.float32), np.array(clips, np.int64)
    queue.put((who, about, number))


def draw(
    clips: Sequence[Clip], words: Sequence[np.ndarray], seconds: float, workers: int, most: int
) -> list[list[Windows]]:
    """Of both halves of the sources, what each worker drew."""
    half, context = half_of(clips), multiprocessing.get_context("fork")
    queue, rooms, each = context.Queue(), {}, max(1, workers // 2)
    until = time.time() + seconds
    for side in (0, 1):
        mine = [clip for clip in clips if half[clip[0]] == side]
        for k in range(each):
            size = most // each
            shared = np.frombuffer(mmap.mmap(-1, size * int(np.prod(SHAPE))), np.int8).reshape(size, *SHAPE)
            rooms[side, k] = shared
            work = (shared, Moving(mine, words, 1000 * side + k), until, queue, (side, k))
            context.Process(target=drawn, args=work, daemon=True).start()
    out: list[list[Windows]] = [[], []]
    total = 0
    for _ in rooms:
        (side, k), (facts, shares, which), count = queue.get(timeout=seconds + 120)
        if len(facts):
            out[side].append(Windows(maps=rooms[side, k][: len(facts)], facts=facts, share=shares, clip=which))
        total += count
    print(f"{total} examples, {[sum(len(w.facts) for w in side) for side in out]} windows", flush=True)
    return out


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
            for parameter in self.e.parameters():  # so that it can be added to weights without it
                nn.init.zeros_(parameter)

        def forward(self, x: Any, facts: Any) -> Any:
            y = self.c(self.b(self.a(x).relu()).relu()).relu()
            y = (self.d(y) + y).relu()
            y = (self.e(y) + y).relu()
            whole = torch.cat([y[:, :, 3:-3, 4:-4].mean((2, 3)), y.amax((2, 3)), facts], 1)
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
    return each[clear].mean() + 0.5 * fn.binary_cross_entropy_with_logits(best[counts], marked[counts])


def fit(data: Data, seconds: float, start: Path | None = None) -> dict[str, Any]:
    """Weights, averaged over the last few hundred steps. start: weights to go on from."""
    import torch
    from safetensors.torch import load_file

    torch.manual_seed(0)
    rng, device, net = np.random.default_rng(0), data.facts.device, network()
    mean, spread = data.facts.mean(0), data.facts.std(0) + 1e-3
    if start:
        old = {name: value.float() for name, value in load_file(start).items()}
        mean, spread = (old.pop(name).to(device) for name in ("mean", "spread"))
        net.load_state_dict(old, strict=False)
    net = net.to(device, memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=3e-3)
    kept = {name: value.clone() for name, value in net.state_dict().items()}
    clips = max(8, BATCH * len(data.spans) // len(data.facts))
    begun, total, step, done = time.time(), 0.0, 0, 0.0
    while done < 1.0:
        done = min(1.0, (time.time() - begun) / seconds)
        for group in optimizer.param_groups:  # up, then down to nothing
            group["lr"] = RATE * min(done / 0.05 + 0.02, 0.5 + 0.5 * np.cos(np.pi * done))
        maps, facts, share, whose = data.batch(rng.integers(0, len(data.spans), clips))
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            odds = net(varied(maps).contiguous(memory_format=torch.channels_last), (facts - mean) / spread)
        loss = loss_of(odds, share, whose)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimizer.step()
        with torch.no_grad():
            for name, value in net.state_dict().items():
                kept[name].lerp_(value, 0.005)
        total, step = total + float(loss.detach()), step + 1
        if step % 200 == 0:
            print(f"  {step}: {total / 200:.3f} ({done:.2f})", flush=True)
            total = 0.0
    print(f"  {step} steps, {step * clips / len(data.spans):.1f} times each clip", flush=True)
    found = kept | {"mean": mean, "spread": spread}
    return {name: value.half().cpu().contiguous(memory_format=torch.contiguous_format) for name, value in found.items()}


def try_on(weights: dict[str, Any], data: Data) -> None:
    """Clips that the network never saw: do the windows with a mark stand out?"""
    import torch

    net, own = network().to(data.facts.device).eval(), {name: value.float() for name, value in weights.items()}
    mean, spread = (own.pop(name).to(data.facts.device) for name in ("mean", "spread"))
    net.load_state_dict(own, strict=False)
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
    parser.add_argument("--most", type=int, default=60_000, help="windows of each half, 43 kB each")
    parser.add_argument("--anew", action="store_true", help="from random weights")
    options = parser.parse_args()
    clips, words = unpack(options.material)
    sides = draw(clips, words, options.draw, options.workers, options.most)
    import torch
    from safetensors.torch import save_file

    half, device = half_of(clips), "cuda" if torch.cuda.is_available() else "cpu"
    halves = [Data(side, [torch.from_numpy(part.maps).to(device) for part in side]) for side in sides]
    both = Data(halves[0].found + halves[1].found, halves[0].maps + halves[1].maps)
    for which in ("0", "1", "all"):
        everything = which == "all"
        print("everything" if everything else f"without {which}", flush=True)
        present = moving.WEIGHTS if everything else Path(__file__).with_name(f"moving-without-{which}.safetensors")
        weights = fit(both if everything else halves[1 - int(which)], options.fit, None if options.anew else present)
        seen = sorted({clip[0] for clip in clips if str(half[clip[0]]) != which})
        save_file(weights, options.out / present.name, {"sources": json.dumps(seen)})
        if not everything:
            try_on(weights, halves[int(which)])


if __name__ == "__main__":
    main()
