"""What stays: the hospital writes its own patients' results into its own folder, and nothing leaves."""

from collections.abc import Iterable

import numpy as np

from client.harmonised_table import harmonised_features, harmonised_lines
from client.own_copies import noted_as_copies_of
from client.own_files import write_csv
from client.own_scores import Recalibrated, radiomics_score, recalibrations, write_recalibrations
from client.queries.registry import Parameters, query
from client.rows import Rows
from common.query import LEAVE_OUT, Answer
from common.splits import FINAL, Label

HARMONISING = ("combat", "levels", "covbat")
"""The steps of a view that harmonise."""


class OwnCopy(Parameters):
    """The schemes whose predictions are written, and the view of the harmonised features if there is one."""

    schemes: tuple[str, ...]
    harmonised: str | None = None


@query(
    "own_copy",
    OwnCopy,
    leaves="Nothing: predictions.csv, recalibration.json, worth_joining.md and .json, harmonised.csv, "
    "harmonisation.svg and, for networks on images, attention/ID.png are written into the hospital's own folder.",
)
def own_copy(rows: Rows, parameters: OwnCopy) -> Answer:
    """Write predictions, recalibration, worth_joining; harmonised features and figure; pictures of attention."""
    rows.site.own_folder.mkdir(parents=True, exist_ok=True)
    with noted_as_copies_of(rows.site.own_folder, rows.study):
        _write(rows, parameters)
    return Answer()


def _write(rows: Rows, parameters: OwnCopy) -> None:
    header = ["id", "scheme", "fold", "score", "repeat", "model", "level", "recalibrated", "radiomics_score"]
    own = recalibrations(rows, parameters.schemes)
    write_csv(rows.site.own_folder / "predictions.csv", header, _predictions(rows, parameters.schemes, own))
    write_recalibrations(rows, own)
    _compare_with_own_model(rows, parameters.schemes)
    if parameters.harmonised is not None:
        header = ["id", *harmonised_features(rows.cohort, rows.views, parameters.harmonised)]
        lines = harmonised_lines(rows.cohort, rows.views, parameters.harmonised)
        write_csv(rows.site.own_folder / "harmonised.csv", header, lines)
        _draw_densities(rows, parameters.harmonised)
    _draw_attention(rows)


def _predictions(rows: Rows, labels: Iterable[str], own: dict[str, Recalibrated]) -> Iterable[list[object]]:
    """One line a patient and label: by the model that did not see the patient, the probability; survival: the score."""
    ids = np.array(rows.cohort.ids, dtype=object)
    for text in labels:
        label, survival = Label.read(text), rows.study.outcome.kind == "survival"
        scores, _ = rows.scores(text) if survival else rows.probabilities(text)
        recalibrated = own[text].risk(rows.scores(text)[0]) if text in own else None
        name, _, repeat = label.scheme.partition("/")
        for split, chosen in rows.held_out_of(label.scheme):
            fold = split.removeprefix(LEAVE_OUT).rpartition("/")[2]
            more = [_texts(of, chosen) for of in (recalibrated, radiomics_score(rows, split, label.model))]
            for patient, score, *others in zip(ids[chosen], scores[chosen], *more, strict=True):
                yield [patient, name, fold, repr(float(score)), repeat or "0", label.model, label.level, *others]


def _texts(values: np.ndarray | None, chosen: np.ndarray) -> list[str]:
    """Numbers as they are written; empty where there are none."""
    return [""] * int(chosen.sum()) if values is None else [repr(float(value)) for value in values[chosen]]


def _compare_with_own_model(rows: Rows, labels: tuple[str, ...]) -> None:
    """Write worth_joining.md and .json."""
    from client.worth_joining import write_worth_joining  # which takes a fit's sums from this room

    write_worth_joining(rows, labels)


def _draw_attention(rows: Rows) -> None:
    """Write attention/ID.png: where the final network looks in each patient's image, where it looks at images."""
    if rows.study.network is None or not rows.study.network.sees_images:
        return
    from client.networks.explaining import explain
    from client.patches.overlay import overlay, write_overlay

    found = explain(rows, FINAL, np.ones(len(rows.cohort.ids), dtype=bool))
    for number, heat in zip(found.numbers, found.heat, strict=True):
        patch = rows.cohort.patches[number]
        assert patch is not None  # those without one are not explained
        picture = overlay(patch, heat)
        write_overlay(rows.site.own_folder / "attention", rows.cohort.ids[number], picture)


def _draw_densities(rows: Rows, view_hash: str) -> None:
    """Write harmonisation.svg: own patients by the final model, on the scale that ComBat worked on."""
    from client.densities import Moved, draw_densities  # matplotlib is slow to load, and needed only here

    cohort, chain = rows.cohort, rows.views.chain(view_hash)
    names = [str(name) for name in chain[-1].parameters["columns"]]
    first = next(view for view in reversed(chain) if view.step in HARMONISING)
    before, after = (rows.views.matrix(str(view), FINAL) for view in (first.parent, view_hash))
    scale = next(view for view in rows.views.chain(str(rows.query.view)) if view.step == "scale")
    standard = rows.views.fitted(scale, FINAL)
    mean, spread = standard.array("centre"), standard.array("spread")
    moved = []
    for column in rows.views.fitted(first, FINAL).numbers("features"):
        known = ~np.isnan(cohort.features[:, cohort.feature_names.index(names[column])])
        known &= np.isfinite(before[:, column]) & np.isfinite(after[:, column])
        if known.any():
            own = before[known, column], after[known, column]
            moved.append(Moved(names[column], *own, mean=float(mean[column]), spread=float(spread[column])))
    draw_densities(moved, rows.site.own_folder / "harmonisation.svg")
