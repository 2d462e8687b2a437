"""Which of a hospital's patients have images to work on."""

from client.cohort.columns_file import read_columns_file
from client.cohort.csv_file import ID, read_table
from client.cohort.image_collection_checks import patient_folders
from client.site import Site
from common.errors import Code, HospitalError


def patients_with_images(site: Site) -> tuple[list[str], list[str]]:
    """The patients of patients.csv who have a folder of images, and what to say about the others."""
    if not site.images.is_dir():
        raise HospitalError(
            Code.NO_FEATURES,
            f"{site.images}: there is no such folder; put one folder a patient there (hepafed site import makes "
            "them from a PACS export), or give its name in site.yaml as images",
        )
    folders = [folder.name for folder in patient_folders(site.images)]
    listed_in = site.folder / site.file.patients
    if not listed_in.is_file():
        return folders, [f"{listed_in} is not there: all {len(folders)} folders are extracted"]
    path = site.folder / site.file.columns
    columns = read_columns_file(path, required="columns" in site.file.model_fields_set)
    listed = set(read_table(listed_in, site.file.encoding, columns.name_of(ID)).ids)
    notes = []
    if strangers := [name for name in folders if name not in listed]:
        notes.append(f"not in {listed_in.name}, not extracted: {', '.join(strangers)}")
    if without := sorted(listed - set(folders)):
        notes.append(f"without a folder in {site.images.name}/: {', '.join(without)}")
    patients = [name for name in folders if name in listed]
    if not patients:
        raise HospitalError(
            Code.NO_FEATURES,
            f"{site.images}: none of its {len(folders)} folders has the name of a patient in {listed_in.name}: "
            "a patient's folder is called by the id",
        )
    return patients, notes
