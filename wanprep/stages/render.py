"""The mp4 of a kept clip (a still: png): what VLM, VAE, review and export all read.

One decode of the clip serves every size wanted: each planned source frame is cropped (black bars, then the view's
crop) and scaled straight from the decoded picture, so nothing is resampled twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wanprep.stages import colour
from wanprep.stages.fps import frame_plan

if TYPE_CHECKING:
    from wanprep.signals.store import Signals


def media_path(clip_id: str, width: int, height: int, *, kind: str) -> str:
    """Where a clip's file of one size lies, relative to the dataset."""
    return f"clips/{width}x{height}/{clip_id}.{'png' if kind == 'image' else 'mp4'}"


def render_clip(
    root: Path, clip: Mapping[str, Any], targets: Mapping[str, Any], signals: Signals, rate: int
) -> Iterable[dict[str, Any]]:
    """Write every target of one clip; one artefact row each.

    clip: path (of the source), clip_id, kind, start_pts, end_pts, crop (bars: x, y, w, h), n_frames.
    targets: key -> {"size": (width, height), "crop": (x, y, w, h) inside the clip's picture, and, where colours are
    moved, "colour": a transform of `stages.colour`}.
    Raises RuntimeError when the source no longer decodes to the frames that were analysed.
    """
    from wanprep.media.probe import probe
    from wanprep.media.read import open_video
    from wanprep.media.write import Target, write_many, write_png

    source = Path(clip["path"])
    places = {key: _place(clip, target) for key, target in targets.items()}
    paths = {key: media_path(clip["clip_id"], *place.size, kind=clip["kind"]) for key, place in places.items()}
    with open_video(source, probe(source)) as reader:
        if clip["kind"] == "image":
            still = next(reader.frames())
            written = {key: write_png(root / paths[key], place.picture(still)) for key, place in places.items()}
        else:
            plan = frame_plan(signals.pts, clip["start_pts"], clip["end_pts"], signals.time_base, rate)
            files = {
                key: Target(path=root / paths[key], width=place.size[0], height=place.size[1])
                for key, place in places.items()
            }
            decoded = reader.frames(clip["start_pts"], clip["end_pts"])
            written = write_many(files, _moments(decoded, signals.pts[plan], places), rate=rate)
    for key, file in written.items():
        width, height = places[key].size
        facts = {"digest": file.digest, "bytes": file.bytes, "frames": file.frames, "psnr": file.psnr_min}
        kind = "png" if clip["kind"] == "image" else "mp4"
        yield {"key": key, "kind": kind, "path": paths[key], "width": width, "height": height, **facts}


@dataclass(frozen=True, kw_only=True)
class _Place:
    """size: width, height. crop: in the source's display pixels. colour: a transform, None for none."""

    size: tuple[int, int]
    crop: tuple[int, int, int, int]
    colour: Sequence[float] | None

    def picture(self, frame: Any) -> NDArray[np.uint8]:
        return colour.apply(frame.rgb(*self.size, crop=self.crop), self.colour)


def _place(clip: Mapping[str, Any], target: Mapping[str, Any]) -> _Place:
    bars_x, bars_y, _, _ = clip["crop"]
    x, y, w, h = target["crop"]
    width, height = target["size"]
    return _Place(size=(width, height), crop=(bars_x + x, bars_y + y, w, h), colour=target.get("colour"))


def _moments(frames: Iterator[Any], planned_pts: np.ndarray, places: Mapping[str, _Place]) -> Iterator[dict[str, Any]]:
    """The planned frames at every size, a repeated frame converted once."""
    current, pictures = None, {}
    for wanted in planned_pts.tolist():
        if current is None or current.pts != wanted:
            current = next((frame for frame in frames if frame.pts == wanted), None)
            if current is None:
                raise RuntimeError(f"the frame at pts {wanted} was there when the source was analysed and is not now")
            pictures = {key: place.picture(current) for key, place in places.items()}
        yield pictures
