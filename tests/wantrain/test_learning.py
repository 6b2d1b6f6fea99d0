"""Learning that can be seen in what is made: a base that knows one distribution, LoRAs that teach it another.

The base is trained first, all of its weights, on latents that are constant at +c; the LoRAs on latents constant at −c.
Videos are then drawn by Euler steps from noise, each expert on its side of the boundary. The metric is the mean of the
drawn latents along c, in units of |c|²: +1 is the base's world, −1 the LoRAs'.
"""

import itertools

import pytest
import torch

from wantrain import flow, lora, tasks
from wantrain.sigma import Sigmas, expert_interval

BASE_STEPS, LORA_STEPS, SIZE = 200, 150, (16, 2, 8, 8)
CENTRE = 1.2 * torch.randn(16, generator=torch.Generator().manual_seed(5))[:, None, None, None]


def _latent(sign: float, seed: int) -> torch.Tensor:
    return sign * CENTRE + 0.2 * torch.randn(SIZE, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def bases(toy):
    """Both experts of a base that has learned +c: state dicts."""
    torch.set_num_threads(1)
    made = {}
    for name in ("high", "low"):
        model = toy.load(name).requires_grad_(True)
        sigmas = Sigmas(method="shift", interval=expert_interval(name, 0.875), shift=5.0, window=20)
        optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
        draws = torch.Generator().manual_seed(11)
        for step, sigma in enumerate(sigmas.draws(1, 0, BASE_STEPS).tolist()):
            x0, noise = _latent(1.0, step), torch.randn(SIZE, generator=draws)
            velocity = tasks.predict(model, tasks.ask(toy.TINY, x0, noise, sigma), torch.zeros(512, 32))
            flow.flow_loss(velocity, noise - x0).backward()
            for group in optimizer.param_groups:
                group["lr"] = 3e-3 * (1 - step / BASE_STEPS)
            optimizer.step()
            optimizer.zero_grad()
        made[name] = {key: value.detach().clone() for key, value in model.state_dict().items()}
    return made


@pytest.fixture(scope="module")
def taught(toy, bases, tmp_path_factory):
    """LoRAs for −c, trained by the real trainer on cached samples of it."""
    from dataclasses import replace

    from wanprep.cached import CachedDataset

    root = tmp_path_factory.mktemp("minus")
    plain = toy.toy_dataset(root, groups=5, per_group=4, captions=1)
    samples = []
    for number, sample in enumerate(plain.samples):
        path, digest = toy.store_all(root, f"minus-{number}.safetensors", {"latent": _latent(-1.0, 500 + number)})
        samples.append(replace(sample, latent_path=path, latent_digest=digest))
    data = CachedDataset(root, toy.TINY, samples, plain.empty_text)
    own = {"steps": LORA_STEPS, "rank": 16, "lr": 1e-2}
    config = toy.toy_config(
        root / "runs", high=own, low=own, sampling={"shift": 5.0}, validation={"every": 100, "samples": 4, "sigmas": 4},
        save={"every": 100, "keep": 4},
    )  # fmt: skip
    from wantrain.train import train

    return train(config, data, lambda name, device: _base(toy, bases, name), base=toy.BASE), data


def _base(toy, bases, name):
    model = toy.load(name)
    model.load_state_dict(bases[name])
    return model.requires_grad_(False)


def _samples(toy, bases, text, loras=None, count=6) -> torch.Tensor:
    """Latents drawn by 12 Euler steps on the shifted schedule."""
    models = {name: _base(toy, bases, name) for name in ("high", "low")}
    for name, path in (loras or {}).items():
        content = lora.read_lora(path)
        params = lora.add_lora(models[name], rank=16, alpha=16.0, generator=torch.Generator())
        for key, parameter in params.items():
            parameter.data.copy_(content.tensors[key])
    grid = [float(5 * u / (1 + 4 * u)) for u in torch.linspace(1, 0, 13)]
    drawn = []
    for seed in range(count):
        x = torch.randn(SIZE, generator=torch.Generator().manual_seed(900 + seed))
        for sigma, following in itertools.pairwise(grid):
            model = models["high" if sigma >= 0.875 else "low"]
            question = tasks.Question(x, torch.tensor([1000 * sigma]))
            with torch.no_grad():
                x = x + (following - sigma) * tasks.predict(model, question, text)
        drawn.append(x)
    return torch.stack(drawn)


def _along(x: torch.Tensor) -> float:
    return ((x * CENTRE).mean() / (CENTRE**2).mean()).item()


def test_held_out_loss_falls_for_both_experts(toy, taught):
    result, _ = taught
    for name in ("high", "low"):
        rows = toy.rows(result.folder, name, "held_out")
        assert rows[0]["loss"] > rows[0]["zero"]  # the base expects another world
        assert rows[-1]["loss"] < 0.6 * rows[0]["loss"]
        assert rows[-1]["loss"] < 0.75 * rows[-1]["zero"]
        assert result.verdicts[name].recommended.step > 0


def test_samples_move_from_the_bases_world_to_the_loras(toy, bases, taught):
    result, data = taught
    text = data.text(data.samples[0])
    base = _samples(toy, bases, text)
    moved = _samples(toy, bases, text, result.loras)
    assert _along(base) > 0.5
    assert _along(moved) < -0.5
    # One expert alone moves them part of the way.
    only_low = _samples(toy, bases, text, {"low": result.loras["low"]})
    assert _along(moved) < _along(only_low) < _along(base)
