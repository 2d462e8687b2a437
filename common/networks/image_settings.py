"""What study.yaml says of the part of a network that looks at images (`network.image`)."""

from typing import Annotated, Literal

from pydantic import Field

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
