"""The section `features` of study.yaml: which features are computed from which images and regions, and how.

Everything that changes a number stands here, so that hospitals can compare one fingerprint.
"""

import hashlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from common.errors import StudyError
from common.habitats import Habitats
from common.query import canonical_json
from common.stability import Stability
from common.strict_yaml import Misfits, Place
from common.variables import Strict

PREPROCESSING_VERSION = 3
"""Raised by whoever changes a number that client/preprocessing.py, regions/ or extraction/ compute."""

NUMERICAL_PACKAGES = ("pyradiomics", "SimpleITK", "numpy", "PyWavelets")
NYUL_PERCENTILES = (1, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99)
"""Landmarks of Nyúl's standardisation (doi:10.1109/42.836373), as percentiles of the normalised region."""

CARRIED_WITHOUT_RINGS_MM = 5.0
"""How far off a carried mask may be in a study without rings."""

Millimetres = Annotated[float, Field(gt=0, le=100)]
PhaseName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,30}$")]
FeatureClass = Literal["shape", "firstorder", "glcm", "glrlm", "glszm", "gldm", "ngtdm"]
RegionName = Literal["tumour", "ring", "tumour-and-ring", "band", "liver", "liver-background"]
NORMALISED = ("MRI", "US")


class Phase(Strict):
    """One image of a patient (arterial, portal, T2, …): its modality and how its intensities are treated."""

    modality: Literal["CT", "MRI", "ADC", "US", "PET"]
    spacing_mm: Literal["native"] | Millimetres | list[Millimetres] | None = Field(
        None, description="voxel size after resampling; a list is x, y, z; left out: 1 mm, ultrasound native"
    )
    interpolation: Literal["linear", "bspline"] = "linear"
    round_hu: bool = Field(True, description="CT: round to whole HU after interpolation, as IBSI asks")
    window_hu: tuple[float, float] | None = Field(None, description="CT: clip to these HU before filters")
    bias_correction: bool | None = Field(None, description="N4; left out: on for MRI, off for the rest")
    normalisation: Literal["none", "z-score", "nyul"] | None = Field(
        None, description="left out: z-score for MRI, none for the rest"
    )
    normalise_over: Literal["body", "liver"] = Field(
        "body", description="whose intensities are the norm: body (Otsu's threshold) or liver without tumours"
    )
    z_scale: float = Field(100.0, gt=0, le=1e4, description="one standard deviation becomes this many units")
    nyul_landmarks: list[float] | None = Field(
        None,
        description=f"nyul: the standard scale, intensities at percentiles {', '.join(map(str, NYUL_PERCENTILES))}; "
        "left out: to be learnt by hepafed study prepare",
    )
    bin_width: float | None = Field(
        None,
        gt=0,
        le=1e5,
        description="grey levels of this width, in the image's unit; CT 25, PET 0.25 by default",
    )
    bin_count: int | None = Field(
        None, ge=2, le=1024, description="or this many between minimum and maximum; the others 32 by default"
    )
    keep_range: tuple[float, float] | None = Field(
        None, description="intensities kept in a region, others are left out of all but shape"
    )
    keep_sigmas: float | None = Field(
        None, gt=0, le=10, description="intensities within this many standard deviations of the region's mean"
    )

    @model_validator(mode="after")
    def _consistent(self) -> "Phase":
        if misfits := list(self._misfits()):
            raise Misfits(misfits)
        return self

    def _misfits(self) -> Iterator[tuple[Place, str]]:
        if self.bin_width is not None and self.bin_count is not None:
            yield ("bin_count",), "bin_width stands here too: keep one of the two"
        if self.window_hu is not None and self.modality != "CT":
            yield ("window_hu",), f"Hounsfield units belong to CT, not {self.modality}: take it out"
        if self.normalisation not in (None, "none") and self.modality not in NORMALISED:
            yield ("normalisation",), f"{self.modality} is measured in units of its own: write none"
        if self.bias_correction and self.modality != "MRI":
            yield ("bias_correction",), f"N4 is for MRI, not {self.modality}: take it out"
        if self.normalisation != "nyul" and self.nyul_landmarks is not None:
            yield ("nyul_landmarks",), "landmarks belong to normalisation: nyul: write that too, or take them out"
        if self.nyul_landmarks is not None and len(self.nyul_landmarks) != len(NYUL_PERCENTILES):
            found = len(self.nyul_landmarks)
            yield ("nyul_landmarks",), f"found {found} numbers, needs {len(NYUL_PERCENTILES)}, one a percentile"
        if self.nyul_landmarks is not None and any(b <= a for a, b in pairwise(self.nyul_landmarks)):
            yield ("nyul_landmarks",), f"the landmarks must rise, found {self.nyul_landmarks}"
        for name in ("window_hu", "keep_range"):
            limits = getattr(self, name)
            if limits is not None and limits[0] >= limits[1]:
                yield (name,), f"starts at {limits[0]:g} and ends at {limits[1]:g}: put the lower first"
        if isinstance(self.spacing_mm, list) and len(self.spacing_mm) != self.dimension:
            yield ("spacing_mm",), f"found {len(self.spacing_mm)} numbers: write x, y, z (ultrasound: x, y)"

    @property
    def dimension(self) -> int:
        """2 for ultrasound, which is a picture; 3 for the rest."""
        return 2 if self.modality == "US" else 3

    @property
    def spacing(self) -> float | tuple[float, ...] | None:
        """Voxel size in mm after resampling; None keeps the image's own."""
        if self.spacing_mm is None:
            return None if self.modality == "US" else 1.0
        if self.spacing_mm == "native":
            return None
        return tuple(self.spacing_mm) if isinstance(self.spacing_mm, list) else float(self.spacing_mm)

    @property
    def n4(self) -> bool:
        """Whether the bias field is taken out."""
        return self.modality == "MRI" if self.bias_correction is None else self.bias_correction

    @property
    def norm(self) -> Literal["none", "z-score", "nyul"]:
        """The normalisation that applies."""
        return self.normalisation or ("z-score" if self.modality == "MRI" else "none")

    @property
    def bins(self) -> dict[str, float | int]:
        """Discretisation in PyRadiomics' words: binWidth or binCount."""
        if self.bin_count is not None:
            return {"binCount": self.bin_count}
        width = self.bin_width or {"CT": 25.0, "PET": 0.25}.get(self.modality)
        return {"binCount": 32} if width is None else {"binWidth": width}


