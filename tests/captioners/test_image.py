"""Captioners of single pictures and rewriting by a text model, with real classes and tiny random weights."""

from pathlib import Path

import numpy as np
import pytest
from servers import good, serving, status
from tinyvlm import build, build_blip2, build_text

from wanprep.captioners import vlm
from wanprep.captioners.base import CaptionRequest, Sampling
from wanprep.captioners.endpoint import EndpointConfig
from wanprep.captioners.frames import Frames, Seen
from wanprep.captioners.loading import release
from wanprep.captioners.prompts import prompt_for
from wanprep.captioners.registry import make
from wanprep.captioners.rewrite import RewriteConfig, Rewriter
from wanprep.captioners.vlm import VlmConfig
from wanprep.stage import Missing

pytestmark = pytest.mark.xdist_group("vlm")
SHORT = Sampling(max_new_tokens=8)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    import torch

    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("models")
    yield {"blip": build_blip2(root / "blip"), "text": build_text(root / "text"), "qwen": build("qwen2-vl", root / "q")}
    release()


@pytest.fixture
def asked(monkeypatch):
    looked = []

    def look(request, settings, multiple=1, *, middle=False):
        looked.append(middle)
        frames = np.random.default_rng(int(request.clip_id)).integers(0, 256, (1, 60, 90, 3), dtype=np.uint8)
        return Seen(frames=frames, indices=(20,), rate=16, total=40)

    monkeypatch.setattr(vlm, "look", look)
    return looked


def request(number):
    place = {"source_path": Path("m.mp4"), "source_rel": "m.mp4", "group": "m", "start_s": 0.0, "end_s": 1.0}
    return CaptionRequest(clip_id=str(number), **place)


def captioner(name, folder):
    settings = VlmConfig(model=str(folder), dtype="fp32", device="cpu")
    return make(name, settings=settings, frames=Frames(), sampling=SHORT, prompt=prompt_for("general"))


@pytest.mark.parametrize(("name", "model"), [("blip-2", "blip"), ("image", "blip"), ("image", "qwen")])
def test_the_middle_frame_is_captioned_alone_as_in_a_batch(models, asked, name, model):
    blip = captioner(name, models[model])
    requests = [request(n) for n in range(4)]
    alone = [blip.caption(r) for r in requests]
    assert all(asked)
    assert len({answer.text for answer in alone}) > 1
    assert all(0 < answer.tokens_out <= 8 for answer in alone)
    assert blip.caption_many(requests) == alone
    assert blip.caption_many(requests, 1) == [blip.caption(r, 1) for r in requests]
    assert blip.identity()["captioner"] == name


def test_a_text_model_is_no_captioner(models):
    with pytest.raises(Missing, match="preprocessor_config"):
        captioner("image", models["text"])
    with pytest.raises(Missing, match="needs 'blip-2'; that is captioner qwen2-vl"):
        captioner("blip-2", models["qwen"])


def rewriter(model, endpoint=None, **settings):
    by = "endpoint" if endpoint else "local"
    config = RewriteConfig(by=by, model=str(model), **settings)
    return Rewriter(config, SHORT, VlmConfig(dtype="fp32", device="cpu", batch_size=3), endpoint or EndpointConfig())


def test_texts_are_rewritten_here_alone_as_in_a_batch(models):
    rewrite = rewriter(models["text"])
    assert (rewrite.together, rewrite.lanes) == (3, 1)
    texts = ["A dog runs.", "A red cat sleeps on a chair."]
    for attempt in (0, 1):
        together = rewrite.rewrite_many(texts, attempt)
        assert together == [rewrite.rewrite_many([text], attempt)[0] for text in texts]
        assert len({answer.text for answer in together}) == 2
    assert rewrite.rewrite_many(texts)[0].tokens_in < rewrite.rewrite_many(texts)[1].tokens_in
    with pytest.raises(Missing, match="no model 'some/where'"):
        rewriter("some/where")


def test_texts_are_rewritten_by_a_server_and_a_failure_spoils_no_other():
    with serving(good("One."), status(400, "too long"), good("Three.")) as server:
        endpoint = EndpointConfig(base_url=server.url, model="a vlm", concurrency=5)
        rewrite = rewriter("a text model", endpoint, style="tags", length="3 to 5")
        assert rewrite.lanes == 5
        first, second, third = rewrite.rewrite_many(["dog", "cat", "cow"])
        assert (first.text, third.text) == ("One.", "Three.")
        assert isinstance(second, RuntimeError)
        assert {body["model"] for body in server.bodies} == {"a text model"}
        asked = server.bodies[0]["messages"][0]["content"]
        assert "3 to 5 short comma-separated tags" in asked
        assert asked.endswith("dog")
