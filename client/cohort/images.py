"""A patient's images in: every phase as a SimpleITK image, and its masks (uint8, 0 and 1) on the same grid."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import SimpleITK as sitk

from client.cohort import dicom_seg, mask_objects, ultrasound
from client.cohort.dicom_headers import DicomFile, acquired_at, series_uid, split_series
from client.cohort.dicom_series import read_series
from client.cohort.findings import Findings, ImageFault, ImagesUnusable, stopping
from client.cohort.grids import Grid, difference
from client.cohort.image_names import US, MaskName, mask_key, modality_of_phase
from client.cohort.images_file import ImagesFile, Ultrasound, read_images_file
from client.cohort.patient_folder import PatientFolder, look_into
from client.cohort.patient_images import AFTER_FIRST, PatientImages, Phase
from client.cohort.provenance import Value, allowed_tags, read_sidecar
from client.cohort.voxel_files import flat, read_image, read_masks
from common.errors import HospitalError


def read_patient(
    folder: Path,
    general: ImagesFile | None = None,
    phases: Sequence[str] | None = None,
    optional: Sequence[str] = (),
) -> PatientImages:
    """Read images/ID.

    Parameters
    ----------
    general
        images/images.yaml; the patient's own images.yaml goes before it.
    phases
        The phases that a study asks for, each of which must be there; others are read only where one of these has
        no mask of its own and they have. None: all that are there.
    optional
        Those of the phases that may be missing.

    Raises
    ------
    ImagesUnusable
        With every finding that keeps the patient out.
    """
    patient = survey_patient(folder, general, phases)
    faults = [
        fault
        for fault in stopping(patient.findings)
        if not (fault.kind == "missing phase" and fault.place in optional)
    ]
    if faults:
        raise ImagesUnusable(faults)
    return patient


def survey_patient(
    folder: Path, general: ImagesFile | None = None, phases: Sequence[str] | None = None
) -> PatientImages:
    """Read what can be read of images/ID; every fault is in the findings."""
    findings = Findings(folder.name)
    if not folder.is_dir():
        findings.add("", "missing folder", f"there is no folder {folder.name} among the images", "put it there")
        return PatientImages(folder.name, {}, findings.all())
    try:
        options = read_images_file(folder).over(general or ImagesFile())
    except HospitalError as error:
        findings.add("images.yaml", "images.yaml", str(error), "correct the file")
        return PatientImages(folder.name, {}, findings.all())
    files = look_into(folder, options, findings)
    return _Reading(folder, options, files, findings).patient(phases)


class _Reading:
    """One reading of a patient's folder."""

    def __init__(self, folder: Path, options: ImagesFile, files: PatientFolder, findings: Findings) -> None:
        self.folder = folder
        self.options = options
        self.files = files
        self.findings = findings
        self.phases: dict[str, Phase] = {}
        self.series: dict[str, str] = {}
        self.times: dict[str, datetime] = {}

    def patient(self, wanted: Sequence[str] | None) -> PatientImages:
        """Everything."""
        there = {*self.files.phases, *self._frames()}
        needed = there if wanted is None else self._needed(set(wanted))
        for name in self.files.phases:
            if {name, *self.options.ultrasound.get(name, Ultrasound()).frames} & needed:
                self._read_phase(name)
        for name in sorted(set(wanted or ()) - there):
            listed = ", ".join(sorted(there)) or "none"
            found = f"the phase {name} is missing (there are: {listed})"
            self.findings.add(name, "missing phase", found, "add it, or leave the patient out")
        if not there:
            self.findings.add("", "no image", "the folder holds no image", "put e.g. arterial.nii.gz there")
        self.phases = {name: phase for name, phase in self.phases.items() if name in needed}
        self._note_times()
        self._read_masks()
        if self.phases and not any(phase.tumours for phase in self.phases.values()):
            self.findings.add(
                "", "missing mask", "there is no usable mask of the tumour", "add tumour.nii.gz or a SEG"
            )
        return PatientImages(self.folder.name, dict(sorted(self.phases.items())), self.findings.all())

    def _needed(self, wanted: set[str]) -> set[str]:
        """The phases asked for; where one has no mask of its own, also those that a mask was drawn on."""
        referenced = {uid for _, file in self.files.objects for uid in dicom_seg.referenced_series(file.header)}
        drawn_on = {key.phase for key in self.files.masks if key.phase}
        drawn_on |= {name for name, uid in self._series_of_phases().items() if uid in referenced}
        for_all = self.files.labelled or any(not key.phase for key in self.files.masks)
        return wanted if for_all or wanted <= drawn_on else wanted | drawn_on

    def _series_of_phases(self) -> dict[str, str]:
        return {name: series_uid(files[0].header) for name, files in self.files.series.items()}

    def _frames(self) -> set[str]:
        choices = (self.options.ultrasound.get(name, Ultrasound()) for name in self.files.series)
        return set().union(*(choice.frames for choice in choices))

    def _read_phase(self, name: str) -> None:
        try:
            if name in self.files.images:
                self._read_voxels(name, self.files.images[name])
            else:
                self._read_dicom(name, self.files.series[name])
        except ImageFault as fault:
            place = self.files.images[name].name if name in self.files.images else f"{name}/"
            self.findings.fault(place, fault)

    def _read_voxels(self, name: str, path: Path) -> None:
        image = read_image(path)
        provenance = self._sidecar(path)
        modality = str(provenance.get("Modality", "")) or modality_of_phase(name) or self.options.modality or ""
        if modality == US:
            image = flat(image)
        self.phases[name] = Phase(name, image, modality, provenance=provenance)

    def _sidecar(self, path: Path) -> dict[str, Value]:
        beside = path.with_name(path.name[: path.name.index(".")] + ".json")
        if not beside.is_file():
            return {}
        try:
            provenance, identity = read_sidecar(beside)
        except ImageFault as fault:
            self.findings.look(beside.name, fault.kind, fault.found, fault.cure)
            return {}
        if identity:
            self.findings.look(
                beside.name,
                "identity in a file",
                f"the file tells who the patient is ({', '.join(identity)})",
                "delete these lines; they are not read",
            )
        return provenance

    def _read_dicom(self, name: str, files: list[DicomFile]) -> None:
        self._look_for_identity(name, files[0])
        if str(files[0].header.get("Modality")) == US:
            self._read_ultrasound(name, files)
            return
        volumes = split_series(files)
        if len(volumes) > 1:
            counts = ", ".join(str(len(volume)) for volume in volumes[:6])
            raise ImageFault(
                "mixed series",
                f"the folder holds {len(volumes)} series or volumes (of {counts} files)",
                "keep one, or sort the export with: hepafed site import",
            )
        volume = read_series(volumes[0])
        modality = str(volume.header.get("Modality", "")) or modality_of_phase(name)
        self.phases[name] = Phase(name, volume.image, modality, provenance=allowed_tags(volume.header))
        self.series[name] = volume.series_uid
        acquired = acquired_at([file.header for file in files])
        if acquired is not None:
            self.times[name] = acquired

    def _read_ultrasound(self, name: str, files: list[DicomFile]) -> None:
        if len(files) > 1:
            raise ImageFault(
                "several pictures",
                f"the folder holds {len(files)} ultrasound files",
                "keep the chosen one, and give each a folder of its own, e.g. us and us_2",
            )
        choice = self.options.ultrasound.get(name, Ultrasound())
        frames = ultrasound.read_frames(files[0], name, choice)
        if frames.coloured:
            self.findings.look(
                name,
                "colour in ultrasound",
                f"{frames.coloured:.1%} of the pixels are coloured (Doppler, or a mark)",
                "use the picture without colour, or crop it off",
            )
        for phase, image in frames.images.items():
            provenance = allowed_tags(files[0].header)
            provenance["FrameNumber"] = float(frames.frame_numbers[phase])
            if frames.crop_confirmed:
                provenance["CropConfirmed"] = "yes"
            self.phases[phase] = Phase(phase, image, US, provenance=provenance)
            self.series[phase] = series_uid(files[0].header)

    def _look_for_identity(self, name: str, file: DicomFile) -> None:
        """The folder's name travels into lists and logs: it must not be what the hospital calls the patient."""
        header = file.header
        if str(header.get("PatientIdentityRemoved", "")).upper() == "YES":
            return
        own = self.folder.name.casefold()
        called = str(header.get("PatientName", "")).casefold().replace("^", " ").split()
        if own == str(header.get("PatientID", "")).casefold() or any(
            part in own for part in called if len(part) > 1
        ):
            self.findings.look(
                name,
                "identity in a name",
                "the folder is called by the patient's own name or number",
                "bring the images in with: hepafed site import, which gives pseudonyms",
            )

    def _note_times(self) -> None:
        if self.times:
            first = min(self.times.values())
            for name, time in self.times.items():
                if name in self.phases:
                    self.phases[name].provenance[AFTER_FIRST] = (time - first).total_seconds()

    def _read_masks(self) -> None:
        for key, path in self.files.masks.items():
            if key.phase and key.phase not in self.files.phases and key.phase not in self._frames():
                self.findings.look(
                    path.name,
                    "mask without image",
                    f"the mask was drawn on the phase {key.phase}, which is not there",
                    f"add the image {key.phase}, or rename the mask",
                )
                continue
            try:
                self._place(path.name, {key: read_masks(path, None)[""]})
            except ImageFault as fault:
                self.findings.fault(path.name, fault)
        for own, path in self.files.labelled.items():
            try:
                masks = read_masks(path, self.options.labels[own])
            except ImageFault as fault:
                self.findings.fault(path.name, fault)
                continue
            self._place(path.name, {mask_key(mask): image for mask, image in masks.items()})
        drawn = mask_objects.read_objects(
            self.files.objects,
            self.options.structures,
            {name: Grid.of(phase.image) for name, phase in self.phases.items()},
            {**self._series_of_phases(), **self.series},
            self.findings,
        )
        for place, phase, found in drawn:
            self._place(place, {replace(mask_key(mask), phase=phase): image for mask, image in found.items()})

    def _place(self, place: str, masks: Mapping[MaskName, sitk.Image]) -> None:
        """Put masks on the phases they belong to."""
        for key, mask in masks.items():
            where = place if len(masks) == 1 else f"{place}, {key.mask}"
            voxels = sitk.GetArrayViewFromImage(mask)
            if not voxels.any():
                self.findings.add(
                    where, "empty mask", "the mask is empty: no voxel is marked", "draw it, or delete it"
                )
            elif voxels.all():
                self.findings.add(
                    where,
                    "mask of all ones",
                    f"every one of the {voxels.size:,} voxels is marked",
                    "save the mask of the region, not of the whole image",
                )
            else:
                self._put(where, key, mask)

    def _put(self, place: str, key: MaskName, mask: sitk.Image) -> None:
        names = [key.phase] if key.phase else list(self.phases)
        differences = {}
        for name in names:
            phase = self.phases.get(name)
            if phase is None:  # not asked for, or not readable, which is said already
                continue
            placed = flat(mask) if phase.image.GetDimension() == 2 and mask.GetDimension() == 3 else mask
            grid = Grid.of(phase.image)
            apart = difference(grid, Grid.of(placed))
            if apart is not None:
                differences[name] = apart
            elif key.mask in phase.drawn_here and key.phase:
                self.findings.add(place, "file given twice", f"{key} is there twice", "keep one of the two")
            elif key.phase or key.mask not in phase.drawn_here:
                masks = {**phase.masks, key.mask: grid.image(sitk.GetArrayViewFromImage(placed))}
                drawn_here = phase.drawn_here | {key.mask} if key.phase else phase.drawn_here
                self.phases[name] = replace(phase, masks=masks, drawn_here=drawn_here)
        if differences and len(differences) == sum(name in self.phases for name in names):
            name, apart = next(iter(differences.items()))
            self.findings.add(
                place,
                "geometry mismatch",
                f"the mask does not lie on the grid of {name}: {apart}",
                f"draw or export it on {name}, or resample it to that grid (nearest neighbour)",
            )
