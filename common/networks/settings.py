"""What study.yaml says of a network and of its training."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from common.networks.image_settings import ImageSettings
from common.networks.second_task import SecondTask
from common.strict_yaml import Place
from common.variables import Strict

Strategy = Literal["fedavg", "fedprox", "fedadam", "fedyogi", "scaffold", "fedbn"]
ADAPTIVE = ("fedadam", "fedyogi")
AVERAGING = ("fedavg", "fedprox", "fedbn")
FEWEST_STEPS = 10
"""Local steps between two answers, where they are no whole epoch: fewer would be the gradient of a few patients."""

BATCH = 32


class EarlyStopping(Strict):
    """When training ends before its last round."""

    patience: int = Field(10, ge=1, le=1000, description="rounds without a better loss on held-out inner folds")
    smallest_gain: float = Field(1e-4, ge=0, le=1, description="of the loss, as a share: less is no better loss")


class Network(Strict):
    """A network, how hospitals train it, and how their updates are joined."""

    architecture: Literal["mlp", "cnn3d", "mil25d", "fusion"] = Field(
        "mlp",
        description="mlp: on columns; cnn3d, mil25d: on images alone; fusion: on both. Images need the section patches",
    )
    image: ImageSettings | None = Field(None, description="cnn3d, mil25d, fusion: the part that looks at images")
    hidden: list[Annotated[int, Field(ge=1, le=8192)]] = Field(
        [32, 16], max_length=8, description="units of each hidden layer; none: a linear model"
    )
    activation: Literal["relu", "silu", "tanh"] = "relu"
    normalisation: Literal["none", "layer", "group", "batch"] = Field(
        "layer", description="after each hidden layer; batch: with fedbn alone"
    )
    dropout: float = Field(0.0, ge=0, le=0.9)
    rounds: int = Field(30, ge=1, le=1000, description="exchanges; at most a third of the smallest training set")
    local_epochs: int = Field(1, ge=1, le=100, description="passes over the hospital's patients between answers")
    local_steps: int | None = Field(
        None, ge=1, le=10_000, description="steps instead of epochs; fewer than 10 must be an epoch at least"
    )
    batch_size: Annotated[int, Field(ge=4, le=4096)] | Literal["all"] | None = Field(
        None, description="patients a step; left out: 32, and all for survival, whose risk sets need them"
    )
    learning_rate: float = Field(0.05, gt=0, le=10)
    schedule: Literal["constant", "cosine", "step"] = Field(
        "constant", description="of the learning rate over rounds; step: a tenth in the last third"
    )
    momentum: float = Field(0.0, ge=0, lt=1, description="within a hospital; begins anew each round")
    weight_decay: float = Field(0.0, ge=0, le=1)
    clip_gradient: float | None = Field(None, gt=0, le=1e6, description="norm of a step's gradient at most")
    clip: float = Field(10.0, gt=0, le=1e4, description="norm of a hospital's update at most, agreed beforehand")
    strategy: Strategy = "fedavg"
    mu: float = Field(0.1, ge=0, le=1000, description="fedprox: pull towards the weights of the round's start")
    server_learning_rate: float = Field(1.0, gt=0, le=10, description="of the joined update")
    beta1: float = Field(0.9, ge=0, lt=1, description="fedadam, fedyogi")
    beta2: float = Field(0.99, ge=0, lt=1, description="fedadam, fedyogi")
    adaptivity: float = Field(1e-3, gt=0, le=1, description="fedadam, fedyogi: added to the root of the variance")
    participation: float = Field(
        1.0,
        gt=0,
        le=1,
        description="share of the hospitals that train in a round, in groups of three and more that stay the same, "
        "drawn by the study's seed; of fewer than six all train",
    )
    early_stopping: EarlyStopping | None = None
    also: SecondTask | None = Field(
        None, description="a second outcome, predicted by a head of its own over the same layers"
    )
    personal: Literal["head"] | None = Field(
        None, description="head: the last layer is every hospital's own and stays in its store; left out: none is"
    )
    precision: Literal["single", "double", "mixed"] = Field(
        "double",
        description="of local arithmetic; mixed: single, and on a GPU (device: auto) training's layers in bfloat16",
    )
    device: Literal["auto", "cpu"] = Field(
        "cpu", description="auto: a GPU where there is one, without exact repetition"
    )

    def misfits(self, survival: bool) -> Iterator[tuple[Place, str]]:
        """Settings that do not fit each other, or a survival outcome."""
        if (self.normalisation == "batch") != (self.strategy == "fedbn"):
            yield (
                ("normalisation",),
                "batch normalisation and strategy: fedbn go together, statistics of one hospital fit no other: write "
                "layer or group, or both",
            )
        if self.normalisation == "batch" and not self.hidden:
            yield (
                ("hidden",),
                "without a hidden layer there is nothing to normalise: name one, or another strategy",
            )
        if self.architecture == "mlp" and self.image is not None:
            yield (
                ("image",),
                "an mlp looks at no images: take it out, or write architecture: cnn3d, mil25d or fusion",
            )
        if self.architecture != "mlp":
            image = self.image or ImageSettings()
            yield from ((("image", *place), said) for place, said in image.misfits(self.architecture))
            for name in ("hidden", "activation", "normalisation", "dropout"):
                if name in self.model_fields_set:
                    yield (name,), f"{self.architecture} has none: see network.image, or write architecture: mlp"
        if self.personal is not None and self.strategy not in AVERAGING:
            yield (
                ("personal",),
                f"{self.strategy} does not average what hospitals have of their own: write fedavg, fedprox or fedbn, "
                "or take it out",
            )
        if self.personal is not None and self.server_learning_rate != 1:
            yield ("server_learning_rate",), "the average of the hospitals' own heads moves as they do: write 1"
        if self.strategy == "scaffold" and self.momentum:
            yield ("momentum",), "scaffold's control variates suppose plain steps: write 0"
        given = self.model_fields_set
        if self.strategy != "fedprox" and "mu" in given:
            yield ("mu",), f"{self.strategy} has no mu: take it out, or write strategy: fedprox"
        for name in ("beta1", "beta2", "adaptivity"):
            if self.strategy not in ADAPTIVE and name in given:
                yield (name,), f"{self.strategy} has no {name}: take it out, or write strategy: fedadam"
        if self.precision == "mixed" and self.device != "auto":
            yield ("precision",), "mixed precision is for GPUs: write device: auto, or precision: single"
        if self.local_steps is not None and "local_epochs" in given:
            yield ("local_epochs",), "local_steps stands instead of epochs: give one of them"
        if self._looks_at_times(survival) and isinstance(self.batch_size, int) and self.batch_size < BATCH:
            yield (
                ("batch_size",),
                f"risk sets within fewer than {BATCH} patients tell little: write {BATCH} or all",
            )

    @property
    def sees_images(self) -> bool:
        """Whether patches are part of what it is trained on."""
        return self.architecture != "mlp"

    @property
    def single(self) -> bool:
        """Whether weights and their changes are 32-bit floats."""
        return self.precision != "double"

    def _looks_at_times(self, survival: bool) -> bool:
        """Whether one of its losses has risk sets: the study's outcome is survival, or the second one."""
        return survival or (self.also is not None and self.also.survival)

    def _usual_batch(self, survival: bool) -> int | Literal["all"]:
        return "all" if self._looks_at_times(survival) else BATCH

    @property
    def keeps_own(self) -> bool:
        """Whether some weights are every hospital's own."""
        return self.strategy == "fedbn" or self.personal is not None

    def batch(self, patients: int, survival: bool) -> int:
        """How many of so many patients a step takes."""
        chosen = self.batch_size if self.batch_size is not None else self._usual_batch(survival)
        return max(1, patients if chosen == "all" else min(chosen, patients))

    def steps(self, patients: int, survival: bool) -> int:
        """How many steps a hospital with so many patients takes between two answers."""
        if self.local_steps is not None:
            return self.local_steps
        return self.local_epochs * -(-patients // self.batch(patients, survival))
