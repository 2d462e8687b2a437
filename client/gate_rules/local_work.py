"""A network's update must be the work of an epoch or of ten steps: that of one batch would show its few patients."""

from client.rows import Rows
from common.dimension import times_allowed
from common.errors import Code, HospitalError
from common.networks.settings import FEWEST_STEPS


def check_local_work(rows: Rows, smallest: int) -> None:
    """Refuse a study whose hospitals would answer after less, or in more rounds than a third of the patients.

    Parameters
    ----------
    smallest
        Patients in the smallest row set: said at the first round, not at the first one too many.
    """
    query, settings = rows.query, rows.study.network
    if query.name != "train_network" or settings is None:
        return
    if settings.rounds > (most := max(1, times_allowed(smallest))):
        raise HospitalError(
            Code.MANY_QUERIES,
            f"query {query.name!r}: {settings.rounds} rounds over {smallest} patients; a third of them are allowed: "
            f"set network.rounds to {most} or fewer, with more local_epochs",
        )
    if settings.local_steps is None or settings.local_steps >= FEWEST_STEPS:
        return
    survival = rows.study.outcome.kind == "survival"
    for split, chosen in rows.chosen():
        patients = int(chosen.sum())
        if patients and settings.local_steps * settings.batch(patients, survival) < patients:
            raise HospitalError(
                Code.LITTLE_WORK,
                f"query {query.name!r}: {settings.local_steps} steps of {settings.batch(patients, survival)} patients "
                f"in {split}, which has {patients} here: less than an epoch and than {FEWEST_STEPS} steps",
            )
