"""Labels from a CSV, and the clips that they mean."""

import pytest

from wanprep.labels import Label, find_clips, load_labels, read_labels, sift, why_lost
from wanprep.stage import UsageError


def clip(number: int) -> dict:
    return {"clip_id": f"c{number:03d}", "path": f"films/{number}.mp4", "start_s": 0.0, "end_s": 5.0}


def pairs(*labelled: tuple[str, dict]) -> list:
    made = []
    for line, (said, row) in enumerate(labelled, 2):
        label, _, reason = said.partition(" ")
        made.append((Label(line=line, keep=label == "keep", clip_id=row["clip_id"], reason=reason), row))
    return made


def test_a_column_that_is_named_twice_is_refused():
    with pytest.raises(UsageError, match="names label more than once"):
        read_labels("label,clip_id,Label\nkeep,ab,drop\n", "x.csv")
    assert read_labels("label,clip_id,note,note\nkeep,ab,so,so\n", "x.csv")[0]  # nobody reads those


def test_both_ways_of_naming_a_clip():
    text = "\ufeffclip_id,label,reason\nab12, Keep,\ncd34,drop,blur\n"
    found = [(label.line, label.keep, label.clip_id, label.reason) for label in read_labels(text, "x.csv")[0]]
    assert found == [(2, True, "ab12", ""), (3, False, "cd34", "blur")]
    (label,), bad = read_labels("path,time,label\na/b.mp4,12.5,drop\n", "x.csv")
    assert (label.path, label.time, label.keep, bad) == ("a/b.mp4", 12.5, False, [])


@pytest.mark.parametrize("divider", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_spreadsheets_write_is_read(divider, mark, end, tmp_path):
    lines = ["Path|Time |label|reason", 'a;b,c.mp4|12,5|Drop|"a, b; c"', "d.mp4|3.25|keep|"]
    quoted = [line.replace("a;b,c.mp4", '"a;b,c.mp4"').replace("12,5", '"12,5"') for line in lines]
    (tmp_path / "x.csv").write_bytes((mark + end.join(quoted).replace("|", divider) + end).encode())
    found, bad = load_labels(tmp_path / "x.csv")
    assert [(label.path, label.time, label.keep, label.reason) for label in found] == [
        ("a;b,c.mp4", 12.5, False, "a, b; c"),
        ("d.mp4", 3.25, True, ""),
    ]
    assert bad == []


@pytest.mark.parametrize(
    ("text", "message"),
    [("clip,label\na,keep\n", "must name label and clip_id"), ("", "it has nothing"), ("a|label\n", "it has a|label")],
)
def test_a_file_without_its_columns_is_refused(text, message):
    with pytest.raises(UsageError) as told:
        read_labels(text, "x.csv")
    assert message in str(told.value)


def test_a_file_in_another_coding_is_refused_with_the_remedy(tmp_path):
    (tmp_path / "x.csv").write_bytes("path;time;label\nB\u00e4r.mp4;1;keep\n".encode("cp1252"))
    with pytest.raises(UsageError, match="save it as CSV UTF-8"):
        load_labels(tmp_path / "x.csv")


def test_lines_that_say_nothing_are_told_and_the_others_read():
    found, bad = read_labels("clip_id,path,time,label\na,,,maybe\n,b.mp4,soon,keep\n,,,keep\nc,,,keep\nd\n", "x.csv")
    assert [(label.line, label.clip_id) for label in found] == [(5, "c")]
    assert bad == [
        (2, "label is 'maybe'; it must be keep or drop"),
        (3, "time is 'soon'; it must be seconds, as 12.5"),
        (4, "names no clip; give clip_id, or path and time"),
        (6, "label is ''; it must be keep or drop"),
    ]


def test_ids_in_capitals_are_found():
    ((_, found),), lost = find_clips([Label(line=2, keep=True, clip_id="C00")], [clip(4)])
    assert (found["clip_id"], lost) == ("c004", [])


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
