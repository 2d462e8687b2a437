"""Everything random in a network's training comes from the study's seed and a name."""

import hashlib


def seed_of(*parts: object) -> int:
    """A whole number below 2^63 that belongs to these names."""
    digest = hashlib.sha256("\n".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1
