"""Times that players see through (one far ahead, none before 0, GIFs in a hurry), and covers that are no film."""

import struct
from fractions import Fraction

import pytest
from PIL import Image

from wanprep.media.probe import probe
from wanprep.media.read import open_video


def read(path):
    found = probe(path)
    with open_video(path, found) as reader:
        return found, reader, list(reader.frames())


def numbers(frames, footage):
    return [footage.read_number(frame.rgb(192, 108)) for frame in frames]


@pytest.fixture(scope="module")
def plain(tmp_path_factory, footage):
    options = {"crf": "10", "preset": "ultrafast", "bf": "0", "g": "10"}
    return footage.make_video(tmp_path_factory.mktemp("odd") / "plain.mp4", frames=60, rate=25, options=options)


@pytest.mark.parametrize(("suffix", "by_s"), [("mkv", 3), ("mp4", 3), ("mkv", 90)])
def test_one_time_far_ahead_costs_one_picture(suffix, by_s, plain, tmp_path, footage):
    stray = f"setts=pts='PTS+if(eq(N,20),{by_s}/TB,0)':dts=DTS"
    path = footage.run_ffmpeg("-i", plain, "-c", "copy", "-bsf:v", stray, tmp_path / f"stray.{suffix}")
    found, reader, frames = read(path)
    rest = [*range(20), *range(21, 60)]
    assert numbers(frames, footage) == rest
    assert [(f.pts - frames[0].pts) * found.time_base for f in frames] == [Fraction(n, 25) for n in rest]
    assert (reader.truncated, reader.dropped) == ("", 1)
    with open_video(path, found) as again:
        assert numbers(again.frames(frames[30].pts, frames[40].pts), footage) == rest[30:40]


def test_three_pictures_of_one_moment_cost_two(plain, tmp_path, footage):
    """Samples without a length, as editors leave them."""
    data = bytearray(plain.read_bytes())
    at = data.index(b"stts")
    entries = ((20, 512), (2, 0), (38, 512))
    table = struct.pack(">II", 0, len(entries)) + b"".join(struct.pack(">II", *entry) for entry in entries)
    grown = len(table) + 8 - int.from_bytes(data[at - 4 : at], "big")
    data[at - 4 : at - 4 + len(table) + 8 - grown] = struct.pack(">I4s", len(table) + 8, b"stts") + table
    for kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
        size = data.index(kind) - 4
        data[size : size + 4] = (int.from_bytes(data[size : size + 4], "big") + grown).to_bytes(4, "big")
    (tmp_path / "still.mp4").write_bytes(data)
    _, reader, frames = read(tmp_path / "still.mp4")
    assert numbers(frames, footage) == [*range(21), *range(23, 60)]
    assert (reader.truncated, reader.dropped) == ("", 2)


def test_a_pause_of_seconds_stays(plain, tmp_path, footage):
    pause = "setts=ts='TS+if(gte(N,20),3/TB,0)'"
    path = footage.run_ffmpeg("-i", plain, "-c", "copy", "-bsf:v", pause, tmp_path / "pause.mkv")
    found, reader, frames = read(path)
    assert numbers(frames, footage) == list(range(60))
    assert frames[19].duration * found.time_base == Fraction(76, 25)
    assert (reader.truncated, reader.dropped) == ("", 0)


@pytest.mark.parametrize("seconds", ["0.3", "1.5"])
def test_matroska_before_zero_is_read_whole(seconds, plain, tmp_path, footage):
    early = ("-output_ts_offset", f"-{seconds}", "-avoid_negative_ts", "disabled")
    path = footage.run_ffmpeg("-i", plain, "-c", "copy", *early, tmp_path / "early.mkv")
    found, reader, frames = read(path)
    assert numbers(frames, footage) == list(range(60))
    begin = -Fraction(seconds)
    assert [f.pts * found.time_base for f in frames] == [begin + Fraction(n, 25) for n in range(60)]
    assert reader.truncated == ""
    with open_video(path, found) as again:
        for a, b in ((0, 4), (3, 50), (45, 60)):
            end = frames[b].pts if b < 60 else None
            assert numbers(again.frames(frames[a].pts, end), footage) == list(range(a, b))


def test_times_before_zero_are_those_of_the_file(tmp_path, footage):
    """Pictures of no steady rate, out of order, of which an open group of pictures loses the first few."""
    when = [40 * n + 13 * (n % 3) for n in range(60)]
    hevc = {"crf": "12", "preset": "ultrafast", "x265-params": "log-level=none:keyint=20:open-gop=1:bframes=3"}
    path = footage.make_video(
        tmp_path / "a.mkv", pts=when, time_base=Fraction(1, 1000), rate=25, codec="libx265", options=hevc
    )
    early = ("-map", "0:v", "-c", "copy", "-avoid_negative_ts", "disabled")
    cut = footage.run_ffmpeg("-ss", "1.2", "-i", path, *early, tmp_path / "b.mkv")
    found, reader, frames = read(cut)
    shown = numbers(frames, footage)
    assert shown == list(range(shown[0], 60))
    assert [f.pts for f in frames] == [when[n] - 1200 for n in shown]
    assert frames[0].pts < -300
    assert (reader.repaired, reader.truncated) == (0, "")
    with open_video(cut, found) as again:
        assert numbers(again.frames(frames[3].pts, frames[9].pts), footage) == shown[3:9]


def test_gifs_in_a_hurry_are_shown_as_browsers_do(tmp_path, footage):
    delays_ms = [50, 0, 10, 20, 100, 0, 0, 30, 10]
    parts = [Image.fromarray(footage.numbered(n)) for n in range(len(delays_ms))]
    parts[0].save(tmp_path / "a.gif", save_all=True, append_images=parts[1:], duration=delays_ms, disposal=1)
    found, _, frames = read(tmp_path / "a.gif")
    shown_ms = [delay if delay > 10 else 100 for delay in delays_ms]
    assert [f.duration * found.time_base * 1000 for f in frames] == shown_ms
    assert [f.pts * found.time_base * 1000 for f in frames] == [sum(shown_ms[:n]) for n in range(len(shown_ms))]
    assert numbers(frames, footage) == list(range(len(delays_ms)))


@pytest.mark.parametrize(("suffix", "more"), [("mkv", ()), ("mkv", ("-live", "1")), ("mp4", ())])
def test_a_cover_that_is_an_ordinary_stream_does_not_hide_the_film(suffix, more, plain, tmp_path, footage):
    """live: without the lengths of streams, which are written at the end."""
    Image.fromarray(footage.numbered(7, 640, 640)).save(tmp_path / "cover.png")
    both = ("-map", "0", "-map", "1", "-c", "copy", *more)
    path = footage.run_ffmpeg("-i", tmp_path / "cover.png", "-i", plain, *both, tmp_path / f"covered.{suffix}")
    found, _, frames = read(path)
    assert (found.n_video_streams, found.stream_index, found.width) == (2, 1, 192)
    assert numbers(frames, footage) == list(range(60))
