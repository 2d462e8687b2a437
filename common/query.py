"""A question that every hospital gets, and what each may answer.

A query is a name and small public parameters, never code. An answer has two visible parts: `sums`, which add
up over the hospitals and of which only the total is ever used, and `disclosed`, a short closed list of rounded
figures about the hospital itself (`Disclosed`).
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import floor, log10
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from common.errors import Code
from common.packed_arrays import Arrays, pack_arrays, refuse_other_form, unpack_arrays

RowSet = Literal["training", "held_out"]
DisclosureClass = Literal["masked total", "single hospital"]

FEWEST_HOSPITALS = 3
SMALLEST_ROW_SET = 30
SMALLEST_CELL = 5
SMALLEST_DIFFERENCE = 10
"""Two totals that can be subtracted are over the same patients, or over ten and more that differ."""

ROLL_CALL = "roll_call"
WRITES_OWN_COPIES = frozenset({"own_copy", "own_survival"})
"""Queries whose answers are empty: they write the hospital's own files, again whenever they are asked again."""
WITHOUT_SUMS = WRITES_OWN_COPIES | {ROLL_CALL, "external_figures"}
"""Queries whose answers hold figures in clear alone, or nothing."""
SMALLEST_FOR_A_MEDIAN = 10
SMALLEST_CLASS_FOR_OWN_AUC = 10


def canonical_json(value: Any) -> str:
    """One text for one value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class _ViewHead(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    step: str
    parent: str | None
    splits: tuple[str, ...]
    parameters: dict[str, Any]


@dataclass(frozen=True)
class View:
    """One fitted step of the pipeline: sent once, kept by its hash, then named by its hash.

    A view refers to its parent by hash, so that a chain of views says how to get from a hospital's rows to a
    matrix. Arrays have one leading row per split, in the order of `splits`.
    """

    step: str
    parent: str | None = None
    splits: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """The view as it travels and is kept."""
        head = {
            "step": self.step,
            "parent": self.parent,
            "splits": list(self.splits),
            "parameters": dict(self.parameters),
        }
        return pack_arrays(self.arrays, before=canonical_json(head).encode() + b"\n")

    @staticmethod
    def from_bytes(packed: bytes) -> "View":
        """The view that `to_bytes` wrote, byte for byte; other bytes raise ValueError."""
        end = packed.find(b"\n")
        if end < 0:
            raise ValueError("a view without arrays")
        read = _ViewHead.model_validate_json(packed[:end])
        view = View(
            step=read.step,
            parent=read.parent,
            splits=read.splits,
            parameters=read.parameters,
            arrays=unpack_arrays(packed, end + 1),
        )
        if view.to_bytes() != packed:  # or the same view would have two hashes
            raise ValueError("a view is not in its canonical form")
        return view

    @cached_property
    def hash(self) -> str:
        """SHA-256 of what travels."""
        return hashlib.sha256(self.to_bytes()).hexdigest()


class _QueryHead(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: str = Field(pattern=r"^[a-z_]{1,40}$")
    study: str
    splits: tuple[str, ...]
    rows: RowSet
    view: str | None
    parameters: dict[str, Any]


@dataclass(frozen=True)
class Query:
    """One question: the same bytes go to every hospital of the roster."""

    name: str
    study: str
    roster: tuple[str, ...]
    splits: tuple[str, ...] = ()
    rows: RowSet = "training"
    view: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)

    def head(self) -> str:
        """Everything but the arrays and the roster, as canonical JSON."""
        return canonical_json(
            {
                "name": self.name,
                "study": self.study,
                "splits": list(self.splits),
                "rows": self.rows,
                "view": self.view,
                "parameters": dict(self.parameters),
            }
        )

    @staticmethod
    def from_parts(head: str, roster: tuple[str, ...], packed: bytes) -> "Query":
        """The query whose `head()` and packed arrays these are; any other form of either raises ValueError."""
        read = _QueryHead.model_validate_json(head)
        query = Query(
            name=read.name,
            study=read.study,
            roster=roster,
            splits=read.splits,
            rows=read.rows,
            view=read.view,
            parameters=read.parameters,
            arrays=unpack_arrays(packed, keep_single=True),
        )
        if query.head() != head:  # or the same question would have two hashes
            raise ValueError("a query's head is not in its canonical form")
        refuse_other_form(packed, query.arrays)
        query.__dict__["packed"] = packed  # what `packed` below would make again
        return query

    @cached_property
    def packed(self) -> bytes:
        """The arrays as they travel: packed once, however many hospitals get them."""
        return pack_arrays(self.arrays)

    @cached_property
    def question(self) -> str:
        """SHA-256 of what is asked, whoever is in the room: a question is answered under one roster, once."""
        found = hashlib.sha256(self.head().encode() + b"\n")
        found.update(self.packed)
        return found.hexdigest()

    @property
    def disclosure(self) -> DisclosureClass:
        """Whether one hospital's own sums can be derived from the totals that are asked for."""
        leaves_out = any(split.startswith(LEAVE_OUT) for split in self.splits)
        return "single hospital" if leaves_out or self.name in OF_ONE_HOSPITAL else "masked total"


