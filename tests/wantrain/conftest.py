"""Fixtures of the trainer's tests: the toy module, its dataset (one a session) and one finished toy run."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def toy():
    """tests/wantrain/toy.py as a module."""
    import torch

    torch.set_num_threads(2)
    path = Path(__file__).with_name("toy.py")
    spec = importlib.util.spec_from_file_location("wantrain_toy", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["wantrain_toy"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def dataset(toy, tmp_path_factory):
    return toy.toy_dataset(tmp_path_factory.mktemp("toy-data"))


@pytest.fixture(scope="session")
def finished(toy, dataset, tmp_path_factory):
    """A finished run of both experts, with one interruption-free history. Do not write into it."""
    return toy.train_toy(tmp_path_factory.mktemp("toy-runs"), dataset)


@pytest.fixture(scope="session")
def plain(toy, tmp_path_factory):
    """A LoRA file as we write it, with two ranks (4, and 3 in ffn) and a scale that is not 1. Do not write into it."""
    return toy.strong_lora(tmp_path_factory.mktemp("lora") / "x_high_noise.safetensors")


@pytest.fixture(scope="session")
def small():
    """tests/wantrain/test_fast.py as a module, for its small transformer."""
    spec = importlib.util.spec_from_file_location("wantrain_test_fast", Path(__file__).with_name("test_fast.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
