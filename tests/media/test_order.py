"""Files with the times of decoding, and VLC's first packet: nothing of them is lost."""

from fractions import Fraction

import av
import pytest

from wanprep.media.probe import probe
from wanprep.media.read import open_video

B_FRAMES = {"crf": "10", "bf": "3", "b_adapt": "0", "g": "24"}


@pytest.fixture(scope="module")
def plain(tmp_path_factory, footage):
    return footage.make_video(tmp_path_factory.mktemp("order") / "plain.mp4", frames=60, rate=25, options=B_FRAMES)


def counted(plain, path):
    """The packets of `plain`, each with its place in the file as its time, as tools write who know no B-frames."""
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(p for p in source.demux(video=0) if p.size):
            packet.stream, packet.time_base = stream, Fraction(1, 25)
            packet.pts = packet.dts = number
            target.mux(packet)
    return path


@pytest.mark.parametrize("threads", [1, 3])
def test_times_of_decoding_are_put_in_order(plain, tmp_path, footage, threads):
    path = counted(plain, tmp_path / "counted.mp4")
    found = probe(path)
    with open_video(path, found, threads=threads) as reader:
        frames = list(reader.frames())
        assert [footage.read_number(f.rgb(192, 108)) for f in frames] == list(range(60))
        assert (reader.truncated, reader.dropped, found.decode_order) == ("", 0, True)
        seconds = [(f.pts - frames[0].pts) * found.time_base for f in frames]
        assert seconds == pytest.approx([n / 25 for n in range(60)], abs=1e-4)
        some = reader.frames(frames[30].pts, frames[40].pts)
        assert [footage.read_number(f.rgb(192, 108)) for f in some] == list(range(30, 40))


def test_files_whose_times_are_true_keep_them(plain, tmp_path, footage):
    flat = footage.make_video(tmp_path / "flat.mp4", frames=60, rate=25, options={**B_FRAMES, "bf": "0"})
    late = footage.run_ffmpeg("-i", plain, "-c", "copy", tmp_path / "late.mkv")
    assert not any(probe(path).decode_order for path in (plain, flat, late, counted(flat, tmp_path / "f.mp4")))


def with_note(plain, path):
    """As VLC writes it: the encoder's note without its first byte, so that its type is that of an IDR slice."""
    note = bytes([5, 0xFF, 0xFF, 0xAC]) + bytes(range(1, 200))
    unit = len(note).to_bytes(4, "big") + note
    with av.open(str(plain)) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size and packet.is_keyframe:
                noted = av.Packet(unit + bytes(packet))
                noted.pts, noted.dts, noted.duration = packet.pts, packet.dts, packet.duration
                noted.time_base, noted.is_keyframe = packet.time_base, True
                packet = noted
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    return path


@pytest.mark.parametrize("threads", [1, 3])
def test_a_note_of_the_encoder_costs_no_picture(plain, tmp_path, footage, threads):
    path = with_note(plain, tmp_path / "noted.mp4")
    with open_video(path, probe(path), threads=threads) as reader:
        frames = list(reader.frames())
        assert [footage.read_number(f.rgb(192, 108)) for f in frames] == list(range(60))
        assert (reader.truncated, reader.skipped) == ("", 0)


def test_a_beginning_that_does_not_decode_is_told(plain, tmp_path, footage):
    """Its first keyframe is damaged: what comes before the second one is left out, and not in silence."""
    with av.open(str(plain)) as container:
        first = next(container.demux(video=0))
        start, size = first.pos, first.size
    data = bytearray(plain.read_bytes())
    data[start + size // 4 : start + size] = bytes([0xFF, 0x00, 0xA5] * size)[: size - size // 4]
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(data)
    with open_video(broken, probe(broken)) as reader:
        numbers = [footage.read_number(f.rgb(192, 108)) for f in reader.frames()]
        assert numbers == list(range(numbers[0], 60))
        assert numbers[0] > 0
        assert "its first packet" in reader.truncated
