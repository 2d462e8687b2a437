"""Habitats on images: planted tissues become regions, on every phase, and samples are what they are made of."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk
from pydantic import ValidationError
from scipy.ndimage import gaussian_filter
from sklearn.mixture import GaussianMixture

from client.cannot_extract import CannotExtract
from client.cohort.grids import Grid
from client.cohort.samples import LANDMARKS, VOXELS
from client.extraction import PhaseImages, extract
from client.extraction.habitats import with_the_majority
from client.extraction.names import feature_names
from client.extraction.samples import MOST_VOXELS, take_samples
from client.habitat_assignment import habitat_of
from client.preprocessing import correct_bias, landmarks, prepare
from client.regions import Masks
from common.features import Features
from common.habitats import Habitats
from common.study import Study
from tests.command import hepafed
from tests.imaged_hospitals import imaged_study, write_hospital

SIZE = 32
RADIUS_MM = 10.0
CT: dict[str, Any] = {"modality": "CT", "spacing_mm": "native"}
DARK, BRIGHT = {"arterial": 40.0, "portal": 60.0}, {"arterial": 120.0, "portal": 90.0}
LEARNT = {"centres": [[40, 60], [120, 90]], "spreads": [40, 15]}


def settings(habitats: dict[str, Any] | None = None, **given: Any) -> Features:
    section = {"phases": ["arterial", "portal"], "number": 2} | (LEARNT if habitats is None else habitats)
    whole = {"phases": {"arterial": CT, "portal": CT}, "classes": ["firstorder", "shape"], "habitats": section}
    return Features.model_validate({**whole, **given})


def ball(centre: tuple[float, float, float] = (16, 16, 16), radius_mm: float = RADIUS_MM) -> np.ndarray:
    at = np.indices((SIZE,) * 3) - np.reshape(centre, (3, 1, 1, 1))
    return (at**2).sum(axis=0) <= radius_mm**2


def as_image(array: np.ndarray) -> sitk.Image:
    return sitk.GetImageFromArray(array.astype(np.uint8) if array.dtype == bool else array)


def patient(bright: np.ndarray, moved: int = 0, noise: float = 4.0, seed: int = 0) -> dict[str, PhaseImages]:
    """A tumour of two tissues on two phases; the portal one is taken `moved` mm further along x."""
    rng = np.random.default_rng(seed)
    found = {}
    for name in ("arterial", "portal"):
        tissue = np.where(bright, BRIGHT[name], DARK[name])
        array = np.where(ball(), tissue, 80.0) + rng.normal(0, noise, bright.shape)
        shift = moved if name == "portal" else 0
        image, mask = as_image(np.roll(np.rint(array), shift, axis=2)), as_image(np.roll(ball(), shift, axis=2))
        found[name] = PhaseImages(image, Masks([mask]))
    return found


def core(radius_mm: float = 6.0) -> np.ndarray:
    return ball(radius_mm=radius_mm)


def test_planted_tissues_become_regions_with_their_own_features_and_share() -> None:
    features = settings()
    values = extract(patient(core()), features).rows[0].values
    assert list(values) == feature_names(features)
    mean = {
        name: values[f"{name}_original_firstorder_Mean"]
        for name in ("arterial_habitat1", "arterial_habitat2", "portal_habitat1", "portal_habitat2")
    }
    assert mean == pytest.approx(
        {"arterial_habitat1": 40, "arterial_habitat2": 120, "portal_habitat1": 60, "portal_habitat2": 90}, abs=3
    )
    truth = core().sum() / ball().sum()
    assert values["arterial_habitat2_original_shape_VolumeFraction"] == pytest.approx(truth, abs=0.02)
    shares = [values[f"arterial_habitat{n}_original_shape_VolumeFraction"] for n in (1, 2)]
    assert sum(shares) == pytest.approx(1, abs=1e-12)
    assert values["portal_habitat2_original_shape_VoxelVolume"] == pytest.approx(core().sum(), rel=0.05)


def test_a_breath_between_phases_moves_the_habitats_with_the_tumour() -> None:
    still = extract(patient(core()), settings()).rows[0].values
    moved = extract(patient(core(), moved=4), settings()).rows[0].values
    assert moved == pytest.approx(still, rel=1e-9, nan_ok=True)


def test_a_patient_without_a_habitat_has_empty_features_and_a_share_of_none() -> None:
    values = extract(patient(np.zeros((SIZE,) * 3, dtype=bool)), settings()).rows[0].values
    assert values["arterial_habitat2_original_shape_VolumeFraction"] == 0
    assert np.isnan(values["portal_habitat2_original_firstorder_Mean"])
    assert values["arterial_habitat1_original_shape_VolumeFraction"] == 1
    assert list(values) == feature_names(settings())


def test_a_phase_that_may_be_missing_leaves_habitats_empty() -> None:
    given = patient(core())
    values = extract({"arterial": given["arterial"]}, settings(missing_phases="leave-empty")).rows[0].values
    assert np.isfinite(values["arterial_tumour_original_firstorder_Mean"])
    assert np.isnan(values["arterial_habitat1_original_firstorder_Mean"])
    assert np.isnan(values["arterial_habitat1_original_shape_VolumeFraction"])


def test_habitats_of_tumour_and_ring_are_larger_than_the_tumours() -> None:
    rings = {"regions": ["tumour", "ring"], "ring_mm": [2, 4], "ring_rules": {"clip_to_liver": False}}
    alone, ringed = settings(), settings(habitats={**LEARNT, "within": "tumour-and-ring"}, **rings)
    volume = "arterial_habitat{}_original_shape_VoxelVolume"
    small, large = (extract(patient(core()), f).rows[0].values for f in (alone, ringed))
    total = [sum(values[volume.format(n)] for n in (1, 2)) for values in (small, large)]
    assert total[1] / total[0] == pytest.approx(((RADIUS_MM + 4) / RADIUS_MM) ** 3, rel=0.1)


def test_specks_go_with_the_majority_around_them_and_nothing_grows_over_the_border() -> None:
    rng = np.random.default_rng(1)
    truth = np.where(ball(), np.where(core(), 2, 1), 0).astype(np.uint8)
    specks = (rng.random(truth.shape) < 0.08) & (truth > 0)
    smooth = with_the_majority(np.where(specks, 3 - truth, truth).astype(np.uint8), 2, np.full(3, 1.0))
    assert ((smooth > 0) == (truth > 0)).all()
    assert (smooth != truth)[specks].mean() < 0.05
    assert (smooth != truth).mean() < 0.003
    assert with_the_majority(truth, 2, np.zeros(3)) is truth


@pytest.mark.parametrize("within", ["tumour", "tumour-and-ring"])
def test_samples_are_prepared_intensities_at_most_500_and_the_same_every_time(within: str) -> None:
    rings = {"regions": ["tumour", "ring"], "ring_mm": [4], "ring_rules": {"clip_to_liver": False}}
    features = settings(habitats={"within": within}, **rings)
    given = patient(core(), moved=3)
    (row,) = take_samples(given, features).rows
    assert (row.measurement, len(row.values)) == (VOXELS, 2 * MOST_VOXELS)
    assert take_samples(given, features).rows == [row]
    sampled = np.array(list(row.values.values())).reshape(-1, 2)
    phases = [sitk.GetArrayFromImage(given[name].image) for name in ("arterial", "portal")]
    place = np.flatnonzero(ball(radius_mm=RADIUS_MM + (5 if within == "tumour-and-ring" else 0)))
    pairs = np.column_stack([phases[0].ravel()[place], np.roll(phases[1], -3, axis=2).ravel()[place]])
    assert {tuple(pair) for pair in sampled} <= {tuple(pair) for pair in pairs}


def test_a_small_tumour_gives_all_its_voxels() -> None:
    given = patient(core())
    small = {name: PhaseImages(i.image, Masks([as_image(ball(radius_mm=4.0))])) for name, i in given.items()}
    (row,) = take_samples(small, settings(habitats={})).rows
    assert len(row.values) == 2 * ball(radius_mm=4.0).sum()


def test_landmarks_are_taken_after_the_bias_field_and_before_habitats() -> None:
    rng = np.random.default_rng(2)
    field = np.exp(np.linspace(-0.2, 0.2, SIZE))
    smooth = gaussian_filter(rng.normal(0, 120, (SIZE,) * 3), 1.5)
    body = np.pad(np.ones((SIZE - 8,) * 3, dtype=bool), 4)
    image = sitk.Cast(
        as_image(np.where(body, 300 + smooth * 3, 5 + rng.random((SIZE,) * 3)) * field), sitk.sitkFloat32
    )
    scanned = {"modality": "MRI", "normalisation": "nyul", "spacing_mm": "native"}
    features = settings(habitats={"phases": ["t2"]}, phases={"t2": scanned})
    (row,) = take_samples({"t2": PhaseImages(image, Masks([as_image(ball())]))}, features).rows
    assert row.measurement == LANDMARKS
    corrected = correct_bias(image)
    bright = sitk.GetArrayFromImage(sitk.OtsuThreshold(corrected, 0, 1, 200)) != 0
    expected = landmarks(sitk.GetArrayFromImage(corrected).astype(np.float64), bright)
    np.testing.assert_allclose(list(row.values.values()), expected, rtol=1e-12)

    scale = [0.0, 8, 20, 30, 40, 50, 60, 70, 80, 90, 100]
    learnt = settings(habitats={"phases": ["t2"]}, phases={"t2": {**scanned, "nyul_landmarks": scale}})
    moved = sitk.GetArrayFromImage(prepare(image, learnt.phases["t2"], Grid.of(image)))
    np.testing.assert_allclose(landmarks(moved, bright), scale, atol=0.05)
    (row,) = take_samples({"t2": PhaseImages(image, Masks([as_image(ball())]))}, learnt).rows
    assert row.measurement == VOXELS
    assert -50 < min(row.values.values()) < max(row.values.values()) < 200


def test_too_few_grey_levels_for_landmarks_are_said() -> None:
    image = as_image(np.where(ball(radius_mm=14), 100.0, 0.0))
    scanned = {"modality": "MRI", "normalisation": "nyul", "bias_correction": False}
    features = settings(habitats={"phases": ["t2"]}, phases={"t2": scanned})
    with pytest.raises(CannotExtract, match="t2: two landmarks of the image's intensities coincide"):
        take_samples({"t2": PhaseImages(image, Masks([as_image(ball())]))}, features)


def test_a_mixture_assigns_voxels_as_scikit_learns() -> None:
    rng = np.random.default_rng(3)
    voxels = np.concatenate(
        [
            rng.multivariate_normal(m, c, 300)
            for m, c in (
                ([40, 60], [[80, 30], [30, 60]]),
                ([70, 75], [[30, -10], [-10, 90]]),
                ([110, 150], [[200, 0], [0, 20]]),
            )
        ]
    )
    model = GaussianMixture(3, random_state=0).fit(voxels)
    covariances = (model.covariances_ + model.covariances_.transpose(0, 2, 1)) / 2
    habitats = Habitats.model_validate(
        {
            "method": "gmm",
            "phases": ["a", "b"],
            "centres": model.means_.tolist(),
            "covariances": covariances.tolist(),
            "shares": model.weights_.tolist(),
        }
    )
    np.testing.assert_array_equal(habitat_of(voxels, habitats), model.predict(voxels))


@pytest.mark.parametrize(
    ("habitats", "said"),
    [
        ({"phases": ["late"]}, "late is no phase here"),
        ({"number": 9}, "less than or equal to 8"),
        ({"centres": [[1, 2], [3, 4]]}, "centres and spreads go together"),
        ({"centres": [[1, 2]], "spreads": [1, 1]}, "needs 2 × 2 numbers"),
        ({"centres": [[1, 2], [3]], "spreads": [1, 1]}, "needs 2 × 2 numbers"),
        ({**LEARNT, "shares": [0.5, 0.5]}, "k-means does not use it"),
        ({**LEARNT, "spreads": [1, 0]}, "above 0"),
        ({"within": "tumour-and-ring"}, "there is no ring"),
        (
            {
                "method": "gmm",
                "centres": [[1, 2], [3, 4]],
                "covariances": [[[1, 2], [2, 1]]] * 2,
                "shares": [0.5, 0.5],
            },
            "no covariance",
        ),
    ],
)
def test_a_wrong_section_is_an_error_with_its_cure(habitats: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        settings(habitats=habitats)


def unprepared(folder: Path, **phase: Any) -> tuple[Path, Study]:
    features = {
        "phases": {"portal": {"modality": "CT", "spacing_mm": "native", **phase}},
        "classes": ["firstorder"],
        "minimum_voxels": 8,
        "habitats": {"phases": ["portal"], "number": 2, "smoothing_mm": 0},
    }
    predictors = {"radiomics": ["portal_tumour_original_firstorder_Mean", "portal_habitat2_*VolumeFraction"]}
    validation = {"folds": 3, "leave_one_hospital_out": False}
    study = imaged_study(features=features, predictors=predictors, validation=validation)
    file = folder / "study.yaml"
    file.write_text(study.to_json(), encoding="utf-8")
    return file, study


def test_extract_and_simulate_refuse_an_unprepared_study_and_say_what_to_run(tmp_path: Path) -> None:
    file, _ = unprepared(tmp_path)
    write_hospital(tmp_path / "hospitals" / "north", 2)
    for command in (
        ("site", "extract", file, tmp_path / "hospitals" / "north"),
        ("simulate", file, "--sites", tmp_path / "hospitals", "--out", tmp_path / "out"),
    ):
        refused = hepafed(*command)
        assert refused.exit_code == 1
        assert "features.habitats.centres: not in the study yet" in refused.stderr
        assert "hepafed study prepare" in refused.stderr
    assert not (tmp_path / "out").exists()
    said = " ".join(hepafed("study", "check", file).stdout.split())
    assert "to be learnt before (hepafed study prepare): features.habitats.centres" in said


def test_prepare_refuses_what_is_prepared_and_does_not_overwrite(tmp_path: Path) -> None:
    file, _ = unprepared(tmp_path)
    write_hospital(tmp_path / "hospitals" / "north", 2)
    there = hepafed("study", "prepare", file, "--sites", tmp_path / "hospitals", "--out", file)
    assert there.exit_code == 1
    assert "is there already" in there.stderr
    file.write_text(imaged_study().to_json(), encoding="utf-8")
    done = hepafed("study", "prepare", file, "--sites", tmp_path / "hospitals", "--out", tmp_path / "p.yaml")
    assert done.exit_code == 1
    assert "nothing is left to be learnt" in done.stderr


@pytest.mark.slow
def test_prepare_then_simulate_from_images_to_a_report(tmp_path: Path) -> None:
    file, study = unprepared(tmp_path, modality="MRI", normalisation="nyul", bias_correction=False)
    for number, name in enumerate(("east", "north", "west")):
        write_hospital(tmp_path / "hospitals" / name, 12, seed=100 * number)
    prepared = tmp_path / "prepared.yaml"
    done = hepafed("study", "prepare", file, "--sites", tmp_path / "hospitals", "--out", prepared)
    assert done.exit_code == 0, done.output
    assert f"Hash: {Study.from_file(prepared).hash}" in done.stdout
    read = Study.from_file(prepared)
    assert read.hash != study.hash
    assert read.features is not None
    assert read.features.habitats is not None
    assert np.diff(np.ravel(read.features.habitats.centres)) > 0
    landmarks_learnt = read.features.phases["portal"].nyul_landmarks
    assert landmarks_learnt is not None
    assert (landmarks_learnt[0], landmarks_learnt[-1]) == (0, 100)
    again = tmp_path / "again.yaml"
    assert hepafed("study", "prepare", file, "--sites", tmp_path / "hospitals", "--out", again).exit_code == 0
    assert again.read_text() == prepared.read_text()
    ran = hepafed("simulate", prepared, "--sites", tmp_path / "hospitals", "--out", tmp_path / "out")
    assert ran.exit_code == 0, ran.output
    assert (tmp_path / "out" / "report.html").exists()
