"""How a hospital joins a consortium, and renews its certificate: keys are made here, and never leave.

New keys lie in own_folder/joining/ until the coordinator has answered; then they take their place. An attempt that was
cut off goes on with the same keys, so the invitation is not lost with the connection.
"""

import shutil
from datetime import UTC, datetime

import httpx
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from client.connection import Connection, ConnectionFile, ask, client_options, trusting
from common.certificates import (
    certificate_bytes,
    common_name,
    fingerprint,
    key_bytes,
    new_key,
    public_bytes,
    read_certificate,
    read_key,
)
from common.errors import HepafedError
from common.invitation import Invitation
from common.joining import JOIN, RENEW, Admission, JoinRequest, RenewalRequest
from common.private_files import private_folder, refuse_if_others_may_read, write_private, write_public

WAITING = "joining"


def join(connection: Connection, invitation: Invitation, proxy: str | None = None) -> x509.Certificate:
    """Join over the network; the hospital's certificate."""
    request = make_request(connection, invitation)
    file = _file(invitation, proxy)
    with httpx.Client(**client_options(file, trusting(invitation.authority_certificate))) as client:
        content = request.model_dump_json().encode()
        answer = ask(client, httpx.Request("POST", f"https://{file.address}{JOIN}", content=content), file.address)
    return accept(connection, invitation, answer, proxy)


def joined_already(connection: Connection, invitation: Invitation) -> x509.Certificate | None:
    """The certificate that this very invitation brought, while it is good; another invitation brings another one."""
    try:
        if connection.read().invitation != invitation.number:
            return None
        certificate = read_certificate(connection.certificate)
    except (HepafedError, OSError):  # no connection, or a damaged one, which joining mends
        return None
    return certificate if certificate.not_valid_after_utc > datetime.now(UTC) else None


def make_request(connection: Connection, invitation: Invitation) -> JoinRequest:
    """The request of this hospital; made again, it is the same request for the same keys."""
    invitation.refuse_if_expired()
    waiting = _waiting(connection, invitation)
    for name in (waiting.key, waiting.node_key):
        if not name.exists():
            write_private(name, key_bytes(new_key()))
    request = waiting.own_folder / "request.json"
    if not request.exists():
        asked = JoinRequest(
            hospital=invitation.hospital,
            invitation=invitation.number,
            signing_request=_signing_request(invitation.hospital, read_key(waiting.key)),
            node_key=public_bytes(read_key(waiting.node_key).public_key()).decode(),
        )
        write_private(request, asked.signed(invitation.signing_key).model_dump_json().encode())
    return JoinRequest.model_validate_json(request.read_bytes())


def accept(
    connection: Connection, invitation: Invitation, answer: bytes, proxy: str | None = None
) -> x509.Certificate:
    """Take the coordinator's answer into use, if it fits the keys that wait here and the pinned authority."""
    waiting = _waiting(connection, invitation)
    if not (waiting.own_folder / "request.json").exists():
        raise HepafedError(
            f"{waiting.own_folder} holds no request for this invitation: the answer belongs to another hospital or "
            "another machine, or has been taken already"
        )
    authority = invitation.authority_certificate
    certificate = _checked(answer, invitation.hospital, authority, read_key(waiting.key).public_key())
    node_key = read_key(waiting.node_key)
    # connection.json goes first and comes last: a hospital that is cut off here joins again, and is never half joined.
    connection.path.unlink(missing_ok=True)
    write_private(connection.key, waiting.key.read_bytes())
    write_public(connection.certificate, certificate_bytes(certificate))
    write_public(connection.authority, certificate_bytes(authority))
    write_private(connection.node_key, key_bytes(node_key))
    write_public(connection.node_public_key, public_bytes(node_key.public_key()))
    write_private(connection.path, _file(invitation, proxy).model_dump_json(indent=1).encode())
    shutil.rmtree(waiting.own_folder.parent)
    return certificate


def renew(connection: Connection) -> x509.Certificate:
    """Another certificate for the same key, over the connection that the present one still opens."""
    file = connection.read()
    refuse_if_others_may_read(connection.key)
    key = read_key(connection.key)
    asked = RenewalRequest(signing_request=_signing_request(file.hospital, key))
    with httpx.Client(**client_options(file, connection.context())) as client:
        content = asked.model_dump_json().encode()
        answer = ask(
            client, httpx.Request("POST", f"https://{file.address}{RENEW}", content=content), file.address
        )
    certificate = _checked(answer, file.hospital, read_certificate(connection.authority), key.public_key())
    write_public(connection.certificate, certificate_bytes(certificate))
    return certificate


def _file(invitation: Invitation, proxy: str | None) -> ConnectionFile:
    return ConnectionFile(
        consortium=invitation.consortium,
        hospital=invitation.hospital,
        address=invitation.address,
        authority_fingerprint=fingerprint(invitation.authority_certificate),
        proxy=proxy,
        invitation=invitation.number,
    )


def _waiting(connection: Connection, invitation: Invitation) -> Connection:
    """Where the keys wait for the answer; another invitation begins with other keys."""
    private_folder(connection.own_folder)
    waiting = connection.own_folder / WAITING / invitation.number
    private_folder(waiting.parent)
    private_folder(waiting)
    return Connection(waiting)


def _signing_request(hospital: str, key: ec.EllipticCurvePrivateKey) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hospital)])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, SHA256())
    return request.public_bytes(Encoding.PEM).decode()


def _checked(
    answer: bytes, hospital: str, authority: x509.Certificate, key: ec.EllipticCurvePublicKey
) -> x509.Certificate:
    try:
        certificate = Admission.model_validate_json(answer).opened
        certificate.verify_directly_issued_by(authority)
    except (ValidationError, ValueError, TypeError):
        raise HepafedError("this is no answer to a request to join that can be read: ask for it again") from None
    except InvalidSignature:
        raise HepafedError(
            "the certificate in the answer was not signed by the authority of the invitation: do not use it, and tell "
            "the coordinator"
        ) from None
    if common_name(certificate) != hospital or certificate.public_key() != key:
        raise HepafedError(
            f"the certificate in the answer is for {common_name(certificate)!r} or for another key than {hospital}'s "
            "own: this answer belongs to another request"
        )
    return certificate
