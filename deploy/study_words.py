"""A study in plain words: what it asks of the hospitals, and what can be learned about each of them."""

from client.site import SMALLEST_HOSPITAL
from common.dimension import PATIENTS_PER_COLUMN, patients_needed
from common.networks.settings import Network
from common.outcomes import BinaryOutcome, HorizonOutcome, MulticlassOutcome, Outcome
from common.privacy_plan import is_private
from common.query import SMALLEST_ROW_SET
from common.selection import screening_of
from common.study import Study
from deploy.privacy_words import privacy_in_words

_FITTED = {
    "logistic": "logistic regression",
    "multinomial": "multinomial regression",
    "ordinal": "proportional-odds regression",
    "cox": "Cox regression",
    "network": "network",
}


def study_in_words(study: Study) -> list[tuple[str, str]]:
    """What `hepafed study check` says about a valid study: pairs of a heading and a text."""
    return [
        ("Outcome", _outcome(study, study.outcome)),
        ("Patients", _patients(study)),
        ("Predictors", _predictors(study)),
        ("Features", _features(study)),
        ("Missing values", _imputation(study)),
        ("Harmonisation", _harmonisation(study)),
        *([("Choice of features", _selection(study))] if study.predictors.radiomics else []),
        ("Model", _model(study)),
        *([("Further models", _further(study))] if study.compare else []),
        ("Validation", _validation(study)),
        ("Sums", _sums(study)),
        *privacy_in_words(study),
        ("In clear", _in_clear(study)),
        ("Thresholds", _thresholds(study)),
        ("If one is lost", f"the run waits {study.lost_hospital.wait_minutes:g} minutes for a silent hospital"),
        ("Seed", str(study.seed)),
    ]


def columns_of_the_model(study: Study) -> int | None:
    """How many columns the design can have at most; None where that depends on the hospitals' features."""
    predictors = study.predictors
    named = predictors.named()
    if predictors.radiomics == "all" or (predictors.radiomics and len(named) != len(predictors.radiomics)):
        return None
    clinical = sum(len(study.variable(name).columns(name)) for name in predictors.clinical)
    indicators = len(predictors.clinical) if study.imputation.indicator else 0
    return clinical + indicators + len(named)


def _outcome(study: Study, outcome: Outcome) -> str:
    if isinstance(outcome, BinaryOutcome):
        levels = study.variable(outcome.column).levels
        coded = f"{levels[0]} or {levels[1]}" if levels else "0 or 1"
        return f"{_named(study, outcome.column)}: {coded}"
    if isinstance(outcome, MulticlassOutcome):
        return f"{_named(study, outcome.column)}: one of {', '.join(study.variable(outcome.column).levels or [])}"
    time_zero = study.variable(outcome.time).time_zero
    since = f" from {time_zero}" if time_zero else ""
    if outcome.landmark_days:
        since += f" and {outcome.landmark_days:g} days on (whoever had the event or was last seen by then leaves)"
    coded = "1 event, 0 censored"
    if (codes := outcome.event_codes) is not None:
        named = (("event", codes.event), ("competing", codes.competing), ("censored", codes.censored))
        coded = ", ".join(f"{' or '.join(texts)} {meaning}" for meaning, texts in named if texts)
    if isinstance(outcome, HorizonOutcome):
        what = (
            f"the event within {outcome.months} months, or not; patients who were lost before are neither dropped nor "
            "taken for free of it: others stand for them (inverse probability of censoring)"
        )
    else:
        what = f"risks at {', '.join(map(str, outcome.horizons_months))} months"
    return f"{_named(study, outcome.time)}: days{since}; {_named(study, outcome.event)}: {coded}; {what}"


def _patients(study: Study) -> str:
    if not study.cohort.include:
        return "all patients of every hospital"
    return "those with " + "; ".join(f"{c.column} {c.in_words()}" for c in study.cohort.include)


def _predictors(study: Study) -> str:
    predictors = study.predictors
    parts = []
    if predictors.clinical:
        parts.append("clinical: " + ", ".join(_named(study, column) for column in predictors.clinical))
    if predictors.radiomics == "all":
        parts.append("radiomics: every feature, the same ones in every hospital")
    elif predictors.radiomics:
        parts.append("radiomics: " + ", ".join(predictors.radiomics))
    return "\n".join(parts)


