"""Which LoRAs `wantrain sample --run` takes: one of each expert, the one that was asked for."""

import json

import pytest
from click.testing import CliRunner

from wanprep.stage import UsageError
from wantrain.cli import main
from wantrain.cli_sample import _chosen
from wantrain.run_loras import pick, read_run

SMALL = ["--size", "32x32", "--frames", "5", "--steps", "2", "--force", "a cat"]


@pytest.fixture
def video(tmp_path, monkeypatch):
    """Bytes of the video that a command makes, and what it says."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        done = CliRunner().invoke(main, ["sample", *map(str, arguments), "--out", "x.mp4", *SMALL])
        assert done.exit_code == 0, done.output
        return (tmp_path / "x.mp4").read_bytes(), done.stderr

    return call


def _lora(finished, expert, step=None):
    return read_run(finished.folder).checkpoints[expert][step] if step else finished.loras[expert]


def test_a_lora_takes_the_place_of_the_runs_and_step_takes_both(finished, video):
    run = ("--run", finished.folder)
    high4, low = _lora(finished, "high", 4), _lora(finished, "low")
    alone = {
        "both": video("--family", "tiny", "--lora", _lora(finished, "high"), "--lora", low)[0],
        "high 4": video("--family", "tiny", "--lora", high4, "--lora", low)[0],
        "added": video("--family", "tiny", "--lora", _lora(finished, "high"), "--lora", high4, "--lora", low)[0],
        "both 4": video("--family", "tiny", "--lora", high4, "--lora", _lora(finished, "low", 4))[0],
    }
    assert len(set(alone.values())) == 4
    assert video(*run) == (alone["both"], "")
    made, said = video(*run, "--lora", high4)
    assert made == alone["high 4"]
    assert f"high: {high4} instead of the run's" in said
    made, said = video(*run, "--lora", high4, "--lora", _lora(finished, "high"))
    assert made == alone["added"]
    assert "high: 2 LoRAs add up" in said
    made, said = video(*run, "--step", 4)
    assert made == alone["both 4"]
    assert f"high: {high4}\nlow: {_lora(finished, 'low', 4)}\n" in said


def test_a_step_that_nobody_saved_is_refused_with_those_there_are(finished):
    done = CliRunner().invoke(main, ["sample", "--run", str(finished.folder), "--step", "5", *SMALL])
    assert done.exit_code == 2
    assert "has no such checkpoint; there are high 4, 8, 12; low 4, 8, 12" in done.stderr
    done = CliRunner().invoke(main, ["sample", "--family", "tiny", "--step", "5", *SMALL])
    assert (done.exit_code, "--run FOLDER" in done.stderr) == (2, True)


def _run(folder, **experts):
    """A run's files by expert: steps of checkpoints, and whether the last is the finished LoRA."""
    entries = {}
    for name, (steps, done) in experts.items():
        made = [{"step": step, "file": f"{name}-{step}"} for step in steps]
        entries[name] = {"checkpoints": made, "matters": {"family": "tiny"}}
        entries[name] |= {"lora": made[-1]["file"]} if done else {}
        for one in made:
            (folder / one["file"]).touch()
    (folder / "run.json").write_text(json.dumps({"experts": entries}))
    return read_run(folder)


def test_an_expert_without_that_step_gives_its_nearest_and_says_so(tmp_path):
    run = _run(tmp_path, high=([100, 200, 300], True), low=([100, 160], True))
    files, lines = pick(run, 300, ())
    assert [path.name for path in files.values()] == ["high-300", "low-160"]
    assert lines[1].endswith("low-160 (of step 160, its nearest to 300)")
    (tmp_path / "high-200").unlink()  # by hand
    with pytest.raises(UsageError, match=r"there are high 100, 300; low 100, 160"):
        pick(read_run(tmp_path), 200, ())
    with pytest.raises(UsageError, match="means nothing where every expert has a --lora"):
        pick(run, 100, {"high", "low"})


def test_an_unfinished_expert_is_told(tmp_path):
    run = _run(tmp_path, high=([100], True), low=([50], False))
    files, lines = pick(run, None, ())
    assert [path.name for path in files.values()] == ["high-100"]
    assert lines == ["low has no finished LoRA: its base model is used (checkpoints for --step: high 100; low 50)"]
    assert pick(run, None, {"high", "low"}) == ({}, [])
    with pytest.raises(UsageError, match=r"no finished LoRA; .*--step \(there are low 50\)"):
        pick(_run(tmp_path, low=([50], False)), None, ())


@pytest.mark.parametrize("strength", ["nan", "inf", "-inf"])
def test_a_strength_is_a_finite_number(finished, strength):
    """numpy's warning and a video of nothing are no answer."""
    for given in (["--strength", strength], ["--lora", f"{finished.loras['low']}:{strength}"]):
        done = CliRunner().invoke(main, ["sample", "--run", str(finished.folder), *given, *SMALL])
        assert done.exit_code == 2, done.output
        assert f"{given[0]} " in done.stderr
        assert "must be a finite number" in done.stderr


def test_experts_of_another_family_are_refused(finished):
    with pytest.raises(UsageError, match="check --family"):
        _chosen(finished.folder, None, (), 1.0, "wan2.1-t2v-14b")


def test_what_is_far_from_what_the_model_learned_is_said(monkeypatch):
    from wanprep.stage import Missing

    def nothing(*_):
        raise Missing("no weights")

    monkeypatch.setattr("wantrain.base.whole_base", nothing)
    common = ["sample", "--family", "tiny", "--force", "a cat"]
    done = CliRunner().invoke(main, [*common, "--frames", "401", "--size", "8320x4800"])
    assert "warning: --frames = 401: tiny makes" in done.stderr
    assert "warning: 8320x4800 has 43.3 times" in done.stderr
    assert "warning" not in CliRunner().invoke(main, [*common, "--frames", "81"]).stderr
