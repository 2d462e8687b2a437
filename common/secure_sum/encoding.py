"""Fields as bytes, and back: one encoding for one message, every length bounded before anything is read.

A message is its kind and its fields, each after its length (eight bytes, little-endian). What does not parse to the
last byte raises ValueError. The same encoding goes under signatures and hashes, so that no two different lists of
fields are ever the same bytes.
"""

from collections.abc import Iterable

_LENGTH = 8
LONGEST_TEXT = 256


def pack(kind: str, *fields: bytes) -> bytes:
    """A message of that kind."""
    return pack_many((kind.encode(), *fields))


def unpack(packed: bytes, kind: str, *limits: int) -> tuple[bytes, ...]:
    """The fields of a message of that kind, as many as there are limits, none longer than its limit."""
    fields = _split(packed, (len(kind.encode()), *limits))
    if fields[0] != kind.encode():
        raise ValueError(f"expected a message of the kind {kind!r}")
    return tuple(fields[1:])


def pack_many(fields: Iterable[bytes]) -> bytes:
    """Any number of fields in one."""
    return b"".join(part for field in fields for part in (number(len(field)), field))


def unpack_many(packed: bytes, most: int, limit: int) -> list[bytes]:
    """The fields of `pack_many`, at most so many, none longer than the limit."""
    fields: list[bytes] = []
    start = 0
    while start < len(packed):
        if len(fields) == most:
            raise ValueError(f"more than {most} fields in a message")
        field, start = _field(packed, start, limit)
        fields.append(field)
    return fields


def number(value: int) -> bytes:
    """A count as eight bytes."""
    return value.to_bytes(_LENGTH, "little")


def read_number(packed: bytes) -> int:
    """The count of `number`."""
    if len(packed) != _LENGTH:
        raise ValueError(f"a number of {len(packed)} bytes, expected {_LENGTH}")
    return int.from_bytes(packed, "little")


def read_text(packed: bytes) -> str:
    """A short text."""
    if len(packed) > LONGEST_TEXT:
        raise ValueError(f"a text of {len(packed)} bytes, at most {LONGEST_TEXT} are read")
    return packed.decode()


def _split(packed: bytes, limits: tuple[int, ...]) -> list[bytes]:
    fields: list[bytes] = []
    start = 0
    for limit in limits:
        field, start = _field(packed, start, limit)
        fields.append(field)
    if start != len(packed):
        raise ValueError(f"a message with {len(packed) - start} bytes after its end")
    return fields


def _field(packed: bytes, start: int, limit: int) -> tuple[bytes, int]:
    begin = start + _LENGTH
    length = read_number(packed[start:begin])
    if length > limit:
        raise ValueError(f"a field of {length} bytes, at most {limit} are read here")
    if begin + length > len(packed):
        raise ValueError("a message that ends within a field")
    return packed[begin : begin + length], begin + length
