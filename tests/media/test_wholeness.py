import pytest

from wanprep.media.wholeness import cut_short, missing_bytes

KINDS = {
    "a.mp4": ("-c:v", "libx264"), "a.mkv": ("-c:v", "libx264"), "a.webm": ("-c:v", "libvpx"),
    "a.avi": ("-c:v", "mpeg4"), "a.wmv": ("-c:v", "wmv2"), "a.mxf": ("-c:v", "mpeg2video", "-r", "25"),
    "a.ts": ("-c:v", "mpeg2video"), "a.flv": ("-c:v", "flv1"), "a.ogv": ("-c:v", "libtheora"), "a.gif": (),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_only_a_cut_file_looks_cut(name, tmp_path, footage):
    path = footage.make_with_ffmpeg(tmp_path / name, "testsrc=s=96x64:r=25:d=0.5", *KINDS[name])
    assert (missing_bytes(path), cut_short(path)) == (0, "")
    data = path.read_bytes()
    if name in ("a.mp4", "a.mkv", "a.webm", "a.avi", "a.gif"):
        path.write_bytes(data + b"\0" * 4)  # something appended is no loss
        assert (missing_bytes(path), cut_short(path)) == (0, "")
    end = data.index(b"mdat") + 40 if name == "a.mp4" else len(data) * 3 // 4 if name in ("a.mxf", "a.ogv") else -7
    path.write_bytes(data[:end])
    assert cut_short(path)
    if name[-3:] in ("mp4", "mkv", "ebm", "avi", "wmv", "mxf"):
        assert str(missing_bytes(path)) in cut_short(path)


def test_a_long_avi_of_several_chunks(tmp_path):
    chunk = b"RIFF" + (100).to_bytes(4, "little") + b"AVIX" + bytes(96)
    path = tmp_path / "a.avi"
    path.write_bytes(3 * chunk)
    assert missing_bytes(path) == 0
    path.write_bytes((3 * chunk)[:-30])
    assert missing_bytes(path) == 30


def test_a_stream_of_unknown_length_and_other_files_say_nothing(tmp_path, footage):
    live = footage.make_with_ffmpeg(
        tmp_path / "live.mkv", "testsrc=s=64x48:d=0.5", "-c:v", "mpeg4", "-f", "matroska", "-live", "1"
    )
    assert cut_short(live) == ""
    for data in (b"", b"x", b"\0\0\0\x02ftyp", b"\x1aE\xdf\xa3", b"\0\0\0\x01ftyp", b"G", b"GIF89a;", b"RIFF", b"OggS"):
        (tmp_path / "odd.bin").write_bytes(data)
        assert missing_bytes(tmp_path / "odd.bin") == 0
