"""Previews are made beside the training, and nothing that happens there changes it: not a crash, a kill or a hang."""

import io
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace

import av
import numpy as np
import pytest
from PIL import Image

from wanprep.stage import UsageError
from wantrain import preview_setup, room
from wantrain.observe import Course, Observer, Observers
from wantrain.preview_missing import planned
from wantrain.preview_worker import Job, label, slug
from wantrain.previews import Previews, PreviewSetup
from wantrain.prompts import Prompt
from wantrain.report import write_report
from wantrain.sheets import SheetRow, contact_sheet, jpeg, spread

JOB = Job(
    run="", family="tiny", weights="/nowhere", dtype="fp32", device="cpu", key="k", steps={"high": 0, "low": 0},
    prompts=(Prompt(prompt="a cat", width=32, height=32, frames=5, steps=1),),
)  # fmt: skip
WELL = "import json,sys,pathlib; f=pathlib.Path(sys.argv[1]); j=json.loads((f/'job.json').read_text()); "
WELL += "assert all(pathlib.Path(p).is_file() for p in j['loras'].values()); "
WELL += "(f/'preview.json').write_text(json.dumps({'key': j['key'], 'steps': j['steps'], 'items': [], 'sheet': 'x'}))"
CRASH = "import sys; print('out of luck'); sys.exit(3)"
KILLED = "import os; os.kill(os.getpid(), 9)"
HANG = "import time, signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('zzz', flush=True); time.sleep(600)"


class Ear(Observer):
    def __init__(self) -> None:
        self.heard: list[tuple[str, bool]] = []

    def say(self, text, *, problem=False):
        self.heard.append((text, problem))


def _setup(code: str, **changes) -> PreviewSetup:
    plain = PreviewSetup(
        job=JOB, every=0, at_start=True, queue=1, minutes=1.0, at_end="wait", waits=False, alternate=True,
        command=(sys.executable, "-S", "-c", code),
    )  # fmt: skip
    return replace(plain, **changes)


@pytest.fixture(autouse=True)
def no_weights_to_measure(monkeypatch):
    monkeypatch.setattr("wantrain.previews.shortage", lambda *_: "")
    monkeypatch.setattr("wantrain.preview_folder.GRACE_SECONDS", 0.2)


@pytest.mark.parametrize(
    ("code", "changes", "said"),
    [
        (WELL, {}, "made in"),
        (CRASH, {}, "failed (exit code 3): out of luck; training goes on"),
        (KILLED, {}, "failed (killed by SIGKILL); training goes on"),
        (HANG, {"minutes": 0.005}, "took longer than 0.005 minutes"),
        (WELL, {"command": ("/nowhere/python",)}, "could not be started"),
    ],
    ids=["well", "crash", "killed", "hang", "no-program"],
)
def test_whatever_becomes_of_a_preview_training_is_the_same(toy, dataset, finished, tmp_path, code, changes, said):
    ear = Ear()
    result = toy.train_toy(tmp_path, dataset, observers=[ear, Previews(_setup(code, **changes))])
    for name in ("high", "low"):
        assert toy.rows(result.folder, name) == toy.rows(finished.folder, name)
        assert result.loras[name].read_bytes() == finished.loras[name].read_bytes()
    assert any(said in text for text, _ in ear.heard), ear.heard
    assert not list((result.folder / "previews").glob("*/loras"))
    if code == WELL and not changes:
        made = sorted(path.parent.name for path in (result.folder / "previews").glob("*/preview.json"))
        assert made[-1] == "high-000012_low-000012"
        assert made[0] == "high-000000_low-000000"


def test_an_observer_that_raises_is_dropped_and_changes_nothing(toy, dataset, finished, tmp_path):
    class Broken(Observer):
        def step(self, row, seconds, waits):
            raise RuntimeError("no")

    ear = Ear()
    result = toy.train_toy(tmp_path, dataset, observers=[ear, Broken()])
    assert result.loras["high"].read_bytes() == finished.loras["high"].read_bytes()
    assert sum("Broken stopped working (RuntimeError('no'))" in text for text, _ in ear.heard) == 1


def _begun(tmp_path, setup, stop=lambda: False, *, there=False):
    ear, previews = Ear(), Previews(setup)
    watch = Observers([ear, previews])
    (tmp_path / "loras").mkdir(parents=True, exist_ok=there)
    for name in ("h1", "h2", "h3", "l1"):
        (tmp_path / "loras" / name).write_text(name)
    watch.begin(Course(folder=tmp_path, family="tiny", device="cpu", steps={"high": (0, 9), "low": (0, 9)}, stop=stop))
    return ear, previews, watch


