"""Dissolves found by trying every span: through motion, never over cuts, and from covariances what pictures say."""

import cv2
import numpy as np
import pytest

from wanprep.signals import dissolves, mixing, paces, pictures, spans
from wanprep.signals.meter import FIELDS, ShotMeter
from wanprep.signals.one_layer import weights
from wanprep.signals.pictures import Pictures
from wanprep.signals.rules import GradualRules

H, W = 12, 16
WARM, COLD = np.array([0.9, 1.0, 1.1]), np.array([1.08, 1.0, 0.94])  # gains of blue, green, red
Numbers = dict[str, np.ndarray]


def scene(rng: np.random.Generator, n: int, pace: float = 0.06, contrast: float = 40.0) -> np.ndarray:
    """float32[n, H, W]: a camera that moves `pace` places a frame over a soft picture."""
    wide = rng.normal(0, 1, (H, 200))
    for _ in range(2):
        wide = (wide + np.roll(wide, 1, 1) + np.roll(wide, -1, 1) + np.roll(wide, 1, 0)) / 2
    wide = 120 + contrast * wide / wide.std()
    at = pace * np.arange(n)
    low = at.astype(int)
    share = (at - low)[:, None, None]
    left, right = (np.stack([wide[:, k + d : k + d + W] for k in low]) for d in (0, 1))
    return (left * (1 - share) + right * share).astype(np.float32)


def mixed(seed: int, n: int = 120, at: int = 50, length: int = 20) -> tuple[Pictures, Numbers]:
    """Two moving scenes of two tones and a dissolve of frames at..at + length - 1; pictures and numbers of frames."""
    rng = np.random.default_rng(seed)
    old, new = scene(rng, n), scene(rng, n, 0.1)
    share = np.clip((np.arange(n) - at + 1) / (length + 1), 0, 1)[:, None, None, None]
    return stored(old[..., None] * WARM * (1 - share) + new[..., None] * COLD * share)


def stored(frames: np.ndarray) -> tuple[Pictures, Numbers]:
    """Of frames float32[n, H, W] or, in colour, [n, H, W, 3]."""
    frames = frames if frames.ndim == 4 else np.repeat(frames[..., None], 3, axis=-1)
    meter, rows, tiny = ShotMeter(), [], []
    for frame in np.clip(frames.round(), 0, 255).astype(np.uint8):
        numbers, small = meter.feed(cv2.resize(frame, (128, 96)))
        rows.append(numbers)
        tiny.append(small)
    frame = {name: np.array([row[name] for row in rows], np.float32) for name in FIELDS}
    return Pictures(np.stack(tiny).reshape(len(tiny), -1)), frame


def found(T: Pictures, frame: Numbers, cuts: tuple[int, ...] = (), free: np.ndarray | None = None, **rules: float):
    free = np.ones(len(T), bool) if free is None else free
    asked = GradualRules(**{"scan_doubt": 1.5, **rules})  # only what is sure, if nothing else is said
    return dissolves.find_dissolves(T, frame, 24.0, asked, cuts, free)


@pytest.mark.parametrize("seed", range(6))
def test_finds_a_dissolve_while_both_cameras_move(seed: int) -> None:
    mixes = found(*mixed(seed))
    assert [mix.kind for mix in mixes] == ["dissolve"]
    assert abs(mixes[0].first - 50) <= 4
    assert abs(mixes[0].last - 69) <= 4


@pytest.mark.parametrize("pace", [0.0, 0.06, 0.3])
def test_a_camera_alone_is_no_dissolve(pace: float) -> None:
    for seed in range(3):
        assert not found(*stored(scene(np.random.default_rng(seed), 120, pace)))


def test_nothing_spans_a_cut_and_nothing_lies_in_frames_that_are_not_free() -> None:
    T, frame = mixed(1)
    assert all(not mix.first <= 60 <= mix.last for mix in found(T, frame, cuts=(60,), scan_doubt=-9.0, scan_odds=-8.0))
    free = np.ones(len(T), bool)
    free[55:58] = False
    for mix in found(T, frame, free=free, scan_doubt=-9.0, scan_odds=-8.0):
        assert free[mix.first : mix.last + 1].all()
    assert free.sum() == len(T) - 3  # left as it was


