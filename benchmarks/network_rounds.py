"""A round of a network of ten million weights at four hospitals: seconds and memory, masked, unmasked, and bare Flower.

Every part runs in a process of its own on the same grid in one process. Ours: real stores, gates in the lower profile,
answers kept and noted in the ledger, totals kept in the checkpoint; local training is one step on a few patients, so
that what is timed is the conversation (--steps: more). Flower: its own strategy FedAvg, and a ClientApp that makes the
same steps. Loop: a ClientApp that takes weights as float32 in a ConfigRecord, makes the same steps and sends them back,
and a loop that averages. In both, nothing is kept, checked or masked.

Seconds of the clock depend on what else the machine does; seconds of processors, over all threads, hardly.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

if TYPE_CHECKING:
    from torch import nn

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
HOSPITALS = ("alder", "birch", "cedar", "dogwood")
PATIENTS = 40
COLUMNS = 8
PARTS = {
    "flower": "Flower's FedAvg",
    "loop": "a loop over Flower's messages",
    "unmasked": "Hepafed without masks",
    "masked": "Hepafed with secure sums",
}


def hidden(weights: int) -> list[int]:
    """Two hidden layers of about so many weights."""
    width = max(4, int(np.sqrt(weights)))
    return [width, width]


def ours(weights: int, rounds: int, steps: int, masked: bool) -> dict[str, float]:
    """A round of ours, from the second on."""
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
                    "local_steps": steps,
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
        times: list[Moment] = []
        said = network._say
        network._say = lambda *told: times.append(now())  # type: ignore[assignment]
        network.fit_networks(federation, study, prepared, prepared.used, room, Silence())
        network._say = said
        grid.close()
        checkpoint.close()
    return _measured(times)


def module_of(weights: int) -> "nn.Module":
    """The same network in plain PyTorch."""
    from torch import nn

    width = hidden(weights)[0]
    return nn.Sequential(
        nn.Linear(COLUMNS, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 1)
    )


def train_here(own: "nn.Module", steps: int) -> None:
    """Steps on as many patients as a hospital of ours has."""
    import torch

    x = torch.randn(PATIENTS, COLUMNS)
    for _ in range(steps):
        own.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(own(x)[:, 0], (x[:, 0] > 0).float()).backward()
        with torch.no_grad():
            for parameter in own.parameters():
                parameter -= 0.05 * parameter.grad


def flower(weights: int, rounds: int, steps: int) -> dict[str, float]:
    """The same step and size by Flower's own strategy."""
    from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.serverapp.strategy import FedAvg

    from deploy.simulation.grid import OneProcessGrid

    class PassingArrays(OneProcessGrid):
        def _deliver(self, message: Message) -> Message:
            return self._app(message, self._contexts[message.metadata.dst_node_id])

    app = ClientApp()

    @app.train()
    def train(message: Message, _: Context) -> Message:
        own = module_of(weights)
        own.load_state_dict(message.content["arrays"].to_torch_state_dict())
        train_here(own, steps)
        answer = {"arrays": ArrayRecord(own.state_dict()), "metrics": MetricRecord({"num-examples": PATIENTS})}
        return Message(RecordDict(answer), reply_to=message)

    grid, times = PassingArrays(app, HOSPITALS), list[Moment]()
    FedAvg(fraction_evaluate=0.0).start(
        grid=grid,
        initial_arrays=ArrayRecord(module_of(weights).state_dict()),
        num_rounds=rounds,
        evaluate_fn=lambda number, _: times.append(now()) if number else None,
    )
    grid.close()
    return _measured(times)


def loop(weights: int, rounds: int, steps: int) -> dict[str, float]:
    """The same step and size by Flower's records alone."""
    import torch
    from flwr.app import ConfigRecord, Context, Message, RecordDict
    from flwr.clientapp import ClientApp
    from torch import nn

    from deploy.simulation.grid import OneProcessGrid

    def record(own: nn.Module) -> RecordDict:
        return RecordDict(
            {"weights": ConfigRecord({n: p.detach().numpy().tobytes() for n, p in own.named_parameters()})}
        )

    def filled(content: RecordDict) -> nn.Module:
        own = module_of(weights)
        with torch.no_grad():
            for name, parameter in own.named_parameters():
                packed = bytearray(content.config_records["weights"][name])  # type: ignore[arg-type]
                parameter.copy_(torch.frombuffer(packed, dtype=torch.float32).reshape(parameter.shape))
        return own

    app = ClientApp()

    @app.query("ask")
    def ask(message: Message, _: Context) -> Message:
        own = filled(message.content)
        train_here(own, steps)
        return Message(record(own), reply_to=message)

    grid, current = OneProcessGrid(app, HOSPITALS), module_of(weights)
    times = []
    for _ in range(rounds):
        messages = [Message(record(current), node, "query.ask") for node in grid.get_node_ids()]
        found = [dict(filled(reply.content).named_parameters()) for reply in grid.send_and_receive(messages)]
        with torch.no_grad():
            for name, parameter in current.named_parameters():
                parameter.copy_(sum(one[name] for one in found) / len(found))
        times.append(now())
    grid.close()
    return _measured(times)


Moment = tuple[float, float]
"""Seconds of the clock and of the processors."""


def now() -> Moment:
    """This moment."""
    return time.monotonic(), time.process_time()


def _measured(times: list[Moment]) -> dict[str, float]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    seconds, processors = np.median(np.diff(np.array(times), axis=0), axis=0)
    return {"seconds": float(seconds), "processors": float(processors), "gigabytes": peak}


def main(
    weights: Annotated[int, typer.Option(help="Of the network, about.")] = 10_000_000,
    rounds: Annotated[int, typer.Option(help="Of which the first is not counted.")] = 4,
    steps: Annotated[int, typer.Option(help="Of training in a hospital between two answers.")] = 1,
    part: Annotated[
        str, typer.Option(help="loop, flower, unmasked or masked; left out: all, each in its own process.")
    ] = "",
) -> None:
    """Time all four and print a table."""
    bare = {"loop": loop, "flower": flower}
    if part:
        found = (
            bare[part](weights, rounds, steps) if part in bare else ours(weights, rounds, steps, part == "masked")
        )
        typer.echo(json.dumps(found))
        return
    results: dict[str, Any] = {}
    for name in PARTS:
        asked = [sys.executable, __file__, "--weights", str(weights), "--rounds", str(rounds), "--part", name]
        asked += ["--steps", str(steps)]
        said = subprocess.run(asked, check=True, capture_output=True, text=True, cwd=ROOT).stdout
        results[name] = json.loads(said.strip().splitlines()[-1])
        of = [f"{results[name][what] / results['flower'][what]:.2f}" for what in ("seconds", "processors")]
        typer.echo(
            f"{PARTS[name]}: {results[name]['seconds']:.1f} s a round ({of[0]} of Flower's FedAvg), "
            f"{results[name]['processors']:.1f} s of processors ({of[1]}), {results[name]['gigabytes']:.1f} GB at peak"
        )


if __name__ == "__main__":
    typer.run(main)
