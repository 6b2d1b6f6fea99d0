"""Which of several clips of the same footage stays, on made-up signatures."""

import numpy as np
import pytest

from wanprep.signals import phash
from wanprep.stages.precedence import Order
from wanprep.stages.repeats import Known, from_json, repeats, to_json


def signature(seed: int, start: int = 0, length: int = 10, flips: int = 0, mirrored: bool = False) -> bytes:
    """`length` thumbnails of footage `seed` from the `start`-th on; `flips` bits of each hash wrong."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**63, 40, dtype=np.uint64)
    small = rng.integers(0, 255, (82, 6, 8), dtype=np.uint8)
    other = np.random.default_rng([seed, 1])
    for _ in range(flips):
        hashes = hashes ^ (np.uint64(1) << other.integers(0, 64, 40).astype(np.uint64))
    if mirrored:
        hashes, small = hashes ^ phash.MIRROR, small[:, :, ::-1]
    hashes, small = hashes[start : start + length], small[2 * start : 2 * (start + length) + 1]
    head = bytes([phash.VERSION]) + length.to_bytes(2, "little")
    return head + hashes.tobytes() + np.ascontiguousarray(small).tobytes()


def found(*signatures: bytes) -> dict[int, int]:
    return {clip: repeat.of for clip, repeat in repeats(signatures, 0.18).items()}


def test_the_first_of_a_set_stays():
    assert found(signature(1), signature(2), signature(1, flips=3), signature(1, flips=5)) == {2: 0, 3: 0}


def test_different_footage_stays():
    assert found(*(signature(k) for k in range(30))) == {}
    assert found() == {}
    assert found(b"", b"") == {}


def test_a_mirrored_copy_is_named_as_one():
    got = repeats([signature(1), signature(1, flips=2, mirrored=True)], 0.18)
    assert (got[1].of, got[1].mirrored) == (0, True)
    assert 0 < got[1].distance < 0.1


def test_a_part_goes_even_when_it_comes_first():
    assert found(signature(1, start=5, length=6), signature(1, length=20)) == {0: 1}
    assert found(signature(1, length=20), signature(1, start=5, length=6)) == {1: 0}


def test_of_nearly_equal_lengths_the_first_stays():
    assert found(signature(1, length=9), signature(1, length=10)) == {1: 0}


def test_who_repeats_a_part_is_told_what_stays():
    part = signature(1, start=3, length=5)
    assert found(part, part, signature(1, length=20)) == {0: 2, 1: 2}


def test_a_large_set_leaves_one():
    assert found(*[signature(1)] * 40) == dict.fromkeys(range(1, 40), 0)
    assert set(found(*(signature(1, flips=k % 5) for k in range(40))).values()) == {0}


def test_the_threshold_decides():
    pair = [signature(1), signature(1, flips=8)]
    assert repeats(pair, 0.18).keys() == {1}
    assert repeats(pair, 0.05) == {}


def test_few_of_ten_thousand_clips_are_compared(monkeypatch):
    """The number of comparisons is what a large set costs; all pairs would be 50 million."""
    compared = []
    match = phash.match
    monkeypatch.setattr(phash, "match", lambda *args: compared.append(1) or match(*args))
    table = [signature(k) for k in range(9_500)] + [signature(k, flips=3) for k in range(500)]
    got = repeats(table, 0.18)
    assert 500 <= len(compared) < 10_000
    assert len(got) == pytest.approx(500, abs=5)
    assert all(repeat.of == clip - 9_500 for clip, repeat in got.items())


def test_what_was_compared_is_remembered_and_changes_nothing(monkeypatch):
    table = [signature(k) for k in range(30)] + [signature(k, flips=k % 7) for k in range(0, 30, 2)]
    names = [f"scores {k}" for k in range(len(table))]
    plain, matches = repeats(table, 0.18), {}
    assert repeats(table, 0.18, Known(matches, names)) == plain
    assert plain
    stored = {key: from_json(to_json(match)) for key, match in matches.items()}
    assert stored == matches
    compared = []
    match = phash.match
    monkeypatch.setattr(phash, "match", lambda *args: compared.append(1) or match(*args))
    assert repeats(table, 0.18, Known(stored, names)) == plain
    assert not compared
    assert repeats(table, 0.05, Known(stored, names)) != plain
    assert compared  # what is too far apart depends on the threshold


def test_the_memory_knows_signatures_by_their_scores():
    matches = {}
    pair = [signature(1), signature(1)]
    assert repeats(pair, 0.18, Known(matches, ["a", "b"])).keys() == {1}
    other = [signature(1), signature(2)]
    assert repeats(other, 0.18, Known(matches, ["a", "c"])) == {}
    keys_before = set(matches)
    repeats(pair, 0.18, Known(matches, ["a", "d"]))
    assert len(set(matches) - keys_before) == 1


def ranked(order, worth=()):
    """As `repeats` takes it: these go before others in this order."""

    def rank(groups):
        near = {clip for group in groups for clip in group}
        values = dict(enumerate(worth)) or dict.fromkeys(near, 0)
        return Order(clips=[clip for clip in order if clip in near], worth={clip: values[clip] for clip in near})

    return rank


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
def test_the_one_with_precedence_stays(order):
    signatures = [signature(1), signature(1, flips=3), signature(2), signature(1, flips=5)]
    got = repeats(signatures, 0.18, rank=ranked([3, *order]))
    assert {clip: repeat.of for clip, repeat in got.items()} == {0: 3, 1: 3}
    got = repeats(signatures, 0.18, rank=ranked([*order, 3]))
    stays = next(clip for clip in order if clip != 2)
    assert {clip: repeat.of for clip, repeat in got.items()} == dict.fromkeys({0, 1, 3} - {stays}, stays)


def test_only_what_might_show_the_same_is_ranked():
    asked: list = []

    def noted(groups):
        asked.extend(groups)
        return ranked([30, 7])(groups)

    signatures = [signature(k) for k in range(30)] + [signature(7, flips=2)]
    repeats(signatures, 0.18, rank=noted)
    assert {frozenset(group) for group in asked if not {7, 30}.isdisjoint(group)} == {frozenset({7, 30})}
    assert sum(map(len, asked)) < 10


def test_a_part_that_is_worth_more_stays_beside_the_whole():
    part, whole = signature(1, start=5, length=6), signature(1, length=20)
    assert not repeats([part, whole], 0.18, rank=ranked([0, 1], worth=(0, 1)))
    for order, worth in (([0, 1], (1, 1)), ([1, 0], (2, 1))):
        got = repeats([part, whole], 0.18, rank=ranked(order, worth))
        assert [(clip, repeat.of, repeat.part) for clip, repeat in got.items()] == [(0, 1, True)]


def chain() -> list[bytes]:
    """Three clips of which each shows the same as the next, but not the first as the last."""
    return [signature(1), signature(1, flips=8), signature(1, flips=16)]


@pytest.mark.parametrize(
    ("order", "expected"), [((1, 0, 2), {0: 1, 2: 1}), ((0, 1, 2), {1: 0}), ((2, 0, 1), {1: 2}), ((0, 2, 1), {1: 0})]
)
def test_of_a_chain_only_what_shows_the_same_as_one_that_stays_goes(order, expected):
    assert found(*chain()[::2]) == {}
    got = repeats(chain(), 0.18, rank=ranked(order))
    assert {clip: repeat.of for clip, repeat in got.items()} == expected


def test_whichever_goes_first_a_pair_is_compared_and_remembered_once():
    matches: dict = {}
    pair = [signature(1), signature(1, flips=3)]
    forth = repeats(pair, 0.18, Known(matches, ["a", "b"]), ranked([0, 1]))
    assert len(matches) == 1
    back = repeats(pair, 0.18, Known(matches, ["a", "b"]), ranked([1, 0]))
    assert len(matches) == 1
    assert forth[1].distance == back[0].distance


def test_a_large_set_leaves_the_one_with_precedence():
    """More equal clips than are looked for at a time."""
    order = np.random.default_rng(3).permutation(60).tolist()
    got = repeats([signature(1)] * 60, 0.18, rank=ranked(order))
    assert {clip: repeat.of for clip, repeat in got.items()} == dict.fromkeys(sorted(order[1:]), order[0])
