"""The fast path against plain diffusers + peft: same loss, same LoRA gradients, whatever is kept or switched."""

import copy
import itertools
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from wanprep.stage import UsageError
from wantrain import fast, fast_ops, lora, memory
from wantrain.fast_away import PIECE, ROW

torch.set_num_threads(2)


def make_model(seed=0, layers=3, rank=4, targets="", dropout=0.0, dtype=torch.float32, **more):
    from diffusers import WanTransformer3DModel

    torch.manual_seed(seed)
    model = WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=2, attention_head_dim=24, in_channels=4, out_channels=4, text_dim=16,
        freq_dim=32, ffn_dim=80, num_layers=layers, rope_max_seq_len=32, **more,
    ).to(dtype)  # fmt: skip
    for name, parameter in model.named_parameters():  # norms start at one and zero, which would hide mistakes
        if "norm" in name:
            parameter.data.add_(0.3 * torch.randn_like(parameter))
    generator = torch.Generator().manual_seed(seed)
    params = lora.add_lora(model, rank=rank, alpha=2 * rank, generator=generator, targets=targets, dropout=dropout)
    for name, parameter in params.items():
        if name.endswith("lora_B"):
            parameter.data.normal_(std=0.2, generator=generator)
    return model.train(False), params


def make_input(batch=1, seed=1, per_token=False):
    draw = torch.Generator().manual_seed(seed)
    timestep = torch.full((batch,), 640.0)
    if per_token:
        timestep = torch.where(torch.arange(3 * 2 * 3) < 6, 0.0, 640.0).expand(batch, -1).contiguous()
    return {
        "hidden_states": torch.randn(batch, 4, 3, 4, 6, generator=draw),
        "timestep": timestep,
        "encoder_hidden_states": torch.randn(batch, 7, 16, generator=draw),
    }


def step(model, params, given):
    model.zero_grad(set_to_none=True)
    out = model(**given, return_dict=False)[0]
    target = torch.randn(out.shape, generator=torch.Generator().manual_seed(9))
    loss = (out.float() - target).square().mean()
    loss.backward()
    return loss.item(), {name: p.grad.clone() for name, p in params.items()}


def agrees(reference, found, tolerance=1e-6, cosine=0.9999):
    (loss, grads), (loss2, grads2) = reference, found
    assert abs(loss2 / loss - 1) <= tolerance
    assert grads.keys() == grads2.keys()
    for name, grad in grads.items():
        assert grad.norm() > 0, name
        same = torch.nn.functional.cosine_similarity(grad.flatten(), grads2[name].flatten(), dim=0)
        assert same >= cosine, (name, same)
        assert abs(grads2[name].norm() / grad.norm() - 1) < 1e-3, name


@pytest.fixture(scope="module")
def reference():
    model, params = make_model()
    return step(model, params, make_input())


@pytest.mark.parametrize("keep", ["inputs", "attention", "linears", "all", "auto"])
@pytest.mark.parametrize(("fused", "beside"), list(itertools.product([True, False], repeat=2)))
def test_same_loss_and_gradients(reference, keep, fused, beside):
    model, params = make_model()
    fast.install(model, fast.Plan(keep=keep, fused=fused, beside=beside))
    agrees(reference, step(model, params, make_input()))


@pytest.mark.parametrize(
    "name", [item.name for item in memory.items(memory.Sizes(layers=1, dim=8, inner=8, heads=1), 8)]
)
def test_each_kept_tensor_alone_and_each_missing_alone(reference, name, monkeypatch):
    every = fast._KEPT["all"]
    for chosen in (frozenset({name}), every - {name}):
        monkeypatch.setitem(fast._KEPT, "all", chosen)
        model, params = make_model()
        fast.install(model, fast.Plan(keep="all"))
        agrees(reference, step(model, params, make_input()))


