"""Which caption a clip has, and what its key depends on."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wanprep.captioners import checks
from wanprep.captioners.base import Captioner, CaptionRequest, RawCaption
from wanprep.captioners.rewrite import RewriteConfig, rewrite_key
from wanprep.ids import key_of
from wanprep.stage import Reject, UsageError
from wanprep.stages import caption as stage
from wanprep.stages.caption import CaptionConfig, Captioners, caption_key, decide, measure_many, rewrite_items

STREET = Path("street.mp4")
MEDIA = {"digest": "d", "kind": "mp4", "rate": 16, "frames": 20}
FRUNG = CaptionConfig(trigger="frung", separator=", young woman, ")


def clip(clip_id="c1", start=0, end=48, **changes):
    row = {
        "clip_id": clip_id,
        "source_id": "s1",
        "path": "ponyo/reel_1.mp4",
        "group": "ponyo",
        "crop": [0, 44, 640, 272],
    }
    return {**row, "start_pts": start, "end_pts": end, "start_s": start / 24, "end_s": end / 24, "width": 640} | changes


def item_of(row, source_path, config, **more):
    captioner = Captioners(config).wanted(source_path)
    return stage.item_of(row, source_path, captioner, config.class_word, **more)


def measure(item, config):
    (result,) = measure_many(Captioners(config).named(item.args["captioner"]), [item.args["request"]], config)
    if isinstance(result, Exception):
        raise result
    return result


def row(key_, origin, text, *, outcome="done", captioner=None, **changes):
    span = {"source_id": "s1", "start_pts": 0, "end_pts": 48}
    flags = ["provisional"] if origin == "template" else []
    return {"key": key_, "outcome": outcome, "origin": origin, "captioner": captioner or origin, "text": text} | {
        **span,
        "flags": flags,
        **changes,
    }


def key(item):
    (only,) = item.parts
    return only


def event(text, name=None, clip_id="c1"):
    return {"kind": "caption", "key": name or key_of(text=text), "clip_id": clip_id, "value": text}


ALL = [row("t", "template", "from template"), row("v", "vlm", "from model"), row("s", "sidecar", "from file")]


def test_ranking_under_auto():
    def text(rows, events=(), config=FRUNG, wanted=None):
        return decide([clip()], rows, events, config, wanted).get("c1")

    assert text(ALL, [event("by hand")]).text == "frung, young woman, by hand"
    assert text(ALL, [event("by hand")]).origin == "human"
    assert text(ALL).origin == "sidecar"
    assert text(ALL[::-1]).origin == "sidecar"
    assert text(ALL[:2]).origin == "vlm"
    assert text(ALL[:1]).origin == "template"
    assert text(ALL[:1]).provisional
    assert not text(ALL).provisional
    assert text([]) is None


def test_named_captioner_competes_only_with_people():
    config = CaptionConfig(captioner="template")
    assert decide([clip()], ALL, [], config)["c1"].text == "from template"
    assert decide([clip()], ALL[1:], [], config) == {}
    assert decide([clip()], ALL, [event("by hand")], config)["c1"].text == "by hand"


def test_newest_row_counts_without_wanted_keys_and_the_wanted_one_with_them():
    rows = [row("s1", "sidecar", "old file"), row("s2", "sidecar", "new file")]
    assert decide([clip()], rows, [], CaptionConfig())["c1"].text == "new file"
    assert decide([clip()], rows, [], CaptionConfig(), {"c1": "s1"})["c1"].text == "old file"


def test_a_sidecar_that_is_gone_does_not_count():
    assert decide([clip()], ALL, [], CaptionConfig(), {"c1": "t"})["c1"].origin == "vlm"
    assert decide([clip()], [ALL[0], ALL[2]], [], CaptionConfig(), {"c1": "t"})["c1"].origin == "template"
    assert decide([clip()], [ALL[2]], [], CaptionConfig(), {"c1": "t"}) == {}


def test_a_rejected_sidecar_is_not_papered_over():
    rows = [*ALL[:2], row("s", "sidecar", None, outcome="rejected")]
    assert decide([clip()], rows, [], CaptionConfig(), {"c1": "s"}) == {}
    assert decide([clip()], rows, [], CaptionConfig(), {"c1": "t"})["c1"].origin == "vlm"


def test_failed_rows_and_other_spans_do_not_count():
    rows = [row("v", "vlm", None, outcome="failed"), row("t", "template", "elsewhere", end_pts=47)]
    assert decide([clip()], rows, [], CaptionConfig()) == {}


def test_last_human_event_wins_and_none_takes_it_back():
    first, second = event("first", "e1"), event("second", "e2")
    assert decide([clip()], ALL, [first, second], CaptionConfig())["c1"].raw == "second"
    assert decide([clip()], ALL, [first, second, first], CaptionConfig())["c1"].raw == "second"  # recorded twice
    assert decide([clip()], ALL, [first, event(None, "e3")], CaptionConfig())["c1"].origin == "sidecar"
    assert decide([clip()], ALL, [{**first, "kind": "keep"}], CaptionConfig())["c1"].origin == "sidecar"


def test_an_emptied_file_is_a_caption_of_the_trigger_alone():
    chosen = decide([clip()], ALL, [event("")], FRUNG)["c1"]
    assert (chosen.text, chosen.origin, chosen.flags) == ("frung, young woman", "human", ())
    assert decide([clip()], ALL, [event("")], CaptionConfig())["c1"].flags == ("empty",)


@given(st.permutations(range(4)))
def test_decide_does_not_depend_on_the_order_of_clips(order):
    clips = [clip(f"c{i}", end=48 + i % 2) for i in range(4)]
    expected = decide(clips, ALL, [event("x", clip_id="c3")], FRUNG)
    got = decide([clips[i] for i in order], ALL, [event("x", clip_id="c3")], FRUNG)
    assert list(got.items()) == list(expected.items())


def test_key_depends_on_what_the_caption_depends_on_and_nothing_else(tmp_path):
    movie = tmp_path / "reel_1.mp4"
    base = item_of(clip(), movie, CaptionConfig())
    same = [
        item_of(clip(), movie, CaptionConfig(trigger="frung", separator=", ")),
        item_of(clip(clip_id="renamed"), movie, CaptionConfig()),
        item_of(clip(width=1280), movie, CaptionConfig()),  # the default template does not use the size
        item_of(clip(), movie, CaptionConfig(), media={"path": tmp_path / "512x512" / "c1.mp4", **MEDIA}),
    ]
    other = [
        item_of(clip(end=49), movie, CaptionConfig()),
        item_of(clip(crop=None), movie, CaptionConfig()),
        item_of(clip(source_id="s2"), movie, CaptionConfig()),
        item_of(clip(), movie, CaptionConfig(class_word="woman")),
        item_of(clip(), movie, CaptionConfig(template="a clip")),
    ]
    assert {key(item) for item in same} == {key(base)}
    assert len({key(item) for item in other} | {key(base)}) == len(other) + 1
    movie.with_suffix(".txt").write_text("a girl")
    sidecar = item_of(clip(), movie, CaptionConfig())
    assert sidecar.args["captioner"] == "sidecar"
    movie.with_suffix(".txt").write_text("two girls")
    assert len({key(base), key(sidecar), key(item_of(clip(), movie, CaptionConfig()))}) == 3


def test_measure_gives_rows_that_decide_understands(tmp_path):
    movie = tmp_path / "reel_1.mp4"
    config = CaptionConfig(trigger="frung", class_word="woman", template="{trigger}, {class}, {source}")
    item = item_of(clip(), movie, config)
    measured = {**item.row, **measure(item, config), "key": key(item), "outcome": "done"}
    chosen = decide([clip()], [measured], [], config, {"c1": key(item)})["c1"]
    assert (chosen.text, chosen.provisional) == ("frung woman, reel 1", True)
    movie.with_suffix(".txt").write_bytes("Mädchen".encode("latin-1"))
    with pytest.raises(Reject, match="caption_not_utf8"):
        measure(item_of(clip(), movie, config), config)


class Fake(Captioner):
    """Says what it is told to say: a list of answers for each clip, one an attempt."""

    name, origin, requires_frames, draws = "fake-vlm", "vlm", True, True

    def __init__(self, *answers, finished=True):
        self.answers, self.finished, self.asked = answers, finished, []

    def identity(self):
        return {"model": "fake", "prompt": "p1"}

    def caption(self, request: CaptionRequest, attempt=0):
        self.asked.append(attempt)
        answer = self.answers[attempt]
        if isinstance(answer, Exception):
            raise answer
        return RawCaption(text=answer, finished=self.finished, tokens_in=100, tokens_out=10, cost=0.5)


GOOD = "A woman in a red coat walks along a wet street while the camera follows her from behind."
LOOP = "the street and the street and the street and the street and the street and the street and the street"
REFUSAL = "I'm sorry, but I can't describe people in this video."


def said(*answers, retries=2, **more):
    captioner = Fake(*answers, **more)
    item = stage.item_of(clip(), STREET, captioner)
    (result,) = measure_many(captioner, [item.args["request"]], CaptionConfig(retries=retries))
    return captioner, item, result


def test_a_good_answer_is_asked_for_once():
    captioner, item, result = said(GOOD, "never asked")
    assert captioner.asked == [0]
    assert item.row["prompt"] == "p1"
    assert (result["text"], result["raw"], result["flags"]) == (GOOD, GOOD, [])
    assert (result["attempts"], result["tokens_in"], result["cost"]) == (1, 100, 0.5)


def test_a_bad_answer_is_asked_again_and_everything_spent_is_counted():
    captioner, _, result = said(LOOP, f"The video shows {GOOD[:1].lower()}{GOOD[1:]}", "never asked")
    assert captioner.asked == [0, 1]
    assert (result["text"], result["flags"]) == (GOOD, ["preamble_stripped", "retried"])
    assert (result["attempts"], result["tokens_out"], result["cost"]) == (2, 20, 1.0)


def test_the_least_bad_answer_stays_when_none_is_good():
    _, _, result = said(REFUSAL, LOOP, REFUSAL)
    assert (result["text"], result["flags"]) == (LOOP, ["loop", "retried"])
    _, _, result = said(REFUSAL, REFUSAL, REFUSAL)
    assert (result["text"], result["raw"], result["flags"]) == ("", REFUSAL, ["refusal"])
    captioner, _, result = said(LOOP, GOOD, retries=0)
    assert captioner.asked == [0]
    assert result["flags"] == ["loop"]


def test_a_failure_fails_and_a_failing_retry_leaves_the_first_answer():
    _, _, result = said(RuntimeError("no memory"))
    assert isinstance(result, RuntimeError)
    _, _, result = said(LOOP, RuntimeError("no memory"), RuntimeError("no memory"))
    assert result["flags"] == ["loop"]


def test_answers_of_several_clips_do_not_mix():
    class Two(Fake):
        def caption(self, request, attempt=0):
            text = super().caption(request, attempt).text
            return RawCaption(text=text if request.clip_id == "c1" else f"{GOOD} It rains.")

    captioner = Two(LOOP, RuntimeError("gone"), GOOD)
    requests = [stage.item_of(clip(name), STREET, captioner).args["request"] for name in ("c1", "c2")]
    first, second = measure_many(captioner, requests, CaptionConfig())
    assert first["text"] == GOOD
    assert second["text"] == f"{GOOD} It rains."
    assert captioner.asked == [0, 0, 1, 2]


def measured(key_, said, **changes):
    flags = list(checks.check(said).flags)
    fields = {"raw": said, "checked": checks.stamp("en"), "flags": flags, "finished": True, "text_tokens": 20}
    return row(key_, "vlm", checks.check(said).text, captioner="fake-vlm", **fields) | changes


def test_a_refusal_trains_on_the_trigger_alone_and_is_provisional():
    chosen = decide([clip()], [measured("v", REFUSAL)], [], FRUNG)["c1"]
    assert (chosen.text, chosen.raw, chosen.provisional) == ("frung, young woman", REFUSAL, True)
    assert chosen.flags == ("refusal",)
    assert not decide([clip()], [measured("v", GOOD)], [], FRUNG)["c1"].provisional


def test_other_checks_judge_stored_answers_again_without_asking():
    old = measured("v", f"In this video, {GOOD}", text="stale", flags=["loop", "retried"], checked="0:en")
    chosen = decide([clip()], [old], [], CaptionConfig())["c1"]
    assert (chosen.text, chosen.flags) == (GOOD, ("preamble_stripped", "retried"))
    fresh = measured("v", GOOD, text="as stored")
    assert decide([clip()], [fresh], [], CaptionConfig())["c1"].text == "as stored"
    german = decide([clip()], [fresh], [], CaptionConfig(language="de"))["c1"]
    assert "wrong_language" in german.flags


def test_a_trigger_that_leaves_too_little_room_is_flagged_as_long_as_it_stands():
    stored = measured("v", GOOD, text_tokens=500)
    words = CaptionConfig(trigger=" ".join(["frung"] * 20))
    long = decide([clip()], [stored], [], words)["c1"]
    assert (long.flags, long.provisional) == (("too_long",), True)
    assert decide([clip()], [stored], [], CaptionConfig(trigger="frung"))["c1"].flags == ()
    assert decide([clip()], [{**stored, "origin": "sidecar"}], [], words)["c1"].flags == ()
    again = rewritten("A red coat in the rain.", config=replace(REWRITING, trigger=words.trigger), text_tokens=8)
    config = replace(REWRITING, trigger=words.trigger)
    assert decide([clip()], [stored, again], [], config)["c1"].flags == ("rewritten",)


def test_the_same_words_for_different_clips_are_flagged():
    clips = [clip("c1"), clip("c2", start=100, end=200), clip("c3", start=300, end=400)]
    spans = ({}, {"start_pts": 100, "end_pts": 200}, {"start_pts": 300, "end_pts": 400})
    texts = (GOOD, GOOD.replace("wet ", ""), "Waves break on black rocks at dusk, seen from high above.")
    rows = [measured(f"v{i}", text, **span) for i, (text, span) in enumerate(zip(texts, spans))]
    flags = {clip_id: choice.flags for clip_id, choice in decide(clips, rows, [], FRUNG).items()}
    assert flags == {"c1": ("near_identical",), "c2": ("near_identical",), "c3": ()}
    beside = [{**r, "origin": "sidecar"} for r in rows]
    assert not any(choice.flags for choice in decide(clips, beside, [], FRUNG).values())


REWRITING = CaptionConfig(trigger="frung", separator=", ", rewrite=RewriteConfig(by="local", model="some/model"))


def rewritten(text, of=GOOD, config=REWRITING, **changes):
    key_ = rewrite_key(of, config.rewrite.identity(config.sampling))
    known = {"key": key_, "outcome": "done", "captioner": "rewrite", "origin": "vlm", "text": text, "flags": []}
    return {**known, **dict.fromkeys(("source_id", "start_pts", "end_pts")), **changes}


def test_rewritings_are_wanted_once_a_text_and_used_with_the_trigger_in_front():
    clips = [clip("c1"), clip("c2", start=100, end=200)]
    rows = [measured("v1", GOOD), measured("v2", GOOD, start_pts=100, end_pts=200)]
    (item,) = rewrite_items(clips, rows, REWRITING)
    assert item.args["text"] == GOOD
    assert set(item.parts) == {rewritten("x")["key"]}
    chosen = decide(clips, [*rows, rewritten("A red coat in the rain, seen from behind.")], [], REWRITING)
    assert {choice.text for choice in chosen.values()} == {"frung, A red coat in the rain, seen from behind."}
    assert "rewritten" in chosen["c1"].flags
    assert decide(clips, rows, [], REWRITING)["c1"].text == f"frung, {GOOD}"  # not rewritten yet


def test_a_text_beside_a_film_is_rewritten_without_the_line_that_weighs_it():
    config = replace(REWRITING, rewrite=replace(REWRITING.rewrite, origins=("sidecar",)))
    row_ = row("s1", "sidecar", "weight: 0.3\nA cup of coffee.")
    (item,) = rewrite_items([clip()], [row_], config)
    assert item.args["text"] == "A cup of coffee."
    made = rewritten("Coffee in a white cup.", of="A cup of coffee.", config=config)
    assert set(item.parts) == {made["key"]}
    chosen = decide([clip()], [row_, made], [], config)["c1"]
    assert (chosen.text, chosen.flags) == ("frung, Coffee in a white cup.", ("rewritten",))
    said = "weight: a ton\nA cup of coffee."  # somebody's words
    (item,) = rewrite_items([clip()], [row("s1", "sidecar", said)], config)
    assert item.args["text"] == said


def test_a_bad_rewriting_is_not_used():
    rows = [measured("v1", GOOD), rewritten("", flags=["refusal"])]
    chosen = decide([clip()], rows, [], REWRITING)["c1"]
    assert (chosen.text, chosen.flags) == (f"frung, {GOOD}", ("rewrite_failed",))


def test_other_instructions_make_another_rewriting_and_captions_by_hand_none():
    tags = CaptionConfig(rewrite=RewriteConfig(by="local", model="some/model", style="tags"))
    rows = [measured("v1", GOOD), rewritten("prose"), rewritten("tags, all of them", config=tags)]
    assert decide([clip()], rows, [], REWRITING)["c1"].text == "frung, prose"
    assert decide([clip()], rows, [], tags)["c1"].text == "tags, all of them"
    assert decide([clip()], rows, [event("by hand")], tags)["c1"].text == "by hand"
    assert decide([clip()], rows, [], CaptionConfig())["c1"].text == GOOD  # switched off again


def test_a_vlm_plugs_in(tmp_path, monkeypatch):
    from wanprep.captioners import settings

    made = settings.make
    monkeypatch.setattr(settings, "vlm_on_disk", lambda *_: "fake-vlm")
    fake = Fake(GOOD)
    monkeypatch.setattr(settings, "make", lambda name, **options: fake if name == "fake-vlm" else made(name, **options))
    item = item_of(clip(), tmp_path / "reel_1.mp4", CaptionConfig())
    assert key(item) == caption_key("s1", 0, 48, [0, 44, 640, 272], fake.identity())
    assert (item.row["origin"], item.row["captioner"]) == ("vlm", "fake-vlm")
    (tmp_path / "reel_1.txt").write_text("somebody's words")
    assert item_of(clip(), tmp_path / "reel_1.mp4", CaptionConfig()).args["captioner"] == "sidecar"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"captioner": "templat"}, "did you mean 'template'"),
        ({"template": "a {clas}"}, 'did you mean "{class}"'),
        ({"trigger": " "}, "no letter or digit"),
        ({"trigger": "[trigger]"}, "stands for the trigger"),
        ({"trigger": "frung", "separator": ""}, "grow together"),
        ({"trigger": "frung", "separator": ", woman"}, "grow together"),
        ({"trigger": "frung", "separator": "woman "}, "grow together"),
        ({"goal": "caracter"}, 'did you mean "character"'),
        ({"prompt": "Describe {clas}"}, 'did you mean "{class}"'),
        ({"prompt": " "}, "is empty"),
        ({"retries": 50}, "between 0 and 10"),
    ],
)
def test_configuration_errors(values, message):
    with pytest.raises(UsageError) as caught:
        CaptionConfig(**values)
    assert message in str(caught.value)


def test_warnings_name_what_comfyui_reads_as_commands():
    assert FRUNG.warnings() == ()
    assert '"("' in CaptionConfig(trigger="(frung:1.2)").warnings()[0]


def test_an_empty_setting_is_none_and_blanks_are_an_error():
    config = CaptionConfig(trigger="", class_word="", prompt="")
    assert (config.trigger, config.class_word, config.prompt) == (None, None, None)
    assert config == CaptionConfig()
    assert config.final("a man") == "a man"
    for name in ("trigger", "class_word"):
        with pytest.raises(UsageError, match='no letter or digit; "" is for none'):
            CaptionConfig(**{name: "  "})


def test_a_typed_caption_with_the_trigger_we_wrote_is_trained_on_with_todays():
    from wanprep.captioners.leads import EXCHANGED, Leads

    held = Leads(held=(("frung,", " "),), earlier=(("frung,", " "),))
    events = [
        event("frung, by hand") | {"leads": held},
        event("weight: 0.5\nfrung, again by hand") | {"kind": "caption_2", "leads": held},
    ]
    choice = decide([clip()], ALL, events, CaptionConfig(trigger="zorp"))["c1"]
    assert (choice.text, choice.raw, choice.lead) == ("zorp by hand", "frung, by hand", EXCHANGED)
    (other,) = choice.more
    assert (other.text, other.weight, other.lead) == ("zorp again by hand", 0.5, EXCHANGED)
