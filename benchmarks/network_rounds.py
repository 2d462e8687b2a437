"""A round of a network of ten million weights at four hospitals: seconds and memory, masked, unmasked, and bare Flower.

Two networks: over columns (two wide layers, ten steps a round: the least that a gate lets through, and where a step
is cheapest), and over images (residual, three-dimensional, an epoch over patches of 16³ voxels). Every part runs in a
process of its own on the same grid in one process. Ours: real stores, gates in the lower profile, answers kept and
noted in the ledger, totals kept in the checkpoint. Flower: its own strategy FedAvg as it comes, which trains and then
evaluates, and a ClientApp that makes the same steps and works out the same loss; and the same with training alone. In
both, nothing is kept, checked or masked.

Seconds of the clock depend on what else the machine does; seconds of processors, over all threads, hardly.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
import typer
from planted_ring import write_images

if TYPE_CHECKING:
    from torch import nn

    from common.study import Study

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
HOSPITALS = ("alder", "birch", "cedar", "dogwood")
PATIENTS = 40
COLUMNS = 8
EDGE = 16
"""Voxels of a patch along each axis."""
Kind = Literal["columns", "images"]
PARTS = {
    "flower": "Flower's FedAvg",
    "training": "Flower's FedAvg, training alone",
    "unmasked": "Hepafed without masks",
    "masked": "Hepafed with secure sums",
}


def study_of(kind: Kind, weights: int, rounds: int, steps: int, masked: bool) -> "Study":
    """What all parts train; images: an epoch in batches of eight, whatever `steps` says."""
    from common.study import Study

    width = max(4, int(np.sqrt(weights)))
    network: dict[str, Any] = {"rounds": rounds, "precision": "single", "local_steps": steps, "batch_size": "all"}
    network |= {"hidden": [width, width], "normalisation": "none"}
    content: dict[str, Any] = {}
    if kind == "images":
        widest = max(8, int(256 * np.sqrt(weights / 1e7)) // 32 * 32)
        channels = [widest // 8, widest // 4, widest // 2, widest]
        network = {"rounds": rounds, "precision": "single", "batch_size": 8, "architecture": "fusion"}
        network |= {"image": {"channels": channels, "blocks": 2}}
        phases = {"portal": {"modality": "CT"}}
        content["patches"] = {"phases": phases, "size": [EDGE] * 3, "spacing_mm": 2.0, "augmentation": None}
        content["patches"] |= {"ring_rules": {"clip_to_liver": False, "lowest_hu": None}}
    content |= {
        "study": "rounds",
        "outcome": {"kind": "binary", "column": "outcome"},
        "predictors": {"clinical": [f"x{j}" for j in range(COLUMNS)]},
        "model": {"kind": "network"},
        "network": network,
        "validation": {"folds": 0, "leave_one_hospital_out": False},
        "privacy": {"secure_sum": masked},
    }
    return Study.from_content(content, "benchmark")


def write_hospitals(folder: Path, kind: Kind) -> None:
    """Tables of noise, and images where they are asked for."""
    rng = np.random.default_rng(1)
    for name in HOSPITALS:
        (folder / name).mkdir(parents=True)
        x = rng.normal(size=(PATIENTS, COLUMNS))
        y = (x[:, 0] + rng.normal(size=PATIENTS) > 0).astype(int)
        lines = ["id," + ",".join(f"x{j}" for j in range(COLUMNS)) + ",outcome"]
        lines += [
            f"P{k}," + ",".join(f"{v:.6f}" for v in row) + f",{o}"
            for k, (row, o) in enumerate(zip(x, y, strict=True))
        ]
        (folder / name / "patients.csv").write_text("\n".join(lines) + "\n")
        for k in range(PATIENTS if kind == "images" else 0):
            write_images(folder / name / "images" / f"P{k}", x[k, 0], 10.0, 0.0, rng)


class Unseen:
    """Nobody watches the work on images."""

    def watch(self, done: object, patient: str | None) -> None:
        """Nothing."""


def ours(study: "Study", kind: Kind) -> dict[str, float]:
    """A round of ours, from the second on."""
    from common.room import Room
    from deploy.simulation.grid import OneProcessGrid
    from deploy.simulation.imaging import work_on_images
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
        write_hospitals(out / "hospitals", kind)
        simulation = Simulation(study, find_hospitals(out / "hospitals"), out / "out")
        for _ in work_on_images(simulation, lambda _: nullcontext(Unseen())):
            pass
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


def network_of(study: "Study") -> "nn.Module":
    """The same network, as PyTorch draws it."""
    from common.networks.build import build

    return build(study, COLUMNS)


def patients_of(study: "Study") -> Any:
    """As many patients as a hospital of ours has: rows and outcomes."""
    import torch

    from common.networks.packing import packed_width

    x = torch.randn(PATIENTS, COLUMNS + packed_width(study))
    x[:, COLUMNS : COLUMNS + 1] = 1.0  # who has an image
    return x, (x[:, 0] > 0).float()


def train_here(own: "nn.Module", study: "Study") -> None:
    """As many steps, on batches of the same size."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    (x, y), settings = patients_of(study), study.network
    assert settings is not None
    size, optimiser = settings.batch(PATIENTS, survival=False), torch.optim.SGD(own.parameters(), lr=0.05)
    for step in range(settings.steps(PATIENTS, survival=False)):
        first = step * size % PATIENTS
        optimiser.zero_grad()
        binary_cross_entropy_with_logits(own(x[first : first + size])[:, 0], y[first : first + size]).backward()
        optimiser.step()


