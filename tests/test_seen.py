"""Commands that read: every sample in one state wherever it is counted, numbers of now, files that are gone."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from footage import make_video
from movies import SETTINGS, as_json, options, shots, tables, wanprep

from wanprep import care, outcome, shards
from wanprep.dataset import Dataset
from wanprep.manifest import Manifest
from wanprep.preview import as_it_is

pytestmark = pytest.mark.xdist_group("seen")

VIEW = 'views=[{name="look",resolution=[64,32],frames=[9],flip_x=true}]'


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four clips, two samples each, all cached but those of mute.mp4, whose text is empty."""
    folder = tmp_path_factory.mktemp("movies")
    make_video(folder / "film.mp4", frames=108, rate=24, size=(192, 96), picture=shots)
    make_video(folder / "mute.mp4", frames=30, rate=24, size=(192, 96))
    (folder / "mute.txt").touch()
    out = folder.parent / "set"
    settings = [*(s for s in SETTINGS if not s.startswith("views")), VIEW, "filter.duplicate.enabled=false"]
    wanprep("run", str(folder), *options(out, settings), "--workers", "1")
    return out


@pytest.fixture
def dataset(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "set"))


def counted(dataset: Path) -> dict[str, Any]:
    """What status, stats and samples say of samples and their files."""
    out = ("--out", str(dataset), "--json")
    status, stats, rows = (as_json(wanprep(command, *out)) for command in ("status", "stats", "samples"))
    assert isinstance(status, list)
    assert isinstance(stats, dict)
    assert isinstance(rows, list)
    steps = {row["step"]: (row["done"], row["pending"]) for row in status}
    cached = Counter(row["cache_state"] for row in rows if row["state"] == "ok")
    assert stats["cache"]["latents"] == cached
    assert stats["samples"] == Counter(row["state"] for row in rows)
    return stats["cache"] | {"samples": stats["samples"], "latents": steps["latents"], "bucket": steps["bucket"]}


def test_a_sample_without_a_caption_is_rejected_wherever_samples_are_counted(made: Path) -> None:
    from wanprep.dataset import open_cached

    found = counted(made)
    assert found["samples"] == {"ok": 6, "rejected": 2}
    assert found["latents"] == (6, 0)
    assert found["artefacts"]["latent"]["files"] == 6
    opened = open_cached(made)
    assert (len(opened.samples), opened.pending) == (6, 0)
    stats = as_json(wanprep("stats", "--out", str(made), "--json"))
    assert isinstance(stats, dict)
    assert (stats["epoch"]["samples"], stats["epoch"]["steps"]) == (6, 6)
    status = as_json(wanprep("status", "--out", str(made), "--json"))
    assert isinstance(status, list)
    left_out = {row["step"]: row["left_out"] for row in status if row["left_out"]}
    assert left_out == {"caption": {"caption_empty": 2}}
    told = " ".join(wanprep("status", "--out", str(made)).stdout.split())
    assert "1 kept clip is not trained on" in told
    assert "give no sample" not in told  # it is told once
    assert "go on with" not in told


def test_a_caption_typed_later_brings_the_samples_back(dataset: Path) -> None:
    rows = Dataset.open(dataset).manifest.read("samples").filter(pl.col("state") == "rejected")
    assert rows["media_digest"].null_count() == 0  # their file stays
    (dataset / "captions" / f"{rows['clip_id'][0]}.txt").write_text("a wash of colour")
    wanprep("cache", "--out", str(dataset))
    assert counted(dataset)["samples"] == {"ok": 8}


def test_numbers_are_of_now_after_a_command_was_stopped(dataset: Path) -> None:
    opened = Dataset.open(dataset)
    assert opened.overtaken() == ""
    latents = [it for it in care.artefacts(opened) if it.path.startswith("cache/latents")]
    care.take_back(opened, latents[:2], "stopped")  # tables go on, and nobody decides
    before = tables(dataset)
    found = counted(dataset)
    assert found["latents"] == (4, 2)
    assert "at work" in wanprep("status", "--out", str(dataset)).stderr
    assert tables(dataset) == before
    wanprep("cache", "--out", str(dataset))
    assert counted(dataset)["latents"] == (6, 0)
    assert wanprep("status", "--out", str(dataset)).stderr == ""


