"""What the arrays of a view must look like: which there are, and their shapes, by the step and the study."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from client.members import Members
from client.view_bounds import LARGEST, LARGEST_VARIANCE, column_numbers, refuse
from common.outcomes import HorizonOutcome
from common.query import View
from common.study import Study


@dataclass
class Design:
    """The columns that a chain has reached, and which shared levels it has harmonised."""

    members: Members
    names: list[str] = field(default_factory=list)
    variables: list[str] = field(default_factory=list)
    width: int = 0

    @property
    def study(self) -> Study:
        """The study that a view is held against."""
        return self.members.study

    def lines(self) -> int:
        """How many linear predictors the study's models have together."""
        return len(self.study.models()) * self.study.lines()

    def arrays(self, view: View) -> Mapping[str, tuple[int, ...]]:
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
            return {"beta": (self.lines(), width + 1)}
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

    def _next_variable(self, variable: object) -> None:
        wanted = self.study.harmonisation.levels
        if len(self.variables) >= len(wanted) or variable != wanted[len(self.variables)]:
            refuse(f"levels: expected the variables {wanted}, in this order, each once")
        self.variables.append(str(variable))


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


def check_arrays(view: View, shapes: Mapping[str, tuple[int, ...]]) -> None:
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
