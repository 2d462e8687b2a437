"""A csv or tsv file as a table of text, whatever program of a hospital wrote it."""

import csv
import io
import re
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from client.cohort.faults import Faults, quoted, some
from client.cohort.text_encoding import read_text
from common.errors import Code, HospitalError
from common.texts import normal_text

ID = "id"
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs"}

# Excel's own first line: `sep=;`
_SEPARATOR_LINE = re.compile(r'"?sep=([,;\t])"?\r?\n')
_FIRST_LINE = re.compile(r"[^\r\n]+")


@dataclass(frozen=True)
class Table:
    """The cells of a file, stripped and normalised, with the lines they came from.

    Parameters
    ----------
    header
        Column names; the first is `id`.
    rows
        One list of cells a patient, each as long as the header.
    lines
        The line of the file on which each row starts.
    unread
        The ids of rows that hold more or fewer cells, where these were left out; `read_table` has noted them.
    """

    path: Path
    encoding: str
    delimiter: str
    header: tuple[str, ...]
    rows: list[list[str]]
    lines: list[int]
    unread: tuple[str, ...] = ()

    @cached_property
    def ids(self) -> tuple[str, ...]:
        """The patients, in the file's order."""
        return tuple(row[0] for row in self.rows)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.header)}

    def __contains__(self, column: str) -> bool:
        return column in self._places

    def column(self, name: str) -> list[str]:
        """The cells of one column."""
        place = self._places[name]
        return [row[place] for row in self.rows]

    @property
    def guess(self) -> str:
        """A hint for messages about texts that nobody expected: the encoding may have been guessed wrong."""
        if self.encoding != "gb18030":
            return ""
        return " (the file is not UTF-8 and was read as GB18030; if texts look wrong, give encoding in site.yaml)"


def read_table(
    path: Path,
    encoding: str | None = None,
    id_name: str = ID,
    *,
    duplicates_too: bool = False,
    faults: Faults | None = None,
) -> Table:
    """Read a file of patients.

    Parameters
    ----------
    path
        The file; it must exist.
    encoding
        What site.yaml says; None: found out (see `read_text`).
    id_name
        What this hospital calls the column `id`; `id` itself is understood too.
    duplicates_too
        Leave it to the caller to say which patients stand in several rows.
    faults
        Where to note the faults of single columns and rows, which are then left out; None: they are raised.

    Raises
    ------
    HospitalError
        With every fault of the file's form: UNREADABLE_FILE or DUPLICATE_PATIENTS.
    """
    text, used = read_text(path, encoding)
    skipped = 0
    separator = _SEPARATOR_LINE.match(text)
    if separator:
        text, skipped = text[separator.end() :], 1
    delimiter = separator.group(1) if separator else _sniff(text, id_name)
    records = _records(path, text, delimiter, skipped)
    if not records:
        raise HospitalError(
            Code.UNREADABLE_FILE, f"{path}: the file is empty; its first line must name the columns"
        )
    (header_line, names), *body = records
    table = Table(
        path=path,
        encoding=used,
        delimiter=delimiter,
        header=tuple(ID if name and name == id_name else name for name in names),
        rows=[row for _, row in body],
        lines=[line for line, _ in body],
    )
    found = Faults()
    _check_header(table, header_line, id_name, found)
    if faults is None or table.header[0] != ID:
        found.stop_if_any()
    _check_rows(table, duplicates_too, found)
    if faults is None:
        found.stop_if_any()
        return table
    faults.take(found)
    return _sound_rows(table)


def _sound_rows(table: Table) -> Table:
    width = len(table.header)
    sound = [place for place, row in enumerate(table.rows) if len(row) == width and row[0]]
    return replace(
        table,
        rows=[table.rows[place] for place in sound],
        lines=[table.lines[place] for place in sound],
        unread=tuple(row[0] for row in table.rows if len(row) != width and row[0]),
    )


