"""Proposed views: they fit the card, they fit the footage, and none is empty."""

from __future__ import annotations

import json
import tomllib
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wanprep import costs, joins
from wanprep.config import from_table
from wanprep.families import family
from wanprep.show_suggest import show_suggestion
from wanprep.stage import UsageError
from wanprep.stages.bucket import ClipInfo, View
from wanprep.stages.samples import samples_of
from wanprep.stages.windows import check_views
from wanprep.suggest import RESERVE_GIB, suggest

A14B = family("wan2.2-t2v-a14b")


def clip(name: str, **changes: Any) -> ClipInfo:
    base: dict[str, Any] = {"source_id": "s", "group": "g", "width": 1280, "height": 720, "n_frames": 60}
    return ClipInfo(clip_id=name, **(base | changes))


def still(name: str, **changes: Any) -> ClipInfo:
    return clip(name, **({"n_frames": 1, "is_image": True} | changes))


def test_a_24_gb_card_gets_a_sharp_and_a_motion_view_in_the_shape_of_the_footage():
    found = suggest([clip(f"{i}", n_frames=50 + i) for i in range(40)], A14B, 24)
    assert (found.weights, [p.view.name for p in found.views]) == ("fp8", ["sharp", "motion"])
    sharp, motion = found.views
    assert sharp.view.frames == (17,)
    assert motion.view.frames == (57,)  # three quarters of the clips have 60 frames
    assert (motion.clips, motion.missed) == (33, 7)
    for proposal in found.views:
        width, height = proposal.view.size
        assert abs(width / height / (16 / 9) - 1) < 0.06
        assert proposal.peak_gib <= 24
        assert proposal.tokens > 0.85 * found.max_tokens  # it uses what is there
    assert sharp.view.size[0] > motion.view.size[0]


def test_more_memory_means_larger_views_and_more_exact_weights():
    clips = [clip(f"{i}") for i in range(8)]
    tokens, weights = [], []
    for vram in (16, 24, 48, 80):
        found = suggest(clips, A14B, vram)
        tokens.append(max(p.tokens for p in found.views))
        weights.append(found.weights)
        assert all(p.peak_gib <= vram for p in found.views)
    assert tokens == sorted(tokens)
    assert tokens[0] < tokens[-1]
    assert weights == ["nf4", "fp8", "bf16", "bf16"]


@pytest.mark.parametrize(("vram", "name"), [(16, "wan2.2-t2v-a14b"), (24, "wan2.2-t2v-a14b"), (24, "wan2.2-ti2v-5b")])
def test_square_footage_gets_square_views_that_cut_nothing(vram, name):
    clips = [clip(f"{i}", width=1080, height=1080) for i in range(8)]
    found = suggest(clips, family(name), vram)
    for proposal in found.views:
        width, height = proposal.view.size
        assert width == height
        rows = samples_of(clips, [proposal.view], family(name))
        assert {(row["width"], row["height"], *row["crop"]) for row in rows} == {(width, height, 0, 0, 1080, 1080)}
        assert {row["tokens"] for row in rows} == {proposal.tokens}


def test_views_are_no_larger_than_the_footage_and_twins_are_not_proposed():
    found = suggest([clip(f"{i}", width=640, height=360) for i in range(8)], A14B, 80)
    assert [p.view.name for p in found.views] == ["motion"]
    assert found.views[0].view.size[0] * found.views[0].view.size[1] <= 640 * 360
    assert found.views[0].missed == 0
    assert any("hardly larger" in reason for reason in found.reasons)


def test_tall_footage_gets_tall_views_and_short_clips_a_short_one():
    found = suggest([clip(f"{i}", width=1080, height=1920, n_frames=12) for i in range(5)], A14B, 24)
    assert [(p.view.name, p.view.frames) for p in found.views] == [("sharp", (9,))]
    assert found.views[0].view.size[1] > found.views[0].view.size[0]
    assert any(reason.startswith("motion: ") for reason in found.reasons)