def test_tensors_that_wait_in_host_memory(reference, monkeypatch):
    """The same gradients, also when a second forward comes between; and less stays beside the tape."""
    monkeypatch.setattr(memory, "NEAR", 1)
    monkeypatch.setattr(memory, "LINK_RATE", 1e18)
    model, params = make_model()
    sizes = memory.Sizes(layers=3, dim=48, inner=80, heads=2, itemsize=4)
    need = memory.input_bytes(sizes, 18) + memory.working_bytes(sizes, 18)
    fast.install(model, fast.Plan(budget=need * 1.2, host=1e9))
    for _ in range(2):
        agrees(reference, step(model, params, make_input()))
    installed = fast.fast_of(model)
    (kept,) = installed.buckets.values()
    assert [sorted(names) for names in kept.away] == [["attn", "h0"], ["attn", "h0"], []]
    assert kept.host == 2 * 2 * 18 * 48 * 4
    assert installed.mover.bytes == ROW  # four small tensors, a piece each
    assert not installed.mover.pending
    seen = []
    put = installed.mover.put
    monkeypatch.setattr(installed.mover, "put", lambda *given: seen.append(put(*given)) or seen[-1])
    step(model, params, make_input())
    assert len(seen) == 2
    assert all(one.back is None for stored in seen for one in stored.values())  # else nothing is freed in backward
    first = model(**make_input(), return_dict=False)[0]
    second = model(**make_input(), return_dict=False)[0]
    grads = []
    for out in (first, second):
        model.zero_grad()
        out.sum().backward()
        grads.append({name: p.grad.clone() for name, p in params.items()})
    assert all(torch.equal(grads[0][name], grads[1][name]) for name in params)
    model(**make_input(), return_dict=False)  # a step that breaks off before its backward
    seen.clear()
    step(model, params, make_input())
    seen.clear()
    assert (installed.mover.bytes, len(installed.mover.free)) == (ROW, ROW // PIECE)


def test_what_is_kept_is_what_was_planned():
    model, _ = make_model()
    for keep in ("inputs", "attention", "linears", "all"):
        fast.install(model, fast.Plan(keep=keep))
        out = model(**make_input(), return_dict=False)[0]
        tapes, node, seen = [], [out.grad_fn], set()
        while node:
            current = node.pop()
            if current is None or current in seen:
                continue
            seen.add(current)
            if hasattr(current, "tape"):
                tapes.append(current.tape)
            node += [following for following, _ in current.next_functions]
        assert len(tapes) == 3
        for tape in tapes:
            parts = {part for name in fast._KEPT[keep] for part in fast_parts()[name]}
            parts -= {"ci", "ci_rest", "ikv", "l_ikv"}  # there is no image
            assert set(tape.values) == {"h0", "l_2"} | parts


def fast_parts():
    from wantrain.fast_block import PARTS

    return PARTS


@pytest.mark.parametrize("targets", ["ffn", "self_attn", r"cross_attn\.(q|v)$", r"blocks\.2\."])
def test_lora_on_some_layers_only(targets):
    model, params = make_model(targets=targets)
    plain = step(model, params, make_input())
    fast.install(model, fast.Plan())
    agrees(plain, step(model, params, make_input()))


@pytest.mark.parametrize(("batch", "per_token"), [(2, False), (1, True), (2, True)])
def test_batches_and_a_timestep_for_every_token(batch, per_token):
    model, params = make_model()
    given = make_input(batch=batch, per_token=per_token)
    plain = step(model, params, given)
    fast.install(model, fast.Plan(keep="attention"))
    agrees(plain, step(model, params, given))


def test_wrong_gradients_would_be_noticed(reference):
    """The negative control: a LoRA scale that is off by 2 % in one layer fails the comparison."""
    model, params = make_model()
    fast.install(model, fast.Plan())
    group = fast.fast_of(model).specs[1].ffn0
    group.members[0] = copy.copy(group.members[0])
    object.__setattr__(group.members[0], "scale", group.members[0].scale * 1.02)
    with pytest.raises(AssertionError):
        agrees(reference, step(model, params, make_input()))


def test_the_plain_forward_still_works_and_shares_its_weights(reference):
    model, params = make_model()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    fast.install(model, fast.Plan())
    after = model.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[k], after[k]) for k in before)
    group = fast.fast_of(model).specs[0].qkv
    assert group.members[1].base.weight.untyped_storage().data_ptr() == group.packed.untyped_storage().data_ptr()
    fast.switch(model, False)
    agrees(reference, step(model, params, make_input()))
    model.to(torch.float64).to(torch.float32)  # moves the packed weights along
    assert group.members[1].base.weight.untyped_storage().data_ptr() == group.packed.untyped_storage().data_ptr()
    fast.switch(model, True)
    agrees(reference, step(model, params, make_input()))


