"""`wanprep caption` as a user runs it: models on this machine, a server, rewriting; nothing is asked for twice."""

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from footage import make_video
from movies import SETTINGS, as_json, environment, options, shots, wanprep
from servers import good, serving, status
from shell import as_from_a_shell
from tinyvlm import NAMES, build, build_text

from wanprep.cli import cli
from wanprep.dataset import Dataset
from wanprep.stage import Missing

pytestmark = pytest.mark.xdist_group("vlm")
SHORT = (
    "caption.prompt=Look.",
    "caption.sampling.max_new_tokens=10",
    "caption.vlm.dtype=fp32",
    "caption.vlm.device=cpu",
    "caption.retries=0",
)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Three clips and a still, rendered and captioned by the template; nothing of it needs torch."""
    from PIL import Image

    root = tmp_path_factory.mktemp("set")
    (root / "movies").mkdir()
    make_video(root / "movies" / "film.mp4", frames=108, rate=24, size=(192, 96), picture=shots)
    Image.fromarray(shots(40, 160, 120)).save(root / "movies" / "still.png")
    out = root / "dataset"
    settings = [s for s in SETTINGS if not s.startswith("family")] + ["family=wan2.2-t2v-a14b"]  # no weights: no cache
    done = wanprep("run", str(root / "movies"), *options(out, settings), "--workers", "2")
    assert "the weights of wan2.2-t2v-a14b" in done.stderr
    return out


@pytest.fixture
def dataset(prepared, tmp_path):
    shutil.copytree(prepared, tmp_path / "dataset")
    return tmp_path / "dataset"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    import torch

    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("models")
    return {name: build(name, root / name, seed=2) for name in NAMES} | {"text": build_text(root / "text", seed=3)}


def run(capsys, *arguments: str, code: int = 0, settings=()) -> dict:
    """The command in this process (loading torch once); its JSON."""
    assigned = [part for setting in settings for part in ("--set", setting)]
    try:
        cli.main([*arguments, *assigned, "--json"], standalone_mode=False)
        ended = 0
    except SystemExit as stop:
        ended = stop.code
    out = capsys.readouterr()
    assert ended == code, out
    return json.loads(out.out)


def texts(dataset: Path) -> dict[str, str]:
    return {path.stem: path.read_text().strip() for path in (dataset / "captions").glob("*.txt")}


def rows(dataset: Path) -> pl.DataFrame:
    return Dataset.open(dataset).manifest.latest("captions").filter(pl.col("origin") == "vlm")


@pytest.mark.parametrize("name", NAMES)
def test_a_vlm_captions_every_clip_once_and_differently(dataset, models, capsys, name):
    command = ("caption", "--out", str(dataset), "--vlm", name, "--set", f"caption.vlm.model={models[name]}")
    report = run(capsys, *command, settings=SHORT)
    assert report["steps"]["caption"]["done"] == 4
    said = texts(dataset)
    assert len(said) == 4
    assert len(set(said.values())) >= 3
    assert all(text.replace(".", "").replace(" ", "").isalpha() for text in said.values())
    for row in rows(dataset).to_dicts():
        assert (row["captioner"], row["model"], row["attempts"]) == (name, models[name].name, 1)
        assert row["raw"]
        assert len(row["prompt"]) == 32
        assert row["tokens_in"] > row["tokens_out"] > 0
        assert row["seconds"] > 0
    again = run(capsys, "caption", "--out", str(dataset))  # the settings were stored
    assert (again["steps"]["caption"]["done"], again["steps"]["caption"]["final"]) == (0, 4)
    triggered = run(capsys, "caption", "--out", str(dataset), "--trigger", "frung")
    assert triggered["steps"]["caption"]["done"] == 0
    assert texts(dataset) == {clip: f"frung {text}" for clip, text in said.items()}
    other = run(capsys, "caption", "--out", str(dataset), settings=["caption.prompt=Look again."])
    assert other["steps"]["caption"]["done"] == 4


def test_weights_that_have_gone_leave_the_captions_they_made(dataset, models, capsys, tmp_path):
    moved = shutil.copytree(models["qwen2-vl"], tmp_path / "vlm")
    run(capsys, "caption", "--out", str(dataset), "--vlm", "qwen2-vl", "--model", str(moved), settings=SHORT)
    said = texts(dataset)
    shutil.rmtree(moved)
    again = run(capsys, "caption", "--out", str(dataset))
    assert (again["steps"]["caption"]["final"], texts(dataset)) == (4, said)
    states = as_json(wanprep("status", "--out", str(dataset), "--json"))
    assert next(row for row in states if row["step"] == "caption")["done"] == 4


def test_auto_takes_the_model_that_is_on_disk_and_the_text_beside_the_source_first(
    dataset, models, capsys, tmp_path, monkeypatch
):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    monkeypatch.setenv("WANPREP_MODELS", str(models["qwen2.5-vl"].parent))
    roots = Dataset.open(dataset).roots
    still = Path(next(iter(roots.values()))) / "still.txt"
    still.write_text("a wash of colour")
    try:
        run(capsys, "caption", "--out", str(dataset), settings=SHORT)
    finally:
        still.unlink()
    clips = Dataset.open(dataset).manifest.read("clips").to_dicts()
    assert {(clip["path"], clip["caption_origin"]) for clip in clips} == {("film.mp4", "vlm"), ("still.png", "sidecar")}
    assert set(rows(dataset)["captioner"]) == {"qwen3-vl"}  # the newest of the three in that folder


def test_rewriting_follows_and_the_trigger_stays_first(dataset, models, capsys):
    local = ("caption.rewrite.by=local", f"caption.rewrite.model={models['text']}", "caption.rewrite.style=tags")
    config = (*SHORT, *local, "caption.language=''")
    command = ("caption", "--out", str(dataset), "--vlm", "qwen2-vl", "--model", str(models["qwen2-vl"]))
    run(capsys, *command, settings=SHORT)
    before = texts(dataset)
    report = run(capsys, *command, "--trigger", "frung", settings=config)
    assert report["steps"]["caption"]["done"] == 0
    assert report["steps"]["rewrite"]["done"] == len(set(before.values()))
    after = texts(dataset)
    assert all(text.startswith("frung ") and before[clip] not in text for clip, text in after.items())
    again = run(capsys, "caption", "--out", str(dataset))
    assert again["steps"]["rewrite"]["done"] == 0
    off = run(capsys, "caption", "--out", str(dataset), settings=["caption.rewrite.by=off"])
    assert "rewrite" not in off["steps"]
    assert texts(dataset) == {clip: f"frung {text}" for clip, text in before.items()}


CAPTION = "Colours drift across the picture from left to right, number {n} of many, in soft even light."


def endpoint(server, *more):
    return (
        f"caption.endpoint.base_url={server.url}",
        "caption.endpoint.tries=2",
        "caption.endpoint.concurrency=3",
        *more,
    )


def ask(capsys, dataset, server, *more, code=0):
    command = ("caption", "--out", str(dataset), "--vlm", "openai", "--model", "m")
    return run(capsys, *command, code=code, settings=endpoint(server, *more))


def test_a_server_captions_several_clips_at_a_time(dataset, capsys):
    def slowly(handler, body, number):
        time.sleep(0.3)
        good(CAPTION)(handler, body, number)

    with serving(slowly) as server:
        report = ask(capsys, dataset, server, "caption.endpoint.price_in=3.0")
        assert report["steps"]["caption"]["done"] == 4
        assert server.most_at_once == 3
    assert len(set(texts(dataset).values())) == 4
    assert rows(dataset)["cost"].sum() == pytest.approx(4 * 1000 * 3.0 / 1e6)
    assert any("4000 tokens in, 80 out, cost 0.012" in note for note in report["notes"])


def test_clips_captioned_by_hand_are_sent_to_nobody(dataset, capsys):
    clip, other = sorted(texts(dataset))[:2]
    (dataset / "captions" / f"{clip}.txt").write_text("typed by hand\n")
    again = ("caption.rewrite.by=endpoint", "caption.rewrite.model=m", "caption.rewrite.origins=['vlm', 'template']")
    with serving(good(CAPTION)) as server:
        report = ask(capsys, dataset, server)
        assert (report["steps"]["caption"]["wanted"], report["steps"]["caption"]["done"]) == (3, 3)
        assert report["notes"][-1].startswith("cache 4, latents 10 are pending")  # and no captions
        asked = len(server.bodies)
        (dataset / "captions" / f"{other}.txt").write_text("this one, too\n")
        report = ask(capsys, dataset, server, *again, "caption.sampling.seed=1")
        assert report["steps"]["caption"]["wanted"] == 2
        assert report["steps"]["rewrite"]["wanted"] == 2
        assert len(server.bodies) == asked + 4
    assert (texts(dataset)[clip], texts(dataset)[other]) == ("typed by hand", "this one, too")
    stored = Dataset.open(dataset).manifest.read("clips").filter(pl.col("caption_origin") == "human")
    assert sorted(stored["caption"]) == ["this one, too", "typed by hand"]


def test_a_clip_whose_edit_was_taken_back_is_asked_about_and_one_of_a_damaged_text_is_not(dataset, capsys):
    clip, other = sorted(texts(dataset))[:2]
    edited, damaged = (dataset / "captions" / f"{name}.txt" for name in (clip, other))
    edited.write_text("typed by hand\n")
    damaged.write_bytes("Käse".encode("latin-1"))
    with serving(good(CAPTION)) as server:
        assert ask(capsys, dataset, server)["steps"]["caption"]["wanted"] == 2
        edited.unlink()
        report = ask(capsys, dataset, server)
        assert (report["steps"]["caption"]["wanted"], report["steps"]["caption"]["done"]) == (3, 1)
        assert any(note.startswith("deleted, so what was typed is taken back") for note in report["notes"])
    assert edited.read_text().startswith(CAPTION.split("{")[0])
    assert damaged.read_bytes() == "Käse".encode("latin-1")
    clips = {row["clip_id"]: row for row in Dataset.open(dataset).manifest.read("clips").to_dicts()}
    assert (clips[clip]["caption_origin"], clips[other]["reasons"]) == ("vlm", ["caption_not_utf8"])


def test_what_failed_is_tried_again_by_the_next_run_and_only_that(dataset, capsys):
    with serving(good(CAPTION), status(400, "odd"), good(CAPTION)) as server:
        report = ask(capsys, dataset, server, "caption.endpoint.concurrency=1", code=1)
        assert (report["steps"]["caption"]["done"], len(report["steps"]["caption"]["failed"])) == (3, 1)
        (failed,) = report["steps"]["caption"]["failed"]
        assert not failed["why"].endswith("]")  # no place in the code, and no name of an exception
        assert "Error" not in failed["why"]
        asked = len(server.bodies)
        report = ask(capsys, dataset, server, "caption.endpoint.concurrency=1")
        assert (report["steps"]["caption"]["done"], report["steps"]["caption"]["final"]) == (1, 3)
        assert len(server.bodies) == asked + 1


def test_refused_content_is_rejected_and_bad_answers_are_flagged(dataset, capsys):
    replies = (
        good(CAPTION),
        status(400, {"code": "content_policy_violation"}),
        good("I'm sorry, but I can't help with that."),
        good("1. Colours\n2. Light\n3. Lines"),
    )
    with serving(*replies) as server:
        report = ask(
            capsys, dataset, server, "caption.retries=0", "caption.endpoint.concurrency=1", "caption.trigger=frung"
        )
    assert report["steps"]["caption"]["rejected"] == {"caption_refused_by_endpoint": 1}
    clips = Dataset.open(dataset).manifest.read("clips").to_dicts()
    states = {(tuple(clip["caption_flags"]), clip["provisional"], clip["caption"] == "frung") for clip in clips}
    assert states == {
        ((), False, False),
        ((), None, False),  # rejected: no caption
        (("list",), True, False),
        (("refusal",), True, True),  # the trigger alone
    }
    assert any("2 captions need a look (1 list, 1 refusal)" in note for note in report["notes"])
    with serving(good(CAPTION)) as server:  # final: nothing is asked for again
        ask(capsys, dataset, server)
        assert server.bodies == []


def test_a_fault_of_all_captions_is_the_last_word_of_a_run(dataset, capsys):
    thinking = good("", finish="length", reasoning_content="Okay, the user wants a caption.")
    with serving(thinking) as server:
        notes = ask(capsys, dataset, server, "caption.retries=0", "caption.trigger=frung")["notes"]
    assert "4 of 4 captions have the same fault, unfinished_thought" in notes[-2]
    assert "caption.sampling.max_new_tokens (384)" in notes[-2]
    assert set(texts(dataset).values()) == {"frung"}
    done = wanprep("caption", "--out", str(dataset))
    assert "4 of 4 captions have the same fault" in done.stderr.replace("\n", " ")


def test_a_second_pass_that_fails_is_counted(dataset, capsys):
    again = ("caption.rewrite.by=endpoint", "caption.rewrite.model=m", "caption.retries=0")

    def reply(handler, body, number):
        rewriting = isinstance(body["messages"][0]["content"], str)
        good("I'm sorry, but I can't help with that." if rewriting else CAPTION)(handler, body, number)

    with serving(reply) as server:
        notes = ask(capsys, dataset, server, *again)["notes"]
        assert any(note.startswith("4 of 4 captions were not rewritten") and "(4 refusal)" in note for note in notes)
        assert "4 of 4 captions have the same fault, rewrite_failed" in notes[-2]
    assert all(text.startswith("Colours drift") for text in texts(dataset).values())
    with serving(good(f"{CAPTION} It rains.")) as server:
        notes = ask(capsys, dataset, server, *again, "caption.sampling.seed=1")["notes"]
    assert not any("not rewritten" in note or "same fault" in note for note in notes)


def test_a_server_that_only_fails_ends_the_command_with_the_reason(dataset, monkeypatch):
    from wanprep.captioners import patience

    with serving(status(500, "boom")) as server:
        command = ["caption", "--out", str(dataset), "--vlm", "openai", "--model", "m"]
        command += [part for setting in endpoint(server, "caption.endpoint.tries=1") for part in ("--set", setting)]
        monkeypatch.setattr(patience, "END_AFTER", 3)
        with pytest.raises(Missing, match=r"HTTP 500: boom .*So ended 3 items in a row"):
            cli.main(command, standalone_mode=False)
    states = as_json(wanprep("status", "--out", str(dataset), "--json"))
    (row,) = (row for row in states if row["step"] == "caption")
    assert row["failed"] >= 2
    assert all("endpoint_failed: " in item and "HTTP 500: boom" in item for item in row["failed_items"])


def test_a_bad_answer_is_asked_again_with_another_seed(dataset, capsys):
    replies = [good("Sorry, I cannot describe this."), *[good(CAPTION)] * 4]
    with serving(*replies) as server:
        ask(capsys, dataset, server, "caption.endpoint.concurrency=1")
        assert [body["seed"] for body in server.bodies] == [0, 1, 0, 0, 0]
    assert sorted(rows(dataset)["attempts"]) == [1, 1, 1, 2]
    assert all("sorry" not in text.lower() for text in texts(dataset).values())


def test_an_interrupted_run_keeps_what_was_said_and_goes_on(dataset, capsys):
    def one_then_nothing(handler, body, number):
        if number:
            time.sleep(30)
        good(CAPTION)(handler, body, number)

    command = [sys.executable, "-m", "wanprep.cli", "caption", "--out", str(dataset), "--vlm", "openai", "--model", "m"]
    with serving(one_then_nothing) as server:
        command += [part for setting in endpoint(server) for part in ("--set", setting)]
        process = subprocess.Popen(
            command, stderr=subprocess.PIPE, text=True, env=environment(), preexec_fn=as_from_a_shell
        )
        while len(server.bodies) < 3:
            time.sleep(0.02)
        time.sleep(3)  # the first answer is under way: three requests may be sent before it is taken in
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)  # requests under way (30 s) are not waited for
        assert process.returncode == 130, said
        assert "Go on with" in said
    assert len(rows(dataset)) == 1
    with serving(good(CAPTION)) as server:
        report = ask(capsys, dataset, server)
        assert (report["steps"]["caption"]["done"], report["steps"]["caption"]["final"]) == (3, 1)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--vlm", "qwen2-vl"), 3, "hf download Qwen/Qwen2-VL-7B-Instruct"),
        (
            ("--vlm", "qwen2.5-vl", "--model", "Qwen/Qwen2.5-VL-3B-Instruct"),
            3,
            "hf download Qwen/Qwen2.5-VL-3B-Instruct",
        ),
        (("--vlm", "openai"), 2, "caption.endpoint.base_url"),
        (("--vlm", "openai", "--set", "caption.endpoint.base_url=http://127.0.0.1:9/v1"), 2, "caption.endpoint.model"),
        (("--vlm", "qwen3vl"), 2, "did you mean 'qwen3-vl'"),
        (("--goal", "stile-look"), 2, 'did you mean "style-look"'),
        (("--model", "x"), 2, "--model needs --vlm"),
        (("--set", "caption.vlm.batchsize=2"), 2, "did you mean 'caption.vlm.batch_size'"),
    ],
)
def test_what_is_missing_or_wrong_is_said_with_the_remedy(dataset, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    before = texts(dataset)
    done = wanprep("caption", "--out", str(dataset), *arguments, check=code)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert texts(dataset) == before


def test_a_run_asks_for_missing_weights_before_it_decodes(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    (tmp_path / "movies").mkdir()
    make_video(tmp_path / "movies" / "film.mp4", frames=30, rate=24, size=(192, 96))
    out = tmp_path / "new"
    done = wanprep("run", str(tmp_path / "movies"), "--out", str(out), "--set", "caption.captioner=qwen3-vl", check=3)
    assert "hf download Qwen/Qwen3-VL-8B-Instruct" in done.stderr
    assert not out.exists()
