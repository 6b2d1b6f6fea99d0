"""Drawn shots are told from filmed ones, and by a second look marks from what is drawn anyway."""

import itertools
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from wanprep.signals import drawn, marks, screens, second_look
from wanprep.stages.overlays import BOTH, FIRST

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

from drawn_places import place, street
from ink import HEIGHT, WIDTH
from made_shots import SHOTS

H, W = 144, 256


def word() -> np.ndarray:
    view = np.zeros((30, 120), np.uint8)
    cv2.putText(view, "Bakery", (2, 24), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 255, 2, cv2.LINE_AA)
    return view


def small(shot: np.ndarray) -> np.ndarray:
    return np.stack([cv2.resize(picture, (W, H), interpolation=cv2.INTER_AREA) for picture in shot])


def cartoon(seed: int, backdrop=street) -> np.ndarray:
    return place(np.random.default_rng([55, seed]), 6, word, backdrop=backdrop)


def marked(shot: np.ndarray) -> np.ndarray:
    """With a name and a badge at the lower right."""
    out = shot.copy()
    for picture in out:
        cv2.circle(picture, (392, 262), 13, (40, 60, 220), -1, cv2.LINE_AA)
        cv2.circle(picture, (392, 262), 8, (255, 255, 255), 2, cv2.LINE_AA)
        cv2.putText(picture, "tooncast", (410, 268), cv2.FONT_HERSHEY_DUPLEX, 0.6, (255, 255, 255), 1, cv2.LINE_AA)
    return out


def filmed(seed: int) -> np.ndarray:
    """Soft light and grain under a camera that drifts."""
    rng = np.random.default_rng(seed)
    ground = rng.uniform(20, 220, (18, 32, 3)).astype(np.float32)
    ground = cv2.GaussianBlur(cv2.resize(ground, (340, 200), interpolation=cv2.INTER_CUBIC), (0, 0), 3)
    ground += cv2.GaussianBlur(rng.normal(0, 25, ground.shape).astype(np.float32), (0, 0), 1.2)
    views = [ground[3 * k : 3 * k + H, 5 * k : 5 * k + W] + rng.normal(0, 3, (H, W, 1)) for k in range(6)]
    return np.clip(views, 0, 255).astype(np.uint8)


def test_cartoons_are_drawn_and_grain_and_soft_light_are_not():
    assert np.mean([drawn.drawn(screens.evidence(small(cartoon(k)))) > drawn.DRAWN for k in range(12)]) > 0.8
    assert not any(drawn.drawn(screens.evidence(filmed(k))) > drawn.DRAWN for k in range(6))


def test_a_mark_over_a_cartoon_is_told_from_what_is_drawn_in_it():
    shots = [cartoon(k) for k in range(10)]
    plain = [second_look.mark(small(shot))[0] for shot in shots]
    under = [second_look.mark(small(marked(shot)))[0] for shot in shots]
    assert np.mean(np.array(under) > np.array(plain) + 2) > 0.8
    assert np.median(plain) < 0 < np.median(under)
    both = [odds + min(marks.mark(small(shot))[0], FIRST) for odds, shot in zip(plain, shots)]
    assert sum(odds > BOTH[True] for odds in both) <= 1


def test_its_box_is_around_the_mark():
    found = [second_look.mark(small(marked(cartoon(k))))[1] for k in range(10)]
    inside = [box for box in found if box and box[0] > 0.55 and box[1] > 0.7]
    assert len(inside) >= 7


def test_two_thumbnails_are_too_few_and_nothing_is_asked_of_what_is_plain_or_a_card():
    assert math.isnan(second_look.mark(small(cartoon(0))[:2])[0])
    assert second_look.asked(1.0, math.nan, 0.0)
    assert second_look.asked(-5.0, 1.0, 0.0)
    assert not second_look.asked(-2.0, -2.0, 0.0)
    assert not second_look.asked(5.0, 5.0, 0.9)
    assert not second_look.asked(math.nan, math.nan, math.nan)


@pytest.mark.parametrize("size", [(106, 256), (256, 144), (143, 255), (454, 256)])
def test_any_shape_gives_a_number(size):
    thumbs = np.stack([cv2.resize(view, size[::-1]) for view in cartoon(1)])
    odds, _ = second_look.mark(thumbs)
    assert math.isfinite(odds)


@pytest.mark.parametrize("count", [3, 4, 5])
def test_training_computes_the_same_maps_and_layers(count):
    import torch
    from train_second_look import Network, maps

    thumbs = small(marked(cartoon(3)))[:count]
    x, y = second_look.maps(thumbs), maps(torch.from_numpy(thumbs).float()[None])
    assert np.mean(np.abs(x - y[0].numpy()) > 0.01) < 1e-3  # where two gradients are as strong, either may be taken
    torch.manual_seed(count)
    net = Network().eval()
    weights = {name: value.numpy() for name, value in net.state_dict().items()}
    with torch.no_grad():
        places, shot = net(torch.from_numpy(x)[None])
    ours = second_look._network(x, weights)
    np.testing.assert_allclose(ours, places[0].numpy(), atol=1e-4)
    assert marks.mean_of_best(ours, second_look.MOST) == pytest.approx(shot.item(), abs=1e-4)


def test_training_goes_downhill(monkeypatch):
    import queue

    import torch
    import train_second_look as trained

    monkeypatch.setattr(trained, "BATCH", 4)
    monkeypatch.setattr(trained, "WIDE", (4, 6, 8))
    monkeypatch.setattr(trained, "SHOTS", {"cpu": (64, 32)})
    clock = itertools.count(1)  # 30 steps, however slow the machine is
    monkeypatch.setattr(trained, "time", SimpleNamespace(time=lambda: next(clock), sleep=lambda _: None))
    rng, came = np.random.default_rng(1), queue.Queue()
    shots = np.stack([small(cartoon(k))[: trained.COUNT] for k in range(16)])
    badges = np.zeros((8, H, W, 4), np.uint8)
    for badge in badges:
        y, x = rng.integers(20, H - 20), rng.integers(20, W - 20)
        badge[y - 9 : y + 9, x - 9 : x + 9] = 255
    for _ in range(4):
        came.put((shots, badges))
    torch.manual_seed(0)
    net, losses, ask = trained.Network(), [], trained.loss_of

    def noted(*args):
        losses.append(float((loss := ask(*args)).detach()))
        return loss

    monkeypatch.setattr(trained, "loss_of", noted)
    mean = trained.fit(net, came, "cpu", 30, 2e-3)
    assert set(mean) == set(net.state_dict())
    assert len(losses) == 30
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


@pytest.mark.parametrize("name", SHOTS)
def test_made_up_shots_are_whole_the_same_for_one_seed_and_mostly_move(name):
    shots = [SHOTS[name](np.random.default_rng([9, k]), 2 + k % 4, word) for k in range(3)]
    assert {shot.shape[1:] for shot in shots} == {(HEIGHT, WIDTH, 3)}
    assert [len(shot) for shot in shots] == [2, 3, 4]
    assert all(shot.dtype == np.uint8 and shot.std() > 5 for shot in shots)
    assert any((shot[0] != shot[-1]).any() for shot in shots)
    assert (shots[1] == SHOTS[name](np.random.default_rng([9, 1]), 3, word)).all()
