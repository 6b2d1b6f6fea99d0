"""What is known about the demo movies because we made them, and how a run's clips compare with it. Pure.

Frame numbers count decoded frames of the file from 0; ranges are [start, end).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

KEEP = "keep"
SAME_SHOT = 0.5  # a clip belongs to the shot that holds more than this share of it
COVERED = 0.7  # of a good shot must be kept; its ends may be trimmed
CROP_SLACK = 2  # pixels


@dataclass(frozen=True, kw_only=True)
class ShotTruth:
    """One shot as filmed. start_frame, end_frame: where it is alone in the picture (no dissolve).

    expect: "keep" or the reason for which it must be rejected. crop: [x, y, w, h] of the picture inside its black
    bars, None for the whole frame.
    """

    label: str
    start_frame: int
    end_frame: int
    expect: str = KEEP
    crop: tuple[int, int, int, int] | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start_frame < self.end_frame:
            raise ValueError(f'shot "{self.label}" has the empty range [{self.start_frame}, {self.end_frame})')


@dataclass(frozen=True, kw_only=True)
class FileTruth:
    """One movie. path: below the folder of movies, with forward slashes. cuts: first frames after a hard cut;
    gradual: ranges in which two shots are mixed."""

    path: str
    fps: int
    width: int
    height: int
    n_frames: int
    cuts: tuple[int, ...]
    gradual: tuple[tuple[int, int], ...]
    shots: tuple[ShotTruth, ...]


@dataclass(frozen=True, kw_only=True)
class Truth:
    files: tuple[FileTruth, ...]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Truth:
        """The inverse of `to_json`; KeyError or TypeError on anything else."""
        files = []
        for table in json.loads(text)["files"]:
            shots = [{**shot, "crop": tuple(shot["crop"]) if shot["crop"] else None} for shot in table["shots"]]
            gradual = tuple((start, end) for start, end in table["gradual"])
            lists = {"cuts": tuple(table["cuts"]), "gradual": gradual}
            files.append(FileTruth(**{**table, **lists, "shots": tuple(ShotTruth(**shot) for shot in shots)}))
        return cls(files=tuple(files))


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One line of the comparison. expected, got: for people; ok: they agree."""

    path: str
    shot: str
    frames: tuple[int, int]
    expected: str
    got: str
    ok: bool


def check(truth: Truth, clips: Iterable[Mapping[str, Any]]) -> list[Compared]:
    """Compare the clips of a run with the truth: a line for each shot, and one for each clip in no shot.

    clips: rows with path, start_frame, end_frame, state ("keep", "rejected", ...), reasons (labels), crop
    ([x, y, w, h] or None). A shot to keep needs kept clips over at least COVERED of it, none reaching beyond it, with
    the right crop. A shot to reject needs a clip, all its clips rejected, and the expected reason among those of each.
    """
    by_path: dict[str, list[Mapping[str, Any]]] = {}
    for clip in clips:
        by_path.setdefault(clip["path"], []).append(clip)
    lines: list[Compared] = []
    for file in truth.files:
        mine: dict[str, list[Mapping[str, Any]]] = {shot.label: [] for shot in file.shots}
        for clip in sorted(by_path.get(file.path, ()), key=lambda clip: clip["start_frame"]):
            shot = _shot_of(file, clip)
            if shot is not None:
                mine[shot.label].append(clip)
            elif clip["state"] == KEEP:  # pieces of a dissolve may be cut off, but never kept
                span = (clip["start_frame"], clip["end_frame"])
                got = "kept, over several shots or in a dissolve"
                lines.append(Compared(path=file.path, shot="-", frames=span, expected="not kept", got=got, ok=False))
        lines += [_compare(file, shot, mine[shot.label]) for shot in file.shots]
    return sorted(lines, key=lambda line: (line.path, line.frames))


def _overlap(shot: ShotTruth, clip: Mapping[str, Any]) -> int:
    return max(0, min(shot.end_frame, clip["end_frame"]) - max(shot.start_frame, clip["start_frame"]))


def _shot_of(file: FileTruth, clip: Mapping[str, Any]) -> ShotTruth | None:
    length = clip["end_frame"] - clip["start_frame"]
    best = max(file.shots, key=lambda shot: _overlap(shot, clip))
    return best if length and _overlap(best, clip) > SAME_SHOT * length else None


def _compare(file: FileTruth, shot: ShotTruth, clips: Sequence[Mapping[str, Any]]) -> Compared:
    whole = (0, 0, file.width, file.height)
    problems = _problems_of_kept(shot, clips, whole) if shot.expect == KEEP else _problems_of_rejected(shot, clips)
    expected = shot.expect
    if shot.crop:
        expected += f", crop {list(shot.crop)}"
    got = "; ".join([_describe(clip, whole) for clip in clips] or ["no clip"])
    if problems:
        got += f" ({'; '.join(problems)})"
    frames = (shot.start_frame, shot.end_frame)
    return Compared(path=file.path, shot=shot.label, frames=frames, expected=expected, got=got, ok=not problems)


def _problems_of_kept(shot: ShotTruth, clips: Sequence[Mapping[str, Any]], whole: tuple[int, ...]) -> list[str]:
    kept = [clip for clip in clips if clip["state"] == KEEP]
    length = shot.end_frame - shot.start_frame
    share = sum(_overlap(shot, clip) for clip in kept) / length
    problems = [] if share >= COVERED else [f"{share:.0%} of the shot kept, {COVERED:.0%} expected"]
    for clip in kept:
        before, after = shot.start_frame - clip["start_frame"], clip["end_frame"] - shot.end_frame
        if before > 0 or after > 0:
            problems.append(f"reaches {max(before, after)} frames beyond the shot")
        crop, want = tuple(clip.get("crop") or whole), shot.crop or whole
        if max(abs(a - b) for a, b in zip(crop, want)) > CROP_SLACK:
            problems.append(f"crop is {list(crop)}")
    return problems


def _problems_of_rejected(shot: ShotTruth, clips: Sequence[Mapping[str, Any]]) -> list[str]:
    if not clips:
        return ["a rejected clip expected: nothing may vanish"]
    problems = [f"state {clip['state']}" for clip in clips if clip["state"] != "rejected"]
    return problems + ["other reason" for clip in clips if not problems and shot.expect not in clip["reasons"]]


def _describe(clip: Mapping[str, Any], whole: tuple[int, ...]) -> str:
    crop = tuple(clip.get("crop") or whole)
    cropped = f", crop {list(crop)}" if crop != whole else ""
    said = ", ".join(clip["reasons"]) or clip["state"]  # only what is rejected has reasons
    return f"{said} {clip['start_frame']}-{clip['end_frame']}{cropped}"


def render(lines: Sequence[Compared]) -> Table:
    """The comparison as a table for the terminal, a part for each movie; disagreements stand out."""
    from rich.text import Text

    from wanprep.tables import table

    right = sum(line.ok for line in lines)
    drawn = table("shot", "frames", "expected", "", "got", title=f"demo: {right} of {len(lines)} as expected")
    movie = None
    for line in lines:
        if line.path != movie:
            movie = line.path
            drawn.add_section()
            drawn.add_row(Text(PurePosixPath(movie).name, style="bold"))
        cells = (line.shot, f"{line.frames[0]}-{line.frames[1]}", line.expected, "ok" if line.ok else "WRONG", line.got)
        drawn.add_row(*map(Text, cells), style="" if line.ok else "bold red")
    return drawn
