import json

import pytest
import torch

from wanprep.ids import digest_file
from wanprep.stage import UsageError
from wantrain.train import next_turn


def test_both_experts_learn_clearly_more_than_predicting_zero(toy, dataset, tmp_path):
    expert = {"steps": 30, "rank": 8, "lr": 1e-2}
    toy.train_toy(tmp_path, dataset, changes={"high": expert, "low": expert, "validation": {"every": 100}})
    for name in ("high", "low"):
        before, *_, after = toy.rows(tmp_path / "toy", name, "held_out")
        assert (before["step"], after["step"]) == (0, 30)
        assert before["loss"] > before["zero"]
        assert after["loss"] < 0.87 * after["zero"]
        assert after["zero"] == before["zero"]


def test_learning_rate_zero_learns_nothing(toy, dataset, tmp_path):
    expert = {"lr": 0.0, "steps": 6}
    toy.train_toy(tmp_path, dataset, changes={"high": expert, "low": expert})
    for name in ("high", "low"):
        before, *_, after = toy.rows(tmp_path / "toy", name, "held_out")
        assert after["loss"] == before["loss"]


def test_files_and_record_of_a_run(toy, dataset, finished):
    folder = finished.folder
    assert {n: p.name for n, p in finished.loras.items()} == {
        "high": "toy_high_noise.safetensors", "low": "toy_low_noise.safetensors",
    }  # fmt: skip
    assert finished.steps == {"high": 12, "low": 12}
    assert not finished.interrupted
    record = json.loads((folder / "run.json").read_text())
    for name, entry in record["experts"].items():
        assert entry["digest"] == digest_file(folder / entry["state"])
        assert entry["lora_digest"] == digest_file(finished.loras[name])
    assert sorted(p.name for p in (folder / "state").iterdir()) == ["high-000012.safetensors", "low-000012.safetensors"]
    assert sorted(p.name for p in (folder / "loras").iterdir()) == [
        f"toy_{step:06d}_{end}_noise.safetensors" for step in (4, 8) for end in ("high", "low")
    ]
    assert [row["step"] for row in toy.rows(folder, "high", "step")] == list(range(1, 13))
    assert [row["step"] for row in toy.rows(folder, "low", "held_out")] == [0, 4, 6, 8, 12]  # at every save as well
    assert finished.held_out["low"]["step"] == 12


def test_held_out_samples_are_never_trained_on(toy, dataset, finished):
    from wantrain.data import hold_out

    _, held = hold_out(dataset.samples, 0.2)
    assert held
    rows = [row for name in ("high", "low") for row in toy.rows(finished.folder, name, "step")]
    trained = {draw["sample"] for row in rows for draw in row["draws"]}
    assert not trained & {dataset.samples[i].sample_id for i in held}


def test_an_expert_does_not_depend_on_the_other(toy, dataset, finished, tmp_path):
    """high alone, then low added to the same run, in other turns and another save rhythm: the same two files."""
    rhythm = {"experts": {"stages": ["high"], "switch_every": 3}, "save": {"every": 5}}
    toy.train_toy(tmp_path, dataset, changes=rhythm)
    result = toy.train_toy(tmp_path, dataset, changes=rhythm | {"experts": {"stages": ["low"]}})
    both = toy.train_toy(tmp_path, dataset)
    assert list(result.loras) == ["low"]
    for name in ("high", "low"):
        assert both.loras[name].read_bytes() == finished.loras[name].read_bytes()
        for kind in ("step", "held_out"):  # another rhythm of saving measures at other steps, with the same results
            ours, theirs = ({r["step"]: r for r in toy.rows(f, name, kind)} for f in (result.folder, finished.folder))
            common = ours.keys() & theirs.keys()
            assert len(common) >= 3
            assert {step: ours[step] for step in common} == {step: theirs[step] for step in common}


def test_another_seed_gives_other_loras(toy, dataset, finished, tmp_path):
    result = toy.train_toy(tmp_path, dataset, changes={"run": {"seed": 7}})
    assert result.loras["high"].read_bytes() != finished.loras["high"].read_bytes()
    orders = [[row["draws"] for row in toy.rows(folder, "high", "step")] for folder in (result.folder, finished.folder)]
    assert orders[0] != orders[1]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_with_the_idle_expert_offloaded_resuming_equals_no_stop(toy, dataset, tmp_path):
    from wanprep.models.find import require_weights
    from wanprep.models.load import load_transformer
    from wantrain.train import train

    def load(expert: str, device: str):
        return load_transformer(toy.TINY, expert, require_weights(toy.TINY, "transformer"), "bf16", device)

    metrics = tmp_path / "cut" / "toy" / "metrics.jsonl"
    calm = train(toy.toy_config(tmp_path / "calm"), dataset, load, base=toy.BASE, device="cuda")
    cut = toy.toy_config(tmp_path / "cut")
    stop = lambda: metrics.exists() and metrics.read_text().count('"step", "expert"') >= 7  # noqa: E731
    assert train(cut, dataset, load, base=toy.BASE, device="cuda", stop=stop).steps == {"high": 5, "low": 2}
    result = train(cut, dataset, load, base=toy.BASE, device="cuda")
    for name in ("high", "low"):
        assert toy.rows(result.folder, name) == toy.rows(calm.folder, name)
        assert result.loras[name].read_bytes() == calm.loras[name].read_bytes()


