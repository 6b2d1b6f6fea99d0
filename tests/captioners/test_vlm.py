"""Three kinds of Qwen-VL through one path, with real classes and tiny random weights; what is refused, and how."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from tinyvlm import NAMES, build

from wanprep.captioners import vlm, weights
from wanprep.captioners.base import CaptionRequest, Sampling
from wanprep.captioners.frames import Frames, Seen
from wanprep.captioners.loading import Hardware, load, release
from wanprep.captioners.prompts import prompt_for
from wanprep.captioners.registry import make, vlm_on_disk
from wanprep.captioners.vlm import VlmConfig
from wanprep.stage import Missing, UsageError

pytestmark = pytest.mark.xdist_group("vlm")
SHORT = Sampling(max_new_tokens=10)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    import torch

    torch.set_num_threads(1)  # more wait for each other
    root = tmp_path_factory.mktemp("models")
    yield {name: build(name, root / name) for name in NAMES}
    release()


@pytest.fixture(autouse=True)
def pictures(monkeypatch):
    """Clips c0, c1, … are four frames of coloured noise; clips s0, s1, … are stills; any other is broken."""

    def look(request, settings, multiple=1, *, middle=False):
        kind, number = request.clip_id[0], int(request.clip_id[1:])
        if kind not in "cs":
            raise OSError("the disk is gone")
        dice = np.random.default_rng(number)
        count = 1 if kind == "s" or middle else 4
        frames = dice.integers(0, 256, (count, 2 * multiple, 3 * multiple, 3), dtype=np.uint8)
        return Seen(frames=frames, indices=(5, 15, 25, 35)[:count], rate=16, total=40)

    monkeypatch.setattr(vlm, "look", look)


def request(clip_id, **fields):
    place = {"source_path": Path("m.mp4"), "source_rel": "m.mp4", "group": "m"}
    return CaptionRequest(clip_id=clip_id, **place, start_s=0.0, end_s=2.5, fields=fields)


def captioner(name, folder, *, sampling=SHORT, goal="general", frames=None, **settings):
    config = VlmConfig(model=str(folder), **{"dtype": "fp32", "device": "cpu", **settings})
    return make(name, settings=config, frames=frames or Frames(), sampling=sampling, prompt=prompt_for(goal))


@pytest.mark.parametrize("name", NAMES)
def test_different_clips_get_different_words_again_and_again(models, name):
    model = captioner(name, models[name])
    requests = [request(f"c{n}") for n in range(4)] + [request("s7")]
    answers = [model.caption(r) for r in requests]
    assert len({answer.text for answer in answers}) >= 3
    assert all(answer.text and answer.text.isascii() for answer in answers)
    assert all(answer.tokens_in > 50 and 0 < answer.tokens_out <= 10 for answer in answers)
    assert [model.caption(r) for r in requests] == answers
    assert all(answer.finished is (answer.tokens_out < 10) or answer.finished for answer in answers)


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_says_what_each_clip_alone_is_said_also_when_words_are_drawn(models, name):
    model = captioner(name, models[name], batch_size=4)
    assert model.together == 4
    requests = [request("c1", camera="pan left"), request("s2"), request("c3")]
    for attempt in (0, 1):
        together = model.caption_many(requests, attempt)
        assert together == [model.caption(r, attempt) for r in requests]
        assert together == list(reversed(model.caption_many(requests[::-1], attempt)))


def test_attempts_and_seeds_draw_other_words(models):
    model = captioner("qwen2-vl", models["qwen2-vl"])
    texts = [model.caption(request("c1"), attempt).text for attempt in range(4)]
    assert len(set(texts)) == 4
    warm = [
        captioner("qwen2-vl", models["qwen2-vl"], sampling=dataclasses.replace(SHORT, temperature=1.0, seed=seed))
        for seed in (0, 0, 1)
    ]
    said = [model.caption(request("c1")).text for model in warm]
    assert said[0] == said[1] != said[2]


def test_a_clip_that_cannot_be_read_spoils_no_other(models):
    model = captioner("qwen2-vl", models["qwen2-vl"])
    first, broken, last = model.caption_many([request("c1"), request("x1"), request("c2")])
    assert isinstance(broken, OSError)
    assert [first, last] == [model.caption(request("c1")), model.caption(request("c2"))]
    assert [type(answer) for answer in model.caption_many([request("x1")])] == [OSError]
    with pytest.raises(OSError, match="disk"):
        model.caption(request("x1"))


def test_the_prompt_reaches_the_model(models):
    model = captioner("qwen2-vl", models["qwen2-vl"])
    with_fact, without = model.caption(request("c1", camera="slow pan left")), model.caption(request("c1"))
    assert with_fact.tokens_in > without.tokens_in
    assert model.inputs(request("c1", camera="slow pan left", seconds="2.5")) == {"prompt": {"camera": "slow pan left"}}


@pytest.mark.parametrize("name", NAMES)
def test_the_processor_gets_every_chosen_frame_at_its_size_with_its_time(models, name):
    loaded = load(models[name], Hardware(dtype="fp32", device="cpu"))
    multiple = vlm.multiple_of(loaded.processor)
    assert multiple == (32 if name == "qwen3-vl" else 28)
    frames = np.zeros((8, 2 * multiple, 3 * multiple, 3), np.uint8)
    seen = Seen(frames=frames, indices=(2, 7, 12, 17, 22, 27, 32, 37), rate=16, total=40)
    inputs = vlm.pictures_and_text(loaded.processor, [vlm.chat(loaded.processor, "Describe.", "video")], [seen])
    assert inputs["video_grid_thw"].tolist() == [[4, 4, 6]]  # 8 frames in pairs, 2 x 3 merged patches each
    if name == "qwen2.5-vl":
        assert float(inputs["second_per_grid_ts"][0]) == pytest.approx(2 / (8 / 2.5))
    if name == "qwen3-vl":
        text = loaded.tokenizer.decode(inputs["input_ids"][0])
        stated = [f"<{(a + b) / 32:.1f} seconds>" for a, b in zip(seen.indices[::2], seen.indices[1::2])]
        assert [text.count(stamp) for stamp in stated] == [1, 1, 1, 1]


def test_the_key_holds_what_the_answer_depends_on(models, tmp_path):
    base = captioner("qwen2-vl", models["qwen2-vl"]).identity()
    moved = tmp_path / "elsewhere"
    build("qwen2-vl", moved)
    same = [
        captioner("qwen2-vl", moved).identity(),
        captioner("qwen2-vl", models["qwen2-vl"], batch_size=8, memory_gb=5.0).identity(),
    ]
    assert all(identity == base for identity in same)
    other = [
        captioner("qwen2-vl", build("qwen2-vl", tmp_path / "other", seed=1)).identity(),
        captioner("qwen2-vl", moved, goal="motion").identity(),
        captioner("qwen2-vl", moved, sampling=Sampling()).identity(),
        captioner("qwen2-vl", moved, frames=Frames(fps=1.0)).identity(),
        captioner("qwen2-vl", moved, dtype="bf16").identity(),
    ]
    assert len({json.dumps(identity, sort_keys=True) for identity in (base, *other)}) == 6
    assert "elsewhere" not in json.dumps(base)


def spoiled(source: Path, target: Path, spoil) -> Path:
    import shutil

    shutil.copytree(source, target)
    spoil(target)
    return target


def edit(name, change):
    def spoil(folder):
        path = folder / name
        path.write_text(json.dumps(change(json.loads(path.read_text()))))

    return spoil


def cut(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (cut, "model.safetensors has"),
        (lambda folder: (folder / "model.safetensors").unlink(), "nor an index of shards"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json cannot be read"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "it has none of tokenizer.json"),
        (lambda folder: (folder / "processor_config.json").unlink(), "it has none of preprocessor_config.json"),
        (lambda folder: (folder / "chat_template.jinja").unlink(), "it has no chat template (chat_template.jinja or"),
        (edit("config.json", lambda c: c | {"model_type": "llama"}), "model_type 'llama', qwen2-vl needs 'qwen2_vl'"),
    ],
)
def test_folders_that_cannot_serve_are_refused_by_name(models, tmp_path, spoil, message):
    folder = spoiled(models["qwen2-vl"], tmp_path / "spoiled", spoil)
    with pytest.raises(Missing, match="cannot serve captioner qwen2-vl") as caught:
        captioner("qwen2-vl", folder)
    assert message in str(caught.value)
    assert "hf download Qwen/Qwen2-VL-7B-Instruct" in caught.value.remedy


def test_a_chat_template_may_lie_where_older_models_have_it(models, tmp_path):
    for name, place in (("chat_template.json", "x"), ("processor_config.json", "y"), ("tokenizer_config.json", "z")):
        folder = spoiled(models["qwen2-vl"], tmp_path / place, lambda _: None)
        template = folder / "chat_template.jinja"
        held = json.loads((folder / name).read_text()) if (folder / name).exists() else {}
        (folder / name).write_text(json.dumps(held | {"chat_template": template.read_text()}))
        template.unlink()
        problems = weights.problems(weights.KINDS["qwen2-vl"], folder)
        loaded = load(folder, Hardware(dtype="fp32", device="cpu"))
        assert bool(problems) != bool(loaded.processor.chat_template)  # as transformers itself sees it
        release()
    assert not weights.problems(weights.KINDS["image"], folder)  # some complete a caption and are asked nothing


def test_weights_of_another_shape_are_refused_when_they_are_loaded(models, tmp_path):
    def shrink(config):
        config["text_config"] |= {"num_hidden_layers": 1, "layer_types": ["full_attention"]}
        return config

    def grow(config):
        config["text_config"] |= {"num_hidden_layers": 3, "layer_types": ["full_attention"] * 3}
        return config

    def widen(config):
        config["text_config"]["intermediate_size"] = 64
        return config

    def contradict(config):
        config["text_config"]["num_hidden_layers"] = 1
        return config

    reasons = {shrink: "has unknown", grow: "lacks", widen: "reshapes|mismatch|shape", contradict: "cannot be loaded"}
    for change, reason in reasons.items():
        folder = spoiled(models["qwen2-vl"], tmp_path / change.__name__, edit("config.json", change))
        with pytest.raises(Missing, match=reason):
            captioner("qwen2-vl", folder).caption(request("c1"))


def test_another_kind_is_named_and_an_absent_model_comes_with_the_command(models, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(Missing, match="that is captioner qwen3-vl"):
        captioner("qwen2-vl", models["qwen3-vl"])
    with pytest.raises(Missing, match=r"no model 'Qwen/Qwen2\.5-VL-3B-Instruct' on this machine") as caught:
        captioner("qwen2.5-vl", "Qwen/Qwen2.5-VL-3B-Instruct")
    assert "hf download Qwen/Qwen2.5-VL-3B-Instruct" in caught.value.remedy
    with pytest.raises(Missing, match="no weights for captioner qwen3-vl"):
        captioner("qwen3-vl", "auto")


def test_models_are_found_below_wanprep_models_and_in_the_hub_cache(models, monkeypatch, tmp_path):
    import shutil

    hub, roots = tmp_path / "hub", tmp_path / "models"
    monkeypatch.setenv("HF_HUB_CACHE", str(hub))
    monkeypatch.delenv("WANPREP_MODELS", raising=False)
    assert vlm_on_disk() is None
    snapshot = hub / "models--Qwen--Qwen2-VL-2B-Instruct" / "snapshots" / "abc"
    shutil.copytree(models["qwen2-vl"], snapshot)
    assert vlm_on_disk() == "qwen2-vl"
    assert weights.resolve("Qwen/Qwen2-VL-2B-Instruct") == snapshot
    assert weights.label(snapshot) == "Qwen/Qwen2-VL-2B-Instruct"
    shutil.copytree(models["qwen2.5-vl"], roots / "Qwen2.5-VL-7B-Instruct")
    monkeypatch.setenv("WANPREP_MODELS", str(roots))
    assert vlm_on_disk() == "qwen2.5-vl"  # the newer kind
    assert weights.resolve("Qwen/Qwen2.5-VL-7B-Instruct") == roots / "Qwen2.5-VL-7B-Instruct"
    cut(roots / "Qwen2.5-VL-7B-Instruct")
    assert vlm_on_disk() == "qwen2-vl"  # a broken download does not count
    assert vlm_on_disk(model=str(models["qwen3-vl"])) == "qwen3-vl"
    with pytest.raises(Missing, match="is no video captioner"):
        vlm_on_disk(model=str(roots / "Qwen2.5-VL-7B-Instruct"))


def test_auto_takes_the_largest_that_fits_and_little_without_a_gpu(models, monkeypatch, tmp_path):
    import shutil

    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    monkeypatch.setenv("WANPREP_MODELS", str(tmp_path))
    kind = weights.KINDS["qwen2-vl"]
    sizes = {"small": 450_000, "large": 900_000}
    for name in sizes:
        shutil.copytree(models["qwen2-vl"], tmp_path / name)
    monkeypatch.setattr(weights, "_good", lambda _: [(size, tmp_path / name) for name, size in sizes.items()])
    monkeypatch.setattr(weights, "has_gpu", lambda: True)
    assert weights.find(kind, "auto", 20.0) == tmp_path / "large"
    assert weights.find(kind, "auto", 0.0005) == tmp_path / "small"
    assert weights.find(kind, "auto", 0.0001) is None
    sizes["large"] = int(15e9)
    assert weights.find(kind, "auto", 20.0) == tmp_path / "large"
    monkeypatch.setattr(weights, "has_gpu", lambda: False)
    assert weights.find(kind, "auto", 20.0) == tmp_path / "small"


def test_what_this_machine_cannot_do_is_missing(models):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    for settings, message in (
        ({"device": "cuda"}, "there is no CUDA device"),
        ({"device": "split"}, "there is no CUDA device"),
    ):
        with pytest.raises(Missing, match=message):
            captioner("qwen2-vl", models["qwen2-vl"], **settings).caption(request("c1"))


@pytest.mark.parametrize("values", [{"batch_size": 0}, {"memory_gb": 0}, {"dtype": "int3"}, {"quantize": "2bit"}])
def test_settings_are_checked(values):
    with pytest.raises((ValueError, UsageError), match=next(iter(values))):
        VlmConfig(**values)


def test_words_are_drawn_as_often_as_their_probability_says():
    torch = pytest.importorskip("torch")
    from wanprep.captioners.drawing import Draw, nucleus

    scores = torch.log(torch.tensor([[0.5, 0.3, 0.15, 0.05]]))
    counts = torch.zeros(4)
    draw = Draw(1.0, 1.0, [7])
    for _ in range(4000):
        counts[draw(None, scores).argmax()] += 1
    assert counts.div(4000).tolist() == pytest.approx([0.5, 0.3, 0.15, 0.05], abs=0.03)
    kept = nucleus(scores, 0.7).isfinite()
    assert kept.tolist() == [[True, True, False, False]]
    assert nucleus(scores, 0.01).isfinite().sum() == 1
    with pytest.raises(ValueError, match="temperature"):
        Draw(0.0, 1.0, [1])


@pytest.mark.gpu
@pytest.mark.parametrize("name", NAMES)
def test_on_cuda_a_batch_says_what_each_clip_alone_is_said(models, name):
    import torch

    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    for settings in ({"device": "cuda"}, {"device": "split"}, {"device": "auto", "dtype": "bf16"}):
        model = captioner(name, models[name], **settings)
        requests = [request("c1", camera="pan left"), request("s2"), request("c3")]
        for attempt in (0, 1):
            alone = [model.caption(r, attempt) for r in requests]
            assert all(answer.text for answer in alone)
            together = model.caption_many(requests, attempt)
            assert together == alone or settings.get("dtype") == "bf16"  # bf16 sums may tip a close choice
        assert next(load(model.folder, model.settings.hardware()).model.parameters()).is_cuda
        before = torch.cuda.memory_allocated()
        model.release()
        assert torch.cuda.memory_allocated() < before


CPU_OR_GPU = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


@pytest.mark.parametrize("device", CPU_OR_GPU)
@pytest.mark.parametrize("quantize", ["8bit", "4bit"])
@pytest.mark.parametrize("name", NAMES)
def test_a_quantised_model_captions(tmp_path, name, quantize, device):
    """Where bitsandbytes is installed: the same path on a CPU and on a GPU, and weights that are the file's."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    functional = pytest.importorskip("bitsandbytes").functional
    # 64 wide, and 96 inside: some layers fill bitsandbytes' blocks of 64, and some it gets wrong on a CPU.
    folder = build(name, tmp_path / name, width=64)
    exact = dict(load(folder, Hardware(dtype="fp32", device="cpu")).model.named_parameters())
    model = captioner(name, folder, device=device, quantize=quantize, dtype="bf16")
    held = load(model.folder, model.settings.hardware()).model
    layers = {n: m for n, m in held.named_modules() if type(m).__name__ in ("Linear8bitLt", "Linear4bit")}
    assert {type(m).__name__ for m in layers.values()} == {"Linear8bitLt" if quantize == "8bit" else "Linear4bit"}
    assert len(layers) > 10
    whole = {n for n, m in held.named_modules() if type(m).__name__ == "Linear"}
    assert {n.rpartition(".")[2] for n in whole} <= {"lm_head", "down_proj", "fc2", "linear_fc2"}
    for inside, layer in layers.items():  # before the first call, which rearranges them
        weight, wanted = layer.weight, exact[f"{inside}.weight"]
        if quantize == "8bit":
            worth = weight.data.float() * weight.SCB.float()[:, None] / 127
        else:
            worth = functional.dequantize_4bit(weight.data, weight.quant_state).float()
        off = (worth.cpu() - wanted).norm() / wanted.norm()
        assert 0 < off < (0.02 if quantize == "8bit" else 0.15), inside  # nf4 has 16 values a block of 64
    requests = [request("c1"), request("s2"), request("c3")]
    answers = model.caption_many(requests, 0)
    assert all(answer.text and answer.tokens_out for answer in answers)
    assert len({answer.text for answer in answers}) > 1
    assert model.caption_many(requests, 0) == answers
    model.release()


@pytest.mark.parametrize(
    ("absent", "message"),
    [
        ({"bitsandbytes"}, r'quantize = "8bit" needs bitsandbytes\. Install it: pip install bitsandbytes'),
        ({"accelerate"}, r'quantize = "8bit" needs accelerate\. Install it: pip install accelerate'),
        ({"bitsandbytes", "accelerate"}, r"pip install bitsandbytes accelerate"),
    ],
)
def test_a_quantised_model_without_the_libraries_says_what_to_install(models, monkeypatch, absent, message):
    """Before a clip is looked at."""
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else object())
    with pytest.raises(Missing, match=message):
        captioner(NAMES[0], models[NAMES[0]], quantize="8bit")
    captioner(NAMES[0], models[NAMES[0]])


def test_a_library_that_is_too_old_is_no_fault_of_the_models(models, monkeypatch):
    import transformers

    def fail(*_, **__):
        raise ImportError("Using `bitsandbytes` 8-bit quantization requires a newer version")

    monkeypatch.setattr(transformers.AutoModelForImageTextToText, "from_pretrained", fail)
    release()
    with pytest.raises(Missing, match=r"requires a newer version\. Install what it names"):
        load(models[NAMES[0]], Hardware(device="cpu"))