def test_without_gradients_and_without_adapter():
    model, _ = make_model()
    given = make_input()
    with torch.no_grad():
        plain = model(**given, return_dict=False)[0]
        with lora.switched_off(model):
            base = model(**given, return_dict=False)[0]
        fast.install(model, fast.Plan())
        torch.testing.assert_close(model(**given, return_dict=False)[0], plain, rtol=1e-4, atol=1e-5)
        with lora.switched_off(model):
            torch.testing.assert_close(model(**given, return_dict=False)[0], base, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(plain, base, atol=1e-2)


def test_changed_parameters_are_seen_however_they_change(reference):
    model, params = make_model()
    fast.install(model, fast.Plan())
    first = step(model, params, make_input())
    kept = {name: p.detach().clone() for name, p in params.items()}
    for parameter in params.values():
        parameter.data.mul_(1.5)  # leaves no trace in the version counter
    assert step(model, params, make_input())[0] != first[0]
    for name, parameter in params.items():
        parameter.data.copy_(kept[name])
    agrees(reference, step(model, params, make_input()))


def test_the_first_input_gets_no_gradient(monkeypatch):
    from wantrain import fast_back

    asked = []
    real = fast_back.backward
    monkeypatch.setattr(fast_back, "backward", lambda t, d, need: asked.append(need) or real(t, d, need))
    model, params = make_model()
    for first in (False, True):
        asked.clear()
        fast.install(model, fast.Plan(first=first))
        step(model, params, make_input())
        assert asked == [True, True, first]


def test_bfloat16_is_nearer_to_float32_than_the_reference():
    exact = step(*make_model(seed=4), make_input())
    given = {k: v.to(torch.bfloat16) if v.ndim > 1 else v for k, v in make_input().items()}

    def error(install):
        model, params = make_model(seed=4)
        for name, parameter in model.named_parameters():
            if "lora_" not in name and "scale_shift" not in name and "norm" not in name:
                parameter.data = parameter.data.to(torch.bfloat16)
        if install:
            fast.install(model, fast.Plan())
        _, grads = step(model, params, given)
        flat = [torch.cat([g[n].flatten() for n in exact[1]]) for g in (grads, exact[1])]
        return 1 - torch.nn.functional.cosine_similarity(*flat, dim=0).item()

    assert error(True) < 1e-3
    assert error(True) < 1.2 * error(False)


def test_reasons_not_to_use_it():
    model, _ = make_model(dropout=0.1)
    with pytest.raises(UsageError, match="dropout"):
        fast.install(model, fast.Plan())
    assert fast.fast_of(model) is None
    with pytest.raises(ValueError, match="keep"):
        fast.Plan(keep="some")
    with pytest.raises(ValueError, match="budget"):
        fast.Plan(budget=0)


def test_a_second_backward_is_refused():
    model, _ = make_model(layers=1)
    fast.install(model, fast.Plan())
    loss = model(**make_input(), return_dict=False)[0].sum()
    loss.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="once"):
        loss.backward()


def test_many_steps_follow_the_same_curve():
    curves = []
    for install in (False, True):
        model, params = make_model(layers=2)
        if install:
            fast.install(model, fast.Plan())
        optimizer = torch.optim.AdamW(params.values(), lr=3e-3)
        losses = []
        for number in range(40):
            optimizer.zero_grad()
            loss, grads = step(model, params, make_input(seed=number % 3))
            for name, parameter in params.items():
                parameter.grad = grads[name]
            optimizer.step()
            losses.append(loss)
        curves.append(losses)
    assert curves[0][-1] < 0.98 * curves[0][1]
    torch.testing.assert_close(torch.tensor(curves[1]), torch.tensor(curves[0]), rtol=2e-3, atol=0)


# --- the formulas alone ---


