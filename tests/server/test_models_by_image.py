"""Networks side by side that see the images, a part of them, or none: `compare` with `image`."""

from typing import Any

import numpy as np
import pytest
import torch

from client.patches.packing import packed_patches
from common.errors import StudyError
from common.networks import flat
from common.networks.build import build, first_weights
from tests.hospitals_on_disk import study
from tests.server.network_tables import COLUMNS, trained
from tests.server.test_image_networks import PATCHES, imaged

NETWORK = {"architecture": "fusion", "image": {"channels": [8, 8]}}
COMPARE: dict[str, Any] = {
    "columns alone": {"clinical": "all", "image": "none"},
    "images alone": {"image": "everything"},
    "tumour alone": {"image": "tumour"},
}


def test_each_model_sees_its_part_of_the_patches() -> None:
    federation, _, _ = imaged(
        36, NETWORK, {"shown": "tumour-and-ring"}, compare=COMPARE | {"images alone": {"image": "tumour-and-ring"}}
    )
    cohort, patches = federation.members["alder"].cohort, federation.study.patches
    assert patches is not None
    shape = (12, 3, *patches.shape)
    seen = {name: packed_patches(federation.study, cohort, None, name) for name in federation.study.models()}
    assert not seen["columns alone"].any()
    np.testing.assert_array_equal(seen["images alone"], seen[""])
    whole, tumour = (seen[name][:, 1:].reshape(shape) for name in ("", "tumour alone"))
    assert whole[:, 2].any()
    assert not tumour[:, 2].any()
    np.testing.assert_array_equal(tumour[:, 1], whole[:, 1])
    inside = whole[:, 1] > 0
    np.testing.assert_array_equal(tumour[:, 0], np.where(inside, whole[:, 0], 0))
    assert (whole[:, 0][~inside] != 0).any()


def test_a_model_without_images_is_scored_by_its_columns_and_one_of_images_without_them() -> None:
    federation, view, _ = imaged(36, NETWORK | {"rounds": 2}, compare=COMPARE)
    found = trained(federation, view)
    assert found.networks is not None
    names = found.networks.models
    assert names == ("", "columns alone", "images alone", "tumour alone")
    module = build(federation.study, len(COLUMNS))
    for name, moves_with_image, moves_with_table in (
        ("columns alone", False, True),
        ("images alone", True, False),
    ):
        k = names.index(name)
        flat.load(module, found.networks.weights[0, k])
        looked_at = found.networks.columns[0, k] >= 0
        assert looked_at.any() == moves_with_table
        table = np.where(looked_at, np.random.default_rng(1).normal(size=(12, 3)), 0.0)
        rows = np.concatenate(
            [table, packed_patches(federation.study, federation.members["alder"].cohort, None, name)], axis=1
        )
        lines = module(torch.from_numpy(rows).float()).detach().numpy()[:, 0]
        assert (np.ptp(lines) > 1e-6) == (moves_with_image or moves_with_table)
        rows[:, 3:] = 0
        alone = module(torch.from_numpy(rows).float()).detach().numpy()[:, 0]
        assert (np.ptp(alone) > 1e-6) == moves_with_table


def test_its_encoder_is_not_trained_where_a_model_sees_no_image() -> None:
    federation, view, _ = imaged(36, NETWORK | {"rounds": 2}, compare=COMPARE)
    found = trained(federation, view).networks
    assert found is not None
    first = dict(build(federation.study, 3).named_parameters())
    moved = {}
    for name in ("columns alone", "images alone"):
        vector, start, moved[name] = found.weights[0, found.models.index(name)], 0, {}
        before = first_weights(federation.study, 3, name)
        for parameter in sorted(first):
            stop = start + first[parameter].numel()
            moved[name][parameter] = (vector[start:stop] != before[start:stop]).any()
            start = stop
    encoder = [name for name in first if ".encoder." in name]
    assert encoder
    assert not any(moved["columns alone"][name] for name in encoder)
    assert all(moved["images alone"][name] for name in encoder)


@pytest.mark.parametrize(
    ("network", "patches", "candidate", "said"),
    [
        (None, None, {"clinical": "all", "image": "tumour"}, "no network looks at images"),
        ({"architecture": "fusion"}, {"shown": "tumour"}, {"image": "everything"}, "more than there is"),
        ({"architecture": "fusion"}, {}, {"image": "none"}, "no column is named"),
        ({"architecture": "cnn3d"}, {}, {"clinical": "all", "image": "none"}, "looks at images alone"),
        ({"architecture": "cnn3d"}, {}, {"clinical": "all", "image": "tumour"}, "looks at no column"),
    ],
)
def test_what_a_model_cannot_be_shown_is_refused_in_words(
    network: dict[str, Any] | None, patches: dict[str, Any] | None, candidate: dict[str, Any], said: str
) -> None:
    sections: dict[str, Any] = {} if network is None else {"network": network, "model": {"kind": "network"}}
    if patches is not None:
        sections["patches"] = PATCHES | patches
    with pytest.raises(StudyError, match=said):
        study(predictors={"clinical": COLUMNS}, compare={"other": candidate}, **sections)
