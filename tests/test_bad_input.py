"""A folder of everything that goes wrong with files, through one whole run: each has its line, its state, its reason.

The good ones among them still become clips; nothing fails, so the run ends with 0.
"""

import os
import socket
import struct
import unicodedata
import zlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from footage import (
    broken_behind_the_first,
    encrypted,
    make_sound,
    make_video,
    make_with_ffmpeg,
    numbered,
    run_ffmpeg,
)
from movies import as_json, options, wanprep
from PIL import Image
from rich.cells import cell_len

from wanprep.dataset import Dataset

pytestmark = pytest.mark.xdist_group("zoo")

OK = ("ok", "")
SIZE = (96, 54)


def _plain(path: Path, seed: int = 0, **more: object) -> Path:
    """A second of numbered pictures; `seed` makes the bytes its own (equal files are duplicates of each other)."""
    settings: dict = {"frames": 24, "rate": 24, "size": SIZE} | more
    return make_video(path, picture=lambda number, w, h: numbered(number + seed, w, h), **settings)


def _cut(path: Path, share: float, **more: object) -> None:
    data = _plain(path, 1, **more).read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def _png_claiming(path: Path, width: int, height: int) -> None:
    """A few hundred bytes that claim to be a picture of width x height."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b""))


def _secret(folder: Path) -> str:
    """A good movie outside, which no playlist may lead to."""
    return _plain(folder.parent / "outside.mp4", 999).as_posix()


def _fields(path: Path) -> None:
    weave = ("-vf", "tinterlace=interleave_top,setfield=tff", "-flags", "+ildct+ilme", "-x264opts", "tff=1")
    make_with_ffmpeg(path, "testsrc2=s=96x64:r=50:d=1", *weave, "-c:v", "libx264", "-pix_fmt", "yuv420p")


def _see_through(path: Path) -> None:
    make_with_ffmpeg(path, "testsrc2=s=96x54:r=24:d=1,format=rgba,colorchannelmixer=aa=0.5", "-c:v", "qtrle")


def _late_and_negative(path: Path) -> None:
    source = _plain(path.parent.parent / "n.mp4", 2)
    run_ffmpeg("-i", source, "-c", "copy", "-muxdelay", "0", "-output_ts_offset", 2**33 / 90000 - 0.5, path)


def _joined(path: Path) -> None:
    parts = [_plain(path.parent.parent / f"j{n}.ts", 30 * n).read_bytes() for n in range(2)]
    path.write_bytes(b"".join(parts))


def _fps_claim(path: Path) -> None:
    """A Matroska header that says a million frames a second; the timestamps say 24."""
    data = _plain(path, 5).read_bytes()
    at = data.index(b"\x23\xe3\x83") + 4  # DefaultDuration, in nanoseconds
    width = data[at - 1] & 0x0F
    path.write_bytes(data[:at] + (1000).to_bytes(width, "big") + data[at + width :])


def _socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the whole path may be longer than a socket's name can be
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(here)


def _animation(path: Path) -> None:
    images = [Image.fromarray(numbered(n, *SIZE)) for n in range(24)]
    images[0].save(path, save_all=True, append_images=images[1:], duration=50, lossless=True)


# path -> (how it is made, the state and reason it must end in)
Maker = Callable[[Path], object]
ZOO: dict[str, tuple[Maker, tuple[str, str]]] = {
    # broken
    "zero.mp4": (lambda p: p.touch(), ("rejected", "empty_file")),
    "no moov.mp4": (lambda p: _cut(p, 0.8), ("rejected", "unreadable")),
    "cut.mkv": (lambda p: _cut(p, 0.7, frames=48), OK),
    "cut.ts": (lambda p: _cut(p, 0.7, frames=48), OK),
    "sound.mp4": (make_sound, ("rejected", "no_video")),
    "one frame.mp4": (lambda p: _plain(p, 3, frames=1), OK),
    "one left.mp4": (lambda p: broken_behind_the_first(_plain(p, 26)), OK),
    "bought.mp4": (lambda p: encrypted(p, _plain(p.parent.parent / "b.mp4", 27)), ("rejected", "encrypted")),
    "text.mkv": (lambda p: p.write_text("no film\n" * 99), ("rejected", "not_video")),
    "program.mp4": (lambda p: p.write_bytes(b"\x7fELF\x02\x01\x01" + bytes(4000)), ("rejected", "not_video")),
    "text.png": (lambda p: p.write_text("no picture\n" * 99), ("rejected", "not_video")),
    "broken.png": (lambda p: p.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99)), ("rejected", "unreadable")),
    "bomb.png": (lambda p: _png_claiming(p, 60_000, 60_000), ("rejected", "image_too_large")),
    "bare.mp4": (
        lambda p: make_with_ffmpeg(p, "testsrc=s=96x54:d=1", "-c:v", "libx264", "-f", "h264"),
        ("rejected", "no_timestamps"),
    ),
    # odd but good
    "vfr.mkv": (
        lambda p: _plain(
            p,
            pts=[0, *np.cumsum(np.tile([33, 34, 100, 250], 6)).tolist()],
            time_base=Fraction(1, 1000),
            rate=30,
        ),
        OK,
    ),
    "turned.mp4": (lambda p: _plain(p, 4, rotation=90), OK),
    "odd size.mkv": (lambda p: _plain(p, size=(97, 55), codec="ffv1", options={}), OK),
    "ten bits.mp4": (lambda p: _plain(p, pix_fmt="yuv420p10le"), OK),
    "hdr.mp4": (lambda p: _plain(p, pix_fmt="yuv420p10le", matrix=9, primaries=9, transfer=16), OK),
    "fields.mp4": (_fields, OK),
    "see through.mov": (_see_through, OK),
    "negative.ts": (_late_and_negative, OK),
    "joined.ts": (_joined, OK),
    "h264.avi": (lambda p: _plain(p, 6), OK),
    "8k.mp4": (
        lambda p: make_with_ffmpeg(p, "color=gray:s=7680x4320:d=0.04", "-c:v", "libx264", "-preset", "ultrafast"),
        OK,
    ),
    "million fps.mkv": (_fps_claim, OK),
    "really a picture.mp4": (lambda p: Image.fromarray(numbered(8, *SIZE)).save(p, "PNG"), OK),
    "really a movie.png": (lambda p: _plain(p, 7, container="mp4"), OK),
    "moves.webp": (_animation, OK),
    # scripts that point elsewhere
    "hls.mp4": (
        lambda p: p.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{_secret(p.parent)}\n#EXT-X-ENDLIST\n"),
        ("rejected", "not_video"),
    ),
    "concat.mp4": (
        lambda p: p.write_text(f"ffconcat version 1.0\nfile '{_secret(p.parent)}'\n"),
        ("rejected", "not_video"),
    ),
    "dash.mp4": (
        lambda p: p.write_text(
            '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
            f'<Representation id="1"><BaseURL>{_secret(p.parent)}</BaseURL></Representation></AdaptationSet></Period>'
            "</MPD>"
        ),
        ("rejected", "not_video"),
    ),
    "session.mp4": (
        lambda p: p.write_text(
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
        ),
        ("rejected", "not_video"),
    ),
    "list.m3u8": (lambda p: p.write_text("#EXTM3U\nhttp://127.0.0.1:9/x.ts\n"), ("rejected", "not_video")),
    # not files
    "pipe.mp4": (os.mkfifo, ("rejected", "not_a_file")),
    "socket.mp4": (_socket, ("rejected", "not_a_file")),
    "device.mp4": (lambda p: p.symlink_to("/dev/zero"), ("rejected", "not_a_file")),
    "loop.mp4": (lambda p: p.symlink_to("loop.mp4"), ("rejected", "broken_link")),
    "gone.mp4": (lambda p: p.symlink_to("nothing.mp4"), ("rejected", "broken_link")),
    "escape.mp4": (lambda p: p.symlink_to("/etc/passwd"), ("rejected", "not_video")),
    "folder.mp4/inner.mp4": (lambda p: _plain(p, 9), OK),
    # names
    "-i.mp4": (lambda p: _plain(p, 10), OK),
    "new\nline.mp4": (lambda p: _plain(p, 11), OK),
    "émoji 🎬.mp4": (lambda p: _plain(p, 12), OK),
    unicodedata.normalize("NFC", "café.mp4"): (lambda p: _plain(p, 13), OK),
    unicodedata.normalize("NFD", "café.mp4"): (lambda p: _plain(p, 14), OK),
    "twin.mp4": (lambda p: _plain(p, 15), OK),
    "Twin.mp4": (lambda p: _plain(p, 16), OK),
    "a" * 251 + ".mp4": (lambda p: _plain(p, 17), OK),
    "%03d.mp4": (lambda p: _plain(p, 18), OK),
    "CON.mp4": (lambda p: _plain(p, 19), OK),
    "http:x.mp4": (lambda p: _plain(p, 20), OK),
    "pipe:0.mp4": (lambda p: _plain(p, 21), OK),
    "concat:a|b.mp4": (lambda p: _plain(p, 22), OK),
    "'; rm -rf x; '.mp4": (lambda p: _plain(p, 23), OK),
    "[red]bold.mp4": (lambda p: _plain(p, 24), OK),
    "\x1b[31mred\x07.mp4": (lambda p: p.write_text("no film"), ("rejected", "not_video")),
    "caf\udce9.mp4": (
        lambda p: _plain(p.parent / "ascii.mp4", 25).rename(p),
        ("rejected", "name_not_utf8"),
    ),
}
# What is filtered or too short for the view is not this test's business; these have to become samples.
BECOME_SAMPLES = {name for name, (_, state) in ZOO.items() if state == OK} - {
    "one frame.mp4", "one left.mp4", "8k.mp4", "cut.ts",
}  # fmt: skip
SETTINGS = (
    "family=tiny",
    *(
        f"filter.{name}.enabled=false"
        for name in (
            "blur",
            "motion_blur",
            "shake",
            "static",
            "light_jump",
            "overlay",
            "compression",
            "duplicate",
            "screen",
        )
    ),
    "split.min_seconds=0.25",
    'views=[{name="v",media="any",resolution=[32,16],frames=[1,5]}]',
)


def _listed(name: str) -> str:
    """How a name looks in tables: those that are not UTF-8 in a readable form."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo") / "in"
    folder.mkdir()
    for name, (make, _) in ZOO.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        make(path)
    out = folder.parent / "out"
    done = wanprep("run", str(folder), *options(out, SETTINGS), "--workers", "2")  # ends with 0
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stderr
    return out


