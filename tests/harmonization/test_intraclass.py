"""ICC(1,1) from hospitals' sums equals the pooled analysis of variance with patients nested in hospitals."""

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy import stats

from harmonization.intraclass import intraclass, intraclass_sums

SIZES = {"alder": 31, "birch": 14, "cedar": 22, "dogwood": 18}


def pooled_anova(measured: list[np.ndarray]) -> tuple[float, float, float]:
    """ICC(1,1) and its 95 % limits (McGraw & Wong, table 7) of one feature, patients nested in hospitals.

    By least squares on the pooled table, as a statistician who had all the data would.
    """
    rows = [
        {"hospital": h, "patient": f"{h}/{i}", "x": x}
        for h, values in enumerate(measured)
        for i, patient in enumerate(values)
        for x in patient
    ]
    table, k = pd.DataFrame(rows), measured[0].shape[1]
    within = smf.ols("x ~ C(patient)", table).fit()
    hospitals = smf.ols("x ~ C(hospital)", table).fit()
    between_df = hospitals.df_resid - within.df_resid
    ms_between = (hospitals.ssr - within.ssr) / between_df
    ms_within = within.ssr / within.df_resid
    f = ms_between / ms_within
    low = f / stats.f.ppf(0.975, between_df, within.df_resid)
    high = f * stats.f.ppf(0.975, within.df_resid, between_df)
    icc = (ms_between - ms_within) / (ms_between + (k - 1) * ms_within)
    return icc, (low - 1) / (low + k - 1), (high - 1) / (high + k - 1)


def repeated(k: int, features: int, seed: int = 3) -> dict[str, np.ndarray]:
    """Patients × k × features at every hospital, from unstable to stable, of any size and with hospital effects."""
    rng = np.random.default_rng(seed)
    size = 10.0 ** rng.uniform(-6, 8, features)
    noise = np.linspace(0.05, 2.0, features)
    found = {}
    for name, n in SIZES.items():
        patients = rng.normal(size=(n, 1, features)) + rng.normal(0, 5, features)
        found[name] = size * (100 + patients + noise * rng.normal(size=(n, k, features)))
    return found


def totals(measured: dict[str, np.ndarray], fewest: int = 10) -> dict[str, np.ndarray]:
    sums = [intraclass_sums(values, fewest) for values in measured.values()]
    return {key: np.sum([own[key] for own in sums], axis=0) for key in sums[0]}


@pytest.mark.parametrize("k", [2, 4])
def test_icc_from_sums_is_that_of_the_pooled_analysis_of_variance(k: int) -> None:
    measured = repeated(k, 8)
    found = intraclass(totals(measured), k)
    for j in range(8):
        expected = pooled_anova([values[:, :, j] for values in measured.values()])
        np.testing.assert_allclose((found.icc[j], found.low[j], found.high[j]), expected, rtol=1e-12, atol=1e-12)


def test_gaps_leave_out_a_patient_of_that_feature_alone() -> None:
    measured = repeated(3, 2)
    measured["cedar"][4, 1, 0] = np.nan
    found = intraclass(totals(measured), 3)
    for j, lacking in ((0, [4]), (1, [])):
        complete = [np.delete(v, lacking if name == "cedar" else [], axis=0) for name, v in measured.items()]
        expected = pooled_anova([values[:, :, j] for values in complete])
        assert found.icc[j] == pytest.approx(expected[0], abs=1e-12)


def test_what_differs_between_hospitals_is_no_stability() -> None:
    rng = np.random.default_rng(1)
    noise = {name: 1000 * h + rng.normal(size=(n, 4, 1)) for h, (name, n) in enumerate(SIZES.items())}
    assert abs(intraclass(totals(noise), 4).icc[0]) < 0.15
    one_room = intraclass(intraclass_sums(np.concatenate([*noise.values()]), 10), 4)
    assert one_room.icc[0] > 0.99  # what patients of all hospitals in one heap would say


def test_fewer_than_ten_patients_send_zeros_feature_by_feature() -> None:
    measured = np.random.default_rng(0).normal(size=(10, 2, 2))
    measured[3, 1, 1] = np.nan
    sums = intraclass_sums(measured, 10)
    assert sums["patients"].tolist() == [10, 0]
    assert sums["hospitals"].tolist() == [1, 0]
    assert [bool(sums[key][0] > 0) for key in ("between", "within")] == [True, True]
    assert [float(sums[key][1]) for key in ("between", "within")] == [0, 0]


def test_a_feature_that_never_varies_has_no_icc_and_one_without_error_has_one() -> None:
    constant = np.full((12, 3, 1), 7.0)
    exact = np.repeat(np.arange(12.0)[:, None, None], 3, axis=1)
    assert np.isnan(intraclass(intraclass_sums(constant, 10), 3).icc[0])
    assert intraclass(intraclass_sums(exact, 10), 3).icc[0] == 1.0
