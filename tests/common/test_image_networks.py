"""Networks on images learn what is planted in the ring, say where they look, and bear what is missing."""

from functools import lru_cache

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

torch = pytest.importorskip("torch")

from common.networks.augmentation import Augmented  # noqa: E402
from common.networks.fusion import Fusion  # noqa: E402
from common.networks.grad_cam import grad_cam  # noqa: E402
from common.networks.image_settings import ImageSettings  # noqa: E402
from common.networks.inputs import Inputs  # noqa: E402
from common.networks.integrated_gradients import integrated_gradients  # noqa: E402
from common.networks.mil25d import Encoder25D  # noqa: E402
from common.patches import Augmentation  # noqa: E402
from tests.planted_patches import PARTS, Planted, planted, rows_of, shapes_of  # noqa: E402
from tests.trained_alone import LocalTraining, build_image_network, lines_of, train_locally  # noqa: E402

SMALL = ImageSettings(channels=[8, 8])
TRAINING = LocalTraining(epochs=8, batch_size=8, learning_rate=4e-3)
IMAGE_ALONE = ("cnn3d", "mil25d")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def cross_entropy(lines: "torch.Tensor", outcome: "torch.Tensor") -> "torch.Tensor":
    return torch.nn.functional.binary_cross_entropy_with_logits(lines[:, 0], outcome)


@lru_cache
def patients() -> tuple[Planted, Planted]:
    every = planted(240, seed=1)
    return every.rows(slice(0, 160)), every.rows(slice(160, None))


@lru_cache
def trained(architecture: str) -> Fusion:
    training, _ = patients()
    network = build_image_network(architecture, SMALL, shapes_of(training), seed=0)
    losses = train_locally(network, training.inputs, training.outcome, cross_entropy, TRAINING)
    assert losses[-1] < losses[0] - 0.05
    return network


def auc_of(network: Fusion, judged: Planted) -> float:
    return float(roc_auc_score(judged.outcome, lines_of(network, judged.inputs)[:, 0]))


@pytest.mark.parametrize("architecture", IMAGE_ALONE)
def test_the_ring_tells_the_network_more_than_clinical_columns_tell(architecture: str) -> None:
    training, held_out = patients()
    columns = list(PARTS["clinical"])
    clinical = LogisticRegression().fit(training.inputs.table[:, columns], training.outcome)
    of_clinical = roc_auc_score(held_out.outcome, clinical.decision_function(held_out.inputs.table[:, columns]))
    assert auc_of(trained(architecture), held_out) > max(0.75, of_clinical + 0.1)


@pytest.mark.parametrize("architecture", IMAGE_ALONE)
def test_grad_cam_lies_on_the_ring_more_than_chance(architecture: str) -> None:
    _, held_out = patients()
    heat = grad_cam(trained(architecture), held_out.inputs).numpy()
    assert heat.shape == held_out.inputs.image.shape[:1] + held_out.inputs.image.shape[2:]
    assert (heat >= 0).all()
    mass = heat.sum(axis=(1, 2, 3))
    some = mass > 0
    assert some.mean() > 0.8
    ring = (heat * held_out.masks[:, 1]).sum(axis=(1, 2, 3))[some] / mass[some]
    chance = held_out.masks[some, 1].mean(axis=(1, 2, 3))
    above = ring - chance
    assert above.mean() > 2 * above.std(ddof=1) / len(above) ** 0.5
    assert above.mean() > 0.03


def test_attention_adds_up_over_the_slices_that_show_tumour_or_ring() -> None:
    _, held_out = patients()
    encoder = trained("mil25d").encoder
    assert isinstance(encoder, Encoder25D)
    image = held_out.inputs.image
    with torch.no_grad():
        attention = encoder.attention(encoder.maps(image), image).numpy()
    np.testing.assert_allclose(attention.sum(axis=1), 1, rtol=1e-5)
    shown = held_out.masks.any(axis=(1, 3, 4))
    assert (attention[~shown] == 0).all()
    assert (attention[shown] > 0).all()


@pytest.mark.parametrize("architecture", [*IMAGE_ALONE, "fusion"])
def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_generator_alone(architecture: str) -> None:
    training, _ = patients()
    few, shapes = training.rows(slice(0, 12)), shapes_of(training, table=architecture == "fusion")
    settings = SMALL.model_copy(update={"dropout": 0.2, "modality_dropout": 0.2})
    inputs = with_table(few.inputs) if architecture == "fusion" else few.inputs
    weights = []
    for start in (5, 9):
        torch.manual_seed(start)
        before = torch.get_rng_state()
        network = build_image_network(architecture, settings, shapes, seed=3)
        augment = Augmented(Augmentation(), phases=1)
        train_locally(network, inputs, few.outcome, cross_entropy, LocalTraining(epochs=1, seed=2), augment)
        assert torch.equal(torch.get_rng_state(), before)
        weights.append(torch.cat([p.detach().ravel() for p in network.parameters()]))
    assert torch.equal(weights[0], weights[1])
    other = build_image_network(architecture, settings, shapes, seed=4)
    assert not torch.equal(weights[0], torch.cat([p.detach().ravel() for p in other.parameters()]))


