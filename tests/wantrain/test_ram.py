"""Host memory as it is counted before a run, and what the card has left once a step has shown its peak."""

import pytest
import torch

from wanprep import costs
from wanprep.families import family
from wantrain import fast, fast_forward, memory, ram

GIB = ram.GIB
WAN = family("wan2.2-t2v-a14b")
TRAINED, OUTSIDE = costs.lora_params(WAN, 32), 2.0 * costs.other_params(WAN)
FP8 = costs.block_params(WAN) / 40
SIZES = memory.Sizes(layers=40, dim=5120, inner=13824, heads=40, fp8=True)


def load(block=FP8, **more):
    own = {"layers": 40, "block": block, "trained": TRAINED, "outside": OUTSIDE, "experts": 2, "idle": "pinned"}
    return ram.Load(**(own | more))


@pytest.mark.parametrize(
    ("block", "streamed", "measured"),
    [(FP8, 0, 21.7), (FP8, 5, 23.3), (FP8, 16, 26.9), (FP8, 37, 33.7), (2 * FP8, 0, 36.0)],
)
def test_what_was_measured_on_an_h100(block, streamed, measured):
    """When what is trained and layers outside the blocks still waited for both experts."""
    now = load(block).ram(streamed)
    earlier = 2 * (OUTSIDE + ram.TRAINED_BYTES * TRAINED)
    assert (now.total - now.outside - now.trained + earlier) / GIB == pytest.approx(measured, abs=0.7)


def test_parts_of_each_place():
    assert load(idle="disk").ram().idle == load(experts=1).ram().idle == 0
    assert load(experts=1).ram().total == ram.PROCESS
    assert load(idle="gpu").ram(3).streamed == 2 * load().ram(3).streamed  # each expert streams its own
    row, more = (TRAINED * size + OUTSIDE for size in (12, 16))
    for found, wanted in ((load().ram(), row), (load(averages=True).ram(), more)):
        assert 0 <= found.trained + found.outside - wanted - ram.CHUNK < ram.CHUNK
    assert load(experts=3).ram().trained == load().ram().trained  # one is always on the card
    assert load(idle="host").ram().trained == 2 * 12 * TRAINED  # one has left before the other comes
    assert "idle 13.1" in str(load().ram())
    assert "kept" not in str(load().ram())
    with pytest.raises(ValueError, match="40 blocks"):
        load().ram(41)


def test_a_limit_holds_and_activations_give_way_before_blocks():
    assert load().most(None) == 40
    for limit in (20, 22, 24, 28, 40, 80):
        most = load().most(limit * GIB)
        assert load().ram(most).total <= limit * GIB
        assert most == 40 or load().ram(most + 1).total > limit * GIB
        for streamed in range(most + 1):
            kept = load().left(limit * GIB, streamed, 16 * GIB)
            assert 0 <= kept <= 16 * GIB
            assert load().ram(streamed, kept).total <= limit * GIB
    assert load().left(None, 40, 5.0) == 5.0
    with pytest.raises(ValueError, match=r"18\.0 GiB are too few; .* 19\.\d GiB"):
        load().most(18 * GIB)


def test_24_gib_of_host_memory_hold_both_experts_at_512x512x41():
    """With a card of 22.5 GiB, where 37 blocks were streamed from 33.7 GiB without a limit."""
    limit, fixed = 24 * GIB, memory.fixed_bytes(TRAINED, OUTSIDE)
    given = {"total": 22.5 * GIB, "block": int(FP8), "fixed": fixed}
    streamed = memory.arrange(SIZES, 11264, most=load().most(limit), **given)
    assert 7 < streamed <= 14  # 7 when both experts' rows waited
    assert load().ram(streamed).total <= limit
    assert memory.arrange(SIZES, 11264, **given) > 30
    with pytest.raises(ValueError, match="missing"):
        memory.arrange(SIZES, 11264, most=2, **given)


