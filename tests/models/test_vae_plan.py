"""What a plan takes, counted tensor by tensor, and which is chosen; strips and stretches yield what the whole does."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tinyvae import FIVE, WAN, make, pixels, theirs
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from wanprep.models import vae as codec
from wanprep.models import vae_plan
from wanprep.models.vae_fast import FastEncoder
from wanprep.models.vae_plan import (
    LIBRARIES,
    Plan,
    choose,
    halo,
    handed,
    least,
    peak_bytes,
    reach,
    spans,
    stretch_frames,
    strips,
    usual,
)

FULL: dict[str, Any] = {"num_res_blocks": 2, "dim_mult": [1, 2, 4, 4], "temperal_downsample": [False, True, True]}
WAN_FULL = type("Config", (), FULL | {"base_dim": 96, "patch_size": None, "in_channels": 3})()
FIVE_FULL = type("Config", (), FULL | {"base_dim": 160, "patch_size": 2, "in_channels": 12})()
GIB = 2**30


pytestmark = pytest.mark.usefixtures("one_thread")


class Counted(TorchDispatchMode):
    """Bytes of all tensors that are alive, looked at after every operation; those that were there before count not."""

    def __init__(self) -> None:
        super().__init__()
        self.alive: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        before = {t.untyped_storage()._cdata for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)}
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor) and (storage := tensor.untyped_storage())._cdata not in before:
                self.alive[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.alive = {key: kept for key, kept in self.alive.items() if not kept[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self.alive.values()))
        return out


def counted(encoder: FastEncoder, shown: torch.Tensor, plan: Plan, **more: Any) -> int:
    with Counted() as mode:
        encoder(shown, plan, **more)
    return mode.peak + shown.nbytes


@pytest.mark.parametrize("size", [WAN, FIVE], ids=["2.1", "5b"])
@pytest.mark.parametrize(
    ("frames", "plan"),
    [
        (21, Plan(stretch=16, strips=1, rest=20)),
        (21, Plan(stretch=8, strips=1, rest=4)),
        (21, Plan(stretch=4, strips=1, rest=4)),
        (21, Plan(stretch=4, strips=4, rest=4)),
        (13, Plan(stretch=4, strips=3, rest=12)),
        (1, Plan(stretch=4, strips=1, rest=4)),
    ],
)
def test_memory_is_planned_as_counted(size: dict[str, Any], frames: int, plan: Plan) -> None:
    """Neither less than is taken nor much more."""
    patch = size.get("patch_size") or 1
    vae = make(size | {"num_res_blocks": 2, "base_dim": 16})
    shown = pixels(frames, 64 * patch, 32 * patch)
    planned = peak_bytes(vae.config, 32 * patch, 64 * patch, frames, plan, kernels="torch", size=4) - LIBRARIES
    taken = counted(FastEncoder(vae), shown, plan)
    assert taken <= planned <= 1.2 * taken


def test_a_name_kept_too_long_is_noticed() -> None:
    """The counting sees an activation that lives longer than planned."""
    plan = Plan(stretch=4, strips=1, rest=4)
    encoder = FastEncoder(make(WAN | {"num_res_blocks": 2, "base_dim": 16}))
    taken = counted(encoder, pixels(13, 64, 32), plan)
    kept: list[Any] = []
    for block in encoder.large[0].blocks:
        own = block.settle
        block.settle = lambda *args, own=own, **more: (kept.append(args[0]), own(*args, **more))[1]
    assert counted(encoder, pixels(13, 64, 32), plan) > 1.2 * taken


@pytest.mark.parametrize("condition", [False, True], ids=["clip", "condition"])
@pytest.mark.parametrize("size", [WAN, FIVE, WAN | {"num_res_blocks": 2}], ids=["2.1", "5b", "two blocks"])
def test_no_cut_changes_a_value(size: dict[str, Any], condition: bool) -> None:
    """Against diffusers' class: 14 and 26 rows of cells in 1 to 6 strips are odd borders and unlike heights."""
    patch = size.get("patch_size") or 1
    encoder = FastEncoder(vae := make(size))
    for frames, rows, cuts in ((29, 56, ((4, 3, 4), (12, 2, 16))), (13, 104, ((8, 6, 4),))):
        shown = pixels(frames, rows * patch, 16 * patch)
        wanted = codec.raw(vae, codec.first_then_grey(shown)) if condition else theirs(vae, shown)
        for stretch, count, rest in cuts:
            found = encoder(shown, Plan(stretch=stretch, strips=count, rest=rest), condition=condition)
            assert (found - wanted).abs().max() < 1e-5 * wanted.abs().max()


WHOLE: dict[Any, Any] = {}


@settings(max_examples=12, deadline=None)
@given(
    five=st.booleans(), frames=st.sampled_from([1, 5, 9, 17]), cells=st.sampled_from([8, 10, 14]), data=st.data()
)  # fmt: skip
def test_every_cut_yields_what_the_whole_does(five: bool, frames: int, cells: int, data: st.DataObject) -> None:
    if five not in WHOLE:
        WHOLE[five] = FastEncoder(make(FIVE if five else WAN))
    encoder, patch = WHOLE[five], 2 if five else 1
    shown = pixels(frames, cells * 4 * patch, 16 * patch)
    if (five, frames, cells) not in WHOLE:
        WHOLE[five, frames, cells] = encoder(shown)
    wanted = WHOLE[five, frames, cells]
    fours = st.integers(1, 5).map(lambda n: 4 * n)
    plan = Plan(stretch=data.draw(fours), strips=data.draw(st.integers(1, cells)), rest=data.draw(fours))
    assert (encoder(shown, plan) - wanted).abs().max() < 1e-5 * wanted.abs().max()


