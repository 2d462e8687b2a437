"""What a study run found, as results.json (docs/results.md describes every key)."""

import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from common.study import Study
from common.whole_files import AS_THE_UMASK_SAYS, whole
from server.finished import Finished
from server.hospitals import Transport
from server.results.cohort import cohort_of, sites_of
from server.results.comparisons import comparisons_of
from server.results.external import external_of, notes_on_external
from server.results.harmonisation import judged_of
from server.results.horizon import horizon_of, notes_on_horizon
from server.results.hospitals import bootstrap_of, heterogeneity_of, name_of, subgroups_of
from server.results.membership import membership_of
from server.results.model import model_of
from server.results.models import models_of
from server.results.network import network_of
from server.results.notes import (
    notes_on_dimension,
    notes_on_folds,
    notes_on_harmonisation,
    notes_on_hospitals,
)
from server.results.performance import performance_by_class_of, performance_of
from server.results.pipeline import pipeline_of
from server.results.selection import selection_of
from server.results.small_cells import flow_in_ranges
from server.results.stability import stability_of
from server.results.survival import notes_on_survival, survival_of
from server.results.use import parts_of, usefulness_of

FORMAT = 1
PACKAGES = ("hepafed", "flwr", "numpy", "scipy", "scikit-learn", "pandas", "pydantic")
ONE_MACHINE = (
    "A simulation on one machine: whoever runs it holds all hospitals' data and keys, and the hospitals' gates run in "
    "the lower profile. Use it with data that may be together there."
)


def results_of(finished: Finished, transport: Transport, engine: str, lower_profile: bool) -> dict[str, Any]:
    """The content of results.json; everything that differs from run to run is under `transport`."""
    study, present, ground = finished.study, finished.present, finished.groundwork
    return {
        "format": FORMAT,
        "study": study_of(study),
        "seed": study.seed,
        "protection": _protection(study, lower_profile),
        "sites": sites_of(finished),
        "left_out": {name: code.value for name, code in sorted(present.left_out.items())},
        "lost": [{"hospital": x.hospital, "code": x.code.value, "query": x.query} for x in finished.losses],
        "flow": flow_in_ranges(ground.counted.flow),
        "cohort": cohort_of(finished),
        "pipeline": pipeline_of(finished),
        "harmonisation": judged_of(ground.judged),
        "stability": stability_of(ground.stable),
        "selection": selection_of(study, ground.selected, finished.splits, finished.models.lines),
        "model": model_of(finished),
        "models": models_of(finished),
        "network": network_of(study, finished.models.networks),
        "performance": performance_of(finished),
        "performance_by_class": performance_by_class_of(finished),
        "external": external_of(finished.evaluated.external, present.disclosed),
        "hospital_name": name_of(study, sites_of(finished), cohort_of(finished)["events"]),
        "heterogeneity": heterogeneity_of(performance_of(finished), survival_of(finished)),
        "bootstrap": bootstrap_of(study, finished.evaluated.drawn, "auc"),
        "subgroups": subgroups_of(study, finished.evaluated.subgroups),
        "membership": membership_of(finished),
        "survival": survival_of(finished),
        "horizon": horizon_of(finished),
        "usefulness": usefulness_of(study, finished.evaluated.use, finished.evaluated.discrimination),
        "comparisons": comparisons_of(finished.evaluated.use),
        "parts": parts_of(finished.evaluated.use),
        "exchanges": _exchanges(finished),
        "notes": [
            *([ground.judged.sentence] if ground.judged else []),
            *present.notes,
            *(ground.stable.notes if ground.stable else ()),
            *ground.prepared.notes,
            *ground.leaks,
            *ground.selected.notes,
            *notes_on_harmonisation(finished),
            *notes_on_dimension(finished),
            *(finished.models.networks.notes if finished.models.networks else ()),
            *notes_on_folds(finished),
            *notes_on_hospitals(finished),
            *notes_on_external(finished.evaluated.external),
            *notes_on_survival(finished),
            *notes_on_horizon(finished),
            *finished.notes,
        ],
        "versions": {package: version(package) for package in PACKAGES},
        "transport": {"engine": engine, **asdict(transport)},
    }


def study_of(study: Study) -> dict[str, Any]:
    """The key `study`: what the hospitals approved."""
    return {"name": study.study, "title": study.title, "hash": study.hash, "content": json.loads(study.to_json())}


def _protection(study: Study, lower_profile: bool) -> dict[str, Any]:
    """What kept the hospitals' own sums from the coordinator, and what did not."""
    said = []
    if lower_profile:
        said.append(ONE_MACHINE)
    if not study.privacy.secure_sum:
        said.append("The sums were not masked (privacy.secure_sum: false).")
    return {
        "secure_sums": study.privacy.secure_sum,
        "gate": not lower_profile,
        "lower_profile": lower_profile,
        "statement": " ".join(said) or "Sums were masked, and every hospital's gate checked every answer.",
    }


def write_results(results: dict[str, Any], path: Path) -> None:
    """Write results.json so that it is there whole or not at all."""
    text = json.dumps(results, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    with whole(path, AS_THE_UMASK_SAYS) as file:
        file.write(text)


def _exchanges(finished: Finished) -> dict[str, Any]:
    record = finished.record
    return {
        "rounds": len(record) + 1,
        "bytes_up_per_site": {
            name: finished.present.bytes_up[name] + sum(asked.bytes_up[name] for asked in record)
            for name in finished.roster
        },
        "bytes_down_per_site": sum(asked.bytes_down for asked in record),
        "asked": [
            {
                "query": asked.query,
                "class": asked.disclosure,
                "splits": asked.splits,
                "sums": asked.arrays,
                "largest_answer_bytes": max(asked.bytes_up.values()),
            }
            for asked in record
        ],
    }
