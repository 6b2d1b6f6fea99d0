"""One fault that nearly all captions share is told loudly; a few bad captions are not."""

import pytest

from wanprep.captioners import faults
from wanprep.captioners.base import Sampling


def clips(*flags, origin="vlm", caption="a dog"):
    return [{"caption": caption, "caption_origin": origin, "caption_flags": list(some)} for some in flags]


def said(rows):
    return faults.line(rows, Sampling(max_new_tokens=384))


def test_a_fault_that_nearly_all_captions_share_is_told_with_what_helps():
    thoughts = clips(*[("unfinished_thought", "retried")] * 18, (), ())
    assert faults.common(thoughts) == ("unfinished_thought", 18, 20)
    assert said(thoughts).startswith("ATTENTION: 18 of 20 captions have the same fault, unfinished_thought: ")
    assert "caption.sampling.max_new_tokens (384)" in said(thoughts)
    assert "caption.endpoint.extra" in said(thoughts)
    assert "5 of 5 captions have the same fault, refusal: no caption" in said(clips(*[("refusal",)] * 5))
    assert "caption.rewrite.model" in said(clips(*[("rewrite_failed",)] * 3, origin="sidecar"))


@pytest.mark.parametrize("fault", ["unfinished_thought", "refusal"])
def test_why_there_are_no_words_goes_before_that_there_are_none(fault):
    assert faults.common(clips(*[("empty", fault)] * 6)) == (fault, 6, 6)
    assert faults.common(clips(*[("empty", fault)] * 6, *[("empty",)] * 4)) == ("empty", 10, 10)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        clips(*[("loop",)] * 17, (), (), ()),  # 17 of 20
        clips(*[("loop",)] * 10, *[("list",)] * 10),  # two faults
        clips(("empty",), ("empty",)),  # too few to say so
        clips(*[("preamble_stripped", "near_identical")] * 9),  # mended, or no fault of the answer
        clips(*[("empty",)] * 9, origin="human"),  # typed
        clips(*[("provisional",)] * 9, origin="template"),
        clips(*[("refusal",)] * 9, caption=None),  # rejected: there is none
        clips(*[("rewritten",)] * 18, ("rewrite_failed",), ("rewrite_failed",)),
    ],
)
def test_other_sets_are_not_spoken_of(rows):
    assert faults.common(rows) == ("", 0, 0)
    assert said(rows) == ""


def test_captions_that_no_model_touched_do_not_dilute_it():
    rows = clips(*[("loop",)] * 4) + clips(*[()] * 40, origin="human") + clips(*[()] * 40, origin="sidecar")
    assert faults.common(rows) == ("loop", 4, 4)
