"""How often somebody may ask."""

import time
from collections import OrderedDict
from dataclasses import dataclass, field

MOST_ADDRESSES = 4096


@dataclass
class RateLimit:
    """So many in so many seconds, for each address; each that is allowed uses up one.

    Parameters
    ----------
    most
        As many at once.
    seconds
        After so long as many again.
    """

    most: int
    seconds: float
    _left: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def allows(self, address: str, now: float | None = None) -> bool:
        """Whether this address may ask now."""
        at = time.monotonic() if now is None else now
        left, before = self._left.pop(address, (float(self.most), at))
        left = min(float(self.most), left + (at - before) * self.most / self.seconds)
        allowed = left >= 1.0
        self._left[address] = (left - 1.0 if allowed else left, at)
        while len(self._left) > MOST_ADDRESSES:
            self._left.popitem(last=False)
        return allowed

    def give_back(self, address: str) -> None:
        """What was asked for was right: it does not count."""
        if address in self._left:
            left, at = self._left[address]
            self._left[address] = (min(float(self.most), left + 1.0), at)
