"""The one door: who is let through, who is not, and that the log says why. The real gateway, as a process."""

import base64
import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from client.connection import Connection, ask, trusting
from client.joining import _signing_request, join, make_request, renew
from common.certificates import certificate_bytes, key_bytes, new_key, read_certificate, read_key
from common.errors import HepafedError
from common.flower_processes import LOOPBACK, free_port
from common.joining import HELLO, JOIN, RENEW
from deploy.pki import file_of, found_consortium, invite, members, revoke
from server.authority import open_authority, renew_gateway
from server.gateway_requests import FLEET
from server.rate_limit import RateLimit
from tests.consortium import (
    A_MINUTE_AGO,
    START_SECONDS,
    RunningGateway,
    SuperLinkStandIn,
    new_consortium,
    running_gateway,
    superlink_stand_in,
)
from tests.listening import listening
from tests.waiting import until

PULL = "/v1/fleet/pull-messages"


@pytest.fixture(scope="module")
def superlink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SuperLinkStandIn]:
    with superlink_stand_in(free_port()) as stand_in:
        yield stand_in


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, superlink: SuperLinkStandIn) -> Iterator[RunningGateway]:
    with running_gateway(new_consortium(tmp_path_factory.mktemp("liver") / "c", superlink.port)) as running:
        yield running


@pytest.fixture(scope="module")
def aspen(gateway: RunningGateway, tmp_path_factory: pytest.TempPathFactory) -> Connection:
    return gateway.joined("aspen", tmp_path_factory.mktemp("aspen"))


@pytest.fixture(scope="module")
def birch(gateway: RunningGateway, tmp_path_factory: pytest.TempPathFactory) -> Connection:
    return gateway.joined("birch", tmp_path_factory.mktemp("birch"))


def stranger(gateway: RunningGateway) -> ssl.SSLContext:
    """TLS to the gateway without a certificate."""
    return trusting(read_certificate(gateway.folder.authority_certificate))


def client(gateway: RunningGateway, context: ssl.SSLContext) -> httpx.Client:
    return httpx.Client(base_url=f"https://{LOOPBACK}:{gateway.port}", verify=context, trust_env=False)


def node_key(connection: Connection) -> dict[str, str]:
    """The header by which Flower's SuperNode names its key."""
    return {"flwr-public-key": base64.b64encode(connection.node_public_key.read_bytes()).decode()}


def shown(folder: Path, certificate: bytes, key: bytes, context: ssl.SSLContext) -> ssl.SSLContext:
    """TLS that shows this certificate."""
    (folder / "shown.crt").write_bytes(certificate)
    (folder / "shown.key").write_bytes(key)
    context.load_cert_chain(folder / "shown.crt", folder / "shown.key")
    return context


def refused(gateway: RunningGateway, context: ssl.SSLContext, reason: str) -> None:
    """The connection never comes to be, and the log says why."""
    before = len(gateway.refusals())
    with pytest.raises(httpx.HTTPError), client(gateway, context) as asking:
        asking.get(HELLO)
    until(lambda: len(gateway.refusals()) > before, START_SECONDS, "a refusal")
    assert reason in gateway.refusals()[before]


def test_a_hospital_reaches_the_fleet_interface(
    gateway: RunningGateway, aspen: Connection, superlink: SuperLinkStandIn
) -> None:
    with client(gateway, aspen.context()) as asking:
        for path in sorted(FLEET):
            answer = asking.post(path, headers=node_key(aspen), content=b"question")
            assert (answer.status_code, answer.content) == (200, b"question")
            assert superlink.asked[-1] == (path, b"question")


def test_long_bodies_pass_piece_by_piece_and_endless_ones_do_not(
    gateway: RunningGateway, aspen: Connection
) -> None:
    object_of_flower = bytes(range(256)) * 20_480  # 5 MiB, as Flower cuts them
    with client(gateway, aspen.context()) as asking:
        answer = asking.post("/v1/fleet/push-object", headers=node_key(aspen), content=object_of_flower)
        assert answer.content == object_of_flower
    request = (
        f"POST /v1/fleet/push-object HTTP/1.1\r\nhost: x\r\nflwr-public-key: {node_key(aspen)['flwr-public-key']}"
    )
    with (
        socket.create_connection((LOOPBACK, gateway.port)) as plain,
        aspen.context().wrap_socket(plain, server_hostname=LOOPBACK) as secured,
    ):
        secured.sendall(f"{request}\r\ncontent-length: {10**9}\r\n\r\n".encode())
        assert secured.recv(65536).startswith(b"HTTP/1.1 413 ")
    assert "body too long" in gateway.refusals()


