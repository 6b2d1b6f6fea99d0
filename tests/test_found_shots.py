"""No source ends without a reason that people find, and folders of clips that were cut before get a hint."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from movies import as_json, wanprep

from wanprep import found_shots, keys
from wanprep.signals.rules import ShotRules
from wanprep.stages.split import SplitConfig

OK, SHORT, MIXED = "ok", "too_short", "maybe_mixed"


def clip(source_id: str, state: str, *reasons: str) -> dict[str, Any]:
    return {"source_id": source_id, "state": state, "reasons": list(reasons)}


def test_sources_without_a_kept_clip_are_named_with_every_reason_once() -> None:
    sources = [{"source_id": name, "path": f"{name}.mp4", "state": "ok"} for name in "abcde"]
    sources.append({"source_id": "f", "path": "f.mp4", "state": "rejected"})
    clips = [
        clip("a", "rejected", "blur"), clip("a", "keep"), clip("b", "rejected", "blur", "static"),
        clip("b", "rejected", "blur"), clip("c", "pending"), clip("d", "rejected", "too_short"),
    ]  # fmt: skip
    names, why = found_shots.clipless(sources, clips)
    assert names == ["b.mp4", "d.mp4"]  # of e nothing is known yet
    assert why == {"blur": 1, "static": 1, "too_short": 1}


def dataset(files: Sequence[tuple[Sequence[str], Sequence[str]]], seconds: float = 2.0, detect: bool = True) -> Any:
    """Sources as (states or reasons of the spans, kinds of the transitions)."""
    split = SplitConfig(shots=ShotRules(detect=detect))
    signals, shots = [], []
    for number, (spans, mixes) in enumerate(files):
        name = str(number)
        last = {"last_pts": round(1000 * seconds), "first_pts": 0, "time_base": "1/1000"}
        key = {"key": keys.signals(name), "source_id": name, "digest": f"d{name}", "outcome": "done"}
        signals.append(key | last)
        states = [
            {"start_pts": 0, "state": "ok" if s == OK else "rejected", "reason": "" if s == OK else s} for s in spans
        ]
        found = [{"kind": kind, "first": 3, "last": 9, "wide": [1.0, 1.0]} for kind in mixes]
        row = {"key": keys.shots(f"d{name}", split), "outcome": "done"}
        shots.append(row | {"spans": json.dumps(states), "transitions": json.dumps(found)})
    shots.append({"key": "of other settings", "outcome": "done", "spans": "[]", "transitions": '[{"kind": "wipe"}]'})
    tables = {"signals": pl.DataFrame(signals), "shots": pl.DataFrame(shots)}
    return SimpleNamespace(pipeline=SimpleNamespace(split=split), manifest=SimpleNamespace(latest=tables.__getitem__))


def hint(of: Any) -> str:
    count = of.manifest.latest("signals").height
    sources = [{"source_id": str(k), "path": f"{k}.mp4", "state": "ok", "kind": "video"} for k in range(count)]
    return found_shots.cut_before(of, sources)


ONE: tuple[list[str], list[str]] = ([OK], [])
WIPED: tuple[list[str], list[str]] = ([SHORT, SHORT], ["wipe"])


def test_folders_of_single_shots_get_a_hint_when_a_transition_took_frames() -> None:
    said = hint(dataset([ONE] * 8 + [WIPED, ([OK, MIXED, OK], [])]))
    assert said.startswith("2 of 10 sources, nearly all of them a single shot, lost frames")
    assert "(8.mp4, 9.mp4)" in said
    assert said.endswith("--set split.shots.detect=false")
    assert found_shots.transitions(dataset([ONE, WIPED]), "1") == [{"kind": "wipe", "first": 3, "last": 9}]
    assert found_shots.transitions(dataset([ONE, WIPED]), "0") == []


@pytest.mark.parametrize(
    "of",
    [
        dataset([ONE] * 10),  # nothing was found in them
        dataset([ONE] * 9 + [([OK, OK], [])]),  # a cut is sure
        dataset([ONE] * 9 + [([OK], ["fade_in"])]),
        dataset([ONE] * 3 + [WIPED]),  # too few to tell
        dataset([ONE] * 7 + [WIPED] * 3),  # films and trailers
        dataset([ONE] * 9 + [WIPED], seconds=60.0),  # long takes
        dataset([ONE] * 9 + [WIPED], detect=False),  # known already
    ],
)
def test_nobody_else_is_told(of: Any) -> None:
    assert hint(of) == ""


def dip(path: Path) -> Path:
    """35 frames that fade to black and back again, and are nothing else."""
    import av
    import numpy as np
    from PIL import Image

    path.parent.mkdir()
    noise = np.random.default_rng(3).integers(0, 255, (12, 16, 3), np.uint8)
    scene = np.asarray(Image.fromarray(noise).resize((192, 144), Image.Resampling.BICUBIC), np.float32)
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=30, width=192, height=144, options={"crf": "10"})
        for k in range(35):
            picture = (scene * abs(k - 17) / 17).astype(np.uint8)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        output.mux(stream.encode(None))
    return path


def test_a_source_that_is_all_transition_says_so_wherever_it_is_shown(tmp_path: Path) -> None:
    movie, out = dip(tmp_path / "in" / "fade.mp4"), str(tmp_path / "set")

    def shown(*arguments: str) -> str:
        done = wanprep(*arguments)
        return " ".join((done.stdout + done.stderr).split())

    told = shown("run", str(movie.parent), "--out", out, "--workers", "1", "--set", "family=tiny")
    assert "clips 1 rejected (1 only_transition)" in told
    assert "1 source without a kept clip (1 only_transition): fade.mp4" in told
    for command in (("stats", "--by", "reason"), ("stats", "--by", "source"), ("status",), ("clips",)):
        assert "only_transition" in shown(*command, "--out", out)
    sentence = "no more than a transition was found in its source"
    assert sentence in shown("explain", "fade.mp4", "--out", out)
    assert sentence in shown("score", str(movie), "--workers", "1")
    found = as_json(wanprep("explain", "fade.mp4", "--out", out, "--json"))
    assert [it["reasons"] for it in found["clips"]] == [["only_transition"]]  # type: ignore[index]
