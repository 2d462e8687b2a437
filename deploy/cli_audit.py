"""`hepafed site audit-model`: whether the models of a study tell who of this hospital was in it."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from common.errors import HepafedError
from deploy.cli_ledger import OwnFolder, site_at
from deploy.terminal import fail, say

if TYPE_CHECKING:
    from client.audit import OwnAudit

NORMAL_95 = 1.96


def audit_model(
    study: Annotated[Path, typer.Argument(help="The study's file, as it was run.")],
    folder: Annotated[Path, typer.Argument(help="The hospital's folder: patients.csv, site.yaml.")] = Path("."),
    shown: Annotated[int, typer.Option(min=0, help="How many of the most exposed patients to show.")] = 10,
    own_folder: OwnFolder = None,
) -> None:
    """Attack the models of a study with this hospital's own patients, and say how well that goes.

    Whoever holds a patient's whole row and the published models may try to tell whether the patient was in the study.
    This command does that with every model of the study's folds, which train on most of the patients and hold out
    the rest, and shows the figures of this hospital and the patients who are known best. Their ids are shown and
    written into audit.json in the hospital's own folder; nothing leaves.

    Example: hepafed site audit-model study.yaml hospitals/aspen
    """
    from threadpoolctl import threadpool_limits

    from client.audit import FILE_NAME, audit_here
    from client.store import Store
    from common.study import Study

    try:
        read = Study.from_file(study)
        site = site_at(folder, own_folder)
        if not site.own.store.is_file():
            fail(
                f"{site.name} has no store at {site.own.store}: no study was run here yet; for a simulation add "
                "--own-folder OUT/sites/NAME"
            )
        with closing(Store(site.own)) as store, threadpool_limits(limits=1):
            found = audit_here(site, store, read)
        found.write(site.own_folder / FILE_NAME)
    except HepafedError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or folder}: {error.strerror}")
    console = Console()
    _show(console, found, shown)
    say(console, f"All patients: {site.own_folder / FILE_NAME}. Nothing was sent.")


def _show(console: Console, found: "OwnAudit", shown: int) -> None:
    """The figures of this hospital, and its most exposed patients."""
    margin = NORMAL_95 * found.standard_error
    low, high = max(0.0, found.auc - margin), min(1.0, found.auc + margin)
    say(
        console,
        f"Attack on {found.models} models of the folds by {found.attack}: AUC {found.auc:.3f} ({low:.3f} to "
        f"{high:.3f}) over {found.pairs:,} pairs of patients; 0.5: the models tell nothing",
    )
    for who in found.caught:
        say(
            console,
            f"With {100 * who.allowed:g} % false accusations, {100 * who.found:.1f} % of the patients that a model was "
            f"trained on are found ({who.accused_members:,} of {who.members:,}, patients times models)",
        )
    if not shown:
        return
    table = Table(title="Patients who are known best, for this hospital's eyes alone", title_justify="left")
    table.add_column("id")
    for name in ("attack is right", "chance of the truth: trained on", "held out"):
        table.add_column(name, justify="right")
    for patient in found.patients[:shown]:
        table.add_row(
            patient.id, f"{100 * patient.known:.0f} %", f"{patient.trained:.3f}", f"{patient.held_out:.3f}"
        )
    console.print(table)
