"""Splits that keep a hospital whole: groups of hospitals left out together, and hospitals sealed from all training.

A group holds three hospitals or more, so that the total without it and the total with it differ by a total over three
(masked total), never by one hospital. An external hospital is in no training rows at all: the split `external` trains
on what `final` trains on and holds the external hospitals out, so that its model is the released one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from common.query import FEWEST_HOSPITALS

if TYPE_CHECKING:
    from common.study import Study

EXTERNAL = "external"
LEAVE_GROUP = "leave_group_out/"
LEAVE_GROUP_OUT = LEAVE_GROUP.rstrip("/")


@dataclass(frozen=True)
class Whole:
    """Whether all of a hospital's patients are trained on, and whether all are held out; perhaps neither."""

    trains: bool
    held_out: bool


def splits_of_whole_hospitals(study: "Study") -> tuple[str, ...]:
    """The study's splits that leave groups out, and the one that judges external hospitals."""
    groups = (f"{LEAVE_GROUP}{group}" for group in sorted(study.validation.leave_groups_out))
    return (*groups, EXTERNAL) if study.validation.external else (*groups,)


def whole(study: "Study", split: str, hospital: str) -> Whole | None:
    """How a split takes a hospital as a whole; None where it does not: folds decide then."""
    if hospital in study.validation.external:
        return Whole(trains=False, held_out=split == EXTERNAL)
    if split == EXTERNAL:
        return Whole(trains=True, held_out=False)
    if split.startswith(LEAVE_GROUP):
        group = study.validation.leave_groups_out.get(split.removeprefix(LEAVE_GROUP), [])
        return Whole(trains=hospital not in group, held_out=hospital in group)
    return None


def trains(study: "Study", hospital: str) -> bool:
    """Whether a hospital's patients may be trained on at all."""
    return hospital not in study.validation.external


def is_judged(study: "Study", scheme: str, hospital: str) -> bool:
    """Whether a scheme judges a hospital's patients: `external` those that are, every other one the rest."""
    return (scheme == EXTERNAL) is not trains(study, hospital)


def asks_figures_alone(study: "Study") -> bool:
    """Whether external hospitals are too few for a total, so that they are asked for figures in clear alone."""
    return bool(study.validation.external) and not external_is_a_total(study)


def external_is_a_total(study: "Study") -> bool:
    """Whether sums over the external hospitals are a total over three or more; else they say figures in clear alone."""
    return len(study.validation.external) >= FEWEST_HOSPITALS


def misplaced_names(groups: Mapping[str, list[str]], external: list[str]) -> str:
    """Why groups and external hospitals do not fit each other, whoever takes part; empty where they do."""
    named = [name for group in groups.values() for name in group]
    for name in sorted({name for name in named if named.count(name) > 1}):
        return f"leave_groups_out: {name} stands in two groups, or twice in one: keep it once"
    for group, hospitals in groups.items():
        if len(hospitals) < FEWEST_HOSPITALS:
            return (
                f"leave_groups_out: {group} has {len(hospitals)} hospitals; with fewer than {FEWEST_HOSPITALS} its "
                "total would tell on one of them: join groups, or take leave_one_hospital_out"
            )
    if len(groups) == 1:
        return (
            "leave_groups_out: one group leaves nothing to judge its hospitals' model against: give two and more"
        )
    if len(set(external)) != len(external):
        return "external: a hospital stands there twice: keep it once"
    for name in sorted(set(named) & set(external)):
        return f"external: {name} is in a group of leave_groups_out too: a sealed hospital is in none"
    return ""


def misplaced(study: "Study", roster: Iterable[str]) -> list[str]:
    """Why a study's groups and external hospitals do not fit those that are there, in words; none where they do."""
    there, said = set(roster), []
    checks = study.validation
    absent = [name for name in checks.external if name not in there]
    if absent:
        said.append(f"validation.external: {', '.join(absent)} cannot take part: take it out, or mend it there")
    training = there - set(checks.external)
    if checks.external and len(training) < FEWEST_HOSPITALS:
        said.append(
            f"validation.external: {len(training)} hospitals are left to train on, {FEWEST_HOSPITALS} are needed: "
            "name fewer external ones"
        )
    grouped = {name for group in checks.leave_groups_out.values() for name in group}
    if checks.leave_groups_out and (loose := sorted(training - grouped)):
        said.append(f"validation.leave_groups_out: {', '.join(loose)} is in no group: put every hospital into one")
    for group, named in checks.leave_groups_out.items():
        inside = [name for name in named if name in training]
        if len(inside) < FEWEST_HOSPITALS or len(training) - len(inside) < FEWEST_HOSPITALS:
            said.append(
                f"validation.leave_groups_out: {len(inside)} of the hospitals of {group} are there, and "
                f"{len(training) - len(inside)} others; {FEWEST_HOSPITALS} of each are needed, or a total would be "
                "a hospital's own: make the groups larger"
            )
    return said
