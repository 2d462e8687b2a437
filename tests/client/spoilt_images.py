"""Ways to spoil a healthy patient's folder, one a function."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from tests.client.images_on_disk import SHAPE, as_image, ball, ct_voxels, liver, rtstruct, save, seg, series, write
from tests.client.pictures_on_disk import ultrasound


def portal(voxels: np.ndarray, **geometry: object) -> Callable[[Path], object]:
    return lambda folder: write(folder / "portal.nii.gz", voxels, **geometry)


def tumour(voxels: np.ndarray, **geometry: object) -> Callable[[Path], object]:
    return lambda folder: write(folder / "tumour.nii.gz", voxels, **geometry)


def phase(name: str, voxels: np.ndarray) -> Callable[[Path], object]:
    return lambda folder: write(folder / f"{name}.nii.gz", voxels)


def content(name: str, what: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(what)


def text(name: str, what: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text(what, encoding="utf-8")


def without(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


COUNTED: np.ndarray = np.arange(np.prod(SHAPE)).reshape(SHAPE).astype(np.int16)
DISC = ball(radius=6) * (np.arange(10) == 5)[:, None, None].astype(np.uint8)


def with_nan(where: tuple[int, int, int]) -> np.ndarray:
    voxels = ct_voxels().astype(np.float32)
    voxels[where] = np.nan
    return voxels


def colour(folder: Path) -> None:
    channels = [sitk.Cast(as_image(ct_voxels()), sitk.sitkUInt8)] * 3
    sitk.WriteImage(sitk.Compose(*channels), str(folder / "portal.nii.gz"))


def four_d(folder: Path) -> None:
    sitk.WriteImage(sitk.JoinSeries([as_image(ct_voxels())] * 2), str(folder / "portal.nii.gz"))


def sheared(folder: Path) -> None:
    """An affine whose third axis leans, as a tilted gantry gives."""
    path = write(folder / "portal.nii", ct_voxels())
    (folder / "portal.nii.gz").unlink()
    header = bytearray(path.read_bytes())
    header[252:256] = np.array([0, 2], "<i2").tobytes()  # qform off, sform on
    affine = np.array([[1.5, 0, 0, 0], [0, 1.5, 1.2, 0], [0, 0, 3, 0]], "<f4")
    header[280:328] = affine.tobytes()
    path.write_bytes(bytes(header))


def as_series(change: Callable[[list], list]) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        (folder / "portal.nii.gz").unlink()
        save(folder / "portal", change(series(ct_voxels())))

    return make


def moved(datasets: list) -> list:
    datasets[4].ImagePositionPatient[2] += 1.0
    return datasets


def repeated(datasets: list) -> list:
    for dataset in series(ct_voxels(1), SOPInstanceUID=None)[:4]:
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID + ".7"
        datasets.append(dataset)
    return datasets


def tilted(datasets: list) -> list:
    for number, dataset in enumerate(datasets):
        dataset.ImagePositionPatient[1] += 0.8 * number
    return datasets


def unplaced(datasets: list) -> list:
    del datasets[0].ImagePositionPatient
    return datasets


def cut_pixels(datasets: list) -> list:
    datasets[3].PixelData = datasets[3].PixelData[:100]
    return datasets


def two_series(datasets: list) -> list:
    return datasets + series(ct_voxels(1), "another")


def text_in_ultrasound(folder: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    save(folder / "us", [ultrasound(np.full((40, 50), 90, np.uint8), burned_in="YES")])


def seg_of(masks: dict[str, np.ndarray]) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        for name in ("portal.nii.gz", "tumour.nii.gz"):
            (folder / name).unlink()
        datasets = series(ct_voxels())
        save(folder / "portal", datasets)
        seg(datasets, masks).save_as(folder / "mask.dcm")

    return make


def contour_between(folder: Path) -> None:
    (folder / "tumour.nii.gz").unlink()
    square = np.array([(0.0, 0.0, 44.5), (9.0, 0.0, 44.5), (9.0, 9.0, 44.5)])
    rtstruct({"Tumor": [square]}, series(ct_voxels())[0]).save_as(folder / "rt.dcm", enforce_file_format=True)


def times(arterial_s: float, portal_s: float) -> Callable[[Path], object]:
    def make(folder: Path) -> None:
        write(folder / "arterial.nii.gz", ct_voxels(9))
        for name, seconds in (("arterial", arterial_s), ("portal", portal_s)):
            (folder / f"{name}.json").write_text(f'{{"Modality": "CT", "SecondsAfterFirstPhase": {seconds}}}')

    return make


def swapped(folder: Path) -> None:
    write(folder / "liver.nii.gz", liver())
    brighter = ct_voxels(9)
    brighter[liver() > 0] += 50
    write(folder / "arterial.nii.gz", brighter)


def pipe(folder: Path) -> None:
    (folder / "portal.nii.gz").unlink()
    os.mkfifo(folder / "portal.nii.gz")
