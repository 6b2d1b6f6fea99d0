"""Screens at work: the programs of programs.py and its neighbours, full or in windows, while somebody uses them.

    python tests/benchmarks/programs_used.py FOLDER [--each 7]

writes pictures of every kind that is trained on, FOLDER/screens/KIND/*.png. Nothing here is found anywhere: words,
pictures and programs are made up.
"""

from __future__ import annotations

import argparse
import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from desk import Pane, Sheet, Template, cut, look
from good_drawn import DRAWN
from good_scenes import ORDINARY
from ink import Rng
from programs import WRITTEN
from programs_listed import LISTED
from programs_pictured import PICTURED, start

PROGRAMS: dict[str, Template] = {**WRITTEN, **LISTED, **PICTURED}
SIZES = ((1280, 720), (1280, 720), (1366, 768), (1920, 1080), (1920, 1080), (1024, 768), (2560, 1440))
LETTERS = 0.011, 0.038  # of a screen's height
SHOWN = ("render", "water", "particles", "photo", "shallow", "dark", "cartoon", "pixel art", "texture, filmed")
ARROW = np.array([[0, 0], [0, 16], [4, 12], [7, 19], [10, 18], [7, 11], [12, 11]])


def stills(seed: int, filmed: Sequence[np.ndarray] = ()) -> list[np.ndarray]:
    """Pictures to show on screens, uint8[h, w, 3] RGB: painted, rendered and drawn; filmed: others among them."""
    from bench_good import painted

    found = [*painted(seed)[1], *painted(seed + 1)[1], *filmed]
    for kind in SHOWN:
        rng = np.random.default_rng([seed, zlib.crc32(kind.encode())])
        found += [{**ORDINARY, **DRAWN}[kind](rng, found[:10])(1.0, 960, 540) for _ in range(3)]
    return [still[:: max(1, len(still) // 540), :: max(1, len(still) // 540)] for still in found]


def used(rng: Rng, template: Template, stills: Sequence[np.ndarray], count: int, half: str = "tune") -> np.ndarray:
    """uint8[count, h, w, 3] RGB, pictures half a second apart: the program fills the screen, or is in a window."""
    wide, high = SIZES[int(rng.integers(len(SIZES)))]
    unit = max(9, int(high * np.exp(rng.uniform(*np.log(LETTERS)))))
    s = Sheet(wide, high, look(rng, unit, half), rng, stills)
    if rng.random() < 0.75:
        panes = template(s)
    else:
        start(s)
        panes = []
        for _ in range(int(rng.integers(1, 4))):
            w, h = (int(v) for v in rng.uniform(0.45, 0.85, 2) * (wide, high))
            panes = _window(s, template, int(rng.integers(0, wide - w)), int(rng.integers(0, high - h)), w, h)
    out = np.repeat(s.pixels()[None], count, axis=0)
    for pane in panes:
        _live(out, pane, rng)
    _opens(out, s)
    if rng.random() < 0.8:
        _pointer(out, rng)
    if rng.random() < 0.15 and template not in PICTURED.values():  # of those a picture would be left
        _enlarged(out, rng)
    return out


def _window(s: Sheet, template: Template, x: int, y: int, w: int, h: int) -> list[Pane]:
    """Lays the program over a part of the screen; its panes."""
    inner = s.more(w, h)
    panes = template(inner)
    inner.box(0, 0, w, h, None, s.look.faint)
    s.image.paste(inner.image, (x, y))
    return [
        Pane(x=p.x + x, y=p.y + y, wide=min(p.wide, w - p.x), high=min(p.high, h - p.y), whole=p.whole, line=p.line,
             plays=p.plays)
        for p in panes
    ]  # fmt: skip


def _live(out: np.ndarray, pane: Pane, rng: Rng) -> None:
    """The pane scrolls, is written in, plays or rests (in place)."""
    count, how = len(out), rng.random()
    high, wide = min(pane.high, out.shape[1] - pane.y), min(pane.wide, out.shape[2] - pane.x)
    if high < 2 or wide < 2:
        return
    place = slice(pane.y, pane.y + high), slice(pane.x, pane.x + wide)
    pace = int(how < 0.5) * float(np.exp(rng.uniform(np.log(2), np.log(0.6 * high + 3))))
    room = max(0, len(pane.whole) - high - int(pace * count))
    first, row, go = int(rng.integers(0, room + 1)) * (rng.random() < 0.7), int(rng.uniform(0.1, 0.8) * high), 0.0
    drift = rng.normal(0, 0.03, 2)
    for k in range(count):
        if pane.plays:
            out[k][place] = _played(pane.whole, wide, high, drift * k)
            continue
        part = pane.whole[int(first + go) :][:high, :wide].copy()
        if how > 0.75:  # lines come, one by one
            part[row + k * pane.line :] = pane.whole[-1, -1]
            cv2.rectangle(part, (8, row + k * pane.line), (10, row + (k + 1) * pane.line), (128, 128, 128), -1)
        out[k][place][: len(part), : part.shape[1]] = part
        go += pace * float(rng.choice([0, 1, 1])) if pace else 0.0


def _played(still: np.ndarray, wide: int, high: int, at: np.ndarray) -> np.ndarray:
    """A film: what a camera that goes sees of the picture."""
    h, w = still.shape[:2]
    scale = 1.25 * max(wide / w, high / h)
    matrix = np.array(
        [[scale, 0, wide * (0.5 + at[0]) - scale * w / 2], [0, scale, high * (0.5 + at[1]) - scale * h / 2]]
    )
    return cv2.warpAffine(still, matrix, (wide, high), borderMode=cv2.BORDER_REFLECT)


def _opens(out: np.ndarray, s: Sheet) -> None:
    """Menus and notes that open and close, and now and then who speaks, in a corner (in place)."""
    rng, u, (count, high, wide) = s.rng, s.unit, out.shape[:3]
    for _ in range(int(rng.choice([0, 0, 1, 1, 2]))):
        rows = int(rng.integers(2, 14))
        menu = s.more(float(rng.uniform(9, 22)) * u, (1.8 * rows + 1) * u)
        menu.box(0, 0, menu.wide, menu.high, s.look.paper, s.look.line)
        for row in range(rows):
            menu.icon(0.5 * u, (1.8 * row + 0.8) * u, u)
            menu.text(2.2 * u, (1.8 * row + 0.6) * u, s.words(1, 3), room=menu.wide - 3 * u)
        part = menu.pixels()[:high, :wide]
        y, x = (int(rng.integers(0, room - side + 1)) for room, side in zip((high, wide), part.shape))
        first, last = np.sort(rng.integers(0, count + 1, 2))
        out[first:last, y : y + len(part), x : x + part.shape[1]] = part
    if rng.random() < 0.08:
        w, right, low = int(rng.uniform(0.14, 0.24) * wide), rng.random() < 0.7, rng.random() < 0.7
        h, drift = int(w * float(rng.choice([0.56, 0.75, 1]))), rng.normal(0, 0.01, 2)
        still = cut(s.stills[int(rng.integers(len(s.stills)))], w / h, rng)
        for k in range(count):
            y, x = (high - h if low else 0), (wide - w if right else 0)
            out[k, y : y + h, x : x + w] = _played(still, w, h, drift * k)


def _pointer(out: np.ndarray, rng: Rng) -> None:
    high, wide = out.shape[1:3]
    at, pace = rng.uniform(0.1, 0.9, 2) * (wide, high), rng.normal(0, 0.08, 2) * wide * (rng.random() < 0.7)
    size = high / 720 * float(rng.uniform(0.8, 1.8))
    for k, view in enumerate(out):
        ends = [np.round(ARROW * size + at + pace * k).astype(np.int32)]
        cv2.fillPoly(view, ends, (10, 10, 10), cv2.LINE_AA)
        cv2.polylines(view, ends, True, (255, 255, 255), max(1, int(size)), cv2.LINE_AA)


def _enlarged(out: np.ndarray, rng: Rng) -> None:
    """A part of the screen, as recordings are zoomed into (in place)."""
    high, wide = out.shape[1:3]
    share = float(rng.uniform(0.5, 0.85))
    h, w = int(share * high), int(share * wide)
    y, x = int(rng.integers(0, high - h)), int(rng.integers(0, wide - w))
    for view in out:
        view[:] = cv2.resize(view[y : y + h, x : x + w].copy(), (wide, high), interpolation=cv2.INTER_CUBIC)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--each", type=int, default=7)
    options = parser.parse_args()
    shown = stills(61)
    for kind, template in PROGRAMS.items():
        place = options.folder / "screens" / kind
        place.mkdir(parents=True, exist_ok=True)
        for k in range(options.each):
            rng = np.random.default_rng([21, zlib.crc32(kind.encode()), k])
            picture = used(rng, template, shown, 2)[1]
            cv2.imwrite(str(place / f"{k}.png"), picture[..., ::-1])


if __name__ == "__main__":
    main()
