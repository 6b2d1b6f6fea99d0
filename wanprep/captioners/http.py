"""One JSON request to the one address that the user configured, and nothing else.

The standard library is enough, and it lets us keep promises: no redirects are followed, no proxy is used unless named,
the whole answer has a deadline and a size limit, and what is worth trying again is told apart from what is not.
"""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_BYTES = 8 << 20  # of an answer; a caption needs a thousandth
_BLOCK = 1 << 16
TRY_AGAIN = (408, 409, 423, 425, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524, 529)


class Unreachable(Exception):
    """Nobody answers at the address."""


class Garbled(Exception):
    """An answer came that is none: no JSON, cut short, too long, too slow."""


class Refused(Exception):
    """The server said no. `status`: HTTP; `body`: its words, at most a few hundred characters."""

    def __init__(self, status: int, body: str, wait_s: float | None = None) -> None:
        super().__init__(f"HTTP {status}: {body}" if body else f"HTTP {status}")
        self.status, self.body, self.wait_s = status, body, wait_s


@dataclass(frozen=True, kw_only=True)
class Link:
    """How to reach a server. headers may hold a key, so this is never printed or stored."""

    timeout_s: float
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxy: str | None = field(default=None, repr=False)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None  # the request would carry pictures and a key to an address nobody configured


def post_json(url: str, body: Any, link: Link) -> Any:
    """POST `body` as JSON; the parsed answer. Raises Unreachable, Garbled or Refused."""
    data = json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json", **link.headers}
    request = urllib.request.Request(url, data=data, headers=headers, method="POST")
    proxies = {"http": link.proxy, "https": link.proxy} if link.proxy else {}
    opener = urllib.request.build_opener(_NoRedirects, urllib.request.ProxyHandler(proxies))
    deadline = time.monotonic() + link.timeout_s
    try:
        with opener.open(request, timeout=link.timeout_s) as response:
            kind = response.headers.get_content_type()
            text = _read(response, deadline, link.timeout_s)
    except urllib.error.HTTPError as error:
        with error, contextlib.suppress(OSError, http.client.HTTPException, Garbled):
            said = _leads_to(url, error) or _words(_read(error, deadline, link.timeout_s))
            raise Refused(error.code, said, retry_after(error.headers.get("Retry-After"))) from None
        raise Refused(error.code, "") from None
    except TimeoutError:
        raise Garbled(f"no answer within {link.timeout_s:g} s") from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, TimeoutError):
            raise Garbled(f"no answer within {link.timeout_s:g} s") from None
        raise Unreachable(str(error.reason)) from None
    except (ConnectionError, http.client.HTTPException) as error:
        raise Garbled(f"the answer broke off ({type(error).__name__})") from None
    try:
        return json.loads(text)  # whatever it calls itself: some servers say text/plain
    except ValueError as error:
        why = f"not whole JSON ({error})" if "json" in kind else f"{kind}, not JSON"
        raise Garbled(f"the answer is {why}: {_short(text)}") from None


def _read(response: Any, deadline: float, timeout_s: float) -> bytes:
    """The body, within the deadline even from a server that sends a byte now and then."""
    blocks, size = [], 0
    while block := response.read1(_BLOCK):
        blocks.append(block)
        size += len(block)
        if size > MAX_BYTES:
            raise Garbled(f"the answer is longer than {MAX_BYTES >> 20} MB")
        if time.monotonic() > deadline:
            raise Garbled(f"the answer was not complete within {timeout_s:g} s")
    if response.length:  # announced and not sent
        raise Garbled(f"the answer broke off {response.length} bytes early")
    return b"".join(blocks)


def _leads_to(url: str, error: urllib.error.HTTPError) -> str:
    """Where a redirect leads, without what may be a secret in it; "" for other answers."""
    place = error.headers.get("Location") if 300 <= error.code < 400 else None
    if not place:
        return ""
    parts = urllib.parse.urlsplit(urllib.parse.urljoin(url, place))
    return f"it leads to {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _words(body: bytes) -> str:
    """The message of an error in OpenAI's form, else the body's beginning."""
    try:
        error = json.loads(body)["error"]
        parts = [error] if isinstance(error, str) else [error.get("code"), error.get("type"), error.get("message")]
        return " ".join(str(part) for part in parts if part)[:400]
    except (ValueError, KeyError, TypeError, AttributeError):
        return _short(body)


def _short(body: bytes) -> str:
    return " ".join(body[:200].decode("utf-8", "replace").split())


def retry_after(value: str | None, now: float | None = None) -> float | None:
    """Seconds to wait as a Retry-After header says (RFC 9110: seconds or a date); None without a readable one."""
    if not value:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        when = email.utils.parsedate_to_datetime(value)
    except (TypeError, ValueError):
        return None
    return max(0.0, when.timestamp() - (time.time() if now is None else now))
