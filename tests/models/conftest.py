"""Tiny models gain nothing from threads, and lose much where several test processes share the cores."""

from collections.abc import Iterator

import pytest
import torch

torch.set_num_threads(2)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """At the size of tiny VAEs even a second thread makes everything ten times slower."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
