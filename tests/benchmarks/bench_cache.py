"""What caching costs: our VAE encoder beside diffusers', clips a second with reading and writing, texts, shards.

python -m tests.benchmarks.bench_cache parity              bit for bit, on the CPU, with tiny random weights
python -m tests.benchmarks.bench_cache encoder 5b text     one GPU, full-size models with random weights
python -m tests.benchmarks.bench_cache memory i2v          the same with memory capped; image to video's two encodings;
                                                           without a GPU tiny ones
python -m tests.benchmarks.bench_cache clips --clips DIR   end to end: mp4 files named WxHxF-*.mp4, one GPU
python -m tests.benchmarks.bench_cache shards              loose files, tar and safetensors shards, on this disk

Random weights do for times; errors are relative to diffusers' class in float32 and larger than with trained ones.
"""

from __future__ import annotations

import argparse
import copy
import json
import random
import statistics
import tarfile
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.vaes import FOUND, footage, random_vae, say, seconds

SHAPES = ((384, 208, 45), (832, 480, 81))


def encoder(shapes: tuple[tuple[int, int, int], ...] = SHAPES, *, five: bool = False) -> None:
    """Seconds a clip, error and memory, diffusers' class in bf16 and ours in fp16 and bf16."""
    import torch

    from wanprep.models import vae as codec
    from wanprep.models.vae_fast import FastEncoder, kernels
    from wanprep.models.vae_plan import peak_bytes, usual

    full = random_vae("cuda", five)
    halves = {name: copy.deepcopy(full).to(dtype) for name, dtype in (("bf16", torch.bfloat16), ("fp16", torch.half))}
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    for width, height, frames in shapes:
        pixels = torch.from_numpy(footage(width, height, frames)).cuda()
        wanted = codec.raw(full, pixels)

        def measure(name: str, call: Callable[[], Any], wanted: Any = wanted, where: str = "", **more: Any) -> None:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            base = torch.cuda.memory_allocated()
            error = float((call() - wanted).norm() / wanted.norm())
            peak = (torch.cuda.max_memory_allocated() - base) / 2**30
            say(f"{where} {name}", seconds=seconds(call, 5, 1), error=error, gib=peak, **more)

        where = f"{'5b ' if five else ''}{width}x{height}x{frames}"
        measure("diffusers bf16", lambda p=pixels: codec.raw(halves["bf16"], p), where=where)
        planned = peak_bytes(full.config, width, height, frames, usual(width, height, frames)) / 2**30
        for name, vae in halves.items():
            fast = FastEncoder(vae, kernels=kernels())
            measure(f"ours {name}", lambda p=pixels, e=fast: e(p), where=where, planned_gib=planned)
        plain = FastEncoder(halves["fp16"], kernels="torch")
        measure("ours fp16, no kernels", lambda p=pixels, e=plain: e(p), where=where)


def five() -> None:
    encoder(((1280, 704, 49),), five=True)


def clips(folder: Path, copies: int = 24) -> None:
    """The cache stage's own path: threads that decode, the encoder, threads that write; clips/s and GPU busy share."""
    import shutil

    from wanprep.engines import overlap
    from wanprep.families import family
    from wanprep.ids import digest_file
    from wanprep.stages.cache import CacheConfig, Encoder

    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        random_vae("cuda").save_pretrained(root / "weights" / "vae")
        (root / "clips").mkdir()
        stage = _Stage()
        for width, height, frames in SHAPES:
            found = sorted(folder.glob(f"{width}x{height}x{frames}-*.mp4"))
            items = []
            for number in range(copies if frames > 45 else 4 * copies):
                path = root / "clips" / f"{width}-{number}.mp4"
                shutil.copy(found[number % len(found)], path)
                with path.open("ab") as file:  # a box that players skip: each copy has its own digest
                    file.write(b"\0\0\0\x0cfree" + number.to_bytes(4, "big"))
                args = {"media_path": f"clips/{path.name}", "media_digest": digest_file(path), "start": 0}
                items.append(stage.item(args | {"frames": frames, "width": width, "height": height, "flip": False}))
            for kind in ("fast", "plain"):
                config = CacheConfig(weights=str(root / "weights"), vae_path=kind, device="cuda")
                enc = Encoder(family("wan2.1-t2v-1.3b"), config)
                work = _Timed(enc, root)
                keyed = [stage.keyed(enc, item) for item in items[:: 1 if kind == "fast" else 3]]
                for part in (keyed[:3], keyed):  # the first three compile and warm up
                    work.marks.clear()
                    used = _Used()
                    start = time.perf_counter()
                    ended = [o for outs in overlap.run(stage, [[i] for i in part], work) for o in outs]
                    wall = time.perf_counter() - start
                    share = used.stop()
                bad = [outcome.detail for outcome in ended if outcome.kind != "done"]
                busy = sum(a.elapsed_time(b) for a, b in work.marks) / 1000 / wall
                say(
                    f"clips {width}x{height}x{frames} {kind}", clips=len(keyed), seconds_a_clip=wall / len(keyed),
                    clips_a_second=len(keyed) / wall, gpu_busy=busy, nvml_busy=share, failed=len(bad),
                    why=bad[0] if bad else "",
                )  # fmt: skip


