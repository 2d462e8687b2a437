"""A round of a network of ten million weights at four hospitals: seconds and memory, masked, unmasked, and bare Flower.

Every part runs in a process of its own on the same grid in one process. Ours: real stores, gates in the lower profile,
answers kept and noted in the ledger, totals kept in the checkpoint; local training is one step on a few patients, so
that what is timed is the conversation. Bare: a ClientApp that takes weights as float32 in a ConfigRecord, makes the
same step and sends them back, and a loop that averages; nothing is kept, checked or masked.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
HOSPITALS = ("alder", "birch", "cedar", "dogwood")
PATIENTS = 40
COLUMNS = 8


def hidden(weights: int) -> list[int]:
    """Two hidden layers of about so many weights."""
    width = max(4, int(np.sqrt(weights)))
    return [width, width]


def ours(weights: int, rounds: int, masked: bool) -> dict[str, float]:
    """Seconds a round, from the second on."""
    from common.room import Room
    from common.study import Study
    from deploy.simulation.grid import OneProcessGrid
    from deploy.simulation.simulate import Simulation, find_hospitals, hospitals_app
    from server.checkpoint import Checkpoint
    from server.federation import FlowerFederation
    from server.hospitals import Hospitals
    from server.methods import network
    from server.methods.pipeline import prepare
    from server.progress import Silence
    from server.roll_call import roll_call

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        rng = np.random.default_rng(1)
        for name in HOSPITALS:
            (out / "hospitals" / name).mkdir(parents=True)
            x = rng.normal(size=(PATIENTS, COLUMNS))
            y = (x[:, 0] + rng.normal(size=PATIENTS) > 0).astype(int)
            lines = ["id," + ",".join(f"x{j}" for j in range(COLUMNS)) + ",outcome"]
            lines += [
                f"P{k}," + ",".join(f"{v:.6f}" for v in row) + f",{o}"
                for k, (row, o) in enumerate(zip(x, y, strict=True))
            ]
            (out / "hospitals" / name / "patients.csv").write_text("\n".join(lines) + "\n")
        study = Study.from_content(
            {
                "study": "rounds",
                "outcome": {"kind": "binary", "column": "outcome"},
                "predictors": {"clinical": [f"x{j}" for j in range(COLUMNS)]},
                "model": {"kind": "network"},
                "network": {
                    "hidden": hidden(weights),
                    "normalisation": "none",
                    "rounds": rounds,
                    "local_steps": 1,
                    "batch_size": "all",
                    "precision": "single",
                },
                "validation": {"folds": 0, "leave_one_hospital_out": False},
                "privacy": {"secure_sum": masked},
            },
            "benchmark",
        )
        simulation = Simulation(study, find_hospitals(out / "hospitals"), out / "out")
        grid, checkpoint = OneProcessGrid(hospitals_app(simulation), HOSPITALS), Checkpoint(out / "checkpoint")
        checkpoint.begin(study)
        there = Hospitals(grid, 600.0, Silence())
        present = roll_call(there, study, None)
        federation = FlowerFederation(there, study, present.roster, checkpoint, Silence())
        prepared = prepare(federation, study, present.features, frozenset())
        room = Room.of({name: present.disclosed[name] for name in federation.roster})
        times: list[float] = []
        said = network._say
        network._say = lambda *told: times.append(time.monotonic())  # type: ignore[assignment]
        network.fit_networks(federation, study, prepared, prepared.used, room, Silence())
        network._say = said
        grid.close()
        checkpoint.close()
    return _measured(times)


def bare(weights: int, rounds: int) -> dict[str, float]:
    """The same step and size by Flower's records alone."""
    import torch
    from flwr.app import ConfigRecord, Context, Message, RecordDict
    from flwr.clientapp import ClientApp
    from torch import nn

    from deploy.simulation.grid import OneProcessGrid

    width = hidden(weights)[0]

    def module() -> nn.Module:
        return nn.Sequential(
            nn.Linear(COLUMNS, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)
        )

    def record(own: nn.Module) -> RecordDict:
        return RecordDict(
            {"weights": ConfigRecord({n: p.detach().numpy().tobytes() for n, p in own.named_parameters()})}
        )

    def filled(content: RecordDict) -> nn.Module:
        own = module()
        with torch.no_grad():
            for name, parameter in own.named_parameters():
                packed = bytearray(content.config_records["weights"][name])  # type: ignore[arg-type]
                parameter.copy_(torch.frombuffer(packed, dtype=torch.float32).reshape(parameter.shape))
        return own

    app = ClientApp()

    @app.query("ask")
    def ask(message: Message, _: Context) -> Message:
        own = filled(message.content)
        x = torch.randn(PATIENTS, COLUMNS)
        nn.functional.binary_cross_entropy_with_logits(own(x)[:, 0], (x[:, 0] > 0).float()).backward()
        with torch.no_grad():
            for parameter in own.parameters():
                parameter -= 0.05 * parameter.grad
        return Message(record(own), reply_to=message)

    grid, current = OneProcessGrid(app, HOSPITALS), module()
    times = []
    for _ in range(rounds):
        messages = [Message(record(current), node, "query.ask") for node in grid.get_node_ids()]
        found = [dict(filled(reply.content).named_parameters()) for reply in grid.send_and_receive(messages)]
        with torch.no_grad():
            for name, parameter in current.named_parameters():
                parameter.copy_(sum(one[name] for one in found) / len(found))
        times.append(time.monotonic())
    grid.close()
    return _measured(times)


def _measured(times: list[float]) -> dict[str, float]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds": float(np.median(np.diff(times))), "gigabytes": peak}


def main(
    weights: Annotated[int, typer.Option(help="Of the network, about.")] = 10_000_000,
    rounds: Annotated[int, typer.Option(help="Of which the first is not counted.")] = 3,
    part: Annotated[
        str, typer.Option(help="bare, unmasked or masked; left out: all, each in its own process.")
    ] = "",
) -> None:
    """Time all three and print a table."""
    if part:
        found = bare(weights, rounds) if part == "bare" else ours(weights, rounds, part == "masked")
        typer.echo(json.dumps(found))
        return
    results: dict[str, Any] = {}
    for name in ("bare", "unmasked", "masked"):
        asked = [sys.executable, __file__, "--weights", str(weights), "--rounds", str(rounds), "--part", name]
        said = subprocess.run(asked, check=True, capture_output=True, text=True, cwd=ROOT).stdout
        results[name] = json.loads(said.strip().splitlines()[-1])
        typer.echo(
            f"{name}: {results[name]['seconds']:.1f} s a round, {results[name]['gigabytes']:.1f} GB at peak"
        )


if __name__ == "__main__":
    typer.run(main)
