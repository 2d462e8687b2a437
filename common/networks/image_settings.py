"""What study.yaml says of the part of a network that looks at images (`network.image`)."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field

from common.strict_yaml import Place
from common.variables import Strict

Width = Annotated[int, Field(ge=4, le=512, multiple_of=4)]


class ImageSettings(Strict):
    """How patches become an embedding, and how it is joined with columns.

    All normalisation is by groups of a patient's own channels: nothing is averaged over patients or hospitals.
    """

    encoder: Literal["cnn3d", "mil25d"] = Field(
        "cnn3d",
        description="cnn3d: residual convolutions in three dimensions; mil25d: slices that show tumour or ring, each "
        "with its neighbours, weighed by gated attention",
    )
    channels: list[Width] = Field(
        [8, 16, 32],
        min_length=2,
        max_length=5,
        description="of each level, multiples of four: a convolution at full size, then levels that halve the edges",
    )
    blocks: int = Field(1, ge=1, le=6, description="residual blocks of two convolutions a level after the first")
    neighbours: int = Field(1, ge=0, le=3, description="mil25d: slices above and below that a slice is seen with")
    attention: Width = Field(32, description="mil25d: hidden units of the gated attention")
    embedding: Width = Field(16, description="length of what each modality becomes before they are joined")
    joined: Width = Field(32, description="fusion: hidden units over the joined embeddings")
    dropout: float = Field(0.0, ge=0, le=0.9, description="of the embeddings, while training")
    modality_dropout: float = Field(
        0.0,
        ge=0,
        le=0.5,
        description="fusion: how often a modality is hidden while training, so that one may be missing",
    )

    def misfits(self, architecture: str) -> Iterator[tuple[Place, str]]:
        """Settings that a network of this architecture would not look at."""
        given = self.model_fields_set
        if architecture != "fusion":
            if self.encoder != architecture and "encoder" in given:
                yield ("encoder",), f"{architecture} is one itself: take it out, or write architecture: fusion"
            for name in ("joined", "modality_dropout"):
                if name in given:
                    yield (name,), f"{architecture} joins nothing: take it out, or write architecture: fusion"
        if (self.encoder if architecture == "fusion" else architecture) == "cnn3d":
            for name in ("neighbours", "attention"):
                if name in given:
                    yield (name,), "cnn3d sees no single slices: take it out, or write mil25d"