def test_no_patient_sees_another_in_the_batch() -> None:
    _, held_out = patients()
    for architecture in IMAGE_ALONE:
        network = trained(architecture)
        together = lines_of(network, rows_of(held_out.inputs, torch.arange(6)))
        alone = torch.cat([lines_of(network, rows_of(held_out.inputs, torch.tensor([k]))) for k in range(6)])
        torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def with_table(inputs: Inputs) -> Inputs:
    return Inputs(inputs.table, inputs.image, torch.ones(len(inputs), 3))


def fusion() -> tuple[Fusion, Inputs]:
    _, held_out = patients()
    network = build_image_network("fusion", SMALL, shapes_of(held_out, table=True), seed=0)
    return network, with_table(rows_of(held_out.inputs, torch.arange(8)))


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_what_a_patient_lacks_has_no_say_and_its_place_is_learnt(missing: int) -> None:
    network, inputs = fusion()
    there = inputs.there.clone()
    there[:, missing] = 0
    changed = Inputs(inputs.table.clone(), inputs.image.clone(), there)
    if missing == 0:
        changed.image[:] = 0.3
    else:
        changed.table[:, list(list(PARTS.values())[missing - 1])] = 7.0
    without = lines_of(network, Inputs(inputs.table, inputs.image, there))
    assert torch.equal(lines_of(network, changed), without)
    assert not torch.equal(lines_of(network, inputs), without)
    network(Inputs(inputs.table, inputs.image, there)).sum().backward()
    assert network.missing.grad[missing].abs().sum() > 0
    assert not grad_cam(network, Inputs(inputs.table, inputs.image, there)).any() or missing != 0


def test_integrated_gradients_add_up_and_leave_out_what_is_not_looked_at() -> None:
    network, inputs = fusion()
    table = torch.cat([inputs.table, torch.ones(len(inputs), 1)], dim=1)

    def line(columns: "torch.Tensor") -> "torch.Tensor":
        return network(inputs.with_table(columns))[:, 0]

    network.eval()
    found = integrated_gradients(line, table, steps=256)
    moved = (line(table) - line(torch.zeros_like(table))).detach()
    torch.testing.assert_close(found.sum(dim=1), moved, rtol=0.02, atol=2e-3)
    assert not found[:, -1].any()


def test_augmentation_moves_masks_with_their_image_and_follows_its_seed() -> None:
    _, held_out = patients()
    image = held_out.inputs.image[:6].clone()
    image[:, 0] = image[:, 1] * 0.5  # the tumour alone shines: wherever it goes, its mask goes too
    moving = Augmentation(rotation_degrees=30, shift_voxels=2, brightness=0, contrast=0)
    augment = Augmented(moving, phases=1)
    first, again, other = augment(image, 1), augment(image, 1), augment(image, 2)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert set(first[:, 1:].unique().tolist()) <= {0.0, 1.0}
    bright = first[:, 0] > 0.25
    assert torch.equal(bright, first[:, 1] > 0.5)
    sizes = first[:, 1].sum(dim=(1, 2, 3)) / image[:, 1].sum(dim=(1, 2, 3))
    assert ((sizes > 0.85) & (sizes < 1.15)).all()


def test_patches_on_another_device_are_changed_there() -> None:
    elsewhere = torch.zeros(2, 3, 8, 8, 8, device="meta")  # it refuses what lies on the processor, as a GPU does
    assert Augmented(Augmentation(), phases=1)(elsewhere, 1).device == elsewhere.device


def test_flips_alone_only_reorder_voxels() -> None:
    _, held_out = patients()
    image = held_out.inputs.image[:8]
    flipped = Augmented(Augmentation(rotation_degrees=0, shift_voxels=0, brightness=0, contrast=0), 1)(image, 4)
    torch.testing.assert_close(
        flipped[:, 0].flatten(1).sort().values, image[:, 0].flatten(1).sort().values, rtol=0, atol=1e-5
    )
    assert not torch.equal(flipped, image)


def test_turns_are_rigid_where_the_patch_is_no_cube() -> None:
    image = torch.zeros(1, 2, 12, 24, 36)
    image[:, :, 3:9, 9:15, 15:21] = 1.0  # a cube of 6 voxels stays one, however it is turned
    turned = Augmented(Augmentation(flips=False, rotation_degrees=40, shift_voxels=0, brightness=0, contrast=0), 1)
    for seed in range(4):
        assert float(turned(image, seed)[0, 0].sum()) == pytest.approx(6**3, rel=0.08)
