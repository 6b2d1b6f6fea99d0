import random
import re
from collections import Counter
from types import SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wanprep.costs import batches_of
from wanprep.stage import UsageError
from wantrain.data import Cursor, batched, fewer_held_out, hold_out


def _samples(clips: list[tuple[str, str, str]]) -> list[SimpleNamespace]:
    """start_s falls with the index, so that time and the listing disagree."""
    return [
        SimpleNamespace(group=g, source_id=s, clip_id=c, start_s=float(-len(clips[:i])), sample_id=f"{c}/{i:03d}")
        for i, (g, s, c) in enumerate(clips)
    ]


@settings(max_examples=200, deadline=None)
@given(
    clips=st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("12"), st.integers(0, 9)), min_size=1, max_size=60),
    share=st.floats(0, 0.6),
)
def test_every_sample_is_on_one_side_and_clips_are_whole(clips, share):
    samples = _samples([(g, g + s, f"{g}{s}{c}") for g, s, c in clips])
    training, held = hold_out(samples, share)
    assert sorted(training + held) == list(range(len(samples)))
    assert training
    assert not {samples[i].clip_id for i in training} & {samples[i].clip_id for i in held}
    assert len(held) <= max(1, round(share * len(samples)))
    assert (share > 0) or not held


def test_whole_groups_when_they_fit_else_sources_else_a_block_of_clips():
    many = _samples([(f"g{g}", f"s{g}{s}", f"c{g}{s}") for g in range(10) for s in range(2)])
    _, held = hold_out(many, 0.1)
    assert len(held) == 2
    assert len({many[i].group for i in held}) == 1
    one_group = _samples([("g", f"s{s}", f"c{s}{c}") for s in range(10) for c in range(2)])
    _, held = hold_out(one_group, 0.1)
    assert len({one_group[i].source_id for i in held}) == 1
    one_source = _samples([("g", "s", f"c{c}") for c in range(20)])
    assert hold_out(one_source, 0.1)[1] == [8, 9]  # the two clips after the middle, in time
    assert hold_out(_samples([("g", "s", "c")] * 9), 0.3)[1] == []


def test_one_movie_gives_one_stretch_of_time_with_all_its_windows():
    """Ids in an order that has nothing to do with time, several windows and views a clip."""
    draws = random.Random(1)
    times = {f"c{draws.random()}": 10.0 * i for i in range(40)}
    samples = [
        SimpleNamespace(group="g", source_id="s", clip_id=c, start_s=t, sample_id=f"{c}-{w}")
        for c, t in sorted(times.items())
        for w in range(3)
    ]
    training, held = hold_out(samples, 0.1)
    clips = {samples[i].clip_id for i in held}
    assert len(held) == 12
    assert not clips & {samples[i].clip_id for i in training}
    assert sorted(times[c] for c in clips) == [200.0, 210.0, 220.0, 230.0]


def test_a_new_group_moves_no_held_out_group_into_training_at_random():
    groups = [(f"g{g}", f"s{g}", f"c{g}{i}") for g in range(20) for i in range(5)]
    before = {groups[i][0] for i in hold_out(_samples(groups), 0.2)[1]}
    grown = [*groups, *[("new", "s", f"n{i}") for i in range(5)]]
    after = {grown[i][0] for i in hold_out(_samples(grown), 0.2)[1]}
    assert len(before & after) >= len(before) - 1


def test_cursor_shows_each_allowed_sample_once_an_epoch(dataset):
    allowed = frozenset(range(0, 20, 2))
    cursor = Cursor(dataset=dataset, allowed=allowed, seed=5)
    first, second = ([cursor.next_batch()[0] for _ in range(10)] for _ in range(2))
    assert sorted(first) == sorted(second) == sorted(allowed)
    assert first != second
    resumed = Cursor(dataset=dataset, allowed=allowed, seed=5, epoch=1, position=4)
    assert [resumed.next_batch()[0] for _ in range(6)] == second[4:]
    assert [Cursor(dataset=dataset, allowed=allowed, seed=6).next_batch()[0] for _ in range(1)] + first != first


