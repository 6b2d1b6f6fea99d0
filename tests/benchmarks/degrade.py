"""Known faults put into good footage, and innocent changes that must not be taken for faults.

Frames are luma, uint8[N, h, w], about 360 px high; `seconds` their times. Everything is a function of its Generator.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

SWAYS: dict[str, tuple[float, ...]] = {
    "tremor": (4.0, 6.5),
    "walk": (1.5, 5.0, 7.5),
    "sway": (2.0, 3.3),
    "white": (),
    "slow": (0.8, 1.5),
}  # Hz


@dataclass(frozen=True, kw_only=True)
class Fault:
    """name: for the report. filter: the filter that must reject it, or that must not (innocent)."""

    name: str
    filter: str
    apply: Callable[[np.ndarray, np.ndarray, np.random.Generator], Any]  # frames, or what `encoded` makes of them
    innocent: bool = False


def texture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """uint8[height, width]: luma noise at four scales with a few hard-edged discs."""
    import cv2

    image = np.full((height, width), rng.uniform(40, 200), np.float32)
    for cells, gain in ((3, 30), (8, 20), (24, 12), (80, 6)):
        noise = rng.normal(0, gain, (cells, cells * 2)).astype(np.float32)
        image += cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    for _ in range(int(rng.integers(6, 16))):
        x, y, r = int(rng.integers(width)), int(rng.integers(height)), int(rng.integers(height // 20, height // 4))
        cv2.circle(image, (x, y), r, float(rng.uniform(0, 255)), -1)
    return np.clip(image * rng.uniform(0.35, 1.0), 0, 255).astype(np.uint8)


def defocus(frames: np.ndarray, sigma: float) -> np.ndarray:
    import cv2

    return np.stack([cv2.GaussianBlur(f, (0, 0), sigma) for f in frames])


def dim(frames: np.ndarray, gain: float, sigma: float = 0.0) -> np.ndarray:
    """Out of focus by sigma (0: sharp) under that light, and through a fine encoder, whose errors are not dimmed."""
    soft = defocus(frames, sigma) if sigma else frames
    return recoded(gained(soft, np.full(len(frames), gain)), *X264, "17")


def lost_focus(frames: np.ndarray, sigma: float) -> np.ndarray:
    """The second half of the clip out of focus."""
    middle = len(frames) // 2
    return np.concatenate([frames[:middle], defocus(frames[middle:], sigma)])


def motion_blur(frames: np.ndarray, length: int, direction: str | float) -> np.ndarray:
    """direction: degrees; or "diagonal", which is `length` diagonal pixels, 1.4 times as long."""
    import cv2

    kernel = np.zeros((length, length), np.float32)
    if direction == "diagonal":
        np.fill_diagonal(kernel, 1)
    elif direction == "vertical":
        kernel[:, length // 2] = 1
    else:
        kernel[length // 2] = 1
        if direction != "horizontal":
            middle = ((length - 1) / 2, (length - 1) / 2)
            kernel = cv2.warpAffine(kernel, cv2.getRotationMatrix2D(middle, float(direction), 1), (length, length))
    return np.stack([cv2.filter2D(f, -1, kernel / kernel.sum()) for f in frames])


def moved(frames: np.ndarray, path_px: np.ndarray) -> np.ndarray:
    """Frames displaced by float[N, 2] pixels under a zoom of 6 %, reflected beyond the edges."""
    import cv2

    height, width = frames.shape[1:]
    zoom = 1.06
    corner = -0.03 * np.array([width, height])
    out = []
    for frame, (x, y) in zip(frames, path_px + corner):
        matrix = np.array([[zoom, 0, x], [0, zoom, y]])
        out.append(cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REFLECT))
    return np.stack(out)


def shake(frames: np.ndarray, seconds: np.ndarray, rng: np.random.Generator, rms: float, sway: str, pan: float = 0.0):
    """Hand shake of `rms` widths an axis: a mix of sines, or white noise; on top of a pan in widths a second."""
    width = frames.shape[2]
    path = swings(seconds, rng, SWAYS[sway]) * rms * width
    path[:, 0] += pan * width * seconds
    return moved(frames, path)


def swings(seconds: np.ndarray, rng: np.random.Generator, hz: tuple[float, ...]) -> np.ndarray:
    """float[N, 2] of standard deviation 1: mixes of sines of these frequencies, or white noise."""
    path = rng.normal(size=(len(seconds), 2))
    if hz:
        phase = rng.uniform(0, 1, (len(hz), 2))
        gain = rng.uniform(0.5, 1, phase.shape)
        turns = np.array(hz)[None, :, None] * seconds[:, None, None] + phase
        path = (gain * np.sin(2 * np.pi * turns)).sum(axis=1)
    return path / path.std(axis=0)


def turned(frames: np.ndarray, radians: np.ndarray, log_zoom: np.ndarray) -> np.ndarray:
    """Frames turned about their middle and magnified, under a zoom of 6 %, reflected beyond the edges."""
    import cv2

    height, width = frames.shape[1:]
    centre = ((width - 1) / 2, (height - 1) / 2)
    out = []
    for frame, angle, zoom in zip(frames, np.degrees(radians), 1.06 * np.exp(log_zoom)):
        matrix = cv2.getRotationMatrix2D(centre, float(angle), float(zoom))
        out.append(cv2.warpAffine(frame, matrix, (width, height), borderMode=cv2.BORDER_REFLECT))
    return np.stack(out)


def gained(frames: np.ndarray, gain_N: np.ndarray) -> np.ndarray:
    return np.clip(frames * gain_N[:, None, None].astype(np.float32), 0, 255).astype(np.uint8)


def step(frames: np.ndarray, by: float) -> np.ndarray:
    return gained(frames, np.where(np.arange(len(frames)) < len(frames) // 2, 1.0, 1.0 + by))


def panned(frames: np.ndarray, seconds: np.ndarray, rng: np.random.Generator, pace: float) -> np.ndarray:
    """A camera goes over the frames, enlarged 2.4 times, from left to right; pace in widths a second, at most 0.55."""
    import cv2

    height, width = frames.shape[1:]
    x, y = rng.uniform(0, 1, 2) * 1.4 * (width, height) * (1 - pace * seconds[-1] / 1.4, 1)
    ways = [np.array([[2.4, 0, -x - pace * width * t], [0, 2.4, -y]]) for t in seconds]
    return noisy(np.stack([cv2.warpAffine(f, way, (width, height)) for f, way in zip(frames, ways)]), rng, 1.2)


def shallow(frames: np.ndarray) -> np.ndarray:
    """Two thirds of the picture far out of focus, the last third untouched."""
    out = frames.copy()
    edge = frames.shape[2] * 2 // 3
    out[:, :, :edge] = defocus(frames[:, :, :edge], 3.0)
    return out


def held(frames: np.ndarray, seconds: np.ndarray, hold_s: float) -> np.ndarray:
    """The middle frame shown for `hold_s`."""
    middle = len(frames) // 2
    out = frames.copy()
    out[(seconds >= seconds[middle]) & (seconds < seconds[middle] + hold_s)] = frames[middle]
    return out


def mark(kind: str, height: int, width: int) -> np.ndarray:
    """float32[h, w], 0..1: where a watermark covers the picture."""
    import cv2

    mask = np.zeros((height, width), np.uint8)
    thin = max(1, round(height / 300))
    if kind == "small_text":
        place = (int(width * 0.62), int(height * 0.93))
        cv2.putText(mask, "www.sample.org", place, cv2.FONT_HERSHEY_SIMPLEX, height / 700, 255, thin, cv2.LINE_AA)
    elif kind == "bottom_line":
        place = (int(width * 0.2), int(height * 0.95))
        text = "Copyright 2013 Somebody. All Rights"
        cv2.putText(mask, text, place, cv2.FONT_HERSHEY_SIMPLEX, height / 600, 255, thin, cv2.LINE_AA)
    elif kind == "corner_logo":
        x, y, radius = int(width * 0.91), int(height * 0.13), int(height * 0.06)
        cv2.circle(mask, (x, y), radius, 255, max(2, radius // 4), cv2.LINE_AA)
        cv2.line(mask, (x - radius // 2, y), (x + radius // 2, y), 255, max(2, radius // 4))
    else:
        place, thick = (int(width * 0.3), int(height * 0.55)), max(2, round(height / 120))
        cv2.putText(mask, "stockpix", place, cv2.FONT_HERSHEY_DUPLEX, height / 180, 255, thick, cv2.LINE_AA)
    return mask.astype(np.float32) / 255


MOVING = ("bouncing", "drifting", "drifting_text", "ticker", "jumping")  # marks that do not stay in place


def marked(frames: np.ndarray, kind: str, alpha: float, turn: float = 0.0) -> np.ndarray:
    """White marks of that opacity. turn, 0..1: how far on its way one that moves begins, and its pace."""
    count, height, width = frames.shape
    if kind not in MOVING:
        cover = alpha * mark(kind, height, width)
        return (frames * (1 - cover) + 255 * cover).astype(np.uint8)
    shape = {"drifting_text": "small_text", "ticker": "bottom_line"}.get(kind, "corner_logo")
    drawn = alpha * mark(shape, height, width)
    part = 0.25 * turn + np.arange(count) / count * (1 + 0.3 * turn)
    down, across = {
        "bouncing": (0.5 * part, -0.7 * part),  # crosses the picture in about two seconds
        "drifting": (0.2 * part, -0.25 * part),
        "drifting_text": (-0.25 * part, -0.2 * part),
        "ticker": (0 * part, -0.4 * part),
        "jumping": (0.72 * (part > 0.6), -0.82 * (part > 0.6)),  # from corner to corner
    }[kind]
    way = zip((height * down).astype(int).tolist(), (width * across).astype(int).tolist())
    cover = np.stack([np.roll(drawn, step, axis=(0, 1)) for step in way])
    return (frames * (1 - cover) + 255 * cover).astype(np.uint8)


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
        subprocess.run(encode, input=data, check=True)
        decode = [*program, "-i", path, "-f", "rawvideo", "-pix_fmt", "gray", "-"]
        out = subprocess.run(decode, capture_output=True, check=True).stdout
    return np.frombuffer(out, np.uint8).reshape(-1, height, width)[:n]


def encoded(frames: np.ndarray, *options: str) -> tuple[np.ndarray, list[Any]]:
    """As they come out of a file of that encoder, and what the file says of the coding of each."""
    import subprocess
    import tempfile
    from pathlib import Path

    import imageio_ffmpeg

    from wanprep.media.probe import probe
    from wanprep.media.read import open_video

    n, height, width = (frames.shape[0], frames.shape[1] & ~1, frames.shape[2] & ~1)
    raw = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{width}x{height}", "-r", "24", "-i", "-"]
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-threads", "1"]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.mkv"
        data = np.ascontiguousarray(frames[:, :height, :width]).tobytes()
        encode = [*program, *raw, "-pix_fmt", "yuv420p", *options, str(path)]
        subprocess.run(encode, input=data, check=True, stderr=subprocess.DEVNULL)  # SVT-AV1 talks
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


def noisy(frames: np.ndarray, rng: np.random.Generator, sigma: float) -> np.ndarray:
    return np.clip(frames + rng.normal(0, sigma, frames.shape), 0, 255).astype(np.uint8)


def faults() -> list[Fault]:
    """Every fault and innocent change of the benchmark."""
    out = [Fault(name=f"defocus {s} px", filter="blur", apply=lambda f, t, r, s=s: defocus(f, s)) for s in (1, 1.5, 2)]
    for length in (9, 15):
        for way in ("horizontal", "vertical", "diagonal"):
            smear = lambda f, t, r, n=length, w=way: motion_blur(f, n, w)  # noqa: E731
            out.append(Fault(name=f"motion blur {length} px {way}", filter="motion_blur", apply=smear))
    for length, degrees in ((9, 45), (9, 22.5), (15, 30), (17, 45)):
        smear = lambda f, t, r, n=length, a=degrees: motion_blur(f, n, a)  # noqa: E731
        out.append(Fault(name=f"motion blur {length} px at {degrees} deg", filter="motion_blur", apply=smear))
    for rms in (0.0015, 0.003, 0.006):
        for sway in ("tremor", "walk", "sway", "white"):
            move = lambda f, t, r, a=rms, s=sway: shake(f, t, r, a, s)  # noqa: E731
            out.append(Fault(name=f"shake {rms:.2%} {sway}", filter="shake", apply=move))

    def fault(name: str, filter_name: str, apply: Callable[..., np.ndarray], innocent: bool = False) -> None:
        out.append(Fault(name=name, filter=filter_name, apply=apply, innocent=innocent))

    for gain, sigma in ((0.3, 1.5), (0.3, 2), (0.3, 3), (0.15, 2)):
        fault(f"defocus {sigma} px, light {gain}", "blur", lambda f, t, r, g=gain, s=sigma: dim(f, g, s))
    fault("defocus 2 px, grain 4", "blur", lambda f, t, r: noisy(defocus(f, 2), r, 4))
    fault("second half out of focus", "blur", lambda f, t, r: lost_focus(f, 3))
    fault("shake 0.30% tremor in a pan", "shake", lambda f, t, r: shake(f, t, r, 3e-3, "tremor", 0.04))
    for rms in (0.003, 0.006):
        fault(f"shake {rms:.2%} slow", "shake", lambda f, t, r, a=rms: shake(f, t, r, a, "slow"))
    swing = lambda t, r: swings(t, r, (3.1, 5.7))[:, 0]  # noqa: E731
    for degrees, part in ((0.15, 0.003), (0.4, 0.008)):  # move the picture's edge about as far
        roll = lambda f, t, r, a=degrees: turned(f, np.radians(a) * swing(t, r), 0 * t)  # noqa: E731
        fault(f"roll of {degrees} degrees", "shake", roll)
        fault(f"zoom of {part:.1%}", "shake", lambda f, t, r, a=part: turned(f, 0 * t, a * swing(t, r)))
    fault("slow roll", "shake", lambda f, t, r: turned(f, 0.05 * t, 0 * t), innocent=True)
    fault("slow zoom", "shake", lambda f, t, r: turned(f, 0 * t, 0.08 * t), innocent=True)
    for by in (0.15, 0.3, -0.15):
        fault(f"exposure {by:+.0%}", "light_jump", lambda f, t, r, by=by: step(f, by))
    for pace, by in ((0.3, -0.2), (0.5, 0.3), (0.5, -0.3)):
        jump = lambda f, t, r, p=pace, by=by: step(panned(f, t, r, p), by)  # noqa: E731
        fault(f"exposure {by:+.0%}, pan of {pace}", "light_jump", jump)
    odd = lambda f: np.arange(len(f)) % 2  # noqa: E731
    for by in (0.1, 0.2):
        fault(f"every second frame {by:+.0%}", "light_jump", lambda f, t, r, by=by: gained(f, 1 + by * odd(f)))
    one = lambda f: np.arange(len(f)) == len(f) // 4 * 2 + 1  # noqa: E731
    fault("one frame +60 %", "light_jump", lambda f, t, r: gained(f, 1 + 0.6 * one(f)))
    for pace in (0.3, 0.5):
        fault(f"pan of {pace}", "light_jump", lambda f, t, r, p=pace: panned(f, t, r, p), innocent=True)
    for name, options in CODECS.items():
        fault(name, "compression", lambda f, t, r, o=options: encoded(f, *o))
    twice = lambda f, t, r: encoded(recoded(f, *X264, "38"), *X264, "18")  # noqa: E731
    fault("x264 crf 38, then crf 18", "compression", twice)
    for sigma in (3, 6, 10):
        fault(f"noise {sigma}", "noise", lambda f, t, r, s=sigma: noisy(f, r, s))
    fault("frozen throughout", "static", lambda f, t, r: np.repeat(f[:1], len(f), axis=0))
    fault("frozen for 1.1 s", "frozen", lambda f, t, r: held(f, t, 1.1))
    for name in ("blur", "motion_blur"):
        fault("shallow focus", name, lambda f, t, r: shallow(f), innocent=True)
        fault("four times darker", name, lambda f, t, r: gained(f, np.full(len(f), 0.25)), innocent=True)
        fault("light 0.3", name, lambda f, t, r: dim(f, 0.3), innocent=True)
        fault("grain 5", name, lambda f, t, r: noisy(f, r, 5), innocent=True)
    fault("x264 crf 23", "compression", lambda f, t, r: encoded(f, "-c:v", "libx264", "-crf", "23"), innocent=True)
    fault("mpeg4 q 4", "compression", lambda f, t, r: encoded(f, "-c:v", "mpeg4", "-q:v", "4"), innocent=True)
    fault("noise 6", "compression", lambda f, t, r: noisy(f, r, 6), innocent=True)
    fault("slow pan", "shake", lambda f, t, r: shake(f, t, r, 0.0, "white", 0.03), innocent=True)
    fault("fast pan", "shake", lambda f, t, r: shake(f, t, r, 0.0, "white", 0.10), innocent=True)
    fault("+30 % over the clip", "light_jump", lambda f, t, r: gained(f, np.linspace(1, 1.3, len(f))), innocent=True)
    for codec, options, fine, coarse in (("x265", X265, 28, 40), ("svt-av1", SVT_AV1, 45, 63)):
        for crf in (fine, coarse):
            code = lambda f, t, r, o=options, c=crf: encoded(f, *o, str(c))  # noqa: E731
            fault(f"{codec} crf {crf}", "compression", code, innocent=crf == fine)
    return out
