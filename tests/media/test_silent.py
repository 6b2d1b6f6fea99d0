"""Damage that no decoder complains about: it is told all the same, and no clip lies across it."""

import itertools
import random
from fractions import Fraction

import pytest

from wanprep.media.chain import BREAK, KINDS, Chain
from wanprep.media.container import open_container
from wanprep.media.probe import probe
from wanprep.media.read import open_video
from wanprep.signals.rules import ShotRules
from wanprep.stages.split import SplitConfig, measure_source, split

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


def pictures_of(path):
    with open_video(path, probe(path)) as reader:
        return {frame.pts: frame.rgb(96, 54).tobytes() for frame in reader.frames()}


def overwritten(path, start, length):
    data = bytearray(path.read_bytes())
    first, last = int(len(data) * start), int(len(data) * (start + length))
    data[first:last] = random.Random(1).randbytes(last - first)
    damaged = path.with_stem("damaged")
    damaged.write_bytes(data)
    return damaged


def cut_out(path, start, length):
    data = path.read_bytes()
    damaged = path.with_stem("damaged")
    damaged.write_bytes(data[: int(len(data) * start)] + data[int(len(data) * (start + length)) :])
    return damaged


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """The files of SILENT, each made once."""
    from tests import footage

    folder = tmp_path_factory.mktemp("films")
    made = {}

    def film(name, into):
        if name not in made:
            made[name] = footage.make_with_ffmpeg(folder / name, NOISY, *SILENT[name]).read_bytes()
        (into / name).write_bytes(made[name])
        return into / name

    return film


GROUPS, FAST = ("-g", str(GOP)), ("-deadline", "realtime", "-cpu-used", "-8")  # below 0: whatever the clock says
SILENT = {
    "vp8.webm": ("-c:v", "libvpx", "-b:v", "2M", *FAST, *GROUPS, "-cluster_time_limit", "500"),
    "ffv1.mkv": ("-c:v", "ffv1", *GROUPS, "-cluster_time_limit", "500"),
    "h264.mkv": ("-c:v", "libx264", "-bf", "2", *GROUPS, "-cluster_time_limit", "500"),
    "live.webm": (
        "-c:v",
        "libvpx",
        "-b:v",
        "2M",
        *FAST,
        *GROUPS,
        "-cluster_time_limit",
        "500",
        "-f",
        "webm",
        "-live",
        "1",
    ),
    "a.wmv": ("-c:v", "wmv2", "-q:v", "3", *GROUPS),
    "a.ogv": ("-c:v", "libtheora", "-q:v", "9", *GROUPS),
    "ms.avi": ("-c:v", "msmpeg4v3", "-q:v", "3", *GROUPS),
    "a.gif": (),
    "vp8.ivf": ("-c:v", "libvpx", "-b:v", "2M", *FAST, *GROUPS),
}
ENDS = ("a.gif", "vp8.ivf")  # nobody knows where the next piece begins


@pytest.mark.parametrize("damage", [zeroed, overwritten, cut_out])
@pytest.mark.parametrize("name", SILENT)
def test_pictures_beside_lost_ones_are_no_neighbours(name, damage, tmp_path, films):
    whole = films(name, tmp_path)
    pts, holes, truncated = pts_of(whole)
    assert (len(pts), holes, truncated) == (COUNT, [], "")
    kept, holes, truncated = alike_with_all_threads(damage(whole, 0.4, 0.12))
    assert GOP < len(kept) < COUNT
    if name == "ms.avi" and damage is cut_out:  # its index lies elsewhere: the loss is told, not where
        assert "before its container does" in truncated
        return
    if name in ENDS:
        assert (kept, holes) == (pts[: len(kept)], [])
        assert truncated
        return
    right, found = pictures_of(whole), pictures_of(whole.with_stem("damaged"))
    assert len(holes) == 1
    after = kept[kept.index(holes[0]) :]
    assert [found[time] for time in after] == list(right.values())[-len(after) :]  # up to the end, as they are
    before = kept[: kept.index(holes[0])]
    assert [found[time] for time in before] == list(right.values())[: len(before)]
    if name != "ms.avi":  # which has no times
        usual = max(after - before for before, after in itertools.pairwise(pts))
        assert [b for a, b in itertools.pairwise(kept) if b - a > 1.5 * usual] == holes


@pytest.mark.parametrize("name", SILENT)
def test_a_lost_end_is_told(name, tmp_path, films):
    whole = films(name, tmp_path)
    pts, _, _ = pts_of(whole)
    kept, holes, truncated = alike_with_all_threads(zeroed(whole, 0.6, 0.4))
    assert (kept, holes) == (pts[: len(kept)], [])
    assert GOP < len(kept) < COUNT * 0.75
    assert truncated


