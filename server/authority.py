"""The consortium's certificate authority: it signs what opens connections, and is trusted for nothing else.

EC P-384 throughout. The authority may sign for this consortium alone (a critical name constraint on the organisation),
and no further authorities. The gateway's certificate is good for servers only, a hospital's for clients only: neither
can stand in for the other.
"""

import ipaddress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from common.certificates import (
    CURVES,
    certificate_bytes,
    key_bytes,
    new_key,
    read_certificate,
    read_key,
)
from common.errors import HepafedError
from common.private_files import private_folder, refuse_if_others_may_read, write_private, write_public
from server.coordinator_folder import CoordinatorFile, CoordinatorFolder

AUTHORITY_DAYS = 3650
CERTIFICATE_DAYS = 397
CLOCK_SKEW = timedelta(hours=1)
"""A certificate is good from an hour before it was signed: the hospital's clock may be behind."""


@dataclass(frozen=True)
class Authority:
    """An authority that can sign."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    def for_hospital(self, hospital: str, key: ec.EllipticCurvePublicKey, days: float) -> x509.Certificate:
        """A hospital's certificate: its name, and that it may connect."""
        return self._signed(hospital, key, ExtendedKeyUsageOID.CLIENT_AUTH, (), days)

    def for_gateway(self, names: tuple[str, ...], key: ec.EllipticCurvePublicKey, days: int) -> x509.Certificate:
        """The gateway's certificate: the names and addresses that hospitals call it by."""
        return self._signed("gateway", key, ExtendedKeyUsageOID.SERVER_AUTH, names, days)

    def _signed(
        self,
        name: str,
        key: ec.EllipticCurvePublicKey,
        use: x509.ObjectIdentifier,
        also_called: tuple[str, ...],
        days: float,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        until = min(now + timedelta(days=days), self.certificate.not_valid_after_utc)
        organisation = self.certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(str(organisation), name))
            .issuer_name(self.certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(max(now - CLOCK_SKEW, self.certificate.not_valid_before_utc))
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
        )
        if also_called:
            called = x509.SubjectAlternativeName([_called(text) for text in also_called])
            builder = builder.add_extension(called, critical=False)
        return builder.sign(self.key, SHA384())


def found_authority(folder: CoordinatorFolder, file: CoordinatorFile) -> Authority:
    """Make the authority and the gateway's certificate; they must not be there yet."""
    private_folder(folder.pki)
    key = new_key()
    organisation = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, _organisation(file.name))])
    name = _name(_organisation(file.name), "connections")
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + timedelta(days=AUTHORITY_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(key_cert_sign=True, crl_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.NameConstraints([x509.DirectoryName(organisation)], None), critical=True)
        .sign(key, SHA384())
    )
    write_private(folder.authority_key, key_bytes(key))
    write_public(folder.authority_certificate, certificate_bytes(certificate))
    gateway = new_key()
    write_private(folder.gateway_key, key_bytes(gateway))
    authority = Authority(certificate, key)
    write_public(
        folder.gateway_certificate,
        certificate_bytes(authority.for_gateway(file.names, gateway.public_key(), CERTIFICATE_DAYS)),
    )
    return authority


def open_authority(folder: CoordinatorFolder) -> Authority:
    """The authority of a coordinator's folder."""
    refuse_if_others_may_read(folder.authority_key)
    return Authority(read_certificate(folder.authority_certificate), read_key(folder.authority_key))


def renew_gateway(folder: CoordinatorFolder) -> x509.Certificate:
    """Another certificate for the same key, with the names that coordinator.yaml says now."""
    refuse_if_others_may_read(folder.gateway_key)
    key = read_key(folder.gateway_key)
    signed = open_authority(folder).for_gateway(folder.read().names, key.public_key(), CERTIFICATE_DAYS)
    write_public(folder.gateway_certificate, certificate_bytes(signed))
    return signed


def key_of_request(signing_request: str) -> ec.EllipticCurvePublicKey:
    """The key of a signing request that proves to hold its private half; nothing else in it counts."""
    try:
        request = x509.load_pem_x509_csr(signing_request.encode())
        proven = request.is_signature_valid
        key = request.public_key()
    except ValueError:
        raise HepafedError("the signing request cannot be read: make it anew with hepafed site join") from None
    if not proven:
        raise HepafedError("the signing request is not signed by its own key: make it anew with hepafed site join")
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in CURVES:
        raise HepafedError("the signing request is for another kind of key than EC P-256 or P-384")
    return key


def _organisation(name: str) -> str:
    return f"Hepafed {name}"


def _name(organisation: str, common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _called(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )
