"""The regularisation set: what a run holds out is never trained on, from whichever set; and what the plan tells."""

import json
import math
import sys
import types
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wanprep.cached import CachedDataset
from wanprep.config import from_table
from wanprep.stage import UsageError
from wantrain import split
from wantrain.aside import aside_of, mixture, taken
from wantrain.cli import main
from wantrain.config import TrainConfig, batches, settled
from wantrain.data import Cursor
from wantrain.footage import Footage
from wantrain.tasks import picked


def _sample(source, start, length, window=0, latent=None):
    """A window of a clip; ids as wanprep makes them: by source and span."""
    clip = f"{source}{start}+{length}"
    return SimpleNamespace(
        sample_id=f"{clip}/{window}", clip_id=clip, source_id=source, group=source.upper(), start_s=float(start),
        end_s=float(start + length), latent_digest=latent or f"latent of {clip}/{window}", width=64, height=64,
        frames=5, repeats=1,
    )  # fmt: skip


def _set(samples):
    unique = {sample.sample_id: sample for sample in samples}
    return SimpleNamespace(samples=tuple(unique[name] for name in sorted(unique)), fingerprint="x", pending=0)


def _same(a, b):
    """Whether two samples show the same, worked out pair by pair."""
    overlap = a.source_id == b.source_id and ((a.start_s < b.end_s and b.start_s < a.end_s) or a.start_s == b.start_s)
    return a.clip_id == b.clip_id or a.latent_digest == b.latent_digest or overlap


SAMPLES = st.lists(
    st.builds(
        _sample, st.sampled_from("abcd"), st.integers(0, 20), st.integers(0, 5), st.integers(0, 2),
        st.sampled_from([None, None, None, "one latent"]),
    ),
    max_size=14,
)  # fmt: skip


def _known(sample, held):
    return split._known(sample, held, "")


@settings(max_examples=400, deadline=None)
@given(
    own=SAMPLES.filter(bool), other=SAMPLES, gone=st.lists(st.tuples(SAMPLES, st.booleans()), max_size=2),
    share=st.floats(0, 0.9),
)  # fmt: skip
def test_nothing_that_is_held_out_is_drawn_from_the_other_set(own, other, gone, share):
    dataset, regular = _set(own), _set([*other, *own[::2]])
    here = {sample.clip_id for sample in own}
    earlier = {s.sample_id: (s, side) for samples, side in gone for s in samples if s.clip_id not in here}
    memory = split.Memory(dataset="x", samples={name: _known(*pair) for name, pair in earlier.items()})
    try:
        parts = split.divide(dataset.samples, share, memory)
    except UsageError:  # the run remembers everything as held out
        assume(False)
    sides = [[dataset.samples[index] for index in part] for part in parts]
    for sample, side in earlier.values():
        # A run remembers no latents of samples that are gone.
        sides[side].append(SimpleNamespace(**vars(sample) | {"latent_digest": sample.sample_id}))
    whole = {s.source_id for s in sides[1]} - {s.source_id for s in sides[0]}
    wrong = [any(_same(s, held) for held in sides[1]) or s.source_id in whole for s in regular.samples]
    if all(wrong):
        with pytest.raises(UsageError, match=f"all {len(wrong)} samples show what this run holds out"):
            aside_of(regular, dataset, parts, memory)
        return
    aside = aside_of(regular, dataset, parts, memory)
    assert aside is not None
    assert aside.allowed == tuple(index for index, bad in enumerate(wrong) if not bad)
    assert aside.left_out == sum(wrong)
    drawn = [regular.samples[index] for index in aside.allowed]
    assert aside.trained == sum(any(_same(s, one) for one in sides[0]) for s in drawn)


@settings(max_examples=300, deadline=None)
@given(SAMPLES, SAMPLES)
def test_footage_answers_as_comparing_every_pair_does(known, asked):
    footage = Footage()
    for one in known:
        footage.add(one.clip_id, one.source_id, one.start_s, one.end_s, one.latent_digest)
    for sample in asked:
        assert footage.shows(sample) == any(_same(sample, one) for one in known), sample


