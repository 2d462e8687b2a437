"""A conversation up to the choice of features, with hospitals in memory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from client.app import build
from client.folds import Folds
from common.room import Room
from common.study import Study
from deploy.simulation.grid import OneProcessGrid
from deploy.simulation.simulate import Simulation, find_hospitals, hospitals_app
from server.checkpoint import Checkpoint
from server.federation import FlowerFederation
from server.hospitals import Hospitals
from server.methods.pipeline import Prepared, prepare
from server.methods.selection import Selected, select_columns
from server.progress import Silence
from server.roll_call import roll_call
from tests.approved import approve_everywhere
from tests.hospitals_on_disk import write_hospitals

SIZES = {"alder": 22, "birch": 28, "cedar": 31, "dogwood": 39}


@dataclass
class Conversation:
    """A prepared study over hospital folders, the pooled table beside it."""

    study: Study
    table: pd.DataFrame
    federation: FlowerFederation
    prepared: Prepared
    room: Room

    def training(self, split: str) -> pd.DataFrame:
        """The features that a split trains on, of all hospitals, standardised."""
        rows = self.rows(split)[list(self.prepared.columns)]
        return (rows - rows.mean()) / rows.std(ddof=0)

    def outcome(self, split: str) -> np.ndarray:
        return self.rows(split)["mvi"].to_numpy()

    def rows(self, split: str) -> pd.DataFrame:
        """The patients that a split trains on."""
        kept = []
        for name, own in self.table.sort_values("id").groupby("hospital"):
            dealt = Folds(
                own["mvi"].to_numpy(float), self.study.validation.folds, self.study.seed, str(name), "", 0
            )
            if split.startswith("leave_one_hospital_out/"):
                chosen = np.full(len(own), not split.endswith(f"/{name}"))
            else:
                chosen = dealt.training(split)
            kept.append(own[chosen])
        return pd.concat(kept)

    def selected(self, **selection: Any) -> Selected:
        """What the study would choose with other settings."""
        content = self.study.model_dump(mode="json", exclude_unset=True) | {"selection": selection}
        other = Study.from_content(content, "test study")
        return select_columns(self.federation, other, self.prepared, self.room, len(self.prepared.columns))


def converse(
    folder: Path, table: pd.DataFrame, study: Study, *, outcome: tuple[str, ...] = ("mvi",), approved: bool = False
) -> Conversation:
    features = [c for c in table.columns if c not in ("id", "hospital", *outcome)]
    sites = write_hospitals(folder / "sites", table, [*outcome], features)
    found = find_hospitals(sites)
    if approved:
        for name in found:
            (sites / name / "site.yaml").write_text("policy: {single_hospital_sums: true}\n")
        there, names = approve_everywhere(study, found), list(found)
        app = build(lambda context: there[names[int(context.node_config["partition-id"])]])
    else:
        app = hospitals_app(Simulation(study, found, folder / "out"))
    grid = OneProcessGrid(app, list(found))
    hospitals = Hospitals(grid, 60, Silence())
    present = roll_call(hospitals, study, None)
    (folder / "out").mkdir(exist_ok=True)
    federation = FlowerFederation(
        hospitals, study, present.roster, Checkpoint(folder / "out" / "kept.sqlite"), Silence()
    )
    prepared = prepare(federation, study, present.features)
    return Conversation(study, table, federation, prepared, Room.of(present.disclosed))
