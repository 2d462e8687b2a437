"""Intervals of C for hospitals like these: the hospitals, not the patients, are drawn anew (Bayesian bootstrap).

As server/evaluation/bootstrap.py does for AUCs: C + Σ_h (w_h − 1) S_h with secret weights w_h ~ Exp(1), S_h the
hospital's part in C. Within hospitals S_h = (won_h − C·pairs_h)/Σ pairs, exact. Overall S_h comes from the table of
time by score that `survival_order` asked for: the pairs of which the hospital's patients are the first or the later
one, counted against everybody's table (common/concordance.py). The centre is the figure of `survival_order`.
Round: one. What leaves: one number a draw and figure, as a masked total. Mirrored by
client/queries/survival_bootstrap.py.
"""

from common.study import Study
from server.evaluation.bootstrap import Drawn, drawable, drawn_of
from server.evaluation.survival import Survival
from server.federation import FlowerFederation


def draw_hospitals_for_concordance(
    federation: FlowerFederation, study: Study, view: str, survival: Survival
) -> dict[str, Drawn]:
    """Intervals of every held-out C, the repeats of a k-fold together; none where the study asks for none."""
    judged, table = survival.judged, survival.table
    found = drawable(study, judged)
    places = [list(judged).index(label) for label in found]
    arrays = {"edges": table.edges[places], "events": table.events[places], "exits": table.exits[places]}
    asked = {"months": list(table.months)}
    return drawn_of(federation, study, view, found, "survival_bootstrap", asked, arrays)
