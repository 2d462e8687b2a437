"""impute → harmonise → scale: what comes before the fit, refitted inside every training fold, all in one message.

Rounds: one for the means of known values, one more for regression imputation, one for means and spreads after
imputation. Exact: equal to the pooled computation up to rounding (5e-13 measured). What leaves: counts, sums and
sums of squares a column and fold; for regression, cross-products of the clinical columns.
"""

from dataclasses import dataclass

import numpy as np

from common.query import SMALLEST_CELL, View
from common.study import Study
from common.variables import INDICATOR
from server.federation import Federation
from server.methods.combat import Harmonised, harmonise
from server.methods.layout import Layout, lay_out

CONSTANT = 1e-12
"""A column whose spread is below this share of its mean is constant: what is left is rounding."""

ROUNDING = 1e-7
"""The same for a spread from uncentred squares, which lose half the digits."""


@dataclass(frozen=True)
class Prepared:
    """The fitted pipeline: a view to standardised columns, and what happened on the way."""

    view: str
    columns: tuple[str, ...]
    fill: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    known: np.ndarray
    rows: np.ndarray
    notes: tuple[str, ...]
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
    harmonising = study.harmonisation.method != "none" and bool(features)
    layout = lay_out(study, design, features, gaps_to_keep) if harmonising else None
    open_gaps = list(layout.incomplete) if layout else []
    imputed = federation.keep(_imputation(federation, study, design, raw, known, mean, spread, open_gaps))
    harmonised = harmonise(federation, study, layout, imputed, mean, spread) if layout else None
    view = harmonised.view if harmonised else imputed
    if only_preserved:
        chosen = {"columns": list(range(len(columns)))}
        view = federation.keep(View(step="select", parent=view, splits=splits, parameters=chosen))
    return _scale(
        federation, study, columns, view, known[:, : len(columns)], mean[:, : len(columns)], harmonised, layout
    )


def _scale(
    federation: Federation,
    study: Study,
    columns: tuple[str, ...],
    view: str,
    known: np.ndarray,
    mean: np.ndarray,
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
    notes = _notes_on_constants(columns, spread, known)
    rare = _rare_columns(study, columns, centre, rows)
    spread[rare] = 0.0
    notes += [
        f"{columns[j]}: fewer than {SMALLEST_CELL} patients in total differ from the rest; left out of the model"
        for j in np.flatnonzero(rare[0])
    ]
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
    )


def _spread(variance: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Standard deviations; 0 where nothing but rounding is left."""
    spread: np.ndarray = np.sqrt(np.maximum(variance, 0.0))
    spread[spread <= CONSTANT * np.abs(mean)] = 0.0
    return spread


def _imputation(
    federation: Federation,
    study: Study,
    columns: tuple[str, ...],
    raw: str,
    known: np.ndarray,
    mean: np.ndarray,
    spread: np.ndarray,
    open_gaps: list[int],
) -> View:
    """The imputation step: means, and regression coefficients where the study asks for them."""
    splits = federation.splits
    fill = mean.copy()
    fill[:, open_gaps] = np.nan
    clinical = [j for j, c in enumerate(columns) if _is_clinical(study, c)]
    gaps = [j for j in clinical if (known[:, j] < known.max(axis=1)).any()]
    if study.imputation.method == "mean" or not gaps or len(clinical) < 2:
        return View(step="impute", parent=raw, splits=splits, arrays={"fill": fill})
    spread = np.where(spread > ROUNDING * np.abs(mean), spread, 0.0)
    chosen = {"targets": gaps, "predictors": clinical}
    sums = federation.ask(
        "cross_products", view=raw, splits=splits, parameters=chosen, arrays={"fill": mean, "spread": spread}
    ).sums
    coefficients = np.zeros((len(splits), len(gaps), 1 + len(clinical)))
    for s in range(len(splits)):
        scale = np.where(spread[s] > 0, spread[s], 1.0)
        for t, target in enumerate(gaps):
            standard = _least_squares(sums["gram"][s, t], sums["product"][s, t])
            slopes = standard[1:] * scale[target] / scale[clinical]
            coefficients[s, t, 1:] = slopes
            coefficients[s, t, 0] = mean[s, target] + standard[0] * scale[target] - slopes @ mean[s, clinical]
    return View(
        step="impute",
        parent=raw,
        splits=splits,
        parameters=chosen,
        arrays={"fill": fill, "coefficients": coefficients},
    )


def _least_squares(gram: np.ndarray, product: np.ndarray) -> np.ndarray:
    """The smallest solution of the normal equations; directions without information get no weight."""
    values, vectors = np.linalg.eigh(gram)
    informative = values > 1e-10 * max(values[-1], 1e-300)
    return vectors[:, informative] @ ((vectors[:, informative].T @ product) / values[informative])


def _is_clinical(study: Study, column: str) -> bool:
    return not column.endswith(INDICATOR) and column.partition("=")[0] in study.predictors.clinical


def _notes_on_constants(columns: tuple[str, ...], spread: np.ndarray, known: np.ndarray) -> list[str]:
    """Columns without spread in all rows, or only in some folds, in words."""
    notes = []
    for j, column in enumerate(columns):
        without = int((spread[:, j] == 0).sum())
        if known[0, j] == 0:
            notes.append(f"{column}: no hospital knows a value; left out of the model")
        elif spread[0, j] == 0 and not column.endswith(INDICATOR):
            notes.append(f"{column}: the same value everywhere; left out of the model")
        elif without and not column.endswith(INDICATOR):
            notes.append(f"{column}: the same value in the training rows of {without} splits; left out there")
    return notes


def _rare_columns(study: Study, columns: tuple[str, ...], centre: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """0/1 columns with fewer than five carriers (or non-carriers) in total: they would expose a row."""
    two_valued = np.array([_is_two_valued(study, column) for column in columns])
    carriers = centre * rows[:, None]
    scarce = np.minimum(carriers, rows[:, None] - carriers) < SMALLEST_CELL - 1e-6
    return scarce & two_valued


def _is_two_valued(study: Study, column: str) -> bool:
    if column.endswith(INDICATOR) or "=" in column:
        return True
    return _is_clinical(study, column) and study.variable(column).type == "binary"
