"""What the hospitals of a study learn together before any feature is computed, from roll call to the study's text.

A study is prepared in steps, since habitats are found on intensities that a standard scale may have moved: each step
makes another study, with a hash of its own, from which the hospitals take samples for the next.
"""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flwr.serverapp import Grid
from threadpoolctl import threadpool_limits

from common.errors import HospitalLost, StudyStopped
from common.study import Study
from server.checkpoint import Checkpoint
from server.federation import FlowerFederation
from server.hospitals import Hospitals
from server.methods.habitats import learn_habitats
from server.methods.nyul import learn_scales
from server.progress import Progress
from server.roll_call import roll_call


@dataclass(frozen=True)
class Step:
    """What one step learnt: to be written into the study's section `features`.

    Parameters
    ----------
    scales
        By phase: the landmarks of its standard scale.
    habitats
        By key of the section `habitats`.
    """

    hospitals: tuple[str, ...]
    scales: dict[str, list[float]]
    habitats: dict[str, list[Any]]
    notes: tuple[str, ...]

    def filled(self, content: dict[str, Any]) -> dict[str, Any]:
        """A study's content with what was learnt; the one given stays as it is."""
        made = copy.deepcopy(content)
        for phase, landmarks in self.scales.items():
            made["features"]["phases"][phase]["nyul_landmarks"] = landmarks
        if self.habitats:
            made["features"]["habitats"].update(self.habitats)
        return made


def learn_next(study: Study, grid: Grid, checkpoint_file: Path, progress: Progress) -> Step:
    """Learn the first thing that an unprepared study lacks, from the hospitals of a Flower grid.

    Raises
    ------
    StudyStopped
        Where too few hospitals can take part, one is lost, or what is asked for cannot be learnt.
    """
    features = study.features
    assert features is not None
    checkpoint = Checkpoint(checkpoint_file)
    try:
        checkpoint.begin(study)
        hospitals = Hospitals(grid, 60 * study.lost_hospital.wait_minutes, progress)
        progress.phase("roll call", 1)
        present = roll_call(hospitals, study, checkpoint.begun())
        checkpoint.begin_with(present.begun)
        federation = FlowerFederation(hospitals, study, present.roster, checkpoint, progress)
        with threadpool_limits(limits=1):  # the same constants, bit for bit, on every machine of a kind
            if features.unscaled_phases():
                progress.phase("standard scales", 1)
                return Step(present.roster, learn_scales(federation, features), {}, present.notes)
            assert features.habitats is not None
            progress.phase("habitats", 2 + features.habitats.iterations)
            learnt = learn_habitats(federation, features.habitats)
            return Step(present.roster, {}, learnt.constants, (*present.notes, *learnt.notes))
    except HospitalLost as lost:
        raise StudyStopped(
            f"{lost}: constants that all hospitals share are learnt from all of them; mend what its own log says, then "
            "prepare again"
        ) from None
    finally:
        checkpoint.close()
