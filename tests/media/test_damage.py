"""Files that break off: the good part is kept, and that it is a part is said."""

import itertools

import av
import pytest

from wanprep.media import read as read_module
from wanprep.media.probe import probe
from wanprep.media.read import open_video
from wanprep.stage import Reject


def read(path, **kwargs):
    found = probe(path)
    with open_video(path, found, **kwargs) as reader:
        frames = list(reader.frames())
    return found, reader, frames


def damaged_mp4(tmp_path, footage, keep):
    whole = footage.make_with_ffmpeg(
        tmp_path / "whole.mp4", "testsrc2=s=192x108:r=24:d=3", "-c:v", "libx264", "-movflags", "+faststart", "-g", "12"
    )
    data = whole.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: int(len(data) * keep)])
    return whole, path


def test_a_truncated_mp4_keeps_its_good_part_and_says_so(tmp_path, footage):
    whole, path = damaged_mp4(tmp_path, footage, 0.6)
    complete = read(whole)
    assert complete[1].truncated == ""
    results = [read(path, threads=threads) for threads in (1, 2, 4)]
    for _, reader, frames in results:
        assert reader.truncated
        assert 10 < len(frames) < len(complete[2])
        assert [f.pts for f in frames] == [f.pts for f in complete[2][: len(frames)]]  # no holes
        assert [f.pts for f in frames] == [f.pts for f in results[0][2]]  # whatever the number of threads
        assert (frames[-1].rgb(192, 108) == complete[2][len(frames) - 1].rgb(192, 108)).all()


def test_a_span_before_the_damage_is_whole(tmp_path, footage):
    whole, path = damaged_mp4(tmp_path, footage, 0.6)
    pts = [f.pts for f in read(whole)[2]]
    with open_video(path, probe(path)) as reader:
        assert [f.pts for f in reader.frames(pts[14], pts[20])] == pts[14:20]
        assert reader.truncated == ""


def test_a_truncated_webm_is_noticed_although_its_decoder_says_nothing(tmp_path, footage):
    whole = footage.make_video(
        tmp_path / "w.webm", frames=48, codec="libvpx", options={"deadline": "realtime", "b": "1M", "g": "8"}
    )
    data = whole.read_bytes()
    (tmp_path / "cut.webm").write_bytes(data[: len(data) // 2])
    _, reader, frames = read(tmp_path / "cut.webm")
    assert "before its container does" in reader.truncated
    count = len(frames)
    assert 5 < count < 48
    assert [footage.read_number(f.rgb(192, 108)) for f in frames] == list(range(count))


def test_a_clock_that_restarts_is_carried_on(tmp_path, footage):
    parts = [footage.make_video(tmp_path / f"{n}.ts", frames=50, rate=25).read_bytes() for n in range(2)]
    (tmp_path / "spliced.ts").write_bytes(b"".join(parts))
    _, reader, frames = read(tmp_path / "spliced.ts")
    assert {b.pts - a.pts for a, b in itertools.pairwise(frames)} == {3600}
    assert [footage.read_number(f.rgb(192, 108)) for f in frames] == 2 * list(range(50))
    assert (reader.truncated, reader.splices, reader.dropped) == ("", 1, 0)


def test_a_stream_without_one_decodable_picture_says_why_and_what_to_do(tmp_path, footage):
    whole = footage.make_with_ffmpeg(
        tmp_path / "whole.mp4", "testsrc2=s=192x108:r=24:d=1", "-c:v", "libx264", "-g", "48", "-bf", "0"
    )
    with av.open(str(whole)) as container:
        first = next(container.demux(container.streams.video[0]))
        payload, at = bytes(first), first.pos
    place = 0
    while payload[place + 4] & 31 != 5:  # the keyframe's slice, to which all later pictures refer
        place += 4 + int.from_bytes(payload[place : place + 4], "big")
    data = bytearray(whole.read_bytes())
    data[at + place + 5 : at + place + 15] = bytes(10)
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(data)
    with pytest.raises(Reject, match=r"none of \d+ packets .*ffmpeg -i FILE") as refusal:
        probe(broken)
    assert refusal.value.reason == "no_frames"


def test_one_picture_that_is_left_of_a_film_is_told(tmp_path, footage):
    """Its B-frames keep the decoder from giving the first picture before the rest has been refused."""
    path = footage.broken_behind_the_first(footage.make_video(tmp_path / "v.mp4", frames=12))
    for threads in (1, 3):
        _, reader, frames = read(path, threads=threads)
        assert [footage.read_number(f.rgb(192, 108)) for f in frames] == [0]
        assert "of its 12 packets came one picture" in reader.truncated


SINGLE = {
    "a.mp4": {}, "a.mkv": {}, "a.ts": {}, "a.avi": {}, "vp9.webm": {"codec": "libvpx-vp9", "options": {"b": "1M"}},
    "fields.ts": {"codec": "mpeg2video", "options": {"flags": "+ildct+ilme", "q": "2"}},
}  # fmt: skip


@pytest.mark.parametrize("name", SINGLE)
def test_a_still_that_was_made_a_video_is_whole(name, tmp_path, footage):
    _, reader, frames = read(footage.make_video(tmp_path / name, frames=1, **SINGLE[name]))
    assert (len(frames), reader.truncated) == (1, "")


def test_what_several_threads_refuse_is_tried_with_one(tmp_path, footage, monkeypatch):
    """Of a stream whose keyframes are coded wrongly two threads gave nothing, one thread the end."""
    path = footage.make_video(tmp_path / "v.mp4", frames=8)
    decode, tried = read_module.VideoReader._decode, []

    def refusing(self, seek_pts, threads):
        tried.append(threads)
        if threads > 1 or len(tried) > 2:
            self._reset()
            self.skipped, self._refused = 8, "Invalid data"
            return
        yield from decode(self, seek_pts, threads)

    monkeypatch.setattr(read_module.VideoReader, "_decode", refusing)
    assert len(read(path, threads=2)[2]) == 8
    assert tried == [2, 1]
    with pytest.raises(Reject, match=r"none of 8 packets .*Invalid data"):
        read(path, threads=2)