def _features(study: Study) -> str:
    """Where radiomic features come from."""
    features = study.features
    if features is None:
        return "each hospital's own features.csv" if study.predictors.radiomics else "none"
    phases = ", ".join(f"{name} ({phase.modality})" for name, phase in features.phases.items())
    missing = features.to_be_learnt()
    return (
        f"computed in each hospital from its images (hepafed site extract): {phases}; regions: "
        f"{', '.join(features.region_names())}; filters: {', '.join(features.filters)}"
        + (f"\nto be learnt before (hepafed study prepare): {', '.join(missing)}" if missing else "")
    )


def _imputation(study: Study) -> str:
    if is_private(study):
        return "gaps become the middle of the column's public bounds"
    method = {
        "mean": "filled with the mean over all hospitals' training patients",
        "regression": "filled by regression on the other clinical columns, over all hospitals' training patients",
    }[study.imputation.method]
    return method + (", and marked by a column of their own" if study.imputation.indicator else "")


def _harmonisation(study: Study) -> str:
    harmonisation = study.harmonisation
    if harmonisation.method == "none":
        return "none"
    method = {"combat": "ComBat", "covbat": "CovBat"}[harmonisation.method]
    batch = harmonisation.batch if isinstance(harmonisation.batch, str) else ", ".join(harmonisation.batch)
    kept = f", keeping the effects of {', '.join(study.preserved())}" if study.preserved() else ""
    towards = f", towards {harmonisation.reference}" if harmonisation.reference else ""
    return f"{method} by {batch}{towards}{kept}, refitted inside every training set"


def _selection(study: Study) -> str:
    test = {"t": "a t test (F)", "mann-whitney": "Mann and Whitney's test", "cox": "a Cox model of each alone"}[
        screening_of(study.selection, study.outcome)
    ]
    chosen = study.selection
    if chosen is None:
        return f"none, unless there are more than the patients allow: then by {test}, inside every training set"
    steps = []
    if chosen.largest_missing_share is not None:
        steps.append(f"known for all but {chosen.largest_missing_share:.0%} of the patients")
    if chosen.smallest_variation is not None:
        steps.append(f"standard deviation at least {chosen.smallest_variation:g} of the mean")
    most = f"at most {chosen.keep}" if chosen.keep is not None else "as many as the patients allow"
    limit = f" with p below {chosen.p_value:g}" if chosen.p_value is not None else ""
    due = chosen.screening is not None or chosen.keep is not None or chosen.p_value is not None
    steps.append(f"{most}{limit} by {test}" + ("" if due else ", where there are more"))
    if chosen.redundancy is not None:
        steps.append(f"no two with a Spearman correlation beyond {chosen.redundancy:g}")
    if chosen.mrmr is not None:
        steps.append(f"{chosen.mrmr} by minimum redundancy and maximum relevance")
    return "; ".join(steps) + "; inside every training set"


def _model(study: Study) -> str:
    model = study.model
    if study.network is not None:
        return _network(study.network)
    if model.penalty == "none":
        return f"{_FITTED[model.kind]}, no penalty"
    strength = f"λ = {model.strength:g}" if isinstance(model.strength, float) else "λ by cross-validation"
    share = f", lasso share {model.lasso_share:g}" if model.penalty == "elastic-net" else ""
    return f"{_FITTED[model.kind]}, {model.penalty} penalty, {strength}{share}"


def _further(study: Study) -> str:
    """The models of the section `compare`, each with what it looks at."""
    lines = []
    for name, candidate in sorted(study.compare.items()):
        seen = [
            f"{what}: {columns if columns == 'all' else ', '.join(columns)}"
            for what, columns in (("clinical", candidate.clinical), ("radiomics", candidate.radiomics))
            if columns
        ]
        if candidate.image is not None:
            seen.append(f"image: {candidate.image}")
        if candidate.stack is not None:
            seen.append(f"the scores of {', '.join(candidate.stack)}")
        lines.append(f"{name} ({'; '.join(seen)})")
    return "\n".join(lines)


