"""Synthetic hospitals, written as real hospital folders with a study to run over them.

Beside them stands truth/, what generated them; it is no hospital: it has neither site.yaml nor patients.csv.
"""

import csv
import shutil
from collections.abc import Callable, Mapping
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from common.errors import HepafedError
from deploy.simulation.outcomes import OUTCOMES, UNKNOWN
from deploy.simulation.radiomics import SHAPE_FEATURES
from deploy.simulation.synthesis import Hospital, Setting, draw_hospital, draw_setting, hospital_name
from deploy.simulation.truth import truth_of

SITE_YAML = """\
# A synthetic hospital: no patient in this folder exists.
name: {name}
patients: patients.csv        # one row a patient: id, clinical columns, outcomes, scanner
{features}

# What this hospital allows. A study may ask for more patients than this, never for fewer.
policy:
  minimum_patients: 10        # answer no study in which fewer of our patients take part
  single_hospital_sums: true  # allow sums from which ours alone can be derived (leave one hospital out)
"""
FEATURES_LINE = (
    "features: features.csv        # radiomic features extracted already: id, then one column a feature"
)
IMAGES_LINE = (
    "images: images                # one folder a patient: images and masks; hepafed site extract makes features"
)
SYNTHETIC = SITE_YAML.partition("\n")[0]
SITE, FEATURES, IMAGES = "site.yaml", "features.csv", "images"
SMALLEST = 10
IMAGE_PACKAGES = ("SimpleITK", "pydicom", "highdicom")
ULTRASOUND = "ultrasound"
"""The folder of the hospital with ultrasound, which is none of the study's: its features are not those of CT."""


def write_hospitals(
    folder: Path,
    sites: int = 4,
    patients: int = 60,
    seed: int = 7,
    hospital_effect: bool = True,
    images: bool = False,
    say: Callable[[str], None] = lambda progress: None,
) -> Path:
    """Write synthetic hospitals, a study to run over them, and the truth that generated them.

    Parameters
    ----------
    folder
        Gets one folder a hospital, study.yaml and truth/. The same arguments write the same bytes.
    sites
        How many hospitals.
    patients
        Patients a hospital on average, at least 10; the hospitals are of uneven size.
    seed
        Everything follows from it.
    hospital_effect
        Whether hospitals and scanners shift and scale the features. Case mix and prevalence differ either way.
    images
        Write CT images instead of features.csv, and one more hospital with ultrasound in ultrasound/.
    say
        Called with what comes next, before every patient whose images are written.

    Returns
    -------
    Path
        The path of study.yaml.

    Raises
    ------
    HepafedError
        If the numbers are too small, or the folder holds hospitals that this call would not write.
    """
    if sites < 1 or patients < SMALLEST or seed < 0:
        raise HepafedError(
            f"{sites} synthetic hospitals of {patients} patients with seed {seed} cannot be written: ask for one "
            f"hospital or more, an average of {SMALLEST} patients or more, and a seed of 0 or more"
        )
    if images and (lacking := [name for name in IMAGE_PACKAGES if find_spec(name) is None]):
        raise HepafedError(f"{', '.join(lacking)} cannot be imported: install with pip install 'hepafed[images]'")
    _refuse_other_hospitals(folder, [hospital_name(place) for place in range(sites)])
    _refuse_other_hospitals(folder / ULTRASOUND, [hospital_name(sites)] if images else [])
    setting = draw_setting(seed, sites, patients, hospital_effect)
    hospitals = [draw_hospital(setting, place) for place in range(sites)]
    truth = folder / "truth"
    truth.mkdir(parents=True, exist_ok=True)
    _write_text(truth / "truth.json", truth_of(setting, hospitals))
    for hospital in hospitals:
        _clear(folder / hospital.name)
        _write_hospital(folder / hospital.name, hospital, setting, IMAGES_LINE if images else FEATURES_LINE)
        _write_truth(truth, hospital, setting)
    if images:
        _write_images(folder, setting, hospitals, say)
    study = folder / "study.yaml"
    _write_text(study, study_text("demo_images_study.yaml" if images else "demo_study.yaml"))
    return study


def _write_images(folder: Path, setting: Setting, hospitals: list[Hospital], say: Callable[[str], None]) -> None:
    """images/ of every hospital, and the hospital with ultrasound in a folder of its own."""
    from deploy.simulation.images.hospital_images import truth_of_images, write_ct, write_ultrasound

    beside = draw_setting(setting.seed, setting.sites + 1, setting.patients, setting.hospital_effect)
    last = draw_hospital(beside, setting.sites)
    _clear(folder / ULTRASOUND / last.name)
    _write_hospital(folder / ULTRASOUND / last.name, last, beside, IMAGES_LINE)
    _write_truth(folder / "truth", last, beside)
    places = [(folder / hospital.name, hospital, write_ct) for hospital in hospitals]
    places.append((folder / ULTRASOUND / last.name, last, write_ultrasound))
    with threadpool_limits(limits=1):  # sums in another order round to another HU now and then
        for place, (own, hospital, write) in enumerate(places):
            for patient in range(len(hospital.ids)):
                say(f"{hospital.name}: images of patient {patient + 1} of {len(hospital.ids)}")
                write(own / IMAGES, setting, place, hospital, patient)
    _write_text(folder / "truth" / "images.json", truth_of_images(setting, hospitals))
    _write_text(folder / ULTRASOUND / "study.yaml", study_text("demo_ultrasound_study.yaml"))