@pytest.mark.parametrize("size", [WAN, WAN | {"num_res_blocks": 2}, FIVE], ids=["one block", "two blocks", "5b"])
@pytest.mark.parametrize("side", [0, 1], ids=["above", "below"])
def test_a_halo_one_row_too_small_is_noticed(monkeypatch: pytest.MonkeyPatch, size: dict[str, Any], side: int) -> None:
    patch = size.get("patch_size") or 1
    encoder = FastEncoder(make(size))
    shown = pixels(5, 96 * patch, 16 * patch)
    wanted = encoder(shown)
    plan = Plan(stretch=4, strips=2, rest=4)
    needed = halo(encoder.config)
    assert (encoder(shown, plan) - wanted).abs().max() < 1e-5 * wanted.abs().max()
    monkeypatch.setattr(vae_plan, "halo", lambda config: tuple(n - (k == side) for k, n in enumerate(needed)))
    assert (encoder(shown, plan) - wanted).abs().max() > 1e-4 * wanted.abs().max()


def test_the_grey_frames_are_run_until_nothing_changes_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = FastEncoder(vae := make(WAN))
    shown = pixels(41, 16, 16)
    wanted = codec.raw(vae, codec.first_then_grey(shown))
    plan = Plan(stretch=4, strips=1, rest=40)
    entered: list[tuple[int, int]] = []
    own = encoder._enter
    monkeypatch.setattr(encoder, "_enter", lambda *args: (entered.append(args[1:3]), own(*args))[1])

    def off() -> float:
        return float((encoder(shown, plan, condition=True) - wanted).abs().max() / wanted.abs().max())

    assert reach(encoder.config) == 12  # 2 of the first convolution, 4 a block, 2 on the way down
    assert off() < 1e-5
    assert entered == [(0, 5), (5, 9), (9, 13), (13, 17)]
    entered.clear()
    assert float((encoder(shown, condition=True) - wanted).abs().max()) < 1e-5  # in one stretch, where memory allows
    assert entered == [(0, 17)]
    monkeypatch.setattr(vae_plan, "reach", lambda config: 7)
    assert off() > 1e-5
    entered.clear()
    encoder(shown, plan)
    assert entered[-1] == (37, 41)  # a clip's own frames are all run


def test_stretches_and_strips_cover_everything_once() -> None:
    assert list(spans(1, 8)) == [(0, 1)]
    assert list(spans(21, 8)) == [(0, 9), (9, 17), (17, 21)]
    assert [handed(WAN_FULL, frames) for frames in (0, 1, 5, 9, 81)] == [0, 1, 3, 5, 41]
    assert (halo(WAN_FULL), reach(WAN_FULL)) == ((4, 4), 20)
    for rows, count in ((480, 1), (480, 7), (720, 45), (352, 8)):
        cut = strips(WAN_FULL, rows, count)
        assert [s.first for s in cut] == [0, *(s.last for s in cut[:-1])]
        assert cut[-1].last == rows // 4 == cut[-1].bottom
        assert cut[0].top == 0
    assert stretch_frames(480, 832) == 8
    assert stretch_frames(720, 1280) == 4
    assert stretch_frames(4000, 4000) == 4
    for wrong in ({"stretch": 6}, {"rest": 0}, {"strips": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Plan(**({"stretch": 4, "strips": 1, "rest": 4} | wrong))


BUCKETS = ((WAN_FULL, 832, 480, 81), (WAN_FULL, 1280, 720, 81), (WAN_FULL, 384, 208, 45), (FIVE_FULL, 1280, 704, 121))


@pytest.mark.parametrize("bucket", BUCKETS, ids=lambda b: f"{b[1]}x{b[2]}x{b[3]}")
@pytest.mark.parametrize("kernels", ["triton", "torch"])
def test_the_plan_is_the_least_slow_that_fits(bucket: tuple[Any, ...], kernels: str) -> None:
    bound = peak_bytes(*bucket, least(*bucket[:3]), kernels=kernels)
    whole = usual(*bucket[1:])
    assert choose(*bucket, 80 * GIB, kernels=kernels) == whole
    assert choose(*bucket, bound, kernels=kernels) is not None
    assert choose(*bucket, bound - 1, kernels=kernels) is None
    before = whole
    for sixteenths in range(160, 8, -1):
        free = sixteenths * GIB // 16
        plan = choose(*bucket, free, kernels=kernels)
        if plan is None:
            assert free < bound
            continue
        assert peak_bytes(*bucket, plan, kernels=kernels) <= free
        assert plan.strips >= before.strips
        assert plan.rest <= before.rest
        longer = Plan(stretch=plan.stretch + 4, strips=plan.strips, rest=plan.rest)
        assert plan.stretch == whole.stretch or peak_bytes(*bucket, longer, kernels=kernels) > free
        fewer = Plan(stretch=4, strips=max(1, plan.strips - 1), rest=plan.rest)
        assert plan.strips == 1 or peak_bytes(*bucket, fewer, kernels=kernels) > free
        before = plan


def test_small_cards_are_enough() -> None:
    """What docs/measured/caches.md says."""
    for config, width, height, frames in BUCKETS:
        assert peak_bytes(config, width, height, frames, least(config, width, height)) < 3 * GIB
    assert 4 * GIB < peak_bytes(*BUCKETS[0], usual(832, 480, 81)) < 4.5 * GIB
    assert 8 * GIB < peak_bytes(*BUCKETS[1], usual(1280, 720, 81)) < 8.5 * GIB
