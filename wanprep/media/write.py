"""Writing what training will see: mp4 files that are checked against the frames they were made from, and PNG stills.

x264 in 4:4:4 (chroma must not be halved a second time), BT.709 limited range, one encoder thread and bit-exact flags:
the same frames and the same ffmpeg give the same bytes. After encoding, the file is decoded with the project's own
reader and every frame compared with what was fed; a file under `min_psnr` is encoded again with a finer quantiser. For
that the fed frames are kept: in memory up to SPOOL_BYTES for all sizes of a call together, beyond that in an unnamed
temporary file beside the target. Only a checked file gets its final name.

What reaches 45 dB cheapest was measured (docs/measured/preparation.md). The worst frame counts, so all frames get the
same quantiser. 10 bits, because rounding RGB to 8-bit YUV alone uses up half of the error allowed: files are a
quarter to a half smaller and so faster to code. At such rates an arithmetic coder takes most of the time of reading a
file, and deblocking does nothing: both are off. So is looking ahead for cuts, which a clip has none of, and for
fades.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from wanprep import ids
from wanprep.media.spool import Spool
from wanprep.stage import Missing

Key = TypeVar("Key")

SPOOL_BYTES = 512 * 2**20
FIRST_QP = 23  # of x264's 10-bit scale, where 12 more is as fine as in 8 bits
SMALL = 300_000  # pixels; below, detail is denser and the same quantiser 0.9 dB worse
PRESET = "superfast"
MAX_PSNR = 100.0  # what identical frames score, so that the number stays finite in tables
PIXELS = "yuv444p10le"
_CODER = {"vcodec": "libx264", "pix_fmt": PIXELS, "preset": PRESET, "threads": 1, "g": 48, "tune": "psnr"}
_CODER["x264-params"] = "ipratio=1:pbratio=1:bframes=0:cabac=0:no-deblock=1:scenecut=0:weightp=0"
_TAGS = {"range": "tv", "colorspace": "bt709", "color_primaries": "bt709", "color_trc": "bt709"}
_PLAIN = {"fflags": "+bitexact", "flags": "+bitexact", "map_metadata": -1, "movflags": "+faststart", "f": "mp4"}


@dataclass(frozen=True, kw_only=True)
class Written:
    """A published file: blake2b-128 of its bytes, frames in it, its worst frame's PSNR in dB, size, quantiser used."""

    digest: str
    frames: int
    psnr_min: float
    bytes: int
    qp: int


@dataclass(frozen=True, kw_only=True)
class Target:
    """One file to make: where, and the size of its frames in pixels."""

    path: Path
    width: int
    height: int

    def __post_init__(self) -> None:
        if self.width < 2 or self.height < 2:
            raise ValueError(f"a video of {self.width}x{self.height} cannot be encoded: both must be at least 2")


def ffmpeg_binary() -> str:
    """The ffmpeg on PATH, else the one that imageio-ffmpeg brings. Raises Missing when there is neither."""
    found = shutil.which("ffmpeg")
    if found:
        return found
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise Missing("no ffmpeg found", "install ffmpeg, or: pip install imageio-ffmpeg") from error


