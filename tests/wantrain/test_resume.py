"""Runs that go on: longer, with other questions, on another dataset, or after damage."""

import json
from dataclasses import replace

import pytest

from wanprep.cached import CachedDataset
from wanprep.stage import UsageError
from wantrain import split
from wantrain.data import hold_out
from wantrain.lora_file import METADATA_KEY
from wantrain.observe import Observer
from wantrain.report import write_report

HIGH = {"experts": {"stages": ["high"]}}


class Ear(Observer):
    def __init__(self) -> None:
        self.heard: list[str] = []

    def say(self, text, *, problem=False):
        self.heard.append(text)


def _high(steps, **more):
    return HIGH | {"high": {"steps": steps, **more}}


def _stop_at(folder, count):
    def stop() -> bool:
        path = folder / "toy" / "metrics.jsonl"
        return path.exists() and path.read_text().count('"step", "expert"') >= count

    return stop


def _with(dataset, change, keep=lambda sample: True):
    """The dataset with its samples changed."""
    samples = [change(sample) for sample in dataset.samples if keep(sample)]
    return CachedDataset(dataset.root, dataset.family, samples, dataset.empty_text)


def _step_of(path) -> int:
    from safetensors import safe_open

    with safe_open(str(path), framework="pt") as file:
        return json.loads(file.metadata()[METADATA_KEY])["step"]


def test_a_finished_lora_keeps_a_name_with_its_step_when_the_run_goes_on(toy, dataset, tmp_path):
    first = toy.train_toy(tmp_path, dataset, changes=_high(6))
    before = first.loras["high"].read_bytes()
    worse, ear = _high(12, lr=0.9, schedule="constant", warmup=0), Ear()
    result = toy.train_toy(tmp_path, dataset, changes=worse, accept_changes=True, observers=[ear])
    assert "high's LoRA of step 6 is kept as loras/toy_000006_high_noise.safetensors" in ear.heard
    assert (result.folder / "loras/toy_000006_high_noise.safetensors").read_bytes() == before
    assert result.loras["high"].read_bytes() != before
    rows = result.verdicts["high"].rows
    assert sorted(row.step for row in rows) == [4, 6, 8, 12]
    assert all(_step_of(result.folder / row.file) == row.step for row in rows)
    best = result.verdicts["high"].recommended
    page = write_report(result.folder, tmp_path / "r.html").read_text()
    assert f"Recommended: {best.file}</b>" in page
    again = toy.train_toy(tmp_path, dataset, changes=_high(13, lr=0.9, schedule="constant", warmup=0),
                          accept_changes=True)  # fmt: skip
    assert [_step_of(again.folder / row.file) for row in again.verdicts["high"].rows] == [
        row.step for row in again.verdicts["high"].rows
    ]


def test_a_finished_lora_is_safe_before_the_first_further_step(toy, dataset, tmp_path):
    """Whenever a process dies in the part that was added, the table names the file that holds the step."""
    first = toy.train_toy(tmp_path, dataset, changes=_high(6))
    before = first.loras["high"].read_bytes()
    stopped = toy.train_toy(tmp_path, dataset, changes=_high(9), accept_changes=True, stop=_stop_at(tmp_path, 6))
    assert stopped.steps == {"high": 6}
    file = {row.step: row.file for row in stopped.verdicts["high"].rows}[6]
    assert file.startswith("loras/")
    assert (stopped.folder / file).read_bytes() == before
    assert json.loads((stopped.folder / "run.json").read_text())["experts"]["high"]["lora"] == file  # what is sampled
    back = toy.train_toy(tmp_path, dataset, changes=_high(6), accept_changes=True)  # nothing is trained, all is there
    assert back.loras["high"].read_bytes() == before


def test_a_changed_final_lora_is_not_kept_under_a_name_it_does_not_deserve(toy, dataset, tmp_path):
    first = toy.train_toy(tmp_path, dataset, changes=_high(6))
    first.loras["high"].write_bytes(b"something else")
    ear = Ear()
    result = toy.train_toy(tmp_path, dataset, changes=_high(8), accept_changes=True, observers=[ear])
    assert any("is gone or was changed: the table leaves it out" in text for text in ear.heard)
    assert sorted(row.step for row in result.verdicts["high"].rows) == [4, 8]


