"""Synthetic radiomic features: blocks of correlation from a few latent factors, and what scanners do to them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

REGIONS = ("tumour", "ring5mm")
KINDS = ("attenuation", "heterogeneity", "coarseness", "detail")
FACTORS = ("size", *(f"{region}_{kind}" for region in REGIONS for kind in KINDS))
"""Latent factors: standard normal for the average patient. `size` is the standardised log tumour size."""

SHAPE_DRAWS = 4
SKEW = 0.6
FLOOR = 4.0
"""A skewed feature is proportional to FLOOR + exp(SKEW·z): positive before and after any hospital's shift."""
_SKEWED_MEAN = FLOOR + np.exp(SKEW**2 / 2)
_SKEWED_SD = np.exp(SKEW**2 / 2) * np.sqrt(np.expm1(SKEW**2))
_SKEWED_CV = _SKEWED_SD / _SKEWED_MEAN

# Feature, mean, standard deviation, block, sign of its loading. Skewed: the deviation follows.
# Every mean is six standard deviations or more from zero, so that medians of hospitals stay comparable.
_ORIGINAL = """
firstorder_10Percentile 56 8 attenuation +
firstorder_90Percentile 112 14 attenuation +
firstorder_Mean 81 11 attenuation +
firstorder_Median 82 11 attenuation +
firstorder_Energy 120000 skewed size +
firstorder_Entropy 3.6 0.42 heterogeneity +
firstorder_InterquartileRange 31 4.2 heterogeneity +
firstorder_Uniformity 0.112 0.015 heterogeneity -
firstorder_Variance 420 skewed heterogeneity +
firstorder_Kurtosis 4.4 skewed coarseness +
glcm_Contrast 9.5 skewed heterogeneity +
glcm_DifferenceEntropy 2.3 0.24 heterogeneity +
glcm_JointEntropy 6.4 0.7 heterogeneity +
glcm_JointEnergy 0.021 0.0028 heterogeneity -
glcm_Idm 0.43 0.055 heterogeneity -
glcm_Correlation 0.48 0.06 coarseness +
glcm_Imc1 -0.19 0.026 coarseness -
glcm_ClusterTendency 34 skewed heterogeneity +
glrlm_GrayLevelNonUniformity 310 skewed size +
glrlm_LongRunEmphasis 2.1 skewed coarseness +
glrlm_RunEntropy 4.7 0.3 heterogeneity +
glrlm_RunPercentage 0.77 0.05 coarseness -
glrlm_ShortRunEmphasis 0.84 0.03 coarseness -
glszm_LargeAreaEmphasis 5200 skewed coarseness +
glszm_SizeZoneNonUniformity 140 skewed size +
glszm_ZoneEntropy 6.1 0.4 heterogeneity +
glszm_ZonePercentage 0.21 0.028 coarseness -
"""
_FILTERED = """
firstorder_Entropy 2.4 0.3 detail +
firstorder_InterquartileRange 12 1.6 detail +
firstorder_Energy 8400 skewed size +
glcm_Contrast 4.1 skewed detail +
glcm_Idm 0.52 0.06 detail -
glcm_JointEnergy 0.0072 0.001 detail -
glcm_Imc1 -0.14 0.019 coarseness -
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
        standardised = np.where(self.skewed, (FLOOR + np.exp(SKEW * z) - _SKEWED_MEAN) / _SKEWED_SD, z)
        return self.means + self.deviations * standardised


@dataclass(frozen=True)
class Effect:
    """What a hospital or a scanner does to each feature: γ in the feature's standard deviations, and δ.

    The model of ComBat (Johnson et al., 10.1093/biostatistics/kxj037): measured = mean + sd·γ + δ·(clean − mean).
    """

    shift: np.ndarray
    scale: np.ndarray


def draw_texture(rng: np.random.Generator) -> Texture:
    """The catalogue of features, with loadings drawn for this study."""
    rows = list(_catalogue())
    loadings = rng.normal(0, 0.08, (len(rows), len(FACTORS)))
    main = rng.uniform(0.74, 0.92, len(rows))
    for i, row in enumerate(rows):
        loadings[i, FACTORS.index(row.block)] = row.sign * main[i]
    # At most nine tenths of a feature's variance is shared, so that no feature is a copy of others.
    shared = _shared(loadings)
    loadings = (loadings * np.sqrt(np.minimum(1, 0.9 / shared))[:, None]).round(4)
    return Texture(
        names=tuple(row.name for row in rows),
        blocks=tuple(row.block for row in rows),
        means=np.array([row.mean for row in rows]),
        deviations=np.array([row.mean * _SKEWED_CV if row.deviation is None else row.deviation for row in rows]),
        skewed=np.array([row.deviation is None for row in rows]),
        loadings=loadings,
        unique=np.sqrt(1 - _shared(loadings)).round(4),
    )


def _shared(loadings: np.ndarray) -> np.ndarray:
    """The part of each standardised feature's variance that comes from the factors."""
    return np.asarray(np.einsum("if,fg,ig->i", loadings, factor_correlation(), loadings))