def test_each_has_its_line_its_state_and_its_reason(dataset: Path) -> None:
    rows = Dataset.open(dataset).manifest.read("sources").to_dicts()
    got = {row["path"]: (row["state"], row["reason"]) for row in rows}
    assert got == {_listed(name): state for name, (_, state) in ZOO.items()}
    assert all(row["detail"] for row in rows if row["state"] == "rejected")
    named = {row["path"]: row["detail"] for row in rows}
    for name in ("cut.mkv", "cut.ts", "one left.mp4"):
        assert named[name], "says why the stream ended early"


def test_the_good_ones_become_samples(dataset: Path) -> None:
    manifest = Dataset.open(dataset).manifest
    clips = {row["clip_id"]: row["path"] for row in manifest.read("clips").to_dicts()}
    samples = manifest.read("samples").filter(pl.col("state") == "ok")
    assert {clips[row["clip_id"]] for row in samples.to_dicts()} >= BECOME_SAMPLES
    assert set(samples["cache_state"]) == {"cached"}


def test_what_is_encrypted_or_left_of_a_film_is_told_everywhere(dataset: Path) -> None:
    clips = Dataset.open(dataset).manifest.read("clips").to_dicts()
    assert [clip["reasons"] for clip in clips if clip["path"] == "one left.mp4"] == [["too_short"]]
    (still,) = [clip for clip in clips if clip["path"] == "one frame.mp4"]
    assert "too_short" not in still["reasons"]
    words = {"bought.mp4": ("encrypted", "scheme cenc", "a decrypted copy is needed"), "one left.mp4": ("one picture",)}
    for name, wanted in words.items():
        shown = " ".join(wanprep("explain", name, "--out", str(dataset)).stdout.split())
        assert all(word in shown for word in wanted), shown
        for command in ("cuts", "score"):  # content that is no good ends with 0
            done = wanprep(command, str(dataset.parent / "in" / name))
            assert all(word in " ".join(done.stderr.split()) for word in wanted), done.stderr
    assert "encrypted" in wanprep("stats", "--out", str(dataset)).stdout
    assert "encrypted" in wanprep("status", "--out", str(dataset)).stdout


