"""Which captioners exist: a name, one line, imported only when asked for."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from wanprep.captioners.base import Captioner
from wanprep.near import did_you_mean
from wanprep.stage import Missing, UsageError

AUTO = "auto"
CAPTIONERS: Mapping[str, str] = {
    "sidecar": "wanprep.captioners.sidecar:Sidecar",
    "template": "wanprep.captioners.template:Template",
    "qwen2-vl": "wanprep.captioners.vlm:Vlm",
    "qwen2.5-vl": "wanprep.captioners.vlm:Vlm",
    "qwen3-vl": "wanprep.captioners.vlm:Vlm",
    "blip-2": "wanprep.captioners.image:ImageCaptioner",
    "image": "wanprep.captioners.image:ImageCaptioner",
    "openai": "wanprep.captioners.openai:OpenAI",
}
NAMED = ("qwen2-vl", "qwen2.5-vl", "qwen3-vl", "blip-2", "image")  # one class serves several: it is told its name


def check_name(name: str) -> None:
    """UsageError for a name that nobody knows."""
    if name in (AUTO, *CAPTIONERS):
        return
    names = (AUTO, *CAPTIONERS)
    raise UsageError(f"no captioner is called {name!r}{did_you_mean(name, names, 0.5)}; there are: {', '.join(names)}")


def make(name: str, **options: Any) -> Captioner:
    """The captioner of that name, built with its options. UsageError for the name, Missing for what it needs."""
    check_name(name)
    if name == AUTO:
        raise UsageError('"auto" is a rule, not a captioner: the caption stage picks one for each clip')
    module, attribute = CAPTIONERS[name].split(":")
    named = {"name": name} if name in NAMED else {}
    return getattr(import_module(module), attribute)(**named, **options)


def vlm_on_disk(memory_gb: float = 20.0, model: str = "auto") -> str | None:
    """Name of the best video captioner whose weights are on this machine and fit; None without any.

    model: a folder or hub id that the user named: its captioner; Missing when it serves none.
    """
    from wanprep.captioners.weights import KINDS, VIDEO, find, remedy, serves

    if model == "auto":
        return next((name for name in VIDEO if find(KINDS[name], "auto", memory_gb) is not None), None)
    found = serves(model)
    if found is None:
        what = f"the model {model!r} is not on this machine, or is no video captioner"
        raise Missing(what, remedy(KINDS[VIDEO[0]], model))
    return found
