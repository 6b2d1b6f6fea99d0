"""What is said of texts beside sources: none that somebody wrote goes unused without a word."""

from collections import Counter
from pathlib import Path

import pytest

from wanprep.captioners.beside import Texts, left_alone, lines, texts_of, trigger_lines
from wanprep.captioners.files import Chosen
from wanprep.captioners.settings import CaptionConfig


def source(name: str, state: str = "ok", source_id: str = "", duplicate_of: str | None = None) -> dict:
    return {
        "root": "r", "path": name, "state": state, "source_id": source_id or name, "duplicate_of": duplicate_of,
    }  # fmt: skip


def clip(source_id: str, state: str = "keep") -> dict:
    return {"clip_id": f"c-{source_id}", "source_id": source_id, "path": source_id, "state": state}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a.mp4", "b.mp4", "copy.mp4", "same.mp4", "lost.mp4"):
        (tmp_path / name).touch()
    words = {"a.txt": "one", "a.2.TXT": "two", "b.txt": "of b", "copy.txt": "other words", "same.txt": "one\n"}
    for name, text in {**words, "B.TXT": "shouted", "lost.caption": "x", "b.3.caption": "x", "notes.txt": "x"}.items():
        (tmp_path / name).write_text(text)
    return tmp_path


SOURCES = [
    source("a.mp4", source_id="A"), source("b.mp4", source_id="B"), source("lost.mp4", source_id="L"),
    source("copy.mp4", "rejected", "A", "a.mp4"), source("same.mp4", "rejected", "A", "a.mp4"),
    source("gone.mp4", "gone"),
]  # fmt: skip


def test_every_text_is_used_or_named(folder: Path) -> None:
    roots = {"r": str(folder)}
    texts = texts_of(SOURCES, roots)
    assert [Path(name).name for name in texts.used] == ["a.txt", "a.2.TXT", "b.txt", "copy.txt", "same.txt"]
    assert left_alone(Counter({".txt": 7, ".caption": 2}), texts, str(folder)) == {".txt": 2, ".caption": 2}
    assert left_alone(Counter({".txt": 7}), texts, str(folder / "another")) == {".txt": 7}
    said = lines(texts, [clip("A"), clip("B", "rejected")], roots, "auto")
    assert said == [
        "5 captions beside their films",
        "1 of them not used, because no clip of their film is kept: b.txt",
        "1 of them not used, because their film is a copy of one with another: copy.txt",
        "not read, though they look like captions: B.TXT, b.3.caption, lost.caption; a caption is a file with its "
        "film's name: FILM.txt, then FILM.2.txt",
    ]
    assert lines(texts, [], roots, "template")[0].startswith("5 captions beside their films not read")
    assert lines(Texts(used={}, unread=[]), [], roots, "auto") == []


def test_a_film_that_is_not_judged_yet_is_not_told_of(folder: Path) -> None:
    texts = texts_of([source("a.mp4", "failed"), source("b.mp4", source_id="B")], {"r": str(folder)})
    assert not any("not used" in line for line in lines(texts, [clip("B", "pending")], {}, "auto"))


def test_what_the_trigger_stands_before(folder: Path) -> None:
    roots, texts = {"r": str(folder)}, texts_of(SOURCES, {"r": str(folder)})

    def said(trigger: str | None, **raws: str) -> list[str]:
        config = CaptionConfig(trigger=trigger)
        chosen = {f"c-{k}": Chosen(text=config.final(raw), raw=raw, origin="sidecar") for k, raw in raws.items()}
        earlier = [("frung, young woman,", " "), ("zorb", " ")]
        return trigger_lines(chosen, [clip("A"), clip("B")], texts, config, earlier, roots)

    (told,) = said("zorb", A="Frung, young woman, on a pier", B="a dog")
    assert told == (
        "captions that begin with an earlier trigger: 1, the first trained on as "
        '"zorb Frung, young woman, on a pier": a.txt'
    )
    (told,) = said("frung, young woman,", A="a cat", B="frung walks")
    assert '"frung", but not with the whole trigger' in told
    assert told.endswith('"frung, young woman, frung walks": b.txt')
    (told,) = said("frung", A="a cat", B="Frung's dog")
    assert told.endswith('behind it: 1, the first trained on as "frung Frung\'s dog": b.txt')
    assert said("frung, young woman,", A="frung, young woman, walks", B="frungy walks") == []
    assert said("a woman", A="a dog", B="a woman walks") == []  # an ordinary word is no trigger
    assert len(said(None, A="zorb on a pier")) == 1
