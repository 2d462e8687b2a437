"""What the roll call stops at, before anything is computed."""

import pytest

from common.errors import StudyStopped
from common.study import Study
from server.roll_call import stop_at_patterns_without_features

FEATURES = ("tumour_original_glcm_Contrast", "ring5mm_original_glcm_Contrast")


def comparing(**models: dict[str, object]) -> Study:
    content = {
        "study": "compared",
        "outcome": {"kind": "binary", "column": "mvi"},
        "predictors": {"clinical": ["age"], "radiomics": "all"},
        "compare": models,
    }
    return Study.from_content(content, "test")


def test_a_model_of_features_that_nobody_has_is_no_model() -> None:
    study = comparing(ring={"radiomics": "*_ring3mm_*"})
    with pytest.raises(
        StudyStopped, match=r"compare\.ring\.radiomics: .*\*_ring3mm_\*.*tumour_original_glcm_Contrast"
    ):
        stop_at_patterns_without_features(study, FEATURES)


def test_a_pattern_beside_one_that_fits_and_models_without_features_pass() -> None:
    study = comparing(ring={"radiomics": ["ring5mm_*", "*_ring3mm_*"]}, clinical={"clinical": "all"})
    stop_at_patterns_without_features(study, FEATURES)
    stop_at_patterns_without_features(comparing(all={"radiomics": "all"}), ())
    stop_at_patterns_without_features(comparing(none={"clinical": "all", "radiomics": []}), FEATURES)