LEAVE_OUT = "leave_one_hospital_out/"
OF_ONE_HOSPITAL = frozenset({"combat_reference"})
"""Queries whose total is one hospital's own figures by their nature."""


def two_significant(value: float) -> float:
    """A figure rounded to two significant digits."""
    if value == 0 or not np.isfinite(value):
        return 0.0
    return round(value, 1 - floor(log10(abs(value))))


MOST_SCANNERS = 20
SCANNER_NAME = r"[\w .+/()-]{1,64}"
"""What a scanner's model looks like; a free text could name a patient."""


HEXADECIMAL = r"^([0-9a-f]{2}){1,64}$"


Contribution = Literal["retest", "perturbations", "readers", "images"]
"""What only some hospitals can add to a total: those with patients measured again, or with images."""


class Disclosed(BaseModel):
    """The closed list of figures that a hospital sends in clear about itself.

    Whoever builds it rounds and suppresses; it refuses to exist with anything finer than the list allows.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    hospital: str | None = None
    patients: int | None = Field(default=None, ge=0)
    events: int | None = Field(default=None, ge=SMALLEST_CELL)
    missing: dict[str, int] = {}
    scanners: tuple[str, ...] = Field(default=(), max_length=MOST_SCANNERS)
    features: tuple[str, ...] = ()
    fingerprint: dict[str, str] = {}
    medians: dict[str, float] = {}
    subgroups: tuple[Annotated[int, Field(ge=0)], ...] = ()
    comparing: tuple[Annotated[int, Field(ge=0)], ...] = ()
    contributes: tuple[Contribution, ...] = ()
    alone: bool = False
    auc: dict[str, tuple[float, float]] = {}
    calibration: dict[str, tuple[float, float]] = {}
    code: Code | None = None
    split: str | None = Field(default=None, max_length=128)
    key: str | None = Field(default=None, pattern=HEXADECIMAL)
    signature: str | None = Field(default=None, pattern=HEXADECIMAL)

    def model_post_init(self, _: Any) -> None:
        """Refuse to exist with a figure finer than the list allows."""
        if any(count < SMALLEST_CELL for count in self.missing.values()):
            raise ValueError(f"a count of missing values below {SMALLEST_CELL} must be suppressed")
        if any(two_significant(m) != m for m in self.medians.values()):
            raise ValueError("a disclosed median has more than two significant digits")
        if any(not re.fullmatch(SCANNER_NAME, name) for name in self.scanners):
            raise ValueError("a scanner is called by a text that is no name of a model")
        for pairs in (self.auc, self.calibration):
            if any(round(v, 3) != v for pair in pairs.values() for v in pair):
                raise ValueError("a disclosed AUC or calibration figure has more than three decimals")
        events, patients = self.events, self.patients
        if events is not None and patients is not None and patients - events < SMALLEST_CELL:
            raise ValueError(
                f"a number of events that leaves fewer than {SMALLEST_CELL} others must be suppressed"
            )


@dataclass(frozen=True)
class Answer:
    """What one hospital sends: sums to be masked and added, and figures in clear."""

    sums: Arrays = field(default_factory=dict)
    disclosed: Disclosed = field(default_factory=Disclosed)

    @staticmethod
    def refusal(code: Code, hospital: str | None = None, split: str | None = None) -> "Answer":
        """An answer that holds a code from the closed list, perhaps the split it is about, and no figure."""
        return Answer(disclosed=Disclosed(hospital=hospital, code=code, split=split))


@dataclass(frozen=True)
class Total:
    """What the coordinator works with: sums over the roster, and each hospital's disclosed figures."""

    sums: Arrays
    disclosed: dict[str, Disclosed]


def add(answers: Mapping[str, Answer]) -> Total:
    """Answers added in the order of the hospitals' names, so that the total has the same bits every time."""
    names = sorted(answers)
    shapes = {name: {key: a.shape for key, a in answers[name].sums.items()} for name in names}
    if any(shapes[name] != shapes[names[0]] for name in names):
        raise ValueError(f"answers of different shapes cannot be added: {shapes}")
    sums: Arrays = {}
    for key in shapes[names[0]] if names else ():
        total = np.zeros(shapes[names[0]][key])
        for name in names:
            total += answers[name].sums[key]
        sums[key] = total
    return Total(sums=sums, disclosed={name: answers[name].disclosed for name in names})
