"""Which caption a clip has, and what its key depends on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wanprep.captioners.base import CaptionRequest, RawCaption
from wanprep.ids import key_of
from wanprep.stage import Missing, Reject, UsageError
from wanprep.stages import caption as stage
from wanprep.stages.caption import CaptionConfig, caption_key, decide, item_of, measure

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
        item_of(clip(), movie, CaptionConfig(), mp4_path=tmp_path / "512x512" / "c1.mp4"),
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
    measured = {**item.row, **measure(item.args), "key": key(item), "outcome": "done"}
    chosen = decide([clip()], [measured], [], config, {"c1": key(item)})["c1"]
    assert (chosen.text, chosen.provisional) == ("frung woman, reel 1", True)
    movie.with_suffix(".txt").write_bytes("Mädchen".encode("latin-1"))
    with pytest.raises(Reject, match="caption_not_utf8"):
        measure(item_of(clip(), movie, config).args)


class Fake:
    name, origin, requires_frames = "fake-vlm", "vlm", True

    def identity(self):
        return {"model": "fake", "prompt": "p1"}

    def inputs(self, request):
        return {}

    def caption(self, request: CaptionRequest):
        frames, seconds = request.load_frames()
        return RawCaption(text=f"{len(frames)} frames, {seconds[-1]:.1f} s", flags=("short",))


def test_a_vlm_plugs_in(tmp_path, monkeypatch):
    np = pytest.importorskip("numpy")
    made = stage.make
    monkeypatch.setattr(stage, "vlm_on_disk", lambda: "fake-vlm")
    monkeypatch.setattr(stage, "make", lambda name, **options: Fake() if name == "fake-vlm" else made(name, **options))
    item = item_of(clip(), tmp_path / "reel_1.mp4", CaptionConfig())
    assert key(item) == caption_key("s1", 0, 48, [0, 44, 640, 272], Fake().identity())
    assert (item.row["origin"], item.row["captioner"]) == ("vlm", "fake-vlm")
    measured = measure(item.args, lambda: (np.zeros((3, 2, 2, 3), np.uint8), np.array([0, 0.1, 0.2])))
    assert measured == {"text": "3 frames, 0.2 s", "flags": ["short"]}
    (tmp_path / "reel_1.txt").write_text("somebody's words")
    assert item_of(clip(), tmp_path / "reel_1.mp4", CaptionConfig()).args["captioner"] == "sidecar"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"captioner": "templat"}, 'did you mean "template"'),
        ({"template": "a {clas}"}, 'did you mean "{class}"'),
        ({"trigger": " "}, "no letter or digit"),
        ({"trigger": "[trigger]"}, "stands for the trigger"),
        ({"trigger": "frung", "separator": ""}, "grow together"),
        ({"trigger": "frung", "separator": ", woman"}, "grow together"),
        ({"trigger": "frung", "separator": "woman "}, "grow together"),
    ],
)
def test_configuration_errors(values, message):
    with pytest.raises(UsageError) as caught:
        CaptionConfig(**values)
    assert message in str(caught.value)


def test_a_captioner_of_another_version_is_missing():
    with pytest.raises(Missing, match="qwen3-vl"):
        CaptionConfig(captioner="qwen3-vl")


def test_warnings_name_what_comfyui_reads_as_commands():
    assert FRUNG.warnings() == ()
    assert '"("' in CaptionConfig(trigger="(frung:1.2)").warnings()[0]
