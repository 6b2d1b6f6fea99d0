"""Forecasts against what was measured, and the rehearsal before step 1."""

from dataclasses import asdict, replace

import pytest
import torch

from wanprep.config import from_table
from wanprep.stage import UsageError
from wantrain import experts, learn
from wantrain.config import TrainConfig
from wantrain.data import Cursor
from wantrain.forecast import CARDS, card_named, forecast, forecast_lines
from wantrain.rehearse import largest, rehearse
from wantrain.step import train_step

# Seconds a step on one H100, docs/performance.md.
MEASURED = {(384, 208, 45): 0.438, (512, 512, 41): 1.711, (832, 480, 81): 9.28, (1280, 720, 81): 38.99}


@pytest.mark.parametrize(("bucket", "seconds"), MEASURED.items())
def test_the_forecast_is_near_what_was_measured(bucket, seconds):
    found = forecast(TrainConfig(), {bucket: 10}, "H100")
    assert found.step_s["high"] == pytest.approx(seconds, rel=0.1)
    assert found.total_hours == pytest.approx(found.step_s["high"] * 4000 / 3600)


def test_the_forecast_follows_the_settings():
    small, large = (384, 208, 45), (832, 480, 81)

    def of(visits=None, card="H100", **table):
        return forecast(from_table(TrainConfig, table), visits or {small: 1}, card)

    plain = of()
    assert of(high={"batch_size": 2, "accumulate": 3}).step_s["high"] == pytest.approx(6 * plain.step_s["high"])
    assert of(loss={"preservation": 1.0}).step_s["low"] > 2 * plain.step_s["low"]
    assert of(compute={"path": "reference"}).step_s["low"] > plain.step_s["low"]
    assert of(card="RTX 4090").step_s["low"] == pytest.approx(plain.step_s["low"] * 989 / CARDS["RTX 4090"].tflops)
    mean = (3 * plain.step_s["low"] + of({large: 1}).step_s["low"]) / 4
    assert of({small: 3, large: 1}).step_s["low"] == pytest.approx(mean)
    assert of({small: 3, large: 1}).vram == of({large: 1}).vram > plain.vram
    assert plain.cost is None
    assert of(run={"price": 2.0}).cost == pytest.approx(2 * plain.total_hours)
    assert plain.host == 0  # both experts fit for small buckets
    assert of(compute={"idle": "host"}).host == pytest.approx(of(card="RTX 4090").host) == pytest.approx(26.6, abs=1)
    assert of(card="RTX 4090", experts={"schedule": "sequential"}).host == 0
    assert of(compute={"base": "fp8"}).vram < plain.vram - 10
    assert of(family="tiny") is None
    assert forecast(TrainConfig(), {}, "H100") is None
    paid = of(run={"price": 2.0})
    told = "\n".join(forecast_lines([asdict(paid) | {"total_hours": paid.total_hours}]))
    assert all(word in told for word in ("H100", "costs", "GiB"))
    assert "streamed, slower" not in told
    small_card = asdict(of({large: 1}, card="RTX 4090")) | {"total_hours": 1.0}
    assert "streamed, slower" in forecast_lines([small_card])[0]


@pytest.mark.parametrize(
    ("name", "card"),
    [("NVIDIA GeForce RTX 4090", "RTX 4090"), ("NVIDIA H100 80GB HBM3", "H100"), ("NVIDIA A100-SXM4-80GB", "A100"),
     ("Tesla T4", None)],
)  # fmt: skip
def test_cards_are_known_by_their_device_names(name, card):
    assert card_named(name) == card


def _expert(toy, dataset, tmp_path, **changes):
    config = toy.toy_config(tmp_path, **changes)
    cursor = Cursor(dataset=dataset, allowed=frozenset(range(len(dataset))))
    return experts.start("high", config, toy.load("high"), cursor)


def test_a_rehearsal_leaves_no_trace(toy, dataset, tmp_path):
    plain, rehearsed = (_expert(toy, dataset, tmp_path, high={"dropout": 0.1}) for _ in range(2))
    found = rehearse(rehearsed)
    assert (found.expert, found.bucket, found.batch, found.peak) == ("high", (64, 64, 5), 1, None)
    assert "64x64x5" in str(found)
    assert train_step(plain) == train_step(rehearsed)
    a, b = experts.state(plain), experts.state(rehearsed)
    assert a[1] == b[1]
    assert all(torch.equal(tensor, b[0][name]) for name, tensor in a[0].items())


def test_the_largest_batch_is_the_one_with_most_tokens(toy, dataset, tmp_path, monkeypatch):
    expert = _expert(toy, dataset, tmp_path, high={"batch_size": 4})
    sizes = [(128, 128, 5, 1), *[(96, 96, 5, 1)] * 4, *[(32, 32, 5, 9)] * 9]
    resized = [
        replace(sample, width=w, height=h, frames=f, repeats=r)
        for sample, (w, h, f, r) in zip(dataset.samples, sizes, strict=False)
    ]
    monkeypatch.setattr(dataset, "samples", resized)

    def found(*indices):
        expert.cursor.allowed = frozenset(indices)
        return [resized.index(sample) for sample in largest(expert)[1]]

    assert found(*range(14)) == [1, 2, 3, 4]  # 4 x 36 tokens and frames against 1 x 64
    assert found(0, 1) == [0]
    assert found(5) == [5] * 4  # a sample that repeats can meet itself
    expert.regular = Cursor(dataset=dataset, allowed=frozenset([0, 7]))
    assert found(5) == [0]  # the regularisation set has the larger one
    assert found(1, 2, 3, 4) == [1, 2, 3, 4]


def test_memory_that_does_not_suffice_is_refused_with_what_to_change(toy, dataset, tmp_path, monkeypatch):
    expert = _expert(toy, dataset, tmp_path, high={"batch_size": 4}, compute={"idle": "gpu"})

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(learn.tasks, "predict_batch", full)
    with pytest.raises(
        UsageError, match=r"64x64x5 with batch 4.*high.batch_size = 2.*compute.idle.*AdamW8bit.*suggest"
    ):
        rehearse(expert)
