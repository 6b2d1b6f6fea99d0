"""The cost model against the published table, and the arithmetic of epochs against brute force."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wanprep import costs
from wanprep.families import FAMILIES, family

A14B = family("wan2.2-t2v-a14b")

# shape, tokens, forward TF, attention share in %, TF of a step without and with full recomputation, block inputs in GB
TABLE = [
    ((384, 208, 45), 3_744, 105, 11, 227, 332, 1.5),
    ((512, 512, 41), 11_264, 380, 27, 921, 1301, 4.6),
    ((832, 480, 81), 32_760, 1678, 52, 4694, 6372, 13.4),
    ((1280, 720, 81), 75_600, 6523, 72, 20115, 26638, 31.0),
]


def attention_share(fam, tokens):
    """Self-attention's part of the forward, 0 to 1."""
    forward = costs._forward(fam, tokens)
    return forward.own / forward.total


@pytest.mark.parametrize(("shape", "tokens", "forward", "share", "kept", "recomputed", "inputs"), TABLE)
def test_a14b_against_the_table(shape, tokens, forward, share, kept, recomputed, inputs):
    assert A14B.tokens(*shape) == tokens
    assert costs.forward_tflop(A14B, tokens) == pytest.approx(forward, abs=0.6)
    assert 100 * attention_share(A14B, tokens) == pytest.approx(share, abs=0.6)
    assert costs.step_tflop(A14B, tokens, "none") == pytest.approx(kept, abs=0.6)
    assert costs.step_tflop(A14B, tokens, "full") == pytest.approx(recomputed, abs=0.6)
    assert costs.block_input_bytes(A14B, tokens) / 1e9 == pytest.approx(inputs, rel=0.03)


def test_the_table_names_every_family_with_real_weights():
    assert set(costs.TRANSFORMERS) == set(FAMILIES) - {"tiny"}
    with pytest.raises(ValueError, match="no cost model"):
        costs.forward_tflop(family("tiny"), 100)


def test_clip_embeddings_cost_a_little():
    plain = costs.forward_tflop(family("wan2.1-t2v-14b"), 32_760)
    with_clip = costs.forward_tflop(family("wan2.1-i2v-14b"), 32_760)
    assert 1.0 < with_clip / plain < 1.01


@pytest.mark.parametrize("name", sorted(set(FAMILIES) - {"tiny"}))
def test_cost_grows_faster_than_tokens(name):
    fam = family(name)
    assert costs.forward_tflop(fam, 20_000) > 2 * costs.forward_tflop(fam, 10_000) * 0.99
    assert attention_share(fam, 20_000) > attention_share(fam, 10_000)


@pytest.mark.parametrize(
    ("name", "shape", "expected"),
    [
        ("wan2.2-t2v-a14b", (832, 480, 81), 16 * 21 * 60 * 104 * 2),
        ("wan2.2-ti2v-5b", (1280, 704, 121), 48 * 31 * 44 * 80 * 2),
        ("wan2.1-t2v-14b", (768, 768, 1), 16 * 96 * 96 * 2),
    ],
)
def test_latent_bytes(name, shape, expected):
    assert costs.latent_bytes(family(name), *shape) == expected
    assert costs.latent_bytes(family(name), *shape, itemsize=4) == 2 * expected


