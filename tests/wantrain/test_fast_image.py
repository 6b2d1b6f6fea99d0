"""Wan 2.1 image to video on the fast path: the second cross-attention, against diffusers + peft."""

import pytest
import torch

from wanprep.costs import CLIP_TOKENS
from wanprep.families import family
from wantrain import fast, fast_measure, fp8, memory, stream
from wantrain.fast_model import Cut, batch_of, build, loss_of, shape_of

torch.set_num_threads(2)
I2V = family("wan2.1-i2v-14b")
SEES = {"image_dim": 20, "added_kv_proj_dim": 48}


def make_input(small, batch=1):
    draw = torch.Generator().manual_seed(5)
    more = {
        "encoder_hidden_states": torch.randn(batch, 512, 16, generator=draw),  # diffusers counts on 512
        "encoder_hidden_states_image": torch.randn(batch, 9, 20, generator=draw),
    }
    return small.make_input(batch=batch) | more


@pytest.fixture(scope="module")
def reference(small):
    model, params = small.make_model(**SEES)
    assert sum("add_k_proj" in name or "add_v_proj" in name for name in params) == 2 * 2 * 3
    return small.step(model, params, make_input(small))


@pytest.mark.parametrize("keep", ["inputs", "attention", "linears", "all", "auto"])
@pytest.mark.parametrize(("fused", "beside"), [(True, True), (False, True), (True, False)])
def test_same_loss_and_gradients(small, reference, keep, fused, beside):
    model, params = small.make_model(**SEES)
    assert not fast.problems(model)
    fast.install(model, fast.Plan(keep=keep, fused=fused, beside=beside))
    small.agrees(reference, small.step(model, params, make_input(small)))


@pytest.mark.parametrize("name", ["co", "kv", "cqn", "attn"])
def test_each_kept_tensor_alone_and_each_missing_alone(small, reference, name, monkeypatch):
    every = fast._KEPT["all"]
    for chosen in (frozenset({name}), every - {name}):
        monkeypatch.setitem(fast._KEPT, "all", chosen)
        model, params = small.make_model(**SEES)
        fast.install(model, fast.Plan(keep="all"))
        small.agrees(reference, small.step(model, params, make_input(small)))


@pytest.mark.parametrize("targets", [r"cross_attn\.(k|v)_img$", r"cross_attn\.k_img$", "self_attn"])
def test_lora_on_the_image_layers_or_not(small, targets):
    model, params = small.make_model(targets=targets, **SEES)
    plain = small.step(model, params, make_input(small, batch=2))
    fast.install(model, fast.Plan(keep="attention"))
    small.agrees(plain, small.step(model, params, make_input(small, batch=2)))


def test_streamed_and_alone(small, reference):
    model, params = small.make_model(**SEES)

    def pool(layout, sizes):
        blocks = stream.spread(sizes.layers, 2)
        return stream.Pool(size=layout.bytes, layers=sizes.layers, streamed=blocks, slots=2, device=torch.device("cpu"))

    fast.install(model, fast.Plan(base="plain"), pool=pool)
    small.agrees(reference, small.step(model, params, make_input(small)))
    assert fast.fast_of(model).store.moved > 0


def test_on_an_fp8_base(small, reference, monkeypatch):
    monkeypatch.setattr(fp8, "native", lambda device: True)
    model, params = small.make_model(**SEES)
    fast.install(model, fast.Plan(base="fp8"))
    grads = small.step(model, params, make_input(small))[1]
    exact = reference[1]
    flat = [torch.cat([g[n].flatten() for n in exact]) for g in (grads, exact)]
    assert torch.nn.functional.cosine_similarity(*flat, dim=0) > 0.99
    image = [name for name in exact if "add_" in name]
    flat = [torch.cat([g[n].flatten() for n in image]) for g in (grads, exact)]
    assert torch.nn.functional.cosine_similarity(*flat, dim=0) > 0.98


def test_an_image_that_is_ignored_would_be_noticed(small, reference, monkeypatch):
    """The negative control: backward that forgets the queries' second gradient fails the comparison."""
    from wantrain import fast_back

    real, calls = fast_back.attention_back, []

    def forgetful(*given):
        dq, dk, dv = real(*given)
        calls.append(given[2].shape[1])
        return (torch.zeros_like(dq) if given[2].shape[1] == 9 else dq), dk, dv

    monkeypatch.setattr(fast_back, "attention_back", forgetful)
    model, params = small.make_model(**SEES)
    fast.install(model, fast.Plan())
    with pytest.raises(AssertionError):
        small.agrees(reference, small.step(model, params, make_input(small)))
    assert calls.count(9) == 3


def test_a_model_that_sees_wants_an_image(small):
    model, _ = small.make_model(**SEES)
    fast.install(model, fast.Plan())
    blind = make_input(small)
    del blind["encoder_hidden_states_image"]
    with pytest.raises(ValueError, match="no image"):
        model(**blind, return_dict=False)


def test_the_plan_counts_the_second_attention():
    plain = memory.Sizes(layers=40, dim=5120, inner=13824, heads=40)
    seeing = memory.Sizes(layers=40, dim=5120, inner=13824, heads=40, image=CLIP_TOKENS)
    one, other = ({item.name: item for item in memory.items(sizes, 3744)} for sizes in (plain, seeing))
    assert other["co"].bytes == 2 * one["co"].bytes
    assert other["kv"].bytes > 1.4 * one["kv"].bytes
    assert {n: i for n, i in one.items() if n not in ("co", "kv")} == {
        n: i for n, i in other.items() if n not in ("co", "kv")
    }
    assert memory.working_bytes(seeing, 3744) > memory.working_bytes(plain, 3744)


def test_the_familys_own_architecture():
    """As `wantrain bench --family wan2.1-i2v-14b` builds it, 257 tokens of an image."""
    cut = Cut(layers=2, width=128)
    shape = shape_of(I2V, 64, 48, 9)
    model = build(I2V, cut=cut, rank=4, device="cpu", dtype=torch.float32)
    batch = batch_of(I2V, shape, model, "cpu")
    assert batch.image.shape == (1, CLIP_TOKENS, 1280)
    plain = float(loss_of(model, batch))
    fast.install(model, fast.Plan())
    assert float(loss_of(model, batch)) == pytest.approx(plain, rel=1e-5)
    assert fast.fast_of(model).sizes.image == CLIP_TOKENS
    found = fast_measure.parity(I2V, shape, {"fast": fast.Plan()}, cut=cut, rank=4, device="cpu")
    assert found["fast"][0] > 0.9995


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_gradients_on_a_gpu():
    """257 keys fill no tile of any kernel; fp8 as well."""
    plans = {"fast": fast.Plan(), "inputs": fast.Plan(keep="inputs"), "fp8": fast.Plan(base="fp8")}
    shape = shape_of(I2V, 128, 128, 17)
    found = fast_measure.parity(I2V, shape, plans, cut=Cut(layers=2), rank=32, device="cuda")
    assert found["fast"][0] > 0.999
    assert found["inputs"][0] > 0.999
    assert found["fp8"][0] > 0.99
