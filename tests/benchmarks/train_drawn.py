"""Fit the network of wanprep/signals/drawn.py, which tells shots that are drawn from filmed ones.

    python tests/benchmarks/train_drawn.py --out drawn.safetensors [--media FOLDER]

It weighs the numbers that the network of screens weighs (screens.evidence), of the same material (train_screens.py)
and of all made-up shots (made_shots.py), each in colour, in grey, and with a mark over it, which is drawn on whatever
it is put (mark_colours.py). What is neither drawn nor filmed for certain (screens, print, textures, diagrams, renders)
is left out. First what networks say that have not seen a fifth of the sources; then the weights. Those that ship were
written when the made-up shots came in another order. Ten minutes of one core.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from made_shots import SHOTS
from mark_colours import KINDS
from rank import auc
from rooms import PLANES
from train_screens import EACH, Example, asked, planes, rows_of, scenes, shots, simple, trained, unseen

DRAWN = {"outlined", "perch", "cartoon", "pixel art", *SHOTS}
FILMED = {
    "footage", "footage, part", "painted", "photo", "shallow", "dark", "grainy", "barred", "sharpened", "particles",
    "water", "texture, filmed", "enlarged",
}  # fmt: skip
SEED = 7
LETTERED, MOVING = 0.4, 0.3  # shares of marks that are large words or strips of them, and of those that move


def labelled(media: Path) -> Iterator[Example]:
    """What is known to be drawn, or filmed: in colour, in grey, and one of both with a mark over it."""
    rng = np.random.default_rng(SEED)
    known = ((kind in DRAWN, kind, of, shown) for _, kind, of, shown in scenes(media) if kind in DRAWN | FILMED)
    made = ((True, *it) for screen, *it in simple(np.random.default_rng(3)) if not screen and it[0] in DRAWN)
    before = ((False, f"{kind}, a plane", of, shown) for _, kind, of, shown in planes(PLANES, EACH))
    for drawn, kind, of, shown in itertools.chain(known, made, before, ((True, *it) for _, *it in shots())):
        yield drawn, kind, of, shown
        grey = [cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_BGR2GRAY) for picture in shown]
        tones = np.repeat(np.stack(grey)[..., None], 3, axis=-1)
        yield drawn, kind, of, tones
        yield drawn, f"{kind}, marked", of, marked(tones if rng.random() < 0.3 else shown, rng)


def marked(shown: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The pictures uint8[n, h, w, 3] under a mark that stays, or goes sideways."""
    kind = str(rng.choice(["large", "subtitles", "lower_third"] if rng.random() < LETTERED else list(KINDS)))
    colour, alpha = KINDS[kind](rng, "tune")
    size = shown.shape[2], shown.shape[1]
    over = np.concatenate([np.float32(colour) * alpha[..., None], alpha[..., None]], axis=-1)
    over = cv2.resize(np.float32(over), size, interpolation=cv2.INTER_AREA)
    step = int(rng.uniform(-0.2, 0.2) * size[0]) if rng.random() < MOVING else 0
    out = []
    for k, picture in enumerate(shown):
        moved = np.roll(over, k * step, axis=1)
        out.append(picture * (1 - moved[..., 3:]) + moved[..., :3])
    return np.uint8(np.clip(np.rint(out), 0, 255))


def main() -> int:
    from safetensors.numpy import save_file

    options = asked(__doc__)
    rows, drawn, about = rows_of(labelled(options.media))
    odds = unseen(rows, drawn, about)
    print(f"{(~drawn).sum()} filmed, {drawn.sum()} drawn: AUC {auc(odds[~drawn], odds[drawn]):.4f}")
    for kind in dict.fromkeys(kind for kind, _ in about):
        mine = np.array([name == kind for name, _ in about])
        print(f"  {kind}: {np.mean(odds[mine] > 0):.2f} of {mine.sum()} drawn")
    save_file(trained(rows, drawn, about), options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
