"""Roll call: who takes part, and whether the hospitals mean the same by their columns.

Nothing is computed before this has been agreed: the study, the versions, the feature columns and the units.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from common import wire
from common.errors import Code, StudyStopped
from common.query import Answer, Disclosed, Query, Total, add
from common.study import Study
from server.hospitals import Hospitals
from server.units import stop_at_unit_errors

FEWEST_HOSPITALS = 3
NAMES_SHOWN = 8
FLOW_STEPS = ("read", "met_criteria", "outcome_known", "in_range", "with_features", "in_cohort")


@dataclass(frozen=True)
class Present:
    """What the roll call found."""

    disclosed: dict[str, Disclosed]
    flow: dict[str, int]
    features: tuple[str, ...]
    gaps_to_keep: frozenset[str]
    left_out: dict[str, Code]
    bytes_up: dict[str, int]
    notes: tuple[str, ...] = field(default=())

    @property
    def roster(self) -> tuple[str, ...]:
        """The hospitals that take part, by name."""
        return tuple(sorted(self.disclosed))


def roll_call(hospitals: Hospitals, study: Study, begun_with: tuple[str, ...]) -> Present:
    """Ask every connected hospital who it is; stop in words when the study cannot begin.

    Parameters
    ----------
    begun_with
        The roster that a resumed run began with; empty for a new run.
    """
    query = Query(name="roll_call", study=study.hash, roster=(), parameters={"study": study.to_json()})
    packed = _by_name(hospitals, hospitals.ask_everyone(query))
    answers = {name: wire.answer_from_bytes(answer) for name, answer in packed.items()}
    left_out = {name: a.disclosed.code for name, a in answers.items() if a.disclosed.code is not None}
    for name, code in left_out.items():
        hospitals.progress.notice(f"{name} cannot take part: {code.value}; its own log says why")
    taking_part = {name: a for name, a in answers.items() if name not in left_out}
    if begun_with:
        taking_part = _as_begun(taking_part, begun_with, hospitals)
    if len(taking_part) < FEWEST_HOSPITALS:
        raise StudyStopped(
            f"{len(taking_part)} of {len(answers)} hospitals can take part; a study needs {FEWEST_HOSPITALS}"
            + "".join(f"; {name}: {code.value}" for name, code in left_out.items())
            + ". Each hospital's own log says what to mend there; then go on with --resume"
        )
    said = {name: answer.disclosed for name, answer in taking_part.items()}
    same_versions(said)
    features = same_features(said)
    total = add(taking_part)
    stop_at_unit_errors(study, total.disclosed)
    return Present(
        disclosed=total.disclosed,
        flow=dict(zip(FLOW_STEPS, (int(n) for n in total.sums["flow"]), strict=True)),
        features=features,
        gaps_to_keep=_gaps_to_keep(total),
        left_out=left_out,
        bytes_up={name: len(packed[name]) for name in sorted(taking_part)},
        notes=tuple(_notes_on_absent_columns(study, total.disclosed)),
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


def _as_begun(
    taking_part: Mapping[str, Answer], begun_with: tuple[str, ...], hospitals: Hospitals
) -> dict[str, Answer]:
    """The hospitals that the run began with; all must be there again."""
    away = [name for name in begun_with if name not in taking_part]
    if away:
        raise StudyStopped(
            f"the run began with {', '.join(away)}, which cannot take part now: resume when all are back"
        )
    for name in sorted(set(taking_part) - set(begun_with)):
        hospitals.progress.notice(f"{name} was not there when this run began and stays out of it")
    return {name: taking_part[name] for name in begun_with}


def same_versions(disclosed: Mapping[str, Disclosed]) -> None:
    """Stop unless all hospitals run the same hepafed and have read the same study."""
    for key in ("hepafed", "study"):
        found = {name: figures.fingerprint.get(key, "unknown") for name, figures in disclosed.items()}
        if len(set(found.values())) > 1:
            listed = "; ".join(f"{name}: {value}" for name, value in found.items())
            raise StudyStopped(f"the hospitals do not agree on {key} ({listed}): bring all to the same version")


def same_features(disclosed: Mapping[str, Disclosed]) -> tuple[str, ...]:
    """The feature columns, the same at all hospitals; stop and name those that differ."""
    columns = {name: set(figures.features) for name, figures in disclosed.items()}
    shared = set.intersection(*columns.values())
    everything = set.union(*columns.values())
    if shared != everything:
        lines = [f"{name} lacks {_some(everything - own)}" for name, own in columns.items() if everything - own]
        raise StudyStopped(
            "the hospitals' feature columns differ: " + "; ".join(lines) + ". Extract features with the same "
            "settings everywhere, or name the columns that all have under predictors.radiomics"
        )
    return next(iter(disclosed.values())).features


def _some(names: set[str]) -> str:
    shown = sorted(names)[:NAMES_SHOWN]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")


def _gaps_to_keep(total: Total) -> frozenset[str]:
    """Features that every hospital lacks for ten patients and more, or for nobody: ComBat may count these singly."""
    names = sorted(next(iter(total.disclosed.values())).features)
    kept = (total.sums["feature_gaps"] > 0) & (total.sums["hospitals_with_few_gaps"] == 0)
    return frozenset(name for name, keep in zip(names, kept, strict=True) if keep)


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
