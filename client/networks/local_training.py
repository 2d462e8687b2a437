"""One hospital's training of one network in one round, from the weights it was sent to the update it gives back.

Plain or momentum steps along the gradient of the mean loss of a batch, the gradient clipped and weights decayed as the
study says. FedProx adds μ(w − w₀); SCAFFOLD adds c − c_h, and leaves the new control variate c_h' = c_h − c +
(w₀ − w)/(steps · rate). Batches and dropout follow from a seed, and arithmetic runs in one thread.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from client.networks.exactly import exactly
from common.networks import flat
from common.networks.build import draws, loading_draws, settings_of, with_weights
from common.networks.heads import loss_of
from common.networks.packing import packed_width
from common.networks.rounds import batches, learning_rate
from common.networks.seeds import seed_of
from common.networks.settings import Network
from common.study import Study

AT_A_TIME = 32
"""Patients with images whose maps are in memory together, where nothing is learnt."""


@dataclass(frozen=True)
class Patients:
    """The columns that take part, as they are prepared, and outcomes.

    Parameters
    ----------
    second
        A second outcome, NaN where it is not known; None: the study has none.
    """

    matrix: np.ndarray
    outcome: np.ndarray
    second: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.matrix)


@dataclass(frozen=True)
class Trained:
    """A network after a round.

    Parameters
    ----------
    loss
        At the weights that training started from, as `loss` works it out.
    control
        The control variate that SCAFFOLD keeps here; empty for other strategies.
    """

    module: nn.Module
    loss: float
    control: np.ndarray

    @property
    def weights(self) -> np.ndarray:
        """Its weights."""
        return flat.vector_of(self.module)


def train(
    study: Study,
    patients: Patients,
    start: np.ndarray,
    round_number: int,
    seed: str,
    control: np.ndarray | None = None,
    own_control: np.ndarray | None = None,
    reference: np.ndarray | None = None,
) -> Trained:
    """Train from these weights on these patients.

    Parameters
    ----------
    seed
        A name for this hospital, training set and model.
    control, own_control
        SCAFFOLD's control variates of everybody and of this hospital.
    reference
        As of `lines_of`, for the loss.
    """
    settings, rate = settings_of(study), learning_rate(settings_of(study), round_number)
    survival = study.outcome.kind == "survival"
    size, steps = settings.batch(len(patients), survival), settings.steps(len(patients), survival)
    drawn = seed_of(study.seed, seed, round_number)
    with exactly(drawn if draws(study) else None):
        module, device = loaded(study, patients.matrix.shape[1], start)
        before = _loss(study, patients, _lines(study, module, device, patients.matrix, reference))
        module.train()
        x, y = (_tensor(a, module, device) for a in (patients.matrix, patients.outcome))
        also = None if patients.second is None else _tensor(patients.second, module, device)
        parameters = [p for _, p in sorted(module.named_parameters())]
        first = [p.detach().clone() for p in parameters] if settings.strategy == "fedprox" else []
        shift = _shift(control, own_control, parameters)
        moved = [torch.zeros_like(p) for p in parameters] if settings.momentum else []
        for rows in batches(len(patients), size, steps, drawn):
            chosen = torch.from_numpy(rows).to(device)
            module.zero_grad()
            second = None if also is None else also[chosen]
            with halved(settings, device):
                line = module(x[chosen])
            loss_of(study, line.to(x.dtype), y[chosen], second).backward()
            gradient = [torch.zeros_like(p) if p.grad is None else p.grad.detach() for p in parameters]
            with torch.no_grad():
                for k, p in enumerate(parameters):
                    if settings.weight_decay:
                        gradient[k] += settings.weight_decay * p
                    if first:
                        gradient[k] += settings.mu * (p - first[k])
                    if shift:
                        gradient[k] += shift[k]
                if settings.clip_gradient is not None:
                    norm = torch.linalg.vector_norm(torch.stack([g.double().norm() for g in gradient]))
                    factor = float(torch.clamp(settings.clip_gradient / (norm + 1e-30), max=1.0))
                    gradient = [g * factor for g in gradient]
                if moved:
                    gradient = moved = [settings.momentum * m + g for m, g in zip(moved, gradient, strict=True)]
                for k, p in enumerate(parameters):
                    p.sub_(gradient[k], alpha=rate)
    if control is None or own_control is None:
        return Trained(module, before, np.zeros(0))
    return Trained(module, before, own_control - control + (start - flat.vector_of(module)) / (steps * rate))


def lines_of(
    study: Study, matrix: np.ndarray, weights: np.ndarray, reference: np.ndarray | None = None
) -> np.ndarray:
    """Every patient's outputs of the network: patients × lines, a second outcome's last.

    Patients with images go through a few at a time: the maps of all of them would not fit into memory.

    Parameters
    ----------
    reference
        The rows over which batch normalisation takes its statistics, where the network has one.
    """
    with exactly(0 if loading_draws(study) else None):
        module, device = loaded(study, matrix.shape[1], weights)
        return _lines(study, module, device, matrix, reference)


def loss(study: Study, patients: Patients, weights: np.ndarray, reference: np.ndarray | None = None) -> float:
    """The loss of these patients, summed: n times the mean."""
    return _loss(study, patients, lines_of(study, patients.matrix, weights, reference)) if len(patients) else 0.0


def loaded(study: Study, inputs: int, weights: np.ndarray) -> tuple[nn.Module, torch.device]:
    """The study's network with these weights, where it is to run."""
    device = torch.device("cuda" if settings_of(study).device == "auto" and torch.cuda.is_available() else "cpu")
    return with_weights(study, inputs - packed_width(study), weights).to(device), device


