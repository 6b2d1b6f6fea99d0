"""Which captioners exist: a name, one line, imported only when asked for."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from wanprep.captioners.base import Captioner
from wanprep.stage import Missing, UsageError

AUTO = "auto"
CAPTIONERS: Mapping[str, str] = {
    "sidecar": "wanprep.captioners.sidecar:Sidecar",
    "template": "wanprep.captioners.template:Template",
}
ABSENT = ("qwen2-vl", "qwen2.5-vl", "qwen3-vl", "openai", "blip-2")  # names people know; no backend in this version


def check_name(name: str) -> None:
    """UsageError for a name that nobody knows, Missing for one whose backend is not part of this version."""
    if name in (AUTO, *CAPTIONERS):
        return
    if name in ABSENT:
        raise Missing(
            f'the captioner "{name}" is not part of this version and no weights for it are looked for',
            f"Use one of {', '.join((AUTO, *CAPTIONERS))}; captions made elsewhere can come as .txt beside the sources",
        )
    close = difflib.get_close_matches(name, (AUTO, *CAPTIONERS, *ABSENT), n=1, cutoff=0.5)
    hint = f'did you mean "{close[0]}"? ' if close else ""
    raise UsageError(f'no captioner "{name}"; {hint}Captioners: {", ".join((AUTO, *CAPTIONERS))}')


def make(name: str, **options: Any) -> Captioner:
    """The captioner of that name, built with its options; errors as `check_name`."""
    check_name(name)
    if name == AUTO:
        raise UsageError('"auto" is a rule, not a captioner: the caption stage picks one for each clip')
    module, attribute = CAPTIONERS[name].split(":")
    return getattr(import_module(module), attribute)(**options)


def vlm_on_disk() -> str | None:
    """Name of the best vision-language captioner whose weights are on this machine; None while there is no backend."""
    return None
