"""Ultrasound and PET as tiny DICOM files."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence as DicomSequence

from tests.client.images_on_disk import PET_CLASS, dicom_file, uid

US_CLASS = "1.2.840.10008.5.1.4.1.1.6.1"


def ultrasound(
    pixels: np.ndarray, *, delta_cm: float | None = 0.02, burned_in: str | None = "NO", **tags: Any
) -> FileDataset:
    """An ultrasound file: rows × columns, × RGB, or frames first."""
    colour = pixels.shape[-1] == 3
    frames = pixels.shape[0] if pixels.ndim == (4 if colour else 3) else None
    rows, columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    dataset = dicom_file(
        US_CLASS,
        uid("us", tags.get("PatientID"), tags.get("SeriesDescription")),
        **{
            "Modality": "US",
            "SeriesInstanceUID": uid("us series", tags.get("PatientID"), tags.get("SeriesDescription")),
            "Rows": rows,
            "Columns": columns,
            "SamplesPerPixel": 3 if colour else 1,
            "PlanarConfiguration": 0 if colour else None,
            "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
            "BitsAllocated": 8,
            "BitsStored": 8,
            "HighBit": 7,
            "PixelRepresentation": 0,
            "NumberOfFrames": frames,
            "BurnedInAnnotation": burned_in,
            "PixelData": pixels.tobytes() + b"\0" * (pixels.size % 2),
            **tags,
        },
    )
    if delta_cm is not None:
        region = Dataset()
        region.RegionSpatialFormat = 1
        region.RegionDataType = 1
        region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
        region.PhysicalDeltaX, region.PhysicalDeltaY = delta_cm, delta_cm * 1.5
        region.RegionLocationMinX0, region.RegionLocationMinY0 = 2, 4
        region.RegionLocationMaxX1, region.RegionLocationMaxY1 = columns - 3, rows - 1
        dataset.SequenceOfUltrasoundRegions = DicomSequence([region])
    return dataset


def pet_tags(dose_tags: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """370 MBq of F-18, injected one half-life before the series; 74 kg."""
    dose = Dataset()
    usual = {
        "RadionuclideTotalDose": 370e6,
        "RadionuclideHalfLife": 6600.0,
        "RadiopharmaceuticalStartTime": "061500",
    }
    for keyword, value in {**usual, **(dose_tags or {})}.items():
        setattr(dose, keyword, value)
    return {
        "sop_class": PET_CLASS,
        "Units": "BQML",
        "DecayCorrection": "START",
        "PatientWeight": 74,
        "RadiopharmaceuticalInformationSequence": DicomSequence([dose]),
        **changes,
    }
