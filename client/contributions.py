"""What this hospital can add to totals to which some hospitals alone can: said, signed, at the roll call.

A total of repeated measurements, or of where a network looks, may be one hospital's own. So each says beforehand
whether it has any, and hospitals refuse what fewer than three have (client/gate_rules/lone_contributors.py).
"""

import numpy as np

from client.retest import FEWEST_PAIRS, pairs_in
from client.rows import Rows
from client.stability import repeated
from common.query import SMALLEST_CELL, Contribution
from common.whole_hospitals import trains


def contributions(rows: Rows) -> tuple[Contribution, ...]:
    """Ten patients measured again, of every kind that the study asks for; five patients with an image."""
    if not trains(rows.study, rows.site.name):
        return ()
    found: list[Contribution] = ["retest"] if rows.study.harmonisation.method != "none" and pairs_in(rows) else []
    again = repeated(rows.site, rows.study, rows.cohort)
    for kind, measured in again.measured.items() if again else ():
        in_any_feature = (~np.isnan(measured)).all(axis=1).any(axis=1)
        if in_any_feature.sum() >= FEWEST_PAIRS:
            found.append(kind)
    if sum(patch is not None for patch in rows.cohort.patches) >= SMALLEST_CELL:
        found.append("images")
    return tuple(found)
