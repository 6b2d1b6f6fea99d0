"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL through one path of transformers.

The libraries would sample frames, resize them and read files or addresses by themselves, each model in its own way
(Qwen3-VL makes 4 frames of 16 unless told otherwise). Here frames are decoded, chosen and made smaller by us, and the
processor gets finished pictures with the true times at which they are shown. Stills go as images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wanprep.captioners import weights
from wanprep.captioners.base import Captioner, CaptionRequest, Origin, RawCaption, Sampling
from wanprep.captioners.frames import Frames, Seen, look
from wanprep.captioners.loading import Hardware, Loaded, check_libraries, load, release
from wanprep.captioners.prompts import Prompt
from wanprep.config import to_table


@dataclass(frozen=True, kw_only=True)
class VlmConfig:
    """`[caption.vlm]`: models that run on this machine.

    model: a folder, a hub id that has been downloaded, or "auto" (the largest on disk that fits memory_gb).
    batch_size: clips a call. dtype, device, quantize: see `loading.Hardware`.
    """

    model: str = "auto"
    memory_gb: float = 20.0
    batch_size: int = 1
    dtype: str = "bf16"
    device: str = "auto"
    quantize: str = "none"

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {self.batch_size}")
        if self.memory_gb <= 0:
            raise ValueError(f"memory_gb must be above 0, got {self.memory_gb}")
        self.hardware()

    def hardware(self) -> Hardware:
        return Hardware(dtype=self.dtype, device=self.device, quantize=self.quantize)


class Vlm(Captioner):
    """A video VLM on this machine. Missing when its weights are not here or are not what they are called."""

    origin: Origin = "vlm"
    requires_frames = True
    draws = True
    middle = False  # look at one frame only

    def __init__(self, *, name: str, settings: VlmConfig, frames: Frames, sampling: Sampling, prompt: Prompt) -> None:
        self.name, self.settings, self.frames, self.sampling, self.prompt = name, settings, frames, sampling, prompt
        self.together = settings.batch_size
        check_libraries(settings.hardware())
        self.folder: Path = weights.require(weights.KINDS[name], settings.model, settings.memory_gb)

    def identity(self) -> dict[str, Any]:
        """The weights, prompt, frames and sampling; not the batch size and not where the model lies."""
        held = {"dtype": self.settings.dtype, "quantize": self.settings.quantize}
        model = {"weights": weights.identity(self.folder), **held}
        asked = {"frames": to_table(self.frames), "sampling": to_table(self.sampling), "prompt": self.prompt.digest}
        return {"captioner": self.name, **model, **asked}

    def model(self) -> str:
        return weights.label(self.folder)

    def inputs(self, request: CaptionRequest) -> dict[str, Any]:
        """What the prompt says of this one clip."""
        return {"prompt": self.prompt.facts(request.fields)}

    def caption(self, request: CaptionRequest, attempt: int = 0) -> RawCaption:
        (answer,) = self.caption_many([request], attempt)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def caption_many(self, requests: Sequence[CaptionRequest], attempt: int = 0) -> list[RawCaption | Exception]:
        """One call of the model for all clips that can be read."""
        loaded = load(self.folder, self.settings.hardware())
        answers: list[RawCaption | Exception | None] = [None] * len(requests)
        seen: dict[int, Seen] = {}
        for index, request in enumerate(requests):
            try:
                seen[index] = look(request, self.frames, multiple_of(loaded.processor), middle=self.middle)
            except Exception as error:
                answers[index] = error
        if seen:
            texts = [self.prompt.fill(requests[index].fields) for index in seen]
            names = [requests[index].clip_id for index in seen]
            for index, answer in zip(seen, self._answers(loaded, texts, list(seen.values()), names, attempt)):
                answers[index] = answer
        return [answer for answer in answers if answer is not None]

    def _answers(
        self, loaded: Loaded, prompts: Sequence[str], seen: Sequence[Seen], names: Sequence[str], attempt: int
    ) -> list[RawCaption]:
        from wanprep.captioners.drawing import generate, seed_of

        sampling = self.sampling.attempt(attempt)
        inputs = self.batch(loaded, prompts, seen)
        counts = inputs["attention_mask"].sum(1).tolist() if "attention_mask" in inputs else [0] * len(seen)
        inputs = inputs.to(loaded.model.device, dtype=loaded.model.dtype)
        made = generate(loaded, inputs, sampling, [seed_of(sampling.seed, name) for name in names])
        return [
            RawCaption(text=text.strip(), finished=ended, tokens_in=int(count), tokens_out=tokens)
            for (text, ended, tokens), count in zip(made, counts)
        ]

    def batch(self, loaded: Loaded, prompts: Sequence[str], seen: Sequence[Seen]) -> Any:
        """Model inputs of a batch: prompts in the model's own chat format, finished pictures, true times."""
        texts = [chat(loaded.processor, prompt, "image" if s.still else "video") for prompt, s in zip(prompts, seen)]
        return pictures_and_text(loaded.processor, texts, seen)

    def release(self) -> None:
        release()


def chat(processor: Any, prompt: str, kind: str) -> str:
    """One user message of a picture (or video) and the prompt, in the model's own chat format."""
    content = [{"type": kind}, {"type": "text", "text": prompt}]
    return processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )


def pictures_and_text(processor: Any, texts: Sequence[str], seen: Sequence[Seen]) -> Any:
    """The processor's output for finished pictures: nothing resampled in time or space."""
    import torch

    def channels_first(s: Seen) -> Any:
        return torch.from_numpy(s.frames).permute(0, 3, 1, 2).contiguous()

    stills = [channels_first(s)[0] for s in seen if s.still]
    videos = [s for s in seen if not s.still]
    given: dict[str, Any] = {}
    if stills:
        given |= {"images": [[still] for still in stills], "images_kwargs": {"do_resize": False}}
    if videos:
        kwargs = {"do_resize": False, "do_sample_frames": False, "video_metadata": [_times(s) for s in videos]}
        if hasattr(processor.video_processor, "cap_pixels_per_frame"):
            kwargs["cap_pixels_per_frame"] = False  # sizes are ours; unset, it warns
        given |= {"videos": [channels_first(s) for s in videos], "videos_kwargs": kwargs}
    return processor(text=list(texts), padding=True, return_tensors="pt", **given)


def _times(seen: Seen) -> Any:
    from transformers.video_utils import VideoMetadata

    height, width = seen.frames.shape[1:3]
    return VideoMetadata(
        total_num_frames=seen.total,
        fps=float(seen.rate),
        width=width,
        height=height,
        duration=seen.total / seen.rate,
        frames_indices=list(seen.indices),
    )


def multiple_of(processor: Any) -> int:
    """Sides of a picture must be whole multiples of this: vision patches are merged in squares."""
    image = getattr(processor, "image_processor", None)
    return int(getattr(image, "patch_size", 1) or 1) * int(getattr(image, "merge_size", 1) or 1)
