import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from footage import make_video, run_ffmpeg

from wanprep import run as runs
from wanprep.dataset import Dataset
from wanprep.known import take_sources
from wanprep.media.probe import probe
from wanprep.runner import Options
from wanprep.scan import Hash, list_sources
from wanprep.stage import Reject, UsageError


def touch(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_lists_movies_pictures_and_sound_and_counts_the_rest(tmp_path: Path) -> None:
    for name in ("b/two.MKV", "b/two.txt", "one.mp4", "still.png", "song.mp3", "notes.md", ".hidden.mp4", ".git/x.mp4"):
        touch(tmp_path / name)
    listing = list_sources(tmp_path)
    assert [row["path"] for row in listing.rows] == ["b/two.MKV", "one.mp4", "song.mp3", "still.png"]
    assert [row["group"] for row in listing.rows] == ["b", tmp_path.name, tmp_path.name, tmp_path.name]
    assert dict(listing.ignored) == {".txt": 1, ".md": 1}


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_missing_or_empty_source_is_a_usage_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=name):
        list_sources(tmp_path / name)


@pytest.fixture
def lock(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Folders that this user may not list from now on; tests may run as root, for whom permissions do not count."""
    real = {name: getattr(os, name) for name in ("scandir", "listdir")}

    def lock(*folders: Path) -> None:
        def refusing(name: str) -> Callable[..., Any]:
            def call(path: Any = ".") -> Any:
                if isinstance(path, str | Path) and Path(path) in folders:
                    raise PermissionError(errno.EACCES, "Permission denied", str(path))
                return real[name](path)

            return call

        for name in real:
            monkeypatch.setattr(os, name, refusing(name))

    return lock


def test_a_folder_that_cannot_be_listed_fails_by_name_and_its_movies_stay(tmp_path: Path, lock: Any) -> None:
    movies, out = tmp_path / "movies", tmp_path / "out"
    make_video(touch(movies / "a.mp4"), frames=20, size=(96, 48))
    make_video(touch(movies / "locked" / "b.mp4"), frames=21, size=(96, 48))
    touch(movies / "lost+found" / "c.mp4")

    def run() -> tuple[list[str], dict[str, str]]:
        summary = runs.run(Dataset.create(out, assignments=["family=tiny"]), ("split",), Options(), source=movies)
        rows = Dataset.open(out).manifest.read("sources").to_dicts()
        return [" ".join(failure) for failure in summary.failed], {row["path"]: row["state"] for row in rows}

    lock(movies / "locked", movies / "lost+found")
    (failed,), states = run()
    asked = "Give yourself the right to it (chmod, chown), then run again"
    assert failed == f"locked/ PermissionError: Permission denied: {movies / 'locked'}. {asked}"
    assert states == {"a.mp4": "ok", "locked/": "failed"}
    lock()
    assert run() == ([], {"a.mp4": "ok", "locked/b.mp4": "ok"})  # the folder itself was never a source
    lock(movies / "locked")
    (failed,), states = run()
    assert "locked" in failed
    assert states == {"a.mp4": "ok", "locked/": "failed", "locked/b.mp4": "ok"}  # nobody knows that it is gone
    lock()
    shutil.rmtree(movies / "locked")
    assert run() == ([], {"a.mp4": "ok", "locked/b.mp4": "gone"})


def test_a_source_that_cannot_be_listed_is_a_usage_error(tmp_path: Path, lock: Any) -> None:
    lock(tmp_path)
    with pytest.raises(UsageError, match="cannot be listed: Permission denied"):
        list_sources(tmp_path)


def test_one_file_is_a_source_too(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp4")
    touch(tmp_path / "b.mp4")
    assert [row["path"] for row in list_sources(tmp_path / "a.mp4").rows] == ["a.mp4"]


def test_a_dataset_inside_the_source_is_not_scanned(tmp_path: Path) -> None:
    touch(tmp_path / "a.mp4")
    touch(tmp_path / "dataset" / "wanprep.toml")
    touch(tmp_path / "dataset" / "clips" / "16x16" / "c.mp4")
    assert [row["path"] for row in list_sources(tmp_path).rows] == ["a.mp4"]


def test_links_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path / "real" / "a.mp4")
    (tmp_path / "real" / "loop").symlink_to(tmp_path)
    (tmp_path / "again").symlink_to(tmp_path / "real")
    found = [row["path"] for row in list_sources(tmp_path).rows]
    assert len(found) == 1


@pytest.mark.parametrize(
    "name",
    ["-i.mp4", "%03d.mp4", "http:x.mp4", "new\nline.mp4", "émoji 🎬.mp4", "CON.mp4", "a" * 250 + ".mp4", "'\".mp4"],
)
def test_odd_names_survive_the_tables(tmp_path: Path, name: str) -> None:
    touch(tmp_path / "movies" / name, b"bytes")
    dataset = Dataset.create(tmp_path / "out", assignments=["family=tiny"])
    take_sources(dataset, tmp_path / "movies")
    row = dataset.manifest.read("sources").to_dicts()[0]
    assert row["path"] == name
    assert dataset.source_path(row).read_bytes() == b"bytes"


def test_names_that_are_not_utf8_are_rejected_by_name(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/caf\xe9.mp4"
    Path(os.fsdecode(folder)).write_bytes(b"x")
    row = list_sources(tmp_path).rows[0]
    assert row["path"] == "caf\\xe9.mp4"
    with pytest.raises(Reject, match="name_not_utf8"):
        Hash().measure({"path": str(tmp_path / row["path"])}, {"key": None})


def test_special_files_are_rejected_without_being_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nothing")
    for name, reason in (("pipe.mp4", "not_a_file"), ("gone.mp4", "broken_link")):
        with pytest.raises(Reject, match=reason):
            Hash().measure({"path": str(tmp_path / name)}, {"key": None})


def test_a_link_to_itself_is_called_one(tmp_path: Path) -> None:
    for name, target, said in (("self.mp4", "self.mp4", "itself"), ("gone.mp4", "nowhere", "nothing")):
        (tmp_path / name).symlink_to(target)
        with pytest.raises(Reject, match=f"broken_link: the link points to {said}"):
            list(Hash().measure({"path": str(tmp_path / name)}, {"k": None}))


def test_a_file_that_went_since_it_was_listed_is_no_link(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):  # failed, so tried again: its bytes are not at fault
        list(Hash().measure({"path": str(tmp_path / "went.mp4")}, {"k": None}))


def test_rescan_marks_what_is_gone_and_keeps_other_roots(tmp_path: Path) -> None:
    touch(tmp_path / "one" / "a.mp4")
    touch(tmp_path / "one" / "b.mp4")
    touch(tmp_path / "two" / "c.mp4")
    dataset = Dataset.create(tmp_path / "out", assignments=["family=tiny"])
    take_sources(dataset, tmp_path / "one")
    take_sources(dataset, tmp_path / "two")
    (tmp_path / "one" / "b.mp4").unlink()
    take_sources(dataset, tmp_path / "one")
    states = {row["path"]: row["state"] for row in dataset.manifest.read("sources").to_dicts()}
    assert states == {"a.mp4": "pending", "b.mp4": "gone", "c.mp4": "pending"}
    items = Hash().items(dataset)
    assert sorted(item.label for item in items) == ["a.mp4", "c.mp4"]


def test_a_folder_that_moves_takes_its_sources_along_and_brings_them_back(tmp_path: Path) -> None:
    touch(tmp_path / "one" / "a.mp4")
    touch(tmp_path / "other" / "c.mp4")
    dataset = Dataset.create(tmp_path / "out", assignments=["family=tiny"])
    take_sources(dataset, tmp_path / "other")
    take_sources(dataset, tmp_path / "one")

    def states() -> list[tuple[str, str, str]]:
        rows = dataset.manifest.read("sources").to_dicts()
        return sorted((Path(dataset.roots[row["root"]]).name, row["path"], row["state"]) for row in rows)

    both = [("one", "a.mp4", "pending"), ("other", "c.mp4", "pending")]
    assert states() == both
    (tmp_path / "one").rename(tmp_path / "two")
    take_sources(dataset, tmp_path / "two")
    moved = [("one", "a.mp4", "gone"), ("other", "c.mp4", "pending"), ("two", "a.mp4", "pending")]
    assert states() == moved
    (tmp_path / "two").rename(tmp_path / "one")
    take_sources(dataset, tmp_path / "other" / "c.mp4")  # any run sees what came back
    assert states() == [*both, ("two", "a.mp4", "gone")]


MADE = {  # how ffmpeg makes a file of it; docs/sources.md
    "asf": ("-c:v", "wmv2"), "dv": ("-s", "720x576", "-r", "25", "-pix_fmt", "yuv420p"), "ivf": ("-c:v", "libvpx"),
    "nut": (), "rm": ("-c:v", "rv20"), "rmvb": ("-f", "rm", "-c:v", "rv20"), "apng": (), "qt": ("-f", "mov"),
    "ogm": ("-f", "ogg", "-c:v", "libtheora"), "m1v": ("-f", "mpeg1video", "-r", "25"), "m2t": ("-f", "mpegts"),
    "divx": ("-f", "avi"), "mk3d": ("-f", "matroska"), "mpe": ("-f", "mpeg", "-r", "25"),
    "h264": "no_timestamps", "mjpeg": "no_timestamps",
    "exr": "unsupported_image", "jp2": "unsupported_image", "qoi": "unsupported_image",
}  # fmt: skip


@pytest.mark.parametrize("suffix", MADE)
def test_every_documented_kind_is_read_or_refused_by_name(tmp_path: Path, suffix: str) -> None:
    how, movie = MADE[suffix], make_video(tmp_path / "s.mp4", frames=6, rate=25, size=(176, 144))
    flags = how if isinstance(how, tuple) else ("-frames:v", "4" if how == "no_timestamps" else "1")
    (tmp_path / "in").mkdir()
    run_ffmpeg("-i", movie, *flags, tmp_path / "in" / f"a.{suffix}")
    (row,) = list_sources(tmp_path / "in").rows
    if isinstance(how, tuple):
        assert probe(tmp_path / "in" / row["path"]).kind == "video"
    else:
        with pytest.raises(Reject, match=how):
            probe(tmp_path / "in" / row["path"])


@pytest.mark.parametrize("suffix", ["HEIC", "heif", "avif", "jxl", "psd", "hevc", "265", "obu"])
def test_what_is_not_read_is_listed_to_be_refused_by_name(tmp_path: Path, suffix: str) -> None:
    touch(tmp_path / f"a.{suffix}")
    assert [row["path"] for row in list_sources(tmp_path).rows] == [f"a.{suffix}"]


@pytest.mark.parametrize("name", ["movies", "movies/a.mp4", "movies/../movies"])
def test_a_dataset_does_not_lie_among_the_movies(tmp_path: Path, name: str) -> None:
    touch(tmp_path / "movies" / "a.mp4")
    dataset = Dataset.create(tmp_path / "movies", assignments=["family=tiny"])
    with pytest.raises(UsageError, match=r"folder of its own: --out .*movies/dataset"):
        take_sources(dataset, tmp_path / name)
    below = Dataset.create(tmp_path / "movies" / "dataset", assignments=["family=tiny"])
    take_sources(below, tmp_path / name)
    assert [path.name for path in (tmp_path / "movies").iterdir() if path.is_file()] == ["a.mp4"]


def test_a_dataset_is_no_folder_of_movies(tmp_path: Path) -> None:
    touch(tmp_path / "one" / "a.mp4")
    touch(tmp_path / "one" / "wanprep.toml")
    with pytest.raises(UsageError, match="one is a dataset"):
        take_sources(Dataset.create(tmp_path / "two", assignments=["family=tiny"]), tmp_path / "one")
