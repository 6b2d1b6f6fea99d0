"""CLIP's embedding of the first frame: what diffusers' image-to-video pipeline makes of the same picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from wanprep.models.image import ImageEncoder, processor_file


@pytest.fixture(scope="module")
def parts():
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

    torch.manual_seed(0)
    size = {"hidden_size": 64, "intermediate_size": 96, "num_attention_heads": 4, "num_hidden_layers": 4}
    return CLIPVisionModel(CLIPVisionConfig(**size, image_size=224, patch_size=14)).eval(), CLIPImageProcessor()


@pytest.mark.parametrize("size", [(480, 832), (224, 224), (208, 384), (640, 368)])
def test_it_is_the_pipelines_bit_for_bit(parts, size: tuple[int, int]) -> None:
    from diffusers import UniPCMultistepScheduler, WanImageToVideoPipeline
    from PIL import Image

    model, processor = parts
    frame = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    pipe = WanImageToVideoPipeline(
        tokenizer=None, text_encoder=None, vae=None, scheduler=UniPCMultistepScheduler(), transformer=None,
        image_encoder=model, image_processor=processor,
    )  # fmt: skip
    with torch.no_grad():
        wanted = pipe.encode_image(Image.fromarray(frame), torch.device("cpu"))
    encoder = ImageEncoder(model=model, processor=processor)
    found = encoder.states(encoder.pixels(frame))
    assert found.shape == (257, 64)
    assert torch.equal(found, wanted[0])
    assert not torch.equal(found, encoder.states(encoder.pixels(255 - frame)))


def test_the_processor_is_looked_for_beside_the_model(parts, tmp_path: Path) -> None:
    parts[1].save_pretrained(tmp_path / "image_processor")
    (tmp_path / "image_encoder").mkdir()
    wanted = tmp_path / "image_processor" / "preprocessor_config.json"
    assert processor_file(tmp_path) == processor_file(tmp_path / "image_encoder") == wanted
    (tmp_path / "elsewhere").mkdir()
    assert processor_file(tmp_path / "elsewhere" / "deep") is None
    assert processor_file(wanted) is None  # a single file of weights has none
