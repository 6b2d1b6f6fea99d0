"""Where frozen blocks and idle experts lie changes no number: streamed, parked, read again, and in fp8."""

import functools
import itertools
import json

import pytest
import torch

from wanprep.models.find import require_weights
from wanprep.models.lazy import open_transformer
from wanprep.stage import UsageError
from wantrain import compute, fast, fp8, memory, nf4, place, ram, slabs, stream
from wantrain.observe import Observer

torch.set_num_threads(2)


SHORT = {"high": {"steps": 6, "ema": 0.9}, "low": {"steps": 6}, "experts": {"switch_every": 2}}


def open_tiny(toy):
    def opened(expert, device):
        return open_transformer(toy.TINY, expert, require_weights(toy.TINY, "transformer"), "fp32", device)

    return opened


def losses(toy, result):
    names = ("high", "low")
    return [[(r["loss"], r.get("grad_norm")) for r in toy.rows(result.folder, name)] for name in names]


def run(toy, dataset, out, compute, changes=SHORT, **more):
    more = {"open_model": open_tiny(toy)} | more
    return toy.train_toy(out, dataset, changes=changes | {"compute": {"path": "fast"} | compute}, **more)


@pytest.fixture(scope="module")
def plain(toy, dataset, tmp_path_factory):
    return run(toy, dataset, tmp_path_factory.mktemp("plain"), {"idle": "gpu"})