def _network(chosen: Network) -> str:
    layers = " → ".join(map(str, chosen.hidden)) or "no hidden layer"
    work = f"{chosen.local_steps} steps" if chosen.local_steps else f"{chosen.local_epochs} epochs"
    stops = ", fewer where the loss on inner folds stops falling" if chosen.early_stopping else ""
    drawn = "" if chosen.participation == 1 else f", {chosen.participation:.0%} of the hospitals in each"
    return (
        f"network ({layers}), {chosen.rounds} rounds of {work} in the hospitals{drawn}{stops}; joined by "
        f"{chosen.strategy}, every update clipped to norm {chosen.clip:g}"
    )


def _validation(study: Study) -> str:
    validation = study.validation
    parts = []
    if validation.folds:
        times = "once" if validation.repeats == 1 else f"{validation.repeats} times"
        parts.append(f"{validation.folds} folds within every hospital, {times}")
    if validation.leave_one_hospital_out:
        parts.append("every hospital left out in turn, and judged by the others' model")
    for group, hospitals in sorted(validation.leave_groups_out.items()):
        parts.append(f"the group {group} ({', '.join(hospitals)}) left out, and judged by the others' model")
    if validation.external:
        parts.append(
            f"sealed external: {', '.join(validation.external)}, in no training set; judged by the final model once"
        )
    if validation.bootstrap:
        parts.append(f"intervals by drawing the hospitals anew {validation.bootstrap} times")
    if study.subgroups:
        named = [f"{s.column} ({', '.join(s.names(study.variable(s.column)))})" for s in study.subgroups]
        parts.append(f"also by themselves: patients by {'; '.join(named)}")
    if not parts:
        return "none: performance is measured on the training patients, which is too favourable"
    return "\n".join(parts)


def _sums(study: Study) -> str:
    if not study.privacy.secure_sum:
        return "NOT MASKED (privacy.secure_sum: false): the coordinator sees every hospital's own sums"
    derived, without = [], []
    if study.validation.leave_one_hospital_out:
        derived.append("leaving one hospital out lets each hospital's own sums be derived, by subtraction")
        without.append("leave_one_hospital_out: false")
    if study.harmonisation.reference:
        derived.append(f"the reference {study.harmonisation.reference} is described by sums of its own")
        without.append("no harmonisation.reference")
    if not derived:
        return "masked totals: only the total over all hospitals is used"
    return (
        f"single hospital: {'; '.join(derived)}. Every hospital must approve it (site.yaml, policy: "
        f"single_hospital_sums: true), and it takes four hospitals. Without it: {', '.join(without)}"
    )


def _in_clear(study: Study) -> str:
    if is_private(study):
        return "of every hospital: number of patients, versions, names of feature columns, codes of errors"
    return (
        "of every hospital: numbers of patients, events and missing values (none below 5), scanner models, "
        "versions, names of feature columns, medians to two digits, its own AUC and calibration, codes of errors"
        + (", in which subgroups it has five patients and more" if study.subgroups else "")
    )


def _thresholds(study: Study) -> str:
    minimum = study.privacy.minimum_patients
    columns = columns_of_the_model(study) if study.selection is None else None
    alone = (
        study.validation.leave_one_hospital_out or study.harmonisation.reference or not study.privacy.secure_sum
    )
    lines = [f"{'four' if alone else 'three'} hospitals or more, each with {minimum} patients or more"]
    if minimum < SMALLEST_HOSPITAL:
        lines.append(f"below {SMALLEST_HOSPITAL}: only where a hospital's own site.yaml lowers its floor")
    if columns is None:
        held = ": so many features are chosen as allow that" if study.selection is not None else ""
        lines.append(
            f"{SMALLEST_ROW_SET} patients or more in every training set and every fold, and {PATIENTS_PER_COLUMN} × "
            f"(columns + 1) or more{held}"
        )
        return "\n".join(lines)
    lines.append(
        f"{max(SMALLEST_ROW_SET, patients_needed(columns))} patients or more in every training set and every fold, for "
        f"{columns} columns"
    )
    if alone:
        lines.append(
            f"{max(SMALLEST_HOSPITAL, patients_needed(columns))} or more in each hospital, as its sums stand alone"
        )
    return "\n".join(lines)


def _named(study: Study, column: str) -> str:
    label, unit = study.label(column), study.variable(column).unit
    remarks = ", ".join(remark for remark in (label if label != column else "", unit or "") if remark)
    return f"{column} ({remarks})" if remarks else column
