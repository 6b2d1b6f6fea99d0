import pytest

from wanprep.media.wholeness import missing_bytes


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.webm", "libvpx"), ("a.avi", "mpeg4")]
)
def test_only_a_cut_file_misses_bytes(name, codec, tmp_path, footage):
    options = {"qscale": "3"} if codec == "mpeg4" else {"deadline": "realtime"} if codec == "libvpx" else None
    path = footage.make_video(tmp_path / name, frames=12, codec=codec, options=options)
    assert missing_bytes(path) == 0
    data = path.read_bytes()
    path.write_bytes(data + b"\0" * 4)  # something appended is no loss
    assert missing_bytes(path) == 0
    path.write_bytes(data[: len(data) - 7 if name != "a.mp4" else data.index(b"mdat") + 40])
    assert missing_bytes(path) > 0


def test_a_stream_of_unknown_length_and_other_files_say_nothing(tmp_path, footage):
    live = footage.make_with_ffmpeg(
        tmp_path / "live.mkv", "testsrc=s=64x48:d=0.5", "-c:v", "mpeg4", "-f", "matroska", "-live", "1"
    )
    assert missing_bytes(live) == 0
    for data in (b"", b"x", b"\0\0\0\x02ftyp", b"\x1aE\xdf\xa3", b"\0\0\0\x01ftyp"):
        (tmp_path / "odd.bin").write_bytes(data)
        assert missing_bytes(tmp_path / "odd.bin") == 0
