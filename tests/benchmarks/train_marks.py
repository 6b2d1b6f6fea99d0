"""Train the small network of wanprep/signals/marks.py, which tells drawn marks from things that stand still.

    python tests/benchmarks/mark_material.py material.npz
    python tests/benchmarks/mark_slow.py slow.npz
    python tests/benchmarks/train_marks.py material.npz slow.npz --which 0 --out folder [--steps 1600] [--anew]

Three pairs of networks: one for each half of the sources (`--which 0`: without half 0), tried on the other half with
fonts, words and logos it never saw (the benchmark judges each clip by the one that has not seen its source), and one of
everything, `all`, which is shipped. The second of a pair is trained, or without slow.npz the first; the other is kept.
Training goes on from the present weights unless `--anew`; 1600 steps take some ten minutes of two cores, the shipped
second one had 13,700.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mark_examples import Clip, Examples, over
from mark_material import load
from mark_slow import load as load_slow

from wanprep.signals import marks as shipped


def network() -> Any:
    """The layers that `marks.network` computes with numpy: 41,281 numbers."""
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Conv2d(8, 16, 5, stride=2, padding=2)
            self.b = nn.Conv2d(16, 24, 3, padding=1)
            self.c = nn.Conv2d(24, 32, 3, stride=2, padding=1)
            self.d = nn.Conv2d(32, 32, 3, padding=2, dilation=2)
            self.e = nn.Conv2d(32, 32, 3, padding=4, dilation=4)
            self.f = nn.Conv2d(32, 32, 3, padding=8, dilation=8)
            self.g = nn.Linear(16, 32)
            self.o = nn.Conv2d(32, 1, 1)
            self.bias = nn.Parameter(torch.zeros(1))

        def forward(self, x: Any, whole: Any) -> tuple[Any, Any]:
            """Places, and clips, by the maps [B, 8, h, w] and their means and deviations [B, 16]."""
            y = self.c(self.b(self.a(x).relu()).relu()).relu()
            y = (self.d(y) + y).relu()
            y = (self.e(y) + y + self.g(whole)[:, :, None, None]).relu()
            y = self.o((self.f(y) + y).relu())[:, 0].float()
            return y, y.flatten(1).topk(shipped.BEST)[0].mean(1) + self.bias

    return Net()


def produce(queue: Any, examples: Examples, batches: int, batch: int) -> None:
    """Maps as float16[batch, 8, h, w] and where the marks are; a process of its own."""
    import cv2

    cv2.setNumThreads(1)
    for _ in range(batches):
        count = int(examples.rng.choice([2, 3, 4, 5, 5, 6]))
        drawn = [examples.draw(count) for _ in range(batch)]
        shown = np.stack([shipped.maps(list(thumbs)).astype(np.float16) for thumbs, _ in drawn])
        queue.put((shown, np.stack([target for _, target in drawn])))


def batches_of(examples: Examples, steps: int, batch: int) -> Iterator[tuple[Any, Any]]:
    """Every batch twice, the second time mirrored, a little later."""
    import torch

    queue: Any = multiprocessing.get_context("fork").Queue(6)
    work = (queue, examples, steps // 2 + 1, batch)
    multiprocessing.get_context("fork").Process(target=produce, args=work, daemon=True).start()
    fresh: list[tuple[Any, Any]] = []
    for step in range(steps):
        if step % 2 == 0:
            shown, target = (torch.from_numpy(part) for part in queue.get())
            fresh.append((shown, target))
        else:
            shown, target = fresh.pop(0) if len(fresh) > 4 else fresh[0]
            shown, target = shown.flip(3).clone(), target.flip(2)
            shown[:, 0] *= -1  # the gradient across
        yield shown.float(), target.float()


def fit(examples: Examples, steps: int, start: dict[str, Any], rate: float = 2e-3) -> dict[str, Any]:
    """Weights, averaged over the last few hundred steps, from those at the start, if any."""
    import torch
    import torch.nn.functional as fn

    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = network()
    if start:
        net.load_state_dict(start)
    net = net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.15)
    mean = {name: value.clone() for name, value in net.state_dict().items()}
    for step, (shown, target) in enumerate(batches_of(examples, steps, batch=32)):
        whole = torch.cat([shown.mean((2, 3)), shown.std((2, 3))], 1)
        with torch.autocast("cpu", torch.bfloat16):
            place, clip = net(shown.bfloat16().contiguous(memory_format=torch.channels_last), whole)
        weight = torch.where(target > 0, 6.0, 1.0)
        loss = 2 * (fn.binary_cross_entropy_with_logits(place, target, reduction="none") * weight).mean()
        loss = loss + fn.binary_cross_entropy_with_logits(clip, (target.flatten(1).sum(1) > 0).float())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 2.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            for name, value in net.state_dict().items():
                mean[name].lerp_(value, 0.005)
        if step % 100 == 99:
            print(step + 1, round(loss.item(), 3), flush=True)
    return {name: value.half().contiguous(memory_format=torch.contiguous_format) for name, value in mean.items()}


def try_on(weights: shipped.Weights, clips: Sequence[Clip], marks: Sequence[np.ndarray]) -> None:
    import cv2

    rng, found = np.random.default_rng(5), {cover: [] for cover in (0.0, 0.3, 0.5, 1.0)}
    for _, _, frames in clips:
        height, width = frames.shape[1:]
        for cover, scores in found.items():
            for _ in range(4 if cover else 1):
                shown = frames.copy()
                over(shown, cv2.resize(marks[rng.integers(len(marks))], (width, height)), cover, 255.0)
                small = [cv2.resize(f, (width // 2, height // 2), interpolation=cv2.INTER_AREA) for f in shown]
                thumbs = np.repeat(np.stack(small)[..., None], 3, axis=-1)
                scores.append(shipped.mark(thumbs, weights)[0])
    clean = np.array(found.pop(0.0))
    for cover, scores in found.items():
        bad = np.array(scores)
        ranks = (bad[:, None] > clean).mean() + 0.5 * (bad[:, None] == clean).mean()
        print(f"  opacity {cover}: AUC {ranks:.3f}, found at 5 % wrong {np.mean(bad > np.quantile(clean, 0.95)):.2f}")


def half_of(clips: Sequence[Clip]) -> dict[str, int]:
    """Which half each source is in: as in the networks there are, and new sources in turn."""
    from safetensors import safe_open

    half: dict[str, int] = {}
    for k in (0, 1):
        with safe_open(Path(__file__).with_name(f"marks-without-{1 - k}.safetensors"), "np") as file:
            half |= dict.fromkeys(json.loads(file.metadata()["sources"]), k)
    new = sorted({clip[0] for clip in clips} - set(half))
    return half | {source: k % 2 for k, source in enumerate(new)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("material", type=Path)
    parser.add_argument("slow", type=Path, nargs="?")
    parser.add_argument("--which", choices=("0", "1", "all"), default="all")
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--anew", action="store_true", help="from random weights (about 6000 steps)")
    options = parser.parse_args()
    import cv2
    from safetensors.torch import load_file, save_file

    cv2.setNumThreads(1)  # a pool of threads does not outlive the fork
    clips, marks = load(options.material)
    slow = load_slow(options.slow) if options.slow else []
    half, everything = half_of([*clips, *slow]), options.which == "all"
    seen, held = ([clip for clip in some if str(half[clip[0]]) != options.which] for some in (clips, slow))
    start = shipped.WEIGHTS if everything else Path(__file__).with_name(f"marks-without-{options.which}.safetensors")
    drawn = marks["tune"] + marks["held"] if everything else marks["tune"]
    old, new = load_file(start), "second." if slow else "first."
    mine = {name.removeprefix(new): value.float() for name, value in old.items() if name.startswith(new)}
    weights = fit(Examples(seen, drawn, seed=0, slow=held), options.steps, {} if options.anew else mine)
    target = options.out / start.name
    pair = old | {new + name: value for name, value in weights.items()}
    save_file(pair, target, {"sources": json.dumps(sorted({clip[0] for clip in [*seen, *held]}))})
    if not everything:
        try_on(shipped.load(target), [c for c in clips if str(half[c[0]]) == options.which], marks["held"])


if __name__ == "__main__":
    main()
