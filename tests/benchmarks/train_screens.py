"""Train the small network of wanprep/signals/screens.py, which tells screens, print and test cards from scenes.

    python tests/benchmarks/train_screens.py --out screens.safetensors [--media ../shared/media/dev]

Nothing is found elsewhere: screens are programs at work and desktops of them (programs_used.py), made-up print and test
cards (screens_made.py); scenes are footage of the tuning half of the real files, what good_scenes.py and good_drawn.py
make with a seed that no benchmark has, planes with print and straight edges before a camera (rooms.py), cartoons
(cartoons.py, made_shots.py) and plain pictures. Diagrams and plots are in neither class. First what networks say that
have not seen a fifth of the sources, a whole kind of program or plane each; then what the weights say of kinds, words
and pictures that nothing is trained on (programs_held.py, rooms_held.py); then the weights, which ship as they are
written. Ten minutes of one core.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from bench_good import RATE, painted
from cartoons import cartoon, perch
from charts import screen as chart_screen
from desk import Template
from drawn import drawn_clips
from drawn_places import place, street
from filmed import captioned, filmed
from good_drawn import DRAWN
from good_files import films, footage
from good_scenes import ORDINARY
from ink import Rng
from made_shots import OLDER, SHOTS
from mark_examples import coded, kept
from mark_material import written
from programs_held import HELD
from programs_used import PROGRAMS, stills, used
from rank import auc
from rooms import PLANES, Plane
from rooms_held import HELD_PLANES
from screens_made import COUNT, card, desktop, page
from small_network import Fit, fitted
from titles import CARDS, PLAIN, plain_scene, title_card

from wanprep.signals.one_layer import computed
from wanprep.signals.screens import evidence
from wanprep.signals.thumbs import LUMA

FIT = Fit(networks=5, units=16, rounds=400, rate=0.03, small=2e-4, shaken=0.1, least=0.02)
FOLDS, FLAGGED = 5, 0.005  # parts of the sources; share of scenes that the limit told of flags
NEITHER = ("screen", "diagram")  # of bench_good's scenes
OFTEN = {"cartoon": 60, "pixel art": 90, "texture, drawn": 180}  # of what is nearest to screens; of others: SCENES
SEED, SCENES, PATTERNED = 31, 14, range(20, 25)  # seeds that are in no benchmark
PARTS, CAPTIONED = 8, 6  # of each shot of footage; with captions, of each kind of made-up scene
EACH, HELD_EACH = 30, 20  # of a kind of program or plane
DRAWN_SEED, A_KIND = 7, 12  # of drawn shots; so many of each kind
Example = tuple[bool, str, str, np.ndarray]  # whether it is a screen, its kind and source, pictures [n, h, w, 3] BGR


def scenes(media: Path) -> Iterator[Example]:
    """Footage, painted and made-up scenes, half a second apart."""
    shown, rng = [], np.random.default_rng(SEED)
    for path, cuts in films(media, "tune"):
        rate, shots, pictures = footage(path, cuts, 480)
        shown += pictures
        step = max(1, round(float(rate) / 2))
        for shot in shots:
            yield False, "footage", path.stem, np.stack(shot[::step])[..., ::-1]
            for _ in range(PARTS):
                yield False, "footage, part", path.stem, part(np.stack(shot[::step])[..., ::-1], rng)
    for seed in range(SEED, SEED + 5):
        found, pictures = painted(seed)
        shown += pictures
        for k, frames in enumerate(found):
            yield False, "painted", f"painted {seed} {k}", np.stack(frames[:: RATE // 2])[..., ::-1]
    for kind, maker in {**ORDINARY, **DRAWN}.items():
        for k in range(OFTEN.get(kind, SCENES) if kind not in NEITHER else 0):
            scene = maker(np.random.default_rng([SEED, zlib.crc32(kind.encode()), k]), shown)
            frames = np.stack([scene(t / 2, 640, 360) for t in range(COUNT)])
            yield False, kind, f"{kind} {k}", frames[..., ::-1]
            if k < CAPTIONED:
                yield False, "captioned", f"{kind} {k}", captioned(frames, rng, shown)[..., ::-1]


def part(shot: np.ndarray, rng: Rng) -> np.ndarray:
    """A part of the pictures, 640 px wide, mirrored or not, lighter or darker, with more contrast or less."""
    high, wide = shot.shape[1:3]
    share = float(rng.uniform(0.35, 0.9))
    h, w = int(share * high), int(share * wide)
    y, x = int(rng.integers(high - h + 1)), int(rng.integers(wide - w + 1))
    cut = shot[:, y : y + h, x : x + w, :][:, :, :: int(rng.choice([1, -1]))]
    cut = np.stack([cv2.resize(frame, (640, 640 * h // w), interpolation=cv2.INTER_LINEAR) for frame in cut])
    levels = 255 * float(rng.uniform(0.5, 1.2)) * (np.arange(256) / 255) ** float(np.exp(rng.normal(0, 0.3)))
    return np.clip(levels, 0, 255).astype(np.uint8)[cut]


def simple(rng: Rng) -> Iterator[Example]:
    """Cartoons, plain pictures, and what is made up of screens, title cards, print and test cards."""
    makers = (
        (False, "outlined", cartoon, 120),
        (False, "perch", perch, 40),
        (False, "drawn room", place, 250),
        (False, "drawn street", partial(place, backdrop=street), 250),
        (True, "of charts", chart_screen, 80),
    )
    for is_screen, kind, maker, count in makers:
        for k in range(count):
            pictures = maker(rng, COUNT, partial(a_word, rng))
            yield is_screen, kind, f"{kind} {k}", pictures
    for seed in PATTERNED:
        for k, (frames, _) in enumerate(drawn_clips(seed)):
            yield k > 9, "patterned" if k < 10 else "screen of bars", f"drawn {seed} {k}", grey(frames)
    for k in range(4):
        for kinds, make in ((PLAIN, plain_scene), (CARDS, title_card)):
            for kind in kinds:
                yield make is title_card, kind, f"{kind} {k}", grey(make(kind, np.random.default_rng([k, len(kind)])))
    for kind, made, count in (("page", page, 110), ("test card", card, 50)):
        yield from ((True, kind, f"{kind} {k}", made(rng)) for k in range(count))


def shots() -> Iterator[Example]:
    """Drawn ones of all kinds that `simple` has not."""
    for kind in sorted(SHOTS.keys() - OLDER.keys()):
        for k in range(A_KIND):
            rng = np.random.default_rng([DRAWN_SEED, zlib.crc32(kind.encode()), k])
            yield False, kind, f"{kind} {k}", SHOTS[kind](rng, COUNT, partial(a_word, rng))


def a_word(rng: Rng) -> np.ndarray:
    return written(rng, int(rng.integers(12, 40)), "tune")


def grey(lumas: np.ndarray) -> np.ndarray:
    """Two of 24 pictures a second, in three equal colours."""
    return np.repeat(lumas[::12, ..., None], 3, axis=-1)


def programs(templates: Mapping[str, Template], each: int, half: str = "tune") -> Iterator[Example]:
    """At work, in the fonts of this half; a kind is a source."""
    shown = stills(SEED if half == "tune" else SEED + 10)
    for kind, template in templates.items():
        for k in range(each):
            rng = np.random.default_rng([SEED, zlib.crc32(kind.encode()), k])
            yield True, kind, kind, used(rng, template, shown, COUNT, half)[..., ::-1]


def planes(makers: Mapping[str, Plane], each: int, seed: int = SEED) -> Iterator[Example]:
    """Before a camera; a kind is a source. seed: of the pictures in them."""
    shown, known = stills(seed), list(PROGRAMS.values())
    for kind, plane in makers.items():
        for k in range(each):
            rng = np.random.default_rng([SEED, zlib.crc32(kind.encode()), k])
            yield False, kind, kind, filmed(plane(rng, shown, known), rng, COUNT)[..., ::-1]


def desktops() -> Iterator[Example]:
    rng, shown = np.random.default_rng(SEED + 1), stills(SEED + 2)
    for k in range(2 * EACH):
        makers = [list(PROGRAMS.values())[int(i)] for i in rng.integers(0, len(PROGRAMS), 6)]
        windows = [cv2.resize(used(rng, maker, shown, 1)[0], (640, 360)) for maker in makers]
        yield True, "desktop", f"desktop {k}", desktop(rng, windows, shown)[..., ::-1]


def thumbs(pictures: np.ndarray, rng: Rng) -> np.ndarray:
    """As they are kept, of a film that was coded more or less coarsely."""
    quality, (high, wide) = int(rng.choice([LUMA, LUMA, LUMA, 60, 80, 92])), pictures.shape[1:3]
    size = 256, max(32, 2 * round(128 * high / wide))
    films_ = (coded(np.ascontiguousarray(picture), quality) for picture in pictures)
    return np.stack([kept(cv2.resize(picture, size, interpolation=cv2.INTER_AREA)) for picture in films_])


Rows = tuple[np.ndarray, np.ndarray, list[tuple[str, str]]]


def rows_of(*parts: Iterator[Example]) -> Rows:
    """Evidence float[N, K]; bool[N], of a screen; kind and source of each."""
    found = []
    for examples in parts:
        rng = np.random.default_rng(3)
        found += [(evidence(thumbs(shown, rng)), is_screen, (kind, of)) for is_screen, kind, of, shown in examples]
    return np.array([row for row, *_ in found]), np.array([it[1] for it in found]), [it[2] for it in found]


def trained(rows: np.ndarray, screens: np.ndarray, about: Sequence[tuple[str, str]]) -> dict[str, np.ndarray]:
    """Weights; kinds of which there are many count less each, and both classes alike."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits as loss

    kinds = [kind for kind, _ in about]
    counts = np.array([kinds.count(kind) for kind in kinds]) ** -0.5
    for of_class in (screens, ~screens):
        counts[of_class] *= 0.5 * len(counts) / counts[of_class].sum()

    def weighed(says: Any, true: Any) -> Any:
        return (loss(says, (true > 0).float(), reduction="none") * torch.abs(true)).mean()

    return fitted(rows, np.where(screens, counts, -counts), weighed, FIT)


