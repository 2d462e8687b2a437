"""How large a hospital's update can be: known to everyone before the round, so that its sum takes eight bytes a weight.

An update is clipped to the norm C and counts once a patient: no value exceeds C·2^k, where 2^k is above the largest
hospital's number of patients (from the roll call). SCAFFOLD's change of a control variate is clipped to C / rate.
"""

from math import ceil, frexp, log2

from common.networks.rounds import learning_rate
from common.networks.settings import Network
from common.secure_sum.fixed_point import COARSEST, FINEST, STEP, ZERO

MOST_PATIENTS = 2**24


def largest_control(settings: Network, round_number: int) -> float:
    """The norm of a control variate's change at most."""
    return settings.clip / learning_rate(settings, round_number)


def bounds(settings: Network, round_number: int, patients: int) -> dict[str, int]:
    """Exponents of two by array that no value of a hospital of so many patients exceeds, in the sums' steps."""
    found = {"update": exponent(settings.clip * 2.0 ** ceil(log2(max(2, patients))))}
    if settings.strategy == "scaffold":
        found["control"] = exponent(largest_control(settings, round_number))
    return found


def exponent(largest: float) -> int:
    """The smallest exponent of the secure sum's steps above a value."""
    return min(COARSEST, max(ZERO, FINEST, -(-frexp(largest)[1] // STEP) * STEP))
