"""Films of nature: cel figures, silhouettes or cut paper before painted woods, seas, deserts, peaks, caves and skies.

To train the networks of marks with as unmarked: emblems, suns, crystals and boards that belong to the scene.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np
from cartoons import somebody
from drawn_places import finished
from ink import HEIGHT, WIDTH, Rng, Tone, Word, fill, label, line, tone, turned

WIDE, TALL = 640, 352  # of what is painted: the camera moves over it
# Letters with tones; hours with the tones of their sky, from above to below, and of their light (BGR).
TONES = """w f5f5f5 k 1c1616 r 2d29cd g 3c8737 b be6e28 y 50dcfa n 284b78 s 8c847d p be96f5 v a54178 o 2d82f0 t afaa32 e
9bc3dc d 50321e l 5ac8a0 i f0dcbe day e6b96ef5e8cdffffff dusk 7d37465a5ae182cdffccccff night 3e190f703e2ad99980 mist
d4d6c8ecece4fffff0 dawn d7a5bec8d4fcfff5ff deep c8aa5a8c5a143c230affe6cc dark 1e140f50323c140f0accb2b2 void
1e0a0f2d1423ffffff glow 1e142832329b50aaffb2b2e6 grey 827870b4aaa5bfb2a6 leafy 50a078b4ebd2f0fff0"""
# What stands, flies or swims: kinds of parts (o round, q box, p polygon, s star, r rays, l line, F four legs, h light,
# W words; 2: and mirrored; capitals swing), letter of a tone (a, c: any), twentieths of its size.
THINGS = """mushroom qe0,5,2,5 pr-9,10,-7,16,0,18,7,16,9,10 2ow-4,13,2,1 ow0,16,1,1; rock ps-12,0,-10,9,-2,14,6,10,12,0
pe-10,9,-2,14,6,10,-1,8; cactus lg4,0,0,0,18 lg3,0,8,-7,8,-7,15 lg3,0,6,6,6,6,13 sp0,20,3,3 2lw.4,-1,3,-1,17; pine
qn0,2,1,2 pg-8,2,0,12,8,2 pg-6,8,0,16,6,8 pg-4,13,0,21,4,13; fir qn0,2,1,2 pg-8,2,0,16,8,2 pw-5,8,0,17,5,8,2,10,-1,8
pw-3,16,0,22,3,16; flower lg1,0,0,1,14 pg.4,3,7,9,2,1 ra1,16,6,6 oc1,16,2,2; tuft
pg-6,0,-7,12,-4,4,-2,19,.4,4,4,16,4,3,7,10,6,0; bush 2og-6,6,7,6 og0,10,7,7 or-4,8,1,1 or2,12,1,1 or6,6,1,1; oak
pn-2,0,-1,10,1,10,2,0 2og-6,12,6,5 og0,16,7,5; bare ln2,0,0,0,10,-1,20 ln1,0,8,-6,15,-7,20 ln1,-.2,10,6,16,8,16
ln.5,-4,12,-9,13 ln.5,4,14,4,19; palm ln2,0,0,1,9,.4,17 2pg.4,17,8,18,12,12,6,16 2pg.4,17,6,23,11,22,4,20 on1,16,1,1;
acacia lk2,0,0,.4,9,-4,15 lk1,.4,9,5,15 2og-4,16,8,2 og0,18,7,2; cabin qn0,6,9,6 qs6,16,1,4 pr-12,10,0,20,12,10
qk0,3,2,3 qy-6,7,2,2 qy6,7,2,2 lk.4,-7,7,-4,7 Wk3,0,12; tent pa-12,0,0,16,12,0 pk-3,0,0,12,3,0 qc6,4,2,1 lc.5,-6,.4,0,16
Wk2,-4,2; skull oe0,5,5,4 2ok-2,5,1,1 qe0,1,2,1 lk.4,-1,2,-1,0 2le1,-4,7,-9,10; crystal pa-6,0,-8,11,-5,15,-2,0
pa2,0,4,12,7,14,7,0 pa-3,0,-3,17,.4,21,3,16,3,0 pw-2,2,-1,16,0,18,.2,2; coral la2,0,0,0,9,-5,18 la2,0,8,5,12,6,20
la2,4,12,10,16 la2,-2,13,-9,15; weed Lg2,0,0,-2,7,1,13,-1,20 Lg1,3,0,4,6,2,12,5,17; fish oa0,10,9,5
Pc-7,10,-15,16,-14,10,-15,4 pc-2,14,4,19,5,14 qc2,10,1,5 ow6,11,2,2 ok6,11,1,1; jelly Lp1,-4,10,-5,5,-3,0
Lp1,0,10,1,4,-1,-1 Lp1,4,10,3,5,5,0 pa-8,10,-6,16,0,20,6,16,8,10 ow-2,14,1,1; crab 2Lr1,-5,3,-10,0 2Lr1,-4,2,-6,-.4
or0,6,7,4 2Pr6,7,11,12,14,9,12,10 2ow-2,11,2,2 2ok-2,11,.5,.5; bird oa0,10,6,3 Pc-1,11,-6,20,5,12 pa-5,10,-12,12,-11,8
oa6,12,3,3 po8,13,12,12,8,11 ow6,13,1,1 ok7,13,.4,.4; vee 2Lk1,0,10,-5,14,-10,12; bat 2Pk0,10,-12,18,-10,10,-6,11,-4,7
ok0,10,2,4 oy-1,12,.4,.4 oy1,12,.4,.4; bee Pw-.4,12,-4,20,3,19 oo0,10,7,4 qk-2,10,1,4 qk2,10,1,4 ok6,10,2,2 ow6,11,1,1;
butterfly 2Pa0,10,-10,20,-12,12,-2,10 2Pc0,10,-9,6,-6,1 ok0,10,1,5 2lk.4,0,14,-2,19; ladybird or0,5,8,5 ok6,4,3,3
ok-3,6,1,1 ok2,8,1,1 ok1,3,1,1 lk.4,-7,5,7,5; frog Lg2,-6,4,-10,7,-8,0 Lg2,4,2,6,-.4 og0,5,8,5 og4,9,4,3 ow6,12,2,2
ok6,12,1,1; elephant Fs3,-6,8,8 os0,12,10,6 os10,16,5,4 Ls2,13,15,16,9,14,3 Ps8,18,3,14,7,10 pw12,13,16,11,12,12
ok11,17,.5,.5; giraffe Fe1,-5,5,9 oe0,10,6,3 pe2,10,5,10,9,22,7,22 oe9,22,3,1 le.4,7,22,7,25 2on-2,10,1,1 on5,15,1,1
Ln.5,-5,11,-7,5 ok10,22,.4,.4; deer Fn1,-4,5,9 on0,10,6,3 pn4,12,6,9,10,16,8,18 on10,18,3,2 ln.5,8,19,7,24,5,24
ln.5,7,22,9,25 pe-6,12,-9,11,-6,10 ok10,18,.4,.4; fox Fo1,-4,3,5 oo0,7,6,3 oo7,10,3,3 po6,12,6,16,8,12
po9,12,11,15,10,11 Po-6,8,-15,13,-12,6 pw9,9,13,8,10,7 ok8,10,.5,.5; dino Fg3,-5,4,8 og0,10,9,5 Pg-7,11,-21,6,-7,8
pg5,12,8,9,15,20,12,22 og14,21,3,2 ok15,22,.5,.5 pr-4,15,-2,19,-.4,15 pr1,15,3,19,5,14; owl on0,6,4,6 2ow-2,10,2,2
2ok-2,10,1,1 po-1,8,1,8,0,7 2Pa-3,8,-6,2,-2,1; duck ow0,4,6,3 oa5,8,3,2 po7,9,11,8,7,7 Pe-2,5,-7,4,-2,2 ok6,9,.5,.5;
balloon oa0,14,7,8 oc0,14,4,8 oa0,14,1,8 pc-4,8,4,8,2,5,-2,5 2lk.2,-2,5,-1,2 qn0,1,2,1 Wk3,0,14; boat lk1,0,5,0,22
Pw.5,20,11,7,.5,7 pc-.5,19,-8,7,-.5,7 pr0,22,-4,20,0,19 pn-14,5,14,5,10,0,-11,0 qa0,4,14,.5 2oe-6,2,1,1 oe0,2,1,1
Wk3,0,2; rocket Py-2,4,0,-4,2,4 2pr-4,8,-8,1,-4,3 pw-4,3,-4,14,0,22,4,14,4,3 pr-3,16,0,22,3,16 ob0,12,2,2 lr1,-4,7,4,7
Wk2,0,8; planet oa0,10,9,9 pc-8,13,8,13,9,11,-9,11 pc-9,8,9,8,8,5,-8,5 oc3,9,2,1; ringed oa0,10,8,8
pc-8,12,8,12,8,10,-8,10 le1,-8,9,-15,6,-12,4,12,14,15,14,8,11; snowman ow0,4,5,4 ow0,11,4,3 ow0,16,3,3
po.4,16,5,15,.4,15 ok-1,17,.4,.4 ok1,17,.4,.4 qk0,19,2,.4 qk0,21,2,2 lr1,-3,13,3,13; leaf pa0,0,-6,6,-3,14,0,20,3,14,6,6
lc.5,0,-2,0,17; bough ln1,0,0,8,-2,19,-2 ln.5,8,-2,14,-8 og6,-5,3,1 og11,1,3,1 og12,-8,2,1 og16,-4,3,1 or9,-5,1,1;
bunting lk.4,-20,0,-10,-4,0,-5,10,-4,20,0 pa-16,-2,-12,-3,-14,-7 pc-9,-4,-4,-5,-7,-9 pr-2,-5,2,-5,.2,-10
pa5,-4,9,-4,7,-9 pc12,-3,16,-1,14,-7; web lw.2,0,0,20,-2 lw.2,0,0,16,-12 lw.2,0,0,2,-20 lw.2,12,-1,10,-7,1,-12
lw.2,18,-2,14,-11,2,-18 ok12,-9,1,1; trunk pn-4,-8,-2,0,-2,60,2,60,3,0,4,-8 lk.4,-1,8,-.5,24 lk.4,1,16,1,34 ok0,30,1,2
on2,20,1,.5; spike pa-4,0,-2,12,0,20,2,11,4,0 pe-2,1,-.5,12,0,18,0,6; hang pa-4,0,-2,-11,0,-21,2,-12,4,0
pe-2,0,-.5,-11,0,-18,.2,-4; cone ps-23,0,-6,20,-2,18,2,19,6,20,23,0 pr-5,19,-6,12,-3,14,-2,5,.5,14,3,10,5,20
po-2,19,-2,12,0,16,2,19; puff ow0,0,8,6 2ow6,3,6,5; flame 2ln2,-9,0,9,2 Po-6,1,-7,9,-3,6,0,21,3,9,7,10,6,1
Py-3,1,-3,6,0,13,3,6,3,1; sun hy0,0,34,34 hy0,0,26,26 oy0,0,20,20; rays ro0,0,32,32 oy0,0,20,20; face oy0,0,20,20
2ok8,5,2,3 lk2,-9,-5,0,-10,9,-5 2or12,-4,3,2; halfmoon pi4,19,-8,17,-17,6,-16,-8,-6,-18,6,-18,-4,-10,-7,0,-4,10;
fullmoon hi0,0,28,28 oi0,0,20,20 oe-7,6,4,4 oe6,-4,5,4 oe-2,-10,3,2; cloud 2ow8,0,11,5 ow0,4,9,7; spark ow0,0,10,10; dot
oy0,0,10,10; star sw0,0,12,12; bubble oi0,0,10,10 ow-3,4,2,2; streak li1,0,0,2,-20; wave lw1,-18,0,-8,2,4,0,16,1; beam
hw0,-40,14,66; mist hw0,0,60,9; fire hy0,8,52,52; board ln2,0,0,0,18 pe-12,18,12,18,14,14,12,10,-12,10 Wk5,0,14; church
qe0,8,4,8 pv-5,16,0,26,5,16 ow0,12,2,2 lk.4,0,12,0,14 lk.4,0,12,1,12 qy0,6,1,2 lk.5,0,26,0,29"""
# What is painted and who acts, by methods of Shot or (no method's name) by `things`; a ? before it: now and then.
FILMS = """forest: sky leafy mist night dusk; ?sun fullmoon 1 10 35 40; ridge g l 45 20; trunk 9 55 100 75; ?beam 4 0 10
90; ridge g n l 68 12; mushroom bush tuft rock flower 16 70 98 34; paint; trunk 3 80 98 120; owl 2 15 45 40 0 40; deer
fox 3 72 85 80 25 40; somebody 2 85 98 70 20; ?dot 30 0 100 5 5 0 0 -6; ?board tent 2 76 92 80; ?flame fire 2 80 96 55 0
50; ?bough web near 4 0 8 150 0 reef: sky deep; ?beam 5 0 10 90; ridge t b v 70 25; coral rock 9 70 85 65; paint; ridge
e p 88 8; coral weed rock skull 15 85 99 50; ?board 2 85 99 65; weed 9 92 104 100 0 25; fish 12 8 75 35 30 30; ?jelly 5
10 60 55 8 40 90; crab 2 90 98 30 12 50; bubble 25 0 100 8 2 0 0 -22 desert: sky day dusk dawn glow; sun rays face 1 8
40 45; ?cloud 4 5 30 40; ridge o n e steps 50 30; paint; ridge e o 65 14; cactus skull rock 9 66 80 50; ridge e 82 8;
cactus tuft rock skull flower 12 84 99 50; ?cabin tent 1 66 80 90; ?board 2 80 99 80; bird vee dot 9 8 50 26 24 60 40;
somebody fox 3 60 92 70 22; ?cactus rock near 3 99 112 170 0 peaks: sky day dawn night mist; ?sun fullmoon rays 1 5 35
35; ?cloud 5 5 35 45; ridge b s v peaks snow 45 60; ridge s b peaks snow 62 30; fir pine 22 60 75 40; paint; ridge w i
82 10; cabin 2 76 88 70; fir rock snowman bare 8 80 99 70; ?board bunting 2 60 95 70; ?vee bird 5 8 40 20 20 60;
somebody deer fox 3 82 97 65 35 40 20; spark 45 0 100 6 5 0 0 12 cave: sky dark; ridge v d s peaks 35 60; ridge d n s 75
30; hang 14 -3 3 90; crystal rock spike 14 72 92 55; paint; crystal spike 8 84 100 70; ?skull board mushroom 3 80 98 50;
fire 2 40 90 50 0 100; bat 6 8 60 36 40 90 40; somebody fox frog 2 80 97 65 25; spark 12 0 100 4 1 0 0 30; hang spike
near 5 -2 2 150 0 balloons: sky day dawn dusk mist; ?sun rays face 1 10 40 40; cloud 7 5 80 50; ridge g l o 88 18; oak
cabin bush pine 18 86 99 26; paint; balloon 7 25 90 90 7 0 12; bird vee 8 8 75 26 35 80 20; ?rocket 2 20 50 60 30;
?balloon near 1 60 120 260 4; ?bunting bough near 2 0 4 130 0 garden: sky leafy day dawn; oak bush 9 45 70 130; ridge g
l 70 15; flower tuft mushroom 20 60 95 90; paint; flower 9 90 105 170 0 8; ?board 2 88 99 90; butterfly 5 10 75 50 22 90
30; bee 4 10 80 40 30 60 20; ladybird frog 5 75 98 50 10 25 8; ?somebody 2 85 98 70 20; ?web bough near 2 0 5 190 0
swamp: sky night mist glow dusk; fullmoon halfmoon 1 8 30 35; manner flat; ridge d 50 18; bare oak 9 45 64 110; manner;
mirror t 62; paint; ?manner flat; bare bush rock tuft 9 60 99 70; frog duck 5 70 95 36 14 30 60; dot bat 14 15 80 12 8
60 40; mist 4 50 85 60 20; ?skull board 2 75 97 60; bough near 4 0 5 190 0 20 river: sky day dawn grey leafy night; ?sun
face rays 1 8 35 40; ?cloud 5 5 30 35; ridge g l b 42 30; oak pine cabin palm 14 48 58 70; mirror b t 60; paint; wave 16
62 98 22 14 0 10; boat 2 68 92 95 24 12 6; duck fish 5 70 98 34 16 30 10; somebody 1 60 66 50 0; bird vee 4 8 40 26 28
70; bush tuft flower near 7 99 112 110 0; ?streak 60 0 100 16 5 0 0 60 volcano: sky glow dusk dark; ridge d s v peaks 60
30; cone 2 74 78 170; ?fire 2 20 70 60 0 90; ridge d n g 76 12; palm rock bare spike 12 74 90 70; paint; palm rock tuft
6 86 100 90; puff 5 6 25 50 6 0 60; dino 3 78 96 85 22 40 8; ?vee bat 4 8 50 40 30 80; dot 30 0 100 5 6 0 0 -24
savannah: sky dusk glow dawn; sun rays 1 25 55 70; ?cloud 4 10 40 40; ridge o n v 66 10; manner flat; acacia palm 6 64
74 100; paint; ridge d 80 6; tuft rock bush 16 78 99 30; giraffe elephant deer 5 64 90 100 24 40 4; ?fox somebody 2 88
97 60 30 40 15; vee 8 10 50 20 30 80 10; ?bough near 4 0 6 200 0 10; tuft near 10 99 110 90 0 12 village: sky night dusk
glow; fullmoon halfmoon face 1 8 35 40; star spark 25 2 50 6; ridge i b t 58 25; manner flat; ridge d 72 14; fir bare 9
66 76 80; church cabin 9 72 86 85; paint; bunting 2 35 60 140; snowman cabin 6 88 99 80; deer somebody fox 3 85 97 55 32
40 10; puff 3 30 60 16 5 0 60; manner; spark 50 0 100 7 5 0 0 14; ?fir bare near 2 104 116 200 0 space: sky void night
dark; spark star 60 0 100 5; ?mist 3 20 80 50; ringed planet fullmoon 5 5 90 60; paint; ?ridge s v e 86 14; crystal rock
spike 9 86 100 50; rocket 2 30 90 80 30 40 20; rock 8 5 95 24 12 0 0 6; somebody 2 50 95 60 14; ?ringed near 1 0 100 210
0 autumn: sky dawn day mist; manner cut; sun rays 1 8 40 45; cloud 4 5 35 45; ridge o r n 50 30; ridge o y n 66 20; oak
bare pine 7 60 80 110; paint; bush mushroom rock 9 80 99 44; cabin board 2 78 90 80; deer fox owl 3 76 95 75 24 40 20;
somebody 1 85 96 70 20; bird 3 8 40 40 28 70; leaf 22 0 100 18 9 30 0 16; bough near 4 0 6 190 0"""


def _star(rays: int, inner: float) -> np.ndarray:
    turn = np.arange(2 * rays) * np.pi / rays
    return np.stack([np.sin(turn), -np.cos(turn)], 1) * np.where(np.arange(2 * rays) % 2, inner, 1.0)[:, None]


RING, BOX, CENT = _star(14, 1.0), np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]), np.array([WIDE, TALL]) / 100
UNITS = {"o": RING, "h": RING, "s": _star(5, 0.45), "r": _star(12, 0.7), "q": BOX}


def _parts(text: str) -> list[tuple[str, str, np.ndarray, float]]:
    """(kind, letter of its tone, outline across and down, how thick it is if it is a line) of each part meant."""
    if text[0] == "2":
        return [(k, c, points * side, wide) for k, c, points, wide in _parts(text[1:]) for side in ((1, 1), (-1, 1))]
    kind, letter, n = text[0], text[1], np.array([float(number) / 20 for number in text[2:].split(",")])
    if kind == "F":
        feet = n[1], n[2] - 0.9 * n[0], n[1] + 1.4 * n[0], n[2] + 0.6 * n[0]
        return [("L", letter, np.array([[x, -n[3]], [x, 0]]), n[0]) for x in feet]
    if kind in UNITS:
        return [(kind, letter, UNITS[kind] * n[2:] + n[:2] * (1, -1), 0)]
    return [(kind, letter, n[kind in "lLW" :].reshape(-1, 2) * (1, -1), n[0] * (kind in "lLW"))]


TONE = {name: tuple(bytes.fromhex(code)) for name, code in re.findall(r"\b(\w)\s(\w{6})\b", TONES)}
HOURS = {at: np.array([*bytes.fromhex(c)]).reshape(-1, 3) for at, c in re.findall(r"([a-z]+)\s(\w{12,})", TONES)}
SHAPES = {text.split()[0]: [part for code in text.split()[1:] for part in _parts(code)] for text in THINGS.split(";")}


class Shot:
    """One shot: what draws it, its background (`back`), what acts (`acts`), the camera (`path`: across, down, zoom)."""

    def __init__(self, rng: Rng, count: int, word: Word) -> None:
        self.rng, self.word, self.gain, self.shade = rng, word, np.exp(rng.normal(0, 0.15, 3)), None
        self.ink = tone(rng, 0, float(rng.choice([25, 25, 90]))) if rng.random() < 0.9 else tone(rng, 170)
        self.thick, self.drop = int(rng.choice([0, 0, 1, 1, 1, 2, 2, 3])), 4.0 * (rng.random() < 0.08)  # of cut paper
        self.order = rng.permutation(3) if rng.random() < 0.12 else np.arange(3)  # a strange world
        self.back, self.acts = np.zeros((TALL, WIDE, 3), np.uint8), []
        self.path, t, how = np.zeros((count, 3)), np.linspace(-1, 1, count) * rng.choice([-1, 1]), rng.random()
        self.path[:, :2] = t[:, None] * rng.uniform(-64, 64, 2) * (how < 0.2, how < 0.08)
        self.path[:, :2] += rng.normal(0, 1.5, (count, 2)) * (0.3 < how < 0.36) + rng.uniform(-50, 99, 2) * (how > 0.8)
        self.path[:, 2] = rng.choice([0.83, 1, 1, 1.2]) + 0.5 * (how > 0.8) + (1 + t) * 0.12 * (0.2 < how < 0.3)

    def near(self, base: Tone, by: float = 15) -> Tone:
        mixed = (np.array(base) + self.rng.normal(0, by) + self.rng.normal(0, by, 3)) * self.gain
        return self.shade or tuple(int(v) for v in np.clip(mixed[self.order], 0, 255))

    def put(self, view: np.ndarray, points: np.ndarray, colour: Tone, thick: int) -> None:
        if self.drop and np.ptp(points, axis=0).min() > 12:
            self.veil(view, points + self.drop, (30, 20, 20), 0.35)
        fill(view, points, colour, self.ink, 0 if self.shade else thick)

    def veil(self, view: np.ndarray, points: np.ndarray, colour: Tone, share: float) -> None:
        """A shape that lets through what is behind it."""
        x0, y0, x1, y1 = np.clip([*points.min(axis=0), *points.max(axis=0) + 2], 0, (WIDE, TALL) * 2).astype(int)
        if x0 < x1 and y0 < y1:
            over = view[y0:y1, x0:x1].copy()
            fill(over, points - [x0, y0], colour, (), 0)
            view[y0:y1, x0:x1] = cv2.addWeighted(over, share, view[y0:y1, x0:x1], 1 - share, 0)

    def make(self, name: str) -> list[tuple]:
        """Kind, outline, colour, thickness of a line, pivot of what swings and lettering of its parts."""
        if name == "somebody":
            return [("p", body.points / 100, self.shade or body.colour, 0, body.pivot / 100 if body.swing else None, "")
                    for body in somebody(self.rng)]  # fmt: skip
        tones, said = {"y": TONE["y"]}, not self.shade and (name == "board" or self.rng.random() < 0.1)
        for letter in [letter for _, letter, _, _ in SHAPES[name] if letter != "y"]:  # what shines does so by night
            tones[letter] = tones.get(letter) or self.near(TONE.get(letter) or tone(self.rng, 30))
        return [(kind, points, tones[letter], wide, points[0] if kind.isupper() else None, kind == "W" and self.word())
                for kind, letter, points, wide in SHAPES[name] if kind != "W" or said]  # fmt: skip

    def draw(self, view: np.ndarray, thing: list[tuple], at: np.ndarray, size: float, pose: Sequence[float]) -> None:
        (swing, flip, turn), thick = pose, 0 if self.shade else min(self.thick, int(size / 14))
        for n, (kind, points, colour, wide, pivot, text) in enumerate(thing):
            if kind == "W":
                label(view, text, points[0] * size + at, size * min(wide, text.shape[0] / text.shape[1]), colour)
            bent = points if pivot is None else turned(points, swing * (-1) ** n, pivot)
            bent = (turned(bent, turn, np.zeros(2)) if turn else bent) * (flip * size, size) + at
            if kind == "h":
                for share in (1, 0.85, 0.7, 0.5):
                    self.veil(view, (bent - at) * share * (1 + 0.3 * swing) + at, colour, 0.08)
            elif not wide:
                self.put(view, bent, colour, thick)
            for ink, more in ((self.ink, 2 * thick), (colour, 0))[int(thick * wide <= 0.04) :] if kind in "lL" else ():
                line(view, bent, ink, round(wide * size) + more)

    def sky(self, hours: Sequence[str]) -> None:
        tones, steps = HOURS[str(self.rng.choice(hours))], float(self.rng.choice([999, 999, 7, 14]))
        self.gain = self.gain * tones[-1] / 255  # the light of that hour
        tones = np.clip(tones[:-1] + self.rng.normal(0, 15, (len(tones) - 1, 3)), 0, 255)[:, self.order]
        down, at = np.floor(np.linspace(0, 1, TALL) * steps) / steps, np.linspace(0, 1, len(tones))
        self.back[:] = np.stack([np.interp(down, at, plane) for plane in tones.T], axis=1)[:, None]

    def ridge(self, names: Sequence[str], y: float, high: float) -> None:
        """Hills, peaks or steps of one of the tones, with snow or not, and with small strokes on them."""
        rng, base = self.rng, self.near(TONE[str(self.rng.choice([name for name in names if name in TONE]))])
        knots, x = rng.uniform(-1, 1, (1, int(rng.integers(4, 14)))).astype(np.float32), np.arange(-8, WIDE + 8, 4)
        how = cv2.INTER_LINEAR if "peaks" in names else cv2.INTER_NEAREST if "steps" in names else cv2.INTER_CUBIC
        top = y * CENT[1] + high * (cv2.resize(knots, (len(x), 1), interpolation=how)[0] + rng.normal(0, 0.02, len(x)))
        upper, cap = np.stack([x, top], 1), np.maximum(top, y * CENT[1] + rng.uniform(-0.45, 0.1, len(x)) * high)
        self.put(self.back, np.array([*upper, [WIDE + 9, TALL + 9], [-9, TALL + 9]]), base, self.thick)
        if "snow" in names:
            fill(self.back, np.array([*upper, *np.stack([x, cap], 1)[::-1]]), self.near(TONE["w"], 6), (), 0)
        mark, long = tuple(int(v * 0.82) for v in base), rng.uniform(0, 14, 2) * (1, 0.4)
        for n in rng.integers(0, len(x), 0 if self.shade else rng.integers(0, 70)):
            line(self.back, np.outer([0, 1], long) + upper[n] + 6 + abs(rng.normal(0, 70)), mark, int(1 + high / 20))

    def things(self, names: Sequence[str], many: float, high: float, low: float, size: float, *how: float) -> None:
        """On the background or (pace) acting: of a pace, that swing, hop and sink or rise; near ones shift more."""
        rng, all_, deep = self.rng, [], 0.8 * ("near" in names)
        pace, swing, bob, sink = *how, *(0, 30, 0, 0)[len(how) :]
        spots = rng.uniform((0, high), (100, low), (rng.integers(max(1, many * 0.4), many * 1.3 + 1), 2))
        for at in sorted(spots, key=lambda at: at[1]):
            thing = self.make(str(rng.choice([name for name in names if name != "near"])))
            go = rng.choice([-1, 1]) * pace * rng.uniform(0.2, 1.6) * (rng.random() < 0.8)
            tall = size * rng.uniform(0.6, 1.3) * (0.75 + 0.5 * (at[1] - high) / (low - high + 1))
            all_.append((thing, at * CENT, np.array([go, sink * rng.uniform(0.5, 1.5)]), tall, *rng.uniform(0.8, 6, 2)))

        def act(view: np.ndarray, k: int) -> None:
            for thing, at, go, tall, phase, beat in all_:
                flip, wave = np.sign(go[0]) or np.sign(phase - 3), np.sin(phase + 0.5 * beat * k)
                spot = at + go * (k - 2) - [0, bob / 100 * tall * abs(wave)] - deep * self.path[k, :2]
                pose = swing / 100 * wave, flip, bool(sink) * swing / 30 * (phase + 0.5 * k)
                self.draw(view, thing, spot % (WIDE, TALL) if sink else spot, tall, pose)

        self.acts += [act] * bool(how or deep)
        if not how and not deep:
            act(self.back, 0)

    def mirror(self, names: Sequence[str], y: float) -> None:
        level, share, tint = int(y * CENT[1]), self.rng.uniform(0.3, 0.7), np.array(self.near(TONE[names[0]]))
        rows = np.clip(2 * level - np.arange(level, TALL) + self.rng.normal(0, 1.5, TALL - level), 0, level - 1)
        self.back[level:] = self.back[rows.astype(int)] * (1 - share) + tint * share

    def manner(self, names: Sequence[str]) -> None:
        """Silhouettes (flat), cut paper or neither."""
        self.shade, self.drop = tone(self.rng, 0, 60) if "flat" in names else None, 5.0 * ("cut" in names)

    def paint(self, names: Sequence[str]) -> None:
        """What is there by now is of brush strokes, water colour or sponge, or as it is."""
        rng, how, back = self.rng, self.rng.choice(["flat", "brush", "wash", "sponge"]), self.back
        rough = [rng.normal(0, 0.7, (n, n * rng.integers(1, 4))).astype(np.float32) for n in rng.integers(5, 60, 2)]
        fine, broad = (cv2.resize(part, (WIDE, TALL), interpolation=cv2.INTER_CUBIC) for part in rough)
        if how == "brush":
            lean, wide = rng.uniform(0, 3.2), int(rng.integers(3, 9))
            for x, y, angle in (rng.uniform(0, 1, (500, 3)) * (WIDE, TALL, 0.9)).tolist():
                end = x + 2.2 * wide * np.cos(angle + lean), y + 2.2 * wide * np.sin(angle + lean)
                colour = np.clip(back[int(y), int(x)] + rng.normal(0, 9), 0, 255)
                line(back, np.array([[x, y], end]), tuple(colour.tolist()), wide)
        elif how != "flat":
            y, x = np.mgrid[:TALL, :WIDE].astype(np.float32) + 4 * np.stack([fine, broad]) * (how == "wash")
            wet = cv2.remap(back, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            back[:] = np.clip(wet * (1 + 0.07 * (fine + broad))[..., None], 0, 255)


def film(rng: Rng, count: int, word: Word, recipe: str) -> np.ndarray:
    shot, views = Shot(rng, count, word), []
    for step in recipe.split(";"):
        words = step.strip(" \n?").split()
        if "?" not in step or rng.random() < 0.5:
            names, paint = [text for text in words if not text[-1].isdigit()], getattr(shot, words[0], None)
            (paint or shot.things)(names[bool(paint) :], *(float(text) for text in words[len(names) :]))
    for k, (across, down, zoom) in enumerate(shot.path):
        view, room = shot.back.copy(), np.array([WIDE - WIDTH / zoom, TALL - HEIGHT / zoom]) / 2
        for act in shot.acts:
            act(view, k)
        left, top = room + np.clip([across, down], -room, room)
        move, how = np.array([[1 / zoom, 0, left], [0, 1 / zoom, top]]), cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        views.append(cv2.warpAffine(view, move, (WIDTH, HEIGHT), flags=how))
    if rng.random() < 0.1:  # printed in few colours
        ramp = rng.uniform(0, 70, (4, 3)) + np.linspace(0, 185, 4)[:, None]
        table = np.stack([np.interp(np.arange(256), np.linspace(0, 255, 4), c) for c in ramp.T], 1).astype(np.uint8)
        views = [table[cv2.cvtColor(view, cv2.COLOR_BGR2GRAY)] for view in views]
    out = finished(np.stack(views), rng).reshape(-1, WIDTH, 3)
    lift = max(1.0, rng.uniform(45, 75) / (out.mean() + 1))  # not too dark
    return cv2.convertScaleAbs(out, alpha=lift).reshape(count, HEIGHT, WIDTH, 3)


SCENES: dict[str, Callable[[Rng, int, Word], np.ndarray]] = {
    name: partial(film, recipe=recipe) for name, recipe in re.findall(r"(\w+): ([^:]*)(?=\s\w+:|$)", FILMS)
}
