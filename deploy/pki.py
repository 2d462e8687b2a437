"""What the coordinator's operator does with the consortium's keys: found, invite, sign, renew, revoke, list."""

import base64
import secrets
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import ValidationError

from common.certificates import WARN_DAYS, expiry_warning, fingerprint, read_certificate
from common.errors import HepafedError
from common.invitation import Invitation
from common.joining import LONGEST_DOCUMENT, Admission, JoinRequest
from common.private_files import private_folder
from common.study import HOSPITAL_NAME
from server.admission import Admissions
from server.authority import found_authority, open_authority
from server.coordinator_folder import FILE, CoordinatorFile, CoordinatorFolder
from server.register import Invited, NodeKey, Register, Standing

INVITATION_DAYS = 14


def found_consortium(folder: Path, file: CoordinatorFile) -> CoordinatorFolder:
    """Make a coordinator's folder: coordinator.yaml, the authority, the gateway's certificate, an empty register."""
    coordinator = CoordinatorFolder(folder)
    for path in (folder / FILE, coordinator.pki):
        if path.exists():
            raise HepafedError(
                f"{path} is there already: a second authority would lock out every hospital that has joined. Name "
                "another folder, or renew what is there: hepafed coordinator renew"
            )
    private_folder(folder)
    for name in ("superlink", "runs", "logs"):
        private_folder(folder / name)
    coordinator.write(file)
    found_authority(coordinator, file)
    Register(coordinator.register).close()
    return coordinator


def invite(coordinator: CoordinatorFolder, hospital: str, days: int = INVITATION_DAYS) -> Invitation:
    """An invitation for one hospital; an earlier one that is still open is withdrawn."""
    _refuse_wrong_name(hospital)
    file = coordinator.read()
    authority = read_certificate(coordinator.authority_certificate)
    invitation = Invitation(
        consortium=file.name,
        hospital=hospital,
        address=file.address,
        authority=base64.b64encode(authority.public_bytes(Encoding.DER)).decode(),
        expires=int(time.time() + 86400 * days),
        secret=secrets.token_hex(32),
    )
    with _open(coordinator) as register:
        register.invite(invitation)
    return invitation


def sign(coordinator: CoordinatorFolder, request: Path) -> Admission:
    """Answer a request to join that came as a file."""
    try:
        if request.stat().st_size > LONGEST_DOCUMENT:
            raise HepafedError(f"{request} is too long for a request to join: ask the hospital for the right file")
        asked = JoinRequest.model_validate_json(request.read_bytes())
    except ValidationError:
        raise HepafedError(
            f"{request} is no request to join: the hospital makes one with hepafed site join INVITATION --offline"
        ) from None
    with _open(coordinator) as register:
        return Admissions(coordinator.read().name, open_authority(coordinator), register).admit(asked)


def revoke(coordinator: CoordinatorFolder, hospital: str, reason: str) -> str:
    """Take a hospital's connection away, at once and for good; what was done, in words."""
    with _open(coordinator) as register:
        with register.alone():
            certificates = register.end(hospital, reason)
            invitations = register.withdraw_invitations(hospital)
        known = sorted({standing.hospital for standing in register.certificates()})
    if not certificates and not invitations:
        names = ", ".join(known) or "none yet"
        raise HepafedError(f"{hospital} has no certificate and no open invitation to revoke; hospitals: {names}")
    return f"{hospital}: {certificates} certificates revoked, {invitations} invitations withdrawn"


@dataclass(frozen=True)
class Member:
    """A hospital in the consortium's list."""

    hospital: str
    state: str
    until: str
    node: str
    warning: bool


def members(coordinator: CoordinatorFolder) -> list[Member]:
    """Every hospital that was invited, by name, and where it stands."""
    with _open(coordinator) as register:
        invited, certificates, nodes = register.invitations(), register.certificates(), register.nodes()
    names = sorted({i.hospital for i in invited} | {c.hospital for c in certificates})
    return [
        _member(
            name,
            [i for i in invited if i.hospital == name],
            [c for c in certificates if c.hospital == name],
            [n for n in nodes if n.hospital == name and n.ended is None],
        )
        for name in names
    ]


def _member(name: str, invited: list[Invited], certificates: list[Standing], nodes: list[NodeKey]) -> Member:
    now = time.time()
    good = [c for c in certificates if c.revoked is None]
    opened = [i for i in invited if i.is_open]
    node = ("registered" if nodes[-1].number is not None else "waits for the SuperLink") if nodes else ""
    if good:
        latest = max(good, key=lambda c: c.expires)
        left = (latest.expires - now) / 86400
        state = "joined" if left >= 0 else "certificate has run out"
        return Member(name, state, _day(latest.expires), node, left < WARN_DAYS)
    if opened:
        return Member(name, "invited", _day(opened[-1].expires), node, False)
    if certificates:
        last = certificates[-1]
        return Member(name, f"revoked: {last.reason}", _day(last.revoked or now), node, False)
    return Member(name, "invitation ran out or was withdrawn", _day(invited[-1].expires), node, False)


def warnings(coordinator: CoordinatorFolder, now: datetime | None = None) -> list[str]:
    """The coordinator's own certificates that run out soon."""
    found = [
        (coordinator.gateway_certificate, "the gateway's certificate", "hepafed coordinator renew"),
        (
            coordinator.authority_certificate,
            "the consortium's authority",
            "found a new consortium in another folder and invite every hospital again",
        ),
    ]
    said = [expiry_warning(read_certificate(path), whose, cure, now) for path, whose, cure in found]
    return [text for text in said if text is not None]


def authority_fingerprint(coordinator: CoordinatorFolder) -> str:
    """SHA-256 of the authority's certificate, for the telephone."""
    return fingerprint(read_certificate(coordinator.authority_certificate))


def file_of(
    name: str, address: str, listen: str | None, also: list[str], superlink_port: int | None
) -> CoordinatorFile:
    """coordinator.yaml from what was said on the command line; left out: on the loopback address, same port."""
    port = address.rpartition(":")[2]
    said = {
        "name": name,
        "address": address,
        "also": also,
        "listen": listen or f"127.0.0.1:{port}",
    }
    try:
        return CoordinatorFile.model_validate(
            said if superlink_port is None else {**said, "superlink_port": superlink_port}
        )
    except ValidationError as error:
        faults = [
            f"--{fault['loc'][0]}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors()
            if listen or fault["loc"] != ("listen",)  # made here of a wrong address, which is named already
        ]
        raise HepafedError("\n".join(faults)) from None


@contextmanager
def _open(coordinator: CoordinatorFolder) -> Iterator[Register]:
    coordinator.read()
    if not coordinator.register.exists():
        raise HepafedError(f"{coordinator.register} is not there: put it back from your backup")
    with closing(Register(coordinator.register)) as register:
        yield register


def _refuse_wrong_name(hospital: str) -> None:
    if not HOSPITAL_NAME.fullmatch(hospital):
        raise HepafedError(
            f"{hospital!r} cannot be a hospital's name: letters, digits, - _ . only, a letter or digit first, at most "
            "63 of them"
        )


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"
