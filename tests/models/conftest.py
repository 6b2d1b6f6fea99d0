"""Tiny models gain nothing from threads, and lose much where several test processes share the cores."""

import torch

torch.set_num_threads(2)
