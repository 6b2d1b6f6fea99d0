"""The `tiny` family: a complete Wan 2.2 pipeline folder with random weights, built locally in about a second.

Every class is the real one (AutoencoderKLWan, two WanTransformer3DModel, UMT5EncoderModel, T5Tokenizer,
UniPCMultistepScheduler), only the sizes are small. So the demo, the tests and a dry run of a whole configuration take
the same code paths as 14 B parameters do, without a download. Three things differ from freshly constructed classes:

- Raw latents of a random VAE have a std of 0.1–0.2, so `latents_mean/std` are measured once on synthetic footage and
  normalised latents come out near zero mean and unit std, as those of the real VAE do.
- A random cross-attention hardly moves the output, so its projections and the text embedder are scaled up until two
  prompts give visibly different results.
- The vocabulary is written by hand: a trained unigram vocabulary is not deterministic.
"""

from __future__ import annotations

import os
import shutil
import string
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from wanprep.families import family
from wanprep.ids import fsync_folder, key_of

RECIPE = 1  # raise this whenever the bytes built below change
_FAMILY = family("tiny")

# Frequent words of captions get a token of their own; everything else is spelled in characters.
_WORDS = """
a an the of in on at and with to from is are by over under near behind through into this that while as it its
man woman person people boy girl child face hands hair eyes red green blue yellow white black brown grey dark
bright light shadow sun sky sea water tree forest grass city street house room window door table car train road
walks walking runs running stands sits looks turns moves moving slowly quickly left right up down toward away
camera pans zooms static close wide shot view scene background foreground video anime film style painting
"""


def home() -> Path:
    """Where wanprep keeps what it builds for itself: $WANPREP_HOME, else ~/.cache/wanprep."""
    named = os.environ.get("WANPREP_HOME")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "wanprep"


def tiny_folder(root: Path | None = None) -> Path:
    """The diffusers folder of the tiny family, built on first use under `root` (default `home()`).

    The name carries a digest of the recipe and of the library versions that decide the bytes. Built under a temporary
    name and renamed, so that a folder under its final name is complete and two processes may build at once: the
    second finds the first's folder and discards its own, which has the same bytes.
    """
    parts = {name: version(name) for name in ("torch", "diffusers", "transformers")}
    base = home() if root is None else root
    final = base / f"tiny-{key_of(recipe=RECIPE, **parts)[:12]}"
    if final.is_dir():
        return final
    base.mkdir(parents=True, exist_ok=True)
    temporary = base / f".tmp-tiny-{uuid.uuid4().hex}"
    try:
        build(temporary)
        for path in temporary.rglob("*"):
            _settle(path)
        try:
            temporary.rename(final)
        except OSError:
            if not final.is_dir():
                raise
        fsync_folder(base)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final


def _settle(path: Path) -> None:
    """Flush to disk; and let others read, as the libraries' private temporary files do not."""
    if path.is_dir():
        fsync_folder(path)
        return
    path.chmod(0o644)
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def build(folder: Path) -> None:
    """Write the pipeline to `folder`. The bytes depend on the recipe and the library versions, on nothing else."""
    import torch
    from diffusers import UniPCMultistepScheduler, WanPipeline

    from wanprep.models.load import quiet

    with _reproducible():
        tokenizer = make_tokenizer()
        pipeline: Any = WanPipeline(
            tokenizer=tokenizer,
            text_encoder=_make_text_encoder(seed=3, vocabulary=len(tokenizer)),
            vae=_make_vae(seed=4),
            scheduler=UniPCMultistepScheduler(
                prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=_FAMILY.flow_shift
            ),
            transformer=_make_transformer(seed=1),
            transformer_2=_make_transformer(seed=2),
            boundary_ratio=_FAMILY.boundary,
        )
        with torch.no_grad(), quiet():
            pipeline.save_pretrained(folder, safe_serialization=True)


@contextmanager
def _reproducible() -> Iterator[None]:
    """One thread (more change the last bits of a sum) and a random state of its own; both restored."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        torch.set_num_threads(threads)


def make_tokenizer() -> Any:
    """An offline T5Tokenizer: words of captions, then printable ASCII; anything else is <unk>."""
    from transformers import T5Tokenizer

    characters = [c for c in string.printable if not c.isspace()]
    vocabulary = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    vocabulary += [(c, -6.0) for c in characters]
    vocabulary += [(f"▁{word}", -4.0) for word in dict.fromkeys(_WORDS.split()) if len(word) > 1]
    return T5Tokenizer(vocab=vocabulary, extra_ids=0, model_max_length=_FAMILY.text_len)


def _make_transformer(seed: int) -> Any:
    import torch
    from diffusers import WanTransformer3DModel

    torch.manual_seed(seed)
    model: Any = WanTransformer3DModel(
        patch_size=(1, _FAMILY.grid // _FAMILY.spatial_stride, _FAMILY.grid // _FAMILY.spatial_stride),
        num_attention_heads=4, attention_head_dim=24, in_channels=_FAMILY.z, out_channels=_FAMILY.z,
        text_dim=_FAMILY.text_dim, freq_dim=32, ffn_dim=192, num_layers=2, rope_max_seq_len=64,
    )  # fmt: skip
    with torch.no_grad():
        for block in model.blocks:
            for layer, scale in ((block.attn2.to_q, 16), (block.attn2.to_k, 16), (block.attn2.to_v, 4)):
                layer.weight.mul_(scale)
            block.attn2.to_out[0].weight.mul_(4)
        for parameter in model.condition_embedder.text_embedder.parameters():
            parameter.mul_(4)
    return model.eval()


def _make_text_encoder(seed: int, vocabulary: int) -> Any:
    import torch
    from transformers import UMT5Config, UMT5EncoderModel

    torch.manual_seed(seed)
    config = UMT5Config(vocab_size=vocabulary, d_model=_FAMILY.text_dim, d_kv=8, d_ff=37, num_layers=2, num_heads=4)
    return UMT5EncoderModel(config).eval()


def _make_vae(seed: int) -> Any:
    import torch
    from diffusers import AutoencoderKLWan

    torch.manual_seed(seed)
    vae: Any = AutoencoderKLWan(
        base_dim=4, z_dim=_FAMILY.z, dim_mult=[1, 1, 1, 1], num_res_blocks=1,
        latents_mean=[0.0] * _FAMILY.z, latents_std=[1.0] * _FAMILY.z,
    )  # fmt: skip
    vae.eval()
    with torch.no_grad():
        raw_CN = torch.cat([vae.encode(clip).latent_dist.mode()[0].flatten(1) for clip in _footage(torch)], dim=1)
    # Four decimals: enough for unit std, and the same on every machine although the last bits of a sum are not.
    vae.register_to_config(
        latents_mean=[round(v, 4) for v in raw_CN.mean(1).tolist()],
        latents_std=[round(v, 4) for v in raw_CN.std(1).tolist()],
    )
    return vae


def _footage(torch: Any) -> Iterator[Any]:
    """Eight clips in [-1, 1], [1, 3, 17, 64, 64]: smooth coloured fields at four scales that drift and fade."""
    generator = torch.Generator().manual_seed(0)
    for cells in (2, 3, 4, 6, 8, 12, 16, 32):
        field = torch.randn(1, 3, 5, cells, cells, generator=generator)
        clip = torch.nn.functional.interpolate(field, size=(17, 64, 64), mode="trilinear", align_corners=True)
        offset = torch.randn(1, 3, 1, 1, 1, generator=generator) * 0.4
        yield (clip * 0.6 + offset).clamp(-1, 1)