@pytest.mark.parametrize("asked", [{"samples": 1}, {"samples": 1, "sigmas": 4}], ids=["fewer", "as-many"])
def test_answers_to_other_questions_are_not_compared(toy, dataset, tmp_path, asked):
    toy.train_toy(tmp_path / "a", dataset, changes=HIGH, stop=_stop_at(tmp_path / "a", 5))
    changes, ear = HIGH | {"validation": asked}, Ear()
    result = toy.train_toy(tmp_path / "a", dataset, changes=changes, observers=[ear])
    assert sum("questions on held-out samples are others than before" in text for text in ear.heard) == 1
    calm = toy.train_toy(tmp_path / "b", dataset, changes=changes)
    ours, theirs = ({r["step"]: r for r in toy.rows(r.folder, "high", "held_out")} for r in (result, calm))
    assert ours[0] == theirs[0]  # the base, measured anew in the middle of the run
    assert ours[8] == theirs[8]
    assert ours[4]["questions"] != theirs[4]["questions"]
    rows = {row.step: row for row in result.verdicts["high"].rows}
    expected = {row.step: row for row in calm.verdicts["high"].rows}
    assert rows[4].loss is None  # asked something else
    assert (rows[8], rows[12]) == (expected[8], expected[12])
    assert "of step 4 only answers to other questions are known" in result.verdicts["high"].reason
    write_report(result.folder, tmp_path / "r.html")
    assert result.loras["high"].read_bytes() == calm.loras["high"].read_bytes()


def test_the_same_questions_are_not_asked_of_the_base_again(toy, dataset, finished, tmp_path):
    ear = Ear()
    toy.train_toy(tmp_path, dataset, stop=_stop_at(tmp_path, 9))
    result = toy.train_toy(tmp_path, dataset, observers=[ear])
    assert toy.rows(result.folder, "high", "held_out") == toy.rows(finished.folder, "high", "held_out")
    assert not any("questions" in text for text in ear.heard)


def test_the_base_is_what_the_run_began_with(toy, dataset, plain, tmp_path):
    """With a LoRA to begin with and a moving average: step 0 measured late is step 0, and nothing else moves."""
    own = {"rank": 4, "ranks": {"ffn": 3}, "init": str(plain), "ema": 0.5, "lr": 1e-3}
    half, other = HIGH | {"high": own}, HIGH | {"high": own, "validation": {"sigmas": 3}}
    toy.train_toy(tmp_path / "a", dataset, changes=half, stop=_stop_at(tmp_path / "a", 6))
    late = toy.train_toy(tmp_path / "a", dataset, changes=other)
    calm = toy.train_toy(tmp_path / "b", dataset, changes=other)
    assert [r for r in toy.rows(late.folder, "high", "held_out") if r["step"] == 0][1:] == [
        toy.rows(calm.folder, "high", "held_out")[0]
    ]
    assert late.loras["high"].read_bytes() == calm.loras["high"].read_bytes()


def test_what_was_held_out_is_never_trained_on(toy, dataset, tmp_path):
    """The same samples in other groups: by the rule alone, a resumed run would hold out others."""
    moved = _with(dataset, lambda s: replace(s, group="one", source_id=f"x{int(s.sample_id[1:]) % 3}"))
    before, after = ({d.samples[i].sample_id for i in hold_out(d.samples, 0.2)[1]} for d in (dataset, moved))
    assert before - after  # or this test shows nothing
    toy.train_toy(tmp_path, dataset, changes=_high(24), stop=_stop_at(tmp_path, 4))
    result = toy.train_toy(tmp_path, moved, changes=_high(24) | {"validation": {"samples": 2}})
    steps = toy.rows(result.folder, "high", "step")
    assert not {draw["sample"] for row in steps for draw in row["draws"]} & before
    assert len({row["questions"] for row in toy.rows(result.folder, "high", "held_out")}) == 1
    plan = json.loads((result.folder / "plan.json").read_text())
    assert (plan["training"], plan["held_out"]) == (len(dataset) - len(before), len(before))


