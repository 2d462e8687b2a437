"""What a study with differential privacy may still spend: its own ε, and this hospital's over all studies.

Every new question is paid for before it is answered, also where its answer then fails or is lost; the same question
again gets the kept answer and costs nothing. Costs are μ² (common/privacy_plan.py) and add up.
"""

from collections.abc import Callable, Sequence

from client.gate_rules.memory import Memory
from client.gate_rules.questions import questions_of
from client.rows import Rows
from client.site import Policy, Site
from common.errors import Code, HospitalError
from common.privacy_plan import SHARES, cost_of, epsilon_of, is_private, squared_budget
from common.query import canonical_json
from common.study import Study

ROUNDING = 1 + 1e-9


def spend_budget(rows: Rows, memory: Memory) -> dict[str, float]:
    """Pay for a question of a private study; HospitalError where the budget is spent, or it carries no noise.

    Returns
    -------
    The share of the study's budget that is spent now, for the ledger.
    """
    study, query = rows.study, rows.query
    if not is_private(study):
        if query.name in SHARES:
            raise HospitalError(Code.NOT_ALLOWED, f"query {query.name!r}: the study has no privacy.differential")
        return {}
    if query.name not in questions_of(study):
        raise HospitalError(
            Code.NOT_ALLOWED,
            f"query {query.name!r}: a study with privacy.differential asks only what carries noise",
        )
    if query.name not in SHARES or query.parameters.get("noise") is False:  # without noise: client/noise.py
        return {}
    roster = canonical_json(sorted(query.roster))
    judge = judge_of(study, rows.site.file.policy)
    spent = memory.spend(query, roster, cost_of(study, query.name), rows.cohort.ids, judge)
    return {"privacy budget spent": round(spent / squared_budget(study), 4)}


def check_budget(site: Site, memory: Memory, study: Study, patients: Sequence[str]) -> None:
    """Refuse a study, before it begins, whose whole ε these patients no longer have at this hospital."""
    if is_private(study):
        own = squared_budget(study)
        judge_of(study, site.file.policy)(own, own + memory.spent_elsewhere(study.hash, patients))


def judge_of(study: Study, policy: Policy) -> Callable[[float, float], None]:
    """A judge of what a study, and all studies on one patient, would have spent with one question more."""
    allowed = squared_budget(study)

    def judge(own: float, on_a_patient: float) -> None:
        if own > allowed * ROUNDING:
            raise HospitalError(
                Code.BUDGET_SPENT,
                f"{study.study}: its answers would have spent {own / allowed:.0%} of the ε that was approved "
                "(privacy.differential). A question was asked in another form, or under another roster, after the "
                "study had used its budget up",
            )
        if policy.epsilon is None:
            return
        spent = epsilon_of(on_a_patient, policy.delta)
        if spent > policy.epsilon * ROUNDING:
            raise HospitalError(
                Code.BUDGET_SPENT,
                f"{study.study}: with it, studies with differential privacy would have spent ε = "
                f"{spent:.3g} at δ = {policy.delta:g} on a patient of its cohort; this hospital allows "
                f"{policy.epsilon:g} (policy: epsilon)",
            )

    return judge
