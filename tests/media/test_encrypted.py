"""Encrypted pictures are told, not decoded: files of the mov muxer, their plain twins, and what only looks alike."""

import struct

import av
import numpy as np
import pytest

from wanprep.media.container import open_container
from wanprep.media.encrypted import declared
from wanprep.media.probe import probe
from wanprep.media.read import open_video
from wanprep.read_as import read_as
from wanprep.stage import Reject
from wanprep.stages.split import analyse_source, measure_source

FRAGMENTS = ("-movflags", "frag_keyframe+empty_moov")
TRACK = [0x18538067, 0x1654AE6B, 0xAE]  # the first one of a Matroska file


def refused(path):
    with pytest.raises(Reject) as caught:
        probe(path)
    return caught.value.reason, caught.value.detail


def numbers(path, footage):
    found = probe(path)
    with open_video(path, found) as reader:
        return [footage.read_number(f.rgb(found.width, found.height)) for f in reader.frames()], reader


def pair(folder, footage, *more, **video):
    """An encrypted file and its twin in the clear, with the same samples in the same order."""
    source = footage.make_video(folder / "source.mp4", **{"frames": 24, "rate": 24, **video})
    plain = footage.run_ffmpeg("-i", source, "-map", "0", "-c", "copy", *more, folder / "plain.mp4")
    return footage.encrypted(folder / "locked.mp4", source, *more), plain


def samples(path, index):
    """(place in the file, bytes) of the samples of a stream."""
    with av.open(str(path)) as container:
        return [(packet.pos, bytes(packet)) for packet in container.demux(container.streams[index]) if packet.size]


def in_the_clear(locked, plain, path, index):
    """`locked` with the samples of one of its streams in the clear, and nothing said of encryption there."""
    data = bytearray(locked.read_bytes())
    for (at, _), (_, clear) in zip(samples(locked, index), samples(plain, index), strict=True):
        data[at : at + len(clear)] = clear
    at = [i for i in range(len(data)) if data[i : i + 4] == b"stsd"][index]
    for kind in (b"encv", b"sinf", b"senc", b"saio", b"saiz"):
        at = data.index(kind, at)
        data[at : at + 4] = b"avc1" if kind == b"encv" else b"free"
    path.write_bytes(data)
    return path


def of_fragments_in_the_clear(locked, plain, path, which):
    """`locked` with these of its fragments in the clear: by their subsample maps no byte of them is protected."""
    data, twin = bytearray(locked.read_bytes()), plain.read_bytes()
    mine, theirs = ([i for i in range(len(d)) if d[i : i + 4] == b"mdat"] for d in (data, twin))
    for number in which:
        at, other = mine[number], theirs[number]
        size = int.from_bytes(data[at - 4 : at], "big") - 8
        data[at + 4 : at + 4 + size] = twin[other + 4 : other + 4 + size]
        place = data.rindex(b"senc", 0, at) + 8
        count, place = int.from_bytes(data[place : place + 4], "big"), place + 4
        for _ in range(count):
            parts, place = int.from_bytes(data[place + 8 : place + 10], "big"), place + 10
            for part in range(parts):
                data[place + 6 * part + 2 : place + 6 * part + 6] = bytes(4)
            place += 6 * parts
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("more", [(), FRAGMENTS], ids=["whole", "fragmented"])
def test_common_encryption_is_refused_by_its_name(more, tmp_path, footage):
    locked, plain = pair(tmp_path, footage, *more)
    reason, detail = refused(locked)
    assert reason == "encrypted"
    assert "scheme cenc;" in detail
    assert "-decryption_key" in detail
    assert "plays well" not in detail
    assert numbers(plain, footage)[0] == list(range(24))
    opened = footage.run_ffmpeg(
        "-decryption_key", footage.FILM_KEY, "-i", locked, "-c", "copy", tmp_path / "opened.mp4"
    )
    assert numbers(opened, footage)[0] == list(range(24))


