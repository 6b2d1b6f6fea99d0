"""Showing what `wanprep calibrate` found: labels that could not be used, what is contradicted, and what to paste."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wanprep.calibrate import calibrate
from wanprep.standing import out_of
from wanprep.tables import console, counted, plain, print_json, print_rows
from wanprep.toml_text import dump_toml

SHOWN = 5  # lines of a kind


def show_calibration(dataset: Any, file: Path, as_json: bool) -> None:
    """Fit, and say what to paste; on stdout."""
    found = calibrate(dataset, file)
    if as_json:
        print_json(found)
        return
    out = console()
    for line in summary(found):
        out.print(line, markup=False, soft_wrap=True)
    if found["after"]:
        rows = [(str(w["line"]), w["label"], *_place(w), ", ".join(w["reasons"])) for w in found["after"]]
        out.print("still contradicted:")
        print_rows((">line", "label", "clip", "~source", ">seconds", "rejected for"), rows)
    for line in advice(found, out_of(dataset)):
        out.print(line, markup=False, soft_wrap=True)
    if found["settings"]:
        out.print("\nFor the pipeline file:\n")
        out.print(dump_toml({"filter": found["settings"]}), markup=False)


def summary(found: Mapping[str, Any]) -> list[str]:
    """How many labels were used, and why the others were not."""
    lines = [f"{found['used']} of {counted(found['labels'], 'label')} used."]
    if found["repeated"]:
        told = ", ".join(map(str, found["repeated"][:SHOWN])) + (" …" if len(found["repeated"]) > SHOWN else "")
        verb = "repeats" if len(found["repeated"]) == 1 else "repeat"
        lines.append(f"{counted(len(found['repeated']), 'line')} {verb} what another says, and count once: {told}")
    if found["torn"]:
        lines.append(f"{counted(len(found['torn']), 'clip')} left out: one line keeps it, another drops it")
    lines += _first([_torn(clip) for clip in found["torn"]])
    if found["unusable"]:
        lines.append(f"{counted(len(found['unusable']), 'line')} that cannot be used:")
    lines += _first([f"  line {one['line']}: {one['cause']}" for one in found["unusable"]])
    before, after = len(found["before"]), len(found["after"])
    then = f", {after} with those proposed" if found["settings"] else ""
    lines.append(f"{counted(before, 'label')} contradicted with the present settings{then}.")
    return lines


def _torn(clip: Mapping[str, Any]) -> str:
    sides = (f"{word} in line {', '.join(map(str, clip[word]))}" for word in ("keep", "drop"))
    return f"  {' '.join(_place(clip))} s: {', '.join(sides)}"


def _place(clip: Mapping[str, Any]) -> tuple[str, str, str]:
    return clip["clip_id"][:8], plain(clip["path"]), f"{clip['start_s']:.2f}-{clip['end_s']:.2f}"


def _first(lines: Sequence[str]) -> list[str]:
    """The first few, and how many more there are."""
    return [*lines[:SHOWN], *([f"  and {len(lines) - SHOWN} more"] if len(lines) > SHOWN else [])]


def advice(found: Mapping[str, Any], out: Sequence[str] = ()) -> list[str]:
    """What the proposal means, or why there is none. out: `--out DIR`, for the command to type."""
    if not found["settings"]:
        if found["before"]:
            return ["No other thresholds contradict fewer labels: keep the present ones."]
        return ["The thresholds are the best for these labels already."]
    lines = [
        f"{name}: these labels say that it should be off (enabled = false): what it rejects is to be kept"
        for name in found["off"]
    ]
    if found["none_left"]:
        lines.append("No clip at all would be kept with these settings: label clips to keep, too, before you use them")
    if found["weak"]:
        before, after = len(found["before"]), len(found["after"])
        lines.append(
            f"These settings hardly explain the labels: {before - after} of {before} contradicted ones are mended. "
            "Keep the present ones, or say more: labels with reasons, or more of them"
        )
    for name, count in found["few"].items():
        lines.append(f"{name}: rests on {counted(count, 'label')}; look at more clips before you trust it")
    for what in ("newly_kept", "newly_dropped"):
        clips = found[what]
        if clips:
            lines.append(f"{counted(len(clips), 'clip')} {what.replace('_', ' ')}, labelled or not:")
            lines += _first([f"  {' '.join(_place(clip))} s ({', '.join(clip['reasons'])})" for clip in clips])
    flags = [f"--set filter.{n}.{k}={str(v).lower()}" for n, keys in found["settings"].items() for k, v in keys.items()]
    return [*lines, f"Look first: {shlex.join(['wanprep', 'filter', '--preview', *out])} {' '.join(flags)}"]
