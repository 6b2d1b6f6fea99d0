"""Nothing lost, every decision explained: what is rejected, damaged, gone or pending is told after every command."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from footage import make_video
from movies import SETTINGS, as_json, options, shots, wanprep

pytestmark = pytest.mark.xdist_group("standing")

LONG = 'views=[{name="look",media="any",resolution=[64,32],frames=[1,9]},{name="wide",resolution=[96,48],frames=[33]}]'
MINE = (  # a family whose weights are not here: then nothing imports torch, and all but the caches is made
    *(s for s in SETTINGS if not s.startswith(("views", "family"))),
    "family=wan2.1-t2v-1.3b",
    *(LONG, "caption.captioner=sidecar", "filter.duplicate.enabled=false"),
)


@pytest.fixture(scope="module")
def movies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("in") / "movies"
    folder.mkdir()
    make_video(folder / "good.mp4", frames=36, rate=24, size=(192, 96), picture=shots)
    (folder / "good.txt").write_text("a drifting wash of colour")
    make_video(folder / "odd.mp4", frames=40, rate=24, size=(192, 96))
    (folder / "odd.txt").write_bytes(b"caf\xe9")  # Latin-1
    make_video(folder / "cut off.mkv", frames=40, size=(192, 96), options={"crf": "4", "g": "12"})
    whole = (folder / "cut off.mkv").read_bytes()
    (folder / "cut off.mkv").write_bytes(whole[: len(whole) // 2])  # and no text beside it
    (folder / "empty.mp4").touch()
    return folder


@pytest.fixture(scope="module")
def made(movies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "set"
    wanprep("run", str(movies), *options(out, MINE), "--workers", "1")
    return out


@pytest.fixture
def dataset(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "set"))


def said(text: str) -> str:
    """Without line breaks, which depend on the length of paths."""
    return " ".join(text.split())


def listing(command: str, out: Path, *more: str) -> list[dict]:
    found = as_json(wanprep(command, "--out", str(out), *more, "--json"))
    assert isinstance(found, list)
    return found


def test_a_rejected_caption_is_told_by_clip_sample_and_every_later_run(movies: Path, dataset: Path) -> None:
    out = ("--out", str(dataset))
    clips = {row["path"]: row for row in listing("clips", dataset)}
    assert {path: (row["state"], row["reasons"]) for path, row in clips.items()} == {
        "good.mp4": ("keep", []),
        "odd.mp4": ("keep", ["caption_not_utf8"]),
        "cut off.mkv": ("keep", ["no_sidecar"]),
    }
    assert [row["path"] for row in listing("clips", dataset, "--reason", "no_sidecar")] == ["cut off.mkv"]
    assert "caption_not_utf8" in wanprep("clips", *out).stdout
    silent = listing("samples", dataset, "--reason", "caption_not_utf8")
    assert {row["path"] for row in silent} == {"odd.mp4"}
    assert silent
    assert {(row["state"], row["cache_state"]) for row in silent} == {("rejected", None)}
    explained = said(wanprep("explain", clips["odd.mp4"]["clip_id"], *out).stdout)
    assert "caption: none, rejected (caption_not_utf8: odd.txt: byte 3 is not UTF-8" in explained
    assert "caption: none" not in wanprep("explain", clips["good.mp4"]["clip_id"], *out).stdout
    for command in (("run", str(movies)), ("caption",), ("filter",)):
        told = said(wanprep(*command, *out).stderr)
        assert "2 kept clips are not trained on, because the caption was rejected (1 caption_not_utf8" in told
        assert f"wanprep clips --reason caption_not_utf8 --out {dataset}" in told
        assert command[0] != "run" or "but 2 kept clips are without a caption" in told
    stats = as_json(wanprep("stats", *out, "--json"))
    assert isinstance(stats, dict)
    assert ("clip", "no_sidecar", 1) in {(r["of"], r["reason"], r["count"]) for r in stats["reasons"]}


def test_a_mended_caption_takes_the_reason_away(movies: Path, dataset: Path) -> None:
    clip = next(row["clip_id"] for row in listing("clips", dataset) if row["path"] == "odd.mp4")
    (dataset / "captions").mkdir(exist_ok=True)
    (dataset / "captions" / f"{clip}.txt").write_text("a café at night", encoding="utf-8")
    told = said(wanprep("run", str(movies), "--out", str(dataset)).stderr)
    assert "1 kept clip is not trained on" in told
    rows = {row["path"]: row for row in listing("clips", dataset)}
    assert (rows["odd.mp4"]["reasons"], rows["odd.mp4"]["caption"]) == ([], "a café at night")
    samples = listing("samples", dataset, "--source", "odd.mp4")
    assert {row["reason"] for row in samples if row["state"] == "ok"} == {""}
    assert not listing("clips", dataset, "--reason", "caption_not_utf8")


def test_the_last_line_tells_what_later_stages_have_to_do(movies: Path, dataset: Path) -> None:
    out = ("--out", str(dataset))
    told = said(wanprep("caption", *out, "--set", "family=tiny", "--trigger", "frung").stderr)
    status = {row["step"]: row for row in listing("status", dataset)}
    texts, latents = (status[name]["pending"] for name in ("cache", "latents"))
    assert texts
    assert latents
    assert f"cache {texts}, latents {latents} are pending: wanprep cache --out {dataset}." in told
    assert "complete" not in told
    assert "up to date" not in told
    other = LONG.replace("[64,32]", "[48,32]")
    told = said(wanprep("filter", *out, "--set", other).stderr)
    status = {row["step"]: row for row in listing("status", dataset)}
    counts = {name: status[name]["pending"] for name in ("bucket", "cache", "latents")}
    assert counts["bucket"] == 3
    assert counts["latents"] == 2  # of the one clip with a caption
    listed = ", ".join(f"{name} {count}" for name, count in counts.items())
    assert f"{listed} are pending: wanprep run {movies} --out {dataset}." in told
    told = said(wanprep("bucket", *out).stderr)
    counts.pop("bucket")  # done now
    listed = ", ".join(f"{name} {count}" for name, count in counts.items())
    assert f" nothing to train a real model on {listed} are pending: wanprep cache --out {dataset}." in told


def test_shots_that_are_to_be_found_anew_are_told_by_later_stages(movies: Path, dataset: Path) -> None:
    told = said(wanprep("bucket", "--out", str(dataset), "--set", "split.margin=3").stderr)
    assert f"shots 3 are pending: wanprep run {movies} --out {dataset}." in told
    assert "up to date" not in told


def test_status_and_summary_give_reasons_and_count_alike(movies: Path, dataset: Path) -> None:
    out = ("--out", str(dataset))
    strict = ("--set", "filter.blur.enabled=true", "--set", "filter.blur.threshold=9.0")
    wide = listing("status", dataset)
    bucket = next(row for row in wide if row["step"] == "bucket")
    assert (bucket["done"], bucket["of"], bucket["left_out"]) == (3, "clips", {"too_short_for_33": 3})
    again = as_json(wanprep("run", str(movies), *out, "--json"))
    assert isinstance(again, dict)
    assert "bucket" in again["steps"]
    for row in wide[: len(again["steps"]) - 1]:  # all but the caches
        step = again["steps"][row["step"]]
        assert step["final"] == row["done"] + sum(row["rejected"].values()), row["step"]
    told = said(wanprep("filter", *out, *strict).stderr)
    assert "clips 3 rejected (3 blur)" in told
    assert next(row for row in listing("status", dataset) if row["step"] == "filter")["left_out"] == {"blur": 3}
    shown = wanprep("status", *out).stdout
    assert "clips: 3 blur" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_sources_that_are_not_whole_are_named_and_explained(movies: Path, dataset: Path) -> None:
    out = ("--out", str(dataset))
    for text in (wanprep("status", *out).stdout, wanprep("run", str(movies), *out).stderr):
        assert "rejected: empty.mp4" in text
        assert "damaged, its good part is used: cut off.mkv" in text
    assert "source empty.mp4: rejected (empty_file)" in wanprep("explain", "empty", *out).stdout
    cut = as_json(wanprep("explain", "CUT OFF", *out, "--json"))
    assert isinstance(cut, dict)
    assert cut["damage"]
    assert cut["state"] == "ok"
    assert cut["clips"][0]["state"] == "keep"
    shown = wanprep("explain", "cut off.mkv", *out).stdout
    assert f"damaged: {cut['damage']}" in shown
    assert "no_sidecar" in shown
    good = wanprep("explain", "good.mp4", *out).stdout
    assert "damaged" not in good
    assert "read as: h264 in mov, " in good
    several = wanprep("explain", ".mp4", *out, check=2).stderr
    assert "3 sources" in several
    assert "empty.mp4: rejected empty_file" in several
    assert "no source with it in its path" in wanprep("explain", "nowhere", *out, check=2).stderr


def test_gone_sources_are_named(movies: Path, dataset: Path, tmp_path: Path) -> None:
    shutil.move(movies / "good.mp4", tmp_path / "good.mp4")
    try:
        told = wanprep("run", str(movies), "--out", str(dataset)).stderr
        explained = wanprep("explain", "good.mp4", "--out", str(dataset)).stdout
        first = wanprep("gc", "--out", str(dataset)).stdout
        found = as_json(wanprep("gc", "--out", str(dataset), "--unused", "--delete", "--json"))
    finally:
        shutil.move(tmp_path / "good.mp4", movies / "good.mp4")
    assert "gone: good.mp4" in told
    assert "source good.mp4: gone (file_missing)" in explained
    assert "it has no clips" in explained
    assert "--unused" in first
    assert isinstance(found, dict)  # weights are not needed to tell which clips nobody wants
    assert {row["path"].partition("/")[0] for row in found["unused"]} == {"clips", "signals"}
    left = {path.stem for path in (dataset / "clips").rglob("*.mp4")}
    assert left == {row["clip_id"] for row in listing("clips", dataset)}


def test_kept_clips_that_give_no_sample_are_told(movies: Path, dataset: Path) -> None:
    long = 'views=[{name="long",resolution=[64,32],frames=[33]}]'
    told = said(wanprep("bucket", "--out", str(dataset), "--set", long).stderr)
    assert "3 of 3 kept clips give no sample (3 too_short_for_33): wanprep samples --reason too_short_for_33" in told
    told = said(wanprep("bucket", "--out", str(dataset), "--set", LONG).stderr)
    assert "give no sample" not in told  # the other view has one of each


def test_a_dry_run_counts_what_is_new_and_what_has_no_key_yet(movies: Path, dataset: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    asked = ("run", str(movies), *options(new, MINE), "--dry-run")
    found = as_json(wanprep(*asked, "--json"))
    assert isinstance(found, dict)
    assert found["steps"]["scan"]["pending"] == 4
    lines = {line.split()[0]: line.split() for line in wanprep(*asked).stdout.splitlines() if line.split()}
    assert (lines["scan"][-1], lines["split"][-1]) == ("4", "?")
    assert not new.exists()
    before = (dataset / "wanprep.toml").read_text()
    found = as_json(wanprep("run", str(movies), "--out", str(dataset), "--dry-run", "--json"))
    assert isinstance(found, dict)
    status = {row["step"]: row["pending"] for row in listing("status", dataset)}
    assert (status["cache"], status["latents"]) == (1, 2)  # weights are not here: nothing has a key
    assert {name: step["pending"] for name, step in found["steps"].items()} == status
    shutil.copy(movies / "good.mp4", movies / "more.mp4")
    try:
        found = as_json(wanprep("run", str(movies), "--out", str(dataset), "--dry-run", "--json"))
    finally:
        (movies / "more.mp4").unlink()
    assert isinstance(found, dict)
    assert (found["steps"]["scan"]["pending"], found["steps"]["split"]["pending"]) == (1, 0)
    assert len(listing("clips", dataset)) == 3
    assert (dataset / "wanprep.toml").read_text() == before
