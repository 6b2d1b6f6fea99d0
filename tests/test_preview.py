"""Dry runs with changed views, proposals, and mirrored copies through the whole path, on one small film."""

from pathlib import Path

import pytest
from footage import make_video
from movies import SETTINGS, as_json, options, shots, tables, wanprep

from wanprep.dataset import Dataset

pytestmark = pytest.mark.xdist_group("preview")

MIRRORED = 'views=[{name="look",resolution=[64,32],frames=[9],flip_x=true}]'
OTHER = (
    'views=[{name="tall",resolution=[32,64],frames=[9],aspect_buckets=false,max_crop=0.5},'
    '{name="long",resolution=[64,32],frames=[17]}]'
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("film")
    make_video(folder / "film.mp4", frames=108, rate=24, size=(192, 96), picture=shots)
    out = folder / "dataset"
    settings = [*(s for s in SETTINGS if not s.startswith("views")), MIRRORED, "caption.template=a view to the left"]
    wanprep("run", str(folder / "film.mp4"), *options(out, settings), "--workers", "1")
    return out


def test_a_dry_run_shows_what_other_views_would_give_and_stores_nothing(dataset: Path) -> None:
    before = tables(dataset), (dataset / "wanprep.toml").read_text()
    asked = ("bucket", "--out", str(dataset), "--set", OTHER, "--dry-run")
    found = as_json(wanprep(*asked, "--json"))
    assert isinstance(found, dict)
    stats = found["stats"]
    assert stats["samples"] == {"ok": 3, "rejected": 3}
    assert [(b["width"], b["height"], b["frames"], b["tokens"], b["batches"]) for b in stats["buckets"]] == [
        (64, 32, 17, 5 * 4 * 2, 3)
    ]
    assert [(r["reason"], r["count"]) for r in stats["reasons"]] == [("crop_too_large", 3)]
    assert found["steps"]["bucket"]["pending"] == 0  # every clip has its file of that size already
    text = wanprep(*asked).stdout
    assert "crop_too_large" in text
    assert "64x32" in text
    assert max(map(len, text.splitlines())) <= 80
    assert (tables(dataset), (dataset / "wanprep.toml").read_text()) == before


def test_a_size_that_is_not_there_yet_is_counted_as_to_be_made(dataset: Path) -> None:
    other = 'views=[{name="look",resolution=[96,48],frames=[9]}]'
    found = as_json(wanprep("bucket", "--out", str(dataset), "--set", other, "--dry-run", "--json"))
    assert isinstance(found, dict)
    assert found["steps"]["bucket"]["pending"] == 3


def test_a_dry_run_of_a_new_dataset_has_no_table(dataset: Path, tmp_path: Path) -> None:
    done = wanprep("run", str(dataset.parent / "film.mp4"), "--out", str(tmp_path / "new"), "--dry-run", "--json")
    found = as_json(done)
    assert isinstance(found, dict)
    assert found["stats"] is None


def test_mirrored_copies_whose_caption_names_a_side_are_rejected_with_the_word(dataset: Path, tmp_path: Path) -> None:
    import shutil

    rows = Dataset.open(dataset).manifest.read("samples").to_dicts()
    assert [(row["flip"], row["state"], row["reason"]) for row in rows] == [
        (False, "ok", ""),
        (True, "rejected", "caption_names_a_side"),
    ] * 3
    assert "'left'" in rows[1]["detail"]
    copy = tmp_path / "copy"
    shutil.copytree(dataset, copy)
    wanprep("caption", "--out", str(copy), "--set", "caption.template=a view")
    report = as_json(wanprep("cache", "--out", str(copy), "--json"))
    assert isinstance(report, dict)
    assert report["steps"]["latents"]["done"] == 3  # the mirrored ones; the others are there
    again = Dataset.open(copy).manifest.read("samples").to_dicts()
    assert {row["cache_state"] for row in again} == {"cached"}
    assert len({row["latent_digest"] for row in again}) == 6
    assert len({row["media_path"] for row in again}) == 3


def test_proposals_are_made_from_the_kept_clips(dataset: Path) -> None:
    asked = ("suggest", "--out", str(dataset), "--vram", "24", "--family", "wan2.2-t2v-a14b")
    found = as_json(wanprep(*asked, "--json"))
    assert isinstance(found, dict)
    assert [view["view"]["name"] for view in found["views"]]
    assert all(view["samples"] > 0 and view["clips"] <= 3 for view in found["views"])
    text = wanprep(*asked).stdout
    assert "[[views]]" in text
    done = wanprep("suggest", "--out", str(dataset), "--vram", "24", check=2)
    assert "no cost model" in done.stderr  # the dataset's own family is tiny