def test_activations_in_host_memory_are_what_blocks_leave():
    """Of a choice between many blocks streamed and many activations away the arrangement sees both sides."""
    asked = []

    def host(streamed):
        asked.append(streamed)
        return load().left(45 * GIB, streamed, 16 * GIB)

    given = {"total": 22.5 * GIB, "block": int(FP8), "fixed": memory.fixed_bytes(TRAINED, OUTSIDE)}
    with_host = memory.arrange(SIZES, 32760, most=load().most(45 * GIB), host=host, **given)
    assert asked == list(range(load().most(45 * GIB) + 1))
    assert load().ram(with_host, host(with_host)).total <= 45 * GIB
    with pytest.raises(ValueError, match="missing"):
        memory.arrange(SIZES, 32760, most=load().most(45 * GIB), **given)


def test_activations_go_to_host_memory_only_where_nothing_fits_otherwise():
    def settled(tokens, wanted=None, limit=None):
        return memory.settle(
            SIZES, tokens, 1, wanted=wanted, left=lambda size, count: load().left(limit, count, size),
            total=22.5 * GIB, block=int(FP8), fixed=memory.fixed_bytes(TRAINED, OUTSIDE), most=load().most(limit),
        )  # fmt: skip

    assert settled(11264)[1] == 0
    assert settled(11264, wanted=8 * GIB)[1] == 8 * GIB
    _, kept = settled(32760)
    assert kept in memory.HOST_STEPS[1:]
    with pytest.raises(ValueError, match="missing"):
        settled(32760, wanted=memory.HOST_STEPS[memory.HOST_STEPS.index(kept) - 1])
    with pytest.raises(ValueError, match="missing"):  # the one without any, which says how much is wanting
        settled(32760, limit=24 * GIB)


# --- what a step leaves unused ---


def test_spare_bytes_leave_a_margin_and_never_turn_negative():
    assert memory.spare_bytes(22.5 * GIB, 20 * GIB, 0.5 * GIB) == 1.5 * GIB
    assert memory.spare_bytes(22.5 * GIB, 22.4 * GIB, 0) == 0


class Card(fast_forward.Card):
    """A card with so many bytes, on which a step reaches `top`."""

    def __init__(self, whole, top):
        self.whole, self.top, self.now = whole, top, 1000.0

    def allocated(self):
        return self.now

    def free(self):
        return self.whole - self.now

    def peak(self):
        return self.top

    def start(self):
        fast_forward.Card.starts += 1


@pytest.fixture
def small(small, monkeypatch):
    """The model of test_fast.py, and a card on which a bucket's first step keeps block inputs only."""
    monkeypatch.setattr(memory, "MARGIN", 0.0)
    torch.set_num_threads(1)
    return small


def tried(small, top, cap=None, between=None):
    """What a bucket keeps in its first and in its second step, on a card with 200,000 bytes."""
    model, params = small.make_model()
    installed = fast.install(model, fast.Plan(reserve=0.0, cap=cap))
    sizes, trained = installed.sizes, 4.0 * sum(p.numel() for p in params.values())
    least = memory.input_bytes(sizes, 18) + memory.working_bytes(sizes, 18)
    installed.card = Card(1000 + least + 2 * trained, top(1000 + least, trained))
    results = []
    for number in range(3):
        results.append(small.step(model, params, small.make_input()))
        (kept,) = installed.buckets.values()
        yield sum(map(len, kept.keep))
        if number == 0 and between is not None:
            between(installed)
    for found in results[1:]:
        small.agrees(results[0], found)


def test_a_second_step_keeps_what_the_first_left_unused(small):
    first, second, third = tried(small, lambda limit, trained: limit - trained - 20_000)
    assert first == 0
    assert second == third > 0


def test_nothing_is_kept_on_top_of_a_full_card(small):
    assert list(tried(small, lambda limit, trained: limit - trained)) == [0, 0, 0]
    # Gradients were not there in the first step: what only they will need is not spare.
    assert list(tried(small, lambda limit, trained: limit - trained + 1)) == [0, 0, 0]


def test_a_cap_counts_and_so_does_somebody_elses_peak(small):
    capped = tried(small, lambda limit, trained: limit - trained - 20_000, cap=1.0)
    assert list(capped) == [0, 0, 0]

    def other(installed):
        installed.card.start()  # another expert begins to look: the peak is its own

    found = list(tried(small, lambda limit, trained: limit - trained - 20_000, between=other))
    assert found == [0, 0, 0]


