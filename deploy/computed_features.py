"""Whether a study's predictors are among the features that it computes: known before any image is read."""

import importlib.util
from fnmatch import fnmatchcase

from common.errors import StudyError
from common.study import Study


def check_predictors(study: Study) -> None:
    """StudyError where a predictor, or every match of a pattern, is no feature of the section `features`.

    Without PyRadiomics, which knows the features' names, nothing is checked here; extraction will.
    """
    features, asked = study.features, study.predictors.radiomics
    if features is None or not isinstance(asked, list) or importlib.util.find_spec("radiomics") is None:
        return
    from client.cohort.faults import near_miss
    from client.extraction import feature_names

    names = feature_names(features)
    for wanted in asked:
        if not any(fnmatchcase(name, wanted) for name in names):
            meant = near_miss(wanted, names)
            hint = f"; did you mean {meant}?" if meant else f": names are like {names[0]}"
            raise StudyError(
                f"predictors.radiomics: {wanted} is no feature that the section features computes{hint}"
            )
