"""The quantiser in HEVC headers, against ffmpeg's own reader of headers on files of x265 and kvazaar."""

from __future__ import annotations

import math

import numpy as np
import pytest
from traced import encoded, packets, traced

from wanprep.media import hevc


def x265(settings: str) -> tuple[str, ...]:
    return ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", f"log-level=none:pools=2:keyint=4:{settings}")


def said(path) -> list[float]:
    extradata, each = packets(path)
    return [hevc.quantiser(extradata, *both) for both in each]


def truth(path) -> list[int]:
    """QP of the first slice of every picture, by ffmpeg."""
    found, initial, last = [], {}, {}
    for name, value in traced(path):
        last[name] = value
        if name == "init_qp_minus26":
            initial[last["pps_pic_parameter_set_id"]] = 26 + value
        elif name == "slice_qp_delta" and last["first_slice_segment_in_pic_flag"]:
            found.append(initial[last["slice_pic_parameter_set_id"]] + value)
    return found


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "hevc"])
def test_every_container(tmp_path, suffix):
    path = encoded(tmp_path / f"x.{suffix}", *x265("crf=30:open-gop=1:bframes=3"))
    assert said(path) == truth(path)
    assert len(said(path)) == 8


@pytest.mark.parametrize(
    "settings",
    [
        "crf=22:open-gop=0:radl=1:bframes=3",
        "qp=35:no-sao=1:no-temporal-mvp=1",
        "crf=28:slices=3:bframes=3",
        "crf=40:repeat-headers=1:aud=1:hrd=1:vbv-maxrate=800:vbv-bufsize=800",
        "crf=31:opt-qp-pps=1:opt-ref-list-length-pps=1:multi-pass-opt-rps=1",
        "crf=33:interlace=tff:scaling-list=default:high-tier=1",
    ],
)
def test_many_kinds_of_headers(tmp_path, settings):
    path = encoded(tmp_path / "x.mkv", *x265(settings))
    assert said(path) == truth(path) != []


def test_scaling_lists_of_its_own(tmp_path):
    lists = []
    for size in (4, 8, 16, 32):
        for kind in (f"{pred}{size}X{size}_{plane}" for pred in ("INTRA", "INTER") for plane in PLANES):
            lists.append(f"{kind} =\n" + "16,31," * (8 if size == 4 else 32))
            lists += [f"{kind}_DC =\n17,"] * (size > 8)
    (tmp_path / "lists.txt").write_text("\n".join(lists) + "\n")
    path = encoded(tmp_path / "x.mkv", *x265(f"crf=27:scaling-list={tmp_path / 'lists.txt'}"))
    assert ("sps_scaling_list_data_present_flag", 1) in traced(path)
    assert said(path) == truth(path) != []


PLANES = ("LUMA", "CHROMAU", "CHROMAV")


@pytest.mark.parametrize("form", ["yuv420p", "yuv420p10le", "yuv422p12le", "yuv444p", "gray10le"])
def test_the_same_at_every_depth(tmp_path, form):
    path = encoded(tmp_path / "x.mkv", *x265("qp=33:ipratio=1:pbratio=1"), form=form, size=(322, 190))
    assert said(path) == truth(path) == [33] * 8


def test_another_encoder(tmp_path):
    path = encoded(tmp_path / "x.mkv", "-c:v", "libkvazaar", "-kvazaar-params", "qp=29")
    assert said(path) == truth(path)
    assert len(set(said(path))) > 1


def test_what_is_coded_without_loss_is_unknown(tmp_path):
    assert all(math.isnan(value) for value in said(encoded(tmp_path / "x.mkv", *x265("lossless=1"))))


@pytest.mark.parametrize("suffix", ["mp4", "ts"])
def test_damaged_headers_are_unknown_or_a_number_and_no_error(tmp_path, suffix):
    extradata, each = packets(encoded(tmp_path / f"x.{suffix}", *x265("crf=30:repeat-headers=1:bframes=3")))
    rng = np.random.default_rng(0)
    for key, packet in each[:3]:
        for _ in range(200):
            parts = [bytearray(part) for part in (extradata, key[:400], packet[:400])]
            for part in parts:
                for at in rng.integers(0, max(1, len(part)), 3):
                    part[at : at + 1] = rng.bytes(1)
            found = hevc.quantiser(*map(bytes, parts))
            assert math.isnan(found) or -48 <= found <= 51
        for length in range(40):
            assert math.isnan(hevc.quantiser(extradata[:length], b"", b""))
            assert math.isnan(hevc.quantiser(b"", b"", packet[:length]))


def test_without_its_parameters_a_picture_says_nothing(tmp_path):
    extradata, each = packets(encoded(tmp_path / "x.mp4", *x265("crf=30")))
    for key, packet in each:
        assert math.isfinite(hevc.quantiser(extradata, b"", packet))
        assert math.isnan(hevc.quantiser(b"", b"", packet))
        assert math.isnan(hevc.quantiser(b"\1", key, packet))
    assert math.isnan(hevc.quantiser(extradata, each[0][0], b""))


def test_parameters_that_come_with_a_keyframe_hold_for_those_after_it(tmp_path):
    _, each = packets(encoded(tmp_path / "x.hevc", *x265("crf=30:repeat-headers=1")))
    key, later = next((key, packet) for key, packet in each if key != packet)
    assert math.isnan(hevc.quantiser(b"", b"", later))
    assert math.isfinite(hevc.quantiser(b"", key, later))