def test_a_rehearsal_that_was_too_bold_is_tried_again_with_estimates(toy, dataset, tmp_path, monkeypatch):
    from wanprep.stage import UsageError
    from wantrain import experts, rehearse
    from wantrain.data import Cursor

    config = toy.toy_config(tmp_path, high={"steps": 2})
    expert = experts.start("high", config, toy.load("high"), Cursor(dataset=dataset, allowed=frozenset(range(8))))
    installed = fast.install(expert.model, fast.Plan())
    real, needs = rehearse.learn, [True]

    def learn(*given):
        if installed.bold or needs[0]:
            raise torch.OutOfMemoryError("full")
        return real(*given)

    monkeypatch.setattr(rehearse, "learn", learn)
    with pytest.raises(UsageError, match="does not fit"):  # nothing was kept on top of estimates
        rehearse.rehearse(expert)
    installed.card, needs[0] = Card(1e12, 0.0), False
    assert rehearse.rehearse(expert).seconds > 0
    assert not installed.bold
    installed.bold, needs[0] = True, True
    with pytest.raises(UsageError, match="does not fit"):
        rehearse.rehearse(expert)
    assert not fast.cautious(expert.model)


def test_a_plan_tells_main_memory_and_streamed_blocks_or_what_is_missing():
    from wanprep.config import from_table
    from wantrain.config import TrainConfig
    from wantrain.forecast import forecast, forecast_lines

    def told(visits=None, card="RTX 4090", **compute):
        config = from_table(TrainConfig, {"compute": compute, "high": {"rank": 32}, "low": {"rank": 32}})
        found = forecast(config, visits or {(512, 512, 41): 1}, card)
        return found, forecast_lines([vars(found) | {"total_hours": 1.0}])[0]

    found, text = told(base="fp8", cap=22.5)
    assert found.ram == pytest.approx(load().ram(found.streamed).total / GIB)
    assert f"{found.ram:.1f} GiB of main memory" in text
    assert f"{found.streamed} blocks streamed" in text
    assert found.streamed > 30
    found, text = told(base="fp8", cap=22.5, ram=24.0)
    assert found.ram <= 24
    assert 0 < found.streamed <= 14
    assert "streamed, slower" in text
    found, text = told(base="fp8", cap=22.5, ram=19.0)
    assert "does not fit: 19.0 GiB are too few" in text
    found, text = told({(832, 480, 81): 1}, base="fp8", cap=22.5, activations=0.0)
    assert "missing on the GPU" in found.problem
    assert "streamed, slower" not in text
    found, text = told({(832, 480, 81): 1}, base="fp8", cap=22.5, activations=16.0)
    assert not found.problem
    least, text = told({(832, 480, 81): 1}, base="fp8", cap=22.5)
    assert not least.problem
    assert least.ram < found.ram
    found, text = told(card="H100", base="fp8")
    assert found.streamed == 0
    assert found.ram == pytest.approx(19.6, abs=0.3)


def test_an_expert_gets_what_another_one_leaves_of_the_card(toy, dataset, tmp_path, monkeypatch):
    from wantrain import compute, experts
    from wantrain.data import Cursor

    config = toy.toy_config(tmp_path, high={"steps": 2})
    expert = experts.start("high", config, toy.load("high"), Cursor(dataset=dataset, allowed=frozenset(range(8))))
    own = sum(p.numel() * 4 for p in expert.model.parameters())
    place = compute.Workplace(config=config, device="cpu", tokens=1, batch=1, load_model=toy.load)
    there = {"other": 0}
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (30 * GIB, 80 * GIB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 49 * GIB)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: own + there["other"])
    assert place._total(expert) == 79 * GIB
    there["other"] = 14 * GIB
    assert place._total(expert) == 65 * GIB
    for parameter in expert.model.blocks.parameters():  # still to be read
        parameter.data = torch.zeros(()).expand(parameter.shape)
    there["other"] -= own
    assert place._total(expert) > 65 * GIB
