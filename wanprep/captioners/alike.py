"""Captions of different clips that say the same: a captioner that looks at nothing, or clips that are the same.

Words as a set, compared by Jaccard similarity. Comparing every pair of 10,000 captions takes minutes, so only those
meet that agree in a band of MinHash values (Broder 1997; Leskovec et al., Mining of Massive Datasets, 3.4): of two sets
that are 0.9 alike all but 1 in 10,000 pairs do, of two that are half alike 6 in 100.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

LIKENESS = 0.9
MIN_WORDS = 6  # "a man walks" may be said of two clips
BANDS, ROWS = 16, 8  # of MinHash values
AT_ONCE = 1 << 15  # words whose values are in memory together
Words = frozenset[int]


def near_identical(texts: Mapping[str, str], likeness: float = LIKENESS) -> frozenset[str]:
    """Names of the texts that another text says again, word for word or nearly so. texts: name -> cleaned
    text (UnicodeEncodeError for a lone surrogate, which `text.clean` leaves in none)."""
    return _near_identical(tuple(sorted(texts.items())), likeness)


@functools.lru_cache(maxsize=4)
def _near_identical(texts: tuple[tuple[str, str], ...], likeness: float) -> frozenset[str]:
    told = pl.DataFrame(texts, {"name": pl.String, "text": pl.String}, orient="row")
    said = told.group_by("text", maintain_order=True).agg("name")  # a thousand equal ones are compared as one
    words = said["text"].str.to_lowercase().str.extract_all(r"\w+").list.unique()
    sets = said.select("name", words=words).filter(pl.col("words").list.len() >= MIN_WORDS)
    counts, spoken = sets["words"].list.len().cast(pl.Int64).to_numpy(), sets["words"].explode().to_frame("word")
    vocabulary = spoken.unique().with_row_index("number")
    numbers = spoken.join(vocabulary, on="word", maintain_order="left")["number"].to_numpy()
    starts = np.cumsum(counts) - counts

    @functools.cache
    def words_of(number: int) -> Words:
        return frozenset(numbers[starts[number] :][: counts[number]].tolist())

    found = set(np.flatnonzero(sets["name"].list.len().to_numpy() > 1).tolist())
    for bucket in _buckets(_least(numbers, starts, counts, _hashes(vocabulary["word"].to_list()))):
        for number in bucket:
            if number not in found:
                found.update(_first_alike(number, bucket, words_of, likeness))
    return frozenset(sets["name"].gather(sorted(found)).explode().drop_nulls().to_list())


def _first_alike(
    number: int, bucket: Sequence[int], words_of: Callable[[int], Words], likeness: float
) -> tuple[int, ...]:
    mine = words_of(number)
    for other in bucket:
        if other != number:
            theirs = words_of(other)
            if len(mine & theirs) >= likeness * len(mine | theirs):
                return number, other
    return ()


def _least(
    numbers: NDArray[Any], starts: NDArray[Any], counts: NDArray[Any], values: NDArray[np.uint16]
) -> NDArray[np.uint16]:
    """[sets, BANDS * ROWS] MinHash values: of each set the least of its words. Sets of a length are taken together."""
    least = np.zeros((len(counts), BANDS * ROWS), np.uint16)
    for count in np.unique(counts).tolist():
        mine = np.flatnonzero(counts == count)
        for some in np.array_split(mine, -(-len(mine) * count // AT_ONCE)):
            least[some] = values[numbers[starts[some][:, None] + np.arange(count)]].min(axis=1)
    return least


def _buckets(least: NDArray[np.uint16]) -> Iterator[list[int]]:
    """Places of the sets that agree in one band of their MinHash values, for every band."""
    bands = np.ascontiguousarray(least).view(np.uint64).reshape(len(least), BANDS, ROWS // 4)
    told = bands[..., 0] ^ (bands[..., 1] * np.uint64(0x9E3779B97F4A7C15))  # that others fall together only costs time
    for band in told.T:
        order = np.argsort(band, kind="stable")
        edges = np.concatenate([[0], np.flatnonzero(np.diff(band[order])) + 1, [len(order)]])
        for start in np.flatnonzero(np.diff(edges) > 1).tolist():  # few of many
            yield order[edges[start] : edges[start + 1]].tolist()


def _hashes(words: Sequence[str]) -> NDArray[np.uint16]:
    """[words, BANDS * ROWS] hash values: one good hash of each word, spread by multiply-add (Dietzfelbinger 1996)."""
    digests = b"".join(hashlib.blake2b(word.encode(), digest_size=8).digest() for word in words)
    dice = np.random.default_rng(0)
    factors = dice.integers(1, 2**63, BANDS * ROWS, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    offsets = dice.integers(0, 2**63, BANDS * ROWS, dtype=np.uint64)
    base = np.frombuffer(digests, dtype="<u8").astype(np.uint64)
    return ((base[:, None] * factors + offsets) >> np.uint64(48)).astype(np.uint16)
