"""A study from roll call to results; every step asks questions, and every total is in the checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from flwr.serverapp import Grid

from common.errors import Code, HospitalLost, StudyStopped
from common.query import FEWEST_HOSPITALS, View
from common.refusals import ALIKE
from common.room import Room
from common.splits import APPARENT, FINAL, Label, external_labels_of, labels_of, outer_splits_of
from common.study import Study
from common.whole_hospitals import misplaced
from server.checkpoint import Checkpoint, Loss
from server.cohort_counts import Counted, count_cohort
from server.evaluation.attention import with_attention
from server.evaluation.bootstrap import Drawn, draw_hospitals
from server.evaluation.calibration import Calibration, calibrate
from server.evaluation.discrimination import Discrimination, discriminate
from server.evaluation.external import External, judge_external
from server.evaluation.harmonisation import EXCHANGES, Judged, judge_harmonisation
from server.evaluation.horizon import Horizon, judge_horizon
from server.evaluation.leakage import look_for_leaks
from server.evaluation.membership import Audited, audit
from server.evaluation.second_task import with_second_task
from server.evaluation.subgroups import Group, InGroup, judge_subgroups
from server.evaluation.survival import Survival, SurvivalJudged, judge_survival
from server.evaluation.survival_between import SurvivalBetween, judge_between
from server.evaluation.use import Use, judge_use, released_models
from server.federation import Asked, FlowerFederation
from server.hospitals import Hospitals
from server.methods.combat import rounds_of
from server.methods.models import Models, fit_models
from server.methods.network import fit_networks
from server.methods.pipeline import Prepared, prepare
from server.methods.quantiles import column_quantiles
from server.methods.selection import EXCHANGES as SELECTION_EXCHANGES
from server.methods.selection import Selected, select_columns
from server.methods.stability import EXCHANGES as STABILITY_EXCHANGES
from server.methods.stability import Stable, measure_stability
from server.methods.weighing import weigh_followed
from server.progress import Progress
from server.roll_call import Present, roll_call

QUARTILES = np.array([0.25, 0.5, 0.75])


@dataclass(frozen=True)
class Finished:
    """Everything that a study run found out."""

    study: Study
    present: Present
    counted: Counted
    roster: tuple[str, ...]
    splits: tuple[str, ...]
    losses: tuple[Loss, ...]
    prepared: Prepared
    quartile_columns: tuple[str, ...]
    quartiles: np.ndarray
    models: Models
    discrimination: dict[str, Discrimination]
    calibration: dict[str, Calibration]
    record: tuple[Asked, ...]
    judged: Judged | None = None
    harmonising_steps: tuple[View, ...] = ()
    stable: Stable | None = None
    selected: Selected | None = None
    audited: Audited | None = None
    leaks: tuple[str, ...] = ()
    drawn: dict[str, Drawn] = field(default_factory=dict)
    subgroups: tuple[Group[InGroup], ...] = ()
    external: External | None = None
    scoring_steps: tuple[View, ...] = ()
    use: Use = field(default_factory=Use)
    survival: Survival | None = None
    between: SurvivalBetween = field(default_factory=SurvivalBetween)
    horizon: Horizon | None = None
    notes: tuple[str, ...] = ()

    @property
    def apparent(self) -> Discrimination | SurvivalJudged:
        """The final model on the patients that it was fitted to, all of the cohort that trains; its rarest class."""
        if self.survival:
            return self.survival.judged[APPARENT]
        found = [d for label, d in self.discrimination.items() if Label.read(label).scheme == APPARENT]
        return min(found, key=lambda d: min(d.events, d.patients - d.events))


def run_study(study: Study, grid: Grid, checkpoint_file: Path, progress: Progress) -> tuple[Finished, Hospitals]:
    """Run a study, or go on with one that was interrupted, over the hospitals of a Flower grid."""
    if study.features is not None:
        study.features.refuse_unprepared()
    checkpoint = Checkpoint(checkpoint_file)
    try:
        checkpoint.begin(study)
        hospitals = Hospitals(grid, 60 * study.lost_hospital.wait_minutes, progress)
        progress.phase("roll call", 1)
        present = roll_call(hospitals, study, checkpoint.begun())
        checkpoint.begin_with(present.begun)
        return _until_nobody_is_lost(study, hospitals, present, checkpoint, progress), hospitals
    finally:
        checkpoint.close()


def _until_nobody_is_lost(
    study: Study, hospitals: Hospitals, present: Present, checkpoint: Checkpoint, progress: Progress
) -> Finished:
    """Conduct the study; when a hospital is lost, start again without it if the others' policies allow that.

    Totals of two rosters can be subtracted, so the second roster's answers are sums of the class 'single
    hospital': a hospital that does not allow them refuses, and the study stops with its checkpoint.
    """
    while True:
        losses = checkpoint.losses()
        roster = [name for name in present.roster if name not in {loss.hospital for loss in losses}]
        if unfit := misplaced(study, roster):
            raise StudyStopped("; ".join([*unfit, _describe(losses)] if losses else unfit))
        if len(roster) < FEWEST_HOSPITALS:
            raise StudyStopped(
                f"{len(roster)} hospitals are left ({_describe(losses)}); below {FEWEST_HOSPITALS} a total shows "
                "a hospital's own numbers. The checkpoint is kept: mend what the hospital's log says, start anew"
            )
        federation = FlowerFederation(hospitals, study, roster, checkpoint, progress)
        try:
            return _conduct(study, federation, present, tuple(losses), progress)
        except HospitalLost as lost:
            if lost.code is Code.SINGLE_HOSPITAL:
                _stop_if_too_few_for_single_sums(study, roster, losses)
            _stop_or_note(lost, checkpoint, progress)


def _stop_if_too_few_for_single_sums(study: Study, roster: list[str], losses: list[Loss]) -> None:
    """Say that hospitals are missing: those that are left refuse then, whatever their policies allow."""
    validation, reference = study.validation, study.harmonisation.reference
    asked = ["leaving one out (or going on without a lost one)"] * validation.leave_one_hospital_out
    asked += ["a reference hospital"] * (reference is not None)
    cures = ["validation.leave_one_hospital_out: false"] * validation.leave_one_hospital_out
    cures += ["no harmonisation.reference"] * (reference is not None)
    if asked and len(roster) <= FEWEST_HOSPITALS:
        raise StudyStopped(
            f"{len(roster)} hospitals {'are left' if losses else 'take part'}, and {' and '.join(asked)} takes "
            f"{FEWEST_HOSPITALS + 1}{f': {_describe(losses)}' if losses else ''}. The checkpoint is kept. Start anew "
            f"with {FEWEST_HOSPITALS + 1} hospitals or more, or set {', '.join(cures)}, and have that approved"
        )


def _stop_or_note(lost: HospitalLost, checkpoint: Checkpoint, progress: Progress) -> None:
    """Stop when the answer tells that a restart is not allowed; else note the loss."""
    if lost.code is Code.SINGLE_HOSPITAL:
        raise StudyStopped(
            f"{lost.hospital} does not allow analyses from which its own sums can be derived (needed for "
            f"'{lost.query}': leaving one hospital out, or a restart without a lost hospital). The checkpoint is "
            "kept. Set validation.leave_one_hospital_out: false, or ask that hospital for its approval"
            + (f". Before, {_describe(losses)}" if (losses := checkpoint.losses()) else "")
        )
    if lost.code in ALIKE:
        raise StudyStopped(
            f"{lost.hospital} refused '{lost.query}' by a rule that every hospital holds: {lost.said}. The checkpoint "
            "is kept. Change the study so that the rule is met, and have it approved again"
        )
    progress.notice(f"{lost}: the study starts again without {lost.hospital}")
    checkpoint.keep_loss(Loss(lost.hospital, lost.code, lost.query))


def _describe(losses: list[Loss]) -> str:
    return "; ".join(f"{loss.hospital} was lost: {loss.code.value} at '{loss.query}'" for loss in losses)


def _conduct(
    study: Study, federation: FlowerFederation, present: Present, losses: tuple[Loss, ...], progress: Progress
) -> Finished:
    """The study itself, in straight-line code."""
    progress.phase("count patients", 1)
    counted = count_cohort(federation, study, present.features)
    if study.features is not None and study.features.stability is not None:
        progress.phase("stability of features", STABILITY_EXCHANGES)
    stable = measure_stability(federation, study, present.features)
    features = stable.kept if stable else present.features
    progress.phase(
        "impute, harmonise, scale", 2 + 2 * (study.imputation.method == "regression") + rounds_of(study)
    )
    prepared = prepare(federation, study, features, _gaps_to_keep(study, counted))
    if prepared.harmonised is not None:
        progress.phase("judge the harmonisation", EXCHANGES)
    leaks = look_for_leaks(federation, study, prepared.view, prepared.columns)
    judged = judge_harmonisation(federation, study, prepared, present.disclosed)
    if study.selection is not None:
        progress.phase("choose features", SELECTION_EXCHANGES)
    room = Room.of({name: present.disclosed[name] for name in federation.roster})
    prepared, weighing = weigh_followed(federation, study, prepared, room)
    selected = select_columns(federation, study, prepared, room, len(present.features))
    progress.phase("describe the cohort", 4)
    described, quartiles = _describe_cohort(study, federation, prepared)
    if study.network is not None:
        progress.phase("train networks", study.network.rounds)
        models = fit_networks(federation, study, prepared, selected.active, room, progress)
        models = with_attention(federation, study, prepared, models)
        models = with_second_task(federation, study, models)
    else:
        progress.phase("fit", 8)
        models = fit_models(federation, study, prepared, selected.active)
    scores, outer = models.scores, outer_splits_of(study, federation.roster)
    progress.phase("evaluate", 13)
    labels = labels_of(study)
    survival = (
        judge_survival(federation, study, room, scores, labels) if study.outcome.kind == "survival" else None
    )
    horizon = judge_horizon(federation, scores, labels, weighing, study.evaluation.thresholds)
    classes = () if survival or horizon else labels
    discrimination = discriminate(federation, scores, classes, study.evaluation.thresholds)
    calibration = calibrate(federation, scores, classes)
    audited = audit(federation, study, scores)
    drawn = draw_hospitals(federation, study, scores, discrimination)
    subgroups = () if survival else judge_subgroups(federation, study, room, scores, labels)
    external = judge_external(federation, study, scores, discrimination, survival)
    released = released_models(study, models)
    use = judge_use(federation, study, prepared, scores, outer, discrimination, released)
    between = judge_between(federation, study, room, prepared, scores, survival, released)
    progress.phase("hospitals' own copies", 1)
    copies: dict[str, Any] = {"schemes": list(dict.fromkeys((*labels, *external_labels_of(study))))}
    if prepared.harmonised is not None:
        copies["harmonised"] = prepared.harmonised.view
    notes = _write_own(federation, "own_copy", scores, copies, {})
    if survival:
        fits = survival.fits.with_external if study.validation.external else survival.fits
        asked = fits.parameters | {"schemes": copies["schemes"]}
        notes += _write_own(federation, "own_survival", scores, asked, fits.arrays)
    return Finished(
        notes=tuple(notes),
        study=study,
        present=present,
        counted=counted,
        roster=federation.roster,
        splits=outer,
        losses=losses,
        prepared=prepared,
        quartile_columns=described,
        quartiles=quartiles,
        models=models,
        discrimination=horizon.discrimination if horizon else discrimination,
        calibration=horizon.calibration if horizon else calibration,
        record=tuple(federation.record),
        judged=judged,
        harmonising_steps=_harmonising_steps(federation, prepared),
        stable=stable,
        selected=selected,
        audited=audited,
        leaks=leaks,
        drawn=drawn,
        subgroups=subgroups,
        external=external,
        scoring_steps=tuple(reversed(federation.chain(scores))),
        use=use,
        survival=survival,
        between=between,
        horizon=horizon,
    )


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
