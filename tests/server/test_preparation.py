"""Standard scales and habitats learnt from hospitals' sums are those of the pooled voxels."""

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy.stats import multivariate_normal
from sklearn.cluster import KMeans

from client.app import LOG
from client.cohort.images_file import ImagesFile
from client.cohort.samples import LANDMARKS, VOXELS
from client.extraction.results import Extraction, Row
from client.extraction_run.kept import open_kept
from client.site import open_site
from common.errors import HospitalLost, StudyError, StudyStopped
from common.features import NYUL_PERCENTILES
from common.query import View
from common.study import Study
from deploy.simulation.grid import OneProcessGrid
from deploy.simulation.preparing import Prepared, prepared_text
from deploy.simulation.simulate import Simulation, find_hospitals, hospitals_app, simulate
from server.checkpoint import Checkpoint
from server.federation import FlowerFederation
from server.hospitals import Hospitals
from server.methods.habitats import ask_moments, k_means, mixture, start
from server.preparation_run import Step, learn_next
from server.progress import Silence
from server.roll_call import roll_call
from tests.hospitals_on_disk import study as asked_of

SIZES = {"alder": 12, "birch": 14, "cedar": 17}
PHASES = {"arterial": {"modality": "CT"}, "portal": {"modality": "CT"}}
Patients = dict[str, list[np.ndarray]]


def study_of(**features: Any) -> Study:
    return asked_of(predictors={"clinical": ["age"], "radiomics": "all"}, features={"phases": PHASES} | features)


def with_habitats(**habitats: Any) -> Study:
    return study_of(habitats={"phases": ["arterial", "portal"], "number": 3, **habitats})


def mixed_voxels(seed: int = 1, equal: bool = False) -> Patients:
    """Tumours of three tissues; not every patient has all, nor as many voxels."""
    rng = np.random.default_rng(seed)
    tissues = np.array([[40.0, 60.0], [95.0, 80.0], [110.0, 150.0]])
    patients: Patients = {}
    for hospital, number in SIZES.items():
        patients[hospital] = []
        for _ in range(number):
            voxels = 200 if equal else int(rng.integers(60, 400))
            tissue = rng.choice(3, size=voxels, p=rng.dirichlet([2.0, 1.5, 1.0]))
            patients[hospital].append(tissues[tissue] + rng.normal(0, [9, 14], (voxels, 2)))
    return patients


def write(folder: Path, study: Study, samples: Patients, measurement: str) -> Simulation:
    """Hospitals whose stores hold these samples, as if they had been taken from images."""
    assert study.features is not None
    for hospital, arrays in samples.items():
        names = [f"{hospital}-{number}" for number in range(len(arrays))]
        table = {"id": names, "age": range(40, 40 + len(names)), "mvi": np.arange(len(names)) % 2}
        (folder / hospital).mkdir(parents=True, exist_ok=True)
        pd.DataFrame(table).to_csv(folder / hospital / "patients.csv", index=False)
        site = open_site(folder / hospital)
        with open_kept(site.extracted_in, site.images, ImagesFile(), study.features) as kept:
            for name, array in zip(names, arrays, strict=True):
                (site.images / name).mkdir(parents=True, exist_ok=True)
                (site.images / name / "portal.nii.gz").write_text(name)
                values = {str(number): float(value) for number, value in enumerate(array.ravel())}
                kept.keep(kept.key(name), name, Extraction([Row(0, values, measurement)]), 0.1)
    return Simulation(study, find_hospitals(folder), folder.parent / "out")


def learn(simulation: Simulation) -> Step:
    with closing(OneProcessGrid(hospitals_app(simulation), list(simulation.folders))) as grid:
        return learn_next(simulation.study, grid, simulation.out / "checkpoint.sqlite", Silence())


def log_of(simulation: Simulation, hospital: str) -> str:
    return (simulation.own_folder(hospital) / LOG).read_text()


class Pooled:
    """A Federation that has every hospital's voxels; it knows the rules, not how anything is fitted."""

    def __init__(self, patients: Patients) -> None:
        self.every = [voxels for arrays in patients.values() for voxels in arrays]
        self.voxels = np.concatenate(self.every)
        self.weights = np.concatenate([np.full(len(v), 1 / len(v)) for v in self.every])


class Conversation:
    """A federation over hospital folders, to ask single methods of."""

    def __init__(self, folder: Path, study: Study, samples: Patients) -> None:
        simulation = write(folder / "hospitals", study, samples, VOXELS)
        self.grid = OneProcessGrid(hospitals_app(simulation), list(simulation.folders))
        checkpoint = Checkpoint(simulation.out / "checkpoint.sqlite")
        hospitals = Hospitals(self.grid, 5, Silence())
        present = roll_call(hospitals, study, None)
        self.federation = FlowerFederation(hospitals, study, present.roster, checkpoint, Silence())


