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
    BAD_SITE_FILE = "bad_site_file"
    # the hospital's rules
    TOO_FEW_PATIENTS = "too_few_patients"  # none, too: a code of its own would tell 0 from 1 to 9
    SINGLE_HOSPITAL = "single_hospital_sums_not_approved"
    COHORT_CHANGED = "cohort_changed_since_it_was_frozen"
    BAD_PARAMETERS = "parameters_outside_their_bounds"
    UNKNOWN_QUERY = "unknown_query"
    WRONG_STUDY = "study_not_understood"
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
    """

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code


class HospitalLost(HepafedError):
    """A hospital of the roster refused, failed or fell silent in the middle of a run."""

    def __init__(self, hospital: str, code: Code, query: str) -> None:
        super().__init__(f"{hospital} answered '{code.value}' to the query '{query}'")
        self.hospital = hospital
        self.code = code
        self.query = query


class StudyStopped(HepafedError):
    """The study cannot go on; what has been computed is kept in the checkpoint."""