def _saved(watch, expert, step, file, asked=False):
    watch.saved({"expert": expert, "step": step, "file": f"loras/{file}", "loss": None, "asked": asked})


def test_one_preview_shows_both_experts_and_too_many_are_skipped_with_a_note(tmp_path):
    ear, previews, watch = _begun(tmp_path, _setup(HANG, at_start=False))
    _saved(watch, "high", 3, "h1")
    assert not (tmp_path / "previews").exists()  # low has its turn first
    _saved(watch, "low", 3, "l1")
    folder = tmp_path / "previews" / "high-000003_low-000003"
    (tmp_path / "loras" / "h1").unlink()  # pruned while the preview is being made
    assert (folder / "loras" / "h1").read_text() == "h1"
    _saved(watch, "high", 4, "h2", asked=True)
    _saved(watch, "high", 5, "h3", asked=True)
    assert "preview of high 3 · low 3: 0:00, 1 waiting" in previews.status()
    assert [text for text, _ in ear.heard] == [
        "preview of high 5 · low 3 skipped: that of high 3 · low 3 is still being made, and 1 wait (previews.queue)"
    ]
    pid = previews._making.process.pid
    watch.end(wait=False)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    assert not list((tmp_path / "previews").glob("*/loras"))


@pytest.mark.parametrize(("at_end", "made"), [("wait", True), ("stop", False)])
def test_the_finished_loras_preview_is_never_skipped_where_the_run_waits(tmp_path, at_end, made):
    slow = "import time; time.sleep(0.3); " + WELL
    ear, _, watch = _begun(tmp_path, _setup(slow, at_start=False, alternate=False, at_end=at_end))
    _saved(watch, "high", 3, "h1", asked=True)
    _saved(watch, "high", 6, "h2", asked=True)
    _saved(watch, "high", 9, "h3")  # the last step, with one in the making and one that waits
    watch.end(wait=True)
    assert (tmp_path / "previews" / "high-000009_low-000000" / "preview.json").is_file() == made
    assert any("preview of high 9" in text and "skipped" in text for text, _ in ear.heard) != made


def test_waiting_at_the_end_stops_when_asked(tmp_path):
    stop = []
    ear, _, watch = _begun(tmp_path, _setup(HANG), stop=lambda: bool(stop) or stop.append(1))
    began = time.monotonic()
    watch.end(wait=True)
    assert time.monotonic() - began < 20
    assert any("stopped with the training" in text for text, _ in ear.heard)


def test_on_the_training_gpu_the_experts_leave_first_and_training_waits(tmp_path):
    order = []

    class Park:
        def __enter__(self):
            order.append("left")

        def __exit__(self, *_):
            order.append("back")

    ear, previews = Ear(), Previews(_setup(WELL, waits=True))
    watch = Observers([ear, previews])
    watch.begin(
        Course(folder=tmp_path, family="tiny", device="cpu", steps={"high": (0, 9), "low": (0, 9)}, parked=Park)
    )
    assert order == ["left", "back"]
    assert "preview of base model made in" in ear.heard[0][0]


def test_too_little_memory_is_a_note_with_the_numbers(tmp_path, monkeypatch):
    from wanprep.families import FAMILIES
    from wanprep.models.find import require_weights

    folder = require_weights(FAMILIES["tiny"], "transformer")
    assert room.shortage(folder, "fp32", "cpu") == ""
    monkeypatch.setattr(room, "free_host_bytes", lambda: 1000)
    assert "0.0 GB are free" in room.shortage(folder, "fp32", "cpu")
    monkeypatch.setattr("wantrain.previews.shortage", lambda *_: "no room")
    ear, previews, _ = _begun(tmp_path, _setup(WELL))
    assert ear.heard == [("preview of base model skipped: no room", True)]
    assert previews.status() == ""


def test_which_device():
    assert preview_setup.pick("auto", "cpu", 0) == "cpu"
    assert preview_setup.pick("auto", "cuda", 1) == "cuda"
    assert preview_setup.pick("auto", "cuda", 2) == "cuda:1"
    assert preview_setup.pick("auto", "cuda:1", 2) == "cuda:0"
    with pytest.raises(UsageError, match="has 1 CUDA"):
        preview_setup.pick("cuda:1", "cuda", 1)


