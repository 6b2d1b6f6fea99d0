"""Captions from any server that speaks OpenAI's chat completions: vLLM, SGLang, Ollama, LM Studio, or a hosted one.

Pictures travel inside the request (data addresses), so the server needs no access to this machine's files and is given
none. Only `base_url` is ever contacted, and the key comes from an environment variable that the configuration names.
"""

from __future__ import annotations

import base64
import os
import random
import re
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from wanprep.captioners import http
from wanprep.captioners.base import Captioner, CaptionRequest, Origin, RawCaption, Sampling
from wanprep.captioners.frames import Frames, Seen, look, media_of
from wanprep.captioners.prompts import Prompt
from wanprep.config import to_table
from wanprep.engines.threads import waiting
from wanprep.stage import Failed, Missing, Reject, UsageError

LAYOUT = 1  # raise it when the same clip and prompt are put into other messages
JPEG_QUALITY = 92
GIVE_UP_AFTER = 3  # requests in a row that nobody answered; then each clip is tried once only
_POLICY = re.compile(r"content[_ ]?(policy|filter|management)|moderat|safety|policy[_ ]violation|inappropriate", re.I)


@dataclass(frozen=True, kw_only=True)
class EndpointConfig:
    """`[caption.endpoint]`.

    base_url: up to and with "/v1". model: its name there. api_key_env: the environment variable that holds the key.
    send: "images" (several pictures, which every server takes) or "video" (the mp4, for vLLM and SGLang).
    concurrency: requests at a time; requests_per_minute: 0 for no limit. tries, timeout_s, max_wait_s: of a request.
    price_in, price_out: for a million tokens, to add up costs. extra: merged into every request.
    """

    base_url: str | None = None
    model: str | None = None
    api_key_env: str | None = None
    send: str = "images"
    concurrency: int = 4
    requests_per_minute: int = 0
    tries: int = 5
    timeout_s: float = 120.0
    max_wait_s: float = 60.0
    max_upload_mb: float = 20.0
    price_in: float = 0.0
    price_out: float = 0.0
    proxy: str | None = None
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.base_url is not None:
            parts = urllib.parse.urlsplit(self.base_url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise UsageError(f"endpoint base_url {self.base_url!r} is no http(s) address such as {_EXAMPLE}")
            if parts.username or parts.password or parts.query or parts.fragment:
                raise UsageError("endpoint base_url holds a name, a password or a query; keys belong into api_key_env")
        if self.send not in ("images", "video"):
            raise UsageError(f'endpoint send {self.send!r} is unknown; use "images" or "video"')
        least = {"concurrency": 1, "requests_per_minute": 0, "tries": 1, "price_in": 0, "price_out": 0}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ValueError(f"{name} must be at least {value}, got {getattr(self, name)}")
        for name in ("timeout_s", "max_wait_s", "max_upload_mb"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")


_EXAMPLE = "http://127.0.0.1:8000/v1"


@dataclass(frozen=True, kw_only=True)
class Said:
    """An answer. finished: False when its length limit cut it off, None where the server does not say."""

    text: str
    finished: bool | None
    tokens_in: int | None
    tokens_out: int | None
    cost: float | None


class Client:
    """One server, shared by all threads: its rate limit, the pause it asked for, whether it is there at all."""

    def __init__(self, settings: EndpointConfig, *, sleep: Callable[[float], Any] | None = None) -> None:
        if settings.base_url is None:
            raise UsageError(f"no server is named; give its address: --set caption.endpoint.base_url={_EXAMPLE}")
        if settings.model is None:
            raise UsageError("no model is named; give its name on the server: --set caption.endpoint.model=NAME")
        self.settings = settings
        self.url = settings.base_url.rstrip("/") + "/chat/completions"
        self.link = http.Link(timeout_s=settings.timeout_s, headers=_key(settings), proxy=settings.proxy)
        self._stopped = threading.Event()
        self._wait = self._stopped.wait if sleep is None else sleep
        self._lock = threading.Lock()
        self._free_at = 0.0  # monotonic time from which the next request may leave
        self._unanswered = 0
        self._jitter = random.Random()

    def stop(self) -> None:
        """Nobody waits any longer: threads that pause go on at once, and their requests are not made."""
        self._stopped.set()

    def ask(self, messages: Sequence[Mapping[str, Any]], sampling: Sampling) -> Said:
        """One answer. Reject when the server refuses the content, Missing when it knows neither key nor model,
        Failed when all tries failed."""
        body: dict[str, Any] = {"model": self.settings.model, "messages": list(messages)}
        body["max_tokens"] = sampling.max_new_tokens
        body |= {"temperature": sampling.temperature, "seed": sampling.seed % 2**31, **self.settings.extra}
        if sampling.temperature > 0:
            body.setdefault("top_p", sampling.top_p)
        tries = 1 if self._unanswered >= GIVE_UP_AFTER else self.settings.tries
        problem: Exception = RuntimeError("not tried")
        for number in range(tries):
            wait: float | None = None
            self._wait_turn()
            try:
                with waiting():
                    answer = http.post_json(self.url, body, self.link)
                said = self._answer(answer)
                self._unanswered = 0
                return said
            except http.Refused as error:
                self._unanswered = 0
                if error.status not in http.TRY_AGAIN:
                    raise self._final(error) from None
                problem, wait = error, error.wait_s
            except http.Unreachable as error:
                self._unanswered += 1
                problem = error
            except http.Garbled as error:
                problem = error
            if wait is not None and wait > self.settings.max_wait_s:
                raise Failed("endpoint_busy", f"{self.url} asks to wait {wait:.0f} s ({problem}); run again later")
            if number + 1 < tries:
                self._pause(number, wait)
        raise Failed("endpoint_failed", f"{self.url}: {problem} ({tries} {'try' if tries == 1 else 'tries'})")

    def _sleep(self, seconds: float) -> None:
        with waiting():
            self._wait(seconds)

    def _wait_turn(self) -> None:
        """Leave as soon as the rate limit and a pause asked for by the server allow."""
        gap = 60.0 / self.settings.requests_per_minute if self.settings.requests_per_minute else 0.0
        with self._lock:
            now = time.monotonic()
            leave = max(now, self._free_at)
            self._free_at = leave + gap
        if leave > now:
            self._sleep(leave - now)
        if self._stopped.is_set():
            raise RuntimeError("interrupted before the request was made")

    def _pause(self, number: int, asked: float | None) -> None:
        """Back off: as long as the server asks, which concerns every thread, else longer each time, with jitter."""
        if asked is not None:
            with self._lock:
                self._free_at = max(self._free_at, time.monotonic() + asked)
            return
        self._sleep(min(self.settings.max_wait_s, 0.5 * 2**number) * self._jitter.uniform(0.5, 1.5))

    def _final(self, error: http.Refused) -> Exception:
        if error.status in (401, 403) and not _POLICY.search(error.body):
            name = self.settings.api_key_env
            remedy = (
                f"Check the key in ${name}"
                if name
                else "Name the variable that holds a key: caption.endpoint.api_key_env"
            )
            return Missing(f"{self.url} refuses access ({error})", remedy)
        if error.status == 404:
            return Missing(f"{self.url} was not found ({error})", f"Check base_url and model {self.settings.model!r}")
        if error.status in (400, 403, 422, 451) and _POLICY.search(error.body):
            return Reject("caption_refused_by_endpoint", error.body)
        return Failed("endpoint_failed", f"{self.url} does not take the request ({error})")

    def _answer(self, answer: Any) -> Said:
        """What an answer says; Garbled when it is not in the form of a chat completion."""
        try:
            choice = answer["choices"][0]
            message = choice["message"]
            content = message.get("content")
        except (KeyError, IndexError, TypeError, AttributeError):
            raise http.Garbled("the answer has no choices") from None
        if choice.get("finish_reason") == "content_filter":
            raise Reject("caption_refused_by_endpoint", "the server's content filter stopped the answer")
        if isinstance(content, list):
            content = "".join(part.get("text", "") for part in content if isinstance(part, dict))
        if content is None and isinstance(message.get("refusal"), str):
            content = f"I'm sorry: {message['refusal']}"  # the model's own words; judged like any refusal
        usage = answer.get("usage") or {}
        counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
        tokens_in, tokens_out = (count if isinstance(count, int) else None for count in counts)
        cost = ((tokens_in or 0) * self.settings.price_in + (tokens_out or 0) * self.settings.price_out) / 1e6
        finished = {"stop": True, "length": False}.get(choice.get("finish_reason"))
        text = content if isinstance(content, str) else ""
        return Said(text=text.strip(), finished=finished, tokens_in=tokens_in, tokens_out=tokens_out, cost=cost)


def _key(settings: EndpointConfig) -> dict[str, str]:
    if settings.api_key_env is None:
        return {}
    key = os.environ.get(settings.api_key_env, "").strip()
    if not key:
        raise Missing(f"the environment variable {settings.api_key_env} is not set", "It must hold the endpoint's key")
    return {"Authorization": f"Bearer {key}"}


class OpenAI(Captioner):
    """A VLM behind an endpoint."""

    name = "openai"
    origin: Origin = "vlm"
    requires_frames = True
    draws = True

    def __init__(self, *, settings: EndpointConfig, frames: Frames, sampling: Sampling, prompt: Prompt) -> None:
        self.settings, self.frames, self.sampling, self.prompt = settings, frames, sampling, prompt
        self.lanes = settings.concurrency
        self.client = Client(settings)

    def identity(self) -> dict[str, Any]:
        """Model, prompt, what is sent and the sampling; not the address, the key or the price."""
        sent = {"send": self.settings.send, "layout": LAYOUT, "frames": to_table(self.frames)}
        asked = {"sampling": to_table(self.sampling), "prompt": self.prompt.digest, "extra": dict(self.settings.extra)}
        return {"captioner": self.name, "model": self.settings.model, **sent, **asked}

    def model(self) -> str:
        return self.settings.model or ""

    def inputs(self, request: CaptionRequest) -> dict[str, Any]:
        """What the prompt says of this one clip."""
        return {"prompt": self.prompt.facts(request.fields)}

    def caption(self, request: CaptionRequest, attempt: int = 0) -> RawCaption:
        media = media_of(request)
        if self.settings.send == "video" and media.kind == "mp4":
            parts = [self._video(media.path.read_bytes(), request.clip_id)]
        else:
            parts = pictures(look(request, self.frames))
        message = {"role": "user", "content": [*parts, {"type": "text", "text": self.prompt.fill(request.fields)}]}
        return RawCaption(**vars(self.client.ask([message], self.sampling.attempt(attempt))))

    def _video(self, data: bytes, clip_id: str) -> dict[str, Any]:
        limit = self.settings.max_upload_mb
        if len(data) > limit * 1e6:
            raise RuntimeError(
                f"the mp4 of clip {clip_id} has {len(data) / 1e6:.0f} MB, more than max_upload_mb = {limit:g}; "
                'raise it, or use send = "images"'
            )
        return {"type": "video_url", "video_url": {"url": _data_url("video/mp4", data)}}

    def release(self) -> None:
        self.client.stop()
        self.client = Client(self.settings)


def pictures(seen: Seen) -> list[dict[str, Any]]:
    """Message parts of a clip's frames: when each is shown, then the frames as JPEG."""
    import cv2

    parts: list[dict[str, Any]] = []
    if not seen.still:
        times = ", ".join(f"{second:.1f}" for second in seen.seconds)
        said = f"{len(seen.indices)} frames of one video clip, in order, shown at {times} seconds:"
        parts.append({"type": "text", "text": said})
    for frame in seen.frames:
        fine, data = cv2.imencode(".jpg", frame[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        if not fine:
            raise RuntimeError(f"a frame of {frame.shape[1]}x{frame.shape[0]} could not be written as JPEG")
        parts.append({"type": "image_url", "image_url": {"url": _data_url("image/jpeg", data.tobytes())}})
    return parts


def _data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
