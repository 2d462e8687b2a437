"""Who a synthetic image is of: names, numbers, dates and UIDs that are invented, the same for the same seed."""

import hashlib
from dataclasses import dataclass
from datetime import date, timedelta

SYNTHETIC = "SYNTHETIC: nobody was imaged"
UID_ROOT = "2.25."
"""UIDs under this root are made from 128 bits and belong to nobody (PS3.5, B.2)."""


@dataclass(frozen=True)
class Who:
    """Whom a file is of: an invented patient.

    Parameters
    ----------
    seed
        The demonstration's; other seeds give other UIDs.
    """

    seed: int
    patient: str
    scanner: str

    def uid(self, *words: object) -> str:
        """A UID for a purpose."""
        digest = hashlib.sha256(repr((self.seed, self.patient, *words)).encode()).hexdigest()
        return f"{UID_ROOT}{int(digest[:32], 16)}"

    @property
    def day(self) -> str:
        """A day of the year 2000, as DICOM writes it."""
        shift = int(hashlib.sha256(repr((self.seed, self.patient, "day")).encode()).hexdigest()[:8], 16) % 366
        return f"{date(2000, 1, 1) + timedelta(days=shift):%Y%m%d}"
