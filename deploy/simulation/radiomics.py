"""Synthetic radiomic features: blocks of correlation from a few latent factors, and what scanners do to them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

REGIONS = ("tumour", "ring5mm")
KINDS = ("attenuation", "heterogeneity", "coarseness", "detail")
FACTORS = ("size", *(f"{region}_{kind}" for region in REGIONS for kind in KINDS))
"""Latent factors: standard normal for the average patient. `size` is the standardised log tumour size."""

SKEW = 0.6
FLOOR = 2.5
"""A skewed feature is proportional to FLOOR + exp(SKEW·z): positive before and after any hospital's shift."""

# Feature, mean, standard deviation, block, sign of its loading; "skewed" ones give the scale as their mean.
# Every mean is four standard deviations or more from zero, so that medians of hospitals stay comparable.
_ORIGINAL = """
firstorder_10Percentile 48 9 attenuation +
firstorder_90Percentile 112 14 attenuation +
firstorder_Mean 81 11 attenuation +
firstorder_Median 82 11 attenuation +
firstorder_Energy 120000 skewed size +
firstorder_Entropy 3.6 0.42 heterogeneity +
firstorder_InterquartileRange 31 6 heterogeneity +
firstorder_Uniformity 0.112 0.018 heterogeneity -
firstorder_Variance 420 skewed heterogeneity +
firstorder_Kurtosis 4.4 skewed coarseness +
glcm_Contrast 9.5 skewed heterogeneity +
glcm_DifferenceEntropy 2.3 0.24 heterogeneity +
glcm_JointEntropy 6.4 0.7 heterogeneity +
glcm_JointEnergy 0.021 0.004 heterogeneity -
glcm_Idm 0.43 0.06 heterogeneity -
glcm_Correlation 0.48 0.07 coarseness +
glcm_Imc1 -0.19 0.035 coarseness -
glcm_ClusterTendency 34 skewed heterogeneity +
glrlm_GrayLevelNonUniformity 310 skewed size +
glrlm_LongRunEmphasis 2.1 skewed coarseness +
glrlm_RunEntropy 4.7 0.3 heterogeneity +
glrlm_RunPercentage 0.77 0.05 coarseness -
glrlm_ShortRunEmphasis 0.84 0.03 coarseness -
glszm_LargeAreaEmphasis 5200 skewed coarseness +
glszm_SizeZoneNonUniformity 140 skewed size +
glszm_ZoneEntropy 6.1 0.4 heterogeneity +
glszm_ZonePercentage 0.21 0.04 coarseness -
"""
_FILTERED = """
firstorder_Entropy 2.4 0.3 detail +
firstorder_InterquartileRange 12 2.4 detail +
firstorder_Energy 8400 skewed size +
glcm_Contrast 4.1 skewed detail +
glcm_Idm 0.52 0.06 detail -
glcm_JointEnergy 0.0072 0.0014 detail -
glcm_Imc1 -0.14 0.028 coarseness -
"""
_FILTERS = {"wavelet-LLH": 1.0, "wavelet-HHL": 0.6, "log-sigma-2-0-mm-3D": 1.7, "log-sigma-4-0-mm-3D": 2.3}
_SCALED_BY_FILTER = ("InterquartileRange", "Energy", "Contrast")
SHAPE = (
    *("MeshVolume", "SurfaceArea", "SurfaceVolumeRatio", "Sphericity", "Elongation", "Flatness"),
    *("MajorAxisLength", "MinorAxisLength", "LeastAxisLength", "Maximum3DDiameter"),
)
SHAPE_FEATURES = tuple(f"tumour_original_shape_{name}" for name in SHAPE)


