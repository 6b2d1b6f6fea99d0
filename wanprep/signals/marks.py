"""How likely something was drawn over one clip: a watermark, logo, caption or frame.

What was drawn stays in place to the pixel while the rest moves, and looks drawn: letters, outlines, corners. A small
convolutional network judges both together, on what stood still in a few thumbnails. No rule of our own came near it
(docs/decisions/0003-marks-by-a-network.md). It was also shown every shot as if the camera stood still. Its 41,000
weights lie beside this file, were trained by tests/benchmarks/train_marks.py, and are run here with numpy, so that no
worker needs torch.

Shape legend: M thumbnails, h x w their size, C channels, H x W a layer's size.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

WEIGHTS = Path(__file__).with_name("marks.safetensors")
WIDTH = 256  # of the thumbnails it was trained on
BOLD, FAINT = 1.6, 2.4  # an edge of one primary colour counts where it is so many times, and levels, that of luma
BEST = 12  # places whose mean is the score of several scenes
MOST = 18  # that of one clip: feet on a branch or the end of a twig are fewer
MAX_THUMBS = 8  # more change nothing but the time
PLAIN = 3.0  # log-odds of one clip above this say no more of its source: a title in one scene is none in all
OWN, ALONE = 0.8, 2.0  # share of a clip's own look; how far it may exceed that of the other scenes

Weights = dict[str, np.ndarray]
Box = tuple[float, float, float, float]


def mark(thumbs_MhwC: np.ndarray, weights: Weights | None = None) -> tuple[float, Box | None]:
    """(log-odds of an overlay, its box) of uint8[M, h, w, 3] BGR thumbnails of one clip, about 256 px wide.

    Log-odds are NaN without two thumbnails of some size; 0 is undecided (training showed marks as often as not). The
    box, (left, top, right, bottom) in fractions of the frame, is None unless they are above 0. weights: others than
    the shipped ones, see `load`.
    """
    return judged(places(thumbs_MhwC, weights))


def judged(places_HW: np.ndarray | None) -> tuple[float, Box | None]:
    """What `mark` says, from what `places` found."""
    if places_HW is None:
        return math.nan, None
    odds = mean_of_best(places_HW, MOST)
    return odds, box_of(places_HW) if odds > 0 else None


def mean_of_best(places_HW: np.ndarray, count: int) -> float:
    return float(np.partition(places_HW.ravel(), -count)[-count:].mean())


def box_of(places_HW: np.ndarray) -> Box:
    """Bounding box of the places at least half as high as the best, which is above 0."""
    return box_around(places_HW >= 0.5 * places_HW.max())


def box_around(chosen_HW: np.ndarray) -> Box:
    """Bounding box of the places that are chosen (bool), one at least; to a thousandth of the frame."""
    rows, columns = np.nonzero(chosen_HW)
    height, width = chosen_HW.shape
    edges = columns.min() / width, rows.min() / height, (columns.max() + 1) / width, (rows.max() + 1) / height
    left, top, right, bottom = (round(float(edge), 3) for edge in edges)
    return left, top, right, bottom


def common(places_NIJ: Sequence[np.ndarray], scenes: Sequence[int]) -> tuple[tuple[float, ...], Box | None]:
    """(log-odds of a mark on each clip, box of it) by the places that speak for one in all scenes.

    places_NIJ: of each clip, [0, 0] where nothing could be judged, and NaN is said. scenes: indices of clips of
    different scenes, by whose mean the places are chosen. A clip's own look counts OWN, as far as the other scenes
    bear it out. All NaN, and no box, below two scenes.
    """
    scenes = [k for k in scenes if places_NIJ[k].size]
    n = len(scenes)
    if n < 2:
        return (math.nan,) * len(places_NIJ), None
    seen = [k for k, p in enumerate(places_NIJ) if p.size]
    height, width = np.min([places_NIJ[k].shape for k in seen], axis=0)  # thumbnails may differ by a row
    mean_IJ = np.mean([np.minimum(places_NIJ[k][:height, :width], PLAIN) for k in scenes], axis=0)
    best = np.argpartition(mean_IJ.ravel(), -BEST)[-BEST:]
    joint = mean_IJ.ravel()[best].mean()
    rows, columns = np.divmod(best, width)
    own = np.full(len(places_NIJ), math.nan)
    own[seen] = np.minimum([places_NIJ[k][rows, columns] for k in seen], PLAIN).mean(axis=1)
    others = np.full(len(own), joint)
    others[scenes] = (n * joint - own[scenes]) / (n - 1)
    looks = OWN * np.minimum(own, others + ALONE) + (1 - OWN) * joint
    if mean_IJ.max() <= 0:  # faint: the best places alone
        mean_IJ = np.where(mean_IJ >= mean_IJ.ravel()[best].min(), 1.0, 0.0)
    return tuple(looks.tolist()), box_of(mean_IJ)


def places(thumbs_MhwC: np.ndarray, weights: Weights | None = None) -> np.ndarray | None:
    """float32[about h/4, 64]: log-odds by which each place speaks for a mark; None where `mark` says NaN.

    The mean of what the network says of them as they are and in a mirror: of things that merely look like letters, it
    says less alike.
    """
    if len(thumbs_MhwC) < 2 or min(thumbs_MhwC.shape[1:3]) < 32:
        return None
    thumbs_MhwC = thumbs_MhwC[chosen(len(thumbs_MhwC))]
    return looked(maps(lumas(thumbs_MhwC), primaries(thumbs_MhwC)), weights)


def chosen(count: int) -> np.ndarray:
    """Which of so many thumbnails are looked at."""
    return np.arange(count) if count <= MAX_THUMBS else np.linspace(0, count - 1, MAX_THUMBS).astype(int)


def looked(
    x: np.ndarray, weights: Weights | None = None, least: float = -math.inf, count: int = MOST
) -> np.ndarray | None:
    """What the network says of `maps` as they are and in a mirror; None where the mean of its best places (count) does
    not exceed `least` as they are."""
    w = weights or _shipped()
    places = network(x, w)
    if mean_of_best(places, count) <= least:
        return None
    mirrored = np.ascontiguousarray(x[:, :, ::-1])
    mirrored[0] *= -1  # the gradient across
    return (network(mirrored, w)[:, ::-1] + places) / 2


def network(x: np.ndarray, w: Weights) -> np.ndarray:
    """Log-odds by which each place speaks for a mark, of `maps`."""
    whole = w["g.weight"] @ np.concatenate([x.mean(axis=(1, 2)), x.std(axis=(1, 2), ddof=1)]) + w["g.bias"]
    y = conv(x, w, "a", stride=2)
    y = conv(y, w, "b")
    y = conv(y, w, "c", stride=2)
    y = np.maximum(conv(y, w, "d", dilation=2, relu=False) + y, 0.0)
    y = np.maximum(conv(y, w, "e", dilation=4, relu=False) + y + whole[:, None, None], 0.0)
    y = np.maximum(conv(y, w, "f", dilation=8, relu=False) + y, 0.0)
    return np.tensordot(w["o.weight"][0, :, 0, 0], y, axes=1) + w["o.bias"][0] + w["bias"][0]


def lumas(thumbs_MhwC: np.ndarray, width: int = WIDTH) -> list[np.ndarray]:
    """Of BGR thumbnails, so wide."""
    import cv2

    thumbs_Mhw = [cv2.cvtColor(thumb, cv2.COLOR_BGR2GRAY) for thumb in thumbs_MhwC]
    return _sized(thumbs_Mhw, width)


def primaries(thumbs_MhwC: np.ndarray, width: int = WIDTH) -> list[list[np.ndarray]]:
    """Blue, green and red of BGR thumbnails, so wide: what is as bright as the scene differs in one of them."""
    import cv2

    return [_sized(plane, width) for plane in zip(*(cv2.split(thumb) for thumb in thumbs_MhwC))]


def _sized(pictures: Sequence[np.ndarray], wide: int) -> list[np.ndarray]:
    import cv2

    if not pictures or pictures[0].shape[1] == wide:
        return list(pictures)
    height, width = pictures[0].shape
    size = wide, round(height * wide / width)
    return [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in pictures]


def gradients(pictures: Sequence[np.ndarray]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Across and down, levels a pixel, of lumas as float32."""
    import cv2

    across, down = (
        [cv2.Sobel(p, cv2.CV_32F, *order, scale=0.25, borderType=cv2.BORDER_REPLICATE) for p in pictures]
        for order in ((1, 0), (0, 1))
    )
    return across, down


