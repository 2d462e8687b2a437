"""`hepafed study lock`: model, threshold and plan of analysis under one hash, before the first new patient."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from common.errors import HepafedError
from deploy.terminal import fail, say


def lock(
    file: Annotated[Path, typer.Argument(help="The study's file, e.g. study.yaml.")],
    results: Annotated[Path, typer.Option(help="The folder that the study was run into: it holds model.json.")],
    plan: Annotated[Path, typer.Option(help="The plan of analysis, a text file: it becomes part of the lock.")],
    threshold: Annotated[
        float | None,
        typer.Option(
            min=0.0, max=1.0, help="Probability above which a patient is positive; left out: the study's."
        ),
    ] = None,
    out: Annotated[Path, typer.Option(help="The lock to write.")] = Path("lock.json"),
) -> None:
    """Lock a study for new patients: its model, its threshold and the plan of analysis get one hash.

    Register the hash (trial registry, ethics board) before the first new patient. Hospitals then predict new patients
    with `hepafed site apply`, which refuses any other lock of the study. A lock is never overwritten.

    Example: hepafed study lock study.yaml --results report --plan plan.md --threshold 0.35
    """
    from common.locked_study import LockedStudy
    from common.released_model import FILE_NAME, read_released_model
    from common.study import Study

    try:
        study = Study.from_file(file)
        model = read_released_model(results / FILE_NAME)
        if model.study.hash != study.hash:
            fail(
                f"{results / FILE_NAME} comes from the study {model.study.hash[:12]}…, {file} is {study.hash[:12]}…: "
                "give the file that was run, or run this one"
            )
        text = plan.read_text(encoding="utf-8").strip()
        if not text:
            fail(f"{plan} is empty: write down who is predicted, what is compared, and when the analysis is done")
        locked = LockedStudy(model, model.threshold if threshold is None else threshold, text)
        with out.open("x", encoding="utf-8") as opened:
            opened.write(locked.to_text())
    except HepafedError as error:
        fail(str(error))
    except FileExistsError:
        fail(f"{out} is there already: a lock is not replaced; name another file with --out")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{plan} or {out} cannot be read or written ({error})")
    console = Console()
    cut = "none" if locked.threshold is None else f"{locked.threshold:g}"
    say(console, f"Locked: model {model.name}, threshold {cut}, plan of {len(text.splitlines())} lines: {out}")
    say(console, f"Register this hash before the first new patient: {locked.hash}")
