"""Where a study's network looks in this hospital's patients, and which columns move its answer."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from client.networks.exactly import exactly
from client.networks.local_training import loaded
from client.networks.scoring import columns_of, own_weights
from client.patches.attention import attention_shares
from client.patches.packing import packed_patches
from client.rows import Rows
from common.networks.fusion import Fusion
from common.networks.grad_cam import Toward, grad_cam
from common.networks.inputs import Inputs
from common.networks.integrated_gradients import integrated_gradients
from common.networks.packed import Packed
from common.networks.packing import packed_width

AT_A_TIME = 16
"""Patients whose maps are in memory together."""


@dataclass(frozen=True)
class Explained:
    """Of the patients of a row set who have an image, in the cohort's order.

    Parameters
    ----------
    numbers
        Their places in the cohort.
    heat
        Patients × z × y × x.
    shares, volumes
        Patients × places (client/patches/attention.py); shares are NaN where a map is all zeros.
    """

    numbers: np.ndarray
    heat: np.ndarray
    shares: np.ndarray
    volumes: np.ndarray


def explain(rows: Rows, split: str, chosen: np.ndarray) -> Explained:
    """Grad-CAM of a split's first model over some of the cohort's patients."""
    patches = rows.cohort.patches
    numbers = np.array([n for n in np.flatnonzero(chosen) if patches[n] is not None], dtype=np.int64)
    toward: Toward = "risk" if rows.study.outcome.kind == "survival" else "prediction"
    heat = np.zeros((0, *(rows.study.patches.shape if rows.study.patches else ())), dtype=np.float32)
    with exactly(0):
        for network, inputs in _in_parts(rows, split, numbers):
            maps = grad_cam(network, inputs, toward).to("cpu", torch.float32).numpy()
            heat = np.concatenate([heat, maps])
    shares, volumes = attention_shares(heat, [patches[n] for n in numbers])
    return Explained(numbers, heat, shares, volumes)


def attributions(rows: Rows, split: str, chosen: np.ndarray) -> np.ndarray:
    """Patients × inputs of the split's first model: integrated gradients of its first linear predictor."""
    found = [np.zeros((0, rows.fitted(split).array("columns").shape[-1]))]
    with exactly(0):
        for network, some in _in_parts(rows, split, np.flatnonzero(chosen)):
            network.eval()
            with torch.no_grad():
                maps = network.encoder.maps(some.image)

            def line(
                table: torch.Tensor, network: Fusion = network, maps: torch.Tensor = maps, some: Inputs = some
            ) -> torch.Tensor:
                return network.from_maps(maps, some.with_table(table))[:, 0]

            found.append(integrated_gradients(line, some.table).to("cpu", torch.float64).numpy())
    return np.concatenate(found)


def _in_parts(rows: Rows, split: str, numbers: np.ndarray) -> Iterator[tuple[Fusion, Inputs]]:
    """The network of a split's first model, with what it is shown of a few patients at a time."""
    fitted = rows.fitted(split)
    table = columns_of(rows.parent_matrix(split), fitted, 0)
    inputs = table.shape[1] + packed_width(rows.study)
    module, device = loaded(rows.study, inputs, own_weights(fitted, 0, rows.views.own_state))
    assert isinstance(module, Packed)
    assert isinstance(module.network, Fusion)
    dtype = next(module.parameters()).dtype
    for first in range(0, len(numbers), AT_A_TIME):
        some = np.zeros(len(table), dtype=bool)
        some[numbers[first : first + AT_A_TIME]] = True
        packed = np.concatenate([table[some], packed_patches(rows.study, rows.cohort, some)], axis=1)
        yield module.network, module.unpacked(torch.from_numpy(packed).to(device, dtype))