def maps(thumbs_Mhw: Sequence[np.ndarray], colours: Sequence[Sequence[np.ndarray]] = ()) -> np.ndarray:
    """float32[8, h, w]: lasting gradient across and down, how lasting it is, fine and coarse motion, luma, strength of
    the lasting gradient, and how far even the thumbnail that shows least of it does.

    colours: of `primaries`; their gradients take the place of luma's where they are much stronger.
    """
    import cv2

    frames = [thumb.astype(np.float32) for thumb in thumbs_Mhw]
    across, down = gradients(frames)
    kept_x, kept_y = middle(across), middle(down)
    limit = BOLD * np.sqrt(kept_x * kept_x + kept_y * kept_y) + FAINT
    for plane in colours:
        _put_bold((across, down, kept_x, kept_y), plane, limit)
    energy = kept_x * kept_x + kept_y * kept_y
    strength = np.sqrt(energy)
    moving = sum(np.sqrt((x - kept_x) ** 2 + (y - kept_y) ** 2) for x, y in zip(across, down)) / len(frames)
    least = functools.reduce(np.minimum, (x * kept_x + y * kept_y for x, y in zip(across, down)))
    soft = [cv2.blur(f, (9, 9)) for f in frames]
    mean = sum(soft) / len(soft)
    spread = np.sqrt(sum((f - mean) ** 2 for f in soft) / len(soft))
    return np.stack([
        2 * kept_x / (strength + 4), 2 * kept_y / (strength + 4), 4 * strength / (strength + moving + 1) - 2,
        np.log(moving + 0.3) - 1, np.log(spread + 0.3) - 1.5, middle(frames) / 64 - 2,
        np.log(strength + 0.3) - 1, 2 * np.clip(least / (energy + 16), -1, 1),
    ]).astype(np.float32)  # fmt: skip


