"""Make the demo movies: three files, about 40 seconds, with everything that a run should find in them written down.

    film/film.mp4            hard cuts, a dissolve, a blurred, a shaky, a frozen, a too short and a black-barred shot
    broadcast/broadcast.mp4  three shots under one station logo
    clean/clean.mp4          three good shots

The logo has a movie of its own because evidence for overlays is pooled over the shots of one source.
"""

from __future__ import annotations

import subprocess
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from wanprep.demo.places import PLACES, Palette
from wanprep.demo.scenes import HEIGHT, WIDTH, Scene, render
from wanprep.demo.truth import KEEP, FileTruth, ShotTruth, Truth
from wanprep.ids import write_atomic
from wanprep.media.write import ffmpeg_binary

FPS = 24
TRUTH = "truth.json"
BAR = 44  # rows of black above and below: 640x360 -> 640x272, 2.35:1
BLUR_SIGMA = 2.5  # pixels
SHAKE_RMS = 0.008  # of the width
NOISE = 1.0  # grey levels, standard deviation

Effect = Literal["", "blur", "shake", "static", "bars", "logo"]


@dataclass(frozen=True, kw_only=True)
class Shot:
    """One shot of the script.

    place: a name in PLACES. frames: its length, without dissolves. pan: frame pixels a second to the right; zoom:
    growth a second. dissolve: frames over which it is mixed out of the shot before it (0: a hard cut).
    """

    label: str
    place: str
    palette: Palette
    frames: int
    pan: float = 40.0
    zoom: float = 0.0
    effect: Effect = ""
    expect: str = KEEP
    dissolve: int = 0

    @property
    def crop(self) -> tuple[int, int, int, int] | None:
        return (0, BAR, WIDTH, HEIGHT - 2 * BAR) if self.effect == "bars" else None


DAY = Palette()
DUSK = Palette(
    top=(70, 60, 110),
    low=(240, 150, 90),
    far=(95, 75, 105),
    mid=(105, 75, 70),
    near=(90, 80, 75),
    accent=(250, 200, 90),
)
EMBER = replace(DUSK, accent=(62, 74, 58))
AUTUMN = Palette(
    top=(150, 170, 190), low=(225, 215, 200), far=(135, 130, 125), mid=(150, 95, 45), near=(165, 125, 55), clouds=0.8
)
STONE = Palette(far=(170, 130, 105), mid=(195, 165, 125), near=(120, 116, 110), accent=(235, 180, 60), clouds=0.3)
WOOD = Palette(far=(95, 120, 85), mid=(115, 88, 66), near=(120, 100, 55), accent=(95, 140, 50))
SAND = Palette(top=(60, 140, 215), far=(175, 95, 65), mid=(215, 165, 105), near=(225, 185, 125), accent=(75, 120, 60))
SHORE = Palette(far=(45, 105, 140), mid=(35, 85, 120), near=(215, 195, 150), clouds=0.35)
PLASTER = Palette(far=(190, 180, 160), mid=(120, 82, 50), near=(105, 70, 45), accent=(60, 120, 95))
NIGHT = Palette(top=(12, 16, 40), low=(40, 46, 80), far=(52, 56, 80), mid=(66, 60, 72), near=(58, 56, 62), clouds=-0.6)

FILM = (
    Shot(label="valley", place="valley", palette=DAY, frames=66),
    Shot(label="town", place="town", palette=STONE, frames=66, pan=-55),
    Shot(label="forest", place="forest", palette=WOOD, frames=60, pan=35),
    Shot(label="coast", place="coast", palette=SHORE, frames=66, pan=-30, zoom=0.02, dissolve=24),
    Shot(label="blurred", place="market", palette=STONE, frames=60, effect="blur", expect="blur"),
    Shot(label="shaky", place="town", palette=DUSK, frames=66, pan=20, effect="shake", expect="shake"),
    Shot(label="frozen", place="study", palette=PLASTER, frames=60, effect="static", expect="static"),
    Shot(label="flash", place="valley", palette=AUTUMN, frames=9, expect="too_short"),
    Shot(label="barred", place="desert", palette=SAND, frames=66, pan=45, effect="bars"),
)
BROADCAST = (
    Shot(label="logo 1", place="coast", palette=DUSK, frames=60, effect="logo", expect="overlay"),
    Shot(label="logo 2", place="valley", palette=AUTUMN, frames=60, pan=-45, effect="logo", expect="overlay"),
    Shot(label="logo 3", place="market", palette=PLASTER, frames=60, pan=50, effect="logo", expect="overlay"),
)
CLEAN = (
    Shot(label="night town", place="town", palette=NIGHT, frames=66, pan=45),
    Shot(label="autumn wood", place="forest", palette=AUTUMN, frames=66, pan=-40),
    Shot(label="dunes", place="desert", palette=EMBER, frames=66, pan=35, zoom=0.02),
)
SCRIPT = {"film/film.mp4": FILM, "broadcast/broadcast.mp4": BROADCAST, "clean/clean.mp4": CLEAN}


