"""A study's predictive model, as a file: written at its end, applied by any hospital to patients of its own.

It holds the study and the fitted steps from the raw columns to the linear predictors (imputation, harmonisation, scale,
coefficients), all for the model of all training patients; for survival the baseline's cumulative hazard at the
horizons. Every number in it was sent to the hospitals of the study too; of a patient there is nothing. A refit is
another model: the digest is over everything.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import FiniteFloat, ValidationError

from common.errors import HepafedError, StudyError
from common.model_steps import Part, WrittenStep, WrittenStudy, as_lines, read_steps, written
from common.query import View, canonical_json
from common.study import Study

FORMAT = "hepafed-model/1"
FILE_NAME = "model.json"
HARMONISING = frozenset({"combat", "covbat", "levels"})


class WrittenModel(Part):
    """The file, as it is read."""

    format: Literal["hepafed-model/1"]
    made_with: str
    study: WrittenStudy
    hospitals: list[str]
    features: list[str]
    threshold: FiniteFloat | None
    baseline: dict[str, FiniteFloat]
    harmonisation: str
    steps: list[WrittenStep]
    digest: str


@dataclass(frozen=True)
class ReleasedModel:
    """The model of all training patients.

    Parameters
    ----------
    hospitals
        Those whose patients it was fitted to.
    features
        The feature columns that a hospital needs.
    steps
        The views from the raw columns (first) to the linear predictors (last), for the split `final` alone.
    threshold
        The predicted probability above which a patient counts as positive; None where the study chose none.
    baseline
        Survival: the cumulative hazard of a patient at the average, by months.
    harmonisation
        The digest of the study's harmonisation.json; empty where nothing was harmonised.
    """

    study: Study
    hospitals: tuple[str, ...]
    features: tuple[str, ...]
    steps: tuple[View, ...]
    threshold: float | None = None
    baseline: Mapping[int, float] = field(default_factory=dict)
    harmonisation: str = ""
    made_with: str = f"hepafed {version('hepafed')}"

    @property
    def digest(self) -> str:
        """SHA-256 of everything in the model."""
        return hashlib.sha256(canonical_json(self.content()).encode()).hexdigest()

    @property
    def name(self) -> str:
        """What people call this model: the study's name and the first letters of the digest."""
        return f"{self.study.study}@{self.digest[:12]}"

    @property
    def harmonises(self) -> bool:
        """Whether a hospital needs a shift and scale of its own."""
        return any(view.step in HARMONISING for view in self.steps)

    def content(self) -> dict[str, Any]:
        """Everything but the digest."""
        return {
            "format": FORMAT,
            "made_with": self.made_with,
            "study": {
                "name": self.study.study,
                "hash": self.study.hash,
                "content": json.loads(self.study.to_json()),
            },
            "hospitals": list(self.hospitals),
            "features": list(self.features),
            "threshold": self.threshold,
            "baseline": {str(months): hazard for months, hazard in sorted(self.baseline.items())},
            "harmonisation": self.harmonisation,
            "steps": [written(view) for view in self.steps],
        }

    def to_text(self) -> str:
        """The file's text: JSON, a line for each part."""
        return as_lines(self.content() | {"digest": self.digest})


def read_released_model(path: Path) -> ReleasedModel:
    """Read a model file; HepafedError where it is none, or where it is not as it was written."""
    return model_from_content(read_json(path, FILE_NAME, FORMAT), path)


def read_json(path: Path, name: str, expected: str) -> dict[str, Any]:
    """The content of a file that a study leaves behind, of the expected format."""
    try:
        parsed = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise HepafedError(f"{path}: there is no such file; ask the study for its {name}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise HepafedError(f"{path} cannot be read ({error}); ask the study for its {name}") from None
    if not isinstance(parsed, dict) or parsed.get("format") != expected:
        found = parsed.get("format") if isinstance(parsed, dict) else None
        raise HepafedError(f"{path}: its format is {found!r}, expected {expected!r}; give the study's {name}")
    return parsed


def model_from_content(content: Mapping[str, Any], path: Path) -> ReleasedModel:
    """The model that a file says; HepafedError where it was changed after it was written."""
    try:
        said = WrittenModel.model_validate(content)
        study = Study.from_content(said.study.content, f"{path}: the study in it")
        model = ReleasedModel(
            study,
            tuple(said.hospitals),
            tuple(said.features),
            read_steps(said.steps),
            said.threshold,
            {int(months): hazard for months, hazard in said.baseline.items()},
            said.harmonisation,
            said.made_with,
        )
    except (ValidationError, ValueError, StudyError):
        raise HepafedError(
            f"{path} holds no model of a study; give the {FILE_NAME} that the study wrote"
        ) from None
    if said.digest != model.digest or said.study.hash != study.hash:
        raise HepafedError(f"{path} was changed after it was written; ask the study for the file again")
    return model