def test_small_long_clips_get_a_motion_view_at_their_own_size():
    for (width, height), frames in (((256, 144), 65), ((320, 180), 57), ((320, 176), 121), ((192, 320), 64)):
        found = suggest([clip(f"{i}", width=width, height=height, n_frames=frames) for i in range(4)], A14B, 24)
        (motion,) = found.views  # a sharp view would show nothing more
        assert (motion.view.name, motion.missed) == ("motion", 0)
        assert motion.view.frames == (min(81, (frames - 1) // 4 * 4 + 1),)
        assert motion.view.size[0] * motion.view.size[1] >= 0.9 * width * height
        assert [reason.split(":")[0] for reason in found.reasons] == ["stills", "sharp"]


def test_why_there_is_no_motion_view():
    short = suggest([clip(f"{i}", width=320, height=180, n_frames=17) for i in range(4)], A14B, 24)
    assert short.reasons[-1] == "motion: most clips hold no more than 17 frames; the sharp view takes those"
    tight = suggest([clip(f"{i}", n_frames=81) for i in range(4)], A14B, 10.5)
    assert [p.view.name for p in tight.views] == ["sharp"]
    assert tight.reasons[-1].startswith("motion: there is no room for more than 17 frames in a size that shows motion")
    assert tight.max_tokens < 0.9 * 384 * 208 / 256 * A14B.latent_frames(21)


def test_stills_get_a_view_of_their_own():
    found = suggest([still(f"{i}", width=1600, height=1200) for i in range(5)], A14B, 24)
    assert [(p.view.name, p.view.media, p.samples) for p in found.views] == [("stills", "image", 5)]
    assert len(found.reasons) == 2


def test_the_toml_gives_the_same_views():
    found = suggest([clip("a"), clip("b", n_frames=140), still("c")], A14B, 24)
    tables = tomllib.loads(found.toml)["views"]
    views = [from_table(View, table, "views") for table in tables]
    assert views == [p.view for p in found.views]
    check_views(views, A14B)


@given(
    shapes=st.lists(
        st.tuples(st.integers(20, 4000), st.integers(20, 4000), st.integers(1, 400), st.booleans()),
        min_size=1,
        max_size=8,
    ),
    name=st.sampled_from(sorted(costs.TRANSFORMERS)),
    vram=st.sampled_from([8, 12, 16, 24, 48, 80]),
    batch=st.integers(1, 3),
)
@settings(max_examples=150, deadline=None)
def test_no_proposal_is_empty_or_too_large(shapes, name, vram, batch):
    model = family(name)
    clips = [
        clip(f"{i}", width=w, height=h, n_frames=1 if image else n, is_image=image)
        for i, (w, h, n, image) in enumerate(shapes)
    ]
    budget = (vram - RESERVE_GIB) * costs.GIB
    if not any(costs.max_tokens(model, budget, weights=w, batch=batch) for w in get_args(costs.Weights)):
        with pytest.raises(UsageError, match="GiB do not hold"):
            suggest(clips, model, vram, batch=batch)
        return
    found = suggest(clips, model, vram, batch=batch)
    for p in found.views:
        rows = [row for row in samples_of(clips, [p.view], model) if row["state"] == "ok"]
        assert len(rows) == p.samples > 0
        memory = costs.training_memory(model, p.tokens, weights=found.weights, rank=16, batch=batch)
        assert memory.total / costs.GIB + RESERVE_GIB <= vram + 1e-9
        assert p.tokens == max(row["tokens"] for row in rows) <= found.max_tokens
    if found.views:
        check_views([p.view for p in found.views], model)
    assert len(found.views) + len(found.reasons) == 3


def test_what_cannot_be_answered_is_said():
    with pytest.raises(UsageError, match="no kept clips"):
        suggest([], A14B, 24)
    with pytest.raises(UsageError, match="no cost model"):
        suggest([clip("a")], family("tiny"), 24)
    with pytest.raises(UsageError, match=r"9\.5 GiB in nf4 .* what fits: --family wan2\.1-t2v-1\.3b") as told:
        suggest([clip("a")], A14B, 8)
    assert "--weights" not in str(told.value)  # nf4 is what was counted
    with pytest.raises(UsageError, match=r"in bf16 .* what fits: --weights nf4"):
        suggest([clip("a")], A14B, 12, weights="bf16")
    with pytest.raises(UsageError, match="what fits: --rank 4"):
        suggest([clip("a")], A14B, 10, rank=64)
    with pytest.raises(UsageError, match=r"hold no batch of 100,000 .* --batch-size 1 there is room for [\d,]+ tokens"):
        suggest([clip("a")], A14B, 24, batch=100_000)
    for nothing in (float("nan"), float("inf")):
        with pytest.raises(UsageError, match="must be a number of GiB"):
            suggest([clip("a")], A14B, nothing)
    with pytest.raises(UsageError, match="no family fits"):
        suggest([clip("a")], A14B, 1.2)
    with pytest.raises(UsageError, match="do not hold one expert"):
        suggest([clip("a")], A14B, 24, weights="bf16")


def test_clips_without_a_usable_caption_are_not_counted(monkeypatch, capsys):
    """Their samples would be rejected: what is promised is what a dry run gives."""
    rows = [{"clip_id": f"{i}", "state": "keep", "reasons": ["caption_empty"] if i == 3 else []} for i in range(4)]
    rows += [{"clip_id": "4", "state": "rejected", "reasons": ["blur"]}]
    rows = [{"kind": "video", "n_frames": None} | row for row in rows]

    def infos(clips, measured):
        return [clip(row["clip_id"]) for row in clips if row["state"] == "keep"]

    monkeypatch.setattr(joins, "clip_infos", infos)
    dataset: Any = SimpleNamespace(
        manifest=SimpleNamespace(read=lambda name: SimpleNamespace(to_dicts=lambda: rows)), measured=dict
    )
    show_suggestion(dataset, True, 24.0, None, 16, 1, A14B.name)
    assert [view["samples"] for view in json.loads(capsys.readouterr().out)["views"]] == [3, 3]
    show_suggestion(dataset, False, 24.0, None, 16, 1, A14B.name)
    told = " ".join(capsys.readouterr().out.split())
    assert "not counted: 1 kept clip without a caption that can be used (caption_empty)" in told
    del rows[:3]
    with pytest.raises(UsageError, match=r"no clips to make views for: 1 kept clip without .* \(caption_empty\)"):
        show_suggestion(dataset, False, 24.0, None, 16, 1, A14B.name)


def test_another_family_counts_frames_at_its_own_rate(monkeypatch, capsys):
    """Four seconds are 64 frames at 16 a second and 96 at 24: windows are proposed that the clips have there."""
    span = {"kind": "video", "start_pts": 500, "end_pts": 4500, "time_base": "1/1000", "n_frames": 64}
    rows = [{"clip_id": f"{i}", "state": "keep", "reasons": []} | span for i in range(4)]
    rows += [rows[0] | {"clip_id": "s", "kind": "image", "n_frames": 1}]

    def infos(clips, measured):
        return [clip(row["clip_id"], n_frames=row["n_frames"], is_image=row["kind"] == "image") for row in clips]

    monkeypatch.setattr(joins, "clip_infos", infos)
    dataset: Any = SimpleNamespace(
        manifest=SimpleNamespace(read=lambda name: SimpleNamespace(to_dicts=lambda: rows)), measured=dict
    )
    for name, frames in ((A14B.name, [61]), ("wan2.2-ti2v-5b", [93])):
        show_suggestion(dataset, True, 80.0, None, 16, 1, name)
        views = {view["view"]["name"]: view["view"] for view in json.loads(capsys.readouterr().out)["views"]}
        assert views["motion"]["frames"] == frames
        assert views["stills"]["frames"] == [1]