def make_demo(folder: Path, seed: int = 0) -> Truth:
    """Write the movies into `folder` and, last of all, truth.json; returns the truth.

    The same seed gives the same pictures; the truth is the same for all seeds. Takes about 10 s on two cores.
    RuntimeError with ffmpeg's words if it fails.
    """
    for number, (path, shots) in enumerate(SCRIPT.items()):
        target = folder / path
        frames = film(shots, seed=seed + 1000 * number)
        write_atomic(target, lambda temporary, frames=frames: encode(temporary, frames))  # type: ignore[misc]
    truth = script_truth()
    write_atomic(folder / TRUTH, truth.to_json().encode())
    return truth


def script_truth() -> Truth:
    """The truth of the script, from its numbers alone."""
    return Truth(files=tuple(_file_truth(path, shots) for path, shots in SCRIPT.items()))


def _file_truth(path: str, shots: Sequence[Shot]) -> FileTruth:
    at = 0
    cuts, gradual, known = [], [], []
    for index, shot in enumerate(shots):
        if shot.dissolve:
            gradual.append((at, at + shot.dissolve))
        elif index:
            cuts.append(at)
        at += shot.dissolve
        span = {"start_frame": at, "end_frame": at + shot.frames}
        known.append(ShotTruth(label=shot.label, **span, expect=shot.expect, crop=shot.crop))
        at += shot.frames
    size = {"fps": FPS, "width": WIDTH, "height": HEIGHT, "n_frames": at}
    return FileTruth(path=path, **size, cuts=tuple(cuts), gradual=tuple(gradual), shots=tuple(known))


def film(shots: Sequence[Shot], seed: int) -> Iterator[np.ndarray]:
    """All frames of one movie, uint8 [h,w,3] RGB, in order. Shots are rendered two at a time, ahead of the reader."""
    following = [shot.dissolve for shot in shots[1:]] + [0]
    tail: np.ndarray | None = None
    jobs = [(shot, tail_frames, seed + index) for index, (shot, tail_frames) in enumerate(zip(shots, following))]
    for (shot, tail_frames, _), frames in zip(jobs, _ahead(jobs)):
        for index in range(shot.dissolve):
            assert tail is not None, "the first shot of a movie cannot dissolve in"
            share = (index + 1) / (shot.dissolve + 1)
            yield cv2.addWeighted(tail[index], 1 - share, frames[index], share, 0)
        end = len(frames) - tail_frames
        yield from frames[shot.dissolve : end]
        tail = frames[end:]


