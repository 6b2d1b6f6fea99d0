"""Random examples to train the network of wanprep/signals/marks.py with (train_marks.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

WIDTH, HEIGHT = 512, 288  # of the pictures that marks are drawn on; thumbnails are half of it


class Examples:
    """Random training examples: a clip, cropped, mirrored, darkened or blurred, most often with a mark over it."""

    def __init__(self, clips: Sequence[tuple[str, int, Any]], marks: Sequence[Any], seed: int) -> None:
        self.clips, self.marks, self.rng = clips, marks, np.random.default_rng(seed)

    def draw(self, count: int) -> tuple[Any, Any]:
        """([4, H, W] thumbnails, [H/4, W/4] where the mark is or 0)."""
        import torch
        import torch.nn.functional as fn

        rng = self.rng
        x = self._scene(count)
        target = torch.zeros(HEIGHT // 8, WIDTH // 8, device=x.device)
        if rng.random() < 0.12:  # lettering that moves with the scene, or across it, is no overlay
            step, start = rng.uniform(4, 40, 2) * rng.choice([-1, 1], 2), rng.uniform(-60, 60, 2)
            mark, cover, level = self._mark(), float(rng.choice([0.5, 0.8, 1.0])), float(rng.choice([255, 0, 200]))
            places = [(start + step * k).astype(int).tolist() for k in range(count)]
            x = torch.stack([over(f, mark.roll(place, (0, 1)), cover, level) for f, place in zip(x, places)])
        if rng.random() < 0.55:
            mark = self._mark()
            if rng.random() < 0.3:
                mark = mark.roll((int(rng.integers(-40, 40)), int(rng.integers(-60, 60))), (0, 1))
            cover = float(rng.choice([0.2, 0.3, 0.4, 0.5, 0.7, 0.9, 1.0]))
            level = float(rng.choice([255, 255, 255, 235, 200, 120, 0, 0]))
            if rng.random() < 0.08:
                self._panel(x, mark)
            if rng.random() < 0.25:  # a rim in the opposite tone
                x = over(x, fn.max_pool2d(mark[None, None], 5, 1, 2)[0, 0], cover * 0.7, 255.0 - level)
            x = over(x, mark, cover, level)
            target = (fn.avg_pool2d(mark[None, None], 8)[0, 0] > 0.04).float()
        self._bars(x, target)
        x = fn.avg_pool2d(x[None], 2)[0]
        return (x + torch.randn_like(x) * rng.uniform(0, 1.8)).clamp(0, 255), target

    def _scene(self, count: int) -> Any:
        import torch
        import torch.nn.functional as fn

        rng = self.rng
        frames = self.clips[rng.integers(len(self.clips))][2]
        n, height, width = frames.shape
        which = np.linspace(0, n - 1, count).round().astype(int)
        if rng.random() < 0.2:
            which = np.sort(rng.integers(0, n, count))
        if rng.random() < 0.12:
            which[:] = which[0]  # nothing moves
        zoom = rng.uniform(0.55, 1.0) if rng.random() < 0.7 else 1.0
        h, w = int(height * zoom), int(width * zoom * rng.uniform(0.85, 1))
        top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
        x = frames[torch.as_tensor(which, device=frames.device)].float()[:, top : top + h, left : left + w]
        for axis, share in ((2, 0.5), (1, 0.1)):
            x = x.flip(axis) if rng.random() < share else x
        x = 255 - x if rng.random() < 0.1 else x
        x = fn.interpolate(x[None], (HEIGHT, WIDTH), mode="bilinear", antialias=True)[0]
        if rng.random() < 0.4:
            x = (x * rng.uniform(0.5, 1.3) + rng.uniform(-20, 30)).clamp(0, 255)
        if rng.random() < 0.25:
            reach = int(rng.integers(1, 3))
            x = fn.avg_pool2d(fn.pad(x[:, None], (reach,) * 4, mode="replicate"), 2 * reach + 1, 1)[:, 0]
        return x

    def _mark(self) -> Any:
        import torch.nn.functional as fn

        mark = self.marks[self.rng.integers(len(self.marks))]
        return fn.interpolate(mark[None, None], (HEIGHT, WIDTH), mode="bilinear", antialias=True)[0, 0]

    def _panel(self, x: Any, mark: Any) -> None:
        import torch

        rows, columns = torch.nonzero(mark > 0.3, as_tuple=True)
        if len(rows):
            p = int(self.rng.integers(3, 12))
            up, left = max(0, int(rows.min()) - p), max(0, int(columns.min()) - p)
            x[:, up : int(rows.max()) + p, left : int(columns.max()) + p] *= float(self.rng.uniform(0.2, 0.7))

    def _bars(self, x: Any, target: Any) -> None:
        """Letterbox or pillarbox, now and then, also over the mark."""
        draw, level = self.rng.random(), float(self.rng.integers(0, 14))
        wide = int(self.rng.integers(8, 52))
        if draw < 0.1:
            x[:, :wide] = x[:, -wide:] = level
            target[: wide // 8] = target[target.shape[0] - wide // 8 :] = 0
        elif draw < 0.16:
            x[:, :, :wide] = x[:, :, -wide:] = level
            target[:, : wide // 8] = target[:, target.shape[1] - wide // 8 :] = 0


def over(x: Any, mark: Any, cover: float, level: float) -> Any:
    return x * (1 - cover * mark) + level * cover * mark
