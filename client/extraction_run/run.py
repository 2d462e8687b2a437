"""All patients of a hospital, from images to features in its store."""

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from client.cannot_extract import CannotExtract
from client.cohort.columns_file import read_columns_file
from client.cohort.csv_file import ID, read_table
from client.cohort.extracted_features import require_pyradiomics
from client.cohort.findings import ImagesUnusable, stopping
from client.cohort.image_checks import check_images, limits_of
from client.cohort.image_collection_checks import patient_folders
from client.cohort.images_file import ImagesFile, read_images_file
from client.extraction_run.kept import Failure, Kept, open_kept
from client.extraction_run.sample import sample
from client.extraction_run.turns import Turns
from client.extraction_run.workers import Worked, work_on
from client.site import Site
from common.errors import Code, HospitalError
from common.features import Features
from common.study import Study

ASK_AGAIN_S = 0.5
"""How often to look whether another process has finished a patient."""


@dataclass
class Done:
    """How far an extraction is; the same object is handed to the watcher again and again.

    Parameters
    ----------
    kept
        Patients whose features were there already.
    computed
        Seconds that each patient took, in the order of completion.
    failed
        By patient: why there are no features.
    """

    patients: int
    began: float = field(default_factory=time.monotonic)
    kept: list[str] = field(default_factory=list)
    computed: dict[str, float] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    elsewhere: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def with_features(self) -> list[str]:
        """Who has features now."""
        return sorted([*self.kept, *self.computed, *self.elsewhere])

    @property
    def left(self) -> int:
        """Patients that are not done yet."""
        return self.patients - len(self.kept) - len(self.computed) - len(self.failed) - len(self.elsewhere)

    @property
    def per_minute(self) -> float:
        """Patients computed a minute since the beginning, failed ones included."""
        worked = len(self.computed) + len(self.failed)
        return 60 * worked / max(time.monotonic() - self.began, 1e-3)

    @property
    def minutes_left(self) -> float | None:
        """How long the rest will take at this pace; None before the first is done."""
        return self.left / self.per_minute if self.per_minute else None


Watch = Callable[[Done, str | None], None]
"""Called with the state and the patient who was finished just now, or None when only time has passed."""


@dataclass(frozen=True)
class Asked:
    """How an extraction is run, beside what the study says.

    Parameters
    ----------
    processes
        Patients at a time; None: as many as this process may use processors.
    again
        Compute failed patients once more although their files have not changed.
    """

    processes: int | None = None
    minutes: float = 30.0
    again: bool = False

    @property
    def at_a_time(self) -> int:
        """How many processes to use."""
        return self.processes or len(os.sched_getaffinity(0))


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
    patients, notes = _patients(site)
    done = Done(len(patients), notes=notes)
    general = read_images_file(site.images)
    site.extracted.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (
        open_kept(site.extracted_in, site.images, general, features) as kept,
        closing(Turns(site.extracted.with_name("extraction.lock"))) as turns,
    ):
        perturbed = sample(patients, features)
        _Run(site, features, general, asked, watch, kept, turns, done, perturbed).all(patients)
    return done


def _patients(site: Site) -> tuple[list[str], list[str]]:
    """The patients of patients.csv who have a folder of images, and what to say about the others."""
    if not site.images.is_dir():
        raise HospitalError(
            Code.NO_FEATURES,
            f"{site.images}: there is no such folder; put one folder a patient there (hepafed site import makes "
            "them from a PACS export), or give its name in site.yaml as images",
        )
    folders = [folder.name for folder in patient_folders(site.images)]
    listed_in = site.folder / site.file.patients
    if not listed_in.is_file():
        return folders, [f"{listed_in} is not there: all {len(folders)} folders are extracted"]
    path = site.folder / site.file.columns
    columns = read_columns_file(path, required="columns" in site.file.model_fields_set)
    listed = set(read_table(listed_in, site.file.encoding, columns.name_of(ID)).ids)
    notes = []
    if strangers := [name for name in folders if name not in listed]:
        notes.append(f"not in {listed_in.name}, not extracted: {', '.join(strangers)}")
    if without := sorted(listed - set(folders)):
        notes.append(f"without a folder in {site.images.name}/: {', '.join(without)}")
    patients = [name for name in folders if name in listed]
    if not patients:
        raise HospitalError(
            Code.NO_FEATURES,
            f"{site.images}: none of its {len(folders)} folders has the name of a patient in {listed_in.name}: "
            "a patient's folder is called by the id",
        )
    return patients, notes