@dataclass(frozen=True)
class Texture:
    """How features other than shape follow from the latent factors; one row of each array a feature.

    Its standardised value is z = loadings·factors + unique·noise, and the feature is mean + standard deviation·z,
    or a multiple of FLOOR + exp(SKEW·z) where it is skewed.
    """

    names: tuple[str, ...]
    blocks: tuple[str, ...]
    means: np.ndarray
    deviations: np.ndarray
    skewed: np.ndarray
    loadings: np.ndarray
    unique: np.ndarray

    def values(self, factors: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """Clean features (patients × features) from the factors and standard normal noise."""
        z = factors @ self.loadings.T + noise * self.unique
        # Mean and standard deviation of exp(SKEW·z), z standard normal.
        mean = FLOOR + np.exp(SKEW**2 / 2)
        deviation = np.exp(SKEW**2 / 2) * np.sqrt(np.expm1(SKEW**2))
        standardised = np.where(self.skewed, (FLOOR + np.exp(SKEW * z) - mean) / deviation, z)
        return self.means + self.deviations * standardised


@dataclass(frozen=True)
class Effect:
    """What a hospital or a scanner does to each feature: γ in the feature's standard deviations, and δ.

    The model of ComBat (Johnson et al., 10.1093/biostatistics/kxj037): measured = mean + sd·γ + δ·(clean − mean).
    """

    shift: np.ndarray
    scale: np.ndarray

    @cached_property
    def is_nothing(self) -> bool:
        """Whether measured and clean are the same."""
        return not self.shift.any() and bool((self.scale == 1).all())


def draw_texture(rng: np.random.Generator) -> Texture:
    """The catalogue of features, with loadings drawn for this study."""
    rows = [
        (f"{region}_{image}_{name}", region, block, sign, mean, deviation, scale)
        for region in REGIONS
        for image, table, scale in [("original", _ORIGINAL, 1.0)] + [(f, _FILTERED, s) for f, s in _FILTERS.items()]
        for name, mean, deviation, block, sign in (line.split() for line in table.strip().splitlines())
    ]
    count = len(rows)
    means, deviations = np.empty(count), np.empty(count)
    skewed = np.array([row[5] == "skewed" for row in rows])
    loadings = rng.normal(0, 0.08, (count, len(FACTORS)))
    main = rng.uniform(0.74, 0.92, count)
    blocks = []
    for i, (name, region, block, sign, mean, deviation, scale) in enumerate(rows):
        factor = "size" if block == "size" else f"{region}_{block}"
        blocks.append(factor)
        loadings[i, FACTORS.index(factor)] = main[i] * (1 if sign == "+" else -1)
        factor_scale = scale if name.endswith(_SCALED_BY_FILTER) else 1.0
        means[i] = float(mean) * factor_scale * (0.9 if region == "ring5mm" else 1.0)
        ratio = np.exp(SKEW**2 / 2) * np.sqrt(np.expm1(SKEW**2)) / (FLOOR + np.exp(SKEW**2 / 2))
        deviations[i] = means[i] * ratio if skewed[i] else float(deviation) * factor_scale
    loadings = loadings.round(4)
    common = np.einsum("if,fg,ig->i", loadings, factor_correlation(), loadings)
    unique = np.sqrt(np.maximum(1 - common, 0.1)).round(4)
    names = tuple(row[0] for row in rows)
    return Texture(names, tuple(blocks), np.abs(means) * np.sign(means), deviations, skewed, loadings, unique)


def _mixing() -> np.ndarray:
    """Factors = independent normals @ this matrix': larger tumours are more heterogeneous, rings resemble tumours."""
    mix = np.eye(len(FACTORS))
    at = {name: i for i, name in enumerate(FACTORS)}
    mix[at["tumour_heterogeneity"], at["size"]] = 0.3
    mix[at["tumour_detail"], at["tumour_heterogeneity"]] = 0.4
    mix[at["ring5mm_detail"], at["ring5mm_heterogeneity"]] = 0.4
    for kind in KINDS:
        mix[at[f"ring5mm_{kind}"], at[f"tumour_{kind}"]] = 0.4
    off = (mix**2).sum(axis=1) - 1
    np.fill_diagonal(mix, np.sqrt(1 - off))
    return mix


def factor_correlation() -> np.ndarray:
    """Correlation of the latent factors in an average hospital."""
    mix = _mixing()
    return mix @ mix.T


def draw_factors(normals: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Latent factors (patients × FACTORS) from as many independent normals; `size` takes the place of the first."""
    independent = normals.copy()
    independent[:, 0] = size
    return independent @ _mixing().T


def draw_shape(normals: np.ndarray, size_mm: np.ndarray) -> np.ndarray:
    """Shape features (patients × SHAPE) of an ellipsoid of the tumour's size with a rough surface; four normals."""
    major = size_mm * np.exp(-0.08 + 0.05 * normals[:, 0])
    elongation = np.clip(0.80 + 0.07 * normals[:, 1], 0.5, 0.99)
    flatness = elongation * np.clip(0.86 + 0.05 * normals[:, 2], 0.6, 0.99)
    sphericity = np.clip(0.74 - 0.05 * np.log(size_mm / 45) + 0.05 * normals[:, 3], 0.4, 0.95)
    volume = np.pi / 6 * major**3 * elongation * flatness
    area = np.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / sphericity
    axes = [major, major * elongation, major * flatness]
    return np.column_stack([volume, area, area / volume, sphericity, elongation, flatness, *axes, size_mm * 1.04])


def draw_effect(rng: np.random.Generator, features: int, strength: float) -> Effect:
    """γ ~ N(γ̄, τ²) with γ̄ of its own, and δ² inverse gamma about 1: ComBat's priors; bounded so that units agree."""
    centre = rng.choice([-1.0, 1.0]) * rng.uniform(0.3, 0.6)
    shift = np.clip(strength * rng.normal(centre, 0.7, features), -1.3 * strength, 1.3 * strength)
    shape = 1 + 10 / strength**2
    variance = (shape - 1) / rng.gamma(shape, 1, features)
    return Effect(shift.round(4), np.clip(np.sqrt(variance), 0.6, 1.6).round(4))


def no_effect(features: int) -> Effect:
    """The effect of a hospital that measures as all others do."""
    return Effect(np.zeros(features), np.ones(features))


def measure(clean: np.ndarray, texture: Texture, shift: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Features as measured: `shift` and `scale` have one row a patient (the hospital's and the scanner's together)."""
    return texture.means + texture.deviations * shift + scale * (clean - texture.means)
