"""One part of a model in one file, under whichever names it has: recognised, checked in full, and loaded strictly.

Everything that can be known from a file's header is checked before a byte of its weights is read: every tensor the
class needs is there once, in the right shape, with its scale where it is 8-bit, and nothing else is. What the header
cannot tell is which of two equal models it is (the experts of 2.2, and 2.1 14B); there the file's name may object.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.families import FAMILIES, Family
from wanprep.models import claims, fp8
from wanprep.models.check import parts_of
from wanprep.models.layout import arguments, shapes
from wanprep.models.names import LEFT_OVER, PREFIXES, STYLES, Origin
from wanprep.models.tensorfile import TensorFile, read_header
from wanprep.stage import Missing

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Match:
    """How a file's tensors answer to what a part needs. origins: the class's name -> place in the file."""

    file: TensorFile
    style: str
    origins: Mapping[str, Origin]
    lacking: tuple[str, ...]
    unknown: tuple[str, ...]
    reshaped: tuple[str, ...]

    @property
    def found(self) -> int:
        return len(self.origins) - len(self.lacking)

    @property
    def whole(self) -> bool:
        return not (self.lacking or self.unknown or self.reshaped)


def problems(family: Family, part: str, path: Path) -> list[str]:
    """Why the file cannot serve as `part` of `family`, in sentences; empty when it can. Reads its header only."""
    try:
        file = header(path)
    except FileNotFoundError:
        return [f"{path} is not there"]
    except (OSError, ValueError) as error:
        return [f"{path} {error}"]
    objection = claims.objection(family, part, path.name)
    if objection:
        return [f"{path}: {objection}"]
    match = match_of(file, family, part)
    if not match.whole:
        return [_mismatch(match, family, part)]
    wrong = [f"{path}: {text}" for text in fp8.problems(file, {origin.name for origin in match.origins.values()})]
    if part == "text":
        from wanprep.models.tokenizer import tokenizer_problems

        wrong += tokenizer_problems(path)
    return wrong


def header(path: Path) -> TensorFile:
    """`read_header`, remembered for as long as the file does not change."""
    stat = path.stat()
    return _header(path, stat.st_size, stat.st_mtime_ns, os.getpid())


@functools.lru_cache(maxsize=64)
def _header(path: Path, size: int, mtime_ns: int, process: int) -> TensorFile:
    return read_header(path)


def match_of(file: TensorFile, family: Family, part: str) -> Match:
    """The naming under which the file has the most of what `part` needs, and all that is then amiss."""
    part = "transformer" if part == "transformer_2" else part
    wanted = shapes(family, part)
    best: Match | None = None
    for style in STYLES[part]:
        bare = _origins(family, part, style)
        for prefix in PREFIXES[part]:
            if best is not None and not any(name.startswith(prefix) for name in file.entries):
                continue
            origins = {name: Origin(prefix + origin.name, origin.third) for name, origin in bare.items()}
            match = _compared(file, style, origins, wanted, LEFT_OVER[part])
            if best is None or match.found > best.found:
                best = match
    assert best is not None
    return best


@functools.lru_cache(maxsize=64)
def _origins(family: Family, part: str, style: str) -> Mapping[str, Origin]:
    blocks = arguments(family, part).get("num_res_blocks", 0)
    return {name: STYLES[part][style](name, blocks) for name in shapes(family, part)}


def _compared(
    file: TensorFile, style: str, origins: Mapping[str, Origin], wanted: Mapping[str, tuple[int, ...]], left: str
) -> Match:
    used = {origin.name for origin in origins.values()}
    spare = sorted(file.entries.keys() - used)
    reshaped = []
    for name, origin in origins.items():
        shape = (3 * wanted[name][0], *wanted[name][1:]) if origin.third is not None else wanted[name]
        entry = file.entries.get(origin.name)
        if entry is not None and _core(entry.shape) != _core(shape):
            reshaped.append(f"{origin.name} is {list(entry.shape)} where {list(shape)} is needed")
    return Match(
        file=file, style=style, origins=origins, reshaped=tuple(reshaped),
        lacking=tuple(sorted({o.name for o in origins.values() if o.name not in file.entries})),
        unknown=tuple(name for name in spare if not fp8.is_note(name) and not re.fullmatch(left, name)),
    )  # fmt: skip


def _core(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape without leading ones: some programs keep [1, 1, 1280] for a vector."""
    while shape and shape[0] == 1:
        shape = shape[1:]
    return shape


def _mismatch(match: Match, family: Family, part: str) -> str:
    """What the file is instead, where it is something; else the first names of what is amiss."""
    others = [text for text in fitting(match.file) if not text.startswith(f"{part} of {family.name}")]
    if others:
        return f"{match.file.path} is not {part} of {family.name}: its tensors are those of {' or '.join(others)}"
    if not match.found:
        example = next(iter(match.file.entries), "nothing at all")
        return f"{match.file.path} is not {part} of {family.name}: it has none of its tensors (it has {example}, …)"
    words = []
    for text, names in (("lacks", match.lacking), ("has unknown", match.unknown), ("reshapes", match.reshaped)):
        if names:
            more = f" and {len(names) - 2} more" if len(names) > 2 else ""
            words.append(f"{text} {', '.join(names[:2])}{more}")
    return f"{match.file.path} is not {part} of {family.name}: it {'; '.join(words)}"


