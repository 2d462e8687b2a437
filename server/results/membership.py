"""The membership-inference audit, as results.json says it (docs/results.md describes every key)."""

from dataclasses import asdict
from typing import Any

from server.finished import Finished


def membership_of(finished: Finished) -> dict[str, Any] | None:
    """What the audit found; None for a study without one."""
    audited = finished.evaluated.audited
    if audited is None:
        return None
    return {
        "attack": audited.attack,
        "auc": asdict(audited.auc),
        "pairs": audited.pairs,
        "accused": {
            f"{accused.allowed:g}": {
                "rightly": asdict(accused.rightly),
                "wrongly": accused.wrongly,
                "members": accused.members,
            }
            for accused in audited.accused
        },
        "sentence": audited.sentence,
    }
