"""What the codes, queries and schemes of results.json mean, in plain words for the reader of a report."""

from collections.abc import Mapping
from types import MappingProxyType

from common.errors import Code
from common.refusals import SENTENCES, in_words
from common.splits import APPARENT, LEAVE_ONE_HOSPITAL_OUT
from common.whole_hospitals import EXTERNAL, LEAVE_GROUP_OUT
from server.report.query_words import QUERIES

KFOLD = "kfold"

SCHEMES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        KFOLD: (
            "Cross-validation within hospitals",
            "every patient is judged by a model that was fitted without that patient, at hospitals that the "
            "model knows",
        ),
        LEAVE_ONE_HOSPITAL_OUT: (
            "Leave one hospital out",
            "every patient is judged by a model that was fitted without that patient's hospital: what a new "
            "hospital may expect",
        ),
        LEAVE_GROUP_OUT: (
            "Leave groups of hospitals out",
            "every patient is judged by a model that was fitted without that patient's group of hospitals",
        ),
        EXTERNAL: (
            "Sealed external hospitals",
            "the final model on patients of hospitals that took no part in fitting it, looked at once",
        ),
        APPARENT: (
            "Apparent (same patients)",
            "the final model on the patients it was fitted to: too good by design, shown only to see by how much",
        ),
    }
)

SHORT: Mapping[str, str] = MappingProxyType(
    {
        KFOLD: "Cross-validation",
        LEAVE_ONE_HOSPITAL_OUT: "Leave one hospital out",
        LEAVE_GROUP_OUT: "Leave groups out",
        EXTERNAL: "Sealed external",
        APPARENT: "Apparent",
    }
)

FLOW: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "read": ("Patients in the hospitals' files", ""),
        "met_criteria": ("Meet the study's criteria", "did not meet a criterion"),
        "outcome_known": ("Outcome known", "outcome not known"),
        "in_range": ("All values plausible", "a value outside its plausible range"),
        "at_landmark": ("Followed beyond the landmark", "event or last contact before the landmark"),
        "with_features": ("Image features present", "no image features"),
        "in_cohort": ("In the cohort", "left out for another reason"),
    }
)

SELECTION_STEPS: Mapping[str, str] = MappingProxyType(
    {
        "measured": "Image features",
        "stable": "Stable when measured again",
        "varying": "Not constant, not too rare",
        "known": "Known for enough patients",
        "variation": "Vary enough",
        "screening": "Screened against the outcome",
        "redundancy": "Not like a stronger one",
        "mrmr": "Minimum redundancy, maximum relevance",
        "penalty": "Not zero in the fitted model",
    }
)

CLASSES: Mapping[str, str] = MappingProxyType(
    {
        "masked total": "only the total over all hospitals is used",
        "single hospital": "one hospital's own sums can be derived by subtracting totals; needs its approval",
    }
)

CODES: Mapping[Code, str] = MappingProxyType(
    {
        **{code: in_words(code) for code in SENTENCES},
        Code.NO_PATIENTS_FILE: "its folder has no patients.csv",
        Code.UNREADABLE_FILE: "one of its files could not be read",
        Code.DUPLICATE_PATIENTS: "a patient id stands twice in its file",
        Code.OUTCOME_MISSING: "the outcome column is not in its file",
        Code.OUTCOME_LEVELS: "the outcome column holds a value that the study does not know",
        Code.COLUMN_MISSING: "a column that the study needs is not in its file",
        Code.NOT_A_NUMBER: "a numeric column holds text",
        Code.COVARIATE_IS_OUTCOME: "a covariate of the harmonisation equals the outcome there",
        Code.UNKNOWN_LEVEL: "a column holds a level that the study does not know",
        Code.OUT_OF_RANGE: "many values lie outside their plausible range, perhaps in another unit",
        Code.NO_FEATURES: "the features that the study computes from images were not extracted there yet",
        Code.BAD_SITE_FILE: "its site.yaml or columns.yaml has a mistake",
        Code.STORE_SEALED: "it could not open its own store or keys",
        Code.TOO_FEW_PATIENTS: "it has fewer patients than the smallest number allowed, or a weighted sum would have "
        "rested on fewer",
        Code.SINGLE_HOSPITAL: "it has not approved sums from which its own can be derived",
        Code.COHORT_CHANGED: "its patients changed after the cohort was frozen for this study",
        Code.BAD_PARAMETERS: "the question was outside the bounds that it allows",
        Code.UNKNOWN_QUERY: "its software does not know the question",
        Code.WRONG_STUDY: "it could not understand the study",
        Code.UNKNOWN_VIEW: "it did not have an earlier step of the pipeline that the question builds on",
        Code.SILENT: "it did not answer in time",
        Code.INTERNAL: "an unexpected error happened there",
    }
)


def scheme(name: str) -> tuple[str, str]:
    """A scheme's title and meaning."""
    return SCHEMES.get(name, (name, ""))


def short(name: str) -> str:
    """A scheme's title where there is little room."""
    return SHORT.get(name) or scheme(name)[0]


def query(name: str) -> tuple[str, str]:
    """A query's title and what its answer holds."""
    return QUERIES.get(name, (name, "This report has no description of the query; see client/queries."))


def selection_step(name: str) -> str:
    """A step of the choice of features."""
    return SELECTION_STEPS.get(name, name)


def code(value: str) -> str:
    """A refusal or error code in words."""
    known = {c.value: words for c, words in CODES.items()}
    return known.get(value, "the report has no words for this code")
