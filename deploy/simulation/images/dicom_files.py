"""DICOM files of synthetic patients: series of slices. All names, numbers, dates and UIDs are invented.

Nothing comes from a clock or a random number: the same patient gives the same bytes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import UID, ExplicitVRLittleEndian

from deploy.simulation.images.fields import Axes
from deploy.simulation.images.identity import SYNTHETIC, Who
from deploy.simulation.images.scanner import Acquisition

CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
US_CLASS = "1.2.840.10008.5.1.4.1.1.6.1"
TAKEN_AT = {"arterial": "100035", "portal": "100110"}
_STORED_FROM_HU = 1024
_CENTIMETRES = 3  # PS3.3 C.8.5.5.1.15: physical units of a region


def synthetic_file(who: Who, sop_class: str, instance: str, **tags: Any) -> FileDataset:
    """A file that says of itself, in every description, that it is synthetic."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = UID(sop_class)
    meta.MediaStorageSOPInstanceUID = UID(instance)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    common = {
        "SpecificCharacterSet": "ISO_IR 192",
        "SOPClassUID": sop_class,
        "SOPInstanceUID": instance,
        "PatientName": f"SYNTHETIC^{who.patient}",
        "PatientID": who.patient,
        "PatientBirthDate": "",
        "PatientSex": "O",
        "PatientIdentityRemoved": "YES",
        "DeidentificationMethod": SYNTHETIC,
        "StudyInstanceUID": who.uid("study"),
        "StudyID": "1",
        "StudyDate": who.day,
        "StudyTime": "100000",
        "StudyDescription": SYNTHETIC,
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "InstitutionName": "SYNTHETIC",
        "Manufacturer": who.scanner.split()[0],
        "ManufacturerModelName": who.scanner,
        "FrameOfReferenceUID": who.uid("frame"),
        "PositionReferenceIndicator": "",
    }
    for keyword, value in {**common, **tags}.items():
        setattr(dataset, keyword, value)
    return dataset


def ct_series(who: Who, phase: str, voxels: np.ndarray, axes: Axes, acquisition: Acquisition) -> list[FileDataset]:
    """The slices of one phase, from the feet up."""
    width, height, _ = axes.spacing_mm
    stored = (voxels.astype(np.int32) + _STORED_FROM_HU).astype("<u2")
    return [
        synthetic_file(
            who,
            CT_CLASS,
            who.uid(phase, number),
            Modality="CT",
            ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
            SeriesInstanceUID=series_uid(who, phase),
            SeriesNumber=2 if phase == "arterial" else 3,
            SeriesDescription=f"SYNTHETIC {phase}",
            SeriesDate=who.day,
            SeriesTime=TAKEN_AT[phase],
            AcquisitionDate=who.day,
            AcquisitionTime=TAKEN_AT[phase],
            ContentDate=who.day,
            ContentTime=TAKEN_AT[phase],
            AcquisitionNumber=1,
            InstanceNumber=number,
            PatientPosition="HFS",
            KVP=120,
            ConvolutionKernel=acquisition.kernel,
            SliceThickness=acquisition.slice_mm,
            ImagePositionPatient=[float(axes.x_mm[0]), float(axes.y_mm[0]), float(height_mm)],
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            PixelSpacing=[height, width],
            SamplesPerPixel=1,
            PhotometricInterpretation="MONOCHROME2",
            Rows=plane.shape[0],
            Columns=plane.shape[1],
            BitsAllocated=16,
            BitsStored=16,
            HighBit=15,
            PixelRepresentation=0,
            RescaleIntercept=-_STORED_FROM_HU,
            RescaleSlope=1,
            RescaleType="HU",
            PixelData=plane.tobytes(),
        )
        for number, (plane, height_mm) in enumerate(zip(stored, axes.z_mm, strict=True), 1)
    ]


def series_uid(who: Who, phase: str) -> str:
    """The series of a phase."""
    return who.uid("series", phase)


def save(folder: Path, datasets: Sequence[Dataset]) -> None:
    """A series as files, one a slice."""
    folder.mkdir(parents=True)
    for number, dataset in enumerate(datasets, 1):
        dataset.save_as(folder / f"{number:04d}.dcm", enforce_file_format=True)


def ultrasound_file(who: Who, grey: np.ndarray, pixel_mm: float) -> FileDataset:
    """One B-mode picture, with the size of its pixels where ultrasound tells it."""
    rows, columns = grey.shape
    region = Dataset()
    region.RegionSpatialFormat, region.RegionDataType, region.RegionFlags = 1, 1, 0
    region.RegionLocationMinX0, region.RegionLocationMinY0 = 0, 0
    region.RegionLocationMaxX1, region.RegionLocationMaxY1 = columns - 1, rows - 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = _CENTIMETRES
    region.PhysicalDeltaX = region.PhysicalDeltaY = pixel_mm / 10
    return synthetic_file(
        who,
        US_CLASS,
        who.uid("us"),
        Modality="US",
        ImageType=["ORIGINAL", "PRIMARY", "", "0001"],
        SeriesInstanceUID=series_uid(who, "us"),
        SeriesNumber=1,
        SeriesDescription="SYNTHETIC B-mode",
        SeriesDate=who.day,
        SeriesTime="100000",
        InstanceNumber=1,
        BurnedInAnnotation="NO",
        SequenceOfUltrasoundRegions=DicomSequence([region]),
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        Rows=rows,
        Columns=columns,
        BitsAllocated=8,
        BitsStored=8,
        HighBit=7,
        PixelRepresentation=0,
        PixelData=grey.tobytes() + b"\0" * (grey.size % 2),
    )
