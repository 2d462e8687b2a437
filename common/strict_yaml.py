"""Reading the YAML files that people write, and saying what is wrong in them: file, line, field and cure."""

import difflib
import re
from datetime import date
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from common.errors import StudyError

Place = tuple[str | int, ...]
LONGEST_FOUND = 60


class Misfits(ValueError):
    """Fields that are each right and do not fit each other; a model's validator raises all of them at once."""

    def __init__(self, misfits: list[tuple[Place, str]]) -> None:
        super().__init__("; ".join(f"{'.'.join(map(str, place))}: {said}" for place, said in misfits))
        self.misfits = misfits


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
    lines: dict[Place, int] = {}
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):  # a few nested ones can stand for a file of any size
                where = f"{path}, line {event.start_mark.line + 1}" if event.start_mark is not None else path
                raise StudyError(f"{where}: '*{event.anchor}' repeats another place; write the value out")
        content = yaml.safe_load(text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if root is not None:
            _collect_lines(root, (), lines, path)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise StudyError(
            f"{path}, line {line}: a character that no text holds ({error.character:#x}); delete it"
        ) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark is not None else ""
        problem = getattr(error, "problem", None) or "it is not valid YAML"
        raise StudyError(f"{path}{where}: {problem}; check indentation, colons and brackets there") from None
    except ValueError as error:  # what looks like a date or a number and is none, e.g. 2024-13-45
        raise StudyError(f"{path}: {error}; a value that looks like a date needs quotes") from None
    except RecursionError:
        raise StudyError(f"{path}: brackets are nested too deeply; close them") from None
    if content is None:
        raise StudyError(f"{path}: the file is empty; write a field, or delete the file")
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
        cause = fault.get("ctx", {}).get("error")
        if isinstance(cause, Misfits):
            faults += [(place + inside, said) for inside, said in cause.misfits]
        else:
            faults.append((place, _say(fault, place, model)))
    faults.sort(key=lambda fault: _line_of(fault[0], lines) or 0)
    return "\n".join(dict.fromkeys(_located(source, lines, place, said) for place, said in _joined(faults)))


def _joined(faults: list[tuple[Place, str]]) -> list[tuple[Place, str]]:
    """What a value of several types could be instead, in one sentence."""
    cures: dict[tuple[Place, str], list[str]] = {}
    for place, said in faults:
        found, _, cure = said.partition("; ") if said.startswith("found ") else (said, "", "")
        cures.setdefault((place, found), []).append(cure)
    return [
        (place, "; ".join(filter(None, [found, " or ".join(dict.fromkeys(cure))])))
        for (place, found), cure in cures.items()
    ]


def _located(source: str, lines: dict[Place, int], place: Place, said: str) -> str:
    line = _line_of(place, lines)
    where = f"{source}, line {line}" if line else source
    field = ".".join(str(part) for part in place)
    return f"{where}: {field + ': ' if field else ''}{said}"


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
        part in {"binary", "multiclass", "survival", "horizon"} or part.endswith("float") or "[" in part
    )


def _line_of(place: Place, lines: dict[Place, int]) -> int | None:
    for end in range(len(place), -1, -1):
        if place[:end] in lines:
            return lines[place[:end]]
    return None


def _say(fault: Any, place: Place, model: type[BaseModel]) -> str:
    kind, context = fault["type"], fault.get("ctx", {})
    if not place and kind in _SHAPES:  # another kind of file, perhaps a table of patients: nothing of it is shown
        return "this is no study and no settings file; write 'field: value' lines"
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
        return f"found {_shortened(fault['input'])}; write {context['expected']}"
    if kind == "union_tag_invalid":
        return f"kind {context['tag']!r} is unknown; write one of {context['expected_tags']}"
    if kind == "union_tag_not_found":
        return "say which kind it is: kind: binary, multiclass or survival"
    found = fault["input"]
    if found is None:
        return "there is nothing after the colon; write a value, or take the line out"
    if kind == "string_type" and isinstance(found, bool):
        return "YAML reads yes, no, on, off, true and false as switches; put the text in quotes, e.g. 'yes'"
    if kind == "string_type" and isinstance(found, date):
        return f"YAML reads {found} as a date; put it in quotes"
    if kind == "invalid_key" and isinstance(found, int):
        return f"found the field {found}; a comma parts fields here: write numbers with a point, e.g. 1.0, not 1,0"
    if kind in ("float_parsing", "int_parsing") and _DECIMAL_COMMA.fullmatch(str(found)):
        return f"found {found!r}; write a decimal point: {found.replace(',', '.')}"
    if kind in _SHAPES:
        return f"found {_shortened(found)}; {_SHAPES[kind]}"
    return f"found {_shortened(found)}; {fault['msg'][0].lower()}{fault['msg'][1:]}"


def _shortened(found: object) -> str:
    """As much of a value as it takes to find it: a file of another kind is not to be printed on the screen."""
    said = repr(found)
    return said if len(said) <= LONGEST_FOUND else f"{said[:LONGEST_FOUND]}…"


_DECIMAL_COMMA = re.compile(r"\s*[+-]?\d+,\d+\s*")
_SECTION = "this is a section: write 'field: value' lines below it"
_SHAPES = {
    "model_type": _SECTION,
    "model_attributes_type": _SECTION,
    "dict_type": _SECTION,
    "list_type": "write a list, e.g. [a, b]",
    "tuple_type": "write a list, e.g. [0, 100]",
    "float_parsing": "write a number, e.g. 1.0",
    "int_parsing": "write a whole number",
    "string_pattern_mismatch": "write letters, digits, - _ . only, a letter or digit first, at most 63 of them",
}


def _fields_at(model: type[BaseModel], place: Place) -> list[str]:
    """The fields that a section of the file may hold."""
    current: list[type[BaseModel]] = [model]
    for part in place:
        nested: list[type[BaseModel]] = []
        for candidate in current:
            field = candidate.model_fields.get(str(part))
            nested += models_in(field.annotation) if field is not None else [candidate]
        current = nested
    return sorted({name for candidate in current for name in candidate.model_fields})


def models_in(annotation: Any) -> list[type[BaseModel]]:
    """The sections that a field's type holds."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for argument in get_args(annotation) for found in models_in(argument)]
