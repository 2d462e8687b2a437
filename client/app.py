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

from client import gate, queries
from client.cohort.cohort import Cohort, read_cohort
from client.cohort.samples import read_samples
from client.horizon import refuse_few_known
from client.identity import Identity
from client.ledger import Leaving, Ledger
from client.members import Members
from client.networks.own_state import StateInStore
from client.preparation import refuse_beyond_preparation
from client.rows import Rows
from client.secure_sums import SecureSums, check_may_be_unmasked
from client.site import Site, open_site
from client.stability import repeated
from client.store import Store, extractions, patches_made
from client.view import Views
from client.view_bytes import read_views
from client.withdrawal import withdrawn
from common import wire
from common.errors import Code, HospitalError, StudyError
from common.masking import Asking, Said, Step, read_asking
from common.query import ROLL_CALL, WRITES_OWN_COPIES, Answer, Query, canonical_json
from common.room import PURPOSE, seat_of
from common.secure_sum.refusals import SecureSumRefused
from common.splits import Label, is_repeat
from common.study import Study
from common.wire import Handed, Reply

LOG = "hospital.log"


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
            reply = respond(locate(context), message.content)
        return Message(wire.reply_to_record(reply), reply_to=message)

    return app


def respond(whereabouts: Whereabouts, content: RecordDict) -> Reply:
    """The reply to a message; whatever goes wrong leaves as a code, its text stays in the own log."""
    log = _own_log(whereabouts.own_folder)
    hospital = whereabouts.folder.name
    try:
        site = open_site(whereabouts.folder, whereabouts.own_folder, whereabouts.lower_profile)
        hospital = site.name
        with closing(Store(site.own)) as store:
            identity = Identity.open(site.own)
            asking = _asking(content)
            ledger = Ledger(store, identity)
            if asking is not None and asking.step is not None:  # keys and shares: no figure of any patient
                content_of_step = _step(site, store, identity, asking)
                if asking.step is Step.REVEAL:
                    agreed = asking.agreement
                    ledger.unmasking(agreed.study, asking.question, agreed.hospitals, content_of_step)
                return Reply(wire.answer_to_bytes(Answer()), Said.STEP, content_of_step)
            reply, leaving = _leaving(site, store, identity, content, asking, log)
            # Every answer that leaves passes here: gate, then mask, then ledger, then sending.
            ledger.sent(ledger.prepare(leaving))
            return reply
    except Exception as error:  # where no ledger can be written, a code is all that leaves
        return Reply(_refusal(error, "a message", hospital, log))


def _leaving(
    site: Site, store: Store, identity: Identity, content: RecordDict, asking: Asking | None, log: logging.Logger
) -> tuple[Reply, Leaving]:
    """The reply to a message, masked, and what the ledger keeps of it; or its refusal."""
    query = None
    try:
        query, views, handed = _read(content)
        study = _study(query, store)
        if asking is None:
            check_may_be_unmasked(site, study, query.name)
        packed, digest, thresholds = _answer_once(site, store, study, query, views, handed, log)
        if asking is None:
            reply = Reply(packed)
        else:
            answer = wire.answer_from_bytes(packed)
            clear = wire.answer_to_bytes(replace(answer, sums={}))
            reply = SecureSums(site, store, identity, study).masked(query, asking, answer.sums, clear)
        return reply, Leaving(query, reply.packed + reply.content, packed, thresholds, digest)
    except Exception as error:  # the coordinator learns a code; the reason must be found in the hospital's own log
        refusal = _refusal(error, "a message" if query is None else f"query {query.name}", site.name, log)
        return Reply(refusal), Leaving(query, refusal, refusal)


def _step(site: Site, store: Store, identity: Identity, asking: Asking) -> bytes:
    """A step of the secure sum of a study that this hospital was sent and approved."""
    content = store.study(asking.agreement.study)
    if content is None:
        raise HospitalError(Code.WRONG_STUDY, "keys for a study that was never sent to this hospital")
    study = _parse_study(content)
    gate.check_approval(site, store, study)
    return SecureSums(site, store, identity, study).step(asking)


def _asking(content: RecordDict) -> Asking | None:
    try:
        return read_asking(content)
    except (ValueError, SecureSumRefused) as error:
        raise HospitalError(Code.BAD_PARAMETERS, f"a message about masks that cannot be read: {error}") from None


def _read(content: RecordDict) -> tuple[Query, list[bytes], Handed]:
    """The query, the views and what is handed round in a message."""
    try:
        return *wire.record_to_query(content), wire.record_to_handed(content)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise HospitalError(Code.BAD_PARAMETERS, f"a message that is no query: {error}") from None


def _refusal(error: Exception, asked: str, hospital: str, log: logging.Logger) -> bytes:
    """What the coordinator is told of an error; the own log is told all."""
    if isinstance(error, HospitalError):
        log.error("%s: refused with '%s': %s", asked, error.code.value, error)
        return wire.answer_to_bytes(Answer.refusal(error.code, hospital, error.split))
    log.error("%s: %s", asked, "".join(traceback.format_exception(error)))
    return wire.answer_to_bytes(Answer.refusal(Code.INTERNAL, hospital))


