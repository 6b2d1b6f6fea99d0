"""What a person says of a clip: wins over every filter, follows its clip, can be taken back, and is never dropped."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from footage import numbered
from hypothesis import given
from hypothesis import strategies as st
from movies import SETTINGS
from PIL import Image

from wanprep import by_hand
from wanprep.cli import cli
from wanprep.dataset import Dataset
from wanprep.judging import judge, labelled, named
from wanprep.pipeline import resolve
from wanprep.run import run
from wanprep.runner import Options
from wanprep.stage import UsageError
from wanprep.stages.filter import FilterConfig
from wanprep.stages.judge import decide as decide_rows
from wanprep.stages.scored import stored

spans = st.tuples(st.integers(0, 50), st.integers(1, 50)).map(lambda span: (span[0], span[0] + span[1]))


def clip(start: int, end: int, source: str = "s") -> dict[str, Any]:
    return {"source_id": source, "start_pts": start, "end_pts": end, "clip_id": f"{source}-{start}-{end}"}


def test_the_latest_counts_and_none_takes_back() -> None:
    one, other = clip(0, 10), clip(10, 30)
    said = [(one, "keep"), (other, "drop"), (one, "drop"), (other, None)]
    events = [by_hand.event_of(c, value, k) for k, (c, value) in enumerate(said)]
    assert by_hand.verdicts(events, [one, other]) == ({one["clip_id"]: "drop"}, [])
    assert len({event["key"] for event in events}) == 4


@given(st.lists(st.tuples(spans, st.sampled_from(["keep", "drop", None])), max_size=12), st.lists(spans, max_size=5))
def test_every_verdict_is_attached_or_told_of(said: list, now: list) -> None:
    clips = [clip(*span) for span in dict.fromkeys(now)]
    events = [by_hand.event_of(clip(*span), value, k) for k, (span, value) in enumerate(said)]
    found, lost = by_hand.verdicts([*events, {"kind": "caption"}], clips)
    assert found.keys() <= {c["clip_id"] for c in clips}
    latest = dict(said)
    for span, value in latest.items():
        exactly = clip(*span)["clip_id"]
        if span in now and [s for s, _ in said if _meets(s, span)] == [span]:  # nothing else was said of it
            assert found.get(exactly) == value
        elif value and not any(_meets(span, s) for s in now):
            assert (*span, value) in {(e["start_pts"], e["end_pts"], e["value"]) for e in lost}


def _meets(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return min(one[1], other[1]) > max(one[0], other[0])


def row(name: str, **more: Any) -> dict[str, Any]:
    good = {"sharpness": 0.3, "smear": 1.0, "shake": 0.0, "motion": 0.5, "light_jump": 0.0}
    return {
        "clip_id": name,
        "source_id": name,
        "group": name,
        "path": name,
        "start_s": 0.0,
        "end_s": 1.0,
        **good,
        **more,
    }


@pytest.fixture(scope="module")
def signature() -> bytes:
    """Of moving footage: two clips with it show the same."""
    import numpy as np

    from wanprep.signals import phash

    draw = np.random.default_rng(0)
    thumbs = np.stack([draw.integers(0, 255, (144, 256, 3), np.uint8) for _ in range(6)])
    tiny = draw.integers(0, 255, (48, 32, 32), np.uint8)
    return phash.clip_signature(thumbs, tiny, np.arange(48) / 16)


def test_a_clip_to_keep_stands_for_its_copies_and_one_to_drop_for_none(signature: bytes) -> None:
    def repeated(**said: str) -> set[str]:
        rows = [row(name, signature=signature, by_hand=said.get(name)) for name in ("a", "b", "c")]
        verdicts = decide_rows(rows, FilterConfig())
        return {verdict.clip_id for verdict in verdicts if "duplicate" in verdict.reasons}

    assert repeated() == {"b", "c"}
    assert repeated(c="keep") == {"a", "b"}
    assert repeated(a="drop") == {"c"}
    blurred = [row("a", signature=signature, sharpness=0.01, by_hand="keep"), row("b", signature=signature)]
    assert [v.reasons for v in decide_rows(blurred, FilterConfig())] == [("blur",), ("duplicate",)]


@pytest.fixture(scope="module")
def filtered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four pictures, two of them blurred to nothing."""
    root = tmp_path_factory.mktemp("judged")
    (root / "pictures").mkdir()
    for number in range(4):
        picture = Image.fromarray(numbered(9 * number, 160, 120))
        if number > 1:
            picture = picture.resize((10, 8)).resize((160, 120))
        picture.save(root / "pictures" / f"{number}.png")
    settings = [*SETTINGS, "filter.duplicate.enabled=false", "filter.blur.enabled=true"]
    dataset = Dataset.create(root / "set", assignments=settings)
    run(dataset, ("split", "fps", "filter", "caption"), Options(workers=1), source=root / "pictures")
    return root / "set"


