"""The report's tables on how hospitals and subgroups differ, and what only a simulation can say."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from common.splits import APPARENT, Label
from server.report import words
from server.report.numerals import NOT_ESTIMABLE, estimate_or_words, fixed, interval, limits

TOO_FEW = "too few"
FEW_HOSPITALS = 10


@dataclass(frozen=True)
class Spread:
    """How hospitals' own AUCs differ in one scheme."""

    title: str
    hospitals: int
    mean: str
    i_squared: str
    tau: str
    predicted: str
    left_out: str


@dataclass(frozen=True)
class Drawn:
    """One scheme's interval for patients like these (DeLong) and for hospitals like these."""

    title: str
    overall: tuple[str, str]
    within: tuple[str, str]


@dataclass(frozen=True)
class Subgroup:
    """One subgroup and scheme."""

    column: str
    name: str
    scheme: str
    patients: int
    events: str
    auc: str
    observed_to_expected: str
    brier: str


@dataclass(frozen=True)
class Simulated:
    """One hospital, or all: three models' AUCs."""

    name: str
    federated: str
    pooled: str
    alone: str


@dataclass(frozen=True)
class Between:
    """Everything of this part of the report."""

    name_alone: str
    spreads: tuple[Spread, ...]
    drawn: tuple[Drawn, ...]
    replicates: int
    few_hospitals: bool
    subgroups: tuple[Subgroup, ...]
    simulated: tuple[Simulated, ...]
    penalty_alone: str
    survival: bool


def between(results: Mapping[str, Any]) -> Between:
    """The tables; empty where the study has none."""
    survival, simulated = results.get("survival"), results.get("simulation_only")
    drawn = survival["bootstrap"] if survival else results.get("bootstrap")
    return Between(
        name_alone=name_alone(results),
        spreads=tuple(_spreads(results)),
        drawn=tuple(_drawn(results, drawn["concordance" if survival else "auc"])) if drawn else (),
        replicates=drawn["replicates"] if drawn else 0,
        few_hospitals=sum(site["in_final_roster"] for site in results["sites"].values()) < FEW_HOSPITALS,
        subgroups=tuple(_subgroups(results)),
        simulated=tuple(_simulated(results, simulated)) if simulated else (),
        penalty_alone=simulated["penalty"] if simulated else "",
        survival=bool(survival),
    )


def name_alone(results: Mapping[str, Any]) -> str:
    """The AUC of the hospital's name alone, in a sentence; empty for results without it."""
    if "hospital_name" not in results or results.get("horizon"):  # whose events are not known everywhere alike
        return ""
    found = results["hospital_name"]
    if found is None:
        return "that is not known: too many hospitals' numbers with the outcome are suppressed."
    return (
        f"of {_name(found, 3)}. If the outcome fell to patients by lot, it would be {fixed(found['by_chance'])} on "
        f"average, and below {fixed(found['by_chance_high'])} in 95 of 100 cases."
    )


def name_in_brief(results: Mapping[str, Any]) -> str:
    """The same beside the AUC within hospitals; empty where it is not known."""
    found = results.get("hospital_name")
    return "" if found is None else f" For comparison, the hospital's name alone has an AUC of {_name(found, 2)}."


def _name(found: Mapping[str, float], digits: int) -> str:
    low, high = fixed(found["low"], digits), fixed(found["high"], digits)
    return low if found["low"] == found["high"] else f"{low} or more, up to {high}"


def hospital_effects(results: Mapping[str, Any]) -> list[str]:
    """Remarks on schemes whose overall AUC tells hospitals apart and not patients."""
    said = []
    for label, found in results["performance"].items():
        overall, within = found["overall"]["auc"], found["within_sites"]["auc"]
        if label == APPARENT or overall["value"] is None or within["value"] is None:
            continue
        if overall["low"] > 0.5 and within["low"] <= 0.5 <= within["high"]:
            said.append(
                f"{words.scheme(label)[0]}: the overall AUC is a hospital effect. Over all patients it is "
                f"{interval(overall, 2)}, but within hospitals {interval(within, 2)}, which holds 0.5: the model tells "
                "hospitals with many such patients from hospitals with few, and nothing is shown to tell one "
                "patient of a hospital from another. Do not report the overall AUC as the model's."
            )
    return said


def _spreads(results: Mapping[str, Any]) -> Iterator[Spread]:
    for label, found in results.get("heterogeneity", {}).items():
        if found is not None:
            yield Spread(
                title=title(label),
                hospitals=found["hospitals"],
                mean=f"{fixed(found['mean'])} ({limits(found['low'], found['high'])})",
                i_squared=f"{100 * found['i_squared']:.0f} %",
                tau=fixed(found["tau"], 2),
                predicted=limits(found["predicted_low"], found["predicted_high"]),
                left_out=", ".join(found["left_out"]),
            )


def _drawn(results: Mapping[str, Any], drawn: Mapping[str, Any]) -> Iterator[Drawn]:
    survival = results.get("survival")
    performance = survival["performance"][""] if survival else results["performance"]
    for label, found in drawn.items():
        patients = performance.get(label)
        overall, within = (
            (
                _limits(patients[key]["concordance" if survival else "auc"]) if patients else "–",
                _limits(found[key]),
            )
            for key in ("overall", "within_sites")
        )
        yield Drawn(title(label), overall, within)


def _limits(estimate: Mapping[str, float | None]) -> str:
    return limits(estimate["low"], estimate["high"]) if estimate["value"] is not None else NOT_ESTIMABLE


def _subgroups(results: Mapping[str, Any]) -> Iterator[Subgroup]:
    survival = results.get("survival")
    for column in survival["subgroups"] if survival else results.get("subgroups", []):
        for group in column["groups"]:
            events = "suppressed" if group["events"] is None else str(group["events"])
            head = column["label"], group["name"]
            for label, found in group["found"].items():
                yield Subgroup(
                    *head,
                    title(label),
                    group["patients"],
                    events,
                    estimate_or_words(found["concordance" if survival else "auc"], TOO_FEW),
                    fixed(found["observed_to_expected"], 2),
                    fixed(found["brier"]),
                )
            if not group["found"]:
                yield Subgroup(*head, "–", group["patients"], events, TOO_FEW, TOO_FEW, TOO_FEW)


def _simulated(results: Mapping[str, Any], simulated: Mapping[str, Any]) -> Iterator[Simulated]:
    survival = results.get("survival")
    federated = (survival["performance"][""] if survival else results["performance"]).get(words.KFOLD)
    if federated is None:
        return
    for name, key in (("All patients", "overall"), ("Within hospitals", "within_sites")):
        yield Simulated(name, _figure(federated[key]), interval(simulated["pooled"][key]), "–")
    for name, own in simulated["by_site"].items():
        figures = federated["by_site"].get(name)
        yield Simulated(
            name, _figure(figures) if figures else "–", interval(own["pooled"]), interval(own["alone"])
        )


def _figure(figures: Mapping[str, Any]) -> str:
    """An AUC, or a C-index."""
    return interval(figures["auc"] if "auc" in figures else figures["concordance"])


def title(label: str) -> str:
    """What a scheme is called, with the model and the class where there are several."""
    read = Label.read(label)
    more = [part for part in (read.model, read.level) if part]
    return words.scheme(read.scheme)[0] + (f" ({', '.join(more)})" if more else "")
