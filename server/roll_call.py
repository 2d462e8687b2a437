"""Roll call: who takes part, and whether the hospitals mean the same by their columns.

Nothing is computed before this has been agreed: the study, the versions, the feature columns and the units.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from common import wire
from common.errors import Code, StudyStopped
from common.query import FEWEST_HOSPITALS, Answer, Disclosed, Query
from common.refusals import in_words
from common.study import Study
from server.checkpoint import Begun
from server.hospitals import Hospitals
from server.units import stop_at_unit_errors

NAMES_SHOWN = 8
GO_ON = "go on: hepafed resume NAME (simulate, loopback: --resume)"
MUST_AGREE = ("hepafed", "study", "features settings", "features preprocessing", "features pyradiomics")
"""What changes results or their meaning; other versions of the libraries below change last digits, and are noted."""


@dataclass(frozen=True)
class Present:
    """What the roll call found."""

    disclosed: dict[str, Disclosed]
    features: tuple[str, ...]
    left_out: dict[str, Code]
    answers: dict[str, bytes]
    notes: tuple[str, ...] = field(default=())

    @property
    def roster(self) -> tuple[str, ...]:
        """The hospitals that take part, by name."""
        return tuple(sorted(self.disclosed))

    @property
    def bytes_up(self) -> dict[str, int]:
        """How many bytes each answer took."""
        return {name: len(self.answers[name]) for name in self.roster}

    @property
    def begun(self) -> Begun:
        """What the checkpoint keeps of it."""
        return Begun(self.roster, self.left_out, self.answers)


def roll_call(hospitals: Hospitals, study: Study, begun: Begun | None) -> Present:
    """Ask every connected hospital who it is; stop in words when the study cannot begin.

    Parameters
    ----------
    begun
        Who a resumed run began with; None for a new run.
    """
    query = Query(name="roll_call", study=study.hash, roster=(), parameters={"study": study.to_json()})
    packed = _by_name(hospitals, hospitals.ask_everyone(query))
    answers = {name: wire.answer_from_bytes(answer) for name, answer in packed.items()}
    left_out = {name: a.disclosed.code for name, a in answers.items() if a.disclosed.code is not None}
    hospitals.progress.exchanged(replayed=False, largest=max(map(len, packed.values()), default=0))
    for name, code in left_out.items():
        hospitals.progress.notice(f"{name} cannot take part: {_why(code)}; its own log says why")
    taking_part = {name: a for name, a in answers.items() if name not in left_out}
    lost: frozenset[str] = frozenset()
    if begun is not None:
        packed |= {name: begun.said[name] for name in begun.lost if name in begun.said}
        taking_part, left_out, lost = _as_begun(taking_part, begun, hospitals), dict(begun.left_out), begun.lost
    _stop_if_too_few(len(taking_part), left_out)
    said = {name: answer.disclosed for name, answer in taking_part.items()}
    hospitals.said |= said
    other_versions = same_versions({name: figures for name, figures in said.items() if name not in lost})
    features = same_features(said)
    stop_at_what_cannot_be(study, said)
    stop_at_patterns_without_features(study, features)
    stop_at_unit_errors(study, said)
    return Present(
        disclosed=said,
        features=features,
        left_out=left_out,
        answers={name: packed[name] for name in sorted(taking_part)},
        notes=(*other_versions, *_notes_on_absent_columns(study, said)),
    )


def _by_name(hospitals: Hospitals, packed: Mapping[int, bytes]) -> dict[str, bytes]:
    """Answers by the hospital's name: the one it was registered under, which it must also call itself."""
    registered = {node.node_id: node.name for node in hospitals.grid.get_nodes()}
    named: dict[str, bytes] = {}
    for node, answer in packed.items():
        said = wire.answer_from_bytes(answer).disclosed.hospital
        name = registered.get(node) or said or f"node {node}"
        if said is not None and said != name:
            raise StudyStopped(f"the hospital registered as '{name}' calls itself '{said}': mend its site.yaml")
        if name in named:
            raise StudyStopped(f"two hospitals are called '{name}': give each its own name in site.yaml")
        named[name] = answer
        hospitals.node_of[name] = node
    return {name: named[name] for name in sorted(named)}


def _why(code: Code) -> str:
    """The code, and what it means where there is a sentence for it."""
    said = in_words(code)
    return code.value if said == code.value else f"{code.value} ({said})"


def _stop_if_too_few(taking_part: int, left_out: Mapping[str, Code]) -> None:
    if taking_part >= FEWEST_HOSPITALS:
        return
    cure = "add hospitals"
    if left_out:
        cure = f"each hospital's own log says what to mend there; then {GO_ON}"
    raise StudyStopped(
        f"{taking_part} of {taking_part + len(left_out)} hospitals can take part; a study needs {FEWEST_HOSPITALS}"
        + "".join(f"; {name}: {_why(code)}" for name, code in left_out.items())
        + f": {cure}"
    )


