"""Which of several files with the same bytes stands for all of them, as folders of copies come and go."""

import os
import shutil
from pathlib import Path

import pytest
from footage import numbered
from movies import SETTINGS
from PIL import Image

from wanprep import originals, report
from wanprep.dataset import Dataset
from wanprep.run import run
from wanprep.runner import Options
from wanprep.scan import root_id


def pictures(folder: Path, count: int) -> Path:
    folder.mkdir()
    for number in range(count):
        Image.fromarray(numbered(number, 160, 120)).save(folder / f"{number}.png")
    return folder


def before_first_behind(root: Path) -> list[Path]:
    """Three folders in the order of the table, which is that of digests of their paths."""
    return sorted((root / name for name in ("a", "movies", "z")), key=root_id)


def take(root: Path, source: Path, *stages: str) -> dict[str, list[str]]:
    """A run of this folder; state -> folder/name of the sources that are in it."""
    dataset = Dataset.create(root, assignments=SETTINGS)
    run(dataset, stages or ("split",), Options(workers=1), source=source)
    found: dict[str, list[str]] = {}
    for row in dataset.manifest.read("sources").to_dicts():
        found.setdefault(row["state"], []).append(f"{Path(dataset.roots[row['root']]).name}/{row['path']}")
    return {state: sorted(names) for state, names in found.items()}


@pytest.mark.parametrize("count", [1, 3])
def test_folders_of_copies_never_stand_for_the_first(tmp_path: Path, count: int) -> None:
    before, first, behind = before_first_behind(tmp_path)
    own = [f"{first.name}/{number}.png" for number in range(count)]
    assert take(tmp_path / "set", pictures(first, count)) == {"ok": own}
    for copies in (before, behind):
        shutil.copytree(first, copies)
        assert take(tmp_path / "set", copies)["ok"] == own
    assert take(tmp_path / "set", first)["ok"] == own
    listed = report._stats(Dataset.open(tmp_path / "set"), 1).by_source
    assert sorted(line.path for line in listed if line.outcome == "ok") == own  # told from copies of the same name
    assert len({line.path for line in listed}) == 3 * count


def test_copies_below_the_same_folder_do_not_either(tmp_path: Path) -> None:
    first = pictures(tmp_path / "movies", 2)
    take(tmp_path / "set", first)
    shutil.copytree(first, tmp_path / "backup")
    shutil.move(tmp_path / "backup", first / "0 backup")  # by path the first of all
    found = take(tmp_path / "set", first)
    assert found["ok"] == ["movies/0.png", "movies/1.png"]
    assert found["rejected"] == ["movies/0 backup/0.png", "movies/0 backup/1.png"]


def test_a_touched_original_is_read_again_and_stays_one(tmp_path: Path) -> None:
    before, first, _ = before_first_behind(tmp_path)
    take(tmp_path / "set", pictures(first, 1))
    take(tmp_path / "set", shutil.copytree(first, before))
    os.utime(first / "0.png", (1, 1))
    assert take(tmp_path / "set", first)["ok"] == [f"{first.name}/0.png"]


def test_a_copy_stands_in_once_the_original_is_gone_or_has_changed(tmp_path: Path) -> None:
    _, first, behind = before_first_behind(tmp_path)
    take(tmp_path / "set", pictures(first, 2))
    take(tmp_path / "set", shutil.copytree(first, behind))
    (first / "0.png").rename(tmp_path / "away.png")
    Image.fromarray(numbered(9, 160, 120)).save(first / "1.png")
    assert take(tmp_path / "set", first) == {
        "gone": [f"{first.name}/0.png"],
        "ok": sorted([f"{behind.name}/0.png", f"{behind.name}/1.png", f"{first.name}/1.png"]),
    }
    (tmp_path / "away.png").rename(first / "0.png")
    assert take(tmp_path / "set", first)["rejected"] == [f"{first.name}/0.png"]  # as one that was found last


def test_what_rows_of_earlier_versions_stand_for() -> None:
    row = {"source_id": "aa", "state": "ok", "original_of": None}
    assert originals.carried(row) == "aa"
    assert originals.carried(row | {"state": "rejected"}) is None
    assert originals.carried(row | {"state": "pending"}) is None  # a scan that was killed half way chose for today only
    assert originals.carried(row | {"state": "gone", "original_of": "aa"}) is None
    assert originals.carried(row | {"state": "pending", "original_of": "bb"}) == "bb"
    assert originals.carried(None) is None


def test_a_claim_holds_until_other_bytes_are_read() -> None:
    row = {"root": "r", "path": "b", "file_key": "k", "state": "pending", "original_of": "aa"}
    copy = row | {"path": "a", "file_key": "l", "original_of": None}

    def claims(file: dict | None) -> list[tuple[str, str | None]]:
        found = originals.in_turn([copy, row], {"k": file} if file else {})
        return [(source["path"], claim) for source, claim in found]

    assert claims(None) == claims({"outcome": "failed", "source_id": None}) == [("b", "aa"), ("a", None)]
    assert claims({"outcome": "done", "source_id": "aa"}) == [("b", "aa"), ("a", None)]
    assert claims({"outcome": "done", "source_id": "bb"}) == [("a", None), ("b", None)]
    assert claims({"outcome": "rejected", "source_id": None}) == [("a", None), ("b", None)]
