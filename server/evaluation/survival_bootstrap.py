"""Intervals of C for hospitals like these: the hospitals, not the patients, are drawn anew (Bayesian bootstrap).

As server/evaluation/bootstrap.py does for AUCs: C + Σ_h (w_h − 1) S_h with secret weights w_h ~ Exp(1), S_h the
hospital's part in C. Within hospitals S_h = (won_h − C·pairs_h)/Σ pairs, exact. Overall S_h comes from the table of
time by score that `survival_order` asked for: the pairs of which the hospital's patients are the first or the later
one, counted against everybody's table (common/concordance.py). The centre is the figure of `survival_order`.
Round: one. What leaves: one number a draw and figure, as a masked total. Mirrored by
client/queries/survival_bootstrap.py.
"""

import numpy as np

from common.splits import APPARENT, Label
from common.study import Study
from common.whole_hospitals import is_judged
from server.evaluation.bootstrap import Drawn, interval, without_repeat
from server.evaluation.survival import Survival
from server.federation import FlowerFederation


def draw_hospitals_for_concordance(
    federation: FlowerFederation, study: Study, view: str, survival: Survival
) -> dict[str, Drawn]:
    """Intervals of every held-out C, the repeats of a k-fold together; none where the study asks for none."""
    judged, table = survival.judged, survival.table
    labels = [k for k in judged if Label.read(k).scheme != APPARENT and judged[k].overall.value is not None]
    replicates = study.validation.bootstrap
    if not replicates or not labels:
        return {}
    places = [list(judged).index(label) for label in labels]
    names = list(dict.fromkeys(without_repeat(label) for label in labels))
    groups = [names.index(without_repeat(label)) for label in labels]
    within = [(judged[k].within_sites.value or 0.0, judged[k].pairs) for k in labels]
    draws = federation.ask(
        "survival_bootstrap",
        view=view,
        rows="held_out",
        parameters={
            "schemes": labels,
            "groups": groups,
            "replicates": replicates,
            "months": list(table.months),
        },
        arrays={
            "edges": table.edges[places],
            "events": table.events[places],
            "exits": table.exits[places],
            "within": np.array(within),
        },
    ).sums["draws"]
    drawn = {}
    for number, name in enumerate(names):
        hospitals = sum(is_judged(study, Label.read(name).scheme, h) for h in federation.roster)
        repeats = [judged[label] for label, group in zip(labels, groups, strict=True) if group == number]
        drawn[name] = Drawn(
            overall=interval([r.overall.value for r in repeats], draws[number, 0], hospitals),
            within_sites=interval([r.within_sites.value for r in repeats], draws[number, 1], hospitals),
        )
    return drawn
