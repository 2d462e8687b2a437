"""Requests that a part of Flower's middleware has nothing to do for pass by it.

The SuperLink sends every request through nine layers, of which three do something for a hospital's and two for an
app's; each of the others costs a task and two streams of its own. A layer is left out where it would hand the request
on as it is: those for `/v1/control/` at all other paths, and those for logs and traces that are switched off.
"""

from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

CONTROL, FLEET = "/v1/control/", "/v1/fleet/"


def pass_by(layer: Any, concerns: Callable[[Scope], bool]) -> None:
    """Let requests that do not concern a layer of middleware (a class of Starlette's) go on to the next one."""
    inner: Callable[[ASGIApp, Scope, Receive, Send], Any] = layer.__call__

    async def call(self: Any, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not concerns(scope):
            await self.app(scope, receive, send)
        else:
            await inner(self, scope, receive, send)

    layer.__call__ = call


def under(prefix: str) -> Callable[[Scope], bool]:
    """Whether a request is for a path that begins so."""
    return lambda scope: str(scope["path"]).startswith(prefix)


def never(_: Scope) -> bool:
    """For what is switched off in all of our processes."""
    return False
