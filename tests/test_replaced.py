"""What a run says of copies that were left out."""

import json
from typing import Any

from wanprep.replaced import lines
from wanprep.stages.precedence import OUTDID

WHY = "its picture is larger: 1920x1080, not 320x180"


def clip(name: str, why: str | None = WHY, *reasons: str) -> dict[str, Any]:
    like = {} if why is None else {"duplicate_of": ["other000 (b.mp4 0.00-1.00 s)", None, "info"]}
    why_told = {} if why is None else {"duplicate_why": [why, None, "info"]}
    about = {"clip_id": name, "path": f"in/{name}.mp4", "start_s": 0.0, "end_s": 2.5}
    return about | {"reasons": list(reasons) or ["duplicate"], "scores": json.dumps(like | why_told)}


def test_nothing_is_said_of_copies_that_nobody_knew() -> None:
    assert lines([clip("a"), clip("b", None, "blur")], typed=["b"], kept=["b"]) == []


def test_words_that_are_not_used_are_named_by_their_file() -> None:
    (line,) = lines([clip("a"), clip("b", "it is sharper: 0.3, not 0.2")], typed=["a", "z"], kept=["a"])
    assert line.startswith("1 caption by hand not used, because the clip shows the same as another: captions/a.txt")
    assert f"in/a.mp4 0.00-2.50 s, for other000: {WHY}" in line


def test_what_was_kept_before_is_named() -> None:
    (line,) = lines([clip(name) for name in "abcdef"], typed=[], kept=["a", "c", "d", "e", "f"])
    assert line.startswith("5 clips that were kept before gave way to a copy: in/a.mp4 0.00-2.50 s, for other000: ")
    assert line.endswith(" and 2 more")
    assert "in/b.mp4" not in line


def test_a_better_picture_without_words_is_named_with_the_remedy() -> None:
    (line,) = lines([clip("a", f"a text lies beside its film, {OUTDID} (1; not 2)")], typed=[], kept=[])
    assert line.startswith("1 clip left out though the picture is better")
    assert "captions/CLIP.txt" in line
