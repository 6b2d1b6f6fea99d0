"""Damage that no decoder complains about: it is told all the same, and no clip lies across it."""

import pytest

from wanprep.media.probe import probe
from wanprep.media.read import open_video

COUNT, GOP = 72, 12
NOISY = f"testsrc2=s=192x108:r=24:d={COUNT // 24},noise=alls=60:allf=t"


def zeroed(path, start, length):
    """The file with a stretch of it zeroed, as an unfinished download has it; shares of its size."""
    data = bytearray(path.read_bytes())
    first, last = int(len(data) * start), int(len(data) * (start + length))
    data[first:last] = bytes(last - first)
    damaged = path.with_stem("damaged")
    damaged.write_bytes(data)
    return damaged


def pts_of(path, threads=1):
    with open_video(path, probe(path), threads=threads) as reader:
        return [frame.pts for frame in reader.frames()], reader.holes, reader.truncated


def alike_with_all_threads(path):
    found = [pts_of(path, threads) for threads in (1, 3)]
    assert found[0] == found[1]
    return found[0]


@pytest.mark.parametrize("name", ["a.ts", "a.m2ts"])
def test_a_transport_stream_with_a_zeroed_stretch_is_used(name, tmp_path, footage):
    whole = footage.make_with_ffmpeg(tmp_path / name, NOISY, "-c:v", "mpeg2video", "-q:v", "1", "-g", str(GOP))
    assert whole.stat().st_size > 8 << 17  # FFmpeg looks 64 KiB far for the next packet
    pts, holes, truncated = pts_of(whole)
    assert (len(pts), holes, truncated) == (COUNT, [], "")
    kept, holes, truncated = alike_with_all_threads(zeroed(whole, 0.4, 0.15))
    assert set(kept) < set(pts)
    assert len(kept) >= COUNT - 3 * GOP
    assert (len(holes), truncated) == (1, "")
    tail, holes, truncated = alike_with_all_threads(zeroed(whole, 0.6, 0.4))
    assert (tail, holes) == (pts[: len(tail)], [])
    assert GOP < len(tail) < COUNT * 0.7
    assert truncated == "a stretch holds no packets"
    late, holes, _ = pts_of(zeroed(whole, 0.001, 0.3))  # of which the probe has to find the first picture
    assert (late, holes) == (pts[-len(late) :], [])
    assert len(late) > COUNT // 2
