"""Which sample comes next, and which samples are never trained on.

The dataset decides the order of an epoch (repeats and weights included) from a seed; each expert walks it with its
own seed and its own position, so that an expert's sequence does not depend on whether the other one trains too.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wanprep.ids import key_of
from wanprep.stage import UsageError

if TYPE_CHECKING:
    from wanprep.cached import CachedDataset, CachedSample

TRIES = 100  # shares, for one that holds out more
MOST = 0.5  # share that is worth a proposal: who has so few clips needs more of them
GOLDEN = (math.sqrt(5) - 1) / 2


def hold_out(samples: Sequence[CachedSample], share: float) -> tuple[list[int], list[int]]:
    """Split sample indices into (training, held out), about `share` of them held out.

    Whole groups when those that fit make up half of the share, else whole sources, else a stretch of time of every
    source: samples that look alike must not stand on both sides, or the held-out loss only measures memory; nor do one
    or two samples tell anything. A clip's windows and views stay together. Which groups is decided by a digest of their
    names, so that adding one moves few others. A share of 0, or a single clip, holds out nothing.
    """
    everything = list(range(len(samples)))
    allowed = max(1, round(share * len(samples)))
    if share == 0:
        return everything, []
    for unit in ("group", "source_id"):
        members: dict[str, list[int]] = {}
        for index, sample in enumerate(samples):
            members.setdefault(str(getattr(sample, unit)), []).append(index)
        names = sorted(members, key=lambda name: key_of(name=name))
        held: list[int] = []
        for name in names[: len(names) - 1]:  # one unit is always left to train on
            if len(held) + len(members[name]) <= allowed:
                held += members[name]
        if 2 * len(held) >= allowed:
            return sorted(set(everything) - set(held)), sorted(held)
    held = []
    for name in names:
        own = min(max(1, round(share * len(members[name]))), allowed - len(held))
        held += _stretch(samples, members[name], own)
    return sorted(set(everything) - set(held)), sorted(held)


def fewer_held_out(samples: Sequence[CachedSample], share: float, really: Sequence[int] | None = None) -> str | None:
    """A sentence on why clearly fewer samples than `share` asks for are held out, and what to set; None when not so.

    really: those that a run holds out. Where they are not the rule's, a share would change nothing.
    """
    ruled = hold_out(samples, share)[1]
    wanted, held = max(1, round(share * len(samples))), len(ruled)
    if share == 0 or held >= 0.75 * wanted or (really is not None and [*really] != ruled):
        return None
    clips = Counter(sample.clip_id for sample in samples)
    said = f"{held or 'none'} of {len(samples)} samples held out where validation.share = {share:g} asks for {wanted}: "
    said += "the samples of a clip (windows, views) stay together, "
    said += f"and the smallest clip has {min(clips.values())}" if len(clips) > 1 else "and there is one clip"
    for more in _shares(samples, share, wanted):
        count = len(hold_out(samples, more)[1])
        if count > held:
            return f"{said}; validation.share = {more:g} holds out {count}" + ("" if held else ", or add clips")
    return f"{said}; add clips"


def _shares(samples: Sequence[CachedSample], share: float, wanted: int) -> list[float]:
    """Shares above `share`, ascending, up to MOST: each hundredth, and where a group, source or clip begins to fit."""
    total = len(samples)
    places = [Counter(str(getattr(sample, unit)) for sample in samples) for unit in ("group", "source_id", "clip_id")]
    fits = {count for counts in places for count in counts.values()}
    own = {(sample.source_id, sample.clip_id) for sample in samples}
    fits |= {math.ceil(places[2][clip] * total / places[1][source]) for source, clip in own}  # its source's own share
    scale = 10 ** max(2, len(str(total)) - 1)
    found = {math.ceil(count / total * scale) / scale for count in fits if count > wanted}
    found |= {hundredth / 100 for hundredth in range(1, 100)}
    return sorted(more for more in found if share < more <= MOST)[:TRIES]


def _stretch(samples: Sequence[CachedSample], members: list[int], allowed: int) -> list[int]:
    """Consecutive clips from the middle of one source on, at most `allowed` samples; none when it has one clip.

    From the middle, because films begin with titles and end with credits; in one piece, because shots that follow one
    another look alike and every border of the stretch has such a pair.
    """
    clips: dict[str, list[int]] = {}
    for index in sorted(members, key=lambda i: (samples[i].start_s, samples[i].clip_id, samples[i].sample_id)):
        clips.setdefault(samples[index].clip_id, []).append(index)
    order = list(clips.values())
    held: list[int] = []
    for own in [*order[len(order) // 2 :], *order[: len(order) // 2]] if len(order) > 1 else []:
        if len(held) + len(own) <= allowed:
            held += own
        elif held:
            break  # a gap would end the stretch
    return held


def batched(order: Sequence[int], buckets: Sequence[tuple[int, int, int]], size: int) -> list[list[int]]:
    """Batches of up to `size` samples of one bucket: each bucket's samples in `order`, where their first one stood.

    Nothing is left out: a bucket whose visits do not divide by `size` has one short batch.
    """
    if size == 1:
        return [[index] for index in order]
    open_: dict[tuple[int, int, int], list[int]] = {}
    batches: list[list[int]] = []
    for index in order:
        batch = open_.get(buckets[index])
        if batch is None or len(batch) == size:
            batch = open_[buckets[index]] = []
            batches.append(batch)
        batch.append(index)
    return batches


def with_caption(sample: CachedSample, seed: int, visit: int) -> CachedSample:
    """The sample as its visit number `visit` (over all epochs) shows it: one of its captions, drawn by weight.

    Steps of the golden ratio from a start of the sample's own fill the unit interval evenly, so that already a few
    visits show each caption about as often as its weight says (independent draws would need many).
    """
    if not sample.others:
        return sample
    start = int(key_of(seed=seed, sample=sample.sample_id, purpose="caption")[:12], 16) / 16**12
    place = math.modf(start + visit * GOLDEN)[0]
    ends = list(itertools.accumulate([1.0, *(other.weight for other in sample.others)]))
    which = bisect.bisect_right(ends[:-1], place * ends[-1])
    if which == 0:
        return replace(sample, others=())
    other = sample.others[which - 1]
    names = ("caption", "text_path", "text_digest", "class_path", "class_digest")
    return replace(sample, others=(), **{name: getattr(other, name) for name in names})


@dataclass
class Cursor:
    """An expert's place in its own endless sequence of epochs. `allowed` leaves out the held-out samples.

    position: batches done in this epoch. Which of a sample's captions a visit shows follows from the seed, the epoch
    and the place in it, so nothing more has to be kept.
    """

    dataset: CachedDataset
    allowed: frozenset[int]
    seed: int = 0
    batch_size: int = 1
    epoch: int = 0
    position: int = 0
    _order: tuple[int, list[list[int]]] | None = None

    def next_batch(self) -> list[int]:
        """Indices of the next batch's samples, all of one bucket; moves on."""
        batches = self._epoch()
        while self.position >= len(batches):
            self.epoch, self.position = self.epoch + 1, 0
            batches = self._epoch()
        self.position += 1
        return batches[self.position - 1]

    def next_samples(self) -> tuple[CachedSample, ...]:
        """The next batch's samples, each with the caption that this visit shows; moves on."""
        indices = self.next_batch()
        samples = [self.dataset.samples[index] for index in indices]
        if not any(sample.others for sample in samples):
            return tuple(samples)
        before = Counter(index for batch in self._epoch()[: self.position - 1] for index in batch)
        shown = []
        for index, sample in zip(indices, samples, strict=True):
            shown.append(with_caption(sample, self.seed, self.epoch * sample.repeats + before[index]))
            before[index] += 1
        return tuple(shown)

    def _epoch(self) -> list[list[int]]:
        if self._order is None or self._order[0] != self.epoch:
            order = [i for i in self.dataset.epoch_order(self.seed, self.epoch) if i in self.allowed]
            if not order:
                raise UsageError("the dataset has no sample to train on: check `wanprep status`, and validation.share")
            buckets = [(s.width, s.height, s.frames) for s in self.dataset.samples]
            self._order = (self.epoch, batched(order, buckets, self.batch_size))
        return self._order[1]
