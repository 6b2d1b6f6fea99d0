"""Footage through encoders and back, once or more often, and as other people's copies of it.

Frames are luma, uint8[N, h, w].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from degrade import defocus, gained, marked

X264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf")
X265 = ("-c:v", "libx265", "-preset", "veryfast", "-x265-params", "log-level=none:pools=none", "-crf")
SVT_AV1 = ("-c:v", "libsvtav1", "-preset", "10", "-svtav1-params", "lp=1", "-crf")
CODECS: dict[str, tuple[str, ...]] = {
    "x264 crf 38": (*X264, "38"),
    "x264 crf 44": (*X264, "44"),
    "mpeg4 q 12": ("-c:v", "mpeg4", "-q:v", "12"),
    "mpeg4 q 24": ("-c:v", "mpeg4", "-q:v", "24"),
    "vp8 60 kbit/s": ("-c:v", "libvpx", "-b:v", "60k", "-deadline", "realtime", "-cpu-used", "8"),
}
MEDIUM = ("-c:v", "libx264", "-preset", "medium", "-crf")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "6", "-b:v", "0", "-crf")
MPEG4 = ("-c:v", "mpeg4", "-q:v")
TWICE: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {  # first coarsely, then finely
    "x264 medium crf 36, then 16": ((*MEDIUM, "36"), (*MEDIUM, "16")),
    "x264 medium crf 38, then 20": ((*MEDIUM, "38"), (*MEDIUM, "20")),
    "x264 crf 42, then 23": ((*X264, "42"), (*X264, "23")),
    "x264 medium crf 42, then 18": ((*MEDIUM, "42"), (*X264, "18")),
    "x264 medium crf 46, then 23": ((*MEDIUM, "46"), (*MEDIUM, "23")),
    "x264 medium crf 40, then x265 20": ((*MEDIUM, "40"), (*X265, "20")),
    "x265 crf 40, then x264 18": ((*X265, "40"), (*X264, "18")),
    "x265 crf 45, then x264 18": ((*X265, "45"), (*X264, "18")),
    "vp9 crf 58, then x264 18": ((*VP9, "58"), (*X264, "18")),
    "vp9 crf 63, then x264 18": ((*VP9, "63"), (*X264, "18")),
    "svt-av1 crf 60, then x264 18": ((*SVT_AV1, "60"), (*X264, "18")),
    "svt-av1 crf 63, then x264 18": ((*SVT_AV1, "63"), (*X264, "18")),
    "mpeg4 q 12, then x264 18": ((*MPEG4, "12"), (*X264, "18")),
    "mpeg4 q 20, then x264 18": ((*MPEG4, "20"), (*X264, "18")),
}
FINELY: dict[str, tuple[tuple[str, ...], ...]] = {  # nothing that shows
    "x264 crf 18": ((*X264, "18"),),
    "x264 medium crf 17": ((*MEDIUM, "17"),),
    "x265 crf 20": ((*X265, "20"),),
    "x264 medium crf 28, then 18": ((*MEDIUM, "28"), (*X264, "18")),
    "mpeg4 q 4, then x264 18": ((*MPEG4, "4"), (*X264, "18")),
    "mpeg-2 q 4, then x264 20": (("-c:v", "mpeg2video", "-q:v", "4"), (*MEDIUM, "20")),
}


def dim(frames: np.ndarray, gain: float, sigma: float = 0.0) -> np.ndarray:
    """Out of focus by sigma (0: sharp) under that light, and through a fine encoder, whose errors are not dimmed."""
    soft = defocus(frames, sigma) if sigma else frames
    return recoded(gained(soft, np.full(len(frames), gain)), *X264, "17")


def recoded(frames: np.ndarray, *options: str, rate: int = 24, suffix: str = "mkv") -> np.ndarray:
    """Through an encoder of ffmpeg and back: `recoded(frames, "-c:v", "libx264", "-crf", "40")`."""
    import subprocess
    import tempfile
    from pathlib import Path

    import imageio_ffmpeg

    n, height, width = (frames.shape[0], frames.shape[1] & ~1, frames.shape[2] & ~1)
    raw = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{width}x{height}", "-r", str(rate)]
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-threads", "1"]
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / f"x.{suffix}")
        data = np.ascontiguousarray(frames[:, :height, :width]).tobytes()
        encode = [*program, *raw, "-i", "-", "-pix_fmt", "yuv420p", *options, "-threads", "1", path]
        subprocess.run(encode, input=data, check=True, stderr=subprocess.DEVNULL)  # SVT-AV1 talks
        decode = [*program, "-i", path, "-f", "rawvideo", "-pix_fmt", "gray", "-"]
        out = subprocess.run(decode, capture_output=True, check=True).stdout
    return np.frombuffer(out, np.uint8).reshape(-1, height, width)[:n]


def enlarged(frames: np.ndarray, times: float) -> np.ndarray:
    """The upper left part as large as all of it was."""
    import cv2

    height, width = frames.shape[1:]
    part = frames[:, : round(height / times), : round(width / times)]
    return np.stack([cv2.resize(f, (width, height), interpolation=cv2.INTER_CUBIC) for f in part])


def encoded(frames: np.ndarray, *options: str) -> tuple[np.ndarray, list[Any]]:
    """As they come out of a file of that encoder, and what the file says of the coding of each."""
    return again(frames, options)


def again(frames: np.ndarray, *codings: tuple[str, ...]) -> tuple[np.ndarray, list[Any]]:
    """As `encoded`, file after file: nothing else is done to the pictures in between. One thread, because encoders
    with more decide otherwise, so that another machine would have other figures."""
    import subprocess
    import tempfile
    from pathlib import Path

    import imageio_ffmpeg

    from wanprep.media.probe import probe
    from wanprep.media.read import open_video

    n, height, width = (frames.shape[0], frames.shape[1] & ~1, frames.shape[2] & ~1)
    source = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{width}x{height}", "-r", "24", "-i", "-"]
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-threads", "1"]
    data = np.ascontiguousarray(frames[:, :height, :width]).tobytes()
    with tempfile.TemporaryDirectory() as folder:
        for k, options in enumerate(codings):
            path = Path(folder) / f"{k}.mkv"
            encode = [*program, *source, "-pix_fmt", "yuv420p", *options, "-threads", "1", str(path)]
            subprocess.run(encode, input=data, check=True, stderr=subprocess.DEVNULL)  # SVT-AV1 talks
            source, data = ["-i", str(path)], b""
        with open_video(path, probe(path)) as video:
            read = [(frame.gray(width, height), frame.coded()) for frame in video.frames()]
    return np.stack([gray for gray, _ in read[:n]]), [coded for _, coded in read[:n]]


def copies(frames: np.ndarray) -> dict[str, np.ndarray]:
    """The same footage again, as it comes back from other people."""
    import cv2

    n, height, width = frames.shape
    dy, dx = round(height * 0.025), round(width * 0.025)
    half = np.stack([cv2.resize(f, (width // 2, height // 2), interpolation=cv2.INTER_AREA) for f in frames])
    bars = np.pad(frames, ((0, 0), (height // 6, height // 6), (0, 0)))
    logo = marked(np.clip(frames * 1.15, 0, 255).astype(np.uint8), "corner_logo", 0.8)
    return {
        "half size": half,
        "crf 30": recoded(frames, "-c:v", "libx264", "-crf", "30"),
        "5 % cropped": np.ascontiguousarray(frames[:, dy : height - dy, dx : width - dx]),
        "brighter, with a logo": logo,
        "mirrored": np.ascontiguousarray(frames[:, :, ::-1]),
        "mirrored, half size": np.ascontiguousarray(half[:, :, ::-1]),
        "letterboxed": bars,
        "without its first 0.4 s": frames[round(0.16 * n) :],
        "last 60 %": frames[round(0.4 * n) :],
    }
