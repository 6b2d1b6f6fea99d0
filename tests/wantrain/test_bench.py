"""`wantrain bench` as far as it goes without a GPU: arguments, building, the reference, arithmetic, the table."""

import json

import pytest
import torch
from click.testing import CliRunner

from wanprep.families import family
from wantrain import bench, bench_runs, bench_table, fast, fast_measure, fast_model, fast_run
from wantrain.fast_model import Cut

torch.set_num_threads(2)
WAN = family("wan2.2-t2v-a14b")


NARROW = Cut(layers=2, width=128)


@pytest.fixture
def small():
    return fast_model.shape_of(WAN, 64, 48, 9)


def job(shape, **more):
    own = {"family": WAN.name, "shape": shape, "cut": NARROW, "rank": 4, "device": "cpu", "dtype": "fp32"}
    return fast_run.Job(**(own | more))


def test_shapes_count_tokens_as_the_cost_model_does():
    assert fast_model.shape_of(WAN, 384, 208, 45).tokens == 3744
    assert fast_model.shape_of(WAN, 512, 512, 41).tokens == 11264
    assert fast_model.shape_of(WAN, 832, 480, 81).tokens == 32760
    for wrong in ((100, 64, 5), (64, 0, 5), (64, 64, 6)):
        with pytest.raises(ValueError, match=r"multiple|4n|frames"):
            fast_model.shape_of(WAN, *wrong)


def test_both_paths_agree_with_float32_on_a_short_model(small):
    plans = {"fast": fast.Plan(), "fp8": fast.Plan(base="fp8")}
    found = fast_measure.parity(WAN, small, plans, cut=NARROW, rank=4, device="cpu")
    assert found["fp8"][0] > 0.99
    for kind in ("fast", "reference"):
        whole, lowest, loss = found[kind]
        assert whole > 0.9999
        assert lowest > 0.999
        assert loss < 1e-3
    assert found["fast"] != found["reference"]


def test_a_whole_run_is_timed(small):
    compute = {"path": "fast", "base": "fp8", "idle": "pinned", "stream": 2}
    found = fast_run.timed_run(job(small, compute=compute, steps=6, turn=3, guest=0.01, trace=True))
    assert found["steps"] == 4  # two of each turn of three settle
    assert found["switch"] > 0
    assert "base in fp8, 2 blocks streamed, the idle expert waits: pinned" in found["said"]
    assert found["pause"] == pytest.approx(found["put_away"] + found["guest"] + found["brought_back"])
    assert 0 < found["idle"] < 1
    row = {"case": "fp8-22.5", "shape": small.name} | found
    text = bench_runs.line(row)
    assert text.startswith("fp8-22.5")
    assert "a guest on the card: pause" in text
    assert "GPU idle" in text


def test_what_switching_costs_is_what_steady_steps_would_not_have_taken():
    from wantrain.fast_run import _summary

    def turn(expert, switch_s, *seconds):
        rows = [{"expert": expert, "loss": 1.0, "volatile": {"seconds": second}} for second in seconds]
        rows[0]["volatile"]["switch_s"] = switch_s
        return rows

    rows = [*turn("high", 9.0, 7, 1, 1), *turn("low", 9.0, 7, 1, 1), *turn("high", 2.0, 2, 1, 1)]
    found = _summary(rows, 3)
    assert (found["median"], found["switch"], found["steps"]) == (1, 2.0, 3)
    assert found["share"] == 0.5  # three steps and a switch took six seconds
    with pytest.raises(ValueError, match="too short"):
        _summary(rows[:1], 1)


def test_every_run_is_a_configuration(tmp_path):
    from wanprep.config import from_table
    from wantrain.sections import ComputeConfig

    for compute in [*bench_runs.RUNS.values(), *bench_runs.CURVES.values()]:
        assert isinstance(from_table(ComputeConfig, compute), ComputeConfig)


def test_the_model_has_the_types_training_has_and_the_reference_can_be_left(small):
    model = fast_model.build(WAN, cut=NARROW, rank=4, device="cpu", dtype=torch.bfloat16)
    kinds = {name: p.dtype for name, p in model.named_parameters()}
    assert kinds["blocks.0.attn1.to_q.base_layer.weight"] == torch.bfloat16
    assert kinds["blocks.0.norm2.weight"] == kinds["blocks.1.scale_shift_table"] == torch.float32
    trained = [p for p in model.parameters() if p.requires_grad]
    assert len(trained) == 2 * 10 * 2
    assert all(p.dtype == torch.float32 and p.abs().sum() > 0 for p in trained)
    batch = fast_model.batch_of(WAN, small, model, "cpu")
    plain = float(fast_model.stepper(model, batch)())
    before = [p.detach().clone() for p in trained]
    fast_measure.into_reference(model, compiled=False)
    assert all(p.dtype == torch.bfloat16 for p in trained)
    assert float(fast_model.stepper(model, batch)()) == pytest.approx(plain, rel=1e-2)
    fast_measure.out_of_reference(model)
    assert all(p.dtype == torch.float32 and p.grad is None for p in trained)
    fast.install(model, fast.Plan())
    fast_model.stepper(model, batch)()
    assert any(not torch.equal(p, q) for p, q in zip(trained, before, strict=True))


