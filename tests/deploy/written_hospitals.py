"""Reading synthetic hospitals back, for the tests of what they hold."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

Tables = dict[str, pd.DataFrame]


def sites(folder: Path) -> list[Path]:
    return sorted(site.parent for site in folder.glob("*/site.yaml"))


def tables(folder: Path, file: str) -> Tables:
    """The same file of every hospital, by hospital; `file` may be in truth/, with {} for the name."""
    name_of = (lambda s: folder / "truth" / file.format(s.name)) if "{}" in file else (lambda s: s / file)
    read = {site.name: pd.read_csv(name_of(site), dtype={"bclc": str}, index_col="id") for site in sites(folder)}
    assert read
    return read


def truth(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "truth" / "truth.json").read_text("utf-8"))
    return content
