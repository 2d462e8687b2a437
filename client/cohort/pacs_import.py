"""Importing a PACS export by a confirmed plan: images/ID with NIfTI files, allow-listed tags, and nothing else.

Images are written from their voxels and grid alone, so no tag of a DICOM file can travel along; the folder of a
patient is there whole or not at all.
"""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from client.cohort import mask_objects
from client.cohort.dicom_series import read_series
from client.cohort.findings import Finding, Findings, ImageFault
from client.cohort.grids import Grid
from client.cohort.image_names import US
from client.cohort.import_plan import PlanRow
from client.cohort.pacs_scan import Scan, ScannedObject, ScannedVolume
from client.cohort.patient_images import AFTER_FIRST
from client.cohort.provenance import Value, allowed_tags, write_sidecar
from client.cohort.ultrasound import read_frames


@dataclass(frozen=True)
class Imported:
    """What became of one patient.

    Parameters
    ----------
    files
        The images and masks written; empty where the patient was not imported.
    scanner
        For the column of that name in patients.csv.
    """

    patient: str
    files: tuple[str, ...]
    scanner: str
    findings: tuple[Finding, ...]


def import_patients(scan: Scan, plan: Sequence[PlanRow], images: Path) -> Iterator[Imported]:
    """Import patient by patient; one who cannot be imported does not stop the others.

    Parameters
    ----------
    plan
        As `read_plan` gives it.
    images
        The hospital's images/, where a folder per pseudonym is made.
    """
    images.mkdir(parents=True, exist_ok=True)
    volumes = {volume.series: volume for study in scan.studies for volume in study.volumes}
    objects = {found.series: found for study in scan.studies for found in study.objects}
    for patient in sorted({row.patient for row in plan if row.taken}):
        rows = [row for row in plan if row.taken and row.patient == patient]
        yield _Import(patient, rows, volumes, objects, images).run()


class _Import:
    """One patient."""

    def __init__(
        self,
        patient: str,
        rows: list[PlanRow],
        volumes: dict[str, ScannedVolume],
        objects: dict[str, ScannedObject],
        images: Path,
    ) -> None:
        self.patient = patient
        self.rows = rows
        self.volumes = volumes
        self.objects = objects
        self.folder = images / patient
        self.partial = images / f".{patient}.partial"
        self.findings = Findings(patient)
        self.grids: dict[str, Grid] = {}
        self.phases: dict[str, str] = {}
        self.written: list[str] = []

    def run(self) -> Imported:
        """Write everything beside the folder, then put it in place."""
        scanner = next((row.scanner for row in self.rows if row.scanner), "")
        if self.folder.exists():  # people may have put masks there since
            self.findings.add(
                "",
                "imported already",
                f"the folder {self.patient} is there already",
                "move it away to import again",
            )
            return Imported(self.patient, (), scanner, self.findings.all())
        shutil.rmtree(self.partial, ignore_errors=True)
        self.partial.mkdir(mode=0o700)
        for row in self.rows:
            if row.drawn_on or row.modality in ("SEG", "RTSTRUCT"):
                continue
            try:
                self._volume(row)
            except ImageFault as fault:
                self.findings.fault(f"{row.name} (series {row.series})", fault)
        for row in self.rows:
            if row.modality in ("SEG", "RTSTRUCT") and row.drawn_on in self.grids:
                try:
                    self._structure(row)
                except ImageFault as fault:
                    self.findings.fault(f"{row.name} (series {row.series})", fault)
        if not self.written:
            shutil.rmtree(self.partial)
        else:
            self.partial.rename(self.folder)
        return Imported(self.patient, tuple(self.written), scanner, self.findings.all())

    def _volume(self, row: PlanRow) -> None:
        volume = self.volumes[row.series]
        header = volume.files[0].header
        tags = allowed_tags(header)
        if row.modality == US:
            frames = read_frames(volume.files[0], row.name, row.ultrasound())
            for name, image in frames.images.items():
                own: dict[str, Value] = {**tags, "FrameNumber": float(frames.frame_numbers[name])}
                if frames.crop_confirmed:
                    own["CropConfirmed"] = "yes"
                self._write(name, image, own)
            return
        image = read_series(volume.files).image
        self.grids[row.series] = Grid.of(image)
        self.phases[row.series] = row.name
        if row.seconds:
            first = min(float(other.seconds) for other in self.rows if other.seconds)
            tags[AFTER_FIRST] = float(row.seconds) - first
        self._write(row.name, image, tags)

    def _structure(self, row: PlanRow) -> None:
        series, _, number = row.series.rpartition("#")
        masks = mask_objects.read_object(
            self.objects[series].file, {int(number): row.name}, self.grids[row.drawn_on]
        )
        if row.name not in masks or not sitk.GetArrayViewFromImage(masks[row.name]).any():
            raise ImageFault("empty mask", "the structure is empty", "draw it and export it again")
        self._write(f"{self.phases[row.drawn_on]}_{row.name}", masks[row.name], None)

    def _write(self, name: str, image: sitk.Image, tags: dict[str, Value] | None) -> None:
        voxels = sitk.GetArrayViewFromImage(image)
        clean = Grid.of(image).image(_narrowest(voxels))
        sitk.WriteImage(clean, str(self.partial / f"{name}.nii.gz"), useCompression=True)
        if tags is not None:
            write_sidecar(self.partial / f"{name}.json", tags)
        self.written.append(f"{name}.nii.gz")


def _narrowest(voxels: np.ndarray) -> np.ndarray:
    """Whole numbers as 16 bits where they fit: the same values in half the space."""
    if voxels.dtype.kind in "iu" and voxels.dtype.itemsize > 2:
        limits = np.iinfo(np.int16)
        if limits.min <= int(voxels.min()) and int(voxels.max()) <= limits.max:
            return voxels.astype(np.int16)
    return voxels
