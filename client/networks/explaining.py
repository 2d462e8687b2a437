"""Where a study's network looks in this hospital's patients, and which columns move its answer."""

from dataclasses import dataclass

import numpy as np
import torch

from client.networks.exactly import exactly
from client.networks.local_training import loaded
from client.patches.attention import attention_shares
from client.patches.packing import packed_patches
from client.rows import Rows
from common.networks.fusion import Fusion
from common.networks.grad_cam import Toward, grad_cam
from common.networks.inputs import Inputs
from common.networks.integrated_gradients import integrated_gradients
from common.networks.packed import Packed

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
    with exactly(0):
        network, inputs = _network_and_inputs(rows, split, numbers)
        parts = torch.arange(len(numbers)).split(AT_A_TIME)
        maps = [grad_cam(network, inputs.rows(part), toward).to("cpu", torch.float32).numpy() for part in parts]
    heat = np.concatenate(maps) if maps else np.zeros((0, *inputs.image.shape[2:]), dtype=np.float32)
    shares, volumes = attention_shares(heat, [patches[n] for n in numbers])
    return Explained(numbers, heat, shares, volumes)


def attributions(rows: Rows, split: str, chosen: np.ndarray) -> np.ndarray:
    """Patients × inputs of the split's first model: integrated gradients of its first linear predictor."""
    with exactly(0):
        network, inputs = _network_and_inputs(rows, split, np.flatnonzero(chosen))
        network.eval()
        found = []
        for part in torch.arange(len(inputs)).split(AT_A_TIME):
            some = inputs.rows(part)
            with torch.no_grad():
                maps = network.encoder.maps(some.image)

            def line(table: torch.Tensor, maps: torch.Tensor = maps, some: Inputs = some) -> torch.Tensor:
                return network.from_maps(maps, some.with_table(table))[:, 0]

            found.append(integrated_gradients(line, some.table).to("cpu", torch.float64).numpy())
    return np.concatenate(found) if found else np.zeros((0, inputs.table.shape[1]))


def _network_and_inputs(rows: Rows, split: str, numbers: np.ndarray) -> tuple[Fusion, Inputs]:
    """The network of a split's first model, and what it is shown of some patients."""
    fitted = rows.fitted(split)
    weights, columns = fitted.array("weights")[0], fitted.array("columns")[0]
    looked_at = columns[columns >= 0].astype(np.int64)
    table = np.zeros((len(rows.cohort.ids), len(columns)))
    table[:, : len(looked_at)] = rows.parent_matrix(split)[:, looked_at]
    images = packed_patches(rows.study, rows.cohort)
    packed = np.concatenate([table, images], axis=1)[numbers]
    module, device = loaded(rows.study, packed.shape[1], weights)
    assert isinstance(module, Packed)
    assert isinstance(module.network, Fusion)
    dtype = next(module.parameters()).dtype
    return module.network, module.unpacked(torch.from_numpy(packed).to(device, dtype))
