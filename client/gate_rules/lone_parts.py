"""Where what one or two hospitals alone have would be seen: every total, and every difference of two, over the rest.

Counted over the whole roster three hospitals may be enough, and one of them stand by itself: the others are sealed, or
are left out with their group.
"""

from collections.abc import Collection

from common.query import FEWEST_HOSPITALS
from common.study import Study
from common.whole_hospitals import trains


def lone_part(study: Study, roster: Collection[str], having: Collection[str]) -> str:
    """Among whom too few have it, in words; empty where every total is over enough of them, or over none.

    Parameters
    ----------
    having
        Those of the roster who can add to a total.
    """
    training = {name for name in roster if trains(study, name)}
    there = training & set(having)
    # Where hospitals are left out in turn, one more is needed, as for all sums.
    least = FEWEST_HOSPITALS + study.validation.leave_one_hospital_out
    if len(there) < least:
        return f"{len(there)} of the hospitals that train, of {least} that are needed"
    for group, named in study.validation.leave_groups_out.items():
        for among, hospitals in (
            (f"of the group {group}", there & set(named)),
            (f"outside {group}", there - set(named)),
        ):
            if 0 < len(hospitals) < FEWEST_HOSPITALS:
                return f"{len(hospitals)} hospitals {among}, of none or {FEWEST_HOSPITALS} that are needed"
    return ""
