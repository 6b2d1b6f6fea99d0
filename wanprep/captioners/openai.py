"""Captions from any server that speaks OpenAI's chat completions: vLLM, SGLang, Ollama, LM Studio, or a hosted one.

Pictures travel inside the request (data addresses), so the server needs no access to this machine's files and is given
none.
"""

from __future__ import annotations

import base64
from typing import Any

from wanprep.captioners.base import Captioner, CaptionRequest, Origin, RawCaption, Sampling
from wanprep.captioners.client import Client
from wanprep.captioners.endpoint import EndpointConfig
from wanprep.captioners.frames import Frames, Seen, look, media_of
from wanprep.captioners.prompts import Prompt
from wanprep.config import to_table

LAYOUT = 1  # raise it when the same clip and prompt are put into other messages
JPEG_QUALITY = 92


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
                f"the mp4 of clip {clip_id} has {len(data) / 1e6:.6g} MB, more than max_upload_mb = {limit:g}; "
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
