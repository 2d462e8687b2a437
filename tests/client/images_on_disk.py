"""Tiny patients as files: NIfTI, NRRD, DICOM series, SEG by highdicom, RTSTRUCT by pydicom."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian

SHAPE = (10, 28, 32)  # z, y, x
SPACING_MM = (1.5, 1.5, 3.0)  # x, y, z
ORIGIN_MM = (-20.0, -30.0, 40.0)

CT_CLASS = "1.2.840.10008.5.1.4.1.1.2"
MR_CLASS = "1.2.840.10008.5.1.4.1.1.4"
PET_CLASS = "1.2.840.10008.5.1.4.1.1.128"
RTSTRUCT_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"


def uid(*words: object) -> str:
    """A UID that is the same in every run."""
    return f"1.2.826.0.1.3680043.8.498.{int(hashlib.sha256(repr(words).encode()).hexdigest()[:24], 16)}"


def ball(centre: Sequence[float] = (5, 14, 16), radius: float = 3.5, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """A ball of voxels, 0 and 1."""
    at = np.indices(shape).reshape(len(shape), -1).T
    inside = ((at - np.asarray(centre)) ** 2).sum(axis=1) <= radius**2
    return inside.reshape(shape).astype(np.uint8)


def liver() -> np.ndarray:
    """A larger ball around the tumour's place."""
    return ball((5, 14, 16), 9.0)


def ct_voxels(seed: int = 0, tumour: np.ndarray | None = None) -> np.ndarray:
    """A body of some 60 HU in air, with a denser tumour; int16."""
    noise = np.random.default_rng(seed).normal(0, 8, SHAPE)
    voxels = np.full(SHAPE, -1000.0)
    voxels[:, 2:-2, 2:-2] = 60 + noise[:, 2:-2, 2:-2]
    voxels[(ball() if tumour is None else tumour) > 0] += 40
    return np.rint(voxels).astype(np.int16)


def as_image(
    voxels: np.ndarray,
    spacing_mm: Sequence[float] = SPACING_MM,
    origin_mm: Sequence[float] = ORIGIN_MM,
    direction: Sequence[float] | None = None,
) -> sitk.Image:
    """Voxels (z, y, x) as an image."""
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing(tuple(spacing_mm)[: voxels.ndim])
    image.SetOrigin(tuple(origin_mm)[: voxels.ndim])
    if direction is not None:
        image.SetDirection(tuple(direction))
    return image


def write(path: Path, voxels: np.ndarray, **geometry: Any) -> Path:
    """One NIfTI or NRRD file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(as_image(voxels, **geometry), str(path))
    return path


def write_patient(folder: Path, seed: int = 0, **masks: np.ndarray) -> Path:
    """A healthy patient: portal.nii.gz, tumour.nii.gz (each seed has its own); more masks by keyword."""
    tumour = ball((5, 14, 16 + seed))
    write(folder / "portal.nii.gz", ct_voxels(seed, tumour))
    for name, mask in {"tumour": tumour, **masks}.items():
        write(folder / f"{name}.nii.gz", mask)
    (folder / "images.yaml").write_text("modality: CT\n", encoding="utf-8")
    return folder


def dicom_file(sop_class: str, instance: str, **tags: Any) -> FileDataset:
    """A DICOM file that is full of identity, as a PACS gives it."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = sop_class
    meta.MediaStorageSOPInstanceUID = instance
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = instance
    patient = {
        "SpecificCharacterSet": "ISO_IR 192",
        "PatientName": "Liang^Example",
        "PatientID": "H0012345",
        "PatientBirthDate": "19600131",
        "PatientSex": "M",
        "StudyInstanceUID": uid("study"),
        "StudyID": "1",
        "StudyDate": "20240102",
        "StudyTime": "080000",
        "AccessionNumber": "A778899",
        "InstitutionName": "Hospital of the Test",
        "StudyDescription": "Abdomen of Liang Example",
        "DeviceSerialNumber": "SN4711",
        "ImageComments": "call Liang",
        "Manufacturer": "ACME",
        "ManufacturerModelName": "Scan 7",
        "ReferringPhysicianName": "",
        "FrameOfReferenceUID": uid("frame"),
        "PositionReferenceIndicator": "",
        "Laterality": "",
    }
    for keyword, value in {**patient, **tags}.items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset.add_new(0x00091001, "LO", "Liang private")
    return dataset