def test_cosines_see_all_gradients_and_the_worst():
    exact = {"a": torch.tensor([3.0, 0.0]), "b": torch.tensor([0.0, 4.0])}
    assert fast_measure.cosines(exact, exact) == pytest.approx((1, 1))
    turned = {"a": torch.tensor([3.0, 0.0]), "b": torch.tensor([4.0, 0.0])}
    assert fast_measure.cosines(turned, exact) == pytest.approx((9 / 25, 0))


def test_mfu_counts_no_recomputation():
    shape = fast_model.shape_of(WAN, 832, 480, 81)
    assert fast_measure.mfu(WAN, shape, 9.0, Cut(), "NVIDIA H100 80GB HBM3") == pytest.approx(4694 / 9 / 989, rel=0.02)
    short = fast_measure.mfu(WAN, shape, 9.0, Cut(layers=10), "NVIDIA H100 80GB HBM3")
    assert short == pytest.approx(fast_measure.mfu(WAN, shape, 36.0, Cut(), "NVIDIA H200"))
    assert fast_measure.mfu(WAN, shape, 9.0, Cut(), "some other card") is None


def test_the_table_gives_ratios_of_the_same_shape():
    row = {
        "shape": "64x64x5", "tokens": 32, "low": 1.0, "high": 2.0, "wall": 1.5, "host": 0.2, "allocated": 2**30,
        "reserved": 2**31, "start": 9.0, "mfu": None, "kept": "attn",
    }  # fmt: skip
    rows = [
        row | {"case": "reference", "median": 3.0},
        row | {"case": "fast", "median": 1.5},
        row | {"case": "fast", "median": 1.5, "shape": "128x64x5"},
        {"case": "fast", "shape": "832x480x81", "error": "CUDA out of memory"},
    ]
    lines = bench_table.table(rows).splitlines()
    assert len(lines) == 5
    assert lines[1].endswith("9.0         attn")
    assert lines[2].endswith("2.00  attn")
    assert "2.00  attn" not in lines[3]
    assert "out of memory" in lines[4]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--shape", "5x5"], "WIDTHxHEIGHTxFRAMES"), (["--case", "fats"], "unknown case"),
        (["--steps", "0"], "at least 1"), (["--run", "fastest"], "unknown run"),
        (["--family", "wan9"], "unknown family"), (["--family", "tiny"], "no cost model"),
        (["--shape", "100x64x5"], "multiples of 16"), (["--budget", "-1"], "budget"),
        (["--width", "100"], "multiple of 128"), (["--curve", "0"], "at least 1"),
    ],
)  # fmt: skip
def test_wrong_usage_is_named(arguments, says, monkeypatch):
    monkeypatch.setattr(bench, "_need_gpu", lambda *_: None)
    found = CliRunner().invoke(bench.bench, arguments)
    assert found.exit_code == 2
    assert says in found.output


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_gpu_it_says_so():
    found = CliRunner().invoke(bench.bench, [])
    assert found.exit_code == 3
    assert "CUDA device" in found.output


def test_parity_rows_as_json(monkeypatch):
    row = {"fast": (0.9, 0.8, 0.1), "reference": (0.7, 0.6, 0.2)}
    monkeypatch.setattr(bench, "_need_gpu", lambda *_: None)
    monkeypatch.setattr(bench_table, "machine", lambda: {"gpu": "none"})
    monkeypatch.setattr(fast_measure, "parity", lambda *args, **more: dict(row))
    found = CliRunner().invoke(bench.bench, ["--parity", "--shape", "64x64x5", "--json"])
    assert json.loads(found.output)["rows"][0]["fast"] == [0.9, 0.8, 0.1]
    text = CliRunner().invoke(bench.bench, ["--parity", "--shape", "64x64x5"]).output
    assert "fast       cosine 0.900000" in text


def test_every_case_is_a_plan():
    for changes in bench_table.CASES.values():
        assert isinstance(fast.Plan(**changes), fast.Plan)
