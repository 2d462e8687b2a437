"""PyTorch is an extra of the installation: who has a network to train and lacks it is told before anything is asked."""

import importlib.util

from common.study import Study


def lacks_pytorch(study: Study) -> str | None:
    """What is missing and how to get it; None where the study has no network, or PyTorch is there."""
    if study.network is None or importlib.util.find_spec("torch") is not None:
        return None
    return (
        f"the study {study.study} has a network, and PyTorch is not installed here: install Hepafed with its extra "
        "networks (in the source: make install; elsewhere from a bundle that carries it, docs/operate-a-hospital.md)"
    )
