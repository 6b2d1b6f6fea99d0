"""The Triton kernels in Triton's interpreter, on the CPU, against the plain formulas; run by test_fast.py as a program.

A program of its own because TRITON_INTERPRET counts when triton is imported. The interpreter cuts bfloat16 off instead
of rounding it, hence the wide tolerance there.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ["TRITON_INTERPRET"] = "1"
sys.path.insert(0, str(Path(__file__).parents[2]))

import torch

from wantrain import fast_cast, fast_ops, fast_triton, fast_triton_pads

B, S, D, H = 2, 5, 96, 4
draw = torch.Generator()
EPS = 1e-6


def randn(*shape, dtype=torch.float32):
    return torch.randn(*shape, generator=draw).to(dtype)


def strip(width, dtype):
    """A slice of a wider buffer, as between LoRA strips."""
    return randn(B, S, width + 16, dtype=dtype)[..., :width]


def modulation(per_token):
    whole = randn(B, S, 6, D) if per_token else randn(B, 6, D)
    return [part.squeeze(2) if per_token else part for part in whole.split(1, dim=-2)]


def check(name, make, run, kernels=fast_triton):
    """`run(module, *make(dtype))` gives tensors; both modules must give the same from the same inputs."""
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.bfloat16, 6e-3)):
        results = []
        for module in (fast_ops, kernels):
            draw.manual_seed(1)
            results.append(list(run(module, *make(dtype))))
        for wanted, found in zip(*results, strict=True):
            assert wanted.dtype == found.dtype, name
            error = (wanted.float() - found.float()).norm() / wanted.float().norm()
            assert error < tolerance, (name, dtype, error)


def norms(per_token):
    def modulate(m, h, out):
        shift, scale, *_ = modulation(per_token)
        m.modulate(h, 1 + scale, shift, EPS, out)
        return [out]

    check("modulate", lambda t: (randn(B, S, D, dtype=t), strip(D, t)), modulate)
    for gated in (False, True):

        def add_modulate(m, h, y, out, gated=gated):
            shift, scale, gate, *_ = modulation(per_token)
            return [m.add_modulate(h, y, gate if gated else None, 1 + scale, shift, EPS, out), out]

        def add(m, h, y, out, gated=gated):
            gate = modulation(per_token)[2] if gated else None
            m.gated(y, modulation(per_token)[0], out)
            return [m.add_gated(h, y, gate), out]

        make = lambda t: (randn(B, S, D, dtype=t), randn(B, S, D, dtype=t), strip(D, t))  # noqa: E731
        check("add_modulate", make, add_modulate)
        check("add_gated", make, add)
        for shifted in (False, True):

            def back(m, h, d, past, out, beside, gated=gated, shifted=shifted):
                shift, scale, gate, *_ = modulation(per_token)
                parts = (1 + scale, shift if shifted else None, gate if gated else None)
                m.modulate_back(h, d, past, *parts, EPS, out, beside if gated else None)
                return [d, out, *([beside] if gated else [])]

            make_back = lambda t: (*(randn(B, S, D, dtype=t) for _ in "hd"), *(strip(D, t) for _ in "pob"))  # noqa: E731
            check("modulate_back", make_back, back)


def rotary():
    angle = randn(1, S, 1, D // H // 2).repeat_interleave(2, -1)
    cos, sin = angle.cos(), angle.sin()
    weights = lambda t: (randn(D, dtype=t), randn(D, dtype=t))  # noqa: E731
    check("rms", lambda t: (strip(D, t), randn(D, dtype=t)), lambda m, x, w: [m.rms(x, w, EPS)])

    def rms_back(m, x, d, weight, out):
        m.rms_back(x, d, weight, EPS, out)
        return [out]

    check("rms_back", lambda t: (strip(D, t), randn(B, S, D, dtype=t), randn(D, dtype=t), strip(D, t)), rms_back)
    check(
        "qk",
        lambda t: (randn(B, S, 3 * D, dtype=t), *weights(t)),
        lambda m, x, wq, wk: m.qk(x, wq, wk, cos, sin, H, EPS),
    )

    def qkv_back(m, x, dq, dk, dv, wq, wk, out):
        m.qkv_back(x, dq, dk, dv, wq, wk, cos, sin, H, EPS, out)
        return [out]

    def make(t):
        given = (randn(B, S, D, dtype=t), randn(B, S, D, dtype=t), strip(D, t))
        return randn(B, S, 3 * D, dtype=t), *given, *weights(t), strip(3 * D, t)

    check("qkv_back", make, qkv_back)


def gelus():
    def forth(m, f, out):
        m.gelu(f, out)
        return [out]

    def back(m, d, f):
        m.gelu_back(d, f)
        return [d]

    def both(m, d, f):
        m.gelu_back_both(d, f)
        return [d, f]

    check("gelu", lambda t: (3 * randn(B, S, D, dtype=t), strip(D, t)), forth)
    check("gelu_back", lambda t: (strip(D, t), 3 * randn(B, S, D, dtype=t)), back)
    check("gelu_back_both", lambda t: (strip(D, t), 3 * randn(B, S, D, dtype=t)), both)


def padding():
    """Of more queries than one program takes, in a layout where neighbours of a head do not lie side by side."""
    rows, more = fast_triton_pads.STRETCH + 7, 3.0

    def make(t):
        wide = [randn(B, rows, D + 16, dtype=t)[..., :D] for _ in range(4)]
        return *wide, randn(B, rows, H).transpose(1, 2), randn(B, 3, D, dtype=t)[:, -1], randn(B, 3, D, dtype=t)[:, -1]

    def forth(m, q, out, d, dq, lse, k, v):
        m.mix_pads(out, lse, q, k, v, more)
        return [out, lse]

    def back(m, q, out, d, dq, lse, k, v):
        return [*m.pads_back(d, out, lse + 5, q, dq, k, v, more), dq]

    check("mix_pads", make, forth, fast_triton_pads)
    check("pads_back", make, back, fast_triton_pads)


def casting():
    sources = [randn(4, 7), randn(30, 4)]
    targets = [torch.zeros(4, 20, dtype=torch.bfloat16)[:, :7], torch.zeros(30, 9, dtype=torch.bfloat16)[:, 3:7]]
    caster = fast_cast.Caster()
    for factor in (2.0, 3.0):
        sources[1].mul_(factor)  # the same address, other numbers
        caster([(sources[0], targets[0], 1.0), (sources[1], targets[1], 0.5)])
        torch.testing.assert_close(targets[0].float(), sources[0], rtol=1e-2, atol=0)
        torch.testing.assert_close(targets[1].float(), 0.5 * sources[1], rtol=1e-2, atol=0)
    moved = [sources[0] + 1, sources[1]]
    caster([(moved[0], targets[0], 1.0), (moved[1], targets[1], 0.5)])
    torch.testing.assert_close(targets[0].float(), moved[0], rtol=1e-2, atol=0)


if __name__ == "__main__":
    torch.set_num_threads(2)
    norms(per_token=False)
    norms(per_token=True)
    rotary()
    gelus()
    padding()
    casting()
    print("same")
