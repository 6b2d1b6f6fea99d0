"""What `wanprep filter --preview` prints: an example is a line, its time whole."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from rich.cells import cell_len

from wanprep import decide, weigh
from wanprep.stages.filter import FilterConfig

NAMES = ("bikes_640x272_25fps.mp4", "crystal_handheld_defocus_480p_30fps.mp4")


def clip(number: int) -> dict[str, Any]:
    scores = {"shake": (0.05 + 0.04 * number, 0.07, "reject" if number else "keep")}
    row = {"clip_id": f"{number:016d}", "path": NAMES[number], "start_s": 0.0, "end_s": 39.85}
    state, reasons = ("rejected", ["shake"]) if number else ("keep", [])
    return row | {"state": state, "reasons": reasons, "scores": json.dumps(scores)}


@pytest.mark.parametrize(
    ("there", "said"),
    [
        (2, "1 clip not scored yet with these settings: wanprep filter --out set"),
        (0, "no clip is known yet with these settings: wanprep split --out set && wanprep fps --out set &&"),
    ],
)
def test_clips_that_are_not_scored_are_told(there: int, said: str, capsys, monkeypatch: pytest.MonkeyPatch) -> None:
    """After an update, or with other settings of [split], the table would look as if no filter dropped anything."""
    rows = [clip(0), clip(1) | {"state": "pending", "reasons": [], "scores": "{}"}][:there]
    empty = pl.DataFrame([clip(0)], schema_overrides={"reasons": pl.List(pl.String)})
    made: Any = SimpleNamespace(
        manifest=SimpleNamespace(read={"clips": empty}.__getitem__), root=Path("set"), measured=dict,
        pipeline=SimpleNamespace(filter=FilterConfig()),
    )  # fmt: skip
    monkeypatch.setattr(decide, "judged_clips", lambda measured, pipeline: rows)
    weigh.show_preview(made, False)
    assert said in " ".join(capsys.readouterr().out.split())
    rows[:] = [clip(0)]
    weigh.show_preview(made, False)
    assert "with these settings" not in capsys.readouterr().out


def test_an_example_is_a_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clips = pl.DataFrame([clip(0), clip(1)], schema_overrides={"reasons": pl.List(pl.String)})
    manifest = SimpleNamespace(read={"clips": clips}.__getitem__)
    made: Any = SimpleNamespace(manifest=manifest, pipeline=SimpleNamespace(filter=FilterConfig()), measured=dict)
    monkeypatch.setattr(decide, "judged_clips", lambda measured, pipeline: clips.to_dicts())
    weigh.show_preview(made, False)
    lines = capsys.readouterr().out.splitlines()
    assert all(cell_len(line) <= 80 for line in lines)
    examples = [line for line in lines if " shake " in line and "0000" in line]
    assert [line.split()[-1] for line in examples] == ["0.00-39.85", "0.00-39.85"]
    assert "crystal" in examples[0]
    assert "30fps.mp4" in examples[0]
    assert "bikes" in examples[1]
