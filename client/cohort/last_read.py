"""What a hospital's images gave when it was last read: the same is asked for again and again, as rounds go on."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from client.site import Site

Read = TypeVar("Read")


@dataclass(frozen=True)
class LastRead(Generic[Read]):
    """The last reading of every hospital in this process."""

    _known: dict[str, tuple[object, Read]] = field(default_factory=dict)

    def get(self, site: Site, key: object, read: Callable[[], Read]) -> Read:
        """What was read under this key, or what reading gives now; `key` changes with everything it depends on."""
        known = self._known.get(str(site.extracted))
        if known is None or known[0] != key:
            known = self._known[str(site.extracted)] = (key, read())
        return known[1]