def fitting(file: TensorFile) -> list[str]:
    """All that a file's tensors are exactly those of: "vae of wan2.1-t2v-14b, wan2.2-t2v-a14b", a part an entry."""
    found: dict[str, list[str]] = {}
    for family in FAMILIES.values():
        if family.name == "tiny":
            continue
        for part in parts_of(family):
            if part != "transformer_2" and _may_fit(file, family, part) and match_of(file, family, part).whole:
                found.setdefault(part, []).append(family.name)
    return [f"{part} of {', '.join(names)}" for part, names in found.items()]


def _may_fit(file: TensorFile, family: Family, part: str) -> bool:
    """A glance at one name, before a thousand are compared."""
    some = list(shapes(family, part))[-1]
    tries = (p + _origins(family, part, style)[some].name for style in STYLES[part] for p in PREFIXES[part])
    return any(name in file.entries for name in tries)


def load(family: Family, part: str, path: Path, dtype: str, device: str) -> Any:
    """The model of `part` from a single file: eval, without gradients, tensor by tensor straight to `device`.

    Missing, with everything that is wrong, before any weight is read.
    """
    from wanprep.models.dtypes import torch_dtype

    wrong = problems(family, part, path)
    if wrong:
        raise Missing(f"{path.name} cannot serve as {part} of {family.name}: {'; '.join(wrong)}", remedy(family, part))
    match = match_of(header(path), family, part)
    model = build(family, part)
    fill(model, match, shapes(family, part), torch_dtype(dtype), device)
    return model.to(device).eval().requires_grad_(False)


def remedy(family: Family, part: str) -> str:
    """What to do about a file that does not fit."""
    if not family.hub_id:
        return "Leave the weights out: tiny is built on first use"
    return f"See what is on this machine with: wanprep models {family.name}; fetch it: wanprep fetch {family.name}"


def build(family: Family, part: str) -> Any:
    """The model with our configuration, parameters without memory, buffers computed."""
    from accelerate import init_empty_weights

    kind, given = "transformer" if part == "transformer_2" else part, arguments(family, part)
    with init_empty_weights(include_buffers=False):
        if kind == "transformer":
            from diffusers import WanTransformer3DModel

            return WanTransformer3DModel(**given)
        if kind == "vae":
            from diffusers import AutoencoderKLWan

            return AutoencoderKLWan(**given)
        if kind == "text":
            from transformers import UMT5Config, UMT5EncoderModel

            return UMT5EncoderModel(UMT5Config(**given))
        from transformers import CLIPVisionConfig, CLIPVisionModel

        return CLIPVisionModel(CLIPVisionConfig(**given))


def fill(model: Any, match: Match, wanted: Mapping[str, tuple[int, ...]], dtype: torch.dtype, device: str) -> None:
    """Give every parameter its tensor. Those the class keeps in fp32 are kept there, as its own loader does."""
    import torch

    kept = _kept_in_fp32(model, dtype)
    with match.file.reader() as reader:
        for name in sorted(match.origins, key=lambda name: _place(match, name)):  # in the order of the file
            origin = match.origins[name]
            own = torch.float32 if kept & set(name.split(".")) else dtype
            try:
                tensor = fp8.read(reader, origin.name, own, device)
            except ValueError as error:
                raise Missing(f"{match.file.path}: {error}") from error
            if origin.third is not None:
                tensor = tensor.chunk(3)[origin.third].clone()
            _set(model, name, torch.nn.Parameter(tensor.reshape(wanted[name]), requires_grad=False))
    if hasattr(model, "tie_weights"):
        model.tie_weights()
    empty = [name for name, parameter in model.named_parameters() if parameter.is_meta]
    if empty:
        raise RuntimeError(f"{type(model).__name__} has parameters that no file fills: {', '.join(empty[:3])}")


def _place(match: Match, name: str) -> int:
    return match.file.entries[match.origins[name].name].start


def _set(model: Any, name: str, parameter: Any) -> None:
    owner, _, leaf = name.rpartition(".")
    model.get_submodule(owner)._parameters[leaf] = parameter


def _kept_in_fp32(model: Any, dtype: torch.dtype) -> set[str]:
    """Names of modules that stay in fp32: diffusers always heeds its list, transformers only for fp16."""
    import torch

    listed = set(getattr(model, "_keep_in_fp32_modules", None) or ())
    if type(model).__module__.startswith("transformers") and dtype != torch.float16:
        return set(getattr(model, "_keep_in_fp32_modules_strict", None) or ())
    return listed
