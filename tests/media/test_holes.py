"""Damage in the middle of a stream: it goes on at the next keyframe, the hole is known, and no clip contains it."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wanprep.media.probe import probe
from wanprep.media.read import open_video
from wanprep.stages.fps import frame_plan
from wanprep.stages.render import render_clip
from wanprep.stages.split import SplitConfig, measure_source, split

COUNT, GOP, BROKEN = 72, 12, 29  # frames, distance of keyframes, a frame in the third group


def damaged(
    path: Path, footage, *, codec: str = "libx264", broken: tuple[int, ...] = (BROKEN,), **options: str
) -> Path:
    """A movie of numbered pictures whose packets number `broken` (in the file's order) hold nonsense; beside it the
    same file whole."""
    import av

    options = {
        "g": str(GOP),
        "keyint_min": str(GOP),
        "sc_threshold": "0",
        **({"crf": "10"} if codec == "libx264" else {"b": "4M"}),
        **options,
    }
    footage.make_video(path, frames=COUNT, rate=24, codec=codec, options=options)
    with av.open(str(path)) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size and p.pos is not None]
    data = bytearray(path.read_bytes())
    path.with_stem("whole").write_bytes(data)
    for number in broken:
        start, size = packets[number]
        data[start + size // 4 : start + size] = bytes([0xFF, 0x00, 0xA5] * size)[: size - size // 4]
    path.write_bytes(data)
    return path


def read(path: Path, footage, *, threads: int = 1, span: tuple[int, ...] = ()) -> tuple[list[int], list[int], str]:
    """Numbers on the pictures, number on the first picture after each hole, and why the stream ended."""
    with open_video(path, probe(path), threads=threads) as reader:
        frames = list(reader.frames(*span))
        shown = {frame.pts: footage.read_number(frame.rgb(192, 108)) for frame in frames}
        return list(shown.values()), [shown[pts] for pts in reader.holes if pts in shown], reader.truncated


KINDS = [
    ("a.mp4", "libx264", {}),
    ("a.mkv", "libx264", {"bf": "0"}),
    ("a.mp4", "libx264", {"bf": "3", "x264-params": "open-gop=1"}),
    ("a.avi", "mpeg4", {}),
]


@pytest.mark.parametrize(("name", "codec", "options"), KINDS)
def test_reading_goes_on_at_the_next_keyframe(name, codec, options, tmp_path, footage):
    path = damaged(tmp_path / name, footage, codec=codec, **options)
    results = [read(path, footage, threads=threads) for threads in (1, 2, 4)]
    assert results[0] == results[1] == results[2]
    numbers, holes, truncated = results[0]
    assert truncated == ""
    assert numbers[-1] == COUNT - 1
    assert len(holes) == 1
    before, after = itertools.takewhile(lambda n: n < holes[0], numbers), [n for n in numbers if n >= holes[0]]
    assert (last := list(before)) == list(range(len(last)))  # nothing missing before
    assert after == list(range(holes[0], COUNT))  # nor after
    assert 2 * GOP <= len(last) <= BROKEN + 1  # no more was lost than what refers to the damage
    # Behind an open group the first pictures refer to lost ones, and a strict decoder waits for a group that does not.
    assert 3 * GOP <= holes[0] <= (5 if "open" in str(options) else 3) * GOP


def test_every_picture_that_is_kept_is_right(tmp_path, footage):
    path = damaged(tmp_path / "a.mp4", footage, bf="2")
    pictures = []
    for file in (path.with_stem("whole"), path):
        with open_video(file, probe(file)) as reader:
            pictures.append({frame.pts: frame.rgb(192, 108) for frame in reader.frames()})
    assert pictures[1].keys() < pictures[0].keys()
    assert all((picture == pictures[0][pts]).all() for pts, picture in pictures[1].items())


def test_several_holes_and_a_broken_keyframe(tmp_path, footage):
    path = damaged(tmp_path / "a.mp4", footage, broken=(15, 3 * GOP, 5 * GOP + 3), bf="0")
    numbers, holes, truncated = read(path, footage)
    assert holes == [2 * GOP, 4 * GOP]
    assert numbers == [*range(15), *range(2 * GOP, 3 * GOP), *range(4 * GOP, 5 * GOP + 3)]
    assert truncated  # after the last damage there is no keyframe


def test_spans_beside_a_hole(tmp_path, footage):
    path = damaged(tmp_path / "a.mp4", footage, bf="0")
    with open_video(path, probe(path)) as reader:
        pts = [frame.pts for frame in reader.frames()]
    hole = next(i for i in range(1, len(pts)) if pts[i] - pts[i - 1] > pts[1] - pts[0])
    assert hole == BROKEN
    for first, end in ((hole - 8, hole), (hole, hole + 8), (hole - 3, hole + 3)):
        for threads in (1, 4):
            numbers, _, truncated = read(path, footage, threads=threads, span=(pts[first], pts[end]))
            assert len(numbers) == end - first
            assert truncated == ""
    numbers, holes, _ = read(path, footage, span=(pts[hole - 3], pts[hole + 3]))
    assert numbers == [26, 27, 28, 36, 37, 38]
    assert holes == [36]


def test_no_clip_contains_a_hole_and_none_is_stretched_over_it(tmp_path, footage):
    path = damaged(tmp_path / "a.mp4", footage, bf="0")
    signals, _, _ = measure_source(path)
    assert signals.holes == (BROKEN,)
    assert signals.truncated == "damaged pictures left out at 1.21-1.50 s (0.29 s in all)"
    config = SplitConfig(min_seconds=0.5)
    clips, _ = split(signals, config)
    assert [(c.start_frame, c.end_frame) for c in clips] == [(0, BROKEN), (BROKEN, len(signals.pts))]
    step = int(signals.pts[1] - signals.pts[0])
    assert clips[0].end_pts == signals.pts[BROKEN - 1] + step
    assert clips[1].start_pts == signals.pts[BROKEN]
    plans = [frame_plan(signals.pts, c.start_pts, c.end_pts, signals.time_base, 16) for c in clips]
    assert [len(plan) for plan in plans] == [20, 24]  # 29 and 36 frames of 24 a second
    # rendering comes to the same frames
    for number, clip in enumerate(clips):
        row: dict[str, Any] = {"clip_id": f"c{number}", "kind": "video", "path": str(path), "crop": (0, 0, 192, 108)}
        row |= {"start_pts": clip.start_pts, "end_pts": clip.end_pts, "n_frames": len(plans[number])}
        targets = {"k": {"size": (192, 108), "crop": (0, 0, 192, 108)}}
        (written,) = render_clip(tmp_path, row, targets, signals, 16)
        with open_video(tmp_path / written["path"], probe(tmp_path / written["path"])) as reader:
            shown = [footage.read_number(frame.rgb(192, 108)) for frame in reader.frames()]
        first = 0 if number == 0 else 7  # seven pictures are missing
        assert shown == [int(i) + first for i in plans[number]]


def test_a_whole_file_has_no_holes(tmp_path, footage):
    path = damaged(tmp_path / "a.mp4", footage, broken=())
    assert read(path, footage) == (list(range(COUNT)), [], "")
    signals, _, _ = measure_source(path)
    assert (signals.holes, signals.truncated) == ((), "")


def test_holes_are_stored(tmp_path, footage):
    from wanprep.signals.store import Signals

    signals, _, _ = measure_source(damaged(tmp_path / "a.mp4", footage, bf="0"))
    signals.save(tmp_path / "signals")
    assert Signals.load(tmp_path / "signals").holes == signals.holes
    assert np.array_equal(Signals.load(tmp_path / "signals").pts, signals.pts)
