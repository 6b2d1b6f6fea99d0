"""Decisions on real footage, where it is at hand (../shared/media/dev); skipped elsewhere."""

from pathlib import Path

import polars as pl
import pytest
from movies import wanprep

from wanprep.dataset import Dataset

MEDIA = Path(__file__).parents[2] / "shared" / "media" / "dev"

pytestmark = [pytest.mark.media, pytest.mark.skipif(not MEDIA.is_dir(), reason="no real footage here")]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    out = tmp_path_factory.mktemp("dev") / "dataset"
    wanprep("run", str(MEDIA), "--out", str(out), "--limit", "0")
    for stage in ("split", "fps", "filter"):
        wanprep(stage, "--out", str(out))
    return Dataset.open(out)


def test_damaged_files_are_named_and_the_others_carry_on(dataset: Dataset) -> None:
    sources = {row["path"]: row for row in dataset.manifest.read("sources").to_dicts()}
    rejected = {path: row["reason"] for path, row in sources.items() if row["state"] == "rejected"}
    assert rejected == {"truncated_no_moov_bikes.mp4": "unreadable", "zero_byte.mp4": "empty_file"}
    assert all(row["state"] == "ok" for path, row in sources.items() if path not in rejected)
    for path in ("corrupted_bitstream_decord.mp4", "truncated_midstream_cups.mp4"):
        assert sources[path]["detail"]  # kept as far as it decodes, and said so


def test_the_watermarked_source_keeps_no_clip(dataset: Dataset) -> None:
    clips = dataset.manifest.read("clips").filter(pl.col("path") == "watermark_fades_720p_2997.mp4")
    assert set(clips["state"]) == {"rejected"}
    assert any("overlay" in reasons for reasons in clips["reasons"])


def test_clean_footage_is_kept(dataset: Dataset) -> None:
    clips = dataset.manifest.read("clips")
    for path in ("coffee_720p_2997.mp4", "cups_720p_2997.mp4", "gopro_hero7_walk_480p_2997.mp4"):
        assert clips.filter(pl.col("path") == path)["state"].to_list() == ["keep"], path


def test_variable_frame_rate_keeps_its_duration(dataset: Dataset) -> None:
    clips = dataset.manifest.read("clips").filter(pl.col("path") == "derived_vfr_drop3_cups_720p.mp4")
    assert clips["n_frames"].to_list() == [160]  # 9.98 s at 16 fps, from 200 frames
