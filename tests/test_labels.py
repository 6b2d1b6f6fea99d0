"""Labels from a CSV, and the clips that they mean."""

import pytest

from wanprep.labels import Label, find_clips, read_labels, sift, why_lost
from wanprep.stage import UsageError


def clip(number: int) -> dict:
    return {"clip_id": f"c{number:03d}", "path": f"films/{number}.mp4", "start_s": 0.0, "end_s": 5.0}


def pairs(*labelled: tuple[str, dict]) -> list:
    made = []
    for line, (said, row) in enumerate(labelled, 2):
        label, _, reason = said.partition(" ")
        made.append((Label(line=line, keep=label == "keep", clip_id=row["clip_id"], reason=reason), row))
    return made


def test_both_ways_of_naming_a_clip():
    text = "\ufeffclip_id,label,reason\nab12, Keep,\ncd34,drop,blur\n"
    found = [(label.line, label.keep, label.clip_id, label.reason) for label in read_labels(text, "x.csv")]
    assert found == [(2, True, "ab12", ""), (3, False, "cd34", "blur")]
    (label,) = read_labels("path,time,label\na/b.mp4,12.5,drop\n", "x.csv")
    assert (label.path, label.time, label.keep) == ("a/b.mp4", 12.5, False)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clip,label\na,keep\n", "must name label and clip_id"),
        ("", "it has nothing"),
        ("clip_id,label\na,maybe\n", "line 2: label is 'maybe'"),
        ("path,time,label\na.mp4,soon,keep\n", "time is 'soon'"),
        ("clip_id,label\n,keep\n", "names no clip"),
    ],
)
def test_a_wrong_line_is_named(text, message):
    with pytest.raises(UsageError, match=message):
        read_labels(text, "x.csv")


def test_clips_are_found_by_id_or_by_time_and_the_rest_is_listed():
    rows = [clip(1), clip(2), {**clip(3), "path": "films/2.mp4", "start_s": 5.0, "end_s": 9.0}]
    labels = [
        Label(line=2, keep=True, clip_id="c001"),
        Label(line=3, keep=True, path="2.mp4", time=6.0),
        Label(line=4, keep=True, clip_id="c00"),
        Label(line=5, keep=True, path="2.mp4", time=99.0),
    ]
    found, lost = find_clips(labels, rows)
    assert [row["clip_id"] for _, row in found] == ["c001", "c003"]
    assert [label.line for label in lost] == [4, 5]
    lost += [Label(line=6, keep=True, clip_id="x"), Label(line=7, keep=True, path="no.mp4", time=1.0)]
    lost += [Label(line=8, keep=True, path="films/2.mp4", time=1.0)]
    assert [why_lost(label, [*rows, {**clip(5), "path": "b/films/2.mp4"}]) for label in lost] == [
        "4 clips have an id that starts with 'c00'; give more of it",
        "'2.mp4' has no clip at 99 s",
        "no clip has an id that starts with 'x'",
        "no clip is of a source called 'no.mp4'; paths are those that `wanprep clips` shows",
        "2 clips lie at 1 s of sources called 'films/2.mp4'; give more of the path",
    ]


def test_lines_that_repeat_or_contradict_each_other():
    one, two, three = clip(1), clip(2), clip(3)
    said = pairs(
        ("keep", one), ("drop blur", two), ("keep", one), ("drop shake", two), ("drop blur", two), ("keep", three),
        ("drop", three),
    )  # fmt: skip
    sifted = sift(said)
    assert [(label.line, label.reason) for label, _ in sifted.pairs] == [(2, ""), (3, "blur"), (5, "shake")]
    assert [label.line for label in sifted.repeated] == [4, 6]
    assert [(row["clip_id"], [label.line for label in labels]) for row, labels in sifted.torn] == [("c003", [7, 8])]
