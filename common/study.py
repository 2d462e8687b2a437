"""The protocol of one study, read from study.yaml."""

import hashlib
import re
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator

from common.comparing import Candidate
from common.criteria import Cohort
from common.differential import Differential
from common.errors import StudyError
from common.evaluation import Evaluation
from common.features import Features
from common.harmonising import Harmonisation
from common.networks.settings import Network
from common.outcomes import BinaryOutcome, Outcome, TimedOutcome
from common.patches import Patches, Seen
from common.query import canonical_json
from common.selection import Selection
from common.strict_yaml import Misfits, describe_faults, read_yaml
from common.study_misfits import misfits_of_study
from common.subgroups import Subgroup
from common.variables import Labels, Strict, Variable
from common.whole_hospitals import misplaced_names

Column = Annotated[str, Field(min_length=1)]
GroupName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")]
HOSPITAL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
HospitalName = Annotated[str, Field(pattern=f"^{HOSPITAL_NAME.pattern}$")]


class Predictors(Strict):
    """What the model may look at."""

    clinical: list[Column] = Field([], description="columns of patients.csv")
    radiomics: Literal["all"] | list[Column] | None = Field(
        None, description="all, or names and patterns (*) of feature columns; left out: none"
    )

    @field_validator("radiomics", mode="before")
    @classmethod
    def _one_name(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) and value != "all" else value

    def matching(self, names: list[str]) -> list[str]:
        """The feature columns that the study asks for, in their own order."""
        if self.radiomics is None:
            return []
        if self.radiomics == "all":
            return list(names)
        return [name for name in names if any(fnmatchcase(name, pattern) for pattern in self.radiomics)]

    def named(self) -> list[str]:
        """The feature columns that the study names outright: every hospital must have them."""
        if self.radiomics is None or self.radiomics == "all":
            return []
        return [name for name in self.radiomics if not any(c in name for c in "*?[")]


class Imputation(Strict):
    """How missing predictor values are filled, from the totals of the training rows."""

    method: Literal["mean", "regression"] = Field(
        "mean", description="mean, or regression on the other clinical columns (features: mean in both cases)"
    )
    indicator: bool = Field(False, description="add a column that says 'was missing' for clinical columns")


class Model(Strict):
    """What is fitted."""

    kind: Literal["logistic", "multinomial", "ordinal", "cox", "network"] = "logistic"
    penalty: Literal["none", "ridge", "lasso", "elastic-net"] = Field(
        "ridge", description="ridge is ½λ‖β‖² on standardised columns; the intercept is free"
    )
    strength: Annotated[float, Field(ge=0, le=1e9)] | Literal["cross-validated"] = Field(
        1.0, description="λ; scikit-learn's C is 1/λ"
    )
    lasso_share: Annotated[float, Field(ge=0, le=1)] = Field(
        0.5, description="elastic-net: share of the lasso part"
    )
    baseline: Literal["by-hospital", "shared"] = Field(
        "by-hospital", description="cox: a baseline a hospital, or one for all on a grid of times"
    )
    inner_folds: int = Field(5, ge=2, le=10, description="cross-validated: folds within every training set")
    strengths: int = Field(10, ge=2, le=50, description="cross-validated: how many strengths are tried")


class Validation(Strict):
    """On which patients the model is judged."""

    folds: int = Field(5, ge=0, le=20, description="folds within every hospital, stratified by outcome; 0: none")
    repeats: int = Field(1, ge=1, le=50)
    leave_one_hospital_out: bool = Field(
        True, description="train on all hospitals but one, judge on that one (needs each hospital's approval)"
    )
    leave_groups_out: dict[GroupName, list[HospitalName]] = Field(
        {},
        description="groups of three hospitals and more, by name; every group is left out in turn, as a masked total",
    )
    external: list[HospitalName] = Field(
        [], description="sealed hospitals: in no training rows; the final model is judged there once"
    )
    bootstrap: int = Field(
        0, ge=0, le=1000, description="intervals by drawing the hospitals anew so often: 200 to 1000; 0: none"
    )

    @field_validator("bootstrap")
    @classmethod
    def _enough_replicates(cls, bootstrap: int) -> int:
        if 0 < bootstrap < 200:
            raise ValueError(f"{bootstrap} replicates are too few for 95 % limits: 200 to 1000, or 0 for none")
        return bootstrap

    @model_validator(mode="after")
    def _hospitals_kept_whole(self) -> "Validation":
        if said := misplaced_names(self.leave_groups_out, self.external):
            raise ValueError(said)
        return self

    @field_validator("folds")
    @classmethod
    def _two_folds(cls, folds: int) -> int:
        if folds == 1:
            raise ValueError("one fold leaves nothing to train on: 0 for none, or 2 and more")
        return folds


class Privacy(Strict):
    """Thresholds; a hospital's own site.yaml may be stricter."""

    minimum_patients: int = Field(
        10, ge=2, description="a hospital with fewer patients in the cohort sends nothing"
    )
    secure_sum: bool = Field(True, description="mask every hospital's sums so that only the total can be learned")
    differential: Differential | None = Field(
        None, description="noise on every total, so that none depends on one patient; left out: no noise"
    )


class LostHospital(Strict):
    """What happens when a hospital falls silent in the middle of a run."""

    wait_minutes: float = Field(
        10.0, ge=0, le=14 * 24 * 60, description="how long a run waits for a silent hospital"
    )


