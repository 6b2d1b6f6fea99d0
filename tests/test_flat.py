"""The flat manifest: everything that went in has a row, once."""

import polars as pl

from wanprep.flat import COLUMNS, table
from wanprep.frames import frame_of
from wanprep.manifest import Manifest


def frames(tmp_path, **rows: list[dict]) -> list[pl.DataFrame]:
    manifest = Manifest(tmp_path)
    names = ("sources", "clips", "samples")
    return [frame_of(rows.get(name, []), manifest.table(name).polars_schema) for name in names]


def source(name: str, **more) -> dict:
    return {"source_id": name, "path": f"{name}.mp4", "group": "g", "kind": "video", "state": "ok", "reason": ""} | more


def test_a_row_a_sample_and_one_for_what_has_none(tmp_path):
    sources = [
        source("a"),
        source("b"),
        source("copy", source_id="a", path="copy.mp4", state="rejected", duplicate_of="a.mp4"),
        source("new", source_id=None, path="new.mp4", state="pending"),
    ]
    clips = [
        {"clip_id": "1", "source_id": "a", "path": "a.mp4", "state": "keep", "reasons": [], "start_s": 0.5},
        {"clip_id": "2", "source_id": "a", "path": "a.mp4", "state": "rejected", "reasons": ["blur", "shake"]},
    ]
    samples = [
        {"sample_id": f"s{k}", "clip_id": "1", "source_id": "a", "view": "v", "state": state, "reason": "", "frames": 9}
        for k, state in enumerate(["ok", "duplicate"])
    ]
    got = table(*frames(tmp_path, sources=sources, clips=clips, samples=samples))
    assert tuple(got.columns) == COLUMNS
    seen = got.select("sample_id", "clip_id", "path", "state", "reason").rows()
    assert seen == [
        ("s0", "1", "a.mp4", "ok", ""),
        ("s1", "1", "a.mp4", "duplicate", ""),
        (None, "2", "a.mp4", "rejected", "blur,shake"),
        (None, None, "b.mp4", "ok", ""),
        (None, None, "copy.mp4", "rejected", ""),
        (None, None, "new.mp4", "pending", ""),
    ]
    assert got["start_s"].to_list() == [0.5, 0.5, None, None, None, None]


def test_an_empty_dataset_has_an_empty_one(tmp_path):
    assert table(*frames(tmp_path)).shape == (0, len(COLUMNS))