@pytest.fixture
def root(filtered: Path, tmp_path: Path) -> Path:
    return shutil.copytree(filtered, tmp_path / "set")


def states(root: Path) -> dict[str, tuple[str, list[str]]]:
    rows = Dataset.open(root).manifest.read("clips").to_dicts()
    return {row["path"]: (row["state"], row["reasons"]) for row in rows}


def ids(root: Path) -> dict[str, str]:
    return dict(Dataset.open(root).manifest.read("clips").select("path", "clip_id").iter_rows())


def asked(*arguments: str) -> Any:
    return CliRunner().invoke(cli, ["judge", *arguments], catch_exceptions=False)


def test_it_wins_over_filters_now_and_in_later_runs(root: Path) -> None:
    before, clips, out = states(root), ids(root), ("--out", str(root))
    assert [before[f"{n}.png"][0] for n in range(4)] == ["keep", "keep", "rejected", "rejected"]
    asked("keep", clips["2.png"], *out)
    done = asked("drop", clips["0.png"], clips["3.png"], *out)
    assert "1 clip of 2 decided otherwise" in done.output
    wanted = {
        "0.png": ("rejected", ["by_hand"]), "1.png": ("keep", []), "2.png": ("keep", []),
        "3.png": ("rejected", ["by_hand", "blur"]),
    }  # fmt: skip
    assert states(root) == wanted
    tight = Dataset.open(root, assignments=["filter.blur.threshold=0.9"])
    run(tight, ("filter", "caption"), Options(workers=1))
    assert states(root)["2.png"] == ("keep", [])
    assert states(root)["1.png"] == ("rejected", ["blur"])  # the filter is at work as ever
    assert (root / "captions" / f"{clips['2.png']}.txt").is_file()
    shown = json.loads(asked(*out, "--json").stdout)
    assert {one["path"]: one["by_hand"] for one in shown["clips"]} == {
        "0.png": "drop",
        "2.png": "keep",
        "3.png": "drop",
    }
    asked("auto", clips["0.png"], clips["2.png"], clips["3.png"], *out)
    assert json.loads(asked(*out, "--json").stdout)["clips"] == []
    assert states(root)["2.png"] == ("rejected", ["blur"])


def test_the_same_said_again_is_no_event(root: Path) -> None:
    clips = ids(root)
    judge(Dataset.open(root), "drop", [clips["0.png"]], None)
    count = Dataset.open(root).manifest.read("events").height
    changed, _ = judge(Dataset.open(root), "drop", [clips["0.png"]], None)
    assert not changed
    assert Dataset.open(root).manifest.read("events").height == count


def test_labels_are_stored_all_or_none(root: Path, tmp_path: Path) -> None:
    clips, file = ids(root), tmp_path / "labels.csv"
    file.write_text(f"clip_id,label\n{clips['0.png']},drop\n{clips['2.png'][:10]},keep\nnobody,keep\n")
    with pytest.raises(UsageError, match="nothing was stored"):
        judge(Dataset.open(root), "", [], file)
    assert Dataset.open(root).manifest.read("events").is_empty()
    file.write_text(file.read_text().replace("nobody,keep\n", ""))
    judge(Dataset.open(root), "", [], file)
    assert states(root)["0.png"] == ("rejected", ["by_hand"])
    assert states(root)["2.png"] == ("keep", [])


