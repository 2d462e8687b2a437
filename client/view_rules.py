"""What a view may say: the steps of this study, in their order, with arrays of the right shape and size.

A view comes from the coordinator. A crafted one can single out a patient without naming any: overflow in one row, a
step put in front of another, a column that the study does not have. So a chain is held against the study before
anything is worked out with it; client/view_values.py then holds its numbers against the hospital's own values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np

from client.cohort.cohort import Cohort
from client.members import Members
from common.errors import Code, HospitalError
from common.outcomes import HorizonOutcome
from common.privacy_plan import is_private
from common.query import LEAVE_OUT, SMALLEST_DIFFERENCE, View
from common.splits import FINAL, INNER
from common.study import HOSPITAL_NAME, Study
from common.variables import INDICATOR
from common.whole_hospitals import splits_of_whole_hospitals

LONGEST_CHAIN = 12
MOST_SPLITS = 2000
LARGEST = 1e15
"""Beyond this, neighbouring float64 numbers are 0.125 apart: rounding would be a step function."""
LARGEST_VARIANCE = LARGEST**2
MAXIMUM_COEFFICIENT = 1e4
"""On standardised columns a coefficient beyond this is no model; it could only serve to single out a row."""

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
ON_SCORES = ("stack", "blend")
"""Steps after which there is no other: their columns are no longer the design's."""

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


def refuse(rule: str) -> NoReturn:
    """Refuse what the coordinator sent; the rule goes into the hospital's log."""
    raise HospitalError(Code.BAD_PARAMETERS, rule)


def check_chain(chain: Sequence[View], members: Members) -> int:
    """Hold a chain (the root last) against the study; the number of columns that it ends with."""
    if len(chain) > LONGEST_CHAIN:
        refuse(f"a chain of more than {LONGEST_CHAIN} views")
    if chain[-1].step != "columns" or chain[-1].splits or chain[-1].arrays:
        refuse(f"a view begins with its columns and no splits or arrays, not with {chain[-1].step!r}")
    walk = _Walk(members)
    for view in reversed(chain):
        walk.take(view)
    return walk.width


def design_columns(study: Study, cohort: Cohort) -> list[str]:
    """Every column that the study's design may have at this hospital."""
    clinical = study.predictors.clinical
    names = [
        c for name in dict.fromkeys([*clinical, *study.preserved()]) for c in study.variable(name).columns(name)
    ]
    indicators = [f"{name}{INDICATOR}" for name in clinical] if study.imputation.indicator else []
    return [*names, *indicators, *cohort.feature_names]


def check_covariates(study: Study, names: Sequence[str], covariates: object, smooth: object) -> list[int]:
    """Covariates must be preserved ones of the study, in its order, with its curves; rare ones may be left out."""
    wanted = [c for name in study.preserved() for c in study.variable(name).columns(name)]
    numbers = column_numbers(covariates, len(names), "covariates")
    chosen = [names[j] for j in numbers]
    if chosen != [name for name in wanted if name in chosen]:
        refuse("covariates: expected those that the study preserves, in its order")
    curves = {str(j): study.harmonisation.smooth.get(name) for j, name in zip(numbers, chosen, strict=True)}
    if smooth != {number: term.model_dump() for number, term in curves.items() if term is not None}:
        refuse("covariates: their curves are not the study's")
    return numbers


