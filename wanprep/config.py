"""From TOML tables to validated dataclasses, and back.

Every stage owns its configuration as a frozen dataclass; this module only builds such dataclasses from plain tables,
and refuses what it does not know with the nearest name. Which tables lie over which: `layers`. TOML as text:
`toml_text`.
"""

from __future__ import annotations

import dataclasses
import math
import re
import tomllib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from wanprep.near import did_you_mean, nearest, proposal
from wanprep.stage import UsageError
from wanprep.toml_text import Table, toml_value

T = TypeVar("T")
_SHORT = re.compile(r"[+-]?(\.\d+|\d+\.)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)  # numbers that TOML does not take


def from_table(cls: type[T], table: Mapping[str, Any], where: str = "") -> T:
    """Build dataclass `cls` (nested ones too) from a TOML table.

    Errors are UsageErrors that name the place (`where`), the value and the remedy: an unknown key (with the nearest
    known one), a wrong type, or whatever the dataclass's own `__post_init__` refuses with ValueError.
    """
    try:
        return _build(cls, table, where)
    except _Unknown as error:
        raise UsageError(f"unknown setting {error.place!r}{_proposed(error, cls, where)}") from error


class _Unknown(UsageError):
    """A key that its section does not have. place: the whole path; known: the section's own keys."""

    def __init__(self, place: str, known: list[str]) -> None:
        super().__init__(f"unknown setting {place!r}")
        self.place = place
        self.known = known


def _build(cls: type[T], table: Mapping[str, Any], where: str) -> T:
    hints = typing.get_type_hints(cls)
    known = fields_of(cls)
    values: Table = {}
    for key, value in table.items():
        place = f"{where}.{key}" if where else key
        if key not in known:
            raise _Unknown(place, known)
        values[key] = _convert(hints[key], value, place)
    lacking = [f for f in dataclasses.fields(typing.cast(Any, cls)) if f.name not in values and _is_required(f)]
    if lacking:
        place = f"{where}.{lacking[0].name}" if where else lacking[0].name
        example = lacking[0].metadata.get("example")
        raise UsageError(f"{place} is missing" + (f"; for example {lacking[0].name} = {example}" if example else ""))
    try:
        return cls(**values)
    except UsageError:
        raise
    except (ValueError, TypeError) as error:
        raise UsageError(f"[{where}] {error}" if where else f"{error}") from error


def _proposed(error: _Unknown, cls: type, where: str) -> str:
    """The nearest names, as whole paths: the same key in another section, else a like one in this section."""
    section, dot, key = error.place.rpartition(".")
    everywhere = paths(cls, where + "." if where else "")
    tails = [path for path in everywhere if path.endswith("." + key)]
    near = tails if len(tails) == 1 else [f"{section}{dot}{name}" for name in nearest(key, error.known)]
    return proposal(near) or f"; known: {', '.join(sorted(error.known))}"


def paths(cls: type, prefix: str = "") -> list[str]:
    """Every section and setting of a dataclass, as `filter`, `filter.shake`, `filter.shake.threshold`."""
    hints = typing.get_type_hints(cls)
    found: list[str] = []
    for name in fields_of(cls):
        found.append(prefix + name)
        hint = hints[name]
        for inner in _options(hint):
            if dataclasses.is_dataclass(inner):
                found += paths(typing.cast(type, inner), f"{prefix}{name}.")
    return found


def fields_of(cls: type) -> list[str]:
    return [field.name for field in dataclasses.fields(cls) if field.init]


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.init and field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _convert(hint: Any, value: Any, place: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _convert_union(arguments, value, place)
    if origin is typing.Literal:
        if value not in arguments:
            values = [str(argument) for argument in arguments]
            near = did_you_mean(str(value), values) or f"; known: {', '.join(values)}"
            raise UsageError(f"{place} = {value!r} is not one of its values{near}")
        return value
    if dataclasses.is_dataclass(hint):
        if not isinstance(value, Mapping):
            raise UsageError(f"{place} must be a table, got {value!r}")
        return _build(typing.cast(type, hint), value, place)
    if origin in (tuple, list):
        if not isinstance(value, list | tuple):
            spelt = "" if isinstance(value, Mapping) else f", as [{toml_value(value)}]"
            raise UsageError(f"{place} must be a list{spelt}, got {value!r}")
        if origin is tuple and arguments and arguments[-1] is not Ellipsis and len(value) != len(arguments):
            raise UsageError(f"{place} must have {len(arguments)} values, got {value!r}")
        inner = _element_hints(arguments, len(value))
        return origin(_convert(h, v, f"{place}[{i}]") for i, (h, v) in enumerate(zip(inner, value)))
    if origin is dict:
        return dict(value)
    return _convert_plain(hint, value, place)


def _convert_union(arguments: tuple[Any, ...], value: Any, place: str) -> Any:
    if value is None and type(None) in arguments:
        return None
    problems: list[UsageError] = []
    for option in arguments:
        if option is type(None):
            continue
        try:
            return _convert(option, value, place)
        except UsageError as error:
            problems.append(error)
    plain = [option for option in arguments if option in (bool, int, float, str)]
    named = [text for option in arguments if typing.get_origin(option) is typing.Literal
             for text in typing.get_args(option)]  # fmt: skip
    if plain and named and len(plain) + 1 == len([o for o in arguments if o is not type(None)]):
        known = " or ".join([*(kind.__name__ for kind in plain), *(toml_value(text) for text in named)])
        raise UsageError(f"{place} must be {known}, got {value!r}")
    raise problems[0]


def _element_hints(arguments: tuple[Any, ...], count: int) -> list[Any]:
    if not arguments:
        return [Any] * count
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return [arguments[0]] * count
    return list(arguments) if len(arguments) == count else [arguments[0]] * count


def _convert_plain(hint: Any, value: Any, place: str) -> Any:
    if hint is Any or hint is object:
        return value
    if hint is Path and isinstance(value, str | Path):
        return Path(value).expanduser()
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, float) and math.isnan(value):
        raise UsageError(f"{place} must be a number, got nan; leave it out for its default")
    if isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise UsageError(f"{place} must be {getattr(hint, '__name__', hint)}, got {value!r}")


def to_table(config: Any) -> Any:
    """A dataclass as a plain table (tuples as lists, paths as text, None left out), ready for TOML or JSON."""
    if dataclasses.is_dataclass(config) and not isinstance(config, type):
        pairs = ((f.name, getattr(config, f.name)) for f in dataclasses.fields(config))
        return {name: to_table(value) for name, value in pairs if value is not None}
    if isinstance(config, Mapping):
        return {key: to_table(value) for key, value in config.items() if value is not None}
    if isinstance(config, list | tuple):
        return [to_table(value) for value in config]
    return str(config) if isinstance(config, Path) else config


def parse_set(assignments: Iterable[str], cls: type | None = None) -> Table:
    """`--set filter.blur.threshold=0.2` -> nested table. Values are TOML; a bare word is taken as a string, and so is
    whatever a setting of `cls` that takes text is given (`run.name=2026-11-21`)."""
    table: Table = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--set {assignment!r}: expected section.key=value")
        path = name.strip().split(".")
        put(table, path, parse_value(text.strip(), as_text=cls is not None and takes_text(cls, path)))
    return table


def parse_value(text: str, *, as_text: bool = False) -> Any:
    """A TOML value, or the text itself when it is none (so `--set family=tiny` needs no quotes); .5 and 5. are numbers,
    too. as_text: a date, a number or a truth value stays as it is written."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return float(text) if _SHORT.fullmatch(text) and not as_text else text
    return text if as_text and not isinstance(value, str | list | dict) else value


def takes_text(cls: type, path: Sequence[str]) -> bool:
    """Whether the setting at `path` of a dataclass takes text (or a path) and nothing else, but for being unset."""
    hint: Any = cls
    for part in path:
        inner = next((option for option in _options(hint) if dataclasses.is_dataclass(option)), None)
        hint = None if inner is None else typing.get_type_hints(inner).get(part)
    return bool(_options(hint)) and all(option in (str, Path) for option in _options(hint))


def _options(hint: Any) -> list[Any]:
    """The types that a hint allows, without None."""
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return [option for option in (typing.get_args(hint) if union else (hint,)) if option not in (None, type(None))]


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """The settings of `after` that are others than in `before`, for people: `a.b = 2 (was 1), a.c is unset (was 3)`.
    What is too long to be read in a line is only named."""
    old, new = _flat(before), _flat(after)
    told = []
    for name in [*new, *(name for name in old if name not in new)]:
        if old.get(name) != new.get(name):
            is_, was = (f" = {_shown(new[name])}" if name in new else " is unset"), _shown(old.get(name))
            told.append(f"{name}{is_} (was {was})" if len(is_ + was) <= 120 else f"{name} (changed)")
    more = f" and {len(told) - 8} more" if len(told) > 8 else ""
    return ", ".join(told[:8]) + more


def _flat(table: Mapping[str, Any], prefix: str = "") -> Table:
    """Settings by their whole names; tables inside lists stay as they are."""
    found: Table = {}
    for key, value in table.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def _shown(value: Any) -> str:
    return "unset" if value is None else toml_value(value)


def put(table: Table, path: list[str], value: Any) -> None:
    """Set a value deep in a nested table, making the tables on the way."""
    for part in path[:-1]:
        inner = table.setdefault(part, {})
        if not isinstance(inner, dict):
            raise UsageError(f"{'.'.join(path)}: {part!r} is a value, not a section")
        table = inner
    table[path[-1]] = value


def merge(*tables: Mapping[str, Any]) -> Table:
    """Later tables win, key by key; lists (such as views) are replaced whole."""
    merged: Table = {}
    for table in tables:
        for key, value in table.items():
            if isinstance(value, Mapping) and isinstance(merged.get(key), dict):
                merged[key] = merge(merged[key], value)
            else:
                merged[key] = merge(value) if isinstance(value, Mapping) else value
    return merged
