"""Where a hospital refuses or is lost: the study stops in words, or notes it and starts again without it."""

from common.errors import Code, HospitalLost, StudyStopped
from common.query import FEWEST_HOSPITALS
from common.refusals import ALIKE
from common.study import Study
from server.checkpoint import Checkpoint, Loss
from server.progress import Progress


def stop_if_too_few_for_single_sums(study: Study, roster: list[str], losses: list[Loss]) -> None:
    """Say that hospitals are missing: those that are left refuse then, whatever their policies allow."""
    validation, reference = study.validation, study.harmonisation.reference
    asked = ["leaving one out (or going on without a lost one)"] * validation.leave_one_hospital_out
    asked += ["a reference hospital"] * (reference is not None)
    cures = ["validation.leave_one_hospital_out: false"] * validation.leave_one_hospital_out
    cures += ["no harmonisation.reference"] * (reference is not None)
    if asked and len(roster) <= FEWEST_HOSPITALS:
        before = f": {losses_in_words(losses)}" if losses else ""
        raise StudyStopped(
            f"{len(roster)} hospitals {'are left' if losses else 'take part'}, and {' and '.join(asked)} takes "
            f"{FEWEST_HOSPITALS + 1}{before}. The checkpoint is kept. Start anew "
            f"with {FEWEST_HOSPITALS + 1} hospitals or more, or set {', '.join(cures)}, and have that approved"
        )


def stop_or_note(lost: HospitalLost, checkpoint: Checkpoint, progress: Progress) -> None:
    """Stop when the answer tells that a restart is not allowed; else note the loss."""
    if lost.code is Code.SINGLE_HOSPITAL:
        raise StudyStopped(
            f"{lost.hospital} does not allow analyses from which its own sums can be derived (needed for "
            f"'{lost.query}': leaving one hospital out, or a restart without a lost hospital). The checkpoint is "
            "kept. Set validation.leave_one_hospital_out: false, or ask that hospital for its approval"
            + (f". Before, {losses_in_words(losses)}" if (losses := checkpoint.losses()) else "")
        )
    if lost.code in ALIKE:
        raise StudyStopped(
            f"{lost.hospital} refused '{lost.query}' by a rule that every hospital holds: {lost.said}. The checkpoint "
            "is kept. Change the study so that the rule is met, and have it approved again"
        )
    progress.notice(f"{lost}: the study starts again without {lost.hospital}")
    checkpoint.keep_loss(Loss(lost.hospital, lost.code, lost.query))


def losses_in_words(losses: list[Loss]) -> str:
    """Who was lost, and at which question."""
    return "; ".join(f"{loss.hospital} was lost: {loss.code.value} at '{loss.query}'" for loss in losses)
