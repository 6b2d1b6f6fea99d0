"""What a file is taken for, and what is refused: by its bytes, never by its name."""

import os
import socket
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from wanprep.media.probe import probe
from wanprep.media.read import open_video
from wanprep.stage import Reject


def reason(path):
    with pytest.raises(Reject) as caught:
        probe(path)
    return caught.value.reason


def test_an_ordinary_video(tmp_path, footage):
    path = footage.make_video(
        tmp_path / "a.mp4", frames=10, rate=Fraction(24000, 1001), matrix=1, primaries=1, transfer=1
    )
    found = probe(path)
    assert (found.kind, found.codec, found.pix_fmt) == ("video", "h264", "yuv420p")
    assert (found.width, found.height, found.rotation, found.sar) == (192, 108, 0, 1)
    assert (found.matrix, found.primaries, found.transfer, found.colour_range) == ("bt709", "bt709", "bt709", "limited")
    assert (found.bit_depth, found.hdr, found.alpha, found.interlaced, found.start_pts) == (8, False, False, False, 0)
    assert found.header_rate == Fraction(24000, 1001)
    assert found.header_duration_s == pytest.approx(10 * 1001 / 24000, abs=1e-3)


def test_sizes_are_as_shown(tmp_path, footage):
    wide = probe(footage.make_video(tmp_path / "sar.mp4", frames=3, size=(180, 144), sar=Fraction(16, 15)))
    assert (wide.coded_width, wide.coded_height, wide.width, wide.height) == (180, 144, 192, 144)
    turned = probe(footage.make_video(tmp_path / "rot.mp4", frames=3, rotation=90, sar=Fraction(1)))
    assert (turned.rotation, turned.width, turned.height) == (90, 108, 192)
    both = probe(
        footage.make_video(tmp_path / "both.mp4", frames=3, size=(180, 144), rotation=270, sar=Fraction(16, 15))
    )
    assert (both.rotation, both.width, both.height) == (270, 144, 192)


def test_hdr_and_depth(tmp_path, footage):
    found = probe(
        footage.make_video(tmp_path / "h.mp4", frames=3, pix_fmt="yuv420p10le", matrix=9, primaries=9, transfer=16)
    )
    assert (found.hdr, found.bit_depth, found.transfer, found.primaries) == (True, 10, "pq", "bt2020")
    assert (found.matrix, found.pix_fmt) == ("bt2020nc", "yuv420p10le")


def test_the_larger_of_two_streams_is_used(tmp_path, footage):
    path = footage.make_video(tmp_path / "two.mp4", frames=6, size=(96, 64), second=(192, 108))
    found = probe(path)
    assert (found.n_video_streams, found.stream_index, found.width) == (2, 1, 192)
    with open_video(path, found) as reader:
        assert [footage.read_number(f.rgb(192, 108)) for f in reader.frames()] == list(range(1000, 1006))


def test_a_cover_picture_is_no_video(tmp_path, footage):
    song = footage.make_sound(tmp_path / "song.m4a")
    Image.new("RGB", (640, 640)).save(tmp_path / "cover.png")
    out = tmp_path / "covered.m4a"
    arguments = ["-i", str(song), "-i", str(tmp_path / "cover.png"), "-map", "1:a", "-map", "2:v", "-c", "copy"]
    footage.make_with_ffmpeg(out, "color=s=16x16:d=0.1", *arguments, "-disposition:v:0", "attached_pic")
    assert reason(out) == "no_video"


