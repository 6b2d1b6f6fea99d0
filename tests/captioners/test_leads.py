"""The trigger that an edited caption file begins with since we wrote it there: exchanged, or kept and told of."""

import json

import pytest

from wanprep.captioners import leads
from wanprep.captioners.files import Chosen
from wanprep.captioners.leads import EXCHANGED, UNSURE, Leads, typed_body, with_leads
from wanprep.captioners.settings import CaptionConfig
from wanprep.captioners.text import begins_with, without_exactly

OLD = ("frung, young woman,", " ")
ZORP = CaptionConfig(trigger="zorp")


def body(text, config=ZORP, held=(OLD,), earlier=(OLD, ("zorp", " "))):
    return typed_body(text, Leads(held=tuple(held), earlier=tuple(earlier)), config)


def test_exactly_what_we_wrote_is_taken_away():
    assert body("frung, young woman, a man in a car") == ("a man in a car", EXCHANGED)
    assert body("frung, young woman,") == ("", EXCHANGED)
    assert body("frung, young woman, frung, young woman, twice") == ("frung, young woman, twice", EXCHANGED)
    assert body("frung, young woman, gone", CaptionConfig()) == ("gone", EXCHANGED)
    assert body("frung of young woman, sits", held=[("frung", " of young woman, ")]) == ("sits", EXCHANGED)
    assert body("frung sits", held=[("frung", " of young woman, ")]) == ("sits", EXCHANGED)


@pytest.mark.parametrize(
    "text",
    [
        "Frung, young woman, a man in a car",  # a sentence may begin like this
        "frung young woman sits",
    ],
)
def test_what_only_resembles_an_earlier_trigger_is_kept_and_told(text):
    assert body(text) == (text, UNSURE)


def test_an_earlier_trigger_that_we_did_not_write_there_is_kept_and_told():
    text = "frung, young woman, typed by hand"
    assert body(text, held=()) == (text, UNSURE)
    assert body(text, held=[("other", " ")]) == (text, UNSURE)


def test_other_words_are_nobodys_trigger():
    for text in ("a man in a car", "frungy, young woman, sits", "she met frung, young woman, there", ""):
        assert body(text) == (text, "")
    for text in ("frungs sit", "frung's dog sits", "frung-like", '"frung," she says', "(frung:1.2)"):
        assert body(text, held=[("frung", " ")], earlier=[("frung", " ")]) == (text, "")
    assert typed_body("frung, young woman, sits", None, ZORP) == ("frung, young woman, sits", "")


def test_the_trigger_of_today_is_left_to_the_final_text():
    today = CaptionConfig(trigger=OLD[0])
    assert body("frung, young woman, sits", today) == ("frung, young woman, sits", "")
    grown = CaptionConfig(trigger="frung", separator=", young woman, ")
    text, verdict = body("frung, young woman, sits", grown, held=[("frung", " ")], earlier=[("frung", " ")])
    assert (grown.final(text), verdict) == ("frung, young woman, sits", "")
    shrunk = CaptionConfig(trigger="frung")
    assert body("frung, young woman, sits", shrunk) == ("sits", EXCHANGED)


def run(at, trigger, **more):
    return {"at": at, "pipeline": json.dumps({"caption": {**({"trigger": trigger} if trigger else {}), **more}})}


def published(at, kind, digest, stem="c"):
    return {"at": at, "kind": kind, "digest": digest, "clip_id": stem}


def typed(at, number=1):
    return {"at": at, "kind": "caption" if number == 1 else f"caption_{number}", "clip_id": "c", "value": "x"}


def held(event, rows, runs):
    return [trigger for trigger, _ in with_leads([event], rows, runs)[0]["leads"].held]


def test_the_settings_in_force_when_the_file_was_written_say_what_it_held():
    runs = [run(1, "a"), run(3, "b"), run(5, "a"), run(7, "c")]
    writing = [published(2, "written", "A"), published(4, "written", "B"), published(6, "written", "A")]
    for end, wanted in ((1, "a"), (2, "b"), (3, "a")):
        assert held(typed(8), writing[:end], runs) == [wanted]
    assert held(typed(4.5), writing, runs) == ["b"]  # an edit of then, not of now
    assert held(typed(8), [published(2, "written", "A", "c.2")], runs) == []
    assert held(typed(8, 2), [published(2, "written", "A", "c.2")], runs) == ["a"]
    assert held(typed(8), [published(0.5, "written", "A")], runs) == []  # before the first known settings


def test_a_writing_that_was_begun_may_have_ended():
    rows = [published(2, "written", "A"), published(4, "intent", "B")]
    assert held(typed(8), rows, [run(1, "a"), run(3, "b")]) == ["a", "b"]


def test_a_typed_text_that_was_put_back_is_none_of_ours():
    rows = [published(2, "written", "A"), published(3, "seen", "T"), published(5, "written", "T")]
    assert held(typed(8), rows, [run(1, "a"), run(4, "b")]) == ["a"]


def test_events_of_other_kinds_and_sets_without_a_trigger_are_passed_over():
    keep = {"at": 1, "kind": "keep", "clip_id": "c", "value": None}
    assert with_leads([keep], [], [run(0, "a")]) == [keep]
    assert "leads" not in with_leads([typed(8)], [published(2, "written", "A")], [run(1, None)])[0]


def choice(text, raw, **more):
    return Chosen(text=text, raw=raw, origin="human", **more)


def test_notes_count_and_name():
    chosen = {
        "c1": choice("zorp sits", "frung sits", lead=EXCHANGED),
        "c2": choice("zorp walks", "walks"),
        "c3": choice("zorp Frung, young woman, runs", "Frung, young woman, runs", lead=UNSURE),
        "c4": choice("zorp swims", "zorp swims"),
        "c5": Chosen(text="zorp a clip", raw="a clip", origin="template"),
        "c6": choice("zorp flies", "zorp flies", more=(choice("zorp hops", "weight: 2\nzorp hops", number=2),)),
    }
    exchanged, unsure, unlike = leads.notes(chosen, ZORP)
    assert ": 1;" in exchanged
    assert 'exchanged for "zorp"' in exchanged
    assert "captions/c3.txt:" in unsure
    assert "c1" not in unsure
    assert ": 3;" in unlike
    assert "--export" in unlike
    assert leads.notes({name: chosen[name] for name in ("c4", "c5", "c6")}, ZORP) == []
    gone, elsewhere = leads.notes({"c1": choice("sits", "frung sits", lead=EXCHANGED)}, CaptionConfig())
    assert "left out" in gone
    assert "trained no more: 1;" in elsewhere


def test_begins_with_and_without_exactly():
    assert begins_with("Frung: a man", "frung", " ") == len("Frung")
    assert begins_with("Frung's man", "frung", " ") == 0
    assert begins_with("frungy man", "frung", " ") == 0
    assert without_exactly("frung: a man", "frung", " ") == "a man"
    assert without_exactly("frungy man", "frung", " ") is None
    assert without_exactly("a frung", "frung", " ") is None
