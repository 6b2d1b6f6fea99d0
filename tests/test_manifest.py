import errno
import multiprocessing
import random
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from wanprep import delta, frames
from wanprep.frames import frame_of
from wanprep.manifest import Manifest, comparable
from wanprep.schema import TABLES
from wanprep.stage import Damaged


def row(key: str, outcome: str = "done", **more: object) -> dict:
    return {"key": key, "outcome": outcome, "reason": "", "detail": "", "seconds": 0.5, "source_id": "s", **more}


def test_appended_rows_come_back_and_are_readable_by_others(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    manifest.append("files", [row("a"), row("b", "rejected")])
    manifest.append("files", [row("c", "failed")])
    assert manifest.final_keys("files") == {"a", "b"}
    assert sorted(pl.read_delta(str(tmp_path / "files"))["key"]) == ["a", "b", "c"]
    assert sorted(pl.read_parquet(tmp_path / "files" / "*.parquet")["key"]) == ["a", "b", "c"]


def test_latest_prefers_a_final_row_over_a_newer_failure(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    manifest.append("files", [row("a", "failed", reason="first")])
    manifest.append("files", [row("a", "failed", reason="second")])
    assert manifest.latest("files")["reason"].to_list() == ["second"]
    manifest.append("files", [row("a", "done", reason="good")])
    manifest.append("files", [row("a", "failed", reason="late")])
    assert manifest.latest("files")["reason"].to_list() == ["good"]


def test_replace_commits_only_changes(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    source = {"source_id": "x", "path": "a.mp4", "state": "ok"}
    assert manifest.replace("sources", [source])
    assert not manifest.replace("sources", [source])
    assert manifest.replace("sources", [source | {"state": "rejected"}])
    assert manifest.read("sources")["state"].to_list() == ["rejected"]
    assert manifest.replace("sources", [])
    assert manifest.read("sources").is_empty()
    assert manifest.replace("sources", [source])  # content seen before, under the same part name
    assert manifest.read("sources")["state"].to_list() == ["ok"]


def test_unknown_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no column"):
        Manifest(tmp_path).append("files", [{"key": "a", "colour": "red"}])


def test_every_flipped_bit_is_noticed(tmp_path: Path) -> None:
    Manifest(tmp_path).append("files", [row(f"k{i}") for i in range(50)])
    part = next((tmp_path / "files").glob("part-*.parquet"))
    clean = part.read_bytes()
    chooser = random.Random(0)
    for _ in range(40):
        bit = chooser.randrange(len(clean) * 8)
        broken = bytearray(clean)
        broken[bit // 8] ^= 1 << bit % 8
        part.write_bytes(broken)
        with pytest.raises(Damaged, match=part.name):
            Manifest(tmp_path).read("files")
    part.write_bytes(clean)
    assert len(Manifest(tmp_path).read("files")) == 50


def test_compaction_keeps_rows_and_old_readers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delta, "COMPACT_ABOVE", 4)
    manifest = Manifest(tmp_path)
    old_parts: list[Path] = []
    for index in range(11):
        manifest.append("files", [row(f"k{index:02}")])
        old_parts += [p for p in (tmp_path / "files").glob("part-*") if p not in old_parts]
    assert sorted(manifest.read("files")["key"]) == [f"k{i:02}" for i in range(11)]
    assert len(pl.read_delta(str(tmp_path / "files"))) == 11
    assert all(part.exists() for part in old_parts)  # a reader that listed them earlier can still open them


def _writer(root: str, who: int) -> None:
    delta.COMPACT_ABOVE = 10
    manifest = Manifest(Path(root))
    for index in range(12):
        manifest.append("files", [row(f"{who}-{index}")])


def test_concurrent_writers_and_compaction_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_writer, args=(str(tmp_path), who)) for who in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    keys = Manifest(tmp_path).read("files")["key"].to_list()
    assert sorted(keys) == sorted(f"{who}-{index}" for who in range(3) for index in range(12))


def test_comparable_leaves_out_volatile_columns(tmp_path: Path) -> None:
    one, two = Manifest(tmp_path / "1"), Manifest(tmp_path / "2")
    one.append("files", [row("a", seconds=1.0)])
    one.append("files", [row("b")])
    two.append("files", [row("b"), row("a", seconds=9.0)])
    assert comparable(one.latest("files")).equals(comparable(two.latest("files")))


def _replacer(root: str, who: int) -> None:
    manifest = Manifest(Path(root))
    for index in range(10):
        manifest.replace("sources", [{"source_id": f"{who}-{index}", "state": "ok"}])


def test_concurrent_rewrites_leave_one_content(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_replacer, args=(str(tmp_path), who)) for who in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert len(Manifest(tmp_path).read("sources")) == 1


ROWS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "text": st.one_of(st.none(), st.text(max_size=4)),
            "int": st.one_of(st.none(), st.integers(-(2**62), 2**62)),
            "float": st.one_of(st.none(), st.floats(allow_nan=False), st.integers(0, 9)),
            "bool": st.one_of(st.none(), st.booleans()),
            "bytes": st.one_of(st.none(), st.binary(max_size=4)),
            "texts": st.one_of(st.none(), st.lists(st.one_of(st.none(), st.text(max_size=2)), max_size=3)),
            "ints": st.one_of(st.none(), st.lists(st.integers(0, 3), max_size=3)),
        },
    ),
    min_size=1,
    max_size=6,
)


