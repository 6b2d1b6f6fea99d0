"""The pipeline file of the repository, the defaults in code, and the layers between."""

from pathlib import Path

import pytest

from wanprep.config import read_toml
from wanprep.dataset import Dataset
from wanprep.pipeline import Pipeline, as_toml, resolve
from wanprep.stage import UsageError

PIPELINES = Path(__file__).parents[1] / "pipelines"


def test_the_default_file_says_what_the_code_does() -> None:
    assert resolve(file=PIPELINES / "default.toml", environment={}) == Pipeline()


def test_the_default_file_names_every_setting() -> None:
    written = read_toml(PIPELINES / "default.toml")

    def names(table: dict, prefix: str = "") -> set[str]:
        found = set()
        for key, value in table.items():
            found |= names(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key}
        return found

    resolved = read_toml_text(as_toml(Pipeline()))
    assert names(resolved) - {"views"} == names(written) - {"views"}


def read_toml_text(text: str) -> dict:
    import tomllib

    return tomllib.loads(text)


@pytest.mark.parametrize("path", sorted(PIPELINES.glob("*.toml")), ids=lambda path: path.name)
def test_every_shipped_file_resolves_and_says_when_to_use_it(path: Path) -> None:
    assert path.read_text().startswith("# ")
    if path.name.startswith("train-"):
        from wantrain.config import load_config

        load_config(path, [], {})
    else:
        resolve(file=path, environment={})


def test_precedence_is_command_line_then_environment_then_file_then_defaults(tmp_path: Path) -> None:
    file = tmp_path / "p.toml"
    file.write_text("family = 'tiny'\n[split]\nmin_seconds = 2.0\nmargin = 3\n[caption]\ntrigger = 'file'\n")
    environment = {"WANPREP_SPLIT__MIN_SECONDS": "3.0", "WANPREP_CAPTION__TRIGGER": "environment"}
    got = resolve(file=file, environment=environment, assignments=["caption.trigger=line"])
    assert (got.family, got.split.margin, got.split.min_seconds, got.caption.trigger) == ("tiny", 3, 3.0, "line")
    assert got.split.crop_bars


def test_stored_settings_hold_until_a_file_replaces_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = Dataset.create(tmp_path / "set", assignments=["family=tiny", "split.margin=5"])
    first.add_root(tmp_path)
    first.save()
    again = Dataset.open(tmp_path / "set")
    assert again.pipeline == first.pipeline
    assert again.roots == first.roots
    replaced = Dataset.open(tmp_path / "set", file=PIPELINES / "default.toml")
    assert replaced.pipeline.split.margin == Pipeline().split.margin


def test_a_typo_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="did you mean 'min_seconds'"):
        resolve(environment={}, assignments=["split.min_second=2"])
    with pytest.raises(UsageError, match="did you mean 'tiny'"):
        resolve(environment={}, assignments=["family=tyni"])


PRESETS = [(goal, gib) for goal in ("character", "style", "motion", "domain") for gib in (24, 48, 80)]


@pytest.mark.parametrize(("goal", "gib"), PRESETS)
def test_a_preset_fits_its_card_and_the_guides(goal: str, gib: int) -> None:
    """The views of each preparation preset train within its card's memory with the settings of its training preset."""
    from wanprep import costs
    from wantrain.advice import warnings_for
    from wantrain.config import load_config, settled

    views = resolve(file=PIPELINES / f"{goal}-{gib}gb.toml", environment={}).views
    config = load_config(PIPELINES / f"train-{goal}-{gib}gb.toml", [], {})
    assert config.goal == goal
    clips = 500 if goal == "domain" else 30
    visits = {(832, 480, 41): clips * 2}
    assert warnings_for(settled(config, visits), clips=clips, epoch=clips * 2) == []

    largest = 0
    for view in views:
        width, height = (view.resolution,) * 2 if isinstance(view.resolution, int) else view.resolution
        for frames in [1] if view.media == "image" else view.frames:
            largest = max(largest, config.model_family.tokens(width // 16 * 16, height // 16 * 16, frames))
    weights: costs.Weights = "fp8" if config.compute.base == "fp8" else "bf16"
    rank = max(config.expert(name).rank for name in config.stages)
    needed = costs.training_memory(config.model_family, largest, weights=weights, rank=rank).total / costs.GIB
    assert needed + 1 < gib
    doubled = costs.training_memory(config.model_family, 9 * largest, weights=weights, rank=rank).total / costs.GIB
    assert doubled > gib  # the check can fail


def test_the_three_views_recipe_is_the_published_one() -> None:
    from wantrain.config import load_config

    config = load_config(PIPELINES / "train-style-24gb-three-views.toml", [], {})
    own = config.single
    assert (own.steps, own.rank, own.lora_alpha, own.lr, own.optimizer) == (28000, 32, 32, 5e-5, "AdamW8bit")
    assert (config.sampling.method, config.sampling.shift, own.batch_size) == ("shift", 3, 1)
    assert config.family == resolve(file=PIPELINES / "style-24gb-three-views.toml", environment={}).family
