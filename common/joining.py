"""What a hospital and the coordinator say to each other to open connections: a request, and what it is answered with.

The same two documents travel over the network (join, renew) and as files (join --offline). Neither holds a secret:
the request's keys are public halves, and it is signed with the invitation's key.
"""

import base64
import hashlib

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pydantic import BaseModel, ConfigDict, Field

from common.query import canonical_json
from common.study import HospitalName

JOIN = "/hepafed/join"
RENEW = "/hepafed/renew"
HELLO = "/hepafed/hello"
LONGEST_DOCUMENT = 16_384


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JoinRequest(_Document):
    """A hospital asks for its certificate, and names its node key."""

    hospital: HospitalName
    invitation: str = Field(pattern=r"^[0-9a-f]{16}$")
    signing_request: str = Field(max_length=4096, description="PKCS #10, PEM")
    node_key: str = Field(max_length=1024, description="the public half, PEM")
    signature: str = Field(default="", max_length=128)

    def signed(self, key: Ed25519PrivateKey) -> "JoinRequest":
        """The request under the invitation's signature."""
        return self.model_copy(update={"signature": base64.b64encode(key.sign(self._statement)).decode()})

    def is_signed_by(self, public_half: bytes) -> bool:
        """Whether it was made by somebody who holds the invitation."""
        try:
            signature = base64.b64decode(self.signature, validate=True)
            Ed25519PublicKey.from_public_bytes(public_half).verify(signature, self._statement)
        except (InvalidSignature, ValueError):
            return False
        return True

    @property
    def digest(self) -> str:
        """The same request, sent once more, has the same digest."""
        return hashlib.sha256(self._statement).hexdigest()

    @property
    def _statement(self) -> bytes:
        return b"hepafed join\0" + canonical_json(self.model_dump(exclude={"signature"})).encode()


class RenewalRequest(_Document):
    """A hospital asks for another certificate over the connection that its present one opened."""

    signing_request: str = Field(max_length=4096)


class Admission(_Document):
    """What a request is answered with."""

    consortium: str
    hospital: str
    certificate: str = Field(max_length=8192)

    @property
    def opened(self) -> x509.Certificate:
        """The certificate."""
        return x509.load_pem_x509_certificate(self.certificate.encode())


class Refusal(_Document):
    """Why the gateway says no, in words for the person at the other end."""

    refused: str
    cure: str = ""


class Hello(_Document):
    """What the gateway says to a hospital whose certificate and node key are good."""

    consortium: str
    hospital: str
    time: float
    certificate_days: int
    version: str
