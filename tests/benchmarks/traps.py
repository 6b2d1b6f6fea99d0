"""What happens inside one shot and is no cut: light, fast cameras, things close to the lens, things laid over it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from material import SIZE, Take, take

TRAPS = (
    *("flash", "flashes", "explosion", "light_step", "exposure", "flicker"),
    *("whip", "tilt", "hand_held", "glide", "crash_zoom", "passing", "twos", "focus"),
    *("title", "caption", "logo", "inset", "title_box"),
)
# Of the second set of edits only: adding to the tuple above would draw another first set.
MORE = ("strobe", "snow", "lamps", "shaken", "threes", "slow_zoom", "end_title")
H, W = SIZE


def add_trap(
    big: np.ndarray, how: Take, n: int, rng: np.random.Generator, trap: str, pool: list[Path]
) -> tuple[np.ndarray, tuple[int, int] | None]:
    """A shot of n frames of the material, and the frames of the trap in it, or None. Clear of both ends by 25 or so."""
    path, scale = np.zeros((n, 2)), np.ones(n)
    at = int(rng.integers(n // 2 - 8, n // 2 + 4))
    span: tuple[int, int] | None = (at, at)
    side = rng.choice([-1, 1])
    if trap in ("whip", "tilt"):
        k = int(rng.integers(4, 11))
        ease = (1 - np.cos(np.pi * np.clip((np.arange(n) - at) / k, 0, 1))) / 2
        path[:, 0 if trap == "whip" else 1] = side * rng.uniform(0.5, 1.3) * ease
        span = at, at + k
    elif trap == "glide":
        path[:, 0] = side * rng.uniform(0.01, 0.045) * np.arange(n)
        span = 0, n - 1
    elif trap == "hand_held":
        steps = rng.normal(0, 0.012, (n, 2))
        path = np.cumsum(steps, 0) - np.linspace(0, 1, n)[:, None] * steps.sum(0)
        span = 0, n - 1
    elif trap == "crash_zoom":
        k = int(rng.integers(5, 12))
        scale = 1 + rng.uniform(0.6, 1.6) * np.clip((np.arange(n) - at) / k, 0, 1)
        span = at, at + k
    elif trap == "slow_zoom":
        scale = np.exp(side * 0.012 * np.arange(n)) if side > 0 else np.exp(0.012 * np.arange(n)[::-1])
        span = 0, n - 1
    elif trap == "shaken":  # someone runs with the camera
        path += np.cumsum(rng.normal(0, 0.03, (n, 2)), 0) * np.hanning(n)[:, None]
        span = 0, n - 1
    elif trap == "threes":  # fast animation: a new drawing every third frame
        path[:, 0] = side * 0.03 * (np.arange(n) // 3 * 3)
        span = 0, n - 1
    moved = path.any()
    shot = take(big, how, n, rng, path if moved else None, scale)
    if trap in LIGHT:
        return LIGHT[trap](shot, at, rng)
    if trap in OVER:
        return OVER[trap](shot, at, rng, pool)
    return shot, span if trap in TRAPS + MORE else None


def relit(shot: np.ndarray, gains: dict[int, float]) -> np.ndarray:
    out = shot.copy()
    for k, gain in gains.items():
        if 0 <= k < len(shot):
            out[k] = np.clip(shot[k] * gain, 0, 255)
    return out


def flash(shot, at, rng):
    """A photographer's flash of 1-3 frames, with or without decay; a rolling shutter may leave half a frame."""
    out = shot.astype(np.float32)
    gains = [rng.uniform(0.6, 1.0)] * int(rng.integers(1, 4)) + ([0.45, 0.2] if rng.random() < 0.5 else [])
    for k, gain in enumerate(gains):
        rows = slice(0, int(rng.uniform(0.3, 0.8) * H)) if k == 0 and rng.random() < 0.2 else slice(None)
        out[at + k, rows] = out[at + k, rows] * (1 - gain) + 255 * gain
    return out.round().astype(np.uint8), (at, at + len(gains))


def flashes(shot, at, rng):
    """Several flashes within a second, as before a press conference."""
    out = shot
    for k in range(int(rng.integers(2, 5))):
        out, _ = flash(out, min(len(shot) - 8, max(8, at - 14 + 8 * k + int(rng.integers(0, 4)))), rng)
    return out, (max(0, at - 15), min(len(shot) - 1, at + 30))


