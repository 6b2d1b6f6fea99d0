"""The quantiser in AV1 headers, against ffmpeg's own reader of headers on files of SVT-AV1, libaom and rav1e."""

from __future__ import annotations

import math

import numpy as np
import pytest
from traced import encoded, packets, traced

from wanprep.media import av1

SVT = ("-c:v", "libsvtav1", "-preset", "11", "-g", "4", "-svtav1-params")
AOM = ("-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-g", "4")


def said(path) -> list[float]:
    """-1: unknown."""
    extradata, each = packets(path)
    found = [av1.quantiser(extradata, *both) for both in each]
    return [-1 if math.isnan(value) else value for value in found]


def truth(path) -> list[int]:
    """base_q_idx of the picture that each packet shows, by ffmpeg; -1: it is in an earlier one."""
    found: list[int] = []
    again = shown = False
    for name, value in traced(path):
        if name == "Packet":
            found.append(-1)
            again, shown = False, True  # unless it says otherwise
        elif name == "show_existing_frame":
            again, shown = bool(value), True
        elif name == "show_frame":
            shown = bool(value)
        elif name == "base_q_idx" and shown and not again:
            found[-1] = value
    return found


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ivf", "obu"])
def test_every_container(tmp_path, suffix):
    path = encoded(tmp_path / f"x.{suffix}", *SVT, "lp=1", "-crf", "45")
    assert said(path) == truth(path)
    assert sum(value > 0 for value in said(path)) > 2


@pytest.mark.parametrize(
    "settings",
    [
        "crf=35:enable-overlays=1",
        "crf=50:film-grain=20:aq-mode=0",
        "crf=55:scm=1",
        "crf=60:tile-columns=2:tile-rows=1",
        "crf=40:superres-mode=1:superres-denom=12",
    ],
)
def test_many_kinds_of_headers(tmp_path, settings):
    path = encoded(tmp_path / "x.mkv", *SVT, f"lp=1:{settings}", size=(640, 352))
    assert said(path) == truth(path) != [-1] * 8


@pytest.mark.parametrize(
    "options",
    [
        ("-crf", "63", "-tiles", "2x2"),
        ("-crf", "40", "-error-resilience", "1", "-aom-params", "sb-size=64:enable-order-hint=0"),
        ("-crf", "30", "-aom-params", "timing-info=model:tune-content=screen"),
        ("-crf", "20", "-aom-params", "timing-info=constant:film-grain-test=1"),
        ("-crf", "50", "-still-picture", "1", "-frames:v", "1", "-usage", "good"),
    ],
)
def test_another_encoder(tmp_path, options):
    path = encoded(tmp_path / "x.mkv", *AOM, *options, size=(640, 352))
    assert said(path) == truth(path) != [-1] * 8


def test_rav1e_and_wide_pictures(tmp_path):
    path = encoded(tmp_path / "x.mkv", "-c:v", "librav1e", "-speed", "10", "-qp", "120", "-tiles", "4")
    assert said(path) == truth(path) != [-1] * 8
    path = encoded(tmp_path / "y.mkv", *SVT, "lp=1:crf=33", size=(4400, 128))
    assert said(path) == truth(path) != [-1] * 8


@pytest.mark.parametrize("form", ["yuv420p", "yuv420p10le"])
def test_the_same_at_every_depth(tmp_path, form):
    path = encoded(tmp_path / "x.mkv", *SVT, "lp=1:rc=0:aq-mode=0:enable-qm=0", "-qp", "40", form=form, size=(322, 190))
    assert said(path) == truth(path) != [-1] * 8


def test_without_loss_is_the_finest(tmp_path):
    assert set(said(encoded(tmp_path / "x.mkv", *SVT, "lp=1:lossless=1"))) <= {0, -1}


def test_a_picture_of_the_size_of_another_is_unknown(tmp_path):
    found = said(encoded(tmp_path / "x.mkv", *SVT, "lp=1:crf=40:resize-mode=1:resize-denom=12", size=(640, 352)))
    assert found[0] > 0
    assert set(found[1:4]) == {-1}


def test_damaged_headers_are_unknown_or_a_number_and_no_error(tmp_path):
    extradata, each = packets(encoded(tmp_path / "x.mp4", *SVT, "lp=1"))
    rng = np.random.default_rng(0)
    for key, packet in each[:3]:
        for _ in range(300):
            parts = [bytearray(part[:100]) for part in (extradata, key, packet)]
            for part in parts:
                for at in rng.integers(0, len(part), 3):
                    part[at : at + 1] = rng.bytes(1)
            found = av1.quantiser(*map(bytes, parts))
            assert math.isnan(found) or 0 <= found <= 255
        for length in range(16):
            assert math.isnan(av1.quantiser(extradata[:length], b"", b""))
            assert math.isnan(av1.quantiser(b"", b"", packet[:length]))


def test_without_a_sequence_header_a_picture_says_nothing(tmp_path):
    extradata, ((key, packet), *_) = packets(encoded(tmp_path / "x.mp4", *SVT, "lp=1"))
    frame = packet[packet.index(b"\x32") :]  # an OBU with a frame
    assert math.isfinite(av1.quantiser(extradata, b"", frame))
    assert math.isfinite(av1.quantiser(b"", key, frame))
    assert math.isnan(av1.quantiser(b"", b"", frame))
