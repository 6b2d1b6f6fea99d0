"""A place that cannot be written is found before anything is computed, in one line."""

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from wanprep.stage import UsageError
from wantrain.cli import main
from wantrain.outputs import require_writable


def test_a_place_is_tried_and_left_as_it_was(tmp_path):
    require_writable(tmp_path / "a.txt")
    require_writable(tmp_path / "not" / "yet" / "a.txt")
    (tmp_path / "there.txt").write_text("kept")
    require_writable(tmp_path / "there.txt")
    assert (tmp_path / "there.txt").read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["there.txt"]


@pytest.fixture
def bad(tmp_path):
    """Places where nothing can be written, and what is said of them. Root may write to read-only folders, not /proc."""
    (tmp_path / "file").touch()
    return [
        (tmp_path / "file" / "x", f"{tmp_path / 'file'} is not a folder"),
        (tmp_path / "file" / "deep" / "x", f"{tmp_path / 'file'} is not a folder"),
        (tmp_path / ("n" * 300), "File name too long"),
        *([(Path("/proc/x"), "No such file or directory")] if Path("/proc").is_dir() else []),
    ]


def test_a_bad_place_is_told_with_the_cause(bad, tmp_path):
    for path, why in [*bad, (tmp_path, "it is a folder")]:
        with pytest.raises(UsageError, match="cannot write") as error:
            require_writable(path)
        assert why in str(error.value)
        assert "\n" not in str(error.value)


def test_sample_looks_before_it_loads_a_model(bad, monkeypatch):
    monkeypatch.setattr("wantrain.sample.load_pipeline", lambda *_, **__: pytest.fail("a model is loaded"))
    for path, why in bad:
        out = path.with_name(path.name + ".mp4")
        common = ["--family", "tiny", "--size", "32x32", "--frames", "5"]
        done = CliRunner().invoke(main, ["sample", "a cat", *common, "--out", str(out)])
        assert (done.exit_code, done.stderr.count("\n")) == (2, 1), done.output
        assert why in done.stderr


@pytest.mark.parametrize("names", ["musubi", "peft"])
def test_convert_and_report_and_run_say_it_in_one_line(bad, names, plain, finished, toy, dataset, monkeypatch):
    monkeypatch.setitem(sys.modules, "wanprep.dataset", toy.dataset_module(dataset))
    commands = [["convert", str(plain), "--to", names], ["report", str(finished.folder)]]
    commands += [["run", "--set", "family=tiny"], ["run", "--set", "family=tiny", "--dry-run"]]
    for command in commands:
        for path, why in bad:
            done = CliRunner().invoke(main, [*command, "--out", str(path)])
            assert (done.exit_code, done.stderr.count("\n"), done.stdout) == (2, 1, ""), done.output
            assert done.stderr.startswith("error: cannot write ")
            assert why in done.stderr


def test_a_report_does_not_take_a_folders_place(finished, tmp_path):
    done = CliRunner().invoke(main, ["report", str(finished.folder), "--out", str(tmp_path)])
    assert (done.exit_code, "it is a folder" in done.stderr) == (2, True)
