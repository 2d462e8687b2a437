"""What a study's coordinator asks and is told, as somebody beside it hears it."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from common.query import Total
from server.federation import FlowerFederation


@dataclass(frozen=True)
class Heard:
    """A question and its total."""

    name: str
    question: dict[str, Any]
    total: Total


@contextmanager
def listening_to_questions() -> Iterator[list[Heard]]:
    """Every question that is answered from here on, in order."""
    heard: list[Heard] = []
    ask = FlowerFederation.ask

    def listen(self: FlowerFederation, name: str, **question: Any) -> Total:
        total = ask(self, name, **question)
        heard.append(Heard(name, question, total))
        return total

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FlowerFederation, "ask", listen)
        yield heard
