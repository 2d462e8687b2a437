"""A hospital's folder as far as its site.yaml can be read, for a check that says all faults in one run."""

from pathlib import Path

from client.cohort.sound_part import content_of, sound_part
from client.site import Site, SiteFile, open_site
from common.errors import HospitalError
from common.study import HOSPITAL_NAME

NAME = "site.yaml"


def open_as_far_as_readable(folder: Path) -> tuple[Site, HospitalError | None]:
    """The folder without the fields of site.yaml that do not fit, and what is wrong with these.

    Raises
    ------
    HospitalError
        Where nothing of site.yaml can be read: it may name every other file.
    """
    try:
        return open_site(folder), None
    except HospitalError as error:
        content = content_of(folder / NAME)
        if content is None:
            raise
        file, _ = sound_part(content, SiteFile)
        name = file.name or folder.name
        if HOSPITAL_NAME.fullmatch(name) is None:
            name = "hospital"
        return Site(name=name, folder=folder, own_folder=folder / file.own_folder, file=file), error
