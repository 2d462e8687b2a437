"""The check of a hospital's folder as a page with pictures; it shows patients and stays in the hospital.

One file: pictures are in it, nothing is loaded from elsewhere, no script runs. Readable by its owner alone.
"""

import base64
import struct
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from client.cohort.findings import Severity
from client.cohort.site_check import CheckedPatient, Picture, SiteCheck
from common.whole_files import whole

_HERE = Path(__file__).parent


def write_check_page(path: Path, check: SiteCheck) -> None:
    """The page; it is there whole or not at all."""
    with whole(path) as file:
        file.write(render_check_page(check))


def render_check_page(check: SiteCheck) -> str:
    """The page as text; names and findings are untrusted, so everything is escaped."""
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals.update(data_uri=_data_uri, size=_size, STOPS=Severity.STOPS)
    return environment.get_template("check_page.html.j2").render(
        check=check,
        with_findings=_with_findings(check),
        fine=[patient for patient in check.patients if not patient.findings],
        most_pictures=max((len(patient.pictures) for patient in check.patients), default=0),
    )


def _with_findings(check: SiteCheck) -> list[tuple[str, list[CheckedPatient]]]:
    stopped = [patient for patient in check.patients if patient.stopped]
    to_look_at = [patient for patient in check.patients if patient.findings and not patient.stopped]
    return [
        (title, patients) for title, patients in (("Stopped", stopped), ("To look at", to_look_at)) if patients
    ]


def _data_uri(picture: Picture) -> str:
    return f"data:image/png;base64,{base64.b64encode(picture.png).decode()}"


def _size(picture: Picture) -> tuple[int, int]:
    """Width and height as the PNG's first chunk tells them, so that the page need not move while it loads."""
    width, height = struct.unpack(">II", picture.png[16:24])
    return width, height
