"""Tables of several hospitals, and ComBat written on the pooled table: the tests' independent reference."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from sklearn.decomposition import PCA

from harmonization.apply import estimate, harmonise
from harmonization.arrays import Sums
from harmonization.fit import fit
from harmonization.parameters import CombatParameters, CombatSettings
from harmonization.sums import combat_sums


@dataclass(frozen=True)
class Table:
    """A pooled table: covariates (exact in float32), features, and each row's hospital."""

    covariates: np.ndarray
    features: np.ndarray
    hospital: np.ndarray

    @property
    def hospitals(self) -> list[str]:
        return sorted(set(self.hospital.tolist()))

    def at(self, hospital: str) -> tuple[np.ndarray, np.ndarray]:
        rows = self.hospital == hospital
        return self.covariates[rows], self.features[rows]


def make_table(
    seed: int = 0, sizes: tuple[int, ...] = (40, 55, 33), features: int = 30, shift: float = 1.0
) -> Table:
    """Hospitals with shifted and scaled features on scales from 1e-3 to 1e4; a skewed and a binary covariate."""
    rng = np.random.default_rng(seed)
    hospital = np.repeat([f"h{i}" for i in range(len(sizes))], sizes)
    n = len(hospital)
    size_mm = np.round(rng.gamma(3.0, 15.0, n) * 4) / 4  # exact in float32, as neuroHarmonize rounds to it
    sex = (rng.random(n) < 0.4).astype(float)
    c = np.column_stack([size_mm, sex])
    effect = rng.normal(size=(2, features)) * np.array([[0.02], [0.5]])
    code = np.searchsorted(sorted(set(hospital)), hospital)
    location = shift * rng.normal(size=(len(sizes), features))
    spread = np.exp(shift * 0.3 * rng.normal(size=(len(sizes), features)))
    y = c @ effect + location[code] + spread[code] * rng.normal(size=(n, features))
    scale = 10.0 ** rng.uniform(-3, 4, features)
    return Table(c, (y + rng.normal(0, 5, features)) * scale, hospital)


def add(answers: Iterable[Sums]) -> Sums:
    """The total of the hospitals' sums, added in the order given."""
    total: Sums = {}
    for sums in answers:
        if total and total.keys() != sums.keys():
            raise ValueError(f"answers differ in their sums: {sorted(total)} and {sorted(sums)}")
        total = {key: (total[key] + value if total else value.copy()) for key, value in sums.items()}
    return total


def federated(table: Table, settings: CombatSettings, **options: object) -> tuple[np.ndarray, CombatParameters]:
    """The whole protocol on a table split by hospital: sums, total, fit, and every hospital alone."""
    total = add(combat_sums(*table.at(h)) for h in table.hospitals)
    parameters = fit(total, settings, **options)  # type: ignore[arg-type]
    return finish(table, parameters), parameters


def finish(table: Table, parameters: CombatParameters) -> np.ndarray:
    """Every hospital estimates and harmonises its own rows."""
    out = np.empty_like(table.features)
    for h in table.hospitals:
        rows = table.hospital == h
        effect = estimate(*table.at(h), parameters)
        out[rows] = harmonise(*table.at(h), parameters, effect)
    return out


def largest_difference(a: np.ndarray, b: np.ndarray, like: np.ndarray) -> float:
    """The largest |a − b| in standard deviations of each feature of ``like``; missing cells must match."""
    assert np.array_equal(np.isnan(a), np.isnan(b))
    return float(np.nanmax(np.abs(a - b) / np.nanstd(like, axis=0)))


def pooled_regression(
    c: np.ndarray, y: np.ndarray, batch: np.ndarray, penalty: np.ndarray | None = None
) -> tuple[np.ndarray, float, float]:
    """B, grand mean and variance of one feature by least squares with a dummy per batch; cells may be missing."""
    seen = np.isfinite(y)
    dummies = (batch[seen, None] == np.unique(batch[seen])).astype(float)
    design = np.hstack([dummies, c[seen]])
    k = dummies.shape[1]
    if penalty is None:
        solution = np.linalg.lstsq(design, y[seen], rcond=None)[0]
    else:
        full = np.zeros((design.shape[1],) * 2)
        full[k:, k:] = penalty
        solution = np.linalg.solve(design.T @ design + full, design.T @ y[seen])
    grand = float(dummies.mean(axis=0) @ solution[:k])
    variance = float(np.mean((y[seen] - design @ solution) ** 2))
    return solution[k:], grand, variance


