"""A run as one HTML page: losses, held-out losses by band, sigmas, learning rate, checkpoints, previews.

Everything is in the file, no script and no address in it, so it can be mailed and opened years later. Previews (mp4,
png, jpg under RUN/previews) up to 4 MB go into the page, larger ones are linked beside it.
"""

from __future__ import annotations

import base64
import html
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from wanprep.ids import write_atomic
from wanprep.stage import UsageError
from wantrain import ranking
from wantrain.checkpoint import read_rows
from wantrain.outputs import require_writable
from wantrain.sigma import histogram
from wantrain.strips import complete, strips
from wantrain.svg import Points, Series, bars, chart, smoothed

Row = dict[str, Any]
EMBED = 4 << 20  # bytes
KINDS = {".mp4": "video/mp4", ".png": "image/png", ".jpg": "image/jpeg"}

STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1c2430;--dim:#5d6878;--line:#dfe4ea;--card:#f6f8fa;
--c0:#2563a8;--c1:#c2571a;--c2:#2f7d4f;--c3:#8b4a9c;--c4:#6b7280;--c5:#b03a4a}
@media(prefers-color-scheme:dark){:root{--bg:#12161c;--fg:#e4e9f0;--dim:#98a3b3;--line:#2a323d;--card:#1a2029;
--c0:#6fb0f0;--c1:#f0995a;--c2:#6cc48f;--c3:#c890d8;--c4:#9aa4b2;--c5:#e88090}}
body{font:15px/1.5 system-ui,sans-serif;margin:0 auto;max-width:1360px;padding:24px;
background:var(--bg);color:var(--fg)}
h1{font-size:24px;margin:0 0 4px}h2{font-size:18px;margin:32px 0 8px;border-bottom:1px solid var(--line)}
h3{font-size:14px;margin:0 0 6px;font-weight:600}p{margin:4px 0}.dim,.none{color:var(--dim)}
.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(420px,100%),1fr));gap:16px}
.card{background:var(--card);border:1px solid var(--line);border-radius:8px;padding:12px;min-width:0}
svg{width:100%;height:auto;display:block}svg text{font-size:11px;fill:var(--dim)}svg .grid{stroke:var(--line)}
svg .mark{stroke:var(--c5);stroke-dasharray:2 3}svg polyline{fill:none;stroke-width:1.8}
.legend span{font-size:12px;color:var(--dim);margin-right:14px}.legend i{display:inline-block;width:10px;height:10px;
border-radius:2px;margin-right:5px}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
td,th{padding:3px 10px 3px 0;text-align:right;border-bottom:1px solid var(--line)}
td:last-child,th:last-child{text-align:left}
.best{font-weight:600}.warn{border-left:3px solid var(--c1);padding-left:10px;margin:6px 0}video,img{max-width:100%}
.scroll{overflow-x:auto}.strip{display:flex;gap:10px;overflow-x:auto}figure{margin:0;flex:0 0 260px}
.strip img,.strip video{width:100%;display:block}.card:has(.strip){margin-bottom:12px}
figcaption{font-size:12px;color:var(--dim)}details{margin:4px 0}
"""


def write_report(run: Path, out: Path) -> Path:
    """Draw the run at `run` into the HTML file `out` and return its path. UsageError when it is no run, or `out`
    cannot be written."""
    record = run / "run.json"
    if not record.is_file() and not (run / "metrics.jsonl").is_file():
        raise UsageError(f"{run} is not a run (it has no run.json)")
    require_writable(out)
    entries = json.loads(record.read_text(encoding="utf-8"))["experts"] if record.is_file() else {}
    plan_file = run / "plan.json"
    plan = json.loads(plan_file.read_text(encoding="utf-8")) if plan_file.is_file() else {}
    steps, held = read_rows(run, "step"), read_rows(run, "held_out")
    shown = {name: ranking.comparable(rows) for name, rows in held.items()}  # a curve of one kind of question only
    parts = [_head(run, plan, steps)]
    for name in sorted(steps.keys() | held.keys()):
        verdict = ranking.judge(entries.get(name, {}).get("checkpoints", []), held.get(name, []))
        parts.append(_expert(name, plan, steps.get(name, []), shown.get(name, []), verdict))
    parts += [strips(run, out), _loose(run, out)]
    if "settings" in plan:
        text = html.escape(json.dumps(plan["settings"], indent=1, sort_keys=True))
        parts.append(f"<h2>Settings</h2><details><summary>as resolved</summary><pre>{text}</pre></details>")
    title = html.escape(run.resolve().name)
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head><body>'
    )
    write_atomic(out, (page + "".join(parts) + "</body></html>\n").encode())
    return out


def _head(run: Path, plan: Mapping[str, Any], steps: Mapping[str, Sequence[Row]]) -> str:
    facts = []
    if plan:
        facts.append(f"{plan['family']}; {plan['training']} samples to train on, {plan['held_out']} held out")
        facts += [
            f"{name}: {steps[name][-1]['step'] if steps.get(name) else 0} of {own['steps']} steps, rank {own['rank']}, "
            f"lr {own['lr']:g}, sigma {own['sigma'][0]:g}–{own['sigma'][1]:g}"
            for name, own in plan["experts"].items()
        ]
    lines = "".join(f'<p class="dim">{html.escape(fact)}</p>' for fact in facts)
    warnings = [*plan.get("notes", ()), *plan.get("warnings", ())]
    lines += "".join(f'<p class="warn">{html.escape(text)}</p>' for text in warnings)
    return f"<h1>{html.escape(run.resolve().name)}</h1>{lines}"


def _expert(
    name: str, plan: Mapping[str, Any], steps: Sequence[Row], held: Sequence[Row], verdict: ranking.Verdict
) -> str:
    marks = [verdict.recommended.step] if verdict.recommended else []

    def of(key: str, rows: Sequence[Row] = steps) -> list[tuple[float, float]]:
        return [(row["step"], row[key]) for row in rows if row.get(key) is not None]

    def curve(points: Points, colour: int, title: str = "", **how: Any) -> Series:
        return Series(name=title, points=points, colour=colour, **how)

    learning = [curve(of("loss"), 0, kind="dots"), curve(smoothed(of("loss")), 0, "smoothed")]
    asked = [
        curve(of("zero", held), 4, "predicting zero", dashed=True),
        curve(of("loss", held), 1, "held out", kind="marks"),
        curve(of("trained", held), 2, "trained on", kind="marks", dashed=True),  # the other is seen beneath
    ]
    gaps = [(step, 100 * gap) for step, gap in sorted(ranking.gaps(held).items())]
    gap = [curve(gaps, 5, "grows when the set is memorised", kind="marks")]
    seconds = [(row["step"], row["volatile"].get("seconds", 0.0)) for row in steps]
    cards = {
        "Training loss, each step and smoothed": chart(learning, x="step", y="loss", marks=marks),
        "The same questions before, during and after": chart(asked, x="step", y="loss", marks=marks),
        "Held-out loss by sigma": chart(_bands(held), x="step", y="share of its start", marks=marks),
        "Gap between held out and trained on": chart(gap, x="step", y="gap, %"),
        "Sigma: planned and drawn so far": _sigmas(name, plan, steps),
        "Learning rate": chart([curve(of("lr"), 3)], x="step", y="lr", from_zero=True),
        "Gradient norm before clipping, smoothed": chart(
            [curve(smoothed(of("grad_norm")), 4)], x="step", y="norm", from_zero=True
        ),
        "Seconds a step": chart([curve(seconds, 4, kind="dots")], x="step", y="s", from_zero=True),
    }
    drawn = "".join(f'<div class="card"><h3>{title}</h3>{svg}</div>' for title, svg in cards.items())
    return f'<h2>{html.escape(name)}</h2>{_table(verdict)}<div class="grid">{drawn}</div>'


def _bands(held: Sequence[Row]) -> list[Series]:
    """One curve a sigma, each as a share of its own start: bands differ more from each other than over a run."""
    if not held:
        return []
    start = {sigma: loss for sigma, loss, _ in held[0]["bands"]}
    return [
        Series(
            name=f"σ {sigma:.3f}", colour=number % 6, kind="marks",
            points=[(r["step"], loss / start[s]) for r in held for s, loss, _ in r["bands"] if s == sigma and start[s]],
        )
        for number, sigma in enumerate(sorted(start))
    ]  # fmt: skip


def _sigmas(name: str, plan: Mapping[str, Any], steps: Sequence[Row]) -> str:
    own = plan.get("experts", {}).get(name)
    drawn = [draw["sigma"] for row in steps for draw in row["draws"]]
    if own is None:
        return '<p class="none">no plan.json in this run</p>'
    groups = [("planned for the whole run", own["drawn"], 4), ("drawn", histogram(drawn, own["edges"]), 0)]
    return bars(groups, own["edges"], x="sigma", y="draws")


def _table(verdict: ranking.Verdict) -> str:
    if not verdict.rows:
        return '<p class="none">no checkpoint yet</p>'
    rows = []
    for row in verdict.rows:
        cells = [
            "→" if row == verdict.recommended else "", str(row.step),
            "–" if row.loss is None else f"{row.loss:.4f}", "–" if row.change is None else f"{row.change:+.1%}",
            ("–" if row.gap is None else f"{row.gap:+z.1%}") + (" memorised" if row.memorised else ""),
            html.escape(row.file),
        ]  # fmt: skip
        mark = ' class="best"' if row == verdict.recommended else ""
        rows.append(f"<tr{mark}>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    names = ("", "step", "held-out loss", "against the base", "gap", "file")
    head = "".join(f"<th>{name}</th>" for name in names)
    chosen = verdict.recommended
    said = f"<b>Recommended: {html.escape(chosen.file)}</b> – " if chosen else ""
    table = f'<div class="scroll"><table><tr>{head}</tr>{"".join(rows)}</table></div>'
    return f"<p>{said}{html.escape(verdict.reason)}.</p>{table}<p></p>"


def _loose(run: Path, out: Path) -> str:
    """Pictures and videos that somebody else put under RUN/previews."""
    ours = {folder for folder, _ in complete(run)}
    every = sorted((run / "previews").rglob("*")) if (run / "previews").is_dir() else []
    unfinished = {path.parent for path in every if path.name == "job.json"}
    files = [path for path in every if path.suffix in KINDS and path.parent not in ours | unfinished]
    if not files:
        return ""
    cards = []
    for path in files:
        kind = KINDS[path.suffix]
        if path.stat().st_size <= EMBED:
            address = f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
        else:
            address = quote(Path(os.path.relpath(path.resolve(), out.resolve().parent)).as_posix())
        shown = f'<video controls loop muted src="{address}"></video>' if kind[0] == "v" else f'<img src="{address}">'
        cards.append(f'<div class="card"><h3>{html.escape(path.relative_to(run).as_posix())}</h3>{shown}</div>')
    return f'<h2>More pictures</h2><div class="grid">{"".join(cards)}</div>'