def column_numbers(value: object, width: int, what: str) -> list[int]:
    """Whole, different numbers of columns below a width."""
    if not isinstance(value, list | tuple) or any(type(number) is not int for number in value):
        refuse(f"{what}: expected a list of whole column numbers")
    if len(set(value)) != len(value) or any(not 0 <= number < width for number in value):
        refuse(f"{what}: expected different column numbers from 0 to {width - 1}, each once")
    return list(value)


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

    members: Members
    place: int = -1
    names: list[str] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)
    width: int = 0

    @property
    def study(self) -> Study:
        return self.members.study

    def take(self, view: View) -> None:
        """Check the next view of the chain."""
        self._in_order(view)
        self._known_parameters(view)
        if view.step == "columns":
            self.names = self._columns(view.parameters["columns"])
            self.width = len(self.names)
            return
        check_splits(self.study, view.splits)
        if not view.splits:
            refuse(f"{view.step}: a view without splits")
        arrays = self._arrays(view)
        _check_arrays(view, arrays)
        if view.step == "impute":
            self._gaps_left_open(view)
        if view.step == "select":
            self.names = [self.names[j] for j in view.parameters["columns"]]
            self.width = len(self.names)
        elif view.step in LAST:
            self.width = {
                "residuals": len(view.parameters.get("features", [])),
                "residual_scores": arrays.get("component_rotation", (0,))[-1],
                "network": self._lines(),
                "linear": self._lines(),
                "stack": self.width,
                "blend": self._lines(),
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

    def _lines(self) -> int:
        """How many linear predictors the study's models have together."""
        return len(self.study.models()) * self.study.lines()

    def _columns(self, names: object) -> list[str]:
        if not isinstance(names, list) or any(not isinstance(name, str) for name in names) or not names:
            refuse("columns: expected a list of names")
        allowed = set(design_columns(self.study, self.members.cohort))
        strangers = [name for name in names if name not in allowed]
        if strangers:
            refuse(f"the study has no predictor column {strangers[0][:80]!r}")
        if len(set(names)) != len(names):
            refuse("columns: a column stands there twice")
        return list(names)

    def _arrays(self, view: View) -> Mapping[str, tuple[int, ...]]:
        """The arrays that a step has, and their shapes after the axis of splits."""
        said, width = view.parameters, self.width
        if view.step == "select":
            column_numbers(said["columns"], width, "select")
            return {}
        if view.step == "impute":
            targets, predictors = (column_numbers(said.get(k, []), width, k) for k in ("targets", "predictors"))
            fill: dict[str, tuple[int, ...]] = {"fill": (width,)}
            return fill | ({"coefficients": (len(targets), 1 + len(predictors))} if said else {})
        if view.step == "bound":
            return {"low": (width,), "high": (width,)}
        if view.step == "scale":
            return {"centre": (width,), "spread": (width,)}
        if view.step == "weigh":
            months = said["months"]
            if not isinstance(months, list) or not months or any(type(m) is not int for m in months):
                refuse("weigh: expected a list of whole months")
            outcome = self.study.outcome
            horizon = outcome.months if isinstance(outcome, HorizonOutcome) else 0
            if months != sorted(set(months)) or months[0] < 1 or months[-1] != horizon:
                refuse(f"weigh: months rise from 1 to the horizon, {horizon}")
            return {"followed": (1 + len(months),)}
        if view.step == "stack":
            return {}
        if view.step in ("linear", "blend"):
            return {"beta": (self._lines(), width + 1)}
        if view.step == "network":
            return self._network_arrays(view)
        features = column_numbers(said["features"], width, f"{view.step}: features")
        known = set(self.members.cohort.feature_names)
        if any(self.names[j] not in known for j in features):
            refuse(f"{view.step}: harmonisation changes features only")
        p = (len(features),)
        if view.step == "transform":
            if said["kind"] != self.study.harmonisation.transform:
                refuse("transform: its kind is not the study's")
            return {"location": p, "scale": p, "powers": p}
        return self._combat_arrays(view, p)

    def _network_arrays(self, view: View) -> Mapping[str, tuple[int, ...]]:
        from common.networks.build import size  # PyTorch is there only where a study has a network

        models, inputs = len(self.study.models()), view.arrays.get("columns", np.zeros((1, 1, 0))).shape[-1]
        if not 0 < inputs <= max(1, self.width):
            refuse(f"network: {inputs} inputs over {self.width} columns")
        columns = view.arrays["columns"]
        if (columns != np.round(columns)).any() or (columns < -1).any() or (columns >= self.width).any():
            refuse(f"network: columns are whole numbers from -1 to {self.width - 1}")
        return {"weights": (models, size(self.study, inputs)), "columns": (models, inputs), "rounds": (models,)}

    def _combat_arrays(self, view: View, p: tuple[int]) -> Mapping[str, tuple[int, ...]]:
        said, chosen = view.parameters, self.study.harmonisation
        covariates, smooth = (
            check_covariates(self.study, self.names, said["covariates"], said["smooth"]),
            said["smooth"],
        )
        settings = {
            "empirical_bayes": chosen.empirical_bayes,
            "parametric": chosen.priors == "parametric",
            "mean_only": chosen.mean_only,
        }
        if said["settings"] not in (settings, settings | {"mean_only": True}):  # shift only is the milder one
            refuse(f"{view.step}: its settings are not the study's")
        if not isinstance(said["reference"], list) or len(said["reference"]) != len(view.splits):
            refuse(f"{view.step}: expected a reference for every split")
        if any(name not in ("", chosen.reference) for name in said["reference"]):
            refuse(f"{view.step}: its reference is not the study's")
        groups = said["groups"]
        if not isinstance(groups, list) or any(type(g) is not int or not -1 <= g < 10**6 for g in groups):
            refuse(f"{view.step}: groups are whole numbers from -1")
        if len(groups) != p[0]:
            refuse(f"{view.step}: expected a group for every feature")
        expanded = sum(len(smooth[str(j)]["knots"]) + 1 if str(j) in smooth else 1 for j in covariates)
        shapes: dict[str, tuple[int, ...]] = {"coefficients": (expanded, *p)}
        shapes |= dict.fromkeys(("grand_mean", "variance", "constant", "patients"), p)
        if view.step == "levels":
            self._next_variable(said["variable"])
            count = len(self.study.variable(str(said["variable"])).levels or [])
            shapes |= {"level_patients": (count,), "gamma": (count, *p), "delta": (count, *p)}
        if view.step in ("residual_scores", "covbat"):
            rotation = view.arrays.get("component_rotation", np.zeros(0))
            components = min(rotation.shape[-1], p[0])
            shapes |= {"component_mean": p, "component_scale": p, "component_rotation": (*p, components)}
            shapes |= {"score_variance": (components,)} if view.step == "covbat" else {}
        return shapes

    def _gaps_left_open(self, view: View) -> None:
        """Features that harmonisation counts singly may keep their gaps, where these are none or many here."""
        cohort = self.members.cohort
        for j in np.flatnonzero(np.isnan(view.arrays["fill"]).any(axis=0)).tolist():
            counted = self.study.harmonisation.method != "none" and self.names[j] in cohort.feature_names
            if not counted or self.place == SECOND_IMPUTATION:
                refuse(f"impute: the fill of {self.names[j]} is not a number")
            gaps = int(np.isnan(cohort.features[:, cohort.feature_names.index(self.names[j])]).sum())
            if 0 < gaps < SMALLEST_DIFFERENCE and self.members.guard == "full":
                refuse(
                    f"impute: {self.names[j]} has {gaps} gaps here; fewer than {SMALLEST_DIFFERENCE} are filled"
                )

    def _next_variable(self, variable: object) -> None:
        wanted = self.study.harmonisation.levels
        if len(self.variables) >= len(wanted) or variable != wanted[len(self.variables)]:
            refuse(f"levels: expected the variables {wanted}, in this order, each once")
        self.variables.append(str(variable))


def _check_arrays(view: View, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Exactly these arrays, one row a split, finite and within bounds; NaN in `fill` alone."""
    if set(view.arrays) != set(shapes):
        refuse(f"{view.step}: expected the arrays {sorted(shapes)}, found {sorted(view.arrays)[:10]}")
    for name, shape in shapes.items():
        array = view.arrays[name]
        if array.shape != (len(view.splits), *shape):
            refuse(f"{view.step}: {name} has the shape {array.shape}, expected {(len(view.splits), *shape)}")
        values = array[~np.isnan(array)] if name == "fill" else array
        limit = LARGEST_VARIANCE if name == "variance" else LARGEST
        if not (np.abs(values) <= limit).all():
            refuse(f"{view.step}: {name} holds a number that is not finite or beyond {limit:g}")
