"""What a view may say: the steps of this study, in their order, with arrays of the right shape and size.

A view comes from the coordinator. A crafted one can single out a patient without naming any: overflow in one row, a
step put in front of another, a column that the study does not have. So a chain is held against the study before
anything is worked out with it; client/view_values.py then holds its numbers against the hospital's own values.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from client.cohort.cohort import Cohort
from client.members import Members
from client.view_bounds import refuse
from client.view_shapes import Design, check_arrays
from common.outcomes import HorizonOutcome
from common.privacy_plan import is_private
from common.query import LEAVE_OUT, SMALLEST_DIFFERENCE, View
from common.splits import FINAL, INNER
from common.study import HOSPITAL_NAME, Study
from common.variables import INDICATOR
from common.whole_hospitals import splits_of_whole_hospitals

LONGEST_CHAIN = 12
MOST_SPLITS = 2000
HARMONISING = ("combat", "levels", "covbat", "residuals", "residual_scores")
ORDER = (
    "columns",
    "impute",
    "transform",
    "harmonise",
    "select",
    "impute",
    "bound",
    "scale",
    "weigh",
    "network",
    "linear",
    "stack",
    "blend",
)
SECOND_IMPUTATION = 5
LAST = ("residuals", "residual_scores", "network", "linear", "stack", "blend")
"""Steps after which there is no other, but for those on scores: their columns are no longer the design's."""
ON_SCORES = ("stack", "blend")

_COMBAT = ("covariates", "smooth", "features", "groups", "reference", "settings")
PARAMETERS: dict[str, tuple[str, ...]] = {
    "columns": ("columns",),
    "impute": (),
    "transform": ("kind", "features"),
    "combat": _COMBAT,
    "levels": (*_COMBAT, "variable"),
    "covbat": _COMBAT,
    "residuals": _COMBAT,
    "residual_scores": _COMBAT,
    "select": ("columns",),
    "bound": (),
    "scale": (),
    "weigh": ("months",),
    "network": (),
    "linear": (),
    "stack": (),
    "blend": (),
}


def check_chain(chain: Sequence[View], members: Members) -> int:
    """Hold a chain (the root last) against the study; the number of columns that it ends with."""
    if len(chain) > LONGEST_CHAIN:
        refuse(f"a chain of more than {LONGEST_CHAIN} views")
    if chain[-1].step != "columns" or chain[-1].splits or chain[-1].arrays:
        refuse(f"a view begins with its columns and no splits or arrays, not with {chain[-1].step!r}")
    walk = _Walk(Design(members))
    for view in reversed(chain):
        walk.take(view)
    return walk.design.width


def design_columns(study: Study, cohort: Cohort) -> list[str]:
    """Every column that the study's design may have at this hospital."""
    clinical = study.predictors.clinical
    names = [
        c for name in dict.fromkeys([*clinical, *study.preserved()]) for c in study.variable(name).columns(name)
    ]
    indicators = [f"{name}{INDICATOR}" for name in clinical] if study.imputation.indicator else []
    return [*names, *indicators, *cohort.feature_names]


def check_splits(study: Study, splits: Sequence[str]) -> None:
    """Splits of the study, each once."""
    checks = study.validation
    known = {FINAL, *(f"kfold/{r}/{f}" for r in range(checks.repeats) for f in range(checks.folds))}
    known |= set(splits_of_whole_hospitals(study))
    if len(splits) > MOST_SPLITS or len(set(splits)) != len(splits):
        refuse(f"{len(splits)} splits: each may be named once, and {MOST_SPLITS} in all")
    inner = {f"{INNER}{fold}" for fold in range(study.inner_folds())}
    for named in splits:
        split, mark, fold = named.partition(INNER)
        if mark and mark + fold not in inner:
            refuse(f"the study has no split {named[:80]!r}")
        hospital = split.removeprefix(LEAVE_OUT)
        left_out = hospital != split and checks.leave_one_hospital_out and HOSPITAL_NAME.fullmatch(hospital)
        if split not in known and not left_out:
            refuse(f"the study has no split {split[:80]!r}")


