"""One file from a server that breaks off, lies, drips or is silent: whole in the end, or an error that says why."""

import hashlib
import logging
import multiprocessing
import time
from pathlib import Path

import hubserver
import pytest
from hubserver import cut_after, dripping, no_ranges, page, serving, silent, status, wrong_bytes

from wanprep.download import Broken, Patience, Remote, download, get_json, is_whole
from wanprep.stage import Missing, UsageError

DATA = bytes(number * number % 251 for number in range(100_000))
NAME, REPOSITORY = "vae/x.safetensors", "A/b"
STEADY = Patience(timeout=30, floor=1, tries=3, pause=0.01)
QUICK = Patience(timeout=0.3, floor=5000, tries=3, pause=0.01)  # a busy machine may look silent to it


@pytest.fixture
def hub():
    with serving({REPOSITORY: {NAME: DATA}}) as server:
        yield server


def remote(hub: hubserver.Hub, data: bytes = DATA) -> Remote:
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    return Remote(url=f"{hub.url}/{REPOSITORY}/resolve/{hubserver.COMMIT}/{NAME}", size=len(data), digest=digest)


def get(
    hub: hubserver.Hub,
    folder: Path,
    *faults: hubserver.Fault,
    told: list[int] | None = None,
    patience: Patience = STEADY,
) -> Path:
    hub.faults[NAME] = list(faults)
    final = folder / "x"
    download(remote(hub), final, folder / "x.part", tell=(told if told is not None else []).append, patience=patience)
    return final


@pytest.mark.parametrize(
    ("faults", "starts"),
    [
        ([], [0]),
        ([cut_after(40_000)], [0, 40_000]),
        ([cut_after(30_000), cut_after(30_000), cut_after(0)], [0, 30_000, 60_000, 60_000]),
        ([status(500), status(429, Retry_After="0"), cut_after(50_000)], [0, 0, 0, 50_000]),
        ([page], [0, 0]),
        ([cut_after(40_000), no_ranges], [0, 40_000]),
        ([wrong_bytes], [0, 0]),
        ([cut_after(40_000), wrong_bytes], [0, 40_000, 0]),
        ([cut_after(40_000), status(416)], [0, 40_000, 0]),
    ],
)
def test_it_ends_with_the_right_bytes(hub, tmp_path: Path, faults, starts: list[int]) -> None:
    told: list[int] = []
    final = get(hub, tmp_path, *faults, told=told)
    assert final.read_bytes() == DATA
    assert [path.name for path in tmp_path.iterdir()] == ["x"]
    assert told[-1] == len(DATA)
    assert hub.starts(NAME) == starts
    assert hub.secrets == []


def test_a_silent_server_is_asked_again(hub, tmp_path: Path) -> None:
    assert get(hub, tmp_path, silent(3), patience=QUICK).read_bytes() == DATA
    assert hub.starts(NAME)[:2] == [0, 0]


def test_a_dripping_connection_is_left_for_another(hub, tmp_path: Path) -> None:
    """No single wait is long; what dripped in is kept."""
    assert get(hub, tmp_path, dripping(5), patience=QUICK).read_bytes() == DATA
    first, second, *_ = hub.starts(NAME)
    assert first == 0 < second < 200


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (wrong_bytes, "other bytes than the hub lists"),
        (page, "offers 26 bytes"),
        (status(503), "status 503"),
        (cut_after(0), "connection (broke|ended)"),
        (silent(0.6), "no answer"),
    ],
)
def test_what_does_not_pass_is_an_error(hub, tmp_path: Path, fault, message: str) -> None:
    with pytest.raises(Broken, match=message):
        get(hub, tmp_path, *[fault] * 9)
    assert not (tmp_path / "x").exists()
    assert len(hub.asked) <= 3


def test_progress_makes_patience_last(hub, tmp_path: Path) -> None:
    """Twelve broken connections, though three failures in a row would do: each brought something."""
    assert get(hub, tmp_path, *[cut_after(8000)] * 12).read_bytes() == DATA
    assert hub.starts(NAME) == [8000 * n for n in range(13)]


