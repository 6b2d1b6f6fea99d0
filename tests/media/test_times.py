"""Every timestamp and every planned frame against the ffmpeg program's own decode of the same file.

The frames the plan picks are compared as pictures with those that ffmpeg shows at the same pts, and the plan with the
definition in exact fractions over ffmpeg's pts, so that reader and planner cannot be wrong in the same way.
"""

import itertools
import struct
from fractions import Fraction

import numpy as np
import pytest

from wanprep.media.probe import probe
from wanprep.media.read import open_video
from wanprep.media.seek import may_seek
from wanprep.media.write import psnr
from wanprep.stages.fps import duplicated, frame_plan

AS_601 = ":in_color_matrix=bt601:in_range=tv"
RATES = {
    "23.976": Fraction(24000, 1001), "25": Fraction(25), "29.97": Fraction(30000, 1001), "50": Fraction(50),
    "59.94": Fraction(60000, 1001), "60": Fraction(60), "12.5": Fraction(25, 2), "10": Fraction(10),
}  # fmt: skip
X265_OPEN = {"preset": "ultrafast", "x265-params": "open-gop=1:keyint=12:bframes=3:log-level=none"}


def read(path):
    found = probe(path)
    with open_video(path, found) as reader:
        return found, reader, list(reader.frames())


def check(path, footage, *, scale=AS_601, shift=0, rate=16, before=""):
    """Read `path` and compare pts (up to a constant `shift`), plan and planned pictures; returns probe, reader, frames.

    shift: what the container leaves open (AVI and bare streams have no true beginning).
    """
    found, reader, frames = read(path)
    size = (found.width, found.height)
    base, pts, truth = footage.rendered(path, size, scale, before, found.stream_index)
    assert found.time_base == base
    mine = [f.pts for f in frames]
    assert [p - shift for p in mine] == pts
    assert (reader.truncated, reader.dropped) == ("", 0)
    end = mine[-1] + frames[-1].duration
    plan = frame_plan(np.array(mine), mine[0], end, base, rate).tolist()
    assert plan == footage.plan_by_definition(pts, pts[0], end - shift, base, rate)
    for index in sorted(set(plan)):
        assert psnr(frames[index].rgb(*size), truth[index]) >= 40
        if index:  # negative control: the neighbour is clearly another picture
            assert psnr(frames[index].rgb(*size), truth[index - 1]) < 40
    return found, reader, frames


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("name", RATES)
def test_constant_rates(name, suffix, tmp_path, footage):
    rate = RATES[name]
    path = footage.make_video(tmp_path / f"a.{suffix}", frames=round(rate * 6 / 5), rate=rate, size=(96, 54))
    found, _, frames = check(path, footage)
    assert len(frames) == round(rate * 6 / 5)
    ideal = [k / rate for k in range(len(frames))]
    tolerance = Fraction(1, 2000) if suffix == "mkv" else 0  # Matroska rounds to milliseconds
    assert all(abs(f.pts * found.time_base - t) <= tolerance for f, t in zip(frames, ideal, strict=True))


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_variable_rate(suffix, tmp_path, footage):
    steps = np.random.default_rng(0).choice([33, 34, 66, 100, 250], 30)
    pts = [0, *np.cumsum(steps).tolist()]
    path = footage.make_video(tmp_path / f"v.{suffix}", pts=pts, time_base=Fraction(1, 1000), rate=30, size=(96, 54))
    found, _, frames = check(path, footage)
    assert [f.pts * found.time_base * 1000 for f in frames] == pts


# -- offsets, edit lists, lying headers ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain(tmp_path_factory, footage):
    """60 frames at 25 a second, a keyframe every 12, B-frames."""
    return footage.make_video(tmp_path_factory.mktemp("plain") / "plain.mp4", frames=60, rate=25)


EDITS = {
    "starts inside a GOP": (("-ss", "0.5"), (), "e.mp4"),
    "starts inside a GOP, QuickTime": (("-ss", "0.5"), (), "e.mov"),
    "empty edit": (("-itsoffset", "1.3"), (), "e.mp4"),
    "no edit list, late start": ((), ("-use_editlist", "0"), "e.mp4"),
    "negative composition offsets": ((), ("-use_editlist", "0", "-movflags", "+negative_cts_offsets"), "e.mp4"),
    "fragments": ((), ("-movflags", "frag_keyframe+empty_moov"), "e.mp4"),
}


@pytest.mark.parametrize("name", EDITS)
def test_edit_lists_and_offsets(name, plain, tmp_path, footage):
    before, after, file = EDITS[name]
    path = footage.run_ffmpeg(*before, "-i", plain, "-c", "copy", *after, tmp_path / file)
    found, _, frames = check(path, footage)
    numbers = [footage.read_number(f.rgb(192, 108)) for f in frames]
    first = 13 if before[:1] == ("-ss",) else 0
    assert numbers == list(range(first, 60))
    if name == "empty edit":
        assert frames[0].pts * found.time_base == Fraction(13, 10)


