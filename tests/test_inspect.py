"""`wanprep cuts` and `wanprep score`: the entries of good and bad files, and that a run decides the same."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from footage import make_video
from movies import as_json, environment, make_movies, options, shots, wanprep

from wanprep.cli import cli
from wanprep.dataset import Dataset
from wanprep.engines.local import run
from wanprep.inspect import judge, listing, show_cuts, show_scores
from wanprep.signals.shots import ShotList, Transition
from wanprep.stages.filter import FilterConfig

pytestmark = pytest.mark.xdist_group("inspect")


@pytest.fixture(scope="module")
def movies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_movies(tmp_path_factory.mktemp("in") / "movies")


def test_every_file_gets_an_entry_in_the_order_given(movies: Path) -> None:
    names = ["text.mp4", "film.mp4", "cut off.mkv", "absent.mp4", "b/still.png", "sound.m4a", "slow.mp4"]
    before = sorted(path for path in movies.rglob("*"))
    done = wanprep("cuts", *(str(movies / name) for name in names), "--json", "--workers", "2", check=1)
    entries = json.loads(done.stdout)
    assert [Path(entry["path"]).name for entry in entries] == [Path(name).name for name in names]
    got = [(entry["state"], entry["reason"]) for entry in entries]
    ok = ("ok", "")
    lost = ("failed", "not_found")
    assert got == [("rejected", "not_video"), ok, ok, lost, ok, ("rejected", "no_video"), ok]
    film, broken, still, slow = (entries[index] for index in (1, 2, 4, 6))
    assert (film["frames"], film["fps"], film["hard"], film["gradual"], film["black"]) == (108, 24.0, [36, 72], [], [])
    assert [(c["start_frame"], c["end_frame"], c["state"]) for c in film["clips"]] == [
        (0, 36, "ok"), (36, 72, "ok"), (72, 108, "ok"),
    ]  # fmt: skip
    assert film["clips"][1]["start_s"] == pytest.approx(1.5)
    assert broken["truncated"]
    assert 0 < broken["frames"] < 40
    assert (still["kind"], still["frames"], still["fps"]) == ("image", 1, None)
    assert (slow["frames"], slow["hard"]) == (30, [])
    assert "not_video" in done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("truncated")] == [
        f"truncated {movies / 'cut off.mkv'}: {broken['truncated']}"
    ]
    assert "absent.mp4: not_found" in done.stderr
    assert sorted(path for path in movies.rglob("*")) == before


def test_people_are_shown_cuts_clips_and_what_is_none() -> None:
    def clip(first: int, end: int, state: str = "ok", reason: str = "") -> dict[str, object]:
        return {"start_frame": first, "end_frame": end, "state": state, "reason": reason}

    film = {"path": "film.mp4", "state": "ok", "frames": 90, "hard": [40], "black": []}
    film |= {"gradual": [], "clips": [clip(0, 40), clip(40, 52, "rejected", "maybe_mixed"), clip(52, 90)]}
    lost = {"path": "x.txt", "state": "rejected", "reason": "not_video"}
    with CliRunner().isolation() as (stdout, *_):
        show_cuts([film, lost], as_json=False)
        lines = [" ".join(line.split()) for line in stdout.getvalue().decode().splitlines()]
    told = [line for line in lines if line and not line.startswith(("file", "─"))]
    assert told == [
        "film.mp4 0 89 decoded", "0 39 clip", "40 40 hard cut", "40 51 no clip: maybe_mixed", "52 89 clip",
        "x.txt rejected: not_video",
    ]  # fmt: skip


def test_rejected_content_is_done_and_usage_is_usage(movies: Path) -> None:
    assert as_json(wanprep("cuts", str(movies / "empty.mp4"), "--json"))[0]["reason"] == "empty_file"  # type: ignore[index]
    wanprep("cuts", check=2)
    assert "did you mean" in wanprep("score", "a.mp4", "--set", "split.min_second=1", check=2).stderr


@pytest.mark.parametrize("command", ["cuts", "score"])
def test_what_cannot_be_opened_costs_no_other_file_its_entry(command: str, tmp_path: Path, monkeypatch) -> None:
    good, locked = make_video(tmp_path / "a.mp4", frames=30, rate=24, size=(64, 48)), tmp_path / "b.mp4"
    locked.write_bytes(good.read_bytes())

    def access(path, mode, **how) -> bool:  # root may read everything
        return Path(path) != locked

    monkeypatch.setattr("os.access", access)
    before = Path.stat

    def stat(path: Path, **how):
        if path == locked and how.get("follow_symlinks", True):
            raise PermissionError(13, "Permission denied", str(path))
        return before(path, **how)

    monkeypatch.setattr(Path, "stat", stat)
    monkeypatch.setattr("wanprep.engines.workers.in_workers", lambda stage, queue, _: run(stage, queue, 0))
    done = CliRunner().invoke(cli, [command, str(good), str(locked), str(tmp_path), str(good), "--json"])
    assert done.exit_code == 1, done.output
    got = [(entry["state"], entry["reason"]) for entry in json.loads(done.stdout)]
    assert got == [("ok", ""), ("failed", "PermissionError"), ("failed", "folder"), ("ok", "")]
    assert f"b.mp4: PermissionError (Permission denied: {locked}" in done.stderr
    assert f"{tmp_path}: folder (name its files: {tmp_path}/*)" in done.stderr


def test_paths_are_as_typed_and_links_that_lead_nowhere_are_called_so(tmp_path: Path, monkeypatch) -> None:
    make_video(tmp_path / "a.mp4", frames=30, rate=24, size=(64, 48))
    (tmp_path / "gone.mp4").symlink_to("nothing.mp4")
    (tmp_path / "loop.mp4").symlink_to("loop.mp4")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("wanprep.engines.workers.in_workers", lambda stage, queue, _: run(stage, queue, 0))
    typed = ["./a.mp4", f"{tmp_path}//a.mp4", "gone.mp4", "loop.mp4", ""]
    done = CliRunner().invoke(cli, ["cuts", *typed, "--json"])
    got = {entry["path"]: (entry["state"], entry["reason"]) for entry in json.loads(done.stdout)}
    broken = ("rejected", "broken_link")
    assert list(got) == typed
    assert list(got.values()) == [("ok", ""), ("ok", ""), broken, broken, ("failed", "not_found")]


def test_filters_that_need_a_model_are_said_to_be_unknown() -> None:
    off = FilterConfig()
    assert judge([], off) == []
    (note,) = judge([], replace(off, nsfw=replace(off.nsfw, enabled=True)))
    assert note.startswith("nsfw: unknown here")


@pytest.mark.parametrize(("gone", "shown"), [(True, ["--json"]), (True, []), (False, ["--json"])])
def test_a_reader_who_left_is_no_failure(movies: Path, gone: bool, shown: list[str]) -> None:
    """As `wanprep cuts FILE | head -1`: click and rich would end with 1. A full disk is a failure."""
    command = [sys.executable, "-m", "wanprep.cli", "cuts", str(movies / "empty.mp4"), *shown]
    reader, writer = os.pipe() if gone else (None, os.open("/dev/full", os.O_WRONLY))
    if reader is not None:
        os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, env=environment())
    os.close(writer)
    assert (done.returncode, "disk is full" in done.stderr) == ((0, False) if gone else (1, True))
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_settings_decide(movies: Path) -> None:
    film = str(movies / "film.mp4")
    one = as_json(wanprep("cuts", film, "--json", "--set", "split.shots.min_step=250"))
    assert one[0]["hard"] == []  # type: ignore[index]
    uncut = ("--set", "split.shots.detect=false", "--set", "split.min_seconds=4")
    whole = as_json(wanprep("cuts", film, "--json", *uncut))
    assert [(clip["end_frame"], clip["reason"]) for clip in whole[0]["clips"]] == [(108, "")]  # type: ignore[index]
    short = as_json(wanprep("cuts", film, "--json", "--set", "split.min_seconds=1.6"))
    assert [clip["reason"] for clip in short[0]["clips"]] == ["too_short"] * 3  # type: ignore[index]


def test_score_says_what_a_run_decides(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    make_video(folder / "film.mp4", frames=108, rate=24, size=(192, 96), picture=shots)
    make_video(folder / "slow.mp4", frames=30, rate=12, size=(192, 96))
    make_video(folder / "short.mp4", frames=9, rate=24, size=(192, 96))
    settings = ("family=tiny", "filter.blur.threshold=9", "filter.shake.enabled=false")
    files = [str(folder / name) for name in ("film.mp4", "slow.mp4", "short.mp4")]
    flags = [part for setting in settings for part in ("--set", setting)]
    entries = json.loads(wanprep("score", *files, *flags, "--json", "--workers", "2").stdout)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["in"]
    out = tmp_path / "out"
    wanprep("run", str(folder), *options(out, settings), "--workers", "2")
    rows = Dataset.open(out).manifest.read("clips").sort(pl.col("path"), pl.col("start_pts")).to_dicts()
    wanted = {
        row["clip_id"]: (row["state"], row["reasons"], row["start_frame"], row["end_frame"], json.loads(row["scores"]))
        for row in rows
    }
    got = {
        clip["clip_id"]: (
            clip["state"], clip["reasons"], clip["start_frame"], clip["end_frame"],
            {name: [score[k] for k in ("value", "threshold", "verdict")] for name, score in clip["scores"].items()},
        )
        for entry in entries for clip in entry["clips"]
    }  # fmt: skip
    assert got == wanted
    assert len(got) == 5
    reasons = {reason for _, names, *_ in got.values() for reason in names}
    assert {"too_short", "blur"} <= reasons  # otherwise this test compares nothing
    table = wanprep("score", *files, *flags)
    assert "too_short" in table.stdout
    assert "\x1b" not in table.stdout


def test_a_blended_frame_is_a_cut_and_black_is_listed_apart() -> None:
    spans = [("dissolve", 10, 11), ("dissolve", 30, 32), ("black", 50, 59), ("fade_in", 60, 65)]
    transitions = tuple(Transition(kind=kind, first=a, last=b) for kind, a, b in spans)
    assert listing(ShotList(n_frames=90, cuts=(50, 80), transitions=transitions)) == {
        "hard": [12, 50, 80],
        "gradual": [{"kind": "dissolve", "first": 30, "last": 32}, {"kind": "fade_in", "first": 60, "last": 65}],
        "black": [{"first": 50, "last": 59}],
    }


def test_equal_files_are_judged_once() -> None:
    measured = {"sharpness": 0.01, "evidence": np.zeros(0, np.uint8).tobytes()}

    def entry(path: str) -> dict:
        clip = {"clip_id": "a", "state": "ok", "reason": "", "crop": [0, 0, 64, 32], "measured": dict(measured)}
        return {"path": path, "state": "ok", "source_id": "s", "kind": "video", "clips": [clip]}

    entries = [entry("x/a.mp4"), entry("y/b.mp4"), {"path": "z", "state": "rejected"}]
    judge(entries, FilterConfig())
    assert [e["clips"][0]["reasons"] for e in entries[:2]] == [["blur"], ["blur"]]


def test_scores_of_a_repeat_fit_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    like = "00ee447500ee4475 (a folder with a long name/another one/the film itself.mp4 0.00-12.34 s), mirrored"
    scores = {
        "compression": {"value": 28.123456, "threshold": 37.0, "verdict": "keep"},
        "duplicate_of": {"value": like, "threshold": None, "verdict": "info"},
        "duplicate_why": {"value": "it was in the set before", "threshold": None, "verdict": "info"},
        "overlay_box": {"value": [0.12345, 0.12345, 0.12345, 0.12345], "threshold": None, "verdict": "info"},
    }
    clip = {"start_frame": 100000, "end_frame": 100124, "state": "rejected", "reasons": ["duplicate"], "scores": scores}
    show_scores([{"path": "a.mp4", "state": "ok", "reason": "", "clips": [clip]}], as_json=False)
    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines() if not line.startswith("frames")) <= 80
    assert ["compression", "28.12", "37", "keep"] in [line.split() for line in out.splitlines()]
    assert f"frames 100000-100123: rejected, duplicate: shows the same as {like}; that one stays" in out
    assert "that one stays, because it was in the set before\n" in out


def test_the_environment_decides_too(movies: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess
    import sys

    command = [sys.executable, "-m", "wanprep.cli", "cuts", str(movies / "film.mp4"), "--json"]
    more = environment() | {"WANPREP_SPLIT__MIN_SECONDS": "1.6"}
    done = subprocess.run(command, capture_output=True, text=True, env=more, check=True)
    assert {clip["reason"] for clip in json.loads(done.stdout)[0]["clips"]} == {"too_short"}