def pooled_combat(
    table: Table,
    *,
    empirical_bayes: bool = True,
    parametric: bool = True,
    mean_only: bool = False,
    penalty: np.ndarray | None = None,
    batch: np.ndarray | None = None,
) -> np.ndarray:
    """ComBat on the pooled table, one feature and one batch at a time, in the order of the papers."""
    c, y = table.covariates, table.features
    batch = table.hospital if batch is None else batch
    fits = [pooled_regression(c, y[:, j], batch, penalty) for j in range(y.shape[1])]
    expected = np.column_stack([grand + c @ b for b, grand, _ in fits])
    sigma = np.sqrt([variance for _, _, variance in fits])
    s = (y - expected) / sigma
    out = np.empty_like(y)
    for level in np.unique(batch):
        rows = s[batch == level]
        columns = [rows[np.isfinite(rows[:, j]), j] for j in range(rows.shape[1])]
        g = np.array([x.mean() for x in columns])
        d = np.array([1.0 if mean_only else x.var(ddof=1) for x in columns])
        gamma, delta = g.copy(), d.copy()
        if empirical_bayes and not parametric:
            gamma, delta = _weighted(columns, g, d)
        elif empirical_bayes and mean_only:
            gamma = (g.var(ddof=1) * g + g.mean()) / (g.var(ddof=1) + 1)
        elif empirical_bayes:
            gamma, delta = iterated(columns, g, d)
        out[batch == level] = (rows - gamma) / np.sqrt(delta) * sigma + expected[batch == level]
    return out


def pooled_covbat(table: Table, combat: np.ndarray, explained: float, standardised: bool) -> np.ndarray:
    """CovBat on the pooled table by scikit-learn's PCA, from ComBat's answer."""
    c, y = table.covariates, table.features
    fits = [pooled_regression(c, y[:, j], table.hospital) for j in range(y.shape[1])]
    expected = np.column_stack([grand + c @ b for b, grand, _ in fits])
    sigma = np.sqrt([variance for _, _, variance in fits])
    e = (combat - expected) / sigma
    scale = e.std(axis=0, ddof=1) if standardised else np.ones(e.shape[1])
    centred = (e - e.mean(axis=0)) / scale
    pca = PCA().fit(centred)
    k = int(np.searchsorted(np.cumsum(pca.explained_variance_ratio_), explained)) + 1
    scores = pca.transform(centred)
    plain = Table(np.zeros((len(scores), 0)), scores[:, :k], table.hospital)
    scores[:, :k] = pooled_combat(plain, empirical_bayes=False)
    back: np.ndarray = (pca.inverse_transform(scores) * scale + e.mean(axis=0)) * sigma + expected
    return back


def iterated(columns: list[np.ndarray], g: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """γ* and δ* of one batch from its standardised columns, γ̂ and δ̂."""
    n = np.array([len(x) for x in columns])
    t2, bar, m, v = g.var(ddof=1), g.mean(), d.mean(), d.var(ddof=1)
    a, b = (2 * v + m**2) / v, (m * v + m**3) / v
    gamma, delta = g, d
    while True:
        new_gamma = (t2 * n * g + delta * bar) / (t2 * n + delta)
        squares = np.array([((x - u) ** 2).sum() for x, u in zip(columns, new_gamma, strict=True)])
        new_delta = (0.5 * squares + b) / (n / 2 + a - 1)
        change = max((abs(new_gamma - gamma) / gamma).max(), (abs(new_delta - delta) / delta).max())
        gamma, delta = new_gamma, new_delta
        if not change > 1e-4:
            return gamma, delta


def _weighted(columns: list[np.ndarray], g: np.ndarray, d: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from scipy.special import softmax
    from scipy.stats import norm

    gamma, delta = np.empty_like(g), np.empty_like(d)
    for i, x in enumerate(columns):
        others = np.arange(len(g)) != i
        log_likelihood = norm.logpdf(x[:, None], g[others], np.sqrt(d[others])).sum(axis=0)
        weight = softmax(log_likelihood)
        gamma[i], delta[i] = weight @ g[others], weight @ d[others]
    return gamma, delta
