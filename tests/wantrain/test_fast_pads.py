"""A text's padding counted as one key: the same loss and gradients as attention to all 512 tokens."""

import pytest
import torch
from torch.nn import functional

from wantrain import fast, fast_forward, fast_ops, fast_pads, memory, tasks

torch.set_num_threads(2)
LENGTH = 512


def padded_input(small, tokens, batch=1):
    given = small.make_input(batch)
    draw = torch.Generator().manual_seed(5)
    text = torch.zeros(batch, LENGTH, 16)
    for row, count in zip(text, tokens, strict=True):
        row[:count] = torch.randn(count, 16, generator=draw)
    return given | {"encoder_hidden_states": text}


def told_step(small, model, params, given, tokens):
    fast.tell_tokens(model, tokens)
    return small.step(model, params, given)


@pytest.mark.parametrize("keep", ["inputs", "attention", "all"])
@pytest.mark.parametrize("tokens", [[1], [127], [128], [200], [30, 150]])
def test_same_loss_and_gradients(small, tokens, keep):
    model, params = small.make_model()
    given = padded_input(small, tokens, len(tokens))
    reference = small.step(model, params, given)
    fast.install(model, fast.Plan(keep=keep))
    small.agrees(reference, told_step(small, model, params, given, max(tokens)))
    assert fast.fast_of(model).tokens is None
    small.agrees(reference, small.step(model, params, given))  # nobody said anything of this text: all of it counts


def test_no_more_rows_are_computed_than_are_true(small, monkeypatch):
    seen = []
    attention = fast_pads.attention
    monkeypatch.setattr(fast_pads, "attention", lambda q, k, *rest: seen.append(k.shape[1]) or attention(q, k, *rest))
    model, params = small.make_model()
    fast.install(model, fast.Plan(keep="all"))
    for tokens, keys in ((1, 127), (64, 127), (127, 127), (128, 191), (447, 447), (448, 512), (512, 512)):
        seen.clear()
        told_step(small, model, params, padded_input(small, [tokens]), tokens)
        assert set(seen) == {keys}, tokens


def test_room_is_left_for_longer_captions(small, monkeypatch):
    """What a bucket's first step left unused is kept in the second, but not what only its short caption left."""
    model, params = small.make_model()
    installed, seen = fast.install(model, fast.Plan(keep="all")), []
    begin = fast_forward._inputs

    def inputs(*given):
        installed.given = begin(*given)
        seen.append(fast_forward._text_to_come(installed, 1))
        return installed.given

    monkeypatch.setattr(fast_forward, "_inputs", inputs)
    for tokens in (1, 128, 512):
        told_step(small, model, params, padded_input(small, [tokens]), tokens)
    whole = 3 * 512 * (2 * 48 + memory.STRIP) * installed.sizes.itemsize
    assert seen == pytest.approx([whole * 384 / 512, whole * 320 / 512, 0])


def test_a_wrong_count_is_wrong(small):
    """The control: the padding's weight matters, and so does every true token."""
    model, params = small.make_model()
    given = padded_input(small, [200])
    loss, _ = small.step(model, params, given)
    fast.install(model, fast.Plan(keep="all"))
    found, _ = told_step(small, model, params, given, 100)
    assert abs(found / loss - 1) > 1e-5


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_mixing_is_the_softmax_over_all_keys(dtype):
    draw = torch.Generator().manual_seed(3)
    q, k, v = (torch.randn(2, length, 48, generator=draw, dtype=dtype) for length in (9, 6, 6))
    count, heads = 37, 4
    q, k, v = (x.requires_grad_() for x in (q, k, v))
    whole = [torch.cat([x[:, :-1], x[:, -1:].expand(-1, count, -1)], 1).unflatten(-1, (heads, -1)).transpose(1, 2)
             for x in (k, v)]  # fmt: skip
    wanted = functional.scaled_dot_product_attention(q.unflatten(-1, (heads, -1)).transpose(1, 2), *whole)
    wanted = wanted.transpose(1, 2).flatten(2)
    d = torch.randn(wanted.shape, generator=draw, dtype=dtype)
    grads = torch.autograd.grad(wanted, (q, k, v), d)
    with torch.no_grad():
        given = (q.detach(), k.detach(), v.detach())
        out, rest = fast_pads.cross(*given, count, heads, "cpu", fast_ops.ops("eager"))
        found = fast_pads.cross_back(d, *given, out, rest, count, heads, "cpu", fast_ops.ops("eager"))
    for one, other in ((wanted, out), *zip(grads, found, strict=True)):
        assert (one - other).abs().max() < 1e-5 * one.abs().max().clamp_min(1)