@dataclass(frozen=True)
class _Row:
    name: str
    block: str
    sign: int
    mean: float
    deviation: float | None


def _catalogue() -> Iterator[_Row]:
    """One row a feature; rings are a little less dense than tumours, filters change some scales."""
    images = [("original", _ORIGINAL, 1.0), *((name, _FILTERED, scale) for name, scale in _FILTERS.items())]
    for region, density in zip(REGIONS, (1.0, 0.9), strict=True):
        for image, table, filtered in images:
            for line in table.strip().splitlines():
                name, mean, deviation, kind, sign = line.split()
                scale = filtered if name.endswith(_SCALED_BY_FILTER) else 1.0
                yield _Row(
                    name=f"{region}_{image}_{name}",
                    block=kind if kind == "size" else f"{region}_{kind}",
                    sign=1 if sign == "+" else -1,
                    mean=round(float(mean) * scale * density, 6),
                    deviation=None if deviation == "skewed" else round(float(deviation) * scale, 6),
                )


def _mixing() -> np.ndarray:
    """What makes factors from independent normals: large tumours are heterogeneous, rings resemble tumours."""
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
    """Latent factors (patients × FACTORS) from as many independent normals; `size` replaces the first."""
    independent = normals.copy()
    independent[:, 0] = size
    return independent @ _mixing().T


def draw_shape(normals: np.ndarray, size_mm: np.ndarray) -> np.ndarray:
    """Shape features (patients × SHAPE) of an ellipsoid of the tumour's size with a rough surface."""
    major = size_mm * np.exp(-0.08 + 0.05 * normals[:, 0])
    elongation = np.clip(0.80 + 0.07 * normals[:, 1], 0.5, 0.99)
    flatness = elongation * np.clip(0.86 + 0.05 * normals[:, 2], 0.6, 0.99)
    sphericity = np.clip(0.74 - 0.05 * np.log(size_mm / 45) + 0.05 * normals[:, 3], 0.4, 0.95)
    volume = np.pi / 6 * major**3 * elongation * flatness
    area = np.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / sphericity
    axes = [major, major * elongation, major * flatness]
    return np.column_stack([volume, area, area / volume, sphericity, elongation, flatness, *axes, size_mm * 1.04])


def draw_effect(rng: np.random.Generator, texture: Texture, sharpness: float, strength: float) -> Effect:
    """γ normal about what the reconstruction does to whole blocks, δ² inverse gamma about 1.

    These are ComBat's priors, but for one thing: a sharper kernel raises heterogeneity and detail and lowers
    coarseness in all features that load on them, which no averaging over a block takes out.
    Both are bounded, so that no feature changes its sign and medians of hospitals stay comparable.
    """
    kernel = np.zeros(len(FACTORS))
    for region in REGIONS:
        for kind, sign in {"heterogeneity": 1, "detail": 1, "coarseness": -1}.items():
            kernel[FACTORS.index(f"{region}_{kind}")] = sign * sharpness + strength * rng.normal(0, 0.25)
    features = len(texture.names)
    shift = texture.loadings @ kernel + strength * rng.normal(rng.normal(0, 0.3), 0.7, features)
    shape = 1 + 8 / strength**2
    variance = (shape - 1) / rng.gamma(shape, 1, features)
    scale = np.clip(np.sqrt(variance), 0.6**strength, 1.5**strength)
    bound = 1.5 * strength
    return Effect(np.clip(shift, -bound, bound).round(4), scale.round(4))


def no_effect(features: int) -> Effect:
    """The effect of a hospital that measures as all others do."""
    return Effect(np.zeros(features), np.ones(features))


def measure(clean: np.ndarray, texture: Texture, shift: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Features as measured; `shift` and `scale` have one row a patient: hospital and scanner together."""
    return texture.means + texture.deviations * shift + scale * (clean - texture.means)
