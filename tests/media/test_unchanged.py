"""Files that change while they are read."""

import os

import pytest

from wanprep.ids import digest_bytes
from wanprep.media.unchanged import unchanged
from wanprep.stage import Failed, Reject
from wanprep.steps import Analyse

ABC = digest_bytes(b"abc")


def seen(path):
    return path.stat().st_size, path.stat().st_mtime_ns


@pytest.fixture
def path(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"abc")
    return tmp_path / "a.bin"


def test_what_stays_as_it_was_passes(path):
    with unchanged(path, seen(path), ABC):
        pass
    with pytest.raises(Reject, match="unreadable"), unchanged(path, seen(path), ABC):
        raise Reject("unreadable")


@pytest.mark.parametrize("raised", [None, Reject("unreadable")])
def test_what_grows_meanwhile_is_no_result_and_no_rejection(path, raised):
    def grow():
        path.write_bytes(b"abcdef")
        if raised:
            raise raised

    with pytest.raises(Failed, match="it had 3 bytes when this run began and has 6 now") as caught:  # noqa: SIM117
        with unchanged(path, seen(path), ABC):
            grow()
    assert caught.value.reason == "file_changed"


def test_what_is_written_over_with_as_many_bytes_is_noticed(path):
    size, mtime_ns = seen(path)
    path.write_bytes(b"xyz")
    os.utime(path, ns=(mtime_ns, mtime_ns + 1))
    with pytest.raises(Failed, match="written anew"), unchanged(path, (size, mtime_ns), ABC):
        raise AssertionError("it was read though it had changed before")


def test_what_was_copied_or_touched_is_the_same_file(path):
    size, mtime_ns = seen(path)
    os.utime(path, ns=(mtime_ns, mtime_ns + 10**9))
    with unchanged(path, (size, mtime_ns), ABC):
        pass
    with pytest.raises(Failed, match="written anew"), unchanged(path, (size, mtime_ns), ABC):
        os.utime(path, ns=(mtime_ns, mtime_ns + 2 * 10**9))  # but somebody was at it meanwhile


def test_the_analysis_of_a_file_that_was_replaced_leaves_nothing(tmp_path, footage):
    movie = footage.make_video(tmp_path / "a.mp4", frames=12)
    args = {"path": str(movie), "source_id": "a", "seen": seen(movie)}
    stage = Analyse(str(tmp_path))
    (row,) = stage.measure(args, {"key0": None})
    assert row["n_frames"] == 12
    footage.make_video(movie, frames=13)
    with pytest.raises(Failed):
        list(stage.measure(args, {"key1": None}))
    assert not list(tmp_path.glob("signals/*/key1*"))
