"""`[caption.endpoint]`: where a server is and how it is to be asked. The asking is in client.py."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass, field
from typing import Any

from wanprep.stage import UsageError

EXAMPLE = "http://127.0.0.1:8000/v1"


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
                raise UsageError(f"endpoint base_url {self.base_url!r} is no http(s) address such as {EXAMPLE}")
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
