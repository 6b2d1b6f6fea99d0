"""Overlay decisions on whole sources: the demo's own films, and a fixed camera that traffic passes."""

import cv2
import numpy as np
import pytest

from wanprep import keys
from wanprep.demo import movie
from wanprep.signals import marks, overlay
from wanprep.stages import overlays as stage
from wanprep.stages.filter import REGISTRY
from wanprep.stages.overlays import BOTH, FIRST, SINGLE, SURE, SUREST, TITLE
from wanprep.stages.scored import scored

THRESHOLD = REGISTRY["overlay"].threshold


def overlays(rows: list[dict], threshold: float, *pools) -> tuple[np.ndarray, list]:
    values, boxes = stage.overlays(scored(rows), threshold, *pools)
    return values, [box and tuple(box) for box in boxes.to_list()]


def row(thumbs: np.ndarray, source: str = "s") -> dict:
    places = marks.places(thumbs)
    look, box = marks.judged(places)
    evidence = overlay.clip_evidence(thumbs, places)
    return {"source_id": source, "group": source, "evidence": evidence, "mark": look, "mark_box": box}


def shot_row(shot: movie.Shot, seed: int) -> dict:
    """One shot of the demo, by two pictures a second: `movie.shoot` without the frames between them."""
    rng = np.random.default_rng([seed, 20])
    scenery = movie.PLACES[shot.place](rng, shot.palette)
    mark = movie.logo() if shot.effect == "logo" else np.zeros((movie.HEIGHT, movie.WIDTH, 4), np.float32)
    thumbs = []
    for second in np.arange(0, shot.frames / movie.FPS, 0.5):
        picture = movie._picture(scenery, shot, float(second), np.zeros(2), 0.0)
        picture = np.clip(picture * (1 - mark[..., 3:]) + mark[..., :3], 0, 255).astype(np.uint8)
        thumbs.append(cv2.resize(picture[..., ::-1], (256, 144), interpolation=cv2.INTER_AREA))
    return row(np.stack(thumbs))


@pytest.fixture(scope="module")
def films() -> dict[str, list[dict]]:
    return {
        path: [shot_row(s, 1000 * n + k) for k, s in enumerate(shots) if s.expect in (movie.KEEP, "overlay")]
        for n, (path, shots) in enumerate(movie.SCRIPT.items())
    }


@pytest.mark.parametrize("path", [path for path in movie.SCRIPT if not path.startswith("broadcast")])
def test_no_clean_shot_of_the_demo_is_convicted(films, path):
    values, boxes = overlays(films[path], THRESHOLD)
    assert not (values > THRESHOLD).any(), values
    assert not any(boxes)
    alone = [overlays([one], THRESHOLD)[0][0] for one in films[path]]
    assert sum(value > THRESHOLD for value in alone) <= 1, alone


def test_every_shot_under_the_station_logo_is_found_at_its_corner(films):
    values, boxes = overlays(films["broadcast/broadcast.mp4"], THRESHOLD)
    assert (values > THRESHOLD).all(), values
    assert all(box[2] > 0.75 and box[1] < 0.2 for box in boxes)


def street(number: int, thumbs: int = 6) -> np.ndarray:
    """A fixed camera over a street: the scene stays; cars pass that hide up to half of it."""
    rng = np.random.default_rng(3)
    ground = cv2.resize(rng.uniform(60, 160, (9, 16)).astype(np.float32), (256, 144), interpolation=cv2.INTER_CUBIC)
    for x in range(0, 256, 32):
        cv2.line(ground, (x, 100), (x + 16, 100), 220.0, 2)
        cv2.rectangle(ground, (x + 4, 16), (x + 16, 36), 40.0, -1)
    drive = np.random.default_rng(number)
    out = []
    cars = [(drive.uniform(-80, 280), drive.uniform(60, 120), drive.uniform(40, 120), drive.uniform(0, 255))
            for _ in range(int(drive.integers(1, 5)))]  # fmt: skip
    for k in range(thumbs):
        view = ground.copy()
        for x, y, speed, tone in cars:
            at = (int(x + speed * k / 2), int(y))
            cv2.rectangle(view, at, (at[0] + 76, at[1] + 34), tone, -1)
            cv2.rectangle(view, (at[0] + 16, at[1] - 12), (at[0] + 60, at[1]), tone / 2 + 60, -1)
        view = np.clip(view + drive.normal(0, 2, view.shape), 0, 255).astype(np.uint8)
        out.append(np.repeat(view[..., None], 3, axis=-1))
    return np.stack(out)


def test_a_fixed_camera_with_traffic_is_not_convicted():
    values, _ = overlays([row(street(k)) for k in range(10)], THRESHOLD)
    assert not (values > THRESHOLD).any(), values


def test_nothing_known_is_unknown():
    values, boxes = overlays([{"source_id": "s", "group": "g", "evidence": b"", "mark": None}], THRESHOLD)
    assert np.isnan(values).all()
    assert boxes == [None]


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_any_threshold_can_be_asked_for(threshold):
    rows = [{"source_id": str(k), "group": "g", "evidence": b"", "mark": m} for k, m in enumerate((-9.0, 1.0, 9.0))]
    values, _ = overlays(rows, threshold)
    assert values[0] < 0.5 < values[2]


