"""The endpoint captioner against a real server on this machine that behaves, and one that does not."""

import base64
import email.utils
import json
import socket
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from footage import numbered, read_number, write_mp4
from servers import dripping, good, hang_up, raw, serving, slow, status

from wanprep.captioners.base import CaptionRequest, Media, Sampling
from wanprep.captioners.checks import check
from wanprep.captioners.client import Client
from wanprep.captioners.endpoint import EndpointConfig
from wanprep.captioners.frames import Frames
from wanprep.captioners.http import retry_after
from wanprep.captioners.prompts import prompt_for
from wanprep.captioners.registry import make
from wanprep.ids import digest_file
from wanprep.stage import Missing, Reject, UsageError

MESSAGE = [{"role": "user", "content": "hello"}]
TEXT = "A dog runs along a beach."


class Sleeps(list):
    """Remembers how long somebody wanted to wait, and does not."""

    def __call__(self, seconds):
        self.append(seconds)


def client(server, sleeps=None, **settings):
    config = EndpointConfig(base_url=server.url, model="m", **{"timeout_s": 5.0, **settings})
    return Client(config, sleep=Sleeps() if sleeps is None else sleeps)


def ask(server, sleeps=None, sampling=None, **settings):
    return client(server, sleeps, **settings).ask(MESSAGE, sampling or Sampling())


def test_a_good_answer_with_its_counts_and_cost():
    with serving(good(TEXT)) as server:
        said = ask(
            server, sampling=Sampling(seed=5, temperature=0.3), price_in=2.0, price_out=10.0, extra={"top_k": 20}
        )
        assert (said.text, said.finished, said.tokens_in, said.tokens_out) == (TEXT, True, 1000, 20)
        assert said.cost == pytest.approx(2.0 * 1000 / 1e6 + 10.0 * 20 / 1e6)
        body = server.bodies[0]
        assert server.paths == ["/v1/chat/completions"]
        assert (body["model"], body["messages"], body["max_tokens"]) == ("m", MESSAGE, 384)
        assert (body["seed"], body["temperature"], body["top_p"], body["top_k"]) == (5, 0.3, 0.9, 20)
        assert "Authorization" not in server.headers[0]


PASSING = {
    "500 twice": [status(500), status(500)],
    "503": [status(503)],
    "429 without a time": [status(429)],
    "truncated JSON": [raw(b'{"choices": [{"mess')],
    "broken off": [raw(b'{"choices": [', length=5000)],
    "HTML": [raw(b"<html>busy</html>", kind="text/html")],
    "JSON said to be text": [raw(b'{"choices": []}', kind="text/plain")],
    "empty choices": [raw(b'{"choices": []}')],
    "no object": [raw(b"[]")],
    "null": [raw(b"null")],
    "empty body": [raw(b"")],
    "hangs up": [hang_up],
}


@pytest.mark.parametrize("name", PASSING)
def test_trouble_that_passes_is_tried_again(name):
    with serving(*PASSING[name], good(TEXT)) as server:
        sleeps = Sleeps()
        assert ask(server, sleeps).text == TEXT
        assert len(server.bodies) == len(PASSING[name]) + 1
        assert len(sleeps) == len(PASSING[name])


@pytest.mark.parametrize("name", PASSING)
def test_trouble_that_does_not_pass_is_a_failure_after_all_tries(name):
    with serving(PASSING[name][0]) as server:
        with pytest.raises(RuntimeError, match="3 tries"):
            ask(server, tries=3)
        assert len(server.bodies) == 3


def test_pauses_grow_with_jitter_up_to_the_limit():
    with serving(status(500)) as server:
        sleeps = Sleeps()
        with pytest.raises(RuntimeError):
            ask(server, sleeps, tries=6, max_wait_s=3.0)
        nominal = (0.5, 1.0, 2.0, 3.0, 3.0)
        assert all(0.5 * wait <= slept <= 1.5 * wait for wait, slept in zip(nominal, sleeps, strict=True))
        assert len({slept / wait for wait, slept in zip(nominal, sleeps)}) > 1


def test_a_server_that_says_how_long_to_wait_is_obeyed_by_all_threads():
    with serving(status(429, "slow down", Retry_After="7"), good(TEXT)) as server:
        sleeps = Sleeps()
        asked = client(server, sleeps)
        assert asked.ask(MESSAGE, Sampling()).text == TEXT
        assert sleeps[0] == pytest.approx(7, abs=1)
        asked.ask(MESSAGE, Sampling())  # another thread would wait as well
        assert sleeps[1] == pytest.approx(7, abs=1)


def test_a_wait_that_is_too_long_fails_instead():
    with serving(status(429, "tomorrow", Retry_After="86400")) as server:
        sleeps = Sleeps()
        with pytest.raises(RuntimeError, match="asks to wait 86400 s"):
            ask(server, sleeps)
        assert (len(server.bodies), sleeps) == (1, [])


def test_retry_after_is_read_as_seconds_or_as_a_date():
    assert retry_after("3") == 3.0
    assert retry_after("-3") == 0.0
    assert retry_after(None) is retry_after("soon") is None
    now = 1_700_000_000.0
    assert retry_after(email.utils.formatdate(now + 20, usegmt=True), now) == pytest.approx(20)


