"""What streams say of their quantisers, on files of real encoders."""

from __future__ import annotations

import gc
import math
import subprocess
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from traced import packets

from wanprep.media import avc, hevc, quantiser, vp8
from wanprep.media.pixels import still_frame
from wanprep.media.probe import probe
from wanprep.media.read import open_video

LIBVPX = ("-b:v", "5M", "-cpu-used", "8", "-deadline", "realtime")


def encoded(path: Path, *options: str) -> Path:
    """Eight pictures that move, 320 x 192."""
    import imageio_ffmpeg

    rng = np.random.default_rng(3)
    big = cv2.resize(rng.integers(0, 256, (16, 24), np.uint8), (320, 192), interpolation=cv2.INTER_CUBIC)
    frames = np.stack([np.roll(big, 3 * k, axis=1) for k in range(8)])
    raw = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", "320x192", "-r", "24", "-i", "-", "-pix_fmt", "yuv420p"]
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *raw, *options, str(path)]
    subprocess.run(program, input=frames.tobytes(), check=True)
    return path


def said(path: Path) -> list[float]:
    with open_video(path, probe(path)) as video:
        return [frame.coded().quantiser for frame in video.frames()]


@pytest.mark.parametrize("qp", [18, 30, 45])
def test_h264_says_what_it_was_told(tmp_path, qp):
    path = encoded(tmp_path / "x.mkv", "-c:v", "libx264", "-qp", str(qp), "-bf", "0")
    assert np.mean(said(path)) == pytest.approx(qp, abs=0.6)


def test_ten_bits_are_on_the_same_scale(tmp_path):
    path = encoded(  # x264 counts from -12 there, 6 a bit
        tmp_path / "x.mkv", "-c:v", "libx264", "-qp", "42", "-bf", "0",
        "-pix_fmt", "yuv420p10le",
    )  # fmt: skip
    assert np.mean(said(path)) == pytest.approx(30, abs=0.6)


@pytest.mark.parametrize("codec", ["mpeg4", "mpeg2video", "mpeg1video"])
def test_mpeg_by_the_size_of_its_steps(tmp_path, codec):
    made = [encoded(tmp_path / f"{q}.mkv", "-c:v", codec, "-q:v", str(q)) for q in (3, 6, 12)]
    found = [np.median(said(path)[:-1]) for path in made]  # of the last picture FFmpeg keeps it to itself
    assert np.diff(found) == pytest.approx([6, 6], abs=0.1)  # twice the step each time
    assert found[2] == pytest.approx(37.6, abs=0.1)


@pytest.mark.parametrize(("codec", "finer"), [("libvpx", 0), ("libvpx-vp9", 8)])
def test_vp8_and_vp9_the_coarser_the_more(tmp_path, codec, finer):
    levels = (2, 20, 40, 60)
    made = [encoded(tmp_path / f"{q}.webm", "-c:v", codec, "-qmin", str(q), "-qmax", str(q), *LIBVPX) for q in levels]
    found = [float(np.median(said(path))) + finer for path in made]
    assert found == sorted(found)
    assert found[0] < 20
    assert 22 < found[1] < 30
    assert found[3] > 40


def test_each_vp8_frame_says_its_own(tmp_path):
    """A constant quantiser is one number in key and other frames alike: headers are read to the right bit."""
    path = encoded(tmp_path / "x.webm", "-c:v", "libvpx", "-qmin", "40", "-qmax", "40", *LIBVPX)
    assert said(path) == pytest.approx([34.6] * 8, abs=0.1)


def test_unknown_is_nan_and_no_error(tmp_path):
    assert all(math.isnan(value) for value in said(encoded(tmp_path / "x.mkv", "-c:v", "ffv1")))
    assert math.isnan(still_frame(np.zeros((16, 16, 3), np.uint8)).coded().quantiser)


def test_damaged_headers_are_read_to_their_end():
    for header in (b"\x00", b"\x01\x00\x00", b"\xff" * 64, bytes(64)):
        assert 0 <= vp8.index(header) <= 127


def test_only_old_mpeg_leaves_block_edges_as_they_are(tmp_path):
    for codec, smoothed in (("mpeg4", False), ("mpeg2video", False), ("libx264", True), ("libvpx", True)):
        path = encoded(tmp_path / f"{codec}.mkv", "-c:v", codec)
        with open_video(path, probe(path)) as video:
            assert next(video.frames()).coded().smoothed is smoothed


