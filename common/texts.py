"""Texts that people type in many ways, brought to one normal form before they are compared."""

import re
import unicodedata

# NFKC would turn 10² into 102; keep the exponent apart.
_SUPERSCRIPT = re.compile("[⁺⁻⁰¹²³⁴-⁹]+")


def normal_text(text: str) -> str:
    """A text stripped and in normal form: full-width digits and letters become ASCII, the minus sign a hyphen."""
    if text.isascii():
        return text.strip()
    text = _SUPERSCRIPT.sub(lambda found: "^" + unicodedata.normalize("NFKC", found.group()), text)
    return unicodedata.normalize("NFKC", text).replace("\N{MINUS SIGN}", "-").strip()
