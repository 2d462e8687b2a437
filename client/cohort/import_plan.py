"""The plan of an import: one line a series or structure, proposed by us, confirmed or edited by a person.

It tells nobody's identity: pseudonyms, short names of series, what the scanner's operator called the series without
any word of the patient's name or number.
"""

import re
from dataclasses import dataclass, replace

from client.cohort.dicom_series import series_grid
from client.cohort.findings import ImageFault
from client.cohort.image_names import US
from client.cohort.images_file import Ultrasound
from client.cohort.pacs_scan import Scan, ScannedStudy, ScannedVolume, description
from client.cohort.phase_guess import guess_phases
from client.cohort.provenance import allowed_tags
from client.cohort.structures import plain_meaning
from client.cohort.ultrasound import region_of_tissue


@dataclass(frozen=True)
class PlanRow:
    """One line.

    Parameters
    ----------
    take
        yes or no (the column is called import).
    name
        The phase, or the mask for a structure; it becomes the file's name.
    series
        A short name; a structure's ends with # and its number.
    drawn_on
        A structure's: the series it was drawn on.
    seconds
        After the first series of the examination.
    frames
        Ultrasound: the chosen frames, e.g. "12", or "arterial=120 portal=300" for ceus_arterial and ceus_portal.
    crop_px, no_text_confirmed_by
        Ultrasound: the part to keep (left top width height), and who saw that it holds no name, number or date.
    """

    take: str
    patient: str
    study: int
    name: str
    reason: str
    modality: str
    description: str
    size: str
    spacing_mm: str
    seconds: str
    scanner: str
    frames: str
    crop_px: str
    no_text_confirmed_by: str
    series: str
    drawn_on: str

    @property
    def taken(self) -> bool:
        """Whether it is to be imported."""
        return self.take == "yes"

    def ultrasound(self) -> Ultrasound:
        """The decisions about an ultrasound file; ValueError says what is wrong with them."""
        crop = (
            tuple(int(part) for part in re.split(r"[ ,x×]+", self.crop_px.strip("[]() ")))
            if self.crop_px
            else None
        )
        frames = {}
        for part in self.frames.replace(",", " ").split():
            suffix, _, number = part.rpartition("=")
            frames[f"{self.name}_{suffix}" if suffix else self.name] = int(number)
        return Ultrasound.model_validate(
            {"frames": frames, "crop_px": crop, "no_text_confirmed_by": self.no_text_confirmed_by or None}
        )


def make_plan(scan: Scan) -> list[PlanRow]:
    """What we propose, patient by patient; of several examinations the one with most phases."""
    rows: list[PlanRow] = []
    by_patient: dict[str, list[ScannedStudy]] = {}
    for study in scan.studies:
        by_patient.setdefault(study.patient, []).append(study)
    for studies in by_patient.values():
        planned = [_study_rows(study) for study in studies]
        best = max(range(len(planned)), key=lambda at: (sum(row.taken for row in planned[at]), -at))
        for at, study_rows in enumerate(planned):
            if at != best:
                study_rows = [
                    replace(row, take="no", reason=f"examination {studies[best].number} has more phases")
                    if row.taken
                    else row
                    for row in study_rows
                ]
            rows += study_rows
    return rows


def _study_rows(study: ScannedStudy) -> list[PlanRow]:
    guesses = guess_phases(study.volumes)
    times = [volume.acquired for volume in study.volumes if volume.acquired is not None]
    rows = []
    for volume, guess in zip(study.volumes, guesses, strict=True):
        header = volume.files[0].header
        after = "" if volume.acquired is None else f"{(volume.acquired - min(times)).total_seconds():.0f}"
        size, spacing, fault = _geometry(volume)
        rectangle = region_of_tissue(header) if volume.modality == US else None
        many_frames = volume.modality == US and volume.slices > 1
        wanted = bool(guess.name) and not fault
        reason = "; ".join(part for part in (fault, guess.reason) if part)
        if many_frames and wanted:
            reason += "; a cine: choose frames"
        rows.append(
            PlanRow(
                take="yes" if wanted else "no",
                patient=study.patient,
                study=study.number,
                name=guess.name,
                reason=reason,
                modality=volume.modality,
                description=description(volume.files[0]),
                size=size,
                spacing_mm=spacing,
                seconds=after,
                scanner=_scanner(volume),
                frames="",
                crop_px=" ".join(map(str, rectangle or ())),
                no_text_confirmed_by="",
                series=volume.series,
                drawn_on="",
            )
        )
    return rows + _structure_rows(study, rows)


def _structure_rows(study: ScannedStudy, volumes: list[PlanRow]) -> list[PlanRow]:
    taken = {row.series for row in volumes if row.taken}
    rows = []
    used: set[tuple[str, str]] = set()
    for found in study.objects:
        for number, called in found.names.items():
            mask = plain_meaning(called) or ""
            again = (found.drawn_on, mask) in used
            wanted = bool(mask) and found.drawn_on in taken and not again
            used.add((found.drawn_on, mask))
            reason = "its name" if mask else "say which mask this is: tumour, tumour_2, liver or vessels"
            if mask and again:
                reason = f"another {mask} was drawn on this series"
            if mask and found.drawn_on not in taken:
                reason = "the series it was drawn on is not imported"
            if not found.drawn_on:
                reason = "the series it was drawn on is not in the export"
            rows.append(
                PlanRow(
                    take="yes" if wanted else "no",
                    patient=study.patient,
                    study=study.number,
                    name=mask,
                    reason=reason,
                    modality="SEG" if found.file.is_segmentation else "RTSTRUCT",
                    description="".join(c for c in called if c.isprintable()).strip(" =+-@")[:60],
                    size="",
                    spacing_mm="",
                    seconds="",
                    scanner="",
                    frames="",
                    crop_px="",
                    no_text_confirmed_by="",
                    series=f"{found.series}#{number}",
                    drawn_on=found.drawn_on,
                )
            )
    return rows


def _geometry(volume: ScannedVolume) -> tuple[str, str, str]:
    """Size, spacing, and what is wrong with them."""
    header = volume.files[0].header
    if volume.modality == US:
        return f"{header.get('Columns')}×{header.get('Rows')}×{volume.slices}", "", ""
    try:
        grid = series_grid(volume.files)
    except ImageFault as fault:
        return f"{volume.slices} slices", "", fault.found
    return "×".join(map(str, grid.size)), "×".join(f"{step:.3g}" for step in grid.spacing_mm), ""


def _scanner(volume: ScannedVolume) -> str:
    tags = allowed_tags(volume.files[0].header)
    return " ".join(str(tags[key]) for key in ("Manufacturer", "ManufacturerModelName") if key in tags)
