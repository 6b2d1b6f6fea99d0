"""A transformer whose blocks are read one at a time, when they are wanted: for trainers that keep them elsewhere.

The model is whole but for the weights of its blocks, which are placeholders of the right shape, type and device that
take no memory. `fill` reads one block. Nothing is ever in memory twice but the block at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.families import Family
from wanprep.models.check import part_folder, part_of, problems
from wanprep.models.dtypes import torch_dtype
from wanprep.models.load import refuse_differences
from wanprep.stage import Missing

if TYPE_CHECKING:
    import torch

Read = Callable[[str, "torch.dtype"], "torch.Tensor"]


@dataclass
class Hollow:
    """model: eval, without gradients. read: a tensor by the name diffusers gives it, in the type asked for."""

    model: Any
    read: Read
    dtypes: dict[str, torch.dtype]

    def fill(self, number: int) -> None:
        """Read block `number` into the model. Names that an adapter has put between are seen through."""
        for name, parameter in self.model.blocks[number].named_parameters():
            if "lora_" not in name:
                own = self.dtypes[name.replace(".base_layer", "")]  # a packed weight has another
                found = self.read(f"blocks.{number}.{name.replace('.base_layer', '')}", own)
                parameter.data = found.to(parameter.device)


def hollow(model: Any, read: Read, device: str, dtype: torch.dtype) -> Hollow:
    """A transformer made on the meta device, filled by `read` but for its blocks. Kept in fp32: what its class says."""
    import torch
    from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed

    kept, dtypes = set(model._keep_in_fp32_modules or ()), {}
    for name, parameter in list(model.named_parameters()):
        own = torch.float32 if kept & set(name.split(".")) else dtype
        if name.startswith("blocks."):
            found = torch.empty((), dtype=own, device=device).expand(parameter.shape)
            dtypes[name.split(".", 2)[2]] = own
        else:
            found = read(name, own).to(device)
        owner, _, leaf = name.rpartition(".")
        model.get_submodule(owner)._parameters[leaf] = torch.nn.Parameter(found, requires_grad=False)
    config = model.config
    # Its tables are computed, not read, and were not on the meta device.
    model.rope = WanRotaryPosEmbed(config.attention_head_dim, config.patch_size, config.rope_max_seq_len).to(device)
    return Hollow(model.eval().requires_grad_(False), read, dtypes)


def open_transformer(family: Family, expert: str, folder: Path, dtype: str, device: str) -> Hollow:
    """One expert of a diffusers folder or a single file. Missing when the tensors are not those of the family."""
    part = part_of(expert)
    if folder.is_file():
        model, read = _single(family, part, folder)
    else:
        model, read = _folder(family, part, folder)
    return hollow(model, read, device, torch_dtype(dtype))


def _folder(family: Family, part: str, folder: Path) -> tuple[Any, Read]:
    import torch
    from diffusers import WanTransformer3DModel
    from safetensors import safe_open

    inner = part_folder(folder, part)
    if wrong := problems(family, part, folder):
        raise Missing(f"{inner} cannot serve as {part} of {family.name}: {'; '.join(wrong)}")
    files: dict[str, Path] = {}
    for path in sorted(inner.glob("*.safetensors")):
        with safe_open(str(path), framework="pt") as file:
            files |= dict.fromkeys(file.keys(), path)
    with torch.device("meta"):
        model: Any = WanTransformer3DModel.from_config(WanTransformer3DModel.load_config(inner, local_files_only=True))
    names = {name for name, _ in model.named_parameters()}
    refuse_differences(inner, {"missing_keys": names - files.keys(), "unexpected_keys": files.keys() - names})

    def read(name: str, dtype: torch.dtype) -> torch.Tensor:
        # Opened anew each time: pages of a mapped file count as ours for as long as it is open.
        with safe_open(str(files[name]), framework="pt") as file:
            return file.get_tensor(name).to(dtype)

    return model, read


def _single(family: Family, part: str, path: Path) -> tuple[Any, Read]:
    from wanprep.models import fp8, single
    from wanprep.models.layout import shapes

    if wrong := single.problems(family, part, path):
        raise Missing("; ".join(wrong))
    match, wanted = single.match_of(single.header(path), family, part), shapes(family, part)

    def read(name: str, dtype: torch.dtype) -> torch.Tensor:
        origin = match.origins[name]
        with match.file.reader() as reader:
            found = fp8.read(reader, origin.name, dtype, "cpu")
        return (found if origin.third is None else found.chunk(3)[origin.third]).reshape(wanted[name])

    return single.build(family, part), read