def test_formulas_against_autograd():
    draw = torch.Generator().manual_seed(3)

    def randn(*shape):
        return torch.randn(*shape, generator=draw, dtype=torch.float64).float()

    h, past, d = randn(1, 5, 12).requires_grad_(), randn(1, 5, 12), randn(1, 5, 12)
    mult, shift, gate = randn(1, 1, 12), randn(1, 1, 12), randn(1, 1, 12)
    y = torch.nn.functional.layer_norm(h, (12,), eps=1e-6) * mult + shift
    wanted = torch.autograd.grad(y, h, d)[0] + past
    out, out_gated, given = torch.empty_like(d), torch.empty_like(d), d.clone()
    fast_ops.modulate_back(h.detach(), given, past, mult, shift, gate, 1e-6, out, out_gated)
    torch.testing.assert_close(out, wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(out_gated, wanted * gate, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(given, y.detach(), rtol=1e-4, atol=1e-5)
    x = randn(1, 5, 12).requires_grad_()
    value = torch.nn.functional.gelu(x, approximate="tanh")
    wanted = torch.autograd.grad(value, x, d)[0]
    given, f = d.clone(), x.detach().clone()
    fast_ops.gelu_back_both(given, f)
    torch.testing.assert_close(given, wanted)
    torch.testing.assert_close(f, value.detach())


def test_backward_lets_go_of_what_an_elementwise_kernel_makes_again(monkeypatch):
    """When the feed-forward's backward begins, the block was computed anew up to there, and little of it lies about."""
    from wantrain import fast_back

    seen = []
    real = fast_back._cross_back
    monkeypatch.setattr(fast_back, "_cross_back", lambda t, d: seen.append(set(t.values)) or real(t, d))
    for keep, there in (("inputs", {"qkv", "attn", "h1", "cq", "co"}), ("all", {"q", "k", "cqn", "x1", "x2"})):
        model, params = make_model()
        fast.install(model, fast.Plan(keep=keep))
        step(model, params, make_input())
        assert all(there <= values for values in seen)
        assert keep == "all" or not any({"q", "k", "cqn", "x1", "x2", "x3"} & values for values in seen)
        seen.clear()


# --- what to keep ---

A14B = memory.Sizes(layers=40, dim=5120, inner=13824, heads=40)


def test_attention_first_then_linear_layers_then_the_rest():
    order = [item.name for item in memory.items(A14B, 32760)]
    assert order[0] == "attn"
    cheap = [order.index(name) for name in memory.ELEMENTWISE]
    assert max(order.index(n) for n in ("h1", "qkv", "f", "cq", "h2", "kv", "co")) < min(cheap)


def test_a_plan_fits_and_more_memory_never_saves_less():
    last = -1.0
    for gib in range(10, 120, 10):
        free = gib * 2**30
        for tokens in (3744, 32760):
            chosen = memory.plan(A14B, tokens, free)
            small = memory.input_bytes(A14B, tokens) + memory.working_bytes(A14B, tokens)
            assert chosen.bytes + memory.working_bytes(A14B, tokens) <= max(free, small)
        assert chosen.seconds >= last
        last = chosen.seconds
    whole = memory.plan(A14B, 3744, 1e18)
    assert all(names == fast._KEPT["all"] for names in whole.keep)
    assert all("attn" in names for names in memory.plan(A14B, 32760, 46 * 2**30).keep)
    assert not any(memory.plan(A14B, 75600, 1.0).keep)


def test_host_memory_is_used_when_the_card_is_too_small_and_only_then():
    free = 46 * 2**30
    with_host = memory.plan(A14B, 32760, free, host=64 * 2**30)
    assert with_host.seconds > memory.plan(A14B, 32760, free).seconds
    assert 0 < with_host.host <= 64 * 2**30
    assert not any(with_host.away[-memory.NEAR :])
    assert with_host.bytes + memory.working_bytes(A14B, 32760) <= free
    assert memory.plan(A14B, 3744, free, host=64 * 2**30).host == 0
    little = memory.plan(A14B, 32760, free, host=2**30)
    assert 0 < little.host <= 2**30


def test_plans_are_refused_when_they_make_no_sense():
    with pytest.raises(ValueError, match="tokens"):
        memory.items(A14B, 0)
    with pytest.raises(ValueError, match="nothing is called"):
        memory.same(A14B, 100, frozenset({"attention"}))
    with pytest.raises(ValueError, match="layers"):
        memory.Sizes(layers=0, dim=1, inner=1, heads=1)


# --- Triton ---


def test_triton_kernels_compute_the_formulas():
    pytest.importorskip("triton")
    program = Path(__file__).with_name("triton_check.py")
    found = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=120)
    assert found.stdout.strip() == "same", found.stderr[-2000:]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kernels", ["triton", "inductor", "eager"])
def test_gradients_on_the_gpu(kernels):
    from wanprep.families import family
    from wantrain import fast_measure, fast_model

    wan = family("wan2.2-t2v-a14b")
    shape = fast_model.shape_of(wan, 128, 128, 17)
    plan = fast.Plan(kernels=kernels, keep="attention")
    found = fast_measure.parity(wan, shape, {"fast": plan}, cut=fast_model.Cut(layers=2), rank=32, device="cuda")
    whole, lowest, loss = found["fast"]
    assert whole >= 0.999
    assert lowest >= 0.99
    assert loss < 1e-3
