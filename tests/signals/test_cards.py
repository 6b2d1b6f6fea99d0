"""Title cards are told from plain pictures that only look like them."""

import cv2
import numpy as np
import pytest

from wanprep.signals.cards import card, card_share


def thumbs(luma: np.ndarray, n: int = 3) -> np.ndarray:
    return np.repeat(np.repeat(luma[None, ..., None], 3, axis=-1), n, axis=0)


def blank(level: int = 245) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 1.5, (144, 256))
    return np.clip(level + noise, 0, 255).astype(np.uint8)


def written(ground: np.ndarray, *lines: str, scale: float = 0.55, ink: int = 30) -> np.ndarray:
    out = ground.copy()
    for k, line in enumerate(lines):
        (width, _), _ = cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
        place = ((256 - width) // 2, 60 + 26 * k)
        cv2.putText(out, line, place, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, 1, cv2.LINE_AA)
    return out


@pytest.mark.parametrize(("level", "ink"), [(245, 30), (5, 220), (128, 30), (20, 90)])
def test_words_on_a_flat_ground_are_a_card(level, ink):
    assert card(thumbs(written(blank(level), "COMING SOON", "next summer", ink=ink))) > 0.85


def test_a_card_that_zooms_and_slides_is_still_one():
    frames = []
    for k in range(5):
        matrix = cv2.getRotationMatrix2D((128, 72), 0, 1 + 0.03 * k)
        matrix[0, 2] += 3 * k
        frames.append(cv2.warpAffine(written(blank(), "ONE BIG RABBIT"), matrix, (256, 144), borderValue=245))
    assert card(np.repeat(np.stack(frames)[..., None], 3, axis=-1)) > 0.85


def test_words_that_fade_in_count_from_when_they_are_there():
    frames = np.concatenate([thumbs(blank(), 2), thumbs(written(blank(), "Chapter Three"), 2)])
    assert card(frames) > 0.85


def fence() -> np.ndarray:
    out = blank()
    for x in range(10, 250, 14):
        cv2.rectangle(out, (x, 90), (x + 5, 120), 80, -1)
    return out


def windows() -> np.ndarray:
    out = blank()
    for x in range(10, 240, 18):
        for y in (30, 70):
            cv2.rectangle(out, (x, y), (x + 9, y + 16), 60, -1)
    return out


def product() -> np.ndarray:
    out = blank()
    cv2.ellipse(out, (128, 80), (30, 50), 0, 0, 360, 90, -1)
    return out


def trees() -> np.ndarray:
    out, rng = blank(), np.random.default_rng(1)
    for x in rng.integers(0, 256, 30):
        y = int(95 + 14 * np.sin(x / 35))
        cv2.line(out, (int(x), y), (int(x) + 1, y - int(rng.integers(3, 30))), 60, 2)
    return out


def snowfall() -> np.ndarray:
    out, rng = blank(), np.random.default_rng(2)
    for x, y in rng.integers(0, (256, 144), (120, 2)):
        cv2.circle(out, (int(x), int(y)), 1, 90, -1)
    return out


def photo() -> np.ndarray:
    noise = np.random.default_rng(3).uniform(0, 255, (9, 16)).astype(np.float32)
    return np.clip(cv2.resize(noise, (256, 144), interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def ripples(seed: int, height: int, width: int) -> np.ndarray:
    """Short dashes of two tones, as light on water."""
    rng = np.random.default_rng(seed)
    out = np.full((height, width), 240, np.uint8)
    for x, y in zip(rng.integers(0, width, height * width // 28), rng.integers(0, height, height * width // 28)):
        cv2.line(out, (int(x), int(y)), (int(x) + int(rng.integers(1, 6)), int(y)), 60)
    return out


def sea() -> np.ndarray:
    """Below a plain sky, from side to side."""
    out = blank()
    out[110:] = ripples(4, 34, 256)
    return out


def ball() -> np.ndarray:
    """A round hole through which windows are seen, and nothing else."""
    out, rng, size = blank(), np.random.default_rng(8), 47
    wall = np.full((size, size), 240, np.uint8)
    for x in range(0, size, 5):
        for y in range(int(rng.integers(0, 4)), size, 5):
            if rng.random() < 0.8:
                cv2.rectangle(wall, (x, y), (x + int(rng.integers(1, 4)), y + int(rng.integers(1, 4))), 60, -1)
    rows, columns = np.mgrid[:size, :size] - size // 2
    inside = np.hypot(rows, columns) < size / 2
    out[50 : 50 + size, 100 : 100 + size][inside] = wall[inside]
    return out


def tiles() -> np.ndarray:
    """Small blocks of many tones in two rows on a plain ground, as in a game."""
    out, rng = blank(150), np.random.default_rng(1)
    for top in (60, 80):
        x = 20
        while x < 236:
            tone = int(rng.choice([50, 95, 105, 190, 200, 250], p=[0.03, 0.25, 0.25, 0.22, 0.22, 0.03]))
            first, last = top + int(rng.integers(0, 4)), (x + int(rng.integers(1, 3)), top + int(rng.integers(6, 14)))
            cv2.rectangle(out, (x, first), last, tone, -1)
            x += int(rng.integers(3, 7))
    return out


def pines() -> np.ndarray:
    """A row of firs in a field of snow: uneven strokes that all end on one line."""
    out, rng = blank(), np.random.default_rng(2)
    for x in rng.integers(0, 256, 24).tolist():
        tall, foot = int(rng.integers(14, 40)), 96 + int(rng.integers(-1, 2))
        cv2.fillPoly(out, [np.array([[x - tall // 6, foot], [x + tall // 6, foot], [x, foot - tall]])], 50)
    return out


@pytest.mark.parametrize("make", [blank, fence, windows, product, trees, snowfall, photo, sea, ball, tiles, pines])
def test_plain_pictures_are_no_cards(make):
    assert card(thumbs(make())) < 0.5


def test_what_grows_from_the_ground_is_no_lettering(monkeypatch):
    assert card(thumbs(pines())) == 0
    monkeypatch.setattr("wanprep.signals.cards.LOW", 1.0)
    monkeypatch.setattr("wanprep.signals.cards.LOW_TALL", 1.0)
    assert card(thumbs(pines())) > 0.7  # all else says lettering
    monkeypatch.undo()
    assert card(thumbs(written(blank(), "we see no one", "in a canoe", "all well", scale=0.8))) > 0.7


def test_outlined_and_fainter_words_are_lettering_all_the_same():
    outlined = cv2.GaussianBlur(written(blank(128), "ONE BIG RABBIT", scale=0.7, ink=20), (0, 0), 1.0)
    assert card(thumbs(written(outlined, "ONE BIG RABBIT", scale=0.7, ink=240))) > 0.7
    two = np.minimum(written(blank(), "Chapter Three"), np.roll(written(blank(), "by somebody", ink=140), 40, axis=0))
    assert card(thumbs(two)) > 0.85


def test_lines_at_the_edge_and_short_lines_are_lettering_all_the_same():
    assert card(thumbs(written(blank(), "STOP", scale=1.2))) > 0.7
    low = np.roll(written(blank(), "one line of many that go up", scale=0.5), 86, axis=0)
    assert card(thumbs(low)) > 0.85


def crest(seed: int, blur: float) -> np.ndarray:
    """A row of uneven strokes as high as a line of words, that shade into the ground: the crest of a wave."""
    rng, out, x = np.random.default_rng(seed), blank(40).astype(np.float32), 10
    while x < 235:
        wide, top, bottom = (int(rng.integers(*span)) for span in ((6, 14), (40, 52), (70, 86)))
        cv2.rectangle(out, (x, top), (x + wide, bottom), 230.0, -1)
        x += wide + int(rng.integers(5, 16))
    return np.clip(cv2.GaussianBlur(out, (0, 0), blur), 0, 255).astype(np.uint8)


def test_what_shades_into_its_ground_is_no_lettering(monkeypatch):
    for seed in (0, 1, 2):
        assert card(thumbs(crest(seed, 3.5))) == 0.0
    assert card(thumbs(cv2.GaussianBlur(written(blank(), "COMING SOON", scale=1.0), (0, 0), 2.0))) > 0.7  # soft words
    monkeypatch.setattr("wanprep.signals.cards.SHARP", 0.0)  # a negative control: as it was
    assert min(card(thumbs(crest(seed, 3.5))) for seed in (0, 1, 2)) > 0.7


def test_words_on_a_photo_or_beside_a_thing_are_no_card():
    assert card(thumbs(written(photo(), "ONE BIG RABBIT", ink=255))) < 0.5
    assert card(thumbs(written(product(), "NEW"))) < 0.5


@pytest.mark.parametrize("seed", range(4))
def test_a_picture_between_blurred_padding_is_no_card(seed, monkeypatch):
    """A film reposted upright: a band full of fine detail on a smooth ground, lower than half of the picture."""
    noise = np.random.default_rng(seed).normal(size=(144, 256)).astype(np.float32)
    band = cv2.GaussianBlur(noise, (0, 0), 1.2) + 0.8 * cv2.GaussianBlur(noise, (9, 9), 0)
    band = np.clip(90 + 70 * np.clip(band / band.std(), -0.3, 3), 0, 255).astype(np.uint8)
    ground = cv2.GaussianBlur(cv2.resize(band, (256, 455)), (0, 0), 40)
    ground[156:300] = band
    assert card(thumbs(ground)) == 0.0
    monkeypatch.setattr("wanprep.signals.cards.MIN_STROKE", 0.0)  # a negative control: as it was
    assert card(thumbs(ground)) > 0.6


def test_no_thumbnails_are_unknown_and_an_empty_picture_says_nothing():
    assert np.isnan(card(np.zeros((0, 144, 256, 3), np.uint8)))
    assert card_share(thumbs(blank(), 1)[0]) is None
