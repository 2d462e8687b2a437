"""Networks on images train like every other network: in rounds, by sums, to the same bits."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

from client.networks.local_training import lines_of
from client.patches.packing import packed_patches
from client.patches.patch import Patch
from common.errors import HospitalError, StudyError
from common.networks import flat
from common.networks.build import build, first_weights, size
from common.networks.grad_cam import grad_cam
from common.networks.packing import packed_width
from server.evaluation.attention import attention_of
from tests.hospitals_on_disk import study
from tests.planted_patches import Planted, planted
from tests.server.network_tables import COLUMNS, equal_hospitals, network_tables, trained
from tests.server.tables import Tables

PATCHES: dict[str, Any] = {
    "phases": {"portal": {"modality": "CT"}},
    "size": [16, 16, 16],
    "ring_mm": 6.0,
    "augmentation": None,
}
SMALL: dict[str, Any] = {"image": {"channels": [8, 8]}, "precision": "single"}


def imaged(
    patients: int, settings: dict[str, Any], patches: dict[str, Any] | None = None, seed: int = 1, **others: Any
) -> tuple[Tables, str, Planted]:
    """Three hospitals whose patients have patches with a signal in the ring, and columns a, b, c."""
    every = planted(patients, seed)
    table = pd.DataFrame(every.inputs.table[:, :3].numpy(), columns=COLUMNS)
    table["mvi"] = every.outcome.numpy().astype(float)
    table["hospital"] = np.array(["alder", "birch", "cedar"])[np.arange(patients) % 3]
    sections = {"network": SMALL | settings, "patches": PATCHES | (patches or {}), **others}
    federation, view = network_tables(table, {}, **sections)
    for name in list(federation.members):
        members = federation.members[name]
        rows = np.flatnonzero(table["hospital"] == name)
        own = tuple(
            Patch(every.inputs.image[row, :1].numpy().astype(np.float16), every.masks[row]) for row in rows
        )
        federation.members[name] = replace(members, cohort=replace(members.cohort, patches=own))
    return federation, view, every


def packed(chosen: Any, every: Planted) -> np.ndarray:
    """Rows as a hospital lays them out, of new patients."""
    image = every.inputs.image.numpy().reshape(len(every.outcome), -1)
    return np.concatenate([every.inputs.table[:, :3].numpy(), np.ones((len(image), 1)), image], axis=1)


@pytest.mark.parametrize("architecture", ["cnn3d", "mil25d", "fusion"])
def test_rounds_of_every_architecture_move_all_weights_and_repeat_themselves(architecture: str) -> None:
    runs = []
    for _ in range(2):
        federation, view, _ = imaged(36, {"architecture": architecture, "rounds": 2}, {"augmentation": {}})
        found = trained(federation, view).networks
        assert found is not None
        runs.append(found.weights)
    np.testing.assert_array_equal(runs[0], runs[1])
    start = first_weights(federation.study, 3, "")
    assert runs[0].shape[-1] == len(start) == size(federation.study, 3)
    assert (runs[0][0, 0] != start).mean() > 0.9


def test_fedavg_on_images_with_one_step_is_pooled_sgd() -> None:
    settings = {"architecture": "cnn3d", "rounds": 2, "local_steps": 1, "batch_size": "all", "precision": "double"}
    federation, view, _ = imaged(36, settings | {"learning_rate": 0.1})
    found = trained(federation, view).networks
    assert found is not None
    chosen = federation.study
    module = build(chosen, 3)
    flat.load(module, first_weights(chosen, 3, ""))
    module.train()
    hospitals = []
    for members in federation.members.values():
        blank = np.zeros((len(members.cohort.ids), 3))  # cnn3d looks at no column
        rows = np.concatenate([blank, packed_patches(chosen, members.cohort)], axis=1)
        hospitals.append((torch.from_numpy(rows), torch.from_numpy(members.cohort.outcome.copy())))
    for _ in range(2):
        module.zero_grad()
        for rows, outcome in hospitals:
            loss = torch.nn.functional.binary_cross_entropy_with_logits(module(rows)[:, 0], outcome)
            (loss / len(hospitals)).backward()
        with torch.no_grad():
            for parameter in module.parameters():
                parameter -= 0.1 * (0 if parameter.grad is None else parameter.grad)
    np.testing.assert_allclose(found.weights[0, 0], flat.vector_of(module), atol=1e-10)


def test_attention_and_attribution_are_means_over_all_patients_with_images() -> None:
    federation, view, every = imaged(36, {"architecture": "fusion", "rounds": 1})
    found = trained(federation, view)
    networks = found.networks
    assert networks is not None
    prepared: Any = SimpleNamespace(columns=tuple(COLUMNS))
    seen = attention_of(federation, federation.study, prepared, found.scores, networks.columns[0, 0])
    assert seen is not None
    assert seen.patients <= 36
    assert sum(seen.shares.values()) == pytest.approx(1, abs=1e-6)
    assert sum(seen.volumes.values()) == pytest.approx(1)
    assert seen.volumes["ring"] == pytest.approx(every.masks[:, 1].mean(), rel=0.1)
    module = build(federation.study, 3)
    flat.load(module, networks.weights[0, 0])
    rows = [packed_patches(federation.study, m.cohort) for m in federation.members.values()]
    images = np.concatenate(rows)
    inputs = module.unpacked(torch.from_numpy(np.concatenate([np.zeros((36, 3)), images], axis=1)).float())
    heat = grad_cam(module.network, inputs.with_table(of_all(federation)))
    mass = heat.sum(dim=(1, 2, 3))
    ring = (heat * inputs.image[:, 2]).sum(dim=(1, 2, 3))[mass > 0] / mass[mass > 0]
    assert seen.shares["ring"] == pytest.approx(float(ring.mean()), abs=1e-5)
    assert list(seen.columns) == COLUMNS
    assert all(value > 0 for value in seen.columns.values())


def of_all(federation: Tables) -> "torch.Tensor":
    """Every hospital's columns, standardised over all patients."""
    cohorts = [m.cohort for m in federation.members.values()]
    table = np.concatenate([np.column_stack([c.columns[name] for name in COLUMNS]) for c in cohorts])
    return torch.from_numpy((table - table.mean(axis=0)) / table.std(axis=0)).float()


