"""Sealed external hospitals, as results.json says it (docs/results.md describes every key)."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from common.query import Disclosed
from common.splits import Label
from server.evaluation.discrimination import Estimate
from server.evaluation.external import External


def external_of(external: External | None, disclosed: Mapping[str, Disclosed]) -> dict[str, Any] | None:
    """The key `external`; None where none is external."""
    if external is None:
        return None
    return {
        "judged_together": external.together,
        "figure": external.figure,
        "hospitals": {
            name: {
                "patients": disclosed[name].patients,
                "judged": {
                    label: {
                        "figure": asdict(own.figure),
                        "calibration": dict(
                            zip(("slope", "intercept"), own.calibration or (None, None), strict=True)
                        ),
                    }
                    for label, own in labels.items()
                },
            }
            for name, labels in sorted(external.hospitals.items())
        },
    }


def notes_on_external(external: External | None) -> list[str]:
    """What a reader must know of the external hospitals."""
    if external is None:
        return []
    names = ", ".join(sorted(external.hospitals))
    said = [f"Sealed external: {names}, in no training rows; the final model was judged there once."]
    if not external.together:
        figures = "; ".join(
            _in_words(name, label, external.figure, own.figure)
            for name, labels in sorted(external.hospitals.items())
            for label, own in labels.items()
        )
        said.append(f"Fewer than three external hospitals make no total; their own figures: {figures}.")
    return said


def _in_words(name: str, label: str, figure: str, own: Estimate) -> str:
    level = Label.read(label).level
    whose = f"{name}, {level}" if level else name
    if own.value is None or own.low is None or own.high is None:
        return f"{whose}: no {figure} of its own (fewer than ten with or without the outcome)"
    return f"{whose}: {figure} {own.value:.2f} ({own.low:.2f} to {own.high:.2f})"
