"""Numbers as integers of 64 bits, with public powers of two for scales, so that sums are exact and cannot wrap.

With n hospitals (2^L ≥ n) and values below 2^E a value is x·2^(62−L−E), rounded: the total stays within 2^62. The
error of a total is at most n/2 · 2^(E+L−62); E overshoots the largest value by 8 bits at most, so that is 1.4e-12
of the largest value for 200 hospitals and less for fewer. A scale is shared by a whole array unless a `Grouping`
keeps some axes separate. Exponents come in steps of eight: all that they tell is a hospital's largest value to a
factor of 256, and nothing below the floor.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import ceil, log2, prod

import numpy as np

from common.query import Arrays
from common.secure_sum.encoding import LONGEST_TEXT, pack, pack_many, read_text, unpack, unpack_many
from common.secure_sum.refusals import SecureSumRefused

STEP = 8
FINEST, COARSEST = -256, 1008
"""Exponents outside these are not used: smaller values count as zero, larger ones are refused."""

ZERO = 8
"""What is said of a group of zeros: the same as of counts from 1 to 255, so that nobody tells an empty cell."""

TOTAL_BITS = 62
MOST_VALUES = 2**27
MOST_ARRAYS = 10_000
_MOST_AXES = 16


@dataclass(frozen=True)
class Grouping:
    """How the elements of one array share scales; part of what a query is, not of what a coordinator asks.

    Parameters
    ----------
    separate
        Axes along which every place has a scale of its own: (-1,) for one a column.
    floor
        The exponent below which magnitudes are not told apart, a multiple of eight. With 8, counts from 0 to 255
        look alike.
    """

    separate: tuple[int, ...] = ()
    floor: int = FINEST

    def __post_init__(self) -> None:
        """Refuse a floor that is no exponent."""
        if self.floor % STEP or not FINEST <= self.floor <= COARSEST:
            raise ValueError(f"floor {self.floor}: expected a multiple of {STEP} from {FINEST} to {COARSEST}")


@dataclass(frozen=True, eq=False)
class ArrayExponents:
    """The shape of one array, and the exponents of its groups in an array that broadcasts to it."""

    shape: tuple[int, ...]
    exponents: np.ndarray

    @cached_property
    def size(self) -> int:
        """How many values the array has."""
        return prod(self.shape)


@dataclass(frozen=True)
class Exponents:
    """Powers of two by array: one hospital's magnitudes, or the scales that all of them use."""

    arrays: Mapping[str, ArrayExponents] = field(compare=False)
    packed: bytes = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Fix the order of arrays, and what two equal ones have in common."""
        packed = pack_many(_pack_array(name, self.arrays[name]) for name in sorted(self.arrays))
        object.__setattr__(self, "packed", pack("exponents", packed))

    @staticmethod
    def from_bytes(packed: bytes) -> "Exponents":
        """The exponents whose `packed` this is; ValueError for anything else."""
        (listed,) = unpack(packed, "exponents", len(packed))
        arrays = dict(map(_read_array, unpack_many(listed, MOST_ARRAYS, len(listed))))
        exponents = Exponents(arrays)
        if exponents.values > MOST_VALUES:
            raise ValueError(f"{exponents.values} values, at most {MOST_VALUES} are summed at once")
        if exponents.packed != packed:
            raise ValueError("exponents that are not in their canonical form")
        return exponents

    @cached_property
    def values(self) -> int:
        """How many values there are in all arrays."""
        return sum(array.size for array in self.arrays.values())

    @cached_property
    def digest(self) -> bytes:
        """32 bytes for the arrays' names, shapes and exponents."""
        return hashlib.sha256(self.packed).digest()

    def same_groups(self, other: "Exponents") -> bool:
        """Whether names, shapes and groups agree, whatever the exponents."""
        mine, theirs = (
            {name: (a.shape, a.exponents.shape) for name, a in one.arrays.items()} for one in (self, other)
        )
        return mine == theirs


