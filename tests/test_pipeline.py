"""The pipeline file of the repository, the defaults in code, and the layers between."""

import subprocess
import sys
from pathlib import Path

import pytest

from wanprep.captioners.registry import check_name
from wanprep.dataset import Dataset
from wanprep.families import family
from wanprep.layers import Assignment
from wanprep.pipeline import Pipeline, as_toml, resolve
from wanprep.stage import UsageError
from wanprep.toml_text import read_toml

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
    with pytest.raises(UsageError, match=r"did you mean 'split\.min_seconds'"):
        resolve(environment={}, assignments=["split.min_second=2"])
    with pytest.raises(UsageError, match="did you mean 'tiny'"):
        resolve(environment={}, assignments=["family=tyni"])


def refused(
    tmp_path: Path, *assignments: str, stored: str = "", environment: dict[str, str] | None = None, family: str = "tiny"
) -> str:
    (tmp_path / "wanprep.toml").write_text(f"family = '{family}'\n{stored}")
    options: dict = {"stored": read_toml(tmp_path / "wanprep.toml"), "stored_in": tmp_path / "wanprep.toml"}
    with pytest.raises(UsageError) as told:
        resolve(**options, environment=environment or {}, assignments=assignments)
    return str(told.value)


def test_a_wrong_value_is_told_with_the_place_it_came_from(tmp_path: Path) -> None:
    """Stored, a variable, --set: each at fault in turn, with the others good."""
    good = {"WANPREP_SPLIT__MARGIN": "4"}
    said = refused(tmp_path, "split.margin=3", stored="[split]\nmin_second = 2.0\n", environment=good)
    assert f"it comes from {tmp_path / 'wanprep.toml'}" in said
    said = refused(tmp_path, "split.margin=3", "filter.shake.threshold=x", "family=tiny", environment=good)
    assert said.endswith("it comes from --set filter.shake.threshold=x")
    said = refused(tmp_path, "split.margin=3", environment={**good, "WANPREP_FILTER__SHAEK": "1"})
    assert "did you mean 'filter.shake'" in said
    assert said.endswith("it comes from the variable WANPREP_FILTER__SHAEK")
    said = refused(tmp_path, "shake=0.1")
    assert "did you mean 'filter.shake'" in said
    assert said.endswith("it comes from --set shake=0.1")
    assert refused(tmp_path, "filter.shake") == "--set 'filter.shake': expected section.key=value"


def test_what_a_section_refuses_is_told_with_the_layer_that_brought_it_in(tmp_path: Path) -> None:
    """`__post_init__` names no key; two layers set keys of the section."""
    said = refused(tmp_path, "split.min_seconds=-3", stored="[split]\nmargin = 4\n")
    assert said.endswith("it comes from --set split.min_seconds=-3")
    said = refused(tmp_path, "split.margin=4", stored="[split]\nmin_seconds = -3\n")
    assert "wanprep.toml" in said
    long = "[[views]]\nname = 'a'\nresolution = 64\nframes = [101]\n"  # good for the 5B, too long for 2.1
    said = refused(tmp_path, "family=wan2.1-t2v-14b", stored=long, family="wan2.2-ti2v-5b")
    assert said.endswith("it comes from --set family=wan2.1-t2v-14b")


def test_an_option_is_told_as_it_was_given(tmp_path: Path) -> None:
    assert refused(tmp_path, Assignment('caption.goal="x"', "--goal x")).endswith("it comes from --goal x")


def test_a_mistyped_variable_stops_every_command(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, near in (
        ("WANPREP_FAMILLY", "WANPREP_FAMILY"),
        ("WANPREP_FILTR__SHAKE__THRESHOLD", "WANPREP_FILTER__SHAKE__THRESHOLD"),
    ):
        with pytest.raises(UsageError, match=f"did you mean '{near}'"):
            resolve(environment={name: "3"})
    key = {"WANPREP_MY_KEY": "secret"}
    with pytest.raises(UsageError) as told:
        resolve(environment=key)
    assert "secret" not in str(told.value)
    resolve(environment=key, assignments=["caption.endpoint.api_key_env=WANPREP_MY_KEY"])


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("wan-2.2-t2v", "wan2.2-t2v-a14b"),
        ("wan2.2", "wan2.2-t2v-a14b"),
        ("WAN2.2-T2V-A14B", "wan2.2-t2v-a14b"),
        ("i2v-a14b", "wan2.2-i2v-a14b"),
        ("wan2.1-t2v-1.3", "wan2.1-t2v-1.3b"),
        ("wan2.2-5b", "wan2.2-ti2v-5b"),
        ("tyni", "tiny"),
    ],
)
def test_the_family_that_is_meant_is_named_first(name: str, first: str) -> None:
    with pytest.raises(UsageError, match=f"did you mean '{first}'"):
        family(name)


def test_all_captioners_of_a_kind_are_named() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'qwen2-vl', 'qwen2.5-vl' or 'qwen3-vl'\?"):
        check_name("qwen")


PRESETS = [(goal, gib) for goal in ("character", "style", "motion", "domain") for gib in (24, 48, 80)]
PRESETS += [(goal, 12) for goal in ("character", "style", "motion")]


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
    weights: costs.Weights = "bf16" if config.compute.base == "full" else config.compute.base
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


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("wanprep.pipeline", ["torch", "polars", "cv2", "av"]),
        ("wanprep.dataset", ["torch", "cv2", "av", "wanprep.decide", "wanprep.stages.overlays"]),
    ],
)
def test_settings_and_an_opened_dataset_load_nothing_heavy(module: str, heavy: list[str]) -> None:
    code = f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
