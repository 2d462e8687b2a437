"""What can be read of a YAML file with faults, so that a check of the rest need not wait until they are mended."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from common.errors import StudyError
from common.strict_yaml import Place, read_yaml

File = TypeVar("File", bound=BaseModel)


def content_of(path: Path) -> dict[Any, Any] | None:
    """What a file holds, by the names of its fields; None where it is no YAML, or has no fields."""
    try:
        content, _ = read_yaml(path)
    except StudyError:
        return None
    return content if isinstance(content, dict) else None


def sound_part(content: dict[Any, Any], model: type[File]) -> tuple[File, frozenset[Place]]:
    """The file without the fields that do not fit, and where those stand; of two that clash the first stays."""
    kept: dict[Any, Any] = {}
    dropped: set[Place] = set()
    _add(content, kept, (), kept, model, dropped)
    return model.model_validate(kept), frozenset(dropped)


def _add(
    part: dict[Any, Any],
    into: dict[Any, Any],
    place: Place,
    kept: dict[Any, Any],
    model: type[File],
    dropped: set[Place],
) -> None:
    for key, value in part.items():
        into[key] = value
        if _fits(kept, model):
            continue
        into[key] = {}
        if isinstance(value, dict) and value and _fits(kept, model):
            _add(value, into[key], (*place, key), kept, model, dropped)
        else:
            del into[key]
            dropped.add((*place, key))


def _fits(content: dict[Any, Any], model: type[File]) -> bool:
    try:
        model.model_validate(content)
    except ValidationError:
        return False
    return True
