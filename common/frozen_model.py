"""The frozen harmonisation of a study, as a file: written at its end, read by a hospital that joins later.

It holds the study and the steps from the raw columns to the harmonised features, fitted on all training patients.
Every number in it is a total that the hospitals of the study were sent too; of a patient, or of one hospital's own
shift and scale, there is nothing. A refit is another model: the version is the content's hash.
"""

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import version
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, FiniteFloat, ValidationError

from common.errors import HepafedError, StudyError
from common.query import View, canonical_json
from common.splits import FINAL
from common.study import Study

FORMAT = "hepafed-harmonisation/1"
FILE_NAME = "harmonisation.json"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Array(_Part):
    """Numbers in row order; null where a gap stays open."""

    shape: list[int]
    values: list[FiniteFloat | None]


class _Step(_Part):
    step: str
    parameters: dict[str, Any]
    arrays: dict[str, _Array]


class _Study(_Part):
    name: str
    hash: str
    content: dict[str, Any]


class _File(_Part):
    format: Literal["hepafed-harmonisation/1"]
    made_with: str
    study: _Study
    covariates: list[str]
    features: list[str]
    findings: list[str]
    steps: list[_Step]
    digest: str


@dataclass(frozen=True)
class FrozenModel:
    """A study's harmonisation, fitted on all its training patients.

    Parameters
    ----------
    covariates
        The columns whose effect is kept, smooth ones expanded; the study's `variables` say how each is made.
    features
        The features that a hospital needs.
    findings
        What the fit had to say, e.g. which features were constant.
    steps
        The views from the raw columns (first) to the harmonised features (last), for the split `final` alone.
    """

    study: Study
    covariates: tuple[str, ...]
    features: tuple[str, ...]
    findings: tuple[str, ...]
    steps: tuple[View, ...]
    made_with: str = f"hepafed {version('hepafed')}"

    @property
    def digest(self) -> str:
        """SHA-256 of everything in the model."""
        return hashlib.sha256(canonical_json(self._content()).encode()).hexdigest()

    @property
    def name(self) -> str:
        """What people call this model: the study's name and the first letters of the digest."""
        return f"{self.study.study}@{self.digest[:12]}"

    def to_text(self) -> str:
        """The file's text: JSON, a line for each part."""
        parts = self._content() | {"digest": self.digest}
        lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in parts.items()]
        return "{\n" + ",\n".join(lines) + "\n}\n"

    def _content(self) -> dict[str, Any]:
        content = json.loads(self.study.to_json())
        return {
            "format": FORMAT,
            "made_with": self.made_with,
            "study": {"name": self.study.study, "hash": self.study.hash, "content": content},
            "covariates": list(self.covariates),
            "features": list(self.features),
            "findings": list(self.findings),
            "steps": [_written(view) for view in self.steps],
        }


def chain(steps: list[tuple[str, dict[str, Any], dict[str, np.ndarray]]]) -> tuple[View, ...]:
    """Steps (name, parameters, arrays without an axis of splits) as views that build on each other."""
    views: list[View] = []
    for step, parameters, arrays in steps:
        views.append(
            View(
                step=step,
                parent=views[-1].hash if views else None,
                splits=(FINAL,) if views else (),
                parameters=parameters,
                arrays={name: array[None] for name, array in arrays.items()},
            )
        )
    return tuple(views)


def read_frozen_model(path: Path) -> FrozenModel:
    """Read a model file; HepafedError where it is none, or where it is not as it was written."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise HepafedError(f"{path}: there is no such file; ask the study for its {FILE_NAME}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise HepafedError(f"{path} cannot be read ({error}); ask the study for its {FILE_NAME}") from None
    try:
        parsed = json.loads(text)
        if isinstance(parsed, dict) and parsed.get("format") not in (None, FORMAT):
            raise HepafedError(
                f"{path}: its format is {parsed['format']!r} and this hepafed reads {FORMAT!r}; use the version "
                f"that wrote it ({parsed.get('made_with', 'not said')})"
            )
        said = _File.model_validate(parsed)
        study = Study.from_content(said.study.content, f"{path}: the study in it")
        steps = chain([(s.step, s.parameters, {k: _read(a) for k, a in s.arrays.items()}) for s in said.steps])
    except (ValidationError, ValueError, RecursionError, StudyError):
        raise HepafedError(
            f"{path} is no model of a study's harmonisation; give the {FILE_NAME} that the study wrote"
        ) from None
    model = FrozenModel(
        study, tuple(said.covariates), tuple(said.features), tuple(said.findings), steps, said.made_with
    )
    if said.digest != model.digest or said.study.hash != study.hash:
        raise HepafedError(f"{path} was changed after it was written; ask the study for the file again")
    return model


def _written(view: View) -> dict[str, Any]:
    """One step as JSON; the axis of splits, of length one, is left away."""
    arrays = {}
    for name, array in sorted(view.arrays.items()):
        values = [value if value == value else None for value in array[0].ravel().tolist()]
        arrays[name] = {"shape": list(array[0].shape), "values": values}
    return {"step": view.step, "parameters": dict(view.parameters), "arrays": arrays}


def _read(array: _Array) -> np.ndarray:
    if any(length < 0 for length in array.shape) or prod(array.shape) != len(array.values):
        raise ValueError(f"an array of shape {array.shape} with {len(array.values)} values")
    return np.array(array.values, dtype=np.float64).reshape(array.shape)
