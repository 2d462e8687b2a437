"""What a hospital's gate refuses, as the coordinator says it: the hospital sends a code, the sentence stands here."""

from collections.abc import Mapping
from types import MappingProxyType

from common.errors import Code
from common.query import LEAVE_OUT
from common.splits import FINAL
from common.whole_hospitals import EXTERNAL, LEAVE_GROUP

NEWCOMER = "it can still use the finished model: hepafed site harmonise"

SENTENCES: Mapping[Code, str] = MappingProxyType(
    {
        Code.TOO_FEW_PATIENTS: "its cohort is smaller than the smallest allowed, or a weighted sum rests on too few of "
        f"its patients (then raise the model's penalty, or name fewer predictors); {NEWCOMER}",
        Code.NOT_APPROVED: "the hospital has not approved this study: hepafed site approve, there",
        Code.ALTERED: "the study file differs from the one of this name that the hospital approved",
        Code.EXPIRED: "the hospital's approval, or the ethics vote it rests on, has expired",
        Code.REVOKED: "the hospital has revoked its approval",
        Code.OTHER_ROSTER: "the hospitals are not those that the hospital approved, or too few of them",
        Code.NUMBERS_NOT_SIGNED: "the hospitals' numbers of patients are missing, or not signed with approved keys",
        Code.NOT_ALLOWED: "the hospital's policy does not allow this query",
        Code.FEW_IN_ROW_SET: "too few patients in {where}",
        Code.FEW_OF_A_CLASS: "fewer than five patients with the outcome, or without it, in {where}: take fewer folds",
        Code.MANY_ROW_SETS: "folds and repeats are more than a third of the patients: take fewer",
        Code.TOO_WIDE: "too many columns for the patients in {where}: name fewer predictors",
        Code.FEW_FOR_SINGLE: f"it has too few patients for sums that could be told to be its own; {NEWCOMER}",
        Code.SMALL_CELL: "fewer patients of the hospital than its smallest cell would stand in a sum of their own",
        Code.CLOSE_EDGES: "the edges of bins are too many, or so close that they could isolate a patient",
        Code.MANY_QUERIES: "more questions than the study needs",
        Code.NEARLY_ASKED: "the question differs by a hair from others that were answered",
        Code.SECOND_VIEW: "a second version of a step that is fitted once in a study",
        Code.SUSPENDED: "a patient has withdrawn since the study began; it goes on as a new version",
        Code.NOT_MASKED: "it was asked for sums without masks, and its policy does not allow that",
        Code.BUDGET_SPENT: "the privacy budget of the study, or of the hospital's patients, is spent",
        Code.SECURE_SUM: "a key, a share or a round of the secure sum is not as agreed: the hospital's log says which",
        Code.LITTLE_WORK: "its gate asks for an epoch or ten local steps between answers: raise network.local_steps",
        Code.EXPLODED: "training diverged there and it sent nothing: lower network.learning_rate, or set clip_gradient",
        Code.LONE_SECOND: "too few hospitals know the second outcome: take network.also out, or leave no hospital out",
        Code.LONE_IMAGES: "too few hospitals have images: take them out of the study, or leave no hospital out",
        Code.SEALED: "its patients are sealed, and another model was judged on them before",
        Code.NEARLY_SAME_COHORT: "its cohort differs by a few patients from another study's: wait for more changes",
    }
)

ALIKE = frozenset(
    {
        Code.FEW_IN_ROW_SET,
        Code.FEW_OF_A_CLASS,
        Code.TOO_WIDE,
        Code.MANY_ROW_SETS,
        Code.SECOND_VIEW,
        Code.MANY_QUERIES,
        Code.NEARLY_ASKED,
        Code.LITTLE_WORK,
        Code.EXPLODED,
        Code.LONE_SECOND,
        Code.LONE_IMAGES,
    }
)
"""Rules that follow from what everybody knows: without one hospital the others would refuse as well."""


def in_words(code: Code, split: str | None = None) -> str:
    """What a refusal or an error means; the code itself where there is no sentence."""
    sentence = SENTENCES.get(code)
    if sentence is None:
        return code.value
    return f"refused: {sentence.format(where=_place(split))}"


def _place(split: str | None) -> str:
    """A split as a person says it."""
    if split is None:
        return "some row set"
    if split == FINAL:
        return "all training rows"
    if split == EXTERNAL:
        return "the external hospitals"
    if split.startswith(LEAVE_GROUP):
        return f"the group {split.removeprefix(LEAVE_GROUP)}, or what is left without it"
    if split.startswith(LEAVE_OUT):
        return f"what is left without {split.removeprefix(LEAVE_OUT)}"
    _, _, numbers = split.partition("/")
    repeat, _, fold = numbers.partition("/")
    if not repeat.isdecimal() or not fold.isdecimal():
        return split
    return f"fold {int(fold) + 1}" + (f" of repeat {int(repeat) + 1}" if int(repeat) else "")