def study_text(name: str) -> str:
    """A study's text; all synthetic hospitals share one data dictionary."""
    templates = files("deploy.simulation")
    return "".join(templates.joinpath(file).read_text("utf-8") for file in (name, "demo_variables.yaml"))


def _refuse_other_hospitals(folder: Path, names: list[str]) -> None:
    """Never write over a real hospital, nor leave an earlier demonstration's hospitals among the new ones."""
    for site in sorted(folder.glob("*/site.yaml")):
        synthetic = site.read_text("utf-8", errors="replace").startswith(SYNTHETIC)
        if not synthetic or site.parent.name not in names:
            what = "a hospital of an earlier demonstration" if synthetic else "a hospital that is not synthetic"
            raise HepafedError(f"{site.parent} holds {what}: write synthetic hospitals to an empty folder")
    for name in names:
        for path in (folder / name / IMAGES, folder / name / FEATURES):
            if path.exists() and not (folder / name / SITE).is_file():
                raise HepafedError(
                    f"{path} may be a real hospital's: write synthetic hospitals to an empty folder"
                )


def _clear(folder: Path) -> None:
    """Take away what an earlier demonstration wrote and this one may not write again."""
    if (folder / IMAGES).exists():
        shutil.rmtree(folder / IMAGES)
    (folder / FEATURES).unlink(missing_ok=True)


def _write_hospital(folder: Path, hospital: Hospital, setting: Setting, source: str) -> None:
    """site.yaml, patients.csv and, where features come from there, features.csv; lost values are left empty."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_text(folder / SITE, SITE_YAML.format(name=hospital.name, features=source))
    clinic = {name: _as_written(values) for name, values in hospital.clinic.items() if name != "scanner"}
    scanner = {"scanner": hospital.clinic["scanner"].tolist()}
    outcomes = {name: _as_written(hospital.followed.columns[name]) for name in OUTCOMES}
    patients = _without({**clinic, **scanner, **outcomes}, hospital.lost)
    _write_table(folder / "patients.csv", {"id": hospital.ids, **patients})
    if source != FEATURES_LINE:
        return
    measured = {name: _figures(hospital.measured[:, k]) for k, name in enumerate(_feature_names(setting))}
    _write_table(folder / FEATURES, {"id": hospital.ids, **_without(measured, hospital.lost)})


def _write_truth(folder: Path, hospital: Hospital, setting: Setting) -> None:
    """The features before any scanner changed them, and the factors behind them."""
    clean = {name: _figures(hospital.clean[:, k]) for k, name in enumerate(_feature_names(setting))}
    _write_table(folder / f"{hospital.name}_clean_features.csv", {"id": hospital.ids, **clean})
    _write_table(folder / f"{hospital.name}_latent.csv", {"id": hospital.ids, **_latent(hospital)})


def _feature_names(setting: Setting) -> tuple[str, ...]:
    return (*SHAPE_FEATURES, *setting.texture.names)


def _latent(hospital: Hospital) -> dict[str, list[str]]:
    """The latent factors and the linear predictors of each patient."""
    factors = {name: _figures(values) for name, values in hospital.factors_by_name.items()}
    predictors = hospital.followed.predictors.items()
    return {**factors, **{f"{outcome}_linear_predictor": _figures(values) for outcome, values in predictors}}


def _as_written(values: np.ndarray) -> list[str]:
    """Clinical values as text: 12.0 as 12, unknown as nothing."""
    if values.dtype.kind == "f":
        return [np.format_float_positional(value, trim="-") for value in values]
    return ["" if value == UNKNOWN else str(value) for value in values.tolist()]


def _figures(values: np.ndarray) -> list[str]:
    """Numbers with six significant digits and no exponent."""
    return [np.format_float_positional(v, precision=6, fractional=False, trim="-") for v in values]


def _without(columns: Mapping[str, list[str]], lost: Mapping[str, np.ndarray]) -> dict[str, list[str]]:
    return {
        name: ["" if gone else text for text, gone in zip(texts, lost[name], strict=True)]
        if name in lost
        else texts
        for name, texts in columns.items()
    }


def _write_table(path: Path, columns: Mapping[str, list[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
