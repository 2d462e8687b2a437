"""The coordinator's folder: coordinator.yaml, the consortium's keys, Flower's database, the runs.

coordinator.yaml   what a person decides: name, addresses, ports
pki/               ca.key ca.crt gateway.key gateway.crt register.sqlite; nobody else may look into it
superlink/         Flower's database
runs/              a folder a run
logs/              a log a process
"""

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import Field, ValidationError, field_validator

from common.errors import HepafedError, StudyError
from common.strict_yaml import Place, describe_faults, read_yaml
from common.variables import Strict

FILE = "coordinator.yaml"
LISTEN = "127.0.0.1:9443"
SUPERLINK_PORT = 9444
_HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?:\.(?!-)[A-Za-z0-9-]{1,63})*")


class CoordinatorFile(Strict):
    """coordinator.yaml."""

    name: str = Field(min_length=1, max_length=48, description="the consortium's name, as hospitals see it")
    address: str = Field(description="HOST:PORT by which hospitals reach the gateway")
    also: list[str] = Field([], description="more names and addresses that the gateway's certificate is good for")
    listen: str = Field(
        LISTEN, description="ADDRESS:PORT on which the gateway listens; 0.0.0.0:9443 is: on every network"
    )
    superlink_port: int = Field(
        SUPERLINK_PORT, ge=1, le=65535, description="the SuperLink's port, on the loopback address only"
    )

    @field_validator("address", "listen")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        if is_host(value):
            raise ValueError(
                f"found {value!r}; write HOST:PORT, e.g. {f'[{value}]' if ':' in value else value}:9443"
            )
        host, port = split_address(value)
        if not 0 < port < 65536:
            raise ValueError(f"found {value!r}; the port is a number from 1 to 65535")
        if not host:
            raise ValueError(f"found {value!r}; write HOST:PORT, such as federation.example:9443")
        return value

    @field_validator("also")
    @classmethod
    def _are_names(cls, value: list[str]) -> list[str]:
        wrong = [name for name in value if not is_host(name)]
        if wrong:
            raise ValueError(f"found {wrong[0]!r}; write a host name or an address, without a port")
        return value

    @property
    def names(self) -> tuple[str, ...]:
        """All names and addresses that the gateway is called by."""
        loopback = ("localhost", "127.0.0.1")
        return tuple(dict.fromkeys((split_address(self.address)[0], *self.also, *loopback)))


@dataclass(frozen=True)
class CoordinatorFolder:
    """One coordinator's folder."""

    path: Path

    @property
    def pki(self) -> Path:
        """The consortium's keys."""
        return self.path / "pki"

    @property
    def register(self) -> Path:
        """Who was invited, who joined, which certificates are good."""
        return self.pki / "register.sqlite"

    @property
    def gateway_certificate(self) -> Path:
        """What the gateway shows."""
        return self.pki / "gateway.crt"

    @property
    def gateway_key(self) -> Path:
        """The gateway's private key."""
        return self.pki / "gateway.key"

    @property
    def authority_certificate(self) -> Path:
        """What every certificate of the consortium is checked against."""
        return self.pki / "ca.crt"

    @property
    def authority_key(self) -> Path:
        """What certificates are signed with."""
        return self.pki / "ca.key"

    def read(self) -> CoordinatorFile:
        """coordinator.yaml; HepafedError says what is wrong with it."""
        path = self.path / FILE
        if not path.exists():
            raise HepafedError(
                f"{path} is not there: name the coordinator's folder, or make one: hepafed coordinator init FOLDER "
                "--name NAME --address HOST:PORT"
            )
        lines: dict[Place, int] = {}
        try:
            content, lines = read_yaml(path)
            return CoordinatorFile.model_validate(content)
        except StudyError as error:
            raise HepafedError(str(error)) from None
        except ValidationError as error:
            raise HepafedError(describe_faults(error, str(path), lines, CoordinatorFile)) from None

    def write(self, file: CoordinatorFile) -> None:
        """Write coordinator.yaml, every field with its meaning."""
        lines = []
        for name, field in CoordinatorFile.model_fields.items():
            lines.append(f"# {field.description}")
            lines.append(yaml.safe_dump({name: getattr(file, name)}, allow_unicode=True, sort_keys=False).rstrip())
        (self.path / FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def split_address(text: str) -> tuple[str, int]:
    """Host and port; an IPv6 address stands in brackets. No host, and port 0, where the text is no address."""
    found = re.fullmatch(r"\[([0-9a-fA-F:.]+)\]:(\d{1,5})|([^:\[\]]+):(\d{1,5})", text)
    if found is None:
        return "", 0
    host = found[1] or found[3]
    return (host, int(found[2] or found[4])) if is_host(host) else ("", 0)


def is_host(text: str) -> bool:
    """Whether this is a host name or an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return _HOST_NAME.fullmatch(text) is not None
    return True
