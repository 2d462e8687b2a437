"""A hospital joins once by one invitation; its keys stay; what does not fit is refused before anything is changed."""

import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from client.connection import Connection
from client.joining import accept, joined_already, make_request
from common.certificates import common_name, node_hash, read_certificate
from common.errors import HepafedError
from common.invitation import Invitation
from common.joining import JoinRequest
from deploy.pki import invite, members, revoke, sign
from server.admission import NotAdmitted
from server.coordinator_folder import CoordinatorFolder
from server.register import Register
from tests.consortium import new_consortium


@pytest.fixture
def consortium(tmp_path: Path) -> CoordinatorFolder:
    return new_consortium(tmp_path / "consortium")


def signed(consortium: CoordinatorFolder, request: JoinRequest) -> bytes:
    """What the coordinator answers to a request in a file."""
    path = consortium.path / "request.json"
    path.write_text(request.model_dump_json())
    return sign(consortium, path).model_dump_json().encode()


def join_by_files(consortium: CoordinatorFolder, invitation: Invitation, own_folder: Path) -> Connection:
    connection = Connection(own_folder)
    accept(connection, invitation, signed(consortium, make_request(connection, invitation)))
    return connection


def state_of(consortium: CoordinatorFolder, hospital: str) -> str:
    return next(member.state for member in members(consortium) if member.hospital == hospital)


def test_a_hospital_without_a_network_joins_by_two_files(consortium: CoordinatorFolder, tmp_path: Path) -> None:
    aspen = join_by_files(consortium, invite(consortium, "aspen"), tmp_path / "aspen")
    assert aspen.read().hospital == common_name(read_certificate(aspen.certificate)) == "aspen"
    assert aspen.context().get_ca_certs()
    assert state_of(consortium, "aspen") == "joined"
    assert not (tmp_path / "aspen" / "joining").exists()
    modes = {path.name: path.stat().st_mode & 0o777 for path in aspen.own_folder.iterdir()}
    assert modes == {
        "ca.crt": 0o644,
        "connection.json": 0o600,
        "node.key": 0o600,
        "node.pub": 0o644,
        "tls.crt": 0o644,
        "tls.key": 0o600,
    }


def test_no_private_key_is_in_what_leaves(consortium: CoordinatorFolder, tmp_path: Path) -> None:
    aspen, invitation = Connection(tmp_path / "aspen"), invite(consortium, "aspen")
    sent = make_request(aspen, invitation).model_dump_json()
    for name in ("tls.key", "node.key"):
        pem = next((tmp_path / "aspen" / "joining").rglob(name)).read_bytes()
        raw = load_pem_private_key(pem, None).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        assert b"PRIVATE" not in sent.encode()
        assert raw.hex() not in sent
    assert invitation.secret not in sent


def test_an_attempt_that_was_cut_off_goes_on_with_the_same_keys(
    consortium: CoordinatorFolder, tmp_path: Path
) -> None:
    aspen, invitation = Connection(tmp_path / "aspen"), invite(consortium, "aspen")
    first = signed(consortium, make_request(aspen, invitation))
    again = signed(consortium, make_request(aspen, invitation))  # the first answer was lost on its way
    assert first == again
    accept(aspen, invitation, again)


def test_an_invitation_works_once(consortium: CoordinatorFolder, tmp_path: Path) -> None:
    invitation = invite(consortium, "aspen")
    join_by_files(consortium, invitation, tmp_path / "thief")
    with pytest.raises(
        NotAdmitted, match=r"used already, with other keys\. If it was not you, tell the coordinator"
    ):
        join_by_files(consortium, invitation, tmp_path / "aspen")
    assert not (tmp_path / "aspen" / "connection.json").exists()


def test_only_the_invitation_that_was_joined_by_has_been_used(
    consortium: CoordinatorFolder, tmp_path: Path
) -> None:
    invitation = invite(consortium, "aspen")
    aspen = Connection(tmp_path / "aspen")
    assert joined_already(aspen, invitation) is None
    join_by_files(consortium, invitation, aspen.own_folder)
    assert joined_already(aspen, invitation) == read_certificate(aspen.certificate)
    assert joined_already(aspen, invite(consortium, "aspen")) is None
    aspen.path.write_text("{")  # a damaged connection is mended by joining again
    assert joined_already(aspen, invitation) is None


def test_a_later_invitation_withdraws_the_earlier_one(consortium: CoordinatorFolder, tmp_path: Path) -> None:
    early, late = invite(consortium, "aspen"), invite(consortium, "aspen")
    with pytest.raises(NotAdmitted, match="withdrawn"):
        join_by_files(consortium, early, tmp_path / "early")
    join_by_files(consortium, late, tmp_path / "late")


def test_the_coordinator_holds_expiry_itself(consortium: CoordinatorFolder, tmp_path: Path) -> None:
    connection, invitation = Connection(tmp_path / "aspen"), invite(consortium, "aspen")
    request = make_request(connection, invitation)
    register = Register(consortium.register)
    register._database.execute("UPDATE invitations SET expires = ?", (time.time() - 1,))
    register.close()
    with pytest.raises(NotAdmitted, match="has run out: ask for a new one"):
        signed(consortium, request)


