"""Which queries a study asks, by what its file says; any other is refused, and `site approve` shows these."""

from common.study import Study

JUDGING = ("hospital_effect", "rank_counts", "rank_sums", "classifier_sums", "classifier_auc", "retest")
LEARNING = ("nyul_landmarks", "habitat_moments", "habitat_clusters", "habitat_mixture")


def questions_of(study: Study) -> tuple[str, ...]:
    """The names of all queries that a run of the study may ask, in about the order in which it asks them."""
    features = study.features
    if features is not None and features.to_be_learnt():
        return ("roll_call", *LEARNING)
    asked = ["roll_call", "cohort_counts", "moments"]
    if features is not None and features.stability is not None:
        asked += ["stability_counts", "stability_sums"]
    if study.imputation.method == "regression":
        asked += ["complete_rows", "cross_products"]
    asked += _harmonising(study)
    return (*asked, "column_counts", "logistic", "score_counts", "discrimination", "recalibration", "own_copy")


def _harmonising(study: Study) -> list[str]:
    chosen = study.harmonisation
    if chosen.method == "none":
        return []
    asked = {"none": [], "signed-log": ["magnitudes"], "yeo-johnson": ["yeo_johnson"]}[chosen.transform]
    if chosen.levels:
        levels = ["counts", "sums", "products", "spread"]
        return [*asked, *(f"combat_level_{what}" for what in levels), *JUDGING]
    asked = [*asked, "combat"]
    if chosen.reference is not None:
        asked.append("combat_reference")
    if chosen.method == "covbat":
        asked += ["covariance", "within_spread"]
    return [*asked, *JUDGING]
