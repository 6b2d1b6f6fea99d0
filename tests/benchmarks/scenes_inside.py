"""Interiors and machines as in cartoons and anime. SCENES gives uint8[count, HEIGHT, WIDTH, 3] BGR: one shot, pictures
half a second apart, nothing over it. A room is painted once, wider than the picture; what acts is painted over a copy
of it, and a camera looks at a part of that."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import cv2
import numpy as np
from drawn_places import Pen, clock, finished, house, picture, plant, ruled, tree
from ink import HEIGHT, WIDTH, Rng, Tone, Word, blob, fill, label, line, tone, turned

WIDE, TALL, KEY = 704, 344, (1, 254, 3)  # of what is painted, more than the camera sees; where landscape goes by
SKINS = ((170, 200, 240), (120, 160, 215), (70, 105, 160), (45, 65, 100), (205, 215, 250), (150, 190, 120))
MOODS = {"pale": (20, 90, 190, 250), "vivid": (99, 255, 99, 255), "night": (60, 220, 25, 170), "dull": (9, 99, 70, 210)}
# Things: name, share of wide to high, parts, each in a box (left, top, wide, high in percent; 3x2: so many in a grid; a
# small letter: coloured like the last): Box, Paper, Dark, O round, E lit, L skin, Y trapezium, A gable, I line, G star,
# Text, N goods, Z plant, Clock, M picture, W outside. What acts: K lamps (a mouth), V screen, Rotating wheel, Steam,
# J what hangs (an arm), Fish, Q bubbles; and all that an @ (somebody) has.
THINGS = """
clock 1: O;P 35 12 30 6;C 10 10 80 80 | crest .9: B 10 0 80 70;A 10 70 80 30;O 22 10 56 50;G 30 16 40 40 | poster .7:
M;T 8 72 84 24 | lamp .8: I 50 -300 0 330;Y 0 30 100 50;E 35 70 30 30 | vent 1: B;D1x6 6 8 88 86;O2x1 2 2 96 12;R 30 30
40 40 | plant .8: Z | flags 2.5: I 0 0 100 20;A6x1 0 10 100 60;A3x1 10 12 80 50 | dates .9: P;B 0 0 100 22;T 10 2 80
18;B7x5 6 30 90 64 | fan .8: D 46 50 8 50;B 24 94 52 8;O 10 0 80 60;R 14 4 72 52 | neon 1: D;G 8 14 34 70;T 44 20 52
60;K2x1 10 92 80 5 | screen 1.2: D 0 0 100 88;V 6 6 88 70;K4x1 8 80 40 6;B 40 88 20 12;b 25 96 50 6 | window 1: B -6 -6
112 112;W;D 48 0 4 100;d 0 46 100 4;B -10 100 120 8;Z 60 60 30 40 | cabinet .9: B;b2x1 4 5 96 94;O2x1 40 45 40 8;D 0 96
100 4 | rack 1.1: D;N1x3 3 0 94 108 | stove .9: B;D 12 42 76 46;O5x1 6 10 90 12;O 30 -40 32 44;b 24 -26 44 5;S 32 -45
25 10;K5x1 8 28 60 6 | fridge .5: B;b 0 0 100 35;D 82 10 5 18;d 82 45 5 25;P 15 45 22 14;T 16 46 20 12;O3x1 10 8 50 9;M
44 60 20 14 | sink 1: B;P 15 0 70 22;D 46 -30 6 32;d 46 -30 22 6;Q 63 -22 3 26;b2x1 4 32 92 62;N 0 -45 36 45 | pans
1.3: D 0 0 100 4;J4x1 4 3 94 90;J3x1 8 3 70 60 | pane 1.7: B -6 -6 112 112;W;P 30 8 30 12;T 30 8 30 12;J3x1 4 -30 96
40;D 0 40 100 2 | tools 1.3: B;O9x5 2 4 96 94;J5x1 6 12 90 55;J3x1 14 55 80 38;R 70 60 22 32 | gears 1.2: D;R 2 8 56
62;R 46 30 48 60;R 12 60 34 36;K4x1 58 6 38 10;B 0 94 100 6 | crates 1.1: B 0 45 60 55;b1x3 3 48 54 50;B 42 0 50 45;I
42 0 50 45;T 5 60 48 25;B 66 50 34 50;T 70 55 24 20 | pipes .8: B 10 -80 12 180;B 55 -80 14 180;b 10 50 60 14;C 8 24 22
30;R 44 28 36 40;C 50 76 24 22;S 70 40 20 30 | flasks 1.2: A 4 30 24 70;O 8 60 18 36;O 34 40 24 58;D 44 10 5 34;B 64 30
9 68;Q 38 50 16 40;Q 64 40 9 50;S 10 0 40 20 | panel 1.5: B;V 6 8 40 46;K5x4 52 8 44 46;O4x1 6 62 60 26;E4x1 10 67 60
14;T 68 60 28 14;B6x1 66 78 32 16 | washer .9: B;P 4 4 92 16;T 6 5 40 12;K4x1 54 8 40 7;O 10 24 80 66;D 44 92 20 5;O 18
31 64 52;R 22 34 56 46 | game .6: D 4 0 92 100;P -2 0 104 15;T 2 1 96 13;V 12 20 76 32;B -2 56 104 14;O4x1 40 58 50 9;J
12 44 12 14;T 20 76 60 18 | tank 1.6: D -2 -3 104 106;B;O9x1 0 90 100 14;Z 6 50 24 46;Z 66 40 26 56;F 0 5 100 85;Q 48
10 8 84 | bed 1.5: B 0 50 100 20;P 2 38 30 14;B 25 40 75 16;D 0 20 4 80;d 96 40 4 60;O2x1 2 92 98 10;O 8 26 15 18;V 60
-30 36 30 | bath 1.7: P 0 30 100 60;O12x1 2 14 96 30;O 60 12 12 24;O 67 4 9 16;D 6 88 8 12;d 86 88 8 12;Q 6 -6 5 26;S
30 -40 40 40 | bottles 1: D;N1x3 2 0 96 108;E8x1 0 -3 100 4 | seat .8: B;O 12 -14 76 30;b 6 12 88 50;P 20 -8 60 14;D 0
62 100 12 | folds .5: B;b5x1 0 0 104 100;Y 0 88 100 12 | board 2.2: B -3 -4 106 108;D;T 5 8 50 22;T 12 40 70 20;I 10 75
30 -10;T 60 10 30 14;G 70 50 20 30;P5x1 4 98 40 6 | paper .8: P;T 8 6 84 14;M 60 50 32 40;T 8 30 50 10;T 8 46 46 10 |
@girl .42: O 12 -2 76 42;L2x1 30 70 40 26;D2x1 24 94 54 6;Y 18 38 64 36;J 2 40 24 36;J 74 40 24 36;L 16 3 68 35;E2x1 26
15 52 13;D2x1 36 18 46 7;K 44 30 12 3;A6x1 14 -3 72 15 | @man .4: D2x1 28 66 46 34;B 20 30 60 40;P 42 30 16 22;d 47 34
6 18;J 4 31 26 42;J 70 31 26 42;L 28 2 44 29;D 26 -3 48 10;E2x1 32 12 42 6;D2x1 39 13 34 3;K 42 22 16 3 | @back .6: Y 5
42 90 60;O 22 0 56 48;A 26 -10 18 20;A 56 -10 18 20;G 36 60 28 20 | @robot .6: D2x1 26 76 48 24;B 20 36 60 40;K3x1 28
42 44 8;V 30 54 40 16;D 46 -6 4 14;K 42 -10 12 6;B 22 6 56 28;P2x1 30 12 40 12;J 2 38 18 40;J 80 38 18 40 | @cat 1.1: J
70 20 20 70;O 10 45 70 55;O 0 15 50 45;A2x1 2 2 46 22;E2x1 4 22 44 20;D2x1 14 26 32 12;K 22 44 8 4 | @boy .5: D2x1 26
84 50 16;B 20 50 60 36;O 30 56 40 12;J 6 50 22 34;J 72 50 22 34;O 0 2 100 50;L 8 8 84 46;A7x1 4 0 92 22;E2x1 20 22 64
18;D2x1 32 26 56 10;O 42 46 18 5;K 44 47 12 3 | @hen 1: J 46 60 8 40;O 20 30 60 50;O 48 0 34 36;A 78 14 22 12;E 62 10
10 10;A3x1 52 -10 26 12;J 10 40 24 30
"""
PARTS = {e.split()[0]: (float(e.split(":")[0].split()[1]), e.split(":")[1].split(";")) for e in THINGS.split("|")}
PEOPLE, CORNERS = [name for name in PARTS if name[0] == "@"], " ".join(list(PARTS)[:13])
# Name, how it is seen, colours, what is on the wall, on the floor, before them (@: somebody).
PLANS = """
kitchen room any, window window cabinet rack pans clock, stove fridge sink cabinet @, @ plant | workshop room dull,
tools pipes clock vent lamp, gears crates @, @ crates | laboratory room any, rack screen poster pipes clock, flasks
panel tank flasks @, flasks @ | classroom room any, board dates clock poster flags window, @ cabinet , @back @back seat
| shop aisle vivid, lamp poster, rack bottles rack crates @, @ | launderette room pale, clock lamp window vent, washer
washer @, @ | train room any, pane, seat @ seat, @back @ | bridge room night, screen pane crest, panel seat @ panel,
panel @back | library aisle dull, window lamp crest clock, rack bottles rack @, @ plant | arcade room night, neon flags
lamp neon, game fan game @, @ @back | theatre room night, flags lamp crest, folds screen @ folds , @back | bathroom
room pale, window rack pans lamp, bath sink washer plant @, @ | attic room dull, window lamp poster crest fan, crates
fan clock @cat rack, @ | office above any, paper poster dates, panel fan screen paper plant, @ | hospital aisle pale,
clock poster, bed cabinet @ window, @ | aquarium room night, tank, tank tank plant @, @back @
"""


@dataclass(frozen=True, kw_only=True)
class Film(Pen):
    """How it is drawn. view: painted on; letters: signs have words; key: windows show KEY; t: when."""

    view: np.ndarray
    letters: bool
    key: bool
    t: float = 0.0

    def tone(self) -> Tone:
        return self.tones[int(self.rng.integers(len(self.tones)))]

    def rect(self, x: float, y: float, w: float, h: float, colour: Tone, edge: bool = True) -> None:
        a, b, c, d = round(x), round(y), round(x + w) - 1, round(y + h) - 1
        cv2.rectangle(self.view, (a, b), (c, d), colour, -1)
        if self.thick and edge:
            cv2.rectangle(self.view, (a, b), (c, d), self.ink, self.thick)

    def oval(self, x: float, y: float, w: float, h: float, colour: Tone, edge: bool = True) -> None:
        at, far = (round(16 * x + 8 * w), round(16 * y + 8 * h)), (max(8, round(8 * w)), max(8, round(8 * h)))
        cv2.ellipse(self.view, at, far, 0, 0, 360, colour, -1, cv2.LINE_AA, 4)
        if self.thick and edge:
            cv2.ellipse(self.view, at, far, 0, 0, 360, self.ink, self.thick, cv2.LINE_AA, 4)

    def poly(self, points: object, colour: Tone) -> None:
        fill(self.view, np.array(points, float), colour, self.ink, self.thick)

    def text(self, x: float, y: float, w: float, h: float, colour: Tone) -> None:
        part = self.view[max(0, int(y)) : max(0, int(y + h)), max(0, int(x)) : max(0, int(x + w))]
        ink = (20, 15, 15) if part.size and part.mean() > 110 else tone(self.rng, 190)
        if self.letters and min(part.shape[:2]) > 4:
            word_hw = self.word()
            high = min(0.85 * part.shape[0], 0.92 * part.shape[1] * word_hw.shape[0] / word_hw.shape[1])
            label(part, word_hw, (part.shape[1] / 2, part.shape[0] / 2), high, ink)
        for k in range(0 if self.letters else min(5, int(h / 7))):  # what stands for a word
            line(self.view, np.array([[0.1, 0], [self.rng.uniform(0.2, 0.9), 0]]) * w + [x, y + 6 * k + 3], ink, 1)

    def star(self) -> np.ndarray:
        tips, deep = int(self.rng.choice([2, 3, 4, 5, 6, 9, 14])), self.rng.uniform(0.3, 0.85)
        turn, far = np.arange(2 * tips) * np.pi / tips - np.pi / 2, np.where(np.arange(2 * tips) % 2, deep, 1.0)
        return np.stack([far * np.cos(turn), far * np.sin(turn)], axis=1)

    def goods(self, x: float, y: float, w: float, h: float, colour: Tone) -> None:
        u, kind, at, foot = self.rng.uniform, self.rng.integers(6), x + 4, y + 0.93 * h
        while at < x + w - 5:
            wide, tall, c = u(5, 15) * (0.6 if kind < 2 else 1), h * u(0.4, 0.8), self.tone()
            (self.oval if kind == 5 else self.rect)(at, foot - tall, wide, tall, c)
            self.rect(at, foot - tall * (0.6 if kind > 1 else 0.8), wide, tall * u(0.08, 0.3), self.tone(), False)
            at += wide + self.rng.choice([0, 0, 1, 6])
        self.rect(x, foot, w, max(2, 0.07 * h), colour)

    def outside(self, x: float, y: float, w: float, h: float, colour: Tone) -> None:
        a, b, c, d = max(0, int(x)), max(0, int(y)), min(self.view.shape[1], int(x + w)), min(TALL, int(y + h))
        self.view[b : max(b, d), a : max(a, c)] = KEY
        if self.key or a >= c or b >= d:
            return
        u, ramp, night = self.rng.uniform, np.linspace(0, 1, d - b)[:, None, None], self.rng.random() < 0.3
        sky = np.array(tone(self.rng, 150)) * (1 - ramp) + np.array(self.tone()) * ramp
        f = replace(self, view=np.repeat(sky.astype(np.uint8) // (5 if night else 1), c - a, 1))
        for k in range(3 + int(w / 90)):
            f.oval(u(0, w), u(0, 0.4) * h, (u(0.1, 0.5) if k else 0.2) * h, 0.2 * h, tone(self.rng, 200), False)
            f.oval(u(-0.3, 1) * w, u(0.6, 0.9) * h, u(0.4, 2) * h, h, self.tone())
        f.view[u(0, 1, f.view.shape[:2]) < 0.004 * night] = 240  # stars
        for left in np.arange(0, w, max(12, 0.3 * h)):
            (house, tree)[int(self.rng.integers(2))](f.view, (left, h * u(0.5, 0.8), h * u(0.1, 0.25), 0.4 * h), f)
        self.view[b:d, a:c] = f.view

    def screen(self, x: float, y: float, w: float, h: float, colour: Tone) -> None:
        seed, lit, s = self.rng.uniform(0, 9), tone(self.rng, 120), np.linspace(0.04, 0.96, 30)
        self.rect(x, y, w, h, tuple(v // 4 for v in colour))
        wave = np.sin(14 * s + 3 * self.t) * 0.1 + 0.4 * np.exp(-((12 * (s - (0.4 * self.t + seed) % 1)) ** 2))
        if seed < 3:
            line(self.view, np.stack([x + s * w, y + (0.6 - wave) * h], axis=1), lit, 1)
        for k in range(6 if seed > 3 else 0):
            self.rect(x + w * ((seed + self.t / 9) * k % 0.86), y + h * (seed * k % 0.83), w / 8, h / 8, lit, False)

    def wheel(self, x: float, y: float, w: float, h: float, colour: Tone) -> None:
        turn, at = self.t * self.rng.normal(0, 2), np.array([x + w / 2, y + h / 2])
        self.poly(turned(self.star(), turn, np.zeros(2)) * (w / 2, h / 2) + at, colour)
        for size, off in ((0.5, 0), (0.2, 0.1), (0.2, 0.25)):
            hub = at + np.array([w, h]) * (off * np.array([np.cos(turn), np.sin(turn)]) - size / 2)
            self.oval(*hub, size * w, size * h, self.tone())

    def rise(self, x: float, y: float, w: float, h: float, colour: Tone) -> None:
        for a, b, c in self.rng.uniform(0, 1, (6, 3)):
            age = (b + self.t * (0.1 + 0.2 * c)) % 1
            far, up = (2 + 4 * c, h) if w < 0.7 * h else ((4 + 30 * age) * (1.1 - age), 70)
            self.oval(x + w * a + 6 * np.sin(self.t + 9 * b), y + h - up * age, far, far, (250, 245, 240), False)

    def swing(self, x: float, y: float, w: float, h: float, colour: Tone) -> None:
        at, (a, b) = np.array([x + w / 2, y]), self.rng.uniform((0.5, 0), (3, 6))
        angle = self.rng.choice([0.03, 0.2, 0.7]) * np.sin(a * self.t + b)
        rod = np.array([[-0.1, 0], [0.1, 0], [0.1, 0.8], [-0.1, 0.8]]) * (w, h) + at
        self.poly(turned(rod, angle, at), colour)
        self.poly(turned(blob(self.rng, 0.3 * w, 0.2 * h) + at + np.array([0, 0.8 * h]), angle, at), self.tone())

    def fish(self, x: float, y: float, w: float, h: float, colour: Tone) -> None:
        for a, b, pace, size in self.rng.uniform(0, 1, (int(self.rng.integers(2, 9)), 4)):
            long, go = min(h * 0.3, 8 + 26 * size), 1 if pace > 0.5 else -1
            at = np.array([x + w * (0.1 + 0.8 * abs((a + go * 0.3 * pace * self.t) % 2 - 1)), y + h * (0.1 + 0.8 * b)])
            self.poly(np.array([[-0.4, 0], [-0.9, -0.35], [-0.9, 0.35]]) * (go * long, long) + at, self.tone())
            self.oval(at[0] - 0.6 * long, at[1] - 0.3 * long, 1.2 * long, 0.6 * long, self.tone())

    def thing(self, item: tuple, t: float | None = None) -> None:  # without a time: what holds still
        (name, (x, y, wide, high), seed), colour = item, self.ink
        for n, part in enumerate(PARTS[name][1]):
            kind, *shares = part.split()
            if (kind[0] in "KVRSJFQ" or name[0] == "@") == (t is None):
                continue
            f = replace(self, rng=np.random.default_rng(seed + n), t=t or 0.0)
            across, down = (int(v) for v in (kind[1:] or "1x1").split("x"))
            a, b, c, d = (float(v) / 100 for v in shares or (0, 0, 100, 100))
            c, d, gap = c / across, d / down, 0.86 if across * down > 1 else 1.0
            for j, i in np.ndindex(down, across):
                colour = SKINS[seed % 6] if kind[0] == "L" else colour if kind.islower() else f.tone()
                at = x + (a + c * i) * wide, y + (b + d * j) * high, c * gap * wide, d * gap * high
                SHAPES[kind[0].upper()](f, *at, colour)

    def item(self, names: str, x: float, foot: float, h: float) -> tuple:
        name = str(self.rng.choice(names.split()))
        name = str(self.rng.choice(PEOPLE)) if name == "@" else name
        return name, (x, foot - h, h * PARTS[name][0], h), int(self.rng.integers(1 << 30))

    def row(self, names: str, foot: float, tall: float, gap: float) -> list[tuple]:
        (first, box, seed), same = self.item(names.split()[0], -40, foot, tall), self.rng.random() < 0.3
        items = [(first, box, seed)]
        while (x := items[-1][1][0] + items[-1][1][2] + self.rng.uniform(0.1, 1) * gap) < WIDE:
            new = self.item(names, x, foot, tall * self.rng.uniform(0.85, 1.15))
            items.append((first, (x, *box[1:]), seed) if same and self.rng.random() < 0.8 else new)
        return items

    def room(self, up: str, down: str) -> list[tuple]:
        u, floor = self.rng.uniform, TALL * self.rng.uniform(0.62, 0.85)
        ruled(self.view, -9, floor, self)
        ruled(self.view, floor, TALL + 9, self)
        return self.row(up, floor * u(0.42, 0.6), u(60, 110), 40) + self.row(down, floor + 12, u(80, 170), u(2, 60))

    def aisle(self, up: str, down: str) -> list[tuple]:
        at, half, items = np.array([WIDE, TALL]) * self.rng.uniform(0.4, 0.6, 2), self.rng.uniform(230, 330), []
        for a, b in ((0, 0), (WIDE, 0)), ((0, TALL), (WIDE, TALL)), ((0, 0), (0, TALL)), ((WIDE, 0), (WIDE, TALL)):
            self.poly([a, b, at], self.tone())
        for depth in 1.45 ** np.arange(-6.0, 2.0):
            self.rect(at[0] - 90 * depth, at[1] - 185 * depth, 180 * depth, 15 * depth, tone(self.rng, 190))
            line(self.view, np.array([[-half, 150], [half, 150]]) * depth + at, self.ink, 1)
            for left in (-half - 100, half - 100):
                items.append(self.item(f"{down} {down} {up}", *(np.array([left, 150]) * depth + at), 230 * depth))
        return items

    def above(self, up: str, down: str) -> list[tuple]:
        ruled(self.view, -9, TALL + 9, self)  # a table
        spots = self.rng.uniform((-40, 40, 40), (WIDE, TALL + 60, 130), (24, 3))
        return [self.item(f"{up} {down}", *spot) for spot in spots]


SHAPES: dict[str, Callable[..., None]] = {
    "B": Film.rect, "O": Film.oval, "L": Film.oval, "T": Film.text, "N": Film.goods, "W": Film.outside,
    "V": Film.screen, "R": Film.wheel, "S": Film.rise, "Q": Film.rise, "J": Film.swing, "F": Film.fish,
    "K": lambda f, x, y, w, h, c: f.rect(x, y, w, h, c if np.sin(f.rng.random() * 9 + 7 * int(f.t)) > 0 else f.ink),
    "P": lambda f, x, y, w, h, c: f.rect(x, y, w, h, tuple(200 + v // 5 for v in c)),
    "D": lambda f, x, y, w, h, c: f.rect(x, y, w, h, tuple(v // 3 for v in c)),
    "E": lambda f, x, y, w, h, c: f.oval(x, y, w, h, tone(f.rng, 190)),
    "Y": lambda f, x, y, w, h, c: f.poly([[x + w / 4, y], [x + 0.75 * w, y], [x + w, y + h], [x, y + h]], c),
    "A": lambda f, x, y, w, h, c: f.poly([[x, y + h], [x + w / 2, y], [x + w, y + h]], c),
    "I": lambda f, x, y, w, h, c: line(f.view, np.array([[x, y], [x + w, y + h]]), f.ink, 1),
    "G": lambda f, x, y, w, h, c: f.poly(f.star() * min(w, h) / 2 + [x + w / 2, y + h / 2], c),
    "Z": lambda f, x, y, w, h, c: plant(f.view, (x, y, w, h), f),
    "C": lambda f, x, y, w, h, c: clock(f.view, (x, y, w, h), f),
    "M": lambda f, x, y, w, h, c: picture(f.view, (x, y, w, h), f),
}  # fmt: skip


def shot(rng: Rng, count: int, word: Word, plan: str) -> np.ndarray:
    (_, layout, mood), up, down, front = plan.split(",")[0].split(), *plan.split(",")[1:]
    path, turn, k, out = np.ones((count, 3)), rng.random(), np.arange(count)[:, None], []
    path[:, 2] = zoom = rng.choice([1, 1, rng.uniform(1.1, 1.9)])  # left and top of what the camera sees; how near
    path[:, :2] = rng.uniform(0, 1, 2) * (WIDE - WIDTH / zoom, TALL - HEIGHT / zoom)
    if turn > 0.9:
        path[:, 2:] = np.clip(zoom * np.exp(k * rng.normal(0, 0.05)), 1, 2.5)
    elif turn > 0.65:  # a pan, a drift, or a tremble
        path[:, :2] += rng.normal(0, (20, 3), 2) * k if turn > 0.72 else rng.normal(0, 2, (count, 2))
    path[:, :2] = np.clip(path[:, :2], 0, np.array([WIDE, TALL]) - np.array([WIDTH, HEIGHT]) / path[:, 2:])
    s0, s1, v0, v1 = MOODS[mood if mood in MOODS and rng.random() < 0.8 else str(rng.choice(list(MOODS)))]
    hues = (rng.uniform(0, 180) + rng.normal(0, rng.choice([6, 25, 90]), 40)) % 180
    hsv = np.stack([hues, rng.uniform(s0, s1, 40), rng.uniform(v0, v1, 40)], axis=1).astype(np.uint8)
    tones = [tuple(int(v) for v in c) for c in cv2.cvtColor(hsv[None], cv2.COLOR_HSV2BGR)[0]]
    ink = tone(rng, *((0, 40), (0, 120), (170, 255))[int(rng.choice(3, p=[0.7, 0.2, 0.1]))])
    view, thick, letters = np.zeros((TALL, WIDE, 3), np.uint8), int(rng.integers(4)), rng.random() < 0.25
    f = Film(rng=rng, ink=ink, thick=thick, tones=tones, word=word, view=view, letters=letters, key="pane" in up)
    items, (x, y, zoom) = getattr(f, layout)(up, down), path[0]
    for n in rng.permutation(4)[: int(rng.integers(0, 3))]:  # in corners of the picture, cut off by the frame or not
        h, (dx, dy) = rng.uniform(18, 70) / zoom, rng.uniform(-20, 40, 2) / zoom
        dx, dy = (WIDTH / zoom - h - dx if n % 2 else dx), (HEIGHT / zoom - dy if n // 2 else h + dy)
        items.append(f.item(CORNERS, x + dx, y + dy, h))
    items += f.row(front, TALL + rng.uniform(-10, 70), rng.uniform(90, 220), 260)
    at = rng.uniform((0.1, 0.7, 70), (0.7, 1.1, 200)) / zoom
    items.append(f.item("@girl @man @robot @cat @boy @hen", x + at[0] * WIDTH, y + at[1] * HEIGHT, at[2]))
    low, far = path[:, 0].min() - 60, path[:, 0].max() + WIDTH + 60
    items = [i for i in items if i[1][0] < far and i[1][0] + i[1][2] > low]
    for item in items:
        f.thing(item)
    pace, speed = rng.choice([0.3, 0.7, 1.0, 1.8], len(items)), rng.normal(0, 60)
    pace[:-1] *= rng.random(len(items) - 1) < rng.choice([0.2, 0.6, 1])  # some hold still, not the last
    strip = replace(f, view=np.zeros((TALL, 2 * WIDE, 3), np.uint8), key=False)
    if (mask := (f.view == KEY).all(-1, keepdims=True)).any():
        strip.outside(0, 0, 2 * WIDE, 190, ())
    for n, (x, y, zoom) in enumerate(path):
        now = replace(f, view=f.view.copy())
        np.copyto(now.view, np.roll(strip.view, int(speed * n), axis=1)[:, :WIDE], where=mask)
        for (name, (left, *box), seed), rate in zip(items, pace):
            walk = (seed % 25 - 12) * (seed % 3 == 0) * (name[0] == "@")
            now.thing((name, (left + walk * rate * n, *box), seed), 50.0 + rate * n)
        matrix = np.array([[zoom, 0, -zoom * x], [0, zoom, -zoom * y]])
        out.append(cv2.warpAffine(now.view, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT_101))
    return finished(np.stack(out), rng)


SCENES: dict[str, Callable[..., np.ndarray]] = {p.split()[0]: partial(shot, plan=p) for p in PLANS.split("|")}
