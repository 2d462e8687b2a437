"""Ultrasound in: true 2-D frames, grey, with their spacing; nothing with burned-in text unless a person looked.

Pixels that hold a name are the most common leak of ultrasound: a file that does not say BurnedInAnnotation NO is
refused until images.yaml says which part to keep and who saw that the part holds no text.
"""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from pydicom import Dataset

from client.cohort.dicom_headers import DicomFile
from client.cohort.dicom_series import decoded
from client.cohort.findings import ImageFault
from client.cohort.images_file import Ultrasound

_CENTIMETRES = 3  # PS3.3 C.8.5.5.1.15: physical units of a region
_TISSUE = 1  # PS3.3 C.8.5.5.1.2: region data type
_TWO_D = 1  # PS3.3 C.8.5.5.1.1: region spatial format
_COLOUR_DIFFERENCE = 24  # of 255: compression leaves grey pixels with channels this far apart
_COLOUR_SHARE = 0.005


@dataclass(frozen=True, eq=False)
class Frames:
    """An ultrasound file's chosen frames.

    Parameters
    ----------
    images
        Phase → a 2-D image.
    frame_numbers
        Phase → number of the frame, the first is 1.
    coloured
        The largest share of coloured pixels in a frame.
    crop_confirmed
        Whether a person confirmed that the part kept holds no text.
    """

    images: dict[str, sitk.Image]
    frame_numbers: dict[str, int]
    coloured: float
    crop_confirmed: bool


def read_frames(file: DicomFile, phase: str, choice: Ultrasound) -> Frames:
    """The frames that a person chose, or the only one.

    Raises
    ------
    ImageFault
        If there may be text in the picture, no spacing, or several frames and none chosen.
    """
    header = file.header
    check_no_burned_in_text(header, phase, choice)
    count = int(header.get("NumberOfFrames") or 1)
    chosen = dict(choice.frames)
    if not chosen:
        if count > 1:
            raise ImageFault(
                "cine",
                f"the file is a cine of {count} frames and none is chosen",
                f"choose them in images.yaml: ultrasound: {{{phase}: {{frames: {{{phase}_arterial: {count // 2}}}}}}}",
            )
        chosen = {phase: 1}
    beyond = {name: number for name, number in chosen.items() if number > count}
    if beyond:
        raise ImageFault(
            "cine",
            f"frame {max(beyond.values())} was chosen, but the file has {count}",
            f"choose frames from 1 to {count} in images.yaml",
        )
    spacing_mm = choice.spacing_mm or spacing_of(header)
    left, top, width, height = choice.crop_px or (0, 0, int(header.Columns), int(header.Rows))
    if left + width > int(header.Columns) or top + height > int(header.Rows):
        raise ImageFault(
            "crop outside the image",
            f"crop_px {list(choice.crop_px or ())} reaches beyond {header.Columns}×{header.Rows} pixels",
            "write left, top, width, height in pixels",
        )
    pixels = decoded(file.path)
    colour = int(header.get("SamplesPerPixel") or 1) > 1
    if pixels.ndim == (3 if colour else 2):
        pixels = pixels[None]
    images, coloured = {}, 0.0
    for name, number in chosen.items():
        grey, share = grey_values(pixels[number - 1][top : top + height, left : left + width])
        coloured = max(coloured, share)
        image = sitk.GetImageFromArray(np.ascontiguousarray(grey))
        image.SetSpacing(spacing_mm)
        images[name] = image
    return Frames(images, chosen, coloured, choice.no_text_confirmed_by is not None)


def check_no_burned_in_text(header: Dataset, phase: str, choice: Ultrasound) -> None:
    """Refuse a picture that may show who the patient is."""
    if str(header.get("BurnedInAnnotation", "") or "").strip().upper() == "NO":
        return
    if choice.no_text_confirmed_by and choice.crop_px:
        return
    missing = "the file says that text is burned into the picture"
    if not header.get("BurnedInAnnotation"):
        missing = "the file does not say that no text is burned into the picture (BurnedInAnnotation)"
    rectangle = region_of_tissue(header) or (0, 40, int(header.get("Columns", 0)), int(header.get("Rows", 0)) - 40)
    raise ImageFault(
        "burned-in text",
        missing,
        "look at it, and write the part without name, number and date into images.yaml: "
        f"ultrasound: {{{phase}: {{crop_px: {list(rectangle)}, no_text_confirmed_by: YOUR INITIALS}}}}",
    )


def _regions(header: Dataset) -> list[Dataset]:
    return [
        region
        for region in header.get("SequenceOfUltrasoundRegions") or ()
        if region.get("RegionSpatialFormat") == _TWO_D and region.get("RegionDataType") == _TISSUE
    ]


def region_of_tissue(header: Dataset) -> tuple[int, int, int, int] | None:
    """Left, top, width, height of the B-mode picture, by the file's own tags."""
    for region in _regions(header):
        try:
            left, top = int(region.RegionLocationMinX0), int(region.RegionLocationMinY0)
            right, bottom = int(region.RegionLocationMaxX1), int(region.RegionLocationMaxY1)
        except (AttributeError, TypeError, ValueError):
            continue
        if right > left and bottom > top:
            return left, top, right - left + 1, bottom - top + 1
    return None


def spacing_of(header: Dataset) -> tuple[float, float]:
    """Pixel width and height in mm, from SequenceOfUltrasoundRegions, else PixelSpacing.

    Raises
    ------
    ImageFault
        If the file does not tell, or tells of several scales.
    """
    found = set()
    for region in _regions(header):
        units = {region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection")}
        if units == {_CENTIMETRES}:
            width_mm = 10 * abs(float(region.get("PhysicalDeltaX") or 0))
            height_mm = 10 * abs(float(region.get("PhysicalDeltaY") or 0))
            if width_mm > 0 and height_mm > 0:
                found.add((round(width_mm, 6), round(height_mm, 6)))
    if not found and header.get("PixelSpacing"):
        rows_mm, columns_mm = (float(part) for part in header.PixelSpacing)
        found.add((columns_mm, rows_mm))
    if len(found) == 1:
        return found.pop()
    what = "does not tell how large a pixel is" if not found else f"has pictures of {len(found)} scales"
    raise ImageFault(
        "no spacing",
        f"the file {what} (SequenceOfUltrasoundRegions)",
        "measure the depth scale and write spacing_mm: [width, height] under ultrasound: in images.yaml, "
        "or leave the patient out",
    )


def grey_values(pixels: np.ndarray) -> tuple[np.ndarray, float]:
    """Grey values of a frame (rows × columns, or × RGB), and the share of coloured pixels.

    Colour becomes luma (ITU-R BT.601); where the channels are equal, their value exactly.
    """
    if pixels.ndim == 2:
        return pixels, 0.0
    channels = pixels[..., :3].astype(np.int64)
    spread = channels.max(axis=-1) - channels.min(axis=-1)
    luma = (299 * channels[..., 0] + 587 * channels[..., 1] + 114 * channels[..., 2] + 500) // 1000
    share = float((spread > _COLOUR_DIFFERENCE).mean())
    return luma.astype(pixels.dtype), share if share > _COLOUR_SHARE else 0.0
