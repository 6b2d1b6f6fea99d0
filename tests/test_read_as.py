"""What `explain` says of how a source was read."""

import json
from dataclasses import asdict
from typing import Any

import pytest

from wanprep.media.probe import Probe
from wanprep.read_as import read_as

PLAIN = Probe(
    kind="video", container="matroska,webm", codec="h264", pix_fmt="yuv420p", coded_width=640, coded_height=480,
    width=640, height=480,
)  # fmt: skip


def row(counts: dict[str, int] | None = None, **more: Any) -> dict[str, Any]:
    facts = asdict(PLAIN) | {"frames_dropped": 0, "pts_repaired": 0} | (counts or {}) | more
    times = {"time_base": "1/1000", "first_pts": -40, "last_pts": 3920, "last_duration": 40, "n_frames": 100}
    return {"outcome": "done", "kind": facts["kind"], "facts": json.dumps(facts, default=str), **times}


def test_a_plain_file_takes_one_line() -> None:
    assert read_as(row()) == ["read as: h264 in matroska, 640x480, 100 pictures in 4.00 s"]
    assert read_as({**row(), "outcome": "rejected"}) == []
    assert read_as(row(kind="image", codec="png", container="png")) == ["read as: png in png, 640x480"]


def test_which_of_several_streams_was_taken_is_said() -> None:
    (line,) = read_as(row(n_video_streams=3, stream_index=2))
    assert line.endswith(", stream 0:2 as ffmpeg counts, the best of 3 with video")
    (line,) = read_as(row(n_video_streams=3, stream_index=2, n_encrypted=2))
    assert line.endswith(", the best of 3 with video (2 encrypted)")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"margins": (0, 0, 0, 8)}, "cut off, as the file says: 8 bottom"),
        ({"sar": "64/45"}, "pixels of 64:45 made square"),
        ({"rotation": 90, "mirrored": True}, "mirrored; turned by 90 degrees"),
        ({"interlaced": True}, "deinterlaced"),
        ({"fields": "bff"}, "deinterlaced, fields bff without a flag"),
        ({"hdr": True, "transfer": "pq", "primaries": "bt2020"}, "pq converted to BT.709"),
        ({"primaries": "display-p3"}, "display-p3 converted to BT.709"),
        ({"alpha": True}, "transparency laid on black"),
    ],
)
def test_what_was_done_to_the_picture_is_said(facts: dict[str, Any], words: str) -> None:
    assert read_as(row(**facts))[1:] == [f"its picture: {words}"]


def test_a_gif_is_not_said_to_be_transparent() -> None:
    assert len(read_as(row(codec="gif", container="gif", alpha=True))) == 1


def test_repairs_are_counted() -> None:
    (_, line) = read_as(row({"frames_dropped": 1, "pts_repaired": 7}))
    assert line == "repaired: 1 picture left out because its time fits in nowhere, 7 missing times filled in"


def test_times_of_decoding_are_said() -> None:
    assert read_as(row(decode_order=True))[1:] == ["repaired: times of decoding put in order"]


def test_facts_of_earlier_versions_are_read() -> None:
    old = row()
    facts = json.loads(old["facts"])
    del facts["margins"]
    assert read_as({**old, "facts": json.dumps(facts)}) == read_as(row())
