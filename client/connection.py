"""The hospital's side of the one connection: who it joins, by which address and proxy, with which certificate.

connection.json   consortium, hospital, address, the authority's fingerprint, proxy, number of the invitation
ca.crt            the one authority that the gateway's certificate may come from
tls.key tls.crt   what the hospital shows
node.key node.pub what its SuperNode signs with
"""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import BaseModel, ConfigDict, ValidationError

from common.certificates import expiry_warning, fingerprint, read_certificate
from common.errors import HepafedError
from common.joining import HELLO, Hello, Refusal
from common.private_files import refuse_if_others_may_read

CONNECT_SECONDS = 20.0
ANSWER_SECONDS = 60.0
RENEW = "hepafed site renew"


class ConnectionFile(BaseModel):
    """connection.json."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    consortium: str
    hospital: str
    address: str
    authority_fingerprint: str
    proxy: str | None = None
    invitation: str | None = None
    """Its number, so that the same invitation is not taken for a new one."""


@dataclass(frozen=True)
class Connection:
    """What a hospital's own folder holds for its connection."""

    own_folder: Path

    @property
    def path(self) -> Path:
        """The file that says whom this hospital has joined."""
        return self.own_folder / "connection.json"

    @property
    def authority(self) -> Path:
        """The consortium's authority."""
        return self.own_folder / "ca.crt"

    @property
    def key(self) -> Path:
        """The key of the hospital's certificate."""
        return self.own_folder / "tls.key"

    @property
    def certificate(self) -> Path:
        """The hospital's certificate."""
        return self.own_folder / "tls.crt"

    @property
    def node_key(self) -> Path:
        """What the SuperNode signs with."""
        return self.own_folder / "node.key"

    @property
    def node_public_key(self) -> Path:
        """Its public half."""
        return self.own_folder / "node.pub"

    def read(self) -> ConnectionFile:
        """connection.json, held against the authority that lies beside it."""
        try:
            file = ConnectionFile.model_validate_json(self.path.read_bytes())
        except FileNotFoundError:
            raise HepafedError(
                f"{self.path}: this hospital has joined no consortium yet. Ask the coordinator for an invitation, "
                "then: hepafed site join INVITATION"
            ) from None
        except ValidationError:
            raise HepafedError(
                f"{self.path} cannot be read: put it back from your backup, or join again"
            ) from None
        if fingerprint(read_certificate(self.authority)) != file.authority_fingerprint:
            raise HepafedError(
                f"{self.authority} is not the authority that this hospital joined: find out who changed it, then "
                "put it back from your backup, or join again"
            )
        return file

    def warning(self) -> str | None:
        """From 30 days before the hospital's certificate runs out."""
        return expiry_warning(read_certificate(self.certificate), "this hospital's certificate", self.cure)

    @property
    def cure(self) -> str:
        """What to do about a certificate that runs out."""
        return f"while it is good: {RENEW}; after that: hepafed site join, with a new invitation"

    def context(self) -> ssl.SSLContext:
        """TLS with the hospital's certificate, to the consortium's gateway and nobody else."""
        refuse_if_others_may_read(self.key)
        context = trusting(read_certificate(self.authority))
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (ssl.SSLError, OSError) as error:
            raise HepafedError(
                f"{self.certificate} and {self.key} do not go together or cannot be read ({error}): put both back "
                "from your backup, or join again"
            ) from None
        return context

    def greet(self) -> Hello:
        """Ask the gateway whether it knows this hospital; HepafedError says what is in the way."""
        file = self.read()
        with httpx.Client(**client_options(file, self.context())) as client:
            answer = ask(client, httpx.Request("GET", f"https://{file.address}{HELLO}"), file.address)
        return Hello.model_validate_json(answer)


def trusting(authority: x509.Certificate) -> ssl.SSLContext:
    """TLS that takes no certificate but one of this authority's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_verify_locations(cadata=authority.public_bytes(Encoding.PEM).decode())
    return context


def client_options(file: ConnectionFile, context: ssl.SSLContext) -> dict[str, Any]:
    """How httpx is to connect: by the proxy that was given, else by HTTPS_PROXY and NO_PROXY of the environment."""
    return {
        "verify": context,
        "proxy": file.proxy,
        "timeout": httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS),
        "follow_redirects": False,
    }


def ask(client: httpx.Client, request: httpx.Request, address: str) -> bytes:
    """One request to the gateway; what it refuses, and what is in the way, is said in words."""
    try:
        answer = client.send(request)
    except httpx.HTTPError as error:
        raise HepafedError(why_not_reached(error, address)) from None
    if answer.status_code == httpx.codes.OK:
        return answer.content
    try:
        said = Refusal.model_validate_json(answer.content)
    except ValidationError:
        raise HepafedError(
            f"{address} answered {answer.status_code}, and not as a gateway of Hepafed does: is the address right, or "
            "does a proxy answer in its place?"
        ) from None
    raise HepafedError(f"the gateway refused: {said.refused}{'; ' + said.cure if said.cure else ''}")


def why_not_reached(error: httpx.HTTPError, address: str) -> str:
    """What keeps this hospital from its gateway, and whom to ask."""
    text = str(error)
    lower = text.lower()
    if isinstance(error, httpx.ProxyError):
        return f"the proxy refused the way to {address} ({text}): ask your network's people to allow CONNECT to it"
    if "certificate verify failed" in lower:
        return (
            f"{address} shows a certificate that is not the gateway's ({text}): a proxy that opens TLS must leave this "
            "address alone, or the address is wrong, or this machine's clock is"
        )
    if "alert" in lower or "tlsv1" in lower:
        return f"the gateway does not accept this hospital's certificate ({text}): renew it, or join again"
    if isinstance(error, httpx.ConnectTimeout):
        return f"{address} does not answer within {CONNECT_SECONDS:.0f} s: is a firewall in between, or a proxy needed?"
    if isinstance(error, httpx.ConnectError):
        return f"{address} cannot be reached ({text or 'no answer'}): check the network, DNS and HTTPS_PROXY"
    return f"the connection to {address} broke ({type(error).__name__}): try again"