def test_without_a_certificate_nothing_is_served_but_joining(
    gateway: RunningGateway, superlink: SuperLinkStandIn
) -> None:
    before = len(superlink.asked)
    with client(gateway, stranger(gateway)) as asking:
        for path in ("/", HELLO, RENEW, "/docs", "/v1/control/start-run", *sorted(FLEET)):
            for method in ("GET", "POST"):
                assert asking.request(method, path).status_code == 403
        assert asking.get(JOIN).status_code == 403
    assert gateway.refusals()[-1] == "no certificate"
    assert len(superlink.asked) == before


def test_a_certificate_of_a_foreign_authority_is_refused(gateway: RunningGateway, tmp_path: Path) -> None:
    foreign = found_consortium(tmp_path / "foreign", file_of("liver", "127.0.0.1:9443", None, [], None))
    key = new_key()
    certificate = open_authority(foreign).for_hospital("aspen", key.public_key(), 10)
    context = shown(tmp_path, certificate_bytes(certificate), key_bytes(key), stranger(gateway))
    refused(gateway, context, "certificate is not of this consortium")


def test_a_certificate_that_ran_out_is_refused(gateway: RunningGateway, tmp_path: Path) -> None:
    key = new_key()
    certificate = open_authority(gateway.folder).for_hospital("aspen", key.public_key(), A_MINUTE_AGO)
    context = shown(tmp_path, certificate_bytes(certificate), key_bytes(key), stranger(gateway))
    refused(gateway, context, "certificate has run out")


def test_the_authority_cannot_sign_for_another_organisation(gateway: RunningGateway, tmp_path: Path) -> None:
    authority, key = open_authority(gateway.folder), new_key()
    good = authority.for_hospital("aspen", key.public_key(), 10)
    builder = x509.CertificateBuilder(
        issuer_name=good.issuer,
        subject_name=x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Another consortium")]),
        public_key=key.public_key(),
        serial_number=good.serial_number,
        not_valid_before=good.not_valid_before_utc,
        not_valid_after=good.not_valid_after_utc,
        extensions=list(good.extensions),
    )
    certificate = builder.sign(authority.key, SHA384())
    context = shown(tmp_path, certificate_bytes(certificate), key_bytes(key), stranger(gateway))
    refused(gateway, context, "permitted subtree violation")


def test_the_gateways_own_certificate_opens_nothing(gateway: RunningGateway, tmp_path: Path) -> None:
    pair = gateway.folder.gateway_certificate.read_bytes(), gateway.folder.gateway_key.read_bytes()
    refused(gateway, shown(tmp_path, *pair, stranger(gateway)), "certificate is not of this consortium")


def test_a_certificate_that_is_in_no_register_is_refused(gateway: RunningGateway, tmp_path: Path) -> None:
    key = new_key()
    certificate = open_authority(gateway.folder).for_hospital("aspen", key.public_key(), 10)
    context = shown(tmp_path, certificate_bytes(certificate), key_bytes(key), stranger(gateway))
    with client(gateway, context) as asking:
        assert asking.get(HELLO).status_code == 403
    assert gateway.refusals()[-1] == "certificate is in no register"


def test_older_tls_and_no_tls_are_refused(gateway: RunningGateway) -> None:
    context = stranger(gateway)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    refused(gateway, context, "no TLS as the gateway speaks it")
    with pytest.raises(httpx.HTTPError):
        httpx.get(f"http://{LOOPBACK}:{gateway.port}/", trust_env=False)


