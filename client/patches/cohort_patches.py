"""The patches of a study's cohort, as this hospital's store holds them."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from client.cohort.faults import counted, some
from client.cohort.images_file import read_images_file
from client.cohort.last_read import LastRead
from client.extraction_run.kept import Failure
from client.patches.kept import open_kept_patches
from client.patches.patch import Patch
from client.site import Site
from client.store import patches_made
from common.errors import Code, HospitalError
from common.study import Study

SHOWN_PATIENTS = 5


@dataclass(frozen=True)
class CohortPatches:
    """A patch a patient, in the cohort's order; None where there is none, which a network must bear.

    Parameters
    ----------
    notes
        Who has none and why: for the hospital's own log.
    """

    patches: tuple[Patch | None, ...]
    digest: str
    notes: tuple[str, ...] = ()

    @property
    def there(self) -> np.ndarray:
        """Who has a patch."""
        return np.array([patch is not None for patch in self.patches])


def read_patches(site: Site, study: Study, patients: Sequence[str]) -> CohortPatches:
    """The patches of these patients; read once a process as long as nothing changes.

    Raises
    ------
    HospitalError
        Where a patient's images have neither a patch nor a reason why there is none: make them first.
    """
    key = (study.hash, tuple(patients), patches_made(site.extracted_in))
    return _LAST.get(site, key, lambda: _read(site, study, patients))


_LAST = LastRead[CohortPatches]()


def _read(site: Site, study: Study, patients: Sequence[str]) -> CohortPatches:
    assert study.patches is not None
    again = f"run: hepafed site patches STUDY {site.folder}"
    if not site.extracted.is_file():
        raise HospitalError(
            Code.NO_FEATURES,
            f"{site.extracted}: the study's network looks at images and no patch is made yet; {again}",
        )
    made, notes, waiting, without = list[Patch | None](), list[str](), list[str](), list[str]()
    total = sha256()
    with open_kept_patches(site.extracted_in, site.images, read_images_file(site.images), study.patches) as kept:
        for patient in patients:
            found: Patch | Failure | None = None
            if not (site.images / patient).is_dir():
                without.append(patient)
            elif (found := kept.look_up(kept.key(patient))) is None:
                waiting.append(patient)
            if isinstance(found, Failure):
                notes.append(f"no patch: {found.reason}")
            patch = found if isinstance(found, Patch) else None
            made.append(patch)
            total.update(f"{patient}\n".encode())
            if patch is not None:
                total.update(patch.intensities.tobytes() + patch.masks.tobytes())
                notes += [f"patient {patient}: {note}" for note in patch.notes]
    if waiting:
        raise HospitalError(
            Code.NO_FEATURES,
            f"{counted(len(waiting), 'patient')} ({some(waiting, SHOWN_PATIENTS)}): the images have no patch under "
            f"this study's settings and versions yet, or were changed since; {again}",
        )
    if without:
        notes.append(f"without a folder in {site.images.name}/: {', '.join(without)}")
    return CohortPatches(tuple(made), total.hexdigest(), tuple(notes))
