"""What a file's name says of what is in it. The experts of Wan 2.2 cannot be told apart by anything else.

High and low noise have equal tensors, and so has Wan 2.1 14B; trained on the wrong one, a LoRA is hours of nothing. A
name cannot prove anything, but one that says the opposite of what was asked for is refused.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from wanprep.families import Family
from wanprep.patterns import later

_VERSION = later(r"wan[ _.-]?2[._-]?([12])(?!\d)", re.I)
_TASK = later(r"(?<![a-z])(ti2v|t2v|i2v)(?![a-z])", re.I)
_SIZE = later(r"(?<![\d.])(1[._]3|5|14)b(?![a-z])", re.I)
_EXPERT = later(r"(?<![a-z])(high|low)(?=[^a-z]|noise|$)", re.I)
# Relatives with other inputs or distilled steps: never taken unasked.
_RELATIVES = later(
    r"vace|fun[_-]|[_-]fun|s2v|animate|flf2v|camera|lightx2v|lightning|distill|causvid|fusion|phantom|lora|gguf|step",
    re.I,
)
_PARTS = (
    ("text", later(r"umt5", re.I)),
    ("clip", later(r"clip_vision_h|xlm-roberta", re.I)),
    ("vae", later(r"(?=.*wan)(?=.*vae)", re.I)),
    ("transformer", later(r"wan.*(t2v|i2v)", re.I)),
)


@dataclass(frozen=True, kw_only=True)
class Claims:
    """None where a name says nothing, or two things at once. size: "1.3b", "5b", "14b"."""

    version: str | None
    task: str | None
    size: str | None
    expert: str | None


def claims_of(name: str) -> Claims:
    """What is said by a file name such as wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors."""

    def only(pattern: re.Pattern[str]) -> str | None:
        said = {found.lower().replace("_", ".") for found in pattern.findall(name)}
        return said.pop() if len(said) == 1 else None

    version, size = only(_VERSION), only(_SIZE)
    return Claims(
        version=f"2.{version}" if version else None,
        task=only(_TASK), size=f"{size}b" if size else None, expert=only(_EXPERT),
    )  # fmt: skip


def of_family(family: Family, part: str) -> Claims:
    """What a name ought to say of a transformer of `family`."""
    size = next((size for size in ("1.3b", "5b", "14b") if family.name.endswith(size)), None)
    expert = {"transformer": "high", "transformer_2": "low"}[part] if len(family.experts) == 2 else None
    version = family.name[3:6] if family.name.startswith("wan") else None
    return Claims(version=version, task=family.task, size=size, expert=expert)


def objection(family: Family, part: str, name: str) -> str | None:
    """How a transformer file's name contradicts what it is wanted for, in a sentence; None when it does not."""
    if not part.startswith("transformer"):
        return None
    said, meant = claims_of(name), of_family(family, part)
    wrong = []
    if meant.expert and said.expert and said.expert != meant.expert:
        wrong.append(f"{said.expert} noise, and the {meant.expert}-noise expert is wanted")
    if meant.version and said.version and said.version != meant.version:
        wrong.append(f"Wan {said.version}, and {family.name} is wanted")
    if wrong:
        return f"its name says {' and '.join(wrong)}; rename it if the name is wrong (the tensors cannot tell)"
    return None


def names_expert(family: Family, part: str, name: str) -> bool:
    """Whether a name is clear enough to be taken for this expert without being told."""
    meant = of_family(family, part).expert if part.startswith("transformer") else None
    return meant is None or claims_of(name).expert == meant


def part_named(name: str) -> str | None:
    """The part that a well-known file name stands for: "vae", "text", "clip", "transformer"; None for other names."""
    if _RELATIVES.search(name):
        return None
    return next((part for part, pattern in _PARTS if pattern.search(name)), None)


def is_of(family: Family, part: str, name: str) -> bool:
    """Whether a well-known name says that the file is this part of this family; its tensors are checked afterwards."""
    kind = "transformer" if part == "transformer_2" else part
    if part_named(name) != kind:
        return False
    return kind != "transformer" or claims_of(name) == of_family(family, part)
