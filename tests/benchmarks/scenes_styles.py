"""Animated shots in unusual styles: pixels, pencil, neon, woodcut, mosaic, clay, paper, ink wash, lights and others:
one stock of things and actors is drawn by another brush, in another layout and light in each, so that an outline is met
in many manners. Each scene gives uint8[count, HEIGHT, WIDTH, 3] BGR, pictures about half a second apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import cv2
import numpy as np
from cartoons import way
from ink import HEIGHT, WIDTH, Rng, Tone, Word, fill, label, line, tone, turned

EDGE = np.array([64, 36])  # painted beyond the frame at each side, across and down, for the camera to go over
WIDE, HIGH = WIDTH + 128, HEIGHT + 72
GRAIN = cv2.GaussianBlur(np.random.default_rng(1).normal(0, 2, (HIGH, WIDE)).astype(np.float32), (0, 0), 0.8)[..., None]
Act = Callable[[np.ndarray, int], object]  # draws what moves over a picture, when
Brush = Callable[[np.ndarray, np.ndarray, int], object]  # draws an outline in a colour of a palette: -1 ink, -2 light
Spot = tuple[slice, slice]  # which part of a picture
# Pieces of each: a form, its colour, ~ how far it swings or * how fast it turns (about its first point), its measures.
# r: rectangle, o: oval, p: corners, l: limb, s: star, g: panes, c: ring of dots. After the gap: actors.
TABLE = """house|r3 15 -98 10 50|r0 -40 -60 80 60|p1 -50 -60 0 -100 50 -60|g-2 -34 -54 68 28 2 4|r2 -7 -22 14 22;\
tower|r0 -20 -86 40 86|g0 -22 -94 44 9 1 4|g-2 -16 -80 32 60 5 3|r2 -5 -10 10 10|p1~9 0 -115 0 -94 22 -104;tree|l6 0 \
0 0 -60 7 4|o4 -18 -62 20 18|o4 16 -60 22 18|o4 0 -80 24 20|c5 0 -68 20 3 6;pine|r6 -4 -20 8 20|p4 -30 -15 0 -53 30 \
-15|p4 -24 -38 0 -76 24 -38|p4 -17 -60 0 -98 17 -60|s5 0 -98 7 45 5;flower|l4 0 0 0 -70 2 2|o4 13 -30 13 5|c1*9 0 -75 \
17 11 6|o5 0 -75 10 10;sun|s1*6 0 -50 50 70 12|o5 0 -50 30 30|o-1 -9 -54 3 5|o-1 9 -54 3 5;cloud|o-2 -40 -28 32 20|\
o-2 40 -28 34 18|o-2 0 -38 38 24;clock|o0 0 -50 50 50|o-2 0 -50 42 42|c-1 0 -50 35 3 12|l-1*5 0 -50 22 -60 3 1|l-1*30 \
0 -50 5 -85 2 1;jar|r1 -20 -90 40 20|r2 -24 -100 48 12|o0 0 -40 36 40|r-2 -25 -55 50 30|s3 0 -40 13 50 5;books|r0 -50 \
-90 15 90|r-2 -50 -80 15 6|r3 -34 -100 20 100|s-2 -24 -60 7 45 5|p2 0 0 15 0 40 -85 26 -88;flag|r6 -3 -100 5 100|p0~9 \
2 -95 40 -99 72 -93 70 -50 38 -55 2 -50|s5~9 36 -74 14 45 5;car|p0 -40 -55 -25 -95 25 -95 40 -55|g-2 -24 -88 48 28 1 \
2|r0 -70 -57 140 40|c-1 0 -15 40 16 2|c-2 0 -15 40 8 2;badge|p2 0 -30 -30 0 -5 0|p2 0 -30 30 0 5 0|s0 0 -58 42 88 14|\
o1 0 -58 30 30|s5 0 -58 24 45 5;picture|r0 -50 -100 100 100|r3 -40 -90 80 80|o5 20 -72 8 8|p4 -40 -10 -10 -60 20 -30 \
28 -40 40 -10;bunting|p-1 -150 -80 0 -60 150 -80 0 -57|p0 -120 -75 -90 -71 -105 -40|p1 -40 -66 -10 -62 -25 -35;spray|\
l6 0 0 20 -130 3 1|p4~9 4 -30 30 -50 34 -36|p4~9 4 -40 -22 -62 -26 -48|c5 18 -120 8 5 5;;walker|l1~40 0 -46 0 0 6 3|\
l1~40 0 -46 0 0 6 3|l0 0 -44 0 -80 10 13|l3~60 0 -76 24 -56 5 3|o2 1 -90 8 10|r5 -12 -100 26 4;guard|l1~40 0 -46 0 0 \
6 3|l1~40 0 -46 0 0 6 3|l0 0 -44 0 -80 10 12|o2 2 -90 8 9|r-1 22 -112 2 112|o4 18 -56 18 18|s-2 18 -56 14 40 6;horse|\
l0~30 -38 -42 -38 0 6 3|l0~30 -30 -42 -30 0 6 3|l0~30 38 -42 38 0 6 3|l0 34 -56 58 -92 13 7|p1~40 -44 -56 -62 -40 -58 \
-14|o0 0 -52 46 18|l0~30 30 -42 30 0 6 3|o0 64 -90 13 7|p1 52 -96 58 -108 62 -96|o-1 63 -92 2 2;bird|p1~60 0 -50 -16 \
-92 -34 -90|o0 0 -50 34 18|o0 33 -57 13 12|p5 42 -62 60 -56 42 -52|p1~60 6 -50 -30 -98 -14 -48|o-1 36 -60 3 3;fish|\
p1~30 -30 -50 -70 -72 -60 -50 -70 -28|p1 -10 -72 15 -86 22 -66|o0 0 -50 42 26|o-1 29 -55 4 4;ferris|l6 -25 0 0 -55 3 \
3|l6 25 0 0 -55 3 3|s1*25 0 -55 45 20 8|c3*25 0 -55 42 7 8|o5 0 -55 7 7;gears|s0*40 -22 -50 30 78 10|o-2 -22 -50 9 9|\
s1*-40 26 -62 22 76 8|o-2 26 -62 6 6|r3 -50 -14 100 14|c-1 0 -7 42 3 2;robot|r1~20 -16 -30 10 30|r1~20 6 -30 10 30|r0 \
-24 -70 48 42|c5 0 -50 12 4 6|l2~60 -24 -64 -44 -40 4 4|r3 -18 -96 36 24|l2~60 24 -64 44 -40 4 4|c-2 0 -85 8 5 2"""
STOCK, TROUPE = ({row.split("|")[0]: row.split("|")[1:] for row in part.split(";")} for part in TABLE.split(";;"))
HANGING, STANDING = ("sun", "cloud", "clock", "badge", "picture", "bunting", "cloud"), [*[*STOCK][:5], *[*STOCK][8:]]


def rect(x: float, y: float, w: float, h: float) -> np.ndarray:
    return np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]])


def star(x: float, y: float, far: float, inner: float, tips: int) -> np.ndarray:
    angle = np.arange(2 * tips) * np.pi / tips
    return np.stack([np.cos(angle), np.sin(angle)], 1) * np.tile([far, far * inner], tips)[:, None] + [x, y]


def outlines(form: str, v: np.ndarray) -> list[np.ndarray]:
    (x, y, a, b), rows, n = v[:4], round(100 * v[-2]), round(100 * v[-1])
    if form == "l":
        side = np.array([y - b, a - x]) / max(1e-6, float(np.hypot(y - b, a - x)))
        return [np.array([v[:2] + side * v[4], v[2:4] + side * v[5], v[2:4] - side * v[5], v[:2] - side * v[4]])]
    if form == "c":
        return [star(*p, b, 1.0, 5) for p in star(x, y, a, 1.0, n)[::2]]
    if form == "g":
        return [rect(x + a * j / n, y + b * i / rows, 0.7 * a / n, 0.7 * b / rows) for i, j in np.ndindex(rows, n)]
    round_ = star(0, 0, 1, 1, 11) * (a, b) + [x, y]
    return [{"p": v.reshape(-1, 2), "o": round_, "r": rect(x, y, a, b)}[form] if form != "s" else star(x, y, a, b, n)]


def glowing(x: np.ndarray, by: float) -> np.ndarray:
    soft = [cv2.blur(cv2.resize(v, (WIDTH // 4, HEIGHT // 4), interpolation=cv2.INTER_AREA), (7, 7)) for v in x]
    return np.stack([cv2.addWeighted(v, 1, cv2.resize(s, (WIDTH, HEIGHT)), by, 0) for v, s in zip(x, soft)])


class Film:
    """A shot in the making. pal: eight colours, akin or not, a light one and an ink."""

    def __init__(self, rng: Rng, count: int, word: Word) -> None:
        self.rng, self.count, self.word, self.thick = rng, count, word, int(rng.choice([0, 1, 1, 2]))
        self.lamp, self.rough, edge = rng.uniform(-0.2, 0.2, 2), rng.uniform(0.3, 1.3), int(rng.choice([1, 3, 5]))
        self.torn = np.ones((edge, edge), np.uint8)
        hsv = rng.normal(0, 1, (8, 3)) * (rng.choice([8, 25, 90]), 45, 55) + rng.uniform((0, 20, 110), (180, 230, 235))
        hsv = np.clip(np.stack([hsv[:, 0] % 180, *hsv[:, 1:].T], 1), (0, 20, 25), (179, 255, 255)).astype(np.uint8)
        bgr = cv2.cvtColor(hsv[None], cv2.COLOR_HSV2BGR)[0].tolist()
        self.pal: list[Tone] = [*map(tuple, bgr), tone(rng, 225), tone(rng, 0, 45)]

    def inked(self, view: np.ndarray, points: np.ndarray, n: int) -> None:
        fill(view, points, self.pal[n], self.pal[-1], self.thick)

    def made(self, name: str) -> Callable[..., None]:
        (pace, phase, wide), shift = self.rng.uniform((0.5, 0, 0.8), (3, 6, 1.3)), int(self.rng.integers(8))
        pieces = []
        for piece in {**STOCK, **TROUPE}[name]:
            form, colour, how, by, rest = re.fullmatch(r"(\w)(-?\d+)([~*]?)(-?\d*) (.*)", piece).groups("")
            v, c, move = np.array(rest.split(), float) / 100, int(colour), float(by or 0) / 100
            for p in outlines(form, v) if not pieces or self.rng.random() < 0.95 else ():
                pieces.append((p, c if c < 0 else (c + shift) % 8, v[:2], how == "*", move))

        def draw(view: np.ndarray, at: np.ndarray, size: float, brush: Brush, flip: int = 1, k: float = 0) -> None:
            for n, (points, c, pivot, spins, move) in enumerate(pieces):
                angle = move * (k if spins else np.sin(pace * k + phase + np.pi * n))
                brush(view, turned(points, angle, pivot) * (size * flip * wide, size) + at, c)

        return draw

    def scenery(self, view: np.ndarray, brush: Brush, many: int = 18) -> np.ndarray:
        """A land of hills, a wall, a sea or shelves, with things that stand and hang, also in corners and cut off."""
        rng, (high, wide), how = self.rng, view.shape[:2], int(self.rng.integers(4))
        low, edge, boards = high * rng.uniform(0.5, 0.8), EDGE * (wide == WIDE), np.linspace(0.33, 1, 3) * high
        brush(view, rect(-9, -9, wide + 18, high + 18), int(rng.integers(8)))
        for n, y in enumerate(np.sort(rng.uniform(0.5, 0.95, 3)) * high if how in (0, 2) else ()):
            x, swell = np.linspace(-20, wide + 20, 30), rng.uniform(0.02, 0.2) * high * (how == 0)
            ridge = y + 6 * (np.arange(30) % 2) * (how == 2) + swell * np.sin(x / 60 + rng.uniform(0, 6))
            brush(view, np.stack([[-20, *x, wide + 20], [high + 9, *ridge, high + 9]], 1), n + 2)
        step, slant = rng.uniform(14, 60), np.array([[1, 0], [1, 0], [0, 0], [0, 0]]) * rng.choice([0, 0, 20])
        for n, x in enumerate(np.arange(-30, wide + 30, step) if how == 1 else ()):
            brush(view, rect(x, -9, step * 0.6, low + 9) + slant, 1 + 3 * (n % 2))
        for y in boards if how == 3 else [low] * (how == 1):
            brush(view, rect(-9, y, wide + 18, high if how == 1 else 9), 6)
        feet = np.sort(rng.choice(boards, many) if how == 3 else rng.uniform(low, high, many)) / high
        corners = [c for c in ((0, 0.1), (1, 0.1), (0, 1), (1, 1)) if rng.random() < 0.5]
        for c in [*zip(rng.random(many), feet), *corners, *rng.uniform((0, 0.05), (1, 0.35), (many // 3, 2))]:
            at = c * (np.array([wide, high]) - 2 * edge * (c[0] in (0, 1))) + edge * (c[0] in (0, 1))
            draw = self.made(str(rng.choice(HANGING if c[1] < 0.3 else STANDING)))
            draw(view, at + rng.uniform(-9, 9), high * rng.uniform(0.07, 0.28), brush)
        if rng.random() < 0.3:  # a signboard
            at, long = rng.uniform(0.1, 0.8, 2) * (wide, high), high * rng.uniform(0.2, 0.5)
            brush(view, rect(*at, long, long / 3), -2)
            label(view, self.word(), (at[0] + long / 2, at[1] + long / 6), long / 6, self.pal[0])
        return view

    def cast(self, brush: Brush, size: Sequence[float] = (WIDE, HIGH), names: str = "") -> Act:
        """Draws actors, each on its way, when it is given a picture and which one it is."""
        rng, people = self.rng, []
        for name in rng.choice(names.split() or [*TROUPE], int(rng.integers(1, 5)) + 4 * bool(names)):
            at = np.array(size) * rng.uniform((0.1, 0.4 if name in "bird fish" else 0.8 if names else 0.7), (0.9, 0.95))
            tall = size[1] * (rng.uniform(0.5, 0.75) if names else float(np.exp(rng.uniform(-2, -0.5))))
            people.append((self.made(str(name)), at + way(rng, self.count), tall, int(rng.choice([-1, 1]))))
        return lambda view, k: [draw(view, course[k], tall, brush, flip, k) for draw, course, tall, flip in people]

    def filmed(self, backs: Sequence[np.ndarray], act: Act) -> np.ndarray:
        (how, depth), (goes, nears), out = self.rng.random(2), self.rng.normal(0, 1, 2), []
        for k in range(self.count):
            t, shake = k - (self.count - 1) / 2, self.rng.normal(0, 1.5, 2) * (how > 0.92)
            off = np.clip([16 * goes * t, 4 * nears * t], 3 - EDGE, EDGE - 3) * (0.66 < how < 0.82) + shake
            act(view := np.roll(backs[k % len(backs)], round((depth > 0.5) * off[0] / 2), 1), k)  # the far stays behind
            zoom = np.exp(-0.045 * np.sign(nears) * t * (0.82 < how < 0.92))
            x, y = EDGE + off + np.array([WIDTH, HEIGHT]) * (1 - zoom) / 2
            move, flags = np.array([[zoom, 0, x], [0, zoom, y]]), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            out.append(cv2.warpAffine(view, move, (WIDTH, HEIGHT), flags=flags))
        return np.stack(out)

    def staged(self, brush: Brush, many: int = 18, turns: int = 1) -> np.ndarray:
        rng, seed, backs = self.rng, int(self.rng.integers(1 << 30)), []
        for _ in range(turns):
            self.rng = np.random.default_rng(seed)
            backs.append(self.scenery(np.full((HIGH, WIDE, 3), self.pal[-2], np.uint8), brush, many))
        self.rng = rng
        return self.filmed(backs, self.cast(brush))

    def stamped(self, paint: Callable[[np.ndarray, np.ndarray, int, Spot], object]) -> Brush:
        """A brush of what paints by a mask on that part of a picture where an outline is."""

        def brush(view: np.ndarray, points: np.ndarray, n: int) -> None:
            ends = np.clip([points.min(0) - 6, points.max(0) + 7], 0, view.shape[1::-1]).astype(int)
            if (ends[0] < ends[1]).all():
                fill(mask := np.zeros((ends[1] - ends[0])[::-1], np.uint8), points - ends[0], (255,), (0,), 0)
                at = slice(ends[0, 1], ends[1, 1]), slice(ends[0, 0], ends[1, 0])
                paint(view[at], mask, n, at)

        return brush

    def clothed(self, pal: Sequence[Tone], other: Tone, dots: bool) -> Brush:
        cloths, (y, x) = [], np.mgrid[:48, :48] * (2 * np.pi / 48)
        for c, (p, q) in zip(pal, self.rng.integers(-10, 11, (10, 2))):
            wave = np.sin(9 * x + 9 * y) * np.sin(9 * x - 9 * y) * 1.4 if dots else np.sin(p * x + q * y)
            share = np.clip(2 * (wave - self.rng.uniform(-0.8, 0.8)) + 0.5, 0, 1)[..., None]
            cloths.append(np.tile((np.array(c) + np.subtract(other, c) * share).astype(np.uint8), (8, 14, 1))[:, :WIDE])
        lay = self.stamped(lambda part, mask, n, at: cv2.copyTo(cloths[n][at], mask, part))
        return lambda view, p, n: [lay(view, p, n), line(view, p, pal[-1], max(1, self.thick), True)]

    def paper(self, part: np.ndarray, mask: np.ndarray, n: int, at: Spot) -> None:
        torn = (cv2.blur(mask, (5, 5)) + 30 * self.rough * GRAIN[at][..., 0] > 110).astype(np.uint8) * 255
        shade = 255 - cv2.blur(np.roll(mask, (3, 2), (0, 1)), (7, 7)) // 2
        cv2.multiply(part, cv2.cvtColor(shade, cv2.COLOR_GRAY2BGR), part, 1 / 255)
        part[cv2.dilate(torn, self.torn) > 0] = self.pal[-2]
        grain = np.clip(self.rough * 4 * GRAIN[at] + self.pal[n], 0, 255).astype(np.uint8)
        cv2.copyTo(grain, torn, part)

    def clay(self, part: np.ndarray, mask: np.ndarray, n: int, at: Spot) -> None:
        soft = min(9, 2 * (min(mask.shape) // 16) + 3)
        body = cv2.blur(cv2.blur(mask, (soft, soft)), (soft, soft))
        slope = self.lamp[0] * cv2.Sobel(body, cv2.CV_32F, 1, 0) + self.lamp[1] * cv2.Sobel(body, cv2.CV_32F, 0, 1)
        lit = cv2.merge([(0.5 + body / np.float32(500) + slope * (soft / 700)) * v for v in self.pal[n]])
        cv2.copyTo(np.clip(lit, 0, 255).astype(np.uint8), mask, part)

    def wash(self, part: np.ndarray, mask: np.ndarray, n: int, at: Spot) -> None:
        fade = np.linspace(1, 0.1, len(mask), dtype=np.float32) * (0.3 + (n * 3) % 8 / 12) * (mask.size < 2e5)
        share = cv2.blur(mask, (3, 3)) * fade[:, None] * (1 + 0.15 * GRAIN[at][..., 0]) / 255
        part[:] = part * (1 - (share := share.clip(0, 1)[..., None])) + np.float32(self.pal[-1]) * share

    def pencil(self) -> np.ndarray:
        """On paper with a pencil or a pen, washed or not; the drawing is a new one each time, or it holds still."""
        rng, lead, papers = np.random.default_rng(1), tone(self.rng, 20, 130), (None, tone(self.rng, 215))

        def brush(view: np.ndarray, p: np.ndarray, n: int) -> None:
            fill(view, p + rng.normal(0, 1.5, 2), papers[self.thick % 2] or self.pal[n], lead, 0)
            line(view, p + rng.normal(0, self.rough, p.shape), lead, 1, True)
            if n % 3 == 0 and np.ptp(p) < 150:  # hatched from side to side
                line(view, np.stack([p, p[::-1]], 1).reshape(-1, 2), lead, 1)

        x = self.staged(brush, 16, int(self.rng.choice([1, 2, 3]))) + GRAIN[:HEIGHT, :WIDTH] * 5 * self.rough
        return np.clip(x, 0, 255).astype(np.uint8)

    def lines(self, glow: float = 0.0) -> np.ndarray:
        pal, board = [tuple(min(255, 2 * v) for v in c) for c in self.pal], tone(self.rng, 0, 40)
        x = self.staged(lambda view, p, n: fill(view, p, board, pal[n if n >= 0 else -2], max(1, self.thick)), 16)
        dust = np.clip(GRAIN[:HEIGHT, :WIDTH] * 90, 0, 255)
        return glowing(x, glow) if glow else np.maximum(x - np.minimum(dust, x), board).astype(np.uint8)

    def laid(self, how: str) -> np.ndarray:
        cell, (wide, high) = int(self.rng.integers(5, 12)), (WIDTH, HEIGHT)
        at = np.stack([g.ravel() for g in np.mgrid[: high // cell, : wide // cell]], 1) * cell + cell / 2
        at = at + self.rng.normal(0, 0.3 * cell, at.shape) * (how == "glass")
        seeds = np.ones((high, wide), np.uint8)
        seeds[tuple(np.clip(at, 0, (high - 1, wide - 1)).astype(int).T)] = 0
        near = cv2.distanceTransformWithLabels(seeds, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)[1] - 1
        light = self.rng.normal(1, self.rng.uniform(0.02, 0.12), near.max() + 1).astype(np.float32)[near]
        (y, x), joint = np.mgrid[:high, :wide] % cell, (near != np.roll(near, 1, 0)) | (near != np.roll(near, 1, 1))
        joint = (np.abs(y - x) > 1) & (np.abs(y + x - cell + 1) > 1) if how == "stitch" else joint
        light[joint] *= self.rng.uniform(0.2, 0.8)
        small = [cv2.blur(v, (5, 5))[seeds == 0] for v in self.staged(self.inked)]
        return np.stack([np.clip(s[near] * light[..., None], 0, 255).astype(np.uint8) for s in small])

    def night(self) -> np.ndarray:
        rng, bright, back = self.rng, [tone(self.rng, 60) for _ in range(9)], np.zeros((HIGH, WIDE, 3), np.uint8)
        pal = [*(tuple(v // 5 for v in c) for c in self.pal[:8]), bright[0], (12, 5, 5)]
        self.scenery(back, lambda view, p, n: fill(view, p, pal[n], pal[-1], 0))
        for _ in range(int(rng.integers(0, 4))):
            (x, y), tall = rng.uniform(0.1, 0.9, 2) * (WIDE, HIGH), rng.uniform(9, 20)
            fill(back, rect(x - 3 * tall, y - tall, 6 * tall, 2 * tall), pal[-1], bright[2], 2)  # a sign
            label(back, self.word(), (x, y), tall, bright[1])
        spots, blink = rng.uniform(0, 1, (50, 2)) * (WIDE, HIGH), rng.random(50) < 0.3
        sizes = np.exp(rng.uniform(0, 2.3, 50))
        runs = rng.normal(0, 1, (50, 2)) * (20, 2) * (rng.random((50, 1)) < 0.4)
        play = self.cast(lambda view, p, n: fill(view, p, pal[n], bright[n % 9], 1))
        lit = lambda view, n, k: fill(view, star(*(spots[n] + k * runs[n]), sizes[n], 1.0, 8), bright[n % 9], (0,), 0)  # noqa: E731
        act = lambda view, k: [play(view, k), *(lit(view, n, k) for n in range(50) if (n + k) % 3 or not blink[n])]  # noqa: E731
        return glowing(self.filmed([back], act), rng.uniform(0.7, 1.6))

    def pixels(self, above: bool) -> np.ndarray:
        """A game of large pixels, from the side or from above: land of tiles, things and beasts on it."""
        rng, scale, cell = self.rng, int(self.rng.choice([2, 3, 4])), int(self.rng.choice([8, 10, 12, 16]))
        wide, high, self.thick = WIDTH // scale + 1, HEIGHT // scale + 1, min(1, self.thick)
        rows, columns, half = high // cell + 2, wide // cell * 2 + 2, rng.choice([0, 0, 0, 1, 2], (10, cell, cell // 2))
        art = np.concatenate([half, half[:, :, ::-1]], 2)
        art[:, 0], art[:, -1], art[0] = 2, 3, 0
        tiles = np.array(self.pal)[:, None, None] * np.array([1, 0.85, 1.1, 0.6])[art][..., None]
        land = cv2.resize(rng.random((4, 9)).astype(np.float32), (columns, rows), interpolation=cv2.INTER_CUBIC)
        side = (np.arange(rows)[:, None] > rows * (0.5 + 0.4 * land[0])) * (1 + (land > 0.5))
        side = np.where(side, side, 3 * (np.arange(rows)[:, None] > rows * (0.2 + 0.5 * land[-1])))
        grid = np.clip(land * 4, 0, 3).astype(int) if above else side
        grid[2::7], grid[:, 5::11] = (7, 6) if above else (grid[2::7], grid[:, 5::11])  # roads
        for r, c, n, long in rng.integers((0, 0, 3, 1), (rows, columns, 10, 6), (14, 4)):
            grid[r : r + 1 + above * (long % 3), c : c + long] = n
        level = np.clip(tiles[grid].swapaxes(1, 2).reshape(rows * cell, -1, 3), 0, 255).astype(np.uint8)
        for at in rng.uniform(0, 1, (20, 2)) * level.shape[1::-1] // cell * cell:
            self.made(str(rng.choice([*STOCK])))(level, at, cell * rng.uniform(1.2, 3), self.inked)
        act, scroll, out = self.cast(self.inked, (wide, high)), int(rng.choice([0, 0, 5])), []
        for k in range(self.count):
            act(view := level[:high, scroll * k : scroll * k + wide].copy(), k)
            out.append(np.repeat(np.repeat(view, scale, 0), scale, 1)[:HEIGHT, :WIDTH])
        return np.stack(out)


STYLES: dict[str, Callable[[Film], np.ndarray]] = {
    "woodcut": lambda f: f.staged(f.clothed([f.pal[-2]] * 9 + [f.pal[-1]], f.pal[-1], f.thick == 2)),
    "collage": lambda f: f.staged(f.stamped(f.paper), 12),
    "clay": lambda f: f.staged(f.stamped(f.clay), 14),
    "ink_wash": lambda f: f.staged(f.stamped(f.wash), 14),
    "neon": lambda f: f.lines(1.2),
    "platform_game": lambda f: f.pixels(False),
    "town_game": lambda f: f.pixels(True),
    **{how: lambda f, how=how: f.laid(how) for how in ("mosaic", "glass", "stitch")},
    **{"pencil": Film.pencil, "chalk": Film.lines, "night": Film.night},
}
SCENES: dict[str, Callable[[Rng, int, Word], np.ndarray]] = {
    name: lambda rng, count, word, style=style: style(Film(rng, count, word)) for name, style in STYLES.items()
}