def test_a_later_call_goes_on(hub, tmp_path: Path) -> None:
    with pytest.raises(Broken):
        get(hub, tmp_path, cut_after(70_000), *[status(500)] * 5)
    assert (tmp_path / "x.part").stat().st_size == 70_000
    hub.asked.clear()
    assert get(hub, tmp_path).read_bytes() == DATA
    assert hub.starts(NAME) == [70_000]


def test_a_part_that_was_damaged_is_fetched_anew(hub, tmp_path: Path) -> None:
    (tmp_path / "x.part").write_bytes(b"?" * 50_000)
    assert get(hub, tmp_path).read_bytes() == DATA
    assert hub.starts(NAME) == [50_000, 0]
    (tmp_path / "x").unlink()
    (tmp_path / "x.part").write_bytes(b"?" * 200_000)  # larger than the whole
    assert get(hub, tmp_path).read_bytes() == DATA


def test_redirected_as_the_hub_redirects(hub, tmp_path: Path) -> None:
    hub.redirect = True
    assert get(hub, tmp_path, cut_after(10_000)).read_bytes() == DATA
    moved = [reach for path, reach in hub.asked if path.startswith("/elsewhere")]
    assert moved == [None, "bytes=10000-"]


def test_final_answers_are_not_asked_for_again(hub, tmp_path: Path) -> None:
    for code, message in ((404, "is not there"), (403, "not open to everybody")):
        hub.asked.clear()
        with pytest.raises(Missing, match=message):
            get(hub, tmp_path, status(code))
        assert len(hub.asked) == 1
    with pytest.raises(UsageError, match="HF_ENDPOINT"):
        Remote(url="file:///etc/passwd", size=1, digest="git:0")


def _hold(url: str, folder: Path) -> None:
    digest = f"sha256:{hashlib.sha256(DATA).hexdigest()}"
    remote = Remote(url=url, size=len(DATA), digest=digest)
    download(remote, folder / "x", folder / "x.part", tell=lambda done: None, patience=Patience(timeout=20))


def test_two_processes_do_not_write_one_file(hub, tmp_path: Path) -> None:
    hub.faults[NAME] = [dripping(2), dripping(2)]
    other = multiprocessing.get_context("spawn").Process(target=_hold, args=(remote(hub).url, tmp_path))
    other.start()
    try:
        end = time.monotonic() + 120
        while not hub.asked and time.monotonic() < end:
            time.sleep(0.02)
        with pytest.raises(Missing, match="another process is downloading"):
            get(hub, tmp_path)
    finally:
        other.kill()
        other.join()
    assert get(hub, tmp_path).read_bytes() == DATA  # a dead process holds nothing


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """The program's logger as it is before any command; set up before pytest chooses the loggers that it listens to."""
    monkeypatch.setattr(logging.getLogger("wanprep"), "propagate", True)


def test_descriptions_are_asked_for_until_they_are_json(hub, heard: None, caplog: pytest.LogCaptureFixture) -> None:
    url = f"{hub.url}/api/models/{REPOSITORY}/revision/main?blobs=true"
    assert get_json(url, STEADY)["sha"] == hubserver.COMMIT
    assert not caplog.messages
    hub.faults["api"] = [page, status(502)]
    assert get_json(url, STEADY)["sha"] == hubserver.COMMIT
    (told,) = caplog.messages  # once, before anybody wonders
    assert "no JSON" in told
    assert "trying again" in told
    hub.faults["api"] = [page] * 9
    with pytest.raises(Broken, match="no JSON"):
        get_json(url, STEADY)
    with pytest.raises(Missing, match="404"):
        get_json(f"{hub.url}/api/models/no/such", STEADY)
    with pytest.raises(Broken, match="no answer"):
        get_json("http://127.0.0.1:9/api", STEADY)


def test_small_files_are_known_by_gits_digest(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(b"{}\n")
    entry = hubserver.Hub.entry("config.json", b"{}\n")
    assert entry["blobId"] == "0967ef424bce6791893e9a57bb952f80fd536e93"  # git hash-object
    known = Remote(url="https://x", size=3, digest=f"git:{entry['blobId']}")
    assert is_whole(known, tmp_path / "config.json", digest=True)
    (tmp_path / "config.json").write_bytes(b"[]\n")
    assert is_whole(known, tmp_path / "config.json", digest=False)
    assert not is_whole(known, tmp_path / "config.json", digest=True)
