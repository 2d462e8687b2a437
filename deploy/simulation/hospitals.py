"""Synthetic hospitals, written as real hospital folders with a study to run over them.

Beside them stands truth/, what generated them; it is no hospital: it has neither site.yaml nor patients.csv.
"""

import csv
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path

import numpy as np

from common.errors import HepafedError
from deploy.simulation.outcomes import OUTCOMES, UNKNOWN
from deploy.simulation.radiomics import SHAPE_FEATURES
from deploy.simulation.synthesis import Hospital, Setting, draw_hospital, draw_setting, hospital_name
from deploy.simulation.truth import truth_of

SITE_YAML = """\
# A synthetic hospital: no patient in this folder exists.
name: {name}
patients: patients.csv        # one row a patient: id, clinical columns, outcomes, scanner
features: features.csv        # radiomic features extracted already: id, then one column a feature

# What this hospital allows. A study may ask for more patients than this, never for fewer.
policy:
  minimum_patients: 10        # answer no study in which fewer of our patients take part
  single_hospital_sums: true  # allow sums from which ours alone can be derived (leave one hospital out)
"""
SYNTHETIC = SITE_YAML.partition("\n")[0]
SMALLEST = 10


def write_hospitals(
    folder: Path, sites: int = 4, patients: int = 60, seed: int = 7, hospital_effect: bool = True
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
    _refuse_other_hospitals(folder, [hospital_name(place) for place in range(sites)])
    setting = draw_setting(seed, sites, patients, hospital_effect)
    hospitals = [draw_hospital(setting, place) for place in range(sites)]
    truth = folder / "truth"
    truth.mkdir(parents=True, exist_ok=True)
    _write_text(truth / "truth.json", truth_of(setting, hospitals))
    for hospital in hospitals:
        _write_hospital(folder / hospital.name, hospital, setting)
        clean = {name: _figures(hospital.clean[:, k]) for k, name in enumerate(_feature_names(setting))}
        _write_table(truth / f"{hospital.name}_clean_features.csv", {"id": hospital.ids, **clean})
        _write_table(truth / f"{hospital.name}_latent.csv", {"id": hospital.ids, **_latent(hospital)})
    study = folder / "study.yaml"
    _write_text(study, files("deploy.simulation").joinpath("demo_study.yaml").read_text("utf-8"))
    return study


def _refuse_other_hospitals(folder: Path, names: Iterable[str]) -> None:
    """Never write over a real hospital, nor leave an earlier demonstration's hospitals among the new ones."""
    for site in sorted(folder.glob("*/site.yaml")):
        synthetic = site.read_text("utf-8", errors="replace").startswith(SYNTHETIC)
        if not synthetic or site.parent.name not in names:
            what = "a hospital of an earlier demonstration" if synthetic else "a hospital that is not synthetic"
            raise HepafedError(f"{site.parent} holds {what}: write synthetic hospitals to an empty folder")


def _write_hospital(folder: Path, hospital: Hospital, setting: Setting) -> None:
    """site.yaml, patients.csv and features.csv, with the lost values left empty."""
    folder.mkdir(exist_ok=True)
    _write_text(folder / "site.yaml", SITE_YAML.format(name=hospital.name))
    clinic = {name: _as_written(values) for name, values in hospital.clinic.items() if name != "scanner"}
    scanner = {"scanner": hospital.clinic["scanner"].tolist()}
    outcomes = {name: _as_written(hospital.followed.columns[name]) for name in OUTCOMES}
    patients = _without({**clinic, **scanner, **outcomes}, hospital.lost)
    _write_table(folder / "patients.csv", {"id": hospital.ids, **patients})
    measured = {name: _figures(hospital.measured[:, k]) for k, name in enumerate(_feature_names(setting))}
    _write_table(folder / "features.csv", {"id": hospital.ids, **_without(measured, hospital.lost)})


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
