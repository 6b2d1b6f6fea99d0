"""Files of ffmpeg's encoders, and what ffmpeg's own reader of headers (`trace_headers`) says of them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import cv2
import imageio_ffmpeg
import numpy as np

QUIET = ("-v", "error", "-y")


def encoded(path: Path, *options: str, size: tuple[int, int] = (320, 192), form: str = "yuv420p") -> Path:
    """Eight pictures that move."""
    width, height = size
    rng = np.random.default_rng(3)
    big = cv2.resize(rng.integers(0, 256, (16, 24), np.uint8), size, interpolation=cv2.INTER_CUBIC)
    frames = np.stack([np.roll(big, 3 * k, axis=1) for k in range(8)])
    raw = ["-f", "rawvideo", "-pix_fmt", "gray", "-s", f"{width}x{height}", "-r", "24", "-i", "-", "-pix_fmt", form]
    program = [imageio_ffmpeg.get_ffmpeg_exe(), *QUIET, *raw, *options, str(path)]
    subprocess.run(program, input=frames.tobytes(), check=True, stderr=subprocess.DEVNULL)
    return path


def traced(path: Path) -> list[tuple[str, int]]:
    """(name, value) of every element of every header in the file, in its order; ("Packet", 0) before each packet's."""
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "trace", "-i", str(path), "-map", "0:v", "-c", "copy"]
    program += ["-bsf:v", "trace_headers", "-f", "null", "-"]
    said = subprocess.run(program, capture_output=True, check=True).stderr.decode(errors="replace")
    lines = [line.split("]", 1)[1].split() for line in said.splitlines() if line.startswith("[trace_headers")]
    return [("Packet", 0) if words[0] == "Packet:" else (words[1], int(words[-1])) for words in lines
            if words[0] == "Packet:" or "=" in words]  # fmt: skip


def packets(path: Path) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """Extradata of a file, and of every packet that of the last keyframe and its own."""
    import av

    found, key = [], b""
    with av.open(str(path)) as container:
        (stream,) = container.streams.video
        for packet in container.demux(stream):
            if packet.size:
                key = bytes(packet) if packet.is_keyframe else key
                found.append((key, bytes(packet)))
        return stream.codec_context.extradata or b"", found
