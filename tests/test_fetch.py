"""`wanprep fetch` and `wanprep models`: into the cache and folders that everybody reads, and never a call unasked."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import hubserver
import pytest
import singlefiles
from click.testing import CliRunner

from wanprep import fetch
from wanprep.cli import cli
from wanprep.download import Broken, Patience
from wanprep.families import FAMILIES
from wanprep.fetch_progress import Silent
from wanprep.models.find import find_weights
from wanprep.models.tiny import tiny_folder
from wanprep.stage import Missing, UsageError

A14B = FAMILIES["wan2.2-t2v-a14b"]
REPOSITORY = "Wan-AI/Wan2.2-T2V-A14B-Diffusers"
QUICK = Patience(timeout=5, tries=2, pause=0.01)
FILES = ("fp16", "fp8_scaled")


def comfy_files() -> dict[str, bytes]:
    experts = [f"wan2.2_{task}_{n}_noise_14B_{t}" for task in ("t2v", "i2v") for n in ("high", "low") for t in FILES]
    names = [f"diffusion_models/{name}" for name in experts]
    names += ["diffusion_models/wan2.2_fun_vace_high_noise_14B_fp8_scaled", "vae/wan2.2_vae", "vae/wan_2.1_vae"]
    return {f"split_files/{name}.safetensors": name.encode() for name in names} | {"README.md": b"#"}


def older_files() -> dict[str, bytes]:
    names = ["text_encoders/umt5_xxl_fp16", "text_encoders/umt5_xxl_fp8_e4m3fn_scaled", "clip_vision/clip_vision_h"]
    names += [f"diffusion_models/wan2.1_i2v_{p}_14B_fp16" for p in ("720p", "480p")] + ["vae/wan_2.1_vae"]
    return {f"split_files/{name}.safetensors": name.encode() for name in names}


@pytest.fixture(scope="module")
def pipeline() -> dict[str, bytes]:
    """The tiny pipeline as a repository: its VAE has the sizes that are checked of the real one."""
    whole = tiny_folder()
    found = {str(path.relative_to(whole)): path.read_bytes() for path in whole.rglob("*") if path.is_file()}
    return found | {"README.md": b"#", "assets/logo.png": b"x", "vae/old.bin": b"x"}


@pytest.fixture
def hub(pipeline: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    repositories = {
        REPOSITORY: dict(pipeline),
        fetch.REPACKAGED["2.2"]: comfy_files(),
        fetch.REPACKAGED["2.1"]: older_files(),
    }
    with hubserver.serving(repositories) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        yield server


def fetched(parts: tuple[str, ...], **more) -> fetch.Plan:
    plan = fetch.plan(A14B, parts, patience=QUICK, **more)
    fetch.run(plan, Silent(), patience=QUICK)
    return plan


def test_into_the_cache_that_everybody_reads(hub, pipeline, tmp_path: Path) -> None:
    assert find_weights(A14B, "vae") is None
    plan = fetched(("vae",))
    root = tmp_path / "cache" / "models--Wan-AI--Wan2.2-T2V-A14B-Diffusers"
    snapshot = root / "snapshots" / hubserver.COMMIT
    assert find_weights(A14B, "vae") == snapshot
    assert {w.path for w in plan.files} == {
        "model_index.json", "scheduler/scheduler_config.json", "vae/config.json", singlefiles.WEIGHTS["vae"],
    }  # fmt: skip
    for wanted in plan.files:
        assert (snapshot / wanted.path).read_bytes() == pipeline[wanted.path]
        assert (snapshot / wanted.path).is_symlink()
    assert (root / "refs" / "main").read_text() == hubserver.COMMIT
    assert not list(root.rglob("*part*"))
    # the hub's own library: it reads our server as it reads the hub, and takes the files without a download
    code = (
        "import sys, huggingface_hub as h; api = h.HfApi(endpoint=sys.argv[1]); "
        "info = api.model_info(sys.argv[2], files_metadata=True); "
        "print(info.sha, {s.rfilename: (s.size, s.lfs and s.lfs.sha256) for s in info.siblings}[sys.argv[3]][0]); "
        "print(h.hf_hub_download(sys.argv[2], sys.argv[3], local_files_only=True))"
    )
    name = singlefiles.WEIGHTS["vae"]
    done = subprocess.run(
        [sys.executable, "-c", code, hub.url, REPOSITORY, name], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines() == [f"{hubserver.COMMIT} {len(pipeline[name])}", str(snapshot / name)]


def test_twice_costs_one_question(hub) -> None:
    fetched(("vae",))
    hub.asked.clear()
    plan = fetched(("vae",))
    assert plan.left == 0
    assert len(hub.asked) == 1


def test_verify_finds_what_sizes_do_not_show(hub, pipeline) -> None:
    plan = fetched(("vae",))
    weights = next(w for w in plan.files if w.path == singlefiles.WEIGHTS["vae"])
    data = bytearray(weights.final.read_bytes())
    data[-9] ^= 1
    weights.final.write_bytes(data)
    fetched(("vae",))
    assert weights.final.read_bytes() == data  # the negative control: sizes are equal
    fetch.run(fetch.plan(A14B, ("vae",), patience=QUICK), Silent(), verify=True, patience=QUICK)
    assert weights.final.read_bytes() == pipeline[weights.path]


def test_into_a_folder(hub, tmp_path: Path) -> None:
    fetched(("vae", "text"), to=tmp_path / "models")
    folder = tmp_path / "models" / "Wan2.2-T2V-A14B-Diffusers"
    assert (folder / "tokenizer" / "tokenizer.json").is_file()
    assert find_weights(A14B, "vae", override=folder) == folder
    assert not (tmp_path / "cache").exists()
    assert not (folder / "transformer").exists()


def test_the_files_of_comfyui_are_chosen_by_name(hub, tmp_path: Path) -> None:
    def names(family: str, form: str) -> list[str]:
        own = FAMILIES[family]
        plan = fetch.plan(own, fetch.part_names(own, ()), form=form, to=tmp_path, patience=QUICK)
        return sorted(str(w.final.relative_to(tmp_path)) for w in plan.files)

    assert names("wan2.2-t2v-a14b", "fp8_scaled") == [
        "diffusion_models/wan2.2_t2v_high_noise_14B_fp8_scaled.safetensors",
        "diffusion_models/wan2.2_t2v_low_noise_14B_fp8_scaled.safetensors",
        "text_encoders/umt5_xxl_fp8_e4m3fn_scaled.safetensors",
        "vae/wan_2.1_vae.safetensors",
    ]
    assert names("wan2.1-i2v-14b", "fp16") == [
        "clip_vision/clip_vision_h.safetensors",
        "diffusion_models/wan2.1_i2v_480p_14B_fp16.safetensors",
        "text_encoders/umt5_xxl_fp16.safetensors",
        "vae/wan_2.1_vae.safetensors",
    ]
    with pytest.raises(Missing, match=r"no bf16 file for text .*there is umt5_xxl_fp16"):
        names("wan2.2-t2v-a14b", "bf16")


def test_words_for_parts() -> None:
    assert fetch.part_names(A14B, ("high", "vae")) == ("transformer", "vae")
    assert fetch.part_names(A14B, ("transformer",)) == ("transformer", "transformer_2")
    assert fetch.part_names(FAMILIES["wan2.1-i2v-14b"], ()) == ("vae", "text", "clip", "transformer")
    for family, word in (("wan2.1-t2v-14b", "low"), ("wan2.1-t2v-14b", "high"), ("wan2.2-t2v-a14b", "clip")):
        with pytest.raises(UsageError, match=f"has no part '{word}'"):
            fetch.part_names(FAMILIES[family], (word,))


def test_a_full_disk_is_noticed_first(hub, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = fetch.plan(A14B, ("vae",), patience=QUICK)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(Missing, match=r"GB are to come and .* has 0\.0 GB free"):
        fetch.run(plan, Silent(), patience=QUICK)
    assert len(hub.asked) == 1


def test_a_listing_cannot_write_outside(hub) -> None:
    hub.repositories[REPOSITORY]["vae/../../../evil.json"] = b"{}"
    with pytest.raises(Broken, match="outside its folder"):
        fetch.plan(A14B, ("vae",), patience=QUICK)


def test_a_listing_without_weights_or_sense_is_refused(hub) -> None:
    del hub.repositories[REPOSITORY][singlefiles.WEIGHTS["vae"]]
    with pytest.raises(Missing, match="lists no weights in vae/"):
        fetch.plan(A14B, ("vae",), patience=QUICK)
    hub.repositories[REPOSITORY] = {}
    hub.description = lambda repository, blobs: b'{"siblings": [{}]}'
    with pytest.raises(Broken, match="not understood"):
        fetch.plan(A14B, ("vae",), patience=QUICK)


def run(*words: str):
    return CliRunner().invoke(cli, words, catch_exceptions=True)


def test_the_command(hub, tmp_path: Path) -> None:
    done = run("fetch", A14B.name, "--part", "vae", "--dry-run", "--json")
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert told["missing"] == told["bytes"] > 0
    assert not (tmp_path / "cache").exists()
    done = run("fetch", A14B.name, "--part", "vae", "--part", "text")
    assert done.exit_code == 0, done.output
    assert "digest as listed" in done.stderr
    assert "?" not in done.stdout
    listed = json.loads(run("models", A14B.name, "--json").stdout)[0]
    found = {part["part"]: part["path"] for part in listed["parts"]}
    assert found["vae"].endswith("/vae")
    assert found["transformer"] is None
    assert not listed["complete"]
    hub.faults[singlefiles.WEIGHTS["transformer"]] = [hubserver.status(404)]
    assert isinstance(run("fetch", A14B.name, "--part", "high").exception, Missing)
    assert isinstance(run("fetch", "wan2.2-t2v", "--part", "vae").exception, UsageError)
    assert "built on this machine" in str(run("fetch", "tiny").exception)


def test_offline_is_respected(hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(Missing, match="HF_HUB_OFFLINE"):
        fetch.plan(A14B, ("vae",))
    assert hub.asked == []


def test_killed_and_called_again(hub, tmp_path: Path) -> None:
    name = singlefiles.WEIGHTS["vae"]
    size = len(hub.repositories[REPOSITORY][name])
    words = [sys.executable, "-m", "wanprep.cli", "fetch", A14B.name, "--part", "vae", "--to", str(tmp_path / "to")]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    half = size // 2

    def then_silence(handler, data, start) -> None:
        hubserver.head(handler, data, start)
        handler.wfile.write(data[:half])
        handler.wfile.flush()
        time.sleep(5)

    hub.faults[name] = [then_silence]
    child = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    part = tmp_path / "to" / "Wan2.2-T2V-A14B-Diffusers" / f"{name}.wanprep-part"
    end = time.monotonic() + 120
    while not (part.is_file() and part.stat().st_size) and time.monotonic() < end:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    there = part.stat().st_size
    assert 0 < there <= half
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert hub.starts(name) == [0, there]
    assert not part.exists()


def test_listing_opens_no_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a connection was opened"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    monkeypatch.setenv("WANPREP_MODELS", str(tmp_path))
    bad = tmp_path / "wan2.2_vae.safetensors"
    bad.write_bytes((400).to_bytes(8, "little") + b"{" * 32)
    singlefiles.full_size("wan2.1-t2v-14b", "vae", tmp_path / "wan_2.1_vae.safetensors")
    done = run("models")
    assert done.exit_code == 0, done.output
    assert all(name in done.stdout for name in FAMILIES)
    assert "wanprep fetch wan2.2-t2v-a14b --part high" in done.stdout
    assert "wanprep fetch wan2.1-t2v-14b --part transformer" in done.stdout
    told = {entry["family"]: entry for entry in json.loads(run("models", "--json").stdout)}
    assert told["tiny"]["complete"]
    vae = told["wan2.1-t2v-14b"]["parts"][0]
    assert (vae["form"], vae["dtype"], vae["bytes"]) == (
        "file",
        "fp16",
        (tmp_path / "wan_2.1_vae.safetensors").stat().st_size,
    )
    five = told["wan2.2-ti2v-5b"]["parts"][0]
    assert five["path"] is None
    assert any("wan2.2_vae.safetensors is cut off" in reason for reason in five["refused"])
    assert "wanprep fetch wan2.2-ti2v-5b --part vae" in five["get"]
