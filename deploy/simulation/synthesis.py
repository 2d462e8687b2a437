"""One synthetic hospital in memory: its case mix, its way of measuring, its patients.

Each hospital has seeds of its own, and each patient a row of draws: adding hospitals leaves the patients of the
others as they are, and more patients come after those that are there.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from deploy.simulation.clinic import (
    DRAWS,
    HIGHEST_MVI,
    LOSABLE,
    LOWEST_MVI,
    SCANNERS,
    CaseMix,
    Columns,
    draw_case_mix,
    draw_patients,
    split_patients,
)
from deploy.simulation.outcomes import (
    CLINICAL,
    MVI,
    OUTCOME_DRAWS,
    Followed,
    draw_outcomes,
    intercept_for,
    predictor,
)
from deploy.simulation.radiomics import (
    FACTORS,
    SHAPE_DRAWS,
    Effect,
    Texture,
    draw_effect,
    draw_factors,
    draw_shape,
    draw_texture,
    measure,
    no_effect,
)

NAMES = (
    *("north", "harbour", "lakeside", "valley", "riverton", "eastgate", "summit", "meadow", "cedar", "westport"),
    *("orchard", "bridge", "coral", "delta", "forest", "garden", "highland", "island", "juniper", "kestrel"),
    *("linden", "maple", "oakfield", "pinewood", "quarry", "redhill", "silver", "thornbury", "upland", "vineyard"),
    *("willow", "amber", "birch", "crescent", "dune", "elmwood", "fairview", "glacier", "hazel", "ivory"),
)
INCOMPLETE = {
    "tumour_original_glszm_ZoneEntropy": 1,
    "ring5mm_wavelet-HHL_glcm_Imc1": 1,
    "ring5mm_log-sigma-4-0-mm-3D_glcm_Idm": 3,
}
"""Features that could not be computed for some patients, at every fourth hospital from this place on."""
SMALLEST_WITH_INCOMPLETE = 40
CALIBRATION = 4000
"""Imaginary patients over which a hospital's prevalence is set."""
SHARPNESS = 0.7
"""How far the sharpest and the softest kernel move whole blocks of features, in standard deviations."""


@dataclass(frozen=True)
class Setting:
    """What all hospitals share: how features arise, and what each scanner model does to them."""

    seed: int
    sites: int
    patients: int
    hospital_effect: bool
    turn: float
    sizes: tuple[int, ...]
    texture: Texture
    scanners: Mapping[str, Effect]


@dataclass(frozen=True)
class Hospital:
    """One hospital: whom it treats, how it measures, and its patients before any value was lost."""

    name: str
    ids: list[str]
    mix: CaseMix
    intercept: float
    effect: Effect
    clinic: Columns
    followed: Followed
    factors: np.ndarray
    clean: np.ndarray
    measured: np.ndarray
    lost: Mapping[str, np.ndarray]

    @property
    def factors_by_name(self) -> dict[str, np.ndarray]:
        """The latent factors, one value a patient."""
        return dict(zip(FACTORS, self.factors.T, strict=True))


def hospital_name(place: int) -> str:
    """The name of the hospital at a place in the list."""
    return NAMES[place] if place < len(NAMES) else f"hospital-{place + 1:03d}"


def draw_setting(seed: int, sites: int, patients: int, hospital_effect: bool) -> Setting:
    """What all hospitals share."""
    texture = draw_texture(generator(seed, "texture"))
    count = len(texture.names)
    return Setting(
        seed=seed,
        sites=sites,
        patients=patients,
        hospital_effect=hospital_effect,
        turn=float(generator(seed, "turn").random()),
        sizes=tuple(split_patients(generator(seed, "sizes"), sites, patients)),
        texture=texture,
        scanners={
            model: _scanner_effect(generator(seed, "scanner", k), texture) if hospital_effect else no_effect(count)
            for k, model in enumerate(SCANNERS)
        },
    )


