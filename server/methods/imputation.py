"""What fills the gaps: means, or regression of a clinical column on the other clinical columns.

One set of rows serves all targets: R, where every target is known. Products over a set of rows of each target's own
would show, by subtraction, the patients in which two sets differ. R is counted before it is used: it and every
total that could be subtracted from it are the same rows or ten patients and more apart; a column for which that
does not hold is filled with its mean, and said. Rounds: one or a few for the counts, one for the products.
Exact: with one target, the pooled regression on the rows where it is known (tests/server/test_studies.py).
Mirrored by client/queries/cross_products.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.dimension import patients_needed
from common.query import SMALLEST_DIFFERENCE, SMALLEST_ROW_SET, View
from server.federation import Federation

ROUNDING = 1e-7
"""A spread from uncentred squares below this share of the mean is rounding: squares lose half the digits."""


@dataclass(frozen=True)
class _Chosen:
    """Columns whose gaps are predicted, the columns that predict them, and what to say of the others."""

    targets: tuple[int, ...]
    predictors: tuple[int, ...]
    notes: tuple[str, ...]


def mean_imputation(raw: str, splits: tuple[str, ...], mean: np.ndarray, open_gaps: Sequence[int]) -> View:
    """Every gap filled with the column's mean, but for columns whose gaps stay open."""
    fill = mean.copy()
    fill[:, list(open_gaps)] = np.nan
    return View(step="impute", parent=raw, splits=splits, arrays={"fill": fill})


def regression_imputation(
    federation: Federation,
    columns: Sequence[str],
    clinical: Sequence[int],
    raw: str,
    known: np.ndarray,
    mean: np.ndarray,
    spread: np.ndarray,
    open_gaps: Sequence[int],
) -> tuple[View, tuple[str, ...]]:
    """The imputation step, and which columns could not be predicted.

    Parameters
    ----------
    clinical
        Numbers of the columns that may take part.
    known, mean, spread
        Of all columns, splits × columns, from the first totals.
    """
    splits = federation.splits
    by_mean = mean_imputation(raw, splits, mean, open_gaps)
    chosen = _choose(federation, columns, clinical, raw, known)
    predictors, targets = list(chosen.predictors), chosen.targets
    if not targets or len(predictors) < 2:
        return by_mean, chosen.notes
    spread = np.where(spread > ROUNDING * np.abs(mean), spread, 0.0)
    asked = {"targets": list(targets), "predictors": predictors}
    gram = federation.ask(
        "cross_products", view=raw, splits=splits, parameters=asked, arrays={"fill": mean, "spread": spread}
    ).sums["gram"]
    coefficients = np.zeros((len(splits), len(targets), 1 + len(predictors)))
    for s in range(len(splits)):
        scale = np.where(spread[s] > 0, spread[s], 1.0)
        for t, target in enumerate(targets):
            own = 1 + predictors.index(target)
            others = [j for j in range(1 + len(predictors)) if j != own]
            standard = np.zeros(1 + len(predictors))
            standard[others] = _least_squares(gram[s][np.ix_(others, others)], gram[s][others, own])
            slopes = standard[1:] * scale[target] / scale[predictors]
            coefficients[s, t, 1:] = slopes
            coefficients[s, t, 0] = mean[s, target] + standard[0] * scale[target] - slopes @ mean[s, predictors]
    arrays = {**by_mean.arrays, "coefficients": coefficients}
    return View(step="impute", parent=raw, splits=splits, parameters=asked, arrays=arrays), chosen.notes


def _choose(
    federation: Federation, columns: Sequence[str], clinical: Sequence[int], raw: str, known: np.ndarray
) -> _Chosen:
    """Ask how many rows are complete in the targets, and give up targets until no difference is too small."""
    splits, notes = federation.splits, list[str]()
    targets = [j for j in clinical if (known[:, j] < known.max(axis=1)).any()]
    while targets:
        asked = {"targets": targets, "columns": list(clinical)}
        sums = federation.ask("complete_rows", view=raw, splits=splits, parameters=asked).sums
        rows, complete, inside = sums["rows"], sums["complete"], dict(zip(clinical, sums["known"].T, strict=True))
        few_gaps = [j for j in targets if (rows - known[:, j] < SMALLEST_DIFFERENCE).any()]
        close = [j for j in targets if _too_close(known[:, j] - complete)]
        allowed = max(SMALLEST_ROW_SET, patients_needed(len(clinical) + 1))
        too_few = targets if (complete < allowed).any() else []
        # One at a time, the one with most gaps: the others' rows grow when it goes.
        failed = few_gaps or sorted(close or too_few, key=lambda j: known[0, j])[:1]
        if not failed:
            near = [j for j in clinical if j not in targets and _too_close(known[:, j] - inside[j])]
            notes += [f"{columns[j]}: too few patients apart to help to predict other columns' gaps" for j in near]
            return _Chosen(tuple(targets), tuple(j for j in clinical if j not in near), tuple(notes))
        notes += [
            f"{columns[j]}: its gaps were filled with the mean; a regression would rest on sums that differ by "
            f"fewer than {SMALLEST_DIFFERENCE} patients, or on fewer than {allowed}"
            for j in failed
        ]
        targets = [j for j in targets if j not in failed]
    return _Chosen((), (), tuple(notes))


def _too_close(difference: np.ndarray) -> bool:
    """Whether two sets of rows differ by one to nine patients in some split."""
    return bool(((difference > 0.5) & (difference < SMALLEST_DIFFERENCE - 0.5)).any())


def _least_squares(gram: np.ndarray, product: np.ndarray) -> np.ndarray:
    """The smallest solution of the normal equations; directions without information get no weight."""
    values, vectors = np.linalg.eigh(gram)
    informative = values > 1e-10 * max(values[-1], 1e-300)
    return vectors[:, informative] @ ((vectors[:, informative].T @ product) / values[informative])
