"""What passes through the one door: hospitals to the SuperLink's fleet interface, each as itself, and nothing else.

Every request is held against the register: the certificate is known, not revoked, not run out; the node key that
Flower's request is signed with belongs to the same hospital. Then it is passed on to the SuperLink on the loopback
address, which checks the signature. Whoever shows no certificate may join with an invitation, and nothing else.
What is refused is in the log, with the reason.
server/gateway.py runs it.
"""

import base64
import binascii
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from importlib.metadata import version
from logging import Logger
from typing import TypeVar

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from pydantic import BaseModel, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from common.certificates import WARN_DAYS, common_name, days_left, node_hash, public_bytes
from common.errors import HepafedError
from common.joining import HELLO, JOIN, LONGEST_DOCUMENT, RENEW, Hello, JoinRequest, Refusal, RenewalRequest
from common.passing_on import headers_back, headers_on, pieces
from server.admission import Admissions, NotAdmitted
from server.gateway_connections import CERTIFICATE
from server.rate_limit import RateLimit
from server.register import Register, Standing, serial_of

FLEET = frozenset(
    f"/v1/fleet/{call}"
    for call in (
        "activate-node",
        "deactivate-node",
        "send-node-heartbeat",
        "pull-messages",
        "push-messages",
        "get-run",
        "get-fab",
        "push-object",
        "pull-object",
        "confirm-message-received",
    )
)
"""What a SuperNode asks once its key is registered; keys are registered by joining, not by Flower's register-node."""
NODE_KEY = "flwr-public-key"
LONGEST_BODY = 64 * 1024 * 1024
ANSWER_SECONDS = 120.0
LONGEST_SHOWN = 120

Document = TypeVar("Document", bound=BaseModel)


class Refused(Exception):
    """A request that is refused: the status, the reason for the log, and what the other side is told."""

    def __init__(self, status: int, reason: str, told: str, cure: str = "") -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.told = told
        self.cure = cure


