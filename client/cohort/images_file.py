"""images.yaml: what a hospital says about its own image files; for all patients, or beside one patient's files."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from client.cohort.image_names import mask_name, may_be_phase
from common.errors import Code, HospitalError, StudyError
from common.strict_yaml import Place, describe_faults, read_yaml
from common.variables import Strict

NAME = "images.yaml"


class Ultrasound(Strict):
    """What a person decided about one ultrasound file."""

    frames: dict[str, int] = Field(
        {}, description="the chosen frames of a cine: phase → number of the frame, the first is 1"
    )
    crop_px: tuple[int, int, int, int] | None = Field(
        None, description="the part to keep: left, top, width, height in pixels"
    )
    no_text_confirmed_by: str | None = Field(
        None, min_length=2, description="who looked and saw that the part kept holds no name, number or date"
    )
    spacing_mm: tuple[float, float] | None = Field(
        None, description="pixel width and height in mm, where the file does not tell"
    )

    @model_validator(mode="after")
    def _possible(self) -> "Ultrasound":
        if self.crop_px is not None and (min(self.crop_px[:2]) < 0 or min(self.crop_px[2:]) < 1):
            raise ValueError(f"crop_px {list(self.crop_px)} is no rectangle: left, top, width, height in pixels")
        if self.spacing_mm is not None and not all(0.005 < step < 5 for step in self.spacing_mm):
            raise ValueError(f"spacing_mm {list(self.spacing_mm)} is not between 0.005 and 5 mm")
        for phase, frame in self.frames.items():
            if not may_be_phase(phase):
                raise ValueError(f"{phase!r} cannot be the name of a phase; write e.g. ceus_arterial: 120")
            if frame < 1:
                raise ValueError(f"frame {frame} of {phase}: frames are counted from 1")
        return self


class ImagesFile(Strict):
    """images.yaml, every field optional."""

    modality: Literal["CT", "MR", "US", "PT"] | None = Field(
        None, description="what the NIfTI and NRRD files are, where neither their name nor a json file tells"
    )
    names: dict[str, str] = Field({}, description="own file or folder names → a phase or a mask")
    labels: dict[str, dict[int, str]] = Field({}, description="a file with several labels: number → mask")
    structures: dict[str, str | None] = Field(
        {}, description="names in SEG and RTSTRUCT → mask; nothing after the colon: leave it out"
    )
    ultrasound: dict[str, Ultrasound] = Field({}, description="phase → frames, crop, spacing")

    @field_validator("names")
    @classmethod
    def _phases_or_masks(cls, names: dict[str, str]) -> dict[str, str]:
        for own, ours in names.items():
            if mask_name(ours) is None and not may_be_phase(ours):
                raise ValueError(f"{own}: {ours!r} is neither a phase (letters, digits, _) nor a mask")
        return names

    @field_validator("labels", "structures")
    @classmethod
    def _masks(cls, mapping: dict[Any, Any]) -> dict[Any, Any]:
        for entry in mapping.values():
            for mask in entry.values() if isinstance(entry, dict) else [entry]:
                if mask is not None and mask_name(mask) is None:
                    raise ValueError(f"{mask!r} is no mask; write tumour, tumour_2, liver or vessels")
        return mapping

    def over(self, general: "ImagesFile") -> "ImagesFile":
        """This file's word first, then the general one's."""
        return ImagesFile(
            modality=self.modality or general.modality,
            names={**general.names, **self.names},
            labels={**general.labels, **self.labels},
            structures={**general.structures, **self.structures},
            ultrasound={**general.ultrasound, **self.ultrasound},
        )


def read_images_file(folder: Path) -> ImagesFile:
    """The images.yaml of a folder; an empty one where there is none.

    Raises
    ------
    HospitalError
        With every fault, its line and its cure.
    """
    path = folder / NAME
    if not path.exists():
        return ImagesFile()
    lines: dict[Place, int] = {}
    try:
        content, lines = read_yaml(path)
        return ImagesFile.model_validate(content)
    except StudyError as error:
        raise HospitalError(Code.BAD_SITE_FILE, str(error)) from None
    except ValidationError as error:
        raise HospitalError(Code.BAD_SITE_FILE, describe_faults(error, str(path), lines, ImagesFile)) from None
