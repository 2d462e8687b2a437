"""What travels beside a query so that its answer is masked, and the steps around it; both as Flower records."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from flwr.app import ConfigRecord, RecordDict
from pydantic import BaseModel, ConfigDict, Field

from common.query import canonical_json
from common.secure_sum.agreement import Agreement

RECORD = "sums"


class Said(StrEnum):
    """What a reply holds beside the figures in clear."""

    NOTHING = "nothing"  # an answer without masks: a roll call, a copy for the hospital itself, or a refusal
    MASKED = "masked"  # the sums under masks
    STEP = "step"  # keys, parcels or shares


class Step(StrEnum):
    """The steps of a secure sum that are no question."""

    ANNOUNCE = "announce"
    DEAL = "deal"
    REVEAL = "reveal"


class _Agreement(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    study: str
    run: str = Field(pattern=r"^[A-Za-z0-9-]{1,64}$")
    fingerprints: dict[str, str]
    rounds: int


@dataclass(frozen=True)
class Asking:
    """How the answer to a question is to be masked, or which step is asked for.

    Parameters
    ----------
    step
        None: the message holds a question too.
    question
        Of the round that is to be revealed; a question itself has its own.
    scales
        For `reveal`: the shapes that were summed (`Exponents.packed`; the scale is the same for all).
    parts
        By hospital: keys for `deal`, parcels with the first question.
    survivors
        For `reveal`: whose answers were added.
    """

    agreement: Agreement
    step: Step | None = None
    round_number: int = 0
    question: str = ""
    scales: bytes = b""
    parts: Mapping[str, bytes] = field(default_factory=dict)
    survivors: tuple[str, ...] = ()

    def to_record(self) -> ConfigRecord:
        """As it travels."""
        agreed = self.agreement
        names = sorted(self.parts)
        return ConfigRecord(
            {
                "agreement": canonical_json(
                    {
                        "study": agreed.study,
                        "run": agreed.run,
                        "fingerprints": dict(agreed.fingerprints),
                        "rounds": agreed.rounds,
                    }
                ),
                "step": "" if self.step is None else self.step.value,
                "round": self.round_number,
                "question": self.question,
                "scales": self.scales,
                "from": json.dumps(names),
                "parts": [self.parts[name] for name in names],
                "survivors": json.dumps(list(self.survivors)),
            }
        )


def read_asking(record: RecordDict) -> Asking | None:
    """The part of a message about masking; None where there is none, ValueError for anything else."""
    if RECORD not in record.config_records:
        return None
    body = record.config_records[RECORD]
    try:
        agreed = _Agreement.model_validate_json(str(body["agreement"]))
        names, survivors = json.loads(str(body["from"])), json.loads(str(body["survivors"]))
        parts, scales, number = body["parts"], body["scales"], body["round"]
        step = Step(str(body["step"])) if body["step"] else None
    except KeyError as error:
        raise ValueError(f"a message about masking without {error}") from None
    if not isinstance(parts, list) or not isinstance(scales, bytes) or not isinstance(number, int):
        raise ValueError("a message about masking: a part is of another type than agreed")
    if not _texts(names) or not _texts(survivors) or len(names) != len(parts):
        raise ValueError("a message about masking: names and parts do not fit each other")
    if not all(isinstance(part, bytes) for part in parts):
        raise ValueError("a message about masking: a part is no bytes")
    return Asking(
        agreement=Agreement(agreed.study, agreed.run, agreed.fingerprints, agreed.rounds),
        step=step,
        round_number=number,
        question=str(body["question"]),
        scales=scales,
        parts={name: bytes(part) for name, part in zip(names, parts, strict=True)},
        survivors=tuple(survivors),
    )


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)