def draw_hospital(setting: Setting, place: int) -> Hospital:
    """The hospital at a place in the list, with its patients."""
    patients, texture = setting.sizes[place], setting.texture

    def normals(purpose: str, columns: int, rows: int = patients) -> np.ndarray:
        return generator(setting.seed, purpose, place).standard_normal((rows, columns))

    mix = draw_case_mix(generator(setting.seed, "case mix", place), place, setting.turn)
    clinic = draw_patients(normals("clinic", len(DRAWS)), mix)
    factors = _factors(normals("factors", len(FACTORS)), clinic)

    imaginary = draw_patients(normals("imaginary clinic", len(DRAWS), CALIBRATION), mix)
    imaginary_factors = _factors(normals("imaginary factors", len(FACTORS), CALIBRATION), imaginary)
    intercept = intercept_for(mix.mvi_prevalence, predictor(MVI, imaginary, imaginary_factors))
    followed = draw_outcomes(
        normals("outcomes", len(OUTCOME_DRAWS)), clinic, factors, intercept, mix.follow_up_days
    )

    count = len(texture.names)
    effect = no_effect(count)
    if setting.hospital_effect:
        rng = generator(setting.seed, "hospital", place)
        effect = draw_effect(rng, texture, _sharpness(rng, mix.mvi_prevalence), strength=1.0)
    shape = draw_shape(normals("shape", SHAPE_DRAWS), clinic["tumour_size_mm"])
    clean = texture.values(factors, normals("noise", count))
    shift = effect.shift + np.array([setting.scanners[model].shift for model in clinic["scanner"]])
    scale = effect.scale * np.array([setting.scanners[model].scale for model in clinic["scanner"]])

    name = hospital_name(place)
    prefix = name[:3].upper() if place < len(NAMES) else f"H{place + 1:03d}"
    return Hospital(
        name=name,
        ids=[f"{prefix}-{i + 1:04d}" for i in range(patients)],
        mix=mix,
        intercept=intercept,
        effect=effect,
        clinic=clinic,
        followed=followed,
        factors=factors,
        clean=np.column_stack([shape, clean]),
        measured=np.column_stack([shape, measure(clean, texture, shift, scale)]),
        lost=_lost(setting, place, mix),
    )


def _factors(normals: np.ndarray, clinic: Columns) -> np.ndarray:
    return draw_factors(normals, CLINICAL["tumour_size_mm"].of(clinic["tumour_size_mm"]))


def _sharpness(rng: np.random.Generator, prevalence: float) -> float:
    """How sharply a hospital reconstructs, in standard deviations of the blocks.

    Hospitals that see more microvascular invasion reconstruct more softly, so that raw features mislead: were it
    the other way round, a model could pass by telling hospitals apart.
    """
    return SHARPNESS * (1 - 2 * (prevalence - LOWEST_MVI) / (HIGHEST_MVI - LOWEST_MVI)) + rng.normal(0, 0.2)


def _scanner_effect(rng: np.random.Generator, texture: Texture) -> Effect:
    return draw_effect(rng, texture, rng.normal(0, 0.2), strength=0.45)


def _lost(setting: Setting, place: int, mix: CaseMix) -> dict[str, np.ndarray]:
    """Which cells are empty, by column: single clinical values, and features for a fifth of the patients."""
    patients = setting.sizes[place]
    chance = generator(setting.seed, "lost", place).random((patients, len(LOSABLE) + 1))
    lost = {column: chance[:, k] < mix.lost[column] for k, column in enumerate(LOSABLE)}
    lost["albi"] = lost["albumin"] | lost["bilirubin"]
    # Ten patients or none, so that those with and those without the feature are enough to be counted.
    unmeasured = chance[:, -1].argsort().argsort() < max(10, round(0.2 * patients))
    if setting.patients >= SMALLEST_WITH_INCOMPLETE:
        lost |= {feature: unmeasured for feature, first in INCOMPLETE.items() if place % 4 == first}
    return lost


def generator(seed: int, purpose: str, place: int = 0, *patient: int) -> np.random.Generator:
    """A generator for one purpose at one place, or for one patient there; a new purpose moves no other."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(place, *patient, *purpose.encode())))
