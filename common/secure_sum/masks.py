"""Keystreams added to vectors: what makes a hospital's numbers look like noise, and takes the noise off again.

A mask is the ChaCha20 keystream of a key that is used for one vector and never again, read as integers modulo 2^64.
Of two hospitals the first in the roster adds their common mask, the other subtracts it.
"""

from collections.abc import Iterable

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

_CHUNK = 2**15
"""Integers at a time: 256 KiB stay in a processor's cache while all masks are added."""

_ZEROS = bytes(8 * _CHUNK)
_CHECK_KEY = b"hepafed: public weights of check"


def add_masks(vector: np.ndarray, plus: Iterable[bytes], minus: Iterable[bytes] = ()) -> None:
    """Add and subtract the keystreams of these keys, in place."""
    added, subtracted = [_stream(key) for key in plus], [_stream(key) for key in minus]
    keystream = np.empty(_CHUNK, dtype="<u8")
    for start in range(0, len(vector), _CHUNK):
        part = vector[start : start + _CHUNK]
        for stream in added:
            part += _next(stream, keystream)[: len(part)]
        for stream in subtracted:
            part -= _next(stream, keystream)[: len(part)]


def check_value(vector: np.ndarray) -> np.ndarray:
    """A public linear combination of a vector, modulo 2^64, as an array of one.

    It is masked and summed like any other value. In an opened total it fits the rest only if every mask came off
    and nothing was damaged: the weights are odd, so that no change of one integer goes unseen.
    """
    weights = _stream(_CHECK_KEY)
    keystream = np.empty(_CHUNK, dtype="<u8")
    combined = np.zeros(1, dtype="<u8")
    for start in range(0, len(vector), _CHUNK):
        part = vector[start : start + _CHUNK]
        combined += (part * (_next(weights, keystream)[: len(part)] | np.uint64(1))).sum(dtype="<u8")
    return combined


def _stream(key: bytes) -> CipherContext:
    # Block counter and nonce start at zero, since no key is used twice.
    return Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor()


def _next(stream: CipherContext, keystream: np.ndarray) -> np.ndarray:
    stream.update_into(_ZEROS, keystream.view(np.uint8).data)
    return keystream
