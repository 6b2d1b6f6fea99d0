"""Train the small network of wanprep/signals/screens.py, which tells screens, print and test cards from scenes.

    python tests/benchmarks/train_screens.py --out screens.safetensors FOLDER [FOLDER ...]

FOLDER/videos, photos, screens and things: other material, as for mark_found.py; drawn pictures are photos, too. Besides
the scenes of bench_good's seed 0 (footage of the tuning half of the real files among them), cartoons and plain
pictures, and made-up desktops, print and test cards (screens_made.py). Diagrams and plots are in neither class. First
what networks say that have not seen a fifth of the sources; then the weights, which ship as they are written. Five
minutes of one core.
"""

from __future__ import annotations

import argparse
import sys
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from bench_good import RATE, painted
from cartoons import cartoon, perch
from charts import screen as made_screen
from drawn import drawn_clips
from good_drawn import DRAWN
from good_files import films, footage
from good_scenes import ORDINARY
from ink import Rng
from mark_examples import Examples, coded, kept
from mark_found import HEIGHT, WIDTH, Found, Piece, pieces_of
from mark_material import written
from rank import auc
from screens_made import COUNT, card, desktop, page
from small_network import Fit, fitted
from titles import CARDS, PLAIN, plain_scene, title_card

from wanprep.signals.dissolves import computed
from wanprep.signals.screens import evidence
from wanprep.signals.thumbs import LUMA

FIT = Fit(networks=3, units=8, rounds=400, rate=0.03, small=3e-3, shaken=0.1, least=0.02)
FOLDS, FLAGGED = 5, 0.005  # parts of the sources; share of scenes that the limit told of flags
NEITHER = ("screen", "diagram")  # of bench_good's scenes
OFTEN = {"cartoon": 60, "pixel art": 60, "texture, drawn": 60}  # of what is nearest to screens; of others: SCENES
SCENES, PATTERNED = 10, range(20, 25)  # seeds of drawn.py that are in no benchmark
Example = tuple[bool, str, str, np.ndarray]  # whether it is a screen, its kind and source, pictures [n, h, w, 3] BGR