def test_k_means_over_hospitals_is_scikit_learns_on_the_pooled_voxels(tmp_path: Path) -> None:
    samples = mixed_voxels()
    federation = Conversation(tmp_path, with_habitats(), samples).federation
    moments = ask_moments(federation, 2)
    begin = start(moments, 3)
    fit = k_means(federation, begin, moments, 40)

    pooled = Pooled(samples)
    mean = np.average(pooled.voxels, axis=0, weights=pooled.weights)
    covariance = np.cov(pooled.voxels.T, aweights=pooled.weights, ddof=0)
    np.testing.assert_allclose(moments.mean, mean, rtol=1e-12)
    np.testing.assert_allclose(moments.covariance, covariance, rtol=1e-11)
    spreads = np.sqrt(np.diag(covariance))
    expected = KMeans(3, init=begin / spreads, n_init=1, algorithm="lloyd", tol=0, max_iter=300)
    expected.fit(pooled.voxels / spreads, sample_weight=pooled.weights)
    assert fit.converged
    np.testing.assert_allclose(fit.centres, expected.cluster_centers_ * spreads, rtol=1e-9)
    assert fit.within * moments.patients == pytest.approx(expected.inertia_, rel=1e-9)


def test_mixture_over_hospitals_is_the_pooled_mixture(tmp_path: Path) -> None:
    samples = mixed_voxels(seed=3)
    federation = Conversation(tmp_path, with_habitats(method="gmm", iterations=30), samples).federation
    moments = ask_moments(federation, 2)
    begin = k_means(federation, start(moments, 3), moments, 10)
    fit = mixture(federation, begin, moments, 12)

    pooled = Pooled(samples)
    centres, covariances, shares = begin.centres, begin.covariances, begin.shares
    least = 1e-6 * np.diag(np.diag(np.cov(pooled.voxels.T, aweights=pooled.weights, ddof=0)))
    for _ in range(fit.iterations - begin.iterations - 1 if fit.converged else 12):
        joint = np.column_stack(
            [
                s * multivariate_normal(c, v).pdf(pooled.voxels)
                for s, c, v in zip(shares, centres, covariances, strict=True)
            ]
        )
        share = pooled.weights[:, None] * joint / joint.sum(axis=1, keepdims=True)
        shares = share.sum(axis=0) / share.sum()
        centres = share.T @ pooled.voxels / share.sum(axis=0)[:, None]
        covariances = [np.cov(pooled.voxels.T, aweights=share[:, k], ddof=0) + least for k in range(3)]
    np.testing.assert_allclose(fit.centres, centres, rtol=1e-9)
    np.testing.assert_allclose(fit.covariances, covariances, rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(fit.shares, shares, rtol=1e-9)


def test_planted_tissues_are_found_darkest_first(tmp_path: Path) -> None:
    simulation = write(tmp_path / "hospitals", with_habitats(), mixed_voxels(), VOXELS)
    step = learn(simulation)
    np.testing.assert_allclose(step.habitats["centres"], [[40, 60], [95, 80], [110, 150]], atol=3)
    assert step.hospitals == tuple(SIZES)


def test_a_mixture_knows_tissues_shares_and_spreads(tmp_path: Path) -> None:
    study = with_habitats(method="gmm", iterations=50)
    step = learn(write(tmp_path / "hospitals", study, mixed_voxels(), VOXELS))
    np.testing.assert_allclose(step.habitats["centres"], [[40, 60], [95, 80], [110, 150]], atol=2)
    deviations = np.sqrt([np.diag(matrix) for matrix in step.habitats["covariances"]])
    np.testing.assert_allclose(deviations, [[9, 14]] * 3, rtol=0.08)
    assert sum(step.habitats["shares"]) == pytest.approx(1, abs=1e-5)


def test_a_hospital_sends_zeros_alone_where_one_to_four_of_its_patients_have_a_habitat(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    samples = {
        hospital: [rng.normal([50, 60], 5, (100, 2)) for _ in range(number)] for hospital, number in SIZES.items()
    }
    for hospital, bright in (("alder", 4), ("birch", 5), ("cedar", 9)):  # alder: four patients, one too few
        for voxels in samples[hospital][:bright]:
            voxels[:30] += 200
    conversation = Conversation(tmp_path, with_habitats(number=2), samples)
    arrays = {"centres": np.array([[50.0, 60.0], [250.0, 260.0]]), "spreads": np.array([5.0, 5.0])}
    sums = conversation.federation.ask("habitat_clusters", parameters={"iteration": 1}, arrays=arrays).sums
    assert sums["hospitals"].tolist() == [2, 2]
    assert sums["weight"][1] == pytest.approx(0.3 * (5 + 9))  # alder's 4 × 0.3 stay in alder
    # Alder's other habitat would tell as much, by what it lacks.
    assert sums["weight"][0] == pytest.approx(SIZES["birch"] + SIZES["cedar"] - 0.3 * (5 + 9))


def test_a_habitat_of_fewer_than_three_hospitals_stops_the_preparation_in_words(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    samples = {
        hospital: [rng.normal([50, 60], 5, (100, 2)) for _ in range(number)] for hospital, number in SIZES.items()
    }
    for voxels in samples["cedar"]:
        voxels[:50] += 400
    simulation = write(tmp_path / "hospitals", with_habitats(number=2), samples, VOXELS)
    with pytest.raises(StudyStopped, match="at fewer than 3 hospitals: ask for fewer"):
        learn(simulation)


def test_the_standard_scale_is_the_mean_of_all_patients_landmarks_between_0_and_100(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    samples = {
        hospital: [np.sort(rng.gamma(3, rng.uniform(50, 400), (1, 11)), axis=1) for _ in range(number)]
        for hospital, number in SIZES.items()
    }
    study = study_of(phases={"t2": {"modality": "MRI", "normalisation": "nyul"}})
    scale = learn(write(tmp_path / "hospitals", study, samples, LANDMARKS)).scales["t2"]
    every = np.concatenate([array for arrays in samples.values() for array in arrays])
    moved = [np.interp(row, [row[0], row[-1]], [0, 100]) for row in every]
    np.testing.assert_allclose(scale, np.mean(moved, axis=0), rtol=1e-5)
    assert (len(scale), scale[0], scale[-1]) == (len(NYUL_PERCENTILES), 0.0, 100.0)


def test_a_prepared_file_says_the_same_study_with_constants_and_has_another_hash(tmp_path: Path) -> None:
    content = {
        "study": "t",
        "outcome": {"kind": "binary", "column": "mvi"},
        "predictors": {"radiomics": ["t2_habitat1_*"]},
        "features": {
            "phases": {"t2": {"modality": "MRI", "normalisation": "nyul"}},
            "habitats": {"phases": ["t2"], "number": 2},
        },
    }
    before = Study.from_content(content, "t")
    scaled = Step((), {"t2": [*range(0, 100, 10), 123456.0]}, {}, ()).filled(content)
    filled = Step((), {}, {"centres": [[0.00001], [7.5]], "spreads": [2e-07]}, ()).filled(scaled)
    assert content["features"]["habitats"] == {"phases": ["t2"], "number": 2}
    study = Study.from_content(filled, "t")
    file = tmp_path / "prepared.yaml"
    file.write_text(prepared_text(Prepared(study, filled, ()), Path("study.yaml"), before), encoding="utf-8")
    read = Study.from_file(file)
    assert read.hash == study.hash != before.hash
    assert read.features is not None
    assert read.features.to_be_learnt() == []
    assert before.features is not None
    assert before.features.to_be_learnt() == ["features.phases.t2.nyul_landmarks", "features.habitats.centres"]
    assert yaml.safe_load(file.read_text())["predictors"] == content["predictors"]


def test_an_unprepared_study_is_not_simulated_and_says_what_to_run(tmp_path: Path) -> None:
    simulation = write(tmp_path / "hospitals", with_habitats(), mixed_voxels(), VOXELS)
    with pytest.raises(
        StudyError, match=r"features.habitats.centres: not in the study yet.*hepafed study prepare"
    ):
        simulate(simulation, Silence())


def test_nothing_else_is_answered_before_a_study_is_prepared(tmp_path: Path) -> None:
    conversation = Conversation(tmp_path, with_habitats(), mixed_voxels())
    view = conversation.federation.keep(View(step="columns", parameters={"columns": ["age"]}))
    with pytest.raises(HospitalLost):
        conversation.federation.ask("moments", view=view, splits=["final"], arrays={"centre": np.zeros((1, 1))})
    with pytest.raises(HospitalLost):
        conversation.federation.ask("nyul_landmarks")
    conversation.federation.ask("habitat_moments", arrays={"centre": np.zeros(2)})


def test_a_hospital_answers_as_many_questions_as_learning_takes_and_no_more(tmp_path: Path) -> None:
    conversation = Conversation(tmp_path, with_habitats(iterations=4), mixed_voxels())

    def ask(away: float, iteration: int = 1) -> None:
        arrays = {"centres": np.array([[40.0, 60], [95, 80], [110, 150]]) + away, "spreads": np.ones(2)}
        conversation.federation.ask("habitat_clusters", parameters={"iteration": iteration}, arrays=arrays)

    with pytest.raises(HospitalLost):
        ask(0.0, iteration=5)

    def refused(away: float) -> bool:
        try:
            ask(away)
        except HospitalLost:
            return True
        return False

    answered = next(number for number in range(20) if refused(10.0 * number))
    assert 4 <= answered <= 8
    ask(30.0)  # what was answered is sent again


def test_a_covariance_that_would_single_out_voxels_is_refused(tmp_path: Path) -> None:
    conversation = Conversation(tmp_path, with_habitats(method="gmm"), mixed_voxels())
    for covariance in (np.zeros((2, 2)), np.diag([100.0, 1e-9]), np.array([[1.0, 2.0], [0.5, 1.0]])):
        arrays = {
            "centres": np.zeros((3, 2)),
            "covariances": np.repeat(covariance[None], 3, axis=0),
            "shares": np.full(3, 1 / 3),
        }
        with pytest.raises(HospitalLost, match="parameters_outside_their_bounds"):
            conversation.federation.ask("habitat_mixture", parameters={"iteration": 1}, arrays=arrays)