@dataclass
class Gateway:
    """The gateway as an ASGI application.

    Parameters
    ----------
    superlink
        Where the SuperLink is, on the loopback address.
    """

    consortium: str
    register: Register
    admissions: Admissions
    superlink: httpx.AsyncClient
    log: Logger
    joins: RateLimit = field(default_factory=lambda: RateLimit(most=10, seconds=60.0))
    all_joins: RateLimit = field(default_factory=lambda: RateLimit(most=60, seconds=60.0))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        certificate: x509.Certificate | None = scope[CERTIFICATE]
        try:
            response = await self._answer(request, certificate)
        except Refused as refused:
            self._note_refusal(request, certificate, refused)
            told = Refusal(refused=refused.told, cure=refused.cure)
            # The rest of a body that is not wanted is not waited for.
            response = JSONResponse(told.model_dump(), status_code=refused.status, headers={"connection": "close"})
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _answer(self, request: Request, certificate: x509.Certificate | None) -> Response:
        path = request.url.path
        if request.method == "POST" and path == JOIN:
            return await self._join(request)
        if certificate is None:
            raise Refused(403, "no certificate", "this gateway speaks to hospitals of its consortium only")
        standing = self._standing(certificate)
        if request.method == "GET" and path == HELLO:
            return self._hello(certificate, standing)
        if request.method == "POST" and path == RENEW:
            return await self._renew(request, certificate, standing)
        if path not in FLEET:
            raise Refused(403, "path is not served", "this gateway does not serve that path")
        if request.method != "POST":
            raise Refused(405, "method is not served", "this gateway does not serve that method")
        self._check_node_key(request, standing)
        return await self._pass_on(request)

    def _standing(self, certificate: x509.Certificate) -> Standing:
        """What the register says of a certificate whose signature TLS has checked."""
        standing = self.register.standing(serial_of(certificate))
        if standing is None:
            raise Refused(
                403,
                "certificate is in no register",
                "this certificate is not in the consortium's register",
                "ask the coordinator for an invitation and join again",
            )
        if standing.revoked is not None:
            raise Refused(
                403,
                f"certificate revoked ({standing.reason})",
                "this certificate was revoked",
                "ask the coordinator; to take part again, join with a new invitation",
            )
        if time.time() > standing.expires:
            raise Refused(
                403, "certificate has run out", "this certificate has run out", "join with a new invitation"
            )
        return standing

    def _check_node_key(self, request: Request, standing: Standing) -> None:
        shown = request.headers.getlist(NODE_KEY)
        if len(shown) != 1:
            raise Refused(403, f"{len(shown)} node keys shown, not one", "show one node key")
        try:
            found = node_hash(base64.b64decode(shown[0], validate=True))
        except (binascii.Error, ValueError):
            raise Refused(403, "node key cannot be read", "the node key cannot be read") from None
        if found == standing.node:
            return
        owner = self.register.node(found)
        whose = (
            "nobody" if owner is None else owner.hospital if owner.hospital != standing.hospital else "its past"
        )
        raise Refused(
            403,
            f"node key of {whose} shown with the certificate of {standing.hospital}",
            "certificate and node key do not belong together",
            "put this hospital's own node.key back, or join with a new invitation",
        )

    def _hello(self, certificate: x509.Certificate, standing: Standing) -> Response:
        said = Hello(
            consortium=self.consortium,
            hospital=standing.hospital,
            time=time.time(),
            certificate_days=days_left(certificate),
            version=version("hepafed"),
        )
        if said.certificate_days < WARN_DAYS:
            self.log.warning(
                "certificate of %s runs out in %d days",
                standing.hospital,
                said.certificate_days,
                extra={"event": "expiry", "hospital": standing.hospital},
            )
        return JSONResponse(said.model_dump())

    async def _join(self, request: Request) -> Response:
        address = _address(request)
        if not self.joins.allows(address) or not self.all_joins.allows(""):
            raise Refused(429, "too many attempts to join", "too many attempts to join", "try again in a minute")
        asked = await _document(request, JoinRequest)
        try:
            admission = self.admissions.admit(asked)
        except NotAdmitted as error:
            raise Refused(403, f"joining as {asked.hospital}: {error.reason}", str(error)) from None
        except HepafedError as error:
            raise Refused(400, f"joining as {asked.hospital}: {error}", str(error)) from None
        self.joins.give_back(address)  # hospitals that all join through one proxy are no attack
        self.all_joins.give_back("")
        self.log.info(
            "%s has joined",
            asked.hospital,
            extra={
                "event": "joined",
                "hospital": asked.hospital,
                "invitation": asked.invitation,
                "serial": serial_of(admission.opened),
                "from": address,
            },
        )
        return JSONResponse(admission.model_dump())

    async def _renew(self, request: Request, certificate: x509.Certificate, standing: Standing) -> Response:
        if not self.joins.allows(standing.hospital):
            raise Refused(429, "too many renewals", "too many renewals", "try again in a minute")
        asked = await _document(request, RenewalRequest)
        present = certificate.public_key()
        assert isinstance(present, EllipticCurvePublicKey)  # the authority signs no others
        try:
            admission = self.admissions.renew(asked, standing, public_bytes(present))
        except NotAdmitted as error:
            raise Refused(403, error.reason, str(error)) from None
        except HepafedError as error:
            raise Refused(400, str(error), str(error)) from None
        self.log.info(
            "%s has renewed its certificate",
            standing.hospital,
            extra={"event": "renewed", "hospital": standing.hospital, "serial": serial_of(admission.opened)},
        )
        return JSONResponse(admission.model_dump())

    async def _pass_on(self, request: Request) -> Response:
        """To the SuperLink and back, piece by piece: neither side's body is held here."""
        declared = request.headers.get("content-length", "0")
        if not declared.isdecimal() or int(declared) > LONGEST_BODY:
            raise Refused(413, "body too long", f"a body may have {LONGEST_BODY} bytes at the most")
        headers = headers_on(request.headers.items())
        asked = self.superlink.build_request(
            "POST", request.url.path, headers=headers, content=_body(request, LONGEST_BODY)
        )
        try:
            answer = await self.superlink.send(asked, stream=True)
        except httpx.HTTPError as error:
            self.log.warning(
                "the SuperLink does not answer (%s)", type(error).__name__, extra={"event": "superlink_silent"}
            )
            return JSONResponse({"refused": "the coordinator is being started again"}, status_code=502)
        return StreamingResponse(pieces(answer), status_code=answer.status_code, headers=headers_back(answer))

    def _note_refusal(self, request: Request, certificate: x509.Certificate | None, refused: Refused) -> None:
        self.log.warning(
            "request refused: %s",
            refused.reason,
            extra={
                "event": "refused",
                "reason": refused.reason,
                "hospital": common_name(certificate) if certificate is not None else None,
                "path": request.url.path[:LONGEST_SHOWN],
                "from": _address(request),
            },
        )


async def _body(request: Request, longest: int) -> AsyncIterator[bytes]:
    length = 0
    async for piece in request.stream():
        length += len(piece)
        if length > longest:
            raise Refused(413, "body too long", f"a body may have {longest} bytes at the most")
        yield piece


async def _document(request: Request, kind: type[Document]) -> Document:
    content = b"".join([piece async for piece in _body(request, LONGEST_DOCUMENT)])
    try:
        return kind.model_validate(json.loads(content))
    except (ValidationError, ValueError, RecursionError):
        raise Refused(
            400, "request cannot be read", "this request cannot be read: is this Hepafed of another version?"
        ) from None


def _address(request: Request) -> str:
    return request.client.host if request.client is not None else ""
