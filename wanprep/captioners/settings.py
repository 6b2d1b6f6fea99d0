"""`[caption]` of a pipeline file, and the captioners that it describes."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wanprep.captioners import checks
from wanprep.captioners.agreement import CheckConfig
from wanprep.captioners.base import Captioner, Sampling
from wanprep.captioners.endpoint import EndpointConfig
from wanprep.captioners.frames import Frames
from wanprep.captioners.prompts import Prompt, check_goal, prompt_for
from wanprep.captioners.registry import AUTO, check_name, make, vlm_on_disk
from wanprep.captioners.rewrite import RewriteConfig
from wanprep.captioners.sidecar import Folder, find_sidecar
from wanprep.captioners.template import DEFAULT_TEMPLATE, parse_template
from wanprep.captioners.text import PLACEHOLDER, clean, final_text
from wanprep.captioners.vlm import VlmConfig
from wanprep.stage import UsageError


@dataclass(frozen=True, kw_only=True)
class CaptionConfig:
    """`[caption]` of a pipeline file.

    captioner: "auto" (text file beside the source, else a VLM whose weights are on disk, else the template) or a name.
    goal: what the LoRA is for, which picks the prompt (see `prompts.GOALS`); prompt: your own instead, "" for none.
    language: captions must be in it ("" for any). retries: how often a model is asked again after a bad answer.
    trigger: phrase put before every caption, exactly once; None or "" for none. separator: what stands between it and
        the caption, part of the phrase if it has words: trigger "frung", separator ", young woman, ".
    class_word: the plain word the trigger stands for, None or "" for none. template: see `captioners.template.FIELDS`.
    """

    captioner: str = AUTO
    goal: str = "general"
    prompt: str | None = None
    language: str = "en"
    retries: int = 2
    trigger: str | None = None
    separator: str = " "
    class_word: str | None = None
    template: str = DEFAULT_TEMPLATE
    frames: Frames = field(default_factory=Frames)
    sampling: Sampling = field(default_factory=Sampling)
    vlm: VlmConfig = field(default_factory=VlmConfig)
    endpoint: EndpointConfig = field(default_factory=EndpointConfig)
    check: CheckConfig = field(default_factory=CheckConfig)
    rewrite: RewriteConfig = field(default_factory=RewriteConfig)

    def __post_init__(self) -> None:
        for name in ("trigger", "class_word", "prompt"):
            if getattr(self, name) == "":
                object.__setattr__(self, name, None)  # so that a stored one can be taken away
        check_name(self.captioner)
        parse_template(self.template)
        check_goal(self.goal)
        checks.check_language(self.language)
        self.asked()
        if not 0 <= self.retries <= 10:
            raise UsageError(f"caption retries must be between 0 and 10, got {self.retries}")
        for name in ("trigger", "class_word"):
            value = getattr(self, name)
            if value is None:
                continue
            if not re.search(r"[^\W_]", value):
                raise UsageError(f'caption {name} "{value}" has no letter or digit; "" is for none')
            if PLACEHOLDER in value.lower():
                raise UsageError(f'caption {name} "{value}" contains {PLACEHOLDER}, which stands for the trigger')
        if self.trigger is not None:
            self._check_separator(clean(self.trigger))

    def _check_separator(self, trigger: str) -> None:
        joined = self.separator
        glued = not joined or joined[-1].isalnum() or (trigger[-1].isalnum() and joined[0].isalnum())
        if glued:
            raise UsageError(
                f'caption separator "{joined}" would grow together with the trigger "{trigger}" or the caption; '
                'begin and end it with a space or punctuation, as in ", "'
            )

    def warnings(self) -> tuple[str, ...]:
        """What will work here but surprise later: ComfyUI reads `(words:1.2)` and `embedding:` as commands."""
        trigger = self.trigger or ""
        found = [f'"{part}"' for part in ("(", ")", "embedding:") if part in trigger]
        if not found:
            return ()
        return (f'trigger "{trigger}" contains {", ".join(found)}, which ComfyUI does not read as plain text',)

    def final(self, raw: str) -> str:
        """`final_text` with this configuration's trigger, separator and class word."""
        return final_text(raw, self.trigger, self.separator, class_word=self.class_word)

    def asked(self) -> Prompt:
        """The prompt that models are given."""
        return prompt_for(self.goal, self.prompt, class_word=self.class_word)


class Captioners:
    """The captioners of one configuration, each made once: finding weights reads folders and headers."""

    def __init__(self, config: CaptionConfig) -> None:
        self.config = config
        self._made: dict[str, Captioner] = {}
        self._fallback: str | None = None
        self._folders = functools.cache(Folder.of)  # asked for every clip

    def named(self, name: str) -> Captioner:
        """The captioner of that name; UsageError and Missing as `registry.make`."""
        if name not in self._made:
            self._made[name] = make(name, **self._options(name))
        return self._made[name]

    def wanted(self, source_path: Path) -> Captioner:
        """The captioner for one clip of this source: the named one, or the first that "auto" finds."""
        if self.config.captioner != AUTO:
            return self.named(self.config.captioner)
        if find_sidecar(source_path, self._folders):
            return self.named("sidecar")
        if self._fallback is None:
            self._fallback = vlm_on_disk(self.config.vlm.memory_gb, self.config.vlm.model) or "template"
        return self.named(self._fallback)

    def release(self) -> None:
        for captioner in self._made.values():
            captioner.release()

    def _options(self, name: str) -> dict[str, Any]:
        config = self.config
        if name == "sidecar":
            return {"folders": self._folders}
        if name == "template":
            return {"template": config.template}
        settings = config.endpoint if name == "openai" else config.vlm
        return {
            "settings": settings,
            "frames": config.frames,
            "sampling": config.sampling,
            "prompt": config.asked(),
        }