def test_of_labels_with_a_bad_line_none_is_stored_and_all_bad_ones_are_named(root: Path, tmp_path: Path) -> None:
    clips, file = ids(root), tmp_path / "labels.csv"
    file.write_text(f"clip_id;label\n{clips['0.png']};drop\nnobody;keep\n{clips['1.png']};maybe\n;keep\n")
    with pytest.raises(UsageError) as told:
        judge(Dataset.open(root), "", [], file)
    lines = str(told.value).splitlines()
    assert "nothing was stored" in lines[0]
    assert [line.split(":")[0].strip() for line in lines[1:]] == ["line 3", "line 4", "line 5"]
    assert Dataset.open(root).manifest.read("events").is_empty()
    file.write_text(file.read_text().replace("nobody;keep\n", "").replace("maybe", "keep").replace("\n;keep", ""))
    judge(Dataset.open(root), "", [], file)
    assert states(root)["0.png"] == ("rejected", ["by_hand"])


def test_verdicts_whose_clips_are_gone_are_not_called_none(root: Path) -> None:
    out = ("--out", str(root))
    assert "nobody kept or dropped a clip by hand" in asked(*out).stderr
    dataset = Dataset.open(root)
    rows = dataset.manifest.read("clips").to_dicts()
    gone = [{**rows[k], "start_pts": 10_000 + k, "end_pts": 20_000 + k, "clip_id": f"{k}" * 16} for k in range(2)]
    events = [by_hand.event_of(clip, word, k) for k, (clip, word) in enumerate(zip(gone, ("keep", "drop")))]
    dataset.manifest.append("events", events)
    said = asked(*out).stderr.splitlines()
    assert said == [
        "nobody kept or dropped one of today's clips by hand",
        "2 verdicts on clips that are no more, and come back with them:",
        "  keep 00000000",
        "  drop 11111111",
    ]
    dataset.manifest.append("events", [by_hand.event_of(rows[0], "keep", 2)])
    both = asked(*out)
    assert "nobody" not in both.output
    assert rows[0]["clip_id"][:8] in both.stdout
    assert "2 verdicts" in both.stderr


def test_wrong_names_say_what_is_wrong(root: Path, tmp_path: Path) -> None:
    rows = Dataset.open(root).manifest.read("clips").to_dicts()
    assert named(rows, [rows[0]["clip_id"].upper()]) == rows[:1]
    with pytest.raises(UsageError, match="no clip has an id that starts with 'zz'"):
        named(rows, ["zz"])
    with pytest.raises(UsageError, match="4 clips have an id that starts with ''"):
        named(rows, [""])
    with pytest.raises(UsageError, match="cannot read"):
        labelled(rows, tmp_path / "none.csv")
    assert asked("keep", "--out", str(root)).exit_code == 2


def test_what_split_rejected_is_scored_and_kept() -> None:
    """Without a verdict it stays out; with one, only its scores are wanted."""
    from test_decide import a_source, together
    from test_decide import decide as decided_of

    pipeline = resolve(environment={}, assignments=["family=tiny"])
    source = a_source(pipeline, "a.mp4", "aa", (0, 20, ""), (20, 24, "maybe_mixed"))
    whole = together(source)
    short = next(c for c in decided_of(whole, pipeline).clips if c["start_pts"] == 20)
    assert (short["state"], short["reasons"]) == ("rejected", ["maybe_mixed"])
    events = [by_hand.event_of(short, "keep", 0)]
    unscored = replace(whole, events=events, scores=stored(source["scores"][:1]))
    states = {c["start_pts"]: c["state"] for c in decided_of(unscored, pipeline).clips}
    assert states == {0: "keep", 20: "pending"}
    states = {c["start_pts"]: c["state"] for c in decided_of(replace(whole, events=events), pipeline).clips}
    assert states == {0: "keep", 20: "keep"}


def test_labels_that_contradict_each_other_are_refused(root: Path, tmp_path: Path) -> None:
    clips, file = ids(root), tmp_path / "labels.csv"
    file.write_text(f"clip_id,label\n{clips['0.png']},drop\n{clips['2.png']},keep\n{clips['0.png']},keep\n")
    with pytest.raises(UsageError, match=r"kept and dropped, lines 2 and 4; nothing was stored"):
        judge(Dataset.open(root), "", [], file)
    assert Dataset.open(root).manifest.read("events").is_empty()
