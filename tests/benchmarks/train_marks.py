"""Train the small network of wanprep/signals/marks.py, which tells drawn marks from things that stand still.

    python tests/benchmarks/mark_material.py material.npz
    python tests/benchmarks/mark_slow.py slow.npz
    python tests/benchmarks/mark_found.py found.npz FOLDER
    python tests/benchmarks/train_marks.py material.npz slow.npz [found.npz] --which 0 --out folder [--seconds 400]
    python tests/benchmarks/mark_large.py large.npz
    python tests/benchmarks/train_marks.py material.npz slow.npz [found.npz] --large large.npz --anew ...

Three networks: one for each half of the sources (`--which 0`: without half 0), tried on the other half with fonts,
words and logos it never saw (the benchmark judges each clip by the one that has not seen its source), and one of
everything, `all`, which is shipped. Each goes on from the present weights unless `--anew`, on a GPU if there is one,
over examples that processes go on drawing; one GPU does all three side by side. With `--large` it is the network of
titles. Not reproducible to the bit, so the
weights are kept in the repository.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from innocents import over
from mark_examples import HIDDEN, MARK, Clip, Examples, coded
from mark_found import Found
from mark_found import load as load_found
from mark_large import LargeExamples
from mark_large import load as load_large
from mark_material import load
from mark_slow import load as load_slow

from wanprep.signals import marks as shipped
from wanprep.signals import titles
from wanprep.signals.thumbs import LUMA

STEPS = 32.0  # to 1, in which maps are kept
ROOM, FEW = {"cuda": 40_000, "cpu": 4_000}, 1_000  # examples at hand, 0.3 MB each; how many there must be at first
BATCH, DRAWN = 64, 16
RATE, GENTLY = 1.5e-3, 5e-4  # from random weights; from the present ones
OFTEN = 8  # times that an example is shown, about


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
            return y, y.flatten(1).topk(shipped.MOST)[0].mean(1) + self.bias

    return Net()


def produce(queue: Any, examples: Examples) -> None:
    """int8[DRAWN, 8, h, w] maps and where the marks are, again and again; a process of its own."""
    import cv2

    cv2.setNumThreads(1)
    while True:
        count = int(examples.rng.choice([2, 3, 4, 5, 5, 6]))
        drawn = [examples.draw(count) for _ in range(DRAWN)]
        shown = np.stack([maps_of(thumbs) for thumbs, _ in drawn])
        shown = np.clip(np.rint(shown * STEPS), -127, 127).astype(np.int8)
        queue.put((shown, np.stack([target for _, target in drawn])))


def maps_of(thumbs: np.ndarray) -> np.ndarray:
    """`marks.maps` of uint8[M, h, w] or uint8[M, h, w, 3]."""
    if thumbs.ndim == 3:
        return shipped.maps(list(thumbs))
    width = thumbs.shape[2]
    return shipped.maps(shipped.lumas(thumbs, width), shipped.primaries(thumbs, width))


class Stream:
    """The last examples that came of several processes, on a device."""

    def __init__(self, makers: Sequence[Examples], device: str) -> None:
        context = multiprocessing.get_context("fork")
        self.queue, self.device, self.size, self.came = context.Queue(8), device, ROOM[device], 0
        self.shown: Any = None
        self.workers = [context.Process(target=produce, args=(self.queue, m), daemon=True) for m in makers]
        for worker in self.workers:
            worker.start()

    def take(self) -> None:
        """Put what has come in the place of the oldest; wait for the first few."""
        import torch

        while self.came < FEW or not self.queue.empty():
            shown, target = (torch.from_numpy(part).to(self.device) for part in self.queue.get())
            if self.shown is None:
                self.shown = torch.zeros((self.size, *shown.shape[1:]), dtype=shown.dtype, device=self.device)
                self.target = torch.zeros((self.size, *target.shape[1:]), dtype=target.dtype, device=self.device)
            at = torch.arange(self.came, self.came + len(shown), device=self.device) % self.size
            self.shown[at], self.target[at] = shown, target
            self.came += len(shown)

    def batch(self) -> tuple[Any, Any]:
        """(maps, uint8 target) of BATCH examples, half of them mirrored and some in the opposite tone."""
        import torch

        which = torch.randint(min(self.came, self.size), (BATCH,), device=self.device)
        shown, target = self.shown[which].float() / STEPS, self.target[which]
        mirrored, inverted = (torch.rand(2, BATCH, 1, 1, 1, device=self.device) < torch.tensor([[0.5], [0.1]], device=
                              self.device)[..., None, None, None])  # fmt: skip
        across = torch.ones(8, device=self.device)
        across[0] = -1
        shown = torch.where(mirrored, shown.flip(3) * across[:, None, None], shown)
        target = torch.where(mirrored[:, 0], target.flip(2), target)
        tones = torch.ones(8, device=self.device)
        tones[[0, 1, 5]] = -1  # gradients, and luma, of which 0 is the middle
        return torch.where(inverted, shown * tones[:, None, None], shown), target


def loss_of(place: Any, clip: Any, target: Any) -> Any:
    """Of places, and of clips that clearly show a mark or none."""
    import torch
    import torch.nn.functional as fn

    marked, hidden = target == MARK, target == HIDDEN
    weight = torch.where(marked, 6.0, 1.0) * ~hidden
    each = fn.binary_cross_entropy_with_logits(place, marked.float(), reduction="none")
    seen = marked.flatten(1).sum(1)
    counts = (seen >= shipped.BEST) | ((seen == 0) & ~hidden.flatten(1).any(1))
    whole = fn.binary_cross_entropy_with_logits(clip, (seen > 0).float(), reduction="none")
    return 2 * (each * weight).mean() + (whole * counts).sum() / counts.sum().clamp(min=1)


class Learner:
    """One network, and the mean of its weights over the last few hundred steps."""

    def __init__(self, device: str, start: dict[str, Any]) -> None:
        import torch

        net = network()
        if start:
            net.load_state_dict(start)
        self.net = net.to(device, memory_format=torch.channels_last)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=GENTLY, weight_decay=2e-3)
        self.mean = {name: value.clone() for name, value in self.net.state_dict().items()}

    def step(self, shown: Any, target: Any, rate: float) -> Any:
        import torch

        whole = torch.cat([shown.mean((2, 3)), shown.std((2, 3))], 1)
        with torch.autocast(shown.device.type, torch.bfloat16):
            place, clip = self.net(shown.contiguous(memory_format=torch.channels_last), whole)
        loss = loss_of(place, clip.float(), target)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 2.0)
        self.optimizer.step()
        with torch.no_grad():
            for name, value in self.net.state_dict().items():
                self.mean[name].lerp_(value, 0.003)
        return loss.detach()

    def weights(self, start: dict[str, Any], back: float) -> dict[str, Any]:
        """In half precision, a share of the way back to the weights it started from."""
        import torch

        plain = torch.contiguous_format
        mean = {name: value.float().cpu() for name, value in self.mean.items()}
        mean |= {name: torch.lerp(mean[name], value, back) for name, value in start.items()}
        return {name: value.half().contiguous(memory_format=plain) for name, value in mean.items()}


def fit(stream: Stream, learner: Learner, seconds: float, highest: float) -> None:
    """The rate goes up, then down to nothing."""
    stream.take()
    begun, step, done = time.time(), 0, 0.0
    while done < 1.0:
        done = min(1.0, (time.time() - begun) / seconds)
        stream.take()
        if step * BATCH > OFTEN * stream.came:
            time.sleep(0.005)
            continue
        rate = highest * min(done / 0.05 + 0.02, 0.5 + 0.5 * np.cos(np.pi * done))
        loss = learner.step(*stream.batch(), rate)
        if (step := step + 1) % 500 == 1:
            print(f"  {step}, {stream.came} examples: {float(loss):.3f} ({done:.2f})", flush=True)
    print(f"  {step} steps of {BATCH}, {stream.came} examples", flush=True)


def try_on(judge: Callable[[np.ndarray], float], clips: Sequence[Clip], marks: Sequence[np.ndarray]) -> None:
    import cv2

    rng, found = np.random.default_rng(5), {cover: [] for cover in (0.0, 0.3, 0.5, 1.0)}
    for _, _, frames in clips:
        height, width = frames.shape[1:]
        for cover, scores in found.items():
            for _ in range(4 if cover else 1):
                shown = frames.copy()
                over(shown, cv2.resize(marks[rng.integers(len(marks))], (width, height)), cover, 255.0)
                half = [cv2.resize(f, (width // 2, height // 2), interpolation=cv2.INTER_AREA) for f in shown]
                thumbs = np.repeat(np.stack([coded(f, LUMA) for f in half])[..., None], 3, axis=-1)
                scores.append(judge(thumbs))
    clean = np.array(found.pop(0.0))
    for cover, scores in found.items():
        bad = np.array(scores)
        ranks = (bad[:, None] > clean).mean() + 0.5 * (bad[:, None] == clean).mean()
        print(f"  opacity {cover}: AUC {ranks:.3f}, found at 5 % wrong {np.mean(bad > np.quantile(clean, 0.95)):.2f}")


def half_of(named: Iterable[str]) -> dict[str, int]:
    """Which half each source is in: as in the networks there are, and new sources in turn."""
    from safetensors import safe_open

    half: dict[str, int] = {}
    for k in (0, 1):
        with safe_open(Path(__file__).with_name(f"marks-without-{1 - k}.safetensors"), "np") as file:
            half |= dict.fromkeys(json.loads(file.metadata()["sources"]), k)
    of_stem = {Path(source).stem: k for source, k in half.items()}  # a real file also comes in colour, as videos/STEM
    new = sorted({source for source in named if Path(source).stem not in of_stem} - set(half))
    half |= {source: k % 2 for k, source in enumerate(new)}
    return half | {source: of_stem[Path(source).stem] for source in named if Path(source).stem in of_stem}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("material", type=Path)
    parser.add_argument("slow", type=Path)
    parser.add_argument("found", type=Path, nargs="?", help="other material, see mark_found.py")
    parser.add_argument("--large", type=Path, help="train the network of titles, see mark_large.py")
    parser.add_argument("--which", choices=("0", "1", "all"), default="all")
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--seconds", type=float, default=400)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--back", type=float, default=0.0, help="share of the present weights in the new ones")
    parser.add_argument("--anew", action="store_true", help="from random weights")
    options = parser.parse_args()
    import cv2

    cv2.setNumThreads(1)  # a pool of threads does not outlive the fork
    clips, marks = load(options.material)
    slow = load_slow(options.slow)
    found = load_found(options.found) if options.found else []
    half = half_of([*(clip[0] for clip in [*clips, *slow]), *(piece[1] for piece in found)])
    everything = options.which == "all"
    seen, held = ([clip for clip in some if str(half[clip[0]]) != options.which] for some in (clips, slow))
    others = [piece for piece in found if str(half[piece[1]]) != options.which]
    weights, kind, judge = shipped.WEIGHTS, Examples, shipped.mark
    if options.large:
        weights, kind, judge, marks = titles.WEIGHTS, LargeExamples, titles.title, load_large(options.large)
    start = weights if everything else Path(__file__).with_name(f"{weights.stem}-without-{options.which}.safetensors")
    drawn = marks["tune"] + marks["held"] if everything else marks["tune"]
    other = Found(others) if others else None
    makers = [kind(seen, drawn, seed=k, slow=held, found=other) for k in range(options.workers)]
    import torch
    from safetensors.torch import load_file, save_file

    device = "cuda" if torch.cuda.is_available() else "cpu"
    stream = Stream(makers, device)  # forks before the device is asked for anything
    torch.manual_seed(0)
    torch.set_num_threads(1)
    old = {} if options.anew else {name: value.float() for name, value in load_file(start).items()}
    learner = Learner(device, old)
    fit(stream, learner, options.seconds, GENTLY if old else RATE)
    target = options.out / start.name
    sources = {clip[0] for clip in [*seen, *held]} | {piece[1] for piece in others}
    save_file(learner.weights(old, options.back), target, {"sources": json.dumps(sorted(sources))})
    if not everything:
        learnt = shipped.load(target)
        clips = [clip for clip in clips if str(half[clip[0]]) == options.which]
        try_on(lambda thumbs: judge(thumbs, learnt)[0], clips, marks["held"])


if __name__ == "__main__":
    main()
