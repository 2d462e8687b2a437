"""Hospitals of one process train at the same time where nothing is drawn, and take turns where something is."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from client.networks import exactly as turns
from client.networks.exactly import exactly
from client.networks.local_training import Patients, train
from common.networks.build import draws, first_weights
from common.networks.packing import packed_width
from common.study import Study

IMAGES: dict[str, Any] = {
    "phases": {"portal": {"modality": "CT"}},
    "size": [8, 8, 8],
    "ring_mm": 5.0,
    "augmentation": None,
}
NOTHING = {"rounds": 1, "local_epochs": 2, "batch_size": 8}
SMALL = {"channels": [4, 4], "embedding": 4}
JOINED = SMALL | {"joined": 4}


def of(patches: dict[str, Any] | None = None, **network: Any) -> Study:
    """A study whose network is over columns, or over images where an architecture is named."""
    content: dict[str, Any] = {
        "study": "side-by-side",
        "outcome": {"kind": "binary", "column": "mvi"},
        "predictors": {"clinical": ["a", "b", "c"]},
        "model": {"kind": "network"},
        "network": NOTHING | network,
    }
    if "architecture" in network:
        content["patches"] = IMAGES | (patches or {})
    return Study.from_content(content, "test")


DRAWN = {
    "dropout": of(dropout=0.5),
    "batch normalisation": of(strategy="fedbn", normalisation="batch"),
    "augmentation": of(architecture="cnn3d", image=SMALL, patches={"augmentation": {}}),
    "an embedding's dropout": of(architecture="cnn3d", image=SMALL | {"dropout": 0.5}),
    "a modality hidden": of(architecture="fusion", image=JOINED | {"modality_dropout": 0.3}),
}
NOT_DRAWN = {
    "columns": of(),
    "fedprox": of(strategy="fedprox", mu=0.1, momentum=0.9),
    "cnn3d": of(architecture="cnn3d", image=SMALL),
    "mil25d": of(architecture="mil25d", image=SMALL),
    "fusion": of(architecture="fusion", image=JOINED),
}


def patients(study: Study) -> Patients:
    rng = np.random.default_rng(3)
    matrix = rng.normal(size=(24, 3 + packed_width(study)))
    matrix[:, 3:4] = 1.0
    return Patients(matrix, (matrix[:, 0] > 0).astype(float))


def trained(study: Study, start: np.ndarray) -> np.ndarray:
    return train(study, patients(study), start, 1, "alder").weights


@pytest.mark.parametrize("name", NOT_DRAWN)
def test_what_trains_beside_others_leaves_pytorchs_generator_alone(name: str) -> None:
    assert not draws(NOT_DRAWN[name])
    start, before = first_weights(NOT_DRAWN[name], 3, ""), torch.get_rng_state()
    train(NOT_DRAWN[name], patients(NOT_DRAWN[name]), start, 1, "alder")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", DRAWN)
def test_what_draws_takes_turns(name: str) -> None:
    assert draws(DRAWN[name])
    held, finished, start = threading.Event(), threading.Event(), first_weights(DRAWN[name], 3, "")

    def hold() -> None:
        with exactly(1):
            held.set()
            finished.wait(20)

    other, own = threading.Thread(target=hold), threading.Thread(target=trained, args=(DRAWN[name], start))
    other.start()
    held.wait(20)
    own.start()
    own.join(0.5)
    assert own.is_alive(), "it trained while another thread was drawing"
    finished.set()
    own.join(60)
    other.join(20)
    assert not own.is_alive()


def together(*works: Callable[[], np.ndarray]) -> list[np.ndarray]:
    """What all give that begin at the same moment."""
    ready, found = threading.Barrier(len(works)), {}

    def one(number: int) -> None:
        ready.wait(20)
        found[number] = works[number]()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return [found[number] for number in range(len(works))]


def test_side_by_side_everyone_gets_the_bits_that_it_gets_alone() -> None:
    studies = [NOT_DRAWN["cnn3d"], DRAWN["dropout"], NOT_DRAWN["columns"], DRAWN["augmentation"]]
    works = [partial(trained, study, first_weights(study, 3, "")) for study in studies]
    alone = [work() for work in works]
    for _ in range(3):
        for found, expected in zip(together(*works), alone, strict=True):
            np.testing.assert_array_equal(found, expected)


def test_settings_of_the_process_are_put_back_when_the_last_one_leaves() -> None:
    before = (torch.get_num_threads(), torch.get_deterministic_debug_mode())
    with exactly(None), exactly(None), exactly(2):
        assert torch.get_num_threads() == 1
    assert (torch.get_num_threads(), torch.get_deterministic_debug_mode()) == before
    assert turns._SETTINGS._inside == 0
