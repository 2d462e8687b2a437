"""A hospital's folder: site.yaml, where the data is, and the hospital's own policy."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from common.errors import Code, HospitalError, StudyError
from common.strict_yaml import describe_faults, read_yaml
from common.study import HOSPITAL_NAME
from common.variables import Strict


class Policy(Strict):
    """What this hospital allows; a study may ask for more protection, never for less."""

    minimum_patients: int | None = Field(
        None, ge=2, description="send nothing for a cohort smaller than this; a number below 10 lowers the floor"
    )
    single_hospital_sums: bool | None = Field(
        None,
        description="allow analyses from which this hospital's own sums can be derived (leave one hospital out)",
    )


class SiteFile(Strict):
    """site.yaml, every field optional."""

    name: str | None = Field(None, description="the hospital's name in studies; default: the folder's name")
    patients: str = Field("patients.csv", description="one row a patient: id, clinical columns, outcomes, scanner")
    features: str = Field("features.csv", description="extracted features: id, then one column a feature")
    retest: str = Field(
        "features_retest.csv", description="optional: a second measurement of the same patients' features"
    )
    columns: str = Field("columns.yaml", description="own column names, units and levels")
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
        Where this hospital keeps its store, its log and its own copies of results.
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
    def floor(self) -> int:
        """The smallest cohort that this hospital takes part with."""
        if self.file.policy.minimum_patients is not None:
            return self.file.policy.minimum_patients
        return 2 if self.lower_profile else 10

    @property
    def smallest_effective_size(self) -> int:
        """Weighted sums resting on fewer patients than this are refused; 0 switches the check off."""
        return 0 if self.lower_profile else 10

    @property
    def single_hospital_sums(self) -> bool:
        """Whether analyses may derive this hospital's own sums."""
        allowed = self.file.policy.single_hospital_sums
        return self.lower_profile if allowed is None else allowed


def open_site(folder: Path, own_folder: Path, lower_profile: bool = False) -> Site:
    """Read a hospital's folder; HospitalError says what is wrong with its site.yaml."""
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
    return Site(name=name, folder=folder, own_folder=own_folder, file=file, lower_profile=lower_profile)
