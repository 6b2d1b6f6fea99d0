"""The prompts of preview videos: a TOML file, or lines as musubi-tuner and kohya's scripts read them.

    steps = 20                                       a walk on the beach --w 832 --h 480 --f 81 --d 42 --s 20
    [[prompt]]                                       # a comment
    prompt = "a walk on the beach"                   a cat --l 4 --n blurry, text --i first.png
    seed = 42

In TOML, values above the first [[prompt]] hold for all that do not set their own. Mistakes are found when the file
is read, the first of every prompt at once, each with its place.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from wanprep.config import from_table
from wanprep.families import Family
from wanprep.stage import UsageError
from wanprep.toml_text import read_toml
from wantrain.sample import Request, as_typed, check_request

# musubi's flag -> our name and type. It gives --l to guidance and leaves --g (embedded guidance) to other models; in
# files for Wan people write either, so --g counts where there is no --l.
FLAGS: dict[str, tuple[str, type]] = {
    "w": ("width", int),
    "h": ("height", int),
    "f": ("frames", int),
    "d": ("seed", int),
    "s": ("steps", int),
    "l": ("guidance", float),
    "g": ("guidance", float),
    "fs": ("shift", float),
    "n": ("negative", str),
    "i": ("first_frame", str),
}
OTHER_FORMS = (".json", ".jsonl", ".yaml", ".yml")  # each of their lines would be taken for a prompt
_OTHERS = {"cn": "control videos", "ci": "control images", "ei": "last frames", "of": "one-frame inference"}


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One video to make at every preview. Sizes in pixels; frames 4n+1, the family's most when left out.

    guidance_low: of the low expert, guidance when left out. shift: flow_shift, the family's when left out. first_frame:
    picture that the video goes on from. strength: of the LoRAs; strength_high, strength_low: of one expert's.
    """

    prompt: str
    name: str = ""
    negative: str = ""
    width: int = 832
    height: int = 480
    frames: int | None = None
    steps: int = 25
    guidance: float = 3.5
    guidance_low: float | None = None
    shift: float | None = None
    seed: int = 42
    first_frame: str | None = None
    strength: float = 1.0
    strength_high: float | None = None
    strength_low: float | None = None

    def __post_init__(self) -> None:
        if not self.prompt.strip():
            raise ValueError("prompt is empty")
        for name in ("strength", "strength_high", "strength_low"):
            value = getattr(self, name)
            if value is not None and not -10 <= value <= 10:
                raise ValueError(f"{name} = {value} must be between -10 and 10")

    def strength_of(self, expert: str) -> float:
        own = {"high": self.strength_high, "low": self.strength_low}.get(expert)
        return self.strength if own is None else own

    def request(self, family: Family) -> Request:
        """What `sample_video` is asked. ValueError for numbers that cannot be."""
        return Request(
            prompt=self.prompt, negative=self.negative, width=self.width, height=self.height,
            frames=family.max_frames if self.frames is None else self.frames, steps=self.steps, guidance=self.guidance,
            guidance_low=self.guidance_low, shift=self.shift, seed=self.seed,
            first_frame=None if self.first_frame is None else Path(self.first_frame),
        )  # fmt: skip


def read_prompts(path: Path, family: Family) -> tuple[Prompt, ...]:
    """The prompts of a file, first frames as absolute paths. UsageError listing everything that is wrong with it."""
    if path.suffix.lower() in OTHER_FORMS:
        raise UsageError(f"{path}: prompts are [[prompt]] tables of a .toml file, or lines of text (.txt)")
    tables = _toml_tables(path) if path.suffix.lower() == ".toml" else _line_tables(path)
    if not tables:
        raise UsageError(f"{path} has no prompt; write [[prompt]] tables (.toml), or one prompt a line")
    words = {} if path.suffix.lower() == ".toml" else {name: f"--{flag}" for flag, (name, _) in FLAGS.items()}
    words |= {"guidance": "--l"} if words else {}
    prompts: list[Prompt] = []
    wrong: list[tuple[str, str]] = []
    for where, table in tables:
        try:
            if isinstance(table, ValueError):
                raise table
            if "prompt" not in table:
                raise ValueError('it has no prompt; write prompt = "a cat"')
            prompt = from_table(Prompt, table)
            prompt = replace(prompt, first_frame=_found(path, prompt.first_frame))
            _check(prompt, family)
            prompts.append(prompt)
        except (UsageError, ValueError) as error:
            wrong.append((where, as_typed(str(error).removeprefix("[Prompt] "), words)))
    if wrong:
        raise UsageError("\n  ".join([f"{path} cannot be used:", *(f"{where}: {text}" for where, text in wrong)]))
    return tuple(prompts)


