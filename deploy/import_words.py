"""What `hepafed site import` prints: the plan before, and what was kept and left out after."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from client.cohort.faults import counted
from client.cohort.import_plan import PlanRow
from client.cohort.pacs_import import Imported
from client.cohort.pacs_scan import Scan
from client.site import Site
from deploy.terminal import say

_STRUCTURES = ("SEG", "RTSTRUCT")
_SHOWN = 20


def print_plan(console: Console, plan: Sequence[PlanRow]) -> None:
    """What would be imported, under which name, and why: a table on a terminal, a line a series elsewhere."""
    if console.is_terminal:
        console.print(_table(plan))
    else:
        for row in plan:
            parts = (
                f"{row.take:<3}",
                row.patient,
                row.name or "–",
                _series(row),
                row.size,
                _spacing(row),
                row.reason,
            )
            say(console, "  ".join(part for part in parts if part))
    taken = [row for row in plan if row.taken]
    structures = sum(row.modality in _STRUCTURES for row in taken)
    say(
        console,
        f"To be imported: {counted(len(taken) - structures, 'image')} and {counted(structures, 'mask')} of "
        f"{counted(len({row.patient for row in taken}), 'patient')}; lines that say no: {len(plan) - len(taken):,}",
    )


def _table(plan: Sequence[PlanRow]) -> Table:
    table = Table(box=SIMPLE_HEAD, header_style="bold", padding=(0, 1, 0, 0))
    table.add_column("import", no_wrap=True)
    table.add_column("name", no_wrap=True)
    table.add_column("the operator's words", overflow="fold", ratio=1)
    table.add_column("voxels", no_wrap=True)
    table.add_column("why", overflow="fold", ratio=1)
    last: tuple[str, int] | None = None
    for row in plan:
        if (row.patient, row.study) != last:
            if last is not None:
                table.add_section()
            table.add_row(
                "", Text(row.patient, style="bold"), Text(f"examination {row.study}", style="dim"), "", ""
            )
        last = (row.patient, row.study)
        table.add_row(
            Text(row.take, style="bold green" if row.taken else "dim"),
            Text(f"  {row.name or '–'}"),
            Text(_series(row)),
            Text("\n".join(part for part in (row.size, _spacing(row)) if part)),
            Text(row.reason),
        )
    return table


def _series(row: PlanRow) -> str:
    return f"{row.modality} {row.description}".strip()


def _spacing(row: PlanRow) -> str:
    after = f", {row.seconds} s" if row.seconds not in ("", "0") else ""
    return f"{row.spacing_mm} mm{after}" if row.spacing_mm else ""


def print_left_out(console: Console, left_out: Sequence[str]) -> None:
    """Files that cannot be taken up, the first few by name."""
    for text in left_out[:_SHOWN]:
        say(console, f"Left out: {text}", "yellow")
    if len(left_out) > _SHOWN:
        say(console, f"Left out: {len(left_out) - _SHOWN:,} more files of the export", "yellow")


def print_imported(console: Console, done: Imported) -> None:
    """One patient: what was kept, what could not be."""
    if done.files:
        kept = ", ".join(name.removesuffix(".nii.gz") for name in done.files)
        say(console, f"{done.patient}: {kept}" + (f" ({done.scanner})" if done.scanner else ""))
    for finding in done.findings:
        say(console, f"Not imported: {finding}", "yellow")


def print_result(
    console: Console, scan: Scan, plan: Sequence[PlanRow], done: Sequence[Imported], site: Site, into: Path
) -> None:
    """How much was kept, what was left out and why, and what to do next."""
    kept = [result for result in done if result.files]
    files = sum(len(result.files) for result in kept)
    say(
        console,
        f"{counted(len(kept), 'patient')} imported, {counted(files, 'file')}: images and masks",
    )
    reasons = Counter(row.reason or "no phase was recognised" for row in plan if not row.taken)
    for reason, number in reasons.most_common():
        say(console, f"  left out by the plan: {number:,} × {reason}")
    nobody = {study.patient for study in scan.studies} - {row.patient for row in plan if row.taken}
    if nobody:
        say(console, f"  without any image in the plan: {', '.join(sorted(nobody))}", "yellow")
    if not kept:
        return
    say(console, "Next:")
    say(
        console,
        f"  1. give each a row in {into / site.file.patients} (who is who: {site.own_folder}/identities.csv)",
    )
    say(console, f"  2. hepafed site check {into}")
