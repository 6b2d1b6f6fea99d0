"""Text on contact sheets, in letters of any script for which this machine has a font.

PIL looks for a font by its file's name where the system keeps fonts. What none of them has is written with what it is
made of (an ĕ as e), or as its code (日 as \\u65e5), so that names that differ still look different.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont, ImageFont

    Font = FreeTypeFont | ImageFont

FONTS = (  # Latin, Greek and Cyrillic first; then those with Chinese, Japanese and Korean
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "segoeui.ttf", "arial.ttf", "Arial.ttf"),
    *("NotoSansCJK-Regular.ttc", "NotoSansCJKjp-Regular.otf", "wqy-microhei.ttc", "wqy-zenhei.ttc", "msgothic.ttc"),
    *("DroidSansFallbackFull.ttf", "DroidSansFallback.ttf", "msyh.ttc", "malgun.ttf", "Hiragino Sans GB.ttc"),
    *("Arial Unicode.ttf", "unifont.ttf"),
)
SIZE = 12  # pixels of a letter's height, about
LIGHT = (230, 230, 230)
NOWHERE = "\uffff"  # a letter that no font has: what is drawn for it stands for all that are missing


def draw(page: np.ndarray, texts: Sequence[tuple[int, int, str]], room: int) -> np.ndarray:
    """uint8[h, w, 3]: the page with texts at (left, baseline) in pixels, each at most `room` pixels long."""
    from PIL import Image, ImageDraw

    picture = Image.fromarray(page)
    pen = ImageDraw.Draw(picture)
    for left, baseline, text in texts:
        font, written = fitting(text, room)
        pen.text((left, baseline), written, font=font, fill=LIGHT, anchor="ls")
    return np.asarray(picture)


def fitting(text: str, room: int) -> tuple[Font, str]:
    """A font, and the text in letters that it has, its middle left out as far as is needed."""
    from wanprep.tables import keep_ends

    text = "".join(c if c.isprintable() else "?" for c in text)
    font = max(fonts(), key=lambda font: sum(has(font, letter) for letter in {*text}))  # of equals the first
    written = whole = "".join(_spelt(letter, font) for letter in unicodedata.normalize("NFC", text))
    cells = 2 * len(whole)
    while font.getlength(written) > room and cells > 3:
        cells -= 1
        written = keep_ends(whole, cells)
    return font, written if has(font, "…") else written.replace("…", "...")


def _spelt(letter: str, font: Font) -> str:
    if has(font, letter):
        return letter
    plain = "".join(c for c in unicodedata.normalize("NFKD", letter) if c.isascii())
    return plain or letter.encode("ascii", "backslashreplace").decode()


@functools.lru_cache(maxsize=1 << 14)
def has(font: Font, letter: str) -> bool:
    """Whether the font has this letter."""
    if letter.isascii():
        return True
    drawn, missing = font.getmask(letter), font.getmask(NOWHERE)
    return (drawn.size, bytes(drawn)) != (missing.size, bytes(missing))


@functools.cache
def fonts() -> tuple[Font, ...]:
    """Those of FONTS that are there, else PIL's own, which has letters of ASCII only."""
    from PIL import ImageFont

    found: list[Font] = []
    for name in FONTS:
        try:
            found.append(ImageFont.truetype(name, SIZE))
        except OSError:
            continue
    return tuple(found) or (ImageFont.load_default(SIZE),)
