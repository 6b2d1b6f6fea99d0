"""Rows change places through host memory for one of them and one piece, whatever their lengths and the order."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some

from wantrain import slabs as module
from wantrain.slabs import Slabs, swap

PIECE = 8
NOTHING = torch.empty(0, dtype=torch.uint8)


def pieces(length):
    return -(-length // PIECE)


def filled(length, seed):
    return torch.randint(0, 256, (length,), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


class Stage:
    """Rows of which one is on the device; the others hold their bytes in slabs, and their own memory is overwritten."""

    def __init__(self, lengths):
        self.slabs = Slabs(PIECE, pinned=False)
        self.wanted = [filled(length, number) for number, length in enumerate(lengths)]
        self.rows = [row.clone() for row in self.wanted]
        self.held = {}
        for number in range(1, len(lengths)):
            self.move(number, None)
        self.here = 0

    def move(self, leaving, coming):
        out = NOTHING if leaving is None else self.rows[leaving]
        into = NOTHING if coming is None else self.rows[coming]
        held = [] if coming is None else self.held.pop(coming)
        taken = swap(out, into, held, self.slabs)
        assert not held
        if leaving is not None:
            self.held[leaving] = taken
            out.fill_(255)
        self.here = coming


@settings(max_examples=60, deadline=None)
@given(
    lengths=some.lists(some.integers(0, 40), min_size=2, max_size=4),
    order=some.lists(some.tuples(some.integers(0, 3), some.booleans(), some.integers(1, 255)), max_size=12),
)
def test_rows_are_right_after_any_order_of_switches(lengths, order):
    stage = Stage(lengths)
    for wish, parked, change in order:
        coming = wish % len(lengths)
        if parked and stage.here is not None:
            stage.move(stage.here, None)
        if coming != stage.here:
            stage.move(stage.here, coming)
        assert torch.equal(stage.rows[coming], stage.wanted[coming])
        stage.rows[coming] += change  # at work
        stage.wanted[coming] += change
        made = stage.slabs.total // PIECE
        assert made == len(stage.slabs.free) + sum(len(held) for held in stage.held.values())
    assert all(len(held) == pieces(lengths[number]) for number, held in stage.held.items())


@settings(max_examples=60, deadline=None)
@given(first=some.integers(1, 60), second=some.integers(1, 60), switches=some.integers(1, 6))
def test_two_rows_take_the_longer_one_and_a_piece(first, second, switches):
    stage = Stage([first, second])
    for number in range(switches):
        stage.move(stage.here, 1 - number % 2)
        assert stage.slabs.total // PIECE <= max(pieces(first), pieces(second)) + 1
        assert torch.equal(stage.rows[stage.here], stage.wanted[stage.here])


def test_a_slab_that_is_taken_too_early_would_be_noticed(monkeypatch):
    """The negative control: what leaves overwrites what has yet to come."""
    stage = Stage([20, 20])
    monkeypatch.setattr(stage.slabs, "take", lambda: stage.last)
    stage.last = stage.held[1][-1]
    stage.move(0, 1)
    assert not torch.equal(stage.rows[1], stage.wanted[1])


def test_as_many_slabs_as_asked_for_and_those_in_use_stay(monkeypatch):
    gone = []
    monkeypatch.setattr(module, "unlock", gone.append)
    slabs = Slabs(PIECE, pinned=False)
    slabs.have(3)
    assert (slabs.total, len(slabs.free)) == (3 * PIECE, 3)
    used = [slabs.take() for _ in range(2)]
    slabs.have(0)
    assert (slabs.total, len(slabs.free), len(gone)) == (2 * PIECE, 0, 1)
    for slab in used:
        slabs.give(slab)
    slabs.have(2)
    assert len(gone) == 1
    slabs.have(1)
    assert (slabs.total, len(slabs.free), len(gone)) == (PIECE, 1, 2)


def test_locked_memory_is_unlocked_before_it_goes(monkeypatch):
    """Without a GPU: what CUDA is asked, and that nobody else gets the pages meanwhile."""
    calls, answer = [], [0]

    class Runtime:
        def cudaHostRegister(self, at, size, flags):
            calls.append(("lock", at, size))
            return answer[0]

        def cudaHostUnregister(self, at):
            calls.append(("unlock", at))
            return answer[0]

    monkeypatch.setattr(torch.cuda, "cudart", Runtime)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: calls.append("wait"))
    monkeypatch.setattr(module, "_LOCKED", {})
    slabs = Slabs(5000, pinned=True)
    slabs.have(1)
    at = slabs.free[0][0].data_ptr()
    assert at % module.PAGE == 0
    assert list(module._LOCKED) == [at]
    slabs.have(0)
    assert calls == [("lock", at, 2 * module.PAGE), "wait", ("unlock", at)]
    assert not module._LOCKED
    assert slabs.total == 0
    slabs.have(1)
    answer[0] = 1
    with pytest.raises(RuntimeError, match="cudaHostUnregister refused 5000"):
        slabs.have(0)
    assert len(module._LOCKED) == 1
    with pytest.raises(RuntimeError, match="cudaHostRegister refused"):
        slabs.have(2)


# --- on a GPU ---


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_rows_change_places_on_a_gpu():
    """Many switches in a row without waiting: every copy of a slab comes after the one before it."""
    slabs, sizes = Slabs(2**20, pinned=True), (37 * 2**20 + 5, 21 * 2**20)
    wanted = [filled(size, number) for number, size in enumerate(sizes)]
    rows = [row.cuda() for row in wanted]
    held = [[], swap(rows[1], NOTHING, [], slabs)]
    for turn in range(40):
        leaving, coming = turn % 2, 1 - turn % 2
        rows[coming].zero_()
        held[leaving] = swap(rows[leaving], rows[coming], held[coming], slabs)
        rows[leaving].fill_(255)
        held[coming] = []
        rows[coming] += 1
    swap(NOTHING, rows[1], held[1], slabs)
    assert slabs.total == (38 + 1) * 2**20
    for row, was in zip(rows, wanted, strict=True):
        assert torch.equal(row.cpu(), was + 20)
    slabs.have(0)
    assert slabs.total == 0
