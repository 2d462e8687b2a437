"""What `hepafed site check` prints: a table on a terminal, a line a finding where nobody looks at a screen."""

from collections import Counter
from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from client.cohort.faults import counted
from client.cohort.findings import Finding, Severity
from client.cohort.site_check import SiteCheck

_STYLES = {Severity.STOPS: "bold red", Severity.LOOK: "yellow"}
_WHOLE = "(all files)"


def print_check(console: Console, check: SiteCheck) -> None:
    """Every finding with its cure, patient by patient, and the summary."""
    if check.findings and console.is_terminal:
        console.print(_table(check))
    else:
        for finding in check.findings:
            line = f"{finding.severity.value:<5}  {finding}".replace("\n", " ")
            console.print(Text(line, style=_STYLES[finding.severity]), soft_wrap=True)
    for line in summary(check):
        console.print(Text(line), soft_wrap=True)


def _table(check: SiteCheck) -> Table:
    table = Table(box=SIMPLE_HEAD, header_style="bold", padding=(0, 1, 0, 0))
    for title, ratio in (("Patient", None), ("", None), ("Place", 2), ("Found", 4), ("What to do", 4)):
        table.add_column(title, overflow="fold", ratio=ratio, no_wrap=ratio is None)
    last: str | None = None
    for finding in check.findings:
        if last is not None and finding.patient != last:
            table.add_section()
        table.add_row(*_cells(finding, first=finding.patient != last))
        last = finding.patient
    return table


def _cells(finding: Finding, first: bool) -> list[Text]:
    style = _STYLES[finding.severity]
    whose = (finding.patient or _WHOLE) if first else ""
    return [
        Text(whose, style="bold"),
        Text(finding.severity.value, style=style),
        Text(finding.place),
        Text(finding.found),
        Text(finding.cure),
    ]


def summary(check: SiteCheck) -> Iterator[str]:
    """How many were checked, stopped and to be looked at; which faults are frequent; who is in the study."""
    fine = len(check.patients) - check.stopped - check.to_look_at
    whole = sum(finding.severity is Severity.STOPS for finding in check.hospital)
    yield (
        f"{counted(len(check.patients), 'patient')} checked: {check.stopped:,} stopped, {check.to_look_at:,} to look "
        f"at, {fine:,} with nothing found"
        + (f"; {counted(whole, 'fault')} of the files as a whole" if whole else "")
    )
    frequent = Counter(kind for kind, _ in {(f.kind, f.patient) for f in check.findings if f.patient})
    ranked = sorted(frequent.items(), key=lambda item: (-item[1], item[0]))
    if len(frequent) > 1:
        yield "By kind: " + ", ".join(f"{kind} {number:,}" for kind, number in ranked)
    if check.flow:
        steps = ", ".join(f"{step.replace('_', ' ')} {number:,}" for step, number in check.flow.items())
        yield f"By the study's criteria: {steps}"
