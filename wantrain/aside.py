"""The regularisation set as a run uses it: without what the run holds out, and what a plan tells of it.

The second dataset may hold clips of the first, or be the very same one. What a run is measured by it must not learn,
from whichever set, so samples that show it are left out. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wanprep.costs import Bucket
from wanprep.stage import UsageError
from wanprep.tables import counted
from wantrain.footage import Footage
from wantrain.ready import visits_of

if TYPE_CHECKING:
    from wanprep.cached import CachedDataset
    from wantrain.config import TrainConfig
    from wantrain.split import Memory, Parts


@dataclass(frozen=True, kw_only=True)
class Aside:
    """A regularisation set in use. allowed: indices that are drawn; left_out: how many show what the run holds out;
    trained: how many of those that are drawn show what it trains on anyway."""

    dataset: CachedDataset
    allowed: tuple[int, ...]
    left_out: int
    trained: int

    @property
    def visits(self) -> dict[Bucket, int]:
        """Draws of an epoch of it in each bucket."""
        return visits_of(self.dataset, list(self.allowed))


def aside_of(
    regular: CachedDataset | None, dataset: CachedDataset, parts: Parts, memory: Memory | None
) -> Aside | None:
    """The regularisation set of a run on `dataset`; None without one. UsageError when nothing of it is left to draw."""
    if regular is None:
        return None
    training, held = _sides(dataset, parts, memory)
    allowed = tuple(index for index, sample in enumerate(regular.samples) if not held.shows(sample))
    left_out = len(regular.samples) - len(allowed)
    if not allowed:
        raise UsageError(
            f"regularisation.dataset: all {left_out} samples show what this run holds out, and none is left to draw. "
            "Give another set; or validation.share = 0 in a new run, which holds nothing out"
        )
    trained = sum(training.shows(regular.samples[index]) for index in allowed)
    return Aside(dataset=regular, allowed=allowed, left_out=left_out, trained=trained)


def _sides(dataset: CachedDataset, parts: Parts, memory: Memory | None) -> tuple[Footage, Footage]:
    """(what is trained on, what is held out), also of samples that the run knows and the dataset has no more."""
    sides = (Footage(), Footage())
    for side, indices in zip(sides, parts, strict=True):
        for sample in (dataset.samples[index] for index in indices):
            latent = getattr(sample, "latent_digest", "")
            side.add(sample.clip_id, sample.source_id, sample.start_s, sample.end_s, latent)
    here = {sample.sample_id for sample in dataset.samples}
    for name, known in (memory.samples if memory else {}).items():
        if name not in here:
            sides[known.held].add(known.clip, known.source, known.start_s, known.end_s)
    sides[1].whole = set(sides[1].spans) - set(sides[0].spans)
    return sides


def planned(config: TrainConfig, aside: Aside) -> dict[str, Any]:
    """What a plan tells of it. config: settled. draws: expert -> batches from it, of all its batches."""
    own = config.regularisation
    batches = {name: config.expert(name).steps * config.expert(name).accumulate for name in config.stages}
    buckets = Counter({f"{w}x{h}x{f}": count for (w, h, f), count in aside.visits.items()})
    return {
        "dataset": own.dataset, "samples": len(aside.dataset), "used": len(aside.allowed), "left_out": aside.left_out,
        "trained_on_anyway": aside.trained, "epoch": sum(aside.visits.values()), "pending": aside.dataset.pending,
        "buckets": dict(sorted(buckets.items())), "share": own.share, "weight": own.weight,
        "draws": {name: [taken(own.share, count), count] for name, count in batches.items()},
    }  # fmt: skip


def taken(share: float, number: int) -> int:
    """How many of the first `number` batches come from the set: as many as `tasks.picked` picks."""
    return int(number * share + 1e-9)


def lines(told: Mapping[str, Any] | None) -> list[str]:
    """For people, of what `planned` says; none without a set."""
    if told is None:
        return []
    draws = ", ".join(f"{count} of the {total} of {name}" for name, (count, total) in told["draws"].items())
    of_all = f"{told['used']} of {told['samples']} samples" if told["left_out"] else f"{told['samples']} samples"
    found = [
        f"regularisation set {told['dataset']}: {of_all} ({told['epoch']} an epoch with repeats); share "
        f"{told['share']:g} of the batches, their loss times {told['weight']:g}: {draws}"
    ]
    if told["left_out"]:
        left = counted(told["left_out"], "sample")
        found.append(f"{left} of the regularisation set left out: this run holds out what they show")
    if told["pending"]:
        found.append(f"{told['pending']} good samples of the regularisation set are not cached and will not be drawn")
    same = told["trained_on_anyway"]
    if same:
        all_ = "all" if same == told["used"] else f"{same} of the {told['used']}"
        found.append(
            f"warning: {all_} samples of the regularisation set show what is trained on anyway, which keeps none of "
            "the base's abilities; a set of other footage does"
        )
    return found


def mixture(visits: Mapping[Bucket, int], aside: Aside | None, share: float = 0.5) -> Mapping[Bucket, float]:
    """Of all draws the part in each bucket, both sets together; `visits` alone without a second one. share: of it."""
    if aside is None:
        return visits
    mixed: Counter[Bucket] = Counter()
    sides: Sequence[tuple[Mapping[Bucket, int], float]] = ((visits, 1 - share), (aside.visits, share))
    for counts, weight in sides:
        for bucket, count in counts.items():
            mixed[bucket] += weight * count / sum(counts.values())  # type: ignore[assignment]
    return dict(sorted(mixed.items()))
