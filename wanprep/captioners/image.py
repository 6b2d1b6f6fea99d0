"""Captioners of single pictures (BLIP-2, LLaVA-like ones such as JoyCaption): they see the frame in the middle.

Movement is invisible to them, so they suit stills and sets whose look matters. A model with a chat format gets the
goal's prompt; one without (BLIP, BLIP-2, GIT) completes a caption and takes none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wanprep.captioners.frames import Seen
from wanprep.captioners.loading import Loaded
from wanprep.captioners.vlm import Vlm, chat


class ImageCaptioner(Vlm):
    """Any model of transformers' image-text-to-text task, on the middle frame."""

    middle = True

    def batch(self, loaded: Loaded, prompts: Sequence[str], seen: Sequence[Seen]) -> Any:
        """Model inputs; pictures are brought to the model's own fixed size by its processor."""
        from PIL import Image

        processor = loaded.processor
        images = [Image.fromarray(s.frames[0]) for s in seen]
        if getattr(processor, "chat_template", None):
            texts = [chat(processor, prompt, "image") for prompt in prompts]
            nested = [[image] for image in images]
            return processor(text=texts, images=nested, padding=True, return_tensors="pt")
        return processor(images=images, return_tensors="pt")
