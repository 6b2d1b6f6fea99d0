"""Optional scores and the caption check on the whole path, with a tiny random CLIP and toy heads."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from footage import make_video
from movies import SETTINGS, options, wanprep
from PIL import Image
from tinyclip import build_clip, build_head

from wanprep.captioners import agreement
from wanprep.captioners.agreement import AGREES_LITTLE, DEPARTS
from wanprep.cli import cli
from wanprep.dataset import Dataset
from wanprep.stage import Missing

pytestmark = pytest.mark.xdist_group("looks")
PLAIN = (*(s for s in SETTINGS if not s.startswith("family")), "family=wan2.2-t2v-a14b")  # no weights: no cache
ALL_ON = ("filter.aesthetic.enabled=true", "filter.nsfw.enabled=true", "filter.identity.enabled=true")


def tinted(hue: int, kind: int = 0):
    """A square that moves over one colour: what a random CLIP tells apart best is colour. kind: a shade of it."""

    def picture(number: int, width: int, height: int) -> np.ndarray:
        made = np.full((height, width, 3), 60 + 2 * kind, np.uint8)
        made[..., hue] = 160 + kind
        made[20:40, 4 + 2 * number : 24 + 2 * number] += 40
        return made

    return picture


@pytest.fixture(scope="module")
def movies(tmp_path_factory) -> Path:
    """Ten reddish clips, one of another colour, one still."""
    root = tmp_path_factory.mktemp("in") / "movies"
    root.mkdir()
    for k in range(10):
        make_video(root / f"red{k}.mp4", frames=24, rate=24, size=(96, 64), picture=tinted(0, k))
    make_video(root / "blue.mp4", frames=24, rate=24, size=(96, 64), picture=tinted(2))
    Image.fromarray(tinted(0)(5, 96, 64)).save(root / "red still.png")
    return root


@pytest.fixture(scope="module")
def models(tmp_path_factory) -> Path:
    import torch

    torch.set_num_threads(2)
    root = tmp_path_factory.mktemp("models")
    build_clip(root / "clip")
    build_head(root / "sac+logos+ava1-l14-linearMSE.pth")
    return root


@pytest.fixture(scope="module")
def prepared(movies, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("out") / "dataset"
    settings = (*PLAIN, "filter.duplicate.enabled=false", "filter.text_card.enabled=false")
    wanprep("run", str(movies), *options(out, settings), "--workers", "2")
    return out


@pytest.fixture
def dataset(prepared, tmp_path, models, monkeypatch) -> Path:
    monkeypatch.setenv("WANPREP_MODELS", str(models))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "no hub"))
    return Path(shutil.copytree(prepared, tmp_path / "dataset"))


def run(capsys, *arguments: str, code: int = 0, settings=()) -> dict:
    """The command in this process (torch is loaded once); its JSON."""
    assigned = [part for setting in settings for part in ("--set", setting)]
    ended = 0
    try:
        cli.main([*arguments, *assigned, "--json"], standalone_mode=False)
    except SystemExit as stop:
        ended = stop.code
    except Missing:
        ended = 3
    out = capsys.readouterr()
    assert ended == code, out
    return json.loads(out.out) if out.out else {}


def clips(out: Path) -> dict[str, dict]:
    return {row["path"]: row for row in Dataset.open(out).manifest.read("clips").to_dicts()}


def scores(row) -> dict:
    return json.loads(row["scores"])


def done(report: dict, step: str) -> tuple[int, int]:
    return report["steps"][step]["done"], report["steps"][step]["final"]


def test_off_they_leave_no_trace(prepared):
    for row in clips(prepared).values():
        assert not {"aesthetic", "nsfw", "identity", "likeness"} & set(scores(row))
        assert not {"aesthetic", "nsfw", "identity"} & set(row["unknown"])
    assert not (prepared / "looks").exists()
    assert Dataset.open(prepared).manifest.read("looks").is_empty()


def test_the_odd_one_is_found_and_a_threshold_measures_nothing(dataset, capsys):
    on = ("filter.identity.enabled=true",)
    first = run(capsys, "filter", "--out", str(dataset), settings=on)
    assert done(first, "looks") == (12, 0)
    assert done(first, "appraise") == (12, 0)
    found = clips(dataset)
    assert [path for path, row in found.items() if row["state"] == "rejected"] == ["blue.mp4"]
    assert found["blue.mp4"]["reasons"] == ["identity"]
    value, limit, said = scores(found["blue.mp4"])["identity"]
    assert (limit, said) == (3.5, "reject")
    assert value > 3.5
    assert scores(found["red1.mp4"])["identity"][2] == "keep"
    assert -1 <= scores(found["blue.mp4"])["likeness"][0] < scores(found["red1.mp4"])["likeness"][0] <= 1
    assert "aesthetic" in scores(found["red1.mp4"])  # its head is there, so it is known; off, so it rejects nothing

    again = run(capsys, "filter", "--out", str(dataset), settings=(*on, "filter.identity.threshold=1e6"))
    assert done(again, "looks") == (0, 12)
    assert done(again, "appraise") == (0, 12)
    assert clips(dataset)["blue.mp4"]["state"] == "keep"
    off = run(capsys, "filter", "--out", str(dataset), settings=("filter.identity.enabled=false",))
    assert "looks" not in off["steps"]
    assert clips(dataset)["blue.mp4"]["state"] == "keep"


def test_embeddings_are_those_of_the_pictures_and_one_file_a_clip(dataset, models, capsys):
    run(capsys, "filter", "--out", str(dataset), settings=ALL_ON)
    opened = Dataset.open(dataset)
    rows = opened.manifest.latest("artefacts").filter(pl.col("kind") == "looks").to_dicts()
    assert len(rows) == 12
    from wanprep.models.looks import find_clip, load_clip
    from wanprep.stages.looks import pictures_of, read_embeddings

    clip = load_clip(find_clip(str(models / "clip")), device="cpu")
    by_id = {row["clip_id"]: row for row in clips(dataset).values()}
    for row in rows:
        it = by_id[row["clip_id"]]
        path = Path(opened.roots[next(iter(opened.roots))]) / it["path"]
        span = {name: it[name] for name in ("kind", "start_pts", "end_pts", "crop")}
        pictures = pictures_of(path, count=8, **span)
        assert len(pictures) == (1 if it["kind"] == "image" else 8)
        assert all(p.shape == (64, 96, 3) for p in pictures)
        stored = read_embeddings(dataset, row["path"], row["digest"])
        np.testing.assert_allclose(stored, clip.images(clip.prepared(pictures)), atol=1e-5)
    look = opened.manifest.latest("looks").to_dicts()[0]
    said = json.loads(look["scores"])
    assert 0 <= said["nsfw"] <= 1
    assert len(np.frombuffer(look["embedding"], np.float16)) == 32


def test_another_head_appraises_anew_and_embeds_nothing(dataset, models, tmp_path, capsys):
    on = ("filter.aesthetic.enabled=true", "filter.aesthetic.threshold=-1e6")
    run(capsys, "filter", "--out", str(dataset), settings=on)
    before = scores(clips(dataset)["red1.mp4"])["aesthetic"][0]
    other = build_head(tmp_path / "other.safetensors", seed=9)
    more = (*on, f"filter.looks.aesthetic_head={other}")
    second = run(capsys, "filter", "--out", str(dataset), settings=more)
    assert done(second, "looks") == (0, 12)
    assert done(second, "appraise") == (12, 0)
    assert scores(clips(dataset)["red1.mp4"])["aesthetic"][0] != before
    strict = (*more, f"filter.aesthetic.threshold={before + 1e9}")
    run(capsys, "filter", "--out", str(dataset), settings=strict)
    assert {row["state"] for row in clips(dataset).values()} == {"rejected"}
    back = run(capsys, "filter", "--out", str(dataset), settings=more)  # clips rejected by looks are not forgotten
    assert done(back, "looks") == (0, 12)
    assert {row["state"] for row in clips(dataset).values()} == {"keep"}


def test_reference_pictures_say_who_is_meant(dataset, movies, tmp_path, capsys):
    folder = tmp_path / "who"
    folder.mkdir()
    Image.fromarray(tinted(2)(3, 96, 64)).save(folder / "blue.png")
    settings = ("filter.identity.enabled=true", "filter.identity.threshold=1e6", f"filter.looks.references={folder}")
    run(capsys, "filter", "--out", str(dataset), settings=settings)
    found = {path: scores(row)["likeness"][0] for path, row in clips(dataset).items()}
    assert max(found, key=found.get) == "blue.mp4"
    embedded = Dataset.open(dataset).manifest.latest("artefacts").filter(pl.col("kind") == "looks").height
    assert embedded == 12


def test_weights_that_go_leave_their_scores(dataset, models, tmp_path, capsys, monkeypatch):
    on = ("filter.identity.enabled=true",)
    run(capsys, "filter", "--out", str(dataset), settings=on)
    monkeypatch.setenv("WANPREP_MODELS", str(tmp_path / "nothing"))
    run(capsys, "filter", "--out", str(dataset), settings=on)
    assert clips(dataset)["blue.mp4"]["reasons"] == ["identity"]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("filter.identity.enabled=true", "no image-text model .* hf download timm/vit_large_patch14_clip_224.openai"),
        ("filter.nsfw.enabled=true", "no image-text model"),
    ],
)
def test_asked_for_and_not_there_is_said_before_anything_is_decoded(movies, tmp_path, monkeypatch, setting, message):
    monkeypatch.setenv("WANPREP_MODELS", str(tmp_path / "nothing"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "no hub"))
    out = tmp_path / "new"
    with pytest.raises(Missing, match=message):
        cli.main(["run", str(movies), "--out", str(out), "--set", setting], standalone_mode=False)
    assert not (out / "signals").exists()


def test_heads_that_lack_or_do_not_fit_are_named(dataset, models, tmp_path, monkeypatch):
    (tmp_path / "m").mkdir()
    shutil.copytree(models / "clip", tmp_path / "m" / "clip")
    monkeypatch.setenv("WANPREP_MODELS", str(tmp_path / "m"))
    command = ["filter", "--out", str(dataset), "--set", "filter.aesthetic.enabled=true"]
    with pytest.raises(Missing, match=r"there is no head for it .* Download .*linearMSE\.pth"):
        cli.main(command, standalone_mode=False)
    build_head(tmp_path / "m" / "sac+logos+ava1-l14-linearMSE.safetensors", width=768)
    with pytest.raises(Missing, match="takes 768 numbers, the model clip gives 32"):
        cli.main(command, standalone_mode=False)


def test_an_interrupted_measurement_goes_on(dataset, capsys):
    on = ("filter.identity.enabled=true", "filter.looks.batch_size=2")
    part = run(capsys, "filter", "--out", str(dataset), "--limit", "5", settings=on)
    assert done(part, "looks") == (5, 0)
    assert "identity" in clips(dataset)["red9.mp4"]["unknown"]
    rest = run(capsys, "filter", "--out", str(dataset), settings=on)
    assert done(rest, "looks") == (7, 5)
    assert [path for path, row in clips(dataset).items() if row["state"] == "rejected"] == ["blue.mp4"]


def test_a_broken_source_fails_alone(dataset, movies, tmp_path, capsys):
    moved = Path(shutil.copytree(movies, tmp_path / "movies"))
    (moved / "red3.mp4").write_bytes(b"gone bad")
    text = (dataset / "wanprep.toml").read_text().replace(str(movies), str(moved))
    (dataset / "wanprep.toml").write_text(text)
    report = run(capsys, "filter", "--out", str(dataset), settings=("filter.identity.enabled=true",), code=1)
    (failed,) = report["steps"]["looks"]["failed"]  # not rejected: these are not the bytes that the clip is known by
    assert "red3.mp4" in failed["item"]
    assert done(report, "looks")[0] == 11


# The caption check


def captions(out: Path, **by_path: str) -> None:
    for path, row in clips(out).items():
        text = by_path.get(Path(path).stem.replace(" ", "_"))
        if text is not None:
            (out / "captions" / f"{row['clip_id']}.txt").write_text(text)


def test_the_check_judges_every_text_and_writes_none(dataset, capsys):
    loop = "a red wall and " * 12
    captions(
        dataset, red0="The video shows a red wall.", red1=loop, red2="", red3="ein roter Balken, der sich vor einer "
        "Wand bewegt und dann hinter der Wand verschwindet und nicht mehr zu sehen ist",
        red4="red stripes drift slowly to the left over a red wall in the morning light",
        red5="red stripes drift slowly to the left over a red wall in the morning light!",
        red6="stripes", red7="yellow stripes wander over a plain wall while nothing else happens at all",
    )  # fmt: skip
    ids = {row["clip_id"]: Path(path).stem for path, row in clips(dataset).items()}
    (dataset / "captions" / f"{clips(dataset)['red6.mp4']['clip_id']}.2.txt").write_text("I'm sorry, but I cannot.")
    before = {path.name: path.read_text() for path in (dataset / "captions").glob("*.txt")}
    found = run(capsys, "caption", "--check", "--out", str(dataset), settings=("caption.check.windows=false",))
    flags = {(ids[row["clip_id"]], row["number"]): row["flags"] for row in found["texts"]}
    assert "preamble_stripped" in flags["red0", 1]
    assert "loop" in flags["red1", 1]
    assert flags["red2", 1] == ["empty"]
    assert "wrong_language" in flags["red3", 1]
    assert flags["red4", 1] == flags["red5", 1] == ["near_identical"]
    assert "refusal" in flags["red6", 2]
    assert ("red6", 1) not in flags
    assert ("red7", 1) not in flags  # a good one is not listed
    assert found["captions"] == 13
    assert found["missing"] is None
    assert {path.name: path.read_text() for path in (dataset / "captions").glob("*.txt")} == before
    stored = clips(dataset)
    assert stored["red1.mp4"]["caption"] == loop.strip()  # people's words are theirs
    assert not stored["red1.mp4"]["provisional"]


def test_the_check_without_a_model_says_what_is_missing_after_its_report(dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("WANPREP_MODELS", str(tmp_path / "nothing"))
    found = run(capsys, "caption", "--check", "--out", str(dataset), code=3)
    assert "no image-text model (open_clip) on this machine" in found["missing"]
    assert "hf download" in found["missing"]
    assert found["captions"] == 12


def test_pictures_are_embedded_once_and_an_edit_compares_anew(dataset, capsys, monkeypatch):
    first = run(capsys, "caption", "--check", "--out", str(dataset))
    assert first["clips_compared"] == 12
    files = {path: path.stat().st_mtime_ns for path in (dataset / "looks").rglob("*.safetensors")}
    assert len(files) == 12
    captions(dataset, red0="a blue wall")
    from wanprep import checking

    decoded = []
    real = checking.Agreements._pictures
    monkeypatch.setattr(
        checking.Agreements, "_pictures", lambda self, media: decoded.append(media) or real(self, media)
    )
    again = run(capsys, "caption", "--check", "--out", str(dataset))
    assert again["clips_compared"] == 12
    assert decoded == []
    rows = Dataset.open(dataset).manifest.latest("agreement")
    assert rows.height == 13
    damaged = next(iter(files))
    data = bytearray(damaged.read_bytes())
    data[-1] ^= 1
    damaged.write_bytes(bytes(data))
    captions(dataset, **{f"red{k}": f"a wall, number {k}" for k in range(10)}, blue="b", red_still="s")
    run(capsys, "caption", "--check", "--out", str(dataset))
    assert len(decoded) == 1  # only the damaged file's


def test_cosines_are_those_of_the_model(dataset, models, capsys):
    run(capsys, "caption", "--check", "--out", str(dataset))
    from wanprep.media.probe import probe
    from wanprep.media.read import open_video
    from wanprep.models.looks import find_clip, load_clip

    clip = load_clip(find_clip(str(models / "clip")), device="cpu")
    it = clips(dataset)["red1.mp4"]
    (row,) = (r for r in Dataset.open(dataset).manifest.latest("agreement").to_dicts() if r["clip_id"] == it["clip_id"])
    known = json.loads(row["cosines"])
    sizes = {p.parent.name: p for p in dataset.glob(f"clips/*/{it['clip_id']}.mp4")}
    path = max(sizes.values(), key=lambda p: int(p.parent.name.split("x")[0]))
    with open_video(path, probe(path)) as reader:
        frames = [f.rgb(*map(int, path.parent.name.split("x"))) for f in reader.frames()]
    pictures = clip.images(clip.prepared([frames[k] for k in known["indices"]]))
    expected = clip.texts([it["caption"]]) @ pictures.T
    np.testing.assert_allclose(known["cosines"], expected, atol=1e-4)


def plant(out: Path, values) -> None:
    """Cosines as a good model would find them, in place of the tiny one's."""
    opened = Dataset.open(out)
    samples = opened.manifest.read("samples").to_dicts()
    digests = agreement.largest_media(samples)
    model, config = opened.pipeline.filter.looks, opened.pipeline.caption.check
    rows = []
    for path, clip in clips(out).items():
        frames = max(
            s["start"] + s["frames"] for s in samples if s["clip_id"] == clip["clip_id"] and s["state"] == "ok"
        )
        where = agreement.about(digests[clip["clip_id"]], agreement.captions_of(clip), model, config)
        cosines = values(path, np.arange(frames)).tolist()
        said = json.dumps({"indices": list(range(frames)), "cosines": [cosines]})
        rows.append({"key": f"planted {path}", "outcome": "done", "about": where, "clip_id": clip["clip_id"],
                     "cosines": said})  # fmt: skip
    opened.manifest.append("agreement", rows)


