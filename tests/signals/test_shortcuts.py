"""What is computed in a shorter way gives the numbers of the plain way."""

import math

import cv2
import numpy as np
import pytest

from wanprep.signals import bars, blur, compression, light, meter

RNG = np.random.default_rng(5)


def scene(height: int, width: int, sigma: float) -> np.ndarray:
    noise = cv2.GaussianBlur(RNG.normal(128, 60, (height, width)), (0, 0), sigma)
    return np.clip((noise - 128) * (1 + sigma) + 128, 0, 255).astype(np.uint8)


PICTURES = {
    "soft": scene(360, 640, 4.0),
    "crisp": scene(360, 640, 0.7),
    "odd": scene(201, 333, 1.5),
    "noise": RNG.integers(0, 256, (90, 120), np.uint8),
    "flat": np.full((60, 80), 17, np.uint8),
    "bars": np.tile(np.repeat(np.array([0, 255], np.uint8), 40), (64, 2)),
}


@pytest.mark.parametrize("name", PICTURES)
def test_the_steepest_pixels_are_exact(name):
    gray = PICTURES[name]
    dx, dy = (cv2.Sobel(gray, cv2.CV_16S, *order).astype(np.int64) for order in ((1, 0), (0, 1)))
    lengths = np.array([math.isqrt(v) for v in (dx * dx + dy * dy).ravel().tolist()])
    longest, steep = blur._steepest(*cv2.spatialGradient(gray))
    assert np.mean(lengths <= longest) >= 0.998
    assert longest == 0 or np.mean(lengths <= longest - 1) < 0.998
    long = np.sort(lengths)[math.ceil(0.995 * lengths.size) - 1]
    assert np.array_equal(steep.ravel() == 1, lengths >= max(long, longest / 3))


@pytest.mark.parametrize("name", PICTURES)
@pytest.mark.parametrize("share", [0.0, 0.5, 0.998, 0.999, 1.0])
def test_percentiles_are_the_nearest_rank(name, share):
    values = PICTURES[name]
    below = np.cumsum(np.bincount(values.ravel(), minlength=256))
    assert blur._percentile(values, share) == np.searchsorted(below, share * values.size)


@pytest.mark.parametrize("name", PICTURES)
def test_reblur_is_that_of_blurred_pictures(name):
    gray = PICTURES[name]
    worst = np.nan
    for right, down, count, _ in blur.DIRECTIONS:
        taps = np.ones(count)
        kernel = np.diag(taps)[::down].copy() if right and down else taps.reshape((-1, 1) if down else (1, -1))
        anchor = (-1, -1 if down >= 0 else (count - 1) // 2)  # an even count has no middle: one more lies behind
        sums = cv2.filter2D(gray.astype(np.float64), -1, kernel, anchor=anchor)
        both = []
        for values in (gray.astype(np.float64), sums):
            rows = values[::-1] if down < 0 else values
            height, width = rows.shape
            step = np.abs(rows[abs(down) :, right:] - rows[: height - abs(down), : width - right])
            both.append(step[::-1] if down < 0 else step)
        variation = count * both[0]
        lost = np.maximum(0, variation - both[1])
        total_IJ, lost_IJ = tile_means(variation), tile_means(lost)
        judged = total_IJ > count * 0.5
        if judged.any():
            worst = np.fmax(worst, np.quantile(1 - lost_IJ[judged] / total_IJ[judged], 0.1))
    assert blur.reblur(gray) == pytest.approx(worst, rel=1e-6, nan_ok=True)


def tile_means(values: np.ndarray) -> np.ndarray:
    columns, rows = blur.TILES
    y, x = (np.arange(n + 1) * size // n for n, size in ((rows, values.shape[0]), (columns, values.shape[1])))
    return np.array([[values[y[i] : y[i + 1], x[j] : x[j + 1]].mean() for j in range(columns)] for i in range(rows)])


@pytest.mark.parametrize("size", [(360, 640), (1080, 1920), (17, 1000), (33, 1)])
def test_line_percentiles_are_the_nearest_rank(size):
    luma = cv2.resize(RNG.integers(0, 256, (9, 16), np.uint8), size[::-1], interpolation=cv2.INTER_CUBIC)
    for axis in (0, 1):
        lines = luma if axis else luma.T
        part = lines[:, :: bars.line_step(lines.shape[1])]
        expected = np.sort(part, axis=1)[:, max(0, math.ceil(0.97 * part.shape[1]) - 1)]
        assert np.array_equal(bars.line_p97(luma, axis), expected)


def test_content_and_histogram_are_those_of_pyscenedetect():
    from scenedetect.common import FrameTimecode
    from scenedetect.detectors import ContentDetector, HistogramDetector

    detector, ours, last = ContentDetector(), meter.ShotMeter(), None
    for index in range(6):
        bgr = cv2.resize(RNG.integers(0, 256, (9, 16, 3), np.uint8), (256, 144), interpolation=cv2.INTER_CUBIC)
        numbers, _ = ours.feed(bgr)
        detector.process_frame(FrameTimecode(index, 25.0), bgr)
        histogram = HistogramDetector.calculate_histogram(bgr, bins=meter.HISTOGRAM_BINS)
        if last is None:
            assert math.isnan(numbers["content_val"])
            assert math.isnan(numbers["hist_diff"])
        else:
            assert numbers["content_val"] == detector._frame_score
            assert numbers["hist_diff"] == pytest.approx(cv2.compareHist(last, histogram, cv2.HISTCMP_CORREL), abs=1e-3)
        last = histogram


def test_luma_given_is_luma_computed():
    bgr = RNG.integers(0, 256, (144, 256, 3), np.uint8)
    alone, _ = meter.ShotMeter().feed(bgr)
    given, _ = meter.ShotMeter().feed(bgr, cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY))
    assert alone == pytest.approx(given, nan_ok=True, rel=0, abs=0)


def test_noise_comes_from_the_smoothest_third():
    half = np.concatenate([scene(300, 300, 0.6), np.clip(RNG.normal(128, 3, (300, 600)), 0, 255)], axis=1)
    assert compression.noise_sigma(half.astype(np.uint8)) == pytest.approx(3, abs=0.4)


@pytest.mark.parametrize("count", [1, 2, 11, 24])
def test_the_tenth_of_a_few_numbers(count):
    values = RNG.random(count)
    assert blur._tenth(values) == pytest.approx(np.quantile(values, 0.1), rel=1e-12)


@pytest.mark.parametrize("count", [1, 2, 5, 1000])
def test_quantiles_of_logarithms(count):
    ratios = np.random.default_rng(count).lognormal(0, 0.3, count).astype(np.float32)
    for share in (0.25, 0.5, 0.75):
        plain = np.quantile(np.log(ratios), share)
        assert light._log_quantile(np.sort(ratios), share) == pytest.approx(plain, abs=1e-6)
