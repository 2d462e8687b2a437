"""What a network on images is shown of some patients."""

from dataclasses import dataclass, replace

import torch


@dataclass(frozen=True)
class Inputs:
    """Some patients' table, patches, and which of the two they have.

    Parameters
    ----------
    table
        Patients × columns of the prepared view; where a part is missing, any number.
    image
        Patients × channels × z × y × x; where there is none, zeros.
    there
        Patients × (the image, then `Shapes.parts` in their order): 1 where it is there, else 0.
    """

    table: torch.Tensor
    image: torch.Tensor
    there: torch.Tensor

    def __len__(self) -> int:
        return len(self.there)

    def with_table(self, table: torch.Tensor) -> "Inputs":
        """The same patients with another table."""
        return replace(self, table=table)

    def with_image(self, image: torch.Tensor) -> "Inputs":
        """The same patients with other patches."""
        return replace(self, image=image)
