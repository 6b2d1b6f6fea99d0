"""What a run says of the texts beside its sources: how many there are, which caption nothing that is kept, which are
not read though they look like captions, and which begin in a way that fits badly with the trigger put before them.

Somebody wrote these files; that they are not used must not be found out by training.
"""

from __future__ import annotations

import functools
import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.captioners.leads import Lead
from wanprep.captioners.registry import AUTO
from wanprep.captioners.several import clip_of, without_weight
from wanprep.captioners.sidecar import Folder, find_others, find_sidecar
from wanprep.captioners.text import begins_with, clean
from wanprep.tables import counted

if TYPE_CHECKING:
    from wanprep.captioners.files import Chosen
    from wanprep.captioners.settings import CaptionConfig

SHOWN = 5  # files that a line names
ALIKE = (".txt", ".caption")  # extensions of files that other programs read as captions
ORDINARY = ("a", "an", "the", "in", "on", "of")  # words that begin a caption whatever the trigger
Row = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Texts:
    """used: text file -> the sources that it captions. unread: files that look like a source's caption and are none."""

    used: Mapping[str, Sequence[Row]]
    unread: Sequence[str]


def texts_of(sources: Iterable[Row], roots: Mapping[str, str]) -> Texts:
    """Look beside every source that is there. roots: id -> folder, as in the dataset."""
    folders = functools.cache(Folder.of)
    used: dict[str, list[Row]] = {}
    names: dict[str, set[str]] = {}
    for row in sources:
        if row["state"] == "gone" or row["root"] not in roots:
            continue
        path = Path(roots[row["root"]]) / row["path"]
        names.setdefault(str(path.parent), set()).update((path.name.lower(), path.stem.lower()))
        first = find_sidecar(path, folders)
        for text in (first, *find_others(first, folders).values()) if first else ():
            used.setdefault(str(text), []).append(row)
    unread = [text for folder, known in sorted(names.items()) for text in _alike(folder, known) if text not in used]
    return Texts(used=used, unread=unread)


def _alike(folder: str, known: set[str]) -> list[str]:
    """Files of a folder that are named as one of its sources is (in any case, numbered or not)."""
    found = []
    for name in sorted(os.listdir(folder)) if os.access(folder, os.R_OK) else ():  # noqa: PTH208
        path = Path(folder) / name
        stem = path.stem.lower()
        if path.suffix.lower() in ALIKE and (stem in known or clip_of(stem)[0] in known):
            found.append(str(path))
    return found


def left_alone(ignored: Counter[str], texts: Texts, folder: str) -> Counter[str]:
    """Files that are no sources, by extension, without the captions below `folder`."""
    below = sum(text.startswith(f"{folder}/") for text in texts.used)
    return ignored - Counter({".txt": below})


def lines(texts: Texts, clips: Sequence[Row], roots: Mapping[str, str], captioner: str) -> list[str]:
    """How many captions lie beside their films, and which of them are not used and why."""
    count = len(texts.used)
    found = []
    if count and captioner not in (AUTO, "sidecar"):
        found.append(f"{counted(count, 'caption')} beside their films not read: caption.captioner is {captioner!r}")
    elif count:
        found.append(f"{counted(count, 'caption')} beside their films")
        idle, copies = _idle(texts.used, {clip["source_id"] for clip in clips if clip["state"] in ("keep", "pending")})
        for names, why in (
            (idle, "no clip of their film is kept"),
            (copies, "their film is a copy of one with another"),
        ):
            if names:
                found.append(f"{len(names)} of them not used, because {why}: {_named(names, roots)}")
    if texts.unread:
        found.append(
            f"not read, though they look like captions: {_named(texts.unread, roots)}; a caption is a file with its "
            "film's name: FILM.txt, then FILM.2.txt"
        )
    return found


def _idle(used: Mapping[str, Sequence[Row]], kept: set[str]) -> tuple[list[str], list[str]]:
    """Texts of sources without a kept clip, and those of copies whose words the film that stands for them lacks."""
    of_film: dict[str, list[str]] = {}
    for text, rows in used.items():
        for row in rows:
            if row["state"] == "ok":
                of_film.setdefault(row["source_id"], []).append(text)
    idle, copies = [], []
    for text, rows in used.items():
        final = all(row["state"] in ("ok", "rejected") for row in rows)
        if not final or any(row["state"] == "ok" and row["source_id"] in kept for row in rows):
            continue
        stand_ins = [row["source_id"] for row in rows if row["duplicate_of"] and row["source_id"] in kept]
        if not stand_ins:
            idle.append(text)
        elif _bytes(text) not in [_bytes(other) for film in stand_ins for other in of_film.get(film, ())]:
            copies.append(text)
    return idle, copies


def trigger_lines(
    chosen: Mapping[str, Chosen],
    clips: Sequence[Row],
    texts: Texts,
    config: CaptionConfig,
    earlier: Sequence[Lead],
    roots: Mapping[str, str],
) -> list[str]:
    """Texts beside sources that begin with an earlier trigger of this set, and captions that begin with the first word
    of the trigger and not with all of it, or with more behind it ("NAME's"): the trigger is put before what stands
    there."""
    today = clean(config.trigger or "")
    beside: dict[str, str] = {}
    for text, rows in texts.used.items():
        for row in rows:
            beside.setdefault(row["source_id"], text)
    old: dict[str, str] = {}
    part: dict[str, str] = {}
    word = (re.findall(r"\w+", today) or [""])[0]
    others = [(clean(trigger), separator) for trigger, separator in earlier if clean(trigger) != today]
    for clip in clips:
        choice = chosen.get(clip["clip_id"])
        if choice is None or choice.origin not in ("sidecar", "human"):
            continue
        body = clean(without_weight(choice.raw))
        if today and begins_with(body, today, config.separator):
            continue
        typed = choice.origin == "human"
        file = clip["clip_id"] + ".txt"
        name = f"captions/{file}" if typed else str(beside.get(clip["source_id"], clip["path"]))
        if not typed and any(begins_with(body, *lead) for lead in others):  # of typed ones see `leads`
            old[name] = choice.text
        elif word and word.lower() not in ORDINARY and re.match(rf"\W*{word}\b", body, re.IGNORECASE):
            part[name] = choice.text
    whole = f'"{word}", but not with the whole trigger and a space, comma or dash behind it'
    kinds = ((old, "an earlier trigger"), (part, whole))
    return [
        f"captions that begin with {what}: {len(found)}, the first trained on as "
        f"{_start(next(iter(found.values())))}: {_named(list(found), roots)}"
        for found, what in kinds
        if found
    ]


def _start(text: str) -> str:
    return f'"{text}"' if len(text) <= 60 else f'"{text[:60].rstrip()}…"'


def _bytes(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes().strip()
    except OSError:
        return None


def _named(paths: Sequence[str], roots: Mapping[str, str]) -> str:
    names = []
    for path in paths[:SHOWN]:
        inside = [root for root in roots.values() if path.startswith(f"{root}/")]
        names.append(path.removeprefix(f"{max(inside, key=len)}/") if inside else path)
    return ", ".join(names) + (f" and {len(paths) - SHOWN} more" if len(paths) > SHOWN else "")
