"""Numbers of any usual size as whole digits, so that nobody has to say how large they are before they are added.

Scales that fit a hospital's values must be agreed on, and whoever hears them learns a bound of that hospital's own
sums; a coordinator that chooses where sums are zero can bisect on it. So every value is written in digits of 24 bits
between 2⁻¹³⁰ and 2¹¹⁰, one fixed scale for all, and the digits are summed under masks.

Totals of digits would tell more than the total: how many hospitals carried into the next digit. Each hospital
therefore moves a random number of units between neighbouring digits (its value stays the same), from a secret of its
own and the question, so that the same question always gets the same digits. What is left differs from uniform by about
√n · 2⁻²⁰ a digit for n hospitals.
"""

import hashlib
from collections.abc import Mapping

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

from common.query import Arrays
from common.secure_sum.fixed_point import ArrayExponents, Exponents, Grouping
from common.secure_sum.refusals import SecureSumRefused

DIGIT_BITS = 24
DIGITS = 10
LOWEST_BIT = -130
MOVED_BITS = 20
EXPONENT = 48
"""Digits stay below 2^45 after moving; sums of 200 of them are exact in a float64."""

GROUPING = Grouping(floor=EXPONENT)
MASKED = "masked digits"
"""The kind of the message that holds shapes and masked digits."""
LARGEST = 2.0 ** (DIGIT_BITS * DIGITS + LOWEST_BIT - 2)
_WEIGHTS = [2.0 ** (DIGIT_BITS * k + LOWEST_BIT) for k in range(DIGITS)]


def to_digits(arrays: Mapping[str, np.ndarray], secret: str, question: str) -> Arrays:
    """Every array with a leading axis of digits, the lowest first; SecureSumRefused for what is no usual number."""
    spread: Arrays = {}
    for name, array in arrays.items():
        rest = np.array(array, dtype=np.float64)
        if not np.isfinite(rest).all() or (np.abs(rest) > LARGEST).any():
            raise SecureSumRefused(
                f"array {name!r}: a value is not finite or above {LARGEST:.0e} and cannot be summed; look in the "
                "table for an infinite value or a unit that went wrong"
            )
        digits = np.empty((DIGITS, *rest.shape))
        for k in reversed(range(DIGITS)):
            digits[k] = np.rint(rest / _WEIGHTS[k])
            rest = rest - digits[k] * _WEIGHTS[k]  # exact: what is left has no more bits than before
        moved = _moved(f"{secret}/{question}/{name}", (DIGITS - 1, *rest.shape))
        digits[:-1] -= moved * 2.0**DIGIT_BITS
        digits[1:] += moved
        spread[name] = digits
    return spread


def from_digits(totals: Mapping[str, np.ndarray]) -> Arrays:
    """The totals of the values whose digits were added."""
    found: Arrays = {}
    for name, summed in totals.items():
        digits = np.rint(summed).astype(np.int64)
        for k in range(DIGITS - 1):
            carry = (digits[k] + 2 ** (DIGIT_BITS - 1)) >> DIGIT_BITS
            digits[k] -= carry << DIGIT_BITS
            digits[k + 1] += carry
        value = np.zeros(digits.shape[1:])
        for k in reversed(range(DIGITS)):
            value = value + digits[k] * _WEIGHTS[k]
        found[name] = np.asarray(value)
    return found


def scales_of(digits: Mapping[str, np.ndarray]) -> Exponents:
    """The one scale there is, for arrays of these shapes."""
    return Exponents(
        {
            name: ArrayExponents(array.shape, np.full((1,) * array.ndim, EXPONENT, dtype=np.int64))
            for name, array in digits.items()
        }
    )


def _moved(purpose: str, shape: tuple[int, ...]) -> np.ndarray:
    """Whole numbers, uniform from −2²⁰ to 2²⁰ − 1, the same for the same purpose."""
    key = hashlib.sha256(f"hepafed digits\n{purpose}".encode()).digest()
    size = int(np.prod(shape))
    stream = Cipher(ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(4 * size))
    drawn = np.frombuffer(stream, dtype="<u4").reshape(shape) >> (32 - MOVED_BITS - 1)
    return drawn.astype(np.float64) - 2.0**MOVED_BITS
