"""Connections to the gateway: TLS 1.3, certificates of this consortium's authority or none, a limit to how many.

A connection without a certificate may do one thing, join, and lives half a minute at the most. One whose certificate
does not come from the authority never comes to be; why is in the log. uvicorn speaks HTTP; TLS is begun here, because
uvicorn tells the application nothing of certificates, and the log nothing of handshakes that fail.
"""

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from logging import Logger
from typing import Any

import uvicorn
from cryptography import x509
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from server.coordinator_folder import CoordinatorFolder

HANDSHAKE_SECONDS = 15.0
STRANGER_SECONDS = 30.0
MOST_STRANGERS = 64
MOST_CONNECTIONS = 1024
DRAIN_SECONDS = 8.0
FLUSH_SECONDS = 0.2
GOODBYE_SECONDS = 2.0
CERTIFICATE = "hepafed.certificate"
"""Where an ASGI scope holds the certificate of whoever asks; None: they showed none."""


def server_context(folder: CoordinatorFolder) -> ssl.SSLContext:
    """TLS as the gateway speaks it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(folder.gateway_certificate, folder.gateway_key)
    context.load_verify_locations(folder.authority_certificate)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.num_tickets = 0  # every connection shows its certificate anew
    return context


class Connection(H11Protocol):
    """One connection, which knows whose it is."""

    certificate: x509.Certificate | None = None
    _early: bytes = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The handshake is done."""
        shown = transport.get_extra_info("ssl_object").getpeercert(binary_form=True)
        self.certificate = x509.load_der_x509_certificate(shown) if shown else None
        app: Any = self.app

        async def knowing_whose(scope: Any, receive: Any, send: Any) -> None:
            await app({**scope, CERTIFICATE: self.certificate}, receive, send)

        self.app = knowing_whose
        super().connection_made(transport)
        if self.certificate is None:
            self.loop.call_later(STRANGER_SECONDS, transport.abort)
        if self._early:
            early, self._early = self._early, b""
            self.data_received(early)

    def data_received(self, data: bytes) -> None:
        """With TLS 1.3 a first request may arrive together with the end of the handshake."""
        if self.transport is None:
            self._early += data
        else:
            super().data_received(data)


class _Porch(asyncio.Protocol):
    """A connection before TLS."""

    def __init__(self, greet: Callable[[asyncio.Transport], None]) -> None:
        self._greet = greet

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._greet(transport)


@dataclass
class Connections:
    """All connections of the gateway.

    Parameters
    ----------
    app
        The ASGI application that answers.
    """

    app: Any
    context: ssl.SSLContext
    log: Logger
    _state: ServerState = field(default_factory=ServerState)
    _greeting: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> None:
        """Begin to accept connections."""
        config = uvicorn.Config(self.app, http="h11", ws="none", lifespan="off", log_config=None, access_log=False)
        config.load()
        loop = asyncio.get_running_loop()

        def greet(transport: asyncio.Transport) -> None:
            task = loop.create_task(self._greet(transport, config))
            self._greeting.add(task)
            task.add_done_callback(self._greeting.discard)

        self._server = await loop.create_server(lambda: _Porch(greet), host, port)

    def close_where(self, unwanted: Callable[[x509.Certificate], bool]) -> int:
        """Close open connections by their certificates; how many that were."""
        found = [
            connection
            for connection in list(self._state.connections)
            if isinstance(connection, Connection)
            and connection.certificate is not None
            and unwanted(connection.certificate)
        ]
        for connection in found:
            connection.transport.abort()
        return len(found)

    async def end(self) -> None:
        """Accept no more, let requests that are being answered be answered, and close all."""
        if self._server is not None:
            self._server.close()
        for task in list(self._greeting):
            task.cancel()
        for connection in list(self._state.connections):
            connection.shutdown()
        deadline = asyncio.get_running_loop().time() + DRAIN_SECONDS
        while self._state.tasks and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.05)
        await asyncio.sleep(FLUSH_SECONDS)
        for connection in list(self._state.connections):
            connection.transport.abort()

    async def _greet(self, transport: asyncio.Transport, config: uvicorn.Config) -> None:
        transport.pause_reading()
        peer = transport.get_extra_info("peername") or ("", 0)
        address = str(peer[0])
        if len(self._state.connections) + len(self._greeting) > MOST_CONNECTIONS:
            self._refuse(transport, address, "too many connections")
            return
        connection = Connection(config, self._state, {})
        try:
            # A stranger that says nothing is gone after the handshake's time.
            secured = await asyncio.get_running_loop().start_tls(
                transport,
                connection,
                self.context,
                server_side=True,
                ssl_handshake_timeout=HANDSHAKE_SECONDS,
                ssl_shutdown_timeout=GOODBYE_SECONDS,
            )
        except ssl.SSLError as error:
            self._refuse(transport, address, said_of(error))
            return
        except ConnectionAbortedError:
            self._refuse(transport, address, f"no handshake within {HANDSHAKE_SECONDS:.0f} seconds")
            return
        except OSError:  # went away without a word, as a probe of the port does
            transport.abort()
            return
        if secured is None:  # closed while the handshake ended
            transport.abort()
            return
        connection.connection_made(secured)
        if connection.certificate is None and self._strangers() > MOST_STRANGERS:
            secured.abort()
            self._refuse(transport, address, "too many connections without a certificate")

    def _strangers(self) -> int:
        return sum(isinstance(c, Connection) and c.certificate is None for c in self._state.connections)

    def _refuse(self, transport: asyncio.Transport, address: str, reason: str) -> None:
        transport.abort()
        self.log.warning(
            "connection refused: %s", reason, extra={"event": "refused", "reason": reason, "from": address}
        )


def said_of(error: ssl.SSLError) -> str:
    """Why a handshake failed, in words."""
    text = str(getattr(error, "verify_message", "") or error.reason or "").lower().replace("_", " ")
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code == _EXPIRED:
            return "certificate has run out"
        return f"certificate is not of this consortium ({text})"
    if "unknown ca" in text or "bad certificate" in text or "certificate unknown" in text:
        return f"the other side does not accept the gateway's certificate ({text})"
    return f"no TLS as the gateway speaks it ({text})"


_EXPIRED = 10  # X509_V_ERR_CERT_HAS_EXPIRED
