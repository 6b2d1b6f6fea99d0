"""Caption models in memory: loaded strictly, by transformers' own classes, one at a time.

A tensor that a file lacks would be filled with random numbers and a warning, and a random model writes captions too:
here every tensor of the file is used and every tensor of the model comes from the file, or nothing is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wanprep.models.dtypes import DTYPES, torch_dtype
from wanprep.models.load import let_go, pick_device, refuse_differences
from wanprep.stage import Missing, UsageError

QUANTIZE = ("none", "8bit", "4bit")


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """How a model is held. device: "auto", "cpu", "cuda", "cuda:1", or "split" over all GPUs (and the rest of the
    memory). quantize: "8bit" or "4bit" (nf4) need bitsandbytes, which runs on a CPU too from 0.46 on."""

    dtype: str = "bf16"
    device: str = "auto"
    quantize: str = "none"

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise UsageError(f"dtype {self.dtype!r} is unknown; use one of {', '.join(DTYPES)}")
        if self.quantize not in QUANTIZE:
            raise UsageError(f"quantize {self.quantize!r} is unknown; use one of {', '.join(QUANTIZE)}")


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """A model (eval, without gradients) and its processor, or the tokenizer of a text model."""

    folder: Path
    model: Any
    processor: Any

    @property
    def tokenizer(self) -> Any:
        return getattr(self.processor, "tokenizer", self.processor)


_held: dict[tuple[Path, Hardware], Loaded] = {}


def load(folder: Path, hardware: Hardware, *, looks: bool = True) -> Loaded:
    """The model in `folder`; kept until another is asked for or `release`. Missing names what does not fit.

    looks: a model that takes pictures (AutoModelForImageTextToText); False: a text model (AutoModelForCausalLM).
    """
    key = (folder, hardware)
    if key not in _held:
        release()
        _held[key] = _load(folder, hardware, looks)
    return _held[key]


def release() -> None:
    """Let go of the model: the caches are encoded next, and a 24 GB card does not hold both."""
    let_go(_held)


def _load(folder: Path, hardware: Hardware, looks: bool) -> Loaded:
    import transformers

    options = _placed(hardware)
    cls: Any = transformers.AutoModelForImageTextToText if looks else transformers.AutoModelForCausalLM
    reader: Any = transformers.AutoProcessor if looks else transformers.AutoTokenizer
    with quiet():
        try:
            if hardware.quantize == "4bit" and options["device_map"] == {"": "cpu"}:
                options["quantization_config"].llm_int8_skip_modules = _left_whole(cls, folder)
            model, info = cls.from_pretrained(
                folder,
                dtype=torch_dtype(hardware.dtype),
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                output_loading_info=True,
                **options,
            )
            processor = reader.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # each library has its own errors for a folder that does not fit together
            if "out of memory" in str(error).lower() or isinstance(error, MemoryError):
                raise
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            # A library that is absent or too old is no fault of the model's.
            remedy = "Download the model again, or name another"
            remedy = "Install what it names, or a newer version of it" if isinstance(error, ImportError) else remedy
            raise Missing(f"{folder} cannot be loaded: {first}", remedy) from error
    refuse_differences(folder, info)
    if "device_map" not in options:
        model = model.to(pick_device(hardware.device))
    loaded = Loaded(folder=folder, model=model.eval().requires_grad_(False), processor=processor)
    loaded.tokenizer.padding_side = "left"  # answers of a batch begin at the same place
    return loaded


def _placed(hardware: Hardware) -> dict[str, Any]:
    """Where the weights go, for `from_pretrained`."""
    check_libraries(hardware)
    split = hardware.device == "split"
    device = hardware.device if split else pick_device(hardware.device)
    if split:
        import torch

        if not torch.cuda.is_available():
            raise Missing('device "split" was asked for and there is no CUDA device', 'Use device = "auto"')
    if hardware.quantize != "none":
        place = "auto" if split else {"": "cuda:0" if device == "cuda" else device}
        return {"device_map": place, "quantization_config": _quantization(hardware)}
    return {"device_map": "auto"} if split else {}


def _quantization(hardware: Hardware) -> Any:
    """transformers' quantisation config."""
    import transformers

    if hardware.quantize == "8bit":
        return transformers.BitsAndBytesConfig(load_in_8bit=True)
    return transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch_dtype(hardware.dtype),
    )


def _left_whole(cls: Any, folder: Path) -> list[str]:
    """Layers that stay as they are in 4 bits on a CPU: the head, and those that bitsandbytes' blocks do not divide.

    Measured with bitsandbytes 0.50: rows of 64n+32 numbers come back wrong by a quarter, without a word (9 % is what 4
    bits cost), and with AVX512-BF16 the first call fails for others, such as the 3420 of Qwen2.5-VL's vision.
    """
    import torch
    import transformers

    with torch.device("meta"):
        model = cls.from_config(transformers.AutoConfig.from_pretrained(folder, local_files_only=True))
    head = model.get_output_embeddings()
    linear = {name: layer for name, layer in model.named_modules() if isinstance(layer, torch.nn.Linear)}
    return [name for name, m in linear.items() if m is head or m.in_features % 64 or m.out_features % 32]


def check_libraries(hardware: Hardware) -> None:
    """Missing, with what to install, where a library is not there that the settings need. Imports none of them."""
    import importlib.util

    wanted = {"bitsandbytes": hardware.quantize != "none"}
    wanted["accelerate"] = wanted["bitsandbytes"] or hardware.device == "split"
    absent = [name for name, needed in wanted.items() if needed and importlib.util.find_spec(name) is None]
    if absent:
        what = f'quantize = "{hardware.quantize}"' if wanted["bitsandbytes"] else 'device = "split"'
        raise Missing(f"{what} needs {' and '.join(absent)}", f"Install it: pip install {' '.join(absent)}")


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars and no warnings of transformers: what they would warn of is an error here, or chosen by us."""
    from transformers.utils import logging

    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