def test_before_anything_is_decoded(tmp_path, footage, monkeypatch):
    locked, plain = pair(tmp_path, footage)
    monkeypatch.setattr("wanprep.media.decoder.without_strays", lambda *_: pytest.fail("about to decode"))
    assert refused(locked)[0] == "encrypted"
    with pytest.raises(pytest.fail.Exception):
        probe(plain)


@pytest.mark.parametrize(("scheme", "advice"), [(b"cbcs", True), (b"cbc1", True), (b"piff", False), (b"odkm", False)])
def test_other_schemes_are_named(scheme, advice, tmp_path, footage):
    data = bytearray(pair(tmp_path, footage)[0].read_bytes())
    at = data.index(b"schm") + 8
    data[at : at + 4] = scheme
    (tmp_path / "other.mp4").write_bytes(data)
    reason, detail = refused(tmp_path / "other.mp4")
    assert (reason, f"scheme {scheme.decode()};" in detail, "-decryption_key" in detail) == ("encrypted", True, advice)


def test_fairplay_has_no_decoder_and_says_why(tmp_path, footage):
    data = bytearray(pair(tmp_path, footage)[0].read_bytes())
    at = data.index(b"encv", data.index(b"stsd"))
    data[at : at + 4] = b"drmi"
    (tmp_path / "bought.mp4").write_bytes(data)
    reason, detail = refused(tmp_path / "bought.mp4")
    assert (reason, "FairPlay" in detail) == ("encrypted", True)
    data[at : at + 4] = b"xxxx"  # negative control: a codec nobody knows
    (tmp_path / "unknown.mp4").write_bytes(data)
    assert refused(tmp_path / "unknown.mp4")[0] == "no_decoder"


@pytest.mark.parametrize("more", [(), FRAGMENTS], ids=["whole", "fragmented"])
def test_noise_that_nothing_is_said_of_packet_by_packet(more, tmp_path, footage):
    """The sample entry is encrypted, but the list of what is protected is lost."""
    data = pair(tmp_path, footage, *more)[0].read_bytes()
    for kind in (b"senc", b"saio", b"saiz"):
        data = data.replace(kind, b"free")
    (tmp_path / "lost.mp4").write_bytes(data)
    assert refused(tmp_path / "lost.mp4")[0] == "encrypted"


def test_the_letters_alone_are_nothing(tmp_path, footage):
    locked, plain = pair(tmp_path, footage)
    data, other = plain.read_bytes(), locked.read_bytes()
    moov = other[other.index(b"moov") - 4 :]
    assert b"encv" in moov
    assert b"sinf" in moov
    body = b"encv sinf schm cenc" + moov
    (tmp_path / "letters.mp4").write_bytes(data + struct.pack(">I4s", 8 + len(body), b"mdat") + body)
    assert numbers(tmp_path / "letters.mp4", footage)[0] == list(range(24))


def test_encrypted_sound_costs_nothing(tmp_path, footage):
    locked, plain = pair(tmp_path, footage, audio=True)
    assert refused(locked)[0] == "encrypted"
    path = in_the_clear(locked, plain, tmp_path / "sound.mp4", 0)
    assert b"enca" in path.read_bytes()
    assert numbers(path, footage)[0] == list(range(24))
    assert probe(path).n_encrypted == 0


def test_a_stream_in_the_clear_is_taken_and_that_it_is_the_lesser_is_said(tmp_path, footage):
    locked, plain = pair(tmp_path, footage, size=(192, 108), second=(96, 54))
    assert refused(locked)[0] == "encrypted"
    path = in_the_clear(locked, plain, tmp_path / "lesser.mp4", 1)
    found = probe(path)
    assert (found.stream_index, found.n_video_streams, found.n_encrypted, found.width) == (1, 2, 1, 96)
    assert numbers(path, footage)[0] == list(range(1000, 1024))
    row = analyse_source(path, tmp_path / "signals") | {"outcome": "done"}
    assert read_as(row)[0].endswith(", stream 0:1 as ffmpeg counts, the best of 2 with video (1 encrypted)")
    larger = in_the_clear(locked, plain, tmp_path / "larger.mp4", 0)  # nobody asks the other one
    assert (probe(larger).stream_index, probe(larger).n_encrypted) == (0, 0)


