"""Charts and screens, to train the networks of marks with as unmarked (innocents.py).

Axes, lettering, icons and bars are what is shown, and stay while a part of them grows, scrolls or is dragged. Each is
uint8[count, HEIGHT, WIDTH, 3] BGR, pictures about half a second apart.
"""

from __future__ import annotations

import cv2
import numpy as np
from cartoons import way
from ink import HEIGHT, WIDTH, Rng, Tone, Word, blob, fill, label, line, tone, turned


def _paper(rng: Rng) -> tuple[np.ndarray, Tone]:
    """(uint8[HEIGHT, WIDTH, 3] with a grid or without, colour of what is drawn on it)."""
    dark = rng.random() < 0.35
    paper, ink = (tone(rng, 0, 60), tone(rng, 160)) if dark else (tone(rng, 225, 256), tone(rng, 0, 110))
    view = np.full((HEIGHT, WIDTH, 3), paper, np.uint8)
    if rng.random() < 0.4:
        pitch, faint = int(rng.integers(8, 60)), tuple(int(0.85 * p + 0.15 * i) for p, i in zip(paper, ink))
        for at in range(int(rng.integers(pitch)), WIDTH, pitch):
            cv2.line(view, (at, 0), (at, HEIGHT), faint, 1)
            cv2.line(view, (0, at), (WIDTH, at), faint, 1)
    return view, ink


def network(rng: Rng, count: int, word: Word) -> np.ndarray:
    """Boxes or discs with lines between them: they stay, turn, drift or come one by one."""
    paper, ink = _paper(rng)
    n, thick, size = int(rng.integers(2, 12)), int(rng.integers(1, 4)), rng.uniform(8, 46)
    home = rng.uniform(0.08, 0.92, (n, 2)) * (WIDTH, HEIGHT)
    if rng.random() < 0.4:
        angle = np.arange(n) * 2 * np.pi / n
        home = np.array([WIDTH, HEIGHT]) * (0.5 + 0.36 * np.stack([np.cos(angle), np.sin(angle)], axis=1))
    looks = [(blob(rng, size, size * rng.uniform(0.4, 1), 0.0), tone(rng)) for _ in range(n)]
    names = [word() for _ in range(n)] if rng.random() < 0.6 else []
    ends = [(i, j) for i in range(n) for j in range(i) if rng.random() < 0.5]
    drift, turn = rng.normal(0, float(rng.choice([0, 0, 10])), (n, 2)), rng.normal(0, float(rng.choice([0, 0.2])))
    one_by_one, arrows, out = rng.random() < 0.3, rng.random() < 0.5, []
    for k in range(count):
        view, place = paper.copy(), turned(home, turn * k, np.array([WIDTH, HEIGHT]) / 2) + drift * k
        shown = n if not one_by_one else 1 + n * (k + 1) // count
        for i, j in ends:
            if max(i, j) < shown:
                line(view, place[[i, j]], ink, thick)
                if arrows:
                    tip, back = 0.7 * place[i] + 0.3 * place[j], (place[j] - place[i]) / 40
                    fill(view, tip + np.array([-back, back[::-1] * (1, -1), -back[::-1] * (1, -1)]), ink, ink, 0)
        for i, (points, colour) in enumerate(looks[:shown]):
            fill(view, points + place[i], colour, ink, thick)
            if names:
                label(view, names[i], place[i], 0.5 * size, ink)
        out.append(view)
    return np.stack(out)


