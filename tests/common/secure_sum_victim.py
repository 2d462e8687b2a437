"""Four hospitals and the one that attacks are after."""

from common.secure_sum.set_up import SetUp
from tests.common.secure_sum_run import (
    Run,
    names,
    scales_for,
    started,
    whole_numbers,
)

FOUR = names(4)
VICTIM = FOUR[0]
WITHOUT_VICTIM = FOUR[1:]
ANSWERS = whole_numbers(FOUR)
SCALES = scales_for(ANSWERS)


def masked_round(rounds: int = 2) -> tuple[Run, SetUp, dict[str, bytes]]:
    run, set_up = started(4, rounds)
    return run, set_up, run.mask(ANSWERS, SCALES)