class _Stage:
    name, table, parallel = "latents", "artefacts", False

    def item(self, args: dict[str, Any]) -> Any:
        return args

    def keyed(self, enc: Any, args: dict[str, Any]) -> Any:
        from wanprep.stage import Item

        key = enc.latent_key(args["media_digest"], 0, args["frames"], False)
        return Item(label=args["media_path"], parts={key: None}, args=args)


class _Timed:
    """The stage's work, with a mark on the GPU's clock before and after each clip."""

    def __init__(self, enc: Any, root: Path) -> None:
        from wanprep.caching import LatentWork

        self.work, self.marks = LatentWork(enc, root, None), []
        self.read, self.finish = self.work.read, self.work.finish

    def launch(self, group: Any, data: Any) -> Any:
        import torch

        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        handle = self.work.launch(group, data)
        end.record()
        self.marks.append((start, end))
        return handle


class _Used:
    """Mean of what the driver says about how busy the GPU is, asked 20 times a second; nan without nvidia-ml-py."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        try:
            import pynvml

            pynvml.nvmlInit()
            handle = pynvml.nvmlDeviceGetHandleByIndex(0)
            while not self._stop.wait(0.05):
                self.seen.append(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)
        except Exception as error:
            print(f"no utilisation: {error!r}")

    def stop(self) -> float:
        self._stop.set()
        self._thread.join()
        return statistics.mean(self.seen) / 100 if self.seen else float("nan")


def text(texts: int = 64) -> None:
    """UMT5-XXL with random weights: captions of 60 to 220 tokens one by one, and together."""
    import torch
    from transformers import UMT5Config, UMT5EncoderModel

    from wanprep.models.text import TextEncoder

    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    size = {"d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64, "vocab_size": 256384}
    with torch.device("cuda"):
        model = UMT5EncoderModel(UMT5Config(**size, feed_forward_proj="gated-gelu")).eval()
    torch.set_default_dtype(torch.float32)
    enc = TextEncoder(tokenizer=_Numbers(), model=model)
    rng = random.Random(0)
    captions = [" ".join(str(rng.randrange(2, 250_000)) for _ in range(rng.randint(60, 220))) for _ in range(texts)]
    single = seconds(lambda: [enc.encode(caption) for caption in captions[:16]], 3, 1) / 16
    together = seconds(lambda: [enc.encode_many(group) for group in enc.batches(captions)], 3, 1) / texts
    alone, other = enc.encode(captions[0]).float(), enc.encode_many(captions[:1])[0].float()
    first = enc.encode_many(captions[:9])[0]
    last = enc.encode_many([*captions[8:0:-1], captions[0]])[-1]
    full = TextEncoder(tokenizer=_Numbers(), model=model.float()).encode(captions[0])

    def error(found: Any, wanted: Any) -> float:
        return float((found - wanted).norm() / wanted.norm())

    say(
        "text", one_by_one_ms=1000 * single, together_ms=1000 * together, times=single / together,
        one_by_one_error=error(alone, full), together_error=error(other, full), between=error(other, alone),
        same_beside_others=bool(torch.equal(first, last)),
    )  # fmt: skip


class _Numbers:
    """A tokenizer of numbers: every word is its own token."""

    def __call__(self, texts: Any, **how: Any) -> Any:
        import torch

        one = isinstance(texts, str)
        rows = [
            [*(int(word) for word in words.split()), 1][: how.get("max_length")]
            for words in ([texts] if one else texts)
        ]
        if one:
            return argparse.Namespace(input_ids=rows[0])
        ids = torch.zeros(len(rows), how["max_length"], dtype=torch.long)
        for row, numbers in zip(ids, rows, strict=True):
            row[: len(numbers)] = torch.tensor(numbers)
        return argparse.Namespace(input_ids=ids, attention_mask=(ids > 0).long())


def parity() -> None:
    """Our latents against those of diffusers' pipelines, float32 on the CPU; largest difference, 0 is bit for bit."""
    import torch
    from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanImageToVideoPipeline
    from diffusers.video_processor import VideoProcessor

    from wanprep.models import vae as codec
    from wanprep.models.vae_fast import FastEncoder

    torch.manual_seed(0)
    five = {
        "z_dim": 48, "is_residual": True, "in_channels": 12, "out_channels": 12, "patch_size": 2,
        "scale_factor_spatial": 16, "decoder_base_dim": 8, "latents_mean": [0.1] * 48, "latents_std": [0.5] * 48,
    }  # fmt: skip
    for name, more in (("wan2.1, 2.2-a14b (z16)", {}), ("wan2.2-ti2v-5b (z48)", five)):
        vae = AutoencoderKLWan(base_dim=8, num_res_blocks=1, **more).eval()
        frames = footage(96, 64, 17)
        video = VideoProcessor(vae_scale_factor=8).preprocess_video([f.astype(np.float32) / 255 for f in frames])
        mean, inverse = codec._statistics(vae.config, video)
        with torch.no_grad():
            theirs = ((vae.encode(video).latent_dist.mode() - mean) * inverse)[0]
        ours = codec.encode(vae, frames)
        fast = codec.standardised(vae.config, FastEncoder(vae)(torch.from_numpy(frames)))
        error = float((fast - theirs).norm() / theirs.norm())
        say(f"parity {name}", largest_difference=float((ours - theirs).abs().max()), fast_path_fp32=error)
        if more:
            continue
        pipe: Any = WanImageToVideoPipeline(
            tokenizer=None, text_encoder=None, vae=vae, scheduler=UniPCMultistepScheduler(), transformer=None,
            image_encoder=None, image_processor=None,
        )  # fmt: skip
        image = pipe.video_processor.preprocess(frames[0].astype(np.float32) / 255, height=64, width=96)
        with torch.no_grad():
            _, wanted = pipe.prepare_latents(image, 1, 16, 64, 96, 17, torch.float32, torch.device("cpu"))
        ours = codec.condition(vae, frames)
        say("parity i2v condition (4 mask + 16)", largest_difference=float((ours - wanted[0, 4:]).abs().max()))


