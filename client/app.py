"""The Flower ClientApp of a hospital: query → rows → answer."""

import hashlib
import json
import logging
import logging.handlers
import traceback
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from threadpoolctl import threadpool_limits

from client import queries
from client.cohort.cohort import Cohort, read_cohort
from client.members import Members
from client.rows import Rows
from client.site import Site, open_site
from client.store import Store
from client.view import Views
from client.view_bytes import read_views
from common import wire
from common.errors import Code, HospitalError, StudyError
from common.query import FEWEST_HOSPITALS, Answer, Query, canonical_json
from common.study import Study

LOG = "hospital.log"
ROLL_CALL = "roll_call"


@dataclass(frozen=True)
class Whereabouts:
    """Where a hospital's data is and where it keeps its own things; the hospital decides, never a message."""

    folder: Path
    own_folder: Path
    lower_profile: bool = False


def build(locate: Callable[[Context], Whereabouts]) -> ClientApp:
    """A ClientApp that answers for the hospital that `locate` finds."""
    app = ClientApp()

    @app.query("ask")
    def ask(message: Message, context: Context) -> Message:
        # One thread for linear algebra: the same sums, bit for bit, wherever the hospital runs.
        with threadpool_limits(limits=1):
            packed = respond(locate(context), message.content)
        return Message(wire.answer_to_record(packed), reply_to=message)

    return app


