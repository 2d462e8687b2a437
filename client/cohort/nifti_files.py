"""What ITK keeps to itself about a NIfTI file: it fills what is cut off with zeros, does not look at a gzip checksum,
and turns NaN into 0.
"""

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from client.cohort.findings import ImageFault

_CHUNK = 1 << 22  # a multiple of every voxel's size
_FLOATS = {16: "f4", 64: "f8"}
_CURE = "copy or export it again"


@dataclass(frozen=True)
class _Header:
    order: str
    datatype: int
    offset: int
    length: int


def voxels_without_number(path: Path) -> np.ndarray:
    """Read a file to its end; the voxels (counted as they are stored, x fastest) that are NaN or infinite.

    Raises
    ------
    ImageFault
        If bytes are missing, or the checksum is wrong.
    """
    try:
        with gzip.open(path) if path.name.casefold().endswith(".gz") else path.open("rb") as opened:
            file = cast(BinaryIO, opened)
            start = file.read(540)
            header = _header(start)
            if header is None:
                raise ImageFault("unreadable file", "the file cannot be read (no NIfTI header)", _CURE)
            return _read_through(file, start, header)
    except gzip.BadGzipFile as error:
        said = "its checksum is wrong" if "CRC" in str(error) else "it is not compressed, or no NIfTI"
    except EOFError:
        said = "it ends too early"
    except zlib.error:
        said = "it cannot be unpacked"
    raise ImageFault("unreadable file", f"the file is damaged ({said})", _CURE)


def _header(start: bytes) -> _Header | None:
    for order in "<>":
        if len(start) >= 348 and struct.unpack_from(f"{order}i", start)[0] == 348:
            dimensions = struct.unpack_from(f"{order}8h", start, 40)
            datatype, bits = struct.unpack_from(f"{order}2h", start, 70)
            stated = struct.unpack_from(f"{order}f", start, 108)[0]
            offset = int(stated) if 0 <= stated < 2**31 else 352
        elif len(start) == 540 and struct.unpack_from(f"{order}i", start)[0] == 540:  # NIfTI-2
            datatype, bits = struct.unpack_from(f"{order}2h", start, 12)
            dimensions = struct.unpack_from(f"{order}8q", start, 16)
            offset = max(struct.unpack_from(f"{order}q", start, 168)[0], 540)
        else:
            continue
        if not 1 <= dimensions[0] <= 7:
            return None
        voxels = math.prod(max(int(length), 1) for length in dimensions[1 : dimensions[0] + 1])
        return _Header(order, int(datatype), offset, voxels * int(bits) // 8)
    return None


def _read_through(file: BinaryIO, start: bytes, header: _Header) -> np.ndarray:
    rest = start[header.offset :]
    file.read(max(header.offset - len(start), 0))
    kind = _FLOATS.get(header.datatype)
    odd: list[np.ndarray] = []
    found = 0
    while chunk := rest + file.read(_CHUNK - len(rest)):
        rest = b""
        if kind is not None and found < header.length:
            size = int(kind[1])
            part = chunk[: min(len(chunk), header.length - found) // size * size]
            values = np.frombuffer(part, dtype=header.order + kind)
            odd.append(np.flatnonzero(~np.isfinite(values)) + found // size)
        found += len(chunk)
    if found < header.length:
        raise ImageFault("unreadable file", f"the file is cut off: {found:,} bytes of {header.length:,}", _CURE)
    return np.concatenate(odd) if odd else np.empty(0, dtype=np.int64)
