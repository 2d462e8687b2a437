"""A request for messages waits until a message is whole, for a second at the most."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest

from server import waiting_pulls
from server.waiting_pulls import CHANNELS, News, WaitingPulls, let_pulls_wait

FLEET = "/v1/fleet/pull-messages"
RUNTIME = "/v1/runtime/pull-messages"


class Passed:
    """The application behind."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.paths.append(scope["path"])


def asked(path: str, caller: bytes = b"aspen") -> dict[str, Any]:
    return {"type": "http", "path": path, "headers": [(b"flwr-public-key", caller)]}


async def took(app: WaitingPulls, path: str, caller: bytes = b"aspen") -> float:
    began = time.monotonic()
    await app(asked(path, caller), None, None)  # type: ignore[arg-type]
    return time.monotonic() - began


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting_pulls, "WAIT_SECONDS", 0.3)


def test_a_caller_is_answered_at_once_the_first_time_and_waits_then_until_it_is_told() -> None:
    async def story() -> None:
        news, passed = News(), Passed()
        app = WaitingPulls(passed, news)
        assert await took(app, FLEET) < 0.2, "what came before it asked is not waited for"
        assert 0.25 < await took(app, FLEET) < 2, "nothing came"
        waiting = asyncio.create_task(took(app, FLEET))
        await asyncio.sleep(0.02)
        await asyncio.to_thread(news.stored, "hospitals", "s", [])
        assert await waiting < 0.25
        assert passed.paths == [FLEET] * 3

    asyncio.run(story())


def test_what_comes_between_two_requests_is_not_missed() -> None:
    async def story() -> None:
        news = News()
        app = WaitingPulls(Passed(), news)
        await took(app, FLEET)
        news.stored("hospitals", "s", [])
        assert await took(app, FLEET) < 0.2
        assert await took(app, FLEET, b"birch") < 0.2, "another caller has not asked yet"

    asyncio.run(story())


def test_a_message_counts_when_its_last_object_is_there_and_only_for_its_side() -> None:
    news = News()
    news.stored("hospitals", "s", ["a", "b"])
    news.stored("hospitals", "s", ["b", "c"])
    for number in ("a", "b", "b", "of another"):
        news.object_stored("s", number)
    assert news.number("hospitals") == 0
    news.object_stored("s", "c")
    assert news.number("hospitals") == 1
    assert news.number("coordinator") == 0
    news.object_stored("s", "c")
    news.object_stored("unknown", "c")
    assert news.number("hospitals") == 1


def test_other_requests_pass_and_the_two_sides_do_not_wake_each_other() -> None:
    async def story() -> None:
        news, passed = News(), Passed()
        app = WaitingPulls(passed, news)
        assert await took(app, "/v1/fleet/push-object") < 0.2
        await took(app, RUNTIME)
        waiting = asyncio.create_task(took(app, RUNTIME))
        await asyncio.sleep(0.02)
        news.stored("hospitals", "s", [])
        assert await waiting > 0.25

    asyncio.run(story())


def test_flowers_state_tells_the_news_and_does_what_it_did() -> None:
    class State:
        def store_message_and_object_tree(self, *_: Any) -> tuple[bool, list[str]]:
            return True, ["object"]

        def store_object(self, *_: Any) -> bool:
            return True

    main = SimpleNamespace(create_app=lambda *given: given)
    let_pulls_wait(main, State)
    app: Any = main.create_app("a", "b")
    assert app._app == ("a", "b")
    state = State()
    question = SimpleNamespace(metadata=SimpleNamespace(reply_to_message_id=""))
    assert state.store_message_and_object_tree(question, None, "s") == (True, ["object"])
    assert app._news.number("hospitals") == 0
    assert state.store_object(1, "s", "object", b"") is True
    assert app._news.number("hospitals") == 1
    answer = SimpleNamespace(metadata=SimpleNamespace(reply_to_message_id="q"))
    state.store_message_and_object_tree(answer, None, "t")
    state.store_object(1, "t", "object", b"")
    assert app._news.number("coordinator") == 1
    assert set(CHANNELS.values()) == {"hospitals", "coordinator"}
