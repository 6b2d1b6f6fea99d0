"""Colours of a set made alike: what moves, how far, and what stays."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from movies import SETTINGS, options, wanprep

from wanprep.dataset import Dataset
from wanprep.media.probe import probe
from wanprep.media.read import open_video
from wanprep.stages import colour
from wanprep.stages.colour import ColourConfig, apply, measure, transform, transforms


def _scene(seed: int, gain: float = 1.0, tint: tuple[int, int, int] = (0, 0, 0)) -> np.ndarray:
    """uint8 [3, 36, 64, 3] RGB: blobs of colour, graded."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(60, 190, (3, 4, 6, 3))
    picture = coarse.repeat(9, axis=1).repeat(11, axis=2)[:, :36, :64]
    return np.clip((picture - 125) * gain + 125 + np.array(tint), 0, 255).astype(np.uint8)


def _row(name: str, rgb: np.ndarray, **more) -> dict:
    own = {"clip_id": name, "source_id": name, "group": "g", "kind": "video", "n_frames": 30}
    return own | {"colour": measure(rgb[..., ::-1])} | more


def test_measuring_agrees_with_the_definition_and_ignores_black_bars():
    rgb = _scene(1, tint=(20, 0, -10))
    r, g, b = (rgb[..., i].astype(float) for i in range(3))
    luma = 0.2126 * r + 0.7152 * g + 0.0722 * b
    cb, cr = (b - luma) / 1.8556, (r - luma) / 1.5748
    found = measure(rgb[..., ::-1])
    wanted = [luma.mean(), cb.mean(), cr.mean(), luma.std(), np.hypot(cb.std(), cr.std())]
    assert found == pytest.approx(wanted, abs=0.02)
    barred = np.zeros((3, 60, 80, 3), np.uint8)
    barred[:, 12:48, 8:72] = rgb
    assert measure(barred[..., ::-1]) == pytest.approx(found, abs=0.02)
    assert measure(np.zeros((2, 36, 64, 3), np.uint8)) is None
    assert measure(np.zeros((0, 36, 64, 3), np.uint8)) is None


def test_sources_that_were_graded_differently_come_together_and_a_third_of_the_way_is_a_third():
    grades = {"a": (1.0, (0, 0, 0)), "b": (0.85, (14, 4, -10)), "c": (1.1, (-10, 2, 12))}
    scenes = {name: _scene(7, *grade) for name, grade in grades.items()}
    rows = [_row(name, rgb) for name, rgb in scenes.items()]

    def spread(match: float) -> np.ndarray:
        moved = transforms(rows, ColourConfig(match=match))
        found = [
            measure(np.stack([apply(picture, moved.get(name)) for picture in rgb])[..., ::-1])
            for name, rgb in scenes.items()
        ]
        return np.ptp(np.array(found), axis=0)

    before, part, after = spread(0.0), spread(1 / 3), spread(1.0)
    assert (before > 4).all()
    assert (after < 1.0).all(), after
    assert part == pytest.approx(before * 2 / 3, abs=1.2)


def test_scenes_of_one_source_keep_their_difference():
    bright, dark = _scene(1), (_scene(2) * 0.6).astype(np.uint8)
    other = _scene(3, tint=(10, 10, 10))
    rows = [_row("day", bright, source_id="film"), _row("night", dark, source_id="film"), _row("other", other)]
    moved = transforms(rows, ColourConfig(match=1.0))
    assert moved["day"] == moved["night"]
    means = [measure(np.stack([apply(p, moved["day"]) for p in rgb])[..., ::-1])[0] for rgb in (bright, dark)]
    assert means[0] - means[1] > 30


def test_black_and_white_gets_no_tint_and_says_nothing_of_that_of_others():
    gray = np.repeat(_scene(4)[..., :1], 3, axis=3)
    warm, cold = _scene(1, tint=(20, 0, -16)), _scene(1, tint=(12, 0, -4))
    rows = [_row("warm", warm), _row("cold", cold)]
    alone = transforms(rows, ColourConfig(match=1.0))
    rows += [_row(f"gray {n}", (gray * (0.7 + 0.1 * n)).astype(np.uint8)) for n in range(3)]
    moved = transforms(rows, ColourConfig(match=1.0))
    picture = apply(gray[0], moved["gray 0"])
    assert (picture != gray[0]).any()  # its light is moved like any other's
    assert int(np.ptp(picture.astype(int), axis=2).max()) <= 1

    def tint(matrix) -> np.ndarray:
        return np.array(measure(apply(warm[0], matrix)[None, ..., ::-1]))[1:3]

    assert tint(moved["warm"]) == pytest.approx(tint(alone["warm"]), abs=0.5)  # was towards no colour at all


