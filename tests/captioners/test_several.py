"""Several captions a clip: their files, who wins, and how often each is shown."""

import json
from collections import Counter
from dataclasses import replace

import pytest
from movies import SETTINGS, options, shots, wanprep

from wanprep.captioners import several
from wanprep.captioners.base import CaptionRequest
from wanprep.captioners.choose import decide
from wanprep.captioners.files import known_files, scan
from wanprep.captioners.publishing import publish
from wanprep.captioners.settings import CaptionConfig
from wanprep.captioners.sidecar import Sidecar
from wanprep.stage import Reject

CLIP = {"clip_id": "c1", "source_id": "s1", "start_pts": 0, "end_pts": 100}
ROW = {"key": "k", "outcome": "done", "origin": "sidecar", "captioner": "sidecar", "text": "a cat", "flags": [], **CLIP}


@pytest.mark.parametrize(
    ("text", "weight", "caption"),
    [
        ("a cat", 1.0, "a cat"),
        ("weight: 0.5\na cat\non a mat", 0.5, "a cat\non a mat"),
        ("Weight = 2\r\na cat\r\n", 2.0, "a cat"),
        ("weight: 0\na cat", 0.0, "a cat"),
        ("weight: 3", 3.0, ""),
        ("weight lifting: a man in a gym", 1.0, "weight lifting: a man in a gym"),
        ("weightless, a cat", 1.0, "weightless, a cat"),
    ],
)
def test_the_first_line_may_hold_the_weight(text, weight, caption):
    assert several.split_weight(text) == (weight, caption)


@pytest.mark.parametrize("text", ["weight: many\na cat", "weight: -1\na cat", "weight: nan\na", "weight: inf\na"])
def test_a_weight_that_is_none_is_refused(text):
    with pytest.raises(Reject, match="caption_weight"):
        several.split_weight(text)


@pytest.mark.parametrize(("stem", "parts"), [("a1", ("a1", 1)), ("a1.2", ("a1", 2)), ("a1.12", ("a1", 12))])
def test_stems_are_told_apart(stem, parts):
    assert several.clip_of(stem) == parts
    assert several.stem_of(*parts) == stem
    assert several.number_of(several.event_kind(parts[1])) == parts[1]


def test_number_one_and_leading_zeros_are_no_numbers():
    assert several.clip_of("a1.1") == ("a1.1", 1)
    assert several.clip_of("a1.02") == ("a1.02", 1)
    assert several.number_of("keep") is None


class World:
    """One run a `step`: scan, record, decide by the real rules, publish."""

    def __init__(self, folder):
        self.folder, self.published, self.events = folder, [], []

    def step(self, more=()):
        found = scan(self.folder, [CLIP], known_files(self.published))
        self.events += found.events
        self.published += found.seen
        rows = [{**ROW, "more": json.dumps(list(more)) if more else None}]
        self.chosen = decide([CLIP], rows, self.events, CaptionConfig(trigger="frung", separator=", "))
        publish(self.folder, [CLIP], self.chosen, known_files(self.published), self.published.extend)
        return found

    @property
    def files(self):
        return {path.name: path.read_text().rstrip() for path in self.folder.glob("*.txt")}

    @property
    def more(self):
        return [(c.number, c.weight, c.text, c.origin) for c in self.chosen["c1"].more]

    def write(self, name, text):
        (self.folder / name).write_text(text)


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    world.step()
    return world


def test_a_file_typed_beside_the_first_is_another_caption(world):
    world.write("c1.2.txt", "weight: 0.5\na [trigger] cat on a mat\n")
    found = world.step()
    assert [(event["kind"], event["clip_id"]) for event in found.events] == [("caption_2", "c1")]
    assert world.more == [(2, 0.5, "frung, a frung cat on a mat", "human")]
    assert world.files == {"c1.txt": "frung, a cat", "c1.2.txt": "weight: 0.5\na [trigger] cat on a mat"}
    assert world.chosen["c1"].text == "frung, a cat"
    before = len(world.events), len(world.published)
    world.step()
    assert (len(world.events), len(world.published)) == before  # nothing is recorded twice


