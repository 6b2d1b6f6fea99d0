"""Videos from a base model with LoRAs on it, through diffusers' own WanPipeline and WanImageToVideoPipeline.

Each LoRA goes to one expert with a strength of its own. diffusers only warns about keys that it could not place, and
the video then shows less of the LoRA than it should; here every tensor must fit a layer, and what arrived is compared
with the file.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wanprep.families import Family
from wanprep.models.claims import claims_of
from wanprep.stage import Missing, UsageError
from wantrain import lora
from wantrain.base import assemble
from wantrain.experts import COMPONENTS
from wantrain.lora_file import LoraFile, adapter_config, read_lora

if TYPE_CHECKING:
    import numpy as np


LARGEST = (1280, 720)  # pixels; "720P" of Wan 2.1 and 2.2


@dataclass(frozen=True, kw_only=True)
class LoraUse:
    """One LoRA file on one expert. strength 0 leaves the base model's output bit-equal."""

    path: Path
    expert: str
    strength: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to make. width, height: pixels, multiples of the family's grid; frames: 4n+1.

    guidance, guidance_low: classifier-free guidance of the first (or only) and the low expert; 1 switches it off.
    shift: flow_shift of the sampler; the family's when left out. first_frame: picture that the video goes on from;
    image-to-video families need one, text-to-video families take none, TI2V takes both.
    """

    prompt: str
    negative: str = ""
    width: int = 832
    height: int = 480
    frames: int = 81
    steps: int = 25
    guidance: float = 3.5
    guidance_low: float | None = None
    shift: float | None = None
    seed: int = 42
    first_frame: Path | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps = {self.steps} must be at least 1")
        if not 0 <= self.seed < 2**63:
            raise ValueError(f"seed = {self.seed} must be between 0 and 2^63")
        if self.width < 1 or self.height < 1:
            raise ValueError(f"{self.width}x{self.height}: width and height must be at least 1")
        for name in ("guidance", "guidance_low"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 100:
                raise ValueError(f"{name} = {value} must be between 0 and 100")
        if self.shift is not None and not 0 < self.shift <= 100:
            raise ValueError(f"shift = {self.shift} must be above 0, at most 100")


def check_request(request: Request, family: Family) -> None:
    """UsageError for what the family cannot make; diffusers would round sizes in silence. Opens the first frame.

    What is wrong with one setting begins with its name, as `Request`'s own complaints do: `as_typed` changes it.
    """
    grid, width, height = family.grid, request.width, request.height
    if width % grid or height % grid:
        near = f"{max(1, round(width / grid)) * grid}x{max(1, round(height / grid)) * grid}"
        raise UsageError(f"{width}x{height}: width and height must be multiples of {grid}; nearest: {near}")
    try:
        family.latent_frames(request.frames)
    except ValueError as error:
        step = family.temporal_stride
        near_frames = max(0, round((request.frames - 1) / step)) * step + 1
        raise UsageError(f"frames: {error}; nearest: {near_frames}") from error
    if family.task == "i2v" and request.first_frame is None:
        raise UsageError(f"first_frame: {family.name} makes videos from a picture; give one")
    if family.task == "t2v" and request.first_frame is not None:
        raise UsageError(f"first_frame: {family.name} makes videos from text alone; leave it out")
    if request.first_frame is not None:
        read_first_frame(request.first_frame, width, height)


def cautions(request: Request, family: Family) -> list[str]:
    """What can be made but is far from what the model learned, each begun with its setting as in `check_request`."""
    found = []
    if request.frames > family.max_frames:
        found.append(
            f"frames = {request.frames}: {family.name} makes {family.max_frames} at most as it was trained; longer "
            "ones take much more memory and tend to repeat themselves"
        )
    pixels = request.width * request.height
    if pixels > LARGEST[0] * LARGEST[1]:
        times = pixels / (LARGEST[0] * LARGEST[1])
        found.append(
            f"{request.width}x{request.height} has {times:.1f} times the pixels of {LARGEST[0]}x{LARGEST[1]}, the "
            "largest that Wan is made for"
        )
    return found


def as_typed(complaint: str, words: Mapping[str, str]) -> str:
    """A complaint about a setting, begun with what the user typed for it. words: setting -> what was typed."""
    begin = re.match(r"\w+(?= = |: )", complaint)
    return complaint if begin is None else words.get(begin[0], begin[0]) + complaint[begin.end() :]


def read_first_frame(path: Path, width: int, height: int) -> np.ndarray:
    """uint8 [height, width, 3]: the picture scaled until it covers the frame, its middle cut out. UsageError."""
    import numpy as np
    from PIL import Image

    from wanprep.media.stills import read_still
    from wanprep.stage import Reject

    if not path.is_file():
        raise UsageError(f"first_frame: {path} is not there")
    try:
        picture = Image.fromarray(read_still(path))
    except Reject as error:
        raise UsageError(f"first_frame: {path} cannot be read as a picture ({error})") from error
    scale = max(width / picture.width, height / picture.height)
    size = (max(width, round(picture.width * scale)), max(height, round(picture.height * scale)))
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    fitted = picture.resize(size, Image.Resampling.LANCZOS).crop((left, top, left + width, top + height))
    return np.array(fitted)


def lora_use(path: Path, family: Family, strength: float = 1.0, expert: str | None = None) -> LoraUse:
    """Which expert a LoRA belongs to: what was said, else its metadata, else its name. UsageError where nothing says.

    path: a file, or peft's folder, under any of the names that `lora_file` reads.
    """
    known = " or ".join(repr(name) for name in family.experts)
    said = expert or read_lora(path).metadata.get("expert") or _named_expert(path, family)
    if said is None:
        raise UsageError(
            f"{path} may be for the expert {known} of {family.name}, and neither its metadata nor its name says which: "
            f"write {family.experts[0]}={path}"
        )
    if said not in family.experts:
        raise UsageError(f"{path} is a LoRA for expert {said!r}, but {family.name} has {known}; check --family")
    return LoraUse(path=path, expert=said, strength=strength)


def _named_expert(path: Path, family: Family) -> str | None:
    """Ours end with a suffix; in names of others "high" may be the quality, so it only counts where experts are two."""
    named = [name for name, suffix in lora.SUFFIXES.items() if suffix and path.stem.endswith(suffix)]
    if named:
        return named[0]
    return claims_of(path.name).expert if len(family.experts) > 1 else "single"


def load_pipeline(family: Family, folder: Path, *, dtype: str = "bf16", device: str = "cpu") -> Any:
    """diffusers' pipeline of the family's task from a local folder or from `whole_base`'s parts, VAE in fp32.

    On a GPU, parts wait in main memory until needed. For TI2V it is the text-to-video one; `sample_video` makes the
    other of the same parts where a first frame is given.
    """
    from diffusers import WanImageToVideoPipeline, WanPipeline

    from wanprep.models.dtypes import torch_dtype
    from wanprep.models.load import load_vae

    if (folder / "model_index.json").is_file():
        vae = load_vae(family, folder, "fp32")
        kind: Any = WanImageToVideoPipeline if family.task == "i2v" else WanPipeline
        pipe = kind.from_pretrained(folder, vae=vae, dtype=torch_dtype(dtype), local_files_only=True)
    elif folder.is_dir():
        what = f"{folder} is not a whole pipeline (no model_index.json)"
        raise Missing(what, "Name the diffusers folder, or ComfyUI's files, and see `wanprep models`")
    else:
        pipe = assemble(family, folder, dtype)
    pipe.set_progress_bar_config(disable=True)
    if device.startswith("cuda"):
        pipe.enable_model_cpu_offload(device=device)
    return pipe


def add_loras(pipe: Any, uses: Sequence[LoraUse]) -> None:
    """Load every file into its expert and set the strengths. UsageError unless all its tensors arrived, and no other.

    Names and scales are ours to read (`lora_file`), whatever program wrote the file; diffusers puts the layers in.
    """
    for number, use in enumerate(uses):
        model, adapter = getattr(pipe, COMPONENTS[use.expert]), f"lora_{number}"
        content = read_lora(use.path)
        refuse_strangers(content, model, use.path)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Already found a `peft_config`")  # several LoRAs are meant
            model.load_lora_adapter(
                {f"{name}.weight": tensor for name, tensor in content.tensors.items()}, prefix=None,
                adapter_name=adapter, metadata=adapter_config(content.ranks, content.alphas), _pipeline=pipe,
            )  # fmt: skip
        lost = content.tensors.keys() ^ lora.lora_parameters(model, adapter).keys()
        if lost:
            raise UsageError(f"{use.path}: diffusers did not place every tensor of it ({', '.join(sorted(lost)[:5])})")
    set_strengths(pipe, uses)


def refuse_strangers(content: LoraFile, model: Any, path: Path) -> None:
    """UsageError, in the file's own names, for tensors of layers that the model lacks or has in another size."""
    modules = {name.replace(".base_layer", ""): module for name, module in model.named_modules()}
    absent, unlike = [], []
    for name, tensor in content.tensors.items():
        module, part = name.rsplit(".", 1)
        weight = getattr(modules.get(module), "weight", None)
        if weight is None:
            absent.append(content.keys[name])
        elif tensor.shape[part == "lora_A"] != weight.shape[part == "lora_A"]:
            unlike.append(f"{content.keys[name]} is {list(tensor.shape)}, the layer {list(weight.shape)}")
    for names, what in ((absent, "name layers that the model does not have"), (unlike, "have another size")):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise UsageError(
                f"{path}: {len(names)} of its {len(content.tensors)} tensors {what} ({', '.join(names[:3])}{more}); "
                "is it a LoRA of another model?"
            )


