"""A request of Flower's passed on, and its answer passed back: which headers travel, and bodies piece by piece."""

from collections.abc import AsyncIterator, Iterable

import httpx

OWN = "flwr-"
PASSED_ON = ("content-type", "content-length", "accept")
PASSED_BACK = ("content-type", "content-length")


def headers_on(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """What the next one needs to know; nothing about whoever asked travels beside."""
    kept = [(name, value) for name, value in headers if name in PASSED_ON or name.startswith(OWN)]
    return [*kept, ("accept-encoding", "identity")]


def headers_back(answer: httpx.Response) -> dict[str, str]:
    """Of an answer."""
    return {name: value for name, value in answer.headers.items() if name in PASSED_BACK or name.startswith(OWN)}


async def pieces(answer: httpx.Response) -> AsyncIterator[bytes]:
    """The body of an answer, as it comes; the answer is closed in any case."""
    try:
        async for piece in answer.aiter_raw():
            yield piece
    finally:
        await answer.aclose()
