"""Two models' C on the same patients, side by side: mirrored by server/evaluation/survival_comparison.py."""

import numpy as np

from client.concordance import Concordance, harrell
from client.queries.comparison import Pairs
from client.queries.registry import Parameters, Schemes, query
from client.rows import Rows
from common.query import Answer


class PairedConcordance(Parameters):
    """The labels, and which of them are held against each other."""

    schemes: Schemes
    pairs: Pairs


@query(
    "paired_concordance",
    PairedConcordance,
    leaves="For two models: the hospital's part of both within-hospital C and of the error of their difference.",
)
def paired_concordance(rows: Rows, parameters: PairedConcordance) -> Answer:
    """Per pair (a, b): pairs of patients, those won by a and by b, Σᵢ (Aᵢᵇ − Aᵢᵃ − Δ Bᵢ)²."""
    judged = [_plain(rows, label) for label in parameters.schemes]
    within = np.zeros((len(parameters.pairs), 4))
    for k, (a, b) in enumerate(parameters.pairs):
        within[k] = paired(judged[a], judged[b])
    return Answer(sums={"within": within})


def paired(a: Concordance, b: Concordance) -> tuple[float, float, float, float]:
    """Pairs, won by a and by b, and the spread: over pairs², the variance of C_b − C_a (client/concordance.py)."""
    if not a.pairs:
        return 0.0, 0.0, 0.0, 0.0
    own = b.own_won - a.own_won - (b.won - a.won) / a.pairs * a.own_pairs
    return a.pairs, a.won, b.won, float(own @ own)


def _plain(rows: Rows, label: str) -> Concordance:
    score, outcome = rows.scores(label)
    return harrell(outcome[:, 0], outcome[:, 1], score)