def unseen(rows: np.ndarray, screens: np.ndarray, about: Sequence[tuple[str, str]]) -> np.ndarray:
    """Log-odds of each, by networks that saw nothing of its source."""
    part_ = np.array([zlib.crc32(source.encode()) % FOLDS for _, source in about])
    odds = np.zeros(len(rows))
    for k in range(FOLDS):
        seen = part_ != k
        weights = trained(rows[seen], screens[seen], [it for it, kept_ in zip(about, seen) if kept_])
        odds[~seen] = computed(rows[~seen], weights)
    return odds


def tell(odds: np.ndarray, screens: np.ndarray, about: Sequence[tuple[str, str]], limit: float | None = None) -> None:
    limit = float(np.quantile(odds[~screens], 1 - FLAGGED)) if limit is None else limit
    of_screens, of_scenes = np.mean(odds[screens] > limit), np.mean(odds[~screens] > limit)
    print(f"{(~screens).sum()} scenes, {screens.sum()} screens: AUC {auc(odds[~screens], odds[screens]):.4f}; above")
    print(f"{limit:.2f} are {of_screens:.3f} of the screens, {of_scenes:.4f} of the scenes")
    for kind in dict.fromkeys(kind for kind, _ in about):
        mine = np.array([name == kind for name, _ in about])
        print(f"  {kind}: {np.mean(odds[mine] > limit):.2f} of {mine.sum()}")


def asked(about: str | None) -> argparse.Namespace:
    """--out and --media, on one core."""
    import torch

    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--media", type=Path, default=Path(__file__).resolve().parents[3] / "shared/media/dev")
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    return parser.parse_args()


def main() -> int:
    from safetensors.numpy import save_file

    from wanprep.stages.filter import REGISTRY

    options = asked(__doc__)
    rows, screens, about = rows_of(
        scenes(options.media),
        simple(np.random.default_rng(3)),
        programs(PROGRAMS, EACH),
        planes(PLANES, EACH),
        desktops(),
        shots(),
    )
    tell(unseen(rows, screens, about), screens, about)
    weights = trained(rows, screens, about)
    rows, screens, about = rows_of(programs(HELD, HELD_EACH, "held"), planes(HELD_PLANES, HELD_EACH, SEED + 10))
    share = REGISTRY["screen"].threshold
    tell(computed(rows, weights), screens, about, float(np.log(share / (1 - share))))
    save_file(weights, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