def test_deleting_or_emptying_it_takes_it_back_and_typing_it_again_brings_it(world):
    for take_back in (lambda p: p.unlink(), lambda p: p.write_text("")):
        world.write("c1.2.txt", "a tom")
        world.step()
        assert [entry[2] for entry in world.more] == ["frung, a tom"]
        take_back(world.folder / "c1.2.txt")
        world.step()
        assert world.more == []
        count = len(world.events)
        world.step()
        assert len(world.events) == count


def test_a_lost_folder_is_no_decision(world):
    world.write("c1.2.txt", "a tom")
    world.step()
    for path in world.folder.glob("*.txt"):
        path.unlink()
    world.step()
    assert world.files == {"c1.txt": "frung, a cat", "c1.2.txt": "a tom"}


def test_captions_that_came_with_the_source_are_published_and_edits_of_them_win(world):
    world.step(more=["weight: 3\na tom", "a kitten"])
    assert world.files["c1.2.txt"] == "weight: 3\nfrung, a tom"
    assert world.files["c1.3.txt"] == "frung, a kitten"
    world.write("c1.2.txt", "weight: 2\nan old tom")
    world.step(more=["weight: 3\na tom", "a kitten"])
    world.step(more=["weight: 9\nanother tom", "a kitten"])  # the source's file changes: the edit stays
    assert world.more == [(2, 2.0, "frung, an old tom", "human"), (3, 1.0, "frung, a kitten", "sidecar")]
    assert world.files["c1.2.txt"] == "weight: 2\nan old tom"
    world.step()  # the source's files go: ours goes with it, the edit stays
    assert world.more == [(2, 2.0, "frung, an old tom", "human")]
    assert set(world.files) == {"c1.txt", "c1.2.txt"}
    world.step(more=["a tom", "a kitten"])  # and comes back
    assert world.files["c1.3.txt"] == "frung, a kitten"


def test_a_deleted_caption_of_the_source_stays_away(world):
    world.step(more=["a tom"])
    (world.folder / "c1.2.txt").unlink()
    world.step(more=["a tom"])
    world.step(more=["a tom"])
    assert world.more == []
    assert set(world.files) == {"c1.txt"}


@pytest.mark.parametrize("point", [0, 1])
def test_killed_while_a_file_of_ours_is_withdrawn(world, point):
    """Killed after the intent is recorded, before or after the file goes: never taken for somebody's decision."""
    world.step(more=["a tom"])

    class Killed(BaseException):
        pass

    def record(rows):
        if point == 0 or rows[0]["kind"] == "written":
            world.published.extend(rows if point == 0 else [])
            raise Killed
        world.published.extend(rows)

    chosen = {"c1": replace(world.chosen["c1"], more=())}
    with pytest.raises(Killed):
        publish(world.folder, [CLIP], chosen, known_files(world.published), record)
    assert ("c1.2.txt" in world.files) == (point == 0)
    events = len(world.events)
    world.step()
    assert len(world.events) == events
    assert set(world.files) == {"c1.txt"}
    world.step(more=["a tom"])
    assert world.more


def test_unusable_files_are_named_and_change_nothing(world):
    world.write("c1.2.txt", "weight: lots\na tom")
    found = world.step()
    assert "caption_weight" in found.unused["c1.2"]
    assert world.more == []
    world.write("zz.2.txt", "of no clip")
    assert world.step().unknown == ("zz.2.txt",)


def test_equal_captions_and_weight_zero_are_no_other_captions(world):
    world.step(more=["a cat", "weight: 0\na tom", "frung, a kitten", "a kitten"])
    assert world.more == [(4, 1.0, "frung, a kitten", "sidecar")]


def test_a_number_that_is_missing_stays_missing(world):
    world.step(more=["", "", "a tom"])
    assert [number for number, *_ in world.more] == [4]


def test_a_weight_before_the_first_caption_is_no_part_of_it(world):
    for typed, said in (("weight: 0.5\na pier", "a pier"), ("weight: heavy\na pier", "weight: heavy a pier")):
        row = {**ROW, "text": typed}
        assert decide([CLIP], [row], [], CaptionConfig())["c1"].text == said
        world.write("c1.txt", typed)
        world.step()
        assert world.chosen["c1"].text == f"frung, {said}"
        assert world.files["c1.txt"] == typed


