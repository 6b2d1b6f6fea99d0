"""Cross-attention to a text that is mostly padding, at the cost of its true tokens.

Wan attends to 512 tokens whatever the caption's length, without a mask: the zero rows behind a caption all become one
and the same key and value. n equal keys weigh as much in a softmax as one whose score is greater by log n. So attention
runs over the true tokens, its log-sum-exp tells how much they weigh, and the padding's one value is mixed in:

    m = ln(e^lse + n·e^s)        s = q·k/√d, of the padding's key k
    out <- e^(lse-m)·out + n·e^(s-m)·v

Flash attention's backward (Dao 2023, https://arxiv.org/abs/2307.08691) forms the weights anew from the log-sum-exp and
takes the output for the sum along each row. Given m and the mixed output it returns the exact gradients of the true
tokens; those of the padding are a sum over the queries. Exact, so nothing can be set here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from wantrain.fast_ops import attention, attention_back

if TYPE_CHECKING:
    from wantrain.fast_ops import Ops

ALIGN = 64  # rows of text: what kernels like
LEAST = 128  # of them: attention to fewer keys than 64 was not tried on a card, and saves nothing


def rows_of(tokens: int, length: int) -> tuple[int, int]:
    """Rows of a text of `length` that are computed, and how many equal keys the last of them stands for.

    tokens: all rows from there on are equal. 0 of them: the whole text is computed, as it is.
    """
    rows = max(LEAST, -(-(tokens + 1) // ALIGN) * ALIGN)
    return (rows, length - rows + 1) if rows < length else (length, 0)


def cross(q: Tensor, k: Tensor, v: Tensor, pads: int, heads: int, backend: str, ops: Ops) -> tuple[Tensor, Any]:
    """As `attention`; the last of k and v counts `pads` times, unless that is 0."""
    if not pads:
        return attention(q, k, v, heads, backend)
    out, rest = attention(q, k[:, :-1], v[:, :-1], heads, backend)
    ops.mix_pads(out, _lse(rest), q, k[:, -1], v[:, -1], math.log(pads))
    return out, rest


def cross_back(
    d: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, rest: Any, pads: int, heads: int, backend: str, ops: Ops
) -> tuple[Tensor, Tensor, Tensor]:
    """As `attention_back`, for `cross`."""
    if not pads:
        return attention_back(d, q, k, v, out, rest, heads, backend)
    dq, dk, dv = attention_back(d, q, k[:, :-1], v[:, :-1], out, rest, heads, backend)
    last_k, last_v = ops.pads_back(d, out, _lse(rest), q, dq, k[:, -1], v[:, -1], math.log(pads))
    dk, dv = (torch.cat([most, last[:, None].to(most.dtype)], 1) for most, last in ((dk, last_k), (dv, last_v)))
    return dq, dk, dv


def _lse(rest: Any) -> Tensor:
    """[B, H, S], natural logarithm; a view."""
    return rest[0].squeeze(-1) if rest[0].ndim == 4 else rest[0]