def _check(prompt: Prompt, family: Family) -> None:
    if len(family.experts) == 1 and (prompt.strength_high is not None or prompt.strength_low is not None):
        raise UsageError(f"{family.name} has one expert: write strength instead of strength_high and strength_low")
    if len(family.experts) == 1 and prompt.guidance_low is not None:
        raise UsageError(f"{family.name} has one expert: guidance_low means nothing to it")
    check_request(prompt.request(family), family)


def _found(file: Path, first_frame: str | None) -> str | None:
    """A first frame beside the prompt file, else from where the command is run; absolute."""
    if first_frame is None:
        return None
    named = Path(first_frame).expanduser()
    beside = file.parent / named
    return str((beside if beside.is_file() else named).absolute())


Tables = list[tuple[str, Mapping[str, Any] | ValueError]]  # (place in the file, values or why there are none)


def _toml_tables(path: Path) -> Tables:
    table = read_toml(path)
    listed = table.pop("prompt", [])
    if not isinstance(listed, list) or not all(isinstance(one, Mapping) for one in listed):
        raise UsageError(f'{path}: prompts are [[prompt]] tables, as [[prompt]] with prompt = "a cat" below it')
    known = {field.name for field in fields(Prompt)}
    shared = {name: value for name, value in table.items() if name in known}
    tables: Tables = [
        ("above the first [[prompt]]", ValueError(f"unknown setting {name!r}{_near(name, known)}"))
        for name in table if name not in known
    ]  # fmt: skip
    return tables + [(f"prompt {number}", shared | dict(own)) for number, own in enumerate(listed, 1)]


def _line_tables(path: Path) -> Tables:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error
    tables: Tables = []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.strip().startswith("#"):
            continue
        try:
            tables.append((f"line {number}", parse_line(line)))
        except ValueError as error:
            tables.append((f"line {number}", error))
    return tables


def parse_line(line: str) -> dict[str, Any]:
    """`a cat --w 832 --h 480 --f 81 --d 42 --s 20 --l 4 --n blurry --i first.png` -> a table of `Prompt`'s values.

    ValueError for an unknown flag, with the nearest one, and for a value that is none.
    """
    # A dash between spaces is punctuation of the prompt, as in "a cat -- asleep".
    text, *given = re.split(r"(?:^|\s)--(?=\S)", line.strip())
    table: dict[str, Any] = {"prompt": text.strip()}
    seen: set[str] = set()
    for part in given:
        flag, _, value = part.partition(" ")
        flag = flag.lower()
        if flag in _OTHERS:
            raise ValueError(f"--{flag} is musubi's for {_OTHERS[flag]}, which there are none of here; leave it out")
        if flag not in FLAGS:
            raise ValueError(f"unknown flag --{flag}{_near_flag(flag)}")
        if flag in seen:
            raise ValueError(f"--{flag} is given twice")
        seen.add(flag)
        name, kind = FLAGS[flag]
        if flag == "g" and "l" in seen:
            continue
        try:
            table[name] = kind(value.strip())
        except ValueError:
            wanted = "a whole number" if kind is int else "a number"
            raise ValueError(f"--{flag} {value.strip()!r} must be {wanted}") from None
        if not value.strip():
            raise ValueError(f"--{flag} ({name}) has no value")
    return table


def _near_flag(flag: str) -> str:
    """The flag meant by a long name (`--width`, `--image`) or a slip."""
    long = {
        **{name: short for short, (name, _) in FLAGS.items() if short != "g"},
        **{"image": "i", "image_path": "i", "frame_count": "f", "num_frames": "f", "cfg": "l", "cfg_scale": "l"},
        **{"guidance_scale": "l", "negative_prompt": "n", "sample_steps": "s", "flow_shift": "fs", "video_length": "f"},
        **{short: short for short in FLAGS},
    }  # fmt: skip
    near = difflib.get_close_matches(flag, long, n=1, cutoff=0.6)
    return f" (did you mean --{long[near[0]]}?)" if near else f"; known: {', '.join(f'--{name}' for name in FLAGS)}"


def _near(name: str, known: Sequence[str] | set[str]) -> str:
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f" (did you mean {near[0]!r}?)" if near else f"; known: {', '.join(sorted(known))}"
