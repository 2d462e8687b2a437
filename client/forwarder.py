"""The one connection out of the hospital: from a port of the loopback address to the consortium's gateway.

Flower's SuperNode cannot show a client certificate; it speaks to this process on the same machine, and this process
shows the hospital's. It passes on what a SuperNode asks (`/v1/fleet/`) and opens no port to the outside. A corporate
proxy is used where connection.json or HTTPS_PROXY names one.

    python -m client.forwarder OWN_FOLDER PORT
"""

import argparse
import asyncio
import sys
import time
from dataclasses import dataclass, field
from logging import Logger
from pathlib import Path

import httpx
import uvicorn
from pydantic import ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from client.connection import Connection, client_options, why_not_reached
from common.errors import HepafedError
from common.flower_processes import LOOPBACK
from common.joining import Refusal
from common.output_log import output_log
from common.passing_on import headers_back, headers_on, pieces

FLEET = "/v1/fleet/"
SAY_AGAIN_SECONDS = 300.0
WARN_AGAIN_SECONDS = 86400.0
ANSWER_SECONDS = 150.0
LONGEST_REFUSAL = 4096


@dataclass
class Forwarder:
    """The forwarder as an ASGI application."""

    connection: Connection
    log: Logger
    _client: httpx.AsyncClient | None = None
    _used: tuple[float, float] = (0.0, 0.0)
    _said: dict[str, float] = field(default_factory=dict)
    _reached: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method != "POST" or not request.url.path.startswith(FLEET):
            return JSONResponse({"refused": "only a SuperNode's requests are passed on"}, status_code=404)
        try:
            client, address = self._up_to_date()
        except HepafedError as error:
            return self._unavailable(str(error))
        headers = headers_on(request.headers.items())
        asked = client.build_request(
            "POST", f"https://{address}{request.url.path}", headers=headers, content=request.stream()
        )
        try:
            answer = await client.send(asked, stream=True)
        except httpx.HTTPError as error:
            self._reached = False
            return self._unavailable(why_not_reached(error, address))
        if answer.status_code >= httpx.codes.BAD_REQUEST:
            return await self._note_refusal(answer)
        if not self._reached:
            self._reached = True
            self._said.clear()
            self.log.info("the gateway at %s answers", address, extra={"event": "reached"})
        self._warn()
        return StreamingResponse(pieces(answer), status_code=answer.status_code, headers=headers_back(answer))

    def _up_to_date(self) -> tuple[httpx.AsyncClient, str]:
        """The client with the present certificate: a renewed one is taken into use by itself."""
        file = self.connection.read()
        used = (self.connection.certificate.stat().st_mtime, self.connection.path.stat().st_mtime)
        if self._client is None or used != self._used:
            options = client_options(file, self.connection.context())
            options["timeout"] = httpx.Timeout(ANSWER_SECONDS, connect=20.0)
            # An old client keeps its connections until its requests have ended; they then close by themselves.
            self._client, self._used = httpx.AsyncClient(**options), used
        return self._client, file.address

    def _unavailable(self, text: str) -> Response:
        """503: the SuperNode tries again, for ever."""
        self._say(text, "unreachable")
        return JSONResponse({"refused": "the coordinator is not reached"}, status_code=503)

    async def _note_refusal(self, answer: httpx.Response) -> Response:
        content = b""
        async for piece in answer.aiter_raw():
            content += piece
        await answer.aclose()
        try:
            said = Refusal.model_validate_json(content[:LONGEST_REFUSAL])
        except ValidationError:
            said = None  # the SuperLink's own answer, which is the SuperNode's business
        if said is not None:
            self._say(f"the gateway refused: {said.refused}{'; ' + said.cure if said.cure else ''}", "refused")
        return Response(content, status_code=answer.status_code, headers=headers_back(answer))

    def _warn(self) -> None:
        if self._due("expiry", WARN_AGAIN_SECONDS) and (warning := self.connection.warning()):
            self.log.warning(warning, extra={"event": "expiry"})

    def _say(self, text: str, event: str) -> None:
        """Once, and again after a while: a SuperNode that tries for ever would fill the disk."""
        if self._due(text, SAY_AGAIN_SECONDS):
            self.log.warning(text, extra={"event": event})

    def _due(self, what: str, seconds: float) -> bool:
        now = time.monotonic()
        if now - self._said.get(what, float("-inf")) < seconds:
            return False
        self._said[what] = now
        return True


def serve(own_folder: Path, listen_port: int) -> None:
    """Run the forwarder of a hospital's own folder until SIGTERM."""
    log = output_log("forwarder")
    connection = Connection(own_folder)
    file = connection.read()
    connection.context()
    config = uvicorn.Config(
        Forwarder(connection, log),
        host=LOOPBACK,
        port=listen_port,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=8,
    )
    log.info("forwarder to %s", file.address, extra={"event": "started", "hospital": file.hospital})
    asyncio.run(uvicorn.Server(config).serve())


def main() -> None:
    """The forwarder as a process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("own_folder", type=Path)
    parser.add_argument("port", type=int)
    asked = parser.parse_args()
    try:
        serve(asked.own_folder, asked.port)
    except HepafedError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
