"""The runner on a toy stage: outcomes, resume, leases, and what SIGKILL leaves behind."""

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest

from wanprep import ids, runner
from wanprep.manifest import Manifest, comparable
from wanprep.runner import Options, run_stage
from wanprep.stage import Item, Missing, Reject


@dataclass(frozen=True)
class Toy:
    """Writes an artefact for each item; some items go wrong in every known way."""

    root: Path
    count: int = 12
    delay: float = 0.0
    healthy: bool = False
    name: str = "toy"
    table: str = "artefacts"
    parallel: bool = True

    def items(self, dataset: Any) -> list[Item]:
        keys = [ids.key_of(index=index) for index in range(self.count)]
        return [
            Item(label=f"item {i}", parts={key: i}, args={"n": i}, row={"kind": "text"}) for i, key in enumerate(keys)
        ]

    def measure(self, args: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
        time.sleep(self.delay)
        if not self.healthy:
            match args["n"]:
                case 3:
                    raise Reject("no_video", "audio only")
                case 5:
                    raise MemoryError("too big")
                case 7:
                    os.kill(os.getpid(), signal.SIGKILL)
                case 8:
                    return
        for key in parts:
            path = self.root / "out" / f"{key}.txt"
            data = f"item {args['n']}\n".encode() * 1000
            digest = ids.write_atomic(path, data)
            yield {"key": key, "path": f"out/{path.name}", "digest": digest, "bytes": len(data)}


def dataset(root: Path) -> Any:
    return SimpleNamespace(root=root, manifest=Manifest(root / "manifest"))


def test_every_item_ends_in_exactly_one_state_and_the_others_carry_on(tmp_path: Path) -> None:
    report = run_stage(Toy(tmp_path), dataset(tmp_path), Options(workers=2))
    assert (report.wanted, report.done, dict(report.rejected)) == (12, 8, {"no_video": 1})
    why = dict(report.failed)
    assert set(why) == {"item 5", "item 7", "item 8"}
    assert "MemoryError: too big" in why["item 5"]
    assert "SIGKILL" in why["item 7"]
    assert "lost_part" in why["item 8"]
    rows = dataset(tmp_path).manifest.latest("artefacts")
    assert dict(rows["outcome"].value_counts().iter_rows()) == {"done": 8, "rejected": 1, "failed": 3}
    assert rows.filter(pl.col("outcome") == "rejected")["kind"].to_list() == ["text"]


def test_next_run_retries_failures_only(tmp_path: Path) -> None:
    run_stage(Toy(tmp_path), dataset(tmp_path), Options(workers=2))
    again = run_stage(Toy(tmp_path, healthy=True), dataset(tmp_path), Options(workers=2))
    assert (again.final, again.done, again.failed) == (9, 3, [])
    assert run_stage(Toy(tmp_path, healthy=True), dataset(tmp_path), Options(workers=2)).final == 12


def test_a_stage_with_nothing_to_do_is_not_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that goes through its items in a way of its own may load a model first."""
    asked = []

    def outcomes(self: Toy, todo: list[Item]) -> Iterable[Any]:
        asked.append(len(todo))
        return runner.local.run(self, todo, 0)

    monkeypatch.setattr(Toy, "outcomes", outcomes, raising=False)
    for _ in range(2):
        assert run_stage(Toy(tmp_path, healthy=True), dataset(tmp_path), Options(workers=0)).failed == []
    assert asked == [12]


def test_an_artefact_that_was_deleted_is_made_again(tmp_path: Path) -> None:
    toy = Toy(tmp_path, healthy=True)
    run_stage(toy, dataset(tmp_path), Options(workers=0))
    victim = next((tmp_path / "out").iterdir())
    victim.unlink()
    assert run_stage(toy, dataset(tmp_path), Options(workers=0)).done == 1
    assert victim.exists()


def test_what_a_killed_command_was_writing_goes_with_the_next_that_writes(tmp_path: Path) -> None:
    folder = tmp_path / "clips/832x480"
    folder.mkdir(parents=True)
    half, mine, text = folder / f".tmp-{'0a' * 16}.mp4", folder / ".tmp-mine.mp4", tmp_path / f".tmp-{'0a' * 16}.txt"
    for path in (half, mine, text):
        path.write_bytes(b"half")
    run_stage(Toy(tmp_path, healthy=True), dataset(tmp_path), Options(dry_run=True))
    assert half.exists()
    run_stage(Toy(tmp_path, healthy=True), dataset(tmp_path), Options(workers=0))
    assert not half.exists()
    assert mine.exists()
    assert text.exists()  # not in a folder of artefacts
    half.write_bytes(b"half")
    run_stage(Toy(tmp_path, healthy=True), dataset(tmp_path), Options(workers=0))
    assert half.exists()  # nothing to write, nothing looked for


def test_limit_only_and_dry_run_say_what_is_left(tmp_path: Path) -> None:
    toy = Toy(tmp_path, healthy=True)
    assert run_stage(toy, dataset(tmp_path), Options(dry_run=True)).pending == 12
    assert not (tmp_path / "out").exists()
    report = run_stage(toy, dataset(tmp_path), Options(workers=0, limit=2))
    assert (report.done, report.pending) == (2, 10)
    report = run_stage(toy, dataset(tmp_path), Options(workers=0, only="item 1?"))
    assert (report.done, report.pending) == (2, 8)


def test_missing_stops_the_run_but_keeps_what_was_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    good = Toy.measure

    def measure(self: Toy, args: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
        if args["n"] == 2:
            raise Missing("no weights", "run wanprep fetch")
        return good(self, args, parts)

    monkeypatch.setattr(Toy, "measure", measure)
    with pytest.raises(Missing, match="no weights"):
        run_stage(Toy(tmp_path, healthy=True), dataset(tmp_path), Options(workers=0))
    assert len(dataset(tmp_path).manifest.final_keys("artefacts")) == 2


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_stops_the_run_but_keeps_what_was_done(tmp_path: Path, monkeypatch: Any, code: int) -> None:
    good = Toy.measure

    def measure(self: Toy, args: Mapping[str, Any], parts: Mapping[str, Any]) -> Iterable[dict[str, Any]]:
        if args["n"] == 2:
            raise OSError(code, os.strerror(code))
        return good(self, args, parts)

    monkeypatch.setattr(Toy, "measure", measure)
    with pytest.raises(OSError, match=os.strerror(code)) as told:
        run_stage(Toy(tmp_path, healthy=True), dataset(tmp_path), Options(workers=0))
    assert told.value.errno == errno.ENOSPC
    assert len(dataset(tmp_path).manifest.final_keys("artefacts")) == 2


def _artefacts(root: Path) -> int:
    return len(list((root / "out").glob("[!.]*")))


def test_killed_at_random_points_a_resumed_run_ends_the_same(tmp_path: Path) -> None:
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    run_stage(Toy(straight, healthy=True), dataset(straight), Options(workers=0))
    chooser, kills = random.Random(1), 0
    while True:
        process = subprocess.Popen([sys.executable, __file__, str(broken)])
        enough = _artefacts(broken) + chooser.randint(1, 4)
        while process.poll() is None and _artefacts(broken) < enough:
            time.sleep(0.01)
        time.sleep(chooser.uniform(0, 0.1))  # somewhere between an artefact and its row
        process.kill()
        if process.wait() == 0:
            break
        kills += 1
    assert kills >= 3
    for root in (straight, broken):
        assert sorted(p.suffix for p in (root / "out").iterdir() if p.name[0] != ".") == [".txt"] * 12
    one, two = (comparable(dataset(root).manifest.latest("artefacts")) for root in (straight, broken))
    assert one.equals(two)


if __name__ == "__main__":
    runner.BATCH_ROWS = 2
    root = Path(sys.argv[1])
    run_stage(Toy(root, delay=0.15, healthy=True), dataset(root), Options(workers=0))
