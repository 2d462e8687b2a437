"""How networks were trained, as results.json says it (docs/results.md describes every key)."""

from collections import Counter
from dataclasses import asdict
from typing import Any

from common.networks.settings import Network
from common.study import Study
from server.methods.network import Networks


def network_of(study: Study, networks: Networks | None) -> dict[str, Any] | None:
    """The entry `network`; None where the study's models are no networks."""
    if networks is None:
        return None
    settings = study.network or Network()
    trained = Counter(name for names in networks.trained for name in names)
    return {
        "settings": settings.model_dump(mode="json"),
        "inputs": int(networks.columns.shape[-1]),
        "weights": networks.number_of_weights,
        "rounds": networks.rounds,
        "trained": dict(sorted(trained.items())),
        "curves": {
            model: {split: asdict(networks.curves[model, split]) for split in networks.splits}
            for model in networks.models
        },
        "also": _also(study, networks),
        "attention": None if networks.attention is None else asdict(networks.attention),
    }


def _also(study: Study, networks: Networks) -> dict[str, Any] | None:
    """The second outcome and how its head was judged, by label; None where there is none."""
    also = None if study.network is None else study.network.also
    if also is None:
        return None
    return {
        "kind": also.outcome.kind,
        "column": also.columns()[-1],
        "judged": {label: asdict(judged) for label, judged in networks.second.items()},
    }


def without_coefficients() -> dict[str, Any]:
    """What the entry `model` says of every network: it has weights and no coefficients."""
    empty: dict[str, Any] = {"coefficients": {}, "standardised": {}, "by_split": {}}
    return {"kind": "network", "penalty": None, "strength": None, "intercept": None} | empty


def model_of_networks(networks: Networks) -> dict[str, Any]:
    """The entry `model` of networks that were trained in rounds."""
    return without_coefficients() | {"standard_errors": None, "log_likelihood": None, "rounds": networks.rounds}