def _sniff(text: str, id_name: str) -> str:
    """The delimiter that parts `id` from the rest of the first line; else the one that is there most often."""
    found = _FIRST_LINE.search(text)
    line = found.group() if found else ""

    def fit(delimiter: str) -> tuple[bool, int]:
        first, _, rest = line.partition(delimiter)
        return bool(rest) and normal_text(first.strip().strip('"')) in (ID, id_name), line.count(delimiter)

    return max(DELIMITERS, key=fit)


def _records(path: Path, text: str, delimiter: str, skipped: int) -> list[tuple[int, list[str]]]:
    """The records that hold anything, each with the line it starts on."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    records: list[tuple[int, list[str]]] = []
    line = skipped + 1
    ascii_only = text.isascii()
    try:
        for cells in reader:
            normal = [c.strip() for c in cells] if ascii_only else [normal_text(c) for c in cells]
            if any(normal):
                records.append((line, normal))
            line = reader.line_num + skipped + 1
    except csv.Error as error:
        raise HospitalError(
            Code.UNREADABLE_FILE,
            f"{path}, line {line}: the row cannot be taken apart ({error}); look for a quotation mark that is not "
            'closed there, and write one that belongs to a text twice ("")',
        ) from None
    return records


def _check_header(table: Table, line: int, id_name: str, faults: Faults) -> None:
    where = f"{table.path}, line {line}"
    if table.header[0] != ID:
        cure = "move it to the front"
        if ID not in table:
            paste = quoted(table.header[0]) if len(table.header) > 1 and table.header[0] else "…"
            cure = (
                f"give the column of patient names the name {ID}, or, if this is it, write under columns: in "
                f"columns.yaml {ID}: {{name: {paste}}}"
            )
        wanted = ID if id_name == ID else f"{ID} or {quoted(id_name)}, as columns.yaml says"
        faults.add(
            Code.UNREADABLE_FILE,
            f"{where}: the first column is {quoted(table.header[0][:60])}, but it must be {wanted}; {cure} "
            "(columns are parted by commas, semicolons or tabs; "
            f"here: {DELIMITERS[table.delimiter]}){table.guess}",
        )
    empty = [str(place) for place, name in enumerate(table.header, 1) if not name]
    if empty:
        faults.add(
            Code.UNREADABLE_FILE,
            f"{where}: column {some(empty, 5)} has no name; name it, or delete it (also delimiters at line ends)",
        )
    seen: dict[str, int] = {}
    for place, name in enumerate(table.header, 1):
        if name and seen.setdefault(name, place) != place:
            also = f" (columns.yaml: {quoted(id_name)} is {ID})" if name == ID != id_name else ""
            faults.add(
                Code.UNREADABLE_FILE,
                f"{where}: columns {seen[name]} and {place} are both named {quoted(name)}{also}; rename or "
                "delete one",
            )


def _check_rows(table: Table, duplicates_too: bool, faults: Faults) -> None:
    width = len(table.header)
    ragged = [
        f"{table.path}, line {line}: {len(row)} cells, but the header has {width}"
        for line, row in zip(table.lines, table.rows, strict=True)
        if len(row) != width
    ]
    if ragged:
        cure = "put a text that holds the delimiter in quotation marks, and fill missing cells with nothing"
        if table.delimiter == ",":
            cure += "; numbers with decimal commas need semicolons between columns"
        more = f"\n{table.path}: and {len(ragged) - 5:,} more such lines" if len(ragged) > 5 else ""
        faults.add(Code.UNREADABLE_FILE, "\n".join(ragged[:5]) + f"{more}\n{table.path}: {cure}")
    lines_of: dict[str, list[int]] = {}
    for line, patient in zip(table.lines, table.ids, strict=True):
        lines_of.setdefault(patient, []).append(line)
    for line in lines_of.pop("", []):
        faults.add(Code.UNREADABLE_FILE, f"{table.path}, line {line}: the patient has no id; give one")
    twice = [
        f"{quoted(patient)} on lines {', '.join(map(str, lines))}"
        for patient, lines in lines_of.items()
        if len(lines) > 1
    ]
    if twice and not duplicates_too:
        faults.add(
            Code.DUPLICATE_PATIENTS,
            f"{table.path}: a patient must stand in one row, but {some(twice, 10)}; keep one row of each",
        )
