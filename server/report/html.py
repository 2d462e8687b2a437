"""report.html: one self-contained file made from results.json."""

from pathlib import Path
from typing import Any


def write_report(results: dict[str, Any], path: Path) -> None:
    """Write the report of a study."""
    path.write_text("<!doctype html><title>report</title>")
