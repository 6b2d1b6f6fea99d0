"""Contact sheets: what many videos show, in one picture. Pure: arrays in, arrays out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CELL = 240  # pixels that a frame of a sheet is wide, at most
GAP, LINE = 6, 18
PAPER, INK, DIM = (246, 248, 250), (28, 36, 48), (93, 104, 120)


@dataclass(frozen=True, kw_only=True)
class SheetRow:
    """One video: a title of two parts (the second fainter) and its frames uint8 [F, H, W, 3]; None where it failed."""

    title: str
    detail: str
    frames: NDArray[np.uint8] | None


def spread(count: int, columns: int) -> list[int]:
    """`columns` indices of 0 … count−1, evenly spread with the first and the last among them; fewer when there are."""
    if count <= columns:
        return list(range(count))
    return [count // 2] if columns == 1 else [round(i * (count - 1) / (columns - 1)) for i in range(columns)]


def contact_sheet(rows: Sequence[SheetRow], *, title: str, columns: int) -> NDArray[np.uint8]:
    """uint8 [H, W, 3]: a row a video, `columns` frames of each, all cells alike, each frame whole inside its cell."""
    from PIL import Image, ImageDraw, ImageFont

    if columns < 1:
        raise ValueError(f"columns = {columns} must be at least 1")
    shapes = [row.frames.shape[1:3] for row in rows if row.frames is not None]
    scale = min(1.0, *(CELL / width for _, width in shapes)) if shapes else 1.0
    heights = [LINE * 2 if row.frames is None else max(1, round(row.frames.shape[1] * scale)) for row in rows]
    cell = max((round(width * scale) for _, width in shapes), default=CELL)
    size = (max(GAP + columns * (cell + GAP), 2 * CELL), LINE + 2 * GAP + sum(h + LINE + GAP for h in heights))
    sheet = Image.new("RGB", size, PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    draw.text((GAP, GAP), _fitted(draw, title, font, size[0] - 2 * GAP), fill=INK, font=font)
    top = LINE + 2 * GAP
    for row, height in zip(rows, heights, strict=True):
        detail = f"   {row.detail}"
        room = size[0] - 2 * GAP - draw.textlength(detail, font=font)
        text = _fitted(draw, row.title, font, room)
        draw.text((GAP, top), text, fill=INK, font=font)
        draw.text((GAP + draw.textlength(text, font=font), top), detail, fill=DIM, font=font)
        top += LINE
        if row.frames is None:
            draw.text((GAP, top), "failed: see log.txt", fill=(176, 58, 74), font=font)
        else:
            for place, index in enumerate(spread(len(row.frames), columns)):
                frame = thumbnail(row.frames[index], round(row.frames.shape[2] * scale))
                sheet.paste(Image.fromarray(frame), (GAP + place * (cell + GAP), top))
        top += height + GAP
    return np.asarray(sheet)


def thumbnail(frame_HWC: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """The frame `width` pixels wide in its own shape; as it is where it is no wider."""
    from PIL import Image

    height, own = frame_HWC.shape[:2]
    if own <= width:
        return frame_HWC
    size = (width, max(1, round(height * width / own)))
    return np.asarray(Image.fromarray(frame_HWC).resize(size, Image.Resampling.LANCZOS))


def jpeg(picture_HWC: NDArray[np.uint8], quality: int = 88) -> bytes:
    import io

    from PIL import Image

    held = io.BytesIO()
    Image.fromarray(picture_HWC).save(held, "JPEG", quality=quality)
    return held.getvalue()


def _fitted(draw: object, text: str, font: object, room: float) -> str:
    """The text, or as much of its beginning as fits."""
    length = draw.textlength  # type: ignore[attr-defined]
    if length(text, font=font) <= room:
        return text
    while text and length(text + "…", font=font) > room:
        text = text[:-1]
    return text + "…"
