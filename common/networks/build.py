"""The module that a study names, the same on both sides, and its first weights."""

import json
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
    precision = torch.float32 if settings.single else torch.float64
    if settings.sees_images:
        return packed.build(study, settings, inputs).to(precision)
    return mlp.build(settings, inputs, study.lines(), study.outcome.kind != "survival").to(precision)


def with_weights(study: Study, inputs: int, weights: np.ndarray) -> nn.Module:
    """The study's network with these weights; no initial ones are drawn, which takes longer than a step on them."""
    if loading_draws(study):
        module = build(study, inputs)
        flat.load(module, weights)
        return module
    with torch.device("meta"):
        module = build(study, inputs)
    flat.assign(module, weights)
    return module


def loading_draws(study: Study) -> bool:
    """Whether initial weights are drawn before a network's own are set: statistics are none, and must be there too."""
    return settings_of(study).normalisation == "batch"


def draws(study: Study) -> bool:
    """Whether training draws from PyTorch's generator, which a whole process shares."""
    settings, patches = settings_of(study), study.patches
    if loading_draws(study) or settings.dropout:
        return True
    image = settings.image
    if image is not None and (image.dropout or image.modality_dropout):
        return True
    return settings.sees_images and patches is not None and patches.augmentation is not None


def settings_of(study: Study) -> Network:
    """The section `network`, or its defaults."""
    return study.network or Network()


def first_weights(study: Study, inputs: int, model: str) -> np.ndarray:
    """Where training starts: PyTorch's own initial values, drawn by the study's seed; one set for all splits."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of("first weights", study.seed, model))
        return flat.vector_of(build(study, inputs))


def size(study: Study, inputs: int) -> int:
    """How many weights the study's network has over so many columns."""
    return _size(study.to_json(), inputs)


def own_layers(study: Study, inputs: int) -> np.ndarray:
    """A mask of the weights: what stays in the hospital (FedBN's normalisation, a personal head)."""
    return _own_layers(study.to_json(), inputs)


@lru_cache(maxsize=64)
def _size(content: str, inputs: int) -> int:
    return flat.size_of(_shape(content, inputs))


@lru_cache(maxsize=64)
def _own_layers(content: str, inputs: int) -> np.ndarray:
    module = _shape(content, inputs)
    found = flat.of_own_layers(module, settings_of(Study.from_content(json.loads(content), "study")))
    found.flags.writeable = False
    return found


def _shape(content: str, inputs: int) -> nn.Module:
    """The network without values: drawing some would disturb a training that another thread is in the middle of."""
    with torch.device("meta"):
        return build(Study.from_content(json.loads(content), "study"), inputs)
