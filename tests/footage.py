"""Test videos whose frames say which they are: a row of black and white blocks spells the frame's number.

Everything is made here, so that no test needs footage from elsewhere. `make_video` writes exact timestamps, so a VFR
file really is one; `render` asks the ffmpeg program for the same frame, as a second opinion on colour and geometry.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

BITS = 12
FILM_KEY = "000102030405060708090a0b0c0d0e0f"
QUALITY = {"crf": "4", "preset": "ultrafast", "g": "12", "bf": "2"}


def numbered(number: int, width: int = 192, height: int = 108) -> NDArray[np.uint8]:
    """uint8 [height, width, 3]: a smooth coloured picture that drifts, with `number` in blocks along the top."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    phase = number * 0.15
    red = 128 + 90 * np.sin(x / width * 5 + phase)
    green = 128 + 80 * np.cos(y / height * 4 + phase / 2)
    blue = 128 + 90 * np.sin((x / width + y / height) * 3 - phase)
    picture = np.stack([red, green, blue], axis=-1).round().astype(np.uint8)
    edges = np.linspace(0, width, BITS + 1).round().astype(int)
    for bit in range(BITS):
        picture[: height // 4, edges[bit] : edges[bit + 1]] = 235 if number >> bit & 1 else 20
    return picture


def read_number(rgb_HWC: NDArray[np.uint8]) -> int:
    """The number in a picture made by `numbered`, at any size."""
    height, width = rgb_HWC.shape[:2]
    edges = np.linspace(0, width, BITS + 1).round().astype(int)
    number = 0
    for bit in range(BITS):
        middle = (edges[bit] + edges[bit + 1]) // 2
        block = rgb_HWC[height // 16 : height * 3 // 16, middle - 1 : middle + 2]
        number |= int(block.mean() > 128) << bit
    return number


def gliding(seed: int, n: int, speed: float = 1.0) -> NDArray[np.uint8]:
    """uint8[n, 72, 128, 3]: a camera that glides over a random landscape."""
    import cv2

    rng = np.random.default_rng(seed)
    wide = np.full((72, 600, 3), 120, np.float32)
    for cells, gain in ((4, 50), (12, 35), (40, 15)):
        wide += cv2.resize(rng.normal(0, gain, (cells, cells * 6, 3)).astype(np.float32), (600, 72))
    views = [wide[:, round(speed * t) : round(speed * t) + 128] for t in range(n)]
    return np.stack(views).clip(0, 255).astype(np.uint8)


class Shown:
    """A decoded frame, without the decoder. picture: uint8[H, W, 3] BGR; one tick long, at `index`."""

    def __init__(self, index: int, picture: NDArray[np.uint8]) -> None:
        self.pts, self.duration, self._picture = index, 1, picture

    def bgr(self, width: int, height: int) -> NDArray[np.uint8]:
        import cv2

        return cv2.resize(self._picture, (width, height), interpolation=cv2.INTER_AREA)

    def gray(self, width: int, height: int) -> NDArray[np.uint8]:
        import cv2

        return cv2.cvtColor(self.bgr(width, height), cv2.COLOR_BGR2GRAY)

    def coded(self, crop: object = None) -> tuple[float, bool, float]:
        return float("nan"), True, float("nan")


def make_video(
    path: Path,
    *,
    pts: Sequence[int] | None = None,
    frames: int = 24,
    rate: Fraction | int = 24,
    time_base: Fraction | None = None,
    size: tuple[int, int] = (192, 108),
    picture: Callable[[int, int, int], NDArray[np.uint8]] = numbered,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    matrix: int = 2,
    colour_range: int = 1,
    transfer: int = 2,
    primaries: int = 2,
    sar: Fraction | None = None,
    rotation: int = 0,
    hflip: bool = False,
    second: tuple[int, int] | None = None,
    audio: bool = False,
    container: str | None = None,
) -> Path:
    """Write a video of `frames` pictures at `rate`, or with exactly these `pts` in `time_base` units.

    rotation: degrees clockwise a player must turn it. second: the size of another video stream with other numbers.
    """
    import av

    rate = Fraction(rate)
    time_base = time_base or 1 / rate
    times = list(pts) if pts is not None else list(range(frames))
    with av.open(str(path), "w", format=container) as output:
        layers = [_layer(output, codec, size, pix_fmt, rate, time_base, options or QUALITY)]
        first = layers[0]
        context = first.codec_context
        context.color_range, context.colorspace = colour_range, matrix
        context.color_trc, context.color_primaries = transfer, primaries
        if sar:
            context.sample_aspect_ratio = sar
        if rotation or hflip:
            first.set_display_rotation(-rotation, hflip=hflip)
        if second:
            layers.append(_layer(output, codec, second, pix_fmt, rate, time_base, options or QUALITY))
        sound = output.add_stream("aac", rate=8000) if audio else None
        for index, time in enumerate(times):
            for which, layer in enumerate(layers):
                rgb = picture(index + 1000 * which, layer.width, layer.height)
                frame = _encoded(rgb, pix_fmt, matrix, colour_range)
                frame.pts, frame.time_base = time, time_base
                output.mux(layer.encode(frame))
        for layer in layers:
            output.mux(layer.encode(None))
        if sound is not None:
            _add_silence(output, sound)
    return path


def make_sound(path: Path) -> Path:
    """A file with an audio stream only."""
    import av

    with av.open(str(path), "w") as output:
        _add_silence(output, output.add_stream("aac", rate=8000))
    return path


def make_with_ffmpeg(path: Path, source: str, *arguments: str) -> Path:
    """For what PyAV cannot write: the ffmpeg program with a lavfi `source`."""
    from wanprep.media.write import ffmpeg_binary

    command = [ffmpeg_binary(), "-v", "error", "-y", "-f", "lavfi", "-i", source, *arguments, f"file:{path}"]
    subprocess.run(command, check=True, capture_output=True)
    return path


def render(path: Path, number: int, size: tuple[int, int], scale: str = "", before: str = "") -> NDArray[np.uint8]:
    """Frame `number` as ffmpeg shows it (it turns rotated video upright by itself): uint8 [H, W, 3]."""
    from wanprep.media.write import ffmpeg_binary

    width, height = size
    flags = "lanczos+accurate_rnd+full_chroma_int+full_chroma_inp"
    filters = f"select=eq(n\\,{number}){before},scale={width}:{height}:flags={flags}{scale},format=rgb24"
    command = [ffmpeg_binary(), "-v", "error", "-i", f"file:{path}", "-vf", filters, "-fps_mode", "passthrough"]
    done = subprocess.run([*command, "-f", "rawvideo", "-"], check=True, capture_output=True)
    return np.frombuffer(done.stdout, np.uint8)[: width * height * 3].reshape(height, width, 3)


def rendered(
    path: Path, size: tuple[int, int], scale: str = "", before: str = "", stream: int | str = "v:0"
) -> tuple[Fraction, list[int], NDArray[np.uint8]]:
    """The ffmpeg program's whole decode: (time base, pts of every frame, uint8 [N, H, W, 3]).

    before: filters ahead of scaling; scale: options of the scaler (matrix and range that the picture is in).
    """
    from wanprep.media.write import ffmpeg_binary

    width, height = size
    flags = "lanczos+accurate_rnd+full_chroma_int+full_chroma_inp"
    filters = f"showinfo=checksum=0{before},scale={width}:{height}:flags={flags}{scale},format=rgb24"
    command = [ffmpeg_binary(), "-nostdin", "-hide_banner", "-copyts", "-i", f"file:{path}", "-map", f"0:{stream}"]
    command += ["-vf", filters, "-fps_mode", "passthrough", "-f", "rawvideo", "-"]
    done = subprocess.run(command, check=True, capture_output=True)
    said = done.stderr.decode(errors="replace")
    base = re.search(r"config in time_base: (\d+/\d+)", said)
    assert base, said
    pts = [int(found) for found in re.findall(r"n: *\d+ pts: *(-?\d+)", said)]
    frames = np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3)
    assert len(frames) == len(pts), "showinfo and the output disagree"
    return Fraction(base[1]), pts, frames


def run_ffmpeg(*arguments: object) -> Path:
    """The ffmpeg program with these arguments; returns the last one, the file made."""
    from wanprep.media.write import ffmpeg_binary

    command = [ffmpeg_binary(), "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return Path(str(arguments[-1]))


def broken_behind_the_first(path: Path) -> Path:
    """The MP4 `path`, whose samples behind the first become noise: it promises a film and holds one picture."""
    import av

    data, rng = bytearray(path.read_bytes()), np.random.default_rng(0)
    with av.open(str(path)) as container:
        for packet in list(container.demux(container.streams.video[0]))[1:]:
            if packet.size and packet.pos is not None:
                data[packet.pos : packet.pos + packet.size] = rng.bytes(packet.size)
    path.write_bytes(data)
    return path


def encrypted(path: Path, source: Path, *arguments: object) -> Path:
    """The streams of `source` with Common Encryption, as packaged for sale (scheme cenc, key FILM_KEY), in `path`."""
    how = ("-encryption_scheme", "cenc-aes-ctr", "-encryption_key", FILM_KEY, "-encryption_kid", "a0" * 16)
    return run_ffmpeg("-i", source, "-map", "0", "-c", "copy", *arguments, *how, path)


def grow_box(data: bytearray, path: Sequence[bytes], box: bytes) -> None:
    """Puts `box` at the end of the last of the nested boxes of an MP4 named in `path`, each of which grows by it."""
    sizes, start = [], 0
    for kind in path:
        start = data.index(kind, start) - 4
        sizes.append(start)
    end = start + int.from_bytes(data[start : start + 4], "big")
    data[end:end] = box
    for size in sizes:
        data[size : size + 4] = (int.from_bytes(data[size : size + 4], "big") + len(box)).to_bytes(4, "big")


def grow_element(data: bytearray, path: Sequence[int], element: bytes) -> None:
    """Puts `element` at the end of the last of the nested elements of a Matroska file in `path`, which grow by it."""
    sizes, end = _master(data, path, 0, len(data))
    data[end:end] = element
    for at, wide in sizes:
        data[at : at + wide] = (_ebml_number(data, at)[0] + len(element)).to_bytes(wide, "big")


def _ebml_number(data: bytearray, at: int) -> tuple[int, int]:
    """An EBML number (RFC 8794, 4): its value with the marker of its width, and that width."""
    width = 9 - data[at].bit_length()
    return int.from_bytes(data[at : at + width], "big"), width


def _master(data: bytearray, names: Sequence[int], at: int, end: int) -> tuple[list[tuple[int, int]], int]:
    """Where the sizes of nested EBML elements are, and where the innermost ends."""
    while at < end:
        name, wide = _ebml_number(data, at)
        marked, size_wide = _ebml_number(data, at + wide)
        body = at + wide + size_wide
        stop = min(body + (marked & (1 << 7 * size_wide) - 1), end)
        if name == names[0]:
            inner, last = _master(data, names[1:], body, stop) if names[1:] else ([], stop)
            return [(at + wide, size_wide), *inner], last
        at = stop
    raise AssertionError(f"no element {names[0]:x}")


def plan_by_definition(pts: Sequence[int], start: int, end: int, time_base: Fraction, rate: int) -> list[int]:
    """The frame plan word for word: slot by slot, exact fractions, the first of the nearest frames inside the clip."""
    inside = [i for i, p in enumerate(pts) if start <= p < end]
    plan, k = [], 0
    while Fraction(k, rate) < (end - start) * time_base:
        wanted = start * time_base + Fraction(k, rate)
        plan.append(min(inside, key=lambda i: (abs(pts[i] * time_base - wanted), i)))
        k += 1
    return plan


def _layer(output: Any, codec: str, size: tuple[int, int], pix_fmt: str, rate: Fraction, base: Fraction, options: Any):
    stream = output.add_stream(codec, rate=rate, options=options)
    stream.width, stream.height = size
    stream.pix_fmt = pix_fmt
    stream.codec_context.time_base = base
    stream.codec_context.thread_count = 1
    return stream


def _encoded(rgb: NDArray[np.uint8], pix_fmt: str, matrix: int, colour_range: int) -> Any:
    import av
    from av.video.reformatter import Interpolation

    flags = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP
    scaler = {1: 1, 5: 5, 6: 5, 9: 9}.get(matrix, 5)
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
        format=pix_fmt, dst_colorspace=scaler, dst_color_range=colour_range, interpolation=flags, threads=1
    )
    frame.colorspace, frame.color_range = matrix, colour_range
    return frame


def _add_silence(output: Any, stream: Any) -> None:
    import av

    for part in range(8):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 8000, part * 1024
        output.mux(stream.encode(frame))
    output.mux(stream.encode(None))


def write_mp4(
    path: Path, frames: Iterable[NDArray[np.uint8]], *, width: int, height: int, rate: int, min_psnr: float = 45.0
) -> Any:
    """Write RGB frames (uint8 [height, width, 3]) as one mp4 at `rate` frames a second. As `write_many`."""
    from wanprep.media.write import Target, write_many

    target = Target(path=path, width=width, height=height)
    return write_many({0: target}, ({0: frame} for frame in frames), rate=rate, min_psnr=min_psnr)[0]
