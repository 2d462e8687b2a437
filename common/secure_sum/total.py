"""The coordinator's side of a round: masked answers are added as they come, and the total is opened once."""

from collections.abc import Mapping

import numpy as np

from common.query import Arrays
from common.secure_sum.dealing import KINDS, commit_to_seed, commit_to_share
from common.secure_sum.fixed_point import Exponents, decode
from common.secure_sum.keys import check_signature, public_key
from common.secure_sum.masks import add_masks, check_value
from common.secure_sum.messages import Masked, Reveals
from common.secure_sum.refusals import SecureSumRefused, TooFewHospitals
from common.secure_sum.set_up import SetUp
from common.secure_sum.shamir import join, weights_at_zero
from common.secure_sum.terms import Terms

MASK_KEY, SELF_SEED = KINDS


class RoundTotal:
    """The total of one round; a message that is refused leaves it as it was."""

    def __init__(self, set_up: SetUp, round_number: int, question: str, scales: Exponents) -> None:
        self._set_up = set_up
        self._terms = Terms(set_up.agreement, round_number, question, scales)
        self._sum = np.zeros(scales.values + 1, dtype="<u8")
        self.said: dict[str, Exponents] = {}
        self.secrets: dict[str, bytes] = {}
        """Once it is open: the survivors' self seeds, and the mask keys of those who were lost."""

    @property
    def survivors(self) -> tuple[str, ...]:
        """Who has answered, in the order of the roster."""
        return tuple(sorted(self.said))

    def add(self, hospital: str, packed: bytes) -> None:
        """Add one hospital's masked answer."""
        if hospital not in self._set_up.keys:
            raise SecureSumRefused(f"{hospital}: not in the roster of this run", hospital)
        if hospital in self.said:
            raise SecureSumRefused(f"{hospital}: its answer has been added already", hospital)
        try:
            masked = Masked.from_bytes(packed, self._terms)
        except ValueError as error:
            raise SecureSumRefused(f"{hospital}: its masked answer cannot be read: {error}", hospital) from None
        signed = masked.signed(self._terms, hospital)
        check_signature(self._set_up.keys[hospital], masked.signature, signed, "its masked sums")
        self._sum += masked.vector
        self.said[hospital] = masked.magnitudes

    def open(self, reveals: Mapping[str, bytes]) -> Arrays:
        """The total over the survivors, from the shares of as many hospitals as the threshold."""
        agreement, survivors = self._set_up.agreement, self.survivors
        agreement.check_survivors(survivors)
        shares = {hospital: self._shares(hospital, reveals[hospital]) for hospital in sorted(reveals)}
        if len(shares) < agreement.threshold:
            raise TooFewHospitals(
                f"{len(shares)} hospitals have revealed their shares, {agreement.threshold} are needed; ask the others"
            )
        revealers = sorted(shares)[: agreement.threshold]
        weights = weights_at_zero([agreement.point(hospital) for hospital in revealers])
        secrets = {
            dealer: self._restored(dealer, weights, [shares[hospital][dealer] for hospital in revealers])
            for dealer in agreement.hospitals
        }
        vector = self._sum.copy()
        self._take_off_masks(vector, secrets)
        self.secrets = secrets
        if check_value(vector[:-1])[0] != vector[-1]:
            raise SecureSumRefused(
                f"the masks of {list(survivors)} do not cancel: one of them signed an answer that it masked wrongly. "
                "The total is discarded; ask again in another run"
            )
        return decode(vector[:-1], self._terms.scales, len(agreement.hospitals))

    def _shares(self, hospital: str, packed: bytes) -> dict[str, bytes]:
        """One hospital's shares by dealer, held against what the dealers committed to."""
        agreement, terms = self._set_up.agreement, self._terms
        if hospital not in self.said:
            raise SecureSumRefused(
                f"{hospital}: it has not answered in this round, and reveals nothing in it", hospital
            )
        try:
            reveals = Reveals.from_bytes(packed, terms, self.survivors)
        except ValueError as error:
            raise SecureSumRefused(f"{hospital}: what it revealed cannot be read: {error}", hospital) from None
        shares = dict(zip(agreement.hospitals, reveals.shares, strict=True))
        for dealer, share in shares.items():
            kind = self._kind(dealer)
            committed = self._set_up.deals[dealer].parcels[hospital].commitment(terms.round_number, kind)
            if commit_to_share(agreement, dealer, hospital, terms.round_number, kind, share) != committed:
                raise SecureSumRefused(
                    f"{hospital}: the share it revealed is not the one {dealer} dealt", hospital
                )
        return shares

    def _restored(self, dealer: str, weights: list[int], shares: list[bytes]) -> bytes:
        """A survivor's self seed or a lost hospital's mask key, held against what it published itself."""
        place = self._terms.round_number - 1
        try:
            secret = join(weights, shares)
        except ValueError:
            secret = b""
        if secret and self._kind(dealer) == MASK_KEY:
            right = public_key(secret) == self._set_up.keys[dealer].masking[place]
        else:
            seed = commit_to_seed(self._set_up.agreement, dealer, self._terms.round_number, secret)
            right = seed == self._set_up.deals[dealer].seeds[place]
        if not right:
            raise SecureSumRefused(
                f"{dealer}: it dealt shares that restore no secret of its own; leave it out", dealer
            )
        return secret

    def _take_off_masks(self, vector: np.ndarray, secrets: Mapping[str, bytes]) -> None:
        plus: list[bytes] = []
        minus = [self._terms.self_mask(secrets[hospital]) for hospital in self.survivors]
        lost = [hospital for hospital in self._set_up.agreement.hospitals if hospital not in self.said]
        for hospital in lost:
            for survivor in self.survivors:
                peer_key = self._set_up.keys[survivor].masking[self._terms.round_number - 1]
                key, lost_adds = self._terms.pair_mask(secrets[hospital], hospital, survivor, peer_key)
                # What the lost hospital would have added, the survivor has subtracted.
                (plus if lost_adds else minus).append(key)
        add_masks(vector, plus, minus)

    def _kind(self, dealer: str) -> str:
        return SELF_SEED if dealer in self.said else MASK_KEY
