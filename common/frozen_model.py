"""The frozen harmonisation of a study, as a file: written at its end, read by a hospital that joins later.

It holds the study and the steps from the raw columns to the harmonised features, fitted on all training patients.
Every number in it is a total that the hospitals of the study were sent too; of a patient, or of one hospital's own
shift and scale, there is nothing. A refit is another model: the version is the content's hash.
"""

import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from common.errors import HepafedError, StudyError
from common.model_steps import Part, WrittenStep, WrittenStudy, as_lines, read_steps, written
from common.query import View, canonical_json
from common.study import Study

FORMAT = "hepafed-harmonisation/1"
FILE_NAME = "harmonisation.json"


class _File(Part):
    format: Literal["hepafed-harmonisation/1"]
    made_with: str
    study: WrittenStudy
    covariates: list[str]
    features: list[str]
    findings: list[str]
    steps: list[WrittenStep]
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
        return as_lines(self._content() | {"digest": self.digest})

    def _content(self) -> dict[str, Any]:
        content = json.loads(self.study.to_json())
        return {
            "format": FORMAT,
            "made_with": self.made_with,
            "study": {"name": self.study.study, "hash": self.study.hash, "content": content},
            "covariates": list(self.covariates),
            "features": list(self.features),
            "findings": list(self.findings),
            "steps": [written(view) for view in self.steps],
        }


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
        steps = read_steps(said.steps)
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
