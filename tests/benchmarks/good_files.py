"""Good clips as files: the codings of the benchmark of good clips, and clips and stills out of real footage."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from coders import X264, X265
from good import SECONDS, spans
from material import FILES

VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "6", "-b:v", "0", "-crf")
QUIET = ("-x265-params", "log-level=none:pools=none")
CODINGS: dict[str, tuple[str, ...]] = {  # none of them damages anything that one sees
    "x264 medium crf 18": ("-c:v", "libx264", "-preset", "medium", "-crf", "18"),
    "x264 veryfast crf 23": (*X264, "23"),
    "x264 ultrafast crf 20": ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "20"),
    "x264 slow crf 20, 10 bits": ("-c:v", "libx264", "-preset", "slow", "-crf", "20", "-pix_fmt", "yuv420p10le"),
    "x264 as a chip's": (
        "-c:v",
        "libx264",
        "-preset",
        "fast",
        "-qp",
        "21",
        "-x264-params",
        "bframes=0:ref=1:aq-mode=0",
    ),
    "x264 grain crf 20": ("-c:v", "libx264", "-preset", "fast", "-tune", "grain", "-crf", "20"),
    "x264 animation crf 21": ("-c:v", "libx264", "-preset", "fast", "-tune", "animation", "-crf", "21"),
    "x265 veryfast crf 21": (*X265, "21"),
    "x265 medium crf 24": ("-c:v", "libx265", "-preset", "medium", *QUIET, "-crf", "24"),
    "svt-av1 crf 30": ("-c:v", "libsvtav1", "-preset", "10", "-svtav1-params", "lp=1", "-crf", "30"),
    "vp9 crf 30": (*VP9, "30"),
    "mpeg-4 q 3": ("-c:v", "mpeg4", "-q:v", "3"),
}
# Frames that are out of focus, shaken, marked, titles, coded so coarsely that it shows, or in which nothing moves.
ALL = [(0, 9999)]
FAULTY: dict[str, Sequence[tuple[int, int]]] = {
    "crystal": ALL, "frog": ALL, "fire": ALL, "watermark": ALL, "popeye_t03": ALL, "bbb_480p": [(470, 9999)],
    "bbb_trailer": [(0, 108), (160, 227), (280, 330), (415, 480), (573, 623), (667, 813)],
    "cars": [(0, 58), (106, 186), (236, 318), (350, 377)],
    "bottle": [(0, 170), (220, 345), (425, 465), (545, 660), (750, 815), (875, 910), (985, 1040), (1100, 1189)],
}  # fmt: skip
A_FILE = 3  # clips of one file of footage
FINE = 478  # height of footage from which on its frames are stills for made-up scenes


def save(path: Path, frames: Iterable[np.ndarray], rate: Fraction | int, options: Sequence[str]) -> None:
    """Frames uint8[h, w, 3] RGB of even sizes into a file, BT.709. CalledProcessError if ffmpeg cannot."""
    import imageio_ffmpeg

    frames = list(frames)
    height, width = frames[0].shape[:2]
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-threads", "1", "-f", "rawvideo"]
    program += ["-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(rate), "-i", "-"]
    program += ["-vf", "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd"]
    if "-pix_fmt" not in options:
        program += ["-pix_fmt", "yuv420p"]
    program += ["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", *options]
    data = b"".join(np.ascontiguousarray(frame).tobytes() for frame in frames)
    subprocess.run([*program, "-threads", "1", str(path)], input=data, check=True, stderr=subprocess.DEVNULL)


def films(media: Path, half: str) -> list[tuple[Path, dict[str, Any]]]:
    """Files of footage of this half ("tune" or "held") with faultless pieces, and what is known of their cuts."""
    if not (media / "cuts.json").is_file():
        return []
    cuts = json.loads((media / "cuts.json").read_text())
    found = [(media / name, cuts[name]) for name in sorted(cuts) if name.startswith(FILES[half])]
    return [(path, about) for path, about in found if pieces(path, about)]


def pieces(path: Path, cuts: dict[str, Any]) -> list[tuple[int, int]]:
    """Frame ranges of pieces of whole shots, most of each faultless, at most A_FILE of a file, evenly chosen."""
    bad = [span for name, these in FAULTY.items() if path.name.startswith(name) for span in these]
    good = [
        (a, b) for a, b in spans(cuts) if 2 * sum(max(0, min(b, last) - max(a, first)) for first, last in bad) < b - a
    ]
    return [good[k] for k in np.unique(np.linspace(0, len(good) - 1, A_FILE).astype(int))] if good else []


def footage(path: Path, cuts: dict[str, Any], height: int) -> tuple[Fraction, list[list[np.ndarray]], list[np.ndarray]]:
    """(frames a second, the pieces' frames at most so high, a still of each if the file is fine enough), RGB."""
    from wanprep.media.probe import probe
    from wanprep.media.read import open_video

    facts, wanted, rate = probe(path), pieces(path, cuts), Fraction(cuts["avg_frame_rate"])
    every = 2 if rate > 31 else 1
    high = min(height, facts.height) & ~1
    wide = round(facts.width * high / facts.height / 2) * 2
    found: list[list[np.ndarray]] = [[] for _ in wanted]
    stills: list[np.ndarray] = []
    with open_video(path, facts) as video:
        for index, frame in enumerate(video.frames()):
            for piece, (a, b) in zip(found, wanted):
                if index == (a + b) // 2 and facts.height >= FINE:
                    stills.append(frame.rgb(facts.width, facts.height))
                if a <= index < min(b, a + SECONDS * rate) and (index - a) % every == 0:
                    piece.append(frame.rgb(wide, high))
            if index >= max(b for _, b in wanted):
                break
    return rate / every, found, stills
