"""How a private query's sums leave this hospital: with its share of the noise, or not at all."""

from client.noise import Release
from client.rows import Rows
from common.errors import Code, HospitalError
from common.privacy_plan import share_of_noise


def release_of(rows: Rows, sigma: float, noise: bool) -> Release:
    """A release of which the total has noise σ; HospitalError where it would have none and must have some."""
    if not noise and not rows.site.lower_profile:
        raise HospitalError(Code.NOT_ALLOWED, f"query {rows.query.name!r}: noise is left out in simulations alone")
    return Release.of(sigma, share_of_noise(rows.query.roster), silent=not noise)
