"""Where this machine listens, as its kernel says."""

import socket
from pathlib import Path


def listening(port: int) -> set[str]:
    """The addresses on which something listens at this port."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/self/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            parts = line.split()
            address, number = parts[1].split(":")
            if parts[3] == "0A" and int(number, 16) == port:
                found.add(socket.inet_ntoa(bytes.fromhex(address)[::-1]) if table == "tcp" else f"IPv6 {address}")
    return found
