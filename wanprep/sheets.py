"""`wanprep sheet`: pictures of what was kept and of what each reason rejected, to look decisions over.

One JPEG a group under reports/: three frames a clip, taken by seeking in the sources, over a line with the clip's id,
its score and the threshold, and one with its file and time. The clips nearest to their threshold come first, because
those are the ones to doubt. On the sheet of duplicates each stands to the right of the clip that it repeats.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wanprep.ids import write_atomic
from wanprep.stage import Missing, Reject, UsageError
from wanprep.stages.split import SPLIT_REASONS

if TYPE_CHECKING:
    from wanprep.dataset import Dataset

Row = Mapping[str, Any]
FOLDER = "reports"
PLACES = (1 / 6, 1 / 2, 5 / 6)  # of a clip's duration
TILE = (160, 100)  # width, height that a frame is fitted into
LINE = 15  # pixels of a line of text, of which a clip has two
LINES = 2
LETTERS = 66  # that a line holds
ID_LETTERS = 16  # of a clip, with which the score `duplicate_of` begins
COLUMNS = 3  # clips side by side
PAIRS = 2  # with the clip that each repeats: two columns


def write_sheets(
    dataset: Dataset, *, clips: int, reason: str | None = None, say: Callable[[str], None] = lambda _: None
) -> list[dict[str, Any]]:
    """Write reports/kept.jpg and reports/rejected-<reason>.jpg; one {"path", "clips", "of"} each, in that order.

    clips: how many a sheet holds at most. reason: only this sheet ("kept", or a reason). UsageError when the dataset
    has no such clips. Sources that cannot be read leave grey tiles, and a line to `say`.
    """
    rows = [{**r, "scores": json.loads(r["scores"])} for r in dataset.manifest.read("clips").to_dicts()]
    groups = grouped(rows)
    _forget_others(dataset.root / FOLDER, groups, say)
    if reason is not None:
        if reason not in groups:
            known = ", ".join(groups) or "nothing has been decided"
            raise UsageError(f"no clip is {reason!r} in {dataset.root}; there are: {known}")
        groups = {reason: groups[reason]}
    chosen = {name: members[:clips] for name, members in groups.items()}
    shown = {
        name: with_originals(members, rows) if name == "duplicate" else members for name, members in chosen.items()
    }
    wanted = {row["clip_id"]: row for members in shown.values() for _, row in members}
    frames = _frames(dataset, list(wanted.values()), say)
    made = []
    for name, members in chosen.items():
        columns = PAIRS if name == "duplicate" else COLUMNS
        picture = sheet([((text, _where(row)), frames[row["clip_id"]]) for text, row in shown[name]], columns)
        path = dataset.root / FOLDER / _file_name(name)
        path.parent.mkdir(exist_ok=True)
        write_atomic(path, _jpeg(picture))
        made.append({"path": str(path), "clips": len(members), "of": len(groups[name])})
    return made


def _file_name(group: str) -> str:
    return f"{group}.jpg" if group == "kept" else f"rejected-{group}.jpg"


def _forget_others(folder: Path, groups: Collection[str], say: Callable[[str], None]) -> None:
    """Remove sheets of groups that there are no more: they would show clips as rejected that are kept by now."""
    from wanprep.stages.filter import REGISTRY

    for name in ("kept", *REGISTRY, *SPLIT_REASONS):
        path = folder / _file_name(name)
        if name not in groups and path.exists():
            path.unlink()
            say(f"removed {path}, of an earlier call: no clip is {name!r} any more")


def grouped(rows: Sequence[Row]) -> dict[str, list[tuple[str, Row]]]:
    """ "kept" and each reason -> (caption line, row) of its clips, the nearest to the threshold first. Pure.

    rows: of the clips table, `scores` parsed. A clip that several filters reject is on the sheet of each.
    """
    found: dict[str, list[tuple[float, str, str, Row]]] = {}
    for row in rows:
        near = {name: _margin(score) for name, score in row["scores"].items() if score[2] in ("keep", "reject")}
        if row["state"] == "keep":
            kept = {name: margin for name, margin in near.items() if math.isfinite(margin)}
            names = [("kept", min(kept, key=lambda name: kept[name], default=""))]
        elif row["state"] == "rejected":
            names = [(reason, reason) for reason in row["reasons"]]
        else:
            continue
        for name, score in names:
            text = " ".join(filter(None, (row["clip_id"][:8], _words(score, row["scores"].get(score)))))
            found.setdefault(name, []).append((near.get(score, math.inf), row["clip_id"], text, row))
    ordered = sorted(found, key=lambda name: (name != "kept", name))
    return {name: [(text, row) for _, _, text, row in sorted(found[name], key=lambda f: f[:2])] for name in ordered}


def with_originals(members: Sequence[tuple[str, Row]], rows: Sequence[Row]) -> list[tuple[str, Row]]:
    """Each duplicate behind the clip that it shows again, in pairs. Pure. A clip of which that is not known is twice
    there itself, so that pairs stay pairs."""
    by_id = {row["clip_id"]: row for row in rows}
    pairs: list[tuple[str, Row]] = []
    for text, row in members:
        named = str(row["scores"].get("duplicate_of", [""])[0])
        first = by_id.get(named[:ID_LETTERS])
        pairs += [(f"{named[:8]} is shown again by", first) if first else (f"{row['clip_id'][:8]} repeats", row)]
        pairs.append((text, row))
    return pairs


def _where(row: Row) -> str:
    """The file and the time, in LETTERS."""
    from wanprep.tables import keep_ends

    span = f" {row['start_s']:.2f}-{row['end_s']:.2f} s" if row.get("end_s") is not None else ""
    return keep_ends(row["path"], LETTERS - len(span)) + span


def _margin(score: Sequence[Any]) -> float:
    """How far a score is from its threshold, as a share of the larger of the two."""
    value, threshold, _ = score
    if value is None or threshold is None:
        return math.inf
    return abs(value - threshold) / max(abs(value), abs(threshold), 1e-9)


def _words(name: str, score: Sequence[Any] | None) -> str:
    if score is None or score[0] is None:
        return name
    return f"{name} {score[0]:.3g} ({score[1]:.3g})"


def sheet(clips: Sequence[tuple[Sequence[str], Sequence[np.ndarray]]], columns: int = COLUMNS) -> np.ndarray:
    """uint8[h, w, 3] BGR: a grid of (LINES of text, frames uint8[TILE height, TILE width, 3])."""
    from wanprep.lettering import draw

    width, height = TILE
    wide, tall = width * len(PLACES) + 6, height + LINE * LINES + 6
    page = np.full((tall * math.ceil(len(clips) / columns), wide * columns, 3), 24, np.uint8)
    lines: list[tuple[int, int, str]] = []
    for k, (texts, frames) in enumerate(clips):
        top, left = k // columns * tall, k % columns * wide
        for n, frame in enumerate(frames):
            page[top : top + height, left + n * width : left + (n + 1) * width] = frame
        lines += [(left + 3, top + height + LINE * (n + 1) - 4, text) for n, text in enumerate(texts)]
    return draw(page, lines, wide - 6)


def _frames(dataset: Dataset, rows: Sequence[Row], say: Callable[[str], None]) -> dict[str, list[np.ndarray]]:
    """Three tiles a clip. Each source is opened once."""
    sources = {row["source_id"]: row for row in dataset.manifest.read("sources").to_dicts() if row["state"] == "ok"}
    by_source: dict[str, dict[str, Row]] = {}
    for row in rows:
        by_source.setdefault(row["source_id"], {})[row["clip_id"]] = row
    out = {row["clip_id"]: [np.full((TILE[1], TILE[0], 3), 90, np.uint8)] * len(PLACES) for row in rows}
    for source_id, clips in by_source.items():
        try:
            path = dataset.source_path(sources[source_id])
            out |= _read(path, list(clips.values()))
        except (OSError, Reject, Missing, UsageError, KeyError) as error:
            say(f"no pictures of {next(iter(clips.values()))['path']}: {error}")
    return out


def _read(path: Path, rows: Sequence[Row]) -> dict[str, list[np.ndarray]]:
    from wanprep.media.probe import probe
    from wanprep.media.read import open_video

    facts, out = probe(path), {}
    with open_video(path, facts) as video:
        for row in sorted(rows, key=lambda row: row["start_pts"]):
            tiles = []
            for place in PLACES:
                wanted = row["start_pts"] + int(place * (row["end_pts"] - row["start_pts"]))
                frame = next(iter(video.frames(wanted, row["end_pts"])), None)
                tiles.append(_tile(frame, row["crop"]))
            out[row["clip_id"]] = tiles
    return out


def _tile(frame: Any, crop: Sequence[int]) -> np.ndarray:
    """The frame without its bars, fitted into TILE."""
    tile = np.zeros((TILE[1], TILE[0], 3), np.uint8)
    if frame is not None:
        scale = min(TILE[0] / crop[2], TILE[1] / crop[3])
        width, height = max(1, int(crop[2] * scale)), max(1, int(crop[3] * scale))
        top, left = (TILE[1] - height) // 2, (TILE[0] - width) // 2
        tile[top : top + height, left : left + width] = frame.bgr(width, height, tuple(crop))
    return tile


def _jpeg(picture: np.ndarray) -> bytes:
    import cv2

    good, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 88])
    if not good:
        raise ValueError(f"cannot encode a sheet of shape {picture.shape}")
    return data.tobytes()
