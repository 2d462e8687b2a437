"""A hospital's images through extraction into its store, with real processes."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from client.cohort.cohort import read_cohort
from client.cohort.extracted_features import of_the_patient
from client.extraction_run.run import Asked, Done, extract_hospital
from client.extraction_run.turns import Turns
from client.extraction_run.workers import work_on
from client.site import Site
from client.store import Store
from common.errors import HospitalError
from common.study import Study
from tests.client.images_on_disk import as_image, ball, ct_voxels
from tests.imaged_hospitals import STUDY, imaged_study, write_hospital, write_patient


def extracted(site: Site, asked: Study | None = None, **how: Any) -> Done:
    return extract_hospital(site, asked or imaged_study(), Asked(processes=1, **how), lambda *_: None)


def test_what_is_extracted_becomes_the_cohorts_features(tmp_path: Path) -> None:
    site = write_hospital(tmp_path)
    done = extracted(site)
    assert sorted(done.computed) == ["P0", "P1", "P2"]
    cohort = read_cohort(site, imaged_study())
    assert cohort.feature_names == ("portal_tumour_original_firstorder_Mean",)
    means = [ct_voxels(seed)[ball() > 0].mean() for seed in range(3)]
    np.testing.assert_allclose(cohort.features[:, 0], means, rtol=1e-12)


def test_an_unchanged_patient_costs_nothing_and_a_changed_one_is_computed_again(tmp_path: Path) -> None:
    site = write_hospital(tmp_path)
    extracted(site)
    assert sorted(extracted(site).kept) == ["P0", "P1", "P2"]
    write_patient(site.images / "P1", seed=77)
    with pytest.raises(HospitalError, match=r"1 patient \(P1\): the images have no features .* or were changed"):
        read_cohort(site, imaged_study())
    again = extracted(site)
    assert list(again.computed) == ["P1"]
    assert read_cohort(site, imaged_study()).features[1, 0] == pytest.approx(
        ct_voxels(77)[ball() > 0].mean(), rel=1e-12
    )


def test_a_file_written_anew_with_the_same_content_costs_nothing(tmp_path: Path) -> None:
    site = write_hospital(tmp_path, patients=1)
    extracted(site)
    mask = site.images / "P0" / "tumour.nii.gz"
    mask.write_bytes(mask.read_bytes())
    assert extracted(site).kept == ["P0"]


def test_other_settings_are_computed_beside_the_first(tmp_path: Path) -> None:
    site = write_hospital(tmp_path, patients=1)
    extracted(site)
    other = imaged_study(features=STUDY["features"] | {"minimum_voxels": 9})
    with pytest.raises(HospitalError, match="hepafed site extract"):
        read_cohort(site, other)
    assert list(extracted(site, other).computed) == ["P0"]
    assert extracted(site).kept == ["P0"]


def test_a_failed_patient_is_recorded_with_reason_and_cure_and_stops_nobody(tmp_path: Path) -> None:
    site = write_hospital(tmp_path)
    sitk.WriteImage(as_image(np.zeros_like(ball())), str(site.images / "P1" / "tumour.nii.gz"))
    done = extracted(site)
    assert sorted(done.computed) == ["P0", "P2"]
    assert "P1" in done.failed["P1"]
    assert "draw" in done.failed["P1"]
    assert extracted(site).failed == done.failed  # known already, not computed again
    cohort = read_cohort(site, imaged_study())
    assert cohort.ids == ("P0", "P2")
    assert any("P1" in note and "draw" in note for note in cohort.notes)
    assert cohort.flow["with_features"] == 2


def test_a_hospital_that_extracted_nothing_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(HospitalError, match="none are extracted here yet; run: hepafed site extract") as refused:
        read_cohort(write_hospital(tmp_path), imaged_study())
    assert refused.value.code == "features_not_extracted"


def test_the_store_of_features_is_its_owners_alone(tmp_path: Path) -> None:
    site = write_hospital(tmp_path, patients=1)
    extracted(site)
    assert site.extracted.stat().st_mode & 0o077 == 0
    assert site.extracted.parent.stat().st_mode & 0o077 == 0


EXTRACT = """
import sys
from pathlib import Path
from client.extraction_run.run import Asked, extract_hospital
from client.site import open_site
from tests.imaged_hospitals import imaged_study
if __name__ == "__main__":
    def watch(done, patient):
        if patient is not None:
            print(patient, flush=True)
    extract_hospital(open_site(Path(sys.argv[1])), imaged_study(), Asked(processes=1), watch)
