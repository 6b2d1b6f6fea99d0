"""Sidecar, template and registry."""

import os
from pathlib import Path

import pytest

from wanprep.captioners import registry
from wanprep.captioners.base import CaptionRequest
from wanprep.captioners.beside import texts_of
from wanprep.captioners.sidecar import Sidecar, find_sidecar
from wanprep.captioners.template import Template, parse_template
from wanprep.stage import Reject, UsageError


def request(path, **changes):
    values = {"clip_id": "c1", "source_path": path, "source_rel": "ponyo/reel_3-b.mp4", "group": "ponyo"}
    return CaptionRequest(**{**values, "start_s": 1.0, "end_s": 3.5, **changes})


@pytest.fixture
def movie(tmp_path):
    path = tmp_path / "movie.mp4"
    path.write_bytes(b"not read")
    return path


def test_sidecar_precedence(movie):
    folder = movie.parent
    assert find_sidecar(movie) is None
    (folder / "_default.txt").write_text("of the folder")
    assert find_sidecar(movie).name == "_default.txt"
    (folder / "movie.txt").write_text("of the stem")
    assert find_sidecar(movie).name == "movie.txt"
    (folder / "movie.mp4.txt").write_text("of the name")
    assert find_sidecar(movie).name == "movie.mp4.txt"
    assert find_sidecar(movie.with_suffix(".mov")).name == "movie.txt"
    (folder / "below").mkdir()
    assert find_sidecar(folder / "below" / "other.mp4") is None  # a default is for its own folder only


def test_the_extension_may_be_in_capitals(movie):
    movie.with_suffix(".TXT").write_text("shouted")
    movie.with_suffix(".2.Txt").write_text("another")
    assert find_sidecar(movie).name == "movie.TXT"
    assert Sidecar().caption(request(movie)).more == ("another",)
    movie.with_suffix(".txt").write_text("said")
    assert find_sidecar(movie).name == "movie.txt"
    assert find_sidecar(movie.with_name("Movie.mp4")) is None  # another film


def test_sidecar_reads_utf8_with_and_without_mark_and_utf16_with_one(movie):
    sidecar = movie.with_suffix(".txt")
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):  # of these the last says by its mark what it is
        sidecar.write_bytes("ein Mädchen läuft\n".encode(encoding))
        assert Sidecar().caption(request(movie)).text == "ein Mädchen läuft"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "no_sidecar"),
        (b" \n", "caption_empty"),
        ("Mädchen".encode("latin-1"), "caption_not_utf8"),
        ("girl".encode("utf-16")[:-1], "caption_not_utf8"),  # cut off
        ("girl".encode("utf-16-le"), "caption_not_utf8"),  # valid UTF-8, full of NULs
        (b"x" * 70_000, "caption_too_long"),
    ],
)
def test_sidecar_rejects(movie, data, reason):
    if data is not None:
        movie.with_suffix(".txt").write_bytes(data)
    with pytest.raises(Reject) as caught:
        Sidecar().caption(request(movie))
    assert caught.value.reason == reason
    assert caught.value.detail


def test_what_is_no_file_beside_a_film_is_passed_over_and_opened_by_nobody(movie):
    movie.with_suffix(".mp4.txt").mkdir()
    os.mkfifo(movie.with_suffix(".txt"))  # opening it would wait for ever
    os.mkfifo(movie.with_suffix(".2.txt"))
    assert find_sidecar(movie) is None
    sources = [{"root": "r", "path": movie.name, "state": "ok"}]
    texts = texts_of(sources, {"r": str(movie.parent)})
    assert texts.used == {}
    assert [Path(name).name for name in texts.unread] == ["movie.2.txt", "movie.mp4.txt", "movie.txt"]
    (movie.parent / "_default.txt").write_text("of the folder")
    assert Sidecar().caption(request(movie)).text == "of the folder"


def test_sidecar_inputs_follow_the_bytes(movie):
    sidecar = movie.with_suffix(".txt")
    seen = [Sidecar().inputs(request(movie))["digest"]]
    for text in ("a", "b"):
        sidecar.write_text(text)
        seen.append(Sidecar().inputs(request(movie))["digest"])
    assert seen[0] is None
    assert len(set(seen)) == 3


def test_template_fills_and_closes_gaps(movie):
    template = Template(template="{trigger}, a {class}, {camera}, {source} of {group}, {seconds:.1f} s")
    fields = {"class": "girl", "camera": "pan left"}
    caption = template.caption(request(movie, fields=fields))
    assert caption.text == "[trigger], a girl, pan left, reel 3 b of ponyo, 2.5 s"
    assert caption.flags == ("provisional",)
    assert template.caption(request(movie)).text == "[trigger], a, reel 3 b of ponyo, 2.5 s"
    assert Template().caption(request(movie)).text == "a video clip"
    as_the_stage_says = {"kind": "video clip", "seconds": "2.5"}  # seconds are words there, for prompts
    assert template.caption(request(movie, fields=fields | as_the_stage_says)).text == caption.text


def test_a_still_is_a_picture_and_takes_no_time(movie):
    still = request(movie, fields={"kind": "picture", "class": "cup"})
    assert Template().caption(still).text == "a picture, cup"
    assert Template(template="{kind} of a {class}, {seconds}").caption(still).text == "picture of a cup"


def test_template_inputs_are_the_fields_it_uses(movie):
    template = Template(template="{class} in {group}")
    base = template.inputs(request(movie))
    assert template.inputs(request(movie, end_s=9.0, fields={"camera": "pan"})) == base
    assert template.inputs(request(movie, fields={"class": "girl"})) != base


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("a {clas}", 'did you mean "{class}"'),
        ("a {}", 'no field "{}"'),
        ("a {group.upper}", "no field"),
        ("a {group[0]}", "no field"),
        ("a {group!r}", "no field"),
        ("a {group", "braces"),
        ("a {group:.1f}", "format code"),
    ],
)
def test_template_errors_at_configuration(template, message):
    with pytest.raises(UsageError, match="caption template") as caught:
        parse_template(template)
    assert message in str(caught.value)


def test_registry_makes_what_needs_no_weights():
    for name in ("sidecar", "template"):
        captioner = registry.make(name)
        assert captioner.name == name
        assert captioner.identity()["captioner"] == name
        assert not captioner.draws


def test_registry_names():
    with pytest.raises(UsageError, match="did you mean 'sidecar'"):
        registry.make("side-car")
    with pytest.raises(UsageError, match=r"did you mean 'qwen2\.5-vl'"):
        registry.make("qwen25-vl")
    with pytest.raises(UsageError, match="a rule"):
        registry.make("auto")


def test_request_refuses_what_makes_no_sense(movie):
    with pytest.raises(ValueError, match="before its start"):
        request(movie, end_s=0.5)
    with pytest.raises(ValueError, match="field camera must be text or a number"):
        request(movie, fields={"camera": ["pan left", None, "info"]})  # would end up in captions otherwise
