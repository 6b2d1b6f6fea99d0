"""Captions of different clips that say the same: a captioner that looks at nothing, or clips that are the same.

Words as a set, compared by Jaccard similarity. Comparing every pair of 10,000 captions takes minutes, so only those
meet that agree in a band of MinHash values (Broder 1997; Leskovec et al., Mining of Massive Datasets, 3.4): of two sets
that are 0.9 alike all but 1 in 10,000 pairs do, of two that are half alike 6 in 100.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections import defaultdict
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

LIKENESS = 0.9
MIN_WORDS = 6  # "a man walks" may be said of two clips
BANDS, ROWS = 16, 8  # of MinHash values
Words = frozenset[str]


def near_identical(texts: Mapping[str, str], likeness: float = LIKENESS) -> frozenset[str]:
    """Names of the texts that another text says again, word for word or nearly so. texts: name -> text."""
    return _near_identical(tuple(sorted(texts.items())), likeness)


@functools.lru_cache(maxsize=4)
def _near_identical(texts: tuple[tuple[str, str], ...], likeness: float) -> frozenset[str]:
    names: dict[Words, list[str]] = defaultdict(list)
    for name, text in texts:
        words = frozenset(re.findall(r"\w+", text.lower()))
        if len(words) >= MIN_WORDS:
            names[words].append(name)
    sets = list(names)
    found = {number for number, words in enumerate(sets) if len(names[words]) > 1}
    for bucket in _buckets(sets):
        for number in bucket:
            if number not in found:
                words = sets[number]
                found.update(_first_alike(number, words, bucket, sets, likeness))
    return frozenset(name for number in found for name in names[sets[number]])


def _first_alike(number: int, words: Words, bucket: list[int], sets: list[Words], likeness: float) -> tuple[int, ...]:
    for other in bucket:
        if other != number and len(words & sets[other]) >= likeness * len(words | sets[other]):
            return number, other
    return ()


def _buckets(sets: list[Words]) -> list[list[int]]:
    """Numbers of the sets that agree in one band of their MinHash values, for every band."""
    if len(sets) < 2:
        return []
    vocabulary = {word: row for row, word in enumerate(sorted(set().union(*sets)))}
    values = _hashes(list(vocabulary))
    least = np.stack([values[[vocabulary[word] for word in words]].min(axis=0) for words in sets])
    buckets: dict[tuple[int, bytes], list[int]] = defaultdict(list)
    for number, row in enumerate(least.reshape(len(sets), BANDS, ROWS)):
        for band in range(BANDS):
            buckets[(band, row[band].tobytes())].append(number)
    return [bucket for bucket in buckets.values() if len(bucket) > 1]


def _hashes(words: list[str]) -> NDArray[np.uint32]:
    """[words, BANDS * ROWS] hash values: one good hash of each word, spread by multiply-add (Dietzfelbinger 1996)."""
    digests = b"".join(hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest() for word in words)
    dice = np.random.default_rng(0)
    factors = dice.integers(1, 2**63, BANDS * ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    offsets = dice.integers(0, 2**63, BANDS * ROWS, dtype=np.uint64)
    base = np.frombuffer(digests, dtype="<u8").astype(np.uint64)
    return ((base[:, None] * factors + offsets) >> np.uint64(32)).astype(np.uint32)