def _ahead(jobs: Iterable[tuple[Shot, int, int]]) -> Iterator[np.ndarray]:
    with ThreadPoolExecutor(2) as pool:
        waiting: deque = deque()
        for job in jobs:
            waiting.append(pool.submit(shoot, *job))
            if len(waiting) > 2:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def shoot(shot: Shot, tail: int, seed: int) -> np.ndarray:
    """Every frame of one shot, uint8 [F,h,w,3], F = dissolve + frames + tail (the part mixed into the next shot)."""
    rng = np.random.default_rng([seed, 20])
    scene = PLACES[shot.place](rng, shot.palette)
    count = shot.dissolve + shot.frames + tail
    seconds = np.arange(count) / FPS
    sway, turn = _shake(rng, seconds) if shot.effect == "shake" else (np.zeros((count, 2)), np.zeros(count))
    grain = rng.normal(0, NOISE, (HEIGHT + 64, WIDTH + 64, 3)).astype(np.float32)
    mark = logo() if shot.effect == "logo" else None
    frames = np.empty((count, HEIGHT, WIDTH, 3), np.uint8)
    frozen = _picture(scene, shot, 0.0, np.zeros(2), 0.0) if shot.effect == "static" else None
    for index in range(count):
        picture = _picture(scene, shot, float(seconds[index]), sway[index], turn[index]) if frozen is None else frozen
        y, x = rng.integers(0, 64, 2)
        noisy = picture + grain[y : y + HEIGHT, x : x + WIDTH]
        if mark is not None:
            noisy = noisy * (1 - mark[..., 3:]) + mark[..., :3]
        frames[index] = np.clip(np.rint(noisy), 0, 255)
    if shot.effect == "bars":
        frames[:, :BAR] = frames[:, HEIGHT - BAR :] = 0
    return frames


def _picture(scene: Scene, shot: Shot, seconds: float, sway: np.ndarray, turn: float) -> np.ndarray:
    length = (shot.dissolve + shot.frames) / FPS
    x = shot.pan * (seconds - length / 2) + sway[0]
    picture = render(scene, seconds, (x, 4 * np.sin(0.6 * seconds) + sway[1]), 1.04 + shot.zoom * seconds, turn)
    return cv2.GaussianBlur(picture, (0, 0), BLUR_SIGMA) if shot.effect == "blur" else picture


def _shake(rng: np.random.Generator, seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An unsteady hand: sines of 2 to 8 Hz. Offsets [F, 2] in pixels with an RMS of SHAKE_RMS, and degrees [F]."""
    hertz = rng.uniform(2, 8, (3, 6, 1))
    phase = rng.uniform(0, 2 * np.pi, (3, 6, 1))
    waves = np.sin(2 * np.pi * hertz * seconds + phase).sum(axis=1)
    waves /= np.sqrt((waves**2).mean(axis=1, keepdims=True))
    return waves[:2].T * SHAKE_RMS * WIDTH * np.array([1.0, 0.7]), waves[2] * 0.2


def logo() -> np.ndarray:
    """The station logo: float32 [h,w,4], colour 0..255 premultiplied by alpha 0..1."""
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    edge = np.zeros_like(alpha)
    for layer, thick in ((edge, 6), (alpha, 2)):
        cv2.putText(layer, "DEMO TV", (508, 44), cv2.FONT_HERSHEY_DUPLEX, 0.75, 255, thick, cv2.LINE_AA)
        cv2.circle(layer, (486, 37), 13, 255, thick + 2, cv2.LINE_AA)
    white, black = alpha / 255 * 0.7, edge / 255 * 0.35
    cover = white + black * (1 - white)
    return np.dstack([white * 255] * 3 + [cover]).astype(np.float32)


def encode(path: Path, frames: Iterable[np.ndarray]) -> None:
    """Write H.264, 4:2:0, BT.709, at FPS. RuntimeError with ffmpeg's words if it fails."""
    color = [part for name in ("color_primaries", "color_trc", "colorspace") for part in (f"-{name}", "bt709")]
    command = [ffmpeg_binary(), "-y", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{WIDTH}x{HEIGHT}", "-r", str(FPS), "-i", "-", "-an"]
    command += ["-vf", "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd", "-pix_fmt", "yuv420p", *color]
    # A fixed number of threads: x264's bytes depend on it.
    command += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-threads", "2", "-g", "48"]
    command += ["-fflags", "+bitexact", "-movflags", "+faststart", str(path)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdin, "opened with a pipe"
    assert process.stderr, "opened with a pipe"
    try:
        for frame in frames:
            process.stdin.write(frame.tobytes())
        process.stdin.close()
    except BrokenPipeError:
        pass  # ffmpeg says why below
    except BaseException:
        process.kill()
        process.wait()
        raise
    words = process.stderr.read().decode(errors="replace").strip()
    if process.wait():
        raise RuntimeError(f"ffmpeg could not write {path.name}: {words}")
