"""Previews in the report: a strip a prompt over the checkpoints, and each checkpoint's contact sheet. No script.

A strip shows stills, so that checkpoints can be compared with nothing lying over them; a click below one opens its
video. Stills are always in the page, videos from the newest on as long as there is room; the others are linked.
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
from wantrain.preview_folder import failures
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
    """HTML of all previews, and why others are not there; "" without any. out: the page, for links."""
    previews = complete(run)
    lost = "".join(
        f'<p class="warn">{html.escape(label(record["steps"]))}: {html.escape(record["why"])}</p>'
        for record in failures(run)
    )  # fmt: skip
    if not previews:
        return f"<h2>Previews</h2>{lost}" if lost else ""
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
        told = f"seed {asked['seed']}, {asked['width']}x{asked['height']}, {asked['steps']} steps{_strengths(asked)}"
        head = f'<h3>{html.escape(item["name"])} <span class="dim">{html.escape(told)}</span></h3>'
        rows.append(f'<div class="card">{head}<div class="strip">{"".join(cells)}</div></div>')
    sheets = "".join(
        f'<details><summary>{html.escape(label(record["steps"]))}</summary>'
        f'<img alt="contact sheet" src="{_data(folder / record["sheet"], "image/jpeg")}"></details>'
        for folder, record in previews if (folder / record["sheet"]).is_file()
    )  # fmt: skip
    return f"<h2>Previews</h2>{lost}{''.join(rows)}<h3>Contact sheets</h3>{sheets}"


def _identity(item: Mapping[str, Any]) -> str:
    """The same prompt, seed, size and strengths at another checkpoint."""
    return key_of(**item["prompt"])


def _strengths(asked: Mapping[str, Any]) -> str:
    """The LoRAs' strengths where they are not 1."""
    names = {"strength": "LoRA", "strength_high": "high", "strength_low": "low"}
    given = [(name, asked.get(key)) for key, name in names.items()]
    return "".join(f", {name} x{value:g}" for name, value in given if value not in (None, 1))


def _cell(folder: Path, record: Mapping[str, Any], item: Mapping[str, Any], addresses: Mapping[Path, str]) -> str:
    name = html.escape(label(record["steps"]))
    if "error" in item:
        return f'<figure><p class="warn">{html.escape(item["error"])}</p><figcaption>{name}</figcaption></figure>'
    still, video = folder / item["still"], folder / item["video"]
    film = f'<video controls loop muted preload="metadata" src="{addresses[video]}"></video>'
    if not still.is_file():
        return f"<figure>{film}<figcaption>{name}</figcaption></figure>"
    picture = f'<img alt="{name}" src="{_data(still, "image/jpeg")}">'
    return f"<figure>{picture}<figcaption><details><summary>{name}</summary>{film}</details></figcaption></figure>"


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
