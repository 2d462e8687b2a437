"""An invitation is one text: it survives the mail, shows damage, and gives its secret away to nobody."""

import base64
import time

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from common.errors import HepafedError
from common.invitation import PREFIX, Invitation, read_invitation
from common.joining import JoinRequest
from common.room import Seat
from server.authority import found_authority
from server.coordinator_folder import CoordinatorFile, CoordinatorFolder


@pytest.fixture(scope="module")
def invitation(tmp_path_factory: pytest.TempPathFactory) -> Invitation:
    folder = CoordinatorFolder(tmp_path_factory.mktemp("consortium"))
    authority = found_authority(folder, CoordinatorFile(name="liver", address="gateway.example:9443"))
    return Invitation(
        consortium="liver",
        hospital="aspen",
        address="gateway.example:9443",
        authority=base64.b64encode(authority.certificate.public_bytes(Encoding.DER)).decode(),
        expires=int(time.time()) + 3600,
        secret="5c" * 32,
    )


def test_an_invitation_survives_being_quoted_and_wrapped_by_mail_programs(invitation: Invitation) -> None:
    text = invitation.to_text()
    assert max(map(len, text.splitlines())) <= 76
    mailed = "\r\n".join(f"> {line[:40]} \r\n> {line[40:]}" for line in text.splitlines())
    assert read_invitation(mailed) == invitation


@settings(max_examples=60)
@given(data=st.data())
def test_one_character_changed_is_noticed(invitation: Invitation, data: st.DataObject) -> None:
    text = invitation.to_text().replace("\n", "")
    at = data.draw(st.integers(len(PREFIX) + 1, len(text) - 1))
    other = data.draw(st.sampled_from("abcXYZ019-_").filter(lambda character: character != text[at]))
    with pytest.raises(HepafedError, match=r"not whole|begins with"):
        read_invitation(text[:at] + other + text[at + 1 :])


def test_half_an_invitation_and_something_else_are_told_apart(invitation: Invitation) -> None:
    with pytest.raises(HepafedError, match="not whole"):
        read_invitation(invitation.to_text()[:-30])
    with pytest.raises(HepafedError, match="this is no invitation: it begins with 'DearDoctor'"):
        read_invitation("Dear Doctor")


def test_the_request_proves_the_secret_without_holding_it(invitation: Invitation) -> None:
    request = JoinRequest(hospital="aspen", invitation=invitation.number, signing_request="x", node_key="y")
    signed = request.signed(invitation.signing_key)
    assert signed.is_signed_by(invitation.public_half)
    assert invitation.secret not in signed.model_dump_json()
    assert not signed.model_copy(update={"node_key": "z"}).is_signed_by(invitation.public_half)
    other = invitation.model_copy(update={"secret": "5d" * 32})
    assert not signed.is_signed_by(other.public_half)
    assert not request.is_signed_by(invitation.public_half)


def test_an_invitation_keeps_its_secret_out_of_its_repr(invitation: Invitation) -> None:
    assert invitation.secret not in repr(invitation)


def test_an_invitation_that_ran_out_is_not_used(invitation: Invitation) -> None:
    with pytest.raises(HepafedError, match="ran out on 1970-01-01: ask the coordinator"):
        invitation.model_copy(update={"expires": 0}).refuse_if_expired()


@pytest.mark.parametrize("name", ["../../etc", "aspen\nroot", "a b", "x" * 64, ""])
def test_a_name_that_is_none_of_a_hospital_is_in_no_document(invitation: Invitation, name: str) -> None:
    with pytest.raises(ValidationError, match="hospital"):
        JoinRequest(hospital=name, invitation=invitation.number, signing_request="x", node_key="y")
    with pytest.raises(ValidationError, match="hospital"):
        Invitation(**(invitation.model_dump() | {"hospital": name}))
    with pytest.raises(ValidationError, match="hospital"):
        Seat(hospital=name, patients=60)
