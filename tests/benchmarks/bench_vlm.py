"""Captions an hour and memory of a Qwen2.5-VL of real size, with random weights: the work is the same.

    PYTHONPATH=tests:. python tests/benchmarks/bench_vlm.py --size 7b --batch 1 4 8

Needs a CUDA device with room for the weights (3b: 8 GB, 7b: 17 GB in bf16). Random weights never end an answer, so
every caption has exactly --tokens words; real ones of 80 to 100 words have 110 to 140 tokens.
"""

import argparse
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from tinyvlm import SPECIAL, build

from wanprep.captioners import loading, vlm
from wanprep.captioners.base import CaptionRequest, Sampling
from wanprep.captioners.frames import Frames, Seen, fitted, sample_indices
from wanprep.captioners.prompts import Prompt

SIZES = {  # config.json of Qwen/Qwen2.5-VL-{3B,7B}-Instruct
    "3b": {"hidden_size": 2048, "num_hidden_layers": 36, "num_attention_heads": 16, "num_key_value_heads": 2,
           "intermediate_size": 11008},
    "7b": {"hidden_size": 3584, "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
           "intermediate_size": 18944},
}  # fmt: skip


def random_model(size: str, device: str):
    """(model, processor): real shapes, random bf16 weights, the tiny tokenizer."""
    import torch
    import transformers as t

    folder = build("qwen2.5-vl", Path(tempfile.mkdtemp()))
    processor = t.AutoProcessor.from_pretrained(folder, local_files_only=True)
    ids = {token: processor.tokenizer.convert_tokens_to_ids(token) for token in SPECIAL}
    text = SIZES[size] | {"vocab_size": 152064, "max_position_embeddings": 32768, "pad_token_id": 0, "eos_token_id": 1}
    text["rope_parameters"] = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]}
    vision = {"depth": 32, "hidden_size": 1280, "num_heads": 16, "intermediate_size": 3420, "window_size": 112,
              "out_hidden_size": text["hidden_size"], "fullatt_block_indexes": [7, 15, 23, 31]}  # fmt: skip
    config = t.Qwen2_5_VLConfig(
        text_config=text, vision_config=vision, image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"], vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"], tie_word_embeddings=False,
    )  # fmt: skip
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(device):
        model = t.Qwen2_5_VLForConditionalGeneration(config).eval().requires_grad_(False)
    torch.set_default_dtype(torch.float32)
    model.generation_config.suppress_tokens = [1, *ids.values()]
    model.generation_config.eos_token_id, model.generation_config.pad_token_id = 1, 0
    return model, processor


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=SIZES, default="3b")
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--seconds", type=float, default=5.0, help="length of the clips")
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args()
    model, processor = random_model(options.size, options.device)
    loaded = loading.Loaded(folder=Path(), model=model, processor=processor)
    loaded.tokenizer.padding_side = "left"
    frames = Frames()
    indices = sample_indices(round(16 * options.seconds), 16, frames.fps, frames.max_frames)
    width, height = fitted(1280, 720, frames.max_pixels, 28)
    dice = np.random.default_rng(0)

    def look(request: CaptionRequest, *_, **__) -> Seen:
        picture = dice.integers(0, 256, (len(indices), height, width, 3), dtype=np.uint8)
        return Seen(frames=picture, indices=indices, rate=16, total=round(16 * options.seconds))

    vlm.look, vlm.load = look, lambda *_, **__: loaded
    captioner = SimpleNamespace(
        folder=Path(), settings=vlm.VlmConfig(), frames=frames, middle=False, prompt=Prompt(text="Describe."),
        sampling=Sampling(max_new_tokens=options.tokens),
    )  # fmt: skip
    captioner.batch = lambda *given: vlm.Vlm.batch(captioner, *given)
    captioner._answers = lambda *given: vlm.Vlm._answers(captioner, *given)
    place = {"source_path": Path("m"), "source_rel": "m", "group": "g", "start_s": 0.0, "end_s": 1.0}
    print(
        f"{options.size}, {len(indices)} frames of {width}x{height}, {options.tokens} tokens, torch {torch.__version__}"
    )
    for count in options.batch:
        requests = [CaptionRequest(clip_id=str(n), **place) for n in range(count)]
        vlm.Vlm.caption_many(captioner, requests)
        torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        answers = vlm.Vlm.caption_many(captioner, requests)
        spent = (time.perf_counter() - start) / count
        peak = torch.cuda.max_memory_allocated() / 1e9
        print(
            f"batch {count}: {spent:.2f} s a clip, {3600 / spent:.0f} an hour, {peak:.1f} GB, {answers[0].tokens_in} in"
        )


if __name__ == "__main__":
    main()