@pytest.mark.parametrize("frames", [1, 48])
def test_a_cover_is_not_taken_for_an_encrypted_film(frames, tmp_path, footage):
    film = footage.make_video(tmp_path / "film.mp4", frames=48)
    other = footage.make_video(tmp_path / "other.mp4", frames=frames, size=(96, 54))
    both = ("-i", film, "-i", other, "-map", "0", "-map", "1", "-c", "copy")
    plain = footage.run_ffmpeg(*both, tmp_path / "plain.mp4")
    locked = footage.encrypted(tmp_path / "locked.mp4", plain)
    path = in_the_clear(locked, plain, tmp_path / "half.mp4", 1)
    bought = bytearray(path.read_bytes())
    at = bought.index(b"encv", bought.index(b"stsd"))
    bought[at : at + 4] = b"drmi"  # of which there is not even a decoder
    (tmp_path / "bought.mp4").write_bytes(bought)
    for half in (path, tmp_path / "bought.mp4"):
        if frames == 1:
            assert refused(half)[0] == "encrypted"
        else:
            assert (probe(half).stream_index, probe(half).n_encrypted) == (1, 1)


# -- parts in the clear --------------------------------------------------------------------------------------------


def test_a_lead_in_the_clear_is_read_and_the_rest_is_told(tmp_path, footage):
    locked, plain = pair(tmp_path, footage, *FRAGMENTS, frames=36)
    path = of_fragments_in_the_clear(locked, plain, tmp_path / "lead.mp4", [0])
    for threads in (1, 3):
        with open_video(path, probe(path), threads=threads) as reader:
            assert [footage.read_number(f.rgb(192, 108)) for f in reader.frames()] == list(range(12))
        assert "the rest is encrypted, scheme cenc;" in reader.truncated
    assert numbers(of_fragments_in_the_clear(locked, plain, path, [0, 1, 2]), footage)[0] == list(range(36))


def test_an_encrypted_stretch_is_a_hole_of_its_own_name(tmp_path, footage):
    locked, plain = pair(tmp_path, footage, *FRAGMENTS, frames=36)
    path = of_fragments_in_the_clear(locked, plain, tmp_path / "gap.mp4", [0, 2])
    assert numbers(path, footage)[0] == [*range(12), *range(24, 36)]
    signals, _, _ = measure_source(path)
    assert signals.holes == (12,)
    assert signals.truncated.startswith("encrypted pictures left out at 0.50-1.00 s")


# -- other containers ----------------------------------------------------------------------------------------------


