"""Telling a hospital which texts in a column cannot be read, whose they are, and the line that would cure it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from client.cohort.decimals import DecimalMarks
from client.cohort.faults import Faults, counted, quoted, some
from common.errors import Code
from common.variables import Variable

SHOWN_TEXTS = 8

# What words for no and yes most likely mean; only for proposing a line of columns.yaml, never for reading.
_USUALLY: dict[str, int] = {
    **dict.fromkeys(("阴性", "阴", "否", "无", "negative", "neg", "no", "n", "false", "absent", "nein", "non"), 0),
    **dict.fromkeys(
        ("阳性", "阳", "是", "有", "positive", "pos", "yes", "y", "true", "present", "ja", "oui", "+"), 1
    ),
}


@dataclass(frozen=True)
class UnreadTexts:
    """The cells of one column that mean nothing to the study.

    Parameters
    ----------
    column, name
        The study's name of the column, and this hospital's.
    rows
        The rows with such a cell.
    hint
        What else the reader should know, e.g. that the file's encoding was guessed.
    """

    file: Path
    columns_file: Path
    column: str
    name: str
    ids: Sequence[str]
    cells: Sequence[str]
    rows: Sequence[int]
    hint: str = ""

    def texts(self) -> list[str]:
        """Each text once, in the file's order."""
        return list(dict.fromkeys(self.cells[row] for row in self.rows))

    def not_numbers(self, faults: Faults) -> None:
        """Note text where numbers belong."""
        bounds = {text: DecimalMarks().number(text.lstrip("<>=≤≥~≈约 ")) for text in self.texts()}
        readable = {quoted(text): f"{bound:.12g}" for text, bound in bounds.items() if bound is not None}
        other = [text for text, bound in bounds.items() if bound is None]
        grouped = [text for text in other if text.replace(",", "").replace(".", "").isdigit()]
        words = [quoted(text) for text in other if text not in grouped]
        cures = []
        if readable:
            pairs = ", ".join(f"{text}: {bound}" for text, bound in list(readable.items())[:SHOWN_TEXTS])
            cures.append(
                f"write the number to read under columns: in {self.columns_file}:\n"
                f"  {self.column}: {{values: {{{pairs}}}}}"
            )
        if grouped:
            cures.append(
                "write numbers without thousands separators and with a decimal point (a decimal comma is "
                "read only where semicolons or tabs part the columns)"
            )
        if words:
            cures.append(
                f"correct the cells, or, if it means 'not known', write into {self.columns_file}:\n"
                f"missing: [{', '.join(words[:SHOWN_TEXTS])}]"
            )
        self._note(faults, Code.NOT_A_NUMBER, "holds text where numbers belong", "; ".join(cures))

    def not_whole(self, faults: Faults) -> None:
        """Note fractions where the study counts in whole numbers."""
        what = "holds numbers that are not whole, but the study counts in whole numbers"
        self._note(faults, Code.NOT_A_NUMBER, what, "correct the cells, or ask the study for type: number")

    def not_levels(self, variable: Variable, code: Code, faults: Faults) -> None:
        """Note levels that the study does not know."""
        known = variable.levels or ["0", "1"]
        pairs = []
        for text in self.texts()[:SHOWN_TEXTS]:
            likely = _USUALLY.get(text.casefold()) if variable.type == "binary" else None
            target = " or ".join(map(_plain, known)) if likely is None else _plain(known[likely])
            pairs.append(f"{quoted(text)}: {target}")
        cure = (
            f"correct the cells, or write what they mean under columns: in {self.columns_file}:\n"
            f"  {self.column}: {{levels: {{{', '.join(pairs)}}}}}"
        )
        what = f"holds levels that the study does not know (it knows {', '.join(known)})"
        self._note(faults, code, what, cure)

    def _note(self, faults: Faults, code: Code, what: str, cure: str) -> None:
        by_text: dict[str, list[str]] = {}
        for row in self.rows:
            by_text.setdefault(self.cells[row], []).append(self.ids[row])
        shown = [
            f"{quoted(text[:60])} ({counted(len(patients), 'patient')}: {some(patients)})"
            for text, patients in list(by_text.items())[:SHOWN_TEXTS]
        ]
        if len(by_text) > SHOWN_TEXTS:
            shown.append(f"and {len(by_text) - SHOWN_TEXTS:,} other texts")
        called = self.column if self.name == self.column else f"{self.column} (here {quoted(self.name)})"
        faults.add(code, f"{self.file}: column {called} {what}: {', '.join(shown)}{self.hint}; {cure}")


def _plain(level: str) -> str:
    """A level as YAML needs it: quoted unless it is a plain word or number."""
    return level if level.isascii() and level.isalnum() else quoted(level)
