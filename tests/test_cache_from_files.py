"""`wanprep run` with ComfyUI's files as weights: the same latents and embeddings as from the diffusers folder."""

import json
from pathlib import Path

import pytest
import singlefiles
from movies import SETTINGS, make_movies, options, wanprep
from safetensors.torch import load_file

from wanprep.models.tiny import tiny_folder
from wanprep.tensors import metadata_of


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_movies(tmp_path_factory.mktemp("in") / "movies") / "slow.mp4"


def cached(movie: Path, out: Path, *more: str) -> dict[str, Path]:
    """What was cached: all that a file says of itself but the weights it was made with -> the file."""
    wanprep("run", str(movie), *options(out, [*SETTINGS, *more]), "--workers", "2")
    found = {}
    for path in (out / "cache").rglob("*.safetensors"):
        said = metadata_of(path.read_bytes())
        of = {name: value for name, value in said.items() if name not in ("key", "vae", "encoder", "image")}
        found[json.dumps(of, sort_keys=True)] = path
    return found


def test_the_same_cache_from_files_and_from_the_folder(movie: Path, tmp_path: Path) -> None:
    comfy = singlefiles.comfy_folder(tiny_folder(), tmp_path / "ComfyUI" / "models")
    folder = cached(movie, tmp_path / "one")
    files = cached(movie, tmp_path / "two", f"cache.weights={comfy}")
    assert len(files) >= 2
    assert files.keys() == folder.keys()
    for what, path in files.items():
        mine, theirs = load_file(path), load_file(folder[what])
        assert mine.keys() == theirs.keys()
        assert all((mine[name] == theirs[name]).all() for name in mine), what
        # Other bytes on disk are other weights: nothing of one is taken for the other's.
        assert path.name != folder[what].name


def test_a_broken_file_stops_before_any_work(movie: Path, tmp_path: Path) -> None:
    comfy = singlefiles.comfy_folder(tiny_folder(), tmp_path / "models")
    vae = comfy / singlefiles.COMFY_NAMES["vae"]
    vae.write_bytes(vae.read_bytes()[:-1])
    done = wanprep("run", str(movie), *options(tmp_path / "set", [*SETTINGS, f"cache.weights={comfy}"]), check=3)
    assert "wan_2.1_vae.safetensors has" in done.stderr
    assert "bytes where its header promises" in done.stderr
    assert not list((tmp_path / "set").rglob("*.mp4"))