def test_a_slow_server_is_left_after_the_time_out():
    with serving(slow(2.0, good(TEXT)), good(TEXT)) as server:
        assert ask(server, timeout_s=0.3).text == TEXT  # the second answer
        assert len(server.bodies) == 2
    with serving(dripping(3.0)) as server, pytest.raises(RuntimeError, match=r"not complete within 0\.3 s"):
        ask(server, timeout_s=0.3, tries=1)


def test_an_answer_without_end_is_not_read_to_it():
    with serving(raw(b" " * (9 << 20))) as server, pytest.raises(RuntimeError, match="longer than 8 MB"):
        ask(server, tries=1)


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_when_nobody_is_there_later_items_do_not_wait():
    config = EndpointConfig(base_url=f"http://127.0.0.1:{closed_port()}/v1", model="m", tries=3)
    sleeps = Sleeps()
    asked = Client(config, sleep=sleeps)
    for _ in range(4):
        with pytest.raises(RuntimeError, match="refused"):
            asked.ask(MESSAGE, Sampling())
    assert len(sleeps) == 2  # the first item tried three times, the others once


@pytest.mark.parametrize(
    ("reply", "error", "message"),
    [
        (status(401, "bad key"), Missing, "refuses access"),
        (status(403, {"message": "no"}), Missing, "refuses access"),
        (status(404, {"message": "no such model"}), Missing, "no such model"),
        (status(400, {"message": "image too large"}), RuntimeError, "image too large"),
        (status(413, "too large"), RuntimeError, "HTTP 413"),
        (status(400, {"code": "content_policy_violation", "message": "no"}), Reject, "caption_refused_by_endpoint"),
        (status(403, {"message": "flagged by moderation"}), Reject, "caption_refused_by_endpoint"),
        (status(422, {"type": "content_filter"}), Reject, "caption_refused_by_endpoint"),
        (good("", finish="content_filter"), Reject, "content filter"),
        (
            status(302, "", Location="https://me:pw@h.org/v1/x?key=1"),
            Missing,
            r"302: it leads to https://h\.org/v1/x\)",
        ),
        (status(308, "", Location="/api/v1/chat"), Missing, r"leads to http://127\.0\.0\.1:\d+/api/v1/chat\)"),
        (status(302, "no place"), Missing, "HTTP 302: no place"),
    ],
)
def test_what_will_not_pass_is_not_tried_again(reply, error, message):
    with serving(reply, good(TEXT)) as server:
        with pytest.raises(error, match=message):
            ask(server)
        assert len(server.bodies) == 1


def test_answers_of_other_shapes():
    with serving(good("A dog and", finish="length")) as server:
        assert ask(server).finished is False
    with serving(good(content=[{"type": "text", "text": "A dog."}])) as server:
        assert ask(server).text == "A dog."
    with serving(good(content=None, refusal="I cannot help with that.")) as server:
        assert ask(server).text.startswith("I'm sorry")  # the checks call it a refusal
    with serving(raw(b'{"choices": [{"message": {"content": "A dog."}}]}', kind="text/plain; charset=utf-8")) as server:
        assert ask(server).text == "A dog."
    with serving(raw(b'{"choices": [{"message": {"content": null}}]}')) as server:
        said = ask(server)
        assert (said.text, said.finished, said.tokens_in, said.cost) == ("", None, None, 0)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_thoughts_that_left_no_room_for_an_answer_are_an_unfinished_thought(field):
    thoughts = {field: "Okay, the user wants a caption. I see a dog."}
    with serving(good("", finish="length", **thoughts)) as server:
        said = ask(server)
        assert check(said.text, finished=said.finished).flags == ("unfinished_thought",)
        assert check(said.text).text == ""
    with serving(good(TEXT, **thoughts)) as server:  # thoughts beside an answer are no part of it
        assert ask(server).text == TEXT
    with serving(good("", **{field: " "})) as server:
        assert ask(server).text == ""


def test_the_key_comes_from_the_environment_only(monkeypatch):
    monkeypatch.setenv("MY_KEY", " secret-1 \n")
    with serving(good(TEXT)) as server:
        asked = client(server, api_key_env="MY_KEY")
        asked.ask(MESSAGE, Sampling())
        assert server.headers[0]["Authorization"] == "Bearer secret-1"
        assert "secret-1" not in repr(vars(asked)) + json.dumps(server.bodies[0])
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(Missing, match="MY_KEY is not set"):
        Client(EndpointConfig(base_url="http://127.0.0.1:1/v1", model="m", api_key_env="MY_KEY"))


