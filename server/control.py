"""What the coordinator tells its SuperLink: who the hospitals are, and which runs to start and stop."""

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

import httpx
from flwr.common.serde import fab_to_proto, user_config_to_proto
from flwr.proto.control_pb2 import (
    ListNodesRequest,
    ListRunsRequest,
    ListRunsResponse,
    RegisterNodeRequest,
    StartRunRequest,
    StopRunRequest,
    UnregisterNodeRequest,
)
from flwr.supercore.control import ControlHttpClient
from flwr.supercore.fab import Fab
from flwr.supercore.interceptors import RuntimeVersionHttpInterceptor

from common.errors import HepafedError
from common.flower_app import RUN, app_bytes, app_hash
from common.flower_processes import LOOPBACK

T = TypeVar("T")


@dataclass(frozen=True)
class Node:
    """A hospital's SuperNode as the SuperLink knows it."""

    number: int
    name: str
    status: str
    public_key: bytes = b""

    @property
    def online(self) -> bool:
        """Whether its heartbeat is heard."""
        return self.status == "online"


class Control:
    """The SuperLink on this machine."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._client = ControlHttpClient.from_server_address(
            f"{LOOPBACK}:{port}",
            insecure=True,
            root_certificates=None,
            interceptors=[RuntimeVersionHttpInterceptor(component_name="flwr")],
        )

    def __enter__(self) -> "Control":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def register(self, name: str, public_key: bytes) -> int:
        """Make a hospital's node key known under its name; the number of its node."""
        return int(
            self._ask(self._client.RegisterNode, RegisterNodeRequest(public_key=public_key, name=name)).node_id
        )

    def unregister(self, node: int) -> None:
        """Forget a node key, for good: Flower never takes the same key again."""
        self._ask(self._client.UnregisterNode, UnregisterNodeRequest(node_id=node))

    def nodes(self) -> list[Node]:
        """The hospitals that are registered, by name."""
        found = self._ask(self._client.ListNodes, ListNodesRequest()).nodes_info
        return sorted((Node(n.node_id, n.name, n.status, n.public_key) for n in found), key=lambda node: node.name)

    def start(self, run: str) -> int:
        """Start the ServerApp for a run of ours; the number of Flower's run."""
        fab = fab_to_proto(Fab(app_hash(), app_bytes(), {}))
        request = StartRunRequest(fab=fab, override_config=user_config_to_proto({RUN: run}), federation="")
        return int(self._ask(self._client.StartRun, request).run_id)

    def stop(self, number: int) -> None:
        """Stop Flower's run."""
        self._ask(self._client.StopRun, StopRunRequest(run_id=number))

    def status(self, number: int) -> str:
        """Of Flower's run: pending, starting, running or finished; finished too where it is unknown."""
        found = self._ask(self._list, ListRunsRequest(run_id=number))
        return str(found.run_dict[number].status.status) if found is not None else "finished"

    def _list(self, request: ListRunsRequest) -> ListRunsResponse | None:
        try:
            return self._client.ListRuns(request)
        except httpx.HTTPStatusError as error:
            if error.response.status_code == httpx.codes.NOT_FOUND:  # a SuperLink whose database was lost
                return None
            raise

    def _ask(self, call: Callable[[Any], T], request: object) -> T:
        try:
            return call(request)
        except httpx.TransportError as error:
            raise HepafedError(
                f"the SuperLink on port {self._port} of this machine does not answer ({type(error).__name__}): "
                "start the coordinator (hepafed coordinator start FOLDER), or wait until it is up again"
            ) from None
        except httpx.HTTPStatusError as error:
            raise HepafedError(
                f"the SuperLink refused a request ({error.response.status_code}): {error.response.text[:300]}"
            ) from None