@pytest.mark.parametrize("container", ["mkv", "ts"])  # with lengths, with start codes
@pytest.mark.parametrize(
    "how",
    [
        "", "cabac=0", "8x8dct=1:cqm=jvt", "interlaced=1", "slices=3", "open-gop=1:keyint=3:bframes=2",
        "weightp=0:bframes=0:ref=1", "nal-hrd=vbr:vbv-maxrate=2000:vbv-bufsize=2000", "annexb=1:aud=1", "bff=1",
    ],
)  # fmt: skip
@pytest.mark.parametrize("pixels", ["yuv420p", "yuv444p", "yuv422p10le"])
def test_h264_says_whether_block_edges_are_smoothed(tmp_path, container, how, pixels):
    """As x264 was told, of keyframes of many kinds of streams; an option, not its text in the stream, is the truth."""
    for told, smoothed in (("no-deblock=1", False), ("deblock=-6,-6", True), ("deblock=0,0", True)):
        path = encoded(
            tmp_path / f"{smoothed}.{container}", "-pix_fmt", pixels, "-c:v", "libx264", "-x264-params",
            ":".join(filter(None, ("keyint=4:min-keyint=1", how, told))),
        )  # fmt: skip
        with open_video(path, probe(path)) as video:
            found = [frame.coded() for frame in video.frames()]
        assert {coded.smoothed for coded in found} == {smoothed}
        assert {coded.leaves for coded in found} == {0.0}


def test_x264s_fastest_preset_does_not_smooth_edges(tmp_path):
    path = encoded(tmp_path / "x.mp4", "-c:v", "libx264", "-preset", "ultrafast")
    with open_video(path, probe(path)) as video:
        assert {frame.coded().smoothed for frame in video.frames()} == {False}


def test_h264_that_cannot_be_read_counts_as_smoothed(tmp_path):
    path = encoded(tmp_path / "x.mp4", "-c:v", "libx264", "-preset", "ultrafast")
    with av.open(str(path)) as container:
        box = bytes(container.streams.video[0].codec_context.extradata)
        packet = bytes(next(container.demux(video=0)))
    assert not avc.smoothed(box, packet)
    rng = np.random.default_rng(5)
    for cut in range(0, len(box), 3):
        assert avc.smoothed(box[:cut], packet)
    for _ in range(300):  # damaged anywhere: an answer, and no error
        bent = bytearray(box)
        bent[rng.integers(0, len(box))] ^= int(rng.integers(1, 256))
        assert avc.smoothed(bytes(bent), packet) in (True, False)
    assert avc.smoothed(b"", b"")
    assert avc.smoothed(box, b"")


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_threads_change_nothing(tmp_path, codec):
    path = encoded(tmp_path / "x.mkv", "-c:v", codec, "-g", "3", "-bf", "2")
    facts = probe(path)

    def told(threads: int) -> list[tuple[float, bool]]:
        with open_video(path, facts, threads=threads) as video:
            return [frame.coded() for frame in video.frames()]

    alone = told(1)
    assert len(set(alone)) > 1  # each group of pictures has its own keyframe
    assert all(told(4) == alone for _ in range(5))


def test_who_asked_one_keyframe_has_the_next_decoded_beside_the_rest(tmp_path, monkeypatch):
    path = encoded(tmp_path / "x.mkv", "-c:v", "libx264", "-g", "3", "-bf", "0")
    begun: list[quantiser.Keyframe] = []
    begin = quantiser.Keyframe.begin
    monkeypatch.setattr(quantiser.Keyframe, "begin", lambda self: [begin(self), begun.append(self)])
    with open_video(path, probe(path)) as video:
        frames = list(video.frames())
    assert len(frames) == 8
    assert not begun
    told = said(path)
    assert [keyframe.coded.quantiser for keyframe in begun] == told[3::3]
    assert told == [frame.coded().quantiser for frame in reversed(frames)][::-1]


def test_a_keyframe_that_cannot_be_decoded_alone_is_unknown():
    keyframes = quantiser.Keyframes(av.CodecContext.create("h264", "r"))
    packet = av.Packet(b"no picture")
    packet.pts, packet.is_keyframe = 0, True
    keyframes.send(packet)
    assert math.isnan(keyframes._sent[0].coded.quantiser)


