"""Captions of different clips that say the same: a captioner that looks at nothing, or clips that are the same.

Words as a set, compared by Jaccard similarity. Not every pair is compared: if two sets are alike by at least t, one of
the rarest (1-t)·n+1 words of each is common to both (prefix filter, Chaudhuri et al. 2006), so only captions that share
a rare word meet.
"""

from __future__ import annotations

import functools
import re
from collections import Counter, defaultdict
from collections.abc import Mapping

LIKENESS = 0.9
MIN_WORDS = 6  # "a man walks" may be said of two clips


def near_identical(texts: Mapping[str, str], likeness: float = LIKENESS) -> frozenset[str]:
    """Names of the texts that another text says again, word for word or nearly so. texts: name -> text."""
    return _near_identical(tuple(sorted(texts.items())), likeness)


@functools.lru_cache(maxsize=4)
def _near_identical(texts: tuple[tuple[str, str], ...], likeness: float) -> frozenset[str]:
    names: dict[frozenset[str], list[str]] = defaultdict(list)
    for name, text in texts:
        words = frozenset(re.findall(r"\w+", text.lower()))
        if len(words) >= MIN_WORDS:
            names[words].append(name)
    found = {words for words, group in names.items() if len(group) > 1}
    rarity = Counter(word for words in names for word in words)
    index: dict[str, list[frozenset[str]]] = defaultdict(list)
    for words in sorted(names, key=len):
        ordered = sorted(words, key=lambda word: (rarity[word], word))
        prefix = ordered[: len(words) - _needed(len(words), likeness) + 1]
        met: set[frozenset[str]] = set()
        for word in prefix:
            met.update(index[word])
            index[word].append(words)
        for other in met:
            if len(words & other) >= likeness * len(words | other):
                found |= {words, other}
    return frozenset(name for words in found for name in names[words])


def _needed(count: int, likeness: float) -> int:
    """How many words a set of `count` must share with any set as large or smaller that is alike."""
    return max(1, int(likeness * count + 0.999999))
