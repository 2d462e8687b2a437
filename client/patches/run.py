"""All patients of a hospital, from images to patches in its store."""

from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from client.cohort.extracted_features import require_pyradiomics
from client.cohort.findings import stopping
from client.cohort.images_file import ImagesFile, read_images_file
from client.extraction_run.done import Asked, Done, Watch
from client.extraction_run.kept import Failure
from client.extraction_run.listed import patients_with_images
from client.extraction_run.through import Through
from client.extraction_run.turns import Turns
from client.extraction_run.workers import failures_said
from client.patches.kept import open_kept_patches
from client.site import Site
from common.errors import Code, HospitalError
from common.patches import Patches
from common.study import Study


@dataclass(frozen=True)
class Task:
    """One patient's folder and what the patch shows of it."""

    patient: str
    folder: Path
    general: ImagesFile
    patches: Patches


def patch_hospital(site: Site, study: Study, asked: Asked, watch: Watch) -> Done:
    """Make the patches that are not in the hospital's store yet; it may be killed at any time and started again.

    Several processes may do this at once: each takes the patients that no other has taken.

    Raises
    ------
    HospitalError
        Where there is nothing to begin with: no section `patches`, no images.
    """
    if study.patches is None:
        raise HospitalError(
            Code.WRONG_STUDY, f"the study {study.study} has no section patches: its model looks at no images"
        )
    require_pyradiomics()
    patches = study.patches
    patients, notes = patients_with_images(site)
    done = Done(len(patients), notes=notes)
    general = read_images_file(site.images)
    site.extracted.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (
        open_kept_patches(site.extracted_in, site.images, general, patches) as kept,
        closing(Turns(site.extracted.with_name("extraction.lock"))) as turns,
    ):

        def task(patient: str) -> Task:
            return Task(patient, site.images / patient, general, patches)

        Through(asked, watch, kept, turns, done, task, compute).all(patients)
    return done


def compute(task: Task) -> object:
    """One patient's patch, or a Failure with its reason; runs in a process of its own."""
    from client.cohort.image_checks import check_images, limits_of
    from client.extraction import one_thread, phase_images, read_phases
    from client.patches.making import make_patch

    one_thread()
    features = task.patches.as_features()

    def work() -> object:
        patient = read_phases(task.folder, task.general, features)
        if faults := stopping(check_images(patient, limits_of(features))):
            return Failure("\n".join(map(str, faults)))
        return make_patch(phase_images(patient, features), task.patches)

    return failures_said(task.patient, work)
