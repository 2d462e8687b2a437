"""What the coordinator collects before the first round: everybody's keys and everybody's deal."""

from collections.abc import Mapping
from dataclasses import dataclass

from common.secure_sum.agreement import Agreement
from common.secure_sum.dealing import Deal
from common.secure_sum.keys import Keys, checked_keys
from common.secure_sum.refusals import SecureSumRefused


@dataclass(frozen=True)
class SetUp:
    """Keys and deals of the whole roster; whoever is missing here is missing from the roster."""

    agreement: Agreement
    keys: Mapping[str, Keys]
    deals: Mapping[str, Deal]

    @staticmethod
    def from_messages(agreement: Agreement, keys: Mapping[str, bytes], deals: Mapping[str, bytes]) -> "SetUp":
        """The set-up in the messages of `Participant.announce` and `Participant.deal`."""
        if set(deals) != set(agreement.hospitals):
            missing = sorted(set(agreement.hospitals) - set(deals))
            raise SecureSumRefused(f"deals of the whole roster are needed; missing: {missing}")
        read: dict[str, Deal] = {}
        for hospital in agreement.hospitals:
            try:
                read[hospital] = Deal.from_bytes(deals[hospital], agreement)
            except ValueError as error:
                raise SecureSumRefused(f"{hospital}: its deal cannot be read: {error}", hospital) from None
        return SetUp(agreement, checked_keys(agreement, keys), read)

    def parcels_for(self, hospital: str) -> dict[str, bytes]:
        """What everybody has dealt to one hospital, by dealer; it travels with the first question."""
        return {dealer: self.deals[dealer].parcels[hospital].to_bytes() for dealer in self.agreement.hospitals}