def _put_bold(edges: tuple[Any, Any, Any, Any], plane: Sequence[np.ndarray], limit: np.ndarray) -> None:
    """Put the gradients of a colour (each across and down, lasting across and down) where the lasting one exceeds the
    limit, which it raises (all in place)."""
    pictures = [picture.astype(np.float32) for picture in plane]
    mean = functools.reduce(np.add, pictures) / len(pictures)
    (mean_x,), (mean_y,) = gradients([mean])  # of what stays, it is that of each picture
    if not (mean_x * mean_x + mean_y * mean_y > limit * limit).any():
        return
    across, down = gradients(pictures)
    kept_x, kept_y = middle(across), middle(down)
    strength = np.sqrt(kept_x * kept_x + kept_y * kept_y)
    bold = strength > limit
    for old, new in zip((*edges[0], *edges[1], *edges[2:], limit), (*across, *down, kept_x, kept_y, strength)):
        np.copyto(old, new, where=bold)


def middle(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Median of pictures by comparing neighbours: several times faster than numpy's over so few."""
    rows, count = list(pictures), len(pictures)
    for turn in range(count):
        for i in range(turn % 2, count - 1, 2):
            rows[i], rows[i + 1] = np.minimum(rows[i], rows[i + 1]), np.maximum(rows[i], rows[i + 1])
    return (rows[(count - 1) // 2] + rows[count // 2]) / 2


def conv(x_CHW: np.ndarray, w: Weights, layer: str, stride: int = 1, dilation: int = 1, relu: bool = True):
    """Convolution that keeps the size (or halves it, rounding up), as one matrix product."""
    kernel = w[f"{layer}.weight"]
    reach = kernel.shape[-1]
    pad = dilation * (reach // 2)
    padded = np.pad(x_CHW, ((0, 0), (pad, pad), (pad, pad)))
    rows, columns = (-(-size // stride) for size in x_CHW.shape[1:])
    patches = np.empty((x_CHW.shape[0], reach, reach, rows, columns), np.float32)
    for i in range(reach):
        for j in range(reach):
            top, left = i * dilation, j * dilation
            patches[:, i, j] = padded[:, top : top + stride * rows : stride, left : left + stride * columns : stride]
    out = kernel.reshape(len(kernel), -1) @ patches.reshape(-1, rows * columns) + w[f"{layer}.bias"][:, None]
    return (np.maximum(out, 0.0) if relu else out).reshape(-1, rows, columns)


def load(path: Path) -> Weights:
    """Weights as float32, of a file by train_marks.py. OSError when it is not there."""
    from safetensors.numpy import load_file

    return {name: value.astype(np.float32) for name, value in load_file(path).items()}


@functools.cache
def _shipped() -> Weights:
    return load(WEIGHTS)
