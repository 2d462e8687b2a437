"""Microvascular invasion on the TCGA-LIHC table, as a consortium would live through it; the table is an argument.

1  every centre of the table (`tss`) writes its folder as its laboratory counts: the study stops and says who does not
   count in the study's unit, and what to write into columns.yaml; once the study knows what values can be, centres that
   mix units are told so in their own logs, and it stops again;
2  with columns.yaml, the centres with ten known outcomes and more train; patients whose values cannot be are left out;
3  the other centres apply the frozen model (model.json) to their own patients;
4  all 321 patients in the table's eight groups of centres: three AUCs, to be held beside those of the pooled table.

What single centres wrote in two units at once, columns.yaml maps text by text (`values`).

    python benchmarks/lihc.py lihc_clean.csv --out FOLDER
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

import numpy as np
import pandas as pd
import typer
import yaml
from rich.console import Console
from rich.table import Table
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from client.scoring import read_patients, score_patients
from client.site import open_site
from common.errors import StudyStopped
from common.released_model import FILE_NAME as MODEL_FILE
from common.released_model import ReleasedModel, read_released_model
from common.study import Study
from deploy.simulation.simulate import Simulation, find_hospitals, last_words, simulate
from server.progress import Silence

CLINICAL = ["age", "male", "asian", "grade34", "t", "log_afp", "albumin", "platelet", "creat", "hbv", "alcohol"]
RANGES = {"platelet": (5.0, 1500.0), "albumin": (1.0, 6.5), "creat": (0.2, 15.0)}
FEWEST_OUTCOMES = 10
FACTS = {"kfold": 0.750, "leave_one_hospital_out": 0.690, "within": 0.646}
"""Measured once on the pooled table, by other columns."""
NEAR = 0.05


def main(
    table: Annotated[Path, typer.Argument(help="lihc_clean.csv: one row a patient, with tss, centre and mvi.")],
    out: Annotated[
        Path | None, typer.Option(help="A folder for hospitals and results; default: none is kept.")
    ] = None,
) -> None:
    """Run the four steps and print what came out."""
    if out is None:
        with tempfile.TemporaryDirectory(prefix="hepafed-lihc-") as folder:
            _run(pd.read_csv(table), Path(folder))
        return
    shutil.rmtree(out, ignore_errors=True)
    _run(pd.read_csv(table), out)


def _run(patients: pd.DataFrame, out: Path) -> None:
    console = Console(width=120)
    known = patients.groupby("tss")["mvi"].count()
    training = sorted(known[known >= FEWEST_OUTCOMES].index)
    trained, others = patients["tss"].isin(training), patients[~patients["tss"].isin(training)]
    console.print(
        f"{len(patients)} patients, {len(known)} centres, {patients['mvi'].notna().sum()} known outcomes"
    )
    console.print(f"{len(training)} centres with {FEWEST_OUTCOMES} known outcomes and more: {', '.join(training)}")

    sites = write_centres(patients[trained], "tss", out / "faults")
    console.rule("as the laboratories count")
    console.print(stopped(study("lihc-without-ranges", ranges={}), sites, out / "out-no-ranges"), markup=False)
    console.print(stopped(study("lihc-with-ranges"), sites, out / "out-ranges"), markup=False)

    console.rule("with columns.yaml")
    mended = write_centres(patients[trained], "tss", out / "mended", mend=True)
    results = run(study("lihc"), mended, out / "out")
    print_aucs(console, results, None)
    console.print(f"Flow: {results['flow']}", markup=False)
    console.print(results["membership"]["sentence"], markup=False)
    newcomers = write_centres(others, "tss", out / "newcomers", mend=True)
    score_the_others(console, read_released_model(out / "out" / MODEL_FILE), newcomers, others)

    console.rule("all patients, in eight groups of centres")
    groups = write_centres(patients, "centre", out / "groups", mend=True)
    everyone = study("lihc-all", privacy={"minimum_patients": 2})
    print_aucs(console, run(everyone, groups, out / "out-groups"), pooled(in_study_units(patients)))


def study(
    name: str, ranges: Mapping[str, tuple[float, float]] = MappingProxyType(RANGES), **changes: Any
) -> Study:
    """The protocol: logistic ridge regression of microvascular invasion on what is known before the operation."""
    variables: dict[str, Any] = {
        "platelet": {"unit": "10^9/L"},
        "albumin": {"unit": "g/dL"},
        "creat": {"unit": "mg/dL"},
        "log_afp": {"compare_medians": False},
    }
    for name_of, (low, high) in ranges.items():
        variables[name_of]["range"] = [low, high]
    variables |= {name: {"type": "binary"} for name in ("male", "asian", "grade34", "hbv", "alcohol")}
    content = {
        "study": name,
        "outcome": {"kind": "binary", "column": "mvi"},
        "predictors": {"clinical": CLINICAL},
        "variables": variables,
        "model": {"kind": "logistic", "penalty": "ridge", "strength": 1.0},
        "validation": {"folds": 5, "leave_one_hospital_out": True},
        "seed": 1,
    }
    return Study.from_content(content | changes, name)


def write_centres(patients: pd.DataFrame, by: str, folder: Path, mend: bool = False) -> Path:
    """A folder a centre; mended ones say in columns.yaml what they counted otherwise."""
    for centre, rows in patients.groupby(by):
        place = folder / str(centre)
        place.mkdir(parents=True)
        texts = rows[["pid", "mvi", *CLINICAL]].rename(columns={"pid": "id"}).map(_text)
        texts.to_csv(place / "patients.csv", index=False)
        columns = _mended(rows) if mend else {}
        if columns:
            (place / "columns.yaml").write_text(yaml.safe_dump({"columns": columns}), encoding="utf-8")
    return folder


def _text(value: object) -> str:
    """As a laboratory writes it: whole numbers without a point, nothing where nothing is known."""
    if isinstance(value, str):
        return value
    number = float(value)  # type: ignore[arg-type]
    return "" if np.isnan(number) else f"{number:.10g}"


def _mended(rows: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """columns.yaml: a unit where most values need it, the number to read where some do."""
    right, columns = in_study_units(rows), dict[str, dict[str, Any]]()
    for column, unit, factor in (
        ("platelet", "/uL", 1e-3),
        ("albumin", "g/L", 0.1),
        ("creat", "umol/L", 1 / 88.42),
    ):
        written, meant = rows[column], right[column]
        known = written.notna() & meant.notna()
        ratio = meant[known] / written[known]
        most = (np.abs(ratio / factor - 1) < 1e-6).mean() > 0.5
        per = factor if most else 1.0
        odd = known & (np.abs(meant / written / per - 1) > 1e-6)
        entry: dict[str, Any] = {"unit": unit} if most else {}
        if odd.any():
            entry["values"] = {_text(w): float(m / per) for w, m in zip(written[odd], meant[odd], strict=True)}
        if entry:
            columns[column] = entry
    return columns


def in_study_units(patients: pd.DataFrame) -> pd.DataFrame:
    """The table as it was meant: platelets in 10^9/L, albumin in g/dL, creatinine in mg/dL.

    An albumin of 5200, and creatinines between both units, stay: nobody knows what was meant.
    """
    meant = patients.copy()
    meant["platelet"] = np.where(meant["platelet"] > 2000, meant["platelet"] / 1000, meant["platelet"])
    albumin = meant["albumin"]
    meant["albumin"] = np.where(
        albumin.between(20, 60), albumin / 10, np.where(albumin < 1, albumin * 10, albumin)
    )
    creatinine = meant["creat"]
    meant["creat"] = np.where(creatinine.between(40, 130), creatinine / 88.42, creatinine)
    return meant


def stopped(chosen: Study, sites: Path, out: Path) -> str:
    """Why the study stops, and what the hospitals' own logs say."""
    simulation = Simulation(chosen, find_hospitals(sites), out)
    try:
        simulate(simulation, Silence())
    except StudyStopped as reason:
        own = [
            f"{name}: {' '.join(lines)}"
            for name, lines in last_words(simulation, dict.fromkeys(simulation.folders, 0)).items()
        ]
        return "\n  ".join([f"The study stops: {reason}", *own])
    raise SystemExit("the study did not stop, although centres count in other units")


