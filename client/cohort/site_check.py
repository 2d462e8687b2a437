"""The whole check of a hospital's folder, before anything is computed: patients.csv and images; nothing is changed."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from client.cannot_extract import CannotExtract
from client.cohort.clinical_checks import check_clinical, findings_of
from client.cohort.faults import counted
from client.cohort.findings import Finding, Findings, Severity, stopping
from client.cohort.image_checks import Limits, limits_of
from client.cohort.image_collection_checks import check_folder, patient_folders
from client.cohort.image_names import MODALITIES
from client.cohort.images_file import NAME, ImagesFile, read_images_file
from client.cohort.patient_images import PatientImages, Phase
from client.cohort.region_checks import check_ring
from client.cohort.ring_on_image import ring_on_image
from client.cohort.sound_part import content_of, sound_part
from client.cohort.thumbnails import thumbnail
from client.cohort.voxel_files import stem
from client.site import Site
from common.errors import HospitalError
from common.features import Features
from common.study import Study

USUAL_RING_MM = 5.0
PICTURE_PX = 168


@dataclass(frozen=True)
class Picture:
    """One phase of a patient, with the outlines of tumour, ring and liver.

    Parameters
    ----------
    shows
        In words, for those who cannot see it; it tells nobody's identity.
    """

    phase: str
    png: bytes
    shows: str


@dataclass(frozen=True)
class CheckedPatient:
    """What was found about one patient: what stops first."""

    patient: str
    findings: tuple[Finding, ...]
    pictures: tuple[Picture, ...] = ()

    @property
    def stopped(self) -> bool:
        """Whether anything keeps the patient out."""
        return bool(stopping(self.findings))


@dataclass(frozen=True)
class SiteCheck:
    """What was found in a hospital's folder.

    Parameters
    ----------
    hospital
        Findings about its files as a whole.
    patients
        First those who are stopped, then those to look at, then the others; each by id.
    flow
        With a study: how many patients remain after each step of its criteria.
    ring_mm
        The width of the ring that was looked at.
    """

    name: str
    hospital: tuple[Finding, ...]
    patients: tuple[CheckedPatient, ...]
    flow: Mapping[str, int]
    ring_mm: float

    @property
    def stopped(self) -> int:
        """How many patients are stopped."""
        return sum(patient.stopped for patient in self.patients)

    @property
    def to_look_at(self) -> int:
        """How many are not stopped and should be looked at."""
        return sum(bool(patient.findings) and not patient.stopped for patient in self.patients)

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Everything: the hospital's files, then patient by patient."""
        return (*self.hospital, *(finding for patient in self.patients for finding in patient.findings))

    @property
    def anything_stops(self) -> bool:
        """Whether the hospital or any patient is stopped."""
        return bool(stopping(self.findings))


def check_site(
    site: Site,
    study: Study | None = None,
    *,
    pictures: bool = False,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> SiteCheck:
    """Check a hospital's folder, patient by patient; one bad patient does not stop the check.

    Parameters
    ----------
    study
        Its phases, rings, ranges and outcome count; None: whatever is there is checked.
    pictures
        Also draw each patient and phase, for the hospital's own page.
    progress
        Called after each patient's images with how many are done, and of how many.
    """
    clinical = check_clinical(site, study)
    images = _ImagesCheck(site, study, clinical.patients, pictures)
    found: dict[str, list[Finding]] = {patient: [] for patient in clinical.patients or ()}
    for patient, findings in images.run(progress):
        found.setdefault(patient, []).extend(findings)
    for patient, clinical_findings in clinical.findings.items():
        found[patient] += clinical_findings
    patients = [
        CheckedPatient(patient, _stops_first(findings), tuple(images.pictures.get(patient, ())))
        for patient, findings in found.items()
    ]
    patients.sort(key=lambda checked: (not checked.stopped, not checked.findings, checked.patient))
    hospital = _stops_first([*clinical.hospital, *images.hospital.all()])
    return SiteCheck(site.name, hospital, tuple(patients), clinical.flow, images.ring_mm)


def _stops_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(dict.fromkeys(findings), key=lambda finding: finding.severity is not Severity.STOPS))


