"""Close shots of animated films made up at random: faces that talk, hands, desks, food, toys, clockworks, maps, boards.

All is of the scene, also what is small and sharp in a corner. To train the networks of marks with as unmarked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from drawn_places import INSIDE, Pen, finished, muted, panes, room, street
from ink import HEIGHT, WIDTH, Rng, Tone, Word, blob, fill, label, line, tone, turned

W, H, NIL = WIDTH + 96, HEIGHT + 56, np.zeros(2)  # of what is painted: the camera takes a part of it
Shape, Act = list[tuple[np.ndarray, Tone]], Callable[[np.ndarray, int], None]  # an act draws what is there at a time
SHAPES = """csciqiqs aijasi hshmlmls;amsmorer iliarl hlhdcl;ajfelfoisesooklnfo dhegfhei;deoenqeq ogshrmonolqkqioi;
ajdfhisisnqnqkokommmmkhkdn;bpaefjjbnjserp bororsbs;hshmlmls cnjfqn dijapi;gjmjnsfs akcdjaqdsk gfidkfih;kadkikgsphkh;
bpelfdjandolrp hplpjs;daeaesds ebreei;ahgdmgseokjodl iiojkm dgeffg;affbnbsfpjohosesehdj;apakejgenepjsksp hfmfojfj;
jrahcbhbjflbqbsh;laedbjeplshngj;jencrfrmnrjqfrbmbffc jekaoa;hphaqdqgjejpgscqfo;
jnjcjcjn icjakc;jnjdjdjn idjakd;inidkdkn gamamdgd;jnjejejn hdiakaldje;imiikikm iiiakdki""".replace("\n", "").split(";")
TOOLS = SHAPES[-5:]  # shapes are polygons: across and down by turns, a letter a ninth, the j at nought
PROFILES = ("2244444", "11124444", "3224543", "5543", "4443", "23212244", "13443", "3333", "12142123")  # half widths


def oval(x: float, y: float, w: float, h: float, square: float = 1.0) -> np.ndarray:
    c, s = (f(np.linspace(0, 2 * np.pi, 32, endpoint=False)) for f in (np.cos, np.sin))
    return np.stack([x + w * np.sign(c) * np.abs(c) ** square, y + h * np.sign(s) * np.abs(s) ** square], axis=1)


def flat(x: float, y: float, w: float, h: float) -> np.ndarray:
    return np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], float)


def smooth(points: np.ndarray, times: int = 2) -> np.ndarray:
    for _ in range(times):
        after = np.roll(points, -1, 0)
        points = np.stack([0.75 * points + 0.25 * after, 0.25 * points + 0.75 * after], axis=1).reshape(-1, 2)
    return points


def rays(count: int, inner: float, teeth: int = 0) -> np.ndarray:  # of a star, a sun, a flower or (teeth) a gear
    n, step = np.arange((2 + 2 * teeth) * count), 2 + 2 * teeth
    return np.exp(2j * np.pi * n / len(n))[:, None].view(float) * np.where(n % step <= teeth, 1, inner)[:, None]


@dataclass(frozen=True, kw_only=True)
class Shot(Pen):
    """One, with what it is drawn with. lit: from which side; below zero its outlines are of the colours within."""

    count: int
    lit: float

    def near(self, low: float = 0, high: float = 1) -> float:
        return float(self.rng.uniform(low, high))

    def spot(self, top: float = 0.0, low: float = 1.0) -> np.ndarray:
        return np.array([self.near() * W, self.near(top, low) * H])

    def draw(self, view: np.ndarray, shape: Shape, at: Sequence[float], size: float = 1, angle: float = 0) -> None:
        for points, colour in shape:
            here, deep = turned(points * size, angle, NIL) + np.array(at), tuple(int(0.65 * v) for v in colour)
            fill(view, here, deep if self.lit else colour, deep if self.lit < 0 else self.ink, self.thick)
            if self.lit:
                fill(view, 0.8 * here + 0.2 * here.mean(0) + self.lit * np.ptp(here, axis=0), colour, colour, 0)

    def shape(self, table: Sequence[str] = SHAPES) -> Shape:
        soft, parts = int(self.rng.integers(3)), table[int(self.rng.integers(len(table)))].split()
        grid = [np.reshape([(ord(letter) - 106) / 9 for letter in part], (-1, 2)) for part in parts]
        if table is SHAPES and self.near() < 0.35:
            grid = [rays(int(self.near(4, 13)), self.near(0.4, 0.85), soft // 2), oval(0, 0, 0.3, 0.3)]
        return [(smooth(points, soft), self.tone()) for points in grid]

    def cloth(self) -> np.ndarray:
        """uint8[H, W, 3]: stripes, checks, dots, small things, a trellis, bricks, wood, paint or a ramp."""
        how, t, base, mark = *self.rng.integers((0, 14), (9, 64)), np.array(self.tone()), np.array(self.tone())
        if how > 5:
            share = self.rng.random((H // 4, int(self.near(2, 9)), 1) if how < 8 else (2, 2, 1)) * self.near(0.15)
            return cv2.resize((base + share * (mark - base)).astype(np.uint8), (W, H), interpolation=cv2.INTER_LINEAR)
        tile, colour = np.full((t, t, 3), base, np.uint8), tuple(int(v) for v in base + self.near(0.2) * (mark - base))
        own = [(oval(0, 0, *self.rng.uniform(0.4, 1.5, 2), 1 if how == 2 else 0.02), colour)]
        for at in ((t / 2, t / 2), (0, 0), (0, t), (t, 0), (t, t))[: (how < 4) * (1 + 4 * (how > 0))]:
            self.draw(tile, self.shape() if how > 2 else own, at, t * 0.3)
        path = np.array([[0, 0], [1, 1], [1, 0], [0, 1]] if how % 2 else [[0, 0], [1, 0], [1, 0.5], [0, 0.5], [0, 0]])
        line(tile, t * path, colour, 1 + t // 24 * (how > 3))
        spin = cv2.getRotationMatrix2D((0, 0), max(0.0, self.near(-180, 180)), 1)
        return cv2.warpAffine(tile, spin, (W, H), borderMode=cv2.BORDER_WRAP)

    def dress(self, view: np.ndarray, points: np.ndarray, stuff: np.ndarray | None = None) -> None:
        stuff = self.cloth() if stuff is None else stuff
        (x, y), (r, b) = (np.clip(v, 0, (W, H)).astype(int) for v in (points.min(0), points.max(0) + 1))
        if r > x and b > y:
            mask = cv2.fillPoly(np.zeros((b - y, r - x), np.uint8), [np.round(points - (x, y)).astype(np.int32)], 1)
            np.copyto(view[y:b, x:r], stuff[: b - y, : r - x], where=mask[..., None] > 0)
            line(view, points, self.ink if self.thick else tuple(int(v) for v in stuff[0, 0]), self.thick, True)

    def play(self, back: np.ndarray, acts: Sequence[Act], loose: bool = False) -> np.ndarray:
        how = str(self.rng.choice(["pan", "push", "tremble", "drift", "under"]) if self.near() < 0.37 else "still")
        at, go = np.array([self.near(0, 96), self.near(0, 56)]).round(), self.rng.normal(0, 1, 2) * (14, 5)
        grow, slide, views = self.near(-0.05, 0.07) * (how == "push"), how == "under" and loose, []
        for k in range(self.count):
            far = np.array([[1, 0, go[0] * k * slide], [0, 1, 0.0]])  # what is far goes by, behind what is near
            view = cv2.warpAffine(back, far, (W, H), borderMode=cv2.BORDER_REFLECT)
            for act in acts:
                act(view, k)
            off = {"pan": go * k, "drift": 0.2 * go * k, "tremble": self.rng.normal(0, 1.5, 2)}.get(how, 0 * go)
            (x, y), s = np.clip(at + off, 0, (96, 56)), float(np.exp(-grow * k))
            take = np.array([[s, 0, x + (1 - s) * WIDTH / 2], [0, s, y + (1 - s) * HEIGHT / 2]])
            views.append(cv2.warpAffine(view, take, (WIDTH, HEIGHT), flags=17, borderMode=2))  # linear, inverse
        return finished(np.stack(views), self.rng)

    def mover(self, shape: Shape, at: Sequence[float], size: float, spin: float = 0, sway: float = 0,
              go: Sequence[float] = (0, 0), hop: float = 0, turn: float = 0) -> Act:  # fmt: skip
        swing = np.sin(self.near(0.4, 3) * np.arange(8) + self.near(0, 6))
        path = np.array(at) + np.outer(np.arange(8), go) - np.outer(np.abs(swing), [0, hop])
        return lambda view, k: self.draw(view, shape, path[k], size, turn + spin * k + sway * swing[k])

    def row(self, view: np.ndarray, foot: float, tall: float, left: float = 0, right: float = W) -> None:
        while left < right:  # jars, bottles, bowls and toys
            half = np.array([*map(int, PROFILES[self.rng.integers(9)])]) / 9 * self.near(0.7, 1.2)
            side, soft, how = np.stack([half, np.linspace(-1, 0, len(half))], axis=1), int(self.near(0, 3)), self.near()
            high, band = tall * self.near(0.45), flat(-half[-2], -0.4, 2 * half[-2], 0.22)
            x, jar, part = left + 0.3 * high, np.concatenate([side, side[::-1] * (-1, 1)]), 0.13 if how < 0.7 else 0.45
            self.draw(view, [(smooth(jar, soft), self.tone()), (band, self.tone())][: 2 * (how < 0.7)], (x, foot), high)
            if how < 0.15:
                label(view, self.word(), (x, foot - 0.29 * high), 0.16 * high, self.tone())
            else:
                self.draw(view, self.shape(), (x, foot - max(part, 0.29) * high), high * part)
            left += high * self.near(0.5, 1.3)

    def litter(self, view: np.ndarray, count: float, top: float = 0, low: float = 1, size: float = 26) -> np.ndarray:
        for _ in range(int(count)):  # coins, papers, tools, photographs
            at, turn, wide, how = self.spot(top, low), self.near(0, 6.3), size * self.near(0.3, 1.2), self.near()
            if how < 0.35:
                self.dress(view, turned(flat(-1.6, -1.2, 3.2, 2.4) * wide, turn, NIL) + at)
            self.draw(view, self.shape(), at, wide * (1 + 1.5 * (how > 0.85)), turn)
        return view

    def stage(self) -> np.ndarray:
        """A room, a street, a papered wall with things on it, or something soft; things in the corners or not."""
        how, x, view = self.rng.integers(5), int(self.near(0, 200)), self.cloth()
        if how < 2:
            view = cv2.resize((room, street)[how](self)[:, x : x + WIDTH], (W, H), interpolation=cv2.INTER_CUBIC)
        for thing in self.rng.integers(0, len(INSIDE), x % 9 * (how > 2)):
            INSIDE[thing](view, (*(self.spot() - 40), *self.rng.uniform(25, 110, 2)), self)
        view = cv2.GaussianBlur(view, (0, 0), self.near(0.8, 4)) if self.near() < 0.25 else view
        for at in self.rng.permutation(flat(50, 35, W - 100, H - 70))[: x % 5]:
            self.draw(view, self.shape(), at + self.rng.normal(0, 20, 2), self.near(8, 45), self.rng.normal(0, 0.3))
        return view

    def hand(self, table: Sequence[str] = ()) -> Shape:
        skin, cuff, tool = self.tone(), self.tone(), self.shape(table) if table else []
        fingers = [turned(oval(0, -0.8, 0.2, 0.4 if tool else 0.6), turn, NIL) for turn in (-0.5, -0.2, 0.1, 0.4, -1.4)]
        arm = [(flat(-0.7, 1, 1.4, 9), self.tone()), (flat(-0.8, 0.9, 1.6, 0.5), cuff), (oval(0, 0.3, 0.75, 0.9), skin)]
        return [*arm, *((2 * points - [0.2, 0], colour) for points, colour in tool), *((p, skin) for p in fingers)]

    def trail(self, shape: Shape, off: float, size: float, colour: Tone) -> list[Act]:
        path = np.cumsum(self.rng.normal((8, 0), (12, 9), (48, 2)), 0) + self.rng.uniform((100, 90), (300, 240))
        return [lambda view, k: line(view, smooth(path[: 3 + 5 * k], 1)[: 6 + 8 * k], colour, 2),
                lambda view, k: self.draw(view, shape, path[2 + 5 * k] + [0, off], size)]  # fmt: skip

    def person(self, at: Sequence[float], size: float, look: float = 0.0, beast: float = 0.4) -> Act:
        """Shoulders and a head that talks, looks and blinks: of a man, a beast, a robot; with what they wear."""
        rng, skin, hair, dark, stuff = self.rng, self.tone(), self.tone(), tone(self.rng, 0, 80), self.cloth()
        tall, square, wild, (w, h) = self.near(0.85, 1.3), rng.choice([1, 0.4]), self.near() < beast, rng.random(2)
        body = smooth(np.array([[-2, 9], [-1.9, 2], [-0.5, 1.2], [0.5, 1.2], [1.9, 2], [2, 9]]) * (0.6 + 0.5 * h, 1))
        top, brim, badge = smooth(flat(-1, -1.7, 2, 1.1), int(3 * w)), oval(2 * look, -0.7, 1 + h, 0.2), self.shape()
        hat = [[], [(top, hair), (brim, dark)], [(brim, hair), (top * (0.8, 1), dark)],
               [(0.8 * p - [0, 1.3], c) for p, c in self.shape()]][rng.integers(4)]  # fmt: skip
        hat = [(p * (1, tall), c) for p, c in (*hat, *[(0.25 * p - [0, 1.1], c) for p, c in badge] * bool(hat))]
        ear = np.array([[0.4, -0.8], [0.7 + w, -0.8 - 1.2 * h], [1, -0.3]]) if wild else oval(1, 0, 0.18, 0.25)
        head = [(oval(0, 0.7 * h - 0.2, 1.2, 1.2 * tall, self.near(0.6, 1)), hair)] * int(h > 0.3 and not wild)
        head += [(ear * (-1, tall), skin), (ear * (1, tall), skin), (oval(0, 0, 1, tall, square), skin)]
        head += [(oval(look, 0.5, 0.55, 0.4), hair)] * int(wild or w < 0.2)
        eyes, gaze, glass = oval(0, 0, 0.1 + 0.2 * w, 0.12 + 0.25 * h), rng.normal(0, 0.06, (8, 2)), int(3 * w * h)

        def act(view: np.ndarray, k: int) -> None:
            parts, wink, mouth = list(head), 0.1 if gaze[k, 1] > 0.07 else 1, 0.03 + 1.5 * abs(gaze[k, 0] - gaze[k, 1])
            self.dress(view, body * size + np.array(at), stuff)
            self.draw(view, badge, size * np.array([0.5, 2.1]) + at, 0.25 * size)
            for eye in np.array([[look - 0.38, -0.2 * tall], [look + 0.38, -0.2 * tall]]):
                parts += [(oval(*eye, 0.36, 0.33, square), hair)] * glass + [(eyes * (1, wink) + eye, (245, 245, 245))]
                parts += [(0.45 * eyes + eye + gaze[k], dark), (flat(-0.25, -0.5, 0.5, 0.1) + eye, hair)]
            parts += [(oval(1.2 * look, 0.2, 0.2, 0.16), skin), (oval(look, 0.62, 0.4 - 0.2 * w, mouth), dark), *hat]
            self.draw(view, parts, np.array(at) + 99 * gaze[-k], size, gaze[k, 0])

        return act

    def face(self, many: int = 1, wild: float = 0.3) -> np.ndarray:
        back, size, look = self.stage(), self.near(55, 120) / many**0.5, self.rng.normal(0, 0.15 * many)
        if wild == 1:
            panes(back, (self.near(0, 200), self.near(10, 50), self.near(200, 380), self.near(120, 190)), self)
        whos = [self.person((W * (n + 0.5) / many + self.near(-40, 40), self.near(0.35, 0.6) * H), size,
                            np.clip(look * (1 - 2 * n), -0.45, 0.45), wild) for n in range(many)]  # fmt: skip
        return self.play(back, [*whos, *(self.mover(self.shape(), self.spot(0.85), 30, hop=3) for _ in whos)], True)

    def desk(self) -> np.ndarray:
        back = self.litter(self.cloth(), self.near(14, 34), size=self.near(18, 45))
        works = [self.mover(self.hand(TOOLS), self.spot(0.4, 0.8), self.near(28, 60), sway=0.2, hop=self.near(0, 40),
                            go=self.rng.normal(0, 6, 2), turn=turn) for turn in self.rng.normal(0, 0.6, 2)]  # fmt: skip
        bug = self.mover(self.shape(), self.spot(), self.near(5, 25), spin=self.near(-1), go=self.rng.normal(0, 20, 2))
        return self.play(back, [bug, *self.trail(self.hand(TOOLS), 60, 40, self.ink), *works][: int(self.near(3, 6))])

    def kitchen(self) -> np.ndarray:
        back, food, at = self.stage(), self.shape(), np.array([self.near(0.3, 0.7) * W, 0.8 * H])
        self.dress(back, flat(-9, self.near(0.5, 0.65) * H, W + 18, H))
        self.row(back, self.near(0.2, 0.45) * H, self.near(40, 100))
        self.row(back, 0.7 * H, self.near(40, 200), self.near(-60, 200), W - self.near(-60, 200))
        self.dress(back, smooth(flat(at[0] - 130, at[1] - 30, 260, 70)))
        for n in range(int(self.near(3, 14))):
            self.draw(back, food, at + self.rng.normal(0, 1, 2) * (60, 12), self.near(8, 22), n)
        fog = [self.mover([(blob(self.rng, 1, 0.8), tone(self.rng, 180))], at + self.rng.normal(0, 30, 2) - [90, 120],
                          self.near(4, 20), hop=40, go=(3, -6)) for _ in range(int(self.near(0, 9)))]  # fmt: skip
        return self.play(back, [*fog, self.mover(self.hand(TOOLS), at, 40, hop=40, turn=self.near(-2), sway=0.2)])

    def board(self) -> np.ndarray:
        back, n, men = self.litter(self.cloth(), 16), int(self.near(4, 9)), []
        lay = np.array([[1, self.near(-0.2, 0.2)], [self.near(-0.4, 0.4), 0.7]]) * self.near(250, 420) / n
        man = smooth(np.array([[0, -2], [0.5, -1.5], [0.2, -1], [0.6, 0.2], [-0.6, 0.2], [-0.2, -1], [-0.5, -1.5]]))
        for i, j in np.ndindex(n, n):
            at, how, kind = (np.array([i, j]) - (n - 1) / 2) @ lay + [W / 2, H / 2], self.near(), self.tones[-1 - i % 2]
            self.draw(back, [(flat(-0.5, -0.5, 1, 1) @ lay, self.tones[(i + j) % 2] if how < 0.9 else kind)], at)
            self.draw(back, self.shape() if how > 0.75 else [], at, 80 / n)
            go, piece = lay.sum(0) * self.near(-1) * (how < 0.05), [(man, kind), *self.shape()[: int(how < 0.1)]]
            men += [self.mover(piece, at, 130 / n, go=go, hop=40 * (how < 0.05))] * (how < 0.2)
        return self.play(back, [*men, self.mover(self.hand(), self.spot(0.5, 0.9), 40, sway=0.2, hop=60)])

    def clockwork(self) -> np.ndarray:
        back, gears, many = self.litter(self.cloth(), 14), [], int(self.near(6, 14))
        for n, metal, size in ((int(self.near(7, 30)), self.tone(), self.near(18, 100)) for _ in range(many)):
            gear = [(rays(n, 1 - 3 / n, 1), metal), (oval(0, 0, 0.7, 0.7), self.tone()), (rays(n // 3, 0.2) / 2, metal)]
            gears.append(self.mover(gear, self.spot(), size, spin=self.near(-0.6, 0.6)))
        bob = [(p, self.tone()) for p in (flat(-0.03, 0, 0.06, 1), oval(0, 1, 0.17, 0.17), oval(0, 1, 0.1, 0.1))]
        return self.play(back, [*gears, self.mover(bob, self.spot(0, 0.2), self.near(120, 260), sway=0.4)])

    def book(self) -> np.ndarray:
        back, paper, own, w = self.litter(self.cloth(), 16), tone(self.rng, 170), self.shape(), self.near(170, 260)
        y, h, turns = self.near(30, 70), self.near(190, 250), np.minimum(self.near(0.3, 1) * np.arange(8), 3)
        for x in (W / 2 - w, W / 2):
            self.draw(back, [(flat(x, y, w, h), paper)], NIL)
            for n, m in np.ndindex(int(self.near(5, 14)), int(self.near(3, 9))):
                line(back, flat(x + 20 + 20 * m, y + 25 + 15 * n, self.near(5, 16), 0)[:2], self.ink, 2)
            label(self.litter(back, self.near(0, 3), 0.3, 0.7, 30), self.word(), (x + w / 2, y + 12), 14, self.ink)
        leaves = [[(np.array([[0, 0], [far, -up], [far, h - up], [0, h]]), paper),
                   *((p * (40 * far / w, 40) + [far / 2, h / 2], c) for p, c in own)]
                  for far, up in zip(w * np.cos(turns), 30 * np.sin(turns))]  # fmt: skip
        hand = self.mover(self.hand(), self.spot(0.8, 1.1), 36, sway=0.2, go=(self.near(-9, 9), 0))
        return self.play(back, [lambda view, k: self.draw(view, leaves[k], (W / 2, y)), hand])

    def chart(self, chalk: Tone = ()) -> np.ndarray:
        """A map with a ship or a finger on it; or drawings and formulas on a slate, in such a chalk."""
        back, pen, ship = self.litter(self.stage(), 9, 0.8, 1, 14), chalk or self.tone(), self.near() < 0.4
        sea = cv2.GaussianBlur(self.cloth() // 3 + 20, (0, 0), 9) if chalk else self.cloth()
        self.dress(back, flat(20, 15, W - 40, H - (80 if chalk else self.near(-20, 60))), sea)
        for at, size in ((self.spot(0.1, 0.7), self.near(6, 32)) for _ in range(int(self.near(4, 26 if chalk else 9)))):
            land = blob(self.rng, *self.rng.uniform(25, 120, 2), 0.15)
            for points in [size * points for points, _ in self.shape()] if chalk else [1.15 * land, land, 0.9 * land]:
                line(back, points + at, pen, 1 + int(size) % 3, True)
            if not chalk:
                self.dress(back, land + at)
                self.draw(back, self.shape(), self.spot(), size / 2, size)
            label(back, self.word(), at + size, self.near(7, 18), pen)
        goes = (self.shape(SHAPES[1:2]), 0, 16) if ship and not chalk else (self.hand(TOOLS[: bool(chalk)]), 60, 34)
        return self.play(back, [*self.trail(*goes, pen), self.person(self.spot(0.6), 40)][: 3 if ship and chalk else 2])

    def toys(self) -> np.ndarray:
        back, tall, acts = self.stage(), self.near(60, 130), []
        for foot in np.arange(tall, H + tall, tall + 12):
            self.row(back, foot, 0.95 * tall)
            self.draw(back, [(flat(-9, foot, W + 18, 9), self.tone())], NIL)
            acts += [self.mover(self.shape(), (self.near() * W, foot - 20), 20, spin=self.near(-1), hop=9,
                                go=(self.rng.normal(0, 16), 0)) for _ in range(2)]  # fmt: skip
        return self.play(back, [*acts, self.person(self.spot(0.4, 0.6), self.near(18, 45))])


def shot_of(scene: Callable[[Shot], np.ndarray], rng: Rng, count: int, word: Word) -> np.ndarray:
    low, high = ((10, 250), (10, 250), (130, 255), (20, 170), (60, 220))[rng.integers(5)]
    cast, share, plain = np.array(tone(rng, 40)), rng.choice([0, 0, 0, 0.4]), rng.random() < 0.6
    tones = [tone(rng, low, high) for _ in range(rng.integers(3, 14))] + [(235, 240, 245), (40, 30, 30)]
    tones = [np.int32((1 - share) * np.array(t if plain else muted(t, rng)) + share * cast).tolist() for t in tones]
    return scene(Shot(rng=rng, ink=tone(rng, 0, rng.choice([25, 25, 100])), thick=int(rng.choice([0, 1, 1, 2, 3, 4])),
               tones=tones, count=count, word=word, lit=rng.choice([0, 0, 0.06, -0.06])))  # fmt: skip


KINDS = Shot.face, Shot.desk, Shot.kitchen, Shot.board, Shot.clockwork, Shot.book, Shot.chart, Shot.toys
SCENES = {scene.__name__: partial(shot_of, scene) for scene in KINDS}
SCENES["slate"] = partial(shot_of, partial(Shot.chart, chalk=(215, 225, 225)))
SCENES |= {name: partial(shot_of, partial(Shot.face, many=many, wild=wild))
           for name, many, wild in (("dialogue", 2, 0.3), ("group", 4, 0.5), ("beast", 1, 1))}  # fmt: skip