def test_certificate_and_node_key_of_two_hospitals_do_not_go_together(
    gateway: RunningGateway, aspen: Connection, birch: Connection, superlink: SuperLinkStandIn
) -> None:
    before = len(superlink.asked)
    strange = {"flwr-public-key": base64.b64encode(b"strange").decode()}
    cases: list[tuple[list[tuple[str, str]], str]] = [
        (list(node_key(birch).items()), "node key of birch shown with the certificate of aspen"),
        (list(strange.items()), "node key of nobody shown with the certificate of aspen"),
        ([], "0 node keys shown, not one"),
        ([*node_key(birch).items(), *node_key(aspen).items()], "2 node keys shown, not one"),
        ([*node_key(aspen).items(), *node_key(birch).items()], "2 node keys shown, not one"),
        ([("flwr-public-key", "é%".encode().hex() + "*")], "node key cannot be read"),
    ]
    with client(gateway, aspen.context()) as asking:
        for headers, reason in cases:
            assert asking.post(PULL, headers=headers).status_code == 403
            assert gateway.refusals()[-1] == reason
    assert len(superlink.asked) == before
    line = [line for line in gateway.log if line.get("event") == "refused"][-1]
    assert (line["hospital"], line["path"], line["from"]) == ("aspen", PULL, LOOPBACK)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/fleet/../control/start-run",
        "/v1/fleet/pull-messages/../../control/start-run",
        "/v1/fleet/%2e%2e/control/start-run",
        "/v1/fleet/pull-messages%2f..%2f..%2fcontrol%2fstart-run",
        "//v1/control/start-run",
        "/v1/fleet/pull-messages;x",
        "/V1/fleet/pull-messages",
        "http://127.0.0.1:1/v1/control/start-run",
        "*",
    ],
)
def test_no_spelling_of_a_path_leads_past_the_list(
    gateway: RunningGateway, aspen: Connection, superlink: SuperLinkStandIn, path: str
) -> None:
    before = len(superlink.asked)
    request = f"POST {path} HTTP/1.1\r\nhost: x\r\nflwr-public-key: {node_key(aspen)['flwr-public-key']}\r\n"
    with (
        socket.create_connection((LOOPBACK, gateway.port)) as plain,
        aspen.context().wrap_socket(plain, server_hostname=LOOPBACK) as secured,
    ):
        secured.sendall(f"{request}content-length: 0\r\nconnection: close\r\n\r\n".encode())
        status = secured.recv(65536).split(b" ")[1]
    assert status in (b"400", b"403", b"404")
    assert len(superlink.asked) == before


