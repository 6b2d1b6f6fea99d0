"""Loading models by diffusers' and transformers' own classes, strictly; single files by `single.py`.

Both libraries fill a tensor that a file lacks with random numbers and print a warning; scaled fp8 checkpoints load with
their scales dropped. Here every tensor of the file is used and every tensor of the model comes from the file, or
nothing is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.families import Family
from wanprep.models.check import part_folder, part_of, problems, tokenizer_folder
from wanprep.models.dtypes import torch_dtype
from wanprep.stage import Missing

if TYPE_CHECKING:
    from wanprep.models.text import TextEncoder


def pick_device(name: str = "auto") -> str:
    """A device: "auto" is CUDA where there is one, else the CPU. Missing, with what is there, for a GPU that is not."""
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise Missing(f"device {name!r} was asked for and there is no CUDA device", 'Use device = "auto" or "cpu"')
    number = name.removeprefix("cuda:")
    if number != name and number.isdigit() and int(number) >= (count := torch.cuda.device_count()):
        here = ", ".join(f'"cuda:{index}"' for index in range(count))
        raise Missing(f"device {name!r} was asked for and is not there", f"Use one of those that are: {here}")
    return name


def load_vae(family: Family, folder: Path, dtype: str = "fp32", device: str = "cpu") -> Any:
    """AutoencoderKLWan from a diffusers folder or a single file: eval, without gradients.

    Missing when it does not fit the family.
    """
    from diffusers import AutoencoderKLWan

    return _load(AutoencoderKLWan, family, "vae", folder, dtype, device)


def load_transformer(family: Family, expert: str, folder: Path, dtype: str = "bf16", device: str = "cpu") -> Any:
    """WanTransformer3DModel of one expert ("high", "low" or "single"): eval, without gradients.

    Loaded in `dtype` directly, so the layers the class keeps in fp32 stay in fp32 (`.to(dtype)` would lose them).
    """
    from diffusers import WanTransformer3DModel

    if expert not in family.experts:
        raise ValueError(f"{family.name} has no expert {expert!r}; it has {', '.join(family.experts)}")
    return _load(WanTransformer3DModel, family, part_of(expert), folder, dtype, device)


def load_text(family: Family, folder: Path, dtype: str = "bf16", device: str = "cpu") -> TextEncoder:
    """UMT5 and its tokenizer from a diffusers folder or a single file: eval, without gradients."""
    from transformers import UMT5EncoderModel

    from wanprep.models.text import TextEncoder
    from wanprep.models.tokenizer import load_tokenizer

    model = _load(UMT5EncoderModel, family, "text", folder, dtype, device)
    tokenizer = load_tokenizer(folder if folder.is_file() else tokenizer_folder(part_folder(folder, "text")))
    size = model.config.vocab_size
    if len(tokenizer) > size:
        raise Missing(f"the tokenizer in {folder} has {len(tokenizer)} tokens, its text encoder only {size}")
    return TextEncoder(tokenizer=tokenizer, model=model, length=family.text_len)


def load_clip(family: Family, folder: Path, dtype: str = "fp32", device: str = "cpu") -> Any:
    """CLIPVisionModel of a family that sees images by it (wan2.1-i2v): eval, without gradients.

    Wan's image embedding is `hidden_states[-2]` of a 224 x 224 picture, [257, 1280].
    """
    from transformers import CLIPVisionModel

    return _load(CLIPVisionModel, family, "clip", folder, dtype, device)


def _load(cls: Any, family: Family, part: str, folder: Path, dtype: str, device: str) -> Any:
    """One model; Missing naming the tensors when the file and the class do not agree on them."""
    if folder.is_file():
        from wanprep.models.single import load as load_file

        return load_file(family, part, folder, dtype, device)
    inner = part_folder(folder, part)
    wrong = problems(family, part, folder)
    if wrong:
        raise Missing(f"{inner} cannot serve as {part} of {family.name}: {'; '.join(wrong)}")
    options: dict[str, Any] = {"local_files_only": True, "output_loading_info": True, "use_safetensors": True}
    name = "dtype" if cls.__module__.startswith("transformers") else "torch_dtype"
    with quiet():
        try:
            model, info = cls.from_pretrained(inner, **{name: torch_dtype(dtype)}, **options)
        except (ValueError, RuntimeError) as error:
            if "shape" not in str(error) and "mismatch" not in str(error):
                raise
            raise Missing(f"{inner} has tensors of the wrong shape: {error}") from error
    # The text side's projection comes with some downloads of the image encoder; Wan looks at a hidden state before it.
    spare = {"visual_projection.weight"} if part == "clip" else set()
    unexpected = [name for name in info.get("unexpected_keys", ()) if name not in spare]
    refuse_differences(inner, {**info, "unexpected_keys": unexpected})
    return model.to(device).eval().requires_grad_(False)


def refuse_differences(inner: Path, info: Mapping[str, Any]) -> None:
    """Missing unless every tensor was loaded and every tensor of the file used. `info`: the libraries' loading_info."""
    wrong = []
    for kind, words in (("missing_keys", "lacks"), ("unexpected_keys", "has unknown"), ("mismatched_keys", "reshapes")):
        names = sorted(str(name) for name in info.get(kind, ()))
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            wrong.append(f"{words} {', '.join(names[:3])}{more}")
    wrong += [str(message) for message in info.get("error_msgs", ())]
    if wrong:
        raise Missing(f"the weights in {inner} are not those of its config.json: {'; '.join(wrong)}")


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no warnings of the libraries while loading: what they would warn of is an error here."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    logs = (diffusers_logging, transformers_logging)
    before = [(log.get_verbosity(), log.is_progress_bar_enabled()) for log in logs]
    for log in logs:
        log.set_verbosity(log.CRITICAL)
        log.disable_progress_bar()
    try:
        yield
    finally:
        for log, (verbosity, bar) in zip(logs, before, strict=True):
            log.set_verbosity(verbosity)
            if bar:
                log.enable_progress_bar()


def let_go(held: dict[Any, Any]) -> None:
    """Forget every model that is kept in `held`, and give the GPU its memory back."""
    import gc
    import sys

    if not held:
        return
    held.clear()
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
