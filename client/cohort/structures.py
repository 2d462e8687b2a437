"""Which mask a name in a SEG or RTSTRUCT object means: by images.yaml, else only where it cannot be mistaken."""

import re
from collections.abc import Mapping

from client.cohort.faults import quoted
from client.cohort.findings import ImageFault
from client.cohort.image_names import mask_name

_PLAIN: dict[str, str] = {
    **dict.fromkeys(
        ("tumour", "tumor", "lesion", "gtv", "hcc", "livertumor", "livertumour", "neoplasm"), "tumour"
    ),
    **dict.fromkeys(("liver", "wholeliver", "hepar"), "liver"),
    **dict.fromkeys(("vessels", "livervessels", "hepaticvessels", "bloodvessel", "bloodvessels"), "vessels"),
}


def plain_meaning(name: str) -> str | None:
    """The mask of a name such as 'Liver', 'GTV-2' or 'Tumor 1'; None where a person has to say."""
    match = re.fullmatch(r"(.*?)(\d{1,2})?", "".join(c for c in name.casefold() if c.isalnum()))
    assert match is not None
    mask = _PLAIN.get(match[1])
    if mask is None:
        return None
    found = mask_name(f"{mask}_{int(match[2])}" if match[2] else mask)
    return found.mask if found is not None else None


def assign(names: Mapping[int, str], structures: Mapping[str, str | None], stem: str) -> dict[int, str]:
    """The masks of an object's structures, by their numbers; those that images.yaml leaves out are not in it.

    Parameters
    ----------
    names
        What the object calls them.
    structures
        images.yaml: name → mask, None: leave it out.
    stem
        The file's own name, which counts where there is one structure and the name is a mask's.

    Raises
    ------
    ImageFault
        If a name could mean anything, or two mean the same.
    """
    by_case = {own.casefold().strip(): mask for own, mask in structures.items()}
    of_file = mask_name(stem)
    found: dict[int, str] = {}
    unknown = []
    for number, name in names.items():
        key = name.casefold().strip()
        if key in by_case:
            mask = by_case[key]
            if mask is None:
                continue
        elif of_file is not None and len(names) == 1:
            mask = str(of_file)
        else:
            mask = plain_meaning(name)
        if mask is None:
            unknown.append(name)
        elif mask in found.values():
            other = next(names[at] for at, taken in found.items() if taken == mask)
            raise ImageFault(
                "ambiguous structures",
                f"{quoted(other)} and {quoted(name)} would both be {mask}",
                f"number them in images.yaml, e.g. structures: {{{quoted(name)}: {mask}_2}}",
            )
        else:
            found[number] = mask
    if unknown:
        listed = ", ".join(map(quoted, unknown))
        lines = ", ".join(f"{quoted(name)}: tumour" for name in unknown[:1])
        raise ImageFault(
            "unknown structure",
            f"it is not known what {listed} means",
            f"say it in images.yaml, e.g. structures: {{{lines}}}, with nothing after the colon to leave one out",
        )
    return found