def test_a_window_that_departs_and_a_clip_that_agrees_little_are_flagged(dataset, capsys):
    """`look` makes windows of 1 and 9 frames from the first one, `wide` has none here: more windows are wanted."""
    views = 'views=[{name="w",media="any",resolution=[64,32],frames=[1,5],mode="chunk"}]'
    run(capsys, "bucket", "--out", str(dataset), settings=(views,))

    def values(path, frames):
        level = 0.05 if path == "blue.mp4" else 0.25 + 0.002 * (hash(path) % 3)
        found = np.full(len(frames), level)
        if path == "red2.mp4":
            found[5:10] -= 0.1
        return found

    plant(dataset, values)
    monkey = run(capsys, "caption", "--out", str(dataset))  # any command decides anew
    assert monkey["clips"]["keep"] == 12
    found = clips(dataset)
    assert DEPARTS in found["red2.mp4"]["caption_flags"]
    assert AGREES_LITTLE in found["blue.mp4"]["caption_flags"]
    for path in ("red0.mp4", "red5.mp4", "red still.png"):
        assert not {DEPARTS, AGREES_LITTLE} & set(found[path]["caption_flags"])
    strict = run(capsys, "caption", "--out", str(dataset), settings=("caption.check.drop=0.5",))
    assert strict["clips"]["keep"] == 12
    assert DEPARTS not in clips(dataset)["red2.mp4"]["caption_flags"]
    captions(dataset, red2="another text")  # said of the old caption: gone with it
    run(capsys, "caption", "--out", str(dataset), settings=("caption.check.drop=0.04",))
    assert DEPARTS not in clips(dataset)["red2.mp4"]["caption_flags"]


def test_the_table_for_people(dataset, capsys):
    captions(dataset, red1="loop loop loop loop loop loop loop loop loop loop loop loop")
    cli.main(["caption", "--check", "--out", str(dataset)], standalone_mode=False)
    said = capsys.readouterr().out
    assert "captions to look at" in said
    assert "loop" in said
    assert "12 captions: " in said