def loss_here(own: "nn.Module", study: "Study") -> float:
    """The loss of the same patients at the weights that were sent."""
    import torch

    x, y = patients_of(study)
    with torch.no_grad():
        lines = torch.cat([own(part)[:, 0] for part in x.split(32)])
        return float(torch.nn.functional.binary_cross_entropy_with_logits(lines, y))


def flower(study: "Study", rounds: int, evaluates: bool) -> dict[str, float]:
    """The same steps and size by Flower's own strategy."""
    from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
    from flwr.clientapp import ClientApp
    from flwr.serverapp.strategy import FedAvg
    from threadpoolctl import threadpool_limits

    from deploy.simulation.grid import OneProcessGrid

    class PassingArrays(OneProcessGrid):
        def _deliver(self, message: Message) -> Message:
            with threadpool_limits(limits=1):
                return self._app(message, self._contexts[message.metadata.dst_node_id])

    app = ClientApp()

    def sent(message: Message) -> "nn.Module":
        own = network_of(study)
        own.load_state_dict(message.content["arrays"].to_torch_state_dict())
        return own

    @app.train()
    def train(message: Message, _: Context) -> Message:
        own = sent(message)
        train_here(own, study)
        answer = {"arrays": ArrayRecord(own.state_dict()), "metrics": MetricRecord({"num-examples": PATIENTS})}
        return Message(RecordDict(answer), reply_to=message)

    @app.evaluate()
    def evaluate(message: Message, _: Context) -> Message:
        found = MetricRecord({"loss": loss_here(sent(message), study), "num-examples": PATIENTS})
        return Message(RecordDict({"metrics": found}), reply_to=message)

    class Timed(FedAvg):
        def configure_train(self, *asked: Any, **also: Any) -> Any:
            times.append(now())
            return super().configure_train(*asked, **also)

    grid, times = PassingArrays(app, HOSPITALS), list[Moment]()
    Timed(fraction_evaluate=1.0 if evaluates else 0.0).start(
        grid=grid, initial_arrays=ArrayRecord(network_of(study).state_dict()), num_rounds=rounds
    )
    times.append(now())
    grid.close()
    return _measured(times[1:])


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
    rounds: Annotated[int, typer.Option(help="Of which the first is not counted.")] = 5,
    steps: Annotated[int, typer.Option(help="Over columns: of training in a hospital between two answers.")] = 10,
    kind: Annotated[str, typer.Option(help="columns or images; left out: both.")] = "",
    part: Annotated[
        str, typer.Option(help="flower, training, unmasked or masked; left out: all, each in its own process.")
    ] = "",
) -> None:
    """Time all and print a table."""
    kinds: tuple[Kind, ...] = tuple(k for k in ("columns", "images") if kind in ("", k))
    if part:
        study = study_of(kinds[0], weights, rounds, steps, part == "masked")
        bare = part in ("flower", "training")
        typer.echo(json.dumps(flower(study, rounds, part == "flower") if bare else ours(study, kinds[0])))
        return
    for chosen in kinds:
        results: dict[str, Any] = {}
        typer.echo(f"a network over {chosen}")
        for name in PARTS:
            asked = [sys.executable, __file__, "--weights", str(weights), "--rounds", str(rounds), "--part", name]
            asked += ["--steps", str(steps), "--kind", chosen]
            said = subprocess.run(asked, check=True, capture_output=True, text=True, cwd=ROOT).stdout
            results[name] = json.loads(said.strip().splitlines()[-1])
            of = [f"{results[name][what] / results['flower'][what]:.2f}" for what in ("seconds", "processors")]
            typer.echo(
                f"  {PARTS[name]}: {results[name]['seconds']:.1f} s a round ({of[0]} of Flower's FedAvg), "
                f"{results[name]['processors']:.1f} s of processors ({of[1]}), "
                f"{results[name]['gigabytes']:.1f} GB at peak"
            )


if __name__ == "__main__":
    typer.run(main)
