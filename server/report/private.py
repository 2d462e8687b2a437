"""report.html of a study with differential privacy: one self-contained file made from results.json."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from common.study import Study
from server.report import numerals, words

_HERE = Path(__file__).parent


def write_private_report(results: dict[str, Any], path: Path) -> None:
    """Write the report of a private study; the file is there whole or not at all."""
    partial = path.with_suffix(".partial")
    partial.write_text(render_private(results), encoding="utf-8")
    partial.replace(path)


def render_private(results: Mapping[str, Any]) -> str:
    """The report as text; hospitals' names, labels and titles are untrusted, so everything is escaped."""
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    # Our own file, and no text from a study: the only thing that is not escaped.
    style = Markup((_HERE / "report.css").read_text(encoding="utf-8"))  # noqa: S704
    study = Study.from_content(results["study"]["content"], "results.json")
    return environment.get_template("private.html.j2").render(
        style=style,
        results=results,
        study=study,
        title=results["study"]["title"] or results["study"]["name"],
        outcome=study.label(study.outcome_columns()[0]),
        number=numerals,
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
