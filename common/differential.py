"""The section `privacy.differential` of study.yaml: every total of the study carries noise, so that it hardly depends
on any one patient.

What a patient can add to a total must be bounded before anybody looks at the data, so a private study has public bounds
for every predictor (the `range` of a clinical column, `bounds` for features), and takes no step that moves all
patients of a hospital by what one of them has: no harmonisation, no imputation from the data, no tuning.
"""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from math import log, log10, sqrt
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from common.strict_yaml import Place
from common.variables import NUMERIC, Strict, Variable

if TYPE_CHECKING:
    from common.networks.settings import Network
    from common.study import Study

ALONE = (
    "study", "title", "description", "outcome", "cohort", "variables", "predictors", "features", "model", "validation",
    "privacy", "lost_hospital", "imputation", "harmonisation", "seed",
)  # fmt: skip
"""Sections that a private study may have; `imputation` and `harmonisation` as they are without being named."""
VALIDATION = ("folds", "repeats", "leave_one_hospital_out")
MODEL = ("kind", "penalty", "strength")
NETWORK = (
    "architecture", "hidden", "activation", "normalisation", "rounds", "learning_rate", "schedule", "momentum",
    "weight_decay", "precision", "device", "strategy",
)  # fmt: skip
"""What the section `network` of a private study may say: one step a round over all patients, nothing else of theirs."""
_TRANSFORMS = {"none": lambda x: x, "log10": log10, "log": log, "sqrt": sqrt}


class Differential(Strict):
    """(ε, δ) differential privacy of one patient, for everything that the study's totals say."""

    epsilon: float = Field(gt=0, le=20, description="ε: 1 is strong, 4 is weak; what a patient's data may change")
    delta: float = Field(
        1e-5, gt=0, le=1e-3, description="δ: the chance that ε does not hold; below 1 / number of patients"
    )
    clip: float | None = Field(
        None,
        gt=0,
        le=1000,
        description="longest row (1, standardised values) of a patient in the fit; default ⅔·√(1 + columns); of a "
        "network, the longest gradient: default 1",
    )
    iterations: int = Field(
        5,
        ge=1,
        le=20,
        description="gradient steps; each takes its share of the budget; a network's: network.rounds",
    )
    bounds: dict[Annotated[str, Field(min_length=1)], tuple[float, float]] = Field(
        {}, description="lowest and highest value of feature columns (names or patterns); values beyond are cut"
    )
    force: bool = Field(False, description="run although the noise makes the study pointless")

    @model_validator(mode="after")
    def _rising(self) -> "Differential":
        for name, (low, high) in self.bounds.items():
            if low >= high:
                raise ValueError(f"bounds of {name} start at {low:g} and end at {high:g}: put the lower first")
        return self

    def bounds_of_feature(self, name: str) -> tuple[float, float] | None:
        """The public bounds of a feature: the first pattern that fits."""
        return next((pair for pattern, pair in self.bounds.items() if fnmatchcase(name, pattern)), None)


def bounds_of_variable(variable: Variable) -> tuple[float, float] | None:
    """The bounds of a clinical column as the model sees it, after its transform; None: the study gives none."""
    if variable.type not in NUMERIC:
        return 0.0, 1.0
    if variable.range is None or (variable.transform in ("log10", "log") and variable.range[0] <= 0):
        return None
    low, high = (_TRANSFORMS[variable.transform](value) for value in variable.range)
    return low, high


def bounds_of_columns(study: "Study", columns: Iterable[str]) -> dict[str, tuple[float, float]]:
    """The public bounds of the design's columns; one that has none is not in it."""
    private = study.privacy.differential
    found: dict[str, tuple[float, float]] = {}
    for column in columns:
        source = column.partition("=")[0]
        if source in study.predictors.clinical:
            pair = bounds_of_variable(study.variable(source))
        else:
            pair = private.bounds_of_feature(column) if private is not None else None
        if pair is not None:
            found[column] = pair
    return found