def test_negative_times(tmp_path, footage):
    """Broadcast clocks are negative around their wrap; a clip there is planned as anywhere else."""
    path = _recording(tmp_path / "n.ts", 2**33 / 90000 - 1.0, footage)
    found, _, frames = check(path, footage)
    assert frames[0].pts < 0 < frames[-1].pts
    assert {b.pts - a.pts for a, b in itertools.pairwise(frames)} == {3600}
    with open_video(path, found) as reader:
        got = list(reader.frames(frames[20].pts, frames[35].pts))
    assert [footage.read_number(f.rgb(192, 108)) for f in got] == list(range(20, 35))


@pytest.mark.parametrize("claim", [0, 1, 2**31 - 1])
def test_durations_in_headers_are_not_believed(claim, plain, tmp_path, footage):
    data = bytearray(plain.read_bytes())
    for kind, offset in ((b"mvhd", 16), (b"tkhd", 20), (b"mdhd", 16)):
        at = data.index(kind) + 4
        assert data[at] == 0, "version 0 box"
        data[at + offset : at + offset + 4] = struct.pack(">I", claim)
    path = tmp_path / "lying.mp4"
    path.write_bytes(data)
    frames = check(path, footage)[2]
    assert len(frames) == 60
    assert frames[-1].duration == 512


@pytest.mark.parametrize(("claim_s", "shown_s"), [(5, 5), (3600, Fraction(1, 25))])
def test_a_last_frame_of_an_hour_is_not_believed(claim_s, shown_s, tmp_path, footage):
    path = footage.make_video(tmp_path / "a.mp4", frames=10, rate=25, options={"crf": "4", "bf": "0"})
    longer = f"setts=duration='if(eq(N,9),{claim_s * 12800},512)'"
    path = footage.run_ffmpeg("-i", path, "-c", "copy", "-bsf:v", longer, tmp_path / "b.mp4")
    found, _, frames = read(path)
    assert len(frames) == 10
    assert frames[-1]._frame.duration == claim_s * 12800
    assert frames[-1].duration * found.time_base == shown_s


def test_nonsense_timestamps_end_a_source(tmp_path, footage):
    pts = [0, 40, 80, 500 * 3600 * 1000]
    path = footage.make_video(tmp_path / "a.mkv", pts=pts, time_base=Fraction(1, 1000), rate=25)
    _, reader, frames = read(path)
    assert len(frames) == 3
    assert "over 100 hours" in reader.truncated


def test_an_hour_of_film(tmp_path, footage):
    """3,600 pictures a second apart: the number in each picture is its second, to the last."""
    options = {"crf": "23", "preset": "ultrafast", "g": "250"}
    path = footage.make_video(
        tmp_path / "h.mkv", frames=3600, rate=1, size=(64, 36), options=options, picture=_cheap(footage)
    )
    found, _, frames = read(path)
    assert [f.pts for f in frames] == [1000 * k for k in range(3600)]
    end = frames[-1].pts + frames[-1].duration
    plan = frame_plan(np.array([f.pts for f in frames]), 0, end, found.time_base, 16)
    assert len(plan) == 57600
    assert duplicated(plan) == 57600 - 3600
    assert [footage.read_number(frames[i].rgb(64, 36)) for i in (0, 1799, 3599)] == [0, 1799, 3599]
    with open_video(path, found) as reader:
        late = list(reader.frames(3_500_000, 3_503_000))
    assert [footage.read_number(f.rgb(64, 36)) for f in late] == [3500, 3501, 3502]


def _cheap(footage):
    edges = np.linspace(0, 64, footage.BITS + 1).round().astype(int)
    owner = np.searchsorted(edges, np.arange(64), side="right") - 1

    def picture(number, width, height):
        row = np.where(number >> owner & 1, 235, 20).astype(np.uint8)
        return np.ascontiguousarray(np.broadcast_to(row[None, :, None], (height, width, 3)))

    return picture


# -- containers without true timestamps, and broadcast clocks ------------------------------------------------------

