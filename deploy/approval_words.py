"""What a study will ask of a hospital, in the words that its officer reads before approving it."""

from collections.abc import Mapping
from datetime import date
from textwrap import wrap

from client.gate_rules.questions import questions_of
from client.queries import QUERIES
from client.site import FLOORS, Site
from common.privacy_plan import SHARES, is_private, times_of
from common.room import fewest_of, roster_hash
from common.study import Study
from deploy.privacy_words import budget_in_words
from deploy.study_words import study_in_words
from server.evaluation.harmonisation import EXCHANGES as JUDGING
from server.methods.combat import rounds_of
from server.methods.selection import EXCHANGES as SELECTION
from server.methods.stability import EXCHANGES as STABILITY

WITHOUT_HARMONISING = 30
"""Roll call, moments twice, quartiles 5, fit 8, evaluation 12, own copies, and a step or two of Newton's more."""
SPARE = 3
"""So many times the expected number are approved: a fit may take longer, and a lost hospital makes a second roster."""

REVEALS = (
    "What the coordinator and the other hospitals learn: totals over all hospitals, the finished model, and about "
    "this hospital what is listed under 'In clear'."
)
HIDES = (
    "What they do not learn: any patient's row, image, feature or prediction; this hospital's own sums, unless "
    "'Sums' above says so. Masks hide these in the total, unless all other hospitals put theirs together. "
    "Nothing hides what a total itself says about the patients as a group."
)


def expected_exchanges(study: Study) -> int:
    """About how many questions a run of the study asks."""
    if is_private(study):
        return 2 + sum(times_of(study, name) for name in SHARES)
    stable = study.features is not None and study.features.stability is not None
    harmonising = rounds_of(study) + JUDGING if study.harmonisation.method != "none" else 0
    regression = 3 if study.imputation.method == "regression" else 0
    choosing = SELECTION if study.selection is not None else 1 if study.predictors.radiomics else 0
    return WITHOUT_HARMONISING + choosing + harmonising + regression + STABILITY * stable


def most_queries(study: Study) -> int:
    """How many questions an approval allows."""
    return SPARE * expected_exchanges(study)


def approval_in_words(
    study: Study, site: Site, roster: Mapping[str, str], ethics: str, until: date | None
) -> list[tuple[str, str]]:
    """Everything that `hepafed site approve` shows: pairs of a heading and a text."""
    about = dict(study_in_words(study))
    seed = about.pop("Seed")
    return [
        ("Study", f"{study.study}{f': {study.title}' if study.title else ''}"),
        ("Hash", study.hash),
        *about.items(),
        ("Seed", seed),
        ("Questions", "\n".join(f"{name}: {QUERIES[name].leaves}" for name in questions_of(study))),
        (
            "Exchanges",
            f"about {expected_exchanges(study)}; {_most(study, site)} at most, then this hospital refuses",
        ),
        ("This hospital", _floors(site)),
        ("Reveals", REVEALS),
        ("Hides", HIDES),
        ("Ethics", _ethics(ethics, until)),
        ("Hospitals", _roster(roster, site.name)),
    ]


def _most(study: Study, site: Site) -> int:
    own = site.file.policy.maximum_queries
    return most_queries(study) if own is None else min(own, most_queries(study))


def _floors(site: Site) -> str:
    policy = site.file.policy
    alone = "allowed" if site.single_hospital_sums else "refused"
    lines = [f"sums that could be told to be its own: {alone} (site.yaml, policy: single_hospital_sums)"]
    for name, asked in FLOORS.items():
        value = getattr(policy, name)
        if value is not None and value != asked:
            lower = (
                f" (LOWER than {asked}: {policy.lower_floor_reason})"
                if value < asked
                else f" (raised from {asked})"
            )
            lines.append(f"{name.replace('_', ' ')}: {value}{lower}")
    lines += budget_in_words(site)
    if policy.allowed_queries is not None:
        lines.append(f"answers only: {', '.join(policy.allowed_queries)}")
    return "\n".join(lines)


def _ethics(number: str, until: date | None) -> str:
    said = number or "no number given"
    return f"{said}, until {until}: nothing is answered after that day" if until else f"{said}, no last day given"


def _roster(roster: Mapping[str, str], own: str) -> str:
    lines = [
        f"{name}{' (here)' if name == own else ''}: {' '.join(wrap(fingerprint, 4))}"
        for name, fingerprint in sorted(roster.items())
    ]
    return "\n".join(
        [
            *lines,
            "Compare these out of band, by telephone or on paper, with the people you know there: whoever holds "
            "another key is not that hospital, whatever a certificate says.",
            f"{fewest_of(roster)} of these {len(roster)} must take part. Hash of the roster: {roster_hash(roster)}",
        ]
    )
