"""The images of one synthetic hospital as files: NIfTI, DICOM with SEG or with RTSTRUCT, or ultrasound."""

import json
from pathlib import Path

from deploy.simulation.images.dicom_files import Who, ct_series, save, ultrasound_file
from deploy.simulation.images.dicom_masks import segmentation, structure_set
from deploy.simulation.images.nifti_files import write_nifti, write_volume
from deploy.simulation.images.patient_ct import PatientImages, draw_ct, planted_factors, planted_shape
from deploy.simulation.images.scanner import Acquisition, draw_acquisition
from deploy.simulation.images.tumours import LARGEST_MM, MOST_DRAWN, SMALLEST_MM
from deploy.simulation.images.ultrasound import PIXEL_MM, draw_picture
from deploy.simulation.synthesis import Hospital, Setting, generator

FORMATS = ("nifti", "nifti", "dicom-seg", "dicom-rtstruct")
"""By the hospital's place, over and over."""
FAULTY_PLACE, FAULTY_PATIENT = 0, 4
"""One patient a demonstration has an empty mask of the tumour: what is broken must be found and said."""
ULTRASOUND_SCANNER = "GE LOGIQ E10"
HOW_TO_READ = {
    "drawn from": "truth.json, *_latent.csv and the shape features of *_clean_features.csv",
    "size": f"tumours are drawn {SMALLEST_MM:g} to {LARGEST_MM:g} mm large, {MOST_DRAWN} at most",
    "late": "standard deviations of the time after the contrast agent; every patient adds 0.5 of his own",
    "faulty": "the patient whose mask of the tumour is empty by design",
}


def write_ct(folder: Path, setting: Setting, place: int, hospital: Hospital, patient: int) -> None:
    """images/ID of one patient: CT of two phases, in the files that the hospital at this place has."""
    write = {"nifti": write_nifti, "dicom-seg": _write_dicom_seg, "dicom-rtstruct": _write_dicom_rtstruct}
    scanner = str(hospital.clinic["scanner"][patient])
    acquisition = draw_acquisition(setting, place, hospital.mix.mvi_prevalence, scanner)
    images = draw_ct(setting, place, hospital, patient, acquisition)
    if (place, patient) == (FAULTY_PLACE, FAULTY_PATIENT):
        images.masks["tumour"][:] = 0
    who = Who(setting.seed, hospital.ids[patient], scanner)
    write[FORMATS[place % len(FORMATS)]](folder / who.patient, who, images, acquisition)


def write_ultrasound(folder: Path, setting: Setting, place: int, hospital: Hospital, patient: int) -> None:
    """images/ID of one patient: a DICOM picture, and its masks as NIfTI."""
    picture = draw_picture(
        generator(setting.seed, "ultrasound", place, patient),
        float(hospital.clinic["tumour_size_mm"][patient]),
        planted_shape(hospital, patient),
        planted_factors(hospital, patient),
    )
    who = Who(setting.seed, hospital.ids[patient], ULTRASOUND_SCANNER)
    save(folder / who.patient / "us", [ultrasound_file(who, picture.grey, PIXEL_MM)])
    for mask, pixels in picture.masks.items():
        write_volume(folder / who.patient / f"{mask}.nii.gz", pixels, (PIXEL_MM, PIXEL_MM), (0.0, 0.0))


def truth_of_images(setting: Setting, hospitals: list[Hospital]) -> str:
    """How each hospital images, as JSON text."""
    truth = {
        "how_to_read": HOW_TO_READ,
        "faulty": hospitals[FAULTY_PLACE].ids[FAULTY_PATIENT],
        "hospitals": {
            hospital.name: {
                "files": FORMATS[place % len(FORMATS)],
                "scanners": {
                    scanner: vars(draw_acquisition(setting, place, hospital.mix.mvi_prevalence, scanner))
                    for scanner in hospital.mix.scanners
                },
            }
            for place, hospital in enumerate(hospitals)
        },
    }
    return json.dumps(truth, indent=1, ensure_ascii=False) + "\n"


def _write_dicom_seg(folder: Path, who: Who, images: PatientImages, acquisition: Acquisition) -> None:
    for phase, voxels in images.phases.items():
        slices = ct_series(who, phase, voxels, images.axes, acquisition)
        save(folder / phase, slices)
        drawn = segmentation(who, phase, slices, images.masks)
        drawn.save_as(folder / f"{phase}_masks.dcm", enforce_file_format=True)


def _write_dicom_rtstruct(folder: Path, who: Who, images: PatientImages, acquisition: Acquisition) -> None:
    for phase, voxels in images.phases.items():
        slices = ct_series(who, phase, voxels, images.axes, acquisition)
        save(folder / phase, slices)
        drawn = structure_set(who, phase, slices, images.masks, images.axes)
        drawn.save_as(folder / f"{phase}_structures.dcm", enforce_file_format=True)