def test_a_lost_beginning_is_told(tmp_path, films):
    whole = films("vp8.webm", tmp_path)
    pts, data = pts_of(whole)[0], bytearray(whole.read_bytes())
    first = data.index(bytes.fromhex("1f43b675"))
    data[first : len(data) // 3] = bytes(len(data) // 3 - first)
    whole.write_bytes(data)
    kept, holes, truncated = alike_with_all_threads(whole)
    assert (kept, holes) == (pts[-len(kept) :], [])
    assert COUNT // 3 < len(kept) < COUNT
    assert truncated == "its beginning is damaged"


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_av1_packets_without_a_picture_are_damage(name, tmp_path, footage):
    whole = footage.make_with_ffmpeg(tmp_path / name, NOISY, "-c:v", "libsvtav1", "-preset", "12", *GROUPS)
    assert pts_of(whole)[1:] == ([], "")
    with open_container(whole) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(whole.read_bytes())
    for at, size in packets[2 * GOP + 5 : 2 * GOP + 8]:
        start = data.index(bytes(data[at : at + 1]), at) if name == "a.mp4" else at + 4
        data[start : start + size] = bytes(size)
    whole.write_bytes(data)
    kept, holes, truncated = alike_with_all_threads(whole)
    assert (len(holes), truncated) == (1, "")
    assert kept.index(holes[0]) == 2 * GOP + 5


def test_pauses_late_sound_and_other_elements_are_no_damage(tmp_path, footage):
    times = [0, 40, 80, 5000, 5040, 9000, 9040, 9080, 20000, 20040]
    slow = footage.make_video(tmp_path / "pauses.mkv", pts=times, frames=10, time_base=Fraction(1, 1000), audio=True)
    assert pts_of(slow) == (times, [], "")
    data = bytearray(slow.read_bytes())
    footage.grow_element(data, (0x18538067, 0x1F43B675), bytes.fromhex("4ffe83010203"))  # one that nobody knows
    footage.grow_element(data, (0x18538067,), bytes.fromhex("ec82 0000"))
    slow.write_bytes(data)
    assert pts_of(slow) == (times, [], "")
    tail = bytearray(data)
    cues = data.rindex(bytes.fromhex("1c53bb6b"))  # behind the last picture
    tail[cues:] = bytes(len(tail) - cues)
    slow.write_bytes(tail)
    kept, holes, truncated = pts_of(slow)
    assert (kept, holes, truncated) == (times[: len(kept)], [], BREAK)
    assert len(kept) >= len(times) - 4  # nobody knows whether the bytes before a break are right
    sound = ("-f", "lavfi", "-i", "sine=d=6", "-c:a", "libvorbis", "-c:v")
    for name, codec in (("long.ogv", "libtheora"), ("long.mkv", "mpeg4"), ("long.wmv", "wmv2"), ("long.avi", "mpeg4")):
        codecs = sound if name != "long.wmv" else (*sound[:5], "wmav2", "-c:v")
        path = footage.make_with_ffmpeg(tmp_path / name, "testsrc=s=96x64:r=12:d=1", *codecs, codec)
        pts, holes, truncated = pts_of(path)
        assert (len(pts), holes, truncated) == (12, [], ""), name


def test_pieces_of_whole_and_of_broken_files(tmp_path, footage):
    path = footage.make_with_ffmpeg(tmp_path / "a.mkv", NOISY, *SILENT["h264.mkv"])
    data = path.read_bytes()
    with open_container(path) as container:
        packets = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    name = next(name for name in KINDS if "matroska" in name)
    chain = Chain(path, name)
    assert not any(chain.broken_before(at) or chain.broken_inside(at, size) for at, size in packets)
    assert not chain.broken_before(len(data))
    at = packets[30][0]
    path.write_bytes(data[: at + 9] + data[at + 19 :])  # ten bytes of a picture are gone
    chain = Chain(path, name)
    found = [
        (chain.broken_before(start), chain.broken_inside(start, size))
        for start, size in [*packets[:31], *((start - 10, size) for start, size in packets[31:])]
    ]
    assert found[:30] == [(False, False)] * 30
    assert found[30] == (False, True)  # that picture is not taken
    assert [number for number, (before, _) in enumerate(found) if before] == [
        next(n for n in range(31, COUNT) if b"\x1fC\xb6u" in data[packets[n - 1][0] : packets[n][0]])
    ]
    assert not Chain(path, "mov,mp4,m4a,3gp,3g2,mj2").broken_before(float("inf"))


def test_a_page_of_ogg_with_a_wrong_bit_is_a_break(tmp_path, films):
    """FFmpeg leaves the page out, and gives the first picture behind it the time of the one that is missing."""
    whole = films("a.ogv", tmp_path)
    pts, data = pts_of(whole)[0], bytearray(whole.read_bytes())
    pages = [at for at in range(len(data)) if data[at : at + 4] == b"OggS"]
    data[pages[len(pages) // 2] + 2000] ^= 4
    whole.write_bytes(data)
    kept, holes, truncated = alike_with_all_threads(whole)
    assert set(kept) < set(pts)
    assert (len(holes), truncated) == (1, "")
    after = kept.index(holes[0])
    assert kept[:after] == pts[:after]
    assert kept[after:] == pts[after - len(kept) :]


def test_b_frames_before_a_lost_end_are_not_shown_over_a_gap(tmp_path, films):
    """Inside the decoder there are pictures then whose predecessors never came."""
    path = films("h264.mkv", tmp_path)
    with open_container(path) as container:
        packets = [(p.pos, p.pts, p.size) for p in container.demux(video=0) if p.size]
    pts, data = pts_of(path)[0], path.read_bytes()
    for at, _, size in packets[40:46]:
        path.write_bytes(data[: at + size // 2] + bytes(len(data) - at - size // 2))
        kept, holes, truncated = alike_with_all_threads(path)
        assert (kept, holes, truncated) == (pts[: len(kept)], [], BREAK)


def test_clips_end_at_the_hole_and_it_is_told(tmp_path, films):
    path = zeroed(films("ffv1.mkv", tmp_path), 0.4, 0.12)
    signals, _, _ = measure_source(path)
    (hole,) = signals.holes
    clips = split(signals, SplitConfig(min_seconds=0.2, shots=ShotRules(detect=False)))[0]
    assert [(clip.start_frame, clip.end_frame) for clip in clips] == [(0, hole), (hole, len(signals.pts))]
    assert signals.truncated.startswith("damaged pictures left out at ")
