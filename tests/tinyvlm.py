"""Tiny Qwen2-VL, Qwen2.5-VL and Qwen3-VL with random weights: real classes and processors, half a megabyte, offline.

Only whole words may be said (single bytes are suppressed), so that captions are readable, and the weights are wide
enough that different pictures give different words.
"""

import json
from pathlib import Path
from typing import Any

SENTENCES = """
a the red blue green yellow bright dark slow quick picture shape line wave light shadow moves turns drifts rises falls
left right up down over under behind near far sky water field wall door woman man child dog camera pans and with in on
of through soft hard small large
"""
WORDS = SENTENCES.split()
SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] }}{% else %}{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif c['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %}{{ c['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
NAMES = ("qwen2-vl", "qwen2.5-vl", "qwen3-vl")


def alphabet() -> list[str]:
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    return [character for _, character in sorted(bytes_to_unicode().items())]


def make_tokenizer() -> Any:
    from transformers import Qwen2Tokenizer

    entries = [*alphabet(), *(f"Ġ{word}" for word in dict.fromkeys(WORDS))]
    tokenizer = Qwen2Tokenizer(vocab={entry: i for i, entry in enumerate(entries)}, merges=[])
    tokenizer.add_special_tokens({"additional_special_tokens": list(SPECIAL)})
    tokenizer.eos_token, tokenizer.pad_token = "<|im_end|>", "<|endoftext|>"
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def build(name: str, folder: Path, seed: int = 0, width: int = 32) -> Path:
    """Write a complete model folder of that captioner's kind. width: of its layers, a multiple of 16."""
    import torch
    import transformers as t

    tokenizer = make_tokenizer()
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL}
    qwen3 = name == "qwen3-vl"
    text: dict[str, Any] = {
        "vocab_size": len(tokenizer), "hidden_size": width, "intermediate_size": width * 3 // 2,
        "num_hidden_layers": 2, "num_attention_heads": width // 8, "num_key_value_heads": width // 16,
        "max_position_embeddings": 4096,
        "initializer_range": 0.3, "bos_token_id": ids["<|endoftext|>"], "eos_token_id": ids["<|im_end|>"],
        "pad_token_id": ids["<|endoftext|>"],
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]},
    }  # fmt: skip
    vision: dict[str, Any] = {"depth": 2, "num_heads": 4, "initializer_range": 0.3}
    if name == "qwen2-vl":
        vision |= {"embed_dim": width, "hidden_size": width, "mlp_ratio": 2}
    elif name == "qwen2.5-vl":
        vision |= {
            "hidden_size": width, "out_hidden_size": width, "intermediate_size": width * 3 // 2, "window_size": 56,
            "fullatt_block_indexes": [1],
        }  # fmt: skip
    else:
        vision |= {
            "hidden_size": width, "out_hidden_size": width, "intermediate_size": width * 3 // 2, "patch_size": 16,
            "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1],
        }  # fmt: skip
        text |= {"head_dim": 8}
        text["rope_parameters"] |= {"mrope_section": [2, 1, 1], "mrope_interleaved": True}
    prefix = {"qwen2-vl": "Qwen2VL", "qwen2.5-vl": "Qwen2_5_VL", "qwen3-vl": "Qwen3VL"}[name]
    config = getattr(t, f"{prefix}Config")(
        text_config=text, vision_config=vision, image_token_id=ids["<|image_pad|>"],
        video_token_id=ids["<|video_pad|>"], vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"], tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(seed)
    model = getattr(t, f"{prefix}ForConditionalGeneration")(config).eval()
    with torch.no_grad():  # what is seen has to weigh against 500 tokens of prompt
        for parameter in model.model.visual.merger.parameters():
            parameter.mul_(3)
    _say_words_only(model, tokenizer)
    model.save_pretrained(folder)
    image = t.Qwen2VLImageProcessor(patch_size=16 if qwen3 else 14)
    video = getattr(t, "Qwen3VLVideoProcessor" if qwen3 else "Qwen2VLVideoProcessor")()
    getattr(t, f"{prefix}Processor")(
        image_processor=image, tokenizer=tokenizer, video_processor=video, chat_template=TEMPLATE
    ).save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["model_type"]
    return folder


def build_text(folder: Path, seed: int = 0) -> Path:
    """A tiny text model with the same words, for rewriting."""
    import torch
    import transformers as t

    tokenizer = make_tokenizer()
    end, pad = tokenizer.eos_token_id, tokenizer.pad_token_id
    config = t.Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, initializer_range=0.3, eos_token_id=end, pad_token_id=pad, tie_word_embeddings=False,
    )  # fmt: skip
    torch.manual_seed(seed)
    model: Any = t.Qwen2ForCausalLM(config).eval()
    _say_words_only(model, tokenizer)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def build_blip2(folder: Path, seed: int = 0) -> Path:
    """A tiny BLIP-2: it takes a picture and no prompt."""
    import torch
    import transformers as t

    tokenizer = make_tokenizer()
    tokenizer.chat_template = None
    tokenizer.add_special_tokens({"additional_special_tokens": [*SPECIAL, "<image>"]})
    small: dict[str, Any] = {
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "hidden_size": 32,
        "intermediate_size": 48,
    }
    config = t.Blip2Config(
        vision_config={**small, "image_size": 28, "patch_size": 14, "initializer_range": 0.3},
        qformer_config={**small, "encoder_hidden_size": 32, "vocab_size": 32, "initializer_range": 0.3},
        text_config={
            "model_type": "opt", "vocab_size": len(tokenizer), "hidden_size": 32, "num_hidden_layers": 2, "ffn_dim": 48,
            "num_attention_heads": 4, "word_embed_proj_dim": 32, "max_position_embeddings": 128, "init_std": 0.3,
            "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id,
            "bos_token_id": tokenizer.pad_token_id,
        },
        num_query_tokens=4, image_token_index=tokenizer.convert_tokens_to_ids("<image>"), initializer_range=0.3,
    )  # fmt: skip
    torch.manual_seed(seed)
    model: Any = t.Blip2ForConditionalGeneration(config).eval()
    torch.nn.init.normal_(model.query_tokens)
    _say_words_only(model, tokenizer)
    model.save_pretrained(folder)
    image = t.BlipImageProcessor(size={"height": 28, "width": 28})
    t.Blip2Processor(image_processor=image, tokenizer=tokenizer, num_query_tokens=4).save_pretrained(folder)
    return folder


def _say_words_only(model: Any, tokenizer: Any) -> None:
    end = tokenizer.eos_token_id
    specials = [i for i in range(256 + len(dict.fromkeys(WORDS)), len(tokenizer)) if i != end]
    model.generation_config.suppress_tokens = [*range(256), *specials]
    model.generation_config.eos_token_id = end
    model.generation_config.pad_token_id = tokenizer.pad_token_id
