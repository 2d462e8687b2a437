"""What this hospital's patients bring to an unprepared study: landmarks of intensities, or voxels of tumours.

Taken from the images by client/extraction/samples.py, kept in the hospital's store, summed by
client/queries/nyul.py and habitats.py; no sample leaves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

import numpy as np

from client.cohort.faults import counted, some
from client.cohort.images_file import read_images_file
from client.cohort.last_read import LastRead
from client.site import Site
from client.store import extractions
from common.errors import Code, HospitalError
from common.features import NYUL_PERCENTILES, Features
from common.study import Study

LANDMARKS, VOXELS = "nyul landmarks", "habitat voxels"
"""The names under which samples stand among the measurements of a patient."""
SHOWN_PATIENTS = 5


@dataclass(frozen=True)
class Samples:
    """Patients with samples, by id, and an array each.

    Parameters
    ----------
    arrays
        Landmarks: phases without a scale × percentiles, NaN for a phase that is not there. Voxels: voxels × phases of
        the habitats, none where a phase is not there.
    """

    ids: tuple[str, ...]
    arrays: tuple[np.ndarray, ...]
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of everything but the notes; the cohort is frozen with it."""
        total = sha256()
        for patient, array in zip(self.ids, self.arrays, strict=True):
            total.update(f"{patient}\0{array.shape}\n".encode() + array.astype("<f8").tobytes())
        return total.hexdigest()


def sampled_now(features: Features) -> str:
    """What is learnt next, as samples are called: a scale comes first, for habitats are found on it."""
    return LANDMARKS if features.unscaled_phases() else VOXELS


def read_samples(site: Site, study: Study, patients: Sequence[str]) -> Samples:
    """The samples of an unprepared study; read once a process as long as nothing changes.

    Raises
    ------
    HospitalError
        Where a patient's images have neither samples nor a reason why there are none.
    """
    key = (study.hash, tuple(patients), extractions(site.extracted_in))
    return _LAST.get(site, key, lambda: _read(site, study, patients))


_LAST = LastRead[Samples]()


def _read(site: Site, study: Study, patients: Sequence[str]) -> Samples:
    from client.extraction_run.kept import Failure, open_kept  # hospitals without images need no PyRadiomics

    assert study.features is not None
    measurement = sampled_now(study.features)
    ids, arrays, notes, waiting = list[str](), list[np.ndarray](), list[str](), list[str]()
    with open_kept(site.extracted_in, site.images, read_images_file(site.images), study.features) as kept:
        for patient in patients:
            if not (site.images / patient).is_dir():
                notes.append(f"without a folder in {site.images.name}/: {patient}")
                continue
            found = kept.look_up(kept.key(patient))
            if found is None:
                waiting.append(patient)
            elif isinstance(found, Failure):
                notes.append(f"no samples: {found.reason}")
            else:
                rows = [row.values for row in found.rows if row.measurement == measurement]
                ids.append(patient)
                arrays.append(_array(rows, study.features))
    if waiting:
        raise HospitalError(
            Code.NO_FEATURES,
            f"{counted(len(waiting), 'patient')} ({some(waiting, SHOWN_PATIENTS)}): {measurement} have not been taken "
            "from the images under this study's settings yet, or the images were changed since: run hepafed study "
            "prepare again",
        )
    return Samples(tuple(ids), tuple(arrays), tuple(notes))


def _array(rows: list[dict[str, float]], features: Features) -> np.ndarray:
    values = np.array([value for row in rows for value in row.values()], dtype=np.float64)
    unscaled = features.unscaled_phases()
    if unscaled:
        return values.reshape(len(unscaled), len(NYUL_PERCENTILES))
    assert features.habitats is not None
    return values.reshape(-1, len(features.habitats.phases))
