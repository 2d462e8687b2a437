"""report.html of a study with differential privacy: one self-contained file made from results.json."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from common.study import Study
from common.whole_files import AS_THE_UMASK_SAYS, whole
from server.report import words
from server.report.page import page


def write_private_report(results: dict[str, Any], path: Path) -> None:
    """Write the report of a private study; the file is there whole or not at all."""
    with whole(path, AS_THE_UMASK_SAYS) as file:
        file.write(render_private(results))


def render_private(results: Mapping[str, Any]) -> str:
    """The report as text."""
    study = Study.from_content(results["study"]["content"], "results.json")
    return page(
        "private.html.j2",
        results=results,
        study=study,
        title=results["study"]["title"] or results["study"]["name"],
        outcome=study.label(study.outcome_columns()[0]),
        words=words,
        schemes=[_scheme(results, name) for name in results["performance"]],
        coefficients=sorted(results["model"]["standardised"].items(), key=lambda item: -abs(item[1])),
        study_yaml=yaml.safe_dump(results["study"]["content"], allow_unicode=True, sort_keys=True, width=100),
    )


def _scheme(results: Mapping[str, Any], name: str) -> dict[str, str]:
    """One row of the performance table, as text."""
    auc = results["performance"][name]["auc"]
    beside = results["without_noise"]
    other = None if beside is None else beside["performance"][name]["auc"]["value"]
    title, meaning = words.scheme(name)
    known = auc["value"] is not None
    return {
        "title": title,
        "meaning": meaning,
        "auc": f"{auc['value']:.3f} ({auc['low']:.3f} to {auc['high']:.3f})" if known else "not estimable",
        "sampling": f"{auc['sampling_error']:.3f}" if known else "–",
        "noise": f"{auc['noise_error']:.3f}" if known else "–",
        "without": "–" if other is None else f"{other:.3f}",
        "cost": f"{other - auc['value']:+.3f}" if known and other is not None else "–",
    }