def test_nothing_outside_was_read(dataset: Path) -> None:
    clips = Dataset.open(dataset).manifest.read("clips")
    assert not set(clips["path"]) & {"hls.mp4", "concat.mp4", "dash.mp4", "escape.mp4"}


def test_listings_show_odd_names(dataset: Path) -> None:
    clips = as_json(wanprep("clips", "--out", str(dataset), "--json"))
    assert isinstance(clips, list)
    assert {"new\nline.mp4", "émoji 🎬.mp4", "-i.mp4", "[red]bold.mp4"} <= {clip["path"] for clip in clips}
    for command in ("clips", "samples", "stats", "status"):
        shown = wanprep(command, "--out", str(dataset))
        assert "Traceback" not in shown.stderr
        assert max(map(cell_len, shown.stdout.splitlines())) <= 80
        assert "\x1b" not in shown.stdout + shown.stderr


def test_the_facts_say_what_was_done(dataset: Path) -> None:
    import json

    manifest = Dataset.open(dataset).manifest
    ids = {row["source_id"]: row["path"] for row in manifest.read("sources").to_dicts()}
    rows = [row for row in manifest.latest("signals").to_dicts() if row["outcome"] == "done"]
    facts = {ids[row["source_id"]]: json.loads(row["facts"]) | {"n_frames": row["n_frames"]} for row in rows}
    assert facts["joined.ts"]["clock_splices"] == 1
    assert facts["joined.ts"]["n_frames"] == 48
    assert facts["h264.avi"]["frames_dropped"] == 0
    assert facts["h264.avi"]["n_frames"] == 24
    assert facts["turned.mp4"]["rotation"] == 90
    assert (facts["fields.mp4"]["interlaced"], facts["see through.mov"]["alpha"]) == (True, True)
    assert (facts["hdr.mp4"]["hdr"], facts["ten bits.mp4"]["bit_depth"]) == (True, 10)
    assert facts["8k.mp4"]["width"] == 7680
    assert facts["moves.webp"]["n_frames"] == 24
    spans = {ids[row["source_id"]]: Fraction(row["time_base"]) * (row["last_pts"] - row["first_pts"]) for row in rows}
    assert spans["million fps.mkv"] == pytest.approx(23 / 24, abs=1e-3)
    assert spans["negative.ts"] == pytest.approx(23 / 24, abs=1e-3)
