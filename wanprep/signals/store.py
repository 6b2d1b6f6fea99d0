"""What one analysis decode of a source leaves behind: numbers, a few thumbnails, and nothing decided.

Every threshold of splitting and filtering is applied to this record afterwards, so changing one decodes nothing. The
file format is safetensors with string metadata: no pickles, readable without wanprep.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from wanprep import ids
from wanprep.signals import mapped
from wanprep.signals.thumbs import Thumbs

FORMAT = "wanprep.signals"
VERSION = "1"


@dataclass(frozen=True, kw_only=True)
class Signals:
    """Measurements of one source in presentation order: N frames, M of them sampled (about two a second).

    time_base: seconds per pts unit. width, height: display size in pixels (rotation and sample aspect applied).
    pts: int64[N], strictly increasing. last_duration: duration of the last frame in pts units, 0 = unknown.
    frame: per-frame numbers, float32[N], NaN where not measured. extra: per-frame vectors, [N, ...].
    sampled: int32[M], frame indices, strictly increasing. thumbs: uint8[M, h, w, 3] BGR, an array or `Thumbs`.
    row_p97, col_p97: uint8[M, height], uint8[M, width]: 97th percentile of full-range luma (0..255) of each
    full-resolution row and column of the sampled frames.
    truncated: "" or why the stream broke before its end, and where it is damaged. holes: frames, ascending, before each
    of which damaged pictures are missing.
    """

    time_base: Fraction
    width: int
    height: int
    pts: np.ndarray
    last_duration: int
    frame: dict[str, np.ndarray]
    sampled: np.ndarray
    thumbs: np.ndarray | Thumbs
    row_p97: np.ndarray
    col_p97: np.ndarray
    truncated: str = ""
    extra: dict[str, np.ndarray] = field(default_factory=dict)
    holes: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if self.time_base <= 0:
            raise ValueError(f"time_base must be positive seconds per unit, not {self.time_base}")
        if self.width < 1 or self.height < 1:
            raise ValueError(f"display size must be positive, not {self.width}x{self.height}")
        n, m = len(self.pts), len(self.sampled)
        if n == 0:
            raise ValueError("signals need at least one frame; reject the source instead")
        self._check("pts", self.pts, (n,), np.int64)
        if not (self.pts[1:] > self.pts[:-1]).all():
            at = int(np.flatnonzero(np.diff(self.pts) <= 0)[0]) + 1
            raise ValueError(f"pts must strictly increase; frame {at} has {self.pts[at]} after {self.pts[at - 1]}")
        if self.last_duration < 0:
            raise ValueError(f"last_duration must be >= 0, not {self.last_duration}")
        if any(not 0 < hole < n for hole in self.holes) or list(self.holes) != sorted(set(self.holes)):
            raise ValueError(f"holes must be ascending frames from 1 to {n - 1}, not {self.holes}")
        for name, values in self.frame.items():
            self._check(f"frame[{name!r}]", values, (n,), np.float32)
        for name, values in self.extra.items():
            if len(values) != n:
                raise ValueError(f"extra[{name!r}] has {len(values)} rows for {n} frames")
        self._check("sampled", self.sampled, (m,), np.int32)
        if m and (self.sampled[0] < 0 or self.sampled[-1] >= n or not (np.diff(self.sampled) > 0).all()):
            raise ValueError(f"sampled must be strictly increasing frame indices below {n}")
        self._check("thumbs", self.thumbs, (m, *self.thumbs.shape[1:3], 3), np.uint8)
        self._check("row_p97", self.row_p97, (m, self.height), np.uint8)
        self._check("col_p97", self.col_p97, (m, self.width), np.uint8)

    @staticmethod
    def _check(name: str, array: np.ndarray | Thumbs, shape: tuple[int, ...], dtype: Any) -> None:
        if array.shape != shape or array.dtype != dtype:
            raise ValueError(f"{name} must be {np.dtype(dtype)}{list(shape)}, not {array.dtype}{list(array.shape)}")

    def seconds(self, start: int = 0, end: int | None = None) -> np.ndarray:
        """float64[end - start]: presentation times of frames start..end-1 in seconds relative to the first of all."""
        return (self.pts[start:end] - self.pts[0]) * float(self.time_base)

    def end_pts(self) -> int:
        """First pts after the last frame; an unknown last duration counts as the median frame interval."""
        return int(self.pts[-1]) + self.interval()

    def end_of(self, end: int) -> int:
        """First pts after frame end - 1: that of the next frame, unless pictures are missing between the two."""
        if end == len(self.pts):
            return self.end_pts()
        if end not in self.holes:
            return int(self.pts[end])
        usual = max(1, int(np.median(np.diff(self.pts))))
        return min(int(self.pts[end]), int(self.pts[end - 1]) + usual)

    def interval(self) -> int:
        """Duration of the last frame in pts units: as stored, else the median interval, else 1 (a lone frame)."""
        if self.last_duration > 0:
            return int(self.last_duration)
        return max(1, int(np.median(np.diff(self.pts)))) if len(self.pts) > 1 else 1

    def save(self, path: Path) -> str:
        """Write atomically; returns the blake2b-128 digest of the file. OSError when the disk is at fault."""

        def write(temporary: Path) -> None:
            with temporary.open("wb") as file:
                file.writelines(self._chunks())

        return ids.write_atomic(path, write)

    def to_bytes(self) -> bytes:
        """The file as bytes: the same signals always give the same bytes."""
        return b"".join(self._chunks())

    def _chunks(self) -> Iterator[Any]:
        tensors: dict[str, Any] = {name: getattr(self, name) for name in ("pts", "sampled", "row_p97", "col_p97")}
        if isinstance(self.thumbs, Thumbs):
            sizes = self.thumbs.sizes()
            tensors["jpeg"], tensors["jpeg_sizes"] = mapped.Pieces(self.thumbs.files, int(sizes.sum())), sizes
        else:
            tensors["thumbs"] = self.thumbs
        tensors |= {f"frame/{name}": values for name, values in self.frame.items()}
        tensors |= {f"extra/{name}": values for name, values in self.extra.items()}
        facts = {
            "time_base": str(self.time_base),
            "width": self.width,
            "height": self.height,
            "last_duration": int(self.last_duration),
            "truncated": self.truncated,
            "thumb_size": self.thumbs.shape[1:3],
        }
        if self.holes:
            facts["holes"] = self.holes
        # One metadata entry: safetensors keeps several in no fixed order, and equal signals should be equal bytes.
        return mapped.chunks(tensors, {FORMAT: json.dumps({"version": VERSION} | facts, sort_keys=True)})

    @classmethod
    def load(cls, path: Path) -> Signals:
        """Read what `save` wrote, in place: the arrays are read-only. ValueError for any other file, OSError as `open`
        raises it."""
        metadata, found = mapped.read(path)
        tensors: dict[str, Any] = dict(found)
        facts = json.loads(metadata.get(FORMAT, "{}"))
        if facts.get("version") != VERSION:
            found = facts.get("version", "no version")
            raise ValueError(f"{path} holds signals {found}, wanted {VERSION}; analyse the source again")

        def group(prefix: str) -> dict[str, np.ndarray]:
            return {name.removeprefix(prefix): tensors.pop(name) for name in sorted(tensors) if name.startswith(prefix)}

        if "jpeg" in tensors:
            height, width = facts["thumb_size"]
            tensors["thumbs"] = Thumbs.unpack(tensors.pop("jpeg"), tensors.pop("jpeg_sizes"), height, width)
        return cls(
            time_base=Fraction(facts["time_base"]),
            width=facts["width"],
            height=facts["height"],
            last_duration=facts["last_duration"],
            truncated=facts["truncated"],
            frame=group("frame/"),
            extra=group("extra/"),
            holes=tuple(facts.get("holes", ())),
            **tensors,
        )
