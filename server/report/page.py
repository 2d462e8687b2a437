"""One self-contained page from a template of this folder: everything is escaped but our own style."""

from itertools import count
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from server.report import numerals

_HERE = Path(__file__).parent


def page(template: str, **content: object) -> str:
    """The page as text; hospitals' names, labels and titles are untrusted, so everything is escaped."""
    environment = Environment(
        loader=FileSystemLoader(_HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["number"] = numerals
    environment.globals["next_figure"] = count(1).__next__  # as a reader meets them: no study has all figures
    environment.filters["breakable"] = _breakable
    # Our own file, and no text from a study: the only thing besides the drawings that is not escaped.
    style = Markup((_HERE / "report.css").read_text(encoding="utf-8"))  # noqa: S704
    return environment.get_template(template).render(style=style, **content)


def _breakable(name: str) -> Markup:
    """A long name that may be broken after an underscore, and nowhere else if it can be helped."""
    return Markup("_<wbr>").join(name.split("_"))
