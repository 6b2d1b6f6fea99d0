"""What a user names as weights: one place, or several as in $PATH, each for a certain part or for whatever it fits.

/models/Wan2.2-T2V-A14B-Diffusers                 a diffusers folder
/ComfyUI/models                                   a folder with single files under their well-known names
vae=/a/wan_2.1_vae.safetensors:text=/b/umt5.safetensors
high=/a/mine_1.safetensors:low=/a/mine_2.safetensors:/ComfyUI/models
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from pathlib import Path

from wanprep.families import Family
from wanprep.stage import UsageError

_LABELS = {"vae": "vae", "text": "text", "clip": "clip", "transformer": "transformer", "transformer_2": "transformer_2"}
_LABELS |= {"high": "transformer", "single": "transformer", "low": "transformer_2"}


@dataclass(frozen=True, kw_only=True)
class Place:
    """A file or folder. part: what it is for; None for whatever it fits."""

    path: Path
    part: str | None = None


def places(named: Path, family: Family) -> list[Place]:
    """The places in what the user named. UsageError for a label that stands for no part of the family, and for one file
    that is named as two parts."""
    whole = named.expanduser()
    if whole.exists():
        return [Place(path=whole)]
    found = []
    for text in str(named).split(os.pathsep):
        label, equals, rest = text.partition("=")
        if not equals or os.sep in label:
            found.append(Place(path=Path(text).expanduser()))
            continue
        if label not in _LABELS or (label in ("high", "low", "single") and label not in family.experts):
            known = ", ".join(label for label in ("vae", "text", "clip", *family.experts))
            raise UsageError(f"weights: {label!r} in {text!r} is no part of {family.name}; parts are {known}")
        found.append(Place(path=Path(rest).expanduser(), part=_LABELS[label]))
    files = [place for place in found if place.part and place.path.is_file()]
    for one, other in itertools.combinations(files, 2):
        if one.part != other.part and one.path.samefile(other.path):
            raise UsageError(
                f"weights: {one.path} and {other.path} are one file, and it was named as two parts of {family.name}, "
                "which are two files"
            )
    return found
