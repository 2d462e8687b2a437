"""Certificates: each is good for one thing; warnings come in time; keys are their owner's alone."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from common.certificates import days_left, expiry_warning, new_key, read_certificate
from common.errors import HepafedError
from server.authority import Authority, found_authority, key_of_request, open_authority, renew_gateway
from server.coordinator_folder import CoordinatorFile, CoordinatorFolder

FILE = CoordinatorFile(name="liver", address="gateway.example:9443", also=["192.0.2.7", "gw"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> CoordinatorFolder:
    made = CoordinatorFolder(tmp_path_factory.mktemp("consortium"))
    made.write(FILE)
    found_authority(made, FILE)
    return made


@pytest.fixture(scope="module")
def authority(folder: CoordinatorFolder) -> Authority:
    return open_authority(folder)


def test_private_keys_are_their_owners_alone(folder: CoordinatorFolder) -> None:
    assert folder.pki.stat().st_mode & 0o777 == 0o700
    for key in (folder.authority_key, folder.gateway_key):
        assert key.stat().st_mode & 0o777 == 0o600
    folder.authority_key.chmod(0o644)
    try:
        with pytest.raises(HepafedError, match=r"ca\.key may be read by others .*chmod 600"):
            open_authority(folder)
    finally:
        folder.authority_key.chmod(0o600)


def test_the_gateway_is_called_by_every_name_of_coordinator_yaml(folder: CoordinatorFolder) -> None:
    names = read_certificate(folder.gateway_certificate).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    assert names.value.get_values_for_type(x509.DNSName) == ["gateway.example", "gw", "localhost"]
    assert [str(ip) for ip in names.value.get_values_for_type(x509.IPAddress)] == ["192.0.2.7", "127.0.0.1"]


def test_a_hospital_cannot_pass_for_the_gateway(authority: Authority) -> None:
    aspen = authority.for_hospital("aspen", new_key().public_key(), 10)
    use = aspen.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert (list(use.value), use.critical) == ([ExtendedKeyUsageOID.CLIENT_AUTH], True)
    store = Store([authority.certificate])
    verifier = PolicyBuilder().store(store).build_server_verifier(x509.DNSName("gateway.example"))
    with pytest.raises(VerificationError):
        verifier.verify(aspen, [])


def test_the_authority_signs_no_other_authorities_and_for_no_other_organisation(authority: Authority) -> None:
    extensions = authority.certificate.extensions
    assert extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0
    constraints = extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    permitted = constraints.value.permitted_subtrees
    assert permitted is not None
    assert [str(name.value.rfc4514_string()) for name in permitted] == ["O=Hepafed liver"]


def test_a_request_counts_only_if_its_own_key_signed_it() -> None:
    name = x509.Name([])
    good = x509.CertificateSigningRequestBuilder().subject_name(name).sign(new_key(), SHA256())
    der = bytearray(good.public_bytes(Encoding.DER))
    der[-1] ^= 1
    spoilt = x509.load_der_x509_csr(bytes(der))
    assert key_of_request(good.public_bytes(Encoding.PEM).decode())
    with pytest.raises(HepafedError, match=r"cannot be read|not signed by its own key"):
        key_of_request(spoilt.public_bytes(Encoding.PEM).decode())
    other_kind = rsa.generate_private_key(65537, 2048)
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(other_kind, SHA256())
    with pytest.raises(HepafedError, match="another kind of key"):
        key_of_request(request.public_bytes(Encoding.PEM).decode())


def test_renewal_keeps_the_gateways_key_and_takes_new_names(tmp_path: Path) -> None:
    folder = CoordinatorFolder(tmp_path)
    folder.write(FILE)
    found_authority(folder, FILE)
    before = read_certificate(folder.gateway_certificate)
    folder.write(FILE.model_copy(update={"also": ["new.example"]}))
    after = renew_gateway(folder)
    assert after.public_key() == before.public_key()
    assert after.serial_number != before.serial_number
    names = after.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "new.example" in names.get_values_for_type(x509.DNSName)


@pytest.mark.parametrize(
    ("days", "said"), [(45, None), (30.5, None), (29.5, "in 29 days"), (1.5, "in 1 day:"), (-2, "ran out on")]
)
def test_warnings_begin_thirty_days_before(authority: Authority, days: float, said: str | None) -> None:
    certificate = authority.for_hospital("aspen", new_key().public_key(), 90)
    now = certificate.not_valid_after_utc - timedelta(days=days)
    warning = expiry_warning(certificate, "aspen's certificate", "renew it", now)
    assert (warning is None) if said is None else (warning is not None and said in warning)
    assert days_left(certificate, datetime.now(UTC)) == 89


def test_wrong_addresses_are_refused_in_words() -> None:
    for wrong in ("gateway.example", "gateway.example:0", "gate way:1", "[::1]", "::1:9443"):
        with pytest.raises(ValueError, match=r"HOST:PORT|port is a number"):
            CoordinatorFile(name="liver", address=wrong)
    assert CoordinatorFile(name="liver", address="[2001:db8::1]:9443").names[0] == "2001:db8::1"
