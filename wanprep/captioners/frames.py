"""Which frames a captioner sees, and how large: chosen here, the same for every backend, never by a library.

Legend: F frames, H height, W width; RGB last.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wanprep.captioners.base import CaptionRequest, Media

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Frames:
    """`[caption.frames]`. fps: frames looked at for every second; max_frames: but at most so many, spread evenly.

    max_pixels: width x height of one frame at most; larger ones are made smaller, none is enlarged.
    """

    fps: float = 2.0
    max_frames: int = 16
    max_pixels: int = 200_704

    def __post_init__(self) -> None:
        if self.fps <= 0:
            raise ValueError(f"fps must be above 0, got {self.fps}")
        if self.max_frames < 1:
            raise ValueError(f"max_frames must be at least 1, got {self.max_frames}")
        if self.max_pixels < 56 * 56:
            raise ValueError(f"max_pixels must be at least {56 * 56} (56x56), got {self.max_pixels}")


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What of a clip is looked at. frames: uint8 [F, H, W, 3], RGB.

    indices: their numbers in the clip; the k-th is shown indices[k] / rate seconds after its start. total: frames of
    the clip. still: the clip is a single picture.
    """

    frames: NDArray[np.uint8]
    indices: tuple[int, ...]
    rate: int
    total: int

    @property
    def still(self) -> bool:
        return len(self.indices) == 1

    @property
    def seconds(self) -> tuple[float, ...]:
        return tuple(index / self.rate for index in self.indices)


def sample_indices(total: int, rate: int, fps: float, max_frames: int) -> tuple[int, ...]:
    """Frame numbers to look at: the middles of equal parts of the clip, in order and all different.

    An even number where there is more than one (VLMs join frames in pairs), and at least two of a clip that has them.
    """
    if total < 1 or rate < 1:
        raise ValueError(f"a clip has 1 frame or more at 1 fps or more, not {total} at {rate}")
    count = min(max(2, round(total / rate * fps)), max_frames, total)
    count -= count % 2 if count > 1 else 0
    return tuple((2 * k + 1) * total // (2 * count) for k in range(count))


def fitted(width: int, height: int, max_pixels: int, multiple: int = 1) -> tuple[int, int]:
    """Size of width x height brought down to `max_pixels`, both sides whole multiples of `multiple`, never enlarged
    except to one multiple. The shape changes as little as whole multiples allow."""
    scale = min(1.0, math.sqrt(max_pixels / (width * height)))
    wide, high = (max(multiple, round(side * scale / multiple) * multiple) for side in (width, height))
    while wide * high > max_pixels and max(wide, high) > multiple:
        # The side whose rounding enlarged it more gives way.
        if (wide / width >= high / height and wide > multiple) or high == multiple:
            wide -= multiple
        else:
            high -= multiple
    return wide, high


def resized(frames_FHWC: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Frames at another size, averaged over areas when made smaller."""
    import cv2
    import numpy as np

    if frames_FHWC.shape[1:3] == (height, width):
        return frames_FHWC
    shrinks = width <= frames_FHWC.shape[2] and height <= frames_FHWC.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.stack([cv2.resize(frame, (width, height), interpolation=how) for frame in frames_FHWC])


def look(request: CaptionRequest, settings: Frames, multiple: int = 1, *, middle: bool = False) -> Seen:
    """The frames of a request's clip, decoded and made smaller. middle: only the one in the middle.

    RuntimeError when the clip has not been encoded, Damaged when its file is not the one that was written.
    """
    media = media_of(request)
    indices = sample_indices(media.frames, media.rate, settings.fps, 1 if middle else settings.max_frames)
    frames = decoded(media, indices)
    width, height = fitted(frames.shape[2], frames.shape[1], settings.max_pixels, multiple)
    return Seen(frames=resized(frames, width, height), indices=indices, rate=media.rate, total=media.frames)


def media_of(request: CaptionRequest) -> Media:
    """The request's encoded clip, its bytes checked; RuntimeError when there is none."""
    from wanprep.stages.window import verify

    if request.media is None:
        raise RuntimeError(f"clip {request.clip_id} has no mp4 yet to look at; run `wanprep bucket`")
    verify(request.media.path, request.media.digest)
    return request.media


def decoded(media: Media, indices: tuple[int, ...]) -> NDArray[np.uint8]:
    """Frames of a file by number (rising), uint8 [F, H, W, 3]; Damaged when it does not hold them."""
    import numpy as np

    from wanprep.media.probe import probe
    from wanprep.media.read import open_video
    from wanprep.stage import Damaged

    facts = probe(media.path)
    wanted, pictures = set(indices), []
    with open_video(media.path, facts) as reader:
        for number, frame in enumerate(reader.frames()):
            if number in wanted:
                pictures.append(frame.rgb(facts.width, facts.height))
            if number >= indices[-1]:
                break
    if len(pictures) != len(indices):
        raise Damaged(f"{media.path} holds {len(pictures)} of the frames {indices}", "Run `wanprep bucket` again")
    return np.stack(pictures)
