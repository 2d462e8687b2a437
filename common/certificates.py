"""What hospitals and the coordinator both read from certificates and keys of the consortium.

Certificates open connections and are trusted for nothing else; by what hospitals know each other stands in the roster
(client/identity.py).
"""

import hashlib
import math
from datetime import UTC, datetime
from pathlib import Path
from textwrap import wrap

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)
from cryptography.x509.oid import NameOID

from common.errors import HepafedError

WARN_DAYS = 30
CURVES = ("secp256r1", "secp384r1")


def new_key() -> ec.EllipticCurvePrivateKey:
    """A key for a certificate or a node: P-384, which TLS and Flower both take."""
    return ec.generate_private_key(ec.SECP384R1())


def key_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key as PEM; it goes into a file of mode 0600 and nowhere else."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def read_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """The private key in a file."""
    try:
        key = load_pem_private_key(path.read_bytes(), None)
    except FileNotFoundError:
        raise HepafedError(f"{path} is not there: put it back from your backup") from None
    except (ValueError, TypeError):
        raise HepafedError(f"{path} holds no private key that can be read: put yours back") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise HepafedError(f"{path} holds a key of another kind than EC: put yours back")
    return key


def public_bytes(key: ec.EllipticCurvePublicKey) -> bytes:
    """A public key as PEM, in the one way in which Flower writes it too."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def read_public_key(pem: bytes) -> ec.EllipticCurvePublicKey:
    """An EC public key on P-256 or P-384; anything else raises ValueError."""
    key = load_pem_public_key(pem)
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in CURVES:
        raise ValueError("the key is no EC key on P-256 or P-384")
    return key


def node_hash(pem: bytes) -> str:
    """What a node key is known by: SHA-256 of its public half as it is sent with every request."""
    return hashlib.sha256(pem).hexdigest()


def read_certificate(path: Path) -> x509.Certificate:
    """The certificate in a file."""
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except FileNotFoundError:
        raise HepafedError(f"{path} is not there: put it back from your backup") from None
    except ValueError:
        raise HepafedError(f"{path} holds no certificate that can be read: put yours back") from None


def certificate_bytes(certificate: x509.Certificate) -> bytes:
    """A certificate as PEM."""
    return certificate.public_bytes(Encoding.PEM)


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 of a certificate, 64 hexadecimal digits."""
    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


def spoken(digits: str) -> str:
    """A fingerprint in groups of four, to be read out."""
    return " ".join(wrap(digits, 4))


def common_name(certificate: x509.Certificate) -> str:
    """The name that a certificate was made out to."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else ""


def days_left(certificate: x509.Certificate, now: datetime | None = None) -> int:
    """Whole days for which a certificate is still good; negative when it has run out."""
    left = certificate.not_valid_after_utc - (now or datetime.now(UTC))
    return math.floor(left.total_seconds() / 86400)


def expiry_warning(
    certificate: x509.Certificate, whose: str, cure: str, now: datetime | None = None
) -> str | None:
    """A warning from 30 days before a certificate runs out; None while there is time."""
    days = days_left(certificate, now)
    if days >= WARN_DAYS:
        return None
    until = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
    if days < 0:
        return f"{whose} ran out on {until}: {cure}"
    return f"{whose} runs out on {until}, in {days} {'day' if days == 1 else 'days'}: {cure}"
