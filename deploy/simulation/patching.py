"""Every hospital of a simulation makes the patches that the study's network looks at, as before a real study."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from client.site import open_site
from common.errors import HospitalError
from deploy.simulation.simulate import Simulation, Watching


def patch_all(
    simulation: Simulation, watching: Callable[[str], AbstractContextManager[Watching]]
) -> dict[str, str]:
    """What a person should know, by hospital; one that cannot make patches says so again at the roll call.

    Parameters
    ----------
    watching
        What shows a hospital's progress, by its name.
    """
    said: dict[str, str] = {}
    if simulation.study.patches is None:
        return said
    from client.extraction_run.done import Asked
    from client.patches.run import patch_hospital

    for name, folder in simulation.folders.items():
        try:
            with watching(name) as progress:
                done = patch_hospital(open_site(folder), simulation.study, Asked(), progress.watch)
        except HospitalError as error:
            said[name] = str(error)
            continue
        said[name] = f"patches of {done.patients - len(done.failed)} of {done.patients} patients"
        if done.failed:
            said[name] += "; failed: " + " | ".join(done.failed[patient] for patient in sorted(done.failed))
    return said
