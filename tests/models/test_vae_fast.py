"""The encoder of our own: diffusers' latents by another order of work; and which way is taken where."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tinyvae import FIVE, WAN, make, pixels, theirs

from wanprep.models import vae as codec
from wanprep.models import vae_encoder, vae_fast, vae_plan
from wanprep.models.vae_encoder import LatentEncoder
from wanprep.models.vae_fast import FastEncoder
from wanprep.models.vae_plan import LIBRARIES, Plan
from wanprep.stage import Missing

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("size", [WAN, FIVE], ids=["2.1", "5b"])
@pytest.mark.parametrize("frames", [1, 5, 21])
@pytest.mark.parametrize(("stretch", "strips", "rest"), [(4, 1, 4), (8, 2, 8), (12, 1, 20), (None, None, None)])
def test_other_orders_of_work_give_diffusers_latents(size, frames: int, stretch, strips, rest) -> None:
    vae = make(size)
    shown = pixels(frames, 32, 64)
    wanted = theirs(vae, shown)
    plan = Plan(stretch=stretch, strips=strips, rest=rest) if stretch else None
    found = FastEncoder(vae)(shown, plan)
    assert found.shape == wanted.shape
    assert (found - wanted).norm() < 1e-5 * wanted.norm()
    other = FastEncoder(vae)(255 - shown, plan)
    assert (other - wanted).norm() > 0.01 * wanted.norm()


def test_a_clip_leaves_nothing_behind_for_the_next() -> None:
    vae = make(WAN)
    encoder = FastEncoder(vae)
    plan = Plan(stretch=4, strips=1, rest=4)
    first = encoder(pixels(9, 32, 32), plan)
    encoder(pixels(21, 48, 32), plan)
    assert torch.equal(first, encoder(pixels(9, 32, 32), plan))


def test_a_clip_that_was_broken_off_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = FastEncoder(make(WAN))
    plan = Plan(stretch=4, strips=1, rest=4)
    first = encoder(pixels(9, 32, 32), plan)
    for name, after in (("_enter", 2), ("_rest", 2)):
        calls: list[int] = []
        own = getattr(encoder, name)

        def broken(*args: Any, own: Any = own, calls: list[int] = calls, after: int = after) -> Any:
            calls.append(1)
            if len(calls) > after:
                raise MemoryError
            return own(*args)

        monkeypatch.setattr(encoder, name, broken)
        with pytest.raises(MemoryError):
            encoder(pixels(21, 32, 32), plan)
        monkeypatch.undo()
        assert any(conv.tail is not None for conv in encoder.convs)
        assert torch.equal(first, encoder(pixels(9, 32, 32), plan))


def test_half_precision_is_near() -> None:
    vae = make(WAN)
    shown = pixels(9, 32, 64)
    wanted = theirs(vae, shown)
    half = FastEncoder(make(WAN).to(torch.bfloat16))(shown)
    assert 0 < (half - wanted).norm() < 0.05 * wanted.norm()


def test_the_triton_kernels_agree_in_the_interpreter() -> None:
    pytest.importorskip("triton")
    program = Path(__file__).with_name("vae_triton_check.py")
    done = subprocess.run([sys.executable, str(program)], capture_output=True, text=True)
    assert done.stdout.strip() == "agree", done.stderr[-2000:]


def encoder_of(load: Any, device: str = "cpu", **more: Any) -> LatentEncoder:
    return LatentEncoder(load, device, **more)


def test_the_cpu_takes_diffusers_own_class_in_fp32() -> None:
    asked: list[str] = []

    def load(compute: str) -> Any:
        asked.append(compute)
        return make(WAN)

    encoder = encoder_of(load)
    latent, compute = encoder.start(pixels(5, 32, 32)).done()
    assert (encoder.path, compute, asked) == ("plain", "fp32", ["fp32"])
    assert torch.equal(latent, codec.encode(make(WAN), pixels(5, 32, 32).numpy()))
    encoder.refuse_too_large(10**5, 10**5, 81)  # a GPU's memory is no limit here


@pytest.mark.parametrize(
    ("more", "path", "compute"),
    [
        ({}, "fast", "fp16"),
        ({"path": "plain"}, "plain", "fp16"),
        ({"compute": "bf16"}, "fast", "bf16"),
        ({"compute": "fp32"}, "plain", "fp32"),
        ({"tiling": True}, "plain", "fp16"),
    ],
)
def test_what_a_gpu_takes(more: dict[str, Any], path: str, compute: str) -> None:
    encoder = encoder_of(lambda _: None, "cuda", **more)
    assert (encoder.path, encoder.compute) == (path, compute)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Says how much memory is free; the fast encoder runs on the CPU with plain formulas."""
    monkeypatch.setattr(vae_fast, "kernels", lambda: "torch")
    return lambda free: monkeypatch.setattr(vae_encoder, "free_bytes", lambda device: free)


