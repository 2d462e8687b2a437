"""The commented study.yaml that `hepafed study new` writes; its text is study_template.yaml beside this file."""

from importlib.resources import files

from common.errors import StudyError
from common.study import HOSPITAL_NAME

NAME = "my-study"
_NAME_LINE = f"study: {NAME} "


def study_template(name: str = NAME) -> str:
    """A valid study.yaml with every section explained.

    Parameters
    ----------
    name
        The study's short name, by the rule that hospitals' names follow too.
    """
    if not HOSPITAL_NAME.fullmatch(name):
        raise StudyError(
            f"the name {name!r} cannot be used: letters, digits, - _ . only, a letter or digit first, at most 63"
        )
    text = (files("deploy") / "study_template.yaml").read_text(encoding="utf-8")
    # In quotes: YAML reads a bare 007 or 2024-01-01 as a number or a date.
    return text if name == NAME else text.replace(_NAME_LINE, f'study: "{name}" ', 1)
