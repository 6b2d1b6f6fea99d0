"""The image embedding of Wan 2.1 image-to-video: CLIP's view of the first frame, as diffusers' pipeline makes it.

Source: WanImageToVideoPipeline.encode_image: the image processor, CLIPVisionModel, `hidden_states[-2]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from wanprep.families import Family

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class ImageEncoder:
    """CLIP's vision tower with its image processor."""

    model: Any
    processor: Any

    def pixels(self, frame_HWC: npt.NDArray[np.uint8]) -> torch.Tensor:
        """What the model sees of a picture: [1, 3, 224, 224], float32, on the CPU."""
        from PIL import Image

        return self.processor(images=Image.fromarray(frame_HWC), return_tensors="pt").pixel_values

    def states(self, pixels: torch.Tensor) -> torch.Tensor:
        """[1, 3, 224, 224] -> float32 [257, 1280] on the model's device: all but the last layer, no norm after it."""
        import torch

        with torch.no_grad():
            seen = self.model(pixel_values=pixels.to(self.model.device, self.model.dtype), output_hidden_states=True)
        return seen.hidden_states[-2][0].float()


def load_image_encoder(family: Family, folder: Path, device: str = "cpu") -> ImageEncoder:
    """From a diffusers folder or a single file, in fp32 (as the pipeline's example: it is small and run once a clip).

    The image processor is the folder's own; a single file has none and gets the class's defaults, which are Wan's.
    """
    from transformers import CLIPImageProcessor

    from wanprep.models.load import load_clip

    file = processor_file(folder)
    processor = CLIPImageProcessor() if file is None else CLIPImageProcessor.from_pretrained(file.parent)
    return ImageEncoder(model=load_clip(family, folder, "fp32", device), processor=processor)


def processor_file(folder: Path) -> Path | None:
    """The configuration of the image processor that belongs to a folder, or None."""
    for place in (folder / "image_processor", folder.parent / "image_processor", folder):
        file = place / "preprocessor_config.json"
        if folder.is_dir() and file.is_file():
            return file
    return None
