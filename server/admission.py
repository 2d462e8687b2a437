"""How a hospital is admitted: its invitation is held against the register, and its keys become its own.

The gateway does this for requests that arrive over the network, `hepafed coordinator sign` for those that come as
files.
"""

import time
from dataclasses import dataclass

from common.certificates import CURVES, certificate_bytes, node_hash, public_bytes, read_public_key
from common.errors import HepafedError
from common.joining import Admission, JoinRequest, RenewalRequest
from server.authority import CERTIFICATE_DAYS, Authority, key_of_request
from server.register import Register, Standing


class NotAdmitted(HepafedError):
    """A request that is refused; `reason` is for the coordinator's log, the text for whoever asked."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True)
class Admissions:
    """Admits hospitals to one consortium.

    Parameters
    ----------
    days
        How long certificates are good.
    """

    consortium: str
    authority: Authority
    register: Register
    days: int = CERTIFICATE_DAYS

    def admit(self, request: JoinRequest) -> Admission:
        """Answer a request to join; the same request, sent once more, gets the same answer."""
        with self.register.alone():
            invited = self.register.invited(request.invitation)
            # A stranger learns nothing of which invitations exist: one text for both.
            if invited is None or not request.is_signed_by(invited.public_half):
                raise NotAdmitted(
                    "invitation unknown, or request not signed with it",
                    "this coordinator gave out no such invitation: ask for a new one",
                )
            if invited.hospital != request.hospital:
                raise NotAdmitted(
                    f"invitation of {invited.hospital} used under the name {request.hospital}",
                    f"the invitation is for {invited.hospital}, the request says {request.hospital}",
                )
            if invited.request == request.digest and invited.answer is not None:
                return Admission.model_validate_json(invited.answer)
            if invited.request is not None:
                raise NotAdmitted(
                    "invitation used before, with other keys",
                    "this invitation has been used already, with other keys. If it was not you, tell the coordinator "
                    "at once: somebody has joined in your place. Otherwise ask for a new invitation",
                )
            if invited.withdrawn is not None:
                raise NotAdmitted("invitation withdrawn", "this invitation was withdrawn: ask for a new one")
            if time.time() > invited.expires:
                raise NotAdmitted("invitation expired", "this invitation has run out: ask for a new one")
            admission = self._admitted(request)
            self.register.use(invited.number, request.digest, admission.model_dump_json())
            return admission

    def _admitted(self, request: JoinRequest) -> Admission:
        key = key_of_request(request.signing_request)
        try:
            node_key = public_bytes(read_public_key(request.node_key.encode()))
        except ValueError:
            raise NotAdmitted("node key unusable", f"the node key is no EC key on {' or '.join(CURVES)}") from None
        if (other := self.register.node(node_hash(node_key))) is not None:
            raise NotAdmitted(
                f"node key used before, by {other.hospital}", "this node key has been used before: make a new one"
            )
        certificate = self.authority.for_hospital(request.hospital, key, self.days)
        self.register.admit(request.hospital, node_key, certificate)
        return Admission(
            consortium=self.consortium,
            hospital=request.hospital,
            certificate=certificate_bytes(certificate).decode(),
        )

    def renew(self, request: RenewalRequest, standing: Standing, present_key: bytes) -> Admission:
        """Another certificate for the same hospital and the same key, over the connection that the old one opened.

        Parameters
        ----------
        present_key
            The public key of the certificate that opened the connection, PEM. A renewal brings in no new key:
            whoever got hold of a connection cannot make it their own.
        """
        key = key_of_request(request.signing_request)
        if public_bytes(key) != present_key:
            raise NotAdmitted(
                "renewal for another key than the present one",
                "a renewal keeps the key: for a new one ask for an invitation and join again",
            )
        certificate = self.authority.for_hospital(standing.hospital, key, self.days)
        with self.register.alone():
            self.register.add_certificate(standing.hospital, standing.node, certificate)
        return Admission(
            consortium=self.consortium,
            hospital=standing.hospital,
            certificate=certificate_bytes(certificate).decode(),
        )
