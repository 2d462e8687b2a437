"""Synthetic patients with hepatocellular carcinoma: the clinical columns, before any value is lost.

Every column follows from standard normal draws, one row of draws a patient, so that a patient depends on the
seed, the hospital and his place in it, and not on how many patients or hospitals there are.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import ndtr

Columns = dict[str, np.ndarray]

SCANNERS = (
    "Siemens SOMATOM Force",
    "GE Revolution CT",
    "Philips Brilliance iCT",
    "United Imaging uCT 780",
    "Canon Aquilion ONE",
    "Siemens SOMATOM Definition AS",
    "GE Discovery CT750 HD",
    "Philips IQon Spectral CT",
)
LOWEST_MVI, HIGHEST_MVI = 0.29, 0.46
LOSABLE = ("afp", "albumin", "bilirubin", "platelets", "hbv", "mvi")
"""Columns in which a few values are missing."""

DRAWS = (
    *("age", "sex", "hbv", "hcv", "cirrhosis", "liver", "albumin", "bilirubin", "platelets", "afp", "size"),
    *("multiple", "number", "vascular", "scanner"),
)
CHILD_PUGH = np.array(["A", "B", "C"])
BCLC = np.array(["0", "A", "B", "C"])


@dataclass(frozen=True)
class CaseMix:
    """Whom one hospital treats, on what it scans them, and how often it fails to write a value down."""

    age_mean: float
    male: float
    hbv: float
    hcv: float
    cirrhosis: float
    afp_median: float
    size_median_mm: float
    albumin_mean: float
    bilirubin_median: float
    platelets_median: float
    multiple: float
    mvi_prevalence: float
    follow_up_days: float
    scanners: tuple[str, ...]
    lost: dict[str, float]


def draw_case_mix(rng: np.random.Generator, place: int, turn: float) -> CaseMix:
    """The case mix of the hospital at a place in the list.

    Parameters
    ----------
    rng
        The hospital's own generator.
    place
        The first hospital has 0. Every third, from the second on, sees a European population (hepatitis C and
        alcohol, older patients), the others an East Asian one (hepatitis B).
    turn
        In [0, 1): where in the range of prevalences the list starts. Steps of the golden ratio then spread any
        number of hospitals evenly over the range of prevalences of microvascular invasion.
    """
    european = place % 3 == 1
    between = rng.uniform
    return CaseMix(
        age_mean=between(62, 66) if european else between(53, 59),
        male=between(0.74, 0.80) if european else between(0.80, 0.88),
        hbv=between(0.22, 0.32) if european else between(0.72, 0.88),
        hcv=between(0.24, 0.36) if european else between(0.03, 0.10),
        cirrhosis=between(0.62, 0.80),
        afp_median=between(15, 20) if european else between(20, 32),
        size_median_mm=between(38, 52),
        albumin_mean=between(38.5, 42),
        bilirubin_median=between(12, 18),
        platelets_median=between(140, 190),
        multiple=between(0.18, 0.34),
        mvi_prevalence=round(LOWEST_MVI + (HIGHEST_MVI - LOWEST_MVI) * ((turn + 0.618034 * place) % 1), 4),
        follow_up_days=between(1300, 1900),
        scanners=tuple(SCANNERS[i] for i in rng.choice(len(SCANNERS), size=rng.integers(1, 4), replace=False)),
        lost={c: between(0.02, 0.03) if c == "mvi" else round(between(0.01, 0.06), 4) for c in LOSABLE},
    )


def albi_score(albumin_g_l: np.ndarray, bilirubin_umol_l: np.ndarray) -> np.ndarray:
    """Albumin–bilirubin score: 0.66·log₁₀ bilirubin − 0.085·albumin (Johnson et al., 10.1200/JCO.2014.57.9151)."""
    return 0.66 * np.log10(bilirubin_umol_l) - 0.085 * albumin_g_l


def draw_patients(normals: np.ndarray, mix: CaseMix) -> Columns:
    """The clinical columns that follow from standard normal draws, one row of `DRAWS` a patient.

    Values are rounded as a hospital would write them, so that what is computed from them (ALBI, Child–Pugh,
    BCLC, outcomes) is consistent with what is written.
    """
    z = dict(zip(DRAWS, normals.T, strict=True))
    cirrhosis = (ndtr(z["cirrhosis"]) < mix.cirrhosis).astype(int)
    # Cirrhosis lowers albumin and platelets and raises bilirubin; "liver" is what the three share.
    severity = 0.8 * (cirrhosis - mix.cirrhosis) + 0.6 * z["liver"]
    albumin = np.clip(mix.albumin_mean - 1.6 * severity + 3.8 * z["albumin"], 22, 54).round(1)
    bilirubin = np.clip(mix.bilirubin_median * np.exp(0.16 * severity + 0.38 * z["bilirubin"]), 3, 300).round(1)
    platelets = np.clip(mix.platelets_median * np.exp(-0.22 * severity + 0.34 * z["platelets"]), 25, 600)
    size = np.clip(mix.size_median_mm * np.exp(0.45 * z["size"]), 8, 200).round()
    # The cube makes the tail heavier than log-normal.
    afp = np.clip(mix.afp_median * 10 ** (0.58 * z["afp"] + 0.06 * z["afp"] ** 3 + 0.2 * z["size"]), 0.8, 200_000)
    multiple = ndtr(z["multiple"]) < mix.multiple
    number = np.where(multiple, np.clip(2 + np.floor(np.abs(z["number"]) * 1.2), 2, 6), 1).astype(int)
    child_pugh = _child_pugh(albumin, bilirubin, cirrhosis * z["liver"])
    vascular = ndtr(z["vascular"] - 0.25 * z["size"] - 0.25 * z["afp"]) < 0.06
    models = np.array(mix.scanners)
    return {
        "age": np.clip(mix.age_mean + 10.5 * z["age"], 20, 89).round().astype(int),
        "sex": (ndtr(z["sex"]) < mix.male).astype(int),
        "hbv": (ndtr(z["hbv"]) < mix.hbv).astype(int),
        "hcv": (ndtr(z["hcv"]) < mix.hcv).astype(int),
        "cirrhosis": cirrhosis,
        "child_pugh": CHILD_PUGH[child_pugh],
        "afp": np.where(afp < 100, afp.round(1), afp.round()),
        "albumin": albumin,
        "bilirubin": bilirubin,
        "albi": albi_score(albumin, bilirubin).round(3),
        "platelets": platelets.round().astype(int),
        "tumour_size_mm": size.astype(int),
        "tumour_number": number,
        "bclc": BCLC[_bclc(size, number, child_pugh, vascular)],
        "scanner": models[np.minimum((ndtr(z["scanner"]) * len(models)).astype(int), len(models) - 1)],
    }


def _child_pugh(albumin: np.ndarray, bilirubin: np.ndarray, liver: np.ndarray) -> np.ndarray:
    """0, 1, 2 for A, B, C: points of albumin, bilirubin, ascites and clotting; nobody has encephalopathy."""
    ascites = 1 + (liver > 1.5) + (liver > 2.3)
    clotting = 1 + (liver > 1.9)
    points = (
        1 + ascites + clotting + 1 + (albumin < 35) + (albumin < 28) + 1 + (bilirubin > 34) + (bilirubin > 50) + 1
    )
    return (points > 6).astype(int) + (points > 9)


def _bclc(size_mm: np.ndarray, number: np.ndarray, child_pugh: np.ndarray, vascular: np.ndarray) -> np.ndarray:
    """0 to 3 for stages 0, A, B, C (Reig et al., 10.1016/j.jhep.2021.11.018), approximately.

    Child–Pugh C would be stage D; these cohorts had surgery, so the few there are count as C.
    """
    early = (number == 1) | ((number <= 3) & (size_mm <= 30))
    very_early = (number == 1) & (size_mm <= 20) & (child_pugh == 0)
    stage = np.where(very_early, 0, np.where(early, 1, 2))
    return np.where(vascular | (child_pugh == 2), 3, stage)


def split_patients(rng: np.random.Generator, sites: int, patients: int) -> list[int]:
    """Uneven numbers of patients, `sites` × `patients` in all.

    No hospital has fewer than 30 where the average is 40 or more, nor fewer than 10 otherwise.
    """
    smallest = 30 if patients >= 40 else 10
    total = sites * patients
    weights = rng.uniform(0.65, 1.35, sites)
    ends = np.rint(np.cumsum(weights) / weights.sum() * total).astype(int)
    sizes = [int(end - start) for start, end in pairwise([0, *ends])]
    for place, size in enumerate(sizes):
        for _ in range(smallest - size):
            sizes[int(np.argmax(sizes))] -= 1
            sizes[place] += 1
    return sizes
