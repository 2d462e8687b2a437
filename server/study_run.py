"""A study from roll call to results; every step asks questions, and every total is in the checkpoint."""

from pathlib import Path

from flwr.serverapp import Grid

from common.errors import Code, HospitalLost, StudyError, StudyStopped
from common.networks.installed import lacks_pytorch
from common.query import FEWEST_HOSPITALS
from common.study import Study
from common.whole_hospitals import misplaced
from server.checkpoint import Checkpoint
from server.federation import FlowerFederation
from server.finished import Finished
from server.hospitals import Hospitals
from server.lost_hospital import losses_in_words, stop_if_too_few_for_single_sums, stop_or_note
from server.progress import Progress
from server.roll_call import Present, roll_call
from server.study_steps import conduct


def run_study(study: Study, grid: Grid, checkpoint_file: Path, progress: Progress) -> tuple[Finished, Hospitals]:
    """Run a study, or go on with one that was interrupted, over the hospitals of a Flower grid."""
    if study.features is not None:
        study.features.refuse_unprepared()
    if lacking := lacks_pytorch(study):
        raise StudyError(lacking)
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
            raise StudyStopped("; ".join([*unfit, losses_in_words(losses)] if losses else unfit))
        if len(roster) < FEWEST_HOSPITALS:
            raise StudyStopped(
                f"{len(roster)} hospitals are left ({losses_in_words(losses)}); below {FEWEST_HOSPITALS} a total shows "
                "a hospital's own numbers. The checkpoint is kept: mend what the hospital's log says, start anew"
            )
        federation = FlowerFederation(hospitals, study, roster, checkpoint, progress)
        try:
            return conduct(study, federation, present, tuple(losses), progress)
        except HospitalLost as lost:
            if lost.code is Code.SINGLE_HOSPITAL:
                stop_if_too_few_for_single_sums(study, roster, losses)
            stop_or_note(lost, checkpoint, progress)
