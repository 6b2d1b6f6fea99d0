"""One file, one entry: folders in folders, links and single files do not make second sources; losses are told apart."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from footage import numbered
from movies import SETTINGS
from PIL import Image

from wanprep import outcome, show_source
from wanprep.dataset import Dataset
from wanprep.known import take_sources
from wanprep.run import Summary, run
from wanprep.runner import Options


def picture(path: Path, number: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(numbered(number, 160, 120)).save(path)
    return path


def entries(dataset: Dataset) -> dict[str, str]:
    """Folder/path -> state (of what is gone or rejected: the reason)."""
    rows = dataset.manifest.read("sources").to_dicts()
    return {f"{Path(dataset.roots[r['root']]).name}/{r['path']}": r["reason"] or r["state"] for r in rows}


@pytest.fixture
def movies(tmp_path: Path) -> Path:
    for number, name in enumerate(("film/0.png", "street/bikes/0.png", "street/bikes/1.png", "street/2.png")):
        picture(tmp_path / "mv" / name, number)
    return tmp_path / "mv"


def take(root: Path, source: Path) -> tuple[dict[str, str], Summary]:
    summary = run(Dataset.create(root, assignments=SETTINGS), ("split",), Options(workers=1), source=source)
    return entries(Dataset.open(root)), summary


FOUR = dict.fromkeys(("mv/film/0.png", "mv/street/2.png", "mv/street/bikes/0.png", "mv/street/bikes/1.png"), "ok")


@pytest.mark.parametrize("name", ["street", "street/bikes", "film/0.png", "street/../street"])
def test_a_part_of_a_known_folder_brings_nothing_new(tmp_path: Path, movies: Path, name: str) -> None:
    assert take(tmp_path / "set", movies)[0] == FOUR
    stored = (tmp_path / "set" / "wanprep.toml").read_text()
    found, summary = take(tmp_path / "set", movies / name)
    assert found == FOUR
    assert (tmp_path / "set" / "wanprep.toml").read_text() == stored  # not even a folder
    assert [note for note in summary.notes if "counted once" in note]
    found, summary = take(tmp_path / "set", movies)
    assert found == FOUR
    assert not [note for note in summary.notes if "counted once" in note]


def test_the_folder_around_a_known_one_leaves_its_entries(tmp_path: Path, movies: Path) -> None:
    first = {"street/2.png": "ok", "street/bikes/0.png": "ok", "street/bikes/1.png": "ok"}
    assert take(tmp_path / "set", movies / "street")[0] == first
    found, summary = take(tmp_path / "set", movies)
    assert found == {**first, "mv/film/0.png": "ok"}
    assert "mv/street/2.png (is street/2.png)" in summary.notes[0]
    (movies / "street/2.png").unlink()
    assert take(tmp_path / "set", movies)[0]["street/2.png"] == "file_missing"  # one loss, not two
    assert len(entries(Dataset.open(tmp_path / "set"))) == 4


def test_a_known_file_that_changed_is_read_again_whatever_it_is_called(tmp_path: Path, movies: Path) -> None:
    take(tmp_path / "set", movies)
    ids = {row["path"]: row["source_id"] for row in Dataset.open(tmp_path / "set").manifest.read("sources").to_dicts()}
    picture(movies / "street/2.png", 9)
    assert take(tmp_path / "set", movies / "street")[0] == FOUR
    rows = Dataset.open(tmp_path / "set").manifest.read("sources").to_dicts()
    assert [row["path"] for row in rows if row["source_id"] != ids[row["path"]]] == ["street/2.png"]


def test_links_to_what_is_known_are_told_and_no_sources(tmp_path: Path, movies: Path) -> None:
    (movies / "linked film").symlink_to(movies / "film")
    (movies / "one.png").symlink_to(movies / "street/2.png")
    shutil.copy(movies / "film/0.png", movies / "copy.png")  # another file with these bytes is a copy as ever
    (movies / "lost.png").symlink_to(movies / "nothing.png")
    more = {"mv/film/0.png": "duplicate_source", "mv/copy.png": "ok", "mv/lost.png": "broken_link"}
    found, summary = take(tmp_path / "set", movies)
    assert found == {**FOUR, **more}
    assert summary.notes[:2] == [
        "counted once, because it is another name of a file that is known: mv/one.png (is mv/street/2.png)",
        "counted once, because it is another name of a folder: linked film/ (is film/)",
    ]
    for name in ("one.png", "linked film/0.png"):  # whatever it is called
        (row,) = show_source.named(Dataset.open(tmp_path / "set"), str(movies / name))
        assert row["path"] == {"one.png": "street/2.png"}.get(name, "film/0.png")
    assert show_source.named(Dataset.open(tmp_path / "set"), str(movies / "nowhere.png")) == []
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "all of it").symlink_to(movies)
    assert take(tmp_path / "set", tmp_path / "other")[0] == found


def test_second_entries_of_earlier_versions_become_one(tmp_path: Path, movies: Path) -> None:
    dataset = Dataset.create(tmp_path / "set", assignments=SETTINGS)
    rows = []
    for folder in (movies, movies / "street"):  # as if they were of two datasets
        alone = Dataset.create(tmp_path / f"set of {folder.name}", assignments=SETTINGS)
        rows += take_sources(alone, folder).rows
        dataset.add_root(folder)
    dataset.manifest.replace("sources", rows)
    dataset.save()
    assert len(rows) == 7
    assert take(tmp_path / "set", movies)[0] == FOUR


def test_what_is_gone_is_lost_or_moved_and_the_newest_is_told_first(tmp_path: Path, movies: Path) -> None:
    out = tmp_path / "set"

    def told(source: Path = movies) -> list[str]:
        summary = take(out, source)[1]
        lines = outcome.lines(Dataset.open(out), summary)
        return [line for line in lines if line.startswith(("sources", "gone", "moved"))]

    take(out, movies)
    (movies / "street").rename(movies / "road")
    found = told()
    assert found[0] == "sources  3 moved, 4 ok"
    assert found[1].startswith("moved: street/2.png (now road/2.png), street/bikes/0.png (now")
    assert told() == ["sources  3 moved, 4 ok"]  # once is enough
    (movies / "film/0.png").unlink()
    assert told()[1:] == ["gone: film/0.png"]
    (movies / "road/2.png").unlink()  # of which a name is gone for longer
    assert told()[1:] == ["gone: road/2.png", "gone in earlier runs: film/0.png"]
    assert entries(Dataset.open(out))["mv/street/bikes/0.png"] == "moved"
    picture(movies / "film/0.png", 0)
    assert told()[0] == "sources  1 gone, 3 moved, 3 ok"
    (movies / "film/0.png").unlink()
    assert told()[1] == "gone: film/0.png"  # again is news
