"""Checking a patient's phases against each other: their order in time, their enhancement, and copies."""

from itertools import pairwise

import numpy as np
import SimpleITK as sitk

from client.cohort.findings import Findings
from client.cohort.image_names import CONTRAST_ORDER, CT
from client.cohort.patient_images import PatientImages, content_digest


def check_phases(patient: PatientImages, findings: Findings) -> None:
    """Everything that needs the phases together."""
    _check_modalities(patient, findings)
    _check_order_in_time(patient, findings)
    _check_enhancement(patient, findings)
    _check_copies(patient, findings)


def _check_modalities(patient: PatientImages, findings: Findings) -> None:
    for phase in patient.phases.values():
        if not phase.modality:
            findings.look(
                phase.name,
                "unknown modality",
                "nothing tells whether this is CT or MRI, so HU cannot be checked",
                "write modality: CT (or MR) in images/images.yaml",
            )


def _check_order_in_time(patient: PatientImages, findings: Findings) -> None:
    times = {
        name: phase.seconds_after_first
        for name, phase in patient.phases.items()
        if name in CONTRAST_ORDER and phase.seconds_after_first is not None
    }
    named = sorted(times, key=CONTRAST_ORDER.index)
    for before, after in pairwise(named):
        first, second = times[before], times[after]
        assert first is not None
        assert second is not None
        if first > second:
            findings.add(
                before,
                "wrong phase order",
                f"{before} was taken {first - second:,.0f} s after {after}",
                "swap the names if they are mixed up, and leave the patient out if they are of two examinations",
            )
        elif second - first > 86400:
            findings.look(
                before,
                "phases of two examinations",
                f"{after} was taken {(second - first) / 86400:,.0f} days after {before}",
                "use the phases of one examination",
            )


def _check_enhancement(patient: PatientImages, findings: Findings) -> None:
    """The liver takes up contrast from the portal vein: native < arterial < portal, by some 10 to 60 HU on CT."""
    medians = {}
    for name in ("native", "arterial", "portal"):
        phase = patient.phases.get(name)
        if phase is not None and phase.modality == CT and "liver" in phase.masks:
            inside = sitk.GetArrayViewFromImage(phase.image)[sitk.GetArrayViewFromImage(phase.masks["liver"]) > 0]
            medians[name] = float(np.nanmedian(inside))
    names = list(medians)
    for before, after in pairwise(names):
        if medians[before] > medians[after] + 10:
            findings.look(
                before,
                "wrong phase order",
                f"the liver has {medians[before]:.0f} HU in {before} and {medians[after]:.0f} HU in {after}",
                "check whether the two are swapped",
            )


def _check_copies(patient: PatientImages, findings: Findings) -> None:
    seen: dict[str, str] = {}
    for name, phase in patient.phases.items():
        digest = content_digest(phase.image, with_grid=False)
        if digest in seen:
            findings.add(
                name,
                "duplicate image",
                f"{name} and {seen[digest]} are the same image",
                "put the right series there",
            )
        seen.setdefault(digest, name)