def test_keyframes_that_never_come_out_are_not_kept_for_good():
    stream = quantiser.Keyframes(av.CodecContext.create("h264", "r"))
    for pts in range(3 * quantiser.HELD):
        packet = av.Packet(b"lost")
        packet.pts, packet.is_keyframe = pts, True
        stream.send(packet)
    assert len(stream._sent) == quantiser.HELD


def test_a_picture_that_is_let_go_takes_no_keyframe_with_it():
    """PyAV keeps what it gives back by its address, and forgets it with the first picture that has it."""

    def picture(pts: int) -> av.VideoFrame:
        made = av.VideoFrame(64, 64, "yuv420p")
        made.pts = pts
        return made

    keyframes = quantiser.Keyframes(av.CodecContext.create("h264", "r"))
    packet = av.Packet(b"not a keyframe that can be decoded")
    packet.pts, packet.is_keyframe = 0, True
    keyframes.send(packet)
    first, second = picture(0), picture(1)
    keyframes.follow(first)
    keyframes.follow(second)
    (keyframe,) = second.opaque
    del first
    assert second.opaque == (keyframe,)


def held() -> tuple[int, int]:
    """Decoders and pictures that are there."""
    kinds = [(isinstance(one, av.CodecContext), isinstance(one, av.VideoFrame)) for one in gc.get_objects()]
    return sum(decoder for decoder, _ in kinds), sum(picture for _, picture in kinds)


@pytest.mark.parametrize(
    ("name", "coder"), [("a.mp4", "libx264"), ("a.webm", "libvpx-vp9"), ("a.mpg", "mpeg2video"), ("b.mp4", "mpeg4")]
)
def test_decoders_and_pictures_of_a_file_are_gone_with_it(tmp_path, name, coder):
    """Without the garbage collector, which does not see their memory: of thousands of short files it is gigabytes, and
    of a film every picture that was asked for its quantiser."""
    path = encoded(tmp_path / name, "-c:v", coder, "-g", "4")
    gc.collect()
    gc.disable()
    try:
        before = held()
        assert any(math.isfinite(value) for value in said(path))
        assert held() == before
    finally:
        gc.enable()


X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params")


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_hevc_on_the_scale_of_h264(tmp_path, suffix):
    plain = "log-level=none:pools=2:qp=37:ipratio=1:pbratio=1"
    assert said(encoded(tmp_path / f"x.{suffix}", *X265, plain)) == [35.0] * 8
    ten = encoded(tmp_path / f"y.{suffix}", *X265, plain, "-pix_fmt", "yuv420p10le")
    assert said(ten) == [35.0] * 8


@pytest.mark.parametrize("suffix", ["mp4", "ts"])
@pytest.mark.parametrize(("tree", "finer"), [(1, 6.0), (0, 2.0)])
def test_x265_says_that_what_others_refer_to_is_finer(tmp_path, suffix, tree, finer):
    """In words: at the start of the first keyframe, or in the file's header."""
    settings = f"log-level=none:pools=2:crf=30:aq-mode=0:keyint=4:cutree={tree}"
    path = encoded(tmp_path / f"x.{suffix}", *X265, settings)
    extradata, each = packets(path)
    slices = [hevc.quantiser(extradata, *both) - finer for both in each]
    assert sorted(said(path)) == sorted(float(np.median(slices[: k + 1])) for k in range(len(slices)))


def test_av1_the_coarser_the_more(tmp_path):
    found = []
    for crf in (20, 40, 63):
        options = ("-c:v", "libsvtav1", "-preset", "11", "-crf", str(crf), "-svtav1-params", "lp=1")
        values = said(encoded(tmp_path / f"{crf}.mkv", *options))
        assert all(map(math.isfinite, values))  # also of those whose headers were in packets before
        found.append(np.median(values))
    assert found == sorted(found)
    assert found[1] < 37 < found[2] < 42


@pytest.mark.parametrize("codec", [(*X265, "log-level=none:pools=2:bframes=3"), ("-c:v", "libsvtav1", "-preset", "11")])
def test_threads_do_not_mix_up_headers(tmp_path, codec):
    path = encoded(tmp_path / "x.mkv", *codec)
    facts = probe(path)

    def told(threads: int) -> list[str]:
        with open_video(path, facts, threads=threads) as video:
            return [str(frame.coded().quantiser) for frame in video.frames()]

    alone = told(1)
    assert len(set(alone)) > 1
    assert all(told(4) == alone for _ in range(5))