def run(chosen: Study, sites: Path, out: Path) -> dict[str, Any]:
    """results.json of a simulated study."""
    simulate(Simulation(chosen, find_hospitals(sites), out), Silence())
    results: dict[str, Any] = json.loads((out / "results.json").read_text(encoding="utf-8"))
    return results


def print_aucs(console: Console, results: dict[str, Any], expected: dict[str, float] | None) -> None:
    """The three AUCs, beside those of the pooled table where there are any."""
    found = results["performance"]
    table = Table(title=f"{found['kfold']['patients']} patients, {found['kfold']['events']} with the outcome")
    for name in ("AUC", "federated", "95 % interval", *(("pooled, scikit-learn", "facts") if expected else ())):
        table.add_column(name)
    rows = {
        "kfold": ("pooled cross-validation", found["kfold"]["overall"]["auc"]),
        "leave_one_hospital_out": ("leaving a hospital out", found["leave_one_hospital_out"]["overall"]["auc"]),
        "within": ("within hospitals", found["kfold"]["within_sites"]["auc"]),
    }
    for key, (title, auc) in rows.items():
        interval = f"{auc['low']:.3f} to {auc['high']:.3f}"
        beside = (f"{expected[key]:.3f}", f"{FACTS[key]:.3f}") if expected else ()
        table.add_row(title, f"{auc['value']:.3f}", interval, *beside)
    console.print(table)
    if expected:
        near = all(abs(auc["value"] - FACTS[key]) <= NEAR for key, (_, auc) in rows.items())
        console.print(f"All three within {NEAR} of the facts: {'yes' if near else 'no'}")