def element(name, body):
    return name.to_bytes((name.bit_length() + 7) // 8, "big") + bytes([0x80 | len(body)]) + body


def encodings(kind, *what):
    order, scope = element(0x5031, b"\0"), element(0x5032, b"\1")
    return element(0x6D80, element(0x6240, order + scope + element(0x5033, bytes([kind])) + b"".join(what)))


AES = encodings(1, element(0x5035, element(0x47E1, b"\5") + element(0x47E2, bytes(range(16)))))
SIGNED = encodings(1, element(0x5035, element(0x47E1, b"\0")))
STRIPPED = encodings(0, element(0x5034, element(0x4254, b"\3") + element(0x4255, b"")))


@pytest.mark.parametrize("suffix", ["mkv", "webm"])
def test_matroska_says_it_of_a_track(suffix, tmp_path, footage):
    coder = {"codec": "libvpx", "options": {"b": "1M", "g": "8"}} if suffix == "webm" else {}
    plain = footage.make_video(tmp_path / f"a.{suffix}", **coder).read_bytes()
    for name, more in (("locked", AES), ("signed", SIGNED), ("stripped", STRIPPED)):
        data = bytearray(plain)
        footage.grow_element(data, TRACK, more)
        (tmp_path / f"{name}.{suffix}").write_bytes(data)
    reason, detail = refused(tmp_path / f"locked.{suffix}")
    assert (reason, "AES (Matroska)" in detail) == ("encrypted", True)
    for name in ("signed", "stripped"):
        assert numbers(tmp_path / f"{name}.{suffix}", footage)[0] == list(range(24))


@pytest.mark.parametrize("extended", [False, True])
def test_windows_media_says_it_of_the_file(extended, tmp_path, footage):
    source = footage.make_video(tmp_path / "s.mp4")
    data = bytearray(footage.run_ffmpeg("-i", source, "-c:v", "wmv2", "-q:v", "2", tmp_path / "a.wmv").read_bytes())
    assert probe(tmp_path / "a.wmv").codec == "wmv2"
    if extended:
        guid, parts = "14e68a292226174cb935dae07ee9289c", struct.pack("<I", 8) + bytes(8)
    else:
        guid = "fbb3112223bdd211b4b700a0c955fc6e"
        parts = b"".join(struct.pack("<I", len(part)) + part for part in (bytes(8), b"DRM\0", b"key\0", b"http://a\0"))
    protection = bytes.fromhex(guid) + struct.pack("<Q", 24 + len(parts)) + parts
    size, count = struct.unpack_from("<QI", data, 16)
    struct.pack_into("<QI", data, 16, size + len(protection), count + 1)
    data[30:30] = protection
    (tmp_path / "b.wmv").write_bytes(data)
    assert refused(tmp_path / "b.wmv")[0] == "encrypted"


def scramble(data, pid, packet_size=188, flag=0x80):
    """The payload of this program's packets turned to noise, and a flag set in their headers that says so."""
    rng = np.random.default_rng(0)
    for at in range(0, len(data), packet_size):
        if (data[at + 1] << 8 | data[at + 2]) & 0x1FFF == pid and data[at + 3] & 0x10:
            start = at + 5 + data[at + 4] if data[at + 3] & 0x20 else at + 4
            data[at + 3] |= flag
            data[start : at + packet_size] = rng.bytes(at + packet_size - start)
    return data


def test_a_scrambled_broadcast(tmp_path, footage):
    path = footage.make_video(tmp_path / "a.ts", frames=60, rate=25, audio=True)
    with open_container(path) as container:
        picture, sound = container.streams.video[0].id, container.streams.audio[0].id
    data = path.read_bytes()
    (tmp_path / "b.ts").write_bytes(scramble(bytearray(data), picture))
    reason, detail = refused(tmp_path / "b.ts")
    assert (reason, "scrambled" in detail) == ("encrypted", True)
    (tmp_path / "noise.ts").write_bytes(scramble(bytearray(data), picture, flag=0))
    assert refused(tmp_path / "noise.ts")[0] == "no_frames"
    (tmp_path / "sound.ts").write_bytes(scramble(bytearray(data), sound))
    assert numbers(tmp_path / "sound.ts", footage)[0] == list(range(60))
    half = len(data) // 376 * 188  # the key came late
    (tmp_path / "late.ts").write_bytes(scramble(bytearray(data[:half]), picture) + data[half:])
    assert numbers(tmp_path / "late.ts", footage)[0][-1] == 59


def test_a_header_that_ends_too_early_says_nothing(tmp_path, footage):
    locked, _ = pair(tmp_path, footage)
    with open_container(locked) as container:
        assert declared(locked, container) == {0: "cenc"}
        data = locked.read_bytes()
        (tmp_path / "cut.mp4").write_bytes(data[: data.index(b"schm") + 6])
        assert declared(tmp_path / "cut.mp4", container) == {}
