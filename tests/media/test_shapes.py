"""Streams that change their shape: 4:3 before a 16:9 film, advertisements between its parts."""

from fractions import Fraction

import pytest

from wanprep.media.probe import probe
from wanprep.media.read import open_video
from wanprep.stages.split import measure_source

KINDS = {"film": {}, "other": {"size": (192, 144)}, "small": {"size": (96, 54)}, "wide": {"sar": Fraction(4, 3)}}


@pytest.fixture(scope="module")
def parts(tmp_path_factory, footage):
    """Half seconds of 25 a second, each picture complete in itself but for what the group before gives."""
    folder = tmp_path_factory.mktemp("shapes")
    made = {}
    for name, more in KINDS.items():
        options = {"crf": "4", "preset": "ultrafast", "g": "5", "bf": "0"}
        path = footage.make_video(folder / f"{name}.ts", frames=15, rate=25, options=options, **more)
        made[name] = path.read_bytes()
    return made


def together(folder, parts, names):
    (folder / "a.ts").write_bytes(b"".join(parts[name] for name in names))
    return folder / "a.ts"


def read(path, threads=1):
    found = probe(path)
    with open_video(path, found, threads=threads) as reader:
        return found, reader, list(reader.frames())


def numbers(frames, footage):
    return [footage.read_number(f.rgb(192, 108)) for f in frames]


@pytest.mark.parametrize("other", ["other", "wide"])
def test_what_lies_between_parts_of_the_film_is_left_out(other, parts, tmp_path, footage):
    path = together(tmp_path, parts, ["film", "film", other, "film"])
    found, reader, frames = read(path)
    assert (found.width, found.height) == (192, 108)
    assert 43 <= len(frames) <= 47  # of pixels' shape a decoder learns a little early
    assert set(numbers(frames, footage)) == set(range(15))
    (hole,) = reader.holes
    assert hole in [f.pts for f in frames]
    assert "of another shape than 192x108 were left out" in reader.truncated
    assert len(read(path, threads=2)[2]) == len(frames)
    after = frames.index(next(f for f in frames if f.pts == hole)) + 4
    with open_video(path, found) as again:  # what a clip after the hole is written from
        part = list(again.frames(frames[after].pts, frames[after + 5].pts))
    assert numbers(part, footage) == numbers(frames[after : after + 5], footage)
    signals, _, _ = measure_source(path)
    assert [int(signals.pts[i]) for i in signals.holes] == [hole]
    assert signals.truncated.startswith("pictures left out at 1.")


@pytest.mark.parametrize("other", ["other", "wide"])
def test_a_short_head_does_not_decide(other, parts, tmp_path, footage):
    found, reader, frames = read(together(tmp_path, parts, [other, *["film"] * 6]))
    assert (found.coded_width, found.coded_height, found.sar) == (192, 108, 1)
    assert numbers(frames, footage)[-90:] == 6 * list(range(15))
    assert reader.holes == []
    assert "were left out" in reader.truncated


def test_another_size_of_the_same_shape_is_no_change(parts, tmp_path, footage):
    _, reader, frames = read(together(tmp_path, parts, ["film", "small"]))
    assert numbers(frames, footage) == 2 * list(range(15))
    assert (reader.truncated, reader.holes) == ("", [])


def test_a_tail_ends_the_source(parts, tmp_path, footage):
    path = together(tmp_path, parts, ["film", "film", "other"])
    _, reader, frames = read(path)
    assert numbers(frames, footage) == 2 * list(range(15))
    assert reader.truncated == "pictures of another shape than 192x108 were left out: 15 of 192x144"
    assert measure_source(path)[0].holes == ()