def shards(count: int = 2000, size: int = 480_000) -> None:
    """So many latents of 384x208x45: writing, files, and reading one at random (the system's cache warm and alike)."""
    import torch
    from safetensors import safe_open
    from safetensors.torch import save_file

    from wanprep.ids import write_atomic
    from wanprep.shards import ShardWriter, read
    from wanprep.tensors import to_bytes

    tensor = torch.randn(size // 2).to(torch.bfloat16)
    data = to_bytes({"latent": tensor}, {"kind": "latent"})
    order = random.Random(0).sample(range(count), min(count, 500))

    def timed(call: Callable[[int], Any]) -> float:
        start = time.perf_counter()
        for index in order:
            call(index)
        return (time.perf_counter() - start) / len(order) * 1e6

    with tempfile.TemporaryDirectory(dir=".") as temporary:
        root = Path(temporary)
        start = time.perf_counter()
        for index in range(count):
            write_atomic(root / "loose" / f"{index % 256:02x}" / f"{index}.safetensors", data)
        took = time.perf_counter() - start
        paths = [f"loose/{index % 256:02x}/{index}.safetensors" for index in range(count)]
        say("loose files", files=count, write_s=took, read_us=timed(lambda i: read(root, paths[i])))

        writer, start = ShardWriter(root, "latents"), time.perf_counter()
        members = []
        for index in range(count):
            writer.add(str(index), data, "")
            members += writer.seal() if writer.due else []
        members += writer.seal()
        took = time.perf_counter() - start
        where = {member.key: member.path for member in members}
        files = len({path.split("#")[0] for path in where.values()})
        say("tar shards", files=files, write_s=took, read_us=timed(lambda i: read(root, where[str(i)])))
        with tarfile.open(root / where["0"].split("#")[0]) as tar:
            assert tar.extractfile("0.safetensors").read() == data  # type: ignore[union-attr]

        each, start = -(-count // files), time.perf_counter()
        for number in range(files):
            many = {str(i): tensor.clone() for i in range(number * each, min(count, (number + 1) * each))}
            save_file(many, root / f"{number}.safetensors")
        took = time.perf_counter() - start

        def one(index: int) -> Any:
            with safe_open(root / f"{index // each}.safetensors", "pt") as file:
                return file.get_tensor(str(index)).clone()

        say("safetensors shards", files=files, write_s=took, read_us=timed(one))


def main() -> None:
    from tests.benchmarks.cache_memory import i2v, memory

    parts: dict[str, Any] = {
        "parity": parity, "encoder": encoder, "5b": five, "memory": memory, "i2v": i2v, "text": text, "shards": shards,
        "clips": None,
    }  # fmt: skip
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="+", choices=parts)
    parser.add_argument("--clips", type=Path, default=Path("clips"), help="folder of mp4 files for `clips`")
    parser.add_argument("--json", type=Path, help="also write what was measured here")
    asked = parser.parse_args()
    for name in asked.parts:
        try:
            clips(asked.clips) if name == "clips" else parts[name]()
        except Exception as error:  # the other parts are worth having
            say(f"{name} failed", why=repr(error)[:300])
        if asked.json:
            asked.json.write_text(json.dumps(FOUND, indent=1))


if __name__ == "__main__":
    main()
