"""The SuperLink is told the node keys of the register: those of hospitals that joined, and no longer those that ended.

Flower never takes a key again that was unregistered, so a hospital that joins again comes with a new one.
"""

from logging import Logger
from pathlib import Path

from common.errors import HepafedError
from server.control import Control
from server.register import NodeKey, Register


def bring_nodes_up_to_date(path: Path, superlink_port: int, log: Logger) -> str:
    """Make the SuperLink's list of nodes that of the register; what is in the way, or nothing."""
    register = Register(path)
    try:
        with Control(superlink_port) as control:
            numbers = {node.public_key: node.number for node in control.nodes() if node.status != "unregistered"}
            for key in register.nodes():
                _bring_up_to_date(register, control, key, numbers.get(key.public_key), log)
    except HepafedError as error:
        return str(error)
    finally:
        register.close()
    return ""


def _bring_up_to_date(register: Register, control: Control, key: NodeKey, number: int | None, log: Logger) -> None:
    if key.ended is None and number is None:
        number = control.register(key.hospital, key.public_key)
        log.info(
            "node of %s registered", key.hospital, extra={"event": "node_registered", "hospital": key.hospital}
        )
    elif key.ended is not None and number is not None:
        control.unregister(number)
        number = None
        log.info("node of %s ended", key.hospital, extra={"event": "node_ended", "hospital": key.hospital})
    if number != key.number:
        register.note_number(key.node, number)