@settings(max_examples=150, deadline=None)
@given(ROWS)
def test_frames_made_by_column_hold_what_the_rows_say(rows: list[dict]) -> None:
    schema: Any = frames.POLARS
    frame = frame_of(rows, schema)
    assert frame.to_dicts() == [{name: row.get(name) for name in schema} for row in rows]
    assert dict(frame.schema) == schema


def test_a_value_of_another_type_is_an_error() -> None:
    schema: Any = frames.POLARS
    for name, value in (("int", 1.5), ("int", "1"), ("text", 3), ("ints", ["a"])):
        with pytest.raises((TypeError, pl.exceptions.PolarsError)):
            frame_of([{name: value}], {name: schema[name]})


def test_a_column_apart_is_stored_beside_and_read_from_where_earlier_versions_had_it(tmp_path: Path) -> None:
    manifest = Manifest(tmp_path)
    scored = {"outcome": "done", "reason": "", "detail": "", "scores": "{}"}
    manifest.table("scores").append([{"key": "old", "evidence": b"of old", **scored}])  # as it was before
    manifest.append("scores", [{"key": "new", "evidence": b"of new", **scored}, {"key": "none", **scored}])
    assert manifest.apart("scores", "evidence") == {"old": b"of old", "new": b"of new"}
    assert not manifest.table("evidence")._cache  # the largest table: nobody asks twice
    assert manifest.latest("scores")["key"].to_list() == ["new", "none", "old"]
    assert "evidence" not in manifest.latest("scores").columns
    again = Manifest(tmp_path)
    assert again.final_keys("scores") == {"old", "new", "none"}
    assert again.read("evidence")["key"].to_list() == ["new"]
    # Killed between the two appends: what the next process measures again is not stored a second time.
    manifest.table("evidence").append([{"key": "late", "evidence": b"of late"}])
    again = Manifest(tmp_path)
    for _ in range(2):
        again.append("scores", [{"key": "late", "evidence": b"of late", **scored}])
    assert again.read("evidence")["key"].to_list().count("late") == 1


def test_rows_in_memory_are_those_that_were_stored(tmp_path: Path) -> None:
    manifest, other = Manifest(tmp_path), Manifest(tmp_path)
    source = {"source_id": "x", "path": "a.mp4", "state": "ok", "bytes": 3}
    manifest.replace("sources", [source])
    assert manifest.read("sources").equals(other.read("sources"))
    other.replace("sources", [source | {"state": "rejected"}])  # another process
    assert manifest.read("sources")["state"].to_list() == ["rejected"]
    assert manifest.table("sources").read(["path", "state"]).columns == ["path", "state"]


def test_a_part_that_was_read_is_not_written_again_and_one_that_was_not_is(tmp_path: Path) -> None:
    source = {"source_id": "x", "path": "a.mp4", "state": "ok"}
    Manifest(tmp_path).replace("sources", [source])
    part = next((tmp_path / "sources").glob("part-*"))
    whole, written = part.read_bytes(), part.stat().st_mtime_ns
    manifest = Manifest(tmp_path)
    manifest.read("sources")
    assert not manifest.replace("sources", [source])
    assert part.stat().st_mtime_ns == written
    part.write_bytes(whole[:-1] + b"?")  # damaged since, and not read
    assert not Manifest(tmp_path).replace("sources", [source])
    assert part.read_bytes() == whole


def test_a_table_is_opened_once_however_often_it_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    class Counted(delta.DeltaTable):
        def __init__(self, *args: Any, **more: Any) -> None:
            opened.extend(args)
            super().__init__(*args, **more)

    monkeypatch.setattr(delta, "DeltaTable", Counted)
    manifest = Manifest(tmp_path)
    for index in range(45):
        manifest.append("files", [row(f"k{index}")])
        assert len(manifest.read("files")) == index + 1
    assert len(opened) == 1
    log = tmp_path / "files" / "_delta_log"
    assert len(list(log.glob("*.checkpoint.parquet"))) == 2  # so that opening reads at most 20 commits
    assert len(pl.read_delta(str(tmp_path / "files"))) == 45


