"""The steps of a study, in straight-line code: the groundwork, the models, how they fare, hospitals' own copies.

A restart takes every step again and finds its totals in the checkpoint: the order of the questions is part of a run.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from common.errors import Code, HospitalLost
from common.query import View
from common.room import Room
from common.splits import FINAL, external_labels_of, labels_of, outer_splits_of
from common.study import Study
from server.checkpoint import Loss
from server.cohort_counts import Counted, count_cohort
from server.evaluation.attention import with_attention
from server.evaluation.bootstrap import draw_hospitals
from server.evaluation.calibration import calibrate
from server.evaluation.discrimination import discriminate
from server.evaluation.external import judge_external
from server.evaluation.harmonisation import EXCHANGES, judge_harmonisation
from server.evaluation.horizon import judge_horizon
from server.evaluation.leakage import look_for_leaks
from server.evaluation.membership import audit
from server.evaluation.second_task import with_second_task
from server.evaluation.subgroups import judge_subgroups
from server.evaluation.survival import Survival, judge_survival
from server.evaluation.survival_between import judge_between
from server.evaluation.use import judge_use, released_models
from server.federation import FlowerFederation
from server.finished import QUARTILES, Evaluated, Finished, Groundwork
from server.methods.combat import rounds_of
from server.methods.models import Models, fit_models
from server.methods.network import fit_networks
from server.methods.pipeline import Prepared, prepare
from server.methods.quantiles import column_quantiles
from server.methods.selection import EXCHANGES as SELECTION_EXCHANGES
from server.methods.selection import select_columns
from server.methods.stability import EXCHANGES as STABILITY_EXCHANGES
from server.methods.stability import measure_stability
from server.methods.weighing import weigh_followed
from server.progress import Progress
from server.roll_call import Present


def conduct(
    study: Study, federation: FlowerFederation, present: Present, losses: tuple[Loss, ...], progress: Progress
) -> Finished:
    """Everything after the roll call, with the hospitals of one roster."""
    ground = _lay_groundwork(study, federation, present, progress)
    models = _train(study, federation, ground, progress)
    evaluated = _evaluate(study, federation, ground, models, progress)
    notes = _write_own_copies(study, federation, ground.prepared, models.scores, evaluated.survival, progress)
    return Finished(
        study=study,
        present=present,
        roster=federation.roster,
        splits=outer_splits_of(study, federation.roster),
        losses=losses,
        groundwork=ground,
        models=models,
        evaluated=evaluated,
        harmonising_steps=_harmonising_steps(federation, ground.prepared),
        scoring_steps=tuple(reversed(federation.chain(models.scores))),
        record=tuple(federation.record),
        notes=notes,
    )


def _lay_groundwork(
    study: Study, federation: FlowerFederation, present: Present, progress: Progress
) -> Groundwork:
    """Who the patients are, the pipeline of every split, and which columns its model may see."""
    progress.phase("count patients", 1)
    counted = count_cohort(federation, study, present.features)
    if study.features is not None and study.features.stability is not None:
        progress.phase("stability of features", STABILITY_EXCHANGES)
    room = Room.of({name: present.disclosed[name] for name in federation.roster})
    stable = measure_stability(federation, study, room, present.features)
    features = stable.kept if stable else present.features
    progress.phase(
        "impute, harmonise, scale", 2 + 2 * (study.imputation.method == "regression") + rounds_of(study)
    )
    prepared = prepare(federation, study, features, _gaps_to_keep(study, counted))
    if prepared.harmonised is not None:
        progress.phase("judge the harmonisation", EXCHANGES)
    leaks = look_for_leaks(federation, study, prepared.view, prepared.columns)
    judged = judge_harmonisation(federation, study, prepared, present.disclosed, room)
    if study.selection is not None:
        progress.phase("choose features", SELECTION_EXCHANGES)
    prepared, weighing = weigh_followed(federation, study, prepared, room)
    selected = select_columns(federation, study, prepared, room, len(present.features))
    progress.phase("describe the cohort", 4)
    described, quartiles = _describe_cohort(study, federation, prepared)
    return Groundwork(
        room=room,
        counted=counted,
        stable=stable,
        prepared=prepared,
        leaks=leaks,
        judged=judged,
        weighing=weighing,
        selected=selected,
        quartile_columns=described,
        quartiles=quartiles,
    )


def _train(study: Study, federation: FlowerFederation, ground: Groundwork, progress: Progress) -> Models:
    """Every model of the study, in every split."""
    prepared, active = ground.prepared, ground.selected.active
    if study.network is None:
        progress.phase("fit", 8)
        return fit_models(federation, study, prepared, active)
    progress.phase("train networks", study.network.rounds)
    models = fit_networks(federation, study, prepared, active, ground.room, progress)
    models = with_attention(federation, study, ground.room, prepared, models)
    return with_second_task(federation, study, ground.room, models)


def _evaluate(
    study: Study, federation: FlowerFederation, ground: Groundwork, models: Models, progress: Progress
) -> Evaluated:
    """How well held-out patients were predicted, for whom, and of what use that is."""
    progress.phase("evaluate", 13)
    scores, labels, room, thresholds = models.scores, labels_of(study), ground.room, study.evaluation.thresholds
    survival = (
        judge_survival(federation, study, room, scores, labels) if study.outcome.kind == "survival" else None
    )
    horizon = judge_horizon(federation, scores, labels, ground.weighing, thresholds)
    classes = () if survival or horizon else labels
    discrimination = discriminate(federation, scores, classes, thresholds)
    calibration = calibrate(federation, scores, classes)
    audited = audit(federation, study, room, scores)
    drawn = draw_hospitals(federation, study, scores, discrimination)
    subgroups = () if survival else judge_subgroups(federation, study, room, scores, labels)
    external = judge_external(federation, study, scores, discrimination, survival)
    released, outer = released_models(study, models), outer_splits_of(study, federation.roster)
    use = judge_use(federation, study, ground.prepared, scores, outer, discrimination, released)
    between = judge_between(federation, study, room, ground.prepared, scores, survival, released)
    return Evaluated(
        discrimination=horizon.discrimination if horizon else discrimination,
        calibration=horizon.calibration if horizon else calibration,
        survival=survival,
        horizon=horizon,
        audited=audited,
        drawn=drawn,
        subgroups=subgroups,
        external=external,
        use=use,
        between=between,
    )


def _write_own_copies(
    study: Study,
    federation: FlowerFederation,
    prepared: Prepared,
    scores: str,
    survival: Survival | None,
    progress: Progress,
) -> tuple[str, ...]:
    """Let every hospital write its patients' own figures, which stay there; notes on those that could not."""
    progress.phase("hospitals' own copies", 1)
    asked: dict[str, Any] = {"schemes": list(dict.fromkeys((*labels_of(study), *external_labels_of(study))))}
    copies = asked if prepared.harmonised is None else asked | {"harmonised": prepared.harmonised.view}
    notes = _write_own(federation, "own_copy", scores, copies, {})
    if survival:
        fits = survival.fits.with_external if study.validation.external else survival.fits
        notes += _write_own(federation, "own_survival", scores, fits.parameters | asked, fits.arrays)
    return tuple(notes)


