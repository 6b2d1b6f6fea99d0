"""One Delta table whose parts are named by the digest of their bytes: reading, appending, rewriting.

The commit log names a part, the part's name proves its bytes, and each part is verified once a process before it is
read, because Parquet readers do not notice a flipped bit (docs/decisions/0001).
"""

from __future__ import annotations

import io
import json
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import DeltaTable, Field, Schema
from deltalake.exceptions import CommitFailedError
from deltalake.schema import ArrayType, PrimitiveType
from deltalake.transaction import AddAction, CommitProperties, RemoveAction

from wanprep.frames import frame_of, types_of
from wanprep.ids import digest_bytes, digest_file, numbered_errors, write_atomic
from wanprep.lease import exclusive
from wanprep.schema import Column
from wanprep.stage import Damaged

CHECKPOINT_EVERY = 20  # commits; opening a table takes 0.2 ms for each commit since
COMPACT_ABOVE = 64  # parts; reading 200 parts takes 0.09 s, so this keeps every read well under that
RETRIES = 20
Content = pl.DataFrame | Iterable[Mapping[str, Any]]  # of a table


class Table:
    """One Delta table with content-addressed parts."""

    def __init__(self, folder: Path, columns: Mapping[str, Column]) -> None:
        self.folder = folder
        self.columns = dict(columns)
        self._verified: set[str] = set()
        self._delta: DeltaTable | None = None
        self._cache: dict[tuple[str, ...], tuple[int, pl.DataFrame]] = {}  # by columns: version, rows

    @cached_property
    def polars_schema(self) -> dict[str, Any]:
        return types_of(self.columns)

    @cached_property
    def delta_schema(self) -> Schema:
        return Schema([Field(name, _DELTA[column]) for name, column in self.columns.items()])

    def exists(self) -> bool:
        return DeltaTable.is_deltatable(str(self.folder))

    def version(self) -> int:
        """Of the last commit, -1 without one; read off the names in the log, which opens nothing."""
        log = self.folder / "_delta_log"
        names = (path.name for path in log.iterdir()) if log.is_dir() else ()
        return max((int(name[:20]) for name in names if name.endswith(".json") and name[:20].isdigit()), default=-1)

    def _open(self) -> DeltaTable:
        """The table as it is now, made if there is none."""
        table = self._opened()
        if table is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            often = {"delta.checkpointInterval": str(CHECKPOINT_EVERY)}
            try:
                with numbered_errors(self.folder):
                    DeltaTable.create(str(self.folder), self.delta_schema, mode="ignore", configuration=often)
            except CommitFailedError:
                if not self.exists():  # otherwise another process made it first, and that is as good
                    raise
            table = self._delta = DeltaTable(str(self.folder))
        return table

    def _opened(self) -> DeltaTable | None:
        """The table as it is now, None where there is none. Opening it reads its log, so it stays open."""
        if self._delta is None or not self._commit_file(self._delta.version()).exists():
            self._delta = DeltaTable(str(self.folder)) if self.exists() else None
        elif not self._is_last(self._delta.version()):
            self._delta.update_incremental()
        return self._delta

    def read(self, columns: Iterable[str] | None = None) -> pl.DataFrame:
        """All rows; columns: only these. Raises Damaged naming the file when bytes have changed since they were
        written."""
        schema = {name: self.polars_schema[name] for name in columns or self.columns}
        for known, (version, frame) in self._cache.items():
            if schema.keys() <= set(known) and self._is_last(version):
                return frame if known == tuple(schema) else frame.select(list(schema))
        table = self._opened()
        if table is None:
            return pl.DataFrame(schema=schema)
        frame = self._frame(self._parts(table), schema)
        self._cache[tuple(schema)] = (table.version(), frame)
        return frame

    def each(self, columns: Iterable[str]) -> Iterator[pl.DataFrame]:
        """The rows of one part after the other, for who takes them in another form: never all of them in both."""
        table, schema = self._opened(), {name: self.polars_schema[name] for name in columns}
        for name in sorted(self._parts(table)) if table else ():
            yield self._frame([name], schema)

    def _is_last(self, version: int) -> bool:
        """Versions have no gaps; asking for files of the log takes a thousandth of opening the table."""
        return self._commit_file(version).exists() and not self._commit_file(version + 1).exists()

    def _commit_file(self, version: int) -> Path:
        return self.folder / "_delta_log" / f"{version:020}.json"

    def _frame(self, parts: list[str], schema: Mapping[str, Any]) -> pl.DataFrame:
        """These columns of the parts, in order of their names; null in a part that was written before there was one."""
        for name in parts:
            self._verify(name)
        if not parts:
            return pl.DataFrame(schema=dict(schema))
        files = [self.folder / name for name in sorted(parts)]  # together: one after the other takes ten times as long
        return pl.scan_parquet(
            files,
            schema=dict(schema),
            missing_columns="insert",
            extra_columns="ignore",
            glob=False,  # a folder may be called "set [v2]"
            hive_partitioning=False,
        ).collect()

    def _parts(self, table: DeltaTable) -> list[str]:
        return [uri.rsplit("/", 1)[-1] for uri in table.file_uris()]

    def _verify(self, name: str) -> None:
        path = self.folder / name
        if name not in self._verified:
            if name != _part_name(digest_file(path)):
                raise Damaged(
                    f"{path} does not hold the bytes that were written (its digest is not in its name)",
                    "Restore it from a copy of the dataset, or delete the table's folder to measure again",
                )
            self._verified.add(name)

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
        self._commit(table, self._write_part(self.typed(full)), removed=[])
        if len(self._parts(table)) > COMPACT_ABOVE:
            self._compact()

    def replace(self, rows: Content) -> bool:
        """Make `rows` the whole content, in one commit; False when they are so already. Errors as of `typed`."""
        frame = self.typed(rows)
        with self._rewriting():
            table = self._open()
            before, was = self._parts(table), table.version()
            known, rows_known = self._cache.get(tuple(self.columns), (-1, frame))
            if known == was and rows_known.equals(frame):  # read and verified by this process
                return False
            part = self._write_part(frame, there=before) if len(frame) else None
            if before == ([part[0]] if part else []):
                return False
            self._commit(table, part, removed=[name for name in before if not part or name != part[0]])
            # One commit since is ours. Asked of the log: the opened table does not know of its own commits.
            self._cache = {tuple(self.columns): (was + 1, frame)} if self._is_last(was + 1) else {}
            return True

    def _rewriting(self) -> AbstractContextManager[None]:
        # delta-rs takes our write transactions for blind appends, so two that remove the same part would both
        # succeed and double its rows (measured): whoever removes parts holds this lock. Appends need none.
        return exclusive(self.folder.with_name(f".{self.folder.name}.lock"), wait=True)

    def typed(self, rows: Content) -> pl.DataFrame:
        """Rows as this table holds them. What a row leaves out is null; a frame has all columns, in their order.
        ValueError for a column that the table does not have, or lacks of a frame."""
        if isinstance(rows, pl.DataFrame):
            if rows.schema != self.polars_schema:
                raise ValueError(
                    f"table {self.folder.name} has the columns {self.polars_schema}, not {dict(rows.schema)}"
                )
            return rows.rechunk()
        rows = list(rows)
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
        often = CommitProperties(max_commit_retries=RETRIES)
        with numbered_errors(self.folder):
            table.create_write_transaction(actions, "append", self.delta_schema, commit_properties=often)

    def _compact(self) -> None:
        """Merge small parts once there are many. Old parts stay for readers until they are a week old."""
        with self._rewriting():
            table = self._open()
            parts = self._parts(table)
            if len(parts) > COMPACT_ABOVE:  # nobody did it while we waited
                whole = self._write_part(self._frame(parts, self.polars_schema))
                self._commit(table, whole, removed=parts, change=False)
                with numbered_errors(self.folder):
                    DeltaTable(str(self.folder)).vacuum(dry_run=False)


def _part_name(digest: str) -> str:
    return f"part-{digest}.parquet"


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    # Level 1 takes two thirds of the time that polars' own choice takes, for tables of the same size.
    frame.write_parquet(buffer, compression="zstd", compression_level=1)
    return buffer.getvalue()


_DELTA: dict[Column, Any] = {
    "text": PrimitiveType("string"),
    "int": PrimitiveType("long"),
    "float": PrimitiveType("double"),
    "bool": PrimitiveType("boolean"),
    "bytes": PrimitiveType("binary"),
    "texts": ArrayType(PrimitiveType("string"), contains_null=True),
    "ints": ArrayType(PrimitiveType("long"), contains_null=True),
}