def explosion(shot, at, rng):
    """Warm light swells over the picture in 2-5 frames and dies away in 8-22."""
    y, x = np.mgrid[0:H, 0:W]
    cy, cx = rng.uniform(0.3, 0.7) * H, rng.uniform(0.2, 0.8) * W
    up, down = int(rng.integers(2, 6)), int(rng.integers(8, 23))
    out = shot.astype(np.float32)
    colour = np.array([rng.uniform(60, 200), rng.uniform(150, 240), 255])
    for k in range(up + down):
        power = (k + 1) / up if k < up else np.exp(-3 * (k - up) / down)
        reach = W * rng.uniform(0.95, 1.05) * (0.25 + 0.6 * min(1, (k + 1) / up))
        blob = np.clip(1.3 - np.hypot(y - cy, x - cx) / reach, 0, 1) ** 0.7 * power
        alpha = np.clip(1.2 * blob, 0, 1)[..., None]
        if at + k < len(out):
            out[at + k] = out[at + k] * (1 - alpha) + colour * alpha
    return np.clip(out, 0, 255).astype(np.uint8), (at, min(len(shot) - 1, at + up + down))


def light_step(shot, at, rng):
    gain = rng.choice([rng.uniform(0.45, 0.7), rng.uniform(1.4, 1.9)])
    return relit(shot, dict.fromkeys(range(at, len(shot)), gain)), (at, at)


def exposure(shot, at, rng):
    k = int(rng.integers(6, 25))
    gain = rng.choice([rng.uniform(0.4, 0.65), rng.uniform(1.5, 2.2)])
    gains = {t: 1 + (gain - 1) * min(1, (t - at) / k) for t in range(at, len(shot))}
    return relit(shot, gains), (at, at + k)


def flicker(shot, at, rng):
    return relit(shot, dict(enumerate(1 + rng.normal(0, 0.1, len(shot))))), (0, len(shot) - 1)