class _ImagesCheck:
    """One check of images/."""

    def __init__(self, site: Site, study: Study | None, patients: tuple[str, ...] | None, pictures: bool) -> None:
        self.site = site
        self.features = None if study is None else study.features
        self.listed = patients
        self.wanted = self.features is not None or (
            study is None and not (site.folder / site.file.features).exists()
        )
        self.with_pictures = pictures
        self.ring_mm = max(self.features.ring_mm, default=USUAL_RING_MM) if self.features else USUAL_RING_MM
        self.pictures: dict[str, list[Picture]] = {}
        self.hospital = Findings("")

    def run(self, progress: Callable[[int, int], None]) -> Iterator[tuple[str, tuple[Finding, ...]]]:
        """Every patient's findings; those that compare patients come last."""
        images = self.site.images
        if not images.is_dir():
            if self.features is not None:
                self.hospital.add(
                    images.name,
                    "no images",
                    f"there is no folder {images.name}, and the study computes its features from images",
                    "put a folder a patient there, or bring them in with: hepafed site import",
                )
            return
        self._look_for_loose_files(images)
        number = len(patient_folders(images))
        progress(0, number)
        limits = limits_of(self.features) if self.features else Limits(rings_mm=(USUAL_RING_MM,))
        phases = None if self.features is None else list(self.features.image_names().values())
        checked = check_folder(images, self.listed, phases, limits, self._while_in_memory, self._general(images))
        for done, (patient, findings) in enumerate(checked, start=1):
            progress(min(done, number), number)
            yield patient, tuple(self._as_wanted(finding) for finding in findings)

    def _general(self, images: Path) -> ImagesFile:
        """What can be read of images/images.yaml; the images are checked beside its faults."""
        try:
            return read_images_file(images)
        except HospitalError as error:
            for finding in findings_of(error, self.site):
                cure = f"{finding.cure}; the images were checked without it"
                self.hospital.add(finding.place, "images.yaml", finding.found, cure)
        content = content_of(images / NAME)
        return ImagesFile() if content is None else sound_part(content, ImagesFile)[0]

    def _look_for_loose_files(self, images: Path) -> None:
        number = sum(stem(path) is not None or path.suffix.casefold() == ".dcm" for path in images.iterdir())
        if number:
            self.hospital.look(
                images.name,
                "loose files",
                f"{counted(number, 'image file')} beside the patients' folders, which are not read",
                "give each patient a folder called by the id, with e.g. arterial.nii.gz and tumour.nii.gz in it",
            )

    def _as_wanted(self, finding: Finding) -> Finding:
        """What the study can do without is no fault: images where features come as features.csv, some phases."""
        if finding.kind == "missing folder" and not self.wanted:
            return replace(finding, severity=Severity.LOOK)
        if finding.kind == "missing phase" and self.features is not None:
            _, *others = self.features.image_names().values()
            if self.features.missing_phases == "leave-empty" and finding.place in others:
                return replace(finding, severity=Severity.LOOK)
        return finding

    def _while_in_memory(self, patient: PatientImages) -> Iterator[Finding]:
        if self.features is not None:
            yield from _check_against_study(patient, self.features)
        for phase in patient.phases.values():
            rings = {}
            for tumour in phase.tumours:
                try:
                    rings[tumour] = ring_on_image(phase, tumour, self.ring_mm, clip_to_liver=self._clips)
                except CannotExtract as fault:
                    found, _, cure = str(fault).partition(": ")
                    yield Finding(patient.patient, f"{phase.name}, {tumour}", "no ring", found, cure)
                    continue
                if self._rings_wanted:
                    yield from check_ring(patient.patient, phase, tumour, rings[tumour], self.ring_mm).all()
            if self.with_pictures:
                self.pictures.setdefault(patient.patient, []).append(self._picture(phase, rings))

    @property
    def _clips(self) -> bool:
        return self.features is None or self.features.ring_rules.clip_to_liver

    @property
    def _rings_wanted(self) -> bool:
        return self.features is None or bool(self.features.ring_mm)

    def _picture(self, phase: Phase, rings: Mapping[str, object]) -> Picture:
        outlines = {name: phase.masks[name] for name in phase.tumours}
        for name, ring in rings.items():
            outlines[f"ring {name}"] = ring
        if "liver" in phase.masks:
            outlines["liver"] = phase.masks["liver"]
        shown = [f"tumour{'s' if len(phase.tumours) > 1 else ''} in red"] if phase.tumours else ["no tumour"]
        shown += [f"ring of {self.ring_mm:g} mm in yellow"] if rings else []
        shown += ["liver in blue"] if "liver" in phase.masks else []
        kind = phase.modality or "image"
        return Picture(
            phase.name,
            thumbnail(phase, outlines, PICTURE_PX),
            f"{kind}, {phase.name}: {', '.join(shown)}",
        )


def _check_against_study(patient: PatientImages, features: Features) -> Iterator[Finding]:
    """What the study needs besides its phases: the modality it names, and the liver."""
    for name, image in features.image_names().items():
        wanted, phase = features.phases[name], patient.phases.get(image)
        if phase is None:  # said already
            continue
        if phase.modality and phase.modality != MODALITIES[wanted.modality]:
            yield Finding(
                patient.patient,
                phase.name,
                "wrong modality",
                f"the image is {phase.modality}, the study asks for {wanted.modality}",
                "put the right series there, or correct modality in images.yaml",
            )
        if (
            features.masks == "own"
            and not phase.tumours
            and any(other.tumours for other in patient.phases.values())
        ):
            yield Finding(
                patient.patient,
                phase.name,
                "missing mask",
                f"there is no mask of the tumour on the grid of {phase.name}",
                f"add {phase.name}_tumour.nii.gz",
            )
        if features.masks == "own" and features.needs_liver() and "liver" not in phase.masks:
            yield Finding(
                patient.patient,
                phase.name,
                "missing liver",
                f"the study cuts rings at the liver, or measures it, and {phase.name} has no mask of it",
                "add liver.nii.gz, drawn on this grid",
            )
