"""Two survival models of a run, judged on the same patients: the difference of their C within hospitals.

ΔC = Σ (won_b − won_a) / Σ pairs over hospitals, each over its own pairs; its error is
√(Σ_h Σᵢ (Aᵢᵇ − Aᵢᵃ − Δ_h Bᵢ)²) / Σ pairs, Aᵢ and Bᵢ being patient i's own concordant and all pairs, Δ_h the hospital's
difference (Hájek's projection, as in client/concordance.py; compare Kang 2015, doi:10.1002/sim.6370). Exact. Nested,
unpenalised models are compared by their partial likelihoods as well (server/evaluation/comparison.py).
Rounds: 1 for all pairs. What leaves: four numbers a pair, as masked totals. Mirrored by
client/queries/survival_comparison.py.
"""

from collections.abc import Sequence

from server.evaluation.comparison import Pair, Tested, difference_within
from server.federation import Federation


def compare_concordance(federation: Federation, view: str, pairs: Sequence[Pair]) -> dict[Pair, Tested]:
    """How much larger the second label's C within hospitals is; both of a pair are of one scheme."""
    if not pairs:
        return {}
    labels = sorted({label for pair in pairs for label in pair})
    asked = {"schemes": labels, "pairs": [[labels.index(a), labels.index(b)] for a, b in pairs]}
    within = federation.ask("paired_concordance", view=view, rows="held_out", parameters=asked).sums["within"]
    return {pair: difference_within(sums) for pair, sums in zip(pairs, within, strict=True)}