@pytest.mark.parametrize("after", [1, 9, 17])
def test_stopping_on_request_and_going_on_equals_no_stop(toy, dataset, finished, tmp_path, after):
    folder = tmp_path / "toy"

    def stop() -> bool:
        path = folder / "metrics.jsonl"
        return path.exists() and path.read_text().count('"step", "expert"') >= after

    stopped = toy.train_toy(tmp_path, dataset, stop=stop)
    assert stopped.interrupted
    assert sum(stopped.steps.values()) == after
    # A torn line and lines beyond the saved state, as a killed process leaves them.
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "step", "expert": "high", "step": 12, "loss": 99.0}\n{"kind": "st')
    result = toy.train_toy(tmp_path, dataset, mode="resume")
    for name in ("high", "low"):
        assert toy.rows(folder, name) == toy.rows(finished.folder, name)
        assert result.loras[name].read_bytes() == finished.loras[name].read_bytes()


def test_checkpointing_of_activations_changes_no_loss(toy, dataset, finished, tmp_path):
    result = toy.train_toy(tmp_path, dataset, changes={"run": {"checkpointing": True}, "experts": {"stages": ["low"]}})
    ours, theirs = (toy.rows(f, "low", "step") for f in (result.folder, finished.folder))
    assert [row["loss"] for row in ours] == pytest.approx([row["loss"] for row in theirs], rel=1e-5)


def test_a_finished_run_loads_no_model(toy, dataset, tmp_path):
    first = toy.train_toy(tmp_path, dataset)
    before = {p: p.read_bytes() for p in first.folder.rglob("*") if p.is_file()}

    def refuse(expert: str, device: str) -> None:
        raise AssertionError("nothing is left to do")

    from wantrain.train import train

    again = train(toy.toy_config(tmp_path), dataset, refuse, base=toy.BASE)
    assert again == first
    assert {p: p.read_bytes() for p in first.folder.rglob("*") if p.is_file()} == before
    first.loras["low"].unlink()  # a lost LoRA is written again from the saved state, without a step
    result = toy.train_toy(tmp_path, dataset)
    assert result.loras["low"].read_bytes() == before[first.loras["low"]]


def test_changed_settings_or_data_need_consent(toy, dataset, tmp_path, finished):
    half = {"high": {"steps": 6}, "experts": {"stages": ["high"]}}
    toy.train_toy(tmp_path, dataset, changes=half)
    changed = {"high": {"steps": 6, "lr": 1e-3}, "experts": {"stages": ["high"]}}
    with pytest.raises(UsageError, match=r"high\.lr: 0\.005 -> 0\.001.*--accept-changes"):
        toy.train_toy(tmp_path, dataset, changes=changed)
    other = toy.toy_dataset(tmp_path / "other", per_group=3)
    with pytest.raises(UsageError, match="dataset: "):
        toy.train_toy(tmp_path, other, changes=half)
    with pytest.raises(UsageError, match="base: 'base of high' -> 'another model'"):
        toy.train_toy(tmp_path, dataset, changes=half, base={"high": "another model"})
    rank = {"high": {"steps": 12, "rank": 6}, "experts": {"stages": ["high"]}}
    with pytest.raises(UsageError, match="rank"):
        toy.train_toy(tmp_path, dataset, changes=rank, accept_changes=True)
    result = toy.train_toy(tmp_path, other, changes={"experts": {"stages": ["high"]}}, accept_changes=True)
    assert result.steps == {"high": 12}
    # What concerns only `low` needs no consent for `high`.
    toy.train_toy(tmp_path, other, changes={"experts": {"stages": ["high"]}, "low": {"lr": 1e-5}})


def test_fresh_moves_the_old_run_aside(toy, dataset, tmp_path):
    only = {"high": {"steps": 2}, "experts": {"stages": ["high"]}}
    first = toy.train_toy(tmp_path, dataset, changes=only)
    before = first.loras["high"].read_bytes()
    with pytest.raises(UsageError, match="nothing to resume"):
        toy.train_toy(tmp_path / "empty", dataset, changes=only, mode="resume")
    for number in (1, 2):
        toy.train_toy(tmp_path, dataset, changes=only, mode="fresh")
        assert (tmp_path / f"toy.old-{number}" / first.loras["high"].name).read_bytes() == before


def test_damage_is_noticed(toy, dataset, tmp_path):
    result = toy.train_toy(tmp_path, dataset, changes={"high": {"steps": 2}, "experts": {"stages": ["high"]}})
    path = result.folder / "state" / "high-000002.safetensors"
    good = path.read_bytes()
    longer = {"experts": {"stages": ["high"]}}
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(UsageError, match="damaged"):
        toy.train_toy(tmp_path, dataset, changes=longer, accept_changes=True)
    path.unlink()
    with pytest.raises(UsageError, match="gone"):
        toy.train_toy(tmp_path, dataset, changes=longer, accept_changes=True)
    (result.folder / "run.json").write_text('{"format": 99, "experts": {}}')
    with pytest.raises(UsageError, match="format 99"):
        toy.train_toy(tmp_path, dataset, changes=longer)
    (result.folder / "run.json").write_text("{")
    with pytest.raises(UsageError, match="not a run file"):
        toy.train_toy(tmp_path, dataset, changes=longer)


def test_one_process_a_run(toy, dataset, tmp_path):
    from wantrain.checkpoint import opened

    with opened(tmp_path / "toy"), pytest.raises(UsageError, match="another process"):
        toy.train_toy(tmp_path, dataset)


def test_what_a_killed_process_left_is_cleared(toy, dataset, tmp_path):
    (tmp_path / "toy" / "state").mkdir(parents=True)
    for name in (".tmp-0123.safetensors", ".tmpAbCdEf"):
        (tmp_path / "toy" / "state" / name).write_bytes(b"half")
    result = toy.train_toy(tmp_path, dataset, changes={"high": {"steps": 1}, "experts": {"stages": ["high"]}})
    assert [p.name for p in (result.folder / "state").iterdir()] == ["high-000001.safetensors"]


def test_no_validation_samples_is_fine(toy, dataset, tmp_path):
    changes = {"validation": {"share": 0.0}, "high": {"steps": 2}, "experts": {"stages": ["high"]}}
    result = toy.train_toy(tmp_path, dataset, changes=changes)
    assert result.held_out == {}
    assert result.steps == {"high": 2}


def test_turns(toy, dataset, finished, tmp_path):
    lines = [json.loads(line) for line in (finished.folder / "metrics.jsonl").read_text().splitlines()]
    order = [row["expert"][0] for row in lines if row["kind"] == "step"]
    assert "".join(order) == "hhhhhlllllhhhhhlllllhhll"
    assert next_turn({}, toy.toy_config(tmp_path)) is None
    sequential = toy.train_toy(tmp_path, dataset, changes={"experts": {"schedule": "sequential"}})
    lines = [json.loads(line) for line in (sequential.folder / "metrics.jsonl").read_text().splitlines()]
    assert "".join(row["expert"][0] for row in lines if row["kind"] == "step") == "h" * 12 + "l" * 12
    for name in ("high", "low"):
        assert sequential.loras[name].read_bytes() == finished.loras[name].read_bytes()


def test_a_sample_weight_scales_its_gradient_only(toy, dataset, tmp_path):
    from dataclasses import replace

    from wanprep.cached import CachedDataset

    heavy = CachedDataset(
        dataset.root, dataset.family, [replace(s, weight=3.0) for s in dataset.samples], dataset.empty_text
    )
    changes = {"high": {"steps": 1, "max_grad_norm": 0.0}, "experts": {"stages": ["high"]}}
    (a,), (b,) = (
        toy.rows(toy.train_toy(tmp_path / name, data, changes=changes).folder, "high", "step")
        for name, data in (("a", dataset), ("b", heavy))
    )
    assert b["loss"] == a["loss"]
    assert b["grad_norm"] == pytest.approx(3 * a["grad_norm"], rel=1e-5)


def test_global_settings_of_torch_are_left_as_they_were(toy, dataset, tmp_path):
    from wantrain.train import train

    model = toy.load("high")  # loading itself draws random numbers, in diffusers
    torch.set_num_threads(2)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    config = toy.toy_config(tmp_path, high={"steps": 1}, experts={"stages": ["high"]})
    train(config, dataset, lambda expert, device: model, base=toy.BASE)
    assert torch.get_num_threads() == 2
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.equal(torch.get_rng_state(), before)