def test_nothing_to_train_on_is_said(dataset):
    with pytest.raises(UsageError, match="no sample to train on"):
        Cursor(dataset=dataset, allowed=frozenset(), seed=0).next_batch()


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), max_size=60, unique_by=lambda pair: pair[0]),
    st.integers(1, 7),
)
def test_batches_hold_one_bucket_each_and_lose_nothing(pairs, size):
    order = [index for index, _ in pairs]
    buckets = [(0, 0, 0)] * 31
    for index, bucket in pairs:
        buckets[index] = (16 * (bucket + 1), 16, 5)
    batches = batched(order, buckets, size)
    assert sorted(i for batch in batches for i in batch) == sorted(order)
    assert all(len({buckets[i] for i in batch}) == 1 and len(batch) <= size for batch in batches)
    counts = Counter(buckets[i] for i in order)
    assert len(batches) == sum(batches_of(count, size) for count in counts.values())
    firsts = [order.index(batch[0]) for batch in batches]
    assert firsts == sorted(firsts)


def test_a_source_that_is_much_smaller_than_the_share_is_not_all_that_is_held_out():
    """Sources of 1, 4, 5 and 5 clips: the one that fits would leave the comparison of LoRAs to a single sample."""
    samples = _samples([("g", f"s{s}", f"c{s}-{c}") for s, count in enumerate((1, 4, 5, 5)) for c in range(count)])
    training, held = hold_out(samples, 0.2)
    assert len(held) == 3
    assert len(training) == 12
    whole = _samples([("g", f"s{s}", f"c{s}-{c}") for s, count in enumerate((2, 4, 5, 4)) for c in range(count)])
    assert {whole[i].source_id for i in hold_out(whole, 0.2)[1]} == {"s0"}  # two of three: a whole source it is


def test_why_fewer_are_held_out_than_asked_for_and_what_to_set():
    few = _samples([("g", "s", f"c{i // 5}") for i in range(15)])  # three clips of five samples
    said = fewer_held_out(few, 0.1)
    assert said.startswith("none of 15 samples held out where validation.share = 0.1 asks for 2: ")
    assert "the smallest clip has 5; validation.share = 0.31 holds out 5, or add clips" in said
    assert len(hold_out(few, 0.31)[1]) == 5 > 0 == len(hold_out(few, 0.3)[1])

    part = _samples([("g", "s", clip) for clip in "aaaabbbbcc"])
    assert len(hold_out(part, 0.3)[1]) == 2
    assert fewer_held_out(part, 0.3).startswith("2 of 10 samples held out where validation.share = 0.3 asks for 3: ")
    assert fewer_held_out(_samples([("g", "s", f"c{i // 3}") for i in range(21)]), 0.2) is None  # 3 for 4.2
    lopsided = fewer_held_out(_samples([("g", "s", clip) for clip in "abbbbbbbbb"]), 0.4)
    assert lopsided.startswith("1 of 10 samples held out")
    assert lopsided.endswith("; add clips")  # 0.85 of a set would be no advice

    assert fewer_held_out(_samples([("g", "s", f"c{c}") for c in range(20)]), 0.1) is None
    assert fewer_held_out(few, 0) is None
    alone = fewer_held_out(_samples([("g", "s", "c")] * 9), 0.3)
    assert alone.endswith("there is one clip; add clips")


@settings(max_examples=200, deadline=None)
@given(
    clips=st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("12"), st.integers(0, 5)), min_size=1, max_size=60),
    share=st.floats(0.01, 0.5),
)
@example(clips=[("a", "1", 0), *3 * [("b", "1", 0)], *2 * [("b", "1", 1)]], share=0.25)
def test_the_share_that_is_named_holds_out_as_many_as_it_says(clips, share):
    samples = _samples([(g, g + s, f"{g}{s}{c}") for g, s, c in clips])
    held = len(hold_out(samples, share)[1])
    said = fewer_held_out(samples, share)
    if held >= max(1, round(share * len(samples))):
        assert said is None
    if said and "holds out" in said:
        named, count = re.search(r"share = ([\d.]+) holds out (\d+)", said).groups()
        assert len(hold_out(samples, float(named))[1]) == int(count) > held
        earlier = (hundredth / 100 for hundredth in range(1, 100) if share < hundredth / 100 < float(named))
        assert all(len(hold_out(samples, less)[1]) <= held for less in earlier)  # the next that holds out more
        assert float(named) <= 0.5
    elif said:
        assert said.endswith("; add clips")
