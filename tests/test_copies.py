"""Which of several copies is trained on, as a folder of movies grows: from files to the words that a run says."""

import json
import shutil
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from footage import make_video, numbered
from movies import SETTINGS

from wanprep import outcome
from wanprep.dataset import Dataset
from wanprep.run import Summary, run
from wanprep.runner import Options

ONE_SHOT = (*SETTINGS, "split.shots.detect=false", "caption.captioner=auto")
MASTER, SAME, SMALL, COARSE, MIRRORED, TINY = "z master", "n same", "b small", "c coarse", "a mirrored", "d tiny"


def mirrored(number: int, width: int, height: int) -> np.ndarray:
    return np.ascontiguousarray(numbered(number, width, height)[:, ::-1])


@pytest.fixture(scope="session")
def copies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same two seconds again and again; what is best of them comes last by name."""
    folder = tmp_path_factory.mktemp("copies")
    made: dict[str, Any] = {
        MASTER: {}, COARSE: {"options": {"crf": "30"}},
        SMALL: {"size": (96, 54)}, TINY: {"size": (48, 28)}, MIRRORED: {"picture": mirrored, "options": {"crf": "24"}},
    }  # fmt: skip
    for name, how in made.items():
        make_video(folder / f"{name}.mp4", frames=48, **{"size": (192, 108), **how})
    nothing = struct.pack(">I4sQ", 16, b"free", 0)  # other bytes, the same stream
    (folder / f"{SAME}.mp4").write_bytes((folder / f"{MASTER}.mp4").read_bytes() + nothing)
    return folder


class Set:
    """A folder of movies that grows, and its dataset."""

    def __init__(self, copies: Path, folder: Path) -> None:
        self.copies, self.movies, self.out = copies, folder / "movies", folder / "set"
        self.movies.mkdir(parents=True)

    def add(self, *names: str) -> Summary:
        """Copy these films in and run."""
        for name in names:
            shutil.copy(self.copies / f"{name}.mp4", self.movies)
        self.dataset = Dataset.create(self.out, assignments=() if self.out.exists() else ONE_SHOT)
        stages = ("split", "fps", "filter", "bucket", "caption")
        summary = run(self.dataset, stages, Options(workers=1), source=self.movies)
        self.told = "\n".join(outcome.lines(self.dataset, summary))
        return summary

    def rows(self) -> dict[str, dict]:
        return {row["path"].removesuffix(".mp4"): row for row in self.dataset.manifest.read("clips").to_dicts()}

    def kept(self) -> list[str]:
        return sorted(name for name, row in self.rows().items() if row["state"] == "keep")

    def type(self, name: str, words: str) -> None:
        (self.out / "captions" / f"{self.rows()[name]['clip_id']}.txt").write_text(words, encoding="utf-8")


@pytest.fixture
def films(copies: Path, tmp_path: Path) -> Set:
    return Set(copies, tmp_path)


def test_the_master_stays_whatever_it_is_called(films: Set) -> None:
    films.add(MASTER, COARSE, SMALL, TINY, MIRRORED)
    assert films.kept() == [MASTER]
    others = {name: row for name, row in films.rows().items() if name != MASTER}
    assert all(row["reasons"] == ["duplicate"] for row in others.values())
    why = {name: json.loads(row["scores"])["duplicate_why"][0] for name, row in others.items()}
    assert why[TINY].startswith("it fills 2 of the views, not 0 (192x108, not 48x28)")
    assert why[SMALL].startswith(("it fills 2", "its picture is larger"))
    assert why[COARSE].startswith("it is coded more finely: quantiser ")
    assert why[MIRRORED].startswith("it is coded more finely: quantiser ")


@pytest.mark.parametrize("order", [(MASTER, SMALL, TINY), (TINY, SMALL, MASTER), (SMALL, MASTER, TINY)])
def test_sizes_win_in_whichever_order_they_come(films: Set, order: Sequence[str]) -> None:
    for name in order:
        films.add(name)
    assert films.kept() == [MASTER]
    gave_way = "1 clip that was kept before gave way to a copy: "
    assert (gave_way in films.told) == (order[-1] == MASTER)


def test_a_copy_as_good_that_comes_later_changes_nothing_and_paths_break_ties(copies: Path, tmp_path: Path) -> None:
    later, at_once = Set(copies, tmp_path / "later"), Set(copies, tmp_path / "at once")
    later.add(MASTER)
    later.add(SAME, COARSE)
    assert later.kept() == [MASTER]
    assert "gave way" not in later.told
    at_once.add(MASTER, SAME, COARSE)
    assert at_once.kept() == [SAME]  # by its name


def test_a_film_that_was_renamed_is_no_newcomer(films: Set) -> None:
    films.add(MASTER)
    films.add(SAME)
    (films.movies / f"{MASTER}.mp4").rename(films.movies / "zz.mp4")
    films.add()
    assert films.kept() == ["zz"]


def test_words_by_hand_stay_and_those_that_are_not_used_are_named(films: Set) -> None:
    films.add(SMALL)
    films.type(SMALL, "a wash of colour, typed")
    films.add()
    films.add(MASTER)
    assert films.kept() == [SMALL]
    assert films.rows()[SMALL]["caption"] == "a wash of colour, typed"
    assert f"left out though the picture is better than that of the copy with a person's words: {MASTER}" in films.told
    films.type(MASTER, "the same, of the master")
    films.add()
    assert films.kept() == [MASTER]
    assert films.rows()[MASTER]["caption"] == "the same, of the master"
    name = f"captions/{films.rows()[SMALL]['clip_id']}.txt"
    assert f"1 caption by hand not used, because the clip shows the same as another: {name}" in films.told


def test_a_text_beside_a_film_counts_from_the_first_run_and_when_it_comes_later(films: Set) -> None:
    (films.movies / f"{SMALL}.txt").write_text("words of the small one", encoding="utf-8")
    films.add(MASTER, SMALL)
    assert films.kept() == [SMALL]
    (films.movies / f"{MASTER}.txt").write_text("words of the master", encoding="utf-8")
    films.add()
    assert films.kept() == [MASTER]
    (films.movies / f"{MASTER}.txt").unlink()
    films.dataset = Dataset.open(films.out)
    run(films.dataset, ("caption",), Options(workers=1))  # which lists no films, and asks for texts all the same
    assert films.kept() == [SMALL]


def test_deciding_again_or_anew_says_the_same(films: Set, copies: Path, tmp_path: Path) -> None:
    films.add(MASTER, COARSE, SMALL, MIRRORED)
    first = films.rows()
    films.add()
    assert films.rows() == first
    again = Set(copies, tmp_path / "again")
    again.add(MIRRORED, SMALL, COARSE, MASTER)
    scores = {name: row["scores"] for name, row in again.rows().items()}
    assert scores == {name: row["scores"] for name, row in first.items()}