def series(
    voxels: np.ndarray,
    name: str = "portal",
    spacing_mm: Sequence[float] = SPACING_MM,
    origin_mm: Sequence[float] = ORIGIN_MM,
    rows_and_columns: Sequence[float] = (1, 0, 0, 0, 1, 0),
    intercept: float = -1024,
    slope: float = 1,
    sop_class: str = CT_CLASS,
    **tags: Any,
) -> list[FileDataset]:
    """A series of single slices; `voxels` in the unit that they shall have when they are read."""
    row, column = np.asarray(rows_and_columns[:3], float), np.asarray(rows_and_columns[3:], float)
    normal = np.cross(row, column)
    datasets = []
    stored = np.rint((voxels.astype(np.float64) - intercept) / slope).astype(np.int16)
    for number, plane in enumerate(stored):
        position = np.asarray(origin_mm) + number * spacing_mm[2] * normal
        modality = {CT_CLASS: "CT", MR_CLASS: "MR", PET_CLASS: "PT"}[sop_class]
        dataset = dicom_file(
            sop_class,
            uid("slice", name, tags.get("PatientID"), number),
            **{
                "Modality": modality,
                "SeriesInstanceUID": uid("series", name, tags.get("PatientID")),
                "SeriesDescription": name,
                "SeriesNumber": 3,
                "SeriesDate": "20240102",
                "SeriesTime": "080500",
                "AcquisitionDate": "20240102",
                "AcquisitionTime": "080510",
                "InstanceNumber": number + 1,
                "ImagePositionPatient": [float(part) for part in np.round(position, 6)],
                "ImageOrientationPatient": [float(part) for part in rows_and_columns],
                "PixelSpacing": [spacing_mm[1], spacing_mm[0]],
                "SliceThickness": spacing_mm[2],
                "Rows": plane.shape[0],
                "Columns": plane.shape[1],
                "SamplesPerPixel": 1,
                "PhotometricInterpretation": "MONOCHROME2",
                "BitsAllocated": 16,
                "BitsStored": 16,
                "HighBit": 15,
                "PixelRepresentation": 1,
                "RescaleIntercept": intercept,
                "RescaleSlope": slope,
                "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
                "PixelData": plane.tobytes(),
                **tags,
            },
        )
        datasets.append(dataset)
    return datasets


def save(folder: Path, datasets: Sequence[Dataset]) -> Path:
    """Datasets as files, in an order that is not that of the slices."""
    folder.mkdir(parents=True, exist_ok=True)
    for dataset in datasets:
        name = hashlib.sha256(str(dataset.SOPInstanceUID).encode()).hexdigest()[:12]
        dataset.save_as(folder / f"{name}.dcm", enforce_file_format=True)
    return folder


def seg(datasets: Sequence[Dataset], masks: Mapping[str, np.ndarray], **choices: Any) -> hd.seg.Segmentation:
    """A SEG object, one segment a mask, in the order of the datasets."""
    descriptions = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=label,
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=codes.SCT.Liver,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
        )
        for number, label in enumerate(masks, start=1)
    ]
    stacked = np.stack(list(masks.values()), axis=-1)
    return hd.seg.Segmentation(
        source_images=list(datasets),
        pixel_array=stacked,
        segment_descriptions=descriptions,
        series_instance_uid=uid("seg"),
        series_number=9,
        sop_instance_uid=uid("seg object", *masks),
        instance_number=1,
        manufacturer="ACME",
        manufacturer_model_name="Drawer",
        software_versions="1",
        device_serial_number="SN1",
        **{"segmentation_type": hd.seg.SegmentationTypeValues.BINARY, **choices},
    )


def rtstruct(contours_mm: Mapping[str, Sequence[np.ndarray]], drawn_on: Dataset) -> FileDataset:
    """An RTSTRUCT object: name → contours (points × 3)."""
    dataset = dicom_file(
        RTSTRUCT_CLASS,
        uid("rtstruct", *contours_mm),
        Modality="RTSTRUCT",
        SeriesInstanceUID=uid("rtstruct series"),
        PatientID=drawn_on.PatientID,
        StudyInstanceUID=drawn_on.StudyInstanceUID,
        StructureSetLabel="RT",
    )
    referenced = Dataset()
    referenced.SeriesInstanceUID = drawn_on.SeriesInstanceUID
    study = Dataset()
    study.RTReferencedSeriesSequence = DicomSequence([referenced])
    frame = Dataset()
    frame.FrameOfReferenceUID = drawn_on.FrameOfReferenceUID
    frame.RTReferencedStudySequence = DicomSequence([study])
    dataset.ReferencedFrameOfReferenceSequence = DicomSequence([frame])
    structures, drawn = [], []
    for number, (name, contours) in enumerate(contours_mm.items(), start=1):
        structure = Dataset()
        structure.ROINumber = number
        structure.ROIName = name
        structures.append(structure)
        of_structure = Dataset()
        of_structure.ReferencedROINumber = number
        items = []
        for points in contours:
            item = Dataset()
            item.ContourGeometricType = "CLOSED_PLANAR"
            item.NumberOfContourPoints = len(points)
            item.ContourData = [f"{part:.6f}"[:16] for part in np.asarray(points).ravel()]
            items.append(item)
        of_structure.ContourSequence = DicomSequence(items)
        drawn.append(of_structure)
    dataset.StructureSetROISequence = DicomSequence(structures)
    dataset.ROIContourSequence = DicomSequence(drawn)
    return dataset
