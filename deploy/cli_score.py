"""`hepafed site score` and `hepafed site apply`: a released or locked model on a hospital's own patients."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from common.errors import HepafedError
from deploy.terminal import fail, refuse_existing, say

if TYPE_CHECKING:
    from client.site import Site

Folder = Annotated[Path, typer.Argument(help="The hospital's folder: patients.csv, features.csv.")]


def score(
    model: Annotated[Path, typer.Option(help="The study's model.json (simulate writes it).")],
    folder: Folder = Path("."),
    out: Annotated[Path, typer.Option(help="The csv file to write.")] = Path("scores.csv"),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if there is one.")] = False,
) -> None:
    """Predict this hospital's patients with the released model of a study; outcomes are not looked at.

    A hospital of the study gets for its known patients what the study predicted (scheme apparent). Another one works
    out its own shift and scale from its patients, where the model harmonises. Nothing leaves the hospital.

    Example: hepafed site score hospitals/dogwood --model report/model.json --out scores.csv
    """
    from threadpoolctl import threadpool_limits

    from client.own_files import write_csv
    from client.scoring import read_patients, score_patients
    from common.released_model import read_released_model

    refuse_existing(out, overwrite)
    site = _site(folder)
    try:
        released = read_released_model(model)
        cohort, notes = read_patients(site, released)
        with threadpool_limits(limits=1):  # the same bits as in a study
            scored = score_patients(
                site, released, cohort, _who_trained(site, released.study.hash) or frozenset(cohort.ids)
            )
        write_csv(out, ["id", *scored.columns], scored.lines())
    except HepafedError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or out}: {error.strerror}; name a file in a folder that you may write to")
    console = Console()
    for note in notes:
        say(console, note, style="yellow")
    say(console, f"Model {released.name}, fitted at {', '.join(released.hospitals)}")
    say(console, f"{len(scored.ids):,} patients predicted ({', '.join(scored.columns)}): {out}")
    say(console, "Nothing was sent.")


def apply(
    lock: Annotated[Path, typer.Option(help="The lock.json of a study (hepafed study lock writes it).")],
    folder: Folder = Path("."),
    registered: Annotated[
        str | None, typer.Option(help="The hash that was registered; another lock is refused.")
    ] = None,
) -> None:
    """Predict this hospital's new patients with a locked model, each patient once.

    New are all patients who did not train the model; who of them came after the first use of the lock here is
    marked, for these are the ones that a locked analysis counts. So use it once before the first new patient. The
    first prediction of a patient counts and stays; so does the first lock of a study that is used here: another
    model, threshold or plan is refused. Predictions go into the hospital's own folder, nothing leaves it.

    Example: hepafed site apply hospitals/dogwood --lock lock.json --registered 3f2a…
    """
    from threadpoolctl import threadpool_limits

    from client.prospective import apply_locked
    from common.locked_study import read_locked_study

    site = _site(folder)
    try:
        locked = read_locked_study(lock)
        with threadpool_limits(limits=1):
            done = apply_locked(site, locked, registered)
    except HepafedError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}; hepafed needs to write to this hospital's own_folder")
    console = Console()
    for note in done.notes:
        say(console, note, style="yellow")
    say(console, f"Lock {locked.hash}, in use here since {done.since}")
    say(
        console,
        f"{done.now:,} new patients predicted now, {done.before:,} before; {done.training:,} patients who trained the "
        "model are not among them",
    )
    if done.present:
        say(
            console,
            f"{done.present:,} of the predicted patients were here already when the lock was first used (came_later is "
            "0): a locked analysis counts the others",
            style="yellow",
        )
    say(console, f"Predictions: {done.file}. Nothing was sent.")


def _who_trained(site: "Site", study: str) -> frozenset[str]:
    """The patients with whom this hospital trained a study; nobody where its own store knows none."""
    from contextlib import closing

    from client.gate_rules.memory import Memory
    from client.store import Store

    if not site.own.store.is_file():
        return frozenset()
    with closing(Store(site.own)) as store:
        return frozenset(Memory(store).patients(study))


def _site(folder: Path) -> "Site":
    from client.site import open_site

    if not folder.is_dir():
        fail(f"{folder}: there is no such folder; name the hospital's folder, which holds patients.csv")
    try:
        return open_site(folder.resolve())
    except HepafedError as error:
        fail(str(error))
