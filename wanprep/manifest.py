"""The manifest: Delta tables whose parts are named by the digest of their bytes.

Every table under `manifest/` is an ordinary Delta table (readable by polars, DuckDB, pandas, Spark). A part's file name
is `part-<blake2b of its bytes>.parquet`: the commit log names the part, the part's name proves its bytes, and each part
is verified once a process before it is read, because Parquet readers do not notice a flipped bit.

Two kinds of table:
- *measured* tables grow by appends. A key may have several rows (a failure, then a success); `latest` picks one.
- *derived* tables are what `wanprep.decide` makes of the measured ones; `replace` rewrites them in one commit, and only
  if a row changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import polars as pl

from wanprep.delta import Content, Table
from wanprep.schema import APART, FINAL, TABLES, VOLATILE
from wanprep.shards import MEMBER, file_bytes

THREADS = 4  # that read or write tables


class Manifest:
    """All tables of one dataset. Cheap to make; tables come into being with their first row."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._tables: dict[str, Table] = {}
        self._latest_of: dict[str, tuple[pl.DataFrame, pl.DataFrame]] = {}  # rows, the latest of them
        self._held: dict[str, set[str]] = {}  # keys of the tables of APART

    def table(self, name: str) -> Table:
        if name not in self._tables:
            self._tables[name] = Table(self.root / name, TABLES[name])
        return self._tables[name]

    def read(self, name: str, columns: Iterable[str] | None = None) -> pl.DataFrame:
        """All rows; columns: only these, for who needs few of a large table."""
        return self.table(name).read(columns)

    def read_ahead(self, wanted: Mapping[str, Iterable[str]]) -> None:
        """Read tables, of each these columns, at the same time: opening each takes longer than reading it. Later
        reads find them in memory."""
        tables = [(self.table(name), columns) for name, columns in wanted.items()]
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda pair: pair[0].read(pair[1]), tables))

    def outcomes(self, name: str) -> pl.DataFrame:
        """`latest` without columns of bytes, which are most of a table and nothing for knowing how things ended."""
        return self._latest(name, [n for n, kind in TABLES[name].items() if kind != "bytes"])

    def latest(self, name: str) -> pl.DataFrame:
        """One row a key: a final one (done, rejected) if there is any, the newest otherwise; ordered by key.

        Of several rows that name one file only the newest counts: the file holds that one's bytes. A row "void" takes
        back all earlier ones of its key, and itself. Columns that have a table of their own (APART) are left out.
        """
        return self._latest(name, latest_columns(name))

    def apart(self, name: str, column: str) -> dict[str, Any]:
        """key -> value of a column that has a table of its own, with what parts of earlier versions hold in place."""
        parts = (part for table in (name, column) for part in self.table(table).each(["key", column]))
        return {key: value for part in parts for key, value in part.iter_rows() if value is not None}

    def _latest(self, name: str, columns: Sequence[str]) -> pl.DataFrame:
        rows = self.table(name).read(columns)
        if name not in self._latest_of or self._latest_of[name][0] is not rows:
            self._latest_of[name] = (rows, _latest(rows))
        return self._latest_of[name][1]

    def final_keys(self, name: str) -> set[str]:
        """Keys that need no further measurement: final, and if a file was made, it is still there in full."""
        rows = self.outcomes(name).filter(pl.col("outcome").is_in(FINAL))
        return set(rows["key"]) - self.absent(name).keys()

    def absent(self, name: str) -> dict[str, str]:
        """Key -> path of what was made and is not there in full any more: files are looked at, by size, not read."""
        if "path" not in TABLES[name]:
            return {}
        rows, root = self.made(name).select("key", "path", "bytes"), self.root.parent
        member = pl.col("path").str.extract_groups(MEMBER).struct.field("file", "offset", "length")
        placed = rows.with_columns(member).with_columns(pl.col("file").fill_null(pl.col("path")))
        files = placed["file"].unique()  # a shard holds many
        sizes = {"file": files, "size": [file_bytes(f"{root}/{file}") for file in files]}
        there = (pl.col("size") - pl.col("offset").cast(pl.Int64)).clip(0, pl.col("length").cast(pl.Int64))
        stored = pl.when(pl.col("offset").is_null() | (pl.col("size") < 0)).then("size").otherwise(there)
        joined = placed.join(pl.DataFrame(sizes, schema={"file": pl.String, "size": pl.Int64}), on="file", how="left")
        return dict(joined.filter(stored.ne_missing(pl.col("bytes"))).select("key", "path").iter_rows())

    def made(self, name: str) -> pl.DataFrame:
        """Rows of a table that name a file."""
        return self.outcomes(name).filter(pl.col("outcome").is_in(FINAL) & pl.col("path").is_not_null())

    def append(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        rows = list(rows)
        for column in APART.get(name, ()):  # first, so that no row lacks what belongs to it
            known = self._held_keys(column)  # of a run that was killed between the two
            news = {row["key"]: row[column] for row in rows if row.get(column) and row["key"] not in known}
            self.table(column).append({"key": key, column: value} for key, value in news.items())
            known |= news.keys()
            rows = [{n: value for n, value in row.items() if n != column} for row in rows]
        self.table(name).append(rows)

    def _held_keys(self, column: str) -> set[str]:
        """Read once: who measures holds the dataset's lease, so no other process adds to them meanwhile."""
        if column not in self._held:
            self._held[column] = set(self.table(column).read(["key"])["key"])
        return self._held[column]

    def replace(self, name: str, rows: Content) -> bool:
        return self.table(name).replace(rows)

    def replace_all(self, contents: Mapping[str, Content]) -> None:
        """`replace` each of these tables, at the same time: most of it is packing and waiting for the disk."""
        tables = [(self.table(name), rows) for name, rows in contents.items()]
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda pair: pair[0].replace(pair[1]), tables))


def latest_columns(name: str) -> list[str]:
    """What `latest` reads of a table."""
    return [column for column in TABLES[name] if column not in APART.get(name, ())]


def comparable(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows without what differs between two runs of the same work (seconds, host, sequence), in a stable order."""
    kept = frame.drop(column for column in VOLATILE if column in frame.columns)
    return kept.sort(kept.columns) if len(kept) else kept


def _latest(rows: pl.DataFrame) -> pl.DataFrame:
    rows = _without_void(rows)
    if rows["key"].n_unique() < len(rows):
        final = pl.col("outcome").is_in(FINAL)
        rows = rows.sort(final, "seq", maintain_order=True).unique("key", keep="last", maintain_order=True)
    if "path" in rows.columns and rows["path"].drop_nulls().is_duplicated().any():
        newest = pl.col("seq").rank("ordinal", descending=True).over("path") == 1
        rows = rows.filter(pl.col("path").is_null() | newest)
    return rows.sort("key")


def _without_void(rows: pl.DataFrame) -> pl.DataFrame:
    void = rows.filter(pl.col("outcome") == "void").group_by("key").agg(pl.col("seq").max().alias("void"))
    if void.is_empty():
        return rows
    joined = rows.join(void, on="key", how="left", maintain_order="left")
    return joined.filter(pl.col("void").is_null() | (pl.col("seq") > pl.col("void"))).drop("void")
