"""What the report says of a network: its shape, how it was trained, and the curve of its loss."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from common.networks.image_settings import ImageSettings
from common.splits import FINAL
from common.study import Study
from server.report.drawing import BLUE, FAINT, GREY, ORANGE, SOFT, Drawing, Scale
from server.report.network_findings import Findings, findings
from server.report.numerals import fixed

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 560, 330, 60, 545, 12, 260
_LEGEND_ROW = 18

STRATEGIES: Mapping[str, str] = {
    "fedavg": "FedAvg: the mean of the hospitals' weights, by their patients",
    "fedprox": "FedProx: FedAvg, with a pull of every hospital towards the weights that it was sent",
    "fedadam": "FedAdam: Adam on the hospitals' mean update",
    "fedyogi": "FedYogi: Yogi on the hospitals' mean update",
    "scaffold": "SCAFFOLD: FedAvg, with control variates against the hospitals' drift",
    "fedbn": "FedBN: FedAvg, with batch normalisation of every hospital's own",
}


@dataclass(frozen=True)
class Section:
    """The network in words, and its curves."""

    shape: str
    weights: int
    rounds: int
    asked: int
    strategy: str
    chosen: int
    stopped: bool
    least: int
    most: int
    figure: Markup | None
    personal: bool
    findings: Findings


def section(study: Study, results: Mapping[str, Any]) -> Section | None:
    """None where the model is no network."""
    found = results.get("network")
    if found is None:
        return None
    settings, trained = found["settings"], found["trained"].values()
    return Section(
        shape=_shape(found),
        weights=found["weights"],
        rounds=found["rounds"],
        asked=settings["rounds"],
        strategy=STRATEGIES[settings["strategy"]],
        chosen=found["curves"][""][FINAL]["chosen"],
        stopped=settings["early_stopping"] is not None,
        least=min(trained, default=0),
        most=max(trained, default=0),
        figure=draw_curves(found),
        personal=settings["personal"] is not None,
        findings=findings(study, found),
    )


def _shape(found: Mapping[str, Any]) -> str:
    """What the network is made of, in words."""
    settings, heads = found["settings"], "two heads" if found["also"] else "output"
    if settings["architecture"] == "mlp":
        layers = " → ".join(map(str, [found["inputs"], *settings["hidden"]]))
        return (
            f"{layers} → {heads} ({settings['activation']}, {settings['normalisation']} normalisation, dropout "
            f"{settings['dropout']:g})"
        )
    image = ImageSettings.model_validate(settings["image"] or {})
    encoder = image.encoder if settings["architecture"] == "fusion" else settings["architecture"]
    kind = {"cnn3d": "residual convolutions in three dimensions", "mil25d": "slices weighed by attention"}[encoder]
    channels = " → ".join(map(str, image.channels))
    if settings["architecture"] == "fusion":
        return f"{kind} ({channels} channels) fused with {found['inputs']} columns, {heads},"
    return f"{kind} ({channels} channels) → {heads},"


def draw_curves(found: Mapping[str, Any]) -> Markup | None:
    """The loss over rounds: of the final model, and as a grey band of lines of the other training sets."""
    curves = found["curves"][""]
    drawn = [(GREY, "", 0.8, curve["loss"]) for split, curve in curves.items() if split != FINAL]
    drawn.append((BLUE, "", 2.2, curves[FINAL]["loss"]))
    legend = [(BLUE, "", f"all training patients: {_ends(curves[FINAL]['loss'])}")]
    if len(curves) > 1:
        legend.append((GREY, "", "the other training sets of the validation"))
    if any(value is not None for value in curves[FINAL]["validation"]):
        drawn.append((ORANGE, "7 3", 2.2, curves[FINAL]["validation"]))
        legend.append((ORANGE, "7 3", f"held out by an inner fold: {_ends(curves[FINAL]['validation'])}"))
    values = [value for *_, losses in drawn for value in losses if value is not None]
    rounds = len(curves[FINAL]["loss"])
    if rounds < 2 or not values or max(values) <= min(values):
        return None
    told = "Mean loss a patient over rounds of training. " + "; ".join(words for *_, words in legend) + "."
    drawing = Drawing(_WIDTH, _HEIGHT - 18 + _LEGEND_ROW * len(legend), "Loss over rounds", told, "loss")
    margin = 0.05 * (max(values) - min(values))
    x = Scale(1, rounds, _LEFT, _RIGHT)
    y = Scale(min(values) - margin, max(values) + margin, _BOTTOM, _TOP)
    for k in range(5):
        value = y.low + (y.high - y.low) * k / 4
        drawing.line(_LEFT, y(value), _RIGHT, y(value), FAINT)
        drawing.text(_LEFT - 7, y(value) + 4, f"{value:.2f}", "end", SOFT, 11)
    for number in sorted({1, *(round(1 + (rounds - 1) * k / 4) for k in range(1, 5))}):
        drawing.text(x(number), _BOTTOM + 17, str(number), "middle", SOFT, 11)
    drawing.text((_LEFT + _RIGHT) / 2, _BOTTOM + 36, "Round", "middle")
    drawing.upright(14, (_TOP + _BOTTOM) / 2, "Mean loss")
    for colour, dash, width, losses in drawn:
        drawing.path([(x(k + 1), y(v)) for k, v in enumerate(losses) if v is not None], colour, width, dash)
    for k, (colour, dash, words) in enumerate(legend):
        middle = _BOTTOM + 52 + _LEGEND_ROW * k
        drawing.line(_LEFT, middle, _LEFT + 30, middle, colour, 2.2, dash)
        drawing.text(_LEFT + 38, middle + 4, words, size=11)
    return drawing.markup()


def _ends(losses: list[float | None]) -> str:
    known = [loss for loss in losses if loss is not None]
    return f"{fixed(known[0])} at first, {fixed(min(known))} at least" if known else "not known"
