"""Stability of features: repeated measurements held against each other. Mirrored by server/methods/stability.py."""

from collections.abc import Mapping, Sequence

from client.queries.registry import ColumnNumbers, Parameters, query
from client.retest import FEWEST_PAIRS
from client.rows import Rows
from client.stability import repeated
from common.errors import Code, HospitalError
from common.query import Answer
from common.whole_hospitals import trains
from harmonization.arrays import Sums
from harmonization.intraclass import intraclass_sums


class Counted(Parameters):
    """Nothing: the view names the features."""


class Summed(Parameters):
    """The features' column numbers in the view, by what they were measured again for."""

    perturbations: ColumnNumbers = ()
    readers: ColumnNumbers = ()


@query(
    "stability_counts",
    Counted,
    leaves="For each image feature: whether this hospital has ten patients or more with repeated measurements of it, "
    "in perturbed images and by a second reader.",
)
def stability_counts(rows: Rows, _: Counted) -> Answer:
    """How many hospitals could tell of each feature; zeros where a study does not ask for one of the two."""
    return Answer(sums={f"{kind}_hospitals": sums["hospitals"] for kind, sums in _sums(rows, {}).items()})


@query(
    "stability_sums",
    Summed,
    leaves="For each feature that ten patients or more have in repeated measurements: their number, the sum of squares "
    "of patients' means about this hospital's own mean, and of measurements about their patient's mean. Below ten: "
    "zeros.",
)
def stability_sums(rows: Rows, asked: Summed) -> Answer:
    """What ICC(1,1) is made of."""
    chosen = {"perturbations": asked.perturbations, "readers": asked.readers}
    sums = _sums(rows, chosen)
    return Answer(sums={f"{kind}_{key}": value for kind, own in sums.items() for key, value in own.items()})


def _sums(rows: Rows, chosen: Mapping[str, Sequence[int]]) -> dict[str, Sums]:
    """Sums by kind, over all features of the view or the chosen ones."""
    found = repeated(rows.site, rows.study, rows.cohort)
    if found is None:
        raise HospitalError(Code.BAD_PARAMETERS, "the study measures nobody again (features.stability)")
    columns, taken = _columns(rows), len(rows.cohort.ids) if trains(rows.study, rows.site.name) else 0
    return {
        kind: intraclass_sums(
            measured[:taken, :, [columns[j] for j in chosen.get(kind, range(len(columns)))]], FEWEST_PAIRS
        )
        for kind, measured in found.measured.items()
    }


def _columns(rows: Rows) -> list[int]:
    """Where the features that the view names stand in the cohort."""
    chain = rows.views.chain(rows.query.view) if rows.query.view else []
    names = [str(name) for name in chain[0].parameters["columns"]] if len(chain) == 1 else []
    place = {name: j for j, name in enumerate(rows.cohort.feature_names)}
    if not names or any(name not in place for name in names):
        raise HospitalError(
            Code.BAD_PARAMETERS, "stability is asked of image features, by a view of their columns"
        )
    return [place[name] for name in names]
