"""The comparison passes a perfect run and notices each single thing that goes wrong."""

import pytest
from rich.console import Console

from wanprep.demo.truth import FileTruth, ShotTruth, Truth, check, render

FILM = FileTruth(
    path="film/film.mp4",
    fps=24,
    width=640,
    height=360,
    n_frames=200,
    cuts=(60,),
    gradual=((120, 140),),
    shots=(
        ShotTruth(label="good", start_frame=0, end_frame=60),
        ShotTruth(label="blurred", start_frame=60, end_frame=120, expect="blur"),
        ShotTruth(label="barred", start_frame=140, end_frame=200, crop=(0, 44, 640, 272)),
    ),
)
TRUTH = Truth(files=(FILM,))


def clip(start, end, state="keep", reasons=(), crop=(0, 0, 640, 360), path="film/film.mp4"):
    row = {"path": path, "start_frame": start, "end_frame": end, "state": state}
    return {**row, "reasons": list(reasons), "crop": list(crop) if crop else None}


GOOD = clip(0, 60)
BLURRED = clip(60, 120, "rejected", ["blur"])
BARRED = clip(141, 200, crop=(0, 44, 640, 272))


def wrong(clips):
    return [line for line in check(TRUTH, clips) if not line.ok]


def test_perfect_run():
    assert wrong([GOOD, BLURRED, BARRED]) == []
    assert wrong([BARRED, GOOD, clip(120, 140, "rejected", ["transition"]), BLURRED]) == []
    assert wrong([{**GOOD, "crop": None}, BLURRED, BARRED]) == []
    assert wrong([clip(0, 30), clip(30, 60), BLURRED, BARRED]) == []  # a shot in two clips is fine
    both = clip(60, 120, "rejected", ["static", "blur"])
    assert wrong([GOOD, both, BARRED]) == []


@pytest.mark.parametrize(
    ("clips", "shot", "words"),
    [
        ([BLURRED, BARRED], "good", "no clip"),
        ([clip(0, 60, "rejected", ["blur"]), BLURRED, BARRED], "good", "0% of the shot"),
        ([clip(0, 60, "pending"), BLURRED, BARRED], "good", "pending"),
        ([clip(0, 30), BLURRED, BARRED], "good", "50% of the shot"),
        ([clip(0, 63), BLURRED, BARRED], "good", "3 frames beyond"),
        ([clip(0, 120), BARRED], "-", "several shots"),
        ([GOOD, clip(60, 120), BARRED], "blurred", "state keep"),
        ([GOOD, clip(60, 120, "rejected", ["static"]), BARRED], "blurred", "other reason"),
        ([GOOD, BLURRED, clip(100, 120), BARRED], "blurred", "state keep"),
        ([GOOD, BARRED], "blurred", "nothing may vanish"),
        ([GOOD, BLURRED, clip(130, 200, crop=(0, 44, 640, 272))], "barred", "10 frames beyond"),
        ([GOOD, BLURRED, clip(140, 200)], "barred", "crop is [0, 0, 640, 360]"),
        ([clip(0, 60, crop=(0, 10, 640, 340)), BLURRED, BARRED], "good", "crop is"),
        ([GOOD, BLURRED, BARRED, clip(120, 140)], "-", "dissolve"),
        ([GOOD | {"path": "other.mp4"}, BLURRED, BARRED], "good", "no clip"),
    ],
)
def test_each_thing_that_can_go_wrong(clips, shot, words):
    lines = wrong(clips)
    assert lines
    assert (lines[0].shot, words in lines[0].got) in [(shot, True)] or any(
        line.shot == shot and words in line.got for line in lines
    )


def test_every_shot_has_a_line_even_without_clips():
    assert [line.shot for line in check(TRUTH, [])] == ["good", "blurred", "barred"]
    assert len(wrong([])) == 3


def test_json_round_trip():
    assert Truth.from_json(TRUTH.to_json()) == TRUTH


def test_table_names_what_is_wrong():
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(render(check(TRUTH, [clip(0, 30), BLURRED, BARRED])))
    text = console.export_text()
    assert "2 of 3 as expected" in text
    assert text.count("WRONG") == 1


def test_table_of_the_demo_is_a_line_a_shot_in_eighty_columns():
    from wanprep.demo.movie import script_truth

    truth = script_truth()
    clips = [
        clip(shot.start_frame, shot.end_frame, *(() if shot.expect == "keep" else ("rejected", [shot.expect])),
             crop=shot.crop or (0, 0, 640, 360), path=file.path)
        for file in truth.files for shot in file.shots
    ]  # fmt: skip
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    console.print(render(check(truth, clips)))
    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert all(len(line) <= 80 for line in lines)
    assert " broadcast.mp4" in lines
    assert " town           66-132   keep                          ok  keep 66-132" in lines
    shots = [shot for file in truth.files for shot in file.shots]
    assert sum(" ok " in line for line in lines) == len(shots)
    titles, cropped = 4 + len(truth.files) * 2 - 1, sum(shot.crop is not None for shot in shots)
    assert len([line for line in lines if line]) <= titles + len(shots) + cropped


def test_empty_range_is_refused():
    with pytest.raises(ValueError, match="empty range"):
        ShotTruth(label="x", start_frame=5, end_frame=5)
