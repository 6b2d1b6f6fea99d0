"""Several processes on one run: the same checkpoints as one process, from any layout, and resumed on another."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from wanprep.stage import UsageError
from wantrain import parallel

CHANGES = {"high": {"steps": 4, "accumulate": 2}, "low": {"steps": 4, "accumulate": 2}, "experts": {"switch_every": 2}}

SERVER = """
import json, os, signal, sys, traceback
sys.path.insert(0, {here!r})
import torch
import toy
from wantrain.observe import Observer
from wantrain.parallel import joined, team_of
from wantrain.train import train
from pathlib import Path
import diffusers.training_utils, peft
from diffusers import WanTransformer3DModel
class Ear(Observer):
    def __init__(self): self.heard = []
    def step(self, row, seconds, waits): self.heard.append(["step", row["expert"], row["step"]])
    def held_out(self, row): self.heard.append(["held_out", row["expert"], row["step"]])
    def saved(self, made): self.heard.append(["saved", made["expert"], made["step"]])
def work(folder, changes, stop):
    torch.set_num_threads(1)
    config, ear = toy.toy_config(Path(folder), **changes), Ear()
    dataset = toy.toy_dataset(Path(folder) / f"data-{{os.environ.get('RANK', '0')}}")
    with joined("cpu") as (rank, world, device):
        metrics = Path(folder) / "toy" / "metrics.jsonl"
        def wish():
            reached = metrics.exists() and metrics.read_text().count('"step", "expert"') >= stop
            if reached and rank == 1 and "DIES" in os.environ:
                os._exit(9)
            return reached and rank == 0 and "DIES" not in os.environ
        result = train(config, dataset, toy.load, base=toy.BASE, team=team_of(config, rank, world), stop=wish,
                       observers=[ear])
    print(json.dumps([result.steps, ear.heard]))
def child(environment, said, *arguments):
    signal.alarm(600)
    os.environ.update(environment)
    for fd, name in ((1, said + ".out"), (2, said + ".err")):
        os.dup2(os.open(name, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), fd)
    code = 0
    try:
        work(*arguments)
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    os._exit(code)
for line in sys.stdin:
    pids = []
    for one in json.loads(line):
        pids.append(os.fork())
        if not pids[-1]:
            child(*one)
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]), flush=True)
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A process that has imported everything, which takes seconds, has done nothing yet, and forks those asked for."""
    script = tmp_path_factory.mktemp("server") / "server.py"
    script.write_text(SERVER.format(here=str(Path(__file__).parent)))
    environment = dict(os.environ) | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, str(script)], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield process
    process.stdin.close()
    process.wait(60)


@pytest.fixture(scope="module")
def launch(server):
    def launch(folder, changes, world, stop=10**9, dies=False):
        """What each process printed. stop: after so many steps; dies: the second process, instead of stopping."""
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        base = {"DIES": "yes"} if dies else {}
        if world > 1:
            base |= {"WORLD_SIZE": str(world), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        said = [folder / f"said-{rank}" for rank in range(world)]
        asked = [
            (base | ({"RANK": str(rank)} if world > 1 else {}), str(said[rank]), str(folder), changes, stop)
            for rank in range(world)
        ]
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        codes = json.loads(server.stdout.readline())
        ends = [[one.with_suffix(suffix).read_text() for suffix in (".out", ".err")] for one in said]
        if dies:
            assert codes == [1, 9]
            return [err for _, err in ends]
        assert not any(codes), "\n".join(err[-2000:] for _, err in ends)
        return [json.loads(out.splitlines()[-1]) for out, _ in ends]

    return launch


def outcome(toy, folder):
    run = folder / "toy"
    rows = {name: toy.rows(run, name) for name in ("high", "low")}
    return rows, {path.name: path.read_bytes() for path in sorted(run.glob("*.safetensors"))}


@pytest.fixture(scope="module")
def single(toy, launch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("single")
    launch(folder, CHANGES, 1)
    return outcome(toy, folder)


def test_batches_shared_by_two_processes_give_the_same_run(toy, single, launch, tmp_path):
    """Bit for bit: with two members the sum of gradients is the same sum. The lines of the log are one process's."""
    (steps, heard), _ = launch(tmp_path, CHANGES, 2)
    assert outcome(toy, tmp_path) == single
    assert all(len(rows) for rows in single[0].values())
    assert steps == {"high": 4, "low": 4}
    assert [what for what in heard if what[0] == "saved"] == [["saved", "high", 4], ["saved", "low", 4]]