@dataclass(frozen=True)
class _Run:
    """One process's run over a hospital's patients."""

    site: Site
    features: Features
    general: ImagesFile
    asked: Asked
    watch: Watch
    kept: Kept
    turns: Turns
    done: Done
    sample: frozenset[str]

    def all(self, patients: Sequence[str]) -> None:
        """Every patient; last those that other processes had taken when their turn came."""
        taken: list[str] = []
        keys: dict[str, str] = {}
        tasks = self._tasks(patients, taken, keys)
        self._work(tasks, keys)
        while taken:
            still: list[str] = []
            self._work(self._tasks(taken, still, keys, elsewhere=True), keys)
            taken = still
            if taken:
                self.watch(self.done, None)
                time.sleep(ASK_AGAIN_S)

    def _work(self, tasks: Iterator[Task], keys: dict[str, str]) -> None:
        for worked in work_on(tasks, compute, self.asked.at_a_time, 60 * self.asked.minutes):
            if worked is None:
                self.watch(self.done, None)
            else:
                self._finish(worked, keys[worked.task.patient])

    def _tasks(
        self, patients: Sequence[str], taken: list[str], keys: dict[str, str], elsewhere: bool = False
    ) -> Iterator[Task]:
        """The patients whose features are not known, each with its turn taken."""
        for patient in patients:
            try:
                key = self.kept.key(patient)
            except OSError as error:
                self.done.failed[patient] = (
                    f"patient {patient}: {error.filename}: {error.strerror}; make it readable"
                )
                self.watch(self.done, patient)
                continue
            if self._known(patient, key, elsewhere):
                continue
            if not self.turns.take(key):
                taken.append(patient)
                continue
            if self._known(patient, key, elsewhere):  # another process finished it a moment ago
                self.turns.give_back(key)
                continue
            keys[patient] = key
            yield Task(patient, self.site.images / patient, self.general, self.features, patient in self.sample)

    def _known(self, patient: str, key: str, elsewhere: bool) -> bool:
        found = self.kept.look_up(key)
        if found is None or (isinstance(found, Failure) and not elsewhere and (found.again or self.asked.again)):
            return False
        if isinstance(found, Failure):
            self.done.failed[patient] = found.reason
        elif elsewhere:
            self.done.elsewhere.append(patient)
        else:
            self.done.kept.append(patient)
        self.watch(self.done, patient)
        return True

    def _finish(self, worked: Worked, key: str) -> None:
        patient = worked.task.patient
        self.kept.keep(key, patient, worked.result, worked.seconds)
        self.turns.give_back(key)
        if isinstance(worked.result, Failure):
            self.done.failed[patient] = worked.result.reason
        else:
            self.done.computed[patient] = worked.seconds
        self.watch(self.done, patient)


def compute(task: Task) -> object:
    """One patient's features (or samples), or a Failure with its reason; runs in a process of its own."""
    from client.extraction import one_thread, phase_images, read_phases
    from client.extraction.samples import take_samples
    from client.extraction_run.measurements import measure

    one_thread()
    logging.getLogger("radiomics").setLevel(logging.ERROR)
    try:
        patient = read_phases(task.folder, task.general, task.features)
        if faults := stopping(check_images(patient, limits_of(task.features))):
            return Failure("\n".join(map(str, faults)))
        if task.features.to_be_learnt():
            return take_samples(phase_images(patient, task.features), task.features)
        return measure(patient, task.features, task.in_sample)
    except ImagesUnusable as unusable:
        return Failure(str(unusable))
    except (CannotExtract, HospitalError) as fault:
        return Failure(f"patient {task.patient}: {fault}")
    except MemoryError:
        return Failure(
            "out of memory: run again with fewer --processes, or larger voxels (spacing_mm)", again=True
        )
    except Exception as error:  # one patient must not stop the others; the type tells what to report
        return Failure(
            f"patient {task.patient}: an error of hepafed's own ({type(error).__name__}: {error})", again=True
        )
