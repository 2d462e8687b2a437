"""Arrays as bytes, as they travel and as they are kept: a line of names and shapes, then the values in that order.

Values are float64, little-endian. A large array all of whose values are 32-bit floats (the weights of a network of
single precision) is packed as those: half the bytes, and the same values on the other side. What is packed how follows
from the values alone, so that equal arrays have equal bytes.
"""

import json
from collections.abc import Iterable, Mapping
from math import prod
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, TypeAdapter

Arrays = dict[str, np.ndarray]

SINGLE_FROM = 2**20
"""Values from which it is looked whether they are 32-bit floats: below, there is nothing to be saved."""
SINGLE = "f4"

_Shape = list[Annotated[int, Field(strict=True, ge=0, lt=2**40)]]
_HEADER = TypeAdapter(list[tuple[str, _Shape] | tuple[str, _Shape, Literal["f4"]]])
_LOOKED_AT_TOGETHER = 2**14
"""Values that lie in a processor's cache; most arrays of double precision are known by the first of them."""


def pack_arrays(arrays: Mapping[str, np.ndarray], before: bytes = b"") -> bytes:
    """Arrays as bytes.

    Parameters
    ----------
    before
        What stands in front of them: large arrays are copied once.
    """
    return b"".join([before, *parts_of(arrays)])


def parts_of(arrays: Mapping[str, np.ndarray]) -> list[bytes | memoryview]:
    """What `pack_arrays` puts together, without copying it."""
    contents = {name: _as_packed(np.asarray(arrays[name], dtype="<f8")) for name in sorted(arrays)}
    header = _header((name, c.shape, c.dtype.itemsize == 4) for name, c in contents.items())
    return [header, *(c.reshape(-1).view(np.uint8).data for c in contents.values())]


def unpack_arrays(packed: bytes, start: int = 0, keep_single: bool = False) -> Arrays:
    """The arrays of `pack_arrays`, writable; bytes of any other kind raise ValueError.

    Parameters
    ----------
    start
        How many bytes stand in front of them.
    keep_single
        Arrays that were packed as 32-bit floats stay that: views into the bytes, read-only, nothing is copied.
    """
    entries, place = _read_header(packed, start)
    arrays: Arrays = {}
    for name, shape, single in entries:
        size = (4 if single else 8) * prod(shape)
        if name in arrays:
            raise ValueError("packed arrays: the header names an array twice")
        if place + size > len(packed):
            raise ValueError("packed arrays: the body is shorter than its header says")
        values = np.frombuffer(packed, dtype="<f4" if single else "<f8", count=prod(shape), offset=place)
        kept = single and keep_single
        arrays[name] = values.reshape(shape) if kept else values.reshape(shape).astype(np.float64)
        place += size
    if place != len(packed):
        raise ValueError("packed arrays: the body is longer than its header says")
    return arrays


def shapes_of(packed: bytes, start: int = 0) -> dict[str, tuple[int, ...]]:
    """The shapes of packed arrays by name, without their values."""
    return {name: shape for name, shape, _ in _read_header(packed, start)[0]}


def refuse_other_form(packed: bytes, arrays: Mapping[str, np.ndarray]) -> None:
    """ValueError where these bytes are not those that `pack_arrays` makes of the arrays that were read from them."""
    entries, place = _read_header(packed, 0)
    if packed[:place] != _header(entries) or [name for name, *_ in entries] != sorted(arrays):
        raise ValueError("packed arrays: the header is not in its canonical form")
    for name, shape, single in entries:
        if single and (prod(shape) < SINGLE_FROM or np.isnan(arrays[name].min())):
            raise ValueError(f"packed arrays: {name} is packed as 32-bit floats, and nothing would pack it so")
        if not single and _as_packed(arrays[name]).dtype.itemsize == 4:
            raise ValueError(f"packed arrays: {name} holds 32-bit floats alone, and is not packed as those")


def _as_packed(values: np.ndarray) -> np.ndarray:
    """The values as 32-bit floats where they are many and nothing is lost."""
    if values.size < SINGLE_FROM:
        return values
    flat, single = values.reshape(-1), np.empty(values.size, dtype="<f4")
    with np.errstate(over="ignore"):
        for start in range(0, values.size, _LOOKED_AT_TOGETHER):
            some = slice(start, start + _LOOKED_AT_TOGETHER)
            single[some] = flat[some]
            if not np.array_equal(single[some], flat[some]):
                return values
    return single.reshape(values.shape)


def _header(entries: Iterable[tuple[str, tuple[int, ...], bool]]) -> bytes:
    listed = [[name, list(shape), *([SINGLE] if single else [])] for name, shape, single in entries]
    return json.dumps(listed, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def _read_header(packed: bytes, start: int) -> tuple[list[tuple[str, tuple[int, ...], bool]], int]:
    """Names, shapes and whether the values are 32-bit floats; and where the values begin."""
    end = packed.find(b"\n", start)
    end = len(packed) if end < 0 else end
    read = _HEADER.validate_json(packed[start:end])
    return [(entry[0], tuple(entry[1]), len(entry) > 2) for entry in read], min(end + 1, len(packed))
