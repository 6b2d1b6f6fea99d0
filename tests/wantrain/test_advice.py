"""Warnings come with the number and the guide, and only outside the guides' ranges."""

import re

import pytest

from wanprep.config import from_table
from wantrain.advice import warnings_for
from wantrain.config import TrainConfig


def _warned(clips=30, epoch=30, **table) -> list[str]:
    return warnings_for(from_table(TrainConfig, table), clips=clips, epoch=epoch)


def test_the_defaults_fit_the_sets_they_are_for():
    assert _warned() == []
    for goal in ("character", "style", "motion"):
        assert _warned(goal=goal) == []


@pytest.mark.parametrize(
    ("table", "size", "message"),
    [
        ({"high": {"rank": 96}}, 30, r"high\.rank = 96 is much for 30 samples.*up to 32.*\[WAN\].*16–32.*\[AIT\]"),
        ({"low": {"steps": 9000}}, 30, r"low\.steps = 9000: more than 3000–4000.*60–80 %.*\[AIT\]"),
        ({"high": {"steps": 9000}}, 120, r"high trains 75 epochs: for 120 samples at most 20 are usual \[WAN\]"),
        (
            {"goal": "motion", "high": {"lr": 3e-4}},
            30,
            r"high\.lr = 0\.0003 is outside 5e-05–0\.0001.*\[WAN\]",
        ),
        ({"goal": "style"}, 4, r"4 clips are few for a style: at least 10 \[AIT\], 200 \[WAN\]"),
        ({"caption_dropout": 1.0}, 30, r"caption_dropout = 1: 100% of the draws see no caption"),
        (
            {"previews": {"prompts": "p.txt", "every": 10_000}, "save": {"every": 1000}},
            30,
            r"previews\.every = 10000 is more than the \d+ steps of the run: only the base model and the finished",
        ),
        ({"experts": {"switch_every": 1}}, 30, r"switch_every = 1 .*20–50 when the idle one is offloaded.*\[AIT\]"),
    ],
)
def test_outside_a_range_the_number_and_the_source_are_named(table, size, message):
    said = _warned(clips=size, epoch=size, **table)
    assert len(said) == 1
    assert re.search(message, said[0])


def test_no_warning_where_the_guide_does_not_apply():
    large = {"high": {"rank": 96}, "low": {"rank": 96}}
    assert _warned(clips=500, epoch=500, **large) == []
    assert _warned(experts={"switch_every": 1}, compute={"idle": "gpu"}) == []
    assert _warned(experts={"switch_every": 1, "schedule": "sequential"}) == []
    prodigy = {"lr": 1.0, "optimizer": "prodigyopt.Prodigy"}
    assert _warned(goal="style", high=prodigy, low=prodigy) == []


def test_plan_shows_them(toy, dataset, tmp_path):
    from wantrain.plan import plan, plan_lines

    planned = plan(toy.toy_config(tmp_path, goal="domain"), dataset)
    assert any("16 clips are few for a domain" in line for line in plan_lines(planned))


def test_plan_says_why_nothing_is_held_out(toy, dataset, tmp_path):
    import copy

    from wantrain.plan import plan, plan_lines

    one = copy.copy(dataset)
    one.samples = [sample for sample in dataset.samples if sample.clip_id == dataset.samples[0].clip_id]
    config = toy.toy_config(tmp_path, validation={"share": 0.2})
    assert any("there is one clip; add clips" in line for line in plan_lines(plan(config, one)))
    assert not any("held out where" in line for line in plan_lines(plan(config, dataset)))
