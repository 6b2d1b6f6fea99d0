"""A small folder of sources, good and bad, for tests of the whole path; and how two datasets are compared."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from footage import make_sound, make_video, numbered
from PIL import Image

from wanprep.ids import digest_file
from wanprep.manifest import Manifest, comparable
from wanprep.schema import TABLES

# Test pictures are smooth and drift: what the filters think of them is not what these tests are about.
SETTINGS = (
    "family=tiny",
    *(
        f"filter.{name}.enabled=false"
        for name in ("blur", "motion_blur", "shake", "static", "light_jump", "overlay", "screen")
    ),
    "split.min_seconds=0.5",
    'views=[{name="look",media="any",resolution=[64,32],frames=[1,9]},{name="wide",resolution=[96,48],frames=[17]}]',
)


def shots(number: int, width: int, height: int) -> np.ndarray:
    """Numbered pictures in three shots of 36 frames: the colours change places at each cut."""
    picture = numbered(number, width, height)
    turn = number // 36 % 3
    rest = picture[height // 4 :]
    picture[height // 4 :] = np.roll(rest, turn, axis=2) if turn < 2 else 255 - rest[::-1]
    return picture


def make_movies(folder: Path) -> Path:
    """film.mp4 (three shots), slow.mp4 (12.5 fps), a still; a copy, and what must be rejected by name."""
    (folder / "b").mkdir(parents=True)
    make_video(folder / "film.mp4", frames=108, rate=24, size=(192, 96), picture=shots)
    make_video(folder / "slow.mp4", frames=30, rate=12, size=(192, 96))
    Image.fromarray(numbered(7, 160, 120)).save(folder / "b" / "still.png")
    shutil.copy(folder / "film.mp4", folder / "b" / "copy of film.mp4")
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("this is no movie\n" * 50)
    make_sound(folder / "sound.m4a")
    make_video(folder / "cut off.mkv", frames=40, size=(192, 96), options={"crf": "4", "g": "12"})
    whole = (folder / "cut off.mkv").read_bytes()
    (folder / "cut off.mkv").write_bytes(whole[: len(whole) // 3])
    (folder / "film.txt").write_text("a drifting wash of colour\n")
    return folder


def wanprep(*arguments: str, check: int | None = 0, module: str = "wanprep.cli") -> subprocess.CompletedProcess[str]:
    """Run the command line as a user does, off a terminal."""
    done = subprocess.run([sys.executable, "-m", module, *arguments], capture_output=True, text=True, env=environment())
    if check is not None:
        assert done.returncode == check, f"{arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done


def environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WANPREP_", "WANTRAIN_"))}
    return kept | {name: os.environ[name] for name in ("WANPREP_HOME",) if name in os.environ}


def options(out: Path, settings: Sequence[str] = SETTINGS) -> list[str]:
    return ["--out", str(out), *(part for setting in settings for part in ("--set", setting))]


def tables(dataset: Path) -> dict[str, list]:
    """Every table without what differs between two runs of the same work."""
    manifest = Manifest(dataset / "manifest")
    found = {}
    for name, columns in TABLES.items():
        measured = "outcome" in columns
        if name in ("runs", "published"):  # one row more for every interrupted attempt, by design
            continue
        rows = manifest.latest(name) if measured else manifest.read(name)
        found[name] = comparable(rows).to_dicts()
    return found


def check_files(dataset: Path) -> int:
    """Every artefact under a final name is whole and has its row; returns how many there are."""
    manifest = Manifest(dataset / "manifest")
    digests = {}
    for name in ("signals", "artefacts"):
        digests |= {row["path"]: row["digest"] for row in manifest.latest(name).to_dicts() if row["path"]}
    found = [path for folder in ("signals", "clips", "cache") for path in (dataset / folder).rglob("[!.]*.*")]
    for path in found:
        assert digests[path.relative_to(dataset).as_posix()] == digest_file(path), path
    assert len(found) == len(digests)
    return len(found)


def as_json(done: subprocess.CompletedProcess[str]) -> object:
    return json.loads(done.stdout)