def test_texts_beside_a_source(tmp_path):
    (tmp_path / "film.mp4").touch()
    (tmp_path / "film.txt").write_text("one")
    (tmp_path / "film.2.txt").write_text("weight: 0.5\ntwo")
    (tmp_path / "film.4.txt").write_text("behind a gap")
    captioner = Sidecar()
    request = CaptionRequest(
        clip_id="c", source_path=tmp_path / "film.mp4", source_rel="film.mp4", group="", start_s=0, end_s=1
    )
    before = captioner.inputs(request)
    assert captioner.caption(request).more == ("weight: 0.5\ntwo", "", "behind a gap")
    (tmp_path / "film.2.txt").write_text("weight: 0.25\ntwo")
    assert captioner.inputs(request) != before
    (tmp_path / "film.4.txt").unlink()
    (tmp_path / "film.2019.txt").write_text("of a film of its own, perhaps")
    assert captioner.caption(request).more == ("weight: 0.25\ntwo",)
    (tmp_path / "film.2.mp4").touch()  # the text is this film's own
    assert captioner.caption(request).more == ()
    assert captioner.inputs(request) == {"digest": before["digest"]}  # as ever, without others
    (tmp_path / "film.2.mp4").unlink()
    (tmp_path / "film.2.txt").write_text("weight: x\ntwo")
    with pytest.raises(Reject, match="caption_weight"):
        captioner.caption(request)


# Drawing


def sample(weights, name="s1"):
    from wanprep.cached import CachedSample, OtherText

    others = tuple(
        OtherText(caption=f"other {k}", weight=weight, text_path=f"o{k}", text_digest=f"d{k}", class_path=f"k{k}")
        for k, weight in enumerate(weights)
    )
    span = {"source_id": "s", "group": "g", "view": "v", "width": 64, "height": 64, "frames": 5}
    file = {"latent_path": "l", "latent_digest": "x", "text_path": "first", "text_digest": "y", "caption": "first"}
    return CachedSample(sample_id=name, clip_id="c", repeats=2, weight=1.0, others=others, **span, **file)


@pytest.mark.parametrize("weights", [(1.0,), (0.5,), (3.0, 0.25), (0.1, 0.1, 0.1)])
def test_captions_are_shown_as_often_as_they_weigh(weights):
    from wantrain.data import with_caption

    visits, total = 200, 1 + sum(weights)
    for name in ("s1", "s2", "s3"):
        shown = Counter(with_caption(sample(weights, name), 7, visit).caption for visit in range(visits))
        for caption, weight in zip(("first", *(f"other {k}" for k in range(9))), (1.0, *weights)):
            assert abs(shown[caption] - visits * weight / total) <= 4  # independent draws stray by 14 and more
    assert with_caption(sample(()), 7, 3).caption == "first"


def test_a_drawn_caption_brings_its_own_files():
    from wantrain.data import with_caption

    shown = [with_caption(sample((2.0,)), 0, visit) for visit in range(20)]
    assert {(s.caption, s.text_path, s.text_digest, s.class_path) for s in shown} == {
        ("first", "first", "y", ""),
        ("other 0", "o0", "d0", "k0"),
    }
    assert all(s.others == () for s in shown)


def test_a_cursor_taken_up_anywhere_shows_the_same_captions():
    from wanprep.cached import CachedDataset
    from wanprep.families import family
    from wantrain.data import Cursor

    samples = [sample((1.0, 0.5), f"s{k}") for k in range(3)]
    dataset = CachedDataset(".", family("tiny"), samples, ("e", "d"))

    def cursor(**place):
        return Cursor(dataset=dataset, allowed=frozenset(range(3)), seed=5, batch_size=2, **place)

    whole = cursor()
    said = []
    for _ in range(24):
        place = {"epoch": whole.epoch, "position": whole.position}
        said.append((place, [(s.sample_id, s.caption) for s in whole.next_samples()]))
    for place, expected in said:
        assert [(s.sample_id, s.caption) for s in cursor(**place).next_samples()] == expected
    captions = Counter(caption for _, batch in said for _, caption in batch)
    assert set(captions) == {"first", "other 0", "other 1"}
    other_seed = Cursor(dataset=dataset, allowed=frozenset(range(3)), seed=6, batch_size=2)
    assert [[(s.sample_id, s.caption) for s in other_seed.next_samples()] for _ in range(24)] != [b for _, b in said]