def test_an_open_table_sees_what_others_write_and_that_its_folder_is_gone(tmp_path: Path) -> None:
    manifest, other = Manifest(tmp_path), Manifest(tmp_path)
    for index in range(3):
        manifest.append("files", [row(f"mine{index}")])
        other.append("files", [row(f"other{index}")])
        assert len(manifest.read("files")) == len(other.read("files")) == 2 * index + 2
    shutil.rmtree(tmp_path / "files")
    manifest.append("files", [row("again")])
    assert other.read("files")["key"].to_list() == ["again"]


def test_rows_that_are_as_they_were_are_not_even_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = {"source_id": "x", "path": "a.mp4", "state": "ok"}
    Manifest(tmp_path).replace("sources", [source])
    written = []

    def noted(frame: pl.DataFrame) -> bytes:
        written.append(frame)
        return plain(frame)

    plain = delta._parquet
    monkeypatch.setattr(delta, "_parquet", noted)
    manifest = Manifest(tmp_path)
    manifest.read("sources")
    assert not manifest.replace("sources", [source])
    assert not written
    Manifest(tmp_path).replace("sources", [source | {"state": "gone"}])  # by another process
    assert manifest.replace("sources", [source])
    assert Manifest(tmp_path).read("sources")["state"].to_list() == ["ok"]


def test_what_was_just_written_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = {"source_id": "x", "path": "a.mp4", "state": "ok"}
    manifest = Manifest(tmp_path)
    manifest.replace("sources", [source])
    manifest.replace("sources", [source, source | {"path": "b.mp4"}])
    stored = Manifest(tmp_path).read("sources")
    with monkeypatch.context() as patched:
        patched.setattr(pl, "scan_parquet", None)
        assert manifest.read("sources").equals(stored)
        assert manifest.read("sources", ["path"])["path"].to_list() == ["a.mp4", "b.mp4"]
    Manifest(tmp_path).replace("sources", [source])  # by another process
    assert manifest.read("sources")["path"].to_list() == ["a.mp4"]


def test_parts_of_other_versions_are_read_beside_those_of_today(tmp_path: Path) -> None:
    """Columns that came later are null, those that went are left out; whatever the folder is called."""
    folder = tmp_path / "a=1 [x]*? #%é" / "things"
    delta.Table(folder, {"key": "text", "gone": "int"}).append([{"key": "a", "gone": 1}])
    today = delta.Table(folder, {"key": "text", "news": "texts"})
    today.append([{"key": "b", "news": ["n"]}])
    assert sorted(today.read().rows(), key=str) == [("a", None), ("b", ["n"])]
    each = [row for frame in today.each(["news", "key"]) for row in frame.rows()]
    assert sorted(each, key=str) == [(None, "a"), (["n"], "b")]
    assert today.read(["news"]).schema == {"news": pl.List(pl.String)}


def test_tables_are_read_and_rewritten_together_as_one_by_one(tmp_path: Path) -> None:
    together, single = Manifest(tmp_path / "together"), Manifest(tmp_path / "single")
    contents = {
        "sources": [{"source_id": "x", "path": "a.mp4", "state": "ok"}],
        "clips": [{"clip_id": f"{k}", "state": "keep", "reasons": ["blur"] * k} for k in range(3)],
        "samples": frame_of([{"sample_id": "s", "crop": [0, 0, 8, 8]}], delta.types_of(TABLES["samples"])),
    }
    together.replace_all(contents)
    for name, rows in contents.items():
        single.replace(name, rows)
    read = Manifest(tmp_path / "together")
    read.read_ahead({name: list(TABLES[name]) for name in contents} | {"looks": ["key"]})  # which is not there
    for name in contents:
        assert read.read(name).equals(single.read(name))
        assert read.table(name).version() == single.table(name).version()
    part = next((tmp_path / "together" / "clips").glob("part-*"))
    part.write_bytes(part.read_bytes()[:-1] + b"?")
    with pytest.raises(Damaged, match=part.name):
        Manifest(tmp_path / "together").read_ahead({name: list(TABLES[name]) for name in contents})


NO_ROOM = "Generic LocalFileSystem error\n  Unable to copy data to file\n  No space left on device (os error 28)"


def test_a_full_disk_is_one_whoever_meets_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Delta's errors tell what the system said in words only."""
    table = Manifest(tmp_path).table("files")
    table.append([row("a")])

    def refuse(error: Exception) -> None:
        def commit(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr(DeltaTable, "create_write_transaction", commit)

    refuse(OSError(NO_ROOM))  # it has no errno
    with pytest.raises(OSError, match=r"No space left on device: .*/files'") as told:
        table.append([row("b")])
    assert told.value.errno == errno.ENOSPC
    refuse(OSError("Generic LocalFileSystem error"))
    with pytest.raises(OSError, match="LocalFileSystem") as told:
        table.append([row("b")])
    assert told.value.errno is None
    monkeypatch.undo()
    table.append([row("b")])
    assert sorted(table.read()["key"]) == ["a", "b"]
