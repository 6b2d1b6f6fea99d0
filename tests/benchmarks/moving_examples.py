"""Random examples to train the network of wanprep/signals/moving.py with (train_moving.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from mark_examples import HEIGHT, WIDTH, Clip, Examples
from movers import creature, logo, placed, vehicle

MADE = ("painted", "generated", "traffic")  # at two pictures a second; the others at four
COVERS = [0.2, 0.25, 0.3, 0.3, 0.4, 0.5, 0.7, 1.0, 1.0]
TONES = [255, 255, 255, 255, 235, 200, 120, 0, 0]


class Moving(Examples):
    """Scenes as in training of marks that stay, with more that moves by itself; over six in ten a mark moves."""

    def __init__(self, clips: Sequence[Clip], words: Sequence[np.ndarray], seed: int) -> None:
        super().__init__(clips, words, seed)
        self.words = words
        self.real = {id(clip[2]) for clip in clips if not clip[0].startswith(MADE)}

    def shown(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """(uint8[count, h, w] thumbnails, float32[count, h, w]: how far each pixel is drawn on)."""
        rng = self.rng
        x = self._scene(count)
        if x.ndim == 4:  # what moves is looked for in luma alone
            x = np.stack([cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY) for picture in x])
        target = np.zeros((count, HEIGHT // 2, WIDTH // 2), np.float32)
        for _ in range(int(rng.choice([0, 0, 1, 1, 2, 3]))):
            self._innocent()(x)
        if rng.random() < 0.6:
            self._move_a_mark(x, target)
        self._bars(x, np.zeros((HEIGHT // 8, WIDTH // 8), bool))
        return self._small(x), target

    # --- scenes --------------------------------------------------------------------------------------------------

    def _footage(self, frames: np.ndarray, count: int) -> tuple[np.ndarray, bool]:
        """A part of the clip at one pace or another, to and fro where it is too short, larger or as it is; or one of
        its pictures throughout."""
        rng, n = self.rng, len(frames)
        pace = int(rng.choice([1, 2, 2, 2, 3]) if id(frames) in self.real else 1)
        which = int(rng.integers(n)) + pace * np.arange(count)
        which = (n - 1) - np.abs((n - 1) - which % (2 * n - 2)) if n > 1 else 0 * which
        fixed = rng.random() < 0.12
        if fixed:
            which[:] = which[0]
        seen = frames[which if rng.random() < 0.5 else which[::-1]]
        height, width = seen.shape[1:]
        size = (0.0 if rng.random() < 0.4 else rng.uniform(0, 0.45)) * np.array([1, 1])
        top, left = (size * rng.uniform(0, 1, 2) * (height, width)).astype(int)
        tall, wide = ((1 - size) * (height, width)).astype(int)
        part = seen[:, top : top + tall, left : left + wide]
        return np.stack([cv2.resize(p, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR) for p in part]), bool(fixed)

    def _furnished(self, still: np.ndarray) -> np.ndarray:
        """Lettering that is a part of the scene, besides the rest."""
        out = super()._furnished(still)
        for _ in range(int(self.rng.integers(0, 4))):
            part, place = self._word(), self.rng.uniform(-0.1, 1, 2) * still.shape
            placed(out, part, place, float(self.rng.choice([0.6, 1.0])), float(self.rng.uniform(0, 255)))
        return out

    # --- what moves and is no mark ---------------------------------------------------------------------------------

    def _innocent(self) -> Callable[[np.ndarray], None]:
        kinds = (self._sign, self._drive, self._drive, self._walk, self._turn, self._turn, self._parallax)
        return kinds[int(self.rng.integers(len(kinds)))]

    def _course(self, count: int, pace: tuple[float, float] = (8, 45)) -> np.ndarray:
        """float[count, 2]: rows and columns of a thing that goes its way, more or less evenly."""
        rng = self.rng
        steps = rng.normal(0, 1, 2) * pace + rng.normal(0, rng.choice([0.0, 1.0, 4.0]), (count, 2))
        middle = rng.uniform(0, 1, 2) * (HEIGHT, WIDTH)
        return middle + np.cumsum(steps, axis=0) - steps[: count // 2 + 1].sum(axis=0)

    def _paste(self, x: np.ndarray, looks: Sequence[tuple[np.ndarray, np.ndarray]], course: np.ndarray) -> None:
        """Draw (tones, cover) of each picture along a course, larger or smaller from one to the next (in place)."""
        rng = self.rng
        grow, turn = rng.normal(0, 0.05), rng.normal(0, rng.choice([0.0, 2.0, 12.0]))
        size, soft = float(np.exp(rng.normal(0, 0.25))), rng.random() < 0.5
        if rng.random() < 0.4:  # to the pixel, as in cartoons
            grow, turn, size, soft, course = 0.0, 0.0, 1.0, False, np.round(course)
        for k, (down, across) in enumerate(course):
            tones, cover = looks[k % len(looks)]
            scale = min(3.0, size * np.exp(grow * k))
            matrix = cv2.getRotationMatrix2D((tones.shape[1] / 2, tones.shape[0] / 2), turn * (k - len(x) / 2), scale)
            matrix[:, 2] += across - tones.shape[1] / 2, down - tones.shape[0] / 2
            shape = cv2.warpAffine(cover, matrix, (WIDTH, HEIGHT))
            picture = cv2.warpAffine(tones, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
            if soft:
                shape, picture = cv2.blur(shape, (3, 3)), cv2.blur(picture, (3, 3))
            share = shape.astype(np.float32) / 255
            x[k] = (x[k] * (1 - share) + picture * share + 0.5).astype(np.uint8)

    def _sign(self, x: np.ndarray) -> None:
        """A panel with lettering, as on a vehicle or a wall that is passed."""
        rng, part = self.rng, self._word()
        part = np.pad(part, int(rng.integers(2, 14)))
        tone, ink = rng.uniform(0, 255, 2)
        tones = (tone + (ink - tone) * (part / 255.0)).astype(np.uint8)
        self._paste(x, [(tones, np.full_like(tones, 255))], self._course(len(x)))

    def _drive(self, x: np.ndarray) -> None:
        """Vehicles, all one way or both."""
        rng = self.rng
        for _ in range(int(rng.integers(1, 4))):
            word = self._word() if rng.random() < 0.25 else None
            looks = [vehicle(rng, word)]
            course = self._course(len(x), (float(rng.choice([0.0, 0.0, 5.0])), 60))
            self._paste(x, looks, course)

    def _walk(self, x: np.ndarray) -> None:
        """People or animals, legs or wings in another pose in each picture."""
        rng = self.rng
        seed, bird = int(rng.integers(1 << 30)), rng.random() < 0.3
        looks = [creature(np.random.default_rng(seed), phase, bird) for phase in rng.uniform(0, 2 * np.pi, 8)]
        for _ in range(int(rng.integers(1, 6 if bird else 3))):
            self._paste(x, looks, self._course(len(x), (4, 25)))

    def _turn(self, x: np.ndarray) -> None:
        """Balls, boxes and pieces of other pictures; plain, shaded or as they are."""
        rng = self.rng
        tall, wide = (int(v) for v in np.exp(rng.uniform(np.log(14), np.log(150), 2)))
        other = cv2.resize((frames := self._clip())[rng.integers(len(frames))], (WIDTH, HEIGHT))
        top, left = int(rng.integers(0, HEIGHT - tall)), int(rng.integers(0, WIDTH - wide))
        tones, kind = other[top : top + tall, left : left + wide].copy(), rng.random()
        if kind < 0.5:
            ramp = np.linspace(0, float(rng.choice([0, 0, 30, 90])), wide)[None] + np.zeros((tall, 1))
            tones = np.clip(float(rng.integers(256)) + ramp, 0, 255).astype(np.uint8)
        cover = np.zeros_like(tones)
        if rng.random() < 0.5:
            cv2.ellipse(cover, (wide // 2, tall // 2), (wide // 2 - 1, tall // 2 - 1), 0, 0, 360, 255, -1, cv2.LINE_AA)
        else:
            corners = rng.uniform(0, 1, (int(rng.integers(3, 8)), 2)) * (wide, tall)
            cv2.fillPoly(cover, [cv2.convexHull(corners.astype(np.int32))], 255, cv2.LINE_AA)
        if rng.random() < 0.2:
            cover = (cover * rng.uniform(0.4, 1)).astype(np.uint8)  # glass, shadows
        self._paste(x, [(tones, cover)], self._course(len(x)))

    def _parallax(self, x: np.ndarray) -> None:
        """Poles, twigs and leaves between the camera and the scene, all at one pace, not that of the scene."""
        rng = self.rng
        wide = 3 * WIDTH
        tones = np.full((HEIGHT, wide), int(rng.integers(256)), np.uint8)
        cover = np.zeros_like(tones)
        for _ in range(int(rng.integers(3, 14))):
            x0, x1 = (int(v) for v in rng.integers(0, wide, 2))
            y0, y1 = (int(v) for v in rng.integers(-40, HEIGHT + 40, 2))
            thick, kind = int(rng.integers(1, 14)), rng.random()
            if kind < 0.4:
                cv2.line(cover, (x0, -10), (x0 + int(rng.normal(0, 12)), HEIGHT + 10), 255, thick, cv2.LINE_AA)
            elif kind < 0.6:
                cv2.line(cover, (x0, y0), (x0 + (x1 - x0) // 6, y1), 255, 1 + thick // 3, cv2.LINE_AA)
            else:
                for _ in range(int(rng.integers(1, 9))):
                    at = x0 + int(rng.normal(0, 20)), y0 + int(rng.normal(0, 20))
                    cv2.ellipse(cover, at, (3 + thick, 2 + thick // 2), float(rng.uniform(0, 180)), 0, 360, 255, -1)
        if rng.random() < 0.5:
            cover = cv2.GaussianBlur(cover, (0, 0), float(rng.uniform(0.5, 4)))
        tones = np.clip(tones + rng.normal(0, 12, tones.shape), 0, 255).astype(np.uint8)
        start, pace = rng.uniform(-2, 0) * WIDTH, rng.normal(0, 50)
        for k in range(len(x)):
            at = int(np.clip(start + pace * (k - len(x) / 2), -2 * WIDTH, 0))
            share = cover[:, -at : WIDTH - at].astype(np.float32) / 255
            x[k] = (x[k] * (1 - share) + tones[:, -at : WIDTH - at] * share + 0.5).astype(np.uint8)

    # --- marks -------------------------------------------------------------------------------------------------------

    def _word(self) -> np.ndarray:
        """Small print more often than the words come."""
        rng, word = self.rng, self.words[int(self.rng.integers(len(self.words)))]
        if rng.random() < 0.3 and word.shape[0] > 24:
            tall = int(rng.integers(15, 26))
            wide = max(8, word.shape[1] * tall // word.shape[0])
            word = cv2.resize(word, (wide, tall), interpolation=cv2.INTER_AREA)
        return word

    def _mark(self) -> np.ndarray:
        """uint8[h, w]: lettering, a logo, or a logo before its name."""
        rng, kind = self.rng, self.rng.random()
        if kind < 0.5:
            return self._word()
        drawn = logo(rng, self._word())
        if kind > 0.88:
            word = self._word()
            tall = max(8, word.shape[0])
            wide = max(4, drawn.shape[1] * tall // drawn.shape[0])
            drawn = cv2.resize(drawn, (wide, tall), interpolation=cv2.INTER_AREA)
            drawn = np.hstack([drawn, word])[:, : WIDTH - 16]
        return drawn

    def _move_a_mark(self, x: np.ndarray, target: np.ndarray) -> None:
        rng, mark = self.rng, self._mark()
        cover, level = float(rng.choice(COVERS)), float(rng.choice(TONES))
        rim, shadow, panel = rng.random() < 0.2, rng.random() < 0.12, rng.random() < 0.06
        if rng.random() < 0.06:
            mark = (cv2.GaussianBlur(mark, (0, 0), 1.0) * 1.0).astype(np.uint8)
        mark = np.pad(mark, 3)
        wrapped = mark.shape[1] > WIDTH // 3 and rng.random() < 0.5  # a ticker comes in again on the other side
        for k, place in enumerate(self._way(mark, len(x))):
            turns = [place + np.array([0, shift]) for shift in ((0, -WIDTH, WIDTH) if wrapped else (0,))]
            drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
            for at in turns:
                if panel:
                    placed(x[k], np.full_like(mark, 255), at, 0.6, 255.0 - level)
                if rim:
                    placed(x[k], cv2.dilate(mark, np.ones((5, 5), np.uint8)), at, cover * 0.7, 255.0 - level)
                if shadow:
                    placed(x[k], mark, at + 2, cover * 0.7, 0.0)
                placed(x[k], mark, at, cover, level)
                placed(drawn, mark, at, 1.0, 255.0)
            target[k] = cv2.resize(drawn, (WIDTH // 2, HEIGHT // 2), interpolation=cv2.INTER_AREA) / 255.0

    def _way(self, mark: np.ndarray, count: int) -> np.ndarray:
        """float[count, 2]: rows and columns of its corner: it jumps, goes straight on, or bounces off the edges."""
        rng, how = self.rng, self.rng.random()
        room = np.maximum(np.array([HEIGHT, WIDTH]) - mark.shape, 1)
        start = rng.uniform(0, 1, 2) * room
        if how < 0.08:
            at, other = int(rng.integers(1, count)), rng.uniform(0, 1, 2) * room
            return np.stack([start if k < at else other for k in range(count)])
        pace = np.exp(rng.uniform(np.log(4), np.log(110))) * np.array([rng.uniform(0.1, 0.8), 1.0])
        pace = (pace[::-1] if rng.random() < 0.12 else pace) * rng.choice([-1, 1], 2)
        if how < 0.3:
            pace[0] = 0.0
        steps = np.arange(count)[:, None] - count / 2
        if how < 0.65:
            return start + pace * steps
        return np.abs((start + pace * steps + room) % (2 * room) - room)
