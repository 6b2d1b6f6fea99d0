"""What people built, outdoors: streets, harbours, fairs, stations, farms, tracks, as different drawn films show them.

Unmarked, to train the networks of marks with: uint8[count, HEIGHT, WIDTH, 3] BGR, pictures half a second apart.
"""

from __future__ import annotations

import re
from functools import partial

import cv2
import numpy as np
from drawn_places import Pen, finished, ruled
from ink import HEIGHT, WIDTH, Rng, Tone, Word, fill, label, line, tone

WIDE, HIGH = WIDTH + 192, HEIGHT + 56  # of what is painted; the camera goes over it
View, Points = np.ndarray, np.ndarray | list
RING = np.stack([f(np.arange(24) * np.pi / 12) for f in (np.cos, np.sin)], axis=1)  # 12 and on: its upper half
STAR = RING[::2] * np.where(np.arange(12) % 2, 0.45, 1)[:, None]
# Things, of pieces written as in SVG: a letter (Film.piece; capital: now and then), numbers across and up from the foot
KIT_TEXT = """
lamp:k0,0,0,.9l0,.9.15.96i.16.9.05b-.04,0,.08.06s.02.5.2.15;bus:b-.8.12,1.6.8g-.75.5,1.5.3,6,1w-.5.13.14,5,2
w.5.13.14,5,2s-.3.14.6.2i.77.25.04;lorry:b-.9.15,1.8.1s-.9.25,1.2.75p.35.15.9.15.9.5.75.85.35.85g.5.5.25.25,1,1
w-.6.13.14,5,2w.6.13.14,5,2;boat:p-.5.22.55.26.4-.04-.4-.04b-.25.24.35.14k0,.2,0,1l0,1,.52.24l0,1-.48.2
p.03.92.4.32.03.3g-.22.28.28.06,3,1f0,1,.1;lighthouse:p-.14,0,.14,0,.07.8-.07.8b-.1.25.2.1b-.09.5.18.1b-.06.83.12.11
p-.09.94.09.94,0,1.05i0,.88.05g-.03.1.06.6,1,3;ripple:l-.7,0-.3.2,0,0,.3.2.7,0;bird:l-1,.5-.4.7,0,0,.4.7,1,.5o0,.1.2.12;
stall:b-.55,0,1.1.38k-.6,0-.6.8k.6,0,.6.8h0,.2.55d-.5.38,1,.2,7,2b-.55,0,1.1.36a-.7.75,1.4.28,8s-.3.08.6.2q-.3.75.1.12;
ferris:k0,.52-.25,0k0,.52.25,0w0,.52.44,12,.3b-.3,0,.6.06j0,.52.07;carousel:b-.5,0,1,.1k-.4.1-.4.65k.4.1.4.65h-.25.12.4
h.22.15.4a-.55.58,1.1.14,11p-.6.7.6.7,0,1d-.5.66,1,.06,11,1f0,1,.12;booth:b-.4,0,.8.65h0,.15.45b-.4,0,.8.25
a-.5.55,1,.2,7s-.4.76.8.2j0,.1.07i-.4,1,.04i0,1,.04i.4,1,.04f.4.96.15;fence:b-1,.3,2,.1b-1,.6,2,.1b-.9,0,.14.8
b-.5,0,.14.8b-.1,0,.14.8b.3,0,.14.8b.7,0,.14.8;train:b-2.4.1,4.8.78p2.4.1,2.8.1,2.75.4,2.4.88g-2.3.42,4.6.28,16,1
b-1.3.14.3.6b.9.14.3.6w-2,.1.1,4,2w2,.1.1,4,2s-.5.12.6.12l-.2.9.1,1.1.4.9;steam:b-.9.15,1.8.15b-.2.3,1.05.4b-.9.3.7.6
p-.95.9-.15.9-.2,1-.9,1b.5.7.12.25m.56.95.4w-.6.17.17,6,1.5w.45.14.14,6,2g-.8.55.5.28,2,1o.86.5.05.2i.9.5.06
p.9.3,1.1,0,.8,0;chimney:b-.14,0,.28.7b-.18.66.36.1m0,.8.45b-.1.76.07.1b.04.76.07.1;laundry:k-1.2,0-1.2.9k1.2,0,1.2.9
l-1.2.85,0,.75,1.2.85f-1,.8.4f-.4.78.3f.1.76.45f.7.8.25;beast:k-.3.4-.32,0k-.2.4-.15,0k.25.4.2,0k.32.4.36,0o0,.52.45.24
o-.1.58.14.1k.35.6.5.85o.58.85.17.11p.45.92.5,1.05.55.93o.6.88.025.025q-.44.6.3.06;rider:k-.3.4-.36,0k-.2.4-.1,0
k.32.4.42,0o0,.48.42.18k.35.5.52.78o.6.78.16.09q-.42.5.3.06h0,.35.75b-.12.5.22.12f.1,1,.15;barn:b-.6,0,1.2.6
p-.68.58-.4.9.4.9.68.58b-.2,0,.4.4l.2,0-.2.4g-.55.3,1.1.2,4,1o0,.72.09.09f0,1.1.08;windmill:p-.18,0,.18,0,.1.62-.1.62
p-.13.62.13.62,0,.78b-.05,0,.1.18g-.05.3.1.25,1,2w0,.66.38,4,.4;tractor:b-.2.3.8.25b-.4.5.42.45g-.36.6.34.25,1,1
k.35.5.35.85m.35.85.3w-.25.26.26,8,1.2w.45.15.15,6,2s.1.36.3.12;crane:z0,0,0,1z-.35.95.9.95l-.35,1,0,1.12.9,1
b-.08.83.16.12b-.37.8.14.14q.6.93.4.14i0,1.12.02;scaffold:b-.4,0,.8,1g-.36.08.72.86,4,4z-.5.25.5.25z-.5.5.5.5
l-.5,0-.5,1.1h-.2.53.18h.05.78.18s-.3.8.5.12;neon:s-.3.2.6.3d-.36.52.72.08,9,1d-.36.1.72.08,9,1j0,.75.14i-.36.35.06
i.36.35.06I.3-.1.14l-.36.1-.36.62.36.62.36.1-.36.1;canopy:b-.8,0,.08.8b.7,0,.08.8b-1.1.78,2.2.16a-1.1.78,2.2.05,18
s-.5.82,1,.14i-.6.76.04i.6.76.04;goal:z-.5.25.5.25z-.5.55.5.55k-.5,0-.5.65.5.65.5,0l-.2,0-.2.6l0,0,0,.6l.2,0,.2.6;
stand:b-1,0,2,.8d-.95.2,1.9.5,17,4s-.9,0,.6.16s-.25,0,.5.16f-.8.95.16f0,.95.16f.8.95.16;tower:b-.16,0,.32.8b-.2.76.4.1
b-.2.86.08.07b-.04.86.08.07b.12.86.08.07g-.08.2.16.5,2,3k0,.85,0,1.1f0,1.1.12;wall:b-.7,0,1.4.45b-.7.43.16.1
b-.36.43.16.1b-.02.43.16.1b.32.43.16.1o0,.2.16.2b-.16,0,.32.2f-.5.55.14p.3.38.5.38.5.16.4.1.3.16j.4.28.05;
span:b-.04-.4.08,1.35b-.07.9.14.06z-.04.1-.04.9l-1,.9-.7.5-.35.25,0,.92.35.25.7.5,1,.9l-.4,0-.4.28l.4,0,.4.28i0,.98.03;
arch:b-.6-.1,1.2.12p-.6,0-.6-.8-.5-.8-.42-.4-.2-.2,0-.14.2-.2.42-.4.5-.8.6-.8.6,0z-.6.05.6.05j0-.07.04;
racer:p-.6.1.65.1.7.22.2.35.05.5-.15.5-.3.35-.6.35o-.02.52.1.1s-.2.14.3.2w-.4.14.15,5,2w.42.14.15,5,2b-.68.42.18.06
k-.6.3-.6.45;saloon:b-.45,0,.9.65g-.4.36.8.2,5,1s-.5.62,1,.26p-.3.88.3.88.15,1-.15,1b-.12,0,.24.28l0,0,0,.28
b-.6.28,1.2.05k-.55,0-.55.28k.55,0,.55.28h-.35,0,.3;cactus:k0,0,0,1k-.3.75-.3.45,0,.4k.3.9.3.6,0,.5j0,1,.06;
twig:k-1,.2,0-.4.9-.6k0-.4.3-.9o.9-.6.18.1o.6-.4.16.1o.3-.9.1.2o.1-.7.15.09;bunting:l-3,.1-1.5-.4,0-.1,1.5-.5,3,0
p-1.7-.35-1.3-.35-1.5-.85p-.9-.3-.5-.2-.7-.75p0-.1.4-.2.2-.65p.7-.3,1.1-.4.9-.85p1.5-.5,1.9-.4,1.7-.95;
bulbs:l-3,.1-1.5-.4,0-.1,1.5-.5,3,0i-2.2-.3.12i-1.5-.5.12i-.8-.4.12i.7-.4.12i1.5-.6.12i2.2-.4.12;wires:l-9,.2,0-.5,9,.3
l-9-.3,0-.9,9-.2o-.8-.3.16.2o.3-.35.16.2o1.2-.25.16.2;heads:o-1.2.3.4.5o0,.4.45.5o1.1.25.4.5b-.5.7.9.2o0,.9.35.25
j0,.8.12f1.4,1.4.4;house:b-.35,0,.7.8p-.4.78,0,1.1.4.78g-.33.3.66.45,3,2b.1,0,.14.25b-.25.08.2.14b.15.95.08.14;
shop:b-.4,0,.8.95b-.43.92.86.07g-.38.45.76.45,4,2b-.35.05.45.24s-.36.37.72.12a-.4.28.8.1,7b.16,0,.16.28
d-.38.98.76.04,9,1;flat:b-.25,0,.5,1g-.23.06.46.9,4,6b-.28.98.56.05b-.07,0,.14.12l.1,1,.1,1.15b-.2,1,.1.08;
man:t-.06.42.42,0t.06.42.42.35t-.15.74.34.35t.15.74.34,0p-.15.78.15.78.2.36-.2.36L0,.76,0,.4A-.16.5.32.12,4o0,.88.11.13
O0,.97.16.06P-.12.92,0,1.2.12.92o-.04.89.02.02o.05.89.02.02J0,.97.04F.3.8.2B.16.2.2.2;sign:k0,0,0,.6s-.4.5.8.4j0,1,.1;
balloon:o0,1,.25.3l0,.7.05.3,0,0J0,1,.15o-.08,1.1.05.08;ball:o0,.5.5.5j0,.5.3;tug:p-.6.3.7.4.55,0-.5,0b-.4.32.7.2
g-.35.36.6.1,4,1b-.35.5.14.4m-.28.9.4d-.5.1,1,.1,6,1s.1.12.3.12;tree:k0,0,0,.5o0,.75.28.24o-.2.6.18.15o.2.62.2.16
O.1.7.04.04P-.25.4.25.4,0,1.1P-.2.6.2.6,0,1.25;car:p-.9.2,1,.2.95.5.5.55.3.9-.4.9-.6.55-.9.5b-.35.58.3.25b0,.58.28.25
w-.5.2.19,5,2w.55.2.19,5,2i.93.4.06b-.95.2,1.95.07S-.3.28.5.2;crates:b-.5,0,.48.5b0,0,.5.45b-.25.5.5.45l-.5,0-.02.5
d.05.4.4.12,4,1
"""
# Scenes, of steps (Film.stage; ? now and then): verb, kinds of things, where their feet are, sizes, how many, paces
PLAN_TEXT = """
street:R house/shop/flat 0 0 90 190 .7;G 0 .2;G .2 1.1;R lamp/tree/sign .15 .2 50 110 1.6;A car/bus/lorry .35 .9 40 75 5
30;A man .1 .25 40 50 5 9;?A man .9 1 90 130 3 8;?R bunting -1 -1 20 40 5|market:?R house/shop 0 0 80 190 .7;G 0 1.1;R
stall .1 .2 80 110 1.5;A man .2 .5 60 80 6 6;P stall .6 .9 100 140 4;A man .7 1.1 90 130 3 10;P crates .8 1.1 30 60 7;?A
bird -1 0 6 14 7 15 5|harbour:R house/flat 0 0 50 110 .6;P lighthouse 0 0 110 200 2;S 0 1.1;A ripple .05 1 8 26 22 4 3;P
boat .05 .15 50 90 3;A boat/tug .2 .8 70 150 6 9 2;A bird -1.2 .2 6 14 7 16 5;?P crates .95 1.05 40 60 6;?A man .95 1.05
60 90 3 6|funfair:?R tree/house 0 0 50 110 .8;A ferris 0 .1 150 260 2;G 0 1.1;A carousel/booth .1 .4 90 150 4;R
bulbs/bunting -1 -.6 20 30 5;A man .4 1 60 110 6 8;A balloon -1 .3 30 60 4 5 9|station:R house/flat -.1 -.1 60 150 .6;?R
wires -1 -.9 20 30 4;G -.1 .3;G .32 1.1;A train/steam .29 .31 60 110 3 50;A canopy/lamp/sign .45 .7 100 170 4;A man .45
.9 60 100 6 4;P crates .5 1 35 90 5;?R sign/bunting -1 -.8 30 50 3|rooftops:R flat/house 0 .2 80 160 .5;R house .6 .7 90
150 .55;A chimney -.1 .3 30 60 6;R house 1.3 1.5 130 190 .6;A chimney/laundry .3 .8 50 90 6;A bird -1.3 0 6 14 8 14
6|farm:G 0 1.1;R tree/fence 0 .02 20 50 1.2;A windmill 0 .1 100 180 2;P barn/house .05 .25 90 160 5;R fence .35 .4 30 40
2;A beast .4 .9 40 90 6 6 2;A tractor .5 .8 60 90 2 16;?P crates/tree .4 1 40 110 5;?A man .6 1 70 110 2 6;?A bird -1 .2
6 14 7 15 5|site:R flat 0 0 80 190 .8;G 0 1.1;A crane 0 .2 190 290 3;P scaffold .05 .3 100 190 4;A lorry/tractor .4 .8
60 110 3 10;P crates/fence .4 1 30 60 7;A man .4 1 60 110 5 6;?R sign/fence 1.05 1.1 50 70 1.6|neon:R flat 0 0 120 260
.5;R shop/flat .1 .15 90 170 .8;G .15 1.1;A neon -.9 .1 50 110 10;R lamp .2 .3 70 110 2;A car/bus .4 .9 45 75 4 30;A man
.15 .4 45 60 4 8;?A man .9 1.2 120 160 2 8|football:R stand 0 0 100 140 1.7;R sign .05 .05 24 30 1.6;G .05 1.1;P goal .3
.5 90 130 3;A man .2 .9 60 110 9 16 6;A ball .3 .9 14 20 2 40 50|castle:R wall 0 .05 90 130 1;A tower 0 .05 130 230 6;G
.05 1.1;?S .1 .3;R tree/fence .35 .4 30 60 1.4;A rider/man .4 .9 60 110 6 14 4;A bird -1.2 0 6 14 6 15 5;?P tree .7 1.1
40 90 6|bridge:R flat/house/tree 0 0 40 110 .5;S 0 1.2;R span .1 .1 150 200 1.9;R arch .1 .1 150 220 .95;A car/bus/lorry
.06 .09 24 40 7 26;?A steam .08 .08 34 44 2 30;A ripple .3 1 8 26 18 4 3;A boat/tug .5 1 60 110 4 10 2|race:R stand/tree
0 0 80 120 1.6;R sign/bunting 0 .05 22 34 1.4;G 0 .2;G .2 .9;R fence .22 .22 30 30 2.5;A racer .35 .85 45 85 7 60 2;R
fence .95 .95 40 40 2.5;?P crates 1 1.1 30 60 8;A man .1 .15 40 60 4 3|western:R saloon/barn/shop 0 .05 110 170 .85;G 0
1.1;A rider/beast .3 .8 70 120 3 22 5;P crates/fence/cactus .1 .9 35 80 9;A man .2 .9 60 100 5 8;?A ball .4 .9 20 30 3
40 20;?A bird -1 0 6 14 5 15 5|parade:R house/shop 0 0 90 190 .7;R bunting -.9 -.5 20 34 4;G 0 1.1;A man .1 .2 45 60 7
3;A lorry/rider .5 .8 80 120 5 14;A balloon -1 .5 30 60 5 5 9;R heads 1.05 1.15 40 70 1.6
"""
NUMBER, PIECE = re.compile(r"-?\d*\.\d+|-?\d+"), re.compile(r"([a-zA-Z])([^a-zA-Z]+)")
PARTS = (entry.partition(":") for entry in KIT_TEXT.split(";"))
KIT = {name.strip(): [(p, [*map(float, NUMBER.findall(n))]) for p, n in PIECE.findall(text)] for name, _, text in PARTS}