def test_a_proxy_of_the_environment_is_not_used(monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with serving(good(TEXT)) as server:
        assert ask(server, tries=1).text == TEXT


def test_the_rate_limit_spaces_requests_of_all_threads():
    with serving(good(TEXT)) as server:
        sleeps = Sleeps()
        asked = client(server, sleeps, requests_per_minute=6)
        threads = [threading.Thread(target=asked.ask, args=(MESSAGE, Sampling())) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(sleeps) == pytest.approx([10, 20, 30, 40, 50], abs=5)


def test_stopping_ends_pauses_at_once():
    with serving(status(500)) as server:
        asked = Client(EndpointConfig(base_url=server.url, model="m", tries=50, max_wait_s=50.0))
        problems = []

        def run():
            try:
                asked.ask(MESSAGE, Sampling())
            except RuntimeError as error:
                problems.append(str(error))

        thread = threading.Thread(target=run)
        thread.start()
        while not server.bodies:
            time.sleep(0.01)
        asked.stop()
        thread.join(5)
        assert not thread.is_alive()
        assert "interrupted" in problems[0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"base_url": "file:///etc/passwd"}, "no http"),
        ({"base_url": "localhost:8000"}, "no http"),
        ({"base_url": "http://me:secret@host/v1"}, "api_key_env"),
        ({"base_url": "http://host/v1?key=1"}, "api_key_env"),
        ({"send": "file"}, "send"),
        ({"concurrency": 0}, "concurrency"),
        ({"timeout_s": 0}, "timeout_s"),
    ],
)
def test_settings_are_checked(values, message):
    with pytest.raises((UsageError, ValueError), match=message):
        EndpointConfig(**values)


def test_an_address_and_a_model_are_needed():
    with pytest.raises(UsageError, match="base_url"):
        Client(EndpointConfig(model="m"))
    with pytest.raises(UsageError, match="model"):
        Client(EndpointConfig(base_url="http://127.0.0.1:1/v1"))


# The captioner


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    from wanprep.media.write import write_png

    folder = tmp_path_factory.mktemp("clips")
    write_mp4(folder / "c1.mp4", (numbered(n, 192, 96) for n in range(32)), width=192, height=96, rate=16)
    write_png(folder / "s1.png", numbered(9, 192, 96))
    return folder


def request(path, **fields):
    still = path.suffix == ".png"
    media = Media(
        path=path, digest=digest_file(path), kind="png" if still else "mp4", rate=16, frames=1 if still else 32
    )
    place = {"source_path": Path("m.mp4"), "source_rel": "m.mp4", "group": "m", "start_s": 0.0, "end_s": 2.0}
    return CaptionRequest(clip_id=path.stem, media=media, fields=fields, **place)


def captioner(server, **settings):
    config = EndpointConfig(base_url=server.url, model="m", **settings)
    return make("openai", settings=config, frames=Frames(), sampling=Sampling(), prompt=prompt_for("general"))


def picture(part):
    head, _, data = part["image_url"]["url"].partition(",")
    assert head == "data:image/jpeg;base64"
    return cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


def test_a_clip_travels_as_its_frames_and_a_still_as_itself(clip):
    with serving(good(TEXT)) as server:
        model = captioner(server)
        assert model.caption(request(clip / "c1.mp4", camera="pan left")).text == TEXT
        head, *frames, asked = server.bodies[0]["messages"][0]["content"]
        assert head["text"].startswith("4 frames of one video clip, in order, shown at 0.2, 0.8, 1.2, 1.8 seconds")
        assert [read_number(picture(part)) for part in frames] == [4, 12, 20, 28]
        assert "pan left" in asked["text"]
        model.caption(request(clip / "s1.png"))
        frame, asked = server.bodies[1]["messages"][0]["content"]
        assert read_number(picture(frame)) == 9
        assert "camera movement is" not in asked["text"]
        assert "file:" not in json.dumps(server.bodies)
        assert str(clip) not in json.dumps(server.bodies)


def test_a_clip_may_travel_as_its_mp4(clip):
    with serving(good(TEXT)) as server:
        captioner(server, send="video").caption(request(clip / "c1.mp4"))
        part, _ = server.bodies[0]["messages"][0]["content"]
        assert part["type"] == "video_url"
        head, _, data = part["video_url"]["url"].partition(",")
        assert head == "data:video/mp4;base64"
        assert base64.b64decode(data) == (clip / "c1.mp4").read_bytes()
        mb = f"{len(data) * 3 // 4 / 1e6:.3f}"[:5]
        with pytest.raises(RuntimeError, match=rf"has {mb}\d* MB, more than max_upload_mb = 0\.001"):
            captioner(server, send="video", max_upload_mb=0.001).caption(request(clip / "c1.mp4"))


def test_attempts_ask_with_another_seed(clip):
    with serving(good(TEXT)) as server:
        model = captioner(server)
        for attempt in (0, 2):
            model.caption(request(clip / "s1.png"), attempt)
        assert [(body["seed"], body["temperature"]) for body in server.bodies] == [(0, 0.0), (2, 0.7)]


def test_the_key_of_a_caption_does_not_hold_where_the_server_is(clip):
    with serving(good(TEXT)) as one, serving(good(TEXT)) as two:
        base = captioner(one).identity()
        assert captioner(two, concurrency=9, price_in=5.0).identity() == base
        assert one.url not in json.dumps(base)
        other = [captioner(one, send="video").identity(), captioner(one, extra={"top_k": 1}).identity()]
        assert all(identity != base for identity in other)