def test_an_end_that_is_not_known_leaves_the_beginning():
    known = Footage.of([split.Known(held=True, clip="x", source="a", group="g", digest="", start_s=-1.0, end_s=-1.0)])
    assert not known.shows(_sample("a", 0, 5))  # written by an earlier version: only its clip is known
    assert known.shows(SimpleNamespace(**vars(_sample("a", 0, 5)) | {"clip_id": "x"}))
    known.add("y", "a", 3.0, 0.0)
    assert [known.shows(_sample("a", start, 2)) for start in (1, 2, 3, 4)] == [False, True, True, False]


def test_what_was_shown_for_regularisation_is_not_held_out_later():
    """A clip of the regularisation set is added to the dataset in the middle of a run, where the rule wants it."""
    clips = [_sample("a", 10 * k, 5) for k in range(20)]
    ruled = split.divide(clips, 0.3, None)[1]
    shown = SimpleNamespace(
        **vars(clips[ruled[0]]) | {"clip_id": "other cut", "sample_id": "other", "latent_digest": ""}
    )
    memory = split.Memory(dataset="x", samples={}, regular={"other": _known(shown, False)})
    assert split.divide(clips, 0.3, memory)[1] == ruled[1:]


# --- whole runs -----------------------------------------------------------------------------------------------------

ONLY = {"experts": {"stages": ["high"]}, "regularisation": {"dataset": "aside", "share": 0.5}}


def _draws(toy, result):
    return [draw for row in toy.rows(result.folder, "high", "step") for draw in row["draws"]]


def _renamed(dataset, more=()):
    samples = [replace(sample, sample_id=f"r{sample.sample_id}") for sample in dataset.samples]
    return CachedDataset(dataset.root, dataset.family, [*samples, *more], dataset.empty_text)


@pytest.mark.parametrize("other", [False, True])
def test_a_run_on_the_same_clips_draws_none_that_is_held_out(toy, dataset, tmp_path, other):
    aside = _renamed(dataset) if other else dataset
    changes = ONLY | {"high": {"steps": 40}}
    result = toy.train_toy(tmp_path, dataset, changes=changes, regular=aside)
    known = json.loads((result.folder / "samples.json").read_text())
    held = {row["clip"] for row in known["samples"].values() if row["held"]}
    clips = {sample.sample_id: sample.clip_id for sample in [*dataset.samples, *aside.samples]}
    draws = _draws(toy, result)
    assert Counter(draw.get("regular", False) for draw in draws) == {False: 20, True: 20}
    assert len(held) == 4
    assert not held & {clips[draw["sample"]] for draw in draws}
    assert not held & {row["clip"] for row in known["regular"].values()}
    # The very same order without the rule does draw some.
    order = Cursor(dataset=aside, allowed=frozenset(range(len(aside))), seed=1)
    assert held & {clips[aside.samples[order.next_batch()[0]].sample_id] for _ in range(20)}


def test_what_was_held_out_stays_out_when_only_the_regularisation_set_has_it(toy, dataset, tmp_path):
    changes = ONLY | {"high": {"steps": 4}}
    first = toy.train_toy(tmp_path, dataset, changes=changes, regular=_renamed(dataset))
    known = json.loads((first.folder / "samples.json").read_text())["samples"]
    held = {name for name, row in known.items() if row["held"]}
    fewer = [sample for sample in dataset.samples if sample.sample_id not in held]
    smaller = CachedDataset(dataset.root, dataset.family, fewer, dataset.empty_text)
    more = changes | {"high": {"steps": 40}}
    result = toy.train_toy(tmp_path, smaller, changes=more, regular=_renamed(dataset), accept_changes=True)
    drawn = {draw["sample"].removeprefix("r") for draw in _draws(toy, result)}
    assert len(drawn) > 10
    assert not drawn & held


# --- the plan -------------------------------------------------------------------------------------------------------

SETTINGS = [
    "family=tiny", "run.name=toy", "run.deterministic=true", "run.checkpointing=false", "high.steps=5", "low.steps=4",
    "high.accumulate=2", "validation.share=0.2",
]  # fmt: skip


@pytest.fixture
def invoke(dataset, tmp_path, monkeypatch):
    """The command line with the toy's dataset, and others under names: `named`."""
    named: dict[str, Any] = {}
    module = types.ModuleType("wanprep.dataset")
    module.open_cached = lambda path: named.get(path.name, dataset)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "wanprep.dataset", module)

    def call(command, *more):
        sets = [part for setting in (*SETTINGS, f"run.out={tmp_path / 'runs'}", *more) for part in ("--set", setting)]
        return CliRunner().invoke(main, [*command.split(), *sets])

    call.named = named  # type: ignore[attr-defined]
    return call