def palette(rng: Rng) -> list[Tone]:
    """The colours of a film: any, pastel, vivid, earthen, greyish, or of one or two hues."""
    many, how, hue = int(rng.integers(5, 14)), rng.integers(6), rng.uniform(0, 180)
    hues = rng.uniform(0, (180, 180, 180, 35, 180, 15)[how], many) + (how == 5) * rng.choice([hue, hue, hue + 90], many)
    full, light = [(20, 220), (25, 100), (150, 255), (40, 170), (0, 90), (60, 230)][how], 190 if how == 1 else 60
    hsv = np.stack([hues % 180, rng.uniform(*full, many), rng.uniform(light, 255, many)], axis=1)[None]
    return cv2.cvtColor(hsv.astype(np.uint8), cv2.COLOR_HSV2BGR)[0].tolist()


def camera(rng: Rng, count: int) -> np.ndarray:
    """float[count, 3]: left, top and how near; it mostly stands still."""
    slack, t = np.array([WIDE - WIDTH, HIGH - HEIGHT]), np.arange(count)[:, None] / 7
    cam, how = np.ones((count, 3)) * [*np.floor(rng.uniform(0, 1, 2) * slack), 1], rng.random()
    cam[:, 2:] += (how > 0.84) * (rng.uniform(0.1, 0.6) + rng.uniform(-0.1, 0.5) * t * (how > 0.92))  # near, a push
    cam[:, :2] += np.round(t * rng.normal(0, 110) * (how < 0.14)) * (1, 0)  # a pan
    if 0.14 < how < 0.28:  # a drift, or a tremble
        cam[:, :2] += t * rng.normal(0, 30, 2) if how < 0.2 else rng.normal(0, rng.uniform(0.4, 2.5), (count, 2))
    return np.clip(cam, (0, 0, 1), (*slack, 9))


