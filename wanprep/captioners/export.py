"""`wanprep caption --export DIR`: the captions as they are trained on, for other trainers.

captions/ is people's: a file edited by hand stays as typed there, without the trigger or with an earlier one. The
files written here hold what the text encoder is given, under the same names, other captions of a clip too.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from wanprep.captioners.several import parsed, stem_of, with_weight
from wanprep.ids import write_atomic
from wanprep.stage import UsageError

if TYPE_CHECKING:
    from wanprep.dataset import Dataset


def export(dataset: Dataset, folder: Path) -> tuple[int, list[str]]:
    """Write DIR/<clip_id>.txt of every kept clip with a caption; how many files, and notes on odd ones in captions/.

    Takes edits over first. UsageError unless the folder is empty or not there yet.
    """
    from wanprep.run import find_edits

    if folder.is_dir() and any(folder.iterdir()):
        raise UsageError(f"{folder} is not empty; name a new folder for the captions")
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file; name a new folder for the captions")
    texts: dict[str, str] = {}
    with dataset.lease():
        _, notes = find_edits(dataset)
        clips = dataset.decide().clip_rows
    for clip in clips:
        if clip["state"] == "keep" and clip["caption"] is not None:
            texts[clip["clip_id"]] = clip["caption"]
            for row in parsed(clip["more_captions"]):
                texts[stem_of(clip["clip_id"], row["number"])] = with_weight(row["weight"], row["text"])
    folder.mkdir(parents=True, exist_ok=True)
    for stem, text in texts.items():
        write_atomic(folder / f"{stem}.txt", f"{text}\n".encode("utf-8", "surrogatepass"))
    return len(texts), notes
