"""Fitted steps as JSON: views of the split `final` alone, for files that a study leaves behind."""

import json
from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, FiniteFloat

from common.query import View
from common.splits import FINAL


class Part(BaseModel):
    """A part of such a file: nothing but what is named."""

    model_config = ConfigDict(extra="forbid")


class WrittenArray(Part):
    """Numbers in row order; null where a gap stays open."""

    shape: list[int]
    values: list[FiniteFloat | None]


class WrittenStep(Part):
    """One view, without its axis of splits."""

    step: str
    parameters: dict[str, Any]
    arrays: dict[str, WrittenArray]


class WrittenStudy(Part):
    """The study that a file comes from."""

    name: str
    hash: str
    content: dict[str, Any]


def chain(steps: Sequence[tuple[str, dict[str, Any], dict[str, np.ndarray]]]) -> tuple[View, ...]:
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


def written(view: View) -> dict[str, Any]:
    """One step as JSON; the axis of splits, of length one, is left away."""
    arrays = {}
    for name, array in sorted(view.arrays.items()):
        values = [value if value == value else None for value in array[0].ravel().tolist()]
        arrays[name] = {"shape": list(array[0].shape), "values": values}
    return {"step": view.step, "parameters": dict(view.parameters), "arrays": arrays}


def read_steps(steps: Sequence[WrittenStep]) -> tuple[View, ...]:
    """The views that were written; ValueError where an array is none."""
    return chain([(s.step, s.parameters, {name: _read(a) for name, a in s.arrays.items()}) for s in steps])


def as_lines(parts: dict[str, Any]) -> str:
    """JSON, a line for each part."""
    lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in parts.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _read(array: WrittenArray) -> np.ndarray:
    if any(length < 0 for length in array.shape) or prod(array.shape) != len(array.values):
        raise ValueError(f"an array of shape {array.shape} with {len(array.values)} values")
    return np.array(array.values, dtype=np.float64).reshape(array.shape)
