"""Thumbnails kept as JPEG and decoded when looked at: two hours of film are 0.3 GB this way instead of 1.6 GB.

Stands in for a uint8[M, h, w, 3] array wherever only indexing is needed, so that an analysis worker and a stored
record stay small. Luma at quality 97, colour at 85 and not subsampled: thin lettering intact. Marks that stay are told
better than with 92 for both (decision 3), for 18.9 kB a picture instead of 14.9.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from wanprep.signals.spool import Spool

LUMA, COLOUR = 97, 85  # quality, 0..100


class Packed:
    """Files end to end in uint8[N], by their lengths and where each ends, int64[M]; each is cut out when it is asked
    for: of a long film as many arrays as files would be megabytes in each process."""

    def __init__(self, data: np.ndarray, lengths: np.ndarray, ends: np.ndarray) -> None:
        self.data, self.lengths, self.ends = data, lengths, ends

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> np.ndarray:
        end = self.ends[index]
        return self.data[end - self.lengths[index] : end]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))


class Thumbs:
    """Like a read-only uint8[M, h, w, 3] BGR array; each access decodes what it returns."""

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, files: Sequence[bytes] | Packed | Spool, height: int, width: int) -> None:
        self.files = files
        self.shape = (len(self.files), height, width, 3)

    @classmethod
    def unpack(cls, data: np.ndarray, sizes: np.ndarray, height: int, width: int) -> Thumbs:
        """From all files end to end and the size of each, not copied. ValueError when they do not belong together."""
        ends = np.cumsum(sizes)
        if len(data) != (int(ends[-1]) if len(ends) else 0):
            raise ValueError(f"{len(data)} bytes of thumbnails, but their sizes add up to {int(sizes.sum())}")
        return cls(Packed(data, sizes, ends), height, width)

    def sizes(self) -> np.ndarray:
        """int64[M]: bytes of each file."""
        if isinstance(self.files, Spool):
            return self.files.sizes()
        if isinstance(self.files, Packed):
            return self.files.lengths
        return np.array([len(file) for file in self.files], np.int64)

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self._decode(file) for file in self.files)

    def __getitem__(self, index: Any) -> np.ndarray:
        """As numpy: an int gives [h, w, 3]; a slice, a mask or an array of indices gives [k, h, w, 3]; further
        indices in a tuple apply to the decoded pictures.
        """
        if isinstance(index, tuple):
            head = self[index[0]]
            return head[index[1:]] if isinstance(index[0], int | np.integer) else head[(slice(None), *index[1:])]
        if isinstance(index, int | np.integer):
            return self._decode(self.files[range(len(self))[index]])
        chosen = np.arange(len(self))[index]
        pictures = [self._decode(self.files[i]) for i in chosen]
        return np.stack(pictures) if pictures else np.zeros((0, *self.shape[1:]), np.uint8)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[:] if dtype is None else self[:].astype(dtype)

    def _decode(self, file: bytes | np.ndarray) -> np.ndarray:
        import cv2

        picture = cv2.imdecode(np.frombuffer(file, np.uint8), cv2.IMREAD_COLOR)
        if picture is None or picture.shape != self.shape[1:]:
            raise ValueError("a stored thumbnail does not decode; analyse the source again")
        return picture


def encode(bgr: np.ndarray) -> bytes:
    """uint8[h, w, 3] BGR -> JPEG."""
    import cv2

    quality = [cv2.IMWRITE_JPEG_LUMA_QUALITY, LUMA, cv2.IMWRITE_JPEG_CHROMA_QUALITY, COLOUR]
    full_colour = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    good, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, LUMA, *quality, *full_colour])
    if not good:
        raise ValueError(f"cannot encode a thumbnail of shape {bgr.shape}")
    return data.tobytes()
