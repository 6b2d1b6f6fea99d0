"""HDR and wide-gamut pictures to the BT.709 picture the models were trained on. Pure numpy, one documented curve.

Per pixel: the light that a screen gives (PQ: SMPTE ST 2084; HLG: ARIB STD-B67 with the 1.2 system gamma of a 1000-nit
screen, ITU-R BT.2100; SDR: ITU-R BT.1886), BT.2020 or Display P3 primaries turned into BT.709, HDR compressed by the
largest channel (so hues stay) with an extended Reinhard curve which maps PEAK_NITS to white, and what a BT.709 screen
must be sent to give that light: the inverse of BT.1886. The camera's curve of BT.709 would be wrong here, as it leaves
to the screen a darkening that PQ and HLG light already has (middle gray became 104 instead of 125).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

WHITE_NITS = 203.0  # HDR reference white (ITU-R BT.2408)
PEAK_NITS = 1000.0
SCREEN_GAMMA = 2.4  # ITU-R BT.1886
# Linear light to linear BT.709: from BT.2020 (ITU-R BT.2087), and from Display P3 (SMPTE EG 432-1, white D65)
_TO_709 = {
    name: np.array(rows, np.float32)
    for name, rows in {
        "bt2020": [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
        "display-p3": [[1.2249, -0.2249, 0.0], [-0.0421, 1.0421, 0.0], [-0.0196, -0.0786, 1.0983]],
    }.items()
}
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
    return (code**SCREEN_GAMMA).astype(np.float32)


@lru_cache(maxsize=1)
def _encoded() -> NDArray[np.uint8]:
    """Code value (8 bits, full range) for light 0..1 in 4096 steps of its square root, fine near black."""
    light = np.linspace(0, 1, 4096) ** 2
    return np.round(light ** (1 / SCREEN_GAMMA) * 255).astype(np.uint8)


def to_bt709(rgb_HWC: NDArray[np.uint16], transfer: str, primaries: str) -> NDArray[np.uint8]:
    """uint16 [H, W, 3] full-range code values to BT.709 uint8 [H, W, 3].

    transfer: "pq", "hlg" or anything SDR; primaries: "bt2020", "display-p3" or anything like BT.709.
    """
    light = _linear(transfer if transfer in ("pq", "hlg") else "sdr")[rgb_HWC]
    if transfer == "hlg":
        luma = np.maximum(light @ _LUMA_2020, 1e-6)[..., None]
        light = light * luma**0.2 * (PEAK_NITS / WHITE_NITS)
    if primaries in _TO_709:
        light = np.maximum(light @ _TO_709[primaries].T, 0)
    if transfer in ("pq", "hlg"):
        top = light.max(axis=-1, keepdims=True)
        white = PEAK_NITS / WHITE_NITS
        light = light * ((1 + top / white**2) / (1 + top))
    steps = np.sqrt(np.clip(light, 0, 1)) * 4095
    return _encoded()[np.round(steps).astype(np.uint16)]
