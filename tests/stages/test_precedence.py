"""Which of several clips of the same footage goes before the others, and what is said of it."""

import itertools
from collections.abc import Iterable
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wanprep.stages.precedence import FOLDER_TEXT, OUTDID, OWN_TEXT, SAID, TOUCHED, TYPED, Claim, Rival, ordered, why

NAMES = itertools.count()


def rival(path: str = "", at: float = 0.0, **known: Any) -> Rival:
    """A good clip of 1280x720 but for what is known otherwise."""
    claim = {"views": 2, "width": 1280, "height": 720}
    claim |= {f.name: known.pop(f.name) for f in fields(Claim) if f.name in known}
    scores = {"quantiser": 25.0, "coded": 20.0, "sharpness": 0.25, "seconds": 3.0, **known}
    name = f"{next(NAMES):06d}"
    return Rival(claim=Claim(**claim), place=(path or f"{name}.mp4", at, name), **scores)


def first(*rivals: Rival) -> int:
    return ordered([range(len(rivals))], dict(enumerate(rivals))).clips[0]


SMALL: dict[str, Any] = {"width": 320, "height": 180, "views": 0}
# What is before the other, whatever else speaks for the other: each line beats all that is below.
BETTER: list[dict[str, Any]] = [
    {"kept": True},
    {"words": TYPED},
    {"words": TOUCHED},
    {"words": OWN_TEXT},
    {"words": FOLDER_TEXT},
    {"views": 3},
    {"width": 1920, "height": 1080},
    {"since": -1},
    {"coded": 10.0},
    {"sharpness": 0.4},
    {"seconds": 3.4},
    {"width": 1290},
]


@pytest.mark.parametrize("rank", range(len(BETTER)))
def test_each_criterion_beats_all_that_come_after_it(rank: int) -> None:
    others: dict[str, Any] = {}
    for lower in reversed(BETTER[rank + 1 :]):
        others |= lower
    others = {name: value for name, value in others.items() if name not in BETTER[rank]}
    if "width" in BETTER[rank]:
        others.pop("height", None)
    one, other = rival("z", **BETTER[rank]), rival("a", **others)
    assert first(other, one) == 1
    assert first(one, other) == 0
    assert why(one, other)


def test_what_is_said() -> None:
    master, proxy = rival(width=1920, height=1080), rival(**SMALL)
    assert why(master, proxy) == "it fills 2 of the views, not 0 (1920x1080, not 320x180)"
    assert why(rival(width=1920, height=1080), rival()) == "its picture is larger: 1920x1080, not 1280x720"
    assert why(rival(kept=True), rival(words=TYPED)) == "it was kept by hand"
    assert why(rival(words=TYPED), rival(words=OWN_TEXT)) == SAID[TYPED]
    assert why(rival(since=0), rival(since=2)) == "it was in the set before"
    assert why(rival(coded=18.04), rival(coded=28.0)) == "it is coded more finely: quantiser 18, not 28"
    assert why(rival(quantiser=30.0), rival(quantiser=40.0)).endswith("quantiser 20, not 40")
    assert why(rival(sharpness=0.3), rival(sharpness=0.2)) == "it is sharper: 0.3, not 0.2"
    assert why(rival(seconds=3.0), rival(seconds=2.5)) == "it is longer: 3.00 s, not 2.50 s"
    assert why(rival("a"), rival("b")) == "all else is equal, and its path comes first"
    assert why(rival("a", 1.0), rival("a", 7.0)) == "it comes first in their film"


def test_words_that_outdo_a_better_picture_say_so() -> None:
    said = why(rival(words=OWN_TEXT, **SMALL), rival())
    assert said == f"{SAID[OWN_TEXT]}, {OUTDID} (1280x720, 2 of the views; not 320x180, 0 of the views)"
    assert OUTDID not in why(rival(words=OWN_TEXT), rival())
    assert OUTDID not in why(rival(), rival(**SMALL))


