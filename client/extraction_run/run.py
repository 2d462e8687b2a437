"""All patients of a hospital, from images to features in its store."""

import logging
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from client.cohort.extracted_features import require_pyradiomics
from client.cohort.findings import stopping
from client.cohort.image_checks import check_images, limits_of
from client.cohort.images_file import ImagesFile, read_images_file
from client.extraction_run.done import Asked, Done, Watch
from client.extraction_run.kept import Failure, open_kept
from client.extraction_run.listed import patients_with_images
from client.extraction_run.perturbed_patients import sample
from client.extraction_run.through import Through
from client.extraction_run.turns import Turns
from client.extraction_run.workers import failures_said
from client.site import Site
from common.errors import Code, HospitalError
from common.features import Features
from common.study import Study


@dataclass(frozen=True)
class Task:
    """One patient's folder and what to compute from it; `in_sample`: in perturbed images too."""

    patient: str
    folder: Path
    general: ImagesFile
    features: Features
    in_sample: bool = False


def extract_hospital(site: Site, study: Study, asked: Asked, watch: Watch) -> Done:
    """Extract what is not in the hospital's store yet; it may be killed at any time and started again.

    Several processes may do this at once: each takes the patients that no other has taken.

    Raises
    ------
    HospitalError
        Where there is nothing to begin with: no images, no settings, PyRadiomics not installed.
    """
    if study.features is None:
        raise HospitalError(
            Code.WRONG_STUDY,
            f"the study {study.study} has no section features: it reads features.csv, there is nothing to extract",
        )
    study.features.refuse_unprepared()
    return _work_through(site, study.features, asked, watch)


def sample_hospital(site: Site, study: Study, asked: Asked, watch: Watch) -> Done:
    """Take the samples that an unprepared study learns from (client/extraction/samples.py), like `extract_hospital`."""
    assert study.features is not None
    return _work_through(site, study.features, asked, watch)


def _work_through(site: Site, features: Features, asked: Asked, watch: Watch) -> Done:
    require_pyradiomics()
    from client.extraction import feature_names

    feature_names(features)  # a comparison of features that are not computed is said once, not for every patient
    patients, notes = patients_with_images(site)
    done = Done(len(patients), notes=notes)
    general = read_images_file(site.images)
    site.extracted.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (
        open_kept(site.extracted_in, site.images, general, features) as kept,
        closing(Turns(site.extracted.with_name("extraction.lock"))) as turns,
    ):
        perturbed = sample(patients, features)

        def task(patient: str) -> Task:
            return Task(patient, site.images / patient, general, features, patient in perturbed)

        Through(asked, watch, kept, turns, done, task, compute).all(patients)
    return done


def compute(task: Task) -> object:
    """One patient's features (or samples), or a Failure with its reason; runs in a process of its own."""
    from client.extraction import one_thread, phase_images, read_phases
    from client.extraction.samples import take_samples
    from client.extraction_run.measurements import measure

    one_thread()
    logging.getLogger("radiomics").setLevel(logging.ERROR)

    def work() -> object:
        patient = read_phases(task.folder, task.general, task.features)
        if faults := stopping(check_images(patient, limits_of(task.features))):
            return Failure("\n".join(map(str, faults)))
        if task.features.to_be_learnt():
            return take_samples(phase_images(patient, task.features), task.features)
        return measure(patient, task.features, task.in_sample)

    return failures_said(task.patient, work)