def plot(rng: Rng, count: int, word: Word) -> np.ndarray:
    """Axes with curves, columns or a disc of shares; they grow, change or stay, and a pen may be at work."""
    paper, ink = _paper(rng)
    left, low, right, top = 60 * rng.random() + 12, HEIGHT - 12 - 40 * rng.random(), WIDTH - 16, 20 + 30 * rng.random()
    thick, ticks = int(rng.integers(1, 4)), int(rng.integers(0, 9))
    line(paper, np.array([[left, top], [left, low], [right, low]]), ink, thick)
    for k in range(ticks):
        at = left + (right - left) * (k + 0.5) / ticks
        line(paper, np.array([[at, low], [at, low + 4]]), ink, 1)
        label(paper, word(), (at, low + 10), 8, ink)
    label(paper, word(), (WIDTH / 2, 12), rng.uniform(8, 20), ink)
    kind, colours, out = int(rng.integers(3)), [tone(rng) for _ in range(8)], []
    x = np.linspace(left, right, 120)
    waves = [(rng.uniform(0.1, 0.9), rng.normal(0, 0.15, 5)) for _ in range(int(rng.integers(1, 5)))]
    bars, change = rng.uniform(0.05, 1, 8), rng.normal(0, float(rng.choice([0, 0.03, 0.1])), 8)
    grows, moves = rng.random() < 0.5, float(rng.choice([0.0, 0.4]))
    for k in range(count):
        view, share = paper.copy(), (k + 1) / count if grows else 1.0
        if kind == 0:
            for (level, parts), colour in zip(waves, colours):
                swing = sum(p * np.sin((i + 1) * x / 60 + moves * k) for i, p in enumerate(parts))
                points = np.stack([x, low - (low - top) * (level + swing)], axis=1)[: max(2, int(120 * share))]
                line(view, points, colour, thick + 1)
                fill(view, blob(np.random.default_rng(0), 4, 4, 0.0) + points[-1], colour, ink, 1)
        elif kind == 1:
            step = (right - left) / len(bars)
            for i, high in enumerate(np.clip(bars + change * k, 0.02, 1)):
                a, b = left + i * step + 0.15 * step, low - high * (low - top) * min(1.0, share + 0.2)
                fill(view, np.array([[a, low], [a, b], [a + 0.7 * step, b], [a + 0.7 * step, low]]), colours[i], ink, 1)
        else:
            edges = np.cumsum(np.clip(bars + change * k, 0.02, 1))
            edges = np.concatenate([[0], edges / edges[-1]]) * 360 * share
            for a, b, colour in zip(edges, edges[1:], colours):
                middle, reach = (WIDTH // 2, int((low + top) / 2)), (int(0.4 * (low - top)),) * 2
                cv2.ellipse(view, middle, reach, 0, a, b, colour, -1, cv2.LINE_AA)
                cv2.ellipse(view, middle, reach, 0, a, b, ink, thick, cv2.LINE_AA)
        out.append(view)
    return np.stack(out)


def screen(rng: Rng, count: int, word: Word) -> np.ndarray:
    """Bars, icons and rows of text or bricks; a part of them scrolls, a window is dragged, lines are typed."""
    dark = rng.random() < 0.4
    paper, ink = (tone(rng, 10, 60), tone(rng, 150, 230)) if dark else (tone(rng, 215, 256), tone(rng, 30, 150))
    still = np.full((HEIGHT, WIDTH, 3), paper, np.uint8)
    side, bar = int(rng.choice([0, rng.integers(20, 160)])), int(rng.choice([0, rng.integers(8, 34)]))
    page = _page(rng, WIDTH - side, 4 * HEIGHT, paper, ink, word)
    panel = _page(rng, max(side, 1), HEIGHT, tuple(int(0.9 * v) for v in paper), ink, word)
    scroll, sideways = (rng.normal(0, 1, 2) * (35, 0)) if rng.random() < 0.7 else (0.0, rng.normal(0, 30))
    window, drag = _page(rng, *(int(v) for v in rng.integers(60, 190, 2)), tone(rng), ink, word), way(rng, count)
    cv2.rectangle(window, (0, 0), (window.shape[1] - 1, window.shape[0] - 1), ink, 1)
    dragged, typed, at = rng.random() < 0.4, rng.random() < 0.3, rng.uniform(0, 0.7, 2) * (WIDTH, HEIGHT)
    pointer, goes = np.array([[0, 0], [0, 15], [4, 11], [10, 11]]) * rng.uniform(0.6, 1.4), way(rng, count)
    out = []
    for k in range(count):
        view = still.copy()
        part = np.roll(page, (int(scroll * k), int(sideways * k)), (0, 1))[:HEIGHT]
        if typed:
            part = part.copy()
            part[int(HEIGHT * (k + 1) / count) :] = paper
        view[:, side:] = part
        if side:
            view[:, :side] = panel
        if bar:
            cv2.rectangle(view, (0, 0), (WIDTH, bar), ink if dark else (160, 100, 50), -1)
        if dragged:
            y, x = (int(v) for v in np.clip((at + drag[k])[::-1], 0, [HEIGHT - 200, WIDTH - 200]))
            view[y : y + window.shape[0], x : x + window.shape[1]] = window
        fill(view, pointer + np.array([WIDTH, HEIGHT]) / 2 + goes[k], (0, 0, 0), (255, 255, 255), 1)
        out.append(view)
    return np.stack(out)


def _page(rng: Rng, wide: int, tall: int, paper: Tone, ink: Tone, word: Word) -> np.ndarray:
    """uint8[tall, wide, 3]: rows of icons, lettering and lines, or tiles."""
    view, pitch, icon = np.full((tall, wide, 3), paper, np.uint8), int(rng.integers(12, 46)), rng.random() < 0.7
    kind, tiles = rng.random(), [tone(rng) for _ in range(int(rng.integers(2, 6)))]
    columns = max(1, wide // pitch) if kind < 0.3 else 1
    round_, bold, words = rng.random() < 0.5, int(rng.integers(1, 5)), [word() for _ in range(4)]
    for y in range(6, tall - pitch, pitch):
        for x in range(6, 6 + columns * pitch, pitch):
            size, colour = 0.3 * pitch, tiles[int(rng.integers(len(tiles)))]
            if icon and round_:
                cv2.circle(view, (int(x + size), int(y + size)), int(size), colour, -1, cv2.LINE_AA)
            elif icon:
                cv2.rectangle(view, (x, y), (int(x + 2 * size), int(y + 2 * size)), colour, -1)
        if columns == 1:
            x, end = 10 + int(icon * pitch), int(rng.uniform(0.3, 0.95) * wide)
            if kind > 0.75:
                part = words[int(rng.integers(4))]
                label(view, part, (x + 0.25 * pitch * part.shape[1] / part.shape[0], y + 0.3 * pitch), 0.5 * pitch, ink)
            elif end > x:
                cv2.rectangle(view, (x, y), (end, y + bold), ink, -1)
                cv2.rectangle(view, (x, y + 2 * bold + 2), (x + (end - x) // 2, y + 3 * bold + 2), ink, -1)
    return view
