"""A module's parameters as one vector in the order of their names, and back."""

import numpy as np
import torch
from torch import nn

from common.networks.last_layer import Head
from common.networks.settings import Network

BATCH_NORMALISATION = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)

ROUNDED_TOGETHER = 2**14
"""Values that lie in a processor's cache."""


def vector_of(module: nn.Module) -> np.ndarray:
    """All parameters, one after another, as float64."""
    found, start = np.empty(size_of(module)), 0
    for _, parameter in _named(module):
        found[start : start + parameter.numel()] = parameter.detach().to("cpu").numpy().ravel()
        start += parameter.numel()
    return found


def change(module: nn.Module, since: np.ndarray, out: np.ndarray) -> None:
    """How far all parameters have moved since they were this vector, as float64."""
    start = 0
    for _, parameter in _named(module):
        part = slice(start, start + parameter.numel())
        np.subtract(parameter.detach().to("cpu").numpy().ravel(), since[part], out=out[part])
        start += parameter.numel()


def round_to_single(vector: np.ndarray) -> None:
    """To the nearest values of 32 bits, in place; no second vector of the same length is made."""
    for start in range(0, len(vector), ROUNDED_TOGETHER):
        part = vector[start : start + ROUNDED_TOGETHER]
        part[:] = part.astype(np.float32)


def load(module: nn.Module, vector: np.ndarray) -> None:
    """Set all parameters from a vector."""
    start = 0
    with torch.no_grad():
        for _, parameter in _named(module):
            part = vector[start : start + parameter.numel()]
            parameter.copy_(torch.from_numpy(np.ascontiguousarray(part)).reshape(parameter.shape))
            start += parameter.numel()
    if start != len(vector):
        raise ValueError(f"{len(vector)} weights for a network of {start}")


def assign(module: nn.Module, vector: np.ndarray) -> None:
    """Give a module without values its parameters, of the module's own precision, from a vector."""
    state: dict[str, torch.Tensor] = {}
    start = 0
    for name, parameter in _named(module):
        part = vector[start : start + parameter.numel()]
        own = part.astype(np.float32 if parameter.dtype == torch.float32 else np.float64)  # always a copy
        state[name] = torch.from_numpy(own).reshape(parameter.shape)
        start += parameter.numel()
    if start != len(vector):
        raise ValueError(f"{len(vector)} weights for a network of {start}")
    module.load_state_dict(state, assign=True)


def size_of(module: nn.Module) -> int:
    """How many parameters there are."""
    return sum(p.numel() for p in module.parameters())


def of_own_layers(module: nn.Module, settings: Network) -> np.ndarray:
    """A mask of the vector: what stays in the hospital: FedBN's batch normalisation, personal heads."""
    kinds = (BATCH_NORMALISATION if settings.strategy == "fedbn" else ()) + ((Head,) if settings.personal else ())
    own = {
        f"{name}.{part}"
        for name, layer in module.named_modules()
        if isinstance(layer, kinds)
        for part, _ in layer.named_parameters()
    }
    return np.concatenate([np.full(p.numel(), name in own) for name, p in _named(module)])


def _named(module: nn.Module) -> list[tuple[str, nn.Parameter]]:
    return sorted(module.named_parameters())
