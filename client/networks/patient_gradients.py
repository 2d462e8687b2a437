"""One gradient a patient, each shortened to a length that holds whatever the weights and the patient's columns are.

DP-SGD (Abadi et al. 2016, arXiv:1607.00133): gᵢ ← gᵢ · min(1, C/‖gᵢ‖), worked out for every patient by itself
(torch.func: vmap of grad). What mixes patients, such as batch normalisation, would let one change another's gradient.
"""

import numpy as np
import torch
from torch.func import functional_call, grad, vmap
from torch.nn import functional

from client.networks.exactly import exactly
from client.networks.local_training import loaded
from common.errors import Code, HospitalError
from common.networks import flat
from common.study import Study

AT_A_TIME = 64
"""Patients whose gradients are worked out together."""


def patient_gradients(
    study: Study, matrix: np.ndarray, outcome: np.ndarray, weights: np.ndarray, clip: float
) -> np.ndarray:
    """Patients × weights: each patient's gradient of the log-likelihood, of this length at most."""
    with exactly(0):
        module, device = loaded(study, matrix.shape[1], weights)
        if any(isinstance(layer, flat.BATCH_NORMALISATION) for layer in module.modules()):
            raise HospitalError(
                Code.BAD_PARAMETERS,
                "batch normalisation mixes patients: no gradient of one by itself; write normalisation: layer",
            )
        module.eval()
        names = sorted(name for name, _ in module.named_parameters())
        parameters = {name: parameter.detach() for name, parameter in module.named_parameters()}
        dtype = next(iter(parameters.values())).dtype

        def loss(own: dict[str, torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            line = functional_call(module, own, (x[None],))[0, 0]
            return functional.binary_cross_entropy_with_logits(line, y)

        each = vmap(grad(loss), in_dims=(None, 0, 0))
        found = [np.zeros((0, len(weights)))]
        for first in range(0, len(matrix), AT_A_TIME):
            some = slice(first, first + AT_A_TIME)
            x, y = (torch.from_numpy(np.array(a[some])).to(device, dtype) for a in (matrix, outcome))
            gradients = each(parameters, x, y)
            flattened = torch.cat([gradients[name].reshape(len(x), -1) for name in names], dim=1)
            found.append(-flattened.to("cpu", torch.float64).numpy())
    return shortened(np.concatenate(found), clip)


def shortened(gradients: np.ndarray, clip: float) -> np.ndarray:
    """Rows of this length at most; a row that is not finite, from weights that nobody would train, is nothing."""
    finite = np.isfinite(gradients).all(axis=1)
    largest = np.abs(np.where(finite[:, None], gradients, 0.0)).max(axis=1, initial=0.0)
    scaled = (
        np.where(finite[:, None], gradients, 0.0) / np.maximum(largest, 1e-300)[:, None]
    )  # no overflow in squares
    length = largest * np.linalg.norm(scaled, axis=1)
    kept: np.ndarray = scaled * np.minimum(largest, clip * largest / np.maximum(length, 1e-300))[:, None]
    return kept