OTHERS = {
    "h264.avi": (("-c", "copy"), 0),  # a third of its frames used to be dropped as out of order
    "b.avi": (("-c:v", "mpeg4", "-q:v", "2", "-bf", "2"), 0),
    "j.avi": (("-c:v", "mjpeg", "-q:v", "2"), 0),
    "a.ts": (("-c", "copy"), 0),
    "a.flv": (("-c", "copy"), 0),
    "a.mpg": (("-c:v", "mpeg2video", "-q:v", "2", "-bf", "2"), 0),
    "a.vob": (("-c:v", "mpeg2video", "-q:v", "2", "-bf", "2"), 0),
    "a.m2v": (("-c:v", "mpeg2video", "-q:v", "2", "-bf", "2"), 48000),
    "a.wmv": (("-c:v", "wmv2", "-q:v", "2"), 0),
    "a.ogv": (("-c:v", "libtheora", "-q:v", "9"), 0),
    "a.mxf": (("-c:v", "mpeg2video", "-q:v", "2", "-r", "25"), 0),
    "a.gif": ((), 0),
    "a.y4m": (("-pix_fmt", "yuv420p"), 0),
    "a.rm": (("-c:v", "rv20", "-q:v", "2"), 0),
    "open.mp4": (("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", X265_OPEN["x265-params"]), 0),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_containers_and_any_span_of_them(name, plain, tmp_path, footage):
    options, shift = OTHERS[name]
    path = footage.run_ffmpeg("-i", plain, *options, tmp_path / name)
    # The RGB of a GIF is its own; MJPEG is full range and says so.
    found, _, frames = check(path, footage, scale="" if name in ("a.gif", "j.avi") else AS_601, shift=shift)
    small = [f.rgb(96, 54) for f in frames]
    if name != "a.gif":
        assert [footage.read_number(s) for s in small] == list(range(60))
    pts = [f.pts for f in frames]
    generator = np.random.default_rng(3)
    with open_video(path, found) as reader:
        for _ in range(5):
            a, b = sorted(generator.choice(61, 2, replace=False))
            got = list(reader.frames(pts[a], pts[b] if b < 60 else None))
            assert [f.pts for f in got] == pts[a:b]
            assert all((f.rgb(96, 54) == small[a + i]).all() for i, f in enumerate(got))


def _recording(path, start_s, footage, **more):
    """A transport stream whose clock begins at `start_s`: 50 numbered frames, 25 a second."""
    source = footage.make_video(path.with_suffix(".mp4"), frames=50, rate=25, **more)
    clock = ("-muxdelay", "0", "-output_ts_offset", start_s, "-f", "mpegts")
    return footage.run_ffmpeg("-i", source, "-c", "copy", *clock, path)


@pytest.mark.parametrize("starts", [(10, 10), (10, 4000), (4000, 10), (10, 11.2), (2**33 / 90000 - 2.0, 0)])
def test_clocks_that_jump_are_carried_on(starts, tmp_path, footage):
    parts = [_recording(tmp_path / f"{i}.ts", start, footage) for i, start in enumerate(starts)]
    path = tmp_path / "joined.ts"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    found, reader, frames = read(path)
    numbers = [footage.read_number(f.rgb(192, 108)) for f in frames]
    assert numbers == 2 * list(range(50))
    wraps = starts[1] == 0  # the demuxer knows the wrap of 33 bits; what is missing there is a true gap
    assert {b.pts - a.pts for a, b in itertools.pairwise(frames)} == ({3600, 10800} if wraps else {3600})
    assert (reader.splices, reader.dropped, reader.truncated) == (0 if wraps else 1, 0, "")
    assert may_seek(path, found) == wraps  # a repaired time says nothing about a place in the file
    with open_video(path, found) as again:
        got = list(again.frames(frames[60].pts, frames[70].pts))
        assert [footage.read_number(f.rgb(192, 108)) for f in got] == list(range(10, 20))
        assert [f.pts for f in got] == [f.pts for f in frames[60:70]]


def test_gaps_left_in_an_avi_stay_gaps(tmp_path, footage):
    pts = [0, 1, 2, 5, 6, 7, 8, 12, 13, 14, 15, 16, 17, 30, 31, 32]
    source = footage.make_video(tmp_path / "s.mkv", pts=pts, time_base=Fraction(1, 25), rate=25)
    path = footage.run_ffmpeg(
        "-i", source, "-c:v", "mpeg4", "-q:v", "2", "-fps_mode", "passthrough", tmp_path / "a.avi"
    )
    assert [f.pts for f in check(path, footage)[2]] == pts


def test_the_best_of_several_streams_is_taken_and_named(tmp_path, footage):
    path = footage.make_video(tmp_path / "two.mkv", frames=20, size=(96, 54), second=(192, 108))
    found, _, frames = check(path, footage)
    assert (found.stream_index, found.n_video_streams, found.width) == (1, 2, 192)
    assert [footage.read_number(f.rgb(192, 108)) for f in frames] == list(range(1000, 1020))


@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_the_longer_of_two_equal_streams_is_taken(suffix, tmp_path, footage):
    """Matroska tells a stream's length in a tag alone."""
    parts = [footage.make_video(tmp_path / f"{n}.{suffix}", frames=n) for n in (12, 20)]
    inputs = [argument for part in parts for argument in ("-i", part)]
    both = footage.run_ffmpeg(*inputs, "-map", "0:v", "-map", "1:v", "-c", "copy", tmp_path / f"both.{suffix}")
    found, _, frames = check(both, footage)
    assert (found.stream_index, found.n_video_streams, len(frames)) == (1, 2, 20)


def test_tags_that_are_not_text_hurt_nobody(tmp_path, footage):
    tagged = ("-metadata", "title=TITLE-TITLE", "-metadata", "comment=x")
    for suffix in ("mp4", "mkv", "avi"):
        source = footage.make_video(tmp_path / f"s.{suffix}", frames=8, codec="mpeg4", options={"qscale": "3"})
        path = footage.run_ffmpeg("-i", source, "-c", "copy", *tagged, tmp_path / f"t.{suffix}")
        data = path.read_bytes()
        assert b"TITLE-TITLE" in data
        path.write_bytes(data.replace(b"TITLE-TITLE", b"\xff\xfe\xc3\x28\xa0\xe2\x82(\xf0\x9f\x92"))
        assert len(read(path)[2]) == 8