def test_an_invitation_admits_nobody_under_another_name(consortium: CoordinatorFolder, tmp_path: Path) -> None:
    invitation = invite(consortium, "aspen").model_copy(update={"hospital": "birch"})
    with pytest.raises(NotAdmitted, match="the invitation is for aspen, the request says birch"):
        join_by_files(consortium, invitation, tmp_path / "birch")


def test_a_made_up_invitation_and_a_wrong_signature_are_told_the_same(
    consortium: CoordinatorFolder, tmp_path: Path
) -> None:
    invitation = invite(consortium, "aspen")
    request = make_request(Connection(tmp_path / "aspen"), invitation)
    unknown = request.model_copy(update={"invitation": "0" * 16})
    unsigned = request.model_copy(update={"signature": ""})
    said = set()
    for wrong in (unknown, unsigned):
        with pytest.raises(NotAdmitted) as refused:
            signed(consortium, wrong)
        said.add(str(refused.value))
    assert len(said) == 1


def test_one_hospitals_node_key_is_not_taken_for_another(consortium: CoordinatorFolder, tmp_path: Path) -> None:
    aspen = join_by_files(consortium, invite(consortium, "aspen"), tmp_path / "aspen")
    invitation = invite(consortium, "birch")
    request = make_request(Connection(tmp_path / "birch"), invitation)
    stolen = request.model_copy(update={"node_key": aspen.node_public_key.read_text()})
    with pytest.raises(NotAdmitted, match="node key has been used before"):
        signed(consortium, stolen.signed(invitation.signing_key))


def test_joining_again_ends_what_was_before(consortium: CoordinatorFolder, tmp_path: Path) -> None:
    first = join_by_files(consortium, invite(consortium, "aspen"), tmp_path / "aspen")
    old_node = node_hash(first.node_public_key.read_bytes())
    again = join_by_files(consortium, invite(consortium, "aspen"), tmp_path / "aspen")
    register = Register(consortium.register)
    old, new = register.node(old_node), register.node(node_hash(again.node_public_key.read_bytes()))
    standings = register.certificates()
    register.close()
    assert old is not None
    assert new is not None
    assert (old.ended is not None, new.ended) == (True, None)
    assert [standing.reason for standing in standings] == ["the hospital joined again", None]


def test_an_answer_for_other_keys_or_from_another_authority_is_refused(
    consortium: CoordinatorFolder, tmp_path: Path
) -> None:
    invitation = invite(consortium, "aspen")
    answer = signed(consortium, make_request(Connection(tmp_path / "one"), invitation))
    other = Connection(tmp_path / "two")
    with pytest.raises(HepafedError, match="holds no request for this invitation"):
        accept(other, invitation, answer)
    make_request(other, invitation)
    with pytest.raises(HepafedError, match="belongs to another request"):
        accept(other, invitation, answer)
    foreign = new_consortium(tmp_path / "foreign")
    foreign_invitation = invite(foreign, "aspen")
    theirs = signed(foreign, make_request(Connection(tmp_path / "three"), foreign_invitation))
    with pytest.raises(HepafedError, match="not signed by the authority of the invitation"):
        accept(other, invitation, theirs)
    with pytest.raises(HepafedError, match="no answer to a request"):
        accept(other, invitation, b"{}")
    assert not other.path.exists()


def test_an_authority_that_was_exchanged_is_noticed(consortium: CoordinatorFolder, tmp_path: Path) -> None:
    aspen = join_by_files(consortium, invite(consortium, "aspen"), tmp_path / "aspen")
    foreign = new_consortium(tmp_path / "foreign")
    aspen.authority.write_bytes(foreign.authority_certificate.read_bytes())
    with pytest.raises(HepafedError, match="not the authority that this hospital joined"):
        aspen.read()


def test_a_key_that_others_may_read_is_not_used(consortium: CoordinatorFolder, tmp_path: Path) -> None:
    aspen = join_by_files(consortium, invite(consortium, "aspen"), tmp_path / "aspen")
    aspen.key.chmod(0o644)
    with pytest.raises(HepafedError, match=r"tls\.key may be read by others"):
        aspen.context()


def test_revoking_says_what_it_did_and_whom_it_knows(consortium: CoordinatorFolder, tmp_path: Path) -> None:
    join_by_files(consortium, invite(consortium, "aspen"), tmp_path / "aspen")
    with pytest.raises(HepafedError, match=r"brich has no certificate .*hospitals: aspen"):
        revoke(consortium, "brich", "by hand")
    assert revoke(consortium, "aspen", "laptop lost") == "aspen: 1 certificates revoked, 0 invitations withdrawn"
    assert state_of(consortium, "aspen") == "revoked: laptop lost"


def test_the_register_holds_no_secret_of_an_invitation(consortium: CoordinatorFolder) -> None:
    invitation = invite(consortium, "aspen")
    kept = consortium.register.read_bytes()
    assert invitation.public_half in kept
    assert bytes.fromhex(invitation.secret) not in kept
    assert invitation.secret.encode() not in kept
    assert consortium.register.stat().st_mode & 0o777 == 0o600
