"""A study locked before its first new patient: model, threshold and plan of analysis under one hash.

The hash is what is registered (a trial registry, a letter, a shared folder) before the first new patient is scored.
Whoever changes the model, the threshold or the plan afterwards has another hash, and hospitals refuse it.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from common.errors import HepafedError
from common.model_steps import Part, as_lines
from common.query import canonical_json
from common.released_model import ReleasedModel, model_from_content, read_json

FORMAT = "hepafed-lock/1"
FILE_NAME = "lock.json"


class WrittenLock(Part):
    """The file, as it is read."""

    format: Literal["hepafed-lock/1"]
    model: dict[str, Any]
    threshold: float | None = Field(ge=0, le=1)
    plan: str
    lock: str


@dataclass(frozen=True)
class LockedStudy:
    """A released model, the probability above which a patient counts as positive, and the plan of analysis."""

    model: ReleasedModel
    threshold: float | None
    plan: str

    @property
    def hash(self) -> str:
        """SHA-256 of model, threshold and plan: what is registered."""
        return hashlib.sha256(canonical_json(self._content()).encode()).hexdigest()

    def to_text(self) -> str:
        """The file's text: JSON, a line for each part."""
        return as_lines(self._content() | {"lock": self.hash})

    def _content(self) -> dict[str, Any]:
        model = self.model.content() | {"digest": self.model.digest}
        return {"format": FORMAT, "model": model, "threshold": self.threshold, "plan": self.plan}


def read_locked_study(path: Path) -> LockedStudy:
    """Read a lock; HepafedError where it is none, or where anything in it was changed after it was written."""
    content = read_json(path, FILE_NAME, FORMAT)
    try:
        said = WrittenLock.model_validate(content)
    except ValidationError:
        raise HepafedError(f"{path} is no lock of a study; give the {FILE_NAME} that was registered") from None
    locked = LockedStudy(model_from_content(said.model, path), said.threshold, said.plan)
    if locked.hash != said.lock:
        raise HepafedError(f"{path} was changed after it was locked; ask the study for the registered file")
    return locked
