"""The one error of a patient whose images give no features."""

from common.errors import HepafedError


class CannotExtract(HepafedError):
    """Something wrong with one patient's image or masks: what was found, and what to do about it.

    The text does not name the patient; whoever knows the name adds it.
    """