def twos(shot, at, rng):
    held = int(rng.choice([2, 2, 3]))
    return shot[(np.arange(len(shot)) // held) * held], (0, len(shot) - 1)


def focus(shot, at, rng):
    """The lens goes out of focus over some frames, and comes back or does not."""
    import cv2

    k, out = int(rng.integers(6, 18)), shot.copy()
    for t in range(at, len(shot)):
        sigma = 9 * min(1, (t - at) / k)
        out[t] = cv2.GaussianBlur(shot[t], (0, 0), sigma) if sigma > 0.1 else shot[t]
    return out, (at, at + k)


def passing(shot, at, rng, pool):
    """Something dark or coloured passes close to the lens, out of focus."""
    import cv2

    k, out = int(rng.integers(6, 15)), shot.copy()
    wide, colour = rng.uniform(0.35, 0.9) * W, tuple(float(v) for v in rng.uniform(5, 130, 3))
    mottle = cv2.resize(rng.normal(0, 12, (6, 8, 3)).astype(np.float32), (W, H))
    for t in range(k):
        x = -wide + (W + 2 * wide) * t / (k - 1)
        mask = np.zeros((H, W), np.float32)
        cv2.ellipse(mask, (int(x), H // 2), (int(wide), int(H * 0.9)), 0, 0, 360, 1, -1)
        mask = cv2.GaussianBlur(mask, (0, 0), 8)[..., None]
        out[at - 4 + t] = np.clip(out[at - 4 + t] * (1 - mask) + (np.array(colour) + mottle) * mask, 0, 255)
    return out, (at - 4, at - 4 + k)


def letters(rng: np.random.Generator, size: float, lines: int, y: float) -> np.ndarray:
    """float32[H, W, 1]: how much text covers each pixel."""
    import cv2

    mask = np.zeros((H, W), np.uint8)
    for k in range(lines):
        text = "".join(rng.choice(list("AERTUIOPSDLKMNB  "), int(rng.integers(9, 17))))
        spot = (int(W * rng.uniform(0.05, 0.25)), int(H * y + k * 30 * size))
        cv2.putText(mask, text, spot, cv2.FONT_HERSHEY_DUPLEX, size, 255, max(1, int(2 * size)), cv2.LINE_AA)
    return (mask / 255)[..., None].astype(np.float32)


def overlaid(shot, at, cover, colour, fade, hold):
    out = shot.copy()
    for t in range(at, min(len(shot), at + 2 * fade + hold)):
        share = min(1, (t - at + 1) / (fade + 1), (at + 2 * fade + hold - t) / (fade + 1))
        alpha = cover * share
        out[t] = (out[t] * (1 - alpha) + colour * alpha).round()
    return out, (at, min(len(shot) - 1, at + 2 * fade + hold))


def title(shot, at, rng, pool):
    return overlaid(shot, 20, letters(rng, rng.uniform(0.7, 1.3), 3, 0.35), 255.0, int(rng.integers(4, 16)), 20)


def title_box(shot, at, rng, pool):
    """A title on a panel that hides up to half of the picture."""
    cover = np.zeros((H, W, 1), np.float32)
    y, h = int(rng.uniform(0.1, 0.4) * H), int(rng.uniform(0.25, 0.5) * H)
    cover[y : y + h, int(0.06 * W) : int(0.94 * W)] = rng.uniform(0.6, 0.9)
    return overlaid(shot, 20, cover, float(rng.choice([10, 30, 220])), int(rng.choice([0, 5, 10])), 20)


def caption(shot, at, rng, pool):
    out, _ = overlaid(shot, 15, letters(rng, 0.5, 2, 0.86), 240.0, 0, 20)
    return overlaid(out, 38, letters(rng, 0.5, 1, 0.93), 240.0, 0, 15)


def logo(shot, at, rng, pool):
    cover = np.zeros((H, W, 1), np.float32)
    cover[10:34, W - 64 : W - 14] = 0.8
    return overlaid(shot, at, cover, 200.0, int(rng.choice([0, 8])), len(shot))


def inset(shot, at, rng, pool):
    """A picture in the picture, from one frame to the next."""
    import cv2

    share = rng.uniform(0.25, 0.42)
    h, w = int(H * share), int(W * share)
    other = np.load(pool[int(rng.integers(len(pool)))], mmap_mode="r") if pool else shot
    y, x = (8, H - h - 8)[int(rng.integers(2))], (8, W - w - 8)[int(rng.integers(2))]
    out, end = shot.copy(), at + int(rng.integers(10, 25))
    for t in range(at, min(end, len(shot))):
        out[t, y - 2 : y + h + 2, x - 2 : x + w + 2] = 235
        out[t, y : y + h, x : x + w] = cv2.resize(np.asarray(other[t % len(other)]), (w, h))
    return out, (at, min(end, len(shot) - 1))


def strobe(shot, at, rng):
    """Light that goes on and off every few frames for a second or so."""
    on, off, gain = int(rng.integers(1, 4)), int(rng.integers(1, 5)), rng.uniform(0.1, 0.5)
    span = range(max(4, at - 12), min(len(shot) - 4, at + 18))
    return relit(shot, {t: gain for t in span if (t - span[0]) % (on + off) >= on}), (span[0], span[-1])


def lamps(shot, at, rng):
    """Lights that are switched on one after the other, each in its own part of the room."""
    y, x = np.mgrid[0:H, 0:W]
    out = shot.astype(np.float32) * 0.35
    for k in range(int(rng.integers(2, 4))):
        cy, cx, reach = rng.uniform(0, H), rng.uniform(0, W), W * rng.uniform(0.3, 0.7)
        light = 1 + rng.uniform(0.8, 2.2) * np.exp(-((np.hypot(y - cy, x - cx) / reach) ** 2))
        out[at + 9 * k - 9 :] *= light[..., None]
    return np.clip(out, 0, 255).astype(np.uint8), (at - 9, min(len(shot) - 1, at + 18))


def snow(shot, at, rng):
    """Large flakes close to the lens."""
    import cv2

    out, n = shot.copy(), int(rng.integers(25, 70))
    spots, speeds, sizes = rng.uniform(0, 1, (n, 2)), rng.uniform(0.01, 0.06, n), rng.integers(2, 10, n)
    for t in range(len(out)):
        mask = np.zeros((H, W), np.float32)
        for (x, y), v, r in zip(spots, speeds, sizes):
            cv2.circle(mask, (int(W * (x + 0.01 * np.sin(t / 5 + 9 * x))), int(H * ((y + v * t) % 1.1))), int(r), 1, -1)
        mask = cv2.GaussianBlur(mask, (0, 0), 1.5)[..., None] * 0.8
        out[t] = out[t] * (1 - mask) + 240 * mask
    return out, (0, len(shot) - 1)


def end_title(shot, at, rng, pool):
    """The picture darkens behind a large title, which stays to the end of the shot or goes again."""
    text, stays = letters(rng, rng.uniform(0.9, 1.4), 3, 0.35), rng.random() < 0.5
    out, k = shot.astype(np.float32), int(rng.integers(5, 20))
    for t in range(20, len(out)):
        share = min(1, (t - 19) / k, 9.0 if stays else max(0, (60 + k - t) / k))
        out[t] = out[t] * (1 - 0.5 * share) * (1 - text * share) + 250 * text * share
    return np.clip(out, 0, 255).astype(np.uint8), (20, len(out) - 1)


LIGHT = {
    f.__name__: f for f in (flash, flashes, explosion, light_step, exposure, flicker, twos, focus, strobe, lamps, snow)
}
OVER = {f.__name__: f for f in (passing, title, title_box, caption, logo, inset, end_title)}