def test_settings_of_this_command_count_and_are_named(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert as_it_is(Dataset.open(made))[1] == ""
    monkeypatch.setenv("WANPREP_FILTER__BLUR__ENABLED", "true")
    monkeypatch.setenv("WANPREP_FILTER__BLUR__THRESHOLD", "9.0")
    seen, why = as_it_is(Dataset.open(made))
    assert sorted(why.split(", ")) == [
        "filter.blur.enabled = true (was false)",
        "filter.blur.threshold = 9.0 (was 0.125)",
    ]
    assert set(seen.manifest.read("clips")["state"]) == {"rejected"}
    assert seen.manifest.read("samples").is_empty()
    assert set(Dataset.open(made).manifest.read("clips")["state"]) == {"keep"}  # nothing is stored


def test_files_that_are_gone_or_cut_short_are_pending(dataset: Path) -> None:
    whole = counted(dataset)
    assert (whole["bucket"], whole["latents"], whole["absent"]) == ((4, 0), (6, 0), 0)
    told = " ".join(wanprep("status", "--out", str(dataset)).stdout.split())
    assert (
        f"stored files: {whole['looked_at']} looked at (existence and size; `wanprep verify` reads them), all" in told
    )
    used = Dataset.open(dataset).manifest.read("samples").filter(pl.col("state") == "ok")
    (dataset / used["media_path"][0]).unlink()
    (dataset / used["latent_path"][0]).unlink()
    cut = dataset / used["latent_path"][1]
    cut.write_bytes(cut.read_bytes()[:-1])
    found = counted(dataset)
    assert (found["bucket"], found["latents"]) == ((3, 1), (4, 2))
    assert (found["files"], found["absent"]) == ({"done": 2, "pending": 1}, 3)
    told = " ".join(wanprep("status", "--out", str(dataset)).stdout.split())
    assert "3 missing or of another size" in told
    assert "go on with" in told
    wanprep("bucket", "--out", str(dataset))
    wanprep("cache", "--out", str(dataset))
    assert counted(dataset) == whole


def test_a_text_of_another_caption_that_is_gone_makes_its_sample_pending() -> None:
    from wanprep.preview import _Seen

    rows = pl.DataFrame(
        {
            "cache_state": ["cached", "cached", "cached", "pending"],
            "latent_key": ["a", "b", "c", None],
            "text_key": ["t", "u", "v", None],
            "more_texts": [None, '[{"path": "cache/text/xx.safetensors"}]', '[{"path": "cache/text/yy"}]', None],
        }
    )
    seen = _Seen(SimpleNamespace(root=Path("x"), _tables={}, read=lambda name: rows))  # type: ignore[arg-type]
    seen.absent = lambda name: {"z": "cache/text/xx.safetensors", "v": "w"}  # type: ignore[method-assign]
    assert seen.read("samples")["cache_state"].to_list() == ["cached", "pending", "pending", "pending"]


def test_what_is_lost_is_named_the_newest_first_and_what_moved_once() -> None:
    def source(
        path: str, state: str, source_id: str | None, gone_in: int | None = None, root: str = "r"
    ) -> dict[str, Any]:
        row = {"root": root, "path": path, "state": state, "source_id": source_id, "gone_in": gone_in}
        return {**row, "reason": "moved" if path == "old.mp4" else "", "detail": "", "duplicate_of": None}

    dataset: Any = SimpleNamespace(roots={"r": "/in/src", "s": "/in/cap"}, root=Path("dataset"))
    sources = [
        source("a.mp4", "gone", "1", 1),
        source("a.mp4", "ok", "2", root="s"),
        source("old.mp4", "gone", "3", 2),
        source("new.mp4", "ok", "3"),
        source("unread.mp4", "gone", None, 2),
    ]

    def told(news: int | None) -> list[str]:
        return outcome.source_lines(dataset, sources, news)[:-1]

    assert told(None) == ["gone: unread.mp4, src/a.mp4"]
    assert told(2) == ["gone: unread.mp4", "gone in earlier runs: src/a.mp4", "moved: old.mp4 (now new.mp4)"]
    assert told(0) == ["gone in earlier runs: unread.mp4, src/a.mp4"]


def test_counts_by_reason_say_why_they_add_up_to_more() -> None:
    def clip(*reasons: str) -> dict[str, Any]:
        return {"state": "rejected", "reasons": list(reasons)}

    rows = [clip(f"r{k}") for k in range(7)]
    assert outcome.state_line("clips", rows) == (
        "clips    7 rejected (1 r0, 1 r1, 1 r2, 1 r3, 1 r4, 1 r5, 1 r6)"  # the last one takes no more room than dots
    )
    assert outcome.state_line("clips", rows[::-1]) == outcome.state_line("clips", rows)  # whatever order they came in
    told = outcome.state_line("clips", [*rows, clip("r7"), clip("r0", "r1")])
    assert told.startswith("clips    9 rejected (2 r0, 2 r1,")
    assert told.endswith("2 more reasons; 1 has several reasons, counted for each)")


def test_files_are_looked_at_alone_and_in_shards(tmp_path: Path) -> None:
    """As `shards.stored_bytes` says of each, which asks for one at a time."""
    (tmp_path / "cache" / "shards").mkdir(parents=True)
    (tmp_path / "cache" / "shards" / "a.tar").write_bytes(b"x" * 100)
    (tmp_path / "whole").write_bytes(b"y" * 10)
    shard = "cache/shards/a.tar"
    paths = ["whole", "whole", "none", f"{shard}#0+50", f"{shard}#60+50", f"{shard}#200+5", "cache/shards/b.tar#0+5"]
    sizes = [10, 11, 10, 50, 50, 5, 5]
    manifest = Manifest(tmp_path / "manifest")
    common = {"outcome": "done", "kind": "latent"}
    assert manifest.absent("artefacts") == {}
    # one row a path counts, so each has a table of its own here
    for number, (path, size) in enumerate(zip(paths, sizes)):
        manifest = Manifest(tmp_path / f"m{number}" / "manifest")
        manifest.root.parent.joinpath("cache").mkdir(parents=True)
        manifest.append("artefacts", [{**common, "key": "k", "path": f"../{path}", "bytes": size}])
        whole = shards.stored_bytes(manifest.root.parent, f"../{path}", shards.file_bytes) == size
        assert (manifest.absent("artefacts") == {}) == whole == (number in (0, 3)), path
        assert manifest.final_keys("artefacts") == ({"k"} if whole else set())
