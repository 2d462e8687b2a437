"""The protocol of one study, read from study.yaml."""

import hashlib
import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, ValidationError, field_validator, model_validator

from common.comparing import MODEL_NAME, Candidate
from common.criteria import Cohort, misfits, nobody_can_meet
from common.differential import Differential, misfits_of
from common.errors import StudyError
from common.evaluation import Evaluation
from common.features import Features
from common.harmonising import Harmonisation
from common.networks.settings import Network
from common.outcomes import BinaryOutcome, Outcome, TimedOutcome
from common.patches import Patches
from common.query import canonical_json
from common.selection import Selection
from common.strict_yaml import Misfits, Place, describe_faults, read_yaml
from common.subgroups import Subgroup, unfit
from common.variables import INDICATOR, Labels, Strict, Variable
from common.whole_hospitals import misplaced_names

Column = Annotated[str, Field(min_length=1)]
GroupName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,39}$")]
HospitalName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]


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


ID = "id"
TUMOUR_SIZE = re.compile(r"tumou?r_?(size|diameter)", re.IGNORECASE)
HOSPITAL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")


class Study(Strict):
    """One study: what is asked of whom, and how the answer is judged."""

    study: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$", description="short name: letters, digits, - _ ."
    )
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
        if misfits := list(self._misfits()):
            raise Misfits(misfits)
        return self

    def _misfits(self) -> Iterator[tuple[Place, str]]:
        """Fields that do not fit each other."""
        outcome, outcome_columns, clinical = self.outcome, self.outcome_columns(), self.predictors.clinical
        if len(set(outcome_columns)) != len(outcome_columns):
            yield ("outcome", "event"), f"{outcome_columns[1]} is the time already: name the column of events"
        yield from self._asks_for_the_id()
        yield from misfits_of(self)
        for column in sorted(set(outcome_columns) & set(clinical)):
            yield ("predictors", "clinical"), f"{column} is the outcome: take it out"
        for column in sorted({name for name in clinical if clinical.count(name) > 1}):
            yield ("predictors", "clinical"), f"{column} stands here twice: keep one"
        for column in clinical:
            if "=" in column or column.endswith(INDICATOR):
                said = f"{column}: '=' and '{INDICATOR}' belong to derived columns: rename it (columns.yaml)"
                yield ("predictors", "clinical"), said
        if self.features is not None and not self.predictors.radiomics:
            said = (
                "features are computed and none is a predictor: name some here, or take out the section features"
            )
            yield ("predictors", "radiomics"), said
        if not clinical and not self.predictors.radiomics:
            yield ("predictors",), "no column is named: give clinical, radiomics or both"
        for column in sorted(set(outcome_columns) & set(self.harmonisation.preserve or [])):
            yield ("harmonisation", "preserve"), f"{column} is the outcome, it would leak: take it out"
        for column in self.harmonisation.levels:
            if column in outcome_columns:
                yield ("harmonisation", "batch"), f"{column} is the outcome: write hospital"
            elif self.variable(column).type != "category":
                yield ("harmonisation", "batch"), f"{column}: give it type: category and levels under variables"
        criteria = [(criterion, self.variable(criterion.column)) for criterion in self.cohort.include]
        for index, (criterion, variable) in enumerate(criteria):
            yield from (
                (("cohort", "include", index, *place), said) for place, said in misfits(criterion, variable)
            )
        yield from ((("cohort", "include", index), said) for index, said in nobody_can_meet(criteria))
        declared = self.variables.get(outcome_columns[-1])
        if outcome.kind == "multiclass" and (declared is None or declared.type != "category"):
            yield ("variables", outcome_columns[-1]), "a multiclass outcome needs type: category and its levels"
        if isinstance(outcome, TimedOutcome):
            yield from outcome.misfits(self.variables)
        elif outcome.kind != "multiclass" and declared is not None and declared.type != "binary":
            yield ("variables", outcome_columns[-1], "type"), f"found {declared.type}; this outcome needs binary"
        if self.selection is not None:
            yield from ((("selection", *place), said) for place, said in self.selection.misfits(outcome))
        yield from self._compared()
        yield from unfit(self.subgroups, self.variable, [ID, *outcome_columns])
        if outcome.kind == "horizon":
            yield from self._asked_unweighted()
        fitting = {"multiclass": "multinomial", "survival": "cox"}.get(outcome.kind, "logistic")
        if self.model.baseline != "by-hospital" and self.model.kind != "cox":
            yield ("model", "baseline"), f"{self.model.kind} has no baseline: take it out"
        if (outcome.kind, self.model.kind) == ("multiclass", "ordinal"):
            fitting = "ordinal"  # the levels of the outcome then rise
        if self.patches is not None and (self.network is None or not self.network.sees_images):
            said = (
                "no network looks at them: write network.architecture: cnn3d, mil25d or fusion, or take them out"
            )
            yield ("patches",), said
        if self.model.kind == "network" or self.network is not None:
            yield from self._with_a_network()
        elif self.model.kind != fitting:
            yield ("model", "kind"), f"{self.model.kind} does not fit a {outcome.kind} outcome: write {fitting}"

    def _with_a_network(self) -> Iterator[tuple[Place, str]]:
        """What does not go together with a network."""
        if self.network is not None and self.network.sees_images and self.patches is None:
            said = f"{self.network.architecture} looks at images: add the section patches, or write mlp"
            yield ("network", "architecture"), said
        if self.network is None:
            yield ("network",), "model.kind: network needs this section: write network: {} for its defaults"
            return
        if self.model.kind != "network":
            yield ("network",), f"model.kind is {self.model.kind}: write kind: network, or take the section out"
        for name in sorted(self.model.model_fields_set - {"kind", "inner_folds"}):
            yield ("model", name), "a network has none: take it out; see network.weight_decay and early_stopping"
        if self.stacks():
            yield ("compare",), "networks' scores are not stacked: name columns for every model"
        yield from (
            (("network", *place), said) for place, said in self.network.misfits(self.outcome.kind == "survival")
        )
        if self.network.also is not None:
            taken = dict.fromkeys(self.harmonisation.preserve or [], "kept by harmonisation.preserve")
            taken |= dict.fromkeys(self.harmonisation.levels, "a batch of harmonisation")
            taken |= dict.fromkeys((subgroup.column for subgroup in self.subgroups), "the column of a subgroup")
            taken |= dict.fromkeys(self.predictors.clinical, "among predictors.clinical")
            taken |= dict.fromkeys(self.outcome_columns(), "the study's outcome")
            found = self.network.also.misfits(taken, self.outcome.kind, self.variables)
            yield from ((("network", "also", *place), said) for place, said in found)

    def _asked_unweighted(self) -> Iterator[tuple[Place, str]]:
        """What has no form with weights yet, so that an outcome at a horizon would drop those who were lost."""
        why = "it has no weights for patients who were lost before the horizon"
        if self.model.kind == "network":
            yield ("model", "kind"), f"a network is not fitted to an event at a horizon, {why}: write logistic"
        if self.validation.bootstrap:
            yield ("validation", "bootstrap"), f"{why}: write 0"
        if self.validation.external:
            yield ("validation", "external"), f"external hospitals' follow-up is their own, {why}: take it out"
        if self.subgroups:
            yield ("subgroups",), f"{why}: take the section out"

    def _compared(self) -> Iterator[tuple[Place, str]]:
        """Models of the section `compare` that could not be fitted."""
        for name, candidate in self.compare.items():
            place = ("compare", name)
            if not re.fullmatch(MODEL_NAME, name):
                yield place, "a model's name is letters, digits, spaces and - _ . +, at most 40"
            if candidate.stack is not None and (candidate.clinical or candidate.radiomics):
                yield place, "a model stacks others or looks at columns: make two models of it"
            if candidate.stack is None and not candidate.clinical and not candidate.radiomics:
                yield place, "no column is named: give clinical, radiomics or stack"
            named = candidate.clinical if isinstance(candidate.clinical, list) else []
            for column in sorted(set(named) - set(self.predictors.clinical)):
                yield (*place, "clinical"), f"{column} is not among predictors.clinical: add it there"
            for other in candidate.stack or []:
                if other not in self.compare or self.compare[other].stack is not None:
                    yield (*place, "stack"), f"{other} is no model of this section that looks at columns"

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

    def _asks_for_the_id(self) -> Iterator[tuple[Place, str]]:
        """A study that could look at the id could ask for a person."""
        asked: list[tuple[Place, list[str]]] = [
            (("outcome",), self.outcome_columns()),
            (("network", "also", "outcome"), self.second_columns()),
            (("cohort", "include"), [criterion.column for criterion in self.cohort.include]),
            (("predictors", "clinical"), self.predictors.clinical),
            (("harmonisation", "preserve"), self.harmonisation.preserve or []),
            (("harmonisation", "batch"), self.harmonisation.levels),
            (("variables",), list(self.variables)),
        ]
        for place, columns in asked:
            if ID in columns:
                yield place, f"{ID} names patients and is no column that a study may use: take it out"

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
