"""A changed trigger, as a user sees it: edited files, the export for other trainers, and what is stored."""

import json
import shutil

import polars as pl
import pytest
from footage import make_video
from movies import SETTINGS, options, shots, wanprep

from wanprep.captioners.settings import CaptionConfig
from wanprep.checking import judge_texts
from wanprep.pipeline import Pipeline

FIRST = 'caption.trigger="frung, young woman,"'


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Three clips captioned by the template, with a trigger; a family whose weights are not here, so no cache."""
    root = tmp_path_factory.mktemp("set")
    (root / "movies").mkdir()
    make_video(root / "movies" / "film.mp4", frames=108, rate=24, size=(192, 96), picture=shots)
    settings = [s for s in SETTINGS if not s.startswith("family")] + ["family=wan2.2-t2v-a14b", FIRST]
    done = wanprep("run", str(root / "movies"), *options(root / "dataset", settings), "--workers", "2")
    assert "stored in" not in done.stderr  # nothing was stored before
    return root / "dataset"


@pytest.fixture
def dataset(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "dataset")
    return tmp_path / "dataset"


def files(dataset):
    return sorted((dataset / "captions").glob("*.txt"))


def caption(dataset, *arguments, **more):
    done = wanprep("caption", "--out", str(dataset), *arguments, **more)
    return " ".join(done.stderr.split())  # as it was before lines were broken


def captions(dataset):
    """clip -> caption as trained on, by the table for people."""
    rows = pl.read_parquet(dataset / "manifest.parquet").filter(pl.col("caption").is_not_null())
    return dict(rows.select("clip_id", "caption").iter_rows())


def test_the_trigger_in_an_edited_file_follows_the_setting(dataset):
    edited, plain, untouched = files(dataset)
    assert edited.read_text().startswith("frung, young woman, a video clip")
    edited.write_text("frung, young woman, a man in a car\n")
    plain.write_text("a cyclist rides\n")
    assert "earlier trigger" not in caption(dataset)
    said = caption(dataset, "--trigger", "zorp")
    assert 'caption.trigger = "zorp" (was "frung, young woman,")' in said
    assert 'begin with an earlier trigger of ours: 1; for training it is exchanged for "zorp"' in said
    assert "without the trigger of today, which training puts in front: 2;" in said
    now = captions(dataset)
    assert now[edited.stem] == "zorp a man in a car"
    assert now[plain.stem] == "zorp a cyclist rides"
    assert now[untouched.stem].startswith("zorp a video clip")
    assert edited.read_text() == "frung, young woman, a man in a car\n"

    untouched.write_text("zorp a boat\n")  # edited under the second trigger
    plain.write_text("frung, young woman, a cyclist rides\n")  # put back by hand: we had written it there
    caption(dataset, "--set", FIRST)  # back to the first
    caption(dataset, "--trigger", "blick")
    now = captions(dataset)
    assert now[edited.stem] == "blick a man in a car"
    assert now[untouched.stem] == "blick a boat"
    assert now[plain.stem] == "blick a cyclist rides"


def test_an_earlier_trigger_that_a_person_typed_is_kept_and_told(dataset):
    path = files(dataset)[0]
    caption(dataset, "--trigger", "zorp")
    assert path.read_text().startswith("zorp a video clip")
    path.write_text("frung, young woman, was my idea\n")
    said = caption(dataset)
    assert f"an earlier trigger may still begin captions/{path.name}: every word is kept" in said
    assert captions(dataset)[path.stem] == "zorp frung, young woman, was my idea"


def test_a_long_trigger_counts_towards_what_the_encoder_reads(dataset):
    assert "text encoder reads" not in caption(dataset, "--trigger", "zorp blick")
    said = caption(dataset, "--trigger", " ".join(["zorp"] * 400))
    assert "3 captions are longer than the 512 tokens that the text encoder reads (the trigger takes 581)" in said
    judged = json.loads(
        wanprep(
            "caption", "--out", str(dataset), "--check", "--json", "--set", "caption.check.windows=false", check=0
        ).stdout
    )
    assert [row["flags"].count("too_long") for row in judged["texts"]] == [1, 1, 1]


def test_the_text_encoders_own_count_of_the_whole_caption_decides():
    pipeline = Pipeline(caption=CaptionConfig(trigger="zorp"))
    clip = {"clip_id": "c", "path": "p", "start_s": 0.0, "end_s": 1.0, "state": "keep", "source_id": "s"}
    clip |= {"caption": "zorp a boat", "caption_origin": "vlm", "caption_flags": [], "more_captions": None}

    def flags(count):
        return [row["flags"] for row in judge_texts([clip], pipeline, count)]

    assert flags(lambda text: 513 if text == "zorp a boat" else 1) == [["too_long"]]
    assert flags(lambda text: 512) == [[]]


@pytest.mark.parametrize("how", [("--trigger", ""), ("--set", 'caption.trigger=""'), ("--set", "caption.trigger=")])
def test_a_trigger_can_be_taken_away(dataset, how):
    edited = files(dataset)[0]
    edited.write_text("frung, young woman, a man in a car\n")
    said = caption(dataset, *how)
    assert 'caption.trigger is unset (was "frung, young woman,")' in said
    assert "for training it is left out" in said
    assert "trigger =" not in (dataset / "wanprep.toml").read_text()
    assert captions(dataset)[edited.stem] == "a man in a car"
    assert all(not text.startswith("frung") for text in captions(dataset).values())
    assert "stored in" not in caption(dataset)  # and it stays so


def test_a_captioner_that_is_stored_is_told_once(dataset):
    said = caption(dataset, "--vlm", "template")
    assert 'caption.captioner = "template" (was "auto")' in said  # the path before it may be broken anywhere
    assert "stored in" not in caption(dataset, "--vlm", "template")
    assert "stored in" not in caption(dataset, "--vlm", "auto", "--dry-run")
    notes = json.loads(wanprep("caption", "--out", str(dataset), "--vlm", "auto", "--json").stdout)["notes"]
    assert f'stored in {dataset}/wanprep.toml: caption.captioner = "auto" (was "template")' in notes


def test_the_export_holds_what_is_trained_on(dataset, tmp_path):
    edited, plain, _ = files(dataset)
    edited.write_text("frung, young woman, a man in a car\n")
    plain.with_name(f"{plain.stem}.2.txt").write_text("weight: 0.5\na second one\n")
    caption(dataset, "--trigger", "zorp")
    plain.write_text("typed just now\n")  # taken over by the export itself
    said = caption(dataset, "--export", str(tmp_path / "away"))
    assert f"4 caption files, as trained on, written to {tmp_path}/away" in said
    found = {path.name: path.read_text() for path in (tmp_path / "away").iterdir()}
    assert len(found) == 4
    assert found[edited.name] == "zorp a man in a car\n"
    assert found[plain.name] == "zorp typed just now\n"
    assert found[f"{plain.stem}.2.txt"] == "weight: 0.5\nzorp a second one\n"
    assert edited.read_text() == "frung, young woman, a man in a car\n"

    assert "is not empty" in caption(dataset, "--export", str(tmp_path / "away"), check=2)
    assert "is not empty" in caption(dataset, "--export", str(dataset / "captions"), check=2)
    assert "without other settings" in caption(dataset, "--export", str(tmp_path / "b"), "--trigger", "x", check=2)
    assert not (tmp_path / "b").exists()
