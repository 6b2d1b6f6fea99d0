"""Drawing statistics for people: tables and text bars for 80 columns, without colour off a terminal.

Names from the outside (paths, reasons, details) are never read as markup and lose what cannot be printed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from wanprep.stage import UsageError
from wanprep.stats_model import Reason, Stats
from wanprep.tables import counted, plain

PATH_CELLS = 27
REASON_CELLS = 32
STATE_CELLS = 19
TOP_BUCKETS = 8
TOP_REASONS = 8
Justify = Literal["left", "right"]


def draw(stats: Stats, by: str | None = None) -> RenderableType:
    """The overview (by None) or one table; UsageError for another word."""
    if by is None:
        return _overview(stats)
    if by not in _TABLES:
        raise UsageError(f"--by {by!r}; use one of {', '.join(_TABLES)}")
    return _TABLES[by](stats)


class Bar:
    """A horizontal bar of `share` (0 to 1) of the cell it is drawn in; at least one cell when share is above 0."""

    def __init__(self, share: float) -> None:
        self.share = share

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        cells = round(self.share * options.max_width)
        yield Segment(("#" if options.ascii_only else "█") * (max(1, cells) if self.share > 0 else 0))


def keep_end(text: str, cells: int) -> str:
    """A path cut from the left to `cells` terminal cells: its end tells files apart."""
    text = plain(text)
    if cell_len(text) <= cells:
        return text
    while cell_len(text) > cells - 3:
        text = text[1:]
    return "..." + text


def keep_start(text: str, cells: int) -> str:
    text = plain(text)
    if cell_len(text) <= cells:
        return text
    while cell_len(text) > cells - 3:
        text = text[:-1]
    return text.rstrip() + "..."


def human_bytes(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def human_count(count: float) -> str:
    """1234567 -> 1.23 M."""
    for factor, letter in ((1e18, "E"), (1e15, "P"), (1e12, "T"), (1e9, "G"), (1e6, "M")):
        if count >= factor:
            return f"{count / factor:.2f} {letter}"
    return f"{count:,.0f}"


def minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f} min"


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _states(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {plain(name)}" for name, count in counts.items()) or "none"


def _table(title: str, columns: Iterable[tuple[str, Justify]]) -> Table:
    look = {"title_justify": "left", "title_style": "bold", "box": box.SIMPLE_HEAD, "show_edge": False}
    table = Table(title=title, pad_edge=False, padding=(0, 1, 0, 0), **look)  # type: ignore[arg-type]
    for name, justify in columns:
        table.add_column(name, justify=justify, no_wrap=True, header_style="bold")
    return table


def _row(table: Table, *cells: object) -> None:
    table.add_row(*(Text(cell if isinstance(cell, str) else str(cell)) for cell in cells))


def _grid(rows: Iterable[tuple[str, str]]) -> Table:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column()
    for name, value in rows:
        grid.add_row(Text(name), Text(value))
    return grid


def _overview(stats: Stats) -> RenderableType:
    head = Text(f"{stats.family}: {stats.fps} frames a second, windows of up to {stats.max_frames} frames")
    parts: list[RenderableType] = [head, Text(), _totals(stats), Text()]
    parts += [_lengths(stats), Text(), _buckets(stats, TOP_BUCKETS), Text()]
    parts += [_reasons(stats, TOP_REASONS), Text(), _storage(stats)]
    return Group(*parts)


def _totals(stats: Stats) -> RenderableType:
    sources, clips, epoch = stats.sources, stats.clips, stats.epoch
    samples = sum(stats.samples.values())
    length = f"; {minutes(sources.seconds)}" if sources.seconds else ""  # unknown unless the rows say it
    visits = f"{epoch.samples} samples" + (f" visited {epoch.visits} times" if epoch.visits != epoch.samples else "")
    pace = f" (one every {stats.accumulate} batches)" if stats.accumulate > 1 else ""
    kinds = f"; {_states(sources.kinds)}" if sources.kinds else ""
    damaged = f" ({sources.damaged} damaged, see --by source)" if sources.damaged else ""
    rows = [
        ("sources", f"{sources.total}: {_states(sources.outcomes)}{damaged}{kinds}{length}"),
        (
            "clips",
            f"{clips.total}: {_states(clips.states)}; kept {minutes(clips.kept_seconds)} of "
            f"{minutes(clips.seconds)} and {counted(clips.stills, 'still')}",
        ),
        *_repeats(stats),
        ("samples", f"{samples}: {_states(stats.samples)}"),
        ("epoch", f"{visits}, {epoch.batches} batches of up to {stats.batch_size}"),
        ("", f"{epoch.steps} steps{pace}, {human_count(epoch.tokens)} tokens{_work(stats.forward_tflop)}"),
    ]
    return _grid(rows)


def _repeats(stats: Stats) -> list[tuple[str, str]]:
    """Only where there are any."""
    found = stats.repeats
    some = f"{counted(found.clips, 'kept clip')} with fewer new pictures than {stats.fps} a second"
    return [("repeats", f"{some}: about {found.repeated} of {found.frames} frames")] if found.clips else []


def _work(tflop: float | None) -> str:
    return "" if tflop is None else f", {human_count(tflop * 1e12)}FLOP forward"


def _lengths(stats: Stats) -> RenderableType:
    title = f"Kept clips by length (frames at {stats.fps} a second)"
    if not stats.lengths:
        return Group(Text(title, style="bold"), Text("  no kept clips"))
    most = max(entry.clips for entry in stats.lengths)
    table = _table(title, [("frames", "right"), ("seconds", "right"), ("clips", "right")])
    table.add_column(ratio=1)
    table.expand = True
    for entry in filter(lambda it: it.clips, stats.lengths):
        low, high = entry.low, entry.high
        frames = f"{low} and more" if high is None else f"{low}-{high}"
        until = " and more" if high is None else f"-{(high + 1) / stats.fps:.2f}"
        share = entry.clips / most if most else 0.0
        table.add_row(Text(frames), Text(f"{low / stats.fps:.2f}{until}"), Text(str(entry.clips)), Bar(share))
    return table


def _buckets(stats: Stats, top: int | None = None) -> RenderableType:
    names = ("samples", "visits", "share", "tokens", "batches")
    table = _table("Buckets", [("size", "right"), ("frames", "right"), *((name, "right") for name in names)])
    for b in stats.buckets[:top]:
        size = f"{b.width}x{b.height}"
        _row(table, size, b.frames, b.samples, b.visits, percent(b.share), f"{b.tokens:,}", b.batches)
    return _with_rest(table, len(stats.buckets), top, "bucket")


def _with_rest(table: Table, total: int, top: int | None, by: str) -> RenderableType:
    if not total:
        return Group(table, Text("  none"))
    if top is None or total <= top:
        return table
    return Group(table, Text(f"  {total - top} more: --by {by}"))


def _reasons(stats: Stats, top: int | None = None) -> RenderableType:
    """The overview names the most frequent reasons; the full table has an example of each, over several lines."""
    columns: list[tuple[str, Justify]] = [("of", "left"), ("reason", "left"), ("count", "right"), ("share", "right")]
    table = _table("Left out, by reason", columns)
    if top is None:
        table.add_column("example", header_style="bold", overflow="fold")
    shown: list[Reason] = sorted(stats.reasons, key=lambda r: -r.count)[:top]
    for r in stats.reasons:
        if r in shown:
            example = [plain(r.example)] if top is None else []
            _row(table, r.of, keep_start(r.reason, REASON_CELLS), r.count, percent(r.share), *example)
    drawn = _with_rest(table, len(stats.reasons), top, "reason")
    several = f"  {counted(stats.clips.several, 'clip')} with several reasons, counted for each"
    return Group(drawn, Text(several)) if stats.clips.several else drawn


def _storage(stats: Stats) -> RenderableType:
    cache = stats.cache
    rows = [
        ("captions", _states(stats.captions)),
        ("clip files", _states(cache.files)),
        ("latents", f"{_states(cache.latents)}; {human_bytes(cache.expected_bytes)} when all are cached"),
    ]
    if cache.looked_at:
        absent = f"{cache.absent} missing or of another size" if cache.absent else "all there"
        rows.append(("files", f"{cache.looked_at} looked at (existence and size), {absent}"))
    for kind, entry in cache.artefacts.items():
        files = f"{entry['files']} {'file' if entry['files'] == 1 else 'files'}"
        rows.append((f"stored {plain(kind)}", f"{files}, {human_bytes(entry['bytes'])}"))
    return _grid(rows)


def _sources(stats: Stats) -> RenderableType:
    table = _table(
        "Sources",
        [("path", "left"), ("clips", "right"), ("kept", "right"), ("samples", "right"), ("min kept", "right")],
    )
    table.add_column("state", no_wrap=True, header_style="bold")
    for s in stats.by_source:
        good = f"{s.outcome}{', damaged' * bool(s.damage)}" + (f", {s.why}" if s.why else "")
        state = keep_start(s.reason or good, STATE_CELLS)
        _row(table, keep_end(s.path, PATH_CELLS), s.clips, s.kept, s.samples, f"{s.kept_seconds / 60:.2f}", state)
    return _with_rest(table, len(stats.by_source), None, "source")


def _views(stats: Stats) -> RenderableType:
    names = ("clips", "samples", "duplicate", "rejected", "visits", "tokens")
    table = _table("Views", [("view", "left"), *((name, "right") for name in names)])
    for v in stats.views:
        name = keep_start(v.view or "(no view)", 20)
        _row(table, name, v.clips, v.samples, v.duplicate, v.rejected, v.visits, human_count(v.tokens))
    return _with_rest(table, len(stats.views), None, "view")


_TABLES = {"bucket": _buckets, "source": _sources, "reason": _reasons, "view": _views}
