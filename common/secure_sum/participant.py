"""The hospital's side of a secure sum: announce, deal, receive; then for every round mask, acknowledge, reveal.

Whatever a step changes is kept before its message is returned, and a step that is asked for again gives the same
bytes: a hospital can be stopped anywhere and begin again from what it kept.
"""

import hashlib
import secrets
from collections.abc import Mapping

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from common.secure_sum.agreement import Agreement, fingerprint_of
from common.secure_sum.dealing import deal, open_parcel, share_in
from common.secure_sum.diary import Diary, Keep
from common.secure_sum.encoding import pack, pack_many, unpack, unpack_many
from common.secure_sum.fixed_point import Exponents, Grouping, encode, magnitudes
from common.secure_sum.keys import KEY_BYTES, Keys, RunKeys, check_signature, checked_keys
from common.secure_sum.masks import add_masks, check_value
from common.secure_sum.messages import Acknowledgement, Masked, Reveals
from common.secure_sum.refusals import SecureSumRefused, TooFewHospitals
from common.secure_sum.terms import Terms


class Participant:
    """One hospital in one run.

    Parameters
    ----------
    name
        The hospital, as the roster has it.
    identity
        Its long-term key, whose fingerprint is in the roster.
    agreement
        What the hospital approved; never taken from a message.
    keep
        Called with every part of the state that changes, before a message is returned.
    kept
        What `keep` was given in this run before; nothing in a run that begins.
    """

    def __init__(
        self,
        name: str,
        identity: Ed25519PrivateKey,
        agreement: Agreement,
        keep: Keep,
        kept: Mapping[str, bytes] | None = None,
    ) -> None:
        kept = kept or {}
        if agreement.fingerprints.get(name) != fingerprint_of(identity.public_key()):
            raise SecureSumRefused(f"{name}: the roster has no such hospital, or another key for it")
        self._name, self._identity, self._agreement, self._keep = name, identity, agreement, keep
        self._run_keys = RunKeys(_run_secret(agreement, keep, kept.get("secret")), agreement)
        self._peers: dict[str, Keys] = {}
        self._shares: dict[str, bytes] = {}
        if "keys" in kept:
            self._peers = checked_keys(agreement, self._by_hospital(kept["keys"]))
        if "shares" in kept:
            self._shares = self._by_hospital(kept["shares"])
        self._diary = Diary(agreement, keep, kept)

    def announce(self) -> bytes:
        """The public keys of this run, signed: for the coordinator to hand to everybody."""
        return self._run_keys.announce(self._name, self._identity).to_bytes()

    def deal(self, keys: Mapping[str, bytes]) -> bytes:
        """Shares of this hospital's secrets, sealed to the owners of these keys: once, to one set of keys."""
        peers = checked_keys(self._agreement, keys)
        if self._peers and self._peers != peers:
            raise SecureSumRefused(
                "this hospital has dealt its shares to owners of other keys in this run; begin a run of another name"
            )
        if keys[self._name] != self.announce():
            raise SecureSumRefused(f"{self._name}: the keys in this hospital's name are not its keys of this run")
        self._keep("keys", pack_many(keys[hospital] for hospital in self._agreement.hospitals))
        self._peers = peers
        return deal(self._run_keys, self._name, peers).to_bytes(self._agreement)

    def receive(self, parcels: Mapping[str, bytes]) -> None:
        """Open the parcels that all hospitals of the roster have dealt to this one."""
        if not self._peers:
            raise SecureSumRefused("parcels before keys: ask this hospital for its shares first")
        missing = sorted(set(self._agreement.hospitals) - set(parcels))
        if missing:
            raise SecureSumRefused(
                f"no parcel from {missing}: without all of them nobody could leave the sum; "
                "begin a run under a roster without these hospitals"
            )
        opened = {
            hospital: open_parcel(self._run_keys, self._peers[hospital], self._name, parcels[hospital])
            for hospital in self._agreement.hospitals
        }
        if self._shares and self._shares != opened:
            raise SecureSumRefused("other parcels than were received before in this run")
        self._keep("shares", pack_many(opened[hospital] for hospital in self._agreement.hospitals))
        self._shares = opened

    def mask(
        self,
        round_number: int,
        question: str,
        arrays: Mapping[str, np.ndarray],
        scales: Exponents,
        groupings: Mapping[str, Grouping] | None = None,
    ) -> bytes:
        """The answer to a question under masks; refused, and nothing used up, if it does not fit the scales.

        `groupings` are the query's own; arrays without one share a scale.
        """
        if not self._shares:
            raise SecureSumRefused("no shares of the other hospitals' secrets yet: hand over their parcels first")
        terms = Terms(self._agreement, round_number, question, scales)
        self._diary.check(terms)
        groupings = groupings or {}
        values = {name: np.asarray(array, dtype=np.float64) for name, array in arrays.items()}
        own = magnitudes(values, groupings)
        encoded = encode(values, own, scales, groupings, len(self._agreement.hospitals))
        vector = np.concatenate([encoded, check_value(encoded)])
        self._add_masks(vector, terms)
        unsigned = Masked(own, vector, b"")
        signature = self._identity.sign(unsigned.signed(terms, self._name))
        packed = Masked(own, vector, signature).to_bytes(terms)
        self._diary.write(terms, hashlib.sha256(packed).digest())
        return packed

    def acknowledge(
        self, round_number: int, question: str, scales: Exponents, survivors: tuple[str, ...]
    ) -> bytes:
        """A signature under the list of those who answered, where somebody did not; the list is final."""
        terms = Terms(self._agreement, round_number, question, scales)
        self._commit(terms, survivors)
        return Acknowledgement(self._identity.sign(Acknowledgement.signed(terms, survivors))).to_bytes()

    def reveal(
        self,
        round_number: int,
        question: str,
        scales: Exponents,
        survivors: tuple[str, ...],
        acknowledgements: Mapping[str, bytes] | None = None,
    ) -> bytes:
        """Shares that take the masks off the total over the survivors, and off nothing else.

        For the whole roster that is one step. For fewer, as many survivors as the threshold must have acknowledged
        the same list, and this hospital among them.
        """
        terms = Terms(self._agreement, round_number, question, scales)
        if survivors != self._agreement.hospitals:
            self._agreement.check_survivors(survivors)
            if self._diary.committed(round_number) != survivors:
                raise SecureSumRefused(
                    f"round {round_number}: acknowledge these survivors before revealing anything"
                )
            self._check_acknowledged(terms, survivors, acknowledgements or {})
        self._commit(terms, survivors)
        kinds = {h: "self seed" if h in survivors else "mask key" for h in self._agreement.hospitals}
        shares = tuple(share_in(self._shares[h], round_number, kind) for h, kind in kinds.items())
        return Reveals(shares).to_bytes(terms, survivors)

    def _commit(self, terms: Terms, survivors: tuple[str, ...]) -> None:
        self._agreement.check_survivors(survivors)
        if self._name not in survivors:
            raise SecureSumRefused(
                f"round {terms.round_number}: {self._name} answered and is not among the survivors; it takes no part"
            )
        self._diary.commit(terms, survivors)

    def _check_acknowledged(
        self, terms: Terms, survivors: tuple[str, ...], acknowledgements: Mapping[str, bytes]
    ) -> None:
        signed = Acknowledgement.signed(terms, survivors)
        for hospital in sorted(set(acknowledgements) & set(survivors)):
            try:
                acknowledgement = Acknowledgement.from_bytes(acknowledgements[hospital])
            except ValueError as error:
                raise SecureSumRefused(
                    f"{hospital}: its acknowledgement cannot be read: {error}", hospital
                ) from None
            check_signature(self._peers[hospital], acknowledgement.signature, signed, "the survivors")
        many = len(set(acknowledgements) & set(survivors))
        if many < self._agreement.threshold:
            raise TooFewHospitals(
                f"{many} hospitals have acknowledged the survivors, {self._agreement.threshold} are needed"
            )

    def _add_masks(self, vector: np.ndarray, terms: Terms) -> None:
        secret = self._run_keys.mask_secret(terms.round_number)
        added = [terms.self_mask(self._run_keys.self_seed(terms.round_number))]
        subtracted: list[bytes] = []
        for peer in self._agreement.hospitals:
            if peer != self._name:
                peer_key = self._peers[peer].masking[terms.round_number - 1]
                key, adds = terms.pair_mask(secret, self._name, peer, peer_key)
                (added if adds else subtracted).append(key)
        add_masks(vector, added, subtracted)

    def _by_hospital(self, packed: bytes) -> dict[str, bytes]:
        hospitals = self._agreement.hospitals
        return dict(zip(hospitals, unpack_many(packed, len(hospitals), len(packed)), strict=True))


def _run_secret(agreement: Agreement, keep: Keep, kept: bytes | None) -> bytes:
    """The secret of this run: the one that was kept under the same agreement, or a new one."""
    if kept is None:
        secret = secrets.token_bytes(KEY_BYTES)
        keep("secret", pack("secret", agreement.digest, secret))
        return secret
    digest, secret = unpack(kept, "secret", len(agreement.digest), KEY_BYTES)
    if digest != agreement.digest:
        raise SecureSumRefused(
            "this run was begun under another study, roster or number of rounds; a hospital answers under one"
        )
    return secret