class RingRules(Strict):
    """What belongs to a peritumoural ring (and to a band's outer half)."""

    clip_to_liver: bool = Field(True, description="keep what lies inside the liver mask, which is then required")
    exclude_lesions: bool = Field(True, description="leave the patient's other tumours out")
    exclude_vessels: bool = Field(True, description="leave vessels out, where a patient has a mask of them")
    lowest_hu: float | None = Field(
        -50.0, description="CT: leave out what is below, i.e. air and fat; null: nothing"
    )
    highest_hu: float | None = Field(None, description="CT: leave out what is above, e.g. bone, clips, lipiodol")


class Comparison(Strict):
    """Features computed from two others: between two phases of a region, or two regions of a phase."""

    kind: Literal["difference", "ratio", "relative-change"] = Field(
        description="a − b, a / b, or (a − b) / b, for [a, b]"
    )
    phases: tuple[str, str] | None = None
    regions: tuple[str, str] | None = Field(
        None, description="as in the names of features, e.g. [ring5mm, tumour]"
    )
    features: list[str] = Field(
        ["original_firstorder_*"], min_length=1, description="patterns (*) of <filter>_<class>_<feature>"
    )

    @model_validator(mode="after")
    def _one_pair(self) -> "Comparison":
        if (self.phases is None) == (self.regions is None):
            raise ValueError("compare phases: [a, b] or regions: [a, b]: give one of the two")
        pair = self.phases or self.regions
        if pair is not None and pair[0] == pair[1]:
            raise ValueError(f"{pair[0]} is compared with itself: name two")
        return self

    def joined(self) -> str:
        """The pair as it stands in a feature's name."""
        a, b = self.phases or self.regions or ("", "")
        return f"{a}-{ {'difference': 'minus', 'ratio': 'over', 'relative-change': 'change'}[self.kind] }-{b}"


