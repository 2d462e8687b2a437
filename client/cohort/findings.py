"""What is wrong with a patient's images: who, where, what was found, and the cure. It stays in the hospital."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from common.errors import Code, HospitalError


class Severity(StrEnum):
    """What a finding means for the patient."""

    STOPS = "stops"  # no features can be computed for this patient until it is cured
    LOOK = "look"  # features can be computed; somebody should look first


class ImageFault(Exception):
    """One thing that cannot be read or used; whoever knows the patient and the file makes a Finding of it.

    Parameters
    ----------
    kind
        A short name of the fault, the same for every patient who has it, e.g. "empty mask".
    found
        What was found, with its numbers.
    cure
        What to do next.
    """

    def __init__(self, kind: str, found: str, cure: str) -> None:
        super().__init__(f"{found}; {cure}")
        self.kind = kind
        self.found = found
        self.cure = cure


@dataclass(frozen=True)
class Finding:
    """One line of the table that `hepafed site check` prints.

    Parameters
    ----------
    patient
        Empty for what is about the hospital's files as a whole.
    place
        The file within the patient's folder, or the phase and mask; the file or column where no patient is meant.
    """

    patient: str
    place: str
    kind: str
    found: str
    cure: str
    severity: Severity = Severity.STOPS

    def __str__(self) -> str:
        whose = f"patient {self.patient}" if self.patient else ""
        where = ", ".join(part for part in (whose, self.place) if part)
        return f"{where}: {self.found}; {self.cure}"


class Findings:
    """The findings of one patient, in the order found."""

    def __init__(self, patient: str) -> None:
        self.patient = patient
        self._found: list[Finding] = []

    def add(self, place: str, kind: str, found: str, cure: str, severity: Severity = Severity.STOPS) -> None:
        """Note one finding, once."""
        finding = Finding(self.patient, place, kind, found, cure, severity)
        if finding not in self._found:
            self._found.append(finding)

    def look(self, place: str, kind: str, found: str, cure: str) -> None:
        """Note what somebody should look at."""
        self.add(place, kind, found, cure, Severity.LOOK)

    def fault(self, place: str, fault: ImageFault) -> None:
        """Note a fault that a reader raised."""
        self.add(place, fault.kind, fault.found, fault.cure)

    def all(self) -> tuple[Finding, ...]:
        """Everything noted so far."""
        return tuple(self._found)


class ImagesUnusable(HospitalError):
    """A patient whose images cannot be used, with every finding that stops them."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__(Code.UNREADABLE_FILE, "\n".join(map(str, findings)))
        self.findings = tuple(findings)


def stopping(findings: Iterable[Finding]) -> list[Finding]:
    """The findings that keep a patient out."""
    return [finding for finding in findings if finding.severity is Severity.STOPS]
