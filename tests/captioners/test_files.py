"""Edits by hand are never lost and never made up, wherever the process is killed."""

import os
import socket

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from wanprep.captioners import files, publishing
from wanprep.captioners.files import Chosen, known_files, scan, text_digest
from wanprep.captioners.publishing import publish

CLIP = {"clip_id": "c1", "source_id": "s1", "start_pts": 0, "end_pts": 100}
ANCHOR = {name: CLIP[name] for name in files.ANCHOR}


def auto(text):
    return Chosen(text=text, raw=text, origin="template")


def human(text):
    return Chosen(text=f"trigger, {text}", raw=text, origin="human")


class Killed(BaseException):
    pass


class World:
    """A captions folder and its two tables; `step` is one run: scan, record, decide, publish."""

    def __init__(self, folder):
        self.folder = folder
        self.published: list[dict] = []
        self.events: list[dict] = []

    @property
    def path(self):
        return self.folder / "c1.txt"

    @property
    def text(self):
        return self.path.read_text().rstrip("\n")

    def scan(self):
        return scan(self.folder, [CLIP], known_files(self.published))

    def step(self, automatic, clips=(CLIP,)):
        found = self.scan()
        self.events += found.events
        self.published += found.seen
        last = self.events[-1]["value"] if self.events else None
        chosen = auto(automatic) if last is None else human(last)
        known = known_files(self.published)
        return publish(self.folder, clips, {"c1": chosen}, known, self.published.extend)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_written_once_then_left(world):
    assert world.step("one") == ("c1",)
    assert world.text == "one"
    rows = len(world.published)
    assert world.step("one") == ()
    assert len(world.published) == rows
    assert world.step("two") == ("c1",)
    assert world.text == "two"
    assert not world.events


def test_edit_becomes_an_event_and_the_file_stays(world):
    world.step("one")
    world.path.write_text("by hand")
    world.step("two")
    assert [(e["value"], e["kind"], e["origin"]) for e in world.events] == [("by hand", "caption", "human")]
    assert {name: world.events[0][name] for name in files.ANCHOR} == ANCHOR
    assert world.path.read_bytes() == b"by hand"  # not even a line end added
    world.step("three")
    assert len(world.events) == 1
    world.path.write_text("by hand, again")
    world.step("three")
    assert [e["value"] for e in world.events] == ["by hand", "by hand, again"]


def test_old_text_typed_back_is_an_edit(world):
    world.step("one")
    world.step("two")
    world.path.write_text("one\n")
    world.step("two")
    assert [e["value"] for e in world.events] == ["one"]
    assert world.text == "one"


def test_editors_line_ends_are_no_edit(world):
    world.step("one\ntwo")
    for data in (b"one\ntwo", b"one\r\ntwo\r\n", b"\xef\xbb\xbfone\ntwo\n\n"):
        world.path.write_bytes(data)
        assert not world.scan().events
    world.path.write_bytes(b"one two\n")
    assert world.scan().events  # the negative control


def test_deleted_files_come_back(world):
    world.step("one")
    world.path.unlink()
    world.step("one")
    assert world.text == "one"
    world.path.write_text("by hand")
    world.step("one")
    world.path.unlink()
    world.step("one")
    assert world.text == "by hand"
    assert len(world.events) == 1


def test_edit_between_scan_and_write_is_left_for_the_next_scan(world):
    world.step("one")

    def record(rows):
        world.published.extend(rows)
        world.path.write_text("typed just now")

    known = known_files(world.published)
    assert publish(world.folder, [CLIP], {"c1": auto("two")}, known, record) == ()
    assert world.text == "typed just now"
    world.step("two")
    assert [e["value"] for e in world.events] == ["typed just now"]


def test_automatic_caption_never_replaces_an_edit_even_if_its_event_is_not_handed_over(world):
    world.step("one")
    world.path.write_text("by hand")
    world.step("one")
    known = known_files(world.published)
    assert publish(world.folder, [CLIP], {"c1": auto("two")}, known, world.published.extend) == ()
    assert world.text == "by hand"
    newer = human("from review")
    assert publish(world.folder, [CLIP], {"c1": newer}, known, world.published.extend) == ("c1",)
    assert world.text == "from review"
    assert not world.scan().events


