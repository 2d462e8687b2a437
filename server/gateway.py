"""The gateway as a process: the only port of the coordinator that anything outside its machine can reach.

It listens where coordinator.yaml says, which is the loopback address unless a person wrote another one.

    python -m server.gateway FOLDER
"""

import argparse
import asyncio
import signal
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from logging import Logger
from pathlib import Path

import httpx
from cryptography import x509

from common.certificates import expiry_warning, read_certificate
from common.errors import HepafedError
from common.flower_processes import LOOPBACK
from common.output_log import output_log
from common.private_files import refuse_if_others_may_read
from server.admission import Admissions
from server.authority import open_authority
from server.coordinator_folder import CoordinatorFile, CoordinatorFolder, split_address
from server.gateway_connections import Connections, server_context
from server.gateway_nodes import bring_nodes_up_to_date
from server.gateway_requests import ANSWER_SECONDS, Gateway
from server.register import Register, serial_of

LOOK_SECONDS = 0.25
NODES_AGAIN_SECONDS = 2.0
NODES_SECONDS = 30.0
"""The SuperLink may have been given another database: its nodes are compared from time to time."""
WARN_AGAIN_SECONDS = 86400.0


@dataclass
class _Watch:
    """What the gateway does beside answering: it sees to it that the register counts at once."""

    folder: CoordinatorFolder
    file: CoordinatorFile
    register: Register
    connections: Connections
    log: Logger
    _certificate_seen: float = 0.0
    _warned: float = float("-inf")
    _obstacle: str = ""

    async def look(self) -> None:
        """For ever: close what was revoked, tell the SuperLink its nodes, take a renewed certificate into use."""
        version, nodes_due = -1, 0.0
        while True:
            if (now_version := self.register.version()) != version:
                version, nodes_due = now_version, 0.0
                self._close_what_is_revoked()
            if time.monotonic() >= nodes_due:
                obstacle = await asyncio.to_thread(
                    bring_nodes_up_to_date, self.folder.register, self.file.superlink_port, self.log
                )
                nodes_due = time.monotonic() + (NODES_AGAIN_SECONDS if obstacle else NODES_SECONDS)
                if obstacle and obstacle != self._obstacle:
                    self.log.warning(
                        "node keys not registered yet: %s", obstacle, extra={"event": "nodes_waiting"}
                    )
                self._obstacle = obstacle
            self._take_renewed_certificate()
            await asyncio.sleep(LOOK_SECONDS)

    def _close_what_is_revoked(self) -> None:
        def unwanted(certificate: x509.Certificate) -> bool:
            standing = self.register.standing(serial_of(certificate))
            return standing is None or standing.revoked is not None

        if closed := self.connections.close_where(unwanted):
            self.log.warning(
                "open connections of revoked certificates closed: %d", closed, extra={"event": "closed"}
            )

    def _take_renewed_certificate(self) -> None:
        path = self.folder.gateway_certificate
        changed = path.stat().st_mtime if path.exists() else 0.0
        if changed != self._certificate_seen:
            if self._certificate_seen:
                self.connections.context.load_cert_chain(path, self.folder.gateway_key)
                self.log.info("another certificate is in use", extra={"event": "certificate"})
            self._certificate_seen, self._warned = changed, float("-inf")
        if time.monotonic() - self._warned >= WARN_AGAIN_SECONDS:
            self._warned = time.monotonic()
            cure = "hepafed coordinator renew FOLDER"
            if warning := expiry_warning(read_certificate(path), "the gateway's certificate", cure):
                self.log.warning(warning, extra={"event": "expiry"})


async def run(folder: CoordinatorFolder, log: Logger) -> None:
    """Serve until SIGTERM or SIGINT."""
    file = folder.read()
    refuse_if_others_may_read(folder.gateway_key)
    authority = open_authority(folder)
    register = Register(folder.register)
    # trust_env: no proxy of the coordinator's network stands between the gateway and its own machine.
    superlink = httpx.AsyncClient(
        base_url=f"http://{LOOPBACK}:{file.superlink_port}",
        timeout=httpx.Timeout(ANSWER_SECONDS, connect=5.0),
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
        trust_env=False,
    )
    gateway = Gateway(file.name, register, Admissions(file.name, authority, register), superlink, log)
    connections = Connections(gateway, server_context(folder), log)
    host, port = split_address(file.listen)
    try:
        await connections.listen(host, port)
    except OSError as error:
        raise HepafedError(
            f"the gateway cannot listen on {file.listen} ({error.strerror or error}): stop what listens there, or "
            f"write another address under listen in {folder.path / 'coordinator.yaml'}"
        ) from None
    log.info("gateway listens on %s", file.listen, extra={"event": "started", "listen": file.listen})
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    watch = asyncio.create_task(_Watch(folder, file, register, connections, log).look())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait({watch, stopped}, return_when=asyncio.FIRST_COMPLETED)
    await connections.end()
    await superlink.aclose()
    if watch.done():
        await watch  # it ends by a fault only: let whoever keeps this process see it and start another
    watch.cancel()
    with suppress(asyncio.CancelledError):
        await watch
    register.close()
    log.info("gateway ended", extra={"event": "ended"})


def serve(folder: Path) -> None:
    """Run the gateway of a coordinator's folder."""
    asyncio.run(run(CoordinatorFolder(folder), output_log("gateway")))


def main() -> None:
    """The gateway as a process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    try:
        serve(parser.parse_args().folder)
    except HepafedError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