WAYS = {
    "host": {"idle": "host"}, "pinned": {"idle": "pinned"}, "disk": {"idle": "disk"},
    "streamed": {"idle": "pinned", "stream": 2}, "streamed from disk": {"idle": "disk", "stream": 2},
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_every_place_gives_the_same_losses_and_loras(toy, dataset, plain, tmp_path, way):
    result = run(toy, dataset, tmp_path, WAYS[way])
    if "stream" in WAYS[way]:  # the LoRA's part is added afterwards: other sums
        for ours, theirs in zip(losses(toy, result), losses(toy, plain), strict=True):
            assert [x for row in ours for x in row if x] == pytest.approx([x for row in theirs for x in row if x], 1e-4)
        return
    assert losses(toy, result) == losses(toy, plain)
    for name in ("high", "low"):
        assert result.loras[name].read_bytes() == plain.loras[name].read_bytes()


def test_the_switch_is_measured(plain):
    rows = [json.loads(line) for line in (plain.folder / "metrics.jsonl").read_text().splitlines()]
    steps = [row for row in rows if row["kind"] == "step"]
    measured = [(row["expert"], row["step"]) for row in steps if "switch_s" in row["volatile"]]
    assert measured == [(name, step) for step in (1, 3, 5) for name in ("high", "low")]


def test_experts_change_places_while_the_last_backward_runs(toy, dataset, plain, tmp_path, monkeypatch):
    """And a checkpoint that is asked for at that moment gets its measurement, with the same result."""
    early, real = [], stream.Store.done

    def done(self, number, step):
        before = len(self.gone)
        real(self, number, step)
        early.append(len(self.gone) - before)

    monkeypatch.setattr(stream.Store, "done", done)
    changes = SHORT | {"save": {"every": 100}, "validation": {"every": 100}}
    calm = run(toy, dataset, tmp_path / "calm", {"idle": "pinned"}, changes)
    assert sum(early) == 4  # one of two blocks, at the switches that are not an expert's end
    asked = run(toy, dataset, tmp_path / "asked", {"idle": "pinned"}, changes, save_now=lambda: True)
    ours, theirs = ([toy.rows(r.folder, n, "step") for n in ("high", "low")] for r in (asked, calm))
    assert ours == theirs
    held = [r["loss"] for r in toy.rows(asked.folder, "high", "held_out")]
    assert len(held) == 7
    assert held[-1] == toy.rows(calm.folder, "high", "held_out")[-1]["loss"]


def test_resuming_a_streamed_run(toy, dataset, tmp_path):
    way = {"idle": "pinned", "stream": 2}
    calm = run(toy, dataset, tmp_path / "calm", way)
    metrics = tmp_path / "cut" / "toy" / "metrics.jsonl"
    stop = lambda: metrics.exists() and metrics.read_text().count('"step", "expert"') >= 5  # noqa: E731
    run(toy, dataset, tmp_path / "cut", way, stop=stop)
    result = run(toy, dataset, tmp_path / "cut", way)
    assert losses(toy, result) == losses(toy, calm)
    for name in ("high", "low"):
        assert result.loras[name].read_bytes() == calm.loras[name].read_bytes()


def test_one_block_too_few_would_be_noticed(toy, dataset, plain, tmp_path, monkeypatch):
    """The negative control: an exchange that leaves one block of the other expert in place changes the losses."""
    real = stream.Store._hand_over

    def forgetful(self, number, other):
        if number == 0 and number not in self.gone:
            self.host[0] = other.host.pop(0)
            self.gone.add(0)
        else:
            real(self, number, other)

    monkeypatch.setattr(stream.Store, "_hand_over", forgetful)
    result = run(toy, dataset, tmp_path, {"idle": "pinned"})
    assert losses(toy, result) != losses(toy, plain)


def test_a_base_in_fp8_learns_the_same_roughly_and_says_so(toy, dataset, plain, tmp_path, monkeypatch):
    monkeypatch.setattr(fp8, "native", lambda device: True)
    result = run(toy, dataset, tmp_path, {"base": "fp8", "idle": "pinned", "stream": 2})
    for ours, theirs in zip(losses(toy, result), losses(toy, plain), strict=True):
        first, other = [r[0] for r in ours], [r[0] for r in theirs]
        assert first == pytest.approx(other, rel=0.03)
        assert first != pytest.approx(other, rel=1e-5)
    record = json.loads((result.folder / "run.json").read_text())
    assert record["experts"]["high"]["matters"]["compute.base"] == "fp8"
    with pytest.raises(UsageError, match=r"compute\.base"):
        run(toy, dataset, tmp_path, {"idle": "pinned"})


def test_a_base_in_nf4_trains_streamed_and_by_turns(toy, dataset, plain, tmp_path):
    result = run(toy, dataset, tmp_path, {"base": "nf4", "idle": "pinned", "stream": 2})
    for ours, theirs in zip(losses(toy, result), losses(toy, plain), strict=True):
        first, other = [r[0] for r in ours], [r[0] for r in theirs]
        assert first == pytest.approx(other, rel=0.3)
        assert first != pytest.approx(other, rel=1e-3)
    again = run(toy, dataset, tmp_path / "disk", {"base": "nf4", "idle": "disk"})
    assert losses(toy, again) == losses(toy, result)


def test_previews_get_the_device_and_all_comes_back(toy, dataset, plain, tmp_path):
    class Guest(Observer):
        seen = 0

        def begin(self, course):
            self.course = course

        def saved(self, made):
            with self.course.parked():
                self.seen += 1

    for way in ("pinned", "disk", "host"):
        guest = Guest()
        result = run(toy, dataset, tmp_path / way, {"idle": way}, observers=[guest])
        assert guest.seen >= 4
        assert losses(toy, result) == losses(toy, plain)


def test_what_the_reference_cannot_do_is_refused(toy, dataset, tmp_path):
    with pytest.raises(UsageError, match="base"):
        toy.toy_config(tmp_path, compute={"path": "reference", "base": "fp8"})
    with pytest.raises(UsageError, match="stream"):
        toy.toy_config(tmp_path, compute={"stream": 1})
    changes = {"high": {"dropout": 0.1}, "compute": {"base": "fp8"}}
    with pytest.raises(UsageError, match=r"compute\.base cannot be had: .*dropout"):
        toy.train_toy(tmp_path, dataset, changes=changes)
    with pytest.raises(UsageError, match="files"):
        run(toy, dataset, tmp_path / "disk", {"idle": "disk"}, open_model=None)


# --- the pool ---


def fill_store(pool, layers, value):
    layout = stream.Layout.of([{"weight": ((4,), torch.float32)}])
    store = stream.Store(pool, layout)
    for number in range(layers):
        store.room_for(number)[0]["weight"].fill_(value + number)
    return store


def seen(store, order, step):
    found = []
    for number in order:
        store.need(number, step)
        found.append(float(store.views(number)[0]["weight"][0]))
        store.done(number, step)
    return found


@pytest.mark.parametrize("streamed", [0, 2, 3, 7])
def test_every_block_is_there_when_it_is_needed(streamed):
    pool = stream.Pool(
        size=256, layers=7, streamed=stream.spread(7, streamed), slots=3, device=torch.device("cpu")
    )  # fmt: skip
    a, b = fill_store(pool, 7, 0), fill_store(pool, 7, 100)
    with pytest.raises(RuntimeError, match="not on the device"):
        b.need(0, 1)
    for _ in range(2):
        assert seen(a, range(7), 1) == list(range(7))
        assert seen(a, reversed(range(7)), -1) == list(reversed(range(7)))
        assert seen(a, range(7), 1) == list(range(7))  # a forward without backward in between
    a.give_way(b)
    assert seen(b, range(7), 1) == [100 + n for n in range(7)]
    b.hand_over_to(a)  # while its last backward runs
    assert seen(b, reversed(range(7)), -1) == [100 + n for n in reversed(range(7))]
    if b.gone:
        with pytest.raises(RuntimeError, match="not on the device"):
            b.need(0, 1)
    assert sorted(b.gone) == [n for n in pool.resident if n >= 3.5]  # the last half changes early
    b.stay()
    assert seen(b, range(7), 1) == [100 + n for n in range(7)]
    b.give_way(a)
    assert seen(a, range(7), 1) == list(range(7))
    made = pool.slabs.total // 256
    for _ in range(3):  # host memory does not grow with the number of switches
        a.give_way(b)
        b.give_way(a)
    assert pool.slabs.total // 256 == made <= 7 + streamed + ram.SPARES
    a.leave()
    b.come()
    assert seen(b, range(7), 1) == [100 + n for n in range(7)]


def test_streaming_moves_no_more_than_it_must():
    pool = stream.Pool(size=256, layers=8, streamed=stream.spread(8, 8), slots=3, device=torch.device("cpu"))
    a = fill_store(pool, 8, 0)
    for _ in range(3):
        seen(a, range(8), 1)
        seen(a, reversed(range(8)), -1)
    # The last three of each direction are still there: 2 · (8 − 3) copies a step, and 3 at the very first.
    assert a.moved == 256 * (3 + 3 * 2 * (8 - 3))


def test_spread_is_even():
    assert stream.spread(40, 0) == ()
    assert stream.spread(4, 4) == (0, 1, 2, 3)
    found = stream.spread(40, 10)
    gaps = [b - a for a, b in itertools.pairwise(found)]
    assert len(found) == 10
    assert set(gaps) == {4}


def test_a_place_that_is_too_small_is_refused():
    pool = stream.Pool(size=4, layers=2, streamed=(), slots=0, device=torch.device("cpu"))
    with pytest.raises(ValueError, match="fit"):
        fill_store(pool, 2, 0)
    with pytest.raises(ValueError, match="slots"):
        stream.Pool(size=4, layers=2, streamed=(0, 1), slots=1, device=torch.device("cpu"))


A14B = memory.Sizes(layers=40, dim=5120, inner=13824, heads=40, fp8=True)
BLOCK = 352 * 2**20


def test_as_many_blocks_are_streamed_as_pay():
    def found(tokens, gib, **more):
        return memory.arrange(A14B, tokens, total=gib * 2**30, block=BLOCK, fixed=4.5 * 2**30, **more)

    assert found(3744, 78) == 0
    assert 0 < found(11264, 22.5) <= 40
    assert 0 < found(3744, 15.5) < 40
    assert found(11264, 22.5, link=54e9) >= found(11264, 22.5, link=8e9)
    with pytest.raises(ValueError, match="missing"):
        found(75600, 22.5)


# --- fp8 ---


def test_products_in_fp8_are_near_and_their_rows_scaled(monkeypatch):
    draw = torch.Generator().manual_seed(0)
    x, w = torch.randn(30, 512, generator=draw), torch.randn(64, 512, generator=draw) * 0.02
    x *= torch.logspace(-3, 3, 30)[:, None]  # rows of very different size must not matter
    w8, scale = fp8.quantise(w)
    bias, out, dx = torch.randn(64, generator=draw), torch.empty(30, 64), torch.empty(30, 512)
    dy = torch.randn(30, 64, generator=draw)

    def near(a, b):
        return float(torch.nn.functional.cosine_similarity(a, b, dim=1).min())

    for native, floor in ((True, 0.998), (False, 0.9985)):
        monkeypatch.setattr(fp8, "native", lambda device, native=native: native)
        fp8.forward(x, w8, scale, bias, out)
        assert near(out - bias, x @ w.t()) > floor
        for turned in (None, fp8.transposed(w8)):
            fp8.input_grad(dy, w8, scale, turned, dx)
            assert near(dx, dy @ w) > floor
    zero, ones = fp8.quantise(torch.zeros(2, 16))
    assert not zero.float().any()
    assert torch.isfinite(ones).all()


def test_gradients_on_an_fp8_base(monkeypatch, small):
    """Against the same model in float32: cosine above 0.99, for both kinds; and the scale's place matters."""
    make_input, make_model, step = small.make_input, small.make_model, small.step

    monkeypatch.setattr(fp8, "native", lambda device: True)
    exact = step(*make_model(), make_input())[1]
    for kind in ("fp8", "fp8_twice"):
        model, params = make_model()
        fast.install(model, fast.Plan(base=kind))
        grads = step(model, params, make_input())[1]
        flat = [torch.cat([g[n].flatten() for n in exact]) for g in (grads, exact)]
        assert torch.nn.functional.cosine_similarity(*flat, dim=0) > 0.99
        with pytest.raises(UsageError, match="plain forward"):
            fast.switch(model, False)


# --- nf4 ---


def test_four_bits_come_back_as_the_nearest_of_sixteen_parts():
    """Against the plain definition, row by row; a short last block, and a block of zeros."""
    draw = torch.Generator().manual_seed(0)
    w = torch.randn(7, 150, generator=draw) * torch.logspace(-3, 2, 7)[:, None]
    w[3, 64:128] = 0
    packed, scale = nf4.quantise(w)
    assert (packed.shape, scale.shape) == ((7, 75), (7, 3))
    found, codes = nf4.dequantise(packed, scale, torch.float32), torch.tensor(nf4.CODES)
    for row in range(7):
        for first in range(0, 150, 64):
            part = w[row, first : first + 64]
            largest = part.abs().max().half().float()
            nearest = codes[(part[:, None] - codes * largest).abs().argmin(1)] * largest
            error = (found[row, first : first + 64] - part).abs() - (nearest - part).abs()
            assert error.max() < 1e-5 * largest + 1e-12
    assert (found - w).norm() / w.norm() < 0.11
    assert not found[3, 64:128].any()


def test_products_of_four_bits_are_those_of_their_weights():
    draw = torch.Generator().manual_seed(0)
    x, w, bias = (torch.randn(*shape, generator=draw) for shape in ((30, 128), (64, 128), (64,)))
    packed, scale = nf4.quantise(w)
    back = nf4.dequantise(packed, scale, torch.float32)
    out, dx, dy = torch.empty(30, 64), torch.empty(30, 128), torch.randn(30, 64, generator=draw)
    nf4.forward(x, packed, scale, bias, out)
    nf4.input_grad(dy, packed, scale, None, dx)
    torch.testing.assert_close(out, x @ back.t() + bias)
    torch.testing.assert_close(dx, dy @ back)
    with pytest.raises(ValueError, match="pairs"):
        nf4.layout(4, 5)


def test_gradients_on_an_nf4_base(small):
    """Those of the model whose weights were rounded so, exactly; and of the unrounded one, roughly."""
    make_input, make_model, step = small.make_input, small.make_model, small.step

    exact = step(*make_model(), make_input())
    model, params = make_model()
    for block in model.blocks:
        for layer in block.modules():
            if isinstance(layer, torch.nn.Linear) and layer.bias is not None:
                layer.weight.data = nf4.dequantise(*nf4.quantise(layer.weight.data), torch.float32)
    rounded = step(model, params, make_input())
    model, params = make_model()
    fast.install(model, fast.Plan(base="nf4"))
    found = step(model, params, make_input())
    small.agrees(rounded, found)
    flat = [torch.cat([g[n].flatten() for n in exact[1]]) for g in (found[1], exact[1])]
    assert 0.9 < torch.nn.functional.cosine_similarity(*flat, dim=0) < 0.9999
    with pytest.raises(UsageError, match="plain forward"):
        fast.switch(model, False)


@pytest.mark.parametrize("kind", ["plain"])
def test_weights_alone_give_the_same_gradients(kind, small):
    agrees, make_input, make_model, step = small.agrees, small.make_input, small.make_model, small.step

    reference = step(*make_model(), make_input())
    model, params = make_model()
    fast.install(model, fast.Plan(base=kind))
    agrees(reference, step(model, params, make_input()))


# --- what is trained changes places ---


def test_baggage_comes_back_bit_for_bit(toy, dataset, tmp_path, monkeypatch):
    from wantrain import experts
    from wantrain.data import Cursor
    from wantrain.step import train_step

    monkeypatch.setattr(place, "LARGE", 64)  # layers outside the blocks of the tiny model, too
    config = toy.toy_config(tmp_path, high={"ema": 0.5, "steps": 3, "lr": 1e-2, "warmup": 0})
    cursor = Cursor(dataset=dataset, allowed=frozenset(range(8)))
    expert = experts.start("high", config, toy.load("high"), cursor)
    train_step(expert)
    frozen = {n: p.detach().clone() for n, p in expert.model.named_parameters() if not p.requires_grad}
    before = experts.state(expert)[0]
    bag, pool = place.Baggage(expert), slabs.Slabs(4096, pinned=False)
    for _ in range(2):
        place.change_places(bag, None, pool)
        away = sum(len(held) for held in bag.held)
        assert away >= sum(p.numel() * 4 * 4 for p in expert.params.values()) + sum(p.nbytes for p in bag.outside)
        assert len(bag.outside) > 3
        assert bag.row.untyped_storage().nbytes() == 0
        place.change_places(None, bag, pool)
        assert not bag.held
    for slab, _ in pool.free:
        slab.zero_()  # what came back is a copy
    after = experts.state(expert)[0]
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert all(torch.equal(p, frozen[n]) for n, p in expert.model.named_parameters() if n in frozen)
    train_step(expert)  # moments of another optimizer step are found again
    before = experts.state(expert)[0]
    place.change_places(bag, None, pool)
    place.change_places(None, bag, pool)
    assert all(torch.equal(before[name], tensor) for name, tensor in experts.state(expert)[0].items())


UNEVEN = {
    "high": {"steps": 6, "rank": 3, "ema": 0.9}, "low": {"steps": 9, "rank": 7}, "experts": {"switch_every": 2},
    "save": {"every": 3, "keep": 9},
}  # fmt: skip
CHUNK = 1024


class Counted(Observer):
    """Host memory for what is trained: after every change of places, and while everybody is parked."""

    def __init__(self, monkeypatch):
        self.after, self.parked, self.rows = [], [], {}
        real = place.Places._move
        monkeypatch.setattr(compute, "Places", functools.partial(place.Places, chunk=CHUNK))
        monkeypatch.setattr(place, "LARGE", 64)

        def move(places, leaving, coming):
            real(places, leaving, coming)
            self.places = places
            self.rows |= {name: bag.row.numel() for name, bag in places.bags.items() if bag.row is not None}
            held = sum(len(bag.held) for bag in places.bags.values())
            assert places.slabs.total == CHUNK * (held + len(places.slabs.free))
            assert all(bool(bag.held) == bag.away for bag in places.bags.values())
            self.after.append((leaving is not None, coming is not None, places.slabs.total))

        monkeypatch.setattr(place.Places, "_move", move)

    def begin(self, course):
        self.course = course

    def saved(self, made):
        with self.course.parked():
            self.parked.append(self.places.slabs.total)


@pytest.fixture(scope="module")
def uneven(toy, dataset, tmp_path_factory):
    """Nobody moves. Streamed: its LoRAs are added beside the weights then, as where experts of different ranks move."""
    return run(toy, dataset, tmp_path_factory.mktemp("uneven"), {"idle": "gpu", "stream": 2}, UNEVEN)


def same(toy, ours, theirs):
    assert losses(toy, ours) == losses(toy, theirs)
    for name in ("high", "low"):
        assert ours.loras[name].read_bytes() == theirs.loras[name].read_bytes()


@pytest.mark.parametrize("idle", ["pinned", "disk"])
def test_host_memory_holds_one_row_and_a_chunk(toy, dataset, uneven, tmp_path, monkeypatch, idle):
    """Over many switches of experts with different ranks, one of which has averages."""
    counted = Counted(monkeypatch)
    result = run(toy, dataset, tmp_path, {"idle": idle}, UNEVEN)
    same(toy, result, uneven)
    longest = max(counted.rows.values())
    assert longest > 20 * CHUNK
    assert len({-(-row // CHUNK) for row in counted.rows.values()}) == 2
    assert sum(leaving and coming for leaving, coming, _ in counted.after) == 4
    assert all(total <= longest + 2 * CHUNK for _, _, total in counted.after)
    assert len({total for _, _, total in counted.after}) == 1  # nothing is locked between switches
    assert not counted.places.bags
    assert len(counted.places.slabs.free) * CHUNK == counted.places.slabs.total  # the finished gave theirs back


def test_everybody_parked_takes_more_for_as_long(toy, dataset, uneven, tmp_path, monkeypatch):
    counted = Counted(monkeypatch)
    result = run(toy, dataset, tmp_path, {"idle": "pinned"}, UNEVEN, observers=[counted])
    same(toy, result, uneven)
    both, longest = sum(counted.rows.values()), max(counted.rows.values())
    assert max(counted.parked) >= both > longest + 2 * CHUNK
    back = [total for leaving, coming, total in counted.after if coming]
    assert all(total <= longest + 2 * CHUNK for total in back)


def test_resuming_with_rows_of_two_lengths(toy, dataset, uneven, tmp_path, monkeypatch):
    Counted(monkeypatch)
    metrics = tmp_path / "toy" / "metrics.jsonl"
    for steps in (3, 8):
        stop = lambda steps=steps: metrics.exists() and metrics.read_text().count('"step", "expert"') >= steps  # noqa: E731
        run(toy, dataset, tmp_path, {"idle": "pinned"}, UNEVEN, stop=stop)
    same(toy, run(toy, dataset, tmp_path, {"idle": "pinned"}, UNEVEN), uneven)


def test_a_chunk_that_is_lost_would_be_noticed(toy, dataset, uneven, tmp_path, monkeypatch):
    """The negative control: one chunk of what comes is not copied."""
    Counted(monkeypatch)
    real = slabs.swap

    def forgetful(leaving, coming, held, pool):
        if len(held) > 1:
            held[0].zero_()
        return real(leaving, coming, held, pool)

    monkeypatch.setattr(slabs, "swap", forgetful)
    assert losses(toy, run(toy, dataset, tmp_path, {"idle": "pinned"}, UNEVEN)) != losses(toy, uneven)


def test_a_finished_expert_leaves_no_memory_behind(toy, dataset, tmp_path):
    from wantrain import experts
    from wantrain.data import Cursor
    from wantrain.step import train_step

    config = toy.toy_config(tmp_path, high={"steps": 2})
    expert = experts.start("high", config, toy.load("high"), Cursor(dataset=dataset, allowed=frozenset(range(8))))
    train_step(expert)
    place.Places(device="cpu", idle="gpu").forget(expert)
    assert sum(parameter.untyped_storage().nbytes() for parameter in expert.model.parameters()) == 0
    assert not expert.optimizer.state


# --- on a GPU ---

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def gradients(small, model, params):
    given = {k: v.cuda().to(torch.bfloat16) if v.ndim > 1 else v.cuda() for k, v in small.make_input().items()}
    model.zero_grad(set_to_none=True)
    model(**given, return_dict=False)[0].float().square().mean().backward()
    return {name: p.grad.clone() for name, p in params.items()}


def on_card(small, seed, kind, pool):
    model, params = small.make_model(seed=seed, layers=5)
    for name, parameter in model.named_parameters():
        frozen = "lora_" not in name and "scale_shift" not in name and "norm" not in name
        parameter.data = parameter.data.cuda().to(torch.bfloat16 if frozen else torch.float32)
    model.cuda()
    fast.install(model, fast.Plan(base=kind, keep="attention"), pool=pool)
    return model, params


@pytest.mark.gpu
@on_gpu
@pytest.mark.parametrize("kind", ["plain", "fp8", "nf4"])
def test_streamed_and_exchanged_blocks_on_a_gpu(small, kind):
    """Bit for bit what resident blocks give, over many steps and switches, early hand-over included."""
    resident = [on_card(small, seed, kind, None) for seed in (0, 1)]
    wanted = [gradients(small, *pair) for pair in resident]
    for streamed in (0, 2, 5):
        made: list[stream.Pool] = []

        def pool(layout, sizes, streamed=streamed, made=made):
            if not made:
                blocks, card = stream.spread(sizes.layers, streamed), torch.device("cuda")
                made.append(stream.Pool(size=layout.bytes, layers=sizes.layers, streamed=blocks, slots=2, device=card))
            return made[0]

        pairs = [on_card(small, seed, kind, pool) for seed in (0, 1)]
        stores = [fast.fast_of(model).store for model, _ in pairs]
        for turn in range(6):
            here, other = turn % 2, 1 - turn % 2
            for number in range(3):
                if number == 2:
                    stores[here].hand_over_to(stores[other])
                found = gradients(small, *pairs[here])
                assert all(torch.equal(found[name], wanted[here][name]) for name in found)
            stores[here].give_way(stores[other])


@pytest.mark.gpu
@on_gpu
def test_products_in_fp8_on_a_gpu_are_those_of_the_cpu():
    assert fp8.native(torch.device("cuda"))
    draw = torch.Generator().manual_seed(0)
    x, w = torch.randn(48, 512, generator=draw), torch.randn(64, 512, generator=draw) * 0.02
    bias, dy = torch.randn(64, generator=draw), torch.randn(48, 64, generator=draw)
    w8, scale = fp8.quantise(w)
    here8, here = fp8.quantise(w.cuda())
    assert torch.equal(w8.view(torch.uint8), here8.cpu().view(torch.uint8))
    assert torch.equal(fp8.transposed(here8).cpu().view(torch.uint8), w8.view(torch.uint8).t())
    exact, found = torch.empty(48, 64), torch.empty(48, 64, device="cuda", dtype=torch.bfloat16)
    fp8.product(*fp8.quantise(x.bfloat16()), w8, scale, bias.bfloat16().float(), exact)
    fp8.forward(x.cuda().bfloat16(), here8, here, bias.cuda().bfloat16(), found)
    torch.testing.assert_close(found.float().cpu(), exact, rtol=2e-2, atol=2e-2)
    exact, found = torch.empty(48, 512), torch.empty(48, 512, device="cuda", dtype=torch.bfloat16)
    fp8.product(*fp8.quantise(dy.bfloat16(), scale[:, 0]), fp8.transposed(w8), None, None, exact)
    fp8.input_grad(dy.cuda().bfloat16(), here8, here, None, found)
    torch.testing.assert_close(found.float().cpu(), exact, rtol=2e-2, atol=2e-2)


@pytest.mark.gpu
@on_gpu
def test_four_bits_on_a_gpu_are_those_of_the_cpu():
    draw = torch.Generator().manual_seed(0)
    for shape in ((5, 64), (33, 5120), (3, 13824), (4, 150)):
        w = torch.randn(*shape, generator=draw)
        packed, scale = nf4.quantise(w)
        there = nf4.quantise(w.cuda())
        assert torch.equal(there[0].cpu(), packed)
        assert torch.equal(there[1].cpu(), scale)
        for dtype in (torch.bfloat16, torch.float32):
            found = nf4.dequantise(*there, dtype)
            assert torch.equal(found.cpu(), nf4.dequantise(packed, scale, dtype))
