"""The trigger comes first exactly once, and what is shown is what the pipeline embeds."""

import html
import re

import ftfy
import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from wanprep.captioners.text import clean, final_text
from wanprep.models.text import clean as embedded
from wanprep.patterns import plainly_clean

GHIBLI = ("Studio Ghibli style", ". ")
FRUNG = ("frung", ", young woman, ")
LEADS = [GHIBLI, FRUNG, ("Studio Ghibli style.", " "), ("frung", " "), ("ohwx_01", ": "), ("frung, young woman", ", ")]


@pytest.mark.parametrize(
    ("raw", "lead", "expected"),
    [
        ("A girl runs.", GHIBLI, "Studio Ghibli style. A girl runs."),
        ("Studio Ghibli style. A girl runs.", GHIBLI, "Studio Ghibli style. A girl runs."),
        ("studio ghibli STYLE: A girl runs.", GHIBLI, "Studio Ghibli style. A girl runs."),
        ("studio ghibli style - A girl", GHIBLI, "Studio Ghibli style. A girl"),
        ("Studio-Ghibli style, a girl", GHIBLI, "Studio Ghibli style. a girl"),
        ("Studio Ghibli style. Studio Ghibli style. A girl", GHIBLI, "Studio Ghibli style. A girl"),
        ("A girl in Studio Ghibli style.", GHIBLI, "Studio Ghibli style. A girl in Studio Ghibli style."),
        ("Studio Ghibli styled houses", GHIBLI, "Studio Ghibli style. Studio Ghibli styled houses"),
        ("Studio Ghibli style.", GHIBLI, "Studio Ghibli style"),
        ("", GHIBLI, "Studio Ghibli style"),
        ("frung, young woman, smiling", FRUNG, "frung, young woman, smiling"),
        ("Frung - young woman: smiling", FRUNG, "frung, young woman, smiling"),
        ("frung -- a girl", ("frung", " "), "frung a girl"),
        ("frung – a girl", ("frung", " "), "frung a girl"),
        ("frung，女孩", ("frung", " "), "frung 女孩"),
        ("ohwx:a girl", ("ohwx", ":"), "ohwx:a girl"),
        ("frung smiling", FRUNG, "frung, young woman, smiling"),
        ("frung", FRUNG, "frung, young woman"),
        ("frungy hair", FRUNG, "frung, young woman, frungy hair"),
        ("a photo of [trigger] smiling", FRUNG, "frung, young woman, a photo of frung smiling"),
        ("[Trigger], smiling", FRUNG, "frung, young woman, smiling"),
        ("(smiling) girl", ("frung", " "), "frung (smiling) girl"),
        ("  A&amp;amp;B \n\t“hi”\u200b", ("frung", " "), 'frung A&B "hi"\u200b'),
    ],
)
def test_examples(raw, lead, expected):
    assert final_text(raw, *lead) == expected


@pytest.mark.parametrize("lead", [("frung", " "), ("frung,", " "), ("frung", ". "), FRUNG])
@pytest.mark.parametrize(
    "words",
    [
        "Frung's red dress flutters",
        "frung-like creature runs",
        "frung-Maria smiles",
        '"Frung!" a man shouts',
        "(frung:1.2), portrait",
        "[frung:0.8] close-up",
        "frung/dog style",
        "frung... and then rain",
        "**frung** runs",
        "frung! A man runs",
        ":d smile",
        "-5 degrees",
        "...and then rain",
    ],
)
def test_what_is_not_the_trigger_by_itself_stays_whole(words, lead):
    text = final_text(words, *lead)
    assert text.endswith(f" {words}")
    assert final_text(text, *lead) == text


def test_a_trigger_with_signs_is_no_shorter_word():
    assert final_text("C minor chords", "c++", " ") == "c++ C minor chords"
    assert final_text("C++ code on a screen", "c++", " ") == "c++ code on a screen"


@pytest.mark.parametrize(
    ("raw", "class_word", "expected"),
    [
        ("[trigger], a girl", None, "a girl"),
        ("[trigger], a girl", "woman", "woman, a girl"),
        ("a video of [trigger] walking", "a woman", "a video of a woman walking"),
        ("- a list item", None, "- a list item"),
    ],
)
def test_without_trigger(raw, class_word, expected):
    assert final_text(raw, None, class_word=class_word) == expected
    assert final_text(expected, None, class_word=class_word) == expected


def test_placeholder_as_trigger_is_refused():
    with pytest.raises(ValueError, match="stands for the trigger"):
        final_text("a girl", "my [Trigger]")


texts = st.text(max_size=40) | st.text(alphabet='frung, youngwom.&alt;[]trige"*_-é“”\n', max_size=40)
words = ["frung", "FRUNG", "Studio Ghibli style", "studio-ghibli  style.", "ohwx_01", "young woman", "[trigger]"]
marks = [", ", ". ", " ", "\n", '"', "**", "&amp;", "&amp;amp;lt;", "Ã©", "a girl", "(", ")", ":", "frungy"]
pieces = st.sampled_from(words + marks)
raws = texts | st.lists(pieces | texts, max_size=6).map("".join)


@settings(max_examples=400, deadline=None)
@given(raw=raws, lead=st.sampled_from(LEADS))
def test_trigger_first_once_and_idempotent(raw, lead):
    trigger, separator = lead
    text = final_text(raw, trigger, separator)
    assert text.startswith(trigger)
    rest = text.removeprefix(trigger).removeprefix(separator.rstrip())
    again = rf"\s*(?:[,.:]\s+)*{re.escape(trigger)}(?:,?\s|$)"
    assert not re.match(again, rest, re.IGNORECASE)
    assert final_text(text, trigger, separator) == text


@settings(max_examples=400, deadline=None)
@given(raw=raws, word=st.sampled_from([None, "woman"]))
def test_idempotent_without_trigger(raw, word):
    text = final_text(raw, None, class_word=word)
    assert final_text(text, None, class_word=word) == text


@settings(max_examples=300, deadline=None)
@given(body=st.text(alphabet="abc xyz", min_size=1).filter(lambda s: s.strip()), lead=st.sampled_from(LEADS))
def test_body_survives(body, lead):
    assert final_text(body, *lead).endswith(clean(body))


@pytest.fixture(scope="module")
def prompt_clean():
    return pytest.importorskip("diffusers.pipelines.wan.pipeline_wan").prompt_clean


@settings(max_examples=300, deadline=None)
@given(raw=raws)
def test_clean_is_the_pipelines(prompt_clean, raw):
    cleaned = clean(raw)
    assert prompt_clean(cleaned) == cleaned  # the pipeline changes nothing any more
    once = prompt_clean(raw)
    if prompt_clean(once) == once:
        assert cleaned == once  # and where its one pass is enough, ours is the same


PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)


@settings(max_examples=300, deadline=None)
@given(PRINTABLE | st.text(max_size=12))
def test_what_is_cleaned_plainly_is_cleaned_as_all_else_is(text: str) -> None:
    plain = plainly_clean(text)
    fixed = html.unescape(html.unescape(ftfy.fix_text(text))).strip()
    expected = regex.sub(r"\s+", " ", fixed).strip()
    assert plain is None or plain == expected
    assert embedded(text) == expected  # the encoder's
    if text.isascii() and text.isprintable() and "&" not in text:
        assert plain is not None
