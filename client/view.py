"""From a hospital's rows and what has been fitted so far to a matrix; cached by hash.

A chain of views (common/query.py) is resolved from its root, `columns`, step by step (client/steps.py).
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np

from client import harmonise, steps, view_rules, view_values
from client.cohort.cohort import Cohort
from client.members import Members
from client.networks.own_state import OwnState, StateInMemory
from client.steps import Fitted, Step
from client.view_bytes import read_view
from common.errors import Code, HospitalError
from common.query import View
from common.splits import INNER
from common.study import Study
from common.variables import INDICATOR, Variable

CACHE_BYTES = 512 * 2**20


def _held_against_own_values(step: Step) -> Step:
    def guarded(matrix: np.ndarray, fitted: Fitted) -> np.ndarray:
        view_values.check_before(matrix, fitted)
        result = step(matrix, fitted)
        view_values.check_after(matrix, result, fitted)
        return result

    return guarded


STEPS: dict[str, Step] = {
    name: _held_against_own_values(step)
    for name, step in {
        "impute": steps.impute,
        "transform": harmonise.transform,
        "combat": harmonise.combat,
        "levels": harmonise.levels,
        "covbat": harmonise.covbat,
        "residuals": harmonise.residual_table,
        "residual_scores": harmonise.residual_scores,
        "select": steps.select,
        "bound": steps.bound,
        "scale": steps.scale,
        "weigh": steps.weigh,
        "linear": steps.linear,
        "blend": steps.linear,
    }.items()
}

_TRANSFORMS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "none": lambda x: x,
    "log10": np.log10,
    "log": np.log,
    "sqrt": np.sqrt,
}


class _Cache:
    """Matrices of all views in this process; the least recently used leave when it is full."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._held = 0
        self._lock = threading.Lock()
        self._matrices: OrderedDict[tuple[str, str, str], np.ndarray] = OrderedDict()

    def get(self, key: tuple[str, str, str]) -> np.ndarray | None:
        with self._lock:
            if key not in self._matrices:
                return None
            self._matrices.move_to_end(key)
            return self._matrices[key]

    def put(self, key: tuple[str, str, str], matrix: np.ndarray) -> None:
        matrix.setflags(write=False)
        with self._lock:
            if key in self._matrices or matrix.nbytes > self._limit:
                return
            self._matrices[key] = matrix
            self._held += matrix.nbytes
            while self._held > self._limit:
                _, dropped = self._matrices.popitem(last=False)
                self._held -= dropped.nbytes


_CACHE = _Cache(CACHE_BYTES)


class KeptViews(Protocol):
    """Where views are kept by their hash: the hospital's store, or a model file."""

    @property
    def path(self) -> Path:
        """The file that holds them."""

    def view(self, view_hash: str) -> bytes:
        """One view, as it travels."""


class Views:
    """The views of one hospital for one study."""

    def __init__(self, members: Members, store: KeptViews, own_state: OwnState | None = None) -> None:
        self._members = members
        self.own_state: OwnState = StateInMemory() if own_state is None else own_state
        self._study: Study = members.study
        self._cohort: Cohort = members.cohort
        self._store = store
        self._key = f"{store.path} {self._study.hash} {self._cohort.digest} {members.guard}"
        self._chains: dict[str, list[View]] = {}
        self._widths: dict[str, int] = {}

    def matrix(self, view_hash: str, split: str) -> np.ndarray:
        """All patients of the cohort as the view shows them for one split; read-only."""
        key = (self._key, view_hash, split)
        matrix = _CACHE.get(key)
        if matrix is None:
            matrix = self._resolve(self.chain(view_hash)[0], split)
            _CACHE.put(key, matrix)
        return matrix

    def chain(self, view_hash: str) -> list[View]:
        """A view and all that it builds on, the root last; HospitalError where the study has no such chain."""
        if view_hash not in self._chains:
            views = [read_view(self._store.view(view_hash))]
            while (parent := views[-1].parent) is not None and len(views) <= view_rules.LONGEST_CHAIN:
                views.append(read_view(self._store.view(parent)))
            self._widths[view_hash] = view_rules.check_chain(views, self._members)
            for view in views:
                view_values.check_numbers(view)
            self._chains |= {view.hash: views[place:] for place, view in enumerate(views)}
        return self._chains[view_hash]

    def width(self, view_hash: str) -> int:
        """How many columns a view has."""
        if view_hash not in self._widths:
            chain = self.chain(view_hash)
            self._widths[view_hash] = view_rules.check_chain(chain, self._members)
        return self._widths[view_hash]

    def fitted(self, view: View, split: str) -> Fitted:
        """One split of a view, at this hospital."""
        if split not in view.splits:
            raise HospitalError(
                Code.BAD_PARAMETERS, f"the view {view.hash} was not fitted for the split {split!r}"
            )
        return Fitted(view, split, self._members)

    def _resolve(self, view: View, split: str) -> np.ndarray:
        if view.parent is None:
            return self._columns([str(name) for name in view.parameters["columns"]])
        if view.step == "stack":
            return self._stacked(view.parent, split)
        if view.step == "network":
            return self._network(view, split)
        return STEPS[view.step](self.matrix(view.parent, split), self.fitted(view, split))

    def _network(self, view: View, split: str) -> np.ndarray:
        from client.networks.scoring import network  # PyTorch is there only where a study has a network

        before, fitted = self.matrix(str(view.parent), split), self.fitted(view, split)
        result = network(before, fitted, self.own_state)
        view_values.check_after(before, result, fitted)
        return result

    def _stacked(self, scores: str, split: str) -> np.ndarray:
        """Scores of which none comes from a model that saw the patient: by inner folds for those trained on."""
        stacked = self.matrix(scores, split).copy()
        for fold in range(self._study.inner_folds()):
            inner = f"{split}{INNER}{fold}"
            chosen = np.flatnonzero(self._members.held_out(inner))
            stacked[chosen] = self.matrix(scores, inner)[chosen]
        return stacked

    def _columns(self, names: list[str]) -> np.ndarray:
        """The raw design: transformed, categories as 0/1 columns, NaN where a value is missing."""
        cohort = self._cohort
        position = {name: index for index, name in enumerate(cohort.feature_names)}
        design = np.empty((len(cohort.ids), len(names)))
        for index, name in enumerate(names):
            design[:, index] = (
                cohort.features[:, position[name]] if name in position else self._clinical_column(name)
            )
        return design

    def _clinical_column(self, name: str) -> np.ndarray:
        """One column of the design that comes from patients.csv."""
        missing_only = name.endswith(INDICATOR)
        source, _, level = name.removesuffix(INDICATOR).partition("=")
        allowed = {*self._study.predictors.clinical, *self._study.preserved()}
        if source not in allowed or source not in self._cohort.columns:
            raise HospitalError(Code.BAD_PARAMETERS, f"the study has no predictor column {name!r}")
        variable: Variable = self._study.variable(source)
        values = self._cohort.columns[source]
        if missing_only:
            return np.isnan(values).astype(np.float64)
        if level:
            if variable.levels is None or level not in variable.levels:
                raise HospitalError(Code.BAD_PARAMETERS, f"{source} has no level {level!r}")
            return np.where(np.isnan(values), np.nan, values == variable.levels.index(level))
        return _TRANSFORMS[variable.transform](values)
