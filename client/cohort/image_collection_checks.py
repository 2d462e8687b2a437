"""Checking all patients' images against each other: who is missing, who is there twice, whose spacing stands out."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from client.cohort.findings import Finding, Findings
from client.cohort.image_checks import Limits, check_images
from client.cohort.image_names import PATIENT_ID
from client.cohort.images import survey_patient
from client.cohort.images_file import ImagesFile, read_images_file
from client.cohort.patient_images import PatientImages, content_digest

_ENOUGH_PATIENTS = 5
_STANDS_OUT = 2.5


@dataclass(frozen=True)
class Seen:
    """What is remembered of a patient when the images are put away.

    Parameters
    ----------
    images, masks
        By place: the hash of the voxels.
    slice_mm, pixel_mm
        By phase.
    """

    patient: str
    images: dict[str, str]
    masks: dict[str, str]
    pixel_mm: dict[str, float]
    slice_mm: dict[str, float]


def patient_folders(images: Path) -> list[Path]:
    """The patients' folders, sorted by name."""
    return sorted(path for path in images.iterdir() if path.is_dir() and not path.name.startswith("."))


def check_folder(
    images: Path,
    patients: Iterable[str] | None = None,
    phases: Iterable[str] | None = None,
    limits: Limits | None = None,
    also: Callable[[PatientImages], Iterable[Finding]] | None = None,
    general: ImagesFile | None = None,
) -> Iterator[tuple[str, tuple[Finding, ...]]]:
    """Check a hospital's images/, patient by patient; last come the findings that compare patients.

    Parameters
    ----------
    patients
        The ids of patients.csv, to say whose images are missing; None: whoever has a folder.
    phases
        The phases that the study needs; None: whatever is there.
    also
        Called with each patient while the images are in memory, e.g. to check the rings or draw a thumbnail.
    general
        What images/images.yaml says, where it was read already.

    Yields
    ------
    The patient and all findings about them; a patient may come a second time, from the comparison.
    """
    if general is None:
        general = read_images_file(images)
    wanted = None if phases is None else list(phases)
    seen: list[Seen] = []
    for folder in patient_folders(images):
        found: list[Finding] = list(check_name(folder.name))
        try:
            patient = survey_patient(folder, general, wanted)
            found += [*patient.findings, *check_images(patient, limits), *(also(patient) if also else ())]
            seen.append(remember(patient))
        except Exception as error:  # one patient must not stop the others
            said = (str(error).splitlines() or [""])[0][:160]
            found.append(
                Finding(
                    folder.name,
                    "",
                    "unreadable file",
                    f"the images could not be checked ({type(error).__name__}: {said})",
                    "export them again; if that does not help, report this line without the patient's name",
                )
            )
        yield folder.name, tuple(found)
    compared = [*_missing(images, patients), *compare(seen)]
    for name in sorted({finding.patient for finding in compared}):
        yield name, tuple(finding for finding in compared if finding.patient == name)


def check_name(patient: str) -> tuple[Finding, ...]:
    """A folder's name travels into lists and logs: it must not look like a name, a birth date or an identity card."""
    findings = Findings(patient)
    reason = identity_like(patient)
    if reason:
        findings.look(
            "",
            "identity in a name",
            f"the folder's name {reason}",
            "use a pseudonym; hepafed site import makes them and keeps the key here",
        )
    if PATIENT_ID.fullmatch(patient) is None:
        findings.look("", "folder name", "the folder's name holds unusual signs", "use letters, digits, - _ .")
    return findings.all()


def identity_like(name: str) -> str | None:
    """Why a name may tell who somebody is; None where it does not."""
    if re.search(r"\d{17}[\dXx]", name):
        return "holds an identity card's number"
    if re.search(r"(?<!\d)(19|20)\d{2}[-_.]?(0[1-9]|1[0-2])[-_.]?(0[1-9]|[12]\d|3[01])(?!\d)", name):
        return "holds a date"
    words = re.fullmatch(r"[^\W\d_]{2,}[ ,_\-]+[^\W\d_]{2,}([ ,_\-]+[^\W\d_]+)?", name)
    if "^" in name or (words and all(map(_can_be_spoken, re.split(r"[ ,_\-]+", name)))):
        return "reads like a person's name"
    if re.fullmatch(r"[\u4e00-\u9fff]{2,4}", name):
        return "reads like a person's name"
    return None