TUMOUR_SIZE = re.compile(r"tumou?r_?(size|diameter)", re.IGNORECASE)


class Study(Strict):
    """One study: what is asked of whom, and how the answer is judged."""

    study: HospitalName = Field(description="short name: letters, digits, - _ .")
    title: str = ""
    description: str = ""
    outcome: Outcome
    cohort: Cohort = Cohort()
    variables: dict[Column, Variable] = Field({}, description="the data dictionary, a column each")
    predictors: Predictors
    features: Features | None = Field(
        None, description="how features are computed from images; left out: hospitals bring features.csv"
    )
    patches: Patches | None = Field(
        None, description="what a network sees of the images; left out: the model looks at no images"
    )
    imputation: Imputation = Imputation()
    harmonisation: Harmonisation = Harmonisation()
    selection: Selection | None = Field(
        None, description="which image features the model sees; left out: all, or as many as the patients allow"
    )
    model: Model = Model()
    evaluation: Evaluation = Evaluation()
    network: Network | None = Field(None, description="model.kind: network: which one, and how it is trained")
    compare: dict[str, Candidate] = Field({}, description="further models side by side, by name")
    validation: Validation = Validation()
    subgroups: list[Subgroup] = Field([], description="patients of whom the model is also judged by themselves")
    privacy: Privacy = Privacy()
    lost_hospital: LostHospital = LostHospital()
    seed: int = Field(0, ge=0, le=2**32 - 1)

    _written: str = PrivateAttr("")

    @model_validator(mode="after")
    def _consistent(self) -> "Study":
        if found := list(misfits_of_study(self)):
            raise Misfits(found)
        return self

    def shown_to(self, model: str) -> Seen:
        """What a model sees of the patches: none, where no network looks at images."""
        if self.network is None or not self.network.sees_images or self.patches is None:
            return "none"
        candidate = self.compare.get(model)
        return self.patches.shown if candidate is None or candidate.image is None else candidate.image

    def models(self) -> tuple[str, ...]:
        """The names of all models, the first, over all predictors, is called ''; sorted, as the study travels."""
        return ("", *sorted(self.compare))

    def lines(self) -> int:
        """How many linear predictors a model has: one, or one for every class but the reference."""
        if self.outcome.kind != "multiclass":
            return 1
        return max(1, len(self.variable(self.outcome_columns()[0]).levels or []) - 1)

    def stacks(self) -> bool:
        """Whether a model stacks the scores of others."""
        return any(candidate.stack for candidate in self.compare.values())

    def inner_folds(self) -> int:
        """How many folds every training set has within itself; 0 where nothing is tuned or stacked."""
        stops = self.network is not None and self.network.early_stopping is not None
        return self.model.inner_folds if self.model.strength == "cross-validated" or self.stacks() or stops else 0

    def outcome_columns(self) -> list[str]:
        """The columns of patients.csv that hold the outcome."""
        if isinstance(self.outcome, TimedOutcome):
            return [self.outcome.time, self.outcome.event]
        return [self.outcome.column]

    def second_columns(self) -> list[str]:
        """The columns of patients.csv that hold a network's second outcome."""
        return [] if self.network is None or self.network.also is None else self.network.also.columns()

    def variable(self, column: str) -> Variable:
        """The dictionary's entry for a column; without one, an outcome or event is binary, the rest numbers."""
        if column in self.variables:
            return self.variables[column]
        if isinstance(self.outcome, BinaryOutcome) and column == self.outcome.column:
            return Variable(type="binary")
        if isinstance(self.outcome, TimedOutcome) and column == self.outcome.event:
            return self.outcome.variable()
        if self.network is not None and self.network.also is not None and column == self.second_columns()[-1]:
            return self.network.also.variable()
        return Variable()

    def preserved(self) -> list[str]:
        """The covariates that harmonisation keeps; by default tumour size, where it is a predictor."""
        if self.harmonisation.method == "none":
            return []
        if self.harmonisation.preserve is not None:
            return list(self.harmonisation.preserve)
        return [name for name in self.predictors.clinical if TUMOUR_SIZE.search(name)]

    def label(self, column: str, language: Literal["en", "zh"] = "en") -> str:
        """What the report calls a column."""
        labels: Labels = self.variable(column).labels
        return (labels.zh if language == "zh" else labels.en) or column

    @property
    def hash(self) -> str:
        """SHA-256 of what the file says; comments, order and layout do not count."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()

    def to_json(self) -> str:
        """What the file says, as canonical JSON: this is what hospitals receive and approve."""
        return self._written or canonical_json(self.model_dump(mode="json", exclude_unset=True))

    @staticmethod
    def from_content(content: Any, source: str, lines: dict[tuple[str | int, ...], int] | None = None) -> "Study":
        """A study from parsed YAML or JSON; StudyError lists every fault with its place and cure."""
        try:
            study = Study.model_validate(content)
        except ValidationError as error:
            raise StudyError(describe_faults(error, source, lines or {}, Study)) from None
        try:
            study._written = canonical_json(content)
            study._written.encode()
        except (TypeError, ValueError):  # column names of mixed types, YAML's sets and bytes
            raise StudyError(f"{source}: a name or value is no plain text; put it in quotes, e.g. '1'") from None
        return study

    @staticmethod
    def from_file(path: Path) -> "Study":
        """The study in a YAML file."""
        content, lines = read_yaml(path)
        return Study.from_content(content, str(path), lines)