def misfits_of(study: "Study") -> Iterator[tuple[Place, str]]:
    """What a study with differential privacy may not ask for, each with its cure."""
    if study.privacy.differential is None:
        return
    if study.outcome.kind != "binary":
        said = f"{study.outcome.kind}: differential privacy is there for binary outcomes; "
        if study.outcome.kind == "survival":
            said += (
                "a Cox loss compares patients with each other, so that one patient moves the gradients of many: "
            )
        yield ("outcome", "kind"), said + "choose a binary outcome, or take out privacy.differential"
    if study.model.kind == "network" and study.network is not None:
        yield from _of_a_network(study, study.network)
    elif study.model.kind != "logistic" or study.model.penalty not in ("none", "ridge"):
        yield (
            ("model",),
            "differential privacy is there for kind: logistic with penalty: none or ridge, and network",
        )
    if not isinstance(study.model.strength, int | float):
        yield ("model", "strength"), "tuning would spend the privacy budget many times: give a number, e.g. 1.0"
    if study.harmonisation.method != "none":
        yield ("harmonisation", "method"), "one patient would move all patients of its hospital: write none"
    if study.imputation.model_fields_set & {"method", "indicator"}:
        yield ("imputation",), "gaps are filled with the middle of the public bounds: take the section out"
    if study.validation.leave_one_hospital_out:
        said = "every hospital left out spends the budget once more: write false, and judge by folds"
        yield ("validation", "leave_one_hospital_out"), said
    if study.features is not None and (study.features.stability is not None or study.features.to_be_learnt()):
        yield ("features",), "what is learnt from images or repeated measurements has no noise: take it out"
    if not study.privacy.secure_sum:
        yield ("privacy", "secure_sum"), "the hospitals share the noise through masked sums: write true"
    alone = (*ALONE, "network") if study.model.kind == "network" else ALONE
    others: list[Place] = [(name,) for name in study.model_fields_set if name not in alone]
    others += [("validation", name) for name in study.validation.model_fields_set if name not in VALIDATION]
    others += [("model", name) for name in study.model.model_fields_set if name not in MODEL]
    for place in others:
        yield place, "not together with privacy.differential: its totals carry no noise; take it out"
    for name in study.predictors.clinical:
        if bounds_of_variable(study.variable(name)) is None:
            yield ("variables", name), "differential privacy needs public bounds: give its range (log: above 0)"
    for name in study.predictors.named():
        if study.privacy.differential.bounds_of_feature(name) is None:
            yield ("privacy", "differential", "bounds"), f"{name} has none: give [lowest, highest]"
    if study.predictors.radiomics and not study.privacy.differential.bounds:
        yield ("privacy", "differential", "bounds"), "features need public bounds, e.g. '*': [-5, 5]"


def _of_a_network(study: "Study", network: "Network") -> Iterator[tuple[Place, str]]:
    """What a network trained with differential privacy may not ask for."""
    private = study.privacy.differential
    if network.normalisation == "batch" or network.strategy == "fedbn":
        yield ("network", "normalisation"), "batch normalisation mixes patients: write layer, and strategy: fedavg"
    elif network.strategy != "fedavg":
        said = f"{network.strategy} trains within hospitals; here noisy steps are joined: write fedavg"
        yield ("network", "strategy"), said
    if network.sees_images:
        yield ("network", "architecture"), "differential privacy is there for networks on columns: write mlp"
    if network.precision == "mixed":
        said = "a gradient a patient has no layers in bfloat16: write single"
        yield ("network", "precision"), said
    for name in sorted(network.model_fields_set - set(NETWORK)):
        said = "each round is one step over all patients, with noise: take it out"
        yield ("network", name), f"not together with privacy.differential: {said}"
    if private is not None and "iterations" in private.model_fields_set:
        yield ("privacy", "differential", "iterations"), "network.rounds says how many steps: take it out"
