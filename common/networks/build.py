"""The module that a study names, the same on both sides, and its first weights."""

from functools import lru_cache

import numpy as np
import torch
from torch import nn

from common.networks import flat, mlp, packed
from common.networks.seeds import seed_of
from common.networks.settings import Network
from common.study import Study


def build(study: Study, inputs: int) -> nn.Module:
    """The study's network over so many columns; the values of its parameters are not set."""
    settings = settings_of(study)
    precision = torch.float64 if settings.precision == "double" else torch.float32
    if settings.sees_images:
        return packed.build(study, settings, inputs).to(precision)
    return mlp.build(settings, inputs, study.lines(), study.outcome.kind != "survival").to(precision)


def settings_of(study: Study) -> Network:
    """The section `network`, or its defaults."""
    return study.network or Network()


def first_weights(study: Study, inputs: int, model: str) -> np.ndarray:
    """Where training starts: PyTorch's own initial values, drawn by the study's seed; one set for all splits."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("first weights", study.seed, model))
        return flat.vector_of(build(study, inputs))


@lru_cache(maxsize=64)
def _size(content: str, inputs: int) -> int:
    import json

    with torch.device("meta"):
        return flat.size_of(build(Study.from_content(json.loads(content), "study"), inputs))


def size(study: Study, inputs: int) -> int:
    """How many weights the study's network has over so many columns."""
    return _size(study.to_json(), inputs)
