"""Files that a hospital keeps for itself: whole or not at all, readable by their owner alone."""

import csv
from collections.abc import Iterable
from pathlib import Path

from common.whole_files import whole


def write_csv(path: Path, header: list[str], lines: Iterable[list[object]]) -> None:
    """A csv file that is there whole or not at all, and that nobody else can read at any moment."""
    with whole(path) as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows(lines)


def write_text(path: Path, text: str) -> None:
    """A text file, as `write_csv` writes one."""
    with whole(path) as file:
        file.write(text)
