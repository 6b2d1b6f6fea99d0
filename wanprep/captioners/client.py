"""A server that speaks OpenAI's chat completions: how it is reached, asked, waited for, and given up.

Only `base_url` is ever contacted, and the key comes from an environment variable that the configuration names.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wanprep.captioners import http
from wanprep.captioners.base import Sampling
from wanprep.captioners.endpoint import EXAMPLE, EndpointConfig
from wanprep.captioners.patience import Patience
from wanprep.engines.threads import waiting
from wanprep.stage import Failed, Missing, Reject, UsageError

_POLICY = re.compile(r"content[_ ]?(policy|filter|management)|moderat|safety|policy[_ ]violation|inappropriate", re.I)


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
            raise UsageError(f"no server is named; give its address: --set caption.endpoint.base_url={EXAMPLE}")
        if settings.model is None:
            raise UsageError("no model is named; give its name on the server: --set caption.endpoint.model=NAME")
        self.settings = settings
        self.url = settings.base_url.rstrip("/") + "/chat/completions"
        self.link = http.Link(timeout_s=settings.timeout_s, headers=_key(settings), proxy=settings.proxy)
        self._stopped = threading.Event()
        self._wait = self._stopped.wait if sleep is None else sleep
        self._lock = threading.Lock()
        self._free_at = 0.0  # monotonic time from which the next request may leave
        self._patience = Patience()
        self._jitter = random.Random()

    def stop(self) -> None:
        """Nobody waits any longer: threads that pause go on at once, and their requests are not made."""
        self._stopped.set()

    def ask(self, messages: Sequence[Mapping[str, Any]], sampling: Sampling) -> Said:
        """One answer. Reject when the server refuses the content, Missing when it knows neither key nor model or has
        never done anything but fail, Failed when all tries failed."""
        body: dict[str, Any] = {"model": self.settings.model, "messages": list(messages)}
        body["max_tokens"] = sampling.max_new_tokens
        body |= {"temperature": sampling.temperature, "seed": sampling.seed % 2**31, **self.settings.extra}
        if sampling.temperature > 0:
            body.setdefault("top_p", sampling.top_p)
        try:
            said = self._tried(body)
        except Reject:
            self._patience.worked()
            raise
        self._patience.worked()
        return said

    def _tried(self, body: Mapping[str, Any]) -> Said:
        problem: Exception = RuntimeError("not tried")
        tries = self._patience.tries(self.settings.tries)
        for number in range(tries):
            wait: float | None = None
            self._wait_turn()
            try:
                with waiting():
                    answer = http.post_json(self.url, body, self.link)
                return self._answer(answer)
            except http.Refused as error:
                self._patience.answered(True)
                if error.status not in http.TRY_AGAIN:
                    raise self._final(error) from None
                problem, wait = error, error.wait_s
            except http.Unreachable as error:
                self._patience.answered(False)
                problem = error
            except http.Garbled as error:
                problem = error
            if wait is not None and wait > self.settings.max_wait_s:
                said = f"{self.url} asks to wait {wait:.0f} s ({problem}); run again later"
                raise self._failed(problem, Failed("endpoint_busy", said))
            if number + 1 < tries:
                self._pause(number, wait)
        said = f"{self.url}: {problem} ({tries} {'try' if tries == 1 else 'tries'})"
        raise self._failed(problem, Failed("endpoint_failed", said))

    def _failed(self, problem: Exception, failed: Failed) -> Exception:
        """What an item ends with: its own failure, or the end of the run."""
        fault = f"HTTP {problem.status}" if isinstance(problem, http.Refused) else type(problem).__name__
        count = self._patience.failed(fault)
        if not count:
            return failed
        what = f"{failed}. So ended {count} items in a row, and none has succeeded"
        return Missing(what, "Check base_url, the model and what the server's log says; then run again")

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
        if 300 <= error.status < 400:
            return Missing(f"{self.url} is no longer there ({error})", "Put the address where it is into base_url")
        if error.status in (400, 403, 422, 451) and _POLICY.search(error.body):
            return Reject("caption_refused_by_endpoint", error.body)
        return self._failed(error, Failed("endpoint_failed", f"{self.url} does not take the request ({error})"))

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
        thoughts = message.get("reasoning_content") or message.get("reasoning")
        if not text.strip() and isinstance(thoughts, str) and thoughts.strip():
            text = f"<think>{thoughts}"  # all that it said; judged as a thought without end
        return Said(text=text.strip(), finished=finished, tokens_in=tokens_in, tokens_out=tokens_out, cost=cost)


def _key(settings: EndpointConfig) -> dict[str, str]:
    if settings.api_key_env is None:
        return {}
    key = os.environ.get(settings.api_key_env, "").strip()
    if not key:
        raise Missing(f"the environment variable {settings.api_key_env} is not set", "It must hold the endpoint's key")
    return {"Authorization": f"Bearer {key}"}
