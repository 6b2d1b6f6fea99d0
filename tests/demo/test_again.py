"""A demo in the folder of an earlier one."""

from types import SimpleNamespace

import pytest

from wanprep.demo import __main__ as demo
from wanprep.demo import movie


def commands(monkeypatch, *codes):
    """The commands that the demo gives, which end with these codes."""
    given, left = [], iter(codes)

    def run(command, **_):
        given.append(command[2:])
        return SimpleNamespace(returncode=next(left))

    monkeypatch.setattr(demo.subprocess, "run", run)
    return given


def test_a_run_that_cannot_go_on_is_moved_aside(tmp_path, monkeypatch, capsys):
    (tmp_path / "demo").mkdir()
    given = commands(monkeypatch, demo.REFUSED, 0)
    demo._train(tmp_path / "dataset", tmp_path, 3)
    assert given[1] == [*given[0], "--fresh"]
    assert f"{tmp_path / 'demo'} cannot go on" in capsys.readouterr().err


@pytest.mark.parametrize(("code", "begun"), [(demo.REFUSED, False), (1, True), (130, True)])
def test_what_beginning_anew_would_not_mend_ends_the_demo(tmp_path, monkeypatch, code, begun):
    if begun:
        (tmp_path / "demo").mkdir()
    given = commands(monkeypatch, code)
    with pytest.raises(SystemExit) as ended:
        demo._train(tmp_path / "dataset", tmp_path, 3)
    assert (ended.value.code, len(given)) == (code, 1)


def test_a_run_that_goes_on_is_left_where_it_is(tmp_path, monkeypatch):
    (tmp_path / "demo").mkdir()
    given = commands(monkeypatch, 0)
    demo._train(tmp_path / "dataset", tmp_path, 3)
    assert "--fresh" not in given[0]


def test_videos_take_the_place_of_earlier_ones(tmp_path, monkeypatch):
    given = commands(monkeypatch, 0)
    demo._sample(tmp_path / "demo", 1, tmp_path / "sample.mp4")
    assert "--force" in given[0]


@pytest.mark.parametrize("text", ["{}", "[]", '{"files": [{"path": "a.mp4"}]}', "half of"])
def test_movies_whose_truth_is_of_another_version_are_made_anew(tmp_path, monkeypatch, text):
    (tmp_path / movie.TRUTH).write_text(text)
    monkeypatch.setattr(movie, "make_demo", lambda folder: movie.script_truth())
    assert demo._make_movies(tmp_path) == movie.script_truth()
    (tmp_path / movie.TRUTH).write_text(movie.script_truth().to_json())
    monkeypatch.setattr(movie, "make_demo", None)  # not asked: these hold
    assert demo._make_movies(tmp_path) == movie.script_truth()
