"""Which image features the model gets to see, chosen in every training set by itself.

Steps: missing share and variation (nothing is asked); a univariate test (server/methods/screening.py); Spearman
redundancy and mRMR among the survivors (server/methods/redundancy.py). All splits are asked about in one message, and a
split's choice rests on the rows that it trains on. With more features than a cross-product may cover (N/3 − 1 columns
of the smallest row set, and of the smallest hospital where hospitals are left out), screening comes first by itself.
Clinical columns are never taken out; they count towards the width. A network is trained without products of columns:
it takes any number, unless redundancy or mRMR compares them. Rounds: none to four. Exactness: see there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.dimension import columns_allowed
from common.outcomes import needed_for_classes
from common.query import LEAVE_OUT
from common.room import Room
from common.selection import Screening, Selection, screening_of
from common.splits import FINAL, INNER
from common.study import Study
from common.whole_hospitals import trains
from server.federation import Federation
from server.methods.pipeline import Prepared, design_columns
from server.methods.redundancy import most_relevant, pearson, spearman, without_the_alike
from server.methods.screening import Screened, screen

EXCHANGES = 4
NAMES = {
    "t": "a t test (F)",
    "mann-whitney": "Mann and Whitney's test",
    "cox": "a Cox model of each feature alone",
}


@dataclass(frozen=True)
class Step:
    """A step, and how many image features every split has left after it."""

    name: str
    left: np.ndarray


@dataclass(frozen=True)
class Selected:
    """Which columns take part in which split (splits × columns), and how it came to that.

    `allowed`: columns that a cross-product may cover, split by split; certificates: how far AUCs and Spearman
    correlations may lie from the pooled ones, None where none was needed; `undecided`: pairs of features whose ρ lies
    so near the threshold in the final rows.
    """

    columns: tuple[str, ...]
    features: np.ndarray
    active: np.ndarray
    steps: tuple[Step, ...]
    allowed: np.ndarray
    screening: Screening | None = None
    screened: Screened | None = None
    auc_certificate: float | None = None
    rho_certificate: float | None = None
    undecided: int = 0
    notes: tuple[str, ...] = ()


def most_columns(study: Study, room: Room, splits: Sequence[str], *, alone: bool = True) -> np.ndarray:
    """How many columns the model may have in every split: q with N ≥ 3(bq + 1), b blocks of second derivatives.

    Parameters
    ----------
    alone
        Whether every hospital must have so many patients by itself, too, where one hospital's own sums can be derived.
    """
    known = needed_for_classes(study.outcome)
    patients = np.array([room.fewest(study, split, True, known) for split in splits])
    if alone:  # what a split holds out is the difference of two totals, and has to be as large
        held_out = [
            total
            if split.startswith(LEAVE_OUT) and INNER not in split
            else room.fewest(study, split, training=False)
            for split, total in zip(splits, patients, strict=True)
        ]
        patients = np.minimum(patients, held_out)
    if alone and any(split.startswith(LEAVE_OUT) for split in splits):
        alone_at = [
            min([seat.patients, *map(seat.without_missing, known)])
            for seat in room.seats
            if trains(study, seat.hospital)
        ]
        patients = np.minimum(patients, min(alone_at))
    blocks = study.lines() if study.model.kind == "multinomial" else 1
    return np.maximum(columns_allowed(patients) // blocks, 0)


def select_columns(
    federation: Federation,
    study: Study,
    prepared: Prepared,
    room: Room,
    measured: int,
) -> Selected:
    """Choose columns in every split.

    Parameters
    ----------
    room
        The hospitals' numbers of patients, by which they judge how wide a question may be.
    measured
        Image features before unstable ones were left out.
    """
    features = np.arange(len(prepared.columns)) >= len(design_columns(study, ()))
    walk = _Walk(federation, study, prepared, room, features)
    stable = int(features.sum())
    walk.steps.append(Step("measured", np.full(len(federation.splits), measured)))
    if measured > stable:
        walk.steps.append(Step("stable", np.full(len(federation.splits), stable)))
    walk.step("varying", walk.left)
    walk.look_at_one_column_each()
    screened = walk.screen()
    if screened is not None:
        walk.drop_redundant(screened)
        walk.rank_by_mrmr(screened)
    return walk.selected(screened)


class _Walk:
    """From all features to those that are chosen, step by step."""

    def __init__(
        self,
        federation: Federation,
        study: Study,
        prepared: Prepared,
        room: Room,
        features: np.ndarray,
    ) -> None:
        self.federation, self.study, self.prepared = federation, study, prepared
        self.settings = study.selection or Selection()
        self.features = features
        self.left = prepared.used & features
        self.beside = prepared.used & ~features
        self.allowed = most_columns(study, room, federation.splits)
        in_total = most_columns(study, room, federation.splits, alone=False)
        # A study without this section is one whose author counted on all features: only what no gate allows cuts it.
        limit = self.allowed if study.selection else in_total
        self.room = np.maximum(self.allowed - self.beside.sum(axis=1), 1)
        self.limit = np.maximum(limit - self.beside.sum(axis=1), 1)
        if self._takes_any_width():
            self.room = self.limit = np.full(len(federation.splits), max(1, int(features.sum())))
        self.test = screening_of(study.selection, study.outcome)
        self.steps: list[Step] = []
        self.notes: list[str] = []
        self.auc_certificate: float | None = None
        self.rho_certificate: float | None = None
        self.undecided = 0

    def _takes_any_width(self) -> bool:
        """A network asks for no products of columns, unless its features are compared with each other first."""
        settings = self.settings
        return self.study.model.kind == "network" and settings.redundancy is None and settings.mrmr is None

    def step(self, name: str, left: np.ndarray) -> None:
        """Go on with these features."""
        self.left = left
        self.steps.append(Step(name, left.sum(axis=1)))

    def look_at_one_column_each(self) -> None:
        """Missing share and coefficient of variation, which are known already."""
        prepared, settings = self.prepared, self.settings
        if settings.largest_missing_share is not None:
            missing = 1 - prepared.known / np.maximum(prepared.rows[:, None], 1)
            self.step("known", self.left & (missing <= settings.largest_missing_share))
        if settings.smallest_variation is not None:
            variation = settings.smallest_variation * np.abs(prepared.centre)
            self.step("variation", self.left & (prepared.spread >= variation))

    def screen(self) -> Screened | None:
        """The univariate test, if any later step needs it, and its cut where one is asked for or due."""
        settings = self.settings
        too_many = bool((self.left.sum(axis=1) > self.limit).any())
        cut = too_many or any(x is not None for x in (settings.screening, settings.keep, settings.p_value))
        if not self.left.any() or not (cut or settings.redundancy is not None or settings.mrmr is not None):
            return None
        screened = screen(self.federation, self.study, self.prepared, self.test)
        if not cut:
            return screened
        room = self.room
        keep = room if settings.keep is None else np.minimum(room, settings.keep)
        self._note_on_width(room, keep, too_many)
        if settings.p_value is not None:
            below = (self.left & (screened.p_value < settings.p_value)).sum(axis=1)
            keep = np.minimum(keep, np.maximum(below, 1))
        self.step("screening", _strongest(screened.statistic, self.left, keep))
        if self.test == "mann-whitney":
            self.auc_certificate = float(screened.certificate[self.left].max(initial=0.0))
            self.notes.append(
                f"Screening by Mann and Whitney's test counts values in bins: every feature's AUC is within "
                f"{self.auc_certificate:.3f} of the pooled one (certified)."
            )
        return screened

    def drop_redundant(self, screened: Screened) -> None:
        """Of two features that rank patients alike, the one that tells less goes."""
        threshold = self.settings.redundancy
        if threshold is None or not self.left.any():
            return
        columns, left = _numbers(self.left), np.zeros_like(self.left)
        found = spearman(self.federation, self.prepared, columns)
        for k, (own, ranks) in enumerate(zip(columns, found, strict=True)):
            left[k, list(own)] = without_the_alike(screened.statistic[k, list(own)], ranks.rho, threshold)
        final = found[self.federation.splits.index(FINAL)]
        near = np.abs(np.abs(final.rho) - threshold) <= final.certificate
        self.undecided = int(np.triu(near, 1).sum())
        self.rho_certificate = max(float(ranks.certificate.max(initial=0.0)) for ranks in found)
        self.step("redundancy", left)
        self.notes.append(
            f"Spearman correlations come from ranks in bins: within {self.rho_certificate:.3f} of the pooled ones "
            f"(certified; in practice within about a tenth of that). In the final model's rows {self.undecided} pairs "
            f"of features lie that close to {threshold:g}, the limit."
        )

    def rank_by_mrmr(self, screened: Screened) -> None:
        """Minimum redundancy, maximum relevance."""
        number = self.settings.mrmr
        if number is None or not self.left.any():
            return
        columns, left = _numbers(self.left), np.zeros_like(self.left)
        for k, (own, r) in enumerate(zip(columns, pearson(self.federation, self.prepared, columns), strict=True)):
            chosen = most_relevant(screened.statistic[k, list(own)], r, number)
            left[k, [own[j] for j in chosen]] = True
        self.step("mrmr", left)

    def selected(self, screened: Screened | None) -> Selected:
        """What came of it."""
        return Selected(
            columns=self.prepared.columns,
            features=self.features,
            active=self.left | self.beside,
            steps=tuple(self.steps),
            allowed=self.allowed,
            screening=self.test if any(step.name == "screening" for step in self.steps) else None,
            screened=screened,
            auc_certificate=self.auc_certificate,
            rho_certificate=self.rho_certificate,
            undecided=self.undecided,
            notes=tuple(self.notes),
        )

    def _note_on_width(self, room: np.ndarray, keep: np.ndarray, too_many: bool) -> None:
        features, wanted = self.left.sum(axis=1), self.settings.keep
        if too_many:
            self.notes.append(
                f"{features.max()} image features are more than the patients allow in one cross-product "
                f"({_range(room)} beside the clinical columns, by training set): in every training set "
                f"{NAMES[self.test]} chose {_range(keep)} of them first."
            )
        if wanted is not None and room.min() < wanted:
            self.notes.append(
                f"selection.keep: {wanted} features were asked for; the patients of a training set allow {room.min()}, "
                "so fewer were kept where that is less."
            )


def _strongest(statistic: np.ndarray, left: np.ndarray, keep: np.ndarray) -> np.ndarray:
    """The features with the largest statistic, split by split."""
    order = np.argsort(-np.where(left, statistic, -1.0), axis=1, kind="stable")
    place = np.argsort(order, axis=1, kind="stable")
    chosen: np.ndarray = left & (place < keep[:, None])
    return chosen


def _numbers(left: np.ndarray) -> list[tuple[int, ...]]:
    return [tuple(map(int, np.flatnonzero(row))) for row in left]


def _range(numbers: np.ndarray) -> str:
    least, most = int(numbers.min()), int(numbers.max())
    return str(least) if least == most else f"{least} to {most}"
