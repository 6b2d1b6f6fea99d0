"""HDR and wide-gamut pictures to the BT.709 picture the models were trained on. Pure numpy, one documented curve.

Per pixel: undo the transfer curve (PQ: SMPTE ST 2084; HLG: ARIB STD-B67 with the 1.2 system gamma of a 1000-nit
screen, ITU-R BT.2100), turn BT.2020 primaries into BT.709, compress by the largest channel (so hues stay) with an
extended Reinhard curve which maps PEAK_NITS to white, and apply the BT.709 curve.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

WHITE_NITS = 203.0  # HDR reference white (ITU-R BT.2408)
PEAK_NITS = 1000.0
# Linear BT.2020 to linear BT.709 (ITU-R BT.2087)
_TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], dtype=np.float32
)
_LUMA_2020 = np.array([0.2627, 0.6780, 0.0593], dtype=np.float32)


@lru_cache(maxsize=4)
def _linear(transfer: str) -> NDArray[np.float32]:
    """Light for each of 65,536 code values, reference white = 1."""
    code = np.arange(65536, dtype=np.float64) / 65535
    if transfer == "pq":
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        power = code ** (1 / m2)
        nits = 10000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
        return (nits / WHITE_NITS).astype(np.float32)
    if transfer == "hlg":
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
        return scene.astype(np.float32)  # the system gamma needs all three channels: see to_bt709
    return np.where(code < 0.081, code / 4.5, ((code + 0.099) / 1.099) ** (1 / 0.45)).astype(np.float32)


@lru_cache(maxsize=1)
def _encoded() -> NDArray[np.uint8]:
    """BT.709 code value (8 bits, full range) for light 0..1 in 4096 steps of its square root, fine near black."""
    light = np.linspace(0, 1, 4096) ** 2
    code = np.where(light < 0.018, 4.5 * light, 1.099 * light**0.45 - 0.099)
    return np.round(code * 255).astype(np.uint8)


def to_bt709(rgb_HWC: NDArray[np.uint16], transfer: str, primaries: str) -> NDArray[np.uint8]:
    """uint16 [H, W, 3] full-range code values (transfer "pq", "hlg" or anything SDR) to BT.709 uint8 [H, W, 3]."""
    light = _linear(transfer if transfer in ("pq", "hlg") else "sdr")[rgb_HWC]
    if transfer == "hlg":
        luma = np.maximum(light @ _LUMA_2020, 1e-6)[..., None]
        light = light * luma**0.2 * (PEAK_NITS / WHITE_NITS)
    if primaries == "bt2020":
        light = np.maximum(light @ _TO_709.T, 0)
    if transfer in ("pq", "hlg"):
        top = light.max(axis=-1, keepdims=True)
        white = PEAK_NITS / WHITE_NITS
        light = light * ((1 + top / white**2) / (1 + top))
    steps = np.sqrt(np.clip(light, 0, 1)) * 4095
    return _encoded()[np.round(steps).astype(np.uint16)]
