"""What a secure sum costs, in time and bytes: 4, 20 and 100 hospitals, a thousand and a million values.

``python benchmarks/secure_sum.py`` takes about two minutes. All hospitals run in this process, one after the other, so
times are those of one hospital or of the coordinator, on one thread and without a network. "Lost" is as many
hospitals as may leave: their masks are restored from shares.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from common.secure_sum.agreement import Agreement, fingerprint_of
from common.secure_sum.fixed_point import magnitudes
from common.secure_sum.participant import Participant
from common.secure_sum.set_up import SetUp
from common.secure_sum.total import RoundTotal

ROUNDS = 32
FULL = ((4, 1000), (20, 1000), (100, 1000), (4, 1_000_000), (20, 1_000_000), (100, 1_000_000))
QUICK = ((4, 1000),)


@dataclass
class Measured:
    """Seconds by step, and bytes by message."""

    seconds: dict[str, float] = field(default_factory=dict)
    sent: dict[str, int] = field(default_factory=dict)
    largest_error: float = 0.0

    @contextmanager
    def timed(self, step: str, among: int = 1) -> Iterator[None]:
        """Add the seconds that a step takes, divided among so many."""
        began = time.perf_counter()
        yield
        self.seconds[step] = self.seconds.get(step, 0.0) + (time.perf_counter() - began) / among


def keep_nothing(part: str, content: bytes, /) -> None:
    """A store is not what is measured."""


def measure(many: int, values: int) -> Measured:
    """A set-up, a round of the whole roster, and a round with as many lost as may be."""
    measured = Measured()
    timed, sent = measured.timed, measured.sent
    identities = {f"hospital-{number:03}": Ed25519PrivateKey.generate() for number in range(many)}
    fingerprints = {name: fingerprint_of(identity.public_key()) for name, identity in identities.items()}
    agreement = Agreement("study", "run", fingerprints, ROUNDS)
    with timed("set up", many):
        hospitals = {name: Participant(name, i, agreement, keep_nothing) for name, i in identities.items()}
        keys = {name: hospital.announce() for name, hospital in hospitals.items()}
        deals = {name: hospital.deal(keys) for name, hospital in hospitals.items()}
    set_up = SetUp.from_messages(agreement, keys, deals)
    with timed("set up", many):
        for name, hospital in hospitals.items():
            hospital.receive(set_up.parcels_for(name))
    first = agreement.hospitals[0]
    sent["set-up, up"] = len(keys[first]) + len(deals[first])
    sent["set-up, down"] = sum(map(len, keys.values())) + sum(map(len, set_up.parcels_for(first).values()))
    for number, lost in ((1, 0), (2, many - agreement.threshold)):
        _measure_round(measured, set_up, hospitals, values, number, lost)
    return measured


def _measure_round(
    measured: Measured, set_up: SetUp, hospitals: dict[str, Participant], values: int, number: int, lost: int
) -> None:
    timed, sent, question = measured.timed, measured.sent, f"question {number}"
    survivors = set_up.agreement.hospitals[lost:]

    def answer(hospital: str) -> dict[str, np.ndarray]:
        return {"x": np.random.default_rng(set_up.agreement.point(hospital)).normal(size=values)}

    scales = magnitudes({"x": np.full(values, 100.0)}, {})
    total = RoundTotal(set_up, number, question, scales)
    exact, size = np.zeros(values), np.zeros(values)
    for hospital in survivors:
        arrays = answer(hospital)
        exact += arrays["x"]
        size += np.abs(arrays["x"])
        if lost == 0:
            with timed("mask", len(survivors)):
                packed = hospitals[hospital].mask(number, question, arrays, scales)
            with timed("add", len(survivors)):
                total.add(hospital, packed)
            sent["answer, up"] = len(packed)
        else:
            total.add(hospital, hospitals[hospital].mask(number, question, arrays, scales))
    acknowledged = (
        {h: hospitals[h].acknowledge(number, question, scales, survivors) for h in survivors} if lost else {}
    )
    with timed("reveal, lost" if lost else "reveal", len(survivors)):
        reveals = {h: hospitals[h].reveal(number, question, scales, survivors, acknowledged) for h in survivors}
    sent["reveal, up"] = len(reveals[survivors[0]])
    with timed("open, lost" if lost else "open"):
        opened = total.open(reveals)["x"]
    measured.largest_error = max(measured.largest_error, float(np.abs(opened - exact).max() / size.max()))


def main() -> None:
    """Print the table."""
    sizes = QUICK if "--quick" in sys.argv else FULL
    table = Table(title=f"secure sums: seconds, keys for {ROUNDS} rounds")
    steps = ("set up", "mask", "add", "reveal", "open", "reveal, lost", "open, lost")
    messages = ("set-up, up", "set-up, down", "answer, up", "reveal, up")
    for column in ("hospitals", "values", *steps, *(f"kB {message}" for message in messages), "error"):
        table.add_column(column, justify="right")
    for many, values in sizes:
        measured = measure(many, values)
        times = (f"{measured.seconds[step]:.3f}" if step in measured.seconds else "–" for step in steps)
        kilobytes = (f"{measured.sent[message] / 1000:,.1f}" for message in messages)
        table.add_row(str(many), f"{values:,}", *times, *kilobytes, f"{measured.largest_error:.0e}")
    console = Console(width=190)
    console.print(table)
    console.print("Without masks an answer is 8 bytes a value; the error is in shares of the largest Σ|x|.")


if __name__ == "__main__":
    main()