def test_a_changed_dataset_needs_consent_and_is_told_in_samples(toy, dataset, tmp_path):
    small = _with(dataset, lambda s: s, keep=lambda s: s.sample_id not in ("s18", "s19"))
    held = {small.samples[i].sample_id for i in hold_out(small.samples, 0.2)[1]}
    toy.train_toy(tmp_path, small, changes=_high(4))
    changed = lambda s: replace(s, repeats=2 if s.sample_id == "s01" else 1)  # noqa: E731
    grown = _with(dataset, changed, keep=lambda s: s.sample_id != "s02")
    with pytest.raises(UsageError, match=r"\(dataset: of 18 samples, 2 new, 1 gone, 1 changed; high\.steps: 4 -> 8\)"):
        toy.train_toy(tmp_path, grown, changes=_high(8))
    ear = Ear()
    result = toy.train_toy(tmp_path, grown, changes=_high(8), accept_changes=True, observers=[ear])
    told = "high goes on with other settings or data: dataset: of 18 samples, 2 new, 1 gone, 1 changed"
    assert any(text.startswith(told) for text in ear.heard)
    assert any(text.startswith("new samples: ") for text in ear.heard)
    drawn = {draw["sample"] for row in toy.rows(result.folder, "high", "step") for draw in row["draws"]}
    assert not drawn & held
    memory = split.remembered(result.folder)
    assert memory.samples["s02"].digest == ""  # gone, and its side is remembered
    assert {name for name, known in memory.samples.items() if known.held} >= held


def test_sides_are_kept_and_new_samples_go_where_theirs_are(dataset, tmp_path):
    (tmp_path / "run.json").write_text("{}")
    parts = split.divide(dataset.samples, 0.2, None)
    assert parts == hold_out(dataset.samples, 0.2)
    split.remember(tmp_path, dataset, parts, None)
    memory = split.remembered(tmp_path)
    held = {dataset.samples[i].sample_id for i in parts[1]}
    assert split.divide(dataset.samples, 0.6, memory) == parts == split.divide(dataset.samples, 0.0, memory)
    out, seen = dataset.samples[parts[1][0]], dataset.samples[parts[0][0]]
    new = [
        replace(out, sample_id="t0"), replace(seen, sample_id="t1"),  # windows of known clips
        replace(out, sample_id="t2", clip_id="n2"), replace(seen, sample_id="t3", clip_id="n3"),  # clips of sources
        replace(out, sample_id="t4", clip_id="n4", source_id="n4"),  # a source of a group
    ]  # fmt: skip
    more = CachedDataset(dataset.root, dataset.family, [*dataset.samples, *new], dataset.empty_text)
    divided = split.divide(more.samples, 0.2, memory)
    assert {more.samples[i].sample_id for i in divided[1]} == held | {"t0", "t2", "t4"}
    assert sorted(divided[0] + divided[1]) == list(range(len(more)))
    # Gone for a while, and back.
    few = _with(dataset, lambda s: s, keep=lambda s: s.sample_id not in held)
    split.remember(tmp_path, few, split.divide(few.samples, 0.2, memory), memory)
    assert split.divide(dataset.samples, 0.2, split.remembered(tmp_path)) == parts
    with pytest.raises(UsageError, match="no sample is left to train on: this run holds out all 4"):
        split.divide([s for s in dataset.samples if s.sample_id in held], 0.2, memory)
    (tmp_path / split.FILE).write_text("{}")
    with pytest.raises(UsageError, match=r"samples\.json.*cannot be read.*--fresh"):
        split.remembered(tmp_path)


def test_before_anything_is_saved_nothing_is_remembered(toy, dataset, tmp_path):
    """A share that is set after a first try without a save counts; fresh forgets as well."""
    toy.train_toy(tmp_path, dataset, changes=HIGH, stop=lambda: True)
    for mode in ("auto", "fresh"):
        wider = _high(2) | {"validation": {"share": 0.4 if mode == "auto" else 0.6}}
        result = toy.train_toy(tmp_path, dataset, changes=wider, mode=mode)
        plan = json.loads((result.folder / "plan.json").read_text())
        assert plan["held_out"] == (8 if mode == "auto" else 12)


def test_going_on_says_from_where(toy, dataset, tmp_path):
    ears = [Ear() for _ in range(4)]
    toy.train_toy(tmp_path, dataset, stop=_stop_at(tmp_path, 7), observers=[ears[0]])
    with (tmp_path / "toy" / "metrics.jsonl").open("a") as file:  # as kill -9 leaves it
        file.writelines(f'{{"kind": "step", "expert": "low", "step": {step}, "loss": 9.0}}\n' for step in (3, 4))
    toy.train_toy(tmp_path, dataset, observers=[ears[1]])
    again = "low goes on after step 2 of 12; steps 3 to 4 are done again, because nothing was saved after 2"
    assert ears[1].heard[:2] == ["high goes on after step 5 of 12", again]
    assert not any("goes on" in text or "complete" in text for text in ears[0].heard)
    toy.train_toy(tmp_path, dataset, observers=[ears[2]])
    assert ears[2].heard[:2] == ["high is complete: 12 of 12 steps", "low is complete: 12 of 12 steps"]
    assert "toy is complete; nothing is left to do" in ears[2].heard[2]
    assert len(ears[2].heard) == 3  # no forecast of what is not done
    plan = (tmp_path / "toy" / "plan.json").read_text()
    fewer = {"high": {"steps": 8}, "low": {"steps": 8}}
    toy.train_toy(tmp_path, dataset, changes=fewer, accept_changes=True, observers=[ears[3]])
    assert "high is complete: 12 of 8 steps" in ears[3].heard
    assert (tmp_path / "toy" / "plan.json").read_text() == plan


