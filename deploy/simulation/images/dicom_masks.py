"""Masks of synthetic patients as DICOM: segmentations (SEG) and planning structures (RTSTRUCT)."""

from collections.abc import Mapping, Sequence

import highdicom as hd
import numpy as np
from pydicom.dataset import Dataset, FileDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.sr.codedict import codes

from deploy.simulation.images.contours import outlines
from deploy.simulation.images.dicom_files import CT_CLASS, series_uid, synthetic_file
from deploy.simulation.images.fields import Axes
from deploy.simulation.images.identity import SYNTHETIC, Who

RTSTRUCT_CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
RTSTRUCT_REGIONS = ("tumour", "liver")
"""Planning systems draw no vessels."""
_DRAWN_AT = "120000"


def label(mask: str) -> str:
    """What hospitals call a mask: 'Tumour 2' for tumour_2."""
    return mask.replace("_", " ").capitalize()


def segmentation(who: Who, phase: str, slices: Sequence[Dataset], masks: Mapping[str, np.ndarray]) -> Dataset:
    """A SEG of one phase, a segment a mask."""
    kinds = {"tumour": codes.SCT.Neoplasm, "liver": codes.SCT.Liver, "vessels": codes.SCT.BloodVessel}
    segments = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=label(name),
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=kinds[name.split("_")[0]],
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,
            tracking_uid=hd.UID(who.uid("segment", phase, name)),
            tracking_id=label(name),
        )
        for number, name in enumerate(masks, 1)
    ]
    made = hd.seg.Segmentation(
        source_images=list(slices),
        pixel_array=np.stack(list(masks.values()), axis=-1),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=segments,
        series_instance_uid=who.uid("segmentation series", phase),
        series_number=9,
        sop_instance_uid=who.uid("segmentation", phase),
        instance_number=1,
        manufacturer="hepafed",
        manufacturer_model_name="demo-data",
        software_versions="1",
        device_serial_number="SYNTHETIC",
        series_description=f"SYNTHETIC masks of {phase}",
        content_description=SYNTHETIC,
    )
    _stop_the_clock(made, who, phase)
    return made


def _stop_the_clock(made: Dataset, who: Who, phase: str) -> None:
    """highdicom writes the time of day and a random UID; the same seed must give the same bytes."""
    for kind in ("InstanceCreation", "Content", "Series"):
        if f"{kind}Date" in made:
            setattr(made, f"{kind}Date", who.day)
            setattr(made, f"{kind}Time", _DRAWN_AT)
    for item in made.get("ContributingEquipmentSequence", ()):
        if "ContributionDateTime" in item:
            item.ContributionDateTime = who.day + _DRAWN_AT
    for item in (*made.DimensionOrganizationSequence, *made.DimensionIndexSequence):
        item.DimensionOrganizationUID = who.uid("dimensions", phase)


def structure_set(
    who: Who, phase: str, slices: Sequence[Dataset], masks: Mapping[str, np.ndarray], axes: Axes
) -> FileDataset:
    """An RTSTRUCT of one phase: outlines along the pixels' edges, so that its masks can be read back exactly."""
    drawn = {name: mask for name, mask in masks.items() if name.split("_")[0] in RTSTRUCT_REGIONS}
    return synthetic_file(
        who,
        RTSTRUCT_CLASS,
        who.uid("structures", phase),
        Modality="RTSTRUCT",
        SeriesInstanceUID=who.uid("structure series", phase),
        SeriesNumber=9,
        SeriesDescription=f"SYNTHETIC structures of {phase}",
        StructureSetLabel="SYNTHETIC",
        StructureSetDate=who.day,
        StructureSetTime=_DRAWN_AT,
        ReferencedFrameOfReferenceSequence=DicomSequence([_drawn_on(who, phase, slices)]),
        StructureSetROISequence=DicomSequence(
            _item(
                ROINumber=number,
                ROIName=label(name),
                ReferencedFrameOfReferenceUID=who.uid("frame"),
                ROIGenerationAlgorithm="MANUAL",
            )
            for number, name in enumerate(drawn, 1)
        ),
        ROIContourSequence=DicomSequence(
            _item(ReferencedROINumber=number, ContourSequence=DicomSequence(_contours(mask, axes)))
            for number, mask in enumerate(drawn.values(), 1)
        ),
        RTROIObservationsSequence=DicomSequence(
            _item(ObservationNumber=number, ReferencedROINumber=number, RTROIInterpretedType="", ROIInterpreter="")
            for number, _ in enumerate(drawn, 1)
        ),
    )


def _drawn_on(who: Who, phase: str, slices: Sequence[Dataset]) -> Dataset:
    images = [_item(ReferencedSOPClassUID=CT_CLASS, ReferencedSOPInstanceUID=s.SOPInstanceUID) for s in slices]
    series = _item(SeriesInstanceUID=series_uid(who, phase), ContourImageSequence=DicomSequence(images))
    study = _item(
        ReferencedSOPClassUID="1.2.840.10008.3.1.2.3.1",
        ReferencedSOPInstanceUID=who.uid("study"),
        RTReferencedSeriesSequence=DicomSequence([series]),
    )
    return _item(FrameOfReferenceUID=who.uid("frame"), RTReferencedStudySequence=DicomSequence([study]))


def _contours(mask: np.ndarray, axes: Axes) -> list[Dataset]:
    width, height, _ = axes.spacing_mm
    left, top, _ = axes.origin_mm
    found = []
    for plane, height_mm in zip(mask, axes.z_mm, strict=True):
        for outline in outlines(plane):
            points = np.column_stack(
                [left + width * outline[:, 0], top + height * outline[:, 1], np.full(len(outline), height_mm)]
            )
            numbers = [f"{part:.3f}" for part in points.ravel()]
            found.append(
                _item(
                    ContourGeometricType="CLOSED_PLANAR",
                    NumberOfContourPoints=len(points),
                    ContourData=numbers,
                )
            )
    return found


def _item(**tags: object) -> Dataset:
    item = Dataset()
    for keyword, value in tags.items():
        setattr(item, keyword, value)
    return item
