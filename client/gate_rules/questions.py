"""Which queries a study asks, by what its file says; any other is refused, and `site approve` shows these."""

from common.auditing import is_audited, looks_for_leaks
from common.privacy_plan import SHARES, is_private
from common.selection import screening_of
from common.study import Study
from common.whole_hospitals import asks_figures_alone

JUDGING = ("hospital_effect", "rank_counts", "rank_sums", "classifier_sums", "classifier_auc", "retest")
LEARNING = ("nyul_landmarks", "habitat_moments", "habitat_clusters", "habitat_mixture")


def questions_of(study: Study) -> tuple[str, ...]:
    """The names of all queries that a run of the study may ask, in about the order in which it asks them."""
    features = study.features
    if is_private(study):
        return ("roll_call", *SHARES, "own_copy")
    if features is not None and features.to_be_learnt():
        return ("roll_call", *LEARNING)
    asked = ["roll_call", "cohort_counts", "moments"]
    if features is not None and features.stability is not None:
        asked += ["stability_counts", "stability_sums"]
    if study.imputation.method == "regression":
        asked += ["complete_rows", "cross_products"]
    asked += _harmonising(study)
    asked += _selecting(study)
    audit = ["membership"] if is_audited(study) else []
    asked += ["lone_columns"] if looks_for_leaks(study) else []
    audit += _comparing(study)
    audit += _between(study)
    audit += ["external_figures"] if asks_figures_alone(study) else []
    return (*asked, "column_counts", *_fitting(study), "score_counts", *_judging(study), *audit, "own_copy")


def _fitting(study: Study) -> list[str]:
    """The steps of fitting the study's family of models."""
    chosen = study.model
    if chosen.kind == "network":
        images = study.network is not None and study.network.sees_images
        fused = images and study.network is not None and study.network.architecture == "fusion"
        second = ["second_task"] if study.second_columns() else []
        return [
            "train_network",
            *(["attention"] if images else []),
            *(["attribution"] if fused else []),
            *second,
        ]
    shared = chosen.kind == "cox" and chosen.baseline == "shared"
    asked: list[str] = ["cox_cells", "cox_risk_sets", "cox_curvature"] if shared else [chosen.kind]
    return [*asked, "tuning"] if chosen.strength == "cross-validated" else asked


def _judging(study: Study) -> list[str]:
    """How predictions are held against what happened."""
    if study.outcome.kind == "horizon":
        return ["exits", "survival_counts", "censoring", "horizon_predictions", "recalibration"]
    if study.outcome.kind != "survival":
        return ["discrimination", "recalibration"]
    return [
        "exits",
        "survival_counts",
        "survival_order",
        "baseline_hazard",
        "training_risk",
        "group_counts",
        "survival_risk",
        "own_survival",
    ]


def _comparing(study: Study) -> list[str]:
    """What predictions are made of, how they classify at a threshold, and models side by side."""
    asked = ["parts"] if study.lines() == 1 and study.model.kind != "network" else []
    if study.outcome.kind not in ("survival", "horizon"):
        asked += ["training_counts", "training_classes", "group_counts", "threshold_classes"]
        asked += ["paired_predictions", "placement_products"] if study.compare else []
    if study.outcome.kind == "horizon":
        asked += ["paired_at_horizon"] if study.compare else []
    if study.outcome.kind == "survival":
        asked += ["paired_concordance"] if study.compare else []
        asked += ["proportional_hazards"] if study.model.kind == "cox" else []
    return asked


def _between(study: Study) -> list[str]:
    """How figures differ between hospitals and subgroups."""
    survival = study.outcome.kind == "survival"
    drawn, judged = (
        ("survival_bootstrap", "survival_subgroup_sums") if survival else ("bootstrap", "subgroup_sums")
    )
    asked = [drawn] if study.validation.bootstrap else []
    return [*asked, *(["subgroup_counts", judged] if study.subgroups else [])]


def _selecting(study: Study) -> list[str]:
    """Image features may be more than a cross-product covers, whatever the file says: then they are screened."""
    if not study.predictors.radiomics:
        return []
    chosen = study.selection
    asked = ["cox_scores"] if screening_of(chosen, study.outcome) == "cox" else ["class_sums"]
    if chosen is None:
        return [] if study.model.kind == "network" else asked
    asked += ["class_histograms"] if chosen.screening == "mann-whitney" else []
    asked += ["rank_histograms", "rank_products"] if chosen.redundancy is not None else []
    return [*asked, *(["feature_products"] if chosen.mrmr is not None else [])]


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