def test_one_sample_twice_in_a_batch_is_two_visits():
    from wanprep.cached import CachedDataset
    from wanprep.families import family
    from wantrain.data import Cursor, with_caption

    only = sample((1.0,))
    dataset = CachedDataset(".", family("tiny"), [only], ("e", "d"))
    cursor = Cursor(dataset=dataset, allowed=frozenset([0]), seed=1, batch_size=2)
    shown = [s.caption for _ in range(4) for s in cursor.next_samples()]
    assert shown == [with_caption(only, 1, visit).caption for visit in range(8)]


def test_the_fingerprint_notices_other_captions_and_no_others_change_nothing():
    from wanprep.cached import CachedDataset
    from wanprep.families import family

    prints = [
        CachedDataset(".", family("tiny"), [sample(weights)], ("e", "d")).fingerprint for weights in ((), (1,), (2,))
    ]
    assert len(set(prints)) == 3


# The whole path


def test_every_caption_is_encoded_and_handed_to_the_trainer(tmp_path):
    from footage import make_video

    from wanprep.dataset import Dataset, open_cached

    source = tmp_path / "movies"
    source.mkdir()
    make_video(source / "film.mp4", frames=72, rate=24, size=(192, 96), picture=shots)
    (source / "_default.txt").write_text("a wash of colour by [trigger]")
    (source / "_default.2.txt").write_text("weight: 0.5\ncolours")
    out = tmp_path / "dataset"
    settings = (*SETTINGS, 'caption.trigger="frung"', 'caption.separator=", "', 'caption.class_word="painter"')
    wanprep("run", str(source), *options(out, settings), "--workers", "2")
    clips = Dataset.open(out).manifest.read("clips").to_dicts()
    by_hand, other = clips[0]["clip_id"], clips[1]["clip_id"]
    assert (out / "captions" / f"{other}.2.txt").read_text() == "weight: 0.5\nfrung, colours\n"

    (out / "captions" / f"{by_hand}.3.txt").write_text("weight: 2\na third, by hand\n")
    wanprep("caption", "--out", str(out))
    pending = {row["cache_state"] for row in as_rows(out, "samples") if row["clip_id"] == by_hand}
    assert pending == {"pending"}  # until its third caption is encoded too
    wanprep("cache", "--out", str(out))
    cached = open_cached(out)
    assert cached.pending == 0
    for s in cached.samples:
        assert s.caption == "frung, a wash of colour by frung"
        said = [(o.caption, o.weight) for o in s.others]
        third = [("frung, a third, by hand", 2.0)] if s.clip_id == by_hand else []
        assert said == [("frung, colours", 0.5), *third]
        for other_text in s.others:
            shown = replace(s, text_path=other_text.text_path, text_digest=other_text.text_digest)
            assert cached.text(shown).shape == (512, cached.family.text_dim)
            assert other_text.class_path  # preservation knows each caption's class twin
            assert not (cached.text(shown) == cached.text(s)).all()
    flat = {row["clip_id"]: row["more_captions"] for row in read_flat(out)}
    assert [row["weight"] for row in json.loads(flat[by_hand])] == [0.5, 2.0]
    wanprep("status", "--out", str(out))


def as_rows(out, table):
    from wanprep.dataset import Dataset

    return Dataset.open(out).manifest.read(table).to_dicts()


def read_flat(out):
    import polars as pl

    return pl.read_parquet(out / "manifest.parquet").to_dicts()


def test_a_mirrored_sample_minds_every_caption():
    from wanprep.stages.sides import names_a_side

    assert names_a_side("a cat | she looks to the left")  # as decide joins them
    assert not names_a_side("a cat | she looks up")