"""


def started(site: Site, script: Path) -> subprocess.Popen[str]:
    script.write_text(EXTRACT)
    return subprocess.Popen(
        [sys.executable, script, site.folder],
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"},
    )


def test_kill_9_loses_nothing_and_nothing_is_computed_twice(tmp_path: Path) -> None:
    site = write_hospital(tmp_path / "hospital", patients=12)
    process = started(site, tmp_path / "extract.py")
    assert process.stdout is not None
    seen = [process.stdout.readline().strip() for _ in range(3)]
    process.send_signal(signal.SIGKILL)
    process.wait()
    with_features = _times(site)
    assert set(seen) <= set(with_features)
    rest = extracted(site)
    assert set(rest.kept) == set(with_features)
    assert set(rest.kept) | set(rest.computed) == {f"P{n}" for n in range(12)}
    assert not set(rest.kept) & set(rest.computed)
    assert {p: at for p, at in _times(site).items() if p in with_features} == with_features


def _times(site: Site) -> dict[str, int]:
    """The row of every extraction: one that was computed again would have another."""
    store = Store(site.extracted_in)
    found = dict(store.all("SELECT patient, rowid FROM extractions"))
    store.close()
    return found


def test_two_processes_share_the_work_and_compute_nobody_twice(tmp_path: Path) -> None:
    site = write_hospital(tmp_path / "hospital", patients=10)
    other = started(site, tmp_path / "extract.py")
    assert other.stdout is not None
    other.stdout.readline()  # it has begun
    mine = extracted(site)
    other.communicate(timeout=60)
    everybody = {f"P{n}" for n in range(10)}
    assert set(mine.kept) | set(mine.computed) | set(mine.elsewhere) == everybody
    store = Store(site.extracted_in)
    assert store.first("SELECT count(*), max(rowid) FROM extractions") == (10, 10)  # never replaced
    store.close()


def test_a_turn_is_free_again_when_its_process_has_ended(tmp_path: Path) -> None:
    key = "ab" * 32
    take = (
        f"from client.extraction_run.turns import Turns; from pathlib import Path; import sys, time; "
        f"t = Turns(Path({str(tmp_path / 'lock')!r})); print(t.take({key!r}), flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", take],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert other.stdout is not None
    assert other.stdout.readline().strip() == "True"
    turns = Turns(tmp_path / "lock")
    assert not turns.take(key)
    assert turns.take("cd" * 32)
    other.kill()
    other.wait()
    assert turns.take(key)
    turns.close()


def slow_or_fatal(task: str) -> str:
    """What a worker may meet."""
    if task == "dies":
        import os

        os._exit(9)
    if task == "hangs":
        time.sleep(600)
    return task.upper()


def test_a_process_that_dies_or_hangs_costs_its_own_patient_only() -> None:
    found = {
        done.task: done.result
        for done in work_on(["a", "dies", "hangs", "b", "c"], slow_or_fatal, 2, 3.0)
        if done is not None
    }
    assert {task: found[task] for task in "abc"} == {"a": "A", "b": "B", "c": "C"}
    assert "ended with code 9" in found["dies"].reason
    assert "not done after" in found["hangs"].reason
    assert found["hangs"].again


def test_lesions_become_one_value_a_patient() -> None:
    lesions = [{"a": 1.0, "b": np.nan}, {"a": 4.0, "b": 6.0}]
    assert of_the_patient(lesions, "mean") == {"a": 2.5, "b": 6.0}
    assert of_the_patient(lesions, "maximum") == {"a": 4.0, "b": 6.0}
    assert of_the_patient([{"a": 3.0}], "minimum") == {"a": 3.0}
