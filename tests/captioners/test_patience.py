"""When a server is given up on, and when it is not."""

import pytest
from servers import good, raw, serving, status

from wanprep.captioners.base import Sampling
from wanprep.captioners.client import Client
from wanprep.captioners.endpoint import EndpointConfig
from wanprep.captioners.patience import END_AFTER, ONCE_AFTER, Patience
from wanprep.stage import Failed, Missing, Reject

MESSAGE = [{"role": "user", "content": "hello"}]
WEB_PAGE = raw(b"<html>Welcome</html>", kind="text/html")


def client(server, **settings):
    return Client(EndpointConfig(base_url=server.url, model="m", timeout_s=5.0, **settings), sleep=lambda _: None)


def endings(asked, count):
    """How that many items end, one after another; nothing after the run's end."""
    found = []
    for _ in range(count):
        try:
            asked.ask(MESSAGE, Sampling())
            found.append("good")
        except (Failed, Reject) as error:
            found.append(type(error).__name__)
        except Missing as error:
            return [*found, str(error)]
    return found


@pytest.mark.parametrize(
    ("reply", "reason", "requests"),
    [
        (status(500, {"message": "internal boom"}), "HTTP 500: internal boom", 3 * 4 + 5),
        (WEB_PAGE, "text/html, not JSON: <html>Welcome</html>", 3 * 4 + 5),
        (status(400, {"message": "model does not support images"}), "does not support images", 8),
        (status(429, {"message": "no credit"}, Retry_After="86400"), "asks to wait 86400 s", 8),
    ],
)
def test_a_server_that_only_fails_ends_the_run_with_the_reason(reply, reason, requests):
    with serving(reply) as server:
        found = endings(client(server, tries=4), 50)
        assert found[:-1] == ["Failed"] * (END_AFTER - 1)
        assert reason in found[-1]
        assert f"So ended {END_AFTER} items in a row, and none has succeeded" in found[-1]
        assert len(server.bodies) == requests


@pytest.mark.parametrize("bad", [status(503, "busy"), WEB_PAGE, status(400, "no pictures today")])
def test_a_server_that_has_answered_once_is_never_given_up_on(bad):
    with serving(good(), *[bad] * 60, good()) as server:
        found = endings(client(server, tries=3), 80)
    assert set(found) == {"good", "Failed"}
    assert found[-1] == "good"
    assert found.count("Failed") >= 20


def test_each_item_has_all_its_tries_while_the_server_works():
    with serving(good(), *[status(500)] * 60) as server:
        endings(client(server, tries=3), 1 + 2 * ONCE_AFTER)
        assert len(server.bodies) == 1 + 3 * 2 * ONCE_AFTER


def test_words_on_the_content_are_an_answer():
    refused = status(400, {"code": "content_policy_violation", "message": "no"})
    with serving(refused, status(500)) as server:
        assert set(endings(client(server, tries=1), 3 * END_AFTER)) == {"Reject", "Failed"}


def test_a_server_that_wakes_up_in_time_is_used():
    with serving(*[status(503, "loading model")] * (END_AFTER - 1), good()) as server:
        assert endings(client(server, tries=1), END_AFTER + 1) == ["Failed"] * (END_AFTER - 1) + ["good"] * 2


def test_failures_of_several_kinds_are_not_alike():
    patience = Patience()
    assert not any(patience.failed(f"HTTP {500 + number % 2}") for number in range(5 * END_AFTER))
    assert patience.tries(5) == 5
    alike = [patience.failed("HTTP 500") for _ in range(END_AFTER)]
    assert alike[-1] == END_AFTER


def test_the_end_is_reached_by_all_threads_together():
    patience = Patience()
    assert [bool(patience.failed("Garbled")) for _ in range(END_AFTER + 1)] == [False] * (END_AFTER - 1) + [True] * 2
    patience = Patience()
    patience.worked()
    assert not any(patience.failed("Garbled") for _ in range(5 * END_AFTER))