def scenes(media: Path) -> Iterator[Example]:
    """Of bench_good's seed 0, half a second apart."""
    found, stills = painted(0)
    for k, frames in enumerate(found):
        yield False, "painted", f"painted {k}", np.stack(frames[:: RATE // 2])[..., ::-1]
    for path, cuts in films(media, "tune"):
        rate, shots, pictures = footage(path, cuts, 360)
        stills += pictures
        step = max(1, round(float(rate) / 2))
        yield from ((False, "footage", path.stem, np.stack(shot[::step])[..., ::-1]) for shot in shots)
    for kind, maker in {**ORDINARY, **DRAWN}.items():
        for k in range(OFTEN.get(kind, SCENES) if kind not in NEITHER else 0):
            rng = np.random.default_rng([0, zlib.crc32(kind.encode()), k])
            scene = maker(rng, stills)
            frames = [scene(t / 2, 640, 360) for t in range(COUNT)]
            yield False, kind, f"{kind} {k}", np.stack(frames)[..., ::-1]


def simple(rng: Rng) -> Iterator[Example]:
    """Cartoons, plain pictures, and what is made up of screens and print."""
    makers = ((False, "outlined", cartoon, 120), (False, "perch", perch, 40), (True, "made screen", made_screen, 80))
    for is_screen, kind, maker, count in makers:
        for k in range(count):
            yield (
                is_screen,
                kind,
                f"{kind} {k}",
                maker(rng, COUNT, lambda: written(rng, int(rng.integers(12, 40)), "tune")),
            )
    for seed in PATTERNED:
        for k, (frames, _) in enumerate(drawn_clips(seed)):
            yield k > 9, "patterned" if k < 10 else "screen of bars", f"drawn {seed} {k}", grey(frames)
    for k in range(4):
        for kinds, make in ((PLAIN, plain_scene), (CARDS, title_card)):
            for kind in kinds:
                yield make is title_card, kind, f"{kind} {k}", grey(make(kind, np.random.default_rng([k, len(kind)])))
    for kind, made, count in (("page", page, 110), ("test card", card, 50)):
        yield from ((True, kind, f"{kind} {k}", made(rng)) for k in range(count))


def grey(lumas: np.ndarray) -> np.ndarray:
    """Two of 24 pictures a second, in three equal colours."""
    return np.repeat(lumas[::12, ..., None], 3, axis=-1)


def others(pieces: Sequence[Piece], rng: Rng) -> Iterator[Example]:
    """Of the folders: films, photographs before a camera, things, screens at work, and desktops of such windows."""
    examples = Examples([("s", 0, np.zeros((2, HEIGHT, WIDTH), np.uint8))], [np.zeros((8, 8), np.uint8)], seed=1)
    of = {kind: [p for p in pieces if p[0] == kind] for kind in ("videos", "photos", "screens", "things")}
    everything = Found(pieces)
    for kind, source, pictures in (*of["videos"], *of["photos"]):
        alone = Found([(kind, source, pictures)])
        yield False, kind, source, alone.scene(rng, COUNT, examples._filmed)[0]
    for k in range(60 if of["things"] else 0):
        yield False, "things", f"things {k}", Found(of["things"]).scene(rng, COUNT, examples._filmed)[0]
    for _, source, pictures in of["screens"]:
        yield True, "screens", source, everything.screen(pictures[0], rng, COUNT)
    wallpapers = [pictures[0] for _, _, pictures in of["photos"]]
    for source in sorted({source for _, source, _ in of["screens"]}):
        windows = [pictures[0] for _, name, pictures in of["screens"] if name == source]
        for _ in range(min(40, 3 * len(windows))):
            yield True, "desktop", source, desktop(rng, windows, wallpapers)


def thumbs(pictures: np.ndarray, rng: Rng) -> np.ndarray:
    """As they are kept, of a film that was coded more or less coarsely."""
    quality, (high, wide) = int(rng.choice([LUMA, LUMA, LUMA, 60, 80, 92])), pictures.shape[1:3]
    size = 256, max(32, 2 * round(128 * high / wide))
    films_ = (coded(np.ascontiguousarray(picture), quality) for picture in pictures)
    return np.stack([kept(cv2.resize(picture, size, interpolation=cv2.INTER_AREA)) for picture in films_])


def rows_of(media: Path, folders: Sequence[Path]) -> tuple[np.ndarray, np.ndarray, list[tuple[str, str]]]:
    """Evidence float[N, K]; bool[N], of a screen; kind and source of each."""
    rng = np.random.default_rng(3)
    pieces = [piece for folder in folders for piece in pieces_of(folder)]
    found: list[tuple[np.ndarray, bool, tuple[str, str]]] = []
    for parts in (scenes(media), simple(rng), others(pieces, rng)):
        found += [(evidence(thumbs(shown, rng)), is_screen, (kind, of)) for is_screen, kind, of, shown in parts]
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
    part = np.array([zlib.crc32(source.encode()) % FOLDS for _, source in about])
    odds = np.zeros(len(rows))
    for k in range(FOLDS):
        seen = part != k
        weights = trained(rows[seen], screens[seen], [it for it, kept_ in zip(about, seen) if kept_])
        odds[~seen] = computed(rows[~seen], weights)
    return odds


def tell(odds: np.ndarray, screens: np.ndarray, about: Sequence[tuple[str, str]]) -> None:
    limit = float(np.quantile(odds[~screens], 1 - FLAGGED))
    print(f"{(~screens).sum()} scenes, {screens.sum()} screens: AUC {auc(odds[~screens], odds[screens]):.4f}, "
          f"{np.mean(odds[screens] > limit):.3f} found above {limit:.2f}")  # fmt: skip
    for kind in dict.fromkeys(kind for kind, _ in about):
        mine = np.array([name == kind for name, _ in about])
        print(f"  {kind}: {np.mean(odds[mine] > limit):.2f} of {mine.sum()}")


def main() -> int:
    import torch
    from safetensors.numpy import save_file

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--media", type=Path, default=Path(__file__).resolve().parents[3] / "shared/media/dev")
    options = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    rows, screens, about = rows_of(options.media, options.folders)
    tell(unseen(rows, screens, about), screens, about)
    save_file(trained(rows, screens, about), options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
