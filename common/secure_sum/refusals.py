"""What a secure sum refuses, in words a person can act on."""

from common.errors import HepafedError


class SecureSumRefused(HepafedError):
    """A step that would be unsafe or wrong; `hospital` names whose message it was, where it was somebody's."""

    def __init__(self, text: str, hospital: str | None = None) -> None:
        super().__init__(text)
        self.hospital = hospital


class TooFewHospitals(SecureSumRefused):
    """Fewer hospitals than the threshold: the round stays closed."""
