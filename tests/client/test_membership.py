"""The attack of the membership-inference audit: its figures are those of all pairs, and it finds what it should."""

from collections.abc import Callable

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.preprocessing import StandardScaler

from client.membership import Attacked, attack, caught, won

Fitted = tuple[dict[str, np.ndarray], dict[str, np.ndarray], np.ndarray]


def fit(patients: int, columns: int, ridge: float, repeats: int = 1, seed: int = 0) -> Fitted:
    """Every fold's model on part of the breast-cancer set, a quarter of its outcomes turned: as hard as radiomics."""
    x, y = load_breast_cancer(return_X_y=True)
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(y))[:patients]
    x, y = StandardScaler().fit_transform(x[chosen])[:, :columns], y[chosen].astype(float)
    y = np.where(rng.random(patients) < 0.25, 1 - y, y)
    scores, held_out = {}, {}
    for repeat in range(repeats):
        folds = StratifiedKFold(5, shuffle=True, random_state=repeat).split(x, y)
        for fold, (training, tested) in enumerate(folds):
            model = LogisticRegression(C=1 / ridge, max_iter=5000).fit(x[training], y[training])
            split = f"kfold/{repeat}/{fold}"
            scores[split] = model.decision_function(x)
            held_out[split] = np.isin(np.arange(patients), tested)
    return scores, held_out, y


def attacked(fitted: Fitted, without: np.ndarray | None = None) -> Attacked:
    scores, held_out, outcome = fitted
    if without is not None:
        scores = scores | {"leave_one_hospital_out/here": without}
    found = attack(tuple(scores), scores.__getitem__, lambda split: ~held_out[split], outcome, "here")
    assert found is not None
    return found


def pairs_of(found: Attacked, without: int | None = None) -> tuple[float, int]:
    """Won pairs and pairs, one by one."""
    won_pairs, pairs = 0.0, 0
    for score, member in zip(found.score, found.member, strict=True):
        kept = np.arange(len(member)) != (-1 if without is None else without)
        inside, outside = score[member & kept], score[~member & kept]
        won_pairs += (inside[:, None] > outside).sum() + 0.5 * (inside[:, None] == outside).sum()
        pairs += len(inside) * len(outside)
    return won_pairs, pairs


def test_the_auc_is_that_of_all_pairs_and_its_variance_the_jackknifes() -> None:
    found = attacked(fit(60, 5, 1.0, repeats=2))
    found.score[:, ::7] = 0.25  # ties
    result = won(found)
    assert result is not None
    total, pairs = pairs_of(found)
    assert (result.pairs, result.value) == (pairs, pytest.approx(total / pairs, abs=1e-14))
    leaving = [pairs_of(found, without=i) for i in range(60)]
    values = np.array([w / p for w, p in leaving])
    assert result.variance == pytest.approx(59 / 60 * ((values - values.mean()) ** 2).sum(), rel=1e-9)
    shares = [(total - w) / (pairs - p) for w, p in leaving]
    assert result.by_patient == pytest.approx(shares, abs=1e-12)


def test_a_patient_that_every_model_finds_easy_is_not_found() -> None:
    scores, held_out, outcome = fit(100, 3, 1.0)
    alike = dict.fromkeys(scores, scores["kfold/0/0"])
    result = won(attacked((alike, held_out, outcome)))
    assert result is not None
    assert result.value == pytest.approx(0.5, abs=1e-12)
    assert result.variance == pytest.approx(0, abs=1e-20)


@pytest.mark.parametrize(("repeats", "least"), [(1, 0.55), (3, 0.65)])
def test_a_model_of_nearly_as_many_columns_as_patients_is_attacked(repeats: int, least: float) -> None:
    result = won(attacked(fit(50, 30, 1.0, repeats)))
    assert result is not None
    assert result.value - 2 * np.sqrt(result.variance) > 0.5
    assert result.value > least


@pytest.mark.parametrize("repeats", [1, 3])
def test_a_model_of_few_columns_and_many_patients_hides_its_patients(repeats: int) -> None:
    result = won(attacked(fit(560, 2, 10.0, repeats)))
    assert result is not None
    assert abs(result.value - 0.5) < 0.03


def test_a_strong_ridge_hides_most_but_not_from_the_stronger_attack() -> None:
    """Ranks do not change with the scale of a model: what is left of a ridge that grows is the columns' directions."""

    def mean_auc(ridge: float, repeats: int) -> float:
        found = [won(attacked(fit(50, 30, ridge, repeats, seed))) for seed in range(4)]
        return float(np.mean([result.value for result in found if result is not None]))

    weak, strong = mean_auc(1.0, 1), mean_auc(1e4, 1)
    assert 0.5 < strong < 0.54 < 0.58 < weak
    assert mean_auc(1e4, 3) > 0.57


def test_more_repeats_make_the_stronger_attack() -> None:
    plain, ratio = (won(attacked(fit(50, 30, 1.0, repeats))) for repeats in (1, 4))
    assert plain is not None
    assert ratio is not None
    assert ratio.value > plain.value + 0.05


def test_a_model_without_the_hospital_takes_out_how_hard_a_patient_is() -> None:
    scores, held_out, outcome = fit(80, 4, 1.0)
    elsewhere = np.mean(list(scores.values()), axis=0)
    found = attacked((scores, held_out, outcome), elsewhere)
    assert found.attack == "calibrated"
    sign = 2 * outcome - 1
    for row, split in zip(found.score, found.splits, strict=True):
        gain = sign * (scores[split] - elsewhere)
        for value in (0, 1):
            expected = gain[outcome == value] - gain[outcome == value].mean()
            assert row[outcome == value] == pytest.approx(expected, abs=1e-12)


def test_accusations_keep_to_the_share_of_false_ones() -> None:
    found = attacked(fit(100, 10, 1.0))
    for allowed in (0.01, 0.1):
        who = caught(found, allowed)
        assert who is not None
        assert (who.others, who.members) == (100, 400)
        assert who.accused_others == int(100 * allowed)
        threshold = np.sort(found.score[~found.member])[-who.accused_others - 1]
        assert who.accused_members == (found.score[found.member] > threshold).sum()
    assert caught(found, 0.001) is None


def test_without_a_model_that_holds_somebody_out_there_is_no_attack() -> None:
    scores: dict[str, np.ndarray] = {"final": np.zeros(3), "leave_one_hospital_out/here": np.zeros(3)}
    masks: Callable[[str], np.ndarray] = lambda _: np.ones(3, dtype=bool)  # noqa: E731
    assert attack(tuple(scores), scores.__getitem__, masks, np.array([0.0, 1, 1]), "here") is None