def test_mistakes_are_errors_before_the_first_step(toy, tmp_path):
    (tmp_path / "p.txt").write_text("a cat --w 33\n")
    config = toy.toy_config(tmp_path, previews={"prompts": str(tmp_path / "p.txt")})
    with pytest.raises(UsageError, match="line 1: 33x480"):
        preview_setup.prepare(config, "cpu", "fp32")
    assert preview_setup.prepare(toy.toy_config(tmp_path), "cpu", "fp32") is None
    with pytest.raises(UsageError, match=r"every = 3 must be a multiple of save\.every = 4"):
        toy.toy_config(tmp_path, previews={"prompts": "p.txt", "every": 3})


def test_the_real_process_makes_the_videos_that_sampling_makes(toy, dataset, tmp_path, monkeypatch):
    from wanprep.models.find import require_weights
    from wantrain.sample import add_loras, load_pipeline, lora_use, sample_video

    monkeypatch.setattr("wantrain.previews.shortage", room.shortage)
    (tmp_path / "p.txt").write_text("a cat --w 32 --h 32 --f 5 --s 2 --d 3\n")
    changes = {"previews": {"prompts": str(tmp_path / "p.txt"), "at_start": False, "every": 12}}
    changes["save"] = {"every": 12}
    config = toy.toy_config(tmp_path / "runs", **changes)
    observer, ear = preview_setup.prepare(config, "cpu", "fp32"), Ear()
    result = toy.train_toy(tmp_path / "runs", dataset, changes=changes, observers=[ear, observer])
    (folder,) = [path.parent for path in (result.folder / "previews").glob("*/preview.json")]
    record = json.loads((folder / "preview.json").read_text())
    assert (record["steps"], record["failed"]) == ({"high": 12, "low": 12}, 0), ear.heard
    pipe = load_pipeline(toy.TINY, require_weights(toy.TINY, "transformer"), dtype="fp32")
    add_loras(pipe, [lora_use(path, toy.TINY) for path in result.loras.values()])
    (prompt,) = observer.setup.job.prompts
    there = np.asarray(Image.open(folder / record["items"][0]["still"]), np.float32)
    for seed in (prompt.seed, prompt.seed + 1):
        frames = sample_video(pipe, toy.TINY, replace(prompt, seed=seed).request(toy.TINY))
        here = np.asarray(Image.open(io.BytesIO(jpeg(frames[len(frames) // 2]))), np.float32)
        assert (np.abs(there - here).mean() < 0.5) == (seed == prompt.seed)  # sums are rounded as threads share them
    with av.open(str(folder / record["items"][0]["video"])) as video:
        assert sum(1 for _ in video.decode(video=0)) == len(frames) == 5
    assert Image.open(folder / "sheet.jpg").width > 32
    page = write_report(result.folder, result.folder / "report.html").read_text()
    assert page.count("<figure>") == 1
    assert '<img alt="high 12 · low 12" src="data:image/jpeg' in page
    assert "<summary>high 12 · low 12</summary><video" in page
    assert "data:video/mp4;base64," in page


def test_a_sheet_has_a_row_a_video_and_its_frames_in_order():
    frames = np.zeros((9, 40, 60, 3), np.uint8)
    for index in range(9):
        frames[index] = 28 * index
    rows = [SheetRow(title="a", detail="", frames=frames), SheetRow(title="b", detail="", frames=None)]
    sheet = contact_sheet(rows, title="t", columns=3)
    assert spread(9, 3) == [0, 4, 8]
    found = [sheet[60, 6 + place * 66 + 30, 0] for place in range(3)]
    assert found == [0, 112, 224]
    assert contact_sheet(rows[1:], title="x" * 500, columns=1).ndim == 3


def test_names():
    assert slug("A Cat, on a röof!") == "a-cat-on-a-r-of"
    assert slug("猫") == "prompt"
    assert label({"single": 5}) == "step 5"
    assert label({"high": 0, "low": 0}) == "base model"


def test_the_process_ends_with_the_one_that_started_it(toy, tmp_path):
    os.mkfifo(tmp_path / "job.json")  # reading it never returns: the process is in the middle of its work
    process = subprocess.Popen(
        [sys.executable, "-m", "wantrain.preview_worker", str(tmp_path)], stdin=subprocess.PIPE, env=toy.environment()
    )
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.5)
        process.stdin.close()  # as the kernel does for a process that is killed
        assert process.wait(30) == 4
    finally:
        process.kill()
        process.wait()


def test_warnings_are_said_once_when_training_begins(tmp_path):
    ear, _, watch = _begun(tmp_path, _setup(WELL, warnings=("be careful",), at_start=False))
    watch.end(wait=True)
    assert ear.heard == [("be careful", False)]


def _why(folder):
    return json.loads((folder / "failed.json").read_text())["why"]


@pytest.mark.parametrize(("code", "why"), [(KILLED, "killed by SIGKILL"), (CRASH, "(exit code 3): out of luck")])
def test_why_there_are_no_videos_is_left_in_the_folder_and_in_the_report(tmp_path, finished, code, why):
    shutil.copytree(finished.folder, tmp_path / "run")
    _, _, watch = _begun(tmp_path / "run", _setup(code), there=True)
    watch.end(wait=True)
    folder = tmp_path / "run" / "previews" / "high-000000_low-000000"
    assert why in _why(folder)
    assert (folder / "log.txt").read_text().splitlines()[-1] == f"no preview: {_why(folder)}"
    page = write_report(tmp_path / "run", tmp_path / "r.html").read_text()
    assert f'<p class="warn">base model: {_why(folder)}</p>' in page
    (folder / "failed.json").unlink()  # as when the whole run was killed
    assert "base model: not finished" in write_report(tmp_path / "run", tmp_path / "r.html").read_text()


def test_a_complete_run_makes_what_is_missing_and_leaves_the_rest(toy, dataset, tmp_path):
    toy.train_toy(tmp_path, dataset)  # without previews; they are asked for afterwards
    root = tmp_path / "toy" / "previews"
    ear = Ear()
    toy.train_toy(tmp_path, dataset, observers=[ear, Previews(_setup(KILLED, queue=0, at_end="stop"))])
    said = [text for text, _ in ear.heard]
    assert "4 of 4 previews are missing and are made now" in said
    assert "4 previews were not made; the same command makes what is missing of the LoRAs that are still there" in said
    assert not any("training goes on" in text for text in said)
    names = ["high-000000_low-000000", *(f"high-0000{s}_low-0000{s}" for s in ("04", "08", "12"))]
    assert sorted(path.parent.name for path in root.glob("*/failed.json")) == names
    toy.train_toy(tmp_path, dataset, observers=[Previews(_setup(WELL))])
    assert sorted(path.parent.name for path in root.glob("*/preview.json")) == names
    assert not list(root.glob("*/failed.json"))
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    again = Ear()
    toy.train_toy(tmp_path, dataset, observers=[again, Previews(_setup(CRASH))])  # nothing is started
    other = Previews(_setup(CRASH, job=replace(JOB, key="other prompts")))
    toy.train_toy(tmp_path, dataset, observers=[again, other])
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before
    assert sum("4 previews are of other prompts or LoRAs and stay as they are" in text for text, _ in again.heard) == 1


def test_previews_that_a_finished_run_should_have():
    def steps(checkpoints, totals, every=0, **how):
        files = {name: {step: f"{name}{step}" for step in made} for name, made in checkpoints.items()}
        found = planned(files, totals, every, **({"at_start": True, "together": True} | how))
        assert all(file == f"{name}{step}" for loras in found for name, (step, file) in loras.items())
        return [{name: step for name, (step, _) in loras.items()} for loras in found]

    both = {"high": [4, 8, 10], "low": [4, 8, 12, 14]}
    totals = {"high": 10, "low": 14}
    pairs = [{"high": 4, "low": 4}, {"high": 8, "low": 8}, {"high": 10, "low": 12}, {"high": 10, "low": 14}]
    assert steps(both, totals) == [{}, *pairs]
    assert steps(both, totals, at_start=False) == pairs
    assert steps(both, totals, 8) == [{}, pairs[1], pairs[3]]
    assert steps({**both, "low": [8, 14]}, totals) == [{}, pairs[1], pairs[3]]  # others were removed
    in_turn = [{"high": 4}, {"high": 8}, {"high": 10}, {"high": 10, "low": 4}, {"high": 10, "low": 14}]
    assert steps({**both, "low": [4, 14]}, totals, together=False) == [{}, *in_turn]
    assert steps({"high": [4], "low": [14]}, totals, together=False) == [{}, {"high": 4}]
