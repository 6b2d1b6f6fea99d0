"""Host memory for what waits between forward and backward: whole, in any order, and used again by all."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wantrain import fast_away
from wantrain.fast_away import Mover


@pytest.fixture
def small(monkeypatch):
    """Pieces of 64 bytes, sixteen of them at once."""
    monkeypatch.setattr(fast_away, "PIECE", 64)
    monkeypatch.setattr(fast_away, "ROW", 1024)


def tensors_of(sizes, seed):
    draw = torch.Generator().manual_seed(seed)
    kinds = (torch.bfloat16, torch.float32)
    return {f"t{n}": torch.randn(1, size, 3, generator=draw).to(kinds[n % 2]) for n, size in enumerate(sizes)}


@given(st.lists(st.lists(st.integers(1, 60), min_size=1, max_size=3), min_size=1, max_size=6), st.randoms())
def test_what_comes_back_is_what_was_put(blocks, random):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fast_away, "PIECE", 64)
        patch.setattr(fast_away, "ROW", 1024)
        mover = Mover()
        put = [tensors_of(sizes, number) for number, sizes in enumerate(blocks)]
        stored = {n: mover.put(n, {k: t.clone() for k, t in tensors.items()}) for n, tensors in enumerate(put)}
        order = list(stored)
        random.shuffle(order)
        for number in order:
            back = mover.take(number, stored[number])
            assert all(torch.equal(back[name], tensor) for name, tensor in put[number].items())
        assert len(mover.free) * 64 == mover.bytes


def test_a_tensor_in_another_order_comes_back_with_its_numbers(small):
    mover, tensor = Mover(), torch.arange(60.0).view(1, 5, 12).transpose(1, 2)
    back = mover.take(0, mover.put(0, {"h0": tensor}))["h0"]
    assert torch.equal(back, tensor)


def test_buckets_use_the_same_memory_one_after_the_other(small):
    """The largest step counts: 50 pieces, so four rows; kept apart by shape it would be eight."""
    mover = Mover()
    for size in (100, 400, 150, 213, 400):
        stored = [mover.put(number, {"h0": torch.randn(1, size)}) for number in range(1, 3)]
        for number in (2, 1):
            mover.take(number, stored[number - 1])
    assert mover.bytes == 4 * 1024
    assert len(mover.free) == 64


def test_a_step_that_broke_off_gives_its_memory_back(small):
    mover = Mover()
    for _ in range(5):
        stored = mover.put(1, {"h0": torch.randn(1, 200)})
        del stored  # no backward takes it
    assert mover.bytes == 1024
    mover.take(1, mover.put(1, {"h0": torch.randn(1, 200)}))
    assert len(mover.free) == 16


def test_memory_that_is_used_too_early_would_be_noticed(small):
    """A negative control: pieces given back before they are read bring back another's numbers."""
    mover, first = Mover(), torch.randn(1, 16)
    stored = mover.put(1, {"h0": first.clone()})
    stored["h0"].release()
    other = mover.put(2, {"h0": torch.randn(1, 16)})
    assert not torch.equal(mover.take(1, stored)["h0"], first)
    assert other["h0"].pieces


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_copies_and_work_beside_them_do_not_mix():
    mover, size = Mover(), (1, 8000, 5120)  # 78 MiB: ten pieces
    work = torch.randn(4096, 4096, device="cuda", dtype=torch.bfloat16)
    for seed in range(3):
        draw = torch.Generator("cuda").manual_seed(seed)
        blocks = [torch.randn(size, generator=draw, device="cuda", dtype=torch.bfloat16) for _ in range(6)]
        sums, stored = [b.double().sum() for b in blocks], []
        for number in range(6):
            stored.append(mover.put(number, {"h0": blocks[number]}))
            blocks[number] = None
            for _ in range(4):
                work = torch.nn.functional.normalize(work @ work)
            torch.randn(size, device="cuda", dtype=torch.bfloat16)  # wants the memory that was just let go
        for number in reversed(range(6)):
            assert torch.equal(mover.take(number, stored[number])["h0"].double().sum(), sums[number])
    assert len(mover.free) * fast_away.PIECE == mover.bytes == 2 * fast_away.ROW
