"""Signals: what must hold of them, and that a file gives back exactly what was saved."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from wanprep import ids
from wanprep.signals.store import Signals
from wanprep.signals.thumbs import Thumbs, encode


def make(n: int = 7, width: int = 6, height: int = 4, **changes) -> Signals:
    rng = np.random.default_rng(3)
    frame = {"a": rng.random(n).astype(np.float32), "b": np.full(n, np.nan, np.float32)}
    fields = {
        "time_base": Fraction(1, 90000),
        "width": width,
        "height": height,
        "pts": 1000 + np.cumsum(rng.integers(1, 5000, n)).astype(np.int64),
        "last_duration": 3003,
        "frame": frame,
        "sampled": np.array([0, 3], np.int32),
        "thumbs": rng.integers(0, 256, (2, 4, 8, 3)).astype(np.uint8),
        "row_p97": rng.integers(0, 256, (2, height)).astype(np.uint8),
        "col_p97": rng.integers(0, 256, (2, width)).astype(np.uint8),
        "truncated": 'invalid data at 1.5 s — "ü"',
        "extra": {"hist": rng.integers(0, 256, (n, 5)).astype(np.uint8)},
    }
    return Signals(**(fields | changes))


def same(left: Signals, right: Signals) -> bool:
    return left.to_bytes() == right.to_bytes()


def test_round_trip_is_exact(tmp_path: Path):
    signals = make()
    path = tmp_path / "deep" / "a.safetensors"
    digest = signals.save(path)
    back = Signals.load(path)
    assert digest == ids.digest_file(path)
    assert same(back, signals)
    assert back.time_base == Fraction(1, 90000)
    assert back.truncated == signals.truncated
    assert np.array_equal(back.frame["b"], signals.frame["b"], equal_nan=True)
    assert back.extra["hist"].dtype == np.uint8
    assert list(tmp_path.glob("**/.tmp*")) == []


def test_one_changed_number_changes_the_digest(tmp_path: Path):
    signals = make()
    other = replace(signals, frame=signals.frame | {"a": signals.frame["a"] + np.float32(1e-6)})
    assert signals.save(tmp_path / "a") == signals.save(tmp_path / "b")
    assert signals.save(tmp_path / "a") != other.save(tmp_path / "b")


def test_views_of_arrays_are_saved_as_they_read(tmp_path: Path):
    signals = make()
    flipped = replace(signals, thumbs=signals.thumbs[:, ::-1, :, ::-1])
    flipped.save(tmp_path / "a")
    assert np.array_equal(Signals.load(tmp_path / "a").thumbs, signals.thumbs[:, ::-1, :, ::-1])


def test_seconds_and_end():
    signals = make(3, pts=np.array([900, 3900, 9900], np.int64), frame={}, extra={}, sampled=np.array([0, 2], np.int32))
    assert signals.seconds() == pytest.approx([0, 3000 / 90000, 0.1])
    assert signals.seconds(1, 3).tolist() == signals.seconds()[1:3].tolist()
    assert signals.end_pts() == 9900 + 3003
    assert replace(signals, last_duration=0).end_pts() == 9900 + 4500
    lone = make(1, pts=np.array([5], np.int64), frame={}, extra={}, last_duration=0, sampled=np.array([0], np.int32),
                thumbs=np.zeros((1, 2, 2, 3), np.uint8), row_p97=np.zeros((1, 4), np.uint8),
                col_p97=np.zeros((1, 6), np.uint8))  # fmt: skip
    assert lone.end_pts() == 6


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pts": np.array([0, 2, 2, 3, 4, 5, 6], np.int64)}, "frame 2"),
        ({"pts": np.arange(7, dtype=np.int32)}, "int64"),
        ({"pts": np.array([], np.int64)}, "at least one frame"),
        ({"frame": {"a": np.zeros(6, np.float32)}}, "frame\\['a'\\]"),
        ({"frame": {"a": np.zeros(7)}}, "float32"),
        ({"extra": {"h": np.zeros((6, 2))}}, "6 rows for 7"),
        ({"sampled": np.array([3, 0], np.int32)}, "increasing"),
        ({"sampled": np.array([0, 7], np.int32)}, "below 7"),
        ({"row_p97": np.zeros((2, 5), np.uint8)}, "row_p97"),
        ({"thumbs": np.zeros((1, 4, 8, 3), np.uint8)}, "thumbs"),
        ({"time_base": Fraction(0)}, "time_base"),
        ({"width": 0}, "0x4"),
        ({"last_duration": -1}, "last_duration"),
    ],
)
def test_impossible_signals_are_refused(changes, message):
    make()  # the control: the same fields without the change are accepted
    with pytest.raises(ValueError, match=message):
        make(**changes)


def test_other_files_are_refused_with_the_remedy(tmp_path: Path):
    from safetensors.numpy import save_file

    (tmp_path / "text").write_text("not tensors at all")
    save_file({"pts": np.arange(3)}, tmp_path / "other")
    for name in ("text", "other"):
        with pytest.raises(ValueError, match="analyse the source again"):
            Signals.load(tmp_path / name)
    with pytest.raises(FileNotFoundError):
        Signals.load(tmp_path / "absent")


def pictures(n: int = 5) -> np.ndarray:
    import cv2

    rng = np.random.default_rng(8)
    small = rng.integers(0, 256, (n, 6, 8, 3)).astype(np.uint8)
    return np.stack([cv2.resize(p, (64, 48), interpolation=cv2.INTER_CUBIC) for p in small])


@pytest.mark.parametrize("stored", [False, True])
def test_thumbs_index_like_an_array_and_look_like_it(stored):
    truth = pictures()
    files = [encode(p) for p in truth]
    together = np.frombuffer(b"".join(files), np.uint8), np.array([len(file) for file in files])
    thumbs = Thumbs.unpack(*together, 48, 64) if stored else Thumbs(files, 48, 64)
    assert (thumbs.shape, thumbs.dtype, len(thumbs), thumbs.ndim) == (truth.shape, truth.dtype, 5, 4)
    whole = np.asarray(thumbs)
    error = whole.astype(float) - truth
    assert 10 * np.log10(255**2 / np.mean(error**2)) > 36
    assert np.abs(error.mean(axis=(0, 1, 2))).max() < 0.5
    mask = np.array([True, False, True, False, False])
    for index in (0, -1, np.int64(2), slice(1, 4), slice(4, 1), [3, 0], mask, np.array([1, 1]), ...):
        assert np.array_equal(thumbs[index], whole[index])
    assert np.array_equal(thumbs[1:3, ..., 0], whole[1:3, ..., 0])
    assert np.array_equal(thumbs[2, :5], whole[2, :5])
    assert np.array_equal(np.stack(list(thumbs)), whole)
    for beyond in (5, -6):
        with pytest.raises(IndexError):
            thumbs[beyond]


def test_thumbs_survive_saving_and_are_compared_by_their_bytes(tmp_path: Path):
    files = [encode(p) for p in pictures(2)]
    signals = make(thumbs=Thumbs(files, 48, 64))
    assert signals.save(tmp_path / "a") == make(thumbs=Thumbs(files, 48, 64)).save(tmp_path / "b")
    back = Signals.load(tmp_path / "a")
    assert isinstance(back.thumbs, Thumbs)
    assert same(back, signals)
    assert np.array_equal(back.thumbs[:], signals.thumbs[:])
    assert same(Signals.load(tmp_path / "b"), signals)
    with pytest.raises(ValueError, match="thumbs"):
        make(thumbs=Thumbs(files[:1], 48, 64))


def test_damaged_thumbs_are_noticed():
    files = [encode(p) for p in pictures(2)]
    with pytest.raises(ValueError, match="analyse the source again"):
        Thumbs([files[0], b"nothing"], 48, 64)[1]
    with pytest.raises(ValueError, match="add up"):
        Thumbs.unpack(np.zeros(9, np.uint8), np.array([4, 4]), 48, 64)
