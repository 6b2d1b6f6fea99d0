"""Frames come back as they were given, in memory and out of it."""

from pathlib import Path

import numpy as np
import pytest

from wanprep.media.spool import Spool


@pytest.mark.parametrize("room", [0, 1, 250, 400, 10_000])
def test_frames_come_back_in_order_and_more_than_once(room, tmp_path):
    frames = [np.full((4, 8, 3), n, np.uint8) for n in range(7)]
    order = [frames[0], frames[0], *frames[1:], frames[6]]
    spool = Spool(tmp_path, room)
    for frame in order:
        spool.add(frame)
    for _ in range(2):
        assert [int(frame[0, 0, 0]) for frame in spool] == [0, 0, 1, 2, 3, 4, 5, 6, 6]
    assert all(frame.shape == (4, 8, 3) for frame in spool)
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_memory_is_bounded_and_the_file_is_closed(tmp_path):
    before = len(list(Path("/proc/self/fd").iterdir()))
    spool = Spool(tmp_path, 96 * 2)
    for n in range(5):
        spool.add(np.full((4, 8, 3), n, np.uint8))
    assert len(spool._held) == 2
    assert len(list(Path("/proc/self/fd").iterdir())) == before + 1
    spool.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
