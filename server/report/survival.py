"""The report's section on survival: tables of concordance, horizons, risk groups, and the baseline."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp
from typing import Any

from markupsafe import Markup

from common.splits import LEAVE_ONE_HOSPITAL_OUT
from server.report import words
from server.report.numerals import NOT_ESTIMABLE, estimate_or_words, fixed, limits, significant, whole
from server.report.performance import ORDER, Headline
from server.report.survival_figures import draw_calibration_at, draw_cohort, draw_groups

_SHOWN_P = 0.001
FIRST = ""
"""The study's first model."""


@dataclass(frozen=True)
class Order:
    """One scheme's concordance."""

    title: str
    meaning: str
    repeats: int
    patients: str
    events: str
    within: str
    overall: str
    certified: str
    uno: str


@dataclass(frozen=True)
class Horizon:
    """One scheme at one horizon."""

    title: str
    month: str
    events: str
    followed: str
    auc: str
    within: str
    brier: str
    reference: str
    observed: str
    expected: str


@dataclass(frozen=True)
class Separation:
    """One scheme's risk groups."""

    title: str
    sizes: str
    events: str
    within: str
    overall: str


@dataclass(frozen=True)
class Section:
    """What the report says of survival."""

    cohort: Markup
    followed: str
    event_free: str
    competing: bool
    order: tuple[Order, ...]
    horizons: tuple[Horizon, ...]
    groups: tuple[Separation, ...]
    groups_of: str
    groups_figure: Markup | None
    calibration: Markup | None
    calibration_month: str
    by_hospital: tuple[tuple[str, str, tuple[str, ...]], ...]
    titles: tuple[str, ...]
    baseline: tuple[tuple[str, str, str], ...]
    landmark: str
    time_zero: str


def section(results: Mapping[str, Any]) -> Section | None:
    """None for another outcome."""
    found = results.get("survival")
    if found is None:
        return None
    performance, follow_up = found["performance"][FIRST], found["follow_up"]
    names = schemes(results)
    leading = names[0]
    judged = follow_up["horizons_judged"]
    hospitals = sorted({hospital for name in names for hospital in performance[name]["by_site"]})
    last = str(judged[-1]) if judged else ""
    return Section(
        cohort=draw_cohort(follow_up),
        followed=_months(follow_up["median_follow_up_months"]),
        event_free=_months(follow_up["median_event_free_months"]),
        competing=follow_up["cumulative_incidence"] is not None,
        order=tuple(_order(name, performance[name]) for name in names),
        horizons=tuple(_horizon(n, m, at) for n in names for m, at in performance[n]["horizons"].items()),
        groups=tuple(_separation(name, performance[name]["risk_groups"]) for name in names),
        groups_of=words.scheme(leading)[0].lower(),
        groups_figure=draw_groups(performance[leading]["risk_groups"]),
        calibration=draw_calibration_at(performance, names, last) if last else None,
        calibration_month=last,
        by_hospital=tuple(_hospital(name, results, performance, names) for name in hospitals),
        titles=tuple(words.scheme(name)[0] for name in names),
        baseline=tuple(
            (month, significant(hazard), fixed(1 - exp(-hazard)))
            for month, hazard in found["baseline"][FIRST].items()
        ),
        landmark=f"{found['settings']['landmark_days']:g}" if found["settings"]["landmark_days"] else "",
        time_zero=found["settings"]["time_zero"] or "",
    )


def schemes(results: Mapping[str, Any]) -> list[str]:
    """The schemes that the study used: held-out ones first."""
    found = results["survival"]["performance"][FIRST]
    return [s for s in ORDER if s in found] + [s for s in found if s not in ORDER]


def headlines(results: Mapping[str, Any]) -> list[Headline]:
    """C within hospitals first, then for new patients and for a new hospital."""
    found, names = results["survival"]["performance"][FIRST], schemes(results)
    leading = words.scheme(names[0])[0].lower()
    return [
        _headline(
            found.get(names[0], {}).get("within_sites", {}).get("concordance"),
            "Patients of one hospital",
            f"C within hospitals, {leading}",
            "Of two patients of one hospital of whom one had the event first, that one has the higher score in so many "
            "of 100 pairs.",
        ),
        *(
            _headline(
                found.get(name, {}).get("overall", {}).get("concordance"),
                title,
                f"C, {words.scheme(name)[0].lower()}",
                "The same for any two patients, each judged by a model fitted without "
                + {words.KFOLD: "that patient.", LEAVE_ONE_HOSPITAL_OUT: "that patient's hospital."}[name],
            )
            for name, title in (
                (words.KFOLD, "New patients, same hospitals"),
                (LEAVE_ONE_HOSPITAL_OUT, "A new hospital"),
            )
        ),
    ]


def _headline(figures: Mapping[str, Any] | None, title: str, scheme: str, meaning: str) -> Headline:
    if figures is None:
        return Headline(title, scheme, "–", "not asked for", "")
    if figures["value"] is None:
        return Headline(title, scheme, NOT_ESTIMABLE, "", "There are too few events to compare.")
    reach = f"95 % interval {limits(figures['low'], figures['high'], 2)}"
    return Headline(title, scheme, fixed(figures["value"], 2), reach, meaning)


def _order(name: str, found: Mapping[str, Any]) -> Order:
    title, meaning = words.scheme(name)
    overall = found["overall"]["concordance"]
    return Order(
        title=title,
        meaning=meaning,
        repeats=found["repeats"],
        patients=whole(found["patients"]),
        events=whole(found["events"]),
        within=estimate_or_words(found["within_sites"]["concordance"], NOT_ESTIMABLE),
        overall=estimate_or_words(overall, NOT_ESTIMABLE),
        certified=limits(overall["certified_low"], overall["certified_high"], 2),
        uno=estimate_or_words(found["overall"]["uno"], NOT_ESTIMABLE),
    )


def _horizon(name: str, month: str, at: Mapping[str, Any]) -> Horizon:
    return Horizon(
        title=words.short(name),
        month=month,
        events=whole(at["events"]),
        followed=whole(at["followed"]),
        auc=estimate_or_words(at["auc"], NOT_ESTIMABLE),
        within=fixed(at["auc_within_sites"]),
        brier=fixed(at["brier"]),
        reference=fixed(at["brier_reference"]),
        observed=fixed(at["observed"]),
        expected=fixed(at["expected"]),
    )


def _separation(name: str, groups: Mapping[str, Any]) -> Separation:
    return Separation(
        title=words.scheme(name)[0],
        sizes=" / ".join(whole(n) for n in groups["patients"]),
        events=" / ".join(whole(n) for n in groups["events"]),
        within=_test(groups["log_rank_within_sites"]),
        overall=_test(groups["log_rank_overall"]),
    )


def _test(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return NOT_ESTIMABLE
    p = f"p < {_SHOWN_P}" if found["p"] < _SHOWN_P else f"p = {fixed(found['p'])}"
    return f"χ² = {significant(found['statistic'])}, {p}"


def _hospital(
    name: str, results: Mapping[str, Any], performance: Mapping[str, Any], names: list[str]
) -> tuple[str, str, tuple[str, ...]]:
    days = results["survival"]["follow_up"]["median_follow_up_days_by_site"].get(name)
    own = [performance[scheme]["by_site"].get(name) for scheme in names]
    cells = tuple("–" if o is None else estimate_or_words(o["concordance"], "not estimable*") for o in own)
    return name, "–" if days is None else f"{days:g}", cells


def _months(value: float | None) -> str:
    return "not reached" if value is None else f"{significant(value)} months"
