"""One file over HTTP: it goes on where it stopped, and is the file that was asked for or none.

A part of it lies under a name of its own until its size and its digest are right. A connection that breaks, stands
still or offers an error page is tried again with growing pauses; bytes that are wrong twice are an error. Only the
standard library; no credentials are read or sent.
"""

from __future__ import annotations

import fcntl
import hashlib
import http.client
import json
import logging
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from wanprep import __version__
from wanprep.ids import fsync_folder
from wanprep.stage import Missing, UsageError

log = logging.getLogger("wanprep")

BLOCK = 1 << 20


class Broken(Exception):
    """The network or the server is the cause; the same command goes on later. Exit code 1."""


class _Again(Exception):
    """This attempt failed in a way that the next may not. wait: seconds the server asked for. anew: from the start."""

    def __init__(self, why: str, *, wait: float = 0.0, anew: bool = False) -> None:
        super().__init__(why)
        self.wait = wait
        self.anew = anew


@dataclass(frozen=True, kw_only=True)
class Patience:
    """timeout: seconds without an answer. floor: bytes a second below which a connection counts as standing still,
    looked at every `timeout` seconds. tries: failures in a row without progress. pause: seconds after the first of
    them, doubled each time, at most a minute."""

    timeout: float = 30.0
    floor: float = 1024.0
    tries: int = 6
    pause: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A file on a server. digest: "sha256:…" or "git:…" (SHA-1 with Git's header), as the hub lists it."""

    url: str
    size: int
    digest: str

    def __post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://")):
            raise UsageError(f"{self.url!r} is no http(s) address; look at HF_ENDPOINT")

    def hasher(self) -> Any:
        if self.digest.startswith("sha256:"):
            return hashlib.sha256()
        return hashlib.sha1(f"blob {self.size}\0".encode(), usedforsecurity=False)

    def is_digest_of(self, hasher: Any) -> bool:
        return self.digest.partition(":")[2] == hasher.hexdigest()


def is_whole(remote: Remote, path: Path, *, digest: bool) -> bool:
    """Whether a file is there with the right size, and with `digest` also with the right bytes."""
    if not path.is_file() or path.stat().st_size != remote.size:
        return False
    if not digest:
        return True
    hasher = remote.hasher()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            hasher.update(block)
    return remote.is_digest_of(hasher)


def download(
    remote: Remote, final: Path, part: Path, *, tell: Callable[[int], None], patience: Patience | None = None
) -> None:
    """Fetch `remote` to `final`, keeping what has arrived in `part` until it is whole.

    tell: gets the bytes that are there, after every block (fewer again when one begins anew). Broken when the server
    will not give the right bytes, Missing when there is no such file, or another process is fetching it.
    """
    patience = patience or Patience()
    for folder in {final.parent, part.parent}:
        folder.mkdir(parents=True, exist_ok=True)
    with _alone(part) as file:
        partial = _Partial(remote, file)
        _fill(partial, tell, patience)
        if not partial.is_right:
            partial.begin_anew()
            _fill(partial, tell, patience)
        if not partial.is_right:
            partial.begin_anew()
            raise Broken(f"{remote.url} gave other bytes than the hub lists ({remote.digest[:19]}…), twice")
        file.flush()
        os.fsync(file.fileno())
        part.replace(final)
    fsync_folder(final.parent)


@contextmanager
def _alone(part: Path) -> Iterator[IO[bytes]]:
    """The partial file, open for this process only."""
    with part.open("ab+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Missing(f"another process is downloading {part.name}", "Wait for it, or stop it first") from None
        if not part.exists() or part.stat().st_ino != os.fstat(file.fileno()).st_ino:
            raise Missing(f"another process has just finished {part.name}", "Run the same command again")
        yield file


class _Partial:
    """What has arrived of a file, and the digest over it."""

    def __init__(self, remote: Remote, file: IO[bytes]) -> None:
        self.remote, self.file, self.hasher, self.done = remote, file, remote.hasher(), 0
        file.seek(0)
        while block := file.read(BLOCK):
            self.hasher.update(block)
            self.done += len(block)
        if self.done > remote.size:
            self.begin_anew()

    @property
    def is_right(self) -> bool:
        return self.remote.is_digest_of(self.hasher)

    def begin_anew(self) -> None:
        self.file.seek(0)
        self.file.truncate()
        self.hasher, self.done = self.remote.hasher(), 0

    def add(self, block: bytes) -> None:
        self.file.write(block)
        self.hasher.update(block)
        self.done += len(block)


def _fill(partial: _Partial, tell: Callable[[int], None], patience: Patience) -> None:
    """Append until the file has all its bytes."""
    size, failures = partial.remote.size, 0
    while partial.done < size:
        before = partial.done
        try:
            _attempt(partial, tell, patience)
        except _Again as error:
            moved = partial.done - before >= min(BLOCK, size // 100 + 1)
            failures = 1 if moved else failures + 1
            if failures >= patience.tries:
                raise Broken(f"{partial.remote.url}: {error}; {failures} times in a row, what came is kept") from None
            if error.anew:
                partial.begin_anew()
            time.sleep(max(error.wait, min(60.0, patience.pause * 2 ** (failures - 1))))
    tell(size)


def _attempt(partial: _Partial, tell: Callable[[int], None], patience: Patience) -> None:
    """One request for what is missing. _Again when it stops early."""
    size, url = partial.remote.size, partial.remote.url
    with _opened(url, patience, {"Range": f"bytes={partial.done}-"} if partial.done else {}) as answer:
        if partial.done and not (answer.status == 206 and _starts_at(answer, partial.done)):
            partial.begin_anew()  # the server does not go on in the middle
        length, missing = answer.headers.get("Content-Length"), size - partial.done
        if answer.status not in (200, 206) or (length is not None and int(length) != missing):
            raise _Again(f"offers {length or 'no'} bytes (status {answer.status}) where {missing} are missing")
        began, got = time.monotonic(), 0
        while partial.done < size:
            try:
                block = answer.read1(min(BLOCK, size - partial.done))
            except (OSError, http.client.HTTPException) as error:
                raise _Again(f"the connection broke ({error or type(error).__name__})") from None
            if not block:
                raise _Again(f"the connection ended after {partial.done} of {size} bytes")
            partial.add(block)
            got += len(block)
            tell(partial.done)
            if time.monotonic() - began > patience.timeout:
                if got < patience.floor * patience.timeout:
                    raise _Again(f"only {got} bytes in {patience.timeout:g} seconds")
                began, got = time.monotonic(), 0


def _starts_at(answer: Any, at: int) -> bool:
    return str(answer.headers.get("Content-Range", "")).replace("bytes ", "").startswith(f"{at}-")


@contextmanager
def _opened(url: str, patience: Patience, headers: dict[str, str]) -> Iterator[Any]:
    """An answer with a good status. Missing for 401, 403 and 404; _Again for all that may pass."""
    request = urllib.request.Request(url, headers={"User-Agent": f"wanprep/{__version__}", **headers})
    try:
        answer = urllib.request.urlopen(request, timeout=patience.timeout)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code in (401, 403):
            raise Missing(
                f"{url} is not open to everybody (status {error.code})", "Fetch it with: hf download"
            ) from None
        if error.code in (404, 410):
            raise Missing(f"{url} is not there (status {error.code})") from None
        wait = error.headers.get("Retry-After", "")
        seconds = min(60.0, float(wait)) if wait.isdigit() else 0.0
        raise _Again(f"status {error.code}", wait=seconds, anew=error.code == 416) from None
    except (OSError, http.client.HTTPException) as error:
        raise _Again(f"no answer ({getattr(error, 'reason', error) or type(error).__name__})") from None
    with answer:
        yield answer


def get_json(url: str, patience: Patience | None = None) -> Any:
    """A JSON document; Broken when the server keeps giving anything else, Missing when there is none."""
    patience = patience or Patience()
    why = ""
    for failures in range(patience.tries):
        if failures == 1:
            log.warning("%s: %s; trying again, up to %d times", url, why, patience.tries - 1)
        if failures:
            time.sleep(min(60.0, patience.pause * 2 ** (failures - 1)))
        try:
            with _opened(url, patience, {"Accept": "application/json"}) as answer:
                return json.loads(answer.read())
        except _Again as error:
            why = str(error)
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = f"no JSON ({error or type(error).__name__})"
    raise Broken(f"{url}: {why}; {patience.tries} times in a row")
