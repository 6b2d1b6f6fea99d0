"""Train the small network of wanprep/signals/moving.py, which tells marks that move from cars, people and the like.

    python tests/benchmarks/mark_material.py material.npz
    python tests/benchmarks/train_moving.py material.npz --which 0 --out folder [--epochs 14] [--examples 2400]

Three networks, as in train_marks.py: one for each half of the sources, which the benchmark judges the other half by,
and one of everything, `all`, which is shipped (half as many epochs: twice as many examples). An epoch over the windows
of 2400 examples takes half a minute of two cores, and the examples of a half some two minutes. Not reproducible to the
bit across machines, so the weights are kept in the repository.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mark_examples import HEIGHT, WIDTH, Clip, Examples, over
from mark_material import load
from train_marks import half_of

from wanprep.signals import moving

FACTS = 8
CHANNELS = (12, 20, 24)
Window = tuple[np.ndarray, tuple[float, ...], float]  # maps, facts, share of a mark in it


class Moving(Examples):
    """Scenes as in training of marks that stay; over six in ten of them a mark moves."""

    def shown(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """(uint8[count, h, w] thumbnails, float32[count, h, w]: how far each pixel is drawn on)."""
        rng = self.rng
        x = self._scene(count)
        target = np.zeros((count, HEIGHT // 2, WIDTH // 2), np.float32)
        if rng.random() < 0.15:
            self._sign(x)
        if rng.random() < 0.6:
            self._move_a_mark(x, target)
        self._bars(x, np.zeros((HEIGHT // 8, WIDTH // 8), bool))
        return self._small(x), target

    def _move_a_mark(self, x: np.ndarray, target: np.ndarray) -> None:
        import cv2

        rng = self.rng
        mark = self._mark()
        cover = float(rng.choice([0.2, 0.25, 0.3, 0.3, 0.4, 0.5, 0.7, 1.0]))
        level = float(rng.choice([255, 255, 255, 235, 200, 120, 0, 0]))
        rim = rng.random() < 0.25
        for k, (down, across) in enumerate(self._way(mark, len(x))):
            shift = np.array([[1, 0, across], [0, 1, down]], np.float32)
            placed = cv2.warpAffine(mark, shift, (WIDTH, HEIGHT))
            if rim:
                over(x[k : k + 1], cv2.dilate(placed, np.ones((5, 5), np.uint8)), cover * 0.7, 255.0 - level)
            over(x[k : k + 1], placed, cover, level)
            target[k] = cv2.resize(placed, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA) / 255.0

    def _way(self, mark: np.ndarray, count: int) -> list[tuple[int, int]]:
        """(rows, columns) by which the mark is moved in each picture: it jumps, goes straight on, or bounces."""
        rng = self.rng
        rows, columns = np.flatnonzero(mark.any(axis=1)), np.flatnonzero(mark.any(axis=0))
        if not len(rows):
            return [(0, 0)] * count
        low = -np.array([rows[0], columns[0]], float)
        room = np.maximum(np.array([HEIGHT - 1 - rows[-1], WIDTH - 1 - columns[-1]]) - low, 1)
        start, how = low + rng.uniform(0, 1, 2) * room, rng.random()
        if how < 0.15:
            at, other = int(rng.integers(1, count)), low + rng.uniform(0, 1, 2) * room
            return [tuple((start if k < at else other).astype(int).tolist()) for k in range(count)]
        pace = np.exp(rng.uniform(np.log(4), np.log(90))) * np.array([rng.uniform(0.1, 0.7), 1.0])
        pace *= rng.choice([-1, 1], 2)
        if how < 0.35:
            pace[0] = 0.0
        places = []
        for k in range(count):
            place = start + pace * (k - count / 2 if how < 0.7 else k)
            if how >= 0.7:
                place = low + np.abs((place - low + room) % (2 * room) - room)
            places.append(tuple(place.round().astype(int).tolist()))
        return places

    def _sign(self, x: np.ndarray) -> None:
        """A panel with lettering moves through the scene and grows, as on a vehicle: no mark (in place)."""
        import cv2

        rng, mark = self.rng, self._mark()
        rows, columns = np.flatnonzero(mark.any(axis=1)), np.flatnonzero(mark.any(axis=0))
        if not len(rows):
            return
        part = np.pad(mark[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], int(rng.integers(3, 14)))
        (tone, ink), place = rng.uniform(0, 255, 2), rng.uniform(0, 1, 2) * (HEIGHT, WIDTH)
        pace, grow = rng.normal(0, 1, 2) * (6, 30), rng.normal(0, 0.06)
        size, shear, soft = rng.uniform(0.5, 1.3), rng.normal(0, 0.15), rng.random() < 0.5
        for k in range(len(x)):
            scale, (down, across) = size * np.exp(grow * k), place + pace * k
            left, top = across - scale * part.shape[1] / 2, down - scale * part.shape[0] / 2
            matrix = np.array([[scale, 0, left], [shear * scale, scale, top]], np.float32)
            letters, panel = (
                cv2.warpAffine(p, matrix, (WIDTH, HEIGHT)).astype(np.float32) / 255
                for p in (part, np.full_like(part, 255))
            )
            picture = x[k] * (1 - panel) + panel * (tone + (ink - tone) * letters)
            if soft:
                picture = np.where(panel > 0, cv2.blur(picture, (3, 3)), picture)
            x[k] = np.clip(picture, 0, 255).astype(np.uint8)


def windows(examples: Moving) -> list[Window]:
    """Of one example: what is found to move over it."""
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
        share = float(np.mean(shares)) if shares else 0.0
        out.append((moving.held(list(thumbs), found.track).astype(np.float16), found.facts, share))
    return out


def drawn(job: tuple[Sequence[Clip], Sequence[np.ndarray], int, int]) -> list[Window]:
    import cv2

    cv2.setNumThreads(1)
    clips, marks, seed, count = job
    examples = Moving(clips, marks, seed)
    return [window for _ in range(count) for window in windows(examples)]


def network() -> Any:
    """The layers that `moving` computes with numpy: 15,000 numbers."""
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
            self.g = nn.Linear(2 * c + FACTS, 16)
            self.o = nn.Linear(16, 1)

        def forward(self, x: Any, facts: Any) -> Any:
            y = self.c(self.b(self.a(x).relu()).relu()).relu()
            y = (self.d(y) + y).relu()
            whole = torch.cat([y[:, :, 3:-3, 4:-4].mean((2, 3)), y.amax((2, 3)), facts], 1)
            return self.o(self.g(whole).relu())[:, 0]

    return Net()


def fit(found: Sequence[Window], epochs: int, batch: int = 128, rate: float = 3e-3) -> dict[str, Any]:
    """Weights, averaged over the last hundred steps or so; windows that a mark half fills teach nothing."""
    import torch
    import torch.nn.functional as fn

    torch.manual_seed(0)
    torch.set_num_threads(2)
    clear = [window for window in found if not 0.12 <= window[2] <= 0.5]
    shown = torch.from_numpy(np.stack([maps for maps, _, _ in clear]))
    facts = torch.tensor([facts for _, facts, _ in clear], dtype=torch.float32)
    target = torch.tensor([float(share > 0.5) for _, _, share in clear])
    mean, spread = facts.mean(0), facts.std(0)
    facts = (facts - mean) / spread
    net, steps = network(), epochs * (len(clear) // batch)
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.15)
    kept = {name: value.clone() for name, value in net.state_dict().items()}
    for epoch in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(clear))[: len(clear) // batch * batch].split(batch):
            x = shown[chosen].float()
            if torch.rand(1) < 0.5:
                x = x.flip(3)
                x[:, 0] *= -1  # the gradient across
            if torch.rand(1) < 0.5:
                x = x.flip(2)
                x[:, 1] *= -1
            x[:, 5] = x[:, 5] * (0.7 + 0.6 * torch.rand(len(x), 1, 1)) + 0.4 * torch.randn(len(x), 1, 1)  # the tone
            loss = fn.binary_cross_entropy_with_logits(
                net(x, facts[chosen]), target[chosen], pos_weight=torch.tensor(2.0)
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item()
            with torch.no_grad():
                for name, value in net.state_dict().items():
                    kept[name].lerp_(value, 0.01)
        print(epoch + 1, round(total / (len(clear) // batch), 3), flush=True)
    return {name: value.half().contiguous() for name, value in (kept | {"mean": mean, "spread": spread}).items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("material", type=Path)
    parser.add_argument("--which", choices=("0", "1", "all"), default="all")
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--examples", type=int, default=2400, help="of each half of the sources")
    options = parser.parse_args()
    from safetensors.torch import save_file

    clips, marks = load(options.material)
    half, everything = half_of(clips), options.which == "all"
    found: list[Window] = []
    for side in (0, 1):
        if str(side) != options.which:
            mine = [clip for clip in clips if half[clip[0]] == side]
            jobs = [(mine, marks["tune"], 100 + 50 * side + k, options.examples // 4) for k in range(4)]
            with multiprocessing.get_context("fork").Pool(2) as pool:
                found += [window for windows in pool.map(drawn, jobs, chunksize=1) for window in windows]
    seen = sorted({clip[0] for clip in clips if str(half[clip[0]]) != options.which})
    weights = fit(found, options.epochs)
    target = options.out / (moving.WEIGHTS.name if everything else f"moving-without-{options.which}.safetensors")
    save_file(weights, target, {"sources": json.dumps(seen)})


if __name__ == "__main__":
    main()
