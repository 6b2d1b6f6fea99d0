"""Settings from several places, put one over the other; an error names the place its cause came from.

Command line > environment (`WANPREP_SECTION__KEY`) > the file named there or the stored one > defaults. Every
variable and every `--set` is a layer of its own, so that the one at fault can be told from the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from wanprep import config
from wanprep.near import did_you_mean
from wanprep.stage import UsageError
from wanprep.toml_text import read_toml

T = TypeVar("T")
# Variables of ours that say something of the machine, not of the settings.
MACHINE = ("WANPREP_HOME", "WANPREP_MODELS", "WANPREP_OUT", "WANPREP_WORKER_THREADS")


@dataclass(frozen=True)
class Layer:
    """origin: where the table came from, in words that end a sentence."""

    table: Mapping[str, Any]
    origin: str


class Assignment(str):
    """`section.key=value` that an option of its own stands for. origin: that option, as it was given."""

    origin: str

    def __new__(cls, text: str, origin: str) -> Assignment:
        made = super().__new__(cls, text)
        made.origin = origin
        return made


def build(cls: type[T], layers: Sequence[Layer]) -> T:
    """A `cls` of all layers, later ones over earlier ones. UsageError that says which layer is at fault."""
    tables = [layer.table for layer in layers]
    said = _error(cls, tables)
    if not said:
        return config.from_table(cls, config.merge(*tables))
    alone = [layer for layer in reversed(layers) if _error(cls, [layer.table]) == said]
    # Else it takes several together: the first that makes what lies below it wrong.
    joint = [layer for end, layer in enumerate(layers, start=1) if _error(cls, tables[:end]) == said]
    raise UsageError(f"{said}; it comes from {(alone or joint)[0].origin}")


def _error(cls: type, tables: Sequence[Mapping[str, Any]]) -> str:
    try:
        config.from_table(cls, config.merge(*tables))
    except UsageError as error:
        return str(error)
    return ""


def of_file(path: Path) -> Layer:
    return Layer(read_toml(path), str(path))


def of_assignments(assignments: Iterable[str], cls: type) -> list[Layer]:
    """One layer for each `section.key=value` of a setting of `cls`."""
    return [Layer(config.parse_set([text], cls), getattr(text, "origin", f"--set {text}")) for text in assignments]


def of_environment(environment: Mapping[str, str], cls: type, prefix: str = "WANPREP_") -> list[Layer]:
    """`WANPREP_FAMILY=tiny`, `WANPREP_FILTER__BLUR=false`: one layer for each variable whose first part is a field of
    `cls`; what is wrong deeper down, `build` says."""
    layers = []
    for name, text in sorted(environment.items()):
        path = name.removeprefix(prefix).lower().split("__")
        if name.startswith(prefix) and path[0] in config.fields_of(cls):
            table: dict[str, Any] = {}
            config.put(table, path, config.parse_value(text, as_text=config.takes_text(cls, path)))
            layers.append(Layer(table, f"the variable {name}"))
    return layers


def check_environment(
    environment: Mapping[str, str], cls: type, prefix: str = "WANPREP_", also: Iterable[str] = ()
) -> None:
    """UsageError for a variable that begins like ours and is neither a setting's nor in MACHINE or `also`."""
    allowed = {*MACHINE, *also}
    known = [prefix + path.upper().replace(".", "__") for path in config.paths(cls)]
    for name in sorted(environment):
        first = name.removeprefix(prefix).lower().split("__")[0]
        if name.startswith(prefix) and first not in config.fields_of(cls) and name not in allowed:
            near = did_you_mean(name, [*(one for one in allowed if one.startswith(prefix)), *known])
            raise UsageError(f"no setting is called like the variable {name}{near}; correct it, or unset it")
