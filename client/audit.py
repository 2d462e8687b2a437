"""A hospital attacks the models of a study that it took part in with its own patients; nothing leaves.

The models are the views that the coordinator sent, as the hospital's store keeps them: the same numbers as in the
study's own audit (client/queries/membership.py), and beside them what never leaves, the patients they know best.
"""

import json
from dataclasses import asdict, dataclass, replace
from itertools import product
from math import sqrt
from pathlib import Path

import numpy as np
from scipy.special import expit

from client.cohort.cohort import Cohort, read_cohort
from client.members import Members
from client.membership import Attacked, Caught, attack, caught, won
from client.own_files import write_text
from client.queries.membership import first_model
from client.rows import Rows
from client.site import Site
from client.store import Store
from client.view import Views
from common.auditing import ALLOWED, ASKED_TOGETHER, Attack, is_audited
from common.errors import HepafedError
from common.query import Query
from common.splits import splits_of
from common.study import Study

FILE_NAME = "audit.json"


@dataclass(frozen=True)
class Exposed:
    """One patient, for this hospital's eyes.

    Parameters
    ----------
    known
        Share of pairs with other patients in which the attack is right about this one: 0.5 is chance.
    trained, held_out
        Mean probability that the models give to what truly happened, where they trained on the patient and where not.
    """

    id: str
    known: float
    trained: float
    held_out: float


@dataclass(frozen=True)
class OwnAudit:
    """What the attack finds in this hospital; `patients` by how well they are known, foremost first."""

    study: str
    attack: Attack
    models: int
    pairs: int
    auc: float
    standard_error: float
    caught: tuple[Caught, ...]
    patients: tuple[Exposed, ...]

    def write(self, path: Path) -> None:
        """Write all of it, the patients' ids too, where nobody but the owner can read it."""
        write_text(path, json.dumps(asdict(self), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def audit_here(site: Site, store: Store, study: Study) -> OwnAudit:
    """Attack the models that this hospital was sent in a study.

    Raises
    ------
    HepafedError
        Where the study has no audit, no run of it came so far here, or the patients have changed since.
    """
    if not is_audited(study):
        raise HepafedError(
            f"{study.study}: the audit needs a k-fold (validation.folds), an outcome of 0 and 1, and exact sums"
        )
    query = _asked(store, study, site.name)
    cohort = _as_it_was(site, store, study)
    secret = "" if site.lower_profile else store.secret("folds")
    members = Members(site.name, study, cohort, secret, "lower" if site.lower_profile else "full")
    rows = Rows(site, members, Views(members, store), query)
    splits = splits_of(study, query.roster)
    attacked = attack(splits, first_model(rows), members.training, cohort.outcome, site.name)
    found = None if attacked is None else won(attacked)
    if attacked is None or found is None:
        raise HepafedError(
            f"{study.study}: no model has trained on some patients of {site.name} and held out others"
        )
    return OwnAudit(
        study=study.hash,
        attack=attacked.attack,
        models=len(attacked.member),
        pairs=found.pairs,
        auc=found.value,
        standard_error=sqrt(found.variance),
        caught=tuple(who for share in ALLOWED if (who := caught(attacked, share)) is not None),
        patients=_exposed(rows, attacked, found.by_patient),
    )


def _asked(store: Store, study: Study, hospital: str) -> Query:
    """The study's own audit, as this hospital answered it last: it names the models and the roster."""
    rosters = "SELECT roster, rowid FROM answered WHERE study = ? AND question = ?"
    found = []
    for (view,), shares in product(store.all("SELECT hash FROM views"), ASKED_TOGETHER):
        asked = replace(_question(study, str(view)), parameters={"allowed": shares})
        found += [
            (int(row), str(view), str(roster)) for roster, row in store.all(rosters, study.hash, asked.question)
        ]
    if not found:
        begun = "no run of it has come to its audit" if store.study(study.hash) else "it was never asked here"
        raise HepafedError(
            f"{study.study} ({study.hash[:12]}): {begun}, so {hospital} has no models of it. Run the study to its end "
            "first; if it was run, give the same study.yaml, and with --own-folder the folder of that run's store"
        )
    _, view, roster = max(found)
    return replace(_question(study, view), roster=tuple(json.loads(roster)))


def _question(study: Study, view: str) -> Query:
    return Query("membership", study.hash, (), rows="held_out", view=view)


def _as_it_was(site: Site, store: Store, study: Study) -> Cohort:
    """The cohort, the same as when the study was run."""
    cohort = read_cohort(site, study)
    row = store.first("SELECT digest, frozen_at FROM cohorts WHERE study = ?", study.hash)
    if row is not None and str(row[0]).split()[0] != cohort.digest:
        raise HepafedError(
            f"{site.name}: the patients of {study.study} were frozen on {row[1]} and the files have changed since; put "
            "them back as they were"
        )
    return cohort


def _exposed(rows: Rows, attacked: Attacked, known: np.ndarray) -> tuple[Exposed, ...]:
    """Every patient with how well the attack knows it, foremost first."""
    linear = first_model(rows)
    truth = [expit((2 * rows.cohort.outcome - 1) * linear(split)) for split in attacked.splits]
    chances, member = np.array(truth), attacked.member
    trained = (chances * member).sum(axis=0) / np.maximum(member.sum(axis=0), 1)
    held_out = (chances * ~member).sum(axis=0) / np.maximum((~member).sum(axis=0), 1)
    return tuple(
        Exposed(rows.cohort.ids[i], float(known[i]), float(trained[i]), float(held_out[i]))
        for i in np.argsort(-known, kind="stable")
    )
