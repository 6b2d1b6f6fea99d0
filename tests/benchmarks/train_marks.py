"""Train the small network of wanprep/signals/marks.py, which tells drawn marks from things that stand still.

    python tests/benchmarks/train_marks.py pack material.npz [--media ../shared/media/dev]    needs TrueType fonts
    python tests/benchmarks/train_marks.py train material.npz --out folder [--steps 6000]     minutes on a GPU

Material: single shots of the real files, and painted and made-up scenes, two pictures a second, 512 px wide; words in
TrueType fonts and simple logos. Marks of the quality benchmark (Hershey letters) are not among them. Three networks:
one for each half of the sources, tried on the other half with fonts, words and logos it never saw (the benchmark judges
each clip by the one that has not seen its source), and one of everything, which is shipped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mark_examples import WIDTH, Examples, over

FONTS = {
    "tune": ("dejavu/DejaVuSans", "dejavu/DejaVuSerif-Bold", "liberation/LiberationSans-Regular",
             "liberation/LiberationSerif-Italic"),
    "held": ("dejavu/DejaVuSansCondensed-Bold", "liberation/LiberationSans-Bold", "liberation/LiberationMono-Regular",
             "dejavu/DejaVuSerif"),
}  # fmt: skip
WORDS = {
    "tune": ("SAMPLE", "© Studio 2021", "www.example.com", "preview", "@maker_tv", "NOT FOR RESALE", "HD 7",
             "Stock Media", "Channel Nine", "demo"),
    "held": ("WATERMARK", "getvids.net", "@someone", "COPYRIGHT", "LIVE", "News 24", "shutterpix", "Trial version",
             "film.io", "Property of Acme"),
}  # fmt: skip
MARKED = ("watermark", "bbb_trailer")  # files with marks of their own
MARKED_CLIPS = {("bbb_480p_24fps.mp4", 3), ("bbb_480p_24fps.mp4", 4), ("bbb_480p_24fps.mp4", 5)}


# --- material -----------------------------------------------------------------------------------------------------


def words(rng: np.random.Generator, height: int, half: str) -> np.ndarray:
    """uint8[height, WIDTH]: a word in a corner, at the bottom or, larger, in the middle."""
    from PIL import Image, ImageDraw, ImageFont

    name, text = FONTS[half][rng.integers(4)], WORDS[half][rng.integers(10)]
    place = str(rng.choice(["tl", "tr", "bl", "br", "bottom", "centre"]))
    size = rng.uniform(0.1, 0.18) if place == "centre" else rng.uniform(0.035, 0.085)
    font = ImageFont.truetype(f"/usr/share/fonts/truetype/{name}.ttf", max(8, int(size * height)))
    left, top, right, bottom = font.getbbox(text)
    wide, tall = right - left, bottom - top
    dx, dy = int(rng.uniform(0.03, 0.06) * WIDTH), int(rng.uniform(0.03, 0.08) * height)
    x = dx if place in ("tl", "bl") else WIDTH - dx - wide if place in ("tr", "br") else (WIDTH - wide) // 2
    y = dy if place in ("tl", "tr") else (height - tall) // 2 if place == "centre" else height - dy - tall
    picture = Image.new("L", (WIDTH, height))
    ImageDraw.Draw(picture).text((x - left, y - top), text, fill=255, font=font)
    return np.asarray(picture)


def logo(rng: np.random.Generator, height: int, half: str) -> np.ndarray:
    """uint8[height, WIDTH]: a ring, frame or triangle, or of the other half a star, badge or eye, in a corner."""
    import cv2

    out, s = np.zeros((height, WIDTH), np.uint8), int(height * rng.uniform(0.05, 0.09))
    dx, dy = int(WIDTH * 0.04 + s), int(height * 0.05 + s)
    x, y = (dx, WIDTH - dx)[int(rng.random() < 0.5)], (height - dy, dy)[int(rng.random() < 0.6)]
    kind = int(rng.integers(3)) + (0 if half == "tune" else 3)
    if kind == 0:
        cv2.circle(out, (x, y), s, 255, -1, cv2.LINE_AA)
        cv2.circle(out, (x, y), s // 2, 0, -1, cv2.LINE_AA)
    elif kind == 1:
        cv2.rectangle(out, (x - s, y - s // 2), (x + s, y + s // 2), 255, max(2, s // 5))
        cv2.line(out, (x - s, y), (x + s, y), 255, max(1, s // 6))
    elif kind == 2:
        cv2.fillPoly(out, [np.array([[x, y - s], [x + s, y + s], [x - s, y + s]])], 255, cv2.LINE_AA)
    elif kind == 3:
        turn, reach = np.arange(10) * np.pi / 5, np.where(np.arange(10) % 2, 0.4, 1.0) * s
        star = np.stack([x + reach * np.sin(turn), y - reach * np.cos(turn)], axis=1)
        cv2.fillPoly(out, [star.astype(np.int32)], 255, cv2.LINE_AA)
    elif kind == 4:
        cv2.rectangle(out, (x - s, y - s // 2), (x + s, y + s // 2), 255, -1)
        cv2.putText(out, "TV", (x - s // 2, y + s // 4), 3, s / 35, 0, max(1, s // 10), cv2.LINE_AA)
    else:
        cv2.ellipse(out, (x, y), (s, int(s * 0.6)), 0, 0, 360, 255, max(2, s // 4), cv2.LINE_AA)
        cv2.circle(out, (x, y), s // 4, 255, -1, cv2.LINE_AA)
    return out


def pack(target: Path, media: Path) -> None:
    """Write the material into one file: JPEG pictures of the clips, PNG marks."""
    import cv2
    from good import clips_of, sources

    files: list[bytes] = []
    clips: list[dict[str, Any]] = []
    for name, what in sources(media, painted=6):
        for number, (frames, seconds) in enumerate(clips_of(*what)):
            slots = np.floor(seconds * 2).astype(int)
            size = (WIDTH, 4 * round(WIDTH * frames.shape[1] / frames.shape[2] / 4))
            first = [int(np.argmax(slots == slot)) for slot in np.unique(slots)]
            small = [cv2.resize(frames[i], size, interpolation=cv2.INTER_AREA) for i in first]
            clips.append({"source": name, "clip": number, "pictures": len(small)})
            files += [cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, 93])[1].tobytes() for p in small]
    marks = {"tune": 2400, "held": 400}
    for half, count in marks.items():
        rng = np.random.default_rng([7, half == "held"])
        for _ in range(count):
            height = int(rng.choice([216, 288, 288, 288, 340, 384]))
            mark = (words if rng.random() < 0.62 else logo)(rng, height, half)
            files.append(cv2.imencode(".png", mark)[1].tobytes())
    about = json.dumps({"clips": clips, "marks": marks}).encode()
    data = np.frombuffer(b"".join(files), np.uint8)
    np.savez(target, data=data, sizes=[len(f) for f in files], about=np.frombuffer(about, np.uint8))


# --- training -----------------------------------------------------------------------------------------------------


def load(path: Path, device: str) -> tuple[list[tuple[str, int, Any]], dict[str, list[Any]]]:
    """((source, clip number, uint8 tensor [M, H, WIDTH]) of every unmarked clip, marks of both halves)."""
    import torch
    from torchvision.io import decode_image

    stored = np.load(path)
    about = json.loads(stored["about"].tobytes())
    ends = np.cumsum(stored["sizes"])
    pictures = (decode_image(torch.from_numpy(f.copy()))[0].to(device) for f in np.split(stored["data"], ends[:-1]))
    clips = []
    for clip in about["clips"]:
        frames = [next(pictures) for _ in range(clip["pictures"])]
        marked = clip["source"].startswith(MARKED) or (clip["source"], clip["clip"]) in MARKED_CLIPS
        if not marked and len(frames) > 1:
            clips.append((clip["source"], clip["clip"], torch.stack(frames)))
    return clips, {half: [next(pictures).float() / 255 for _ in range(n)] for half, n in about["marks"].items()}


def network() -> Any:
    """The layers that `marks.mark_score` computes with numpy: 31,169 numbers."""
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Conv2d(6, 16, 5, stride=2, padding=2)
            self.b = nn.Conv2d(16, 24, 3, padding=1)
            self.c = nn.Conv2d(24, 32, 3, stride=2, padding=1)
            self.d = nn.Conv2d(32, 32, 3, padding=2, dilation=2)
            self.e = nn.Conv2d(32, 32, 3, padding=4, dilation=4)
            self.g = nn.Linear(12, 32)
            self.o = nn.Conv2d(32, 1, 1)
            self.bias = nn.Parameter(torch.zeros(1))

        def forward(self, x: Any) -> tuple[Any, Any]:
            whole = self.g(torch.cat([x.mean((2, 3)), x.std((2, 3))], 1))[:, :, None, None]
            y = self.c(self.b(self.a(x).relu()).relu()).relu()
            y = (self.d(y) + y).relu()
            y = self.o((self.e(y) + y + whole).relu())[:, 0]
            return y, y.flatten(1).topk(12)[0].mean(1) + self.bias

    return Net()


def maps(thumbs: Any) -> Any:
    """`marks.maps` for a batch: [B, M, H, W] levels -> [B, 6, H, W]."""
    import torch
    import torch.nn.functional as fn

    b, m, h, w = thumbs.shape
    across = torch.tensor([[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=torch.float32, device=thumbs.device) / 4
    padded = fn.pad(thumbs.reshape(b * m, 1, h, w), (1, 1, 1, 1), mode="replicate")
    steps = fn.conv2d(padded, torch.stack([across, across.T])[:, None]).reshape(b, m, 2, h, w)
    kept = steps.quantile(0.5, 1)
    strength = kept.norm(dim=1)
    moving = (steps - kept[:, None]).norm(dim=2).mean(1)
    soft = fn.avg_pool2d(fn.pad(thumbs, (4, 4, 4, 4), mode="reflect"), 9, 1).std(1, unbiased=False)
    return torch.stack([
        2 * kept[:, 0] / (strength + 4), 2 * kept[:, 1] / (strength + 4), 4 * strength / (strength + moving + 1) - 2,
        torch.log(moving + 0.3) - 1, torch.log(soft + 0.3) - 1.5, thumbs.quantile(0.5, 1) / 64 - 2,
    ], 1)  # fmt: skip


def fit(examples: Examples, steps: int, device: str, batch: int = 32) -> Any:
    import torch
    import torch.nn.functional as fn

    torch.manual_seed(0)
    net = network().to(device)
    optimizer = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps)
    for step in range(steps):
        count = int(examples.rng.choice([2, 3, 4, 4, 5, 6]))
        drawn = [examples.draw(count) for _ in range(batch)]
        thumbs, target = torch.stack([d[0] for d in drawn]), torch.stack([d[1] for d in drawn])
        with torch.no_grad():
            shown = maps(thumbs)
        place, whole = net(shown)
        weight = torch.where(target > 0, 6.0, 1.0)
        loss = 2 * (fn.binary_cross_entropy_with_logits(place, target, reduction="none") * weight).mean()
        loss = loss + fn.binary_cross_entropy_with_logits(whole, (target.flatten(1).sum(1) > 0).float())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 500 == 499:
            print(step + 1, round(float(loss), 3), flush=True)
    return net.eval()


def try_on(net: Any, clips: Sequence[tuple[str, int, Any]], marks: Sequence[Any]) -> None:
    import torch
    import torch.nn.functional as fn

    rng, found = np.random.default_rng(5), {cover: [] for cover in (0.0, 0.3, 0.5, 1.0)}
    for _, _, frames in clips:
        for cover, scores in found.items():
            for _ in range(4 if cover else 1):
                mark = marks[rng.integers(len(marks))][None, None]
                mark = fn.interpolate(mark, frames.shape[1:], mode="bilinear", antialias=True)[0, 0]
                thumbs = fn.avg_pool2d(over(frames.float(), mark, cover, 255.0)[None], 2).round()
                with torch.no_grad():
                    scores.append(float(net(maps(thumbs))[1]))
    clean = np.array(found.pop(0.0))
    for cover, scores in found.items():
        bad = np.array(scores)
        ranks = (bad[:, None] > clean).mean() + 0.5 * (bad[:, None] == clean).mean()
        print(f"  opacity {cover}: AUC {ranks:.3f}, found at 5 % wrong {np.mean(bad > np.quantile(clean, 0.95)):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pack", "train"))
    parser.add_argument("material", type=Path)
    parser.add_argument("--media", type=Path, default=Path(__file__).parents[3] / "shared" / "media" / "dev")
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--steps", type=int, default=6000)
    options = parser.parse_args()
    if options.what == "pack":
        pack(options.material, options.media)
        return
    import torch
    from safetensors.torch import save_file

    device = "cuda" if torch.cuda.is_available() else "cpu"
    clips, marks = load(options.material, device)
    half = {source: k % 2 for k, source in enumerate(sorted({clip[0] for clip in clips}))}
    for held_out in (0, 1, None):
        seen = [clip for clip in clips if half[clip[0]] != held_out]
        drawn = marks["tune"] if held_out is not None else marks["tune"] + marks["held"]
        net = fit(Examples(seen, drawn, seed=0), options.steps, device)
        if held_out is not None:
            print(f"half {held_out}, which it has not seen:")
            try_on(net, [clip for clip in clips if half[clip[0]] == held_out], marks["held"])
        weights = {name: value.half().cpu().contiguous() for name, value in net.state_dict().items()}
        name = "marks" if held_out is None else f"marks-without-{held_out}"
        save_file(weights, options.out / f"{name}.safetensors", {"sources": json.dumps(sorted({c[0] for c in seen}))})


if __name__ == "__main__":
    main()
