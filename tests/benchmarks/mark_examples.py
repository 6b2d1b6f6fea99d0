"""Random examples to train the network of wanprep/signals/marks.py with (train_marks.py)."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from innocents import detailed, drawn_scene, falling, over, paved, sprinkled, swayed
from mark_found import Found

from wanprep.signals.thumbs import LUMA, encode

WIDTH, HEIGHT = 512, 288  # of the pictures that marks are drawn on; thumbnails are half of it
REAL = 0.65  # share of examples over real footage, where there is any
SLOW = 0.42  # of examples over footage as if the camera stood still (mark_slow.py), where there is any
DRAWN = 0.12  # of examples over scenes that are drawn themselves, in colour
FOUND, GREY = 0.35, 0.4  # of examples over other material (mark_found.py), where there is any; of these, in grey
NONE, MARK, HIDDEN = 0, 1, 2  # what a place shows: nothing, a mark, a mark that changes nothing visible
FAINT = 3.0  # levels: what a mark changes less is not seen
Clip = tuple[str, int, np.ndarray]  # source, number, uint8[M, h, WIDTH]


class Examples:
    """Random training examples: a scene, filmed, darkened or blurred, most often with a mark over it.

    Scenes are clips as they are, and stills of them under a camera that moves or not, with things of other clips
    passing by: what stands still without being drawn, and marks over every kind of motion.
    """

    FURNITURE, FURNISHED = (4, 60), 0.3  # pixels of windows, lines and discs of a scene; how many stills have some

    def __init__(
        self,
        clips: Sequence[Clip],
        marks: Sequence[np.ndarray],
        seed: int,
        slow: Sequence[Clip] = (),
        found: Found | None = None,
    ) -> None:
        self.marks, self.rng, self.slow = marks, np.random.default_rng(seed), [clip[2] for clip in slow]
        self.found = found
        made = [clip[2] for clip in clips if clip[0].startswith(("painted", "generated", "traffic"))]
        real = [clip[2] for clip in clips if not clip[0].startswith(("painted", "generated", "traffic"))]
        self.pools = [real, made] if real and made else [real or made] * 2

    def draw(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """(uint8[count, h, w] thumbnails, or uint8[count, h, w, 3], uint8[h/4, w/4]: NONE, MARK or HIDDEN)."""
        rng = self.rng
        x = self._scene(count)
        target = np.zeros((HEIGHT // 8, WIDTH // 8), np.uint8)
        if rng.random() < 0.12:  # lettering that moves with the scene, or across it, is no overlay
            step, start = rng.uniform(4, 40, 2) * rng.choice([-1, 1], 2), rng.uniform(-60, 60, 2)
            mark, cover, level = self._mark(), float(rng.choice([0.5, 0.8, 1.0])), float(rng.choice([255, 0, 200]))
            for k in range(count):
                over(x[k : k + 1], np.roll(mark, (start + step * k).astype(int), (0, 1)), cover, level)
        if rng.random() < 0.55:
            target = self._marked(x)
        self._bars(x, target)
        return self._small(x), target

    def _marked(self, x: np.ndarray) -> np.ndarray:
        """Draw a mark (in place): plain, with a rim, a shadow or a panel, sharp or soft; where it shows, as `draw`."""
        rng, mark, before = self.rng, self._mark(), x.mean(axis=0)
        if rng.random() < 0.3:
            mark = np.roll(mark, (int(rng.integers(-40, 40)), int(rng.integers(-60, 60))), (0, 1))
        cover = float(rng.choice([0.2, 0.25, 0.3, 0.3, 0.4, 0.5, 0.7, 1.0]))
        level, style = float(rng.choice([255, 255, 255, 235, 200, 120, 0, 0])), rng.random()
        if x.ndim == 4 and rng.random() < 0.4:
            level = rng.uniform(0, 255, 3)
        if rng.random() < 0.08:
            mark = cv2.GaussianBlur(mark, (0, 0), float(rng.uniform(0.6, 1.4)))
        if style < 0.08:
            self._panel(x, mark)
        elif style < 0.28:  # a rim in the opposite tone
            over(x, cv2.dilate(mark, np.ones((5, 5), np.uint8)), cover * 0.7, 255.0 - level)
        elif style < 0.42:
            away = tuple(int(v) for v in rng.integers(1, 4, 2))
            over(x, np.roll(mark, away, (0, 1)), cover * 0.7, 0.0 if np.mean(level) > 90 else 255.0)
        over(x, mark, cover, level)
        size = WIDTH // 8, HEIGHT // 8
        share = cv2.resize(mark.astype(np.float32) / 255, size, interpolation=cv2.INTER_AREA)
        change = np.abs(x.mean(axis=0) - before)
        change = (change.max(axis=-1) if change.ndim == 3 else change) * (mark > 77)
        change = cv2.resize(change.astype(np.float32), size, interpolation=cv2.INTER_AREA) / np.maximum(share, 1e-3)
        return np.where(share > 0.04, np.where(change < FAINT, HIDDEN, MARK), NONE).astype(np.uint8)

    def _small(self, x: np.ndarray) -> np.ndarray:
        """Half the size, with noise, now and then coded as films are, and as thumbnails are kept."""
        rng = self.rng
        sigma, grain = rng.uniform(0, 1.8), rng.normal(0, 1, (HEIGHT // 2 + 32, WIDTH // 2 + 32)).astype(np.float32)
        film, coarse = int(rng.integers(25, 85)) * int(rng.random() < 0.2), int(rng.integers(40, 95))
        coarse *= int(rng.random() < 0.2)
        out = []
        for picture in x:
            top, left = rng.integers(0, 32, 2)
            if film:
                picture = coded(picture, film)
            half = cv2.resize(picture, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA).astype(np.float32)
            noise = sigma * grain[top : top + HEIGHT // 2, left : left + WIDTH // 2]
            half += noise[..., None] if half.ndim == 3 else noise
            half = np.clip(half + 0.5, 0, 255).astype(np.uint8)
            out.append(kept(coded(half, coarse) if coarse else half))
        return np.stack(out)

    def _scene(self, count: int) -> np.ndarray:
        """uint8[count, HEIGHT, WIDTH], or with 3 colours."""
        rng = self.rng
        frames, how = self._clip(), rng.random()
        if self.found and rng.random() < FOUND:
            x, fixed = self.found.scene(rng, count, self._filmed)
            if rng.random() < GREY:
                x = np.stack([cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in x])
        elif how < DRAWN:
            x, fixed = drawn_scene(rng, count, self._word), False
        elif how < DRAWN + 0.55 * (1 - DRAWN):
            x, fixed = self._footage(frames, count)
        else:
            x, fixed = self._filmed(frames[rng.integers(len(frames))], count)
        if fixed and rng.random() < 0.35:
            x = swayed(x[0], count, rng)
        if rng.random() < (0.6 if fixed else 0.15):
            self._passing(x)
        if rng.random() < 0.1:
            x = np.ascontiguousarray(x)
            falling(x, rng)
        if rng.random() < 0.5:
            x = x[:, :, ::-1]
        if rng.random() < 0.1:
            x = x[:, ::-1]
        gain, offset = (rng.uniform(0.5, 1.3), rng.uniform(-20, 30)) if rng.random() < 0.4 else (1.0, 0.0)
        if rng.random() < 0.1:
            gain, offset = -gain, 255 - offset
        x = np.clip(np.arange(256) * gain + offset, 0, 255).astype(np.uint8)[x]
        if rng.random() < 0.25:
            reach = 2 * int(rng.integers(1, 3)) + 1
            x = np.stack([cv2.blur(f, (reach, reach)) for f in x])
        return np.ascontiguousarray(x)

    def _clip(self) -> np.ndarray:
        if self.slow and self.rng.random() < SLOW:
            return self.slow[self.rng.integers(len(self.slow))]
        pool = self.pools[int(self.rng.random() > REAL)]
        return pool[self.rng.integers(len(pool))]

    def _footage(self, frames: np.ndarray, count: int) -> tuple[np.ndarray, bool]:
        """A part of the clip as it is, or one of its pictures throughout."""
        rng = self.rng
        n, height, width = frames.shape
        which = np.linspace(0, n - 1, count).round().astype(int)
        if rng.random() < 0.2:
            which = np.sort(rng.integers(0, n, count))
        fixed = rng.random() < 0.12
        if fixed:
            which[:] = which[0]
        zoom = rng.uniform(0.55, 1.0) if rng.random() < 0.7 else 1.0
        h, w = int(height * zoom), int(width * zoom * rng.uniform(0.85, 1))
        top, left = rng.integers(height - h + 1), rng.integers(width - w + 1)
        part = frames[:, top : top + h, left : left + w]
        seen = {k: cv2.resize(part[k], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for k in set(which.tolist())}
        return np.stack([seen[k] for k in which.tolist()]), bool(fixed)

    def _filmed(self, still: np.ndarray, count: int) -> tuple[np.ndarray, bool]:
        """One picture under a camera that pans, zooms, turns and trembles, or stands still; mirrored at its edges."""
        rng = self.rng
        height, width = still.shape[:2]
        if still.ndim == 2:
            still = self._filled(still)
        fixed = rng.random() < 0.35
        angle, speed = rng.uniform(0, 2 * np.pi), 0.0 if fixed else float(np.exp(rng.uniform(0, 4)))
        step = speed * np.array([np.cos(angle), 0.5 * np.sin(angle)])
        zoom, turn, hand = (
            (0.0, 0.0, 0.0) if fixed else (rng.normal(0, 0.015), rng.normal(0, 0.6), rng.exponential(1.5))
        )
        size = rng.uniform(1.0, 1.8) if rng.random() < 0.7 else rng.uniform(0.45, 1.0)
        scale, tilt = WIDTH / width * size, rng.normal(0, 3)
        at = np.array([width, height]) * (0.5 + rng.uniform(-0.2, 0.2, 2))
        out = []
        for k in range(count):
            m = cv2.getRotationMatrix2D((0.0, 0.0), tilt + turn * k, scale * np.exp(zoom * k))
            x, y = at + step * k + rng.normal(0, hand + 1e-9, 2)
            m[:, 2] = (WIDTH / 2 - m[0, 0] * x - m[0, 1] * y, HEIGHT / 2 - m[1, 0] * x - m[1, 1] * y)
            out.append(
                cv2.warpAffine(still, m, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
            )
        return np.stack(out), bool(fixed)

    def _filled(self, still: np.ndarray) -> np.ndarray:
        """Now and then with things that are sharp or fine, but part of the scene."""
        rng = self.rng
        if rng.random() < self.FURNISHED:
            still = self._furnished(still)
        if rng.random() < 0.15:
            still = sprinkled(still, rng)
        if rng.random() < 0.1:
            still = paved(still, rng)
        if rng.random() < 0.25:
            still = detailed(still, [(c := self._clip())[rng.integers(len(c))] for _ in range(3)], rng)
        return still

    def _furnished(self, still: np.ndarray) -> np.ndarray:
        """Rows of windows, lines, discs: things as sharp as what is drawn over a picture, but part of the scene."""
        rng, out = self.rng, still.copy()
        height, width = out.shape
        for _ in range(int(rng.integers(1, 4))):
            x, y = int(rng.integers(width)), int(rng.integers(height))
            w, h = (int(v) for v in rng.integers(*self.FURNITURE, 2))
            tone, thick = float(rng.uniform(0, 255)), int(rng.choice([-1, -1, 1, 2, 3]))
            kind, row, column = int(rng.integers(4)), int(rng.integers(1, 9)), int(rng.integers(1, 4))
            for i in range(row):
                for j in range(column):
                    a, b = int(x + i * w * 1.5), int(y + j * h * 1.5)
                    if kind == 0:
                        cv2.rectangle(out, (a, b), (a + w, b + h), tone, thick)
                    elif kind == 1:
                        cv2.circle(out, (a, b), min(w, h) // 2 + 1, tone, thick, cv2.LINE_AA)
                    elif kind == 2:
                        cv2.line(out, (a, b), (a + w, b + (h if j % 2 else 0)), tone, max(1, thick), cv2.LINE_AA)
                    else:
                        cv2.line(out, (a, b), (a, b + h), tone, max(1, thick), cv2.LINE_AA)
        return out

    def _passing(self, x: np.ndarray) -> None:
        """Pieces of another clip, or plain ones, cross the picture (in place)."""
        rng = self.rng
        other = self._clip()
        other = cv2.resize(other[rng.integers(len(other))], (WIDTH, HEIGHT))
        if x.ndim == 4:
            other = cv2.cvtColor(other, cv2.COLOR_GRAY2BGR)
        for _ in range(int(rng.integers(1, 4))):
            w, h = int(rng.integers(20, 260)), int(rng.integers(20, 200))
            top, left = int(rng.integers(0, HEIGHT - h)), int(rng.integers(0, WIDTH - w))
            piece, shape = other[top : top + h, left : left + w], np.zeros((h, w), np.uint8)
            if rng.random() < 0.3:
                piece = np.full_like(piece, int(rng.integers(256)))
            if rng.random() < 0.5:
                cv2.ellipse(shape, (w // 2, h // 2), (w // 2, h // 2), 0, 0, 360, 1, -1)
            else:
                shape[:] = 1
            place, pace = rng.uniform(-0.3, 1, 2) * (HEIGHT, WIDTH), rng.normal(0, 1, 2) * (8, 60)
            for k in range(len(x)):
                a, b = (place + pace * k).astype(int)
                a0, b0, a1, b1 = max(a, 0), max(b, 0), min(a + h, HEIGHT), min(b + w, WIDTH)
                if a0 < a1 and b0 < b1:
                    inside = slice(a0 - a, a1 - a), slice(b0 - b, b1 - b)
                    view = x[k, a0:a1, b0:b1]
                    seen = shape[inside] > 0
                    np.copyto(view, piece[inside], where=seen[..., None] if x.ndim == 4 else seen)

    def _mark(self) -> np.ndarray:
        return cv2.resize(self.marks[self.rng.integers(len(self.marks))], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)

    def _word(self) -> np.ndarray:
        """uint8[h, w]: what is drawn of a mark."""
        mark = self._mark()
        rows, columns = np.flatnonzero(mark.any(axis=1)), np.flatnonzero(mark.any(axis=0))
        return mark[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] if len(rows) else mark

    def _panel(self, x: np.ndarray, mark: np.ndarray) -> None:
        rows, columns = np.nonzero(mark > 77)
        if len(rows):
            p = int(self.rng.integers(3, 12))
            up, left = max(0, int(rows.min()) - p), max(0, int(columns.min()) - p)
            part = x[:, up : int(rows.max()) + p, left : int(columns.max()) + p]
            part[:] = (part * self.rng.uniform(0.2, 0.7)).astype(np.uint8)

    def _bars(self, x: np.ndarray, target: np.ndarray) -> None:
        """Letterbox or pillarbox, now and then, also over the mark."""
        draw, level = self.rng.random(), int(self.rng.integers(0, 14))
        wide = int(self.rng.integers(8, 52))
        if draw < 0.1:
            x[:, :wide] = x[:, -wide:] = level
            target[: wide // 8] = target[target.shape[0] - wide // 8 :] = NONE
        elif draw < 0.16:
            x[:, :, :wide] = x[:, :, -wide:] = level
            target[:, : wide // 8] = target[:, target.shape[1] - wide // 8 :] = NONE


def coded(picture: np.ndarray, quality: int) -> np.ndarray:
    """uint8[h, w] or [h, w, 3] through JPEG."""
    file = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(file, cv2.IMREAD_COLOR if picture.ndim == 3 else cv2.IMREAD_GRAYSCALE)


def kept(picture: np.ndarray) -> np.ndarray:
    """As thumbnails are kept."""
    if picture.ndim == 2:
        return coded(picture, LUMA)
    return cv2.imdecode(np.frombuffer(encode(picture), np.uint8), cv2.IMREAD_COLOR)