def _as_begun(taking_part: Mapping[str, Answer], begun: Begun, hospitals: Hospitals) -> dict[str, Answer]:
    """The hospitals that the run began with; all must be there again, but those that were lost since."""
    lost = {name: wire.answer_from_bytes(begun.said[name]) for name in begun.lost if name in begun.said}
    away = [name for name in begun.roster if name not in taking_part and name not in lost]
    if away:
        raise StudyStopped(
            f"the run began with {', '.join(away)}, which cannot take part now: resume when all are back"
        )
    for name in sorted(set(taking_part) - set(begun.roster)):
        hospitals.progress.notice(
            f"{name} was not there when this run began and stays out of it; start anew with --overwrite to include it"
        )
    return {name: lost[name] if name in lost else taking_part[name] for name in begun.roster}


def same_versions(disclosed: Mapping[str, Disclosed]) -> list[str]:
    """Stop unless all hospitals run the same hepafed, have read the same study and extract in the same way.

    Returns
    -------
    Notes on libraries whose versions differ: the numbers may differ in their last digits.
    """
    notes = []
    for key in sorted({key for figures in disclosed.values() for key in figures.fingerprint}):
        found = {name: figures.fingerprint.get(key, "unknown") for name, figures in disclosed.items()}
        if len(set(found.values())) == 1:
            continue
        listed = "; ".join(f"{name}: {value}" for name, value in found.items())
        if key in MUST_AGREE:
            raise StudyStopped(f"the hospitals do not agree on {key} ({listed}): bring all to the same version")
        if key.startswith("features "):
            library = key.removeprefix("features ")
            notes.append(f"features were extracted with different versions of {library} ({listed})")
    return notes


def same_features(disclosed: Mapping[str, Disclosed]) -> tuple[str, ...]:
    """The feature columns, the same at all hospitals; stop and name those that differ."""
    columns = {name: set(figures.features) for name, figures in disclosed.items()}
    shared = set.intersection(*columns.values())
    everything = set.union(*columns.values())
    if shared != everything:
        lines = _who_differs(columns, everything)
        raise StudyStopped(
            "the hospitals' feature columns differ: " + "; ".join(lines) + ". Extract features with the same "
            "settings everywhere, or name the columns that all have under predictors.radiomics"
        )
    return next(iter(disclosed.values())).features


def _who_differs(columns: Mapping[str, set[str]], everything: set[str]) -> list[str]:
    """Each difference told of the few: who lacks what most have, and who has what most lack."""
    lines = []
    for name, own in columns.items():
        lacked = {c for c in everything - own if 2 * sum(c in other for other in columns.values()) >= len(columns)}
        if lacked:
            lines.append(f"{name} lacks {_some(lacked)}")
        alone = {c for c in own if 2 * sum(c in other for other in columns.values()) < len(columns)}
        if alone:
            lines.append(f"{name} has {_some(alone)}, which most have not")
    return lines


def _some(names: set[str]) -> str:
    shown = sorted(names)[:NAMES_SHOWN]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")


def stop_at_what_cannot_be(study: Study, disclosed: Mapping[str, Disclosed]) -> None:
    """Stop at an unknown reference and at a predictor that nobody has."""
    reference = study.harmonisation.reference
    if reference is not None and reference not in disclosed:
        raise StudyStopped(
            f"harmonisation.reference: {reference} is none of the hospitals that take part "
            f"({', '.join(sorted(disclosed))})"
        )
    said = disclosed.values()
    nowhere = [c for c in study.predictors.clinical if all(f.missing.get(c) == f.patients for f in said)]
    if nowhere:
        raise StudyStopped(
            f"predictors.clinical: no hospital knows a value of {', '.join(nowhere)}: mend the name in study.yaml "
            "(each hospital's own log names columns that look alike), or take it out"
        )


def stop_at_patterns_without_features(study: Study, features: tuple[str, ...]) -> None:
    """Stop where a model of `compare` asks for features by name and there are none of that name."""
    for name, candidate in study.compare.items():
        patterns = candidate.radiomics
        if not isinstance(patterns, list) or not patterns or any(candidate.takes(features, lambda _: True)):
            continue
        example = f"; the study's features are called like {', '.join(features[:2])}" if features else ""
        raise StudyStopped(
            f"compare.{name}.radiomics: no feature of the study is called {' or '.join(patterns)}{example}: mend the "
            "name or pattern in study.yaml"
        )


def _notes_on_absent_columns(study: Study, disclosed: Mapping[str, Disclosed]) -> list[str]:
    """A column that a whole hospital does not have is said, not hidden."""
    notes = []
    for column in study.predictors.clinical:
        absent = [n for n, figures in disclosed.items() if figures.missing.get(column) == figures.patients]
        if absent:
            notes.append(
                f"{column}: unknown for every patient of {', '.join(absent)}; imputed there from the others"
            )
    return notes
