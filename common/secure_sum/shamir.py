"""Shamir's shares of 32 bytes: any t of n restore the secret, t − 1 tell nothing (doi:10.1145/359168.359176).

Arithmetic is modulo the smallest prime above 2^256, so that every 32 bytes are a secret; a share takes 33.
"""

from collections.abc import Sequence

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

PRIME = 2**256 + 297
SECRET_BYTES = 32
SHARE_BYTES = 33
_COEFFICIENT_BYTES = 48
"""128 bits more than the prime has: what the reduction favours is below 2^-127."""


def split(secret: bytes, key: bytes, threshold: int, points: Sequence[int]) -> list[bytes]:
    """A share for every point; the polynomial's coefficients come from a key that is used for nothing else."""
    stream = Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor()
    drawn = stream.update(bytes(_COEFFICIENT_BYTES * (threshold - 1)))
    coefficients = [
        int.from_bytes(drawn[at : at + _COEFFICIENT_BYTES], "little") % PRIME
        for at in range(0, len(drawn), _COEFFICIENT_BYTES)
    ]
    constant = int.from_bytes(secret, "little")
    shares: list[bytes] = []
    for point in points:
        value = 0
        for coefficient in (*coefficients, constant):
            value = (value * point + coefficient) % PRIME
        shares.append(value.to_bytes(SHARE_BYTES, "little"))
    return shares


def weights_at_zero(points: Sequence[int]) -> list[int]:
    """Lagrange's weights: what the values at these points count for in the value at zero."""
    weights: list[int] = []
    for point in points:
        above, below = 1, 1
        for other in points:
            if other != point:
                above = above * other % PRIME
                below = below * (other - point) % PRIME
        weights.append(above * pow(below, -1, PRIME) % PRIME)
    return weights


def join(weights: Sequence[int], shares: Sequence[bytes]) -> bytes:
    """The secret of as many shares as the threshold; ValueError where they cannot be of one secret."""
    values = [read_share(share) for share in shares]
    secret = sum(w * v for w, v in zip(weights, values, strict=True)) % PRIME
    if secret >= 2**256:
        raise ValueError("shares that are not of one secret")
    return secret.to_bytes(SECRET_BYTES, "little")


def read_share(share: bytes) -> int:
    """A share as a number below the prime."""
    value = int.from_bytes(share, "little")
    if len(share) != SHARE_BYTES or value >= PRIME:
        raise ValueError(f"a share is {SHARE_BYTES} bytes for a number below 2^256 + 297")
    return value
