"""The nearest known name to one that nobody knows: for errors that help."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

MOST = 3  # names proposed; more would be a list of everything


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> list[str]:
    """Up to MOST known names that `name` may mean, in the order given; empty without any.

    First those that begin with it, punctuation and case aside (`wan-2.2-t2v`, `qwen`); then those that hold all its
    pieces (`t2v-14b`); then the one spelled most alike (cutoff: difflib's ratio, 0 to 1).
    """
    names = list(dict.fromkeys(known))
    wanted = _squeezed(name)
    pieces = [_squeezed(piece) for piece in re.split(r"[^0-9A-Za-z.]+", name) if _squeezed(piece)]
    if wanted:
        for found in (
            [one for one in names if _squeezed(one).startswith(wanted)],
            [one for one in names if len(pieces) > 1 and all(piece in _squeezed(one) for piece in pieces)],
        ):
            if 0 < len(found) <= MOST:
                return found
    by_squeezed = {_squeezed(one): one for one in reversed(names)}
    return [by_squeezed[one] for one in difflib.get_close_matches(wanted, by_squeezed, n=1, cutoff=cutoff)]


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """` (did you mean 'a' or 'b'?)`, ready to be put behind an error; empty when nothing is near."""
    return proposal(nearest(name, known, cutoff))


def proposal(names: Iterable[str]) -> str:
    """` (did you mean 'a', 'b' or 'c'?)`; empty without names."""
    *others, last = [repr(one) for one in names] or [""]
    return f" (did you mean {', '.join(others) + ' or ' if others else ''}{last}?)" if last else ""


def _squeezed(text: str) -> str:
    return re.sub(r"[^0-9a-z]", "", text.lower())
