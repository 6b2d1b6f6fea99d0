"""Previews in the report: a strip a prompt over the checkpoints, and each checkpoint's contact sheet. No script.

Stills are always in the page. Videos go into it from the newest on, as long as there is room; the others are linked.
"""

from __future__ import annotations

import base64
import html
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from wanprep.ids import key_of
from wantrain.preview_worker import label

EMBED = 4 << 20  # bytes of one video
EMBED_ALL = 48 << 20  # bytes of all videos of a page


def complete(run: Path) -> list[tuple[Path, dict[str, Any]]]:
    """The finished previews of a run, in order of training: (folder, preview.json)."""
    found = []
    for record in sorted((run / "previews").glob("*/preview.json")):
        try:
            found.append((record.parent, json.loads(record.read_text(encoding="utf-8"))))
        except ValueError:
            continue
    return sorted(found, key=lambda pair: (sum(pair[1]["steps"].values()), pair[0].name))


def strips(run: Path, out: Path) -> str:
    """HTML of all previews; "" without any. out: the page, which links are relative to."""
    previews = complete(run)
    if not previews:
        return ""
    addresses = _addresses(previews, out)
    prompts: dict[str, dict[str, Any]] = {}
    for _, record in previews:
        for item in record["items"]:
            prompts.setdefault(_identity(item), item)
    rows = []
    for identity, item in prompts.items():
        cells = [
            _cell(folder, record, own, addresses)
            for folder, record in previews for own in record["items"] if _identity(own) == identity
        ]  # fmt: skip
        asked = item["prompt"]
        told = f"seed {asked['seed']}, {asked['width']}x{asked['height']}, {asked['steps']} steps"
        head = f'<h3>{html.escape(item["name"])} <span class="dim">{html.escape(told)}</span></h3>'
        rows.append(f'<div class="card">{head}<div class="strip">{"".join(cells)}</div></div>')
    sheets = "".join(
        f'<details><summary>{html.escape(label(record["steps"]))}</summary>'
        f'<img alt="contact sheet" src="{_data(folder / record["sheet"], "image/jpeg")}"></details>'
        for folder, record in previews if (folder / record["sheet"]).is_file()
    )  # fmt: skip
    return f"<h2>Previews</h2>{''.join(rows)}<h3>Contact sheets</h3>{sheets}"


def _identity(item: Mapping[str, Any]) -> str:
    """The same prompt, seed, size and strengths at another checkpoint."""
    return key_of(**item["prompt"])


def _cell(folder: Path, record: Mapping[str, Any], item: Mapping[str, Any], addresses: Mapping[Path, str]) -> str:
    under = f"<figcaption>{html.escape(label(record['steps']))}</figcaption>"
    if "error" in item:
        return f'<figure><p class="warn">{html.escape(item["error"])}</p>{under}</figure>'
    still, video = folder / item["still"], folder / item["video"]
    poster = f' poster="{_data(still, "image/jpeg")}"' if still.is_file() else ""
    return (
        f'<figure><video controls loop muted preload="none"{poster} src="{addresses[video]}"></video>{under}</figure>'
    )


def _addresses(previews: list[tuple[Path, dict[str, Any]]], out: Path) -> dict[Path, str]:
    """Where each video is, for the page."""
    room, found = EMBED_ALL, {}
    for folder, record in reversed(previews):
        for path in (folder / item["video"] for item in record["items"] if "video" in item):
            size = path.stat().st_size if path.is_file() else EMBED + 1
            if size <= min(EMBED, room):
                room -= size
                found[path] = _data(path, "video/mp4")
            else:
                found[path] = quote(Path(os.path.relpath(path.resolve(), out.resolve().parent)).as_posix())
    return found


def _data(path: Path, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"