def _can_be_spoken(word: str) -> bool:
    """Whether a word of letters has a vowel, as names do and the codes of centres often do not: DD, HCC."""
    return not word.isascii() or word.casefold() == "ng" or re.search(r"[aeiouy]", word, re.IGNORECASE) is not None


def remember(patient: PatientImages) -> Seen:
    """What the comparison needs of a patient."""
    return Seen(
        patient=patient.patient,
        images={name: content_digest(phase.image, with_grid=False) for name, phase in patient.phases.items()},
        masks={
            f"{name}, {mask}": content_digest(image, with_grid=False)
            for name, phase in patient.phases.items()
            for mask, image in phase.masks.items()
            if mask.startswith("tumour")
        },
        pixel_mm={name: phase.spacing_mm[0] for name, phase in patient.phases.items()},
        slice_mm={
            name: phase.spacing_mm[2] for name, phase in patient.phases.items() if len(phase.spacing_mm) == 3
        },
    )


def compare(seen: list[Seen]) -> tuple[Finding, ...]:
    """Findings that need more than one patient."""
    return (*_twice(seen), *_unusual_spacing(seen))


def _missing(images: Path, patients: Iterable[str] | None) -> Iterator[Finding]:
    if patients is None:
        return
    there = {folder.name for folder in patient_folders(images)}
    listed = set(patients)
    for patient in sorted(listed - there):
        yield Finding(
            patient, "", "missing folder", f"there is no folder {images.name}/{patient}", "add the images"
        )
    for patient in sorted(there - listed):
        findings = Findings(patient)
        findings.look(
            "", "not listed", "the patient has images and is not in patients.csv", "add a row, or move it"
        )
        yield from findings.all()


def _twice(seen: list[Seen]) -> Iterator[Finding]:
    first: dict[str, tuple[str, str]] = {}
    for patient in seen:
        for phase, digest in patient.images.items():
            other, place = first.setdefault(digest, (patient.patient, phase))
            if other != patient.patient:
                yield Finding(
                    patient.patient,
                    phase,
                    "duplicate patient",
                    f"the image is the same as patient {other}'s {place}",
                    "one person under two ids, or one file copied twice: keep one, it must not be in two folds",
                )
    drawn: dict[str, tuple[str, str]] = {}
    for patient in seen:
        for place, digest in patient.masks.items():
            other, elsewhere = drawn.setdefault(digest, (patient.patient, place))
            if other != patient.patient and not set(patient.images.values()) & _images_of(seen, other):
                findings = Findings(patient.patient)
                findings.look(
                    place,
                    "duplicate mask",
                    f"the mask is the same as patient {other}'s {elsewhere}, on another image",
                    "check that it was not copied",
                )
                yield from findings.all()


def _images_of(seen: list[Seen], patient: str) -> set[str]:
    return {digest for other in seen if other.patient == patient for digest in other.images.values()}


def _unusual_spacing(seen: list[Seen]) -> Iterator[Finding]:
    for what, steps_of in (("pixels", "pixel_mm"), ("slices", "slice_mm")):
        by_phase: dict[str, list[tuple[str, float]]] = {}
        for patient in seen:
            for phase, step in getattr(patient, steps_of).items():
                by_phase.setdefault(phase, []).append((patient.patient, step))
        for phase, steps in by_phase.items():
            usual = median(step for _, step in steps)
            for name, step in steps:
                if len(steps) >= _ENOUGH_PATIENTS and not usual / _STANDS_OUT <= step <= usual * _STANDS_OUT:
                    findings = Findings(name)
                    findings.look(
                        phase,
                        "spacing stands out",
                        f"{what} of {step:.3g} mm, while the hospital's median is {usual:.3g} mm",
                        "check the header; another reconstruction or another protocol?",
                    )
                    yield from findings.all()