def test_nothing_moves_when_off_alone_unknown_or_alike():
    rows = [_row("a", _scene(1)), _row("b", _scene(1, tint=(20, 0, 0)))]
    assert transforms(rows, ColourConfig()) == {}
    assert transforms(rows[:1], ColourConfig(match=1.0)) == {}
    assert transforms([_row("a", _scene(1)), _row("b", _scene(1))], ColourConfig(match=1.0)) == {}
    unknown = rows[1] | {"clip_id": "c", "source_id": "c", "colour": None}
    assert set(transforms([*rows, unknown], ColourConfig(match=1))) == {"a", "b"}
    picture = _scene(1)[0]
    assert apply(picture, None) is picture
    with pytest.raises(ValueError, match="match"):
        ColourConfig(match=1.5)


@settings(max_examples=60, deadline=None)
@given(
    own=st.tuples(st.floats(20, 230), st.floats(-60, 60), st.floats(-60, 60), st.floats(0, 80), st.floats(0, 60)),
    middle=st.tuples(st.floats(20, 230), st.floats(-60, 60), st.floats(-60, 60), st.floats(0, 80), st.floats(0, 60)),
    match=st.floats(0, 1),
)
def test_a_move_is_limited_and_rounded(own, middle, match):
    matrix = transform(np.array(own), np.array(middle), match)
    if matrix is None:
        return
    moved = np.array(matrix).reshape(3, 4)
    ycc = colour.YCC @ moved[:, :3] @ colour.RGB
    assert (np.linalg.svd(ycc)[1] < colour.GAIN + 0.05).all()
    centre = colour.RGB @ np.array(own[:3])
    shift = colour.YCC @ (moved[:, :3] @ centre + moved[:, 3] - centre)
    assert (np.abs(shift) <= colour.SHIFT + 1.5).all()
    assert (moved[:, :3] * 256 == np.round(moved[:, :3] * 256)).all()


def _film(path: Path, tint: tuple[int, int, int], seed: int) -> None:
    import av

    rng = np.random.default_rng(seed)
    coarse = rng.uniform(70, 180, (9, 16, 3)).repeat(8, axis=0).repeat(8, axis=1)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=16, options={"crf": "12"})
        stream.width, stream.height, stream.pix_fmt = 128, 72, "yuv420p"
        for number in range(24):
            picture = np.roll(coarse, 2 * number, axis=1) + np.array(tint)
            frame = av.VideoFrame.from_ndarray(np.clip(picture, 0, 255).astype(np.uint8), format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))


def test_the_written_files_are_alike_and_only_they_are_made_again(tmp_path: Path) -> None:
    movies = tmp_path / "movies"
    movies.mkdir()
    _film(movies / "warm.mp4", (16, 0, -12), 5)
    _film(movies / "cold.mp4", (-14, 0, 14), 5)
    # Its squares are 8 pixels wide, as a coarse coder would leave them.
    off = (
        "filter.duplicate.enabled=false",
        "filter.compression.enabled=false",
        'views=[{name="v",resolution=[64,32],frames=[17]}]',
    )
    out = tmp_path / "set"
    base = options(out, (*SETTINGS, *off))

    def tints() -> dict[str, np.ndarray]:
        opened = Dataset.open(out)
        found = {}
        for row in opened.manifest.read("samples").filter(pl.col("state") == "ok").to_dicts():
            path = out / row["media_path"]
            with open_video(path, probe(path)) as reader:
                found[row["source_id"]] = np.mean([f.rgb(64, 32).mean(axis=(0, 1)) for f in reader.frames()], axis=0)
        return found

    wanprep("run", str(movies), *base)
    before = list(tints().values())
    assert len(before) == 2
    assert np.abs(before[0] - before[1]).max() > 20
    measured = {name: len(Dataset.open(out).manifest.read(name)) for name in ("signals", "shots", "scores")}
    wanprep("run", str(movies), *base, "--set", "colour.match=1")
    after = list(tints().values())
    assert np.abs(after[0] - after[1]).max() < 3
    assert {name: len(Dataset.open(out).manifest.read(name)) for name in measured} == measured
