"""An invitation: one text, which can be mailed, by which one hospital joins one consortium once.

It brings the address, the certificate of the consortium's authority (so the first connection is checked like every
later one) and a secret. From the secret a signing key is derived, and the hospital signs its request with it: the
secret itself is never sent, and the coordinator keeps only the public half. Whoever reads the invitation on its way
can join in the hospital's place, which the hospital notices, since its own attempt is refused.
"""

import base64
import binascii
import hashlib
import time
from textwrap import wrap

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from common.certificates import fingerprint
from common.errors import HepafedError
from common.study import HospitalName

PREFIX = "hepafed-invitation-1"
_CHECK_DIGITS = 8
_SECRET_DIGITS = 64


class Invitation(BaseModel):
    """What an invitation says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    consortium: str = Field(min_length=1, max_length=64)
    hospital: HospitalName
    address: str
    authority: str = Field(description="the certificate of the consortium's authority, DER in base64")
    expires: int
    secret: str = Field(repr=False, pattern=f"^[0-9a-f]{{{_SECRET_DIGITS}}}$")

    @property
    def authority_certificate(self) -> x509.Certificate:
        """The one authority that this hospital will ever take the gateway's certificate from."""
        return x509.load_der_x509_certificate(base64.b64decode(self.authority))

    @property
    def authority_fingerprint(self) -> str:
        """SHA-256 of the authority's certificate: may be compared over the telephone."""
        return fingerprint(self.authority_certificate)

    @property
    def signing_key(self) -> Ed25519PrivateKey:
        """What the request to join is signed with."""
        derived = HKDF(SHA256(), 32, salt=None, info=b"hepafed invitation").derive(bytes.fromhex(self.secret))
        return Ed25519PrivateKey.from_private_bytes(derived)

    @property
    def public_half(self) -> bytes:
        """What the coordinator keeps of the secret."""
        return self.signing_key.public_key().public_bytes_raw()

    @property
    def number(self) -> str:
        """What the invitation is called in logs and requests; from it nothing follows."""
        return invitation_number(self.public_half)

    def refuse_if_expired(self) -> None:
        """An invitation that has run out is not worth a connection."""
        if time.time() > self.expires:
            until = time.strftime("%Y-%m-%d", time.gmtime(self.expires))
            raise HepafedError(f"this invitation ran out on {until}: ask the coordinator for another one")

    def to_text(self) -> str:
        """The invitation as it is mailed: lines of letters and digits, with a check sum."""
        body = base64.urlsafe_b64encode(self.model_dump_json().encode()).decode().rstrip("=")
        return "\n".join(wrap(f"{PREFIX}.{body}.{_check_sum(body)}", 76)) + "\n"


def invitation_number(public_half: bytes) -> str:
    """The number of the invitation with this public half."""
    return hashlib.sha256(public_half).hexdigest()[:16]


def read_invitation(text: str) -> Invitation:
    """The invitation in a text; line breaks, spaces and marks of quotation do not matter."""
    squeezed = "".join(character for character in text if not character.isspace() and character != ">")
    parts = squeezed.split(".")
    if parts[0] != PREFIX:
        raise HepafedError(
            f"this is no invitation: it begins with {squeezed[:24]!r}, not with {PREFIX!r}. Give the file or the "
            "text that the coordinator sent"
        )
    if len(parts) != 3 or _check_sum(parts[1]) != parts[2]:
        raise HepafedError(
            "this invitation is not whole, or was changed on its way: ask for it once more, as a file"
        )
    try:
        body = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        found = Invitation.model_validate_json(body)
        _ = found.authority_certificate
    except (ValidationError, ValueError, binascii.Error):
        raise HepafedError(
            "this invitation cannot be read: is this Hepafed older than the coordinator's?"
        ) from None
    return found


def _check_sum(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()[:_CHECK_DIGITS]
