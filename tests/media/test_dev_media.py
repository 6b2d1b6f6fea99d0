"""The reader on real footage, where it is present: counts, damage, timing and geometry as its README states them."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from wanprep.media.probe import probe
from wanprep.media.read import open_video
from wanprep.stage import Reject
from wanprep.stages.fps import frame_plan

FOLDER = Path(__file__).parents[3] / "shared" / "media" / "dev"
CUTS = json.loads((FOLDER / "cuts.json").read_text()) if (FOLDER / "cuts.json").is_file() else {}
COUNTS = {name: entry["n_frames"] for name, entry in CUTS.items() if isinstance(entry, dict)}
pytestmark = [pytest.mark.media, pytest.mark.skipif(not COUNTS, reason="no footage in ../shared/media/dev")]


def decode(name):
    path = FOLDER / name
    found = probe(path)
    with open_video(path, found, threads=2) as reader:
        return found, reader, [(f.pts, f.duration) for f in reader.frames()]


@pytest.mark.parametrize("name", COUNTS)
def test_decoded_counts_are_the_documented_ones(name):
    _, reader, times = decode(name)
    assert len(times) == COUNTS[name]
    assert (reader.truncated, reader.dropped, reader.repaired, reader.skipped) == ("", 0, 0, 0)
    pts = np.array([p for p, _ in times])
    assert (np.diff(pts) > 0).all()


def test_damaged_files_keep_their_good_part():
    for name, at_least, claimed in (
        ("corrupted_bitstream_decord.mp4", 28, 50),
        ("truncated_midstream_cups.mp4", 159, 300),
    ):
        _, reader, times = decode(name)
        assert reader.truncated
        assert at_least <= len(times) < claimed
        gaps = np.diff([p for p, _ in times])
        assert (gaps == gaps[0]).all()  # the good part has no holes
    whole = decode("cups_720p_2997.mp4")[2]
    assert times == whole[: len(times)]


def test_hopeless_files_are_refused():
    with pytest.raises(Reject, match="moov atom not found"):
        probe(FOLDER / "truncated_no_moov_bikes.mp4")
    with pytest.raises(Reject, match="empty_file"):
        probe(FOLDER / "zero_byte.mp4")


def test_a_vfr_file_keeps_its_length():
    found, _, times = decode("derived_vfr_drop3_cups_720p.mp4")
    plan = frame_plan(np.array([p for p, _ in times]), times[0][0], sum(times[-1]), found.time_base, 16)
    assert 159 <= len(plan) <= 161


def test_geometry_of_phones_and_dvds():
    phone = probe(FOLDER / "fire_phone_rot180_vfr_720p.mp4")
    assert (phone.rotation, phone.width, phone.height) == (180, 1280, 720)
    dvd = probe(FOLDER / "popeye_t03_720x478_sar8x9_2997_hevc.mkv")
    assert (dvd.sar, dvd.width, dvd.height) == (Fraction(8, 9), 640, 478)
    assert probe(FOLDER / "gopro_hero7_walk_480p_2997.mp4").colour_range == "full"
