"""The whole configuration of a dataset: one section a stage, each owned by its stage.

Where a value comes from, strongest first: command line (`--set`) > environment (`WANPREP_FILTER__BLUR=…`) > the
pipeline file named on the command line, else the dataset's own `wanprep.toml` > the defaults in code. What was
resolved is stored as the dataset's `wanprep.toml`, to be read and edited by people.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wanprep import config, layers
from wanprep.families import Family, family
from wanprep.stages.cache import CacheConfig
from wanprep.stages.caption import CaptionConfig
from wanprep.stages.colour import ColourConfig
from wanprep.stages.filter import FilterConfig
from wanprep.stages.split import SplitConfig
from wanprep.stages.windows import View, check_views
from wanprep.toml_text import dump_toml

# Sharp short windows teach the look, long small ones the motion; a 360p source passes through both.
DEFAULT_VIEWS = (
    View(name="stills", media="image", resolution=768, frames=(1,), min_area=0.25),
    View(name="sharp", resolution=(832, 480), frames=(17,), min_area=0.5),
    View(name="motion", resolution=(480, 272), frames=(41,), mode="uniform", samples=2),
)


@dataclass(frozen=True, kw_only=True)
class Pipeline:
    """A resolved pipeline. family: a name of `wanprep.families`; views: at least one."""

    family: str = "wan2.2-t2v-a14b"
    split: SplitConfig = field(default_factory=SplitConfig)
    filter: FilterConfig = field(default_factory=FilterConfig)
    colour: ColourConfig = field(default_factory=ColourConfig)
    views: tuple[View, ...] = DEFAULT_VIEWS
    caption: CaptionConfig = field(default_factory=CaptionConfig)
    cache: CacheConfig = field(default_factory=CacheConfig)

    def __post_init__(self) -> None:
        check_views(self.views, self.model)

    @property
    def model(self) -> Family:
        return family(self.family)


def resolve(
    *,
    stored: Mapping[str, Any] | None = None,
    stored_in: Path | None = None,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    assignments: Iterable[str] = (),
) -> Pipeline:
    """Build the pipeline from its layers; UsageError that names the setting, where it came from, and the remedy.

    stored: the dataset's own settings, stored in the file `stored_in`; not used when `file` is given.
    """
    environment = os.environ if environment is None else environment
    base = layers.Layer(stored or {}, f"{stored_in} (edit it there, or delete a setting of another version)")
    pipeline = layers.build(
        Pipeline,
        [
            layers.of_file(file) if file else base,
            *layers.of_environment(environment, Pipeline),
            *layers.of_assignments(assignments, Pipeline),
        ],
    )
    layers.check_environment(environment, Pipeline, also=[pipeline.caption.endpoint.api_key_env or ""])
    return pipeline


def as_toml(pipeline: Pipeline) -> str:
    """The resolved pipeline as the text of a TOML file."""
    return dump_toml(config.to_table(pipeline))
