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

import functools
import io
import json
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import DeltaTable, Field, Schema
from deltalake.exceptions import CommitFailedError
from deltalake.schema import ArrayType, PrimitiveType
from deltalake.transaction import AddAction, CommitProperties, RemoveAction

from wanprep.cached import Damaged
from wanprep.frames import frame_of
from wanprep.ids import digest_bytes, digest_file, write_atomic
from wanprep.lease import exclusive
from wanprep.schema import APART, FINAL, TABLES, VOLATILE, Column
from wanprep.shards import file_bytes, stored_bytes

COMPACT_ABOVE = 64  # parts; reading 200 parts takes 0.09 s, so this keeps every read well under that
RETRIES = 20


class Manifest:
    """All tables of one dataset. Cheap to make; tables come into being with their first row."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._tables: dict[str, Table] = {}
        self._latest_of: dict[str, tuple[pl.DataFrame, pl.DataFrame]] = {}  # rows, the latest of them

    def table(self, name: str) -> Table:
        if name not in self._tables:
            self._tables[name] = Table(self.root / name, TABLES[name])
        return self._tables[name]

    def read(self, name: str) -> pl.DataFrame:
        return self.table(name).read()

    def outcomes(self, name: str) -> pl.DataFrame:
        """`latest` without columns of bytes, which are most of a table and nothing for knowing how things ended."""
        return self._latest(name, [n for n, kind in TABLES[name].items() if kind != "bytes"])

    def latest(self, name: str) -> pl.DataFrame:
        """One row a key: a final one (done, rejected) if there is any, the newest otherwise; ordered by key.

        Of several rows that name one file only the newest counts: the file holds that one's bytes. A row "void" takes
        back all earlier ones of its key, and itself. Columns that have a table of their own (APART) are left out.
        """
        return self._latest(name, [n for n in TABLES[name] if n not in APART.get(name, ())])

    def apart(self, name: str, column: str) -> dict[str, Any]:
        """key -> value of a column that has a table of its own, with what parts of earlier versions hold in place."""
        tables = (self.table(name), self.table(column))
        return {key: value for t in tables for key, value in t.read(["key", column]).iter_rows() if value is not None}

    def _latest(self, name: str, columns: Sequence[str]) -> pl.DataFrame:
        rows = self.table(name).read(columns)
        if name not in self._latest_of or self._latest_of[name][0] is not rows:
            self._latest_of[name] = (rows, _latest(rows))
        return self._latest_of[name][1]

    def final_keys(self, name: str) -> set[str]:
        """Keys that need no further measurement: final, and if a file was made, it is still there in full."""
        rows = self.outcomes(name).filter(pl.col("outcome").is_in(FINAL))
        if "path" not in rows.columns:
            return set(rows["key"])
        size_of = functools.cache(file_bytes)  # a shard holds many
        root, listed = self.root.parent, zip(rows["key"], rows["path"], rows["bytes"])
        return {key for key, path, size in listed if path is None or stored_bytes(root, path, size_of) == size}

    def append(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        rows = list(rows)
        for column in APART.get(name, ()):  # first, so that no row lacks what belongs to it
            held = self.table(column)
            known = set(held.read(["key"])["key"])  # of a run that was killed between the two
            news = {row["key"]: row[column] for row in rows if row.get(column) and row["key"] not in known}
            held.append({"key": key, column: value} for key, value in news.items())
            rows = [{n: value for n, value in row.items() if n != column} for row in rows]
        self.table(name).append(rows)

    def replace(self, name: str, rows: Iterable[Mapping[str, Any]]) -> bool:
        return self.table(name).replace(rows)


class Table:
    """One Delta table with content-addressed parts."""

    def __init__(self, folder: Path, columns: Mapping[str, Column]) -> None:
        self.folder = folder
        self.columns = dict(columns)
        self._verified: set[str] = set()
        self._cache: dict[tuple[str, ...], tuple[int, pl.DataFrame]] = {}  # by columns: version, rows

    @cached_property
    def polars_schema(self) -> dict[str, Any]:
        return {name: _POLARS[column] for name, column in self.columns.items()}

    @cached_property
    def delta_schema(self) -> Schema:
        return Schema([Field(name, _DELTA[column]) for name, column in self.columns.items()])

    def exists(self) -> bool:
        return DeltaTable.is_deltatable(str(self.folder))

    def _open(self) -> DeltaTable:
        if not self.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                DeltaTable.create(str(self.folder), self.delta_schema, mode="ignore")
            except CommitFailedError:
                if not self.exists():  # otherwise another process made it first, and that is as good
                    raise
        return DeltaTable(str(self.folder))

    def read(self, columns: Iterable[str] | None = None) -> pl.DataFrame:
        """All rows; columns: only these. Raises Damaged naming the file when bytes have changed since they were
        written."""
        schema = {name: self.polars_schema[name] for name in columns or self.columns}
        for known, (version, frame) in self._cache.items():
            if schema.keys() <= set(known) and self._is_last(version):
                return frame if known == tuple(schema) else frame.select(list(schema))
        if not self.exists():
            return pl.DataFrame(schema=schema)
        table = DeltaTable(str(self.folder))
        frame = self._frame(self._parts(table), schema)
        self._cache[tuple(schema)] = (table.version(), frame)
        return frame

    def _is_last(self, version: int) -> bool:
        """Versions have no gaps; asking for the next one's file takes a thousandth of opening the table."""
        return not (self.folder / "_delta_log" / f"{version + 1:020}.json").exists()

    def _frame(self, parts: list[str], schema: Mapping[str, Any]) -> pl.DataFrame:
        frames = [self._part(name, schema) for name in sorted(parts)]
        return pl.concat([pl.DataFrame(schema=dict(schema)), *frames], how="vertical")

    def _parts(self, table: DeltaTable) -> list[str]:
        return [uri.rsplit("/", 1)[-1] for uri in table.file_uris()]

    def _part(self, name: str, schema: Mapping[str, Any]) -> pl.DataFrame:
        path = self.folder / name
        if name not in self._verified:
            if name != _part_name(digest_file(path)):
                raise Damaged(
                    f"{path} does not hold the bytes that were written (its digest is not in its name)",
                    "Restore it from a copy of the dataset, or delete the table's folder to measure again",
                )
            self._verified.add(name)
        found = pl.read_parquet_schema(path)
        frame = pl.read_parquet(path, columns=[column for column in schema if column in found])
        # A part written before a column existed reads as null there.
        missing = [pl.lit(None, dtype=t).alias(c) for c, t in schema.items() if c not in found]
        return frame.with_columns(missing).select(pl.col(c).cast(t) for c, t in schema.items())

    def append(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Add rows in one commit. Volatile columns (seq, at, host) are filled in here.

        Safe beside other writers: appends never conflict. ValueError on a column that the table does not have.
        """
        rows = list(rows)
        if not rows:
            return
        table = self._open()
        stamp = {"seq": table.version() + 1, "at": time.time(), "host": socket.gethostname()}
        full = [{**{k: v for k, v in stamp.items() if k in self.columns}, **row} for row in rows]
        self._commit(table, self._write_part(self._typed(full)), removed=[])
        self._compact()

    def replace(self, rows: Iterable[Mapping[str, Any]]) -> bool:
        """Make `rows` the whole content, in one commit; False when they are so already."""
        frame = self._typed(list(rows))
        with self._rewriting():
            table = self._open()
            before, was = self._parts(table), table.version()
            part = self._write_part(frame, there=before) if len(frame) else None
            if before == ([part[0]] if part else []):
                return False
            self._commit(table, part, removed=[name for name in before if not part or name != part[0]])
            self._cache = {tuple(self.columns): (was + 1, frame)} if table.version() == was + 1 else {}
            return True

    def _rewriting(self) -> AbstractContextManager[None]:
        # delta-rs takes our write transactions for blind appends, so two that remove the same part would both
        # succeed and double its rows (measured): whoever removes parts holds this lock. Appends need none.
        return exclusive(self.folder.with_name(f".{self.folder.name}.lock"), wait=True)

    def _typed(self, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
        unknown = set().union(*rows) - self.columns.keys()
        if unknown:
            raise ValueError(f"table {self.folder.name} has no column {sorted(unknown)}")
        return frame_of(rows, self.polars_schema)

    def _write_part(self, frame: pl.DataFrame, there: Sequence[str] = ()) -> tuple[str, int]:
        """there: parts of the table as it is; one that was read by this process need not be written again."""
        buffer = _parquet(frame)
        name = _part_name(digest_bytes(buffer))
        if name not in there or name not in self._verified:  # what lies there unread may be damaged
            write_atomic(self.folder / name, buffer)
        self._verified.add(name)
        return name, len(buffer)

    def _commit(self, table: DeltaTable, part: tuple[str, int] | None, removed: list[str], change: bool = True) -> None:
        now = int(time.time() * 1000)
        actions: list[AddAction | RemoveAction] = [
            RemoveAction(path=name, data_change=change, deletion_timestamp=now, partition_values={}) for name in removed
        ]
        if part:
            stats = json.dumps({"numRecords": -1}) if part[1] < 0 else "{}"
            actions.append(AddAction(part[0], part[1], {}, now, change, stats))
        table.create_write_transaction(
            actions, "append", self.delta_schema, commit_properties=CommitProperties(max_commit_retries=RETRIES)
        )

    def _compact(self) -> None:
        """Merge small parts once there are many. Old parts stay for readers until they are a week old."""
        if len(self._parts(self._open())) <= COMPACT_ABOVE:
            return
        with self._rewriting():
            table = self._open()
            parts = self._parts(table)
            if len(parts) > COMPACT_ABOVE:  # nobody did it while we waited
                whole = self._write_part(self._frame(parts, self.polars_schema))
                self._commit(table, whole, removed=parts, change=False)
                DeltaTable(str(self.folder)).vacuum(dry_run=False)


def comparable(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows without what differs between two runs of the same work (seconds, host, sequence), in a stable order."""
    kept = frame.drop(column for column in VOLATILE if column in frame.columns)
    return kept.sort(kept.columns) if len(kept) else kept


def _latest(rows: pl.DataFrame) -> pl.DataFrame:
    rows = _without_void(rows)
    final = pl.col("outcome").is_in(FINAL)
    rows = rows.sort(final, "seq", maintain_order=True).unique("key", keep="last", maintain_order=True)
    if "path" in rows.columns:
        newest = pl.col("seq").rank("ordinal", descending=True).over("path") == 1
        rows = rows.filter(pl.col("path").is_null() | newest)
    return rows.sort("key")


def _without_void(rows: pl.DataFrame) -> pl.DataFrame:
    void = rows.filter(pl.col("outcome") == "void").group_by("key").agg(pl.col("seq").max().alias("void"))
    if void.is_empty():
        return rows
    joined = rows.join(void, on="key", how="left", maintain_order="left")
    return joined.filter(pl.col("void").is_null() | (pl.col("seq") > pl.col("void"))).drop("void")


def _part_name(digest: str) -> str:
    return f"part-{digest}.parquet"


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", statistics=True)
    return buffer.getvalue()


_POLARS: dict[Column, Any] = {
    "text": pl.String,
    "int": pl.Int64,
    "float": pl.Float64,
    "bool": pl.Boolean,
    "bytes": pl.Binary,
    "texts": pl.List(pl.String),
    "ints": pl.List(pl.Int64),
}
_DELTA: dict[Column, Any] = {
    "text": PrimitiveType("string"),
    "int": PrimitiveType("long"),
    "float": PrimitiveType("double"),
    "bool": PrimitiveType("boolean"),
    "bytes": PrimitiveType("binary"),
    "texts": ArrayType(PrimitiveType("string"), contains_null=True),
    "ints": ArrayType(PrimitiveType("long"), contains_null=True),
}