def respond(whereabouts: Whereabouts, content: RecordDict) -> bytes:
    """The packed answer to a message; whatever goes wrong leaves as a code, its text stays in the own log."""
    log = _own_log(whereabouts.own_folder)
    try:
        query, views = wire.record_to_query(content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        log.error("a message that is no query was refused: %s", error)
        return wire.answer_to_bytes(Answer.refusal(Code.BAD_PARAMETERS))
    hospital = whereabouts.folder.name
    try:
        site = open_site(whereabouts.folder, whereabouts.own_folder, whereabouts.lower_profile)
        hospital = site.name
        return _answer(site, query, views, log)
    except HospitalError as error:
        log.error("query %s: refused with '%s': %s", query.name, error.code.value, error)
        return wire.answer_to_bytes(Answer.refusal(error.code, hospital))
    except Exception:  # the coordinator learns a code; the reason must be found in the hospital's own log
        log.error("query %s: %s", query.name, traceback.format_exc())
        return wire.answer_to_bytes(Answer.refusal(Code.INTERNAL, hospital))


def _answer(site: Site, query: Query, views: list[bytes], log: logging.Logger) -> bytes:
    with closing(Store(site.own_folder / "store.sqlite")) as store:
        return _answer_once(site, store, query, views, log)


def _answer_once(site: Site, store: Store, query: Query, views: list[bytes], log: logging.Logger) -> bytes:
    """Answer a question that is new under this roster; send what was sent before to one that is not."""
    study = _study(query, store)
    for view in read_views(views):
        store.keep_view(view.hash, view.to_bytes())
    roster = canonical_json(sorted(query.roster))
    answered = store.answered(study.hash, query.question, roster)
    if answered.answer is not None and query.name != "own_copy":
        return answered.answer
    _check_roster(site, query, answered.under_another_roster)
    cohort = _cohort(site, study, store, log)
    secret = "" if site.lower_profile else store.secret("folds")
    members = Members(site.name, study, cohort, secret, "lower" if site.lower_profile else "full")
    answer = queries.answer(Rows(site, members, Views(members, store), query))
    packed = wire.answer_to_bytes(_once_in_clear(answer, store, query))
    store.keep_answer(study.hash, query.question, roster, packed, site.single_hospital_sums)
    return packed


def _check_roster(site: Site, query: Query, another: bool) -> None:
    """Who is in the room: this hospital, with enough others, and no other room before."""
    if query.name == ROLL_CALL:
        return
    hospitals = set(query.roster)
    if len(hospitals) != len(query.roster) or site.name not in hospitals or len(hospitals) < FEWEST_HOSPITALS:
        raise HospitalError(
            Code.BAD_PARAMETERS,
            f"the roster {list(query.roster)} must name {site.name} and {FEWEST_HOSPITALS - 1} others, once each",
        )
    alone = query.disclosure == "single hospital"
    if (alone or another) and not site.single_hospital_sums:
        raise HospitalError(
            Code.SINGLE_HOSPITAL,
            "the answer would let this hospital's own sums be derived "
            "(leave one hospital out, a reference hospital, or a second roster in a study that has been answered); "
            "site.yaml does not allow it (policy: single_hospital_sums: true)",
        )
    if alone and len(hospitals) <= FEWEST_HOSPITALS and not site.lower_profile:
        raise HospitalError(
            Code.SINGLE_HOSPITAL,
            f"single-hospital sums need {FEWEST_HOSPITALS + 1} hospitals, not {len(hospitals)}",
        )


def _once_in_clear(answer: Answer, store: Store, query: Query) -> Answer:
    """Own AUC and calibration leave in clear once a study and scheme; a second model's are left out."""
    disclosed = answer.disclosed

    def first(figures: dict[str, tuple[float, float]], kind: str) -> dict[str, tuple[float, float]]:
        may = store.may_say_in_clear
        return {s: f for s, f in figures.items() if may(query.study, f"{kind} {s}", query.question)}

    kept = {"auc": first(disclosed.auc, "auc"), "calibration": first(disclosed.calibration, "calibration")}
    return replace(answer, disclosed=disclosed.model_copy(update=kept))


def _study(query: Query, store: Store) -> Study:
    """The study that a query belongs to: sent with the roll call, then named by its hash."""
    content = store.study(query.study)
    if content is None:
        sent = query.parameters.get("study")
        if not isinstance(sent, str):
            raise HospitalError(Code.WRONG_STUDY, f"the study {query.study} was never sent to this hospital")
        content = sent
    study = _parse_study(content)
    if study.hash != query.study:
        raise HospitalError(Code.WRONG_STUDY, "the study that was sent is not the one that its hash names")
    store.keep_study(query.study, content)
    return study


@lru_cache(maxsize=64)
def _parse_study(content: str) -> Study:
    try:
        return Study.from_content(json.loads(content), "the study that the coordinator sent")
    except (ValueError, RecursionError, StudyError) as error:
        raise HospitalError(Code.WRONG_STUDY, str(error)) from None


def _cohort(site: Site, study: Study, store: Store, log: logging.Logger) -> Cohort:
    """The study's cohort at this hospital, frozen when it is first read, and large enough to take part."""
    key = (str(site.folder), study.hash, _stamps(site))
    cohort = _COHORTS.get(key)
    if cohort is None:
        cohort = read_cohort(site, study)
        for note in cohort.notes:
            log.warning("%s", note)
        _COHORTS[key] = cohort
    least = max(study.privacy.minimum_patients, site.floor)
    if len(cohort.ids) < least:
        raise HospitalError(
            Code.TOO_FEW_PATIENTS,
            f"{len(cohort.ids)} patients are left in the cohort, {least} are needed to take part",
        )
    store.freeze_cohort(study.hash, _digest_with_retest(site, cohort))
    return cohort


def _digest_with_retest(site: Site, cohort: Cohort) -> str:
    """The cohort's digest and that of the second measurements, which are frozen with it."""
    path = site.folder / site.file.retest
    if not path.exists():
        return cohort.digest
    return f"{cohort.digest} {hashlib.sha256(path.read_bytes()).hexdigest()}"


_Stamps = tuple[tuple[str, int, int], ...]
_COHORTS: dict[tuple[str, str, _Stamps], Cohort] = {}
"""Files that have not changed are read once a process."""


def _stamps(site: Site) -> _Stamps:
    """When the hospital's files were last written, and how long they are."""
    files = [
        site.folder / name for name in ("site.yaml", site.file.patients, site.file.features, site.file.columns)
    ]
    return tuple((file.name, s.st_mtime_ns, s.st_size) for file in files if file.exists() and (s := file.stat()))


def _own_log(own_folder: Path) -> logging.Logger:
    """The hospital's own log file; what it says stays in the hospital."""
    own_folder.mkdir(parents=True, exist_ok=True)
    path = (own_folder / LOG).resolve()
    log = logging.getLogger(f"hepafed.hospital.{path}")
    if not log.handlers:
        path.touch(mode=0o600)
        handler = logging.handlers.WatchedFileHandler(path, encoding="utf-8")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)
        log.propagate = False
    return log
