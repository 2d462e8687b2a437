"""The preparation of a study on one machine: hospitals take samples, and learn together what the study lacks."""

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from common.errors import StudyError, StudyStopped
from common.strict_yaml import read_yaml
from common.study import Study
from deploy.simulation.grid import OneProcessGrid
from deploy.simulation.imaging import Shown, sample_images
from deploy.simulation.simulate import Simulation, hospitals_app, last_words
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
    shown: Shown,
    progress: Callable[[], AbstractContextManager[Progress]],
    say: Callable[[str], None],
) -> Prepared:
    """Learn, step by step, what the study in a file lacks.

    Parameters
    ----------
    simulation
        The study of that file, the hospitals, and a folder for what they and the coordinator keep meanwhile.
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
        for hospital, said in sample_images(at, shown):
            say(f"{hospital}: {said}")
        try:
            with progress() as learning:
                steps.append(_learn(at, learning))
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


def _learn(simulation: Simulation, progress: Progress) -> Step:
    with closing(OneProcessGrid(hospitals_app(simulation), list(simulation.folders))) as grid:
        return learn_next(simulation.study, grid, simulation.out / CHECKPOINT, progress)
