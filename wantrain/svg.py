"""Charts as SVG text: lines, points and bars with axes, drawn without any library, for a report that needs no network.

Colours are CSS variables of the page (`--c0` …), so that a chart follows a light or a dark page.
"""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 460, 210
LEFT, RIGHT, TOP, BOTTOM = 64, 10, 10, 34

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class Series:
    """One curve. kind: "line", "dots" (faint) or "marks" (a line with points). colour: number of the page's colour."""

    name: str
    points: Points
    colour: int = 0
    kind: str = "line"
    dashed: bool = False


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers inside [low, high], about `count` of them."""
    if not high > low:
        return [low]
    step = 10 ** math.floor(math.log10((high - low) / count))
    step *= next(m for m in (1, 2, 5, 10) if (high - low) / (step * m) <= count)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def chart(series: Sequence[Series], *, x: str, y: str, from_zero: bool = False, marks: Sequence[float] = ()) -> str:
    """An SVG of curves. x, y: axis titles. marks: vertical lines at these x. A sentence where there is nothing."""
    everything = [point for one in series for point in one.points]
    if not everything:
        return '<p class="none">nothing recorded</p>'
    x_range = _range([p[0] for p in everything], 0.0)
    y_range = _range([p[1] for p in everything] + ([0.0] if from_zero else []), 0.05)
    body = [_axes(x_range, y_range, x, y)]
    for at in marks:
        px = _x(at, x_range)
        body.append(f'<line class="mark" x1="{px:.1f}" x2="{px:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
    body += [_curve(one, x_range, y_range) for one in series]
    return _svg(body, f"{y} over {x}") + _legend(series)


def bars(groups: Sequence[tuple[str, Sequence[float], int]], edges: Sequence[float], *, x: str, y: str) -> str:
    """Histograms side by side over the same bins. groups: (name, count of each bin, colour)."""
    top = max((max(counts, default=0) for _, counts, _ in groups), default=0)
    if not top:
        return '<p class="none">nothing recorded</p>'
    x_range, y_range = (edges[0], edges[-1]), (0.0, top * 1.05)
    body = [_axes(x_range, y_range, x, y)]
    for number, (name, counts, colour) in enumerate(groups):
        for low, high, count in zip(edges, edges[1:], counts):
            left, right = _x(low, x_range) + 1, _x(high, x_range) - 1
            width = (right - left) / len(groups)
            height = (HEIGHT - TOP - BOTTOM) * count / y_range[1]
            place = f'x="{left + number * width:.1f}" y="{HEIGHT - BOTTOM - height:.1f}"'
            size = f'width="{max(width - 1, 0.5):.1f}" height="{height:.1f}"'
            told = f"<title>{html.escape(name)}: {count:g} in {low:.3g}–{high:.3g}</title>"
            body.append(f'<rect style="fill:var(--c{colour})" {place} {size}>{told}</rect>')
    return _svg(body, f"{y} over {x}") + _legend([Series(name=n, points=(), colour=c) for n, _, c in groups])


def smoothed(points: Points, keep: float = 0.95) -> list[tuple[float, float]]:
    """Exponential moving average, corrected for its start (as Adam does)."""
    mean, weight, found = 0.0, 0.0, []
    for at, value in points:
        mean, weight = keep * mean + (1 - keep) * value, keep * weight + (1 - keep)
        found.append((at, mean / weight))
    return found


def thinned(points: Points, most: int = 1500) -> Points:
    """At most `most` of the points, evenly spread: more would not be seen and make a large page."""
    return points if len(points) <= most else [points[i * len(points) // most] for i in range(most)]


def _range(values: Sequence[float], margin: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    if low == high:
        return low - abs(low) / 10 - 1e-12, high + abs(high) / 10 + 1e-12
    return low - margin * (high - low) * (low != 0), high + margin * (high - low)


def _x(value: float, x_range: tuple[float, float]) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (value - x_range[0]) / (x_range[1] - x_range[0])


def _y(value: float, y_range: tuple[float, float]) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - y_range[0]) / (y_range[1] - y_range[0])


def _axes(x_range: tuple[float, float], y_range: tuple[float, float], x: str, y: str) -> str:
    parts = []
    for value in ticks(*y_range):
        py = _y(value, y_range)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{py:.1f}" y2="{py:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{py + 4:.1f}" text-anchor="end">{value:g}</text>')
    for value in ticks(*x_range, 6):
        parts.append(f'<text x="{_x(value, x_range):.1f}" y="{HEIGHT - 18}" text-anchor="middle">{value:g}</text>')
    middle = (TOP + HEIGHT - BOTTOM) / 2
    parts.append(
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 3}" text-anchor="middle">{html.escape(x)}</text>'
    )
    turned = f'transform="rotate(-90 9 {middle})"'
    parts.append(f'<text x="9" y="{middle}" text-anchor="middle" {turned}>{html.escape(y)}</text>')
    return "".join(parts)


def _curve(series: Series, x_range: tuple[float, float], y_range: tuple[float, float]) -> str:
    places = [(_x(a, x_range), _y(b, y_range)) for a, b in thinned(series.points)]
    parts = []
    if series.kind != "dots":
        path = " ".join(f"{a:.1f},{b:.1f}" for a, b in places)
        dash = ' stroke-dasharray="5 4"' if series.dashed else ""
        parts.append(f'<polyline style="stroke:var(--c{series.colour})" points="{path}"{dash}/>')
    if series.kind != "line":
        radius, faint = (1.5, "0.45") if series.kind == "dots" else (2.2 if series.dashed else 3.2, "1")
        style = f"fill:var(--c{series.colour});opacity:{faint}"
        parts += [f'<circle style="{style}" cx="{a:.1f}" cy="{b:.1f}" r="{radius}"/>' for a, b in places]
    return "".join(parts)


def _legend(series: Sequence[Series]) -> str:
    names = [one for one in series if one.name]
    keys = "".join(
        f'<span><i style="background:var(--c{one.colour})"></i>{html.escape(one.name)}</span>' for one in names
    )
    return f'<div class="legend">{keys}</div>'


def _svg(body: Sequence[str], label: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{html.escape(label, quote=True)}">'
        + "".join(body)
        + "</svg>"
    )