def test_pieces_of_one_shot_are_judged_together():
    def said(looks: list[float]) -> list[float]:
        rows = [{"source_id": "s", "group": "g", "evidence": b"", "mark": look} for look in looks]
        return overlays(rows, THRESHOLD)[0].tolist()

    assert said([2.5])[0] > THRESHOLD
    assert not any(value > THRESHOLD for value in said([2.5, -2.0, -2.0, -1.0]))  # one mistake
    assert all(value > THRESHOLD for value in said([1.5, 4.0, 4.0, 3.0]))  # one doubt


def test_a_clip_on_which_something_drawn_surely_moves_is_convicted_alone_and_a_doubtful_one_is_unknown():
    def alone(odds: float | None) -> tuple[np.ndarray, list]:
        row = {"source_id": "s", "group": "g", "evidence": b"", "mark": -4.0, "mark_box": None}
        return overlays([row | {"moving_mark": odds, "moving_box": (0.1, 0.2, 0.3, 0.4)}], THRESHOLD)

    values, boxes = alone(6.0)
    assert values[0] > THRESHOLD
    assert boxes == [(0.1, 0.2, 0.3, 0.4)]
    assert np.isnan(alone(4.0)[0][0])
    for odds in (0.0, None):
        values, boxes = alone(odds)
        assert values[0] < THRESHOLD
        assert boxes == [None]


@pytest.mark.parametrize("is_drawn", [True, False])
def test_a_clip_is_judged_by_both_looks_and_unknown_where_only_the_first_would_convict(is_drawn):
    even, shown = BOTH[is_drawn], {"drawn": 0.9 if is_drawn else 0.1}

    def alone(first: float, second: float | None, title: float | None = None, moving: float | None = None) -> float:
        looks = {"mark": first, "second_mark": second, "title_mark": title, "moving_mark": moving} | shown
        return overlays([{"source_id": "s", "group": "g", "evidence": b"", **looks}], THRESHOLD)[0][0]

    assert alone(1.0, even - 0.5) > THRESHOLD
    assert alone(-0.5, even + 1.0) > THRESHOLD  # of which the first says too little by itself
    assert np.isnan([alone(SINGLE + 0.5, -2.0), alone(1.0, even - 1.5)]).all()
    assert alone(-0.5, even - 1.0) < THRESHOLD
    assert np.isnan(alone(FIRST + 20, even - FIRST - 1.5))  # a first look counts FIRST at most
    assert alone(-3.0, even - 2.0, title=4.0) > THRESHOLD
    assert np.isnan(alone(-3.0, -2.0, title=TITLE + 0.5))
    assert alone(-3.0, None) < THRESHOLD


def test_what_moves_over_a_drawn_clip_must_be_surer():
    def alone(moving: float, is_drawn: float) -> float:
        looks = {"mark": -3.0, "moving_mark": moving, "drawn": is_drawn}
        return overlays([{"source_id": "s", "group": "g", "evidence": b"", **looks}], THRESHOLD)[0][0]

    assert alone(SURE + 0.5, 0.1) > THRESHOLD
    assert np.isnan(alone(SURE + 0.5, 0.9))
    assert alone(SUREST + 0.5, 0.9) > THRESHOLD


def test_a_title_on_one_scene_of_several_is_unknown_unless_the_second_look_bears_it_out(films):
    clean = max((rows for path, rows in films.items() if not path.startswith("broadcast")), key=len)

    def first(second: float | None, title: float | None = TITLE + 1.5) -> float:
        rows = [dict(one) for one in clean]
        rows[0] |= {"title_mark": title, "second_mark": second}
        return overlays(rows, THRESHOLD)[0][0]

    assert first(None, None) < THRESHOLD
    assert first(BOTH[True]) > THRESHOLD
    assert np.isnan(first(-2.0))


def test_lettering_that_title_cards_share_convicts_no_scene():
    """Six clips of a trailer, three of them cards with the same moving words."""
    names = [f"clip {k}" for k in range(6)]

    def together(count: int, moves: float) -> overlay.Pooled:
        none, nothing = (0.0,) * count, (np.nan,) * count
        return overlay.Pooled(score=0.0, scenes=count, box=None, values=none, looks=nothing, moves=(moves,) * count)

    pools = {keys.pool(names): together(6, 0.2), keys.pool(names[3:]): together(3, -0.1)}

    def said(card: float) -> list[bool]:
        rows = [
            {"source_id": "s", "group": "g", "mark": -4.0, "map_rows": 36, "scores_key": name, "card": card * (k < 3)}
            for k, name in enumerate(names)
        ]
        return (overlays(rows, THRESHOLD, pools)[0] > THRESHOLD).tolist()

    assert said(0.9) == [False] * 6
    assert said(0.1) == [True] * 6  # as scenes they would


@pytest.mark.parametrize("name", ["brief", "title"])
def test_what_is_drawn_over_a_part_of_a_clip_or_large_convicts_that_clip_alone(films, name):
    rows = [dict(one) for one in next(rows for path, rows in films.items() if not path.startswith("broadcast"))]
    before, _ = overlays(rows, THRESHOLD)
    box = (0.2, 0.8, 0.6, 0.9)
    rows[1] |= {f"{name}_mark": 4.0, f"{name}_box": box}
    rows[2] |= {f"{name}_mark": 1.0, f"{name}_box": box}  # as much as scenes say now and then
    values, boxes = overlays(rows, THRESHOLD)
    assert values[1] > 0.8
    assert boxes[1] == box
    others = np.arange(len(rows)) != 1
    assert np.array_equal(values[others], before[others], equal_nan=True)
    assert [overlays([row], THRESHOLD)[0][0] > THRESHOLD for row in rows[1:3]] == [True, False]
