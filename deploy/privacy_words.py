"""A study's privacy budget in plain words, as an officer reads it before approving."""

from math import exp, sqrt

from scipy.stats import norm

from client.site import Site
from common.privacy_plan import SHARES, squared_budget, times_of
from common.study import Study

FALSE_ALARMS = 0.05


def privacy_in_words(study: Study) -> list[tuple[str, str]]:
    """A heading and a text for a study with differential privacy; nothing for any other."""
    private = study.privacy.differential
    if private is None:
        return []
    asked = sum(times_of(study, name) for name in SHARES)
    caught = float(norm.cdf(norm.ppf(FALSE_ALARMS) + sqrt(squared_budget(study))))
    forced = " It runs although the noise may make it pointless (force: true)." if private.force else ""
    return [
        (
            "Privacy",
            f"differential privacy, ε = {private.epsilon:g}, δ = {private.delta:g}, for every patient and all "
            f"{asked} questions together: noise is added to every sum here before it leaves. Whether a patient's "
            "record was used changes the odds of anything that is released at most "
            f"{exp(private.epsilon):.3g} times (but for a chance of {private.delta:g}). Somebody who knows all other "
            "patients and suspects one person wrongly in "
            f"{FALSE_ALARMS:.0%} of cases is right in at most {caught:.0%}.{forced}",
        )
    ]


def budget_in_words(site: Site) -> list[str]:
    """What this hospital allows all such studies together; nothing where it leaves that to each approval."""
    policy = site.file.policy
    if policy.epsilon is None:
        return []
    return [
        f"privacy budget of a patient over all studies with differential privacy: ε = {policy.epsilon:g} at δ = "
        f"{policy.delta:g} (policy: epsilon, delta)"
    ]
