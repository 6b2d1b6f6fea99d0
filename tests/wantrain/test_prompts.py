"""Prompt files: both forms say the same, and every mistake is found at once, with its place and its remedy."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wanprep.families import FAMILIES
from wanprep.stage import UsageError
from wantrain.preview_setup import warnings
from wantrain.prompts import Prompt, parse_line, read_prompts
from wantrain.sample import read_first_frame

TINY = FAMILIES["tiny"]
I2V = replace(TINY, name="tiny-i2v", task="i2v")
TI2V = FAMILIES["wan2.2-ti2v-5b"]


def _file(folder: Path, text: str, name: str = "p.txt") -> Path:
    (folder / name).write_text(text)
    return folder / name


def _picture(folder: Path, width: int = 64, height: int = 32) -> Path:
    Image.new("RGB", (width, height), (10, 200, 30)).save(folder / "first.png")
    return folder / "first.png"


def test_a_line_of_musubis_form_and_a_table_say_the_same(tmp_path):
    _picture(tmp_path)
    line = "a cat, on a roof --w 832 --h 480 --f 81 --d 42 --s 20 --g 5 --n blurry, text --i first.png --fs 3"
    toml = """
steps = 20
negative = "blurry, text"
[[prompt]]
prompt = "a cat, on a roof"
width = 832
height = 480
frames = 81
seed = 42
guidance = 5
first_frame = "first.png"
shift = 3.0
"""
    (from_line,) = read_prompts(_file(tmp_path, f"# a comment\n\n{line}\n"), I2V)
    (from_toml,) = read_prompts(_file(tmp_path, toml, "p.toml"), I2V)
    assert from_line == from_toml
    assert from_line.first_frame == str(tmp_path / "first.png")
    request = from_line.request(I2V)
    assert (request.width, request.height, request.frames, request.seed, request.steps) == (832, 480, 81, 42, 20)
    assert (request.guidance, request.shift, request.negative) == (5.0, 3.0, "blurry, text")


def test_what_is_left_out_comes_from_the_family_and_the_defaults(tmp_path):
    (prompt,) = read_prompts(_file(tmp_path, "a cat"), TI2V)
    assert prompt.request(TI2V).frames == 121
    assert (prompt.steps, prompt.guidance, prompt.seed, prompt.strength_of("single")) == (25, 3.5, 42, 1.0)
    text = (
        'strength_low = 0.3\n[[prompt]]\nprompt = "a"\n[[prompt]]\nprompt = "b"\nstrength = 0.5\nstrength_low = 0.0\n'
    )
    first, second = read_prompts(_file(tmp_path, text, "p.toml"), TINY)
    assert [first.strength_of(e) for e in ("high", "low")] == [1.0, 0.3]
    assert [second.strength_of(e) for e in ("high", "low")] == [0.5, 0.0]


def test_a_dash_between_spaces_is_part_of_the_prompt():
    assert parse_line("a cat -- asleep --d 1") == {"prompt": "a cat -- asleep", "seed": 1}


def test_musubis_two_guidances():
    """There --l is classifier-free guidance and --g means nothing to Wan; people write either."""
    assert parse_line("x --g 5")["guidance"] == 5
    assert parse_line("x --l 4 --g 5")["guidance"] == parse_line("x --g 5 --l 4")["guidance"] == 4


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a cat --wdth 832", "unknown flag --wdth (did you mean --w?)"),
        ("a cat --frames 81", "unknown flag --frames (did you mean --f?)"),
        ("a cat --image x.png", "did you mean --i?"),
        ("a cat --zzz 1", "unknown flag --zzz; known: --w, --h"),
        ("a cat --w wide", "--w 'wide' must be a whole number"),
        ("a cat --s 2.5", "--s '2.5' must be a whole number"),
        ("a cat --l", "--l '' must be a number"),
        ("a cat --n", "--n (negative) has no value"),
        ("a cat --w 832 --w 832", "--w is given twice"),
        ("a cat --cn dance.mp4", "control videos"),
        ("--w 832 --h 480", "prompt is empty"),
        ("a cat --w 830", "multiples of 16; nearest: 832x480"),
        ("a cat --f 80", "--f: 80 frames is not 4n+1; nearest: 81"),
        ("a cat --f 0", "0 frames is not 4n+1; nearest: 1"),
        ("a cat --s 0", "line 2: --s = 0 must"),
        ("a cat --d -1", "--d = -1"),
        ("a cat --l -3", "--l = -3"),
        ("a cat --fs 0", "--fs = 0"),
        ("a cat --i first.png", "--i: tiny makes videos from text alone; leave it out"),
    ],
)
def test_a_mistake_in_a_line_is_named(tmp_path, line, message):
    _picture(tmp_path)
    with pytest.raises(UsageError) as error:
        read_prompts(_file(tmp_path, f"a good one --w 64 --h 64\n{line}\n"), TINY)
    assert message in str(error.value)
    assert "line 2: " in str(error.value)


@pytest.mark.parametrize(
    ("family", "text", "message"),
    [
        (I2V, 'prompt = "a"', "first_frame: tiny-i2v makes videos from a picture; give one"),
        (I2V, 'prompt = "a"\nfirst_frame = "gone.png"', "gone.png is not there"),
        (I2V, 'prompt = "a"\nfirst_frame = "p.toml"', "cannot be read as a picture"),
        (TI2V, 'prompt = "a"\nstrength_high = 1.0', "one expert"),
        (TI2V, 'prompt = "a"\nguidance_low = 1.0', "one expert"),
        (TI2V, 'prompt = "a"\nwidth = 848', "multiples of 32"),
        (TINY, 'prompt = "a"\nsteps = 0', "prompt 1: steps = 0"),
        (TINY, 'prompt = "a"\nfirst_frame = "cat.png"', "first_frame: tiny makes videos from text alone"),
        (TINY, 'prompt = "a"\nstrenght = 1.0', "did you mean 'strength'"),
        (TINY, 'prompt = "a"\nstrength = 100', "strength = 100"),
        (TINY, 'prompt = "a"\nwidth = "wide"', "width must be int"),
        (TINY, "width = 64", 'prompt 1: it has no prompt; write prompt = "a cat"'),
    ],
)
def test_a_mistake_in_a_table_is_named(tmp_path, family, text, message):
    with pytest.raises(UsageError) as error:
        read_prompts(_file(tmp_path, f"[[prompt]]\n{text}\n", "p.toml"), family)
    assert message in str(error.value)
    assert "prompt 1: " in str(error.value)


def test_all_mistakes_are_told_at_once(tmp_path):
    with pytest.raises(UsageError) as error:
        read_prompts(_file(tmp_path, "a --f 6\nb --w 64 --h 64\nc --hh 6\n"), TINY)
    assert [line.strip().split(":")[0] for line in str(error.value).splitlines()[1:]] == ["line 1", "line 3"]
    with pytest.raises(UsageError, match=r"unknown setting 'stepz'.*'steps'"):
        read_prompts(_file(tmp_path, 'stepz = 3\n[[prompt]]\nprompt = "a"', "p.toml"), TINY)


@pytest.mark.parametrize(("name", "text"), [("p.txt", "# nothing\n"), ("p.toml", ""), ("q.toml", 'prompt = "a cat"')])
def test_a_file_without_prompts_is_refused(tmp_path, name, text):
    with pytest.raises(UsageError, match=r"\[\[prompt\]\]"):
        read_prompts(_file(tmp_path, text, name), TINY)
    with pytest.raises(UsageError, match="cannot read"):
        read_prompts(tmp_path / "nowhere.txt", TINY)


def test_an_empty_strength_is_the_common_one():
    assert Prompt(prompt="a", strength=0.7, strength_high=0.0).strength_of("high") == 0.0
    assert Prompt(prompt="a", strength=0.7).strength_of("low") == 0.7


def test_a_first_frame_covers_the_frame_and_keeps_its_shape(tmp_path):
    """A wide picture with a square in its middle: the square stays square, the sides are cut."""
    picture = np.zeros((100, 300, 3), np.uint8)
    picture[30:70, 130:170] = 255
    Image.fromarray(picture).save(tmp_path / "wide.png")
    frame = read_first_frame(tmp_path / "wide.png", 64, 64)
    assert frame.shape == (64, 64, 3)
    rows, columns = (np.flatnonzero(frame[..., 0].max(axis) > 128) for axis in (1, 0))
    assert abs(len(rows) - 25.6) <= 1.5
    assert abs(len(rows) - len(columns)) <= 1
    assert abs(rows.mean() - 31.5) < 1
    assert abs(columns.mean() - 31.5) < 1


@pytest.mark.parametrize("name", ["p.json", "p.JSONL", "p.yaml", "p.yml"])
def test_another_forms_lines_are_no_prompts(tmp_path, name):
    with pytest.raises(UsageError, match=r"prompts are \[\[prompt\]\] tables of a \.toml file, or lines of text"):
        read_prompts(_file(tmp_path, '[{"prompt": "a cat"}]', name), TINY)


def test_what_is_far_from_what_the_model_learned_is_told_once(tmp_path):
    def said(*lines):
        return warnings(read_prompts(_file(tmp_path, "\n".join(lines)), TINY), TINY)

    most = TINY.max_frames
    assert said(f"a --f {most}", "b --w 1280 --h 720", "c --w 720 --h 1280") == []
    (longer,) = said(f"a --f {most + 320}", f"b --f {most + 320}", "c")
    assert longer.startswith(f"previews: frames = {most + 320}: tiny makes {most} at most")
    assert longer.endswith("(2 of 3 prompts)")
    (larger,) = said("a --w 8320 --h 4800")
    assert "8320x4800 has 43.3 times the pixels of 1280x720" in larger
    assert larger.endswith("(1 of 1 prompt)")


def test_plan_and_run_say_it(toy, dataset, tmp_path, monkeypatch):
    from click.testing import CliRunner

    from wantrain import preview_setup
    from wantrain.cli import main

    monkeypatch.setitem(sys.modules, "wanprep.dataset", toy.dataset_module(dataset))
    path = _file(tmp_path, f"a --f {TINY.max_frames + 4} --w 32 --h 32")
    told = f"previews: frames = {TINY.max_frames + 4}: tiny makes"
    done = CliRunner().invoke(main, ["plan", "--set", "family=tiny", "--set", f"previews.prompts={path}"])
    assert done.exit_code == 0, done.output
    assert done.stdout.count(told) == 1
    config = toy.toy_config(tmp_path, previews={"prompts": str(path)})
    (sentence,) = preview_setup.prepare(config, "cpu", "fp32").setup.warnings
    assert sentence.startswith(told)