def test_less_evidence_is_a_doubt_and_still_less_nothing() -> None:
    T, frame = mixed(2)
    odds = found(T, frame)[0].fitness
    assert found(T, frame, scan_odds=odds + 0.1)[0].kind == "doubtful"
    assert not found(T, frame, scan_odds=odds + 0.2, scan_doubt=odds + 0.1)


def test_short_films() -> None:
    for n in (1, 2, 4):
        assert not found(*stored(scene(np.random.default_rng(0), 120)[:n]))


@pytest.mark.parametrize("span", [(49, 70), (10, 13), (0, 30), (90, 119)])
def test_covariances_say_what_pictures_say(span: tuple[int, int]) -> None:
    T, frame = mixed(3)
    edges = frame["edge_energy"]
    near = spans.Near(T)
    got, want = dissolves.evidence(near, edges, *span), mixing.evidence(T, edges, *span)
    assert {name: got[name] for name in want} == pytest.approx(want, abs=2e-3)
    steps = mixing.rms(T[span[0] + 1 : span[1] + 1] - T[span[0] : span[1]])
    assert near.steps(*span) == pytest.approx(steps, abs=1e-2)


def test_spans_do_not_depend_on_where_parts_end(monkeypatch: pytest.MonkeyPatch) -> None:
    T, frame = mixed(4, n=400, at=190)
    blocked = np.zeros(len(T) + 1, np.int64)

    def tried() -> list[tuple[int, int]]:
        return spans.likely_spans(T, frame["edge_energy"], blocked, 72, -3.0, min_change=10.0, max_likeness=0.85)

    whole = tried()
    monkeypatch.setattr(pictures, "PASS", 70)
    assert tried() == whole
    assert whole
    assert any(abs(s - 189) <= 5 and abs(e - 210) <= 5 for s, e in whole)


def test_blocked_frames_are_in_no_span() -> None:
    T, frame = mixed(4)
    inside = np.zeros(len(T), bool)
    inside[60] = True
    blocked = np.concatenate([[0], np.cumsum(inside)])
    tried = spans.likely_spans(T, frame["edge_energy"], blocked, 72, -6.0, min_change=5.0, max_likeness=1.0)
    assert tried
    assert not any(s <= 60 <= e for s, e in tried)


def test_the_weights_fit_what_is_asked() -> None:
    w = weights(dissolves.FILE)
    assert w["mean"].shape == w["scale"].shape == (len(dissolves.NAMES),)
    assert w["hidden"].shape == (len(dissolves.NAMES), len(w["bias"]))
    assert w["out"].shape == w["bias"].shape
    assert dissolves.network([]) == []
    far = dict.fromkeys(dissolves.NAMES, 1e9)  # evidence beyond all that was ever seen saturates
    assert np.isfinite(dissolves.network([far])).all()


def test_colour_that_goes_straight_speaks_for_a_mix_and_colour_that_drifts_on_against_it() -> None:
    _, frame = mixed(5)
    own, wide = paces.colours(frame, 49, 70), paces.colours(frame, 40, 61)
    assert np.exp(own["colour"]) > 10  # levels
    assert own["colour_uneven"] < wide["colour_uneven"] - 0.5
    assert own["colour_beside"] < wide["colour_beside"] - 0.5
    grey = {**frame, "red": frame["luma_mean"], "blue": frame["luma_mean"]}
    assert paces.colours(grey, 49, 70)["colour"] == pytest.approx(np.log(0.5))


def test_paces_are_those_of_the_span_and_of_its_sides() -> None:
    frame = {name: np.full(60, still, np.float32) for name, still in paces.STEPS.items()} | {"red": np.zeros(60)}
    frame["content_val"][21:31] = 9.5
    frame["content_val"][0] = np.nan
    told = paces.paces(frame, 20, 30)
    assert told["content_val_inside"] == pytest.approx(np.log(10.0))
    assert told["content_val_least_beside"] == told["content_val_most_beside"] == pytest.approx(np.log(0.05))
    assert told["match_inside"] == pytest.approx(np.log(0.02))
    assert paces.paces(frame, 0, 59).keys() == set(paces.PACES)  # nothing beside


@pytest.mark.parametrize("count", [1, 2, 3, 4, 75])
def test_medians_of_a_few_numbers_are_those_of_numpy(count: int) -> None:
    values = np.random.default_rng(count).normal(50, 20, count)
    assert mixing.median(values) == np.median(values)
    assert mixing.median(values.astype(np.float32)) == pytest.approx(np.median(values), rel=1e-6)