def pooled(patients: pd.DataFrame) -> dict[str, float]:
    """The same three AUCs by scikit-learn on one table; folds are its own."""
    for column, (low, high) in RANGES.items():
        patients = patients[~((patients[column] < low) | (patients[column] > high))]
    rows = patients[patients["mvi"].notna()]
    x, y, centre = rows[CLINICAL].to_numpy(), rows["mvi"].to_numpy(), rows["centre"].to_numpy()
    model = make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(C=1.0, tol=1e-9, max_iter=1000))
    folds = StratifiedKFold(5, shuffle=True, random_state=1)
    held_out = cross_val_predict(model, x, y, cv=folds, method="predict_proba")[:, 1]
    left_out = np.zeros(len(y))
    for name in np.unique(centre):
        here = centre == name
        left_out[here] = model.fit(x[~here], y[~here]).predict_proba(x[here])[:, 1]
    return {
        "kfold": float(roc_auc_score(y, held_out)),
        "leave_one_hospital_out": float(roc_auc_score(y, left_out)),
        "within": _within(held_out, y, centre),
    }


def _within(score: np.ndarray, outcome: np.ndarray, centre: np.ndarray) -> float:
    """Won pairs of patients of one centre, over all such pairs."""
    won, pairs = 0.0, 0
    for name in np.unique(centre):
        here = centre == name
        ill, well = score[here & (outcome == 1)][:, None], score[here & (outcome == 0)]
        won += float((ill > well).sum() + 0.5 * (ill == well).sum())
        pairs += ill.size * well.size
    return won / pairs


def score_the_others(console: Console, model: ReleasedModel, sites: Path, patients: pd.DataFrame) -> None:
    """Newcomers: every centre that took no part applies model.json to its own folder."""
    outcome = patients.set_index("pid")["mvi"].dropna()
    scores, truth, centres = list[float](), list[float](), list[str]()
    for name, folder in find_hospitals(sites).items():
        site = open_site(folder)
        cohort, _ = read_patients(site, model)
        scored = score_patients(site, model, cohort, frozenset(cohort.ids))
        known = [(p, s) for p, s in zip(scored.ids, scored.columns["probability"], strict=True) if p in outcome]
        scores += [float(score) for _, score in known]
        truth += [float(outcome[patient]) for patient, _ in known]
        centres += [name] * len(known)
    score, known_outcome, centre = np.array(scores), np.array(truth), np.array(centres)
    overall, within = roc_auc_score(known_outcome, score), _within(score, known_outcome, centre)
    console.print(
        f"Frozen model on {len(score)} patients of {len(np.unique(centre))} centres that did not train: AUC "
        f"{overall:.3f} over all, {within:.3f} within centres"
    )


if __name__ == "__main__":
    typer.run(main)