@pytest.mark.parametrize(
    "noise",
    [
        {"coded": 17.5},
        {"coded": 22.5},
        {"quantiser": 28.0},  # what blocks look like, where they are hardly visible
        {"sharpness": 0.26},
        {"sharpness": 0.22},
        {"seconds": 3.04},
    ],
)
def test_noise_of_a_score_decides_nothing(noise: dict[str, Any]) -> None:
    assert first(rival("a"), rival("b", **noise)) == 0
    assert first(rival("b"), rival("a", **noise)) == 1
    assert first(rival("a"), rival("b", width=1440, height=810)) == 1  # though a larger picture does


@pytest.mark.parametrize("score", ["coded", "quantiser", "sharpness", "seconds"])
@pytest.mark.parametrize("value", [0.05, 0.2, 20.0, 30.0])
def test_what_is_not_known_neither_wins_nor_loses(score: str, value: float) -> None:
    for paths in (("a", "b"), ("b", "a")):
        scores: list[dict[str, Any]] = [{score: None}, {score: value}]
        one, other = rival(paths[0], **scores[0]), rival(paths[1], **scores[1])
        assert first(one, other) == paths.index("a")


def test_each_is_measured_by_the_best() -> None:
    """No fixed steps, between which a hair would decide; and what follows from a chain of small steps is the same."""
    chain = [rival(f"{name}.mp4", coded=value) for name, value in (("c", 10.0), ("b", 12.5), ("a", 15.0))]
    for turned in itertools.permutations(chain):
        found = ordered([range(3)], dict(enumerate(turned))).clips
        assert [turned[clip].coded for clip in found] == [12.5, 10.0, 15.0]
    assert why(chain[1], chain[2]) == "it is coded more finely: quantiser 12.5, not 15"  # though less than a step
    assert why(chain[1], chain[0]) == "all else is equal, and its path comes first"


def test_one_unknown_among_three_leaves_it_to_the_next_criterion() -> None:
    fine, sharp, unknown = rival("b", coded=10.0), rival("c", sharpness=0.4), rival("a", coded=None)
    assert first(fine, sharp) == 0
    assert first(fine, sharp, unknown) == 1
    later = rival("a", coded=None, since=1)
    assert first(fine, sharp, later) == 0  # what came later does not make those before change places


RIVALS = st.builds(
    lambda place, **known: rival(f"{place}.mp4", **known),
    place=st.integers(0, 9),
    words=st.sampled_from([0, 0, OWN_TEXT, TYPED]),
    views=st.integers(0, 2),
    width=st.sampled_from([320, 640, 660]),
    since=st.integers(0, 2),
    coded=st.one_of(st.none(), st.floats(10, 40)),
    sharpness=st.one_of(st.none(), st.floats(0.1, 0.4)),
    kept=st.booleans(),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(RIVALS, min_size=2, max_size=7), st.randoms())
def test_neither_the_order_of_clips_nor_that_of_groups_matters(rivals: list[Rival], random: Any) -> None:
    by_index = dict(enumerate(rivals))
    halves = [range(0, len(rivals), 2), range(1, len(rivals), 2)]

    def places(groups: Iterable[Iterable[int]]) -> list[int]:
        mixed = [random.sample(list(group), len(list(group))) for group in groups]
        random.shuffle(mixed)
        return list(ordered(mixed, by_index).clips)

    assert places(halves) == places(halves)
    assert sorted(places(halves)) == list(by_index)
    assert places([by_index]) == places([by_index])


@settings(max_examples=100, deadline=None)
@given(st.lists(RIVALS, min_size=2, max_size=6), RIVALS)
def test_who_comes_later_and_does_not_win_changes_nothing(rivals: list[Rival], late: Rival) -> None:
    late = Rival(**{**vars(late), "claim": Claim(**{**vars(late.claim), "since": 3})})
    before = ordered([range(len(rivals))], dict(enumerate(rivals))).clips
    after = ordered([range(len(rivals) + 1)], dict(enumerate([*rivals, late]))).clips
    assert [clip for clip in after if clip < len(rivals)] == list(before)


def test_worth_is_what_a_longer_clip_does_not_make_up_for() -> None:
    rivals = [rival(words=TYPED), rival(), rival(coded=1.0, since=3, seconds=9.0), rival(**SMALL)]
    worth = ordered([range(4)], dict(enumerate(rivals))).worth
    assert worth[0] < worth[1] == worth[2] < worth[3]