@dataclass
class _Walk:
    """From the root along a chain: where in the order it stands, and which columns there are."""

    design: Design
    place: int = -1
    steps: list[str] = field(default_factory=list)

    @property
    def study(self) -> Study:
        return self.design.study

    def take(self, view: View) -> None:
        """Check the next view of the chain."""
        self._in_order(view)
        self._known_parameters(view)
        if view.step == "columns":
            self.design.names = self._columns(view.parameters["columns"])
            self.design.width = len(self.design.names)
            return
        check_splits(self.study, view.splits)
        if not view.splits:
            refuse(f"{view.step}: a view without splits")
        arrays = self.design.arrays(view)
        check_arrays(view, arrays)
        if view.step == "impute":
            self._gaps_left_open(view)
        if view.step == "select":
            self.design.names = [self.design.names[j] for j in view.parameters["columns"]]
            self.design.width = len(self.design.names)
        elif view.step in LAST:
            self.design.width = {
                "residuals": len(view.parameters.get("features", [])),
                "residual_scores": arrays.get("component_rotation", (0,))[-1],
                "network": self.design.lines(),
                "linear": self.design.lines(),
                "stack": self.design.width,
                "blend": self.design.lines(),
            }[view.step]

    def _in_order(self, view: View) -> None:
        step = "harmonise" if view.step in HARMONISING else view.step
        again = step == "harmonise" and self.place == ORDER.index("harmonise") and self.steps[-1] == "levels"
        places = [
            p for p, name in enumerate(ORDER) if name == step and (p > self.place or (again and p == self.place))
        ]
        on_scores = view.step in ON_SCORES
        if on_scores and not self.study.stacks():
            refuse(f"{view.step}: the study stacks no models")
        ended = self.steps[-1:] == ["linear"] if on_scores else not set(self.steps[-1:]) & set(LAST)
        if not places or not ended:
            refuse(f"{view.step[:40]!r} after {self.steps[-1:]}: the order is {' → '.join(ORDER)}, each once")
        if step == "impute" and places[0] == SECOND_IMPUTATION and not set(self.steps) & set(HARMONISING):
            refuse("a second imputation without harmonisation before it")
        if is_private(self.study) != ("bound" in (view.step, *self.steps)) and view.step != "columns":
            refuse(
                f"{view.step}: the columns of a study with privacy.differential, and no others, are bounded first"
            )
        if (view.step == "network") != (self.study.model.kind == "network") and view.step in ("network", "linear"):
            refuse(f"{view.step}: the study's model is {self.study.model.kind}")
        if view.step == "weigh" and not isinstance(self.study.outcome, HorizonOutcome):
            refuse("weigh: the outcome of this study is no event at a horizon")
        if view.step == "transform" and (
            self.study.harmonisation.transform == "none" or self.study.harmonisation.method == "none"
        ):
            refuse("a transform that the study does not ask for")
        if step == "harmonise" and view.step not in self._harmonising_steps():
            refuse(
                f"{view.step}: harmonisation of this study is {self.study.harmonisation.method}, "
                f"by {self.study.harmonisation.batch}"
            )
        self.place = places[0]
        self.steps.append(view.step)

    def _harmonising_steps(self) -> tuple[str, ...]:
        """The steps that the study's harmonisation takes; combat among shared levels holds the fit between rounds."""
        chosen = self.study.harmonisation
        if chosen.levels:
            return ("levels", "combat") if chosen.method != "none" else ()
        return {"none": (), "combat": ("combat",), "covbat": ("residuals", "residual_scores", "covbat")}[
            chosen.method
        ]

    def _known_parameters(self, view: View) -> None:
        allowed, found = set(PARAMETERS[view.step]), set(view.parameters)
        regression = {"targets", "predictors"}
        if view.step == "impute" and found and self.place != SECOND_IMPUTATION:
            if self.study.imputation.method != "regression":
                refuse("impute: the study does not impute by regression")
            allowed = regression
        if found != allowed:
            refuse(f"{view.step}: expected the parameters {sorted(allowed)}, found {sorted(found)[:10]}")

    def _columns(self, names: object) -> list[str]:
        if not isinstance(names, list) or any(not isinstance(name, str) for name in names) or not names:
            refuse("columns: expected a list of names")
        allowed = set(design_columns(self.study, self.design.members.cohort))
        strangers = [name for name in names if name not in allowed]
        if strangers:
            refuse(f"the study has no predictor column {strangers[0][:80]!r}")
        if len(set(names)) != len(names):
            refuse("columns: a column stands there twice")
        return list(names)

    def _gaps_left_open(self, view: View) -> None:
        """Features that harmonisation counts singly may keep their gaps, where these are none or many here."""
        cohort = self.design.members.cohort
        for j in np.flatnonzero(np.isnan(view.arrays["fill"]).any(axis=0)).tolist():
            counted = self.study.harmonisation.method != "none" and self.design.names[j] in cohort.feature_names
            if not counted or self.place == SECOND_IMPUTATION:
                refuse(f"impute: the fill of {self.design.names[j]} is not a number")
            gaps = int(np.isnan(cohort.features[:, cohort.feature_names.index(self.design.names[j])]).sum())
            if 0 < gaps < SMALLEST_DIFFERENCE and self.design.members.guard == "full":
                refuse(
                    f"impute: {self.design.names[j]} has {gaps} gaps here; fewer than {SMALLEST_DIFFERENCE} are filled"
                )
