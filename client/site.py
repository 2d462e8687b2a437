"""A hospital's folder: site.yaml, where the data is, and the hospital's own policy."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError, model_validator

from client.sealing import KEYRING, STORE, OwnFolder
from common.dimension import PATIENTS_PER_COLUMN
from common.errors import Code, HospitalError, StudyError
from common.query import SMALLEST_CELL, SMALLEST_DIFFERENCE, SMALLEST_ROW_SET
from common.strict_yaml import Misfits, describe_faults, read_yaml
from common.study import HOSPITAL_NAME
from common.variables import Strict

SMALLEST_EFFECTIVE_SIZE = 10
SMALLEST_HOSPITAL = 10
FLOORS = {
    "minimum_patients": SMALLEST_HOSPITAL,
    "minimum_row_set": SMALLEST_ROW_SET,
    "patients_per_column": PATIENTS_PER_COLUMN,
    "minimum_cell": SMALLEST_CELL,
    "minimum_effective_size": SMALLEST_EFFECTIVE_SIZE,
    "minimum_changes": SMALLEST_DIFFERENCE,
}
"""What a hospital may raise, and lower only with its own word (policy: lower_floor_reason)."""


class Policy(Strict):
    """What this hospital allows; a study may ask for more protection, never for less."""

    minimum_patients: int | None = Field(
        None, ge=2, description="send nothing for a cohort smaller than this; a number below 10 lowers the floor"
    )
    single_hospital_sums: bool | None = Field(
        None,
        description="allow analyses from which this hospital's own sums can be derived (leave one hospital out)",
    )
    unmasked_sums: bool | None = Field(
        None, description="answer studies with privacy.secure_sum: false, so that the coordinator sees own sums"
    )
    allowed_queries: list[str] | None = Field(
        None, description="names of the queries that may be answered; left out: all that an approved study asks"
    )
    maximum_queries: int | None = Field(
        None, ge=1, description="questions answered in one study; left out: what was approved with the study"
    )
    minimum_row_set: int = Field(SMALLEST_ROW_SET, ge=2, description="patients in total behind every sum")
    patients_per_column: int = Field(
        PATIENTS_PER_COLUMN, ge=1, description="patients in total for each column of a cross-product, and one more"
    )
    minimum_cell: int = Field(
        SMALLEST_CELL, ge=1, description="own patients in a cell, where a sum could be told to be this hospital's"
    )
    minimum_effective_size: int = Field(
        SMALLEST_EFFECTIVE_SIZE, ge=1, description="patients that a weighted sum must rest on"
    )
    minimum_changes: int = Field(
        SMALLEST_DIFFERENCE,
        ge=1,
        description="patients by which the cohorts of two studies must differ, if at all",
    )
    epsilon: float | None = Field(
        None,
        gt=0,
        description="the ε that all studies with differential privacy together may spend on a patient; left out: what "
        "was approved with each",
    )
    delta: float = Field(1e-5, gt=0, le=1e-3, description="the δ that this ε is counted at")
    lower_floor_reason: str = Field(
        "", description="this hospital's own word why a threshold above lies below what Hepafed asks for"
    )

    @model_validator(mode="after")
    def _no_lower_floor_without_a_reason(self) -> "Policy":
        asked = {name: getattr(self, name) for name in FLOORS}
        lower = [name for name, value in asked.items() if value is not None and value < FLOORS[name]]
        if lower and not self.lower_floor_reason.strip():
            cure = "add lower_floor_reason with this hospital's own word why"
            raise Misfits(
                [((n,), f"found {asked[n]}, Hepafed asks for {FLOORS[n]} or more: {cure}") for n in lower]
            )
        return self


class SiteFile(Strict):
    """site.yaml, every field optional."""

    name: str | None = Field(None, description="the hospital's name in studies; default: the folder's name")
    patients: str = Field("patients.csv", description="one row a patient: id, clinical columns, outcomes, scanner")
    features: str = Field("features.csv", description="extracted features: id, then one column a feature")
    retest: str = Field(
        "features_retest.csv", description="optional: a second measurement of the same patients' features"
    )
    columns: str = Field("columns.yaml", description="own column names, units and levels")
    images: str = Field("images", description="one folder a patient: images and masks")
    own_folder: str = Field(
        ".hepafed",
        description="where this hospital keeps its store, log and keys: the one place that is written to",
    )
    store_key: str | None = Field(
        None,
        description="the key that the store is encrypted with: a file, or keyring; default: own_folder/store.key",
    )
    encoding: str | None = Field(None, description="encoding of the csv files where it is not UTF-8 or GB18030")
    policy: Policy = Policy()


@dataclass(frozen=True)
class Site:
    """One hospital as this process sees it.

    Parameters
    ----------
    folder
        Where the hospital's data is; only read.
    own_folder
        Where this hospital keeps its store, its log and its own copies of results; a simulation keeps them apart.
    lower_profile
        True on one machine that holds all the data (`simulate`, `demo-data`): the policy's gaps are read as
        permission there, and the report says so.
    """

    name: str
    folder: Path
    own_folder: Path
    file: SiteFile
    lower_profile: bool = False

    @property
    def images(self) -> Path:
        """Where the images are, a folder a patient."""
        return self.folder / self.file.images

    @property
    def extracted(self) -> Path:
        """The store that holds what was extracted from the images; simulations share it."""
        return self.folder / self.file.own_folder / STORE

    @property
    def own(self) -> OwnFolder:
        """The hospital's own folder with its key; a simulation has keys of its own."""
        return OwnFolder(self.own_folder, None if self.lower_profile else self._named_key)

    @property
    def extracted_in(self) -> OwnFolder:
        """The folder of the store that holds what was extracted, with its key."""
        return OwnFolder(self.folder / self.file.own_folder, self._named_key)

    @property
    def _named_key(self) -> str | None:
        named = self.file.store_key
        return named if named in (None, KEYRING) else str(self.folder / named)

    @property
    def floor(self) -> int:
        """The smallest cohort that this hospital takes part with."""
        if self.file.policy.minimum_patients is not None:
            return self.file.policy.minimum_patients
        return 2 if self.lower_profile else SMALLEST_HOSPITAL

    @property
    def smallest_effective_size(self) -> int:
        """Weighted sums resting on fewer patients than this are refused; 0 switches the check off."""
        return 0 if self.lower_profile else self.file.policy.minimum_effective_size

    @property
    def unmasked_sums(self) -> bool:
        """Whether sums may leave without masks, where a study asks for that."""
        allowed = self.file.policy.unmasked_sums
        return self.lower_profile if allowed is None else allowed

    @property
    def single_hospital_sums(self) -> bool:
        """Whether analyses may derive this hospital's own sums."""
        allowed = self.file.policy.single_hospital_sums
        return self.lower_profile if allowed is None else allowed


def open_site(folder: Path, own_folder: Path | None = None, lower_profile: bool = False) -> Site:
    """Read a hospital's folder; HospitalError says what is wrong with its site.yaml.

    `own_folder` is given where it is not the one that site.yaml names: in a simulation.
    """
    path = folder / "site.yaml"
    file = SiteFile()
    if path.exists():
        try:
            content, lines = read_yaml(path)
            file = SiteFile.model_validate(content)
        except StudyError as error:
            raise HospitalError(Code.BAD_SITE_FILE, str(error)) from None
        except ValidationError as error:
            raise HospitalError(Code.BAD_SITE_FILE, describe_faults(error, str(path), lines, SiteFile)) from None
    name = file.name or folder.name
    if not HOSPITAL_NAME.fullmatch(name):
        raise HospitalError(
            Code.BAD_SITE_FILE, f"{path}: the name {name!r} may hold letters, digits, - _ . and at most 63 of them"
        )
    own = folder / file.own_folder if own_folder is None else own_folder
    return Site(name=name, folder=folder, own_folder=own, file=file, lower_profile=lower_profile)