def set_strengths(pipe: Any, uses: Sequence[LoraUse]) -> None:
    """Other strengths for the LoRAs that `add_loras` put there: the same files in the same order."""
    names: dict[str, list[tuple[str, float]]] = {}
    for number, use in enumerate(uses):
        names.setdefault(COMPONENTS[use.expert], []).append((f"lora_{number}", use.strength))
    for component, pairs in names.items():
        getattr(pipe, component).set_adapters([name for name, _ in pairs], [strength for _, strength in pairs])


def sample_video(pipe: Any, family: Family, request: Request) -> np.ndarray:
    """Frames uint8 [F, H, W, 3] at the family's rate. The same request gives the same frames on the same machine."""
    import numpy as np
    import torch
    from diffusers import UniPCMultistepScheduler

    check_request(request, family)
    shift = family.flow_shift if request.shift is None else request.shift
    pipe.scheduler = UniPCMultistepScheduler.from_config(pipe.scheduler.config, flow_shift=shift)
    given: dict[str, Any] = {}
    if request.first_frame is not None:
        from PIL import Image

        pipe = _from_picture(pipe)
        given["image"] = Image.fromarray(read_first_frame(request.first_frame, request.width, request.height))
    with torch.no_grad():
        video = pipe(
            prompt=request.prompt, negative_prompt=request.negative, width=request.width, height=request.height,
            num_frames=request.frames, num_inference_steps=request.steps, guidance_scale=request.guidance,
            guidance_scale_2=request.guidance_low if "low" in family.experts else None,
            generator=torch.Generator().manual_seed(request.seed), output_type="np", **given,
        ).frames[0]  # fmt: skip
    return (np.clip(video, 0, 1) * 255).round().astype(np.uint8)


def _from_picture(pipe: Any) -> Any:
    """The image-to-video pipeline of the same parts, adapters included."""
    from diffusers import WanImageToVideoPipeline

    if isinstance(pipe, WanImageToVideoPipeline):
        return pipe
    device = getattr(pipe, "_offload_device", None)
    made: Any = WanImageToVideoPipeline(
        **pipe.components, boundary_ratio=pipe.config.boundary_ratio, expand_timesteps=pipe.config.expand_timesteps
    )
    made.set_progress_bar_config(disable=True)
    if device is not None:
        made.enable_model_cpu_offload(device=device)
    return made