def test_impossible_shapes_are_errors():
    with pytest.raises(ValueError, match="not 4n"):
        costs.latent_bytes(A14B, 832, 480, 44)
    with pytest.raises(ValueError, match="stride"):
        costs.latent_bytes(A14B, 830, 480, 45)
    with pytest.raises(ValueError, match="at least one"):
        costs.forward_tflop(A14B, 0)
    with pytest.raises(ValueError, match="use none or full"):
        costs.step_tflop(A14B, 100, "half")  # type: ignore[arg-type]
    for bad in ({"batch_size": 0}, {"accumulate": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            costs.epoch_of([], **bad)


def row(bucket, repeats=1, state="ok"):
    width, height, frames = bucket
    return {"width": width, "height": height, "frames": frames, "repeats": repeats, "state": state, "tokens": 10}


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from([(64, 64, 1), (64, 64, 5), (96, 64, 5)]),
            st.integers(1, 4),
            st.sampled_from(["ok", "ok", "rejected", "duplicate"]),
        ),
        max_size=40,
    ),
    batch_size=st.integers(1, 6),
    accumulate=st.integers(1, 5),
)
@settings(max_examples=150, deadline=None)
def test_an_epoch_equals_one_walked_batch_by_batch(rows, batch_size, accumulate):
    samples = [row(bucket, repeats, state) for bucket, repeats, state in rows]
    stream = [s for s in samples if s["state"] == "ok" for _ in range(s["repeats"])]
    walked, open_batches = 0, {}
    for visit in stream:
        bucket = (visit["width"], visit["height"], visit["frames"])
        open_batches.setdefault(bucket, []).append(visit)
        if len(open_batches[bucket]) == batch_size:
            walked += 1
            del open_batches[bucket]
    walked += len(open_batches)
    steps, pending = 0, 0
    for _ in range(walked):
        pending += 1
        if pending == accumulate:
            steps, pending = steps + 1, 0
    found = costs.epoch_of(samples, batch_size=batch_size, accumulate=accumulate)
    assert found.samples == sum(s["state"] == "ok" for s in samples)
    assert found.visits == len(stream)
    assert found.batches == walked
    assert found.steps == steps + bool(pending)
    assert found.tokens == 10 * len(stream)


def test_the_recipe_takes_28000_steps_in_about_26_epochs():
    counts = {(768, 768, 1): 120, (768, 416, 1): 240, (768, 416, 21): 240, (384, 208, 45): 480}
    samples = [row(bucket) for bucket, count in counts.items() for _ in range(count)]
    epoch = costs.epoch_of(samples)
    assert (epoch.samples, epoch.steps) == (1080, 1080)
    assert round(28_000 / epoch.steps) == 26
    assert costs.epoch_of(samples, batch_size=7).batches == 18 + 35 + 35 + 69


def test_importing_costs_loads_nothing_heavy():
    code = "import sys, wanprep.costs; print([m for m in ('torch', 'numpy', 'polars', 'av') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


# --- memory ---

# GiB on an H100 at rank 32, batch 1: what was measured with which weights.
MEASURED = [
    ("bf16", 3_744, 31.1), ("bf16", 11_264, 36.5), ("bf16", 32_760, 51.9),
    ("fp8", 3_744, 19.0), ("fp8", 11_264, 24.3), ("fp8", 32_760, 39.7),
]  # fmt: skip


@pytest.mark.parametrize(("weights", "tokens", "peak"), MEASURED)
def test_memory_against_what_was_measured(weights, tokens, peak):
    model = costs.training_memory(A14B, tokens, weights=weights, rank=32)
    assert model.total / costs.GIB == pytest.approx(peak, rel=0.02)
    assert model.weights + model.lora + model.inputs + model.working == model.total


def test_sizes_of_the_models():
    assert (costs.block_params(A14B) + costs.other_params(A14B)) / 1e9 == pytest.approx(14.29, rel=0.002)
    assert costs.lora_params(A14B, 32) / 1e6 == pytest.approx(153, abs=0.5)
    for name, billions in (("wan2.1-t2v-1.3b", 1.42), ("wan2.2-ti2v-5b", 5.0), ("wan2.1-i2v-14b", 16.4)):
        found = family(name)
        assert (costs.block_params(found) + costs.other_params(found)) / 1e9 == pytest.approx(billions, rel=0.01)


@given(
    name=st.sampled_from(sorted(costs.TRANSFORMERS)),
    budget=st.floats(1e9, 9e10),
    weights=st.sampled_from(["bf16", "fp8", "nf4"]),
    rank=st.integers(1, 128),
    batch=st.integers(1, 4),
)
def test_the_largest_sample_is_the_largest_that_fits(name, budget, weights, rank, batch):
    fam = family(name)
    how = {"weights": weights, "rank": rank, "batch": batch}
    most = costs.max_tokens(fam, budget, **how)
    if most:
        assert costs.training_memory(fam, most, **how).total <= budget * (1 + 1e-9)
    assert costs.training_memory(fam, most + 1, **how).total > budget * (1 - 1e-9)


def test_memory_refuses_nonsense():
    for bad in ({"tokens": 0}, {"rank": 0}, {"batch": 0}):
        with pytest.raises(ValueError, match="at least 1"):
            costs.training_memory(A14B, **({"tokens": 10} | bad))