class Film:
    """One shot: its colours, pen, camera, what is painted, and what acts: drawn alike in every picture by its seed."""

    def __init__(self, rng: Rng, count: int, word: Word, dark: float) -> None:
        self.start(rng)
        self.dark, self.words = self.u() < dark, [word() for _ in range(4)] if self.u() < 0.3 else []
        self.thick, self.tones, self.cam = int(rng.choice([0, 0, 1, 1, 1, 2, 2, 3])), palette(rng), camera(rng, count)
        self.ink, self.glow = tone(rng, 0, rng.choice([25, 25, 90, 150])), (self.n(60, 180), self.n(170, 245), 255)
        self.acts, self.back, self.floor = list[tuple](), np.empty((HIGH, WIDE, 3), np.uint8), HIGH * self.u(0.5, 0.72)
        self.heaven(self.back)

    def start(self, rng: Rng) -> None:
        self.rng, self.u, self.n = rng, rng.uniform, lambda *between: int(rng.integers(*between))

    def tone(self, low: float = 0.7, high: float = 1.2) -> Tone:
        by = self.u(low, high) * (0.4 if self.dark else 1)
        return tuple(min(255, int(v * by)) for v in self.tones[self.n(len(self.tones))])

    def poly(self, v: View, points: Points, colour: Tone | None = None, thick: float = 9) -> None:
        fill(v, np.asarray(points, float), colour or self.tone(), self.ink, max(0, int(min(thick, self.thick))))

    def box(self, v: View, x: float, y: float, w: float, h: float, colour: Tone | None = None) -> None:
        self.poly(v, [[x, y], [x + w, y], [x + w, y + h], [x, y + h]], colour, min(w / 4, h / 4))

    def line(self, v: View, points: Points, colour: Tone | None = None, thick: float = 1) -> None:
        line(v, np.asarray(points, float), colour or self.ink, int(thick))

    def heaven(self, v: View) -> None:
        """The sky: level, in bands or a gradient, with a sun or moons, stars, clouds, hills or far houses."""
        pair = [(110, 50, 60), (60, 25, 15)] if self.dark else [(250, 225, 170), (230, 190, 110)]
        pair = pair if self.u() < 0.4 else [self.tone(0.8, 1.5), self.tone(0.5, 1.3)]
        steps, ramp = self.rng.choice([7, 255]), np.linspace(0, self.rng.choice([0, 1, 2]), HIGH)[:, None, None]
        v[:] = np.array(pair[1]) + np.round(np.clip(ramp, 0, 1) * steps) / steps * np.subtract(*pair)
        for x, y in self.u((0, 0), (WIDE, HIGH), (self.n(20, 90) * self.dark, 2)):
            self.poly(v, RING[::4] * self.u(0.5, 1.8) + (x, y), (240, 250, 250), 0)
        for _ in range(self.n(3)):  # often in a corner of what is seen
            size, x = self.u(8, 32), self.cam[0, 0] + abs(self.rng.choice([0, 1, 0.5]) * WIDTH - self.u(0, 70))
            for shape, by in ((STAR if self.u() < 0.3 else RING, self.u(1.2, 1.9)), (RING, 1)):
                self.poly(v, shape * by * size + (x, self.cam[0, 1] + size), tuple(c / by**0.4 for c in self.glow))
        for x, y in self.u((0, 0), (WIDE, HIGH / 2), (self.n(9), 2)):
            for size in self.u((10, 6), (40, 16), (self.n(2, 6), 2)):
                self.poly(v, RING * size + self.u(-1, 1, 2) * (35, 7) + (x, y), pair[0] if self.dark else (250,) * 3, 0)
        for depth in range(self.n(4)):
            x, rise = np.repeat(np.linspace(-9, WIDE + 9, 41), 2), HIGH * (0.4 + 0.1 * depth)
            y = sum(self.u(5, 30) / k * np.sin(k * x / self.u(50, 160) + self.u(0, 6)) for k in (1, 2, 5))
            y = np.repeat(self.u(-50, 50, 41), 2)[np.r_[1:82, 0]] if self.u() < 0.3 else y
            self.poly(v, [[-9, HIGH + 9], *zip(x, rise + y), [WIDE + 9, HIGH + 9]], self.tone(0.6, 1.3))

    def draw(self, name: str, v: View, x: float, foot: float, s: float, k: int) -> None:
        """A thing of a kind, standing there, so large, as it is in a picture of the shot."""
        by = s * np.array([self.u(0.75, 1.3) * self.rng.choice([-1, 1]), -1])
        for sort, numbers in KIT[name]:
            if self.u() < (0.3 if sort.isupper() else 0.95):
                self.piece(v, sort.lower(), np.array(numbers), by, np.array([x, foot]), k)

    def piece(self, v: View, sort: str, n: np.ndarray, by: np.ndarray, at: np.ndarray, k: int) -> None:
        flat, s, colour = n[: len(n) // 2 * 2].reshape(-1, 2) * by + at, -by[1], self.tone()
        lit, (x, y), size = self.glow if self.dark and self.u() < 0.6 else self.tone(0.6, 1.5), flat[0], n[2] * s
        sway, far = 0.5 * np.sin(1.9 * k + n[-1] * 9 + self.u(0, 0.5)), (abs(n[2] * by[0]), n[-1] * s)
        if sort in "lk":  # a line of ink, a bar
            self.line(v, flat, colour if sort == "k" else None, 1 + s / 20 * (sort == "k"))
        elif sort == "z":  # two beams and what is between
            beam = flat[0] + np.outer(np.linspace(0, 1, 16), way := flat[1] - flat[0])
            for step in (1, 2):
                self.line(v, (beam + np.outer([1, -1] * 8, way[::-1] * (0.03, -0.03)))[::step], colour, 1 + s / 150)
        elif sort in "poj":  # a polygon, something round, a badge
            self.poly(v, {"p": flat, "o": RING * far + (x, y), "j": STAR * size + (x, y)}[sort], colour, s / 20)
        elif sort in "bsadg":  # a box, a sign, stripes, dots, windows
            box = min(x, x + n[2] * by[0]), y - n[3] * s, far[0], n[3] * s
            self.upright(v, sort, box, [*n[4:], 1, 1], (colour, lit))
        elif sort == "i":  # a lamp that may blink
            self.poly(v, RING[::2] * size + (x, y), lit if self.u() < 0.5 or (k + int(x)) % 3 else (40, 40, 40), 1)
        elif sort == "h":
            self.draw("man", v, x, y, size, k)
        elif sort in "qt":  # what swings: a thing on a rope, a limb
            end = (x, y) + size * np.array([np.sin(sway), np.cos(sway)])
            self.line(v, [(x, y), end], colour if sort == "t" else None, 1 + s / 14 * (sort == "t"))
            self.poly(v, RING[3::6] * n[3] * s * (sort == "q") + end, lit)
        elif sort == "f":  # cloth that waves
            t, down, long, lag = np.linspace(0, 1, 9), np.array([0, size]), self.u(1, 2.2), self.u(0, 6)
            wave = np.stack([t * long, 0.2 * t * np.sin(6 * t - 2.3 * k + lag)], axis=1) * size + (x, y)
            self.line(v, [(x, y - size / 5), (x, y + size * 2)], None, 1 + s / 60)
            self.poly(v, [*wave, *(wave + np.outer(1 - t * self.n(2), down))[::-1]], colour, s / 20)
            self.poly(v, STAR * size / 4 + wave[3] + down / 2.5, lit, 1)
        elif sort == "m":  # smoke
            for rise in (np.arange(6) + k * self.u(0.2, 0.8)) % 6:
                self.poly(v, (RING * (0.12 + 0.06 * rise) + np.array([0.15, -0.35]) * rise) * size + (x, y), colour, 1)
        elif sort == "w":  # a wheel, with cabins where it is large
            self.line(v, RING[np.r_[:24, 0]] * size + (x, y), colour, 2 + size / 9 * (size < 30))
            for turn in k * n[4] + np.arange(n[3]) * 6.2832 / n[3]:
                a, b = x + np.cos(turn) * size, y + np.sin(turn) * size
                self.line(v, [(x, y), (a, b)], lit, 1 + size / 50)
                self.box(v, a - size / 10, b, size / 5, size / 6) if size > 30 else None

    def upright(self, v: View, sort: str, box: tuple, n: list[float], pair: tuple) -> None:
        (x, y, w, h), across, high = box, max(1, int(n[0]) + self.n(-1, 2) * (sort == "g")), max(1, int(n[1]))
        if sort in "bs":
            self.box(v, *box, pair[0])
            self.write(v, np.array([x + w / 2, y + h / 2]), w, h) if sort == "s" else None
        for j, i in np.ndindex(*(across, high) if sort in "adg" else (0, 0)):
            a, b, c, d = x + w * j / across, y + h * i / high, w / across, h / high
            pane = self.glow if self.dark and self.u() < 0.4 else pair[self.dark ^ 1]
            if sort == "d":
                self.poly(v, RING[::3] * min(c, d) * 0.45 + (a + c / 2, b + d / 2), pane if self.dark else None, h / 60)
            elif sort == "a":
                self.box(v, a, b, c, d, pair[j % 2])
            else:
                self.box(v, a + 0.2 * c, b + 0.2 * d, 0.6 * c, 0.6 * d, pane)

    def write(self, v: View, at: np.ndarray, w: float, h: float) -> None:
        """Lettering, a star, a disc or a triangle on a sign; they shine in the dark."""
        mark = self.rng.permutation([255, self.n(40, 255), 60]).tolist() if self.dark else self.tone(1.1, 1.7)
        if self.words:
            tall = min(0.65 * h, 0.85 * w * (word := self.words[self.n(4)]).shape[0] / max(1, word.shape[1]))
            label(v, word, at, tall, mark) if tall > 5 else None
        else:
            self.poly(v, (STAR, RING, RING[self.n(8) :: 8])[self.n(3)] * 0.35 * min(w, h) + at, mark, h / 20)

    def stage(self, step: str) -> None:
        """A step of a plan. S, G: water, a ground, from and to; R: a painted row; P: painted things; A: acting ones."""
        verb, names, *rest = step.split()
        low, high, small, large, gap, pace, bob = ([float(part) for part in rest] + [0] * 7)[:7]
        depth, kinds, row = HIGH - self.floor, names.split("/"), verb == "R"
        if verb in "SG":
            tones = [tuple(c * self.u(0.5, 1) * (0.5 if self.dark else 1) for c in each) for each in self.tones]
            tones = [(160 - 60 * self.dark, self.n(60, 130), self.n(20, 60))] if verb == "S" else tones
            pen = Pen(rng=self.rng, ink=self.ink, thick=self.thick, tones=tones, word=lambda: self.words[0])
            ruled(self.back, self.floor + float(names) * depth, self.floor + low * depth + 3, pen)
        x, many = self.u(-40, 40), 60 if row else self.n(int(gap / 2), int(gap) + 1)
        for far in np.sort(self.u(0, 1, many)):
            size, foot = self.u(small, large) if row else small + (large - small) * far, low + far * (high - low)
            x = x + size * gap * self.u(0.8, 1.2) if row else self.u(0, WIDE)
            thing = kinds[self.n(len(kinds))], self.n(2**31), x, self.floor + foot * depth, size
            if verb == "A":
                self.acts.append((*thing, self.rng.normal(0, pace) * (self.u() < 0.75), bob, 1))
            elif x < WIDE + 60:
                self.draw(thing[0], self.back, *thing[2:], 0)

    def roll(self) -> np.ndarray:
        out = []
        for k, (left, top, near) in enumerate(self.cam):
            view = self.back.copy()
            for name, seed, x, foot, size, pace, bob, close in self.acts:
                self.start(np.random.default_rng(seed))
                moved = x + pace * k + (1 - close) * (left - self.cam[0, 0])  # what is near goes by faster
                self.draw(name, view, moved, foot - bob * abs(np.sin(1.9 * k + seed)), size, k)
            by = [[1 / near, 0, left + WIDTH * (0.5 - 0.5 / near)], [0, 1 / near, top + HEIGHT * (0.5 - 0.5 / near)]]
            seen = cv2.warpAffine(view, np.array(by), (WIDTH, HEIGHT), flags=cv2.WARP_INVERSE_MAP | cv2.INTER_LINEAR)
            if self.dark:  # lights shine into what is around them
                small = cv2.GaussianBlur(cv2.resize(cv2.subtract(seen, (110, 110, 110, 0)), (128, 72)), (0, 0), 3)
                seen = cv2.add(seen, cv2.resize(small, (WIDTH, HEIGHT)))
            out.append(seen)
        return np.stack(out)


def shoot(rng: Rng, count: int, word: Word, plan: str) -> np.ndarray:
    """A shot by a plan, and what is near and cut off by the frame."""
    film = Film(rng, count, word, 1.0 if "neon" in plan else 0.18)
    for step in plan.split(";"):
        if "?" not in step or film.u() < 0.5:
            film.stage(step.replace("?", ""))
    for _ in range(film.n(4)):
        kind, size = rng.choice(["twig", "bunting", "bulbs", "wires", "heads", "fence", "lamp"]), film.u(12, 60)
        x, low = film.cam[0, 0] + abs(rng.choice([0, WIDTH]) - film.u(0, 60)), kind in ("heads", "fence", "lamp")
        film.acts.append((kind, film.n(2**31), x, film.cam[0, 1] + low * 300, size * (1 + low), 0, 0, film.u(1, 1.6)))
    return film.roll() if film.dark else finished(film.roll(), rng)


PLANS = (entry.partition(":") for entry in PLAN_TEXT.split("|"))
SCENES = {name.strip(): partial(shoot, plan=plan) for name, _, plan in PLANS}