@torch.no_grad()
def _lines(
    study: Study, module: nn.Module, device: torch.device, matrix: np.ndarray, reference: np.ndarray | None
) -> np.ndarray:
    module.eval()
    if reference is not None:
        _take_statistics(module, _tensor(reference, module, device))
    together = AT_A_TIME if packed_width(study) else max(1, len(matrix))
    parts = [
        module(_tensor(matrix[first : first + together], module, device)).to("cpu", torch.float64).numpy()
        for first in range(0, max(1, len(matrix)), together)
    ]
    return np.concatenate(parts)


def _loss(study: Study, patients: Patients, lines: np.ndarray) -> float:
    outcome = torch.from_numpy(patients.outcome.copy())
    second = None if patients.second is None else torch.from_numpy(patients.second.copy())
    return float(loss_of(study, torch.from_numpy(lines), outcome, second)) * len(patients)


def halved(settings: Network, device: torch.device) -> torch.autocast:
    """Layers in bfloat16 for as long as a block lasts, where the study says so and the device is a GPU.

    It has the range of 32-bit floats, so losses need no scale; weights, gradients and losses stay as they are.
    """
    wanted = settings.precision == "mixed" and device.type == "cuda"
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=wanted)


def _tensor(array: np.ndarray, module: nn.Module, device: torch.device) -> torch.Tensor:
    dtype = next(module.parameters()).dtype
    return torch.from_numpy(np.array(array)).to(device, dtype)  # a copy: the views' own arrays are read-only


def _shift(
    control: np.ndarray | None, own: np.ndarray | None, parameters: list[nn.Parameter]
) -> list[torch.Tensor]:
    """SCAFFOLD's correction of every gradient, c − c_h; nothing for other strategies."""
    if control is None or own is None:
        return []
    parts = np.split(control - own, np.cumsum([p.numel() for p in parameters])[:-1])
    return [
        torch.from_numpy(a.copy()).to(p.device, p.dtype).reshape(p.shape)
        for a, p in zip(parts, parameters, strict=True)
    ]


def _take_statistics(module: nn.Module, rows: torch.Tensor) -> None:
    """Means and variances of batch normalisation from all of these rows at once; nothing else learns."""
    layers = [layer for layer in module.modules() if isinstance(layer, flat.BATCH_NORMALISATION)]
    for layer in layers:
        layer.reset_running_stats()
        layer.train()
    module(rows)
    for layer in layers:
        layer.eval()