def test_what_is_no_video_is_refused_with_its_reason(tmp_path, footage):
    (tmp_path / "zero.mp4").touch()
    (tmp_path / "text.mp4").write_text("Shopping list\n" * 200)
    (tmp_path / "noise.mkv").write_bytes(np.random.default_rng(0).bytes(50_000))
    whole = footage.make_video(tmp_path / "whole.mp4", frames=24).read_bytes()
    (tmp_path / "no_moov.mp4").write_bytes(whole[: len(whole) * 6 // 10])  # the index is written last
    assert reason(tmp_path / "zero.mp4") == "empty_file"
    assert reason(tmp_path / "text.mp4") == "not_video"
    assert reason(tmp_path / "noise.mkv") == "not_video"
    assert reason(footage.make_sound(tmp_path / "song.m4a")) == "no_video"
    (tmp_path / "another.mp4").write_bytes(whole[: len(whole) * 5 // 10])
    for unfinished in ("no_moov.mp4", "another.mp4"):  # FFmpeg would not say the same words twice
        with pytest.raises(Reject, match="moov atom not found: a recording that was not finished") as caught:
            probe(tmp_path / unfinished)
        assert caught.value.reason == "unreadable"


def test_a_text_is_not_told_to_be_an_unfinished_recording(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"hello world\n")
    with pytest.raises(Reject, match="begins like no video") as refused:
        probe(tmp_path / "a.mp4")
    assert refused.value.reason == "not_video"
    (tmp_path / "b.mp4").write_bytes(b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom")
    with pytest.raises(Reject, match="moov atom not found: a recording that was not finished") as refused:
        probe(tmp_path / "b.mp4")
    assert refused.value.reason == "unreadable"


def test_a_video_without_pictures(tmp_path, footage):
    whole = bytearray(footage.make_video(tmp_path / "a.mp4", frames=6).read_bytes())
    start = whole.index(b"mdat") + 4
    end = whole.index(b"moov") - 4
    whole[start:end] = bytes(end - start)
    (tmp_path / "blank.mp4").write_bytes(whole)
    assert reason(tmp_path / "blank.mp4") == "no_frames"


def test_what_is_no_file_is_refused_without_opening_it(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")  # opening it would hang for ever
    (tmp_path / "loop.mp4").symlink_to(tmp_path / "loop.mp4")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket.mp4"))
    names = [tmp_path, tmp_path / "pipe.mp4", tmp_path / "loop.mp4", tmp_path / "socket.mp4"]
    assert [reason(n) for n in names] == ["not_a_file"] * 4
    with pytest.raises(FileNotFoundError):
        probe(tmp_path / "gone.mp4")


def test_a_file_cannot_pull_in_another_one(tmp_path, footage):
    secret = footage.make_video(tmp_path / "secret.mp4", frames=4)
    for name, text in {
        "concat.mp4": f"ffconcat version 1.0\nfile '{secret}'\n",
        "hls.mp4": f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile:{secret}\n#EXT-X-ENDLIST\n",
        "sdp.mp4": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    }.items():
        (tmp_path / name).write_text(text)
        assert reason(tmp_path / name) == "not_video", name


NAMES = ["-i.mp4", "%03d.mp4", "http:x.mp4", "pipe:0.mp4", "new\nline.mp4", "🎬 ü.mp4", "a'b\"c.mp4", "noextension"]


@pytest.mark.parametrize("name", [*NAMES, os.fsdecode(b"caf\xe9.mp4")])
def test_any_name_works(name, tmp_path, footage, monkeypatch):
    source = footage.make_video(tmp_path / "plain.mp4", frames=5)
    path = tmp_path / name
    try:
        path.write_bytes(source.read_bytes())
    except OSError:
        pytest.skip("this file system does not take the name")
    monkeypatch.chdir(tmp_path)
    for given in (path, path.relative_to(tmp_path)):
        found = probe(given)
        with open_video(given, found) as reader:
            assert len(list(reader.frames())) == 5


def test_interlaced_and_alpha_are_seen(tmp_path, footage):
    lines = footage.make_with_ffmpeg(
        tmp_path / "i.mpg",
        "testsrc2=s=192x144:r=50:d=0.4",
        "-vf",
        "interlace",
        "-c:v",
        "mpeg2video",
        "-flags",
        "+ildct+ilme",
    )
    assert probe(lines).interlaced
    clear = footage.make_with_ffmpeg(tmp_path / "a.mov", "color=red@0.5:s=64x48:d=0.2,format=rgba", "-c:v", "qtrle")
    assert probe(clear).alpha


def test_a_file_is_opened_once_unless_its_first_stream_fails(tmp_path, footage, monkeypatch):
    from wanprep.media import probe as module

    opened = []
    whole = module.open_container
    monkeypatch.setattr(module, "open_container", lambda path: opened.append(path) or whole(path))
    path = footage.make_video(tmp_path / "two.mp4", frames=6, size=(96, 64), second=(192, 108))
    assert probe(path).stream_index == 1
    assert opened == [path]

    look, streams = module._probe_stream, []

    def no_good_picture_in_the_larger(path, container, stream, scheme):
        streams.append(stream.index)
        seen = look(path, container, stream, scheme)  # leaves the container somewhere behind its start
        if stream.index == 1:
            raise Reject("no_frames", "made up")
        return seen

    opened.clear()
    monkeypatch.setattr(module, "_probe_stream", no_good_picture_in_the_larger)
    assert probe(path).stream_index == 0
    assert (opened, streams) == ([path, path], [1, 0])