def _answer_once(
    site: Site, store: Store, study: Study, query: Query, views: list[bytes], handed: Handed, log: logging.Logger
) -> tuple[bytes, str | None, gate.Thresholds]:
    """Answer a question that is new under this roster; send what was sent before to one that is not.

    Returns
    -------
    The packed answer, its SHA-256 where it is known, and what the gate held it against.
    """
    admitted = gate.admit(site, store, study, query, handed)
    store.keep_study(study.hash, study.to_json())
    for view in read_views(views):
        store.keep_view(view.hash, view.to_bytes())
    roster = canonical_json(sorted(query.roster))
    answered = store.answered(study.hash, query.question, roster)
    if answered.answer is not None and query.name not in WRITES_OWN_COPIES:
        return answered.answer, None, {}
    gate.check_roster(site, query, answered.under_another_roster)
    refuse_beyond_preparation(query.name, study, store.questions_answered(study.hash))
    cohort = _cohort(site, study, log)
    gate.freeze(site, store, admitted, study, cohort, _digest_with_repetitions(site, study, cohort))
    secret = "" if site.lower_profile else store.secret("folds")
    members = Members(site.name, study, cohort, secret, "lower" if site.lower_profile else "full")
    rows = Rows(site, members, Views(members, store, StateInStore(store, study.hash, roster)), query)
    kind, asked = queries.read(rows)
    thresholds = gate.check(rows, asked, admitted, answered.under_another_roster)
    answer = kind.answer(rows, asked)
    gate.check_answer(rows, answer)
    if query.name == ROLL_CALL:
        answer = _signed(site, study, answer)
    packed = wire.answer_to_bytes(_once_in_clear(answer, store, query))
    digest = hashlib.sha256(packed).hexdigest()
    # What another process kept first counts: two answers with noise of their own would be averaged.
    kept = store.keep_answer(study.hash, query.question, roster, packed, digest, site.single_hospital_sums)
    return kept, digest if kept is packed else None, thresholds


def _signed(site: Site, study: Study, answer: Answer) -> Answer:
    """The roll call's figures with this hospital's signature: other hospitals rely on its number of patients."""
    identity = Identity.open(site.own)
    statement = seat_of(site.name, answer.disclosed).statement(study.hash)
    signature = identity.sign(statement, PURPOSE)
    signed = {"key": identity.public_bytes.hex(), "signature": signature.hex()}
    return replace(answer, disclosed=answer.disclosed.model_copy(update=signed))


def _once_in_clear(answer: Answer, store: Store, query: Query) -> Answer:
    """Own AUC and calibration leave in clear once a study and scheme; a second model's or repeat's are left out.

    Many of a hospital's figures by models that a coordinator chose would be the points of its own ROC curve.
    """
    disclosed = answer.disclosed

    def first(figures: dict[str, tuple[float, float]], kind: str) -> dict[str, tuple[float, float]]:
        may = store.may_say_in_clear
        chosen = {
            s: f for s, f in figures.items() if not Label.read(s).model and not is_repeat(Label.read(s).scheme)
        }
        return {s: f for s, f in chosen.items() if may(query.study, f"{kind} {s}", query.question)}

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
    return study


@lru_cache(maxsize=64)
def _parse_study(content: str) -> Study:
    try:
        return Study.from_content(json.loads(content), "the study that the coordinator sent")
    except (ValueError, RecursionError, StudyError) as error:
        raise HospitalError(Code.WRONG_STUDY, str(error)) from None


def _cohort(site: Site, study: Study, log: logging.Logger) -> Cohort:
    """The study's cohort at this hospital, large enough to take part."""
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
    refuse_few_known(study, cohort, least)
    return cohort


def _digest_with_repetitions(site: Site, study: Study, cohort: Cohort) -> str:
    """The cohort's digest and those of repeated measurements, which are frozen with it."""
    digests = [cohort.digest]
    path = site.folder / site.file.retest
    if path.exists():
        digests.append(hashlib.sha256(path.read_bytes()).hexdigest())
    if (again := repeated(site, study, cohort)) is not None:
        digests.append(again.digest)
    if study.features is not None and study.features.to_be_learnt():
        digests.append(read_samples(site, study, cohort.ids).digest)
    return " ".join(digests)


_Stamps = tuple[tuple[str, int, int], ...]
_COHORTS: dict[tuple[str, str, _Stamps], Cohort] = {}
"""Files that have not changed are read once a process."""


def _stamps(site: Site) -> _Stamps:
    """When the hospital's files were last written and how long they are, and what has been extracted."""
    files = [
        site.folder / name for name in ("site.yaml", site.file.patients, site.file.features, site.file.columns)
    ]
    written = [(file.name, s.st_mtime_ns, s.st_size) for file in files if file.exists() and (s := file.stat())]
    withdrawals = ("withdrawn", len(withdrawn(site.extracted_in)), 0)
    made = [("extractions", *extractions(site.extracted_in)), ("patches", *patches_made(site.extracted_in))]
    return (*written, withdrawals, *made)


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