def test_padding_is_cut_off_and_put_back():
    text = torch.zeros(LENGTH, 8)
    assert tasks.true_tokens(text).shape == (1, 8)
    text[:3] = 1
    text[1] = 0  # a zero row among the true ones is a token
    assert torch.equal(tasks.true_tokens(text), text[:3])
    text[-1] = 1
    assert tasks.true_tokens(text).shape == text.shape


def test_a_batch_is_asked_with_all_512_tokens(small, monkeypatch):
    model, _ = small.make_model()
    fast.install(model, fast.Plan(keep="all"))
    given, seen = small.make_input(), []
    question = tasks.Question(given["hidden_states"][0], given["timestep"])
    texts = [torch.randn(n, 16, generator=torch.Generator().manual_seed(n)) for n in (3, 70)]
    monkeypatch.setattr(fast, "tell_tokens", lambda model, tokens: seen.append(tokens))
    whole = torch.zeros(2, LENGTH, 16)
    whole[0, :3], whole[1, :70] = texts
    for found, text in zip(tasks.predict_batch(model, [question] * 2, texts), whole, strict=True):
        assert torch.allclose(found, tasks.predict(model, question, text), atol=1e-5)
    assert seen == [70, 512, 512]


def test_image_to_video_too(small):
    model, params = small.make_model(image_dim=20, added_kv_proj_dim=48)
    given = padded_input(small, [40])
    given["encoder_hidden_states_image"] = torch.randn(1, 9, 20, generator=torch.Generator().manual_seed(7))
    reference = small.step(model, params, given)
    fast.install(model, fast.Plan(keep="all"))
    small.agrees(reference, told_step(small, model, params, given, 40))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("backend", "kernels"), [("cudnn", "triton"), ("cudnn", "eager"), ("flash", "triton")])
def test_kernels_on_the_card(backend, kernels):
    """bf16, heads of 128, an odd number of true tokens and two examples, against float32 over all 512 keys."""
    draw = torch.Generator("cuda").manual_seed(3)
    heads, width, count = 5, 640, 386
    q, k, v, d = (torch.randn(2, length, width, generator=draw, device="cuda") for length in (1003, 127, 127, 1003))
    exact = [x.clone().requires_grad_() for x in (q, k, v)]
    whole = [torch.cat([x[:, :-1], x[:, -1:].expand(-1, count, -1)], 1) for x in exact[1:]]
    split = [x.unflatten(-1, (heads, -1)).transpose(1, 2) for x in (exact[0], *whole)]
    scores = (split[0] @ split[1].transpose(-1, -2) * 128**-0.5).softmax(-1)
    wanted = (scores @ split[2]).transpose(1, 2).flatten(2)
    grads = torch.autograd.grad(wanted, exact, d)
    low = [x.bfloat16() for x in (q, k, v)]
    made = fast_ops.ops(kernels)
    out, rest = fast_pads.cross(*low, count, heads, backend, made)
    found = fast_pads.cross_back(d.bfloat16(), *low, out, rest, count, heads, backend, made)
    for one, other in ((wanted, out), *zip(grads, found, strict=True)):
        assert (one - other.float()).norm() < 0.01 * one.norm()
    last = [g[:, -1] for g in (grads[1], found[1].float())]
    assert (last[0] - last[1]).norm() < 0.01 * last[0].norm()