def magnitudes(arrays: Mapping[str, np.ndarray], groupings: Mapping[str, Grouping]) -> Exponents:
    """What a hospital says in clear of its values: the smallest multiple of eight above the largest's exponent."""
    found: dict[str, ArrayExponents] = {}
    for name, values in arrays.items():
        grouping = groupings.get(name, Grouping())
        shared = _shared_axes(name, values.ndim, grouping)
        above = values.max(axis=shared, keepdims=True, initial=0.0)
        largest = np.maximum(above, -values.min(axis=shared, keepdims=True, initial=0.0))
        if not np.isfinite(largest).all():
            raise SecureSumRefused(_not_finite(name, values))
        steps = -(-np.frexp(largest)[1].astype(np.int64) // STEP) * STEP
        exponents = np.where(largest == 0.0, max(grouping.floor, ZERO), np.maximum(steps, grouping.floor))
        if (exponents > COARSEST).any():
            raise SecureSumRefused(
                f"array {name!r}: a value above 2^{COARSEST} cannot be summed; look for a unit that went wrong"
            )
        found[name] = ArrayExponents(values.shape, exponents)
    return Exponents(found)


def encode(
    arrays: Mapping[str, np.ndarray], own: Exponents, scales: Exponents, groupings: Mapping[str, Grouping], n: int
) -> np.ndarray:
    """The arrays as one vector of integers modulo 2^64; `own` are their magnitudes, n is the roster's size."""
    if not own.same_groups(scales):
        raise SecureSumRefused(
            "the scales are for arrays of other names, shapes or groups than this query has here; "
            "coordinator and hospital run different versions, or the coordinator asks for finer magnitudes"
        )
    for name, scale in scales.arrays.items():
        if (scale.exponents < groupings.get(name, Grouping()).floor).any():
            raise SecureSumRefused(
                f"array {name!r}: a scale below the query's floor would tell small values apart"
            )
        if (own.arrays[name].exponents > scale.exponents).any():
            raise SecureSumRefused(
                f"array {name!r}: values of this hospital do not fit the scales, which follow from public bounds; "
                "nothing is masked"
            )
    vector = np.empty(scales.values, dtype="<i8")
    start = 0
    for name in sorted(scales.arrays):
        scale = scales.arrays[name]
        scaled = arrays[name] * np.ldexp(1.0, _fraction_bits(scale, n))
        vector[start : start + scale.size] = np.rint(scaled).ravel()
        start += scale.size
    return vector.view("<u8")


def decode(vector: np.ndarray, scales: Exponents, n: int) -> Arrays:
    """The total of encoded vectors as arrays; a total outside its bounds is refused."""
    whole = vector.view("<i8")
    # Not np.abs: the most negative integer has no positive twin.
    if ((whole > 2**TOTAL_BITS) | (whole < -(2**TOTAL_BITS))).any():
        raise SecureSumRefused("the total lies outside the ring's bounds: some answer was not encoded as agreed")
    arrays: Arrays = {}
    start = 0
    for name in sorted(scales.arrays):
        scale = scales.arrays[name]
        part = whole[start : start + scale.size].reshape(scale.shape).astype(np.float64)
        arrays[name] = np.asarray(part * np.ldexp(1.0, -_fraction_bits(scale, n)))
        start += scale.size
    return arrays


def _fraction_bits(scale: ArrayExponents, n: int) -> np.ndarray:
    return TOTAL_BITS - ceil(log2(n)) - scale.exponents


def _shared_axes(name: str, axes: int, grouping: Grouping) -> tuple[int, ...]:
    if any(not -axes <= axis < axes for axis in grouping.separate):
        raise SecureSumRefused(
            f"array {name!r} has {axes} axes, its scales are to be separate along {grouping.separate}"
        )
    separate = {axis % axes for axis in grouping.separate}
    return tuple(axis for axis in range(axes) if axis not in separate)


def _not_finite(name: str, values: np.ndarray) -> str:
    broken = np.argwhere(~np.isfinite(values))
    place = tuple(int(i) for i in broken[0])
    return (
        f"array {name!r} of shape {values.shape}: {len(broken)} of its values are not finite, the first at {place}; "
        "a sum would carry that to everyone. Look in the table for an infinite or missing value"
    )


def _pack_array(name: str, array: ArrayExponents) -> bytes:
    shapes = (np.array(shape, dtype="<i8").tobytes() for shape in (array.shape, array.exponents.shape))
    return pack_many((name.encode(), *shapes, array.exponents.astype("<i2").tobytes()))


def _read_array(packed: bytes) -> tuple[str, ArrayExponents]:
    fields = unpack_many(packed, 4, len(packed))
    if len(fields) != 4 or len(fields[0]) > LONGEST_TEXT:
        raise ValueError("exponents of an array: expected a name, two shapes and the exponents")
    name, shape, groups, content = fields
    sizes, grouped = _read_shape(shape), _read_shape(groups)
    if len(sizes) != len(grouped) or any(g not in (1, s) for s, g in zip(sizes, grouped, strict=True)):
        raise ValueError(f"exponents of shape {grouped} do not belong to an array of shape {sizes}")
    if len(content) != 2 * prod(grouped):
        raise ValueError("exponents of an array: not as many as their shape says")
    exponents = np.frombuffer(content, dtype="<i2").astype(np.int64).reshape(grouped)
    if ((exponents % STEP != 0) | (exponents < FINEST) | (exponents > COARSEST)).any():
        raise ValueError(f"an exponent that is no multiple of {STEP} from {FINEST} to {COARSEST}")
    return read_text(name), ArrayExponents(sizes, exponents)


def _read_shape(packed: bytes) -> tuple[int, ...]:
    if len(packed) % 8 or len(packed) > 8 * _MOST_AXES:
        raise ValueError("a shape that is no list of up to sixteen sizes")
    sizes = tuple(int(size) for size in np.frombuffer(packed, dtype="<i8"))
    if any(not 0 <= size <= MOST_VALUES for size in sizes):
        raise ValueError(f"an array of shape {sizes} cannot be summed")
    return sizes