def test_two_experts_in_two_processes_give_the_same_run(toy, single, launch, tmp_path):
    changes = CHANGES | {"experts": {"switch_every": 2, "schedule": "parallel"}}
    (steps, heard), (theirs, nothing) = launch(tmp_path, changes, 2)
    assert steps == theirs == {"high": 4, "low": 4}
    assert outcome(toy, tmp_path) == single
    # The first process tells of both, each in order and once; it learns of the other from the run's files alone.
    assert nothing == []
    for name in ("high", "low"):
        told = [step for kind, expert, step in heard if (kind, expert) == ("step", name)]
        assert told == [1, 2, 3, 4], name
        assert ["held_out", name, 0] in heard
        assert heard.count(["saved", name, 4]) == 1


def test_a_run_goes_on_with_another_number_of_processes(toy, single, launch, tmp_path):
    """Two share batches and stop; then one expert each, stopped; then one process to the end."""
    launch(tmp_path, CHANGES, 2, stop=3)
    first = json.loads((tmp_path / "toy" / "run.json").read_text())["experts"]
    assert sum(entry["step"] for entry in first.values()) == 3
    launch(tmp_path, CHANGES | {"experts": {"schedule": "parallel"}}, 2, stop=5)
    launch(tmp_path, CHANGES, 1)
    assert outcome(toy, tmp_path) == single


def test_a_process_that_dies_ends_the_other_in_words_and_the_run_goes_on(toy, single, launch, tmp_path):
    said, _ = launch(tmp_path, CHANGES, 2, stop=3, dies=True)
    assert "another process of this run is gone" in said.splitlines()[-1]
    launch(tmp_path, CHANGES | {"experts": {"switch_every": 2, "schedule": "parallel"}}, 2)
    assert outcome(toy, tmp_path) == single


def test_processes_are_shared_out():
    pair = ("high", "low")
    assert parallel.divide(pair, "alternate", 3) == [(pair, (0, 1, 2))]
    assert parallel.divide(pair, "parallel", 1) == [(pair, (0,))]
    assert parallel.divide(pair, "parallel", 4) == [(("high",), (0, 2)), (("low",), (1, 3))]
    assert parallel.divide(("single",), "parallel", 2) == [(("single",), (0, 1))]
    with pytest.raises(UsageError, match="multiple of 2"):
        parallel.divide(pair, "parallel", 3)


def test_a_step_needs_a_batch_for_every_member(toy, tmp_path, monkeypatch):
    from torch import distributed

    monkeypatch.setattr(distributed, "new_group", lambda members, timeout, backend: backend or "the default")
    config = toy.toy_config(tmp_path, high={"accumulate": 3}, low={"accumulate": 2})
    with pytest.raises(UsageError, match=r"high\.accumulate = 3: set it to a multiple of 2"):
        parallel.team_of(config, 0, 2)
    config = toy.toy_config(tmp_path, high={"accumulate": 4}, low={"accumulate": 2})
    team = parallel.team_of(config, 1, 2)
    assert (team.place, team.lead, team.mine(4)) == (1, False, [False, True, False, True])
    assert (team.group, team.words) == ("the default", "gloo")


def test_what_processes_agree_on_waits_for_no_gpu(monkeypatch):
    from torch import distributed

    asked = []

    def all_reduce(flag, group=None):
        asked.append((flag.device.type, group))
        flag += 1  # another member's wish

    monkeypatch.setattr(distributed, "all_reduce", all_reduce)
    team = parallel.Team(stages=("high",), world=2, members=(0, 1), group="gradients", words="words")
    assert team.agreed(lambda: False)()
    assert asked == [("cpu", "words")]
    alone = parallel.Team(stages=("high",))
    assert not alone.agreed(lambda: False)()
    assert len(asked) == 1
