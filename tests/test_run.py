"""The whole path with the tiny family, through the command line."""

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from footage import make_video, read_number
from movies import SETTINGS, as_json, check_files, make_movies, options, tables, wanprep

from wanprep import run as runs
from wanprep.dataset import Dataset, open_cached
from wanprep.lease import Held
from wanprep.media.probe import probe
from wanprep.media.read import open_video
from wanprep.runner import Options, Report
from wanprep.steps import STAGES, steps
from wanprep.wanted import wanted


@pytest.fixture(scope="module")
def movies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_movies(tmp_path_factory.mktemp("in") / "movies")


@pytest.fixture(scope="module")
def dataset(movies: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "dataset"
    done = wanprep("run", str(movies), *options(out), "--workers", "2")
    assert done.stdout == ""  # progress and the end panel go to stderr
    assert "\x1b" not in done.stderr
    assert "leaked" not in done.stderr  # what libraries say of objects that nobody collected
    assert "rejected  empty.mp4: empty_file" in done.stderr
    return out


def test_every_source_is_in_one_state_with_a_reason(dataset: Path) -> None:
    rows = Dataset.open(dataset).manifest.read("sources").to_dicts()
    got = {row["path"]: (row["state"], row["reason"]) for row in rows}
    assert got == {
        "b/copy of film.mp4": ("ok", ""),
        "b/still.png": ("ok", ""),
        "cut off.mkv": ("ok", ""),
        "empty.mp4": ("rejected", "empty_file"),
        "film.mp4": ("rejected", "duplicate_source"),
        "slow.mp4": ("ok", ""),
        "sound.m4a": ("rejected", "no_video"),
        "text.mp4": ("rejected", "not_video"),
    }
    cut = next(row for row in rows if row["path"] == "cut off.mkv")
    assert cut["detail"]  # says that and why the stream broke


def test_shots_become_clips_at_the_right_frames(dataset: Path) -> None:
    clips = Dataset.open(dataset).manifest.read("clips").filter(pl.col("path") == "b/copy of film.mp4")
    assert list(zip(clips["start_frame"], clips["end_frame"])) == [(0, 36), (36, 72), (72, 108)]
    assert clips["n_frames"].to_list() == [24, 24, 24]  # 1.5 s at 16 fps
    assert clips["state"].to_list() == ["keep"] * 3


def test_every_frame_of_every_mp4_is_the_planned_source_frame(dataset: Path) -> None:
    opened = Dataset.open(dataset)
    clips = {row["clip_id"]: row for row in opened.manifest.read("clips").to_dicts()}
    seen = 0
    for row in opened.manifest.latest("artefacts").filter(pl.col("kind") == "mp4").to_dicts():
        clip = clips[row["clip_id"]]
        if "cut" in clip["path"]:
            continue
        rate = 12 if clip["path"] == "slow.mp4" else 24
        path = dataset / row["path"]
        with open_video(path, probe(path)) as reader:
            numbers = [read_number(frame.rgb(row["width"], row["height"])) for frame in reader.frames()]
        # Nearest frame to k/16 s, the earlier one of two equally near (exact in thirds of a frame here).
        nearest = [-(-(2 * k * rate - 16) // 32) for k in range(clip["n_frames"])]
        last = clip["end_frame"] - 1
        assert numbers == [min(clip["start_frame"] + n, last) for n in nearest], row["path"]
        assert row["psnr"] >= 45
        seen += len(numbers)
    assert seen > 100


def test_all_samples_are_cached_and_a_trainer_can_read_them(dataset: Path) -> None:
    cached = open_cached(dataset)
    samples = Dataset.open(dataset).manifest.read("samples")
    good = samples.filter(pl.col("state") == "ok")
    assert set(good["cache_state"]) == {"cached"}
    assert len(cached) == len(good) > 8
    for sample in cached.samples:
        shape = (16, (sample.frames - 1) // 4 + 1, sample.height // 8, sample.width // 8)
        assert tuple(cached.latent(sample).shape) == shape
        assert cached.text(sample).shape == (512, 32)


def test_the_caption_beside_the_source_is_taken_and_the_others_are_provisional(dataset: Path) -> None:
    clips = Dataset.open(dataset).manifest.read("clips").filter(pl.col("state") == "keep")
    origins = {(row["path"], row["caption_origin"], row["provisional"]) for row in clips.to_dicts()}
    assert ("slow.mp4", "template", True) in origins
    assert len(list((dataset / "captions").glob("*.txt"))) == len(clips)


def test_the_flat_manifest_is_one_line_for_others(dataset: Path) -> None:
    flat = pl.read_parquet(dataset / "manifest.parquet")
    assert flat.filter(pl.col("state") == "ok")["latent_digest"].null_count() == 0
    assert set(flat["path"]) == {row["path"] for row in Dataset.open(dataset).manifest.read("sources").to_dicts()}
    assert dict(flat.group_by("state").len().iter_rows())["rejected"] >= 4


def test_files_are_whole_and_a_second_run_has_nothing_to_do(movies: Path, dataset: Path) -> None:
    before = tables(dataset)
    count = check_files(dataset)
    stamps = {path: path.stat().st_mtime_ns for path in dataset.rglob("*.mp4")}
    done = wanprep("run", str(movies), "--out", str(dataset))
    assert "nothing is pending" in done.stderr
    assert tables(dataset) == before
    assert check_files(dataset) == count
    assert {path: path.stat().st_mtime_ns for path in dataset.rglob("*.mp4")} == stamps


def test_deciding_again_is_for_what_was_measured_or_is_asked_anew(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, decided = Dataset.decide, []

    def noted(self: Dataset, wanted: Any = None) -> Any:
        decided.append(wanted)
        return plain(self, wanted)

    monkeypatch.setattr(Dataset, "decide", noted)
    out = shutil.copytree(dataset, tmp_path / "copy")
    counts = []
    for assignments in ((), ("caption.template=another {source}",), ()):
        runs.run(Dataset.open(out, assignments=assignments), ("caption",), runs.Options())
        counts.append(len(decided))
    assert counts == [1, 3, 4]
    captions = {row["caption"] for row in Dataset.open(out).manifest.read("clips").to_dicts() if row["state"] == "keep"}
    assert all(caption.startswith("another ") for caption in captions)


@pytest.mark.parametrize(
    "changed", [(), ("split.margin=9",), ("family=wan2.1-t2v-1.3b",), ("filter.blur.threshold=9",)]
)
def test_keys_alone_tell_what_steps_want(dataset: Path, changed: tuple[str, ...]) -> None:
    opened = Dataset.open(dataset, assignments=changed)
    for step in (step for stage in STAGES for step in steps(opened, stage)):
        listed = wanted(step, opened)
        if listed is None:
            assert step.name in ("caption", "cache")
            continue
        told: dict[int, set[str]] = {}
        for item, key in listed.select("item", "key").iter_rows():
            told.setdefault(item, set()).add(key)
        expected = sorted(sorted(item.parts) for item in step.items(opened))
        assert sorted(sorted(keys) for keys in told.values()) == expected
        assert expected or changed


def test_samples_say_which_source_frames_they_show(dataset: Path) -> None:
    samples = as_json(wanprep("samples", "--out", str(dataset), "--json", "--source", "copy of film"))
    assert isinstance(samples, list)
    wide = [row for row in samples if row["view"] == "wide"]
    # 17 slots at 16 a second from 24 frames a second: slots 0 to 16 take frames 0, 1, 3, 4, 6 ... 24.
    assert sorted((row["start_frame"], row["end_frame"]) for row in wide) == [(0, 25), (36, 61), (72, 97)]
    assert all("blur" in row["scores"] for row in wide)


def test_commands_that_read(dataset: Path) -> None:
    out = ("--out", str(dataset))
    clips = as_json(wanprep("clips", *out, "--json"))
    assert isinstance(clips, list)
    assert {"state", "reasons", "scores", "start_frame", "start_s", "clip_id"} <= clips[0].keys()
    samples = as_json(wanprep("samples", *out, "--json"))
    assert isinstance(samples, list)
    stats = as_json(wanprep("stats", *out, "--json"))
    assert isinstance(stats, dict)
    status = as_json(wanprep("status", *out, "--json"))
    assert isinstance(status, list)
    assert all(step["pending"] == step["failed"] == 0 for step in status)
    split = next(step for step in status if step["step"] == "split")
    assert split["rejected"] == {"empty_file": 1, "no_video": 1, "not_video": 1}
    explained = wanprep("explain", clips[0]["clip_id"][:8], *out).stdout
    assert clips[0]["clip_id"] in explained
    for text in (explained, *(wanprep(name, *out).stdout for name in ("clips", "samples", "stats", "status"))):
        assert max(map(len, text.splitlines())) <= 80
        assert "\x1b" not in text


def test_epoch_counts_agree_between_stats_and_the_trainer(dataset: Path) -> None:
    stats = as_json(wanprep("stats", "--out", str(dataset), "--json"))
    assert isinstance(stats, dict)
    assert stats["epoch"]["samples"] == len(open_cached(dataset))


def test_a_changed_threshold_decodes_nothing(dataset: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    strict = ("--set", "filter.blur.enabled=true", "--set", "filter.blur.threshold=9.0")
    report = as_json(wanprep("filter", "--out", str(copy), *strict, "--json"))
    assert isinstance(report, dict)
    assert report["steps"]["filter"]["done"] == 0
    assert report["clips"].get("keep", 0) == 0
    back = as_json(wanprep("filter", "--out", str(copy), "--set", "filter.blur.enabled=false", "--json"))
    assert isinstance(back, dict)
    assert tables(copy)["samples"] == tables(dataset)["samples"]


def test_a_changed_trigger_encodes_texts_only(dataset: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    wanprep("caption", "--out", str(copy), "--trigger", "frung")
    report = as_json(wanprep("cache", "--out", str(copy), "--json"))
    assert isinstance(report, dict)
    assert report["steps"]["latents"]["done"] == 0
    assert report["steps"]["cache"]["done"] > 0
    captions = [row["caption"] for row in tables(copy)["samples"] if row["state"] == "ok"]
    assert all(text.startswith("frung ") for text in captions)


def test_an_edited_caption_wins_over_every_later_run(movies: Path, dataset: Path, tmp_path: Path) -> None:
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    file = sorted((copy / "captions").glob("*.txt"))[0]
    file.write_text("typed by hand")
    (told,) = open_cached(copy).notes
    assert told.startswith("1 caption was edited and not taken up yet")
    assert told.endswith(f"wanprep cache --out {copy}")
    wanprep("run", str(movies), "--out", str(copy), "--set", "caption.trigger=frung")
    assert file.read_text() == "typed by hand"
    assert open_cached(copy).notes == ()
    clip = next(row for row in tables(copy)["clips"] if row["clip_id"] == file.stem)
    assert (clip["caption"], clip["caption_origin"]) == ("frung typed by hand", "human")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("run", "nowhere"), 2, "nowhere does not exist"),
        (("status", "--out", "nowhere"), 2, "is not a dataset"),
        (("run", ".", "--set", "split.min_second=1"), 2, "did you mean 'split.min_seconds'"),
        (("stats", "--by", "colour"), 2, "colour"),
        (("frobnicate",), 2, "No such command"),
    ],
)
def test_usage_errors_end_with_2(arguments: tuple[str, ...], code: int, message: str, tmp_path: Path) -> None:
    out = ("--out", str(tmp_path / "set")) if arguments[0] == "run" else ()
    done = wanprep(*arguments, *out, check=code)
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_dataset_folder_that_the_tables_cannot_lie_in_is_refused(tmp_path: Path) -> None:
    (folder := tmp_path / "50% [off] #1?").mkdir()
    (folder / "empty.mp4").touch()
    wanprep("run", str(folder), "--out", str(folder / "set"))
    done = wanprep("run", str(folder), "--out", str(folder / "a%20b"), check=2)  # delta-rs would write to "a b"
    assert "has %20 in it" in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == ["empty.mp4", "set"]


def test_weights_are_not_asked_for_where_nothing_is_to_be_encoded(tmp_path: Path) -> None:
    (folder := tmp_path / "in").mkdir()
    (folder / "empty.mp4").touch()
    settings = [s for s in SETTINGS if not s.startswith("family")] + ["family=wan2.2-t2v-a14b"]
    said = wanprep("run", str(folder), *options(tmp_path / "set", settings)).stderr
    assert "sources  1 rejected (1 empty_file)" in said
    assert "pending:" not in said
    assert "wanprep fetch" not in said


def test_weights_asked_for_by_name_and_not_there_end_with_3(movies: Path, tmp_path: Path) -> None:
    settings = [s for s in SETTINGS if not s.startswith("family")] + ["family=wan2.2-t2v-a14b"]
    out = tmp_path / "set"
    done = wanprep("run", str(movies / "slow.mp4"), *options(out, settings))
    assert "pending: the weights of wan2.2-t2v-a14b" in done.stderr
    said = " ".join(done.stderr.split())
    assert "hf download" in said
    assert "wanprep fetch wan2.2-t2v-a14b --part vae --part text" in said  # both, or one is still missing after it
    assert "latents 3 wait for the weights" in said
    rows = [line.split() for line in done.stderr.splitlines()]
    assert [row[2] for row in rows if row[:2] in (["cache", "texts"], ["latents", "samples"])] == ["1", "3"]
    done = wanprep("cache", "--out", str(out), check=3)
    said = " ".join(done.stderr.split())
    assert "hf download" in said
    assert "wanprep fetch wan2.2-t2v-a14b --part vae --part text" in said  # both, or one is still missing after it
    done = wanprep("caption", "--out", str(out), "--vlm", "qwen2-vl", check=3)


def test_dry_run_writes_nothing(movies: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    done = wanprep("run", str(movies), *options(out), "--dry-run")
    assert "8 sources" in done.stdout
    assert "How large and long the films are" in done.stdout
    assert not out.exists()


@pytest.mark.parametrize(
    "command", [("run", "SRC"), ("filter",), ("caption", "--trigger", "zzz"), ("caption", "--check")], ids=" ".join
)
def test_while_a_command_changes_a_dataset_others_end_with_4_and_store_nothing(
    dataset: Path, movies: Path, command: tuple[str, ...]
) -> None:
    before = (dataset / "wanprep.toml").read_bytes()
    with Dataset.open(dataset).lease():
        words = [str(movies) if word == "SRC" else word for word in command]
        done = wanprep(*words, "--out", str(dataset), "--set", "filter.blur.threshold=0.5", check=4)
        assert f"dataset {dataset} is held by process" in done.stderr
        wanprep("status", "--out", str(dataset))  # looking is no change
    assert (dataset / "wanprep.toml").read_bytes() == before


def test_a_run_has_the_dataset_for_itself_from_its_first_step_to_its_last(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    make_video(tmp_path / "in" / "film.mp4", frames=30, size=(96, 48))
    opened = Dataset.create(tmp_path / "set", assignments=SETTINGS)
    refused = []

    def listen(report: Report, outcome: object, total: int) -> None:
        with pytest.raises(Held), Dataset.create(tmp_path / "set").lease():
            pass
        refused.append(report.stage)

    runs.run(opened, STAGES, Options(), source=tmp_path / "in", listen=listen)
    assert refused[0] == "scan"
    assert refused[-1] == "latents"
    with Dataset.open(tmp_path / "set").lease():  # negative control: now it is free
        pass


def test_settings_that_another_command_stored_meanwhile_are_not_written_over(dataset: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(dataset, tmp_path / "set")
    first, second = (
        Dataset.open(copy, assignments=[f"caption.trigger='{word}'"]) for word in ("one of them", "the other")
    )
    runs.run(second, ("filter",), Options())
    with pytest.raises(Held, match=r"wanprep\.toml was changed"):
        runs.run(first, ("filter",), Options())
    assert Dataset.open(copy).pipeline.caption.trigger == "the other"


def test_a_wrong_source_leaves_no_dataset_behind(tmp_path: Path) -> None:
    wanprep("run", str(tmp_path / "nothing"), "--out", str(tmp_path / "set"), check=2)
    assert not (tmp_path / "set").exists()


def test_reasons_are_counted_in_json(dataset: Path) -> None:
    samples = as_json(wanprep("samples", "--out", str(dataset), "--json", "--state", "rejected"))
    assert isinstance(samples, list)
    assert Counter(row["reason"] for row in samples).keys() <= {"too_short_for_9", "too_short_for_17", "would_upscale"}