def test_one_damaged_state_leaves_the_other_and_names_the_way_on(toy, dataset, finished, tmp_path):
    toy.train_toy(tmp_path, dataset, stop=_stop_at(tmp_path, 9))
    (path,) = (tmp_path / "toy" / "state").glob("high-*.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(UsageError) as caught:
        toy.train_toy(tmp_path, dataset)
    text = str(caught.value)
    assert "the saved state of high, is damaged" in text
    assert """What was saved of low is intact: --set 'experts.stages=["low"]' goes on with it alone""" in text
    init = tmp_path / "toy" / "loras" / "toy_000004_high_noise.safetensors"
    assert "can begin a run of its own with its last LoRA, of step 4: --set run.name=..." in text
    assert f"""--set 'experts.stages=["high"]' --set high.init={init}""" in text
    # Both ways work.
    low = toy.train_toy(tmp_path, dataset, changes={"experts": {"stages": ["low"]}})
    assert low.loras["low"].read_bytes() == finished.loras["low"].read_bytes()
    own = HIGH | {"run": {"name": "other"}, "high": {"steps": 2, "init": str(init)}}
    assert toy.train_toy(tmp_path, dataset, changes=own).steps == {"high": 2}


def test_a_warmup_as_long_as_the_run_is_refused(toy, dataset, tmp_path):
    for steps, warmup in ((6, 5000), (6, 6), (4, "100%")):
        with pytest.raises(UsageError, match=rf"high\.warmup = .*still be rising when the {steps} steps"):
            toy.train_toy(tmp_path, dataset, changes=_high(steps, warmup=warmup))
    assert toy.train_toy(tmp_path, dataset, changes=_high(2, warmup=1)).steps == {"high": 2}


def test_a_lora_that_was_to_go_when_the_run_was_killed_goes_with_the_next_run(toy, dataset, tmp_path):
    changes = _high(6) | {"save": {"every": 2, "keep": 1, "keep_best": 0}}
    first = toy.train_toy(tmp_path, dataset, changes=changes)
    dropped = "loras/toy_000002_high_noise.safetensors"
    assert not (first.folder / dropped).exists()
    record = json.loads((first.folder / "run.json").read_text())
    record["experts"]["high"]["dropped"] = [dropped]  # as the save of step 4 had it
    (first.folder / "run.json").write_text(json.dumps(record))
    (first.folder / dropped).write_bytes(b"killed before it was deleted")
    own = first.folder / "loras" / "mine.safetensors"
    own.write_bytes(b"somebody's own")
    toy.train_toy(tmp_path, dataset, changes=changes)
    assert not (first.folder / dropped).exists()
    assert own.exists()


def test_fewer_steps_than_were_done_make_the_last_one_final_and_measured(toy, dataset, tmp_path):
    toy.train_toy(tmp_path, dataset, changes=_high(12), stop=_stop_at(tmp_path, 7))
    ear = Ear()
    result = toy.train_toy(tmp_path, dataset, changes=_high(5), accept_changes=True, observers=[ear])
    said = (
        "high has done 7 steps, more than the 5 that are asked for now: none is undone, and its LoRA of step 7 becomes"
    )
    assert any(text.startswith(said) for text in ear.heard)
    assert not any("not there as it was written" in text for text in ear.heard)
    assert _step_of(result.loras["high"]) == 7
    assert {row.step: row.loss is None for row in result.verdicts["high"].rows} == {4: False, 7: False}
    # Made again, it is not measured again.
    result.loras["high"].unlink()
    rows = toy.rows(result.folder, "high", "held_out")
    again = toy.train_toy(tmp_path, dataset, changes=_high(5), accept_changes=True)
    assert toy.rows(again.folder, "high", "held_out") == rows
    assert {row.step: row.loss is None for row in again.verdicts["high"].rows} == {4: False, 7: False}
