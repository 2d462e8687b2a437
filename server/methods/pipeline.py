"""impute → harmonise → scale: what comes before the fit, refitted inside every training fold, all in one message.

Rounds: one for the means of known values, two more for regression imputation, one for means and spreads after
imputation. Exact: equal to the pooled computation up to rounding (5e-13 measured). What leaves: counts, sums and
sums of squares a column and fold; for regression, cross-products of the clinical columns. Two-valued columns that
too few patients carry are left out before the first cross-product (server/methods/rare.py).
"""

from dataclasses import dataclass, field, replace

import numpy as np

from common.query import View
from common.study import Study
from common.variables import INDICATOR
from server.federation import Federation
from server.methods.combat import Harmonised, harmonise
from server.methods.imputation import mean_imputation, regression_imputation
from server.methods.layout import Layout, lay_out
from server.methods.rare import rare_columns

CONSTANT = 1e-12
"""A column whose spread is below this share of its mean is constant: what is left is rounding."""


@dataclass(frozen=True)
class Prepared:
    """The fitted pipeline: a view to standardised columns, and what happened on the way.

    `design` names the model's columns and, after them, covariates that only harmonisation uses; `carriers` holds
    the sum of their known values in every split's training rows: for a 0/1 column, how many patients have it; `rare`
    marks those of the model's columns that too few patients carry.
    """

    view: str
    columns: tuple[str, ...]
    fill: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    known: np.ndarray
    rows: np.ndarray
    notes: tuple[str, ...]
    design: tuple[str, ...] = ()
    carriers: np.ndarray = field(default_factory=lambda: np.zeros((0, 0)))
    rare: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=bool))
    harmonised: Harmonised | None = None
    layout: Layout | None = None

    @property
    def used(self) -> np.ndarray:
        """Splits × columns: whether a column takes part; constant and too rare ones do not."""
        return self.spread > 0


def design_columns(study: Study, features: tuple[str, ...]) -> tuple[str, ...]:
    """The columns of the model: clinical columns, their indicators, features."""
    clinical = [c for name in study.predictors.clinical for c in study.variable(name).columns(name)]
    indicators = [f"{name}{INDICATOR}" for name in study.predictors.clinical] if study.imputation.indicator else []
    return (*clinical, *indicators, *features)


def prepare(
    federation: Federation, study: Study, features: tuple[str, ...], gaps_to_keep: frozenset[str] = frozenset()
) -> Prepared:
    """Fit imputation, harmonisation and scaling on the training rows of every split.

    Parameters
    ----------
    gaps_to_keep
        Features whose missing values harmonisation works round, feature by feature; the rest is imputed first.
    """
    columns = design_columns(study, features)
    only_preserved = [
        c for name in study.preserved() for c in study.variable(name).columns(name) if c not in columns
    ]
    design = (*columns, *only_preserved)
    splits = federation.splits
    raw = federation.keep(View(step="columns", parameters={"columns": list(design)}))
    nowhere = np.zeros((len(splits), len(design)))
    first = federation.ask("moments", view=raw, splits=splits, arrays={"centre": nowhere}).sums
    known = first["known"]
    mean = first["first"] / np.maximum(known, 1)
    spread = _spread(first["second"] / np.maximum(known, 1) - mean**2, mean)
    rare = rare_columns(study, design, known, first["first"], first["second"])
    # What fills a rare column's gaps is the common value: its mean would tell every hospital the number of carriers.
    mean = np.where(rare.columns, np.rint(mean), mean)
    left_out = frozenset(c for c, out in zip(design, rare.columns, strict=True) if out)
    kept = tuple(f for f in features if f not in left_out)
    layout = None
    if study.harmonisation.method != "none" and kept:
        layout = lay_out(study, tuple(design), kept, gaps_to_keep, left_out)
    imputation, said = mean_imputation(raw, splits, mean, layout.incomplete if layout else ()), tuple[str, ...]()
    clinical = [j for j, c in enumerate(design) if _is_clinical(study, c) and not rare.columns[j]]
    if study.imputation.method == "regression" and len(clinical) > 1:
        imputation, said = regression_imputation(
            federation, design, clinical, raw, known, mean, spread, layout.incomplete if layout else ()
        )
    imputed = federation.keep(imputation)
    harmonised = harmonise(federation, study, layout, imputed, mean, spread) if layout else None
    view = harmonised.view if harmonised else imputed
    width = len(columns)
    if only_preserved:
        chosen = {"columns": list(range(width))}
        view = federation.keep(View(step="select", parent=view, splits=splits, parameters=chosen))
    prepared = _scale(
        federation, columns, view, known[:, :width], mean[:, :width], rare.columns[:width], harmonised, layout
    )
    return replace(prepared, design=design, carriers=first["first"], notes=(*rare.notes, *said, *prepared.notes))


def _scale(
    federation: Federation,
    columns: tuple[str, ...],
    view: str,
    known: np.ndarray,
    mean: np.ndarray,
    rare: np.ndarray,
    harmonised: Harmonised | None,
    layout: Layout | None,
) -> Prepared:
    """Means and spreads of the columns as they are now; gaps that are still open get the mean."""
    splits = federation.splits
    sums = federation.ask("moments", view=view, splits=splits, arrays={"centre": mean}).sums
    rows = sums["known"].max(axis=1)
    shift = sums["first"] / np.maximum(sums["known"], 1)
    centre = mean + shift
    # A gap filled with the mean adds a row but no deviation.
    spread = _spread((sums["second"] - sums["known"] * shift**2) / rows[:, None], centre)
    spread[known == 0] = 0.0
    notes = _notes_on_constants(columns, spread, known, rare)
    spread[:, rare] = 0.0
    centre[:, rare] = mean[:, rare]
    if layout and layout.incomplete:
        view = federation.keep(View(step="impute", parent=view, splits=splits, arrays={"fill": centre}))
    scaled = View(step="scale", parent=view, splits=splits, arrays={"centre": centre, "spread": spread})
    return Prepared(
        view=federation.keep(scaled),
        columns=columns,
        fill=mean,
        centre=centre,
        spread=spread,
        known=known,
        rows=rows,
        notes=(*notes, *(harmonised.notes if harmonised else ())),
        harmonised=harmonised,
        layout=layout,
        rare=rare,
    )


def _spread(variance: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Standard deviations; 0 where nothing but rounding is left."""
    spread: np.ndarray = np.sqrt(np.maximum(variance, 0.0))
    spread[spread <= CONSTANT * np.abs(mean)] = 0.0
    return spread


def _is_clinical(study: Study, column: str) -> bool:
    return not column.endswith(INDICATOR) and column.partition("=")[0] in study.predictors.clinical


def _notes_on_constants(
    columns: tuple[str, ...], spread: np.ndarray, known: np.ndarray, rare: np.ndarray
) -> list[str]:
    """Columns without spread in all rows, or only in some folds, in words."""
    notes = []
    for j, column in enumerate(columns):
        without = int((spread[:, j] == 0).sum())
        if known[0, j] == 0:
            notes.append(f"{column}: no hospital knows a value; left out of the model")
        elif rare[j]:
            continue
        elif spread[0, j] == 0 and not column.endswith(INDICATOR):
            notes.append(f"{column}: the same value everywhere; left out of the model")
        elif without and not column.endswith(INDICATOR):
            notes.append(f"{column}: the same value in the training rows of {without} splits; left out there")
    return notes
