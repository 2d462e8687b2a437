"""The plan of an import as a table that a person edits: written, and read back against what the export holds.

A person may change the columns import, name, frames, crop_px and no_text_confirmed_by; the others are only read by
people.
"""

import csv
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path

from client.cohort.faults import Faults, near_miss
from client.cohort.image_names import PHASES, US, MaskName, is_phase, mask_name
from client.cohort.import_plan import PlanRow
from common.errors import Code, HospitalError
from common.whole_files import whole


def write_plan(path: Path, rows: Sequence[PlanRow]) -> None:
    """The plan as a table that a spreadsheet opens; readable by its owner alone."""
    with whole(path, encoding="utf-8-sig") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(_columns())
        table.writerows(asdict(row).values() for row in rows)


def _columns() -> list[str]:
    return ["import" if field.name == "take" else field.name for field in fields(PlanRow)]


def read_plan(path: Path, proposed: Sequence[PlanRow]) -> list[PlanRow]:
    """The plan as a person confirmed it, against what the export holds now.

    Parameters
    ----------
    proposed
        The plan of the same export.

    Raises
    ------
    HospitalError
        With every line that cannot be done as it stands, and what to write.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise HospitalError(
            Code.UNREADABLE_FILE, f"{path}: the plan cannot be read ({error}); make it again"
        ) from None
    if not lines or set(_columns()) - set(lines[0]):
        gone = ", ".join(sorted(set(_columns()) - set(lines[0] if lines else ())))
        raise HospitalError(Code.UNREADABLE_FILE, f"{path}: the plan lacks {gone}; make the plan again")
    by_series = {row.series: row for row in proposed}
    faults = Faults()
    rows: list[PlanRow] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(lines, start=2):
        where = f"{path}, line {number}"
        known = by_series.get((line["series"] or "").strip())
        if known is None:
            faults.add(
                Code.UNREADABLE_FILE,
                f"{where}: the series {line['series']!r} is not in the export; make the plan again",
            )
            continue
        if known.series in seen:
            faults.add(
                Code.UNREADABLE_FILE, f"{where}: the series stands on line {seen[known.series]} already; keep one"
            )
            continue
        seen[known.series] = number
        row = replace(
            known,
            take=_cell(line, "import").casefold(),
            name=_cell(line, "name"),
            frames=_cell(line, "frames"),
            crop_px=_cell(line, "crop_px"),
            no_text_confirmed_by=_cell(line, "no_text_confirmed_by"),
        )
        _check_row(row, where, faults)
        rows.append(row)
    _check_together(rows, path, faults)
    faults.stop_if_any()
    return rows


def _cell(line: dict[str, str], column: str) -> str:
    return (line[column] or "").strip()


def _check_row(row: PlanRow, where: str, faults: Faults) -> None:
    if row.take not in ("yes", "no"):
        faults.add(Code.UNREADABLE_FILE, f"{where}: import is {row.take!r}; write yes or no")
    if not row.taken:
        return
    structure = row.modality in ("SEG", "RTSTRUCT")
    key = mask_name(row.name)
    if structure and (key is None or key.phase or str(MaskName(key.mask)) != row.name):
        faults.add(
            Code.UNREADABLE_FILE, f"{where}: {row.name!r} is no mask; write tumour, tumour_2, liver or vessels"
        )
    if not structure and not is_phase(row.name):
        near = near_miss(row.name, PHASES)
        hint = f"did you mean {near}? " if near else ""
        faults.add(
            Code.UNREADABLE_FILE,
            f"{where}: {row.name!r} is no phase; {hint}Write one of {', '.join(PHASES)}, or one of them with "
            "a suffix such as dwi_b800",
        )
    if row.modality == US:
        try:
            row.ultrasound()
        except ValueError as error:
            said = str(error).splitlines()[-1 if "\n" not in str(error) else 2].strip()
            faults.add(
                Code.UNREADABLE_FILE, f"{where}: frames or crop_px cannot be read ({said}); see docs/images.md"
            )


def _check_together(rows: list[PlanRow], path: Path, faults: Faults) -> None:
    taken = {row.series: row for row in rows if row.taken}
    names: dict[tuple[str, str, str], str] = {}
    studies: dict[str, int] = {}
    for row in taken.values():
        if row.drawn_on and row.drawn_on not in taken:
            faults.add(
                Code.UNREADABLE_FILE,
                f"{path}: patient {row.patient}: the mask {row.name} was drawn on the series {row.drawn_on}, which is "
                "not imported; write yes there or no here",
            )
        key = (row.patient, row.name, row.drawn_on)
        if key in names:
            faults.add(
                Code.UNREADABLE_FILE,
                f"{path}: patient {row.patient} has {row.name} twice ({names[key]} and {row.series}); write no in one "
                "of the two lines, or another name",
            )
        names[key] = row.series
        if studies.setdefault(row.patient, row.study) != row.study:
            faults.add(
                Code.UNREADABLE_FILE,
                f"{path}: patient {row.patient}: series of examinations {studies[row.patient]} and {row.study} are "
                "both to be imported; take one examination",
            )
