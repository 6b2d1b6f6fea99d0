"""`wanprep verify` and `wanprep gc` on a real dataset: damage is found and mended, nothing of the user's is touched."""

from __future__ import annotations

import shutil
from pathlib import Path

import polars as pl
import pytest
from movies import as_json, check_files, make_movies, options, tables, wanprep

from wanprep.lease import exclusive
from wanprep.manifest import Manifest
from wanprep.shards import place


@pytest.fixture(scope="module", params=["never", pytest.param("always", marks=pytest.mark.torture)])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished dataset, with loose caches and with shards."""
    base = tmp_path_factory.mktemp("care")
    make_movies(base / "movies")
    more = ("--set", f"cache.shards={request.param}")
    wanprep("run", str(base / "movies"), *options(base / "set"), *more, "--workers", "2")
    return base / "set"


@pytest.fixture
def dataset(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "set"))


def rows(dataset: Path, kind: str) -> list[dict]:
    found = Manifest(dataset / "manifest").latest("artefacts")
    return found.filter((pl.col("kind") == kind) & (pl.col("outcome") == "done")).to_dicts()


def flip(dataset: Path, path: str) -> None:
    where = place(path)
    data = bytearray((dataset / where.file).read_bytes())
    data[where.offset + (where.length or len(data)) - 3] ^= 1
    (dataset / where.file).write_bytes(data)


def everything(dataset: Path) -> dict[str, bytes]:
    return {p.relative_to(dataset).as_posix(): p.read_bytes() for p in sorted(dataset.rglob("*")) if p.is_file()}


def test_damage_is_named_marked_and_mended(dataset: Path) -> None:
    out = ("--out", str(dataset))
    whole = as_json(wanprep("verify", *out, "--json"))
    assert whole["faults"] == []  # type: ignore[index]
    before = tables(dataset)
    latent, text, media = (rows(dataset, kind)[0]["path"] for kind in ("latent", "text", "mp4"))
    for path in (latent, text):
        flip(dataset, path)
    (dataset / media).unlink()
    done = wanprep("verify", *out, "--json", check=1)
    faults = {fault["path"]: fault["reason"] for fault in as_json(done)["faults"]}  # type: ignore[index]
    assert faults == {latent: "damaged", text: "damaged", media: "missing"}
    assert "--repair" in wanprep("verify", *out, check=1).stdout
    assert "3 are pending again" in wanprep("verify", *out, "--repair").stdout  # `&& wanprep run` goes on
    flat = pl.read_parquet(dataset / "manifest.parquet")
    assert not {latent, media} & {*flat["latent_path"], *flat["media_path"]}
    for stage in ("bucket", "cache"):
        wanprep(stage, *out, "--workers", "2")
    wanprep("verify", *out)
    after = tables(dataset)
    loose = "#" not in latent
    assert (after["samples"] == before["samples"]) == loose  # a mended member lies in a shard of its own
    digests = [{row["sample_id"]: row["latent_digest"] for row in now["samples"]} for now in (before, after)]
    assert digests[0] == digests[1]


def test_what_repair_cannot_mark_is_still_a_fault(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from click.testing import CliRunner

    from wanprep import care
    from wanprep.cli import cli

    broken = care.Fault(reason="unreadable_table", path="manifest/clips")
    monkeypatch.setattr(care, "verify", lambda dataset, repair: care.Checked(files=1, bytes=1, faults=(broken,)))
    done = CliRunner().invoke(cli, ["verify", "--out", str(dataset), "--repair"])
    assert done.exit_code == 1
    assert "1 file, 1 B: 1 not as recorded" in done.output


def test_gc_names_and_removes_only_what_is_ours_and_unspoken_of(dataset: Path) -> None:
    out = ("--out", str(dataset))
    assert "nothing to remove" in wanprep("gc", *out).stdout
    orphan = dataset / "cache/latents/ab" / ("ab" + "0" * 30 + ".safetensors")
    left = dataset / "clips" / (".tmp-" + "1" * 32 + ".mp4")
    mine = dataset / "cache/latents/my notes.txt"
    link = dataset / "cache/latents/ab" / ("ab" + "2" * 30 + ".safetensors")
    for path in (orphan, left, mine):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"12345")
    link.symlink_to(mine)
    before = everything(dataset)
    said = wanprep("gc", *out).stdout
    assert "2 files, 10 B would go; nothing was removed" in said
    assert "1 other file lies there that is not ours" in said
    assert everything(dataset) == before
    with exclusive(dataset / "manifest" / ".run.lock"):
        wanprep("gc", *out, "--delete", check=4)
        wanprep("verify", *out, "--repair", check=4)
    assert everything(dataset).keys() == before.keys()
    assert "removed 2 files" in wanprep("gc", *out, "--delete").stdout
    assert before.keys() - everything(dataset).keys() == {p.relative_to(dataset).as_posix() for p in (orphan, left)}
    assert link.is_symlink()
    wanprep("verify", *out)


def test_gc_unused_takes_what_older_settings_wanted(dataset: Path) -> None:
    out = ("--out", str(dataset))
    wanprep("cache", *out, "--set", "cache.dtype=fp32", "--workers", "2")
    assert "nothing to remove" in wanprep("gc", *out).stdout  # a row speaks of the old ones
    found = as_json(wanprep("gc", *out, "--unused", "--json"))
    assert found["unused"]  # type: ignore[index]
    assert all(file["path"].startswith("cache/") for file in found["unused"])  # type: ignore[index]
    wanprep("gc", *out, "--unused", "--delete")
    wanprep("verify", *out)
    assert "nothing to remove" in wanprep("gc", *out, "--unused").stdout
    wanprep("cache", *out, "--workers", "2")
    if not any("#" in row["path"] for row in rows(dataset, "latent")):
        check_files(dataset)
