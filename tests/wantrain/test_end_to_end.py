"""Movies in, LoRAs out, through both command lines as a user types them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from footage import make_video
from movies import SETTINGS, environment, options, shots, wanprep

from wanprep.dataset import Dataset, open_cached
from wantrain.data import hold_out
from wantrain.lora import read_lora

CAPTION = ("caption.trigger=frung", "caption.class_word=film")
TRAIN = (
    "family=tiny", "run.name=end", "run.deterministic=true", "run.checkpointing=false", "high.steps=3", "low.steps=2",
    "validation.share=0.5",
)  # fmt: skip


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """One movie of three shots, prepared with a trigger and a class word."""
    folder = tmp_path_factory.mktemp("end")
    (folder / "movies").mkdir()
    make_video(folder / "movies" / "film.mp4", frames=108, rate=24, size=(192, 96), picture=shots)
    wanprep("run", str(folder / "movies"), *options(folder / "set", (*SETTINGS, *CAPTION)), "--workers", "2")
    return folder


def wantrain(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "wantrain.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)


def _train(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    settings = [part for setting in TRAIN for part in ("--set", setting)]
    return wantrain("run", "--dataset", str(folder / "set"), "--out", str(folder / "runs"), *settings, *more)


def test_what_the_trainer_reads_is_what_was_prepared(prepared: Path) -> None:
    cached = open_cached(prepared / "set")
    clips = {row["clip_id"]: row for row in Dataset.open(prepared / "set").manifest.read("clips").to_dicts()}
    assert cached.pending == 0
    starts = sorted({s.start_s for s in cached.samples})
    assert starts == sorted({row["start_s"] for row in clips.values() if row["state"] == "keep"})
    assert len(starts) > 1
    for sample in cached.samples:
        assert (sample.start_s, sample.end_s) == tuple(clips[sample.clip_id][name] for name in ("start_s", "end_s"))
        assert sample.caption.startswith("frung ")
        assert cached.class_text(sample).shape == (512, 32)
        assert not cached.class_text(sample).equal(cached.text(sample))
    training, held = hold_out(cached.samples, 0.5)
    assert {cached.samples[i].start_s for i in held} == {starts[len(starts) // 2]}
    assert {cached.samples[i].start_s for i in training} == set(starts) - {starts[len(starts) // 2]}


def test_two_lora_files_come_out_and_the_same_command_does_nothing_more(prepared: Path) -> None:
    done = _train(prepared, "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["steps"] == {"high": 3, "low": 2}
    content = read_lora(Path(report["loras"]["high"]))
    assert content.metadata["dataset"] == open_cached(prepared / "set").fingerprint
    assert len(content.metadata["base"]) == 32
    before = {p: p.read_bytes() for p in Path(report["run"]).rglob("*") if p.is_file()}
    assert json.loads(_train(prepared, "--json").stdout) == report
    assert {p: p.read_bytes() for p in Path(report["run"]).rglob("*") if p.is_file()} == before


def test_samples_that_are_not_cached_are_counted_aloud(prepared: Path, tmp_path: Path) -> None:
    """A new view is decided at once and encoded later: until then the trainer must say what it does not see."""
    wide = (
        'views=[{name="look",media="any",resolution=[64,32],frames=[1,9]},{name="new",resolution=[64,48],frames=[9]}]'
    )
    assert wanprep("split", "--out", str(prepared / "set"), "--set", wide, check=None).returncode == 0
    cached = open_cached(prepared / "set")
    clips = len({sample.clip_id for sample in cached.samples})
    assert cached.pending == clips > 1
    said = wantrain("plan", "--dataset", str(prepared / "set"), "--set", "family=tiny")
    assert f"{clips} good samples are not cached" in said.stdout
    trained = _train(prepared, "--out", str(tmp_path / "runs"))
    assert trained.returncode == 0, trained.stderr
    assert f"{clips} good samples are not cached" in trained.stderr