def _write_own(
    federation: FlowerFederation,
    query: str,
    scores: str,
    parameters: dict[str, Any],
    arrays: Mapping[str, np.ndarray],
) -> list[str]:
    """Let every hospital write what stays there; a copy that cannot be written is no reason to lose a result."""
    try:
        federation.ask(query, view=scores, rows="held_out", parameters=parameters, arrays=arrays)
    except HospitalLost as lost:
        if lost.code not in (Code.BAD_PARAMETERS, Code.INTERNAL):
            raise
        return [
            f"{lost.hospital} could not write its own copies ({query}: {lost.code.value}); its own log says why"
        ]
    return []


def _gaps_to_keep(study: Study, counted: Counted) -> frozenset[str]:
    """Features that ComBat counts singly; CovBat and shared levels need complete rows, so there all is imputed."""
    complete_rows = study.harmonisation.method == "covbat" or study.harmonisation.levels
    return frozenset() if complete_rows else counted.gaps_to_keep


def _harmonising_steps(federation: FlowerFederation, prepared: Prepared) -> tuple[View, ...]:
    """The views from the raw columns to the harmonised ones, the root first."""
    if prepared.harmonised is None:
        return ()
    return tuple(reversed(federation.chain(prepared.harmonised.view)))


def _describe_cohort(
    study: Study, federation: FlowerFederation, prepared: Prepared
) -> tuple[tuple[str, ...], np.ndarray]:
    """The numeric clinical columns, and their quartiles over all patients, on the design's scale; no rare ones."""
    names = [n for n in study.predictors.clinical if study.variable(n).type in ("number", "integer")]
    numbers = {name: prepared.columns.index(name) for name in names}
    names = [n for n in names if prepared.known[0, numbers[n]] > 0 and not prepared.rare[numbers[n]]]
    if not names:
        return (), np.zeros((0, len(QUARTILES)))
    chosen = [numbers[name] for name in names]
    view = federation.keep(View(step="columns", parameters={"columns": names}))
    mean, spread = prepared.centre[0, chosen], prepared.spread[0, chosen]
    return tuple(names), column_quantiles(federation, view, FINAL, mean, spread, QUARTILES)
