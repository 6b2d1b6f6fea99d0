"""TOML files: reading them, and plain tables as TOML text (Python's own library only reads)."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wanprep.stage import UsageError

Table = dict[str, Any]


def read_toml(path: Path) -> Table:
    """Parse a TOML file; UsageError with the line when it is not TOML or cannot be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is not valid TOML: {error}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}") from error


def dump_toml(table: Mapping[str, Any]) -> str:
    """A table as TOML text. Covers what `to_table` gives: scalars, lists, tables and lists of tables."""
    lines: list[str] = []
    _dump_into(lines, table, ())
    return "\n".join(lines).strip() + "\n"


def _dump_into(lines: list[str], table: Mapping[str, Any], path: tuple[str, ...]) -> None:
    def is_tables(value: Any) -> bool:
        return isinstance(value, list) and bool(value) and all(isinstance(v, Mapping) for v in value)

    for key, value in table.items():
        if not isinstance(value, Mapping) and not is_tables(value):
            lines.append(f"{_toml_key(key)} = {toml_value(value)}")
    for key, value in table.items():
        name = ".".join(_toml_key(p) for p in (*path, key))
        if isinstance(value, Mapping):
            lines += ["", f"[{name}]"]
            _dump_into(lines, value, (*path, key))
        elif is_tables(value):
            for entry in value:
                lines += ["", f"[[{name}]]"]
                _dump_into(lines, entry, (*path, key))


def _toml_key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else _toml_string(key)


def _toml_string(text: str) -> str:
    # TOML basic strings share JSON's escapes, except that JSON leaves DEL unescaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def toml_value(value: Any) -> str:
    """One value as TOML text, tables inline. TypeError for what TOML has no form for."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _toml_string(value)
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml_value(v) for v in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_toml_key(k)} = {toml_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, int | float):
        return repr(value)
    raise TypeError(f"{value!r} has no TOML form")
