"""Whether a sample shows what others show, as far as ids tell.

The same clip or latent; a clip of the same source that overlaps in time; any clip of a source that counts as a whole.
Two datasets of one film agree on these: a source's id is a digest of its bytes, its seconds come from the same stream.
A film that was encoded anew has other ids and is not recognised. Pure.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wantrain.split import Known


@dataclass(kw_only=True)
class Footage:
    """What some samples show, for asking whether another shows it too. whole: sources of which anything counts."""

    whole: set[str] = field(default_factory=set)
    ids: set[str] = field(default_factory=set)  # of clips, and digests of latents
    spans: dict[str, list[tuple[float, float]]] = field(default_factory=dict)  # by source, in seconds
    _merged: dict[str, list[tuple[float, float]]] = field(default_factory=dict)

    @staticmethod
    def of(known: Iterable[Known]) -> Footage:
        """That of samples as a run knows them."""
        found = Footage()
        for one in known:
            found.add(one.clip, one.source, one.start_s, one.end_s)
        return found

    def add(self, clip: str, source: str, start_s: float, end_s: float, latent: str = "") -> None:
        """end_s below start_s: not known; then only what begins at the same moment is known to show the same."""
        self.ids |= {clip, latent} - {""}
        self.spans.setdefault(source, []).append((start_s, end_s))
        self._merged.pop(source, None)

    def shows(self, sample: Any) -> bool:
        """sample: an `Example`."""
        if sample.source_id in self.whole or {sample.clip_id, getattr(sample, "latent_digest", "")} & self.ids:
            return True
        merged = self._spans_of(sample.source_id)
        after = bisect.bisect_left(merged, (sample.start_s,))  # the first that begins here or later
        here = after < len(merged) and (merged[after][0] < sample.end_s or merged[after][0] == sample.start_s)
        return here or (after > 0 and sample.start_s < merged[after - 1][1])

    def _spans_of(self, source: str) -> list[tuple[float, float]]:
        """In order, without overlaps, so that two neighbours answer for all. Two that only touch stay two."""
        if source not in self._merged:
            merged: list[tuple[float, float]] = []
            for start, end in sorted(self.spans.get(source, ())):
                if merged and start < merged[-1][1]:
                    merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
                else:
                    merged.append((start, end))
            self._merged[source] = merged
        return self._merged[source]
