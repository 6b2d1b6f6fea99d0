"""Still pictures: told apart by their first bytes, decoded by Pillow under a pixel cap and a short list of formats.

Pillow and not FFmpeg because it knows EXIF orientation and colour profiles. A picture is decoded from bytes already
read, so that any error inside Pillow is the file's fault and any error outside is the machine's.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wanprep.media.container import check_file
from wanprep.media.probe import REWRAP, Probe
from wanprep.stage import Reject

MAX_PIXELS = 64_000_000  # below Pillow's own alarm (89 million)
MAX_BYTES = 512 * 2**20
PILLOW_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
_BARE_JPEGS = b"\xff\xd9\xff\xd8\xff"  # one picture ends, the next begins
_EXIF_ORIENTATION = 0x0112
_TIFF_WIDTH, _TIFF_LENGTH = 0x0100, 0x0101


def sniff(head: bytes) -> str | None:
    """Name of the picture format that `head` (the first 64 bytes) starts, or None when it is no still picture."""
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "webp"
    if head.startswith(b"BM") and head[6:10] == b"\0\0\0\0":
        return "bmp"
    if head.startswith((b"II*\0", b"MM\0*")):
        return "tiff"
    if head[4:8] == b"ftyp" and head[8:12] in (b"avif", b"avis", b"heic", b"heix", b"heif", b"mif1", b"msf1"):
        return "heif"
    if head.startswith((b"8BPS", b"\xff\x0a", b"\0\0\0\x0cJXL ", b"\0\0\0\x0cjP  ", b"v/1\x01", b"qoif")):
        return "other"
    return None


def probe_still(path: Path) -> Probe:
    """Size and format of a picture, without decoding it. Reject: unsupported_image, image_too_large, unreadable."""
    with opened(path) as image, bytes_at_fault():
        width, height = image.size
        if image.format == "TIFF":  # Pillow turns these by itself, and some versions say so in `size`
            width, height = image.tag_v2[_TIFF_WIDTH], image.tag_v2[_TIFF_LENGTH]
        turned = image.getexif().get(_EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
        return Probe(
            kind="image",
            container=str(image.format).lower(),
            codec=str(image.format).lower(),
            pix_fmt=image.mode,
            coded_width=width,
            coded_height=height,
            width=height if turned else width,
            height=width if turned else height,
            bit_depth=16 if image.mode.startswith("I") else 8,
            alpha="A" in image.getbands() or "transparency" in image.info,
        )


def read_still(path: Path) -> NDArray[np.uint8]:
    """The picture as shown: sRGB uint8 [H, W, 3], EXIF orientation applied, alpha composited on black.

    Of a TIFF with several pages the first; animations are videos (see `media.animation`). Reject as `probe_still`, and
    unreadable when the pixels are broken or cut off.
    """
    from PIL import ImageOps

    with opened(path) as image, bytes_at_fault():
        image.load()
        return np.ascontiguousarray(to_rgb(ImageOps.exif_transpose(image)))


@contextlib.contextmanager
def bytes_at_fault() -> Iterator[None]:
    """What Pillow raises over bytes in memory (OSError, SyntaxError, struct.error, ...) is Reject("unreadable")."""
    try:
        yield
    except (MemoryError, Reject):
        raise
    except Exception as error:
        raise Reject("unreadable", f"{type(error).__name__}: {error}") from error


def to_rgb(image: Any) -> NDArray[np.uint8]:
    """A loaded Pillow image as sRGB uint8 [H, W, 3], alpha composited on black. Reject: unsupported_image."""
    from PIL import Image

    if image.mode == "F":
        raise Reject("unsupported_image", "floating-point pixels: save as 8- or 16-bit PNG")
    if image.mode.startswith("I"):  # 16-bit gray; convert("RGB") would clip it to white
        deep = np.asarray(image).astype(np.int64).clip(0, 65535)
        return np.repeat(((deep + 128) // 257).astype(np.uint8)[..., None], 3, axis=2)
    image = _to_srgb(image)
    if "A" in image.getbands() or "transparency" in image.info:
        black = Image.new("RGBA", image.size, (0, 0, 0, 255))
        return np.asarray(Image.alpha_composite(black, image.convert("RGBA")).convert("RGB"))
    return np.asarray(image.convert("RGB"))


def _to_srgb(image: Any) -> Any:
    """Through the embedded colour profile, if there is a usable one (phones write Display P3)."""
    profile = image.info.get("icc_profile")
    if not profile or image.mode not in ("RGB", "RGBA", "CMYK"):
        return image
    from PIL import ImageCms

    try:
        target = "RGBA" if image.mode == "RGBA" else "RGB"
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode=target)
    except (ImageCms.PyCMSError, OSError):
        return image  # a profile nobody can read says nothing; viewers ignore it too


def opened(path: Path) -> Any:
    """An open, not yet decoded Pillow image over bytes held in memory. Reject as `probe_still`."""
    from PIL import Image, UnidentifiedImageError

    check_file(path)
    if path.stat().st_size > MAX_BYTES:
        raise Reject("image_too_large", f"{path.stat().st_size} bytes (limit {MAX_BYTES})")
    data = path.read_bytes()
    if _BARE_JPEGS in data and b"MPF\0" not in data[:65536]:  # MPF: one photograph with previews or depth behind it
        raise Reject("no_timestamps", "a bare row of JPEG pictures: nobody can know its frame rate. " + REWRAP)
    if sniff(data[:64]) in ("heif", "other"):
        raise Reject("unsupported_image", "only PNG, JPEG, WebP, BMP and TIFF pictures are read: convert it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=PILLOW_FORMATS)
    except Image.DecompressionBombError as error:
        raise Reject("image_too_large", f"{error} (limit {MAX_PIXELS})") from error
    except UnidentifiedImageError as error:
        raise Reject("unreadable", f"Pillow cannot read it: {str(error).partition('<')[0].strip()}") from error
    except (OSError, SyntaxError, ValueError) as error:
        cut = "decoder object" in str(error)  # all that Pillow says of an animated WebP without its end
        raise Reject("unreadable", "the picture is cut off or damaged" if cut else str(error)) from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise Reject("image_too_large", f"{width}x{height} (limit {MAX_PIXELS} pixels)")
    return image
