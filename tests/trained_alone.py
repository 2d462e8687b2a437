"""Networks on images trained with another optimiser than hospitals have (client/networks/local_training.py): what an
architecture can learn, looks at and bears is tested apart from how a study trains it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from common.networks.fusion import Fusion
from common.networks.image_settings import ImageSettings
from common.networks.inputs import Inputs
from common.networks.packed import BUILD
from common.networks.rounds import batches
from common.networks.seeds import seed_of
from common.networks.shapes import Shapes
from tests.planted_patches import rows_of

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From lines and outcomes to a number."""


@dataclass(frozen=True)
class LocalTraining:
    """How long and how fast."""

    epochs: int = 20
    batch_size: int = 16
    learning_rate: float = 3e-3
    weight_decay: float = 1e-3
    seed: int = 0


def build_image_network(architecture: str, settings: ImageSettings, shapes: Shapes, seed: int) -> Fusion:
    """A network with PyTorch's own first weights, drawn by a seed; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        built = BUILD[architecture](settings, shapes)
    assert isinstance(built, Fusion)
    return built


def train_locally(
    network: nn.Module,
    inputs: Inputs,
    outcome: torch.Tensor,
    loss: Loss,
    settings: LocalTraining,
    augment: Callable[[torch.Tensor, int], torch.Tensor] | None = None,
) -> list[float]:
    """Train with AdamW, the rate falling like a cosine; the mean loss of every epoch. The same seed, the same weights.

    Parameters
    ----------
    augment
        Changes a batch's patches by a seed (common/networks/augmentation.py).
    """
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
    )
    each = -(-len(inputs) // settings.batch_size)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.epochs * each)
    losses = []
    network.train()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("local training", settings.seed))
        for epoch in range(settings.epochs):
            total = 0.0
            seed = seed_of("local batches", settings.seed, epoch)
            for number, chosen in enumerate(batches(len(inputs), settings.batch_size, each, seed)):
                rows = torch.from_numpy(chosen)
                shown = rows_of(inputs, rows)
                if augment is not None:
                    shown = shown.with_image(augment(shown.image, seed_of("local augmentation", seed, number)))
                found = loss(network(shown), outcome[rows])
                optimiser.zero_grad()
                found.backward()
                optimiser.step()
                schedule.step()
                total += float(found.detach()) * len(chosen)
            losses.append(total / len(inputs))
    network.eval()
    return losses


def lines_of(network: nn.Module, inputs: Inputs, batch_size: int = 64) -> torch.Tensor:
    """Every patient's linear predictors, as the network gives them when nothing is random."""
    network.eval()
    with torch.no_grad():
        parts = torch.arange(len(inputs)).split(batch_size)
        return torch.cat([network(rows_of(inputs, part)) for part in parts])
