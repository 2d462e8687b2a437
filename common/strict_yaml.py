"""Reading the YAML files that people write, and saying what is wrong in them: file, line, field and cure."""

import difflib
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from common.errors import StudyError

Place = tuple[str | int, ...]


def read_yaml(path: Path) -> tuple[Any, dict[Place, int]]:
    """The content of a YAML file, and the line on which each field stands.

    A key that is written twice is an error: YAML would silently keep the last one.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise StudyError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise StudyError(f"{path}: this is a folder; name the file in it") from None
    except UnicodeDecodeError:
        raise StudyError(f"{path}: this is not UTF-8 text; save it as UTF-8") from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        lines: dict[Place, int] = {}
        if root is not None:
            _collect_lines(root, (), lines, path)
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "it is not valid YAML"
        raise StudyError(f"{path}{where}: {problem}; check indentation, colons and brackets there") from None
    if content is None:
        raise StudyError(f"{path}: the file is empty")
    return content, lines


def _collect_lines(node: yaml.Node, place: Place, lines: dict[Place, int], path: Path) -> None:
    lines[place] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.value in seen:
                raise StudyError(
                    f"{path}, line {line}: '{key.value}' stands on line {seen[key.value]} already; keep one"
                )
            seen[key.value] = line
            _collect_lines(value, (*place, key.value), lines, path)
            lines[(*place, key.value)] = line
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            _collect_lines(value, (*place, index), lines, path)


def describe_faults(error: ValidationError, source: str, lines: dict[Place, int], model: type[BaseModel]) -> str:
    """Every fault of a validation, a line each: where, what was found, what to write instead."""
    faults = []
    for fault in error.errors(include_url=False):
        place = _place_in_file(fault["loc"], lines)
        line = _line_of(place, lines)
        where = f"{source}, line {line}" if line else source
        field = ".".join(str(part) for part in place)
        faults.append(f"{where}: {field + ': ' if field else ''}{_say(fault, place, model)}")
    return "\n".join(dict.fromkeys(faults))


def _place_in_file(loc: tuple[str | int, ...], lines: dict[Place, int]) -> Place:
    """Pydantic's location without the names of union members, which no file holds."""
    place: Place = ()
    for index, part in enumerate(loc):
        last = index == len(loc) - 1
        if not lines or (*place, part) in lines or (last and not _is_union_member(part)):
            place = (*place, part)
    return place


def _is_union_member(part: str | int) -> bool:
    return isinstance(part, str) and (
        part in {"binary", "multiclass", "survival"} or part.endswith("float") or "[" in part
    )


def _line_of(place: Place, lines: dict[Place, int]) -> int | None:
    for end in range(len(place), -1, -1):
        if place[:end] in lines:
            return lines[place[:end]]
    return None


def _say(fault: Any, place: Place, model: type[BaseModel]) -> str:
    kind, context = fault["type"], fault.get("ctx", {})
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(str(place[-1]), _fields_at(model, place[:-1]), n=1)
        hint = (
            f"did you mean '{near[0]}'?"
            if near
            else f"known fields here: {', '.join(_fields_at(model, place[:-1]))}"
        )
        return f"unknown field; {hint}"
    if kind == "missing":
        return "this field is missing; add it"
    if kind == "value_error":
        return str(context.get("error", fault["msg"]))
    if kind == "literal_error":
        return f"found {fault['input']!r}; write {context['expected']}"
    if kind == "union_tag_invalid":
        return f"kind {context['tag']!r} is unknown; write one of {context['expected_tags']}"
    if kind == "union_tag_not_found":
        return "say which kind it is: kind: binary, multiclass or survival"
    return f"found {fault['input']!r}; {fault['msg'][0].lower()}{fault['msg'][1:]}"


def _fields_at(model: type[BaseModel], place: Place) -> list[str]:
    """The fields that a section of the file may hold."""
    current: list[type[BaseModel]] = [model]
    for part in place:
        nested: list[type[BaseModel]] = []
        for candidate in current:
            field = candidate.model_fields.get(str(part))
            nested += _models_in(field.annotation) if field is not None else [candidate]
        current = nested
    return sorted({name for candidate in current for name in candidate.model_fields})


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in get_args(annotation) for found in _models_in(argument)]
