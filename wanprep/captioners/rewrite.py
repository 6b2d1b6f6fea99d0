"""A second pass: any text model brings raw captions into one style and length.

It never sees the trigger, which code adds afterwards, so it can neither drop nor bend it. An answer that fails the
checks is not used: the first caption stays, flagged.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wanprep.captioners import weights
from wanprep.captioners.base import RawCaption, Sampling
from wanprep.captioners.endpoint import EndpointConfig
from wanprep.captioners.prompts import REWRITES
from wanprep.captioners.vlm import VlmConfig
from wanprep.config import to_table
from wanprep.ids import key_of
from wanprep.stage import UsageError

if TYPE_CHECKING:
    from wanprep.captioners.client import Client

WITH = ("off", "local", "endpoint")
FAILED = "rewrite_failed"  # flag: the first caption is used as it was
_PLACES = ("{text}", "{length}")


@dataclass(frozen=True, kw_only=True)
class RewriteConfig:
    """`[caption.rewrite]`.

    by: "off", "local" (a causal LM of transformers, held as [caption.vlm] says) or "endpoint" ([caption.endpoint]).
    model: as in [caption.vlm] or the endpoint's name; needed. style: "prose" or "tags". length: words (tags: tags), as
    in "80 to 100". prompt: your own, with {text}. origins: whose captions are rewritten: vlm, sidecar, template.
    """

    by: str = "off"
    model: str | None = None
    style: str = "prose"
    length: str | None = None
    prompt: str | None = None
    origins: tuple[str, ...] = ("vlm",)

    def __post_init__(self) -> None:
        if self.by not in WITH:
            raise UsageError(f"rewrite by {self.by!r} is unknown; use one of {', '.join(WITH)}")
        if self.style not in REWRITES:
            raise UsageError(f"rewrite style {self.style!r} is unknown; use one of {', '.join(REWRITES)}")
        if self.prompt is not None and "{text}" not in self.prompt:
            raise UsageError("the rewrite prompt has no {text}, where the first caption goes")
        odd = set(self.origins) - {"vlm", "sidecar", "template"}
        if odd:
            raise UsageError(f"rewrite origins {sorted(odd)} are unknown; use vlm, sidecar, template")
        if self.by != "off" and not self.model:
            raise UsageError("caption.rewrite.model is not set: name a folder, a hub id, or the endpoint's model")

    @property
    def enabled(self) -> bool:
        return self.by != "off"

    def instruction(self) -> str:
        """The prompt with {text} still in it."""
        asked, length = REWRITES[self.style]
        return (self.prompt or asked).replace("{length}", self.length or length)

    def identity(self, sampling: Sampling) -> dict[str, Any]:
        """What a rewriting depends on besides its text: known without the weights, so that decisions stay pure."""
        name = (self.model or "").rstrip("/").rpartition("/")[2]
        return {"by": self.by, "model": name, "instruction": self.instruction(), "sampling": to_table(sampling)}


def rewrite_key(text: str, identity: Mapping[str, Any]) -> str:
    """Key of the rewriting of one text."""
    return key_of(stage="rewrite", text=text, identity=dict(identity))


class Rewriter:
    """Rewrites texts, several at a time. Missing when its model or server is not usable."""

    def __init__(
        self, settings: RewriteConfig, sampling: Sampling, hardware: VlmConfig, endpoint: EndpointConfig
    ) -> None:
        self.settings, self.sampling, self.hardware = settings, sampling, hardware
        self.client: Client | None = None
        if settings.by == "endpoint":
            from wanprep.captioners.client import Client

            self.client = Client(dataclasses.replace(endpoint, model=settings.model))
            self.folder = None
        else:
            assert settings.model
            self.folder = weights.require(weights.KINDS["rewrite"], settings.model, hardware.memory_gb)
        self.lanes = endpoint.concurrency if self.client else 1
        self.together = 1 if self.client else hardware.batch_size

    def rewrite_many(self, texts: Sequence[str], attempt: int = 0) -> list[RawCaption | Exception]:
        """New texts, in order; what went wrong with one takes its place."""
        sampling = self.sampling.attempt(attempt)
        prompts = [self.settings.instruction().replace("{text}", text) for text in texts]
        if self.folder is not None:
            return list(self._local(prompts, texts, sampling))
        found: list[RawCaption | Exception] = []
        for prompt in prompts:
            try:
                assert self.client
                message = {"role": "user", "content": prompt}
                found.append(RawCaption(**vars(self.client.ask([message], sampling))))
            except Exception as error:
                found.append(error)
        return found

    def _local(self, prompts: Sequence[str], texts: Sequence[str], sampling: Sampling) -> list[RawCaption]:
        from wanprep.captioners.drawing import generate, seed_of
        from wanprep.captioners.loading import load

        assert self.folder
        loaded = load(self.folder, self.hardware.hardware(), looks=False)
        tokenizer = loaded.tokenizer
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        asked = list(prompts)
        if getattr(tokenizer, "chat_template", None):
            asked = [
                tokenizer.apply_chat_template(
                    [{"role": "user", "content": prompt}], tokenize=False, add_generation_prompt=True
                )
                for prompt in prompts
            ]
        inputs = tokenizer(asked, padding=True, return_tensors="pt", return_token_type_ids=False)
        counts = inputs["attention_mask"].sum(1).tolist()
        seeds = [seed_of(sampling.seed, text) for text in texts]
        made = generate(loaded, inputs.to(loaded.model.device), sampling, seeds)
        return [
            RawCaption(text=text.strip(), finished=ended, tokens_in=int(count), tokens_out=tokens)
            for (text, ended, tokens), count in zip(made, counts)
        ]

    def release(self) -> None:
        from wanprep.captioners.loading import release

        if self.client:
            self.client.stop()
        release()