def write_many(
    targets: Mapping[Key, Target],
    frames: Iterable[Mapping[Key, NDArray[np.uint8]]],
    *,
    rate: int,
    min_psnr: float = 45.0,
) -> dict[Key, Written]:
    """Write several sizes of one clip from a single pass over its frames; all files are checked before any is named.

    frames: for each moment a mapping with one array uint8 [height, width, 3] for every key of `targets`; they are kept
    and must not be changed afterwards.
    Raises ValueError for no frames or a wrong shape, OSError for a full disk, RuntimeError when ffmpeg fails or
    min_psnr (dB, worst frame, over R, G and B) cannot be reached, Missing without ffmpeg, and whatever `frames` raises.
    On any error nothing is left.
    """
    if rate < 1:
        raise ValueError(f"rate must be a whole number of frames a second, at least 1, got {rate}")
    if not targets:
        raise ValueError("nothing to write: no targets")
    with contextlib.ExitStack() as cleanup:
        writers: dict[Key, _Writer] = {}
        for key, target in targets.items():
            writer = _Writer(target, rate, SPOOL_BYTES // len(targets))
            cleanup.callback(writer.discard)
            writers[key] = writer
        for moment in frames:
            for key, writer in writers.items():
                writer.add(moment[key])
        for writer in writers.values():
            writer.finish(min_psnr)
        return {key: writer.publish() for key, writer in writers.items()}


def first_qp(target: Target) -> int:
    """The coarsest quantiser with which nearly all real footage has 45 dB at once (docs/measured/preparation.md)."""
    return FIRST_QP if target.width * target.height >= SMALL else FIRST_QP - 1


def write_png(path: Path, rgb_HWC: NDArray[np.uint8]) -> Written:
    """Write a still (uint8 [H, W, 3]) losslessly and atomically; same pixels, same bytes (for one Pillow and zlib)."""
    from PIL import Image

    if rgb_HWC.dtype != np.uint8 or rgb_HWC.ndim != 3 or rgb_HWC.shape[2] != 3:
        raise ValueError(f"a still must be uint8 [H, W, 3], got {rgb_HWC.dtype} {list(rgb_HWC.shape)}")
    image = Image.fromarray(np.ascontiguousarray(rgb_HWC))
    digest = ids.write_atomic(path, lambda temporary: image.save(temporary, format="PNG", compress_level=6))
    return Written(digest=digest, frames=1, psnr_min=MAX_PSNR, bytes=path.stat().st_size, qp=0)


def psnr(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    """Peak signal-to-noise ratio of two uint8 arrays in dB, at most MAX_PSNR. ValueError for different shapes."""
    if a.shape != b.shape or a.dtype != np.uint8 or b.dtype != np.uint8:
        raise ValueError(f"not two alike uint8 pictures: {a.dtype} {list(a.shape)} and {b.dtype} {list(b.shape)}")
    import cv2

    error = cv2.norm(a.reshape(len(a), -1), b.reshape(len(b), -1), cv2.NORM_L2SQR) / a.size
    return min(MAX_PSNR, 10 * math.log10(255**2 / error)) if error else MAX_PSNR


class _Writer:
    """One target: feeds an encoder while spooling, then checks and if need be encodes again."""

    def __init__(self, target: Target, rate: int, spool_bytes: int) -> None:
        target.path.parent.mkdir(parents=True, exist_ok=True)
        self.target, self.rate, self.frames = target, rate, 0
        self.psnr_min, self.qp = 0.0, first_qp(target)
        self._file = ids.temporary_name(target.path.with_suffix(".mp4"))
        self._fed = Spool(target.path.parent, spool_bytes)
        self._encoder: _Encoder | None = _Encoder(self._file, target, rate, self.qp)

    def add(self, frame: NDArray[np.uint8]) -> None:
        shape = (self.target.height, self.target.width, 3)
        if frame.dtype != np.uint8 or frame.shape != shape:
            raise ValueError(f"frame {self.frames} must be uint8 {list(shape)}, got {frame.dtype} {list(frame.shape)}")
        frame = np.ascontiguousarray(frame)
        assert self._encoder is not None, "add() after finish()"
        self._encoder.feed(frame)
        self._fed.add(frame)
        self.frames += 1

    def finish(self, min_psnr: float) -> None:
        if not self.frames:
            raise ValueError(f"no frames for {self.target.path.name}: nothing to write")
        assert self._encoder is not None, "finish() twice"
        self._encoder.close()
        self._encoder = None
        while True:
            self.psnr_min = self._check()
            if self.psnr_min >= min_psnr:
                return
            if self.qp == 0:
                raise RuntimeError(
                    f"{self.target.path.name}: worst frame {self.psnr_min:.2f} dB even without compression loss, "
                    f"{min_psnr} wanted: lower min_psnr"
                )
            # One step is worth about 0.9 dB; at 0 x264 is lossless in YUV.
            self.qp = max(0, self.qp - math.ceil((min_psnr - self.psnr_min) * 1.15 + 0.1))
            self._encode_again()

    def publish(self) -> Written:
        digest = ids.write_atomic(self.target.path, lambda temporary: self._file.replace(temporary))
        size = self.target.path.stat().st_size
        return Written(digest=digest, frames=self.frames, psnr_min=self.psnr_min, bytes=size, qp=self.qp)

    def discard(self) -> None:
        """Stop and remove whatever is left; harmless after publish()."""
        if self._encoder is not None:
            self._encoder.kill()
        self._fed.close()
        self._file.unlink(missing_ok=True)

    def _encode_again(self) -> None:
        self._encoder = _Encoder(self._file, self.target, self.rate, self.qp)
        for frame in self._fed:
            self._encoder.feed(frame)
        self._encoder.close()
        self._encoder = None

    def _check(self) -> float:
        """PSNR of the worst frame, from the file as any reader will see it. RuntimeError when frames are missing."""
        from wanprep.media.probe import probe
        from wanprep.media.read import open_video

        width, height = self.target.width, self.target.height
        worst, fed, slots = MAX_PSNR, iter(self._fed), []
        with open_video(self._file, probe(self._file)) as reader:
            for frame in reader.frames():
                slots.append(frame.pts * reader.probe.time_base * self.rate)
                original = next(fed, None)
                if original is not None:
                    worst = min(worst, psnr(frame.rgb(width, height), original))
        if slots != list(range(self.frames)) or reader.truncated:
            raise RuntimeError(
                f"{self.target.path.name}: fed {self.frames} frames, the file holds {len(slots)} "
                f"{reader.truncated}(first slots {[str(s) for s in slots[:3]]}): do not trust this ffmpeg"
            )
        return worst


class _Encoder:
    """One ffmpeg process that takes raw RGB frames; errors carry what ffmpeg said."""

    def __init__(self, path: Path, target: Target, rate: int, qp: int) -> None:
        import ffmpeg

        source = ffmpeg.input(
            "pipe:0", format="rawvideo", pix_fmt="rgb24", s=f"{target.width}x{target.height}", framerate=rate
        )
        matrix = {"in_range": "full", "out_range": "tv", "out_color_matrix": "bt709"}
        flags = "bicubic+accurate_rnd+full_chroma_int+full_chroma_inp+bitexact"
        options: dict[str, Any] = {**_CODER, **_PLAIN, "qp": qp, "video_track_timescale": rate * 1000}
        video = source.filter("scale", flags=flags, **matrix).filter("format", PIXELS).filter("setparams", **_TAGS)
        output = ffmpeg.output(video, f"file:{path.absolute()}", **options).global_args(
            "-nostdin", "-loglevel", "error", "-filter_threads", "1"
        )
        command = output.overwrite_output().compile(cmd=ffmpeg_binary())
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - a file, because a full stderr pipe would stop ffmpeg
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._said)

    def feed(self, frame: NDArray[np.uint8]) -> None:
        assert self._process.stdin is not None, "opened with a pipe"
        try:
            self._process.stdin.write(frame.data)
        except (BrokenPipeError, ConnectionResetError) as error:
            raise self._failure() from error

    def close(self) -> None:
        assert self._process.stdin is not None, "opened with a pipe"
        try:
            self._process.stdin.close()
        except (BrokenPipeError, ConnectionResetError) as error:
            raise self._failure() from error
        if self._process.wait() != 0:
            raise self._failure()
        self._said.close()

    def kill(self) -> None:
        self._process.kill()
        self._end()

    def _end(self) -> None:
        with contextlib.suppress(OSError):  # the pipe may be broken; what matters is that the descriptor is closed
            if self._process.stdin is not None:
                self._process.stdin.close()
        self._process.wait()
        self._said.close()

    def _failure(self) -> Exception:
        code = self._process.wait()
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").strip()[-2000:]
        self._end()
        if os.strerror(errno.ENOSPC) in said or os.strerror(errno.EDQUOT) in said:
            return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if "pix_fmt" in said or "pixel format" in said:
            said += f" (its libx264 must know {PIXELS}; the one of imageio-ffmpeg does: take this ffmpeg off PATH)"
        return RuntimeError(f"ffmpeg failed with status {code}: {said or 'it said nothing'}")
