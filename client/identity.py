"""The hospital's long-term key: what it signs with, and what the other hospitals know it by.

An Ed25519 key, made when it is first needed, in identity.key of the hospital's own folder: a PEM file that only its
owner may read, encrypted under the key of the store (client/sealing.py). The fingerprint is compared by people, over
the telephone, before a study is approved; no certificate stands in for that.
"""

from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import wrap

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from client.sealing import (
    OwnFolder,
    SealingKey,
    alone_in,
    connect,
    refuse_if_others_may_read,
    sealing_key,
    what_is_lost,
    write_private,
)
from common.errors import Code, HospitalError
from common.secure_sum.agreement import fingerprint_of

_GROUP = 4


@dataclass(frozen=True)
class Identity:
    """A hospital that can sign.

    Parameters
    ----------
    private_key
        For what signs by its own rules: the announcement of a secure sum's keys.
    """

    private_key: Ed25519PrivateKey = field(repr=False)

    @staticmethod
    def open(own: OwnFolder) -> "Identity":
        """The identity in a hospital's own folder, made if there is none yet."""
        key = sealing_key(own)
        if not own.identity.exists():
            with alone_in(own.path):
                if not own.identity.exists():
                    refuse_if_lost(own)
                    write_private(own.identity, _sealed(Ed25519PrivateKey.generate(), key))
        refuse_if_others_may_read(own.identity)
        return Identity(_unsealed(own.identity, key))

    @staticmethod
    def reseal(own: OwnFolder, old: SealingKey, new: SealingKey) -> None:
        """Encrypt the identity under another key; it stays the same identity."""
        try:
            private = _unsealed(own.identity, new)  # an earlier attempt came as far as this
        except HospitalError:
            private = _unsealed(own.identity, old)
        write_private(own.identity, _sealed(private, new))

    @property
    def public_bytes(self) -> bytes:
        """The public key, 32 bytes."""
        return self.private_key.public_key().public_bytes_raw()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the public key, 64 hexadecimal digits: as a roster holds it."""
        return fingerprint_of(self.private_key.public_key())

    @property
    def spoken_fingerprint(self) -> str:
        """The fingerprint in sixteen groups of four digits, to be read out."""
        return " ".join(wrap(self.fingerprint, _GROUP))

    def sign(self, message: bytes, purpose: str) -> bytes:
        """A signature that counts for this purpose alone."""
        return self.private_key.sign(_bound(message, purpose))


def refuse_if_lost(own: OwnFolder) -> None:
    """A new key where the ledger was signed with another would only hide that the old one is gone."""
    if own.identity.exists() or not own.store.is_file() or not own.store.stat().st_size:
        return
    with closing(connect(own, read_only=True)) as database:
        made = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'ledger'").fetchone()
        signed = made and database.execute("SELECT 1 FROM ledger").fetchone()
    if signed:
        raise HospitalError(
            Code.STORE_SEALED,
            f"{own.identity} is not there, and the ledger was signed with it. {what_is_lost(own.path)}",
        )


def verify(public: bytes, message: bytes, signature: bytes, purpose: str) -> bool:
    """Whether the hospital with this public key signed the message for this purpose."""
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, _bound(message, purpose))
    except (InvalidSignature, ValueError):
        return False
    return True


def _bound(message: bytes, purpose: str) -> bytes:
    """The message under its purpose; the length keeps two purposes from sharing bytes."""
    name = purpose.encode()
    return b"hepafed" + len(name).to_bytes(4, "big") + name + message


def _sealed(private: Ed25519PrivateKey, key: SealingKey) -> bytes:
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(_password(key)))


def _unsealed(path: Path, key: SealingKey) -> Ed25519PrivateKey:
    try:
        found = load_pem_private_key(path.read_bytes(), _password(key))
    except (ValueError, TypeError) as error:  # TypeError: a PEM file that is not encrypted
        raise HospitalError(
            Code.STORE_SEALED,
            f"{path} does not open with the key from {key.origin} ({error}): it was sealed with another key, or "
            f"the file is damaged. {what_is_lost(path.parent)}",
        ) from None
    if not isinstance(found, Ed25519PrivateKey):
        raise HospitalError(Code.STORE_SEALED, f"{path} holds a key of another kind than Ed25519; put yours back")
    return found


def _password(key: SealingKey) -> bytes:
    return key.derived("identity").hex().encode()
