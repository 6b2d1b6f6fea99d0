"""What is done to good footage: blur, shake, light, marks.

Frames are luma, uint8[N, h, w], about 360 px high; `seconds` their times. Everything is a function of its Generator.
"""

from __future__ import annotations

import numpy as np

SWAYS: dict[str, tuple[float, ...]] = {
    "tremor": (4.0, 6.5),
    "walk": (1.5, 5.0, 7.5),
    "sway": (2.0, 3.3),
    "white": (),
    "slow": (0.8, 1.5),
}  # Hz


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


def bands(frames: np.ndarray, seconds: np.ndarray, swing: float, count: float, hz: float) -> np.ndarray:
    """So many bright and dark bands from top to bottom that roll: a lamp on the mains before a rolling shutter."""
    lines = np.arange(frames.shape[1]) / frames.shape[1]
    gain = 1 + swing * np.sin(2 * np.pi * (count * lines + hz * seconds[:, None]))
    return np.clip(frames * gain[:, :, None].astype(np.float32), 0, 255).astype(np.uint8)


def shallow(frames: np.ndarray) -> np.ndarray:
    """Two thirds of the picture far out of focus, the last third untouched."""
    out = frames.copy()
    edge = frames.shape[2] * 2 // 3
    out[:, :, :edge] = defocus(frames[:, :, :edge], 3.0)
    return out


def held(frames: np.ndarray, share: float) -> np.ndarray:
    """The first frame of so much of them, in the middle, shown all that time."""
    first, end = (round(len(frames) * (1 + sign * share) / 2) for sign in (-1, 1))
    out = frames.copy()
    out[first:end] = frames[first]
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
REDRAWN = ("timecode", "news", "title")  # digits that change, a ticker on a dark strip, letters a third as high as all
NEWS = "markets fall as talks go on and rain is expected in the North - the match ends in a draw - Traffic is slow "


def marked(frames: np.ndarray, kind: str, alpha: float, turn: float = 0.0) -> np.ndarray:
    """White marks of that opacity. turn, 0..1: how far on its way one that moves begins, and its pace."""
    count, height, width = frames.shape
    if kind in REDRAWN:
        return np.stack([redrawn(frame, kind, alpha, turn, k / count) for k, frame in enumerate(frames)])
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


def redrawn(frame_hw: np.ndarray, kind: str, alpha: float, turn: float, part: float) -> np.ndarray:
    """One frame with a mark that is drawn anew in each. part, 0..1: how much of the clip is over."""
    import cv2

    (height, width), cover = frame_hw.shape, np.zeros(frame_hw.shape, np.uint8)
    out, thick = frame_hw.astype(np.float32), max(1, round(height / 300))
    if kind == "timecode":
        told = f"00:{int(60 * turn):02d}:{int(2.5 * part):02d}.{int(2477 * part) % 1000:03d}"
        out[int(0.03 * height) : int(0.09 * height), int(0.73 * width) : int(0.98 * width)] *= 1 - 0.5 * alpha
        place = int(0.74 * width), int(0.075 * height)
        cv2.putText(cover, told, place, cv2.FONT_HERSHEY_DUPLEX, height / 620, 255, thick, cv2.LINE_AA)
    elif kind == "news":
        strip = out[int(0.9 * height) : int(0.98 * height)]
        strip[:] = 0.2 * strip + 16
        place = int(-width * (turn + (0.3 + 0.3 * turn) * part)), int(0.956 * height)
        cv2.putText(cover, 2 * NEWS, place, cv2.FONT_HERSHEY_DUPLEX, height / 600, 255, thick, cv2.LINE_AA)
    else:
        place = int(0.04 * width), int(0.66 * height)
        cv2.putText(cover, "Night", place, cv2.FONT_HERSHEY_DUPLEX, height / 62, 255, round(height / 22), cv2.LINE_AA)
    share = cover.astype(np.float32) * (alpha / 255)
    return (out * (1 - share) + 255 * share).astype(np.uint8)


def noisy(frames: np.ndarray, rng: np.random.Generator, sigma: float) -> np.ndarray:
    return np.clip(frames + rng.normal(0, sigma, frames.shape), 0, 255).astype(np.uint8)
