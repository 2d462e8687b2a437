"""The preparation of a study on one machine: hospitals take samples, and learn together what the study lacks."""

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from client.site import open_site
from common.errors import HospitalError, StudyError, StudyStopped
from common.strict_yaml import read_yaml
from common.study import Study
from deploy.simulation.grid import OneProcessGrid
from deploy.simulation.simulate import Simulation, Watching, hospitals_app, last_words
from server.app import CHECKPOINT
from server.preparation_run import Step, learn_next
from server.progress import Progress

WIDTH = 115


@dataclass(frozen=True)
class Prepared:
    """A study with everything that it lacked, what its file says, and what a person should know."""

    study: Study
    content: dict[str, Any]
    steps: tuple[Step, ...]


def prepare_study(
    file: Path,
    simulation: Simulation,
    watching: Callable[[str], AbstractContextManager[Watching]],
    progress: Callable[[], AbstractContextManager[Progress]],
    say: Callable[[str], None],
) -> Prepared:
    """Learn, step by step, what the study in a file lacks.

    Parameters
    ----------
    simulation
        The study of that file, the hospitals, and a folder for what they and the coordinator keep meanwhile.
    watching
        What shows how far a hospital's samples are, by its name.
    say
        Told what a person should know about each hospital's samples.

    Raises
    ------
    StudyError
        Where nothing is missing.
    """
    content, _ = read_yaml(file)
    study, steps = simulation.study, list[Step]()
    if study.features is None or not study.features.to_be_learnt():
        raise StudyError(f"{file}: nothing is left to be learnt; hospitals can extract features with it as it is")
    while study.features is not None and study.features.to_be_learnt():
        at = replace(simulation, study=study, out=simulation.out / str(len(steps)))
        for hospital, said in _sample_all(at, watching).items():
            say(f"{hospital}: {said}")
        try:
            with progress() as shown:
                steps.append(_learn(at, shown))
        except StudyStopped:
            for hospital, lines in last_words(at, dict.fromkeys(at.folders, 0)).items():
                say(f"{hospital}'s own log: " + "\n  ".join(lines))
            raise
        content = steps[-1].filled(content)
        study = Study.from_content(content, f"{file}, with what was learnt")
    return Prepared(study, content, tuple(steps))


def prepared_text(prepared: Prepared, file: Path, before: Study) -> str:
    """The prepared study as a file."""
    text = yaml.safe_dump(
        prepared.content, sort_keys=False, allow_unicode=True, default_flow_style=None, width=WIDTH
    )
    return (
        f"# {file.name} with what its hospitals learnt together (hepafed study prepare): hospitals approve this file "
        f"and\n# extract with it. Hash before: {before.hash}\n{text}"
    )


def _sample_all(
    simulation: Simulation, watching: Callable[[str], AbstractContextManager[Watching]]
) -> dict[str, str]:
    """Every hospital takes samples into its own store; one that cannot says so again at the roll call."""
    from client.extraction_run.run import Asked, sample_hospital

    said = {}
    for name, folder in simulation.folders.items():
        try:
            with watching(name) as progress:
                done = sample_hospital(open_site(folder), simulation.study, Asked(), progress.watch)
        except HospitalError as error:
            said[name] = str(error)
            continue
        said[name] = f"samples of {done.patients - len(done.failed)} of {done.patients} patients"
        if done.failed:
            said[name] += "; failed: " + " | ".join(done.failed[patient] for patient in sorted(done.failed))
    return said


def _learn(simulation: Simulation, progress: Progress) -> Step:
    with closing(OneProcessGrid(hospitals_app(simulation), list(simulation.folders))) as grid:
        return learn_next(simulation.study, grid, simulation.out / CHECKPOINT, progress)
