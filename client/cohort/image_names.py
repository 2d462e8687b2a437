"""What the files of a patient's folder are called: phases, and masks with the phase they were drawn on."""

import re
from dataclasses import dataclass

from client.cohort.faults import near_miss

CT, MR, US, PT = "CT", "MR", "US", "PT"
MODALITIES = {"CT": CT, "MRI": MR, "ADC": MR, "US": US, "PET": PT}
"""What a study calls a modality → what the images call it."""

# Every phase, and the modality it tells of; "" where CT and MRI both have it.
PHASES: dict[str, str] = {
    "native": "",
    "arterial": "",
    "portal": "",
    "delayed": "",
    "transitional": MR,
    "hepatobiliary": MR,
    "ct": CT,
    "mr": MR,
    "t1": MR,
    "t2": MR,
    "dwi": MR,
    "adc": MR,
    "us": US,
    "ceus": US,
    "pet": PT,
}

# In the order in which contrast reaches the liver.
CONTRAST_ORDER = ("native", "arterial", "portal", "transitional", "delayed", "hepatobiliary")

# What hospitals call the phases; only for suggesting a name, never for reading.
_ALIASES: dict[str, str] = {
    **dict.fromkeys(("plain", "unenhanced", "nonenhanced", "noncontrast", "nc", "ncct", "pre", "平扫"), "native"),
    **dict.fromkeys(("art", "ap", "a", "artery", "hap", "动脉期", "动脉"), "arterial"),
    **dict.fromkeys(("pv", "pvp", "vp", "v", "venous", "portalvenous", "门脉期", "静脉期", "门静脉期"), "portal"),
    **dict.fromkeys(("dp", "late", "equilibrium", "delay", "延迟期", "平衡期"), "delayed"),
    **dict.fromkeys(("hbp", "hb", "hepatocyte", "肝胆期"), "hepatobiliary"),
    **dict.fromkeys(("tp", "transition", "移行期"), "transitional"),
    **dict.fromkeys(("diffusion",), "dwi"),
    **dict.fromkeys(("mri",), "mr"),
    **dict.fromkeys(("ultrasound", "bmode", "超声"), "us"),
    **dict.fromkeys(("lesion", "hcc", "mass", "gtv", "roi", "seg", "mask", "label", "肿瘤", "病灶"), "tumour"),
    **dict.fromkeys(("肝", "肝脏"), "liver"),
    **dict.fromkeys(("vessel", "vein", "veins", "portalvein", "血管"), "vessels"),
}

REGIONS = ("tumour", "liver", "vessels")
_MASK = re.compile(
    r"(?:(?P<phase>[a-z0-9_]+?)_)?(?P<region>tumou?r|liver|vessels)(?:_(?P<number>\d{1,3}))?(?:_reader(?P<reader>\d))?"
)
_PHASE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
PATIENT_ID = re.compile(r"[\w][\w.\-]{0,63}")


@dataclass(frozen=True)
class MaskName:
    """A mask's place.

    Parameters
    ----------
    mask
        Its name within the patient: tumour, tumour_2, liver, vessels; tumour_reader2 for a second reader's.
    phase
        The phase it was drawn on; empty where one mask is for all.
    """

    mask: str
    phase: str = ""

    def __str__(self) -> str:
        return f"{self.phase}_{self.mask}" if self.phase else self.mask


def modality_of_phase(phase: str) -> str:
    """The modality that a phase's name tells of; empty where it does not."""
    return PHASES.get(phase.split("_")[0], "")


def is_phase(name: str) -> bool:
    """Whether a name is a phase that needs no explaining: a known one, or one with a suffix such as dwi_b800."""
    return _PHASE.fullmatch(name) is not None and name.split("_")[0] in PHASES and mask_name(name) is None


def may_be_phase(name: str) -> bool:
    """Whether a hospital may call a phase so in images.yaml."""
    return _PHASE.fullmatch(name) is not None and len(name) <= 40 and mask_name(name) is None


def mask_name(name: str) -> MaskName | None:
    """A mask's name taken apart; None where it is none."""
    match = _MASK.fullmatch(name)
    if match is None:
        return None
    region = match["region"].replace("tumor", "tumour")
    number = int(match["number"] or 1)
    if number == 0 or (number > 1 and region != "tumour"):
        return None
    mask = region if number == 1 else f"{region}_{number}"
    if match["reader"] and int(match["reader"]) > 1:
        mask += f"_reader{match['reader']}"
    return MaskName(mask, match["phase"] or "")


def mask_key(mask: str) -> MaskName:
    """The same for a mask's name that was checked before."""
    key = mask_name(mask)
    if key is None:
        raise ValueError(f"{mask!r} is no mask")
    return key


def region_of(mask: str) -> str:
    """'tumour' of 'tumour_2_reader2'."""
    return mask.split("_")[0]


def is_first_reader(mask: str) -> bool:
    """False for a second reader's mask."""
    return "_reader" not in mask


def suggestion(name: str) -> str | None:
    """The name that was most likely meant."""
    bare = "".join(c for c in name.casefold() if c.isalnum())
    if bare in _ALIASES:
        return _ALIASES[bare]
    for alias, meant in _ALIASES.items():
        if len(alias) > 2 and alias in bare:
            return meant
    return near_miss(name, [*PHASES, *REGIONS])
