"""What a query may look at: the patients of one cohort, by split, through one view."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from client import predictions
from client.cohort.cohort import Cohort
from client.horizon import Known, known_by, outcome_by
from client.members import Members
from client.site import Site
from client.steps import Fitted
from client.view import Views
from client.view_shapes import check_covariates
from common.errors import Code, HospitalError
from common.outcomes import HorizonOutcome
from common.query import WITHOUT_SUMS, Query
from common.splits import FINAL, Label, external_labels_of, labels_of, outer_splits_of, splits_of, splits_of_scheme
from common.study import Study
from common.whole_hospitals import is_judged

SCORING = ("linear", "blend", "network")
"""The steps whose columns are linear predictors."""


@dataclass(frozen=True)
class Rows:
    """A hospital's rows for one query."""

    site: Site
    members: Members
    views: Views
    query: Query

    @property
    def study(self) -> Study:
        """The study that is asked about."""
        return self.members.study

    @property
    def cohort(self) -> Cohort:
        """This hospital's patients in it."""
        return self.members.cohort

    def __post_init__(self) -> None:
        unknown = [s for s in self.query.splits if s not in splits_of(self.study, self.query.roster)]
        if unknown:
            raise HospitalError(Code.BAD_PARAMETERS, f"the study has no split {unknown[0]!r}")
        if len(set(self.query.splits)) != len(self.query.splits):
            raise HospitalError(Code.BAD_PARAMETERS, f"query {self.query.name!r}: a split is named twice")

    def tables(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Matrix and outcome of the query's row set, split by split."""
        for split, chosen in self.chosen():
            yield self._matrix(split)[chosen], self.cohort.outcome[chosen]

    def weighted_tables(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray | None]]:
        """The same for a fit of classes: of an outcome at a horizon those of whom it is known, with their weights."""
        for (split, chosen), (matrix, outcome) in zip(self.chosen(), self.tables(), strict=True):
            known = self.known(split)
            if known is None:
                yield matrix, outcome, None
            else:
                there = known.there[chosen]
                yield matrix[there], known.outcome[chosen][there], known.weight[chosen][there]

    def known(self, split: str) -> Known | None:
        """The whole cohort at the study's horizon, weighted by a split's training rows; None for another outcome."""
        outcome = self.study.outcome
        if not isinstance(outcome, HorizonOutcome):
            return None
        weigh = next((view for view in self.views.chain(self._view()) if view.step == "weigh"), None)
        if weigh is None:
            raise HospitalError(
                Code.BAD_PARAMETERS,
                f"the query {self.query.name!r} needs a view that says how long patients are followed",
            )
        months = [int(month) for month in weigh.parameters["months"]]
        return known_by(outcome, self.cohort, months, self.views.fitted(weigh, split).array("followed"))

    def weights(self, label: str) -> np.ndarray | None:
        """For how many each patient stands whom a label judges, by the whole cohort's curve; None: for itself."""
        known = self.known(FINAL)
        return None if known is None else known.weight[self.judged(label)]

    def matrices(self) -> Iterator[np.ndarray]:
        """The matrix of the query's row set, split by split."""
        for matrix, _ in self.tables():
            yield matrix

    def scores(self, label: str) -> tuple[np.ndarray, np.ndarray]:
        """The held-out linear predictor of every patient whom a label judges (`judged`), and the outcomes.

        At a horizon, the outcome of a patient who was lost before is NaN.
        """
        read, lines = Label.read(label), self._held_out_lines(label)
        return predictions.score(self.study, lines, read.level), self._outcome(label)

    def probabilities(self, label: str) -> tuple[np.ndarray, np.ndarray]:
        """The held-out predicted probability of every patient whom a label judges, and the outcomes."""
        read, lines = Label.read(label), self._held_out_lines(label)
        return predictions.probability(self.study, lines, read.level), self._outcome(label)

    def linear_predictors(self, split: str, model: str = "") -> np.ndarray:
        """Linear predictors of every patient of the cohort by one model as fitted in one split: patients × lines."""
        if self.views.chain(self._view())[0].step not in SCORING:
            raise HospitalError(
                Code.BAD_PARAMETERS, f"the query {self.query.name!r} needs a view that ends in a model"
            )
        if model not in self.study.models():
            raise HospitalError(Code.BAD_PARAMETERS, f"the study has no model {model!r}")
        first = self.study.models().index(model) * self.study.lines()
        return self._matrix(split)[:, first : first + self.study.lines()]

    def _held_out_lines(self, label: str) -> np.ndarray:
        """Every patient's linear predictors by the model of a label that did not see the patient."""
        in_clear = external_labels_of(self.study) if self.query.name in WITHOUT_SUMS else ()
        if label not in (*labels_of(self.study), *in_clear):
            raise HospitalError(Code.BAD_PARAMETERS, f"the study does not evaluate {label[:80]!r}")
        read, judged = Label.read(label), self.judged(label)
        lines = np.full((len(self.cohort.ids), self.study.lines()), np.nan)
        for split, chosen in self.held_out_of(read.scheme):
            lines[chosen] = self.linear_predictors(split, read.model)[chosen]
        if np.isnan(lines[judged]).any():
            raise HospitalError(Code.BAD_PARAMETERS, f"{label}: the model does not score every patient")
        return lines[judged]

    def judged(self, label: str) -> np.ndarray:
        """A mask of the patients whom a label judges: all or, between external hospitals and the others, nobody."""
        here = is_judged(self.study, Label.read(label).scheme, self.site.name)
        return np.full(len(self.cohort.ids), here)

    def _outcome(self, label: str) -> np.ndarray:
        outcome = self.study.outcome
        every = outcome_by(outcome, self.cohort) if isinstance(outcome, HorizonOutcome) else self.cohort.outcome
        return predictions.outcome(self.study, every[self.judged(label)], Label.read(label).level)

    def width(self) -> int | None:
        """How many columns the query's view has; None without a view."""
        return None if self.query.view is None else self.views.width(self.query.view)

    def refuse_other_covariates(self, covariates: Sequence[int], smooth: Mapping[str, Any]) -> None:
        """Refuse what the study does not harmonise, or not with these covariates and curves."""
        if self.study.harmonisation.method == "none":
            raise HospitalError(Code.BAD_PARAMETERS, "the study does not harmonise")
        names = [str(name) for name in self.views.chain(self._view())[-1].parameters["columns"]]
        check_covariates(self.study, names, covariates, smooth)

    def rests_on_few_patients(self, weights: np.ndarray) -> bool:
        """Whether weights single out patients: effective size (Σw)²/Σw² below the hospital's floor."""
        if not len(weights) or not self.site.smallest_effective_size:
            return False
        return effective_size(weights) < self.site.smallest_effective_size

    def refuse_weights_on_few_patients(self, weights: np.ndarray) -> None:
        """Refuse weights that single out patients."""
        if self.rests_on_few_patients(weights):
            raise HospitalError(
                Code.TOO_FEW_PATIENTS,
                f"query {self.query.name!r}: its weights rest on {effective_size(weights):.1f} patients, "
                f"this hospital asks for {self.site.smallest_effective_size}",
            )

    def held_out_of(self, scheme: str) -> Iterator[tuple[str, np.ndarray]]:
        """The splits of a scheme that hold out patients of this hospital, and those patients."""
        for split in splits_of_scheme(scheme, outer_splits_of(self.study, self.query.roster)):
            chosen = self.members.held_out(split)
            if chosen.any():
                yield split, chosen

    def chosen(self) -> Iterator[tuple[str, np.ndarray]]:
        """The query's splits, and a mask of the patients in its row set."""
        for split in self.query.splits:
            training = self.query.rows == "training"
            yield split, self.members.training(split) if training else self.members.held_out(split)

    def batches(self) -> Iterator[np.ndarray]:
        """The batches of the patients in the query's row set, split by split."""
        for _, chosen in self.chosen():
            yield self.members.batches()[chosen]

    def number_of_levels(self, variable: str) -> int:
        """How many levels a batch variable of the study has."""
        if variable not in self.study.harmonisation.levels:
            raise HospitalError(Code.BAD_PARAMETERS, f"{variable!r} is no batch variable of the study")
        return len(self.study.variable(variable).levels or [])

    def fitted(self, split: str) -> Fitted:
        """The query's view for one split."""
        return self.views.fitted(self.views.chain(self._view())[0], split)

    def parent_matrix(self, split: str) -> np.ndarray:
        """All patients as the parent of the query's view shows them."""
        parent = self.views.chain(self._view())[0].parent
        if parent is None:
            raise HospitalError(Code.BAD_PARAMETERS, f"the query {self.query.name!r} needs a view with a parent")
        return self.views.matrix(parent, split)

    def _matrix(self, split: str) -> np.ndarray:
        return self.views.matrix(self._view(), split)

    def _view(self) -> str:
        if self.query.view is None:
            raise HospitalError(Code.BAD_PARAMETERS, f"the query {self.query.name!r} needs a view")
        return self.query.view


def effective_size(weights: np.ndarray) -> float:
    """(Σw)²/Σw²: how many patients weights rest on."""
    squares = float((weights**2).sum())
    return float(weights.sum()) ** 2 / squares if squares > 0 else 0.0