class Features(Strict):
    """From images to features; names are <phase>_<region>_<filter>_<class>_<feature>."""

    phases: dict[PhaseName, Phase] = Field(
        min_length=1, description="the images of a patient, by name; dwi-b800 is the image dwi_b800"
    )
    missing_phases: Literal["refuse", "leave-empty"] = Field(
        "refuse",
        description="a patient who lacks a phase: refused; or without that phase's features, if the first is there",
    )
    masks: Literal["own", "carried-rigid", "carried-deformable"] = Field(
        "own",
        description="own: every phase has masks on its grid; carried: a phase without a mask of the tumour gets the "
        "masks of the first phase that has one, by registration of the two images",
    )
    regions: list[RegionName] = Field(["tumour"], min_length=1)
    ring_mm: list[Millimetres] = Field([], description="widths of the rings, several at once, e.g. [3, 5, 10]")
    band_mm: list[Millimetres] = Field([], description="a band reaches this far inside and outside the border")
    ring_rules: RingRules = RingRules()
    lesions: Literal["largest", "merged", "each"] = Field(
        "largest", description="patients with several tumours: the largest, all as one, or each on its own"
    )
    lesion_summary: Literal["mean", "maximum", "minimum"] = Field(
        "mean", description="lesions: each: what of the lesions' features becomes the patient's; NaN left aside"
    )
    filters: list[Literal["original", "log", "wavelet"]] = Field(["original"], min_length=1)
    log_sigma_mm: list[Annotated[float, Field(gt=0, le=20)]] = Field([1, 2, 3, 4, 5], min_length=1)
    classes: list[FeatureClass] = Field(
        ["shape", "firstorder", "glcm", "glrlm", "glszm", "gldm", "ngtdm"], min_length=1
    )
    habitats: Habitats | None = Field(
        None, description="parts of the tumour that look alike on several phases, as regions; left out: none"
    )
    comparisons: list[Comparison] = []
    maximum_bins: int = Field(512, ge=2, le=1024, description="a region with more grey levels is refused")
    minimum_voxels: int = Field(64, ge=8, le=10**6, description="a smaller region is refused")
    stability: Stability | None = Field(
        None, description="measure some patients again, to know how stable features are; left out: nobody"
    )

    @field_validator("regions", "filters", "classes", "ring_mm", "band_mm", "log_sigma_mm")
    @classmethod
    def _once(cls, listed: list[Any]) -> list[Any]:
        if twice := [item for item in dict.fromkeys(listed) if listed.count(item) > 1]:
            raise ValueError(f"{twice[0]} stands here twice: keep one")
        return listed

    @model_validator(mode="after")
    def _consistent(self) -> "Features":
        if misfits := list(self._misfits()):
            raise Misfits(misfits)
        return self

    def _misfits(self) -> Iterator[tuple[Place, str]]:
        images = list(self.image_names().values())
        for phase, image in self.image_names().items():
            if images.count(image) > 1:
                yield ("phases", phase), f"two phases are read from the image {image}: rename one"
        wants_rings = bool({"ring", "tumour-and-ring"} & set(self.regions))
        if wants_rings != bool(self.ring_mm):
            yield ("ring_mm",), "rings and their widths go together: e.g. regions: [tumour, ring], ring_mm: [5]"
        if self.habitats is not None:
            for phase in self.habitats.phases:
                if phase not in self.phases:
                    yield ("habitats", "phases"), f"{phase} is no phase here: one of {', '.join(self.phases)}"
            if self.habitats.within == "tumour-and-ring" and not self.ring_mm:
                yield ("habitats", "within"), "there is no ring: add one, e.g. ring_mm: [5], or write tumour"
        if ("band" in self.regions) != bool(self.band_mm):
            yield ("band_mm",), "a band and its reach go together: e.g. regions: [band], band_mm: [3]"
        names = self.region_names()
        for index, comparison in enumerate(self.comparisons):
            known = list(self.phases) if comparison.phases else names
            for name in comparison.phases or comparison.regions or ():
                if name not in known:
                    yield ("comparisons", index), f"{name} is not computed here: one of {', '.join(known)}"

    @property
    def narrowest_mm(self) -> float:
        """The width of the narrowest ring or band: how far off a carried mask may be at most."""
        return min((*self.ring_mm, *self.band_mm), default=CARRIED_WITHOUT_RINGS_MM)

    def image_names(self) -> dict[str, str]:
        """What a patient's image of each phase is called: a feature's name keeps _ for itself, an image's may not."""
        return {phase: phase.lower().replace("-", "_") for phase in self.phases}

    def region_names(self) -> list[str]:
        """The regions as they stand in the names of features, e.g. tumour, ring5mm, habitat1."""
        return [*self.drawn_regions(), *(self.habitats.names() if self.habitats is not None else [])]

    def drawn_regions(self) -> list[str]:
        """The regions that masks and distances make, every patient's; habitats are not among them."""
        widths = {"ring": self.ring_mm, "tumour-and-ring": self.ring_mm, "band": self.band_mm}
        return [
            f"{region}{_millimetres(width)}" for region in self.regions for width in widths.get(region, [None])
        ]

    def unscaled_phases(self) -> list[str]:
        """The phases that are normalised to a standard scale which is not known yet."""
        return [name for name, phase in self.phases.items() if phase.norm == "nyul" and not phase.nyul_landmarks]

    def to_be_learnt(self) -> list[str]:
        """The places of what the hospitals learn together before anything is computed; empty: nothing is missing."""
        missing = [f"features.phases.{name}.nyul_landmarks" for name in self.unscaled_phases()]
        if self.habitats is not None and not self.habitats.learnt:
            missing.append("features.habitats.centres")
        return missing

    def refuse_unprepared(self) -> None:
        """StudyError where something is still to be learnt: features could not be computed."""
        if missing := self.to_be_learnt():
            raise StudyError(
                f"{', '.join(missing)}: not in the study yet; all hospitals learn it together before anything is "
                "computed. Run: hepafed study prepare STUDY --sites FOLDER --out prepared.yaml, and use prepared.yaml"
            )

    def needs_liver(self) -> bool:
        """Whether a patient without a liver mask cannot be computed."""
        ringed = bool({"ring", "tumour-and-ring", "band"} & set(self.regions))
        return (
            bool({"liver", "liver-background"} & set(self.regions))
            or (ringed and self.ring_rules.clip_to_liver)
            or any(phase.norm != "none" and phase.normalise_over == "liver" for phase in self.phases.values())
        )

    def settings_hash(self) -> str:
        """SHA-256 of every setting that changes a number, defaults included: other defaults, another hash."""
        measured = self.model_dump(mode="json", exclude={"stability": {"minimum_icc"}})
        return hashlib.sha256(canonical_json(measured).encode()).hexdigest()

    def fingerprint(self) -> dict[str, str]:
        """What must be equal at all hospitals for their features to be the same: settings and versions."""
        return {
            "settings": self.settings_hash(),
            "preprocessing": str(PREPROCESSING_VERSION),
            **{package: _version(package) for package in NUMERICAL_PACKAGES},
        }


def _millimetres(width: float | None) -> str:
    return "" if width is None else f"{width:g}mm".replace(".", "-")


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
