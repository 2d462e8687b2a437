"""What can go wrong, in words a person can act on.

Inside a hospital an error has a text, which may name a patient and stays in that hospital's log, and a code
from the closed list below, which is all that the coordinator learns.
"""

from enum import StrEnum


class Code(StrEnum):
    """The closed list of refusals and errors that a hospital may send in clear."""

    # the hospital's data
    NO_PATIENTS_FILE = "no_patients_file"
    UNREADABLE_FILE = "unreadable_file"
    DUPLICATE_PATIENTS = "duplicate_patients"
    OUTCOME_MISSING = "outcome_column_missing"
    OUTCOME_LEVELS = "outcome_has_unknown_level"
    COLUMN_MISSING = "column_missing"
    NOT_A_NUMBER = "text_in_numeric_column"
    COVARIATE_IS_OUTCOME = "covariate_equals_the_outcome"
    UNKNOWN_LEVEL = "unknown_level"
    OUT_OF_RANGE = "many_values_out_of_range"
    NO_FEATURES = "features_not_extracted"
    BAD_SITE_FILE = "bad_site_file"
    STORE_SEALED = "store_cannot_be_opened"
    # the hospital's rules
    TOO_FEW_PATIENTS = "too_few_patients"  # none, too: a code of its own would tell 0 from 1 to 9
    SINGLE_HOSPITAL = "single_hospital_sums_not_approved"
    COHORT_CHANGED = "cohort_changed_since_it_was_frozen"
    BAD_PARAMETERS = "parameters_outside_their_bounds"
    UNKNOWN_QUERY = "unknown_query"
    WRONG_STUDY = "study_not_understood"
    # the gate's refusals, in words in common/refusals.py
    NOT_APPROVED = "refused_study_not_approved"
    ALTERED = "refused_study_altered_after_approval"
    EXPIRED = "refused_approval_expired"
    REVOKED = "refused_approval_revoked"
    OTHER_ROSTER = "refused_roster_not_approved"
    NUMBERS_NOT_SIGNED = "refused_numbers_of_patients_not_signed"
    NOT_ALLOWED = "refused_query_not_allowed"
    FEW_IN_ROW_SET = "refused_too_few_patients_in_row_set"
    FEW_OF_A_CLASS = "refused_too_few_of_a_class_in_row_set"
    MANY_ROW_SETS = "refused_too_many_row_sets"
    TOO_WIDE = "refused_cross_product_too_wide"
    FEW_FOR_SINGLE = "refused_too_few_patients_for_single_hospital_sums"
    SMALL_CELL = "refused_small_cell"
    CLOSE_EDGES = "refused_edges_too_close_or_too_many"
    MANY_QUERIES = "refused_too_many_queries"
    NEARLY_ASKED = "refused_nearly_the_same_question"
    SECOND_VIEW = "refused_second_view_of_a_step"
    SUSPENDED = "refused_study_suspended_after_a_withdrawal"
    NEARLY_SAME_COHORT = "refused_cohort_nearly_that_of_another_study"
    NOT_MASKED = "refused_sums_without_masks"
    BUDGET_SPENT = "refused_privacy_budget_spent"
    SEALED = "refused_second_look_at_sealed_patients"
    SECURE_SUM = "refused_step_of_a_secure_sum"
    LITTLE_WORK = "refused_too_little_local_training"
    EXPLODED = "refused_exploded_update"
    LONE_SECOND = "refused_second_outcome_of_too_few_hospitals"
    LONE_IMAGES = "refused_images_of_too_few_hospitals"
    # the conversation
    UNKNOWN_VIEW = "unknown_view"
    SILENT = "no_answer"
    INTERNAL = "internal_error"


class HepafedError(Exception):
    """Something a person can act on; the message says what happened and what to do next."""


class StudyError(HepafedError):
    """A study file that cannot be used; the message lists every fault with its cure."""


class HospitalError(HepafedError):
    """Something wrong inside a hospital.

    Parameters
    ----------
    code
        What the coordinator is told.
    text
        What the hospital's own log says; it may name patients and never leaves.
    split
        The split that a refusal is about, where the rule rests on numbers that everybody in the study knows.
    """

    def __init__(self, code: Code, text: str, split: str | None = None) -> None:
        super().__init__(text)
        self.code = code
        self.split = split


class HospitalLost(HepafedError):
    """A hospital of the roster refused, failed or fell silent in the middle of a run; `said` is why, in words."""

    def __init__(self, hospital: str, code: Code, query: str, said: str = "") -> None:
        why = f": {said}" if said not in ("", code.value) else ""
        super().__init__(f"{hospital} answered '{code.value}' to the query '{query}'{why}")
        self.hospital = hospital
        self.code = code
        self.query = query
        self.said = said


class StudyStopped(HepafedError):
    """The study cannot go on; what has been computed is kept in the checkpoint."""