@pytest.mark.parametrize(("device", "index"), [("cuda", 2), ("cuda:1", 1)])
def test_free_memory_is_asked_of_a_card_by_its_number(monkeypatch: pytest.MonkeyPatch, device: str, index: int) -> None:
    """torch tells a process's limit of a number only, and a run's device is mostly plain "cuda"."""
    told = {
        "current_device": lambda: 2, "mem_get_info": lambda at: (30, 100),
        "get_per_process_memory_fraction": lambda at: 0.5 if torch.cuda._utils._get_device_index(at) == index else 0,
        "memory_reserved": lambda at: 40, "memory_allocated": lambda at: 15,
    }  # fmt: skip
    for name, answer in told.items():
        monkeypatch.setattr(torch.cuda, name, answer)
    assert vae_encoder.free_bytes(device) == 50 - 15


def test_a_small_card_cuts_a_clip_and_its_latent_is_the_same(card: Callable[[int], None]) -> None:
    shown = pixels(13, 96, 64)
    found = {}
    for name, free in (("large", 1 << 40), ("small", LIBRARIES + 2_500_000)):
        encoder = encoder_of(lambda _: make(WAN), "cuda")
        card(free)
        encoder.refuse_too_large(64, 96, 13)
        card(0)  # settled once a bucket: what comes later does not count
        jobs = [encoder.start(shown, condition=condition) for condition in (False, True)]
        found[name] = [job.done()[0] for job in jobs]
        assert jobs[0].plan is not None
        assert (jobs[0].plan.strips > 1) == (jobs[0].plan.stretch < 12) == (name == "small")
        assert jobs[1].plan == jobs[0].plan
    for large, small in zip(*found.values(), strict=True):
        assert (large - small).norm() < 1e-5 * large.norm()
    assert torch.allclose(found["large"][0], codec.encode(make(WAN), shown.numpy()), atol=1e-4)
    assert torch.allclose(found["large"][1], codec.condition(make(WAN), shown.numpy()), atol=1e-4)


@pytest.mark.parametrize("times", [2, 99])
def test_a_plan_that_runs_out_of_memory_makes_way_for_a_smaller_one(
    card: Callable[[int], None], monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """Memory that was free when it was planned may be gone, or in pieces."""
    tried: list[Plan | None] = []
    own = FastEncoder.__call__

    def short(self: FastEncoder, shown: torch.Tensor, plan: Plan | None = None, **more: Any) -> torch.Tensor:
        tried.append(plan)
        if len(tried) <= times:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return own(self, shown, plan, **more)

    monkeypatch.setattr(FastEncoder, "__call__", short)
    size = WAN | {"num_res_blocks": 2}
    encoder = encoder_of(lambda _: make(size), "cuda")
    card(1 << 40)
    if times == 99:
        with pytest.raises(torch.OutOfMemoryError):
            encoder.start(torch.zeros(81, 480, 832, 3, dtype=torch.uint8))
    else:
        monkeypatch.setattr(FastEncoder, "_large", lambda self, *_: torch.zeros(41, 4, 4, 16))
        job = encoder.start(torch.zeros(81, 480, 832, 3, dtype=torch.uint8))
        assert job.plan == tried[-1] == encoder.plan(832, 480, 81)
    taken = [vae_plan.peak_bytes(encoder.config, 832, 480, 81, plan, kernels="torch") for plan in tried if plan]
    assert len(taken) > 2
    assert all(after <= 0.85 * before for before, after in itertools.pairwise(taken))


def test_a_bucket_is_refused_only_when_its_smallest_plan_does_not_fit(card: Callable[[int], None]) -> None:
    full = WAN | {"num_res_blocks": 2}
    encoder = encoder_of(lambda _: make(full), "cuda")
    card(LIBRARIES)
    with pytest.raises(Missing, match=r"at least 0\.9 GiB, in 45 strips of 4 frames; 0\.5 GiB are free"):
        encoder.refuse_too_large(1280, 720, 81)
    card(1 << 30)
    encoder.refuse_too_large(1280, 720, 81)
    assert encoder.plan(1280, 720, 81).strips > 1
    plain = encoder_of(lambda _: make(full), "cuda", path="plain")
    card(LIBRARIES)
    with pytest.raises(Missing, match=r"by diffusers' class takes about 2\.2 GiB") as caught:
        plain.refuse_too_large(1280, 720, 81)
    assert "cache.tiling = true" in caught.value.remedy
    assert 'cache.vae_path = "fast"' in caught.value.remedy
    encoder_of(lambda _: make(full), "cuda", tiling=True).refuse_too_large(1280, 720, 81)


@pytest.mark.parametrize(("compute", "ends"), [("auto", "bf16"), ("fp16", "error")])
def test_a_clip_that_overflows_fp16_is_encoded_again_in_bf16(compute: str, ends: str) -> None:
    def load(name: str) -> Any:
        vae = make(WAN)
        if name == "fp16":
            vae.encoder.conv_in.weight.fill_(float("inf"))
        return vae

    encoder = encoder_of(load, compute=compute)
    encoder.compute = "fp16"  # as on a GPU
    job = encoder.start(pixels(5, 32, 32))
    if ends == "error":
        with pytest.raises(RuntimeError, match="not finite in fp16"):
            job.done()
    else:
        latent, used = job.done()
        grey, _ = encoder.start(pixels(5, 32, 32), condition=True).done()
        assert torch.equal(grey, codec.condition(make(WAN), pixels(5, 32, 32).numpy()))
        assert used == "bf16"
        assert torch.isfinite(latent).all()
