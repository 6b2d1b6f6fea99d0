"""Which samples a run trains on and which it holds out: decided when it begins, and remembered in its folder.

    runs/<name>/samples.json   every sample the run ever knew: side, clip, source, group, digest of its content

The rule (`data.hold_out`) looks at the whole dataset, so a folder added to it can move the border, and a run that went
on by the rule alone would train on what it was measured by. So a sample keeps its side for as long as the run lives,
also while it is not in the dataset; new ones go where their clip, source or group is, else by the rule.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from wanprep.ids import key_of, write_atomic
from wanprep.stage import UsageError
from wantrain.data import hold_out
from wantrain.footage import Footage

if TYPE_CHECKING:
    from wanprep.cached import CachedDataset, CachedSample

FILE = "samples.json"
FORMAT = 1
Parts = tuple[list[int], list[int]]  # indices of the dataset: to train on, held out


@dataclass(frozen=True, kw_only=True)
class Known:
    """A sample as the run knows it. digest: of its content; "" when the dataset no longer has it. start_s, end_s: of
    its clip; runs of earlier versions did not write them down."""

    held: bool
    clip: str
    source: str
    group: str
    digest: str
    start_s: float = -1.0
    end_s: float = -1.0


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What a run remembers. dataset: fingerprint of the one it was last trained on; samples: by sample id; regular:
    those of its regularisation sets, which are trained on, too."""

    dataset: str
    samples: dict[str, Known]
    regular: dict[str, Known] = field(default_factory=dict)


def remembered(folder: Path) -> Memory | None:
    """What the run in `folder` knows, None when nothing of it was saved yet. UsageError when the file is no such."""
    path = folder / FILE
    if not (folder / "run.json").is_file() or not path.is_file():
        return None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        samples, regular = (
            {name: Known(**known) for name, known in record.get(part, {}).items()} for part in ("samples", "regular")
        )
        if record["format"] != FORMAT:
            raise ValueError(f"format {record['format']}, this version reads {FORMAT}")
        return Memory(dataset=record["dataset"], samples=samples, regular=regular)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path}, which says what the run holds out, cannot be read ({error}); put it back, or begin again with "
            "--fresh"
        ) from error


def divide(samples: Sequence[CachedSample], share: float, memory: Memory | None) -> Parts:
    """Indices to train on and held out. Known samples keep their side; `share` is for the others. What a regularisation
    set has shown is not held out any more.

    UsageError when nothing is left to train on.
    """
    ruled = set(hold_out(samples, share)[1])
    known = memory.samples if memory is not None else {}
    sides = _sides(known.values())
    seen = Footage.of(memory.regular.values() if memory is not None else ())
    held = []
    for index, sample in enumerate(samples):
        if sample.sample_id in known:
            out = known[sample.sample_id].held
        elif seen.shows(sample):
            out = False
        else:
            found = (sides.get((unit, str(getattr(sample, unit)))) for unit in ("clip_id", "source_id", "group"))
            out = next((side for side in found if side is not None), index in ruled)
        if out:
            held.append(index)
    if samples and len(held) == len(samples):
        raise UsageError(
            f"no sample is left to train on: this run holds out all {len(held)} of the dataset. Add clips, or begin "
            "again with --fresh"
        )
    return sorted(set(range(len(samples))) - set(held)), held


def _sides(known: Iterable[Known]) -> dict[tuple[str, str], bool | None]:
    """(unit, name) -> whether it is held out; None where it stands on both sides. A clip never does."""
    sides: dict[tuple[str, str], bool | None] = {}
    for one in known:
        for unit, name in (("clip_id", one.clip), ("source_id", one.source), ("group", one.group)):
            same = sides.setdefault((unit, name), one.held) == one.held
            sides[unit, name] = one.held if same else None
    return sides


def remember(
    folder: Path, dataset: CachedDataset, parts: Parts, memory: Memory | None, regular: Iterable[CachedSample] = ()
) -> None:
    """Write down the sides of `parts`, and those of samples that are gone. Leaves a file that says so as it is.

    regular: of the regularisation set, those that are drawn.
    """
    held = set(parts[1])
    samples = {name: Known(**asdict(one) | {"digest": ""}) for name, one in (memory.samples if memory else {}).items()}
    for index, (sample, digest) in enumerate(zip(dataset.samples, _digests(dataset.samples).values(), strict=True)):
        samples[sample.sample_id] = _known(sample, index in held, digest)
    seen = (memory.regular if memory else {}) | {sample.sample_id: _known(sample, False, "") for sample in regular}
    now = Memory(dataset=dataset.fingerprint, samples=samples, regular=seen)
    if now != memory:
        record = {"format": FORMAT, **asdict(now)}
        write_atomic(folder / FILE, (json.dumps(record, sort_keys=True) + "\n").encode())


def _known(sample: CachedSample, held: bool, digest: str) -> Known:
    return Known(
        held=held, clip=sample.clip_id, source=sample.source_id, group=str(sample.group), digest=digest,
        start_s=sample.start_s, end_s=sample.end_s,
    )  # fmt: skip


def what_changed(dataset: CachedDataset, memory: Memory) -> str:
    """How `dataset` differs from the one the run was last trained on, in a few words."""
    before = {name: one.digest for name, one in memory.samples.items() if one.digest}
    now = _digests(dataset.samples)
    changed = sum(digest != before[name] for name, digest in now.items() if name in before)
    counts = {"new": len(now.keys() - before.keys()), "gone": len(before.keys() - now.keys()), "changed": changed}
    said = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    return f"of {len(before)} samples, {said}" if said else "the empty prompt's embedding changed"


def _digests(samples: Sequence[CachedSample]) -> dict[str, str]:
    """sample id -> digest of what training sees of it: the parts of the dataset's fingerprint."""
    return {
        s.sample_id: key_of(
            files=[s.latent_digest, s.text_digest], repeats=s.repeats, weight=s.weight,
            others=[[other.text_digest, other.weight] for other in s.others],
        )
        for s in samples
    }  # fmt: skip