def test_edit_of_a_clip_that_is_gone_keeps_its_anchor(world):
    world.step("one")
    world.path.write_text("by hand")
    found = scan(world.folder, [], known_files(world.published))
    assert {name: found.events[0][name] for name in files.ANCHOR} == ANCHOR


def test_files_without_rows(world):
    world.path.write_text("put here by somebody")
    (world.folder / "other.txt").write_text("of no clip")
    found = world.scan()
    assert found.unknown == ("other.txt",)
    assert [e["value"] for e in found.events] == ["put here by somebody"]
    publish(world.folder, [CLIP], {"c1": auto("one")}, {}, world.published.extend)
    assert world.text == "put here by somebody"


def test_new_manifest_takes_over_equal_files(world):
    world.path.write_text("one\n")
    publish(world.folder, [CLIP], {"c1": auto("one")}, {}, world.published.extend)
    assert not world.scan().events
    world.step("two")
    assert world.text == "two"


@pytest.mark.parametrize("data", ["Mädchen".encode("latin-1"), "girl".encode("utf-16-le"), b"x" * 70_000])
def test_what_cannot_be_read_is_an_event_and_left(world, data):
    world.step("one")
    world.path.write_bytes(data)
    found = world.scan()
    (event,) = found.events
    assert event["origin"] == files.DAMAGED
    assert event["value"] == found.damaged["c1"]
    assert not event["value"].split(":", 1)[1].startswith((" c1.txt", " :"))  # not the file's name a second time
    world.published += found.seen
    assert not world.scan().events  # once
    assert world.scan().damaged  # but told again
    publish(world.folder, [CLIP], {"c1": auto("two")}, known_files(world.published), world.published.extend)
    assert world.path.read_bytes() == data
    world.path.write_text("mended")
    assert [(e["value"], e["origin"]) for e in world.scan().events] == [("mended", "human")]


def test_utf16_that_says_so_is_a_text(world):
    world.step("one")
    for encoding in ("utf-16", "utf-8-sig"):
        world.path.write_bytes("one\r\n".encode(encoding))
        assert not world.scan().events  # saved otherwise, and not edited
    world.path.write_bytes("Mädchen".encode("utf-16"))
    assert [e["value"] for e in world.scan().events] == ["Mädchen"]


@pytest.mark.parametrize("what", ["folder", "pipe", "socket", "dangling link", "link to itself"])
def test_what_is_no_file_is_named_and_left(world, what, monkeypatch):
    world.step("one")
    world.path.unlink()
    if what == "folder":
        world.path.mkdir()
    elif what == "pipe":
        os.mkfifo(world.path)  # who opens it waits for ever
    elif what == "socket":
        monkeypatch.chdir(world.folder)  # its name may be 108 bytes long
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(world.path.name)
    else:
        world.path.symlink_to("nowhere" if what == "dangling link" else world.path.name)
    before = world.path.lstat()
    found = scan(world.folder, [CLIP], known_files(world.published), missing=["c1"])
    assert found.unused.keys() == {"c1"}
    assert not found.events  # it was not deleted either
    world.step("two")
    assert world.path.lstat().st_mode == before.st_mode


def test_deleting_an_edited_file_takes_the_edit_back(world):
    world.step("one")
    world.path.write_text("by hand")
    world.step("one")
    world.path.unlink()
    known = known_files(world.published)
    lost = scan(world.folder, [CLIP], known, missing=["c1"], lost=True)
    assert (lost.events, lost.lost) == ((), ("c1",))
    assert not scan(world.folder, [CLIP], known).events  # nobody says that it was by hand
    found = scan(world.folder, [CLIP], known, missing=["c1"])
    assert [(e["value"], e["kind"]) for e in found.events] == [(None, "caption")]
    world.events += found.events
    world.published += found.seen
    world.step("two")
    assert world.text == "two"
    assert not world.scan().events
    world.path.write_text("by hand")  # again: another event
    world.step("two")
    assert [e["value"] for e in world.events] == ["by hand", None, "by hand"]
    assert len({e["key"] for e in world.events}) == 3