def test_what_is_revoked_is_refused_at_once_and_open_connections_are_closed(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    cedar = gateway.joined("cedar", tmp_path / "cedar")
    with (
        client(gateway, cedar.context()) as asking,
        socket.create_connection((LOOPBACK, gateway.port)) as plain,
        cedar.context().wrap_socket(plain, server_hostname=LOOPBACK) as idle,
    ):
        assert asking.post(PULL, headers=node_key(cedar)).status_code == 200
        idle.sendall(b"POST /v1/fleet/pull-messages HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n")
        revoke(gateway.folder, "cedar", "laptop lost")
        try:
            status = asking.post(PULL, headers=node_key(cedar)).status_code
        except httpx.HTTPError:  # the connection was closed even before
            status = 403
        assert status == 403
        idle.settimeout(5)
        try:
            rest = idle.recv(1)
        except ConnectionError:
            rest = b""
        assert rest == b""  # closed in the middle of a request
    with client(gateway, cedar.context()) as asking:
        assert asking.get(HELLO).status_code == 403
    assert gateway.refusals()[-1] == "certificate revoked (laptop lost)"
    with pytest.raises(
        HepafedError, match="the gateway refused: this certificate was revoked; ask the coordinator"
    ):
        cedar.greet()


def test_a_hospital_renews_while_its_certificate_is_good(gateway: RunningGateway, tmp_path: Path) -> None:
    fir = gateway.joined("fir", tmp_path / "fir")
    before = read_certificate(fir.certificate)
    after = renew(fir)
    assert after == read_certificate(fir.certificate)
    assert (after.serial_number != before.serial_number, after.public_key()) == (True, before.public_key())
    assert fir.greet().hospital == "fir"


def test_a_renewal_brings_in_no_new_key(gateway: RunningGateway, tmp_path: Path) -> None:
    fir = gateway.joined("fir", tmp_path / "fir")
    context = fir.context()
    fir.key.write_bytes(key_bytes(new_key()))  # a signing request is made with this one
    asked = json.dumps({"signing_request": _signing_request("fir", read_key(fir.key))})
    with client(gateway, context) as asking, pytest.raises(HepafedError, match="a renewal keeps the key"):
        ask(asking, asking.build_request("POST", RENEW, content=asked), "gateway")
    assert gateway.refusals()[-1] == "renewal for another key than the present one"


def test_a_used_invitation_is_refused_over_the_network_with_the_reason_in_the_log(
    gateway: RunningGateway, tmp_path: Path
) -> None:
    invitation = invite(gateway.folder, "larch")
    join(Connection(tmp_path / "thief"), invitation)
    with pytest.raises(HepafedError, match="used already, with other keys"):
        join(Connection(tmp_path / "larch"), invitation)
    assert gateway.refusals()[-1] == "joining as larch: invitation used before, with other keys"


def test_the_gateway_takes_a_renewed_certificate_into_use(gateway: RunningGateway) -> None:
    renewed = renew_gateway(gateway.folder)

    def serial() -> bytes | None:
        with (
            socket.create_connection((LOOPBACK, gateway.port)) as plain,
            stranger(gateway).wrap_socket(plain, server_hostname=LOOPBACK) as secured,
        ):
            return secured.getpeercert(binary_form=True)

    until(lambda: serial() == renewed.public_bytes(Encoding.DER), START_SECONDS, "the new certificate is shown")


@pytest.mark.slow
def test_a_superlink_that_is_away_is_waited_for(tmp_path: Path) -> None:
    folder = new_consortium(tmp_path / "c")
    with running_gateway(folder) as gateway:
        oak = gateway.joined("oak", tmp_path / "oak")
        with client(gateway, oak.context()) as asking:
            assert asking.post(PULL, headers=node_key(oak)).status_code == 502
            with superlink_stand_in(folder.read().superlink_port):
                assert asking.post(PULL, headers=node_key(oak)).status_code == 200


@pytest.mark.slow
def test_joining_is_limited_and_the_documents_are_short(tmp_path: Path) -> None:
    with running_gateway(new_consortium(tmp_path / "c")) as gateway, client(gateway, stranger(gateway)) as asking:
        request = make_request(Connection(tmp_path / "oak"), invite(gateway.folder, "oak")).model_dump_json()
        assert asking.post(JOIN, content=b"x" * 20_000).status_code == 413
        assert asking.post(JOIN, content=b"[" * 9_000).status_code == 400
        statuses = [asking.post(JOIN, content=request.replace("oak", "elm")).status_code for _ in range(12)]
        assert statuses[:8] == [403] * 8
        assert statuses[-1] == 429
        assert gateway.refusals()[-1] == "too many attempts to join"


def test_many_hospitals_may_join_through_one_proxy_at_once() -> None:
    limit = RateLimit(most=3, seconds=60.0)
    for _ in range(9):
        assert limit.allows("proxy", now=0.0)
        limit.give_back("proxy")
    assert [limit.allows("guesser", now=0.0) for _ in range(4)] == [True, True, True, False]
    assert limit.allows("proxy", now=0.0)
    assert [limit.allows("guesser", now=20.5) for _ in range(2)] == [True, False]


def test_the_gateway_listens_on_the_loopback_address_alone(gateway: RunningGateway) -> None:
    assert listening(gateway.port) == {LOOPBACK}


def test_the_log_tells_no_secret(gateway: RunningGateway, aspen: Connection) -> None:
    log = gateway.log_file.read_text()
    assert "PRIVATE KEY" not in log
    for line in aspen.key.read_text().splitlines()[1:-1]:
        assert line not in log
    assert all(isinstance(json.loads(line), dict) for line in log.splitlines())
    assert {member.hospital for member in members(gateway.folder)} >= {"aspen"}