def test_a_network_without_images_has_no_attention() -> None:
    federation, view = network_tables(equal_hospitals(), {"rounds": 1})
    scores = trained(federation, view).scores
    with pytest.raises(HospitalError, match="looks at no images"):
        federation.ask("attention", view=scores, splits=("final",))


@pytest.mark.slow
def test_a_federation_finds_the_signal_in_the_ring() -> None:
    settings = {"architecture": "mil25d", "rounds": 20, "learning_rate": 0.02, "momentum": 0.9, "local_epochs": 2}
    federation, view, _ = imaged(180, settings | {"batch_size": 10, "clip_gradient": 1.0})
    found = trained(federation, view).networks
    assert found is not None
    judged = planted(120, seed=9)
    lines = lines_of(federation.study, packed(federation.study, judged), found.weights[0, 0])
    loss = next(iter(found.curves.values())).loss
    assert roc_auc_score(judged.outcome, lines[:, 0]) > 0.75, loss


def test_who_has_no_image_is_trained_on_with_what_is_learnt_for_that() -> None:
    federation, view, _ = imaged(36, {"architecture": "fusion", "rounds": 1})
    members = federation.members["alder"]
    gone = (None, *members.cohort.patches[1:])
    federation.members["alder"] = replace(members, cohort=replace(members.cohort, patches=gone))
    laid_out = packed_patches(federation.study, federation.members["alder"].cohort)
    assert laid_out.shape == (12, packed_width(federation.study))
    assert not laid_out[0].any()
    assert laid_out[1:, 0].all()
    assert trained(federation, view).networks is not None


def test_a_cohort_that_was_read_without_patches_is_refused() -> None:
    federation, view, _ = imaged(36, {"architecture": "cnn3d", "rounds": 1})
    members = federation.members["birch"]
    federation.members["birch"] = replace(members, cohort=replace(members.cohort, patches=()))
    with pytest.raises(HospitalError, match="read without patches"):
        trained(federation, view)


LIVER_CT = {"modality": "CT", "normalise_over": "liver"}


def looking(architecture: str, **image: Any) -> dict[str, Any]:
    return {"network": {"architecture": architecture, "image": image}, "patches": PATCHES}


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"network": {"architecture": "cnn3d"}}, "add the section patches"),
        ({"network": {}, "patches": PATCHES}, "no network looks at them"),
        ({"network": {"architecture": "cnn3d", "hidden": [4]}, "patches": PATCHES}, "cnn3d has none"),
        ({"network": {"image": {}}}, "an mlp looks at no images"),
        ({"network": {}, "patches": {"phases": {"portal": LIVER_CT}}}, "CT is measured in units of its own"),
        (looking("mil25d", encoder="cnn3d"), r"network\.image\.encoder: mil25d is one itself"),
        (looking("cnn3d", joined=8), r"network\.image\.joined: cnn3d joins nothing"),
        (looking("mil25d", modality_dropout=0.1), r"network\.image\.modality_dropout: mil25d joins nothing"),
        (looking("cnn3d", neighbours=2), r"network\.image\.neighbours: cnn3d sees no single slices"),
        (looking("fusion", attention=8), r"network\.image\.attention: cnn3d sees no single slices"),
    ],
)
def test_sections_that_do_not_fit_are_refused_in_words(sections: dict[str, Any], said: str) -> None:
    with pytest.raises(StudyError, match=said):
        study(predictors={"clinical": COLUMNS}, model={"kind": "network"}, **sections)


@pytest.mark.parametrize(
    "sections",
    [
        looking("fusion", encoder="mil25d", neighbours=0, attention=8, joined=8, modality_dropout=0.1),
        looking("mil25d", encoder="mil25d", neighbours=0),
        looking("cnn3d", channels=[4, 4], blocks=1, embedding=4, dropout=0.1),
    ],
)
def test_what_a_network_on_images_looks_at_may_be_set(sections: dict[str, Any]) -> None:
    predictors = {"clinical": COLUMNS}
    assert study(predictors=predictors, model={"kind": "network"}, **sections).network is not None
