"""Captions put together from what the manifest knows: the fallback that keeps a first run going without any model.

The result is marked provisional. `{trigger}` stays a placeholder (`[trigger]`) in the raw caption, so that a changed
trigger changes no measured row.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from string import Formatter
from typing import Any

from wanprep.captioners.base import PROVISIONAL, Captioner, CaptionRequest, Origin, RawCaption
from wanprep.captioners.text import PLACEHOLDER
from wanprep.stage import UsageError

DEFAULT_TEMPLATE = "a {kind}, {class}, {camera}"
CLIP, PICTURE = "video clip", "picture"  # what {kind} says: a still is a picture
FIELDS: Mapping[str, Any] = {  # every field with an example value, which format specs are tried on
    "trigger": PLACEHOLDER,  # where the trigger goes, if not at the front
    "kind": CLIP,  # or PICTURE
    "class": "woman",  # the plain word the trigger stands for
    "source": "reel 3",  # the source's file name without suffix, _ and - as spaces
    "group": "ponyo",  # the work the source belongs to
    "camera": "slow pan left",  # the movement measured on the clip, when there is one
    "seconds": 2.5,  # length of the clip; a still has none
    "width": 1280,
    "height": 720,
}


def parse_template(template: str) -> tuple[str, ...]:
    """The fields a template uses, in order; UsageError for a field that does not exist or a broken brace."""
    names: list[str] = []
    try:
        for _, name, spec, conversion in Formatter().parse(template):
            if name is None:
                continue
            if name not in FIELDS or conversion or "{" in (spec or ""):
                close = difflib.get_close_matches(name, FIELDS, n=1)
                hint = f'did you mean "{{{close[0]}}}"? ' if close and close[0] != name else ""
                known = ", ".join(FIELDS)
                raise UsageError(f'caption template "{template}": no field "{{{name}}}"; {hint}Fields: {known}')
            names.append(name)
        template.format_map(FIELDS)
    except ValueError as error:
        raise UsageError(f'caption template "{template}": {error}; write {{{{ and }}}} for braces') from None
    return tuple(names)


def tidy(text: str) -> str:
    """Close the gaps that empty fields leave: no comma twice, none at an end, no space before one."""
    text = re.sub(r"\s+", " ", text)
    text = re.sub(r"\s+([,.;:])", r"\1", text)
    text = re.sub(r"[,;:](?:\s*[,;:])+", ",", text)
    text = re.sub(r"[,;:]\s*\.", ".", text)
    return text.strip(" ,;:")


class Template(Captioner):
    """Fills `template` with the clip's fields; empty ones close up."""

    name = "template"
    origin: Origin = "template"
    requires_frames = False

    def __init__(self, *, template: str = DEFAULT_TEMPLATE) -> None:
        self.template = template
        self.fields = parse_template(template)

    def identity(self) -> dict[str, Any]:
        return {"captioner": self.name, "template": self.template}

    def inputs(self, request: CaptionRequest) -> dict[str, Any]:
        """The values of the fields this template uses."""
        return {"fields": self._values(request)}

    def caption(self, request: CaptionRequest, attempt: int = 0) -> RawCaption:
        values = self._values(request)
        return RawCaption(text=tidy(self._fill(values)), flags=(PROVISIONAL,))

    def _fill(self, values: Mapping[str, Any]) -> str:
        parts = []
        for literal, name, spec, _ in Formatter().parse(self.template):
            parts.append(literal)
            if name is not None:
                value = values[name]
                parts.append(format(value, spec or "") if value != "" else "")
        return "".join(parts)

    def _values(self, request: CaptionRequest) -> dict[str, Any]:
        still = request.fields.get("kind") == PICTURE
        own = {
            "kind": CLIP,
            "source": re.sub(r"[_\-]+", " ", PurePosixPath(request.source_rel).stem),
            "group": request.group,
        }
        seconds = None if still else round(request.end_s - request.start_s, 1)  # a number, unlike a prompt's
        known = {**own, **request.fields, "seconds": seconds, "trigger": PLACEHOLDER}
        return {name: "" if known.get(name) is None else known[name] for name in self.fields}
