"""Every hospital of a simulation works on its images first: features and patches, as before a real study."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from client.extraction_run.done import Asked, Done, Watch
from client.site import Site, open_site
from common.errors import HospitalError
from common.study import Study
from deploy.simulation.simulate import Simulation


class Watching(Protocol):
    """Whoever watches the work on a hospital's images."""

    def watch(self, done: Done, patient: str | None) -> None:
        """A patient was finished, or a second has passed."""


Shown = Callable[[str], AbstractContextManager[Watching]]
"""What shows a hospital's progress, by its name."""


def work_on_images(simulation: Simulation, shown: Shown) -> Iterator[tuple[str, str]]:
    """Features and patches that the study names, hospital by hospital, and what a person should know of them.

    A hospital where there is none of them says so again at the roll call.
    """
    if simulation.study.features is not None:
        from client.extraction_run.run import extract_hospital

        yield from _at_every_hospital(simulation, "features", extract_hospital, shown)
    if simulation.study.patches is not None:
        from client.patches.run import patch_hospital

        yield from _at_every_hospital(simulation, "patches", patch_hospital, shown)


def sample_images(simulation: Simulation, shown: Shown) -> Iterator[tuple[str, str]]:
    """Samples of what the study's preparation learns from; who has none says so again at the roll call."""
    from client.extraction_run.run import sample_hospital

    return _at_every_hospital(simulation, "samples", sample_hospital, shown)


def _at_every_hospital(
    simulation: Simulation, what: str, work: Callable[[Site, Study, Asked, Watch], Done], shown: Shown
) -> Iterator[tuple[str, str]]:
    for name, folder in simulation.folders.items():
        try:
            with shown(name) as progress:
                done = work(open_site(folder), simulation.study, Asked(), progress.watch)
        except HospitalError as error:
            yield name, str(error)
            continue
        said = f"{what} of {done.patients - len(done.failed)} of {done.patients} patients"
        if done.failed:
            said += "; failed: " + " | ".join(done.failed[patient] for patient in sorted(done.failed))
        yield name, said
