"""The extracted features as a csv file for the hospital's own use."""

from pathlib import Path

from client.cohort.extracted_features import read_extracted
from client.own_files import write_csv
from client.site import Site
from common.study import Predictors, Study


def write_table(site: Site, study: Study, patients: list[str], out: Path) -> None:
    """Every feature of these patients, not only the study's predictors: id, then the features."""
    everything = study.model_copy(update={"predictors": Predictors(radiomics="all")})
    features = read_extracted(site, everything, patients)
    lines: list[list[object]] = [
        [patient, *("" if value != value else repr(value) for value in values)]
        for patient, values in zip(features.ids, features.matrix.tolist(), strict=True)
    ]
    write_csv(out, ["id", *features.names], lines)