@pytest.mark.parametrize("point", ["after intent", "before rename", "after rename", "before written"])
@pytest.mark.parametrize("first", [True, False])
def test_killed_while_publishing(world, monkeypatch, point, first):
    if not first:
        world.step("zero")
    calls = []
    write = publishing.write_atomic

    def record(rows):
        calls.append(rows)
        if point == "before written" and len(calls) == 2:
            raise Killed
        world.published.extend(rows)
        if point == "after intent":
            raise Killed

    def killing(path, data):
        if point == "before rename":
            raise Killed
        write(path, data)
        if point == "after rename":
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(publishing, "write_atomic", killing)
        with pytest.raises(Killed):
            publish(world.folder, [CLIP], {"c1": auto("one")}, known_files(world.published), record)
    assert not world.scan().events  # nobody typed
    world.step("two")
    assert not world.events
    assert world.text == "two"
    world.path.write_text("one\n" if not first else "by hand\n")
    world.step("two")
    assert len(world.events) == 1  # and what is typed now is seen, even a text we once meant to write


def test_an_abandoned_intent_is_settled_by_the_next_run(world):
    world.step("zero")

    def record(rows):
        world.published.extend(rows)
        raise Killed

    with pytest.raises(Killed):
        publish(world.folder, [CLIP], {"c1": auto("one")}, known_files(world.published), record)
    world.step("zero")
    world.path.write_text("one")
    world.step("zero")
    assert [e["value"] for e in world.events] == ["one"]


def test_killed_between_event_and_seen_is_one_event(world):
    world.step("one")
    world.path.write_text("by hand")
    world.events += world.scan().events  # killed here: the seen row is not recorded
    again = world.scan()
    assert [e["key"] for e in again.events] == [e["key"] for e in world.events]
    world.published += again.seen
    world.path.write_text("one")
    world.events += world.scan().events
    world.published += world.scan().seen
    world.path.write_text("by hand")
    assert world.scan().events[0]["key"] != world.events[0]["key"]  # typed again later: a new decision


def test_text_digest_ignores_only_line_ends():
    assert text_digest("a\r\nb\n") == text_digest("a\nb")
    assert text_digest("a b") != text_digest("a  b")


class Captions(RuleBasedStateMachine):
    """Runs, kills and edits in any order: the last thing typed is always in the file and the last event."""

    def __init__(self):
        super().__init__()
        import tempfile
        from pathlib import Path

        self.temporary = tempfile.TemporaryDirectory()
        self.world = World(Path(self.temporary.name))
        self.typed: list[str] = []
        self.pending: set[str] = set()

    def teardown(self):
        self.temporary.cleanup()

    @rule(text=st.sampled_from(["one", "two", "three"]))
    def run(self, text):
        self.world.step(text)
        assert [e["value"] for e in self.world.events] == self.typed
        assert self.world.text == (self.typed[-1] if self.typed else text)

    @rule(text=st.sampled_from(["one", "two", "three"]), budget=st.integers(0, 3))
    def killed_run(self, text, budget):
        world, left = self.world, [budget]
        append, write = world.published, publishing.write_atomic

        def spend():
            left[0] -= 1
            if left[0] < 0:
                raise Killed

        class Rows(list):
            def extend(self, rows):
                spend()
                super().extend(rows)

        def writing(path, data):
            spend()
            write(path, data)
            spend()

        world.published = Rows(append)
        publishing.write_atomic = writing
        try:
            world.step(text)
        except Killed:
            pass
        finally:
            publishing.write_atomic = write
            world.published = list(world.published)

    @precondition(lambda self: self.world.path.exists())
    @rule(text=st.sampled_from(["one", "two", "by hand"]))
    def edit(self, text):
        known = known_files(self.world.published).get("c1")
        if known is None or text_digest(text) not in known.ours:  # typing what is about to be written is no edit
            self.world.path.write_text(text)
            found = self.world.scan().events
            assert [e["value"] for e in found] == [text]
            self.world.step("one")
            self.typed.append(text)

    @invariant()
    def nobody_else_typed(self):
        assert [e["value"] for e in self.world.events] == self.typed
        assert not self.world.scan().events


TestCaptions = Captions.TestCase
TestCaptions.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
