"""`hepafed study prepare`: what the hospitals must agree on before features are extracted."""

from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer
from rich.console import Console

from common.errors import HepafedError, StudyStopped
from deploy.terminal import fail, refuse_existing, say


def prepare(
    study: Annotated[Path, typer.Argument(help="The study's file, which leaves something to be learnt.")],
    sites: Annotated[Path, typer.Option(help="Folder that holds one folder a hospital, each with images/.")],
    out: Annotated[Path, typer.Option(help="The study's file to write, with what was learnt.")] = Path(
        "prepared.yaml"
    ),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if there is one.")] = False,
) -> None:
    """Learn what a study's features need from all hospitals: standard scales (Nyúl) and habitats' centres.

    They are learnt where study.yaml leaves them out: a phase with normalisation: nyul and no nyul_landmarks, or the
    section features.habitats without centres. All hospitals are on this machine; they send sums, as in a study. What
    is written is the same study with these numbers in it, and a hash of its own: hospitals approve and extract with
    that one.

    The exit code is 0 when the file is written, 1 when the call or the study cannot be used, 2 when too little could
    be learnt.

    Example: hepafed study prepare study.yaml --sites hospitals --out prepared.yaml
    """
    from common.study import Study
    from deploy.extraction_progress import ExtractionProgress
    from deploy.live import Live
    from deploy.simulation.preparing import prepare_study, prepared_text
    from deploy.simulation.simulate import Simulation, find_hospitals

    refuse_existing(out, overwrite)
    console = Console()
    with TemporaryDirectory(prefix="hepafed-") as meanwhile:
        try:
            before = Study.from_file(study)
            simulation = Simulation(before, find_hospitals(sites), Path(meanwhile))
            prepared = prepare_study(
                study,
                simulation,
                partial(ExtractionProgress, console),
                partial(Live, console),
                partial(say, console),
            )
            out.write_text(prepared_text(prepared, study, before), encoding="utf-8")
        except HepafedError as error:
            fail(str(error), code=2 if isinstance(error, StudyStopped) else 1)
        except OSError as error:
            fail(f"{error.filename}: {error.strerror}; hepafed needs to read the hospitals and to write {out}")
    for step in prepared.steps:
        for note in step.notes:
            say(console, f"Note: {note}", style="yellow")
    say(console, f"Written: {out}, learnt by {', '.join(prepared.steps[-1].hospitals)}")
    say(console, f"Hash: {prepared.study.hash}")
    say(
        console,
        f"Next: hepafed simulate {out} --sites {sites} --out report, or hepafed site extract {out} HOSPITAL",
    )