def test_the_plan_tells_of_the_set_as_the_run_uses_it(toy, dataset, invoke, tmp_path):
    sets = ("regularisation.dataset=aside", "regularisation.share=0.3", "regularisation.weight=0.5")
    invoke.named["aside"] = _renamed(dataset)
    planned = json.loads(invoke("plan --json", *sets).stdout)
    told = planned["regularisation"]
    assert (told["samples"], told["used"], told["left_out"], told["epoch"]) == (20, 16, 4, 16)
    assert (told["share"], told["weight"], told["draws"]) == (0.3, 0.5, {"high": [3, 10], "low": [1, 4]})
    assert planned["experts"]["high"]["epochs"] == pytest.approx(7 / 16)
    assert "all 48 are there, the digests of 48 are right" in planned["caches"]
    text = invoke("plan", *sets).stdout
    said = [line for line in text.splitlines() if "regularisation set" in line]
    assert said[0] == (
        "regularisation set aside: 16 of 20 samples (16 an epoch with repeats); share 0.3 of the batches, their loss "
        "times 0.5: 3 of the 10 of high, 1 of the 4 of low"
    )
    assert said[1] == "4 samples of the regularisation set left out: this run holds out what they show"
    assert said[2].startswith("warning: all samples of the regularisation set show what is trained on anyway")
    run = invoke("run", *sets)
    assert run.exit_code == 0, run.output
    assert all(line in run.stderr for line in [*said, planned["caches"]])
    rows = toy.rows(tmp_path / "runs" / "toy", "high", "step")
    assert sum(draw.get("regular", False) for row in rows for draw in row["draws"]) == 3
    assert invoke("plan").stdout.count("regularisation") == 0


def test_plan_looks_for_the_files_of_both_sets(toy, invoke, tmp_path):
    invoke.named["aside"] = toy.toy_dataset(tmp_path / "aside", groups=7)
    (tmp_path / "aside" / "latent-25.safetensors").unlink()
    for command in ("plan", "run --dry-run", "run"):
        result = invoke(command, "regularisation.dataset=aside")
        assert result.exit_code == 1
        assert "latent-25.safetensors is not there" in result.stderr


def test_a_set_of_which_nothing_is_left_is_refused(toy, dataset, invoke):
    held = split.divide(dataset.samples, 0.2, None)[1]
    only = [dataset.samples[index] for index in held]
    invoke.named["aside"] = CachedDataset(dataset.root, dataset.family, only, dataset.empty_text)
    for command in ("plan", "run --dry-run", "run"):
        result = invoke(command, "regularisation.dataset=aside")
        assert result.exit_code == 2, result.output
        assert "regularisation.dataset: all 4 samples show what this run holds out" in result.stderr
    assert invoke("run", "regularisation.dataset=aside", "validation.share=0").exit_code == 0


@given(st.floats(0.01, 0.99), st.integers(0, 500))
def test_as_many_batches_as_the_loop_picks(share, number):
    assert taken(share, number) == sum(picked(share, n) for n in range(number))


def test_epochs_and_the_forecast_count_both_sets(dataset):
    visits = {(64, 64, 5): 30}
    table = {"family": "tiny", "high": {"epochs": 4}, "low": {"epochs": 2}}
    changed = from_table(TrainConfig, table | {"regularisation": {"dataset": "aside", "share": 0.25}})
    for name in ("high", "low"):
        steps = settled(changed, visits).expert(name).steps
        epochs = (steps - taken(0.25, steps)) / batches(changed.expert(name), visits)
        assert epochs == pytest.approx(changed.expert(name).epochs, abs=1 / 30)
    plain = settled(from_table(TrainConfig, table | {"regularisation": {"share": 0.25}}), visits)
    assert (plain.high.steps, plain.low.steps) == (120, 60)
    assert mixture(visits, None) == visits
    aside = aside_of(dataset, dataset, ([0, 1], []), None)
    mixed = mixture({(64, 64, 5): 30, (96, 96, 5): 10}, aside, 0.2)
    assert mixed == {(64, 64, 5): pytest.approx(0.8), (96, 96, 5): pytest.approx(0.2)}
    assert math.isclose(sum(mixed.values()), 1)
