"""What is put aside comes back to the byte, from memory and from a file, and makes the same signals."""

from __future__ import annotations

import math
import tracemalloc
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wanprep.signals import spool, tracks
from wanprep.signals.analysis import analyse
from wanprep.signals.spool import Spool


def put(pieces: list[bytes], folder=None) -> Spool:
    made = Spool(folder)
    for piece in pieces:
        made.add(piece)
    return made


@given(st.lists(st.binary(max_size=40), max_size=12), st.integers(0, 100))
def test_pieces_come_back_whichever_way_they_are_kept(pieces, in_memory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(spool, "IN_MEMORY", in_memory)
        made = put(pieces)
        assert made.whole().tobytes() == b"".join(pieces)
        assert list(made) == pieces
        assert made.sizes().tolist() == [len(piece) for piece in pieces]
        assert made[len(pieces) - 1] == pieces[-1] if pieces else len(made) == 0


@pytest.mark.parametrize(("last", "most"), [(4, 20_000), (5, 1_000_000)])
def test_where_pieces_lie_is_remembered_only_once_they_differ_in_size(last, most, tmp_path, monkeypatch):
    monkeypatch.setattr(spool, "IN_MEMORY", 3)
    made = put([b"abcd"], tmp_path)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(50_000):
        made.add(b"abcd")
    made.add(b"x" * last)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert made[50_001] == b"x" * last
    assert made[50_000] == b"abcd"
    assert most / 10 < grown < most if last == 5 else grown < most


@pytest.mark.parametrize("in_memory", [0, 1 << 20])
def test_numbers_put_aside_are_the_same_and_no_copy_stays(in_memory, monkeypatch):
    monkeypatch.setattr(spool, "IN_MEMORY", in_memory)
    table = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
    columns = {"a": table[:, 0], "b": table[:, 1], "c": np.full(7, math.nan, np.float32)}
    kept = spool.aside(columns.items())
    assert list(kept) == list(columns)
    for name, values in columns.items():
        assert np.array_equal(kept[name], values, equal_nan=True)
        assert not kept[name].flags.writeable
        assert not kept[name].flags.owndata


def test_few_bytes_make_no_file_and_many_leave_none(tmp_path, monkeypatch):
    monkeypatch.setattr(spool, "IN_MEMORY", 50)
    gone = tmp_path / "gone"
    few = put([b"x" * 50], gone)  # the folder is not even looked for
    assert few[0] == b"x" * 50
    with pytest.raises(FileNotFoundError):
        put([b"x" * 51], gone)
    many = put([b"ab" * 40, b"cd" * 40], tmp_path)
    whole = many.whole()
    assert list(tmp_path.iterdir()) == []
    del many
    assert whole.tobytes() == b"ab" * 40 + b"cd" * 40  # what is mapped outlives the object


def test_what_is_there_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        put([b"abc"]).whole()[0] = 1


@pytest.mark.parametrize("index", [-1, 2])
def test_other_pieces_are_refused(index):
    with pytest.raises(IndexError, match=f"piece {index} of 2"):
        put([b"a", b"b"])[index]


class Picture:
    duration = 40

    def __init__(self, number: int) -> None:
        self.pts, self.number = number * 40, number

    def bgr(self, width: int, height: int) -> np.ndarray:
        return np.random.default_rng(self.number // 10).integers(0, 256, (height, width, 3), np.uint8)

    def coded(self) -> tuple[float, bool, float]:
        return math.nan, True, math.nan

    def gray(self, width: int, height: int) -> np.ndarray:
        return self.bgr(width, height)[..., 0]


def test_signals_put_aside_are_those_kept_in_memory(tmp_path, monkeypatch):
    pictures = [Picture(number) for number in range(60)]
    size: dict[str, Any] = {"time_base": Fraction(1, 1000), "width": 96, "height": 54}
    kept = analyse(pictures, **size)
    monkeypatch.setattr(spool, "IN_MEMORY", 100)
    aside = analyse(pictures, folder=tmp_path, **size)
    assert len(aside.thumbs) == 5
    assert aside.to_bytes() == kept.to_bytes()
    assert np.array_equal(aside.thumbs[3:], kept.thumbs[3:])
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_frames_are_put_aside(tmp_path, monkeypatch):
    monkeypatch.setattr(spool, "IN_MEMORY", 100)
    of_shots, of_quality = tracks.Shots(tmp_path), tracks.Quality((256, 144), (0, 2), tmp_path)
    for _ in range(20):
        of_shots.keep((bytes(36), bytes(192)))
        of_quality.keep(bytes(76))
    for kept in (of_shots.numbers, of_shots.tiny, of_quality.numbers):
        assert kept._file._rolled  # in a file
    assert not any(isinstance(value, bytearray) for track in (of_shots, of_quality) for value in vars(track).values())


def test_a_disk_that_takes_no_more_ends_the_analysis(tmp_path, monkeypatch):
    monkeypatch.setattr(spool, "IN_MEMORY", 100)
    with pytest.raises(FileNotFoundError):
        analyse([Picture(0), Picture(1)], time_base=Fraction(1, 1000), width=96, height=54, folder=tmp_path / "gone")
